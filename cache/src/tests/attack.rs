use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{Site, Use, in_memory};
use crate::{Error, Id, Store, Tree, TreeError, Unpack, Unpacked};

/// A list of files with that many announced entries.
fn list(lines: &[String]) -> String {
    let mut text = format!("{{\"croftTree\":2,\"entries\":{}}}\n", lines.len());
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn file(path: &str, size: u64, chunks: &[Id]) -> String {
    entry(
        path,
        "file",
        &format!(
            ",\"size\":{size},\"chunks\":{}",
            serde_json::to_string(chunks).unwrap()
        ),
    )
}

fn entry(path: &str, kind: &str, rest: &str) -> String {
    let path = serde_json::to_string(path).unwrap();
    format!("{{\"path\":{path},\"kind\":\"{kind}\",\"mode\":420,\"seconds\":1,\"nanos\":0{rest}}}")
}

fn link(path: &str, target: &str) -> String {
    entry(path, "link", &format!(",\"target\":\"{target}\""))
}

fn refused(lines: &[String]) -> TreeError {
    Tree::parse(list(lines).as_bytes()).unwrap_err()
}

const HELLO: &[u8] = b"hello";

/// A store that holds one chunk, `hello`.
fn with_hello() -> Store {
    let store = in_memory();
    Use::key("k")
        .save(&store, &Site::with(&[("target/hello", HELLO)]))
        .unwrap();
    store
}

fn unpack(store: &Store, lines: &[String], site: &Site, paths: &[&str]) -> Result<Unpacked, Error> {
    let tree = Tree::parse(list(lines).as_bytes()).unwrap();
    let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
    store.unpack(
        &tree,
        &Unpack {
            paths: &paths,
            root: &site.root,
            base: Path::new("/src"),
        },
    )
}

#[test]
fn names_that_climb_out_or_cannot_exist_are_refused() {
    let long = "x".repeat(256);
    let longer = "x/".repeat(2100) + "x";
    let rows = [
        ("/etc/passwd", "absolute"),
        ("../etc/passwd", "climbs"),
        ("target/../../etc", "climbs"),
        ("target/.", "climbs"),
        ("target//a", "empty name"),
        ("target/", "empty name"),
        ("", "empty name"),
        ("target/a\0b", "NUL"),
        ("%00", "plain spelling"),
        ("target/%2e", "plain spelling"),
        ("target%2F..%2Fetc", "plain spelling"),
        (long.as_str(), "255"),
        (longer.as_str(), "4095"),
    ];
    for (path, reason) in rows {
        let error = refused(&[file(path, 0, &[])]);
        assert_eq!(error.line, 2);
        assert!(error.reason.contains(reason), "{path}: {error}");
    }
}

#[test]
fn entries_that_contradict_each_other_or_themselves_are_refused() {
    let id = Id::of(HELLO);
    let rows = [
        (vec![file("a", 0, &[]), file("a", 0, &[])], "twice"),
        (vec![file("b", 0, &[]), file("a", 0, &[])], "out of order"),
        (
            vec![link("a", "/etc"), file("a/passwd", 0, &[])],
            "not a directory",
        ),
        (
            vec![file("a", 0, &[]), file("a/b", 0, &[])],
            "not a directory",
        ),
        (vec![file("a", 5, &[])], "0 chunks cannot make 5 bytes"),
        (vec![file("a", 0, &[id])], "1 chunks cannot make 0 bytes"),
        (
            vec![file("a", 1, &[id, id])],
            "2 chunks cannot make 1 bytes",
        ),
        (vec![file("a", u64::MAX, &[id])], "chunks cannot make"),
        (vec![link("a", "")], "must point"),
        (vec![entry("a", "link", "")], "mixed"),
        (vec![entry("a", "directory", ",\"size\":1")], "mixed"),
        (vec![entry("a", "device", "")], "unknown variant"),
        (vec![entry("a", "file", ",\"extra\":1")], "unknown field"),
        (
            vec![entry("a", "file", "").replace("420", "36333")],
            "mode 106755",
        ),
        (
            vec![entry("a", "file", "").replace("420", "4294967295")],
            "mode",
        ),
        (
            vec![entry("a", "file", "").replace("\"nanos\":0", "\"nanos\":1000000000")],
            "nanoseconds",
        ),
        (vec!["x".into()], "expected value"),
    ];
    for (lines, reason) in rows {
        let error = refused(&lines);
        assert!(error.reason.contains(reason), "{lines:?}: {error}");
    }
}

#[test]
fn lists_that_lie_about_their_length_are_refused() {
    let parse = |text: &str| Tree::parse(text.as_bytes()).unwrap_err().reason;
    let one = list(&[file("a", 0, &[])]);
    assert!(parse("").contains("ends in the middle"));
    assert!(parse(one.trim_end()).contains("ends in the middle"));
    assert!(parse(&one.replace("\"entries\":1", "\"entries\":2")).contains("ends in the middle"));
    assert!(parse(&one.replace("\"entries\":1", "\"entries\":0")).contains("more than the header"));
    assert!(
        parse(&one.replace("\"entries\":1", "\"entries\":99999999999"))
            .contains("more than 1000000")
    );
    assert!(parse(&one.replace("\"croftTree\":2", "\"croftTree\":1")).contains("format 1"));
}

#[test]
fn an_endless_line_is_refused_without_being_kept() {
    use std::io::Read as _;
    let endless = std::io::BufReader::new(std::io::repeat(b'x').take(1 << 40));
    let error = Tree::parse(endless).unwrap_err();
    assert!(error.reason.contains("longer than"), "{error}");
}

#[test]
fn a_chunk_of_another_length_is_refused_before_anything_is_written() {
    let site = Site::new();
    let lines = [
        file("target/a", 5, &[Id::of(HELLO)]),
        file("target/b", 4, &[Id::of(HELLO)]),
    ];
    let error = unpack(&with_hello(), &lines, &site, &["target"]).unwrap_err();
    assert!(
        matches!(&error, Error::Refused(refused) if refused.line == 3),
        "{error:?}"
    );
    assert!(!site.has("target"));
}

#[test]
fn an_entry_outside_the_configured_paths_is_refused() {
    let site = Site::new();
    let lines = [
        file("elsewhere", 5, &[Id::of(HELLO)]),
        file("target/a", 5, &[Id::of(HELLO)]),
    ];
    let error = unpack(&with_hello(), &lines, &site, &["target"]).unwrap_err();
    assert!(
        matches!(&error, Error::Refused(refused) if refused.reason.contains("outside")),
        "{error:?}"
    );
    assert!(!site.has("target") && !site.has("elsewhere"));
}

#[test]
fn links_that_stand_in_the_root_lead_nowhere() {
    let store = with_hello();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("hello"), "precious").unwrap();
    let escapes = [
        outside.path().to_path_buf(),
        "/".into(),
        "..".into(),
        "../../..".into(),
        "/src".into(),
    ];
    for escape in escapes {
        let site = Site::with(&[("hello", b"precious")]);
        symlink(&escape, site.path("target")).unwrap();
        let error = Use::key("k").restore(&store, &site).unwrap_err();
        assert!(matches!(error, Error::Write { .. }), "{error:?}");
        assert_eq!(site.read("hello"), b"precious");
        assert!(site.path("target").is_symlink());
    }
    assert_eq!(fs::read(outside.path().join("hello")).unwrap(), b"precious");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn a_link_where_a_file_goes_is_replaced_not_written_through() {
    let site = Site::with(&[("victim", b"precious"), ("target/other", b"")]);
    symlink("../victim", site.path("target/hello")).unwrap();
    Use::key("k").restore(&with_hello(), &site).unwrap();
    assert_eq!(site.read("victim"), b"precious");
    assert_eq!(site.read("target/hello"), HELLO);
    assert!(!site.path("target/hello").is_symlink());
}

#[test]
fn a_directory_where_a_file_goes_is_an_error_that_says_so() {
    let site = Site::with(&[("target/hello/file", b"mine")]);
    let error = Use::key("k").restore(&with_hello(), &site).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(error.to_string().contains("target/hello"), "{error}");
    assert!(source.contains("a directory is where"), "{source}");
    assert_eq!(site.read("target/hello/file"), b"mine");
}

#[test]
fn a_link_of_the_tree_itself_is_made_but_not_used() {
    let site = Site::new();
    let lines = [
        link("target/a", "/etc"),
        link("target/b", "../../../../tmp"),
    ];
    unpack(&with_hello(), &lines, &site, &["target"]).unwrap();
    assert_eq!(
        fs::read_link(site.path("target/a")).unwrap(),
        Path::new("/etc")
    );
}

#[test]
fn times_beyond_what_the_file_system_knows_do_no_harm() {
    for seconds in [i64::MAX, i64::MIN, -1] {
        let site = Site::new();
        let lines = [file("target/a", 5, &[Id::of(HELLO)])
            .replace("\"seconds\":1", &format!("\"seconds\":{seconds}"))];
        match unpack(&with_hello(), &lines, &site, &["target"]) {
            Ok(_) => assert_eq!(site.read("target/a"), HELLO),
            Err(error) => {
                assert!(matches!(error, Error::Write { .. }), "{error:?}");
                assert!(!site.has("target"));
            }
        }
    }
}

fn hard_link(path: &str, original: &str) -> String {
    entry(path, "hardLink", &format!(",\"target\":\"{original}\""))
}

#[test]
fn a_hard_link_names_a_file_before_it_and_nothing_else() {
    let file_a = file("a", 0, &[]);
    let rows = [
        (vec![hard_link("b", "/etc/passwd")], "absolute"),
        (vec![hard_link("b", "../../etc/passwd")], "climbs"),
        (vec![hard_link("b", "")], "empty name"),
        (vec![hard_link("b", "etc/passwd")], "no file before it"),
        (vec![hard_link("b", "b")], "no file before it"),
        (
            vec![hard_link("a", "b"), file("b", 0, &[])],
            "no file before it",
        ),
        (
            vec![entry("a", "directory", ""), hard_link("b", "a")],
            "no file before it",
        ),
        (
            vec![link("a", "/etc/passwd"), hard_link("b", "a")],
            "no file before it",
        ),
        (
            vec![file_a.clone(), hard_link("b", "a"), hard_link("c", "b")],
            "no file before it",
        ),
        (
            vec![
                file_a.clone(),
                hard_link("b", "a").replace("{\"path\"", "{\"at\":\"root\",\"path\""),
            ],
            "no file before it",
        ),
        (
            vec![
                file_a.clone(),
                hard_link("b", "a").replace("}", ",\"size\":1}"),
            ],
            "mixed",
        ),
        (vec![file_a.clone(), entry("b", "hardLink", "")], "mixed"),
    ];
    for (lines, reason) in rows {
        let error = refused(&lines);
        assert!(error.reason.contains(reason), "{lines:?}: {error}");
    }
    let lines = [file_a, hard_link("b", "a")];
    Tree::parse(list(&lines).as_bytes()).unwrap();
}

#[test]
fn a_link_with_a_set_user_id_bit_gives_it_to_nobody() {
    use std::os::unix::fs::MetadataExt as _;
    let site = Site::with(&[("victim", b"precious")]);
    let before = fs::metadata(site.path("victim")).unwrap().mode();
    let lines = [link("target/a", "../victim").replace("\"mode\":420", "\"mode\":3565")];
    unpack(&with_hello(), &lines, &site, &["target"]).unwrap();
    assert_eq!(fs::metadata(site.path("victim")).unwrap().mode(), before);
    assert!(site.path("target/a").is_symlink());
}
