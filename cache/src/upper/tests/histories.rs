//! Random histories of a mounted overlay: what its upper directory says is what a walk finds.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use proptest::prelude::*;

use super::{Bench, check_save};

/// One random thing a build does to a name.
#[derive(Clone, Copy, Debug)]
enum Act {
    Write,
    Append,
    Remove,
    MakeDirectory,
    Link,
    HardLink,
    Rename,
    Mode,
    Pipe,
}

/// Without waiting for a reader where a pipe stands.
fn put(path: &Path, text: &str, truncate: bool) -> std::io::Result<()> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    let mut options = fs::File::options();
    options
        .write(true)
        .custom_flags(i32::try_from(flags).unwrap());
    let options = options
        .create(truncate)
        .truncate(truncate)
        .append(!truncate);
    options.open(path)?.write_all(text.as_bytes())
}

fn act(bench: &Bench, act: Act, name: &str, other: &str) {
    let (path, other) = (bench.path(name), bench.path(other));
    // Most random acts are impossible where they fall, which is as well.
    let done = match act {
        Act::Write => put(&path, name, true),
        Act::Append => put(&path, "+", false),
        Act::Remove => fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path)),
        Act::MakeDirectory => fs::create_dir_all(&path),
        Act::Link => symlink(&other, &path),
        Act::HardLink => fs::hard_link(&other, &path),
        Act::Rename => fs::rename(&path, &other),
        Act::Mode => fs::set_permissions(&path, fs::Permissions::from_mode(0o705)),
        Act::Pipe => rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .map_err(Into::into),
    };
    done.unwrap_or_default();
}

const NAMES: [&str; 15] = [
    "t", "t/a", "t/d", "t/d/b", "t/d/hard", "t/d/e", "t/d/e/c", "t/f", "t/f/g", "t/own", "t/d/low",
    "t/new", "t/new/x", "other", "other/x",
];

fn acts() -> impl Strategy<Value = Vec<(Act, &'static str, &'static str)>> {
    let act = prop::sample::select(vec![
        Act::Write,
        Act::Append,
        Act::Remove,
        Act::MakeDirectory,
        Act::Link,
        Act::HardLink,
        Act::Rename,
        Act::Mode,
        Act::Pipe,
    ]);
    let name = || prop::sample::select(NAMES.to_vec());
    prop::collection::vec((act, name(), name()), 0..14)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, ..ProptestConfig::default() })]
    #[test]
    fn the_tree_and_its_changes_are_what_a_walk_finds(
        acts in acts(),
        paths in prop::sample::select(vec![
            &["t/**/*"][..], &["t/d", "other/*"], &["t/*/*", "*/own"], &["t/**/[a-e]"], &["."],
        ]),
    ) {
        if let Some(bench) = Bench::new(paths) {
            for (one, name, other) in acts {
                act(&bench, one, name, other);
            }
            bench.check();
            check_save(&bench);
        }
    }
}
