use croft_proto::deploy::{DeploymentStatus, ErrorCode, Finding, LifecycleEvent};

use super::farm::{Farm, group, id};
use super::one::One;
use crate::*;
use LifecycleEvent::{ApplicationStop, ValidateService};

#[test]
fn an_alarm_ends_it_and_takes_it_back_while_a_host_still_runs_its_event() {
    let mut one = One::with(serde_json::json!({"x-croft": {"verdicts": {}, "bakeMinutes": 1}}));
    one.deploy(1, "web", 2);
    one.see(1);
    one.answer(&[]);
    for _ in 0..4 {
        one.see(1);
        one.pass(25_000);
    }
    assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
    one.deploy(2, "web", 3);
    one.see(2);
    let (host, event, report) = one.commands.remove(0);
    let finding = Finding {
        by: "errors".into(),
        message: "9% of requests fail".into(),
        evidence: serde_json::json!({"query": "q"}),
    };
    one.input(Input::Advised(id(2), Advice::RollBack(Box::new(finding))));
    let end = one.end(&id(2));
    assert_eq!(end.status, DeploymentStatus::Stopped);
    assert_eq!(end.error.unwrap().code, ErrorCode::AlarmActive);
    assert_eq!(end.finding.unwrap().evidence["query"], "q");
    let back = rollback_id(&id(2));
    assert!(one.commands.is_empty(), "the host is waited for");
    one.input(Input::Report(report.clone()));
    assert_eq!(one.commands[0].0, host);
    assert_eq!(one.commands[0].2.deployment, back);
    assert_eq!(event, ApplicationStop);
    one.answer(&[]);
    one.pass(1_000);
    assert_eq!(one.end(&back).status, DeploymentStatus::Succeeded);
    one.answers.clear();
    one.input(Input::Report(report));
    assert_eq!(one.answers, [Answer::Stale]);
}

#[test]
fn blind_it_stays_where_it_is_and_goes_on_when_somebody_sees_again() {
    let mut one = One::with(serde_json::json!({"x-croft": {"verdicts": {}, "bakeMinutes": 1}}));
    one.deploy(1, "web", 2);
    one.pass(1_000);
    assert!(one.commands.is_empty(), "nobody has looked yet");
    one.see(1);
    one.answer(&[]);
    one.see(1);
    one.pass(20_000);
    for _ in 0..20 {
        one.hold(1);
        one.pass(60_000);
    }
    assert_eq!(one.status(1), None);
    one.see(1);
    one.pass(29_000);
    assert_eq!(one.status(1), None, "blind it was not watched");
    one.see(1);
    one.pass(12_000);
    assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
}

#[test]
fn a_suspicion_in_place_holds_the_hosts_that_have_not_begun_until_it_ends_or_somebody_goes_on() {
    for goes_on in [true, false] {
        let mut one = One::with(serde_json::json!({"x-croft": {"verdicts": {}}}));
        one.deploy(1, "web", 2);
        one.see(1);
        assert_eq!(one.commands.len(), 1);
        one.hold(1);
        one.answer(&[]);
        one.pass(600_000);
        assert!(one.commands.is_empty(), "the second host waits");
        if goes_on {
            let intents = go_on(one.engine.state(), &id(1), Watchers::Hold, "me").unwrap();
            assert!(one.farm.intend(&intents));
            one.settle();
        } else {
            one.see(1);
        }
        assert_eq!(one.commands.len(), 1);
        assert_ne!(one.commands[0].0, "h1");
    }
}

#[test]
fn a_canary_goes_first_and_is_watched_before_the_others_follow() {
    let farm = Farm::new();
    farm.config(serde_json::json!({"deploymentConfigName": "careful",
        "minimumHealthyHosts": {"type": "HOST_COUNT", "value": 0},
        "x-croft": {"canary": {"hosts": 1, "waitSeconds": 60}}}));
    farm.group(group(
        "web",
        serde_json::json!({"deploymentConfigName": "careful"}),
    ));
    for host in ["h1", "h2", "h3"] {
        farm.host(host, None);
    }
    let mut one = One::new(farm);
    one.deploy(1, "web", 2);
    let first = one.answer(&[]);
    assert!(first.iter().all(|(host, _)| host == "h1"), "{first:?}");
    one.pass(59_000);
    assert!(one.commands.is_empty());
    one.pass(1_000);
    assert_eq!(one.commands.len(), 2, "the others go together");
    one.answer(&[]);
    one.pass(1_000);
    assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
    one.deploy(2, "web", 3);
    let told = one.answer(&[("h1", ValidateService)]);
    assert!(told.iter().all(|(host, _)| host == "h1"), "{told:?}");
    let back = one.engine.state().deployment(&rollback_id(&id(2)));
    let steps = &back.unwrap().plan.as_ref().unwrap().steps;
    assert_eq!(steps.len(), 2, "what takes back has no canary: {steps:?}");
}

#[test]
fn a_metrics_outage_of_any_length_takes_no_good_release_back() {
    const HOUR_MS: u64 = 3_600_000;
    // Blind from the first host, after one, or in the bake; a server that dies in the middle of it, or not.
    for hosts_before in 0..=3 {
        for blind_hours in [1, 7, 9, 200] {
            for dies in [false, true] {
                let what = format!("{hosts_before} hosts, {blind_hours} h, {dies}");
                let mut one =
                    One::with(serde_json::json!({"x-croft": {"verdicts": {}, "bakeMinutes": 1}}));
                one.deploy(1, "web", 2);
                for _ in 0..hosts_before {
                    one.see(1);
                    let next = one.commands[0].0.clone();
                    while one
                        .commands
                        .first()
                        .is_some_and(|(host, _, _)| *host == next)
                    {
                        let (_, _, report) = one.commands.remove(0);
                        one.hold(1);
                        one.input(Input::Report(report));
                    }
                }
                for hour in 0..blind_hours {
                    one.hold(1);
                    one.pass(HOUR_MS);
                    if dies && hour == blind_hours / 2 {
                        one = One::new(one.farm);
                    }
                }
                assert_eq!(one.status(1), None, "{what}");
                for _ in 0..10 {
                    one.see(1);
                    one.answer(&[]);
                    one.pass(25_000);
                }
                let end = one.end(&id(1));
                assert_eq!(end.rollback, None, "{what}");
                let is_forgotten = dies && blind_hours >= 9;
                if !is_forgotten {
                    assert_eq!(end.status, DeploymentStatus::Succeeded, "{what}");
                }
            }
        }
    }
}
