//! A restored cache lies beneath the build instead of being copied: what a build does to it stays the build's, what it saves
//! afterwards is what is there, and tools that look at times find nothing to do.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::harness::rig::S3;
use crate::harness::{At, Farm, Ran, each_place, skip};

/// Everything below a folder: kind, mode, size, time, name and contents.
const LIST: &str =
    "(cd kept && find . -printf '%y %m %s %T@ %p %l\\n' && find . -type f -exec cat {} +) | sort";

/// A build of these commands with a cache without a key, which each save replaces.
fn spec(commands: &[&str], paths: &[&str]) -> String {
    format!(
        "phases:\n  build:\n    commands: {}\ncache:\n  paths: {}\n",
        serde_json::to_string(commands).unwrap(),
        serde_json::to_string(paths).unwrap()
    )
}

#[track_caller]
fn build(farm: &Farm, commands: &[&str], paths: &[&str]) -> Ran {
    farm.spec(&spec(commands, paths));
    let ran = farm.run(&[]);
    ran.assert_code(0);
    ran
}

/// How it was restored, or that it was not.
fn method(ran: &Ran) -> String {
    let method = &ran.summary()["cacheRestored"]["method"];
    method.as_str().unwrap_or("absent").to_string()
}

fn saved(ran: &Ran) -> String {
    let status = &ran.summary()["cacheSaved"]["status"];
    status.as_str().unwrap_or("absent").to_string()
}

#[track_caller]
fn assert_mounted(ran: &Ran) {
    assert_eq!(method(ran), "mounted", "{}", ran.story());
    assert!(!ran.notices().contains("copied"), "{}", ran.notices());
}

fn last_output(ran: &Ran) -> String {
    ran.commands().last().unwrap().output.clone()
}

const KEPT: [&str; 1] = ["kept/**/*"];

fn a_build_that_removes_its_cached_folder_saves_what_it_made_anew(farm: &Farm) {
    let first =
        ["mkdir -p kept/a/b kept/e; echo 1 > kept/a/one; echo 2 > kept/a/b/two; ln -s a kept/link"];
    let ran = build(farm, &first, &KEPT);
    assert_eq!(
        (method(&ran), saved(&ran)),
        ("absent".into(), "saved".into())
    );
    // As `npm ci` does.
    let again = [
        "cat kept/link/one && rm -rf kept && mkdir kept && test -z \"$(ls -A kept)\"",
        "mkdir -p kept/a kept/new/empty; echo 3 > kept/a/three; echo file > kept/e; mv kept/a kept/moved",
        LIST,
    ];
    let second = build(farm, &again, &KEPT);
    assert_mounted(&second);
    assert_eq!(saved(&second), "saved");
    let third = build(farm, &[LIST], &KEPT);
    assert_mounted(&third);
    assert_eq!(last_output(&third), last_output(&second));
    assert_eq!(saved(&third), "unchanged");
}

fn every_small_change_is_saved(farm: &Farm) {
    let first = ["mkdir -p kept/d; for name in a b c d/e d/f; do echo $name > kept/$name; done"];
    build(farm, &first, &KEPT);
    let changes = [
        "touch -d 2001-02-03T04:05:06.789 kept/a",
        "chmod 600 kept/b",
        "rm kept/d/e",
        "echo more >> kept/d/f",
        "rm kept/c; mkdir kept/c",
        "ln kept/a kept/second",
        "rm -r kept/d; echo file > kept/d",
        "true",
    ];
    for change in changes {
        let changed = build(farm, &[change, LIST], &KEPT);
        assert_mounted(&changed);
        let expected = if change == "true" {
            "unchanged"
        } else {
            "saved"
        };
        assert_eq!(saved(&changed), expected, "{change}");
        let next = build(farm, &[LIST], &KEPT);
        assert_eq!(last_output(&next), last_output(&changed), "{change}");
    }
}

fn what_a_build_writes_into_restored_files_stays_its_own(farm: &Farm) {
    let keyed = |command: &str| format!("{}  key: k\n", spec(&[command], &KEPT));
    farm.spec(&keyed("mkdir kept; echo original > kept/file"));
    farm.run(&[]).assert_code(0);
    farm.spec(&keyed(
        "cat kept/file; echo spoilt >> kept/file; rm -rf kept/other",
    ));
    for _ in 0..2 {
        let ran = farm.run(&[]);
        ran.assert_code(0);
        assert_mounted(&ran);
        assert_eq!(last_output(&ran), "original\n");
    }
}

fn files_of_the_source_below_a_cached_path_are_seen_and_saved(farm: &Farm) {
    farm.file("kept/own", "of the source\n");
    farm.file("kept/deep/own", "deep\n");
    build(farm, &["echo made > kept/made"], &KEPT);
    farm.file("kept/own", "edited, but the cache has it\n");
    farm.file("kept/later", "later\n");
    farm.file("kept/gone", "gone\n");
    let look = "cat kept/own kept/made kept/later kept/deep/own";
    let second = build(farm, &[look, "rm kept/gone", LIST], &KEPT);
    assert_mounted(&second);
    let seen = second.commands()[0].output.clone();
    assert_eq!(seen, "of the source\nmade\nlater\ndeep\n");
    for name in ["own", "later", "gone", "deep/own"] {
        fs::remove_file(farm.source().join("kept").join(name)).unwrap();
    }
    let third = build(farm, &[LIST], &KEPT);
    assert_mounted(&third);
    assert_eq!(last_output(&third), last_output(&second));
}

fn folders_outside_the_source_are_mounted_from_above(farm: &Farm) {
    let paths = ["~/.m2/**/*", "/root/.cache/tool/**/*", "/opt/made/x"];
    let paths = if farm.at() == At::SANDBOX {
        &paths[..2]
    } else {
        &paths[..]
    };
    let first = [
        "for folder in ~/.m2 ~/.cache/tool /opt/made/x; do mkdir -p $folder && echo x > $folder/file || true; done",
    ];
    build(farm, &first, paths);
    let script = "rm -rf ~/.m2 && mkdir ~/.m2 && cat ~/.cache/tool/file && echo y > ~/.m2/new";
    let second = build(farm, &[script], paths);
    assert_mounted(&second);
    assert_eq!(last_output(&second), "x\n");
    let third = build(farm, &["ls -A ~/.m2; cat ~/.m2/new; stat -c %a ~"], paths);
    assert_mounted(&third);
    assert!(
        last_output(&third).starts_with("new\ny\n7"),
        "{}",
        third.story()
    );
}

fn a_folder_that_nothing_can_be_mounted_above_is_copied(farm: &Farm) {
    let paths = ["kept/**/*", "/made/**/*"];
    build(
        farm,
        &["mkdir -p kept /made; echo x | tee kept/file > /made/file"],
        &paths,
    );
    let second = build(farm, &["cat kept/file /made/file"], &paths);
    assert_eq!(
        (method(&second), last_output(&second)),
        ("copied".into(), "x\nx\n".into())
    );
    assert!(
        !second.notices().contains("mounted"),
        "{}",
        second.notices()
    );
}

fn folders_on_the_way_to_a_cached_one_stay_as_they_are_in_the_source(farm: &Farm) {
    farm.file("way/deep/file", "x");
    let way = farm.source().join("way");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o750);
    fs::set_permissions(&way, private).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::open(&way)
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    let paths = ["way/deep/kept/**/*"];
    build(
        farm,
        &["mkdir way/deep/kept; echo x > way/deep/kept/file"],
        &paths,
    );
    let second = build(
        farm,
        &["stat -c '%a %Y' way; ls way/deep way/deep/kept"],
        &paths,
    );
    assert_mounted(&second);
    assert_eq!(
        last_output(&second),
        "750 1000000000\nway/deep:\nfile\nkept\n\nway/deep/kept:\nfile\n"
    );
}

fn nothing_of_a_mounted_cache_is_left(farm: &Farm) {
    let paths = ["kept/**/*", "/root/.m2/**/*"];
    build(
        farm,
        &["mkdir -p kept ~/.m2; echo x | tee kept/file > ~/.m2/file"],
        &paths,
    );
    assert_mounted(&build(farm, &["cat kept/file"], &paths));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let folder = farm.folder().display().to_string();
    let left: Vec<&str> = mounts
        .lines()
        .filter(|line| line.contains(&folder))
        .collect();
    assert_eq!(left, [""; 0]);
}

fn a_repositorys_build_and_an_ordinary_users_are_mounted_too(farm: &Farm) {
    let text = spec(
        &["cat kept/file || mkdir kept; echo more >> kept/file"],
        &KEPT,
    );
    farm.spec(&text);
    let all = |run: &dyn Fn() -> Ran| {
        for expected in ["", "more\n", "more\nmore\n"] {
            let ran = run();
            ran.assert_code(0);
            let output = last_output(&ran);
            assert!(output.ends_with(expected), "{}", ran.story());
            assert_eq!(
                method(&ran) == "mounted",
                !expected.is_empty(),
                "{}",
                ran.story()
            );
        }
    };
    let source = farm.source();
    for words in [
        &["init", "-q"][..],
        &["add", "-A"],
        &[
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@example.com",
            "commit",
            "-qm",
            "x",
        ],
    ] {
        let git = std::process::Command::new("git")
            .args(words)
            .current_dir(&source)
            .status();
        assert!(git.unwrap().success(), "git {words:?}");
    }
    let url = format!("file://{}", source.display());
    all(&|| farm.run(&["--project", "repository", &url]));
    let owned = std::process::Command::new("chown")
        .args(["-R", "4242:4242"])
        .arg(&source)
        .status();
    assert!(owned.unwrap().success());
    all(&|| farm.run(&["--project", "folder"]));
}

each_place!(
    a_repositorys_build_and_an_ordinary_users_are_mounted_too,
    a_build_that_removes_its_cached_folder_saves_what_it_made_anew,
    every_small_change_is_saved,
    what_a_build_writes_into_restored_files_stays_its_own,
    files_of_the_source_below_a_cached_path_are_seen_and_saved,
    folders_outside_the_source_are_mounted_from_above,
    a_folder_that_nothing_can_be_mounted_above_is_copied,
    folders_on_the_way_to_a_cached_one_stay_as_they_are_in_the_source,
    nothing_of_a_mounted_cache_is_left,
);

/// A sandbox with the Rust of whoever runs the tests; `None`, and said so, where there is none.
fn with_cargo() -> Option<Farm> {
    let farm = At::SANDBOX.farm()?;
    let home = PathBuf::from(std::env::var_os("HOME")?);
    if !home.join(".cargo/bin/cargo").exists() || !home.join(".rustup").exists() {
        skip("no Rust in the home folder");
        return None;
    }
    fs::create_dir_all(farm.person().join(".cargo")).unwrap();
    for tool in [".cargo/bin", ".rustup"] {
        symlink(home.join(tool), farm.person().join(tool)).unwrap();
    }
    Some(farm)
}

#[test]
fn cargo_compiles_nothing_again() {
    let Some(farm) = with_cargo() else {
        return;
    };
    let manifest = "[package]\nname = \"demo\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
    farm.file("Cargo.toml", manifest);
    farm.file("src/lib.rs", "pub fn one() -> u32 { 1 }\n");
    farm.file(
        "src/main.rs",
        "fn main() { println!(\"{}\", demo::one()); }\n",
    );
    let commands = ["PATH=/root/.cargo/bin:$PATH cargo build --offline 2>&1 && target/debug/demo"];
    let paths = ["target/**/*"];
    let first = build(&farm, &commands, &paths);
    assert!(
        last_output(&first).contains("Compiling demo"),
        "{}",
        first.story()
    );
    let second = build(&farm, &commands, &paths);
    assert_mounted(&second);
    let said = last_output(&second);
    assert!(
        said.contains("Finished") && !said.contains("Compiling"),
        "{said}"
    );
    // And after a change, only what depends on it.
    farm.file(
        "src/main.rs",
        "fn main() { println!(\"{}\", demo::one() + 1); }\n",
    );
    let third = build(&farm, &commands, &paths);
    assert_mounted(&third);
    assert!(last_output(&third).ends_with("\n2\n"), "{}", third.story());
}

#[test]
fn make_makes_nothing_again() {
    let Some(farm) = At::SANDBOX.farm() else {
        return;
    };
    if !Path::new("/usr/bin/make").exists() {
        skip("there is no make");
        return;
    }
    farm.file("Makefile", "out/a: a\n\tmkdir -p out && cp a out/a\n");
    farm.file("a", "x");
    let first = build(&farm, &["make"], &["out/**/*"]);
    assert!(
        last_output(&first).contains("cp a out/a"),
        "{}",
        first.story()
    );
    let second = build(&farm, &["make"], &["out/**/*"]);
    assert_mounted(&second);
    assert!(
        last_output(&second).contains("up to date"),
        "{}",
        second.story()
    );
}

#[test]
fn what_was_mounted_of_a_bucket_is_let_go_of() {
    let (Some(farm), Some(s3)) = (At::SANDBOX.farm(), S3::start()) else {
        return;
    };
    farm.spec(&spec(&["mkdir -p kept; echo 1 >> kept/file"], &KEPT));
    let build = || {
        let mut command = farm.croft_run(&["-o", "ndjson", "--cache", &s3.place()]);
        command.envs(S3::keys());
        let ran = farm.end(command);
        ran.assert_code(0);
        ran
    };
    assert_eq!(saved(&build()), "saved");
    let second = build();
    assert_mounted(&second);
    assert_eq!(saved(&second), "saved");
    let names: Vec<String> = s3.objects().into_iter().map(|(name, _)| name).collect();
    assert!(names.iter().any(|name| name.contains("/v2/")), "{names:?}");
    let held = names.iter().find(|name| name.contains("/leases/"));
    assert_eq!(held, None, "{names:?}");
}
