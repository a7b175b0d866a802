use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::{ROOMY, Site, Use, at, in_memory, noise};
use crate::{Found, SaveOutcome, Store};

/// Everything that must come back, by path.
fn picture(folder: &Path) -> BTreeMap<PathBuf, (u32, i64, i64, Vec<u8>)> {
    let mut picture = BTreeMap::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let found = path.symlink_metadata().unwrap();
            let contents = if found.is_symlink() {
                fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else if found.is_dir() {
                waiting.push(path.clone());
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            let inside = path.strip_prefix(folder).unwrap().to_path_buf();
            picture.insert(
                inside,
                (found.mode(), found.mtime(), found.mtime_nsec(), contents),
            );
        }
    }
    picture
}

fn carry(store: &Store, from: &Site, using: &Use) -> Site {
    assert_eq!(using.save(store, from).unwrap().outcome, SaveOutcome::Saved);
    let to = Site::new();
    assert_eq!(using.restore(store, &to).unwrap().found, Found::Exact);
    to
}

#[test]
fn every_kind_of_file_comes_back_as_it_was() {
    use std::os::unix::ffi::OsStrExt as _;
    let from = Site::with(&[
        ("target/empty", b""),
        ("target/deep/er/file", b"text"),
        ("target/new\nline 100%", b"odd name"),
        ("target/many chunks", &noise(1, 3 * (1 << 20) + 17)),
        ("target/one chunk exactly", &vec![7; 1 << 20]),
    ]);
    let invalid = from
        .path("target")
        .join(std::ffi::OsStr::from_bytes(b"not\xffutf8"));
    fs::write(invalid, "bytes").unwrap();
    fs::create_dir(from.path("target/empty folder")).unwrap();
    symlink("deep/er/file", from.path("target/link")).unwrap();
    symlink("/nowhere", from.path("target/dangling")).unwrap();
    symlink("loop", from.path("target/loop")).unwrap();
    fs::set_permissions(
        from.path("target/deep/er/file"),
        fs::Permissions::from_mode(0o750),
    )
    .unwrap();
    fs::set_permissions(from.path("target/deep"), fs::Permissions::from_mode(0o555)).unwrap();
    let odd = fs::FileTimes::new()
        .set_modified(std::time::UNIX_EPOCH + std::time::Duration::new(1_234_567_890, 123_456_789));
    fs::File::open(from.path("target/deep/er/file"))
        .unwrap()
        .set_times(odd)
        .unwrap();
    fs::File::open(from.path("target/deep/er"))
        .unwrap()
        .set_times(odd)
        .unwrap();
    let to = carry(&in_memory(), &from, &Use::key("k"));
    assert_eq!(picture(&from.path("target")), picture(&to.path("target")));
    for site in [&from, &to] {
        fs::set_permissions(site.path("target/deep"), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn absolute_paths_come_back_at_the_root_with_their_folders() {
    let using = Use::key("k").paths(&["/root/.m2/**/*", "node_modules"]);
    let from = Site::with(&[("node_modules/a/x.js", b"js")]);
    let m2 = from.folder.path().join("root/.m2/repository");
    fs::create_dir_all(&m2).unwrap();
    fs::write(m2.join("a.jar"), "jar").unwrap();
    let to = carry(&in_memory(), &from, &using);
    assert_eq!(to.read("node_modules/a/x.js"), b"js");
    assert_eq!(
        fs::read(to.folder.path().join("root/.m2/repository/a.jar")).unwrap(),
        b"jar"
    );
}

#[test]
fn a_pattern_takes_what_it_matches_and_nothing_else() {
    let using = Use::key("k").paths(&["build/**/*.o", "packages/*/node_modules"]);
    let from = Site::with(&[
        ("build/a.o", b"a"),
        ("build/a.c", b"no"),
        ("build/deep/b.o", b"b"),
        ("packages/one/node_modules/x/y", b"y"),
        ("packages/one/src", b"no"),
    ]);
    let to = carry(&in_memory(), &from, &using);
    assert!(to.has("build/a.o") && to.has("build/deep/b.o"));
    assert!(to.has("packages/one/node_modules/x/y"));
    assert!(!to.has("build/a.c") && !to.has("packages/one/src"));
}

#[test]
fn existing_files_are_replaced_and_others_stay() {
    let store = in_memory();
    let from = Site::with(&[("target/a", b"cached")]);
    Use::key("k").save(&store, &from).unwrap();
    let to = Site::with(&[("target/a", b"older and longer"), ("target/b", b"mine")]);
    Use::key("k").restore(&store, &to).unwrap();
    assert_eq!(to.read("target/a"), b"cached");
    assert_eq!(to.read("target/b"), b"mine");
}

#[test]
fn the_same_files_under_another_key_cost_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), ROOMY).unwrap();
    let from = Site::new();
    for number in 0..40 {
        from.write(&format!("target/{number}"), &noise(number, 50_000));
    }
    let first = Use::key("one").save(&store, &from).unwrap();
    let second = Use::key("two").save(&store, &from).unwrap();
    assert!(first.stored_bytes > 40 * 50_000, "{first:?}");
    assert!(second.stored_bytes == 0, "{second:?}");
    assert_eq!(second.files, 40);
}

#[test]
fn what_compresses_is_stored_compressed() {
    let store = in_memory();
    let from = Site::with(&[("target/text", &b"all work and no play ".repeat(50_000))]);
    let saved = Use::key("k").save(&store, &from).unwrap();
    assert_eq!(saved.size_bytes, 21 * 50_000);
    assert!(saved.stored_bytes < 20_000, "{saved:?}");
}

#[test]
fn a_file_that_is_no_file_is_left_out_with_a_warning() {
    let from = Site::with(&[("target/a", b"a"), ("target/suid", b"s")]);
    fs::set_permissions(from.path("target/suid"), fs::Permissions::from_mode(0o4755)).unwrap();
    let pipe = from.path("target/pipe");
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let store = in_memory();
    let saved = Use::key("k").save(&store, &from).unwrap();
    assert_eq!(saved.files, 2);
    assert!(
        saved.warnings[0].contains("target/pipe is left out"),
        "{:?}",
        saved.warnings
    );
    let to = Site::new();
    Use::key("k").restore(&store, &to).unwrap();
    let mode = fs::metadata(to.path("target/suid")).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o4755);
}

#[test]
fn a_link_on_a_configured_path_is_not_followed() {
    let from = Site::new();
    let secrets = from.folder.path().join("secrets");
    fs::create_dir(&secrets).unwrap();
    fs::write(secrets.join("key"), "secret").unwrap();
    symlink("/secrets", from.path("target")).unwrap();
    for paths in ["target", "target/**/*", "target/key"] {
        let saved = Use::key("k")
            .paths(&[paths])
            .save(&in_memory(), &from)
            .unwrap();
        assert_eq!(saved.outcome, SaveOutcome::NothingFound, "{paths}");
        assert!(
            saved.warnings[0].contains("symbolic link"),
            "{:?}",
            saved.warnings
        );
    }
}

#[test]
fn paths_that_lead_to_nothing_make_no_entry() {
    let store = in_memory();
    let saved = Use::key("k").save(&store, &Site::new()).unwrap();
    assert_eq!(saved.outcome, SaveOutcome::NothingFound);
    assert!(store.list(at(0)).unwrap().is_empty());
}

#[derive(Clone, Debug)]
enum Thing {
    File(Vec<u8>, u32),
    Folder,
    Link(String),
}

fn things() -> impl Strategy<Value = Vec<(String, Thing)>> {
    let name = prop::collection::vec("[a-c%\\n é]{1,3}", 1..4).prop_map(|names| names.join("/"));
    let thing = prop_oneof![
        (
            prop::collection::vec(any::<u8>(), 0..200),
            prop::sample::select(vec![0o644, 0o600, 0o755, 0o444]),
        )
            .prop_map(|(bytes, mode)| Thing::File(bytes, mode)),
        Just(Thing::Folder),
        "[a-c./]{1,6}".prop_map(Thing::Link),
    ];
    prop::collection::vec((name, thing), 0..12)
}

/// Makes what can be made; names that collide with earlier ones are skipped.
fn make(site: &Site, things: &[(String, Thing)]) {
    fs::create_dir(site.path("target")).unwrap();
    for (name, thing) in things {
        let path = site.path("target").join(name);
        let parents = path.parent().unwrap();
        let through_link = parents
            .ancestors()
            .take_while(|path| path.starts_with(site.folder.path()))
            .any(Path::is_symlink);
        if through_link || path.symlink_metadata().is_ok() || fs::create_dir_all(parents).is_err() {
            continue;
        }
        match thing {
            Thing::File(bytes, mode) => {
                fs::write(&path, bytes).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
            }
            Thing::Folder => fs::create_dir(&path).unwrap(),
            Thing::Link(target) => symlink(target, &path).unwrap(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn any_small_tree_comes_back_as_it_was(things in things()) {
        let from = Site::new();
        make(&from, &things);
        let to = carry(&in_memory(), &from, &Use::key("k"));
        prop_assert_eq!(picture(&from.path("")), picture(&to.path("")));
    }
}
