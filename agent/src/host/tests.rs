//! Commands that come twice, too late, at the same time, or after the agent was killed.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use croft_proto::deploy::LifecycleEvent::{
    ApplicationStart, BeforeInstall, DownloadBundle, Install,
};
use croft_proto::deploy::ScriptErrorCode::{Success, UnknownError};

use super::*;
use crate::testing::{Site, eventually, id, settings};
use crate::{BundleKind, LocalBundle};

const START: &str = "hooks:\n  ApplicationStart: [{location: run.sh}]\n";
const SITE: &str = "CROFT_TEST_HOST_SITE";

#[test]
fn an_event_that_is_over_says_what_it_said_and_runs_no_more() {
    let site = Site::new();
    let count = site.folder.path().join("count");
    let text = format!("#!/bin/sh\necho run >>{}; exit 9", count.display());
    let bundle = site.bundle(1, START, &[("run.sh", &text)]);
    site.install(1, &bundle);
    let first = site.run(1, ApplicationStart, &bundle).unwrap();
    let second = site.run(1, ApplicationStart, &bundle).unwrap();
    assert_eq!(first, second);
    assert_eq!(std::fs::read_to_string(count).unwrap(), "run\n");
}

#[test]
fn a_command_of_an_older_generation_changes_nothing() {
    let site = Site::new();
    site.install(2, &site.bundle(2, START, &[("run.sh", "#!/bin/sh\n")]));
    let older = site.bundle(1, START, &[]);
    let refused = site.run(1, DownloadBundle, &older).unwrap_err();
    assert!(
        matches!(
            refused,
            HostError::Refused(Refusal::OlderGeneration { seen: 2, .. })
        ),
        "{refused}"
    );
    assert!(!site.group().join(id(1).as_str()).exists());
}

#[test]
fn a_host_has_what_was_installed_last_and_wholly() {
    let site = Site::new();
    assert!(site.host.has().unwrap().is_empty());
    let run = |number: u8, event, bundle: &LocalBundle| {
        let mut command = site.command(number, event);
        command.revision.digest = format!("{number:064x}");
        let over = AtomicBool::new(false);
        site.host
            .run(&command, bundle, &site.heard, &over)
            .unwrap()
            .error_code
    };
    let first = site.bundle(1, START, &[("run.sh", "#!/bin/sh\n")]);
    assert_eq!(run(1, DownloadBundle, &first), Success);
    assert!(site.host.has().unwrap().is_empty(), "it is only fetched");
    assert_eq!(run(1, Install, &first), Success);
    let second = site.bundle(2, "files: [{source: none, destination: SRV}]\n", &[]);
    assert_eq!(run(2, DownloadBundle, &second), Success);
    assert_eq!(run(2, Install, &second), UnknownError);
    let has = site.host.has().unwrap();
    let [has] = has.as_slice() else {
        panic!("{has:?}")
    };
    assert_eq!(has.digest, format!("{:064x}", 1));
    assert_eq!(
        (
            has.application_name.as_str(),
            has.deployment_group_name.as_str(),
            has.deployment_group_id.as_str()
        ),
        ("shop", "blue", "g")
    );
}

#[test]
fn a_second_event_of_a_group_is_refused_while_one_runs_and_another_groups_is_not() {
    let site = Site::new();
    let bundle = site.bundle(1, START, &[("run.sh", "#!/bin/sh\n")]);
    let group = site.host.lock("g").unwrap();
    let refused = site.run(1, DownloadBundle, &bundle).unwrap_err();
    assert!(
        matches!(refused, HostError::Refused(Refusal::Busy(_))),
        "{refused}"
    );
    let mut other = site.command(1, DownloadBundle);
    other.deployment_group_id = "h".into();
    let over = AtomicBool::new(false);
    let ended = site.host.run(&other, &bundle, &site.heard, &over).unwrap();
    assert_eq!(ended.error_code, Success);
    drop(group);
    assert_eq!(
        site.run(1, DownloadBundle, &bundle).unwrap().error_code,
        Success
    );
    other.deployment_group_id = "../g".into();
    let refused = site
        .host
        .run(&other, &bundle, &site.heard, &over)
        .unwrap_err();
    assert!(
        matches!(refused, HostError::Refused(Refusal::GroupId(_))),
        "{refused}"
    );
}

#[test]
fn old_revisions_go_but_for_the_one_that_is_installed() {
    let site = Site::new();
    site.install(1, &site.bundle(1, START, &[("run.sh", "#!/bin/sh\n")]));
    for number in 2..=9 {
        let bundle = site.bundle(number, START, &[("run.sh", "#!/bin/sh\n")]);
        site.run(number, DownloadBundle, &bundle).unwrap();
    }
    let mut kept: Vec<u8> = Vec::new();
    for number in 1..=9 {
        if site.group().join(id(number).as_str()).exists() {
            kept.push(number);
        }
    }
    assert_eq!(kept, [1, 6, 7, 8, 9]);
}

#[test]
fn a_revision_with_a_broken_appspec_is_refused_as_soon_as_it_comes() {
    let site = Site::new();
    let bundle = site.bundle(1, "hoks:\n  Install: 1\nfiles: 7\n", &[]);
    let ended = site.run(1, DownloadBundle, &bundle).unwrap();
    assert_eq!(ended.error_code, UnknownError);
    assert!(
        ended.message.contains("appspec.yml has mistakes: line "),
        "{}",
        ended.message
    );
    let ended = site.run(1, Install, &bundle).unwrap();
    assert_eq!(ended.error_code, UnknownError);
    let none = site.bundle(2, START, &[]);
    std::fs::remove_file(none.path.join("appspec.yml")).unwrap();
    let ended = site.run(2, DownloadBundle, &none).unwrap();
    assert!(
        ended.message.contains("has no appspec.yml"),
        "{}",
        ended.message
    );
}

#[test]
fn an_event_before_its_revision_says_so() {
    let site = Site::new();
    let bundle = site.bundle(1, START, &[]);
    for event in [Install, BeforeInstall] {
        let ended = site.run(1, event, &bundle).unwrap();
        assert!(
            ended.message.contains("DownloadBundle comes first"),
            "{}",
            ended.message
        );
    }
}

/// Without the words it has nothing to do: the test after it is its caller.
#[test]
fn an_agent_that_dies_in_a_script() {
    let Some(folder) = std::env::var_os(SITE).map(PathBuf::from) else {
        return;
    };
    let host = Host::open(&folder.join("state"), settings()).unwrap();
    let bundle = LocalBundle {
        path: folder,
        kind: BundleKind::Directory,
    };
    let command = Site::new().command(1, ApplicationStart);
    let over = AtomicBool::new(false);
    host.run(&command, &bundle, &Unwatched, &over).unwrap();
}

#[test]
fn a_script_whose_agent_was_killed_is_ended_has_failed_and_is_not_run_again() {
    let site = Site::new();
    let pid = site.folder.path().join("pid");
    let count = site.folder.path().join("count");
    let text = format!(
        "#!/bin/sh\necho run >>{}\necho $$ >{pid}.new; mv {pid}.new {pid}\nwhile :; do sleep 1; done",
        count.display(),
        pid = pid.display(),
    );
    let bundle = site.bundle(1, START, &[("run.sh", &text)]);
    site.install(1, &bundle);
    let name = "host::tests::an_agent_that_dies_in_a_script";
    let mut agent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(SITE, site.folder.path())
        .spawn()
        .unwrap();
    eventually("the script runs", || pid.exists());
    eventually("the script is noted", || {
        site.group().join("script.json").exists()
    });
    agent.kill().unwrap();
    assert_eq!(agent.wait().unwrap().signal(), Some(9));
    let script = format!(
        "/proc/{}/stat",
        std::fs::read_to_string(&pid).unwrap().trim()
    );
    let runs = || std::fs::read_to_string(&script).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(runs(), "it outlives its agent");
    assert_eq!(site.host.interrupted().unwrap(), []);
    eventually("the script was ended", || !runs());
    let ended = site.run(1, ApplicationStart, &bundle).unwrap();
    assert_eq!(ended.error_code, UnknownError);
    for part in [
        "the agent was stopped while ApplicationStart ran",
        "was killed",
    ] {
        assert!(ended.message.contains(part), "{}", ended.message);
    }
    assert_eq!(std::fs::read_to_string(count).unwrap(), "run\n");
}

#[test]
fn a_download_that_was_interrupted_begins_again() {
    let site = Site::new();
    let bundle = site.bundle(1, START, &[("run.sh", "#!/bin/sh\n")]);
    let command = site.command(1, DownloadBundle);
    let mut group = site.host.lock("g").unwrap();
    group.journal.begin(&command);
    durable::write(&group.folder.journal(), &group.journal).unwrap();
    drop(group);
    let half = site
        .group()
        .join(format!("{}/deployment-archive.partial", id(1)));
    crate::testing::write(&half.join("half"), "");
    assert_eq!(site.host.interrupted().unwrap(), [command]);
    assert_eq!(
        site.run(1, DownloadBundle, &bundle).unwrap().error_code,
        Success
    );
    let archive = site.group().join(format!("{}/deployment-archive", id(1)));
    assert!(archive.join("appspec.yml").exists());
    assert!(!archive.join("half").exists());
    assert!(!half.exists());
}

#[test]
fn a_forecast_says_everything_and_changes_nothing() {
    let site = Site::new();
    let spec = "files:\n  - {source: web, destination: SRV/app}\npermissions:\n  - {object: SRV/app, pattern: '*.x', mode: 600}\nhooks:\n  ApplicationStop: [{location: stop.sh}]\n  ApplicationStart: [{location: run.sh, timeout: 5, runas: web}]\n";
    let first = [
        ("web/a", "1"),
        ("web/b", "1"),
        ("web/gone", "1"),
        ("stop.sh", ""),
        ("run.sh", ""),
    ];
    site.install(1, &site.bundle(1, spec, &first));
    let second = [
        ("web/a", "1"),
        ("web/b", "2"),
        ("web/n.x", "2"),
        ("stop.sh", ""),
        ("run.sh", ""),
    ];
    let bundle = site.bundle(2, spec, &second);
    let before = site.tree();
    let staged = site.host.stage(&bundle, &AtomicBool::new(false)).unwrap();
    let command = site.command(2, DownloadBundle);
    let forecast = site.host.forecast(&command, &staged).unwrap();
    let at = |name: &str| site.srv().join("app").join(name).display().to_string();
    let files = &forecast.files;
    assert_eq!(files.creates, [at("n.x")]);
    assert_eq!(files.overwrites, [at("b")]);
    assert_eq!(files.removes, [at("gone")]);
    assert_eq!(files.unchanged, [at("a")]);
    assert_eq!(files.permissions[0].mode.as_deref(), Some("0600"));
    let hooks: Vec<_> = forecast
        .hooks
        .iter()
        .map(|hook| (hook.event.name(), hook.from_deployment.clone()))
        .collect();
    assert_eq!(
        hooks,
        [("ApplicationStop", Some(id(1))), ("ApplicationStart", None)]
    );
    assert_eq!(site.tree(), before);
    let path = staged.path().to_path_buf();
    let over = AtomicBool::new(false);
    let ended = site
        .host
        .run(&command, &staged, &site.heard, &over)
        .unwrap();
    assert_eq!(ended.error_code, Success);
    drop(staged);
    assert!(!path.exists());
    assert!(
        site.group()
            .join(format!("{}/deployment-archive/web/n.x", id(2)))
            .exists()
    );
}

#[test]
fn what_a_killed_agent_has_staged_is_removed_by_the_next() {
    let site = Site::new();
    let gone = site.folder.path().join("state/.staged-99999999");
    crate::testing::write(&gone.join("appspec.yml"), "");
    let bundle = site.bundle(1, START, &[]);
    drop(site.host.stage(&bundle, &AtomicBool::new(false)).unwrap());
    assert!(!gone.exists());
}
