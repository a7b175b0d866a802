//! The cache from one build to the next: what is found, what is kept, and that nothing wrong with it fails a build.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{At, Farm, Ran, each_place};

/// Says whether the cached file was there, then makes it.
const COMMANDS: &str = "phases:\n  build:\n    commands:\n      - cat kept/file ~/outside/file 2>/dev/null || echo cold\n      - mkdir -p kept ~/outside; echo warm | tee kept/file > ~/outside/file\n";

fn spec(key: &str, more: &str) -> String {
    format!("{COMMANDS}cache:\n  key: {key}\n  paths: ['kept/**/*', '/root/outside/**/*']\n{more}")
}

#[track_caller]
fn status(ran: &Ran, which: &str) -> String {
    ran.assert_code(0);
    ran.summary()[which]["status"]
        .as_str()
        .unwrap_or("absent")
        .to_string()
}

fn first_output(ran: &Ran) -> String {
    ran.commands()[0].output.clone()
}

fn the_second_build_finds_what_the_first_one_saved(farm: &Farm) {
    farm.file("x.lock", "one");
    farm.spec(&spec("x-$(codebuild-hash-files x.lock)", ""));
    let first = farm.run(&[]);
    assert_eq!(
        (
            status(&first, "cacheRestored"),
            status(&first, "cacheSaved")
        ),
        ("miss".into(), "saved".into())
    );
    assert_eq!(first_output(&first), "cold\n");
    let second = farm.run(&[]);
    assert_eq!(
        (
            status(&second, "cacheRestored"),
            status(&second, "cacheSaved")
        ),
        ("hit".into(), "unchanged".into())
    );
    assert_eq!(first_output(&second), "warm\nwarm\n");
    farm.file("x.lock", "two");
    assert_eq!(status(&farm.run(&[]), "cacheRestored"), "miss");
}

fn a_fallback_key_finds_the_nearest(farm: &Farm) {
    farm.spec(&spec("dep-1", ""));
    farm.run(&[]).assert_code(0);
    farm.spec(&spec("dep-2", "  fallback-keys: [none-, dep-]\n"));
    let ran = farm.run(&[]);
    assert_eq!(
        (status(&ran, "cacheRestored"), status(&ran, "cacheSaved")),
        ("fallback".into(), "saved".into())
    );
    assert!(
        ran.summary()["cacheRestored"]["detail"]
            .as_str()
            .unwrap()
            .contains("dep-1")
    );
    assert_eq!(first_output(&ran), "warm\nwarm\n");
}

fn a_failed_build_saves_nothing(farm: &Farm) {
    farm.spec(&spec("k", "").replace(
        "commands:\n",
        "commands:\n      - mkdir kept; echo bad > kept/file; false\n",
    ));
    let ran = farm.run(&[]);
    ran.assert_code(1);
    assert!(ran.summary().get("cacheSaved").is_none());
    farm.spec(&spec("k", ""));
    assert_eq!(first_output(&farm.run(&[])), "cold\n");
}

fn an_action_of_one_kind_does_only_that(farm: &Farm) {
    farm.spec(&spec("k", "  action: restore\n"));
    let ran = farm.run(&[]);
    assert_eq!(
        (status(&ran, "cacheRestored"), status(&ran, "cacheSaved")),
        ("miss".into(), "absent".into())
    );
    farm.spec(&spec("k", "  action: save\n"));
    let ran = farm.run(&[]);
    assert_eq!(
        (status(&ran, "cacheRestored"), status(&ran, "cacheSaved")),
        ("absent".into(), "saved".into())
    );
}

fn a_build_in_place_keeps_the_files_that_a_person_has_changed(farm: &Farm) {
    farm.spec(&spec("k", ""));
    assert_eq!(status(&farm.run(&[]), "cacheSaved"), "saved");
    farm.file("kept/file", "edited\n");
    let ran = farm.run(&["--in-place"]);
    assert_eq!(status(&ran, "cacheRestored"), "skipped");
    let detail = ran.summary()["cacheRestored"]["detail"].clone();
    assert!(detail.as_str().unwrap().contains("in place"), "{detail}");
    assert!(
        first_output(&ran).starts_with("edited\n"),
        "{}",
        ran.story()
    );
}

each_place!(
    the_second_build_finds_what_the_first_one_saved,
    a_fallback_key_finds_the_nearest,
    a_failed_build_saves_nothing,
    an_action_of_one_kind_does_only_that,
    a_build_in_place_keeps_the_files_that_a_person_has_changed,
);

macro_rules! sandbox {
    () => {
        match At::SANDBOX.farm() {
            Some(farm) => farm,
            None => return,
        }
    };
}

#[test]
fn another_project_finds_nothing() {
    let farm = sandbox!();
    farm.spec(&spec("k", ""));
    farm.run(&["--project", "one"]).assert_code(0);
    assert_eq!(
        status(&farm.run(&["--project", "two"]), "cacheRestored"),
        "miss"
    );
}

/// Folders of one name are one project by name only: what one of them saved must not reach the other.
#[test]
fn a_source_of_the_same_name_elsewhere_finds_nothing() {
    let farm = sandbox!();
    farm.spec(&spec("k", ""));
    let run = |folder: &str, words: &[&str]| {
        let path = farm.folder().join(folder).join("app");
        fs::create_dir_all(&path).unwrap();
        fs::copy(
            farm.source().join("buildspec.yml"),
            path.join("buildspec.yml"),
        )
        .unwrap();
        let path = path.display().to_string();
        status(
            &farm.run(&[words, [path.as_str()].as_slice()].concat()),
            "cacheRestored",
        )
    };
    assert_eq!(run("mine", &[]), "miss");
    assert_eq!(run("theirs", &[]), "miss");
    assert_eq!(run("mine", &[]), "hit");
    assert_eq!(run("mine", &["--project", "app"]), "miss");
    assert_eq!(run("theirs", &["--project", "app"]), "hit");
    let names = |ran: &Ran| ran.text().lines().count();
    let listed = farm.end(farm.croft(&["cache", "ls", "-o", "name"]));
    assert_eq!(names(&listed), 3, "{}", listed.text());
    farm.end(farm.croft(&["cache", "rm", "ap"])).assert_code(5);
    farm.end(farm.croft(&["cache", "rm", "app"])).assert_code(0);
    let listed = farm.end(farm.croft(&["cache", "ls", "-o", "name"]));
    assert_eq!(names(&listed), 0, "{}", listed.text());
}

#[test]
fn no_cache_neither_restores_nor_saves() {
    let farm = sandbox!();
    farm.spec(&spec("k", ""));
    farm.run(&[]).assert_code(0);
    let ran = farm.run(&["--no-cache"]);
    assert_eq!(
        (status(&ran, "cacheRestored"), status(&ran, "cacheSaved")),
        ("absent".into(), "absent".into())
    );
    assert_eq!(first_output(&ran), "cold\n");
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_below(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn a_damaged_cache_is_a_warning_and_the_build_succeeds() {
    let farm = sandbox!();
    farm.spec(&spec("k", ""));
    farm.run(&[]).assert_code(0);
    let mut flipped = 0;
    for file in files_below(&farm.home().join("cache/v2")) {
        let mut bytes = fs::read(&file).unwrap();
        if let Some(middle) = bytes.len().checked_sub(1).map(|last| last / 2) {
            bytes[middle] ^= 0x40;
            fs::write(&file, bytes).unwrap();
            flipped += 1;
        }
    }
    assert!(flipped > 0);
    let ran = farm.run(&[]);
    ran.assert_code(0);
    assert!(
        ran.notices().contains("warning: ") && ran.notices().contains("cache"),
        "{}",
        ran.notices()
    );
    assert_eq!(first_output(&ran), "cold\n");
    // What was damaged is gone, so the next builds are as good as ever.
    farm.run(&[]).assert_code(0);
    assert_eq!(first_output(&farm.run(&[])), "warm\nwarm\n");
}

#[test]
fn a_cache_folder_that_cannot_be_made_is_a_warning_and_the_build_succeeds() {
    let farm = sandbox!();
    fs::write(farm.folder().join("in-the-way"), "a file").unwrap();
    farm.spec(&spec("k", ""));
    let mut command = farm.croft_run(&["-o", "ndjson"]);
    command.env("CROFT_CACHE_DIR", farm.folder().join("in-the-way"));
    let ran = farm.end(command);
    ran.assert_code(0);
    assert!(
        ran.notices().contains("warning: the cache cannot be used")
            && ran.notices().contains("in-the-way"),
        "{}",
        ran.notices()
    );
    assert_eq!(
        fs::read_to_string(farm.folder().join("in-the-way")).unwrap(),
        "a file"
    );
}

#[test]
fn the_cache_can_be_listed_verified_and_emptied() {
    let farm = sandbox!();
    farm.spec(&spec("a-key", ""));
    farm.run(&["--project", "demo"]).assert_code(0);
    let ran = farm.end(farm.croft(&["cache", "ls", "-o", "json"]));
    ran.assert_code(0);
    let list: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(
        (&list[0]["project"], &list[0]["key"]),
        (&"demo".into(), &"a-key".into())
    );
    farm.end(farm.croft(&["cache", "verify"])).assert_code(0);
    farm.end(farm.croft(&["cache", "rm", "demo"]))
        .assert_code(0);
    let ran = farm.end(farm.croft(&["cache", "ls", "-o", "name"]));
    ran.assert_code(0);
    assert_eq!(ran.text(), "");
}
