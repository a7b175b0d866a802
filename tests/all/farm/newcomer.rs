//! Somebody's first minute: nothing configured, `croft up`, `croft submit` of an example, green.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::rig::{Rig, in_size};

in_size!(small SMALL, |plan| plan;
    a_newcomers_first_build_is_green_within_a_minute,
    a_start_that_cannot_listen_begins_no_farm,
    one_that_is_ending_still_is_waited_for,
    a_folder_without_a_buildspec_is_not_sent,
);

fn a_newcomers_first_build_is_green_within_a_minute(rig: &mut Rig) {
    let begun = Instant::now();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/c-library");
    let mut command = rig.croft(&["submit", example.to_str().unwrap(), "-o", "plain"]);
    // As a newcomer has it: what `croft up` left in the home is all that is known.
    command.env_remove("CROFT_SERVER").env_remove("CROFT_TOKEN");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("SUCCEEDED"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(60));
    let id = rig
        .told(&["build", "list", "-o", "name"])
        .trim()
        .to_string();
    let artifacts = rig.told(&["build", "artifacts", &id, "-o", "name"]);
    assert!(artifacts.contains("libranges"), "{artifacts}");
    rig.assert_nothing_left();
}

fn a_start_that_cannot_listen_begins_no_farm(rig: &mut Rig) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (home, key) = (rig.folder().join("new"), rig.folder().join("new.key"));
    let key_word = key.display().to_string();
    for (words, code, part) in [
        (["--listen", &address], 2, address.as_str()),
        (
            ["--prometheus", "foo"],
            5,
            "--prometheus foo: write its address",
        ),
        (["--disk-free", "much"], 5, "--disk-free"),
        (["--pool", "a b"], 5, "--pool `a b`"),
        (["--keep-builds", "long"], 5, "--keep-builds"),
    ] {
        let mut command = rig.croft(&["up", "--master-key-file", &key_word]);
        if code == 5 {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let output = command.args(words).env("CROFT_HOME", &home).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(part), "{part}: {said}");
        assert!(!key.exists(), "{said}");
    }
}

fn one_that_is_ending_still_is_waited_for(rig: &mut Rig) {
    let server = &mut rig.servers[0];
    server.kill();
    let lock = File::open(server.home().join("ledger.db-lock")).unwrap();
    lock.lock().unwrap();
    server.start();
    server.says("croft: another croft up is still ending; waiting for it");
    drop(lock);
    server.says("listening on ");
    rig.assert_nothing_left();
}

fn a_folder_without_a_buildspec_is_not_sent(rig: &mut Rig) {
    let folder = rig.folder().join("bare");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("buildspec.yaml"), "version: 0.2\n").unwrap();
    let submit = |part: &str| {
        let ran = rig.ran(&["submit", "bare"]);
        ran.assert_code(5);
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
        assert!(ran.stderr.contains("nothing was sent"), "{}", ran.stderr);
    };
    submit("there is a buildspec.yaml: rename it to buildspec.yml");
    let two = "version: 0.2\nphases:\n  build:\n    comands: [x]\n    onfailure: ABORT\n";
    std::fs::write(folder.join("buildspec.yml"), two).unwrap();
    submit("bare/buildspec.yml:4:5");
    submit("bare/buildspec.yml:5:5");
    assert_eq!(rig.told(&["project", "list", "-o", "name"]), "");
}
