//! Scripts that do what scripts do: fail, hang, ignore TERM, leave daemons, run as others, or are not there.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use croft_proto::deploy::LifecycleEvent::{
    AfterInstall, ApplicationStart, ApplicationStop, BeforeAllowTraffic, BeforeBlockTraffic,
    BeforeInstall, DownloadBundle, ValidateService,
};
use croft_proto::deploy::ScriptErrorCode::{
    ScriptFailed, ScriptMissing, ScriptNotExecutable, ScriptTimedOut, Success, UnknownError,
};
use croft_proto::deploy::{DeploymentType, Diagnostics, RevisionOrigin};

use crate::testing::{Site, eventually, id};

const ONE: &str = "hooks:\n  BeforeInstall:\n    - {location: run.sh, timeout: 60}\n";

/// Brings a bundle whose only script is `text`, and runs it.
fn run(site: &Site, spec: &str, text: &str) -> Diagnostics {
    let bundle = site.bundle(1, spec, &[("run.sh", text)]);
    let brought = site.run(1, DownloadBundle, &bundle).unwrap();
    assert_eq!(brought.error_code, Success, "{brought:?}");
    site.run(1, BeforeInstall, &bundle).unwrap()
}

fn is_running(mark: &str) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words)
            .replace('\0', " ")
            .starts_with(&format!("sleep {mark}"))
    })
}

/// A time that nobody else sleeps.
fn mark(number: u32) -> String {
    format!("7{number}.{}", std::process::id())
}

#[test]
fn a_script_finds_awss_variables_no_input_its_revision_and_the_agents_environment() {
    let mut site = Site::new();
    site.behavior = croft_proto::deploy::FileExistsBehavior::Overwrite;
    let text = "#!/bin/sh\nenv | grep -E 'LIFE|DEPLOY|APPL|BUNDLE' | sort\nreadlink /proc/self/fd/0\ntest -f appspec.yml && echo here\necho told >&2\ntest -n \"$PATH\" && echo path";
    let ended = run(&site, ONE, text);
    assert_eq!(ended.error_code, Success, "{ended:?}");
    let deployment = format!("[stdout]DEPLOYMENT_ID={}", id(1));
    let said = site.heard.lines();
    for line in [
        "event BeforeInstall",
        &format!("script run.sh of {}", id(1)),
        "[stdout]APPLICATION_NAME=shop",
        "[stdout]DEPLOYMENT_GROUP_ID=g",
        "[stdout]DEPLOYMENT_GROUP_NAME=blue",
        &deployment,
        "[stdout]LIFECYCLE_EVENT=BeforeInstall",
        "[stdout]/dev/null",
        "[stdout]here",
        "[stdout]path",
        "[stderr]told",
    ] {
        assert!(said.iter().any(|said| said == line), "{line}: {said:?}");
    }
    let command = site.command(1, BeforeInstall);
    let log = std::fs::read_to_string(site.host.log_path(&command).unwrap()).unwrap();
    assert!(log.contains(" LifecycleEvent - BeforeInstall\n"), "{log}");
    assert!(log.contains(" [stderr]told\n"), "{log}");
}

#[test]
fn what_a_bundle_of_object_storage_or_git_is_called_is_in_the_environment() {
    let mut command = Site::new().command(1, BeforeInstall);
    command.revision.origin = RevisionOrigin::S3 {
        bucket: "b".into(),
        key: "k".into(),
        version: None,
        e_tag: Some("e".into()),
    };
    let variables = super::environment::variables(&command);
    for (name, value) in [
        ("BUNDLE_BUCKET", "b"),
        ("BUNDLE_KEY", "k"),
        ("BUNDLE_VERSION", ""),
        ("BUNDLE_ETAG", "e"),
    ] {
        assert!(variables.contains(&(name, value.to_string())), "{name}");
    }
    command.revision.origin = RevisionOrigin::GitHub {
        repository: "r".into(),
        commit_id: "c".into(),
    };
    let variables = super::environment::variables(&command);
    assert!(variables.contains(&("BUNDLE_COMMIT", "c".to_string())));
}

#[test]
fn a_script_that_fails_is_named_with_its_code_its_last_lines_and_its_revision() {
    let site = Site::new();
    let spec = "hooks:\n  BeforeInstall:\n    - location: run.sh\n    - location: never.sh\n";
    let ended = run(&site, spec, "#!/bin/sh\necho last words\nexit 7");
    assert_eq!(ended.error_code, ScriptFailed);
    assert_eq!(ended.script_name, "run.sh");
    assert_eq!(
        ended.message,
        "Script at specified location: run.sh failed with exit code 7"
    );
    assert_eq!(ended.log_tail, "[stdout]last words\n");
    assert_eq!(ended.script_from_deployment, Some(id(1).to_string()));
    assert!(
        !site
            .heard
            .lines()
            .iter()
            .any(|line| line.contains("never.sh"))
    );
}

#[test]
fn a_script_without_its_bit_runs_and_one_that_is_missing_outside_or_set_id_does_not() {
    let site = Site::new();
    // No `#!` line and no bit: no program to the kernel, a script to the shell.
    let ended = run(&site, ONE, "echo plain\n");
    assert_eq!(ended.error_code, Success, "{ended:?}");
    assert_eq!(ended.log_tail, "[stdout]plain\n");
    let missing = ONE.replace("run.sh", "nowhere.sh");
    let ended = run(&Site::new(), &missing, "");
    assert_eq!(ended.error_code, ScriptMissing);
    assert!(
        ended.message.contains("nowhere.sh does not exist"),
        "{}",
        ended.message
    );
    let ended = run(&Site::new(), ONE, "#!/no/such/program\n");
    assert_eq!(ended.error_code, ScriptNotExecutable, "{ended:?}");
    let site = Site::new();
    let bundle = site.bundle(1, ONE, &[("run.sh", "#!/bin/sh\n")]);
    let set_id = std::fs::Permissions::from_mode(0o4755);
    std::fs::set_permissions(bundle.path.join("run.sh"), set_id).unwrap();
    site.run(1, DownloadBundle, &bundle).unwrap();
    let ended = site.run(1, BeforeInstall, &bundle).unwrap();
    assert_eq!(ended.error_code, ScriptNotExecutable, "{ended:?}");
    assert!(ended.message.contains("4755"), "{}", ended.message);
}

#[test]
fn a_script_runs_as_whom_it_says() {
    let site = Site::new();
    let spec = "hooks:\n  BeforeInstall:\n    - {location: run.sh, runas: nobody}\n";
    // Its account's shell lets nobody in, and this machine has no sudo: the words are tested beside them.
    let su = site.folder.path().join("programs/su");
    let text = "#!/bin/sh\nexec setpriv --reuid \"$1\" --clear-groups sh \"$2\" \"$3\"\n";
    crate::testing::write(&su, text);
    std::fs::set_permissions(&su, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut settings = crate::testing::settings();
    let path = format!("{}:/usr/bin:/bin", su.parent().unwrap().display());
    settings.environment = vec![("PATH".into(), path.into())];
    let site = Site {
        host: crate::Host::open(&site.folder.path().join("state"), settings).unwrap(),
        ..site
    };
    let ended = run(&site, spec, "#!/bin/sh\nid -un; exit 3");
    assert_eq!(ended.log_tail, "[stdout]nobody\n");
    assert_eq!(
        ended.message,
        "Script at specified location: run.sh run as user nobody failed with exit code 3"
    );
}

#[test]
fn a_script_whose_time_is_over_ends_with_all_that_it_has_started() {
    let site = Site::new();
    let mark = mark(1);
    let spec = ONE.replace("60", "1");
    let text = format!(
        "#!/bin/sh\nsetsid sleep {mark} &\n(trap '' TERM; sleep {mark}; sleep {mark}) &\ntrap '' TERM\necho waiting\nsleep {mark}; sleep {mark}"
    );
    let ended = run(&site, &spec, &text);
    assert_eq!(ended.error_code, ScriptTimedOut, "{ended:?}");
    assert_eq!(
        ended.message,
        "Script at specified location: run.sh failed to complete in 1 seconds"
    );
    assert_eq!(ended.log_tail, "[stdout]waiting\n");
    eventually("everything it started ends", || !is_running(&mark));
}

#[test]
fn a_daemon_that_keeps_the_output_hangs_nothing_and_lives() {
    let site = Site::new();
    let flag = site.folder.path().join("flag");
    let done = site.folder.path().join("done");
    // It prints more than a pipe holds, and would end at the first word if nobody read.
    let text = format!(
        "#!/bin/sh\n(until test -e {flag}; do :; done; seq 100000 && touch {done}) &\necho started",
        flag = flag.display(),
        done = done.display(),
    );
    let begun = Instant::now();
    let ended = run(&site, ONE, &text);
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!(ended.error_code, Success, "{ended:?}");
    let notes = site.heard.lines();
    let note = notes
        .iter()
        .any(|line| line.contains("still holds its output"));
    assert!(note, "{notes:?}");
    crate::testing::write(&flag, "");
    eventually("the daemon prints all of it", || done.exists());
}

#[test]
fn a_script_is_ended_when_the_caller_wants_no_more() {
    let site = Site::new();
    let mark = mark(2);
    let bundle = site.bundle(1, ONE, &[("run.sh", &format!("#!/bin/sh\nsleep {mark}"))]);
    site.run(1, DownloadBundle, &bundle).unwrap();
    let over = AtomicBool::new(false);
    let command = site.command(1, BeforeInstall);
    let ended = std::thread::scope(|scope| {
        let stop = || {
            eventually("it runs", || is_running(&mark));
            over.store(true, Ordering::Relaxed);
        };
        let stopping = std::thread::Builder::new()
            .spawn_scoped(scope, stop)
            .unwrap();
        let ended = site
            .host
            .run(&command, &bundle, &site.heard, &over)
            .unwrap();
        stopping.join().unwrap();
        ended
    });
    assert_eq!(ended.error_code, UnknownError);
    assert!(ended.message.contains("was stopped"), "{}", ended.message);
    assert!(!is_running(&mark));
}

#[test]
fn scripts_that_stop_the_application_are_those_of_the_revision_that_is_there() {
    let site = Site::new();
    let spec = "hooks:\n  ApplicationStop: [{location: run.sh}]\n  ApplicationStart: [{location: run.sh}]\n";
    let text = |number: u8| {
        format!(
            "#!/bin/sh\necho {number} in $DEPLOYMENT_ID; exit {}",
            number - 1
        )
    };
    let first = site.bundle(1, spec, &[("run.sh", &text(1))]);
    let ended = site.run(1, ApplicationStop, &first).unwrap();
    assert_eq!(ended.error_code, Success);
    assert!(
        ended.message.contains("nothing to run"),
        "{}",
        ended.message
    );
    site.install(1, &first);
    let second = site.bundle(2, spec, &[("run.sh", &text(2))]);
    let stopped = site.run(2, ApplicationStop, &second).unwrap();
    assert_eq!(stopped.log_tail, format!("[stdout]1 in {}\n", id(2)));
    assert_eq!(stopped.script_from_deployment, Some(id(1).to_string()));
    site.install(2, &second);
    let started = site.run(2, ApplicationStart, &second).unwrap();
    assert_eq!(started.error_code, ScriptFailed);
    assert_eq!(started.script_from_deployment, Some(id(2).to_string()));
    // Its revision is gone: said, and not taken for one without scripts.
    std::fs::remove_dir_all(site.group().join(id(2).as_str())).unwrap();
    let third = site.bundle(3, spec, &[("run.sh", &text(3))]);
    let stopped = site.run(3, ApplicationStop, &third).unwrap();
    assert_eq!(stopped.error_code, UnknownError);
    assert!(
        stopped.message.contains("is gone from"),
        "{}",
        stopped.message
    );
}

#[test]
fn where_traffic_goes_back_the_revision_that_leaves_is_the_most_recent() {
    use super::choose::scripts_of;
    let journal = crate::state::journal::Journal {
        last_successful: Some(id(1)),
        most_recent: Some(id(2)),
        ..Default::default()
    };
    let site = Site::new();
    let mut back = site.command(3, BeforeBlockTraffic);
    assert_eq!(scripts_of(&journal, &back), Some(id(1)));
    back.creator = "codeDeployRollback".into();
    assert_eq!(scripts_of(&journal, &back), Some(id(1)));
    back.deployment_type = DeploymentType::BlueGreen;
    assert_eq!(scripts_of(&journal, &back), Some(id(2)));
    back.event = BeforeAllowTraffic;
    assert_eq!(scripts_of(&journal, &back), Some(id(1)));
    for event in [AfterInstall, ValidateService] {
        back.event = event;
        assert_eq!(scripts_of(&journal, &back), Some(id(3)));
    }
    back.event = ApplicationStop;
    assert_eq!(scripts_of(&journal, &back), Some(id(1)));
}
