//! Every state of a group against every event.

use croft_proto::deploy::{
    DeploymentType, FileExistsBehavior, Revision, RevisionOrigin, ScriptErrorCode,
};

use super::*;

fn command(letter: u8, generation: u64, event: LifecycleEvent) -> HostCommand {
    HostCommand {
        deployment_id: DeploymentId::drawn([letter; 9]),
        generation,
        event,
        application_name: "shop".into(),
        deployment_group_name: "blue".into(),
        deployment_group_id: "g".into(),
        revision: Revision {
            digest: String::new(),
            origin: RevisionOrigin::Local {
                location: "/r".into(),
            },
        },
        app_spec_filename: None,
        file_exists_behavior: FileExistsBehavior::Disallow,
        creator: "user".into(),
        deployment_type: DeploymentType::InPlace,
        container: None,
    }
}

fn ended(code: ScriptErrorCode) -> Diagnostics {
    Diagnostics {
        error_code: code,
        script_name: String::new(),
        message: String::new(),
        log_tail: String::new(),
        script_from_deployment: None,
        printed: None,
    }
}

fn at() -> Timestamp {
    Timestamp::from_millis(1)
}

const HOST_EVENTS: [LifecycleEvent; 11] = [
    LifecycleEvent::BeforeBlockTraffic,
    LifecycleEvent::AfterBlockTraffic,
    LifecycleEvent::ApplicationStop,
    LifecycleEvent::DownloadBundle,
    LifecycleEvent::BeforeInstall,
    LifecycleEvent::Install,
    LifecycleEvent::AfterInstall,
    LifecycleEvent::ApplicationStart,
    LifecycleEvent::ValidateService,
    LifecycleEvent::BeforeAllowTraffic,
    LifecycleEvent::AfterAllowTraffic,
];

#[test]
fn an_event_runs_on_a_host_that_knows_nothing() {
    for event in HOST_EVENTS {
        let decided = decide(&Journal::default(), &command(0, 1, event));
        assert_eq!(decided, Decision::Run, "{event}");
    }
}

#[test]
fn the_balancers_events_are_refused() {
    for event in [LifecycleEvent::BlockTraffic, LifecycleEvent::AllowTraffic] {
        let decided = decide(&Journal::default(), &command(0, 1, event));
        assert_eq!(decided, Decision::Refuse(Refusal::NotForHosts(event)));
    }
}

#[test]
fn an_event_that_is_over_is_not_run_again_whether_it_worked_or_not() {
    for event in HOST_EVENTS {
        for code in [ScriptErrorCode::Success, ScriptErrorCode::ScriptFailed] {
            let mut journal = Journal::default();
            let command = command(0, 1, event);
            journal.begin(&command);
            journal.end(&command, &ended(code), at());
            let decided = decide(&journal, &command);
            assert_eq!(decided, Decision::Recorded(ended(code)), "{event}");
        }
    }
}

#[test]
fn an_older_generation_and_a_second_deployment_of_one_are_refused() {
    for event in HOST_EVENTS {
        let mut journal = Journal::default();
        let seen = command(0, 5, LifecycleEvent::Install);
        journal.begin(&seen);
        journal.end(&seen, &ended(ScriptErrorCode::Success), at());
        let older = decide(&journal, &command(1, 4, event));
        assert!(
            matches!(
                older,
                Decision::Refuse(Refusal::OlderGeneration { seen: 5, .. })
            ),
            "{event}: {older:?}"
        );
        let second = decide(&journal, &command(1, 5, event));
        assert!(
            matches!(second, Decision::Refuse(Refusal::AnotherDeployment { .. })),
            "{event}: {second:?}"
        );
    }
}

#[test]
fn a_newer_generation_forgets_what_was_over_and_keeps_what_stands() {
    let mut journal = Journal::default();
    let first = command(0, 1, LifecycleEvent::Install);
    journal.begin(&first);
    journal.end(&first, &ended(ScriptErrorCode::Success), at());
    let next = command(1, 2, LifecycleEvent::Install);
    assert_eq!(decide(&journal, &next), Decision::Run);
    journal.begin(&next);
    assert!(journal.finished.is_empty());
    assert_eq!(journal.last_successful, Some(first.deployment_id));
    journal.end(&next, &ended(ScriptErrorCode::UnknownError), at());
    assert_eq!(journal.last_successful, Some(DeploymentId::drawn([0; 9])));
}

#[test]
fn interrupted_scripts_have_failed_and_interrupted_work_of_our_own_goes_on() {
    for interrupted in HOST_EVENTS {
        for asked in HOST_EVENTS {
            for (letter, generation) in [(0, 1), (1, 2)] {
                let mut journal = Journal::default();
                let running = command(0, 1, interrupted);
                journal.begin(&running);
                let decided = decide(&journal, &command(letter, generation, asked));
                let same = generation == 1 && asked == interrupted;
                let is_install = interrupted == LifecycleEvent::Install;
                let is_ours = is_install || interrupted == LifecycleEvent::DownloadBundle;
                let expected = match (is_ours && same, is_install) {
                    (true, _) => Decision::Run,
                    (false, true) => Decision::Settle(running, Settling::Undo),
                    (false, false) => Decision::Settle(running, Settling::Fail),
                };
                assert_eq!(
                    decided, expected,
                    "{interrupted}, then {asked} of {generation}"
                );
            }
        }
    }
}
