//! An agent that is killed before every single change of an Install, one after the other: what the next one makes of it is the new
//! revision, or the old one when nobody asks for the new one any more. The agent that dies is this test's own program, started
//! again for one test.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use croft_proto::deploy::LifecycleEvent::{DownloadBundle, Install};
use croft_proto::deploy::ScriptErrorCode::{Success, UnknownError};

use crate::testing::{Site, id};
use crate::{Host, Unwatched};

const SPEC: &str = "files:\n  - {source: /, destination: SRV/app}\npermissions:\n  - {object: SRV/app, mode: MODE, type: [directory]}\n";
const FILES: [&[(&str, &str)]; 2] = [
    &[
        ("a", "1"),
        ("gone/c", "1"),
        ("sub/b", "1"),
        ("swap/x", "1"),
        ("same", "1"),
    ],
    &[
        ("a", "2"),
        ("new/d", "2"),
        ("sub/b", "2"),
        ("swap", "2"),
        ("same", "1"),
    ],
];

/// The words for the program that dies: the site's folder, and before which change it does.
const SITE: &str = "CROFT_TEST_KILLED_SITE";
const CHANGE: &str = "CROFT_TEST_KILLED_CHANGE";

fn prepared() -> Site {
    let site = Site::new();
    for (number, mode) in [(1, "0750"), (2, "0700")] {
        site.bundle(
            number,
            &SPEC.replace("MODE", mode),
            FILES[usize::from(number) - 1],
        );
    }
    let bundle = bundle(&site, 1);
    assert_eq!(site.install(1, &bundle).error_code, Success);
    let brought = site
        .run(2, DownloadBundle, &self::bundle(&site, 2))
        .unwrap();
    assert_eq!(brought.error_code, Success);
    site
}

fn bundle(site: &Site, number: u8) -> crate::LocalBundle {
    crate::LocalBundle {
        path: site.folder.path().join(format!("bundle-{number}")),
        kind: crate::BundleKind::Directory,
    }
}

/// Installs the second revision and dies before the change of that number; or not, and says how many there were.
fn die_before(site: &Site, change: usize) -> bool {
    let name = "install::tests::killed::an_agent_that_dies";
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(SITE, site.folder.path())
        .env(CHANGE, change.to_string())
        .output()
        .unwrap();
    match ended.status.signal() {
        Some(9) => true,
        signal => {
            assert!(ended.status.success(), "{signal:?} {ended:?}");
            false
        }
    }
}

/// Without the words it has nothing to do, and is no test of anything: `die_before` is its caller.
#[test]
fn an_agent_that_dies() {
    let (Some(folder), Ok(change)) = (std::env::var_os(SITE), std::env::var(CHANGE)) else {
        return;
    };
    let change: usize = change.parse().unwrap();
    let seen = AtomicUsize::new(0);
    let count = || {
        if seen.fetch_add(1, Ordering::SeqCst) == change {
            let this = rustix::process::getpid();
            rustix::process::kill_process(this, rustix::process::Signal::KILL).unwrap();
        }
    };
    let folder = PathBuf::from(folder);
    let host = Host::open(&folder.join("state"), crate::testing::settings()).unwrap();
    let command = Site::new().command(2, Install);
    let bundle = crate::LocalBundle {
        path: folder,
        kind: crate::BundleKind::Directory,
    };
    let ended = host.run_watched(
        &command,
        &bundle,
        &Unwatched,
        &AtomicBool::new(false),
        &count,
    );
    assert_eq!(ended.unwrap().error_code, Success);
}

#[test]
fn an_install_that_was_killed_anywhere_is_gone_on_with() {
    let undisturbed = {
        let site = prepared();
        assert!(!die_before(&site, usize::MAX));
        site.tree()
    };
    let mut changes = 0;
    loop {
        let site = prepared();
        let died = die_before(&site, changes);
        if died {
            let again = site.host.interrupted().unwrap();
            assert_eq!(again, [site.command(2, Install)], "before change {changes}");
        }
        let ended = site.run(2, Install, &bundle(&site, 2)).unwrap();
        assert_eq!(
            ended.error_code, Success,
            "before change {changes}: {ended:?}"
        );
        assert_eq!(site.tree(), undisturbed, "before change {changes}");
        assert!(!site.group().join("kept").exists());
        if !died {
            break;
        }
        changes += 1;
    }
    assert!(changes > 15, "only {changes} changes were made");
}

#[test]
fn an_install_that_was_killed_anywhere_is_undone_when_another_deployment_comes() {
    let old = prepared();
    let new = prepared();
    assert!(!die_before(&new, usize::MAX));
    let (mut changes, mut done) = (0, 0);
    loop {
        let site = prepared();
        if !die_before(&site, changes) {
            break;
        }
        // From the moment in which this is written, all of it is done.
        let installed = std::fs::read_to_string(site.group().join("installed.json")).unwrap();
        let is_done = installed.contains(id(2).as_str());
        let third = site.bundle(3, "files: []\nhooks: {}\n", &[]);
        let brought = site.run(3, DownloadBundle, &third).unwrap();
        assert_eq!(brought.error_code, Success);
        let expected = if is_done { new.tree() } else { old.tree() };
        assert_eq!(site.tree(), expected, "before change {changes}");
        let journal = std::fs::read_to_string(site.group().join("group.json")).unwrap();
        let last = format!("\"lastSuccessful\":\"{}\"", id(if is_done { 2 } else { 1 }));
        assert!(
            journal.contains(&last),
            "before change {changes}: {journal}"
        );
        changes += 1;
        done += usize::from(is_done);
    }
    assert!(changes > 15, "only {changes} changes were made");
    assert!(done > 1, "it was never killed after the last change");
}

#[test]
fn an_undo_that_was_interrupted_is_gone_on_with_and_the_event_has_failed() {
    let old = prepared().tree();
    let site = prepared();
    assert!(die_before(&site, 12));
    crate::testing::write(&site.group().join("install.undo"), "\"d-222222222\"");
    let ended = site.run(2, Install, &bundle(&site, 2)).unwrap();
    assert_eq!(ended.error_code, UnknownError);
    assert!(ended.message.contains("was undone"), "{}", ended.message);
    assert_eq!(site.tree(), old);
    let again = site.run(2, Install, &bundle(&site, 2)).unwrap();
    assert_eq!(again, ended, "it is over");
}
