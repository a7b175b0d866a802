//! The units that systemd starts croft by: that systemd takes them, and what of them others rely on.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::skip;

/// Where packages put the program; there is none on a machine that only tests.
const PROGRAM: &str = "/usr/local/bin/croft";

fn units() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut units: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|kind| kind == "service"))
        .collect();
    units.sort();
    assert_eq!(units.len(), 4, "{units:?}");
    units
}

/// The settings of a unit; the last one of a name.
fn settings(name: &str) -> BTreeMap<String, String> {
    let unit = units()
        .into_iter()
        .find(|unit| unit.ends_with(name))
        .unwrap();
    let text = fs::read_to_string(unit).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

#[test]
fn systemd_takes_every_unit_without_a_word() {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        skip("there is no systemd-analyze");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for unit in units() {
        let text = fs::read_to_string(&unit).unwrap();
        assert!(text.contains(PROGRAM), "{}", unit.display());
        let copy = folder.path().join(unit.file_name().unwrap());
        fs::write(
            &copy,
            text.replace(PROGRAM, env!("CARGO_BIN_EXE_croft-under-test")),
        )
        .unwrap();
        let verified = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(&copy)
            .env("SYSTEMD_LOG_LEVEL", "warning")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&verified.stderr);
        // What other units of this machine say is theirs.
        let of_it: Vec<&str> = said
            .lines()
            .filter(|line| line.contains(copy.file_name().unwrap().to_str().unwrap()))
            .collect();
        assert!(verified.status.success() && of_it.is_empty(), "{said}");
    }
}

#[test]
fn the_agents_unit_says_what_its_documents_promise() {
    let agent = settings("croft-agent.service");
    for (name, value) in [
        // Scripts that run as somebody else come to their files through it, and nobody lists it.
        ("StateDirectory", "croft"),
        ("StateDirectoryMode", "0711"),
        ("Environment", "CROFT_HOME=/var/lib/croft"),
        // What scripts have started is the application.
        ("KillMode", "process"),
        // A farm that is away is tried for ever, and one that the host does not belong to never again.
        ("Restart", "always"),
        ("StartLimitIntervalSec", "0"),
        ("RestartPreventExitStatus", "5"),
    ] {
        assert_eq!(agent.get(name).map(String::as_str), Some(value), "{name}");
    }
    for unit in [
        "croft-server.service",
        "croft-worker.service",
        "croft-up.service",
    ] {
        let mode = settings(unit).remove("StateDirectoryMode");
        assert_eq!(
            mode.as_deref(),
            Some("0700"),
            "{unit}: only root reads what it keeps"
        );
    }
}
