use std::collections::BTreeSet;

use croft_ledger::Seq;
use croft_proto::deploy::{DeploymentStatus, ErrorCode, EventStatus, LifecycleEvent, Side};

use super::farm::{Farm, asked, group, haproxy, id, name};
use super::one::{One, diagnostics};
use crate::*;
use LifecycleEvent::{ApplicationStart, ApplicationStop, Install, ValidateService};

#[test]
fn one_host_after_another_runs_seven_events_without_a_balancer() {
    let mut one = One::with(serde_json::json!({}));
    one.deploy(1, "web", 2);
    let told = one.answer(&[]);
    let order: Vec<&str> = told.iter().map(|(host, _)| host.as_str()).collect();
    assert_eq!(order.len(), 21);
    assert!(order[..7].iter().all(|host| *host == order[0]));
    let events: Vec<LifecycleEvent> = told[..7].iter().map(|(_, event)| *event).collect();
    assert_eq!(events, LifecycleEvent::ALL[3..10]);
    one.pass(1_000);
    assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
    let group = one.engine.state().group(&name("web")).unwrap();
    assert_eq!(group.target().unwrap().deployment, id(1));
    assert!(group.hosts.values().all(|host| host.is_healthy));
}

#[test]
fn behind_a_balancer_all_thirteen_are_run_and_a_host_in_the_middle_has_no_traffic() {
    let mut one = One::with(serde_json::json!({
        "deploymentStyle": {"deploymentOption": "WITH_TRAFFIC_CONTROL"}, "x-croft": {"router": haproxy()}}));
    one.deploy(1, "web", 2);
    while one.commands[0].1 != Install {
        let (_, _, report) = one.commands.remove(0);
        one.input(Input::Report(report));
    }
    let host = one.commands[0].0.clone();
    one.pass(3_000);
    assert_eq!(one.weight(&host, Side::New), 0);
    let told = one.answer(&[]);
    assert!(told.contains(&(host.clone(), LifecycleEvent::AllowTraffic)));
    one.pass(3_000);
    assert_eq!(one.weight(&host, Side::New), WEIGHT_FULL);
}

#[test]
fn a_failure_names_host_event_script_exit_code_and_last_lines_and_is_taken_back() {
    let mut one = One::with(serde_json::json!({}));
    one.deploy(1, "web", 2);
    one.answer(&[]);
    one.pass(1_000);
    one.deploy(2, "web", 3);
    // The first host goes well, the second does not: one more failure than OneAtATime has room for.
    let first = one.commands[0].0.clone();
    let others: Vec<&str> = ["h1", "h2", "h3"]
        .into_iter()
        .filter(|host| *host != first)
        .collect();
    let fails = [(others[0], ApplicationStart), (others[1], ApplicationStart)];
    // Only the bad revision's script fails; the deployment that takes it back installs the good one.
    loop {
        let deployment = one.engine.state().deployment(&id(2)).unwrap();
        if deployment.end.is_some() {
            break;
        }
        let (host, event, mut report) = one.commands.remove(0);
        if fails.contains(&(host.as_str(), event)) {
            report.said = Said::Ended(EventStatus::Failed, Some(Box::new(diagnostics())));
        }
        one.input(Input::Report(report));
    }
    let end = one.end(&id(2));
    assert_eq!(end.status, DeploymentStatus::Failed);
    let error = end.error.unwrap();
    assert_eq!(error.code, ErrorCode::HealthConstraints);
    for part in [
        "1 of 3 hosts went well",
        others[0],
        "ApplicationStart",
        "scripts/start.sh",
        "exit code 3",
        "port is taken",
    ] {
        assert!(error.message.contains(part), "{part}: {}", error.message);
    }
    assert_eq!(end.rollback, Some(rollback_id(&id(2))));
    let shown =
        serde_json::to_value(one.engine.state().deployment(&id(2)).unwrap().info()).unwrap();
    assert_eq!(shown["errorInformation"]["code"], "HEALTH_CONSTRAINTS");
    assert_eq!(
        shown["errorInformation"]["x-croft-firstFailure"]["scriptName"],
        "scripts/start.sh"
    );
    let overview = serde_json::json!({"Pending": 0, "InProgress": 0, "Succeeded": 1, "Failed": 1, "Skipped": 1, "Ready": 0});
    assert_eq!(shown["deploymentOverview"], overview);
    assert_eq!(
        shown["rollbackInfo"]["rollbackDeploymentId"],
        rollback_id(&id(2)).as_str()
    );
    let told = one.answer(&[]);
    one.pass(1_000);
    assert_eq!(
        one.end(&rollback_id(&id(2))).status,
        DeploymentStatus::Succeeded
    );
    let hosts: BTreeSet<String> = told.into_iter().map(|(host, _)| host).collect();
    assert!(
        !hosts.contains(others[1]),
        "a host that was not reached has the good revision still"
    );
    let group = one.engine.state().group(&name("web")).unwrap();
    assert_eq!(
        group.target().unwrap().asked.revision,
        asked("web", 2).revision
    );
}

#[test]
fn a_rollback_that_fails_halts_and_says_what_stands_where_and_nothing_follows() {
    let mut one =
        One::with(serde_json::json!({"deploymentConfigName": "CodeDeployDefault.AllAtOnce"}));
    one.deploy(1, "web", 2);
    one.answer(&[]);
    one.pass(1_000);
    one.deploy(2, "web", 3);
    let all = ["h1", "h2", "h3"].map(|host| (host, ValidateService));
    one.answer(&all);
    one.pass(1_000);
    one.answer(&all);
    one.pass(1_000);
    let end = one.end(&rollback_id(&id(2)));
    assert_eq!((end.status, end.rollback), (DeploymentStatus::Halted, None));
    let message = end.error.unwrap().message;
    assert!(
        message.contains("Failed on the way back: h1, h2, h3"),
        "{message}"
    );
    for _ in 0..100 {
        one.pass(10_000);
    }
    assert!(one.engine.state().group(&name("web")).unwrap().is_idle());
    assert!(one.commands.is_empty());
}

#[test]
fn a_host_that_nothing_was_done_to_stands_as_before_when_its_deployment_is_stopped() {
    let mut one = One::with(serde_json::json!({
        "deploymentStyle": {"deploymentOption": "WITH_TRAFFIC_CONTROL"}, "x-croft": {"router": haproxy()}}));
    one.deploy(1, "web", 2);
    one.over_well(1);
    one.deploy(2, "web", 3);
    // Its agent is away.
    let (host, event, _) = one.commands.remove(0);
    assert_eq!(event, LifecycleEvent::BeforeBlockTraffic);
    let before = one.engine.state().group(&name("web")).unwrap().hosts[&host];
    assert!(before.is_healthy);
    let intents = stop(one.engine.state(), &id(2), Then::AsTheGroupSays, "me").unwrap();
    assert!(one.farm.intend(&intents));
    one.settle();
    one.pass(60_000);
    assert_eq!(one.status(2), Some(DeploymentStatus::Stopped));
    let stands = one.engine.state().group(&name("web")).unwrap().hosts[&host];
    assert_eq!(stands, before);
    assert_eq!(one.weight(&host, Side::New), WEIGHT_FULL);
}

#[test]
fn going_back_by_hand_leads_to_what_went_well_last_and_only_from_there_further_back() {
    let back = |one: &mut One, from: u64| {
        let intents = roll_back(one.engine.state(), &name("web"), "me").unwrap();
        assert!(one.farm.intend(&intents));
        one.settle();
        let group = one.engine.state().group(&name("web")).unwrap();
        let active = group.active.clone().unwrap();
        let accepted = &one.engine.state().deployment(&active).unwrap().accepted;
        let description = accepted.asked.description.clone().unwrap_or_default();
        assert!(description.contains(&id(from).to_string()), "{description}");
        accepted.asked.revision.digest.clone()
    };
    let settings = serde_json::json!({"autoRollbackConfiguration": {"enabled": false}});
    let mut one = One::with(settings.clone());
    one.deploy(1, "web", 2);
    one.over_well(1);
    one.deploy(2, "web", 3);
    one.answer_one();
    let intents = stop(one.engine.state(), &id(2), Then::AsTheGroupSays, "me").unwrap();
    assert!(one.farm.intend(&intents));
    one.settle();
    one.answer(&[]);
    assert_eq!(one.status(2), Some(DeploymentStatus::Stopped));
    // Some hosts may have what was stopped.
    assert_eq!(back(&mut one, 2), format!("{:064x}", 2));

    let mut one = One::with(settings);
    one.deploy(1, "web", 2);
    one.over_well(1);
    one.deploy(2, "web", 3);
    one.over_well(2);
    assert_eq!(back(&mut one, 2), format!("{:064x}", 2));
}

#[test]
fn a_host_that_says_too_much_is_recorded_shortened() {
    let mut one =
        One::with(serde_json::json!({"deploymentConfigName": "CodeDeployDefault.AllAtOnce"}));
    one.deploy(1, "web", 2);
    for (_, _, mut report) in std::mem::take(&mut one.commands) {
        let mut said = diagnostics();
        said.log_tail = format!("{}the end", "ä".repeat(100_000));
        said.message = "m".repeat(100_000);
        report.said = Said::Ended(EventStatus::Failed, Some(Box::new(said)));
        one.input(Input::Report(report));
    }
    let all = one.farm.entries(Seq::ZERO);
    assert!(
        all.iter()
            .all(|entry| entry.event().unwrap().len() < 64 << 10)
    );
    let end = one.end(&id(1));
    let first = end.error.unwrap().first_failure.unwrap();
    assert!(first.log_tail.ends_with("the end") && first.log_tail.len() <= 4 << 10);
}

#[test]
fn what_the_old_revision_cannot_do_may_be_ignored() {
    for (is_ignored, status) in [
        (true, DeploymentStatus::Succeeded),
        (false, DeploymentStatus::Failed),
    ] {
        let mut one = One::with(serde_json::json!({}));
        let mut wanted = asked("web", 2);
        wanted.ignore_application_stop_failures = is_ignored;
        let intents = admit(one.engine.state(), &id(1), wanted, "me").unwrap();
        one.farm.intend(&intents);
        one.settle();
        one.answer(&["h1", "h2", "h3"].map(|host| (host, ApplicationStop)));
        one.pass(1_000);
        assert_eq!(one.status(1), Some(status));
    }
}

#[test]
fn a_host_that_never_begins_has_failed_after_five_minutes_and_one_that_never_ends_after_an_hour() {
    let mut one =
        One::with(serde_json::json!({"deploymentConfigName": "CodeDeployDefault.AllAtOnce"}));
    one.deploy(1, "web", 2);
    let commands = std::mem::take(&mut one.commands);
    assert_eq!(commands.len(), 3);
    for (host, _, mut report) in commands {
        if host == "h2" {
            report.said = Said::Started;
        }
        if host != "h3" {
            one.input(Input::Report(report));
        }
    }
    one.commands.clear();
    one.pass(299_000);
    assert_eq!(
        one.engine.state().deployment(&id(1)).unwrap().running.len(),
        3
    );
    one.pass(2_000);
    let deployment = one.engine.state().deployment(&id(1)).unwrap();
    assert_eq!(
        deployment.running.len(),
        1,
        "only the one that has begun is waited for"
    );
    one.pass(3_600_000);
    let end = one.end(&id(1));
    assert_eq!(end.status, DeploymentStatus::Failed);
    assert!(end.error.unwrap().message.contains("within five minutes"));
}

#[test]
fn a_busy_group_refuses_queues_or_supersedes_and_an_older_build_never_wins() {
    let mut one = One::with(serde_json::json!({}));
    one.deploy(1, "web", 2);
    let wanted = |busy: &str, order: u64| {
        let mut wanted = asked("web", 3);
        let own = serde_json::json!({"busy": busy, "order": order});
        wanted.own = Some(serde_json::from_value(own).unwrap());
        wanted
    };
    let ask = |one: &One, number, wanted| admit(one.engine.state(), &id(number), wanted, "me");
    assert_eq!(ask(&one, 2, wanted("REFUSE", 5)), Err(Refusal::Busy(id(1))));
    for (number, busy, order) in [(3, "QUEUE", 5), (4, "QUEUE", 6), (5, "SUPERSEDE", 9)] {
        let intents = ask(&one, number, wanted(busy, order)).unwrap();
        assert!(one.farm.intend(&intents));
        one.settle();
    }
    assert_eq!(
        ask(&one, 6, wanted("QUEUE", 8)),
        Err(Refusal::Older {
            order: 8,
            newest: 9
        })
    );
    let group = one.engine.state().group(&name("web")).unwrap();
    assert_eq!(group.queue, [id(5)]);
    // AWS has one word for what is stopped; ours names what took its place.
    let entries = one.farm.entries(Seq::ZERO);
    let info = Deployment::of(&id(4), &entries).unwrap().unwrap().info();
    assert_eq!(info.own.superseded_by, Some(id(5)));
    let code = info.error_information.map(|error| error.code);
    assert_eq!(code, Some(ErrorCode::ManualStop));
    one.answer(&[]);
    one.pass(1_000);
    one.answer(&[]);
    one.pass(1_000);
    assert_eq!(one.status(5), Some(DeploymentStatus::Succeeded));
}

#[test]
fn zones_follow_each_other_and_each_is_watched_before_the_next() {
    let farm = Farm::new();
    farm.config(serde_json::json!({"deploymentConfigName": "zonal",
        "minimumHealthyHosts": {"type": "HOST_COUNT", "value": 0},
        "zonalConfig": {"firstZoneMonitorDurationInSeconds": 60, "monitorDurationInSeconds": 30,
            "minimumHealthyHostsPerZone": {"type": "HOST_COUNT", "value": 1}}}));
    farm.group(group(
        "web",
        serde_json::json!({"deploymentConfigName": "zonal"}),
    ));
    for (host, zone) in [
        ("a1", "a"),
        ("b1", "b"),
        ("a2", "a"),
        ("c1", "c"),
        ("c2", "c"),
        ("b2", "b"),
    ] {
        farm.host(host, Some(zone));
    }
    let mut one = One::new(farm);
    one.deploy(1, "web", 2);
    let mut zones = Vec::new();
    for wait_ms in [59_000, 29_000, 0] {
        let told = one.answer(&[]);
        let hosts: BTreeSet<String> = told.into_iter().map(|(host, _)| host).collect();
        zones.push(hosts.into_iter().collect::<Vec<_>>().join(" "));
        one.pass(wait_ms);
        assert!(one.commands.is_empty(), "the zone is still watched");
        one.pass(1_000);
    }
    assert_eq!(zones, ["a1 a2", "b1 b2", "c1 c2"]);
    assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
}

#[test]
fn a_zone_below_its_minimum_stops_the_later_ones() {
    let farm = Farm::new();
    farm.config(serde_json::json!({"deploymentConfigName": "zonal",
        "minimumHealthyHosts": {"type": "HOST_COUNT", "value": 0}, "zonalConfig": {}}));
    farm.group(group(
        "web",
        serde_json::json!({"deploymentConfigName": "zonal"}),
    ));
    for (host, zone) in [("a1", "a"), ("a2", "a"), ("b1", "b")] {
        farm.host(host, Some(zone));
    }
    let mut one = One::new(farm);
    one.deploy(1, "web", 2);
    let told = one.answer(&[("a1", Install), ("a2", Install)]);
    assert!(told.iter().all(|(host, _)| host != "b1"));
    assert_eq!(one.status(1), Some(DeploymentStatus::Failed));
}

#[test]
fn a_minimum_that_leaves_no_host_ends_the_deployment_before_anything_is_done() {
    let mut one = One::with(serde_json::json!({"deploymentConfigName": "most"}));
    one.farm
        .config(serde_json::json!({"deploymentConfigName": "most",
        "minimumHealthyHosts": {"type": "FLEET_PERCENT", "value": 95}}));
    one.settle();
    let intents = admit(one.engine.state(), &id(1), asked("web", 2), "me").unwrap();
    one.farm.intend(&intents);
    one.settle();
    assert!(one.commands.is_empty());
    let ended = one.farm.entries(Seq::ZERO).into_iter().any(|entry| {
        let text = String::from_utf8_lossy(entry.event().unwrap()).into_owned();
        text.contains("HEALTH_CONSTRAINTS_INVALID")
            && text.contains("3 of 3 hosts must stay healthy")
    });
    assert!(ended);
}

#[test]
fn the_cost_of_a_host_is_the_same_in_a_fleet_of_a_thousand_and_of_ten_thousand() {
    let cost = |hosts: u32| {
        let farm = Farm::new();
        farm.group(group(
            "web",
            serde_json::json!({"deploymentConfigName": "CodeDeployDefault.HalfAtATime"}),
        ));
        for number in 0..hosts {
            farm.host(
                &format!("ip-10-0-{}-{}.eu-west-1", number / 250, number % 250),
                None,
            );
        }
        let before = farm.last().get();
        let mut one = One::new(farm);
        one.deploy(1, "web", 2);
        assert_eq!(
            one.commands.len(),
            hosts as usize / 2,
            "half of them at once"
        );
        let mut told = 0;
        while !one.commands.is_empty() {
            for (_, _, report) in std::mem::take(&mut one.commands) {
                told += 1;
                one.input(Input::Report(report));
            }
        }
        one.pass(1_000);
        assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
        (
            f64::from(told) / f64::from(hosts),
            (one.farm.last().get() - before) / u64::from(hosts),
        )
    };
    assert_eq!(cost(1_000), cost(10_000));
}
