//! Changes against the kernel: each case changes a mounted overlay, reads its upper directory, and compares what the plan
//! makes of it with a full walk of the mounted view. Needs root; says so where it has to be left out.

/// Random histories.
mod histories;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use croft_beneath::{Kind, Root};
use croft_proto::Timestamp;
use rustix::mount::{MountFlags, UnmountFlags};

use super::plan::{At, Plan, apply, below};
use super::{Change, Changes, Now};
use crate::selection::Selection;
use crate::tests::skip;
use crate::tree::{Anchor, Entry, Node, Tree};
use crate::walk::{Anchors, Warnings, walk};
use crate::{Id, Layer, Lookup, Mounted, Origin, Save, Store, TreeRef};

/// A tree mounted over a source, as the engine does it.
struct Bench {
    folder: tempfile::TempDir,
    paths: Vec<String>,
    tree: Tree,
}

impl Bench {
    /// `None`, and said so, for an ordinary user.
    fn new(paths: &[&str]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skip("mounting an overlay needs root");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("tree/t/a", "a"),
            ("tree/t/d/b", "b"),
            ("tree/t/d/e/c", "c"),
            ("tree/t/f/g", "g"),
            ("source/t/d/low", "low"),
            ("source/t/own", "own"),
            ("source/t/f", "a file below a directory of the tree's"),
            ("source/other/x", "x"),
        ] {
            let file = folder.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        symlink("a", folder.path().join("tree/t/link")).unwrap();
        let hard = |name: &str| folder.path().join("tree/t").join(name);
        fs::hard_link(hard("d/b"), hard("d/hard")).unwrap();
        for name in ["upper", "work", "merged"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
        let tree = tree_of(&folder.path().join("tree"), &paths);
        let bench = Self {
            folder,
            paths,
            tree,
        };
        let at = |name: &str| bench.folder.path().join(name).display().to_string();
        let options = format!(
            "lowerdir={}:{},upperdir={},workdir={},redirect_dir=off,metacopy=off,index=off,volatile",
            at("tree"),
            at("source"),
            at("upper"),
            at("work")
        );
        let options = std::ffi::CString::new(options).unwrap();
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        rustix::mount::mount(
            "overlay",
            at("merged"),
            "overlay",
            flags,
            options.as_c_str(),
        )
        .unwrap();
        Some(bench)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("merged").join(name)
    }

    fn changes(&self) -> Vec<Change> {
        match Changes::read(&self.folder.path().join("upper")).unwrap() {
            Changes::Known(changes) => changes,
            Changes::Unclear(reason) => panic!("{reason}"),
        }
    }

    fn plan(&self) -> Plan {
        let selection = Selection::parse(&self.paths, Path::new("/")).unwrap();
        let at = At {
            selection: &selection,
            anchor: Anchor::Source,
            at: Path::new(""),
        };
        let below = below(&self.folder.path().join("source"), &at).unwrap();
        apply(&self.tree, &self.changes(), &below, &at)
    }

    /// Kept and read names are those that a walk finds, and kept ones are as they were.
    #[track_caller]
    fn check(&self) -> Plan {
        let plan = self.plan();
        let merged = self.folder.path().join("merged");
        let walked = found(&merged, &self.paths);
        let mut planned: BTreeMap<PathBuf, Kind> = plan.read.iter().cloned().collect();
        let now = tree_of(&merged, &self.paths);
        for position in &plan.keep {
            let entry = &self.tree.entries()[*position];
            let first = |original: &Path| {
                let mut kept = plan.keep.iter().map(|at| &self.tree.entries()[*at].path);
                kept.any(|path| path == original)
            };
            if let Node::HardLink(original) = &entry.node
                && !first(original)
            {
                // A save reads another name of a file that is not kept.
                planned.insert(entry.path.clone(), Kind::File);
                continue;
            }
            let same = now.entries().iter().find(|other| other.path == entry.path);
            assert_eq!(same, Some(entry), "kept, but not as it was");
            let twice = planned.insert(entry.path.clone(), super::plan::kind(&entry.node));
            assert_eq!(twice, None, "{} is kept and read", entry.path.display());
        }
        assert_eq!(planned, walked);
        let gone = self.tree.entries().iter();
        let gone = gone.filter(|entry| !walked.contains_key(&entry.path));
        let gone: Vec<&PathBuf> = gone.map(|entry| &entry.path).collect();
        assert_eq!(plan.gone.iter().collect::<Vec<_>>(), gone);
        plan
    }

    #[track_caller]
    fn assert_changes(&self, expected: &[(&str, Now)]) {
        let changes = self.changes();
        let found: Vec<_> = changes
            .iter()
            .map(|change| (change.path.to_str().unwrap(), change.now))
            .collect();
        assert_eq!(found, expected);
        self.check();
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        rustix::mount::unmount(self.folder.path().join("merged"), UnmountFlags::DETACH).unwrap();
    }
}

fn found(folder: &Path, paths: &[String]) -> BTreeMap<PathBuf, Kind> {
    let selection = Selection::parse(paths, Path::new("/")).unwrap();
    let anchors = Anchors::of_one(Root::open(folder).unwrap(), folder).unwrap();
    let found = walk(&selection, &anchors, &Warnings::default()).unwrap();
    found
        .into_iter()
        .map(|finding| (finding.path, finding.found.kind))
        .collect()
}

/// The tree that a save of the folder would make.
fn tree_of(folder: &Path, paths: &[String]) -> Tree {
    let mut firsts: BTreeMap<(u64, u64), PathBuf> = BTreeMap::new();
    let mut entries = Vec::new();
    for (path, kind) in found(folder, paths) {
        let full = folder.join(&path);
        let found = fs::symlink_metadata(&full).unwrap();
        let first = firsts.entry((found.dev(), found.ino()));
        let first = first.or_insert_with(|| path.clone()).clone();
        let node = match kind {
            Kind::Directory => Node::Directory,
            Kind::Symlink => Node::Symlink(fs::read_link(&full).unwrap()),
            Kind::File | Kind::Other if first != path => Node::HardLink(first),
            Kind::File | Kind::Other => Node::File {
                size_bytes: found.len(),
                chunks: vec![Id::of(&fs::read(&full).unwrap())],
            },
        };
        entries.push(Entry {
            anchor: Anchor::Source,
            path,
            mode: found.mode() & 0o7777,
            modified: (found.mtime(), u32::try_from(found.mtime_nsec()).unwrap()),
            owner: (found.uid(), found.gid()),
            node,
        });
    }
    Tree::new(entries)
}

/// Saving a mounted tree with what was changed gives the tree that a walk of everything gives.
#[track_caller]
fn check_save(bench: &Bench) {
    let store = Store::in_memory(1 << 30).unwrap();
    let base = saved(
        &store,
        &bench.folder.path().join("tree"),
        bench,
        "base",
        None,
    );
    let Some(base) = base else {
        return;
    };
    let layers = [Layer {
        anchor: Anchor::Source,
        at: PathBuf::new(),
        upper: bench.folder.path().join("upper"),
        below: vec![bench.folder.path().join("source")],
    }];
    let mounted = Mounted {
        tree: &base,
        layers: &layers,
    };
    let merged = bench.folder.path().join("merged");
    let known = saved(&store, &merged, bench, "known", Some(&mounted));
    assert_eq!(known, saved(&store, &merged, bench, "walked", None));
}

/// The tree that a save of that folder stores; none when it finds nothing.
fn saved(
    store: &Store,
    folder: &Path,
    bench: &Bench,
    key: &str,
    mounted: Option<&Mounted<'_>>,
) -> Option<TreeRef> {
    let root = Root::open(folder).unwrap();
    let now = Timestamp::from_millis(1_000_000_000_000);
    let saved = store.save(&Save {
        project: "p",
        key: Some(key),
        paths: &bench.paths,
        root: &root,
        base: Path::new("/"),
        now,
        origin: Origin::default(),
        mounted,
    });
    saved.unwrap();
    let sought = store.find(&Lookup {
        project: "p",
        key: Some(key),
        fallback_keys: &[],
        paths: &bench.paths,
        base: Path::new("/"),
        now,
    });
    Some(sought.unwrap().hit?.tree)
}

const FILE: Now = Now::Leaf(Kind::File);
const LINK: Now = Now::Leaf(Kind::Symlink);

/// What is done to the mounted view, and what the upper directory says then.
type Case = (&'static str, fn(&Bench), &'static [(&'static str, Now)]);

const CASES: [Case; 14] = [
    ("nothing", |_| (), &[]),
    (
        "delete a file",
        |on| fs::remove_file(on.path("t/a")).unwrap(),
        &[("t", Now::Merged), ("t/a", Now::Gone)],
    ),
    (
        "delete a directory",
        |on| fs::remove_dir_all(on.path("t/d")).unwrap(),
        &[("t", Now::Merged), ("t/d", Now::Gone)],
    ),
    (
        "replace a directory by a file",
        |on| {
            fs::remove_dir_all(on.path("t/d")).unwrap();
            fs::write(on.path("t/d"), "now a file").unwrap();
        },
        &[("t", Now::Merged), ("t/d", FILE)],
    ),
    (
        "replace a file by a directory",
        |on| {
            fs::remove_file(on.path("t/a")).unwrap();
            fs::create_dir(on.path("t/a")).unwrap();
            fs::write(on.path("t/a/in"), "in").unwrap();
        },
        &[("t", Now::Merged), ("t/a", Now::Opaque), ("t/a/in", FILE)],
    ),
    (
        "delete and make a directory again",
        |on| {
            fs::remove_dir_all(on.path("t/d")).unwrap();
            fs::create_dir(on.path("t/d")).unwrap();
            fs::write(on.path("t/d/new"), "new").unwrap();
        },
        &[("t", Now::Merged), ("t/d", Now::Opaque), ("t/d/new", FILE)],
    ),
    (
        "change a mode only",
        |on| fs::set_permissions(on.path("t/a"), fs::Permissions::from_mode(0o600)).unwrap(),
        &[("t", Now::Merged), ("t/a", FILE)],
    ),
    (
        "rename a file",
        |on| fs::rename(on.path("t/a"), on.path("t/d/a")).unwrap(),
        &[
            ("t", Now::Merged),
            ("t/a", Now::Gone),
            ("t/d", Now::Merged),
            ("t/d/a", FILE),
        ],
    ),
    (
        "rename a directory, which mv does by copying",
        |on| {
            let renamed = fs::rename(on.path("t/d"), on.path("t/moved"));
            assert_eq!(
                renamed.unwrap_err().kind(),
                std::io::ErrorKind::CrossesDevices
            );
            let mut mv = std::process::Command::new("mv");
            mv.args([on.path("t/d"), on.path("t/moved")]);
            assert!(mv.status().unwrap().success());
        },
        &[],
    ),
    (
        "a second name for a file",
        |on| fs::hard_link(on.path("t/a"), on.path("t/second")).unwrap(),
        &[("t", Now::Merged), ("t/a", FILE), ("t/second", FILE)],
    ),
    (
        "a symbolic link for a file",
        |on| {
            fs::remove_file(on.path("t/a")).unwrap();
            symlink("own", on.path("t/a")).unwrap();
        },
        &[("t", Now::Merged), ("t/a", LINK)],
    ),
    (
        "a new empty directory",
        |on| fs::create_dir(on.path("t/empty")).unwrap(),
        &[],
    ),
    (
        "delete what is only below the tree",
        |on| {
            fs::remove_file(on.path("t/own")).unwrap();
            fs::remove_file(on.path("t/d/low")).unwrap();
        },
        &[
            ("t", Now::Merged),
            ("t/d", Now::Merged),
            ("t/d/low", Now::Gone),
            ("t/own", Now::Gone),
        ],
    ),
    (
        "something outside the paths",
        |on| fs::write(on.path("other/x"), "y").unwrap(),
        &[("other", Now::Merged), ("other/x", FILE)],
    ),
];

#[test]
fn every_kind_of_change_is_known_from_the_upper_directory() {
    for (name, change, expected) in CASES {
        for paths in [
            &["t/**/*"][..],
            &["t/*", "none"],
            &["t/**/*.o", "*/d"],
            &["."],
        ] {
            let Some(bench) = Bench::new(paths) else {
                return;
            };
            eprintln!("{name}, {paths:?}");
            change(&bench);
            if expected.is_empty() {
                bench.check();
            } else {
                bench.assert_changes(expected);
            }
            if paths.len() == 1 {
                check_save(&bench);
            }
        }
    }
}

#[test]
fn what_is_below_the_tree_is_read_and_what_is_unchanged_is_not() {
    let Some(bench) = Bench::new(&["t/**/*"]) else {
        return;
    };
    let plan = bench.check();
    let read = ["t/d/low", "t/own"].map(|path| (PathBuf::from(path), Kind::File));
    assert_eq!((plan.read.as_slice(), plan.gone.len()), (&read[..], 0));
    assert_eq!(plan.keep.len(), bench.tree.entries().len());
}

#[test]
fn a_link_in_place_of_a_configured_path_is_not_followed() {
    let Some(bench) = Bench::new(&["t/d/**/*"]) else {
        return;
    };
    fs::remove_dir_all(bench.path("t/d")).unwrap();
    symlink("../other", bench.path("t/d")).unwrap();
    assert_eq!(bench.check().keep, [0; 0]);
    fs::remove_dir_all(bench.path("t")).unwrap();
    symlink("other", bench.path("t")).unwrap();
    bench.check();
}

#[test]
fn marks_that_move_contents_elsewhere_make_it_unclear() {
    let Some(bench) = Bench::new(&["t"]) else {
        return;
    };
    let upper = bench.folder.path().join("upper");
    fs::create_dir(upper.join("t")).unwrap();
    for (mark, value) in [
        ("trusted.overlay.redirect", "/elsewhere"),
        ("trusted.overlay.metacopy", ""),
        ("trusted.overlay.opaque", "x"),
        ("trusted.overlay.opaque", "something much longer than that"),
    ] {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::lsetxattr(upper.join("t"), mark, value.as_bytes(), flags).unwrap();
        let changes = Changes::read(&upper).unwrap();
        assert!(
            matches!(&changes, Changes::Unclear(reason) if reason.contains(mark)),
            "{changes:?}"
        );
        rustix::fs::lremovexattr(upper.join("t"), mark).unwrap();
    }
}
