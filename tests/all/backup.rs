//! A farm that is lost and restored from its backup, and one whose finished builds leave the ledger: what the commands show is the same
//! before and after.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::{At, Farm, Ran, eventually};

/// A running `croft up`. Dropped, it is killed.
struct Up {
    child: Child,
    _stdout: BufReader<ChildStdout>,
}

impl Up {
    fn start(farm: &Farm, words: &[&str]) -> Self {
        let key = farm.person().join("master.key");
        let mut command = croft_at(farm, &farm.home(), &["up", "--listen", "127.0.0.1:0"]);
        command
            .args(["--slots", "1", "--warm", "0", "--master-key-file"])
            .arg(key)
            .args(words)
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("listening on ") {
            line.clear();
            let read = stdout.read_line(&mut line).unwrap();
            assert!(read > 0, "croft up ended before it listened");
        }
        Self {
            child,
            _stdout: stdout,
        }
    }

    fn stop(mut self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // One that has ended already cannot be killed.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

fn croft_at(farm: &Farm, home: &Path, words: &[&str]) -> Command {
    let mut command = farm.croft(words);
    command.env("CROFT_HOME", home);
    command
}

fn end_at(farm: &Farm, home: &Path, words: &[&str]) -> Ran {
    farm.end(croft_at(farm, home, words))
}

#[track_caller]
fn json(farm: &Farm, words: &[&str]) -> Value {
    json_at(farm, &farm.home(), words)
}

#[track_caller]
fn json_at(farm: &Farm, home: &Path, words: &[&str]) -> Value {
    let mut command = croft_at(farm, home, words);
    command.args(["-o", "json"]);
    let ran = farm.end(command);
    ran.assert_code(0);
    serde_json::from_slice(&ran.stdout).unwrap()
}

#[track_caller]
fn submit(farm: &Farm) -> Ran {
    let ran = farm.end(farm.croft(&["submit", ".", "--project", "web", "-o", "plain"]));
    ran.assert_code(0);
    ran
}

/// A project `web` and its buildspec.
fn project(farm: &Farm, spec: &str) {
    farm.spec(spec);
    let project = farm.folder().join("project.json");
    fs::write(
        &project,
        r#"{"name": "web", "source": {"type": "NO_SOURCE"},
            "artifacts": {"type": "NO_ARTIFACTS"},
            "environment": {"type": "LINUX_CONTAINER", "image": "sandbox", "computeType": "BUILD_GENERAL1_SMALL"}}"#,
    )
    .unwrap();
    let path = project.display().to_string();
    farm.end(farm.croft(&["project", "apply", "-f", &path]))
        .assert_code(0);
}

#[test]
fn a_farm_that_is_lost_comes_back_from_its_backup() {
    let Some(farm) = At::SANDBOX.farm() else {
        return;
    };
    let up = Up::start(&farm, &[]);
    project(
        &farm,
        "env:\n  secrets-manager:\n    VALUE: hush\nphases:\n  build:\n    commands:\n      - echo \"long ${#VALUE}\"\n",
    );
    let value = farm.folder().join("value");
    fs::write(&value, "seventeen letters").unwrap();
    let value = value.display().to_string();
    farm.end(farm.croft(&["secret", "set", "hush", "--value-file", &value]))
        .assert_code(0);
    farm.end(farm.croft(&["token", "create", "ci", "--role", "builder"]))
        .assert_code(0);
    for _ in 0..2 {
        assert!(submit(&farm).text().contains("long 17"));
    }
    let shown =
        |farm: &Farm| ["build", "project", "secret"].map(|what| json(farm, &[what, "list"]));
    let (was, audit) = (shown(&farm), json(&farm, &["audit"]));
    assert_eq!(was[0].as_array().unwrap().len(), 2);
    let to = farm.folder().join("backup").display().to_string();
    // While it runs.
    let ran = end_at(&farm, &farm.home(), &["backup", "--to", &to]);
    ran.assert_code(0);
    assert!(ran.stderr.contains("not in the backup: the master key"));
    up.stop();
    let full = end_at(&farm, &farm.home(), &["restore", "--from", &to]);
    full.assert_code(5);
    assert!(full.stderr.contains("not empty"), "{}", full.story());

    fs::remove_dir_all(farm.home()).unwrap();
    let restored = json(&farm, &["restore", "--from", &to]);
    assert_eq!(restored["archived"], 0);
    let up = Up::start(&farm, &[]);
    assert_eq!(shown(&farm), was);
    let tokens = json(&farm, &["token", "list"]).to_string();
    assert!(tokens.contains("\"ci\""), "{tokens}");
    assert_eq!(json(&farm, &["audit"]), audit);
    farm.end(farm.croft(&["audit", "--verify"])).assert_code(0);
    assert!(submit(&farm).text().contains("long 17"));
    let newest = &json(&farm, &["build", "list", "--limit", "1"])[0];
    assert_eq!(newest["buildNumber"], 3);
    // The same chain of records goes on.
    farm.end(farm.croft(&["audit", "--verify"])).assert_code(0);
    up.stop();
}

/// All builds, without where each one's last entry is: purging is one more.
fn builds(farm: &Farm) -> Value {
    let mut builds = json(farm, &["build", "list"]);
    for build in builds.as_array_mut().unwrap() {
        build["x-croft"].as_object_mut().unwrap().remove("lastSeq");
    }
    builds
}

/// How many entries are in the archive only, as a restore of a backup of it all says.
fn archived(farm: &Farm, try_number: usize) -> u64 {
    let to = farm.folder().join("backup").display().to_string();
    let ran = end_at(farm, &farm.home(), &["backup", "--to", &to]);
    ran.assert_code(0);
    let home: PathBuf = farm.folder().join(format!("home-{try_number}"));
    let restored = json_at(farm, &home, &["restore", "--from", &to]);
    restored["archived"].as_u64().unwrap()
}

#[test]
fn builds_that_left_the_ledger_are_listed_by_a_read_model_made_anew() {
    let Some(farm) = At::SANDBOX.farm() else {
        return;
    };
    let up = Up::start(&farm, &["--keep-builds", "1s", "--keep-every", "1s"]);
    project(
        &farm,
        "phases:\n  build:\n    commands:\n      - echo done\n",
    );
    for _ in 0..2 {
        submit(&farm);
    }
    let was = builds(&farm);
    assert_eq!(was.as_array().unwrap().len(), 2);
    let mut tries = 0;
    eventually("both builds are archived", || {
        tries += 1;
        // Each has been submitted, started and settled.
        archived(&farm, tries) >= 6
    });
    up.stop();
    for name in ["views.db", "views.db-wal", "views.db-shm"] {
        fs::remove_file(farm.home().join(name)).unwrap_or_default();
    }
    let up = Up::start(&farm, &[]);
    assert_eq!(builds(&farm), was);
    submit(&farm);
    let newest = &json(&farm, &["build", "list", "--limit", "1"])[0];
    assert_eq!(newest["buildNumber"], 3);
    up.stop();

    // A home restored from the backup has them as well.
    let other = farm.folder().join(format!("home-{tries}"));
    fs::rename(other, farm.folder().join("other")).unwrap();
    fs::remove_dir_all(farm.home()).unwrap();
    fs::rename(farm.folder().join("other"), farm.home()).unwrap();
    let up = Up::start(&farm, &[]);
    assert_eq!(builds(&farm), was);
    up.stop();
}
