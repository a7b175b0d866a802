//! A table of archives that want out, and what people really have.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::*;

/// An entry as a tar writer would never write it.
fn entry(kind: u8, name: &str, target: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(0o6755);
    header.set_mtime(1_000_000);
    header.set_size(bytes.len() as u64);
    let raw = header.as_ustar_mut().unwrap();
    raw.name[..name.len()].copy_from_slice(name.as_bytes());
    raw.linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_cksum();
    let mut all = header.as_bytes().to_vec();
    all.extend(bytes);
    all.resize(all.len().div_ceil(512) * 512, 0);
    all
}

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    io::Seek::rewind(&mut file).unwrap();
    file
}

fn untar(entries: &[Vec<u8>], limits: Limits) -> (tempfile::TempDir, Result<(), Error>) {
    let site = tempfile::tempdir().unwrap();
    let into = site.path().join("into");
    std::fs::create_dir(&into).unwrap();
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1024, 0);
    let over = AtomicBool::new(false);
    let outcome = unpack(file_of(&bytes), Kind::Tar, &into, limits, &over);
    (site, outcome)
}

const FILE: u8 = b'0';
const HARD: u8 = b'1';
const SOFT: u8 = b'2';

#[test]
fn nothing_of_an_archive_leaves_its_folder() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    let absolute = victim.to_str().unwrap();
    for (what, entries) in [
        ("an absolute name", vec![entry(FILE, absolute, "", b"x")]),
        ("a name above", vec![entry(FILE, "../x", "", b"x")]),
        (
            "a name above, deeper",
            vec![entry(FILE, "a/../../x", "", b"x")],
        ),
        ("an absolute link", vec![entry(SOFT, "l", absolute, b"")]),
        ("a link above", vec![entry(SOFT, "l", "..", b"")]),
        (
            "a link above from below",
            vec![entry(SOFT, "a/l", "../../x", b"")],
        ),
        (
            "a link that goes down and up",
            vec![entry(SOFT, "a/b/l", "c/../../../..", b"")],
        ),
        (
            "a file through a link",
            vec![
                entry(SOFT, "a/l", "..", b""),
                entry(FILE, "a/l/x", "", b"x"),
            ],
        ),
        (
            "a second name of a file outside",
            vec![entry(HARD, "h", absolute, b"")],
        ),
        ("a second name above", vec![entry(HARD, "h", "../x", b"")]),
        (
            "a second name of a link, where it leads elsewhere",
            vec![entry(SOFT, "a/l", "..", b""), entry(HARD, "h", "a/l", b"")],
        ),
        ("a character device", vec![entry(b'3', "d", "", b"")]),
        ("a block device", vec![entry(b'4', "d", "", b"")]),
        ("a pipe", vec![entry(b'6', "p", "", b"")]),
        ("an unknown kind", vec![entry(b'Z', "z", "", b"")]),
        ("a backslash", vec![entry(FILE, "..\\x", "", b"x")]),
        ("a file without a name", vec![entry(FILE, ".", "", b"x")]),
        (
            "a folder in a file's place",
            vec![entry(FILE, "a", "", b"x"), entry(FILE, "a/b", "", b"x")],
        ),
    ] {
        let (site, outcome) = untar(&entries, Limits::default());
        let error = outcome.expect_err(what);
        assert!(!error.is_the_machines(), "{what}: {error:?}");
        let beside = std::fs::read_dir(site.path()).unwrap().count();
        assert_eq!(beside, 1, "{what}");
    }
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(std::fs::metadata(&victim).unwrap().nlink(), 1);
}

#[test]
fn more_than_allowed_is_refused_while_it_is_unpacked() {
    let limits = Limits {
        bytes_max: 10,
        entries_max: 2,
        ..Limits::default()
    };
    let large = [entry(FILE, "a", "", &[0; 11])];
    let (_site, outcome) = untar(&large, limits);
    assert!(matches!(outcome, Err(Error::TooMuch(_))), "{outcome:?}");
    let many = ["a", "b", "c"].map(|name| entry(FILE, name, "", b""));
    let (_site, outcome) = untar(&many, limits);
    assert!(matches!(outcome, Err(Error::TooMuch(_))), "{outcome:?}");
    let cut = entry(FILE, "a", "", &[0; 5000])[..600].to_vec();
    let (_site, outcome) = untar(&[cut], Limits::default());
    assert!(outcome.is_err(), "it is cut short");
}

#[test]
fn what_people_have_is_unpacked_with_modes_times_and_links() {
    let entries = [
        entry(b'5', "d/", "", b""),
        entry(FILE, "./d/run", "", b"#!"),
        entry(SOFT, "d/l", "run", b""),
        entry(SOFT, "d/up", "../top", b""),
        entry(HARD, "top", "d/run", b""),
    ];
    let (site, outcome) = untar(&entries, Limits::default());
    outcome.unwrap();
    let into = site.path().join("into");
    let run = std::fs::metadata(into.join("d/run")).unwrap();
    assert_eq!(run.permissions().mode() & 0o7777, 0o755);
    assert_eq!((run.mtime(), run.nlink()), (1_000_000, 2));
    for name in ["d/l", "d/up", "top"] {
        assert_eq!(std::fs::read(into.join(name)).unwrap(), b"#!", "{name}");
    }
}

#[test]
fn the_bits_that_are_asked_for_are_kept() {
    let limits = Limits {
        modes: 0o7777,
        ..Limits::default()
    };
    let (site, outcome) = untar(&[entry(FILE, "run", "", b"#!")], limits);
    outcome.unwrap();
    let run = std::fs::metadata(site.path().join("into/run")).unwrap();
    assert_eq!(run.permissions().mode() & 0o7777, 0o6755);
}

fn unzip(
    make: impl FnOnce(&mut zip::ZipWriter<io::Cursor<Vec<u8>>>),
) -> (tempfile::TempDir, Result<(), Error>) {
    let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    make(&mut writer);
    let bytes = writer.finish().unwrap().into_inner();
    let site = tempfile::tempdir().unwrap();
    let into = site.path().join("into");
    std::fs::create_dir(&into).unwrap();
    let over = AtomicBool::new(false);
    let outcome = unpack(file_of(&bytes), Kind::Zip, &into, Limits::default(), &over);
    (site, outcome)
}

#[test]
fn a_zip_is_held_to_the_same() {
    use zip::write::SimpleFileOptions;
    let options = SimpleFileOptions::default().unix_permissions(0o755);
    for name in ["../x", "/x", "a/../../x", "..\\x"] {
        let (site, outcome) = unzip(|writer| {
            writer.start_file(name, options).unwrap();
            writer.write_all(b"x").unwrap();
        });
        assert!(
            outcome.is_err() || !site.path().join("x").exists(),
            "{name}"
        );
        assert_eq!(std::fs::read_dir(site.path()).unwrap().count(), 1, "{name}");
    }
    for target in ["/etc/passwd", "../x", "a/../../x"] {
        let (_site, outcome) = unzip(|writer| writer.add_symlink("l", target, options).unwrap());
        assert!(
            matches!(outcome, Err(Error::Entry { .. })),
            "{target}: {outcome:?}"
        );
    }
    let (site, outcome) = unzip(|writer| {
        writer.add_directory("d", options).unwrap();
        writer.start_file("d/run", options).unwrap();
        writer.write_all(b"#!").unwrap();
        writer.add_symlink("l", "d/run", options).unwrap();
    });
    outcome.unwrap();
    let into = site.path().join("into");
    assert_eq!(std::fs::read(into.join("l")).unwrap(), b"#!");
    let mode = std::fs::metadata(into.join("d/run"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o755);
}

#[test]
fn unpacking_ends_when_it_is_given_up() {
    let into = tempfile::tempdir().unwrap();
    let over = AtomicBool::new(true);
    let bytes = entry(FILE, "a", "", b"x");
    let outcome = unpack(
        file_of(&bytes),
        Kind::Tar,
        into.path(),
        Limits::default(),
        &over,
    );
    assert!(matches!(outcome, Err(Error::GivenUp)), "{outcome:?}");
}
