use croft_ledger::Seq;
use croft_proto::deploy::{Colour, DeploymentStatus, Finding, LifecycleEvent, Side};

use super::farm::{Farm, asked, group, haproxy, id, name};
use super::one::One;
use crate::*;
use LifecycleEvent::{ApplicationStop, Install, ValidateService};

/// A group of containers, whose first revision is there and whose second has 10% of the traffic.
pub(super) fn shifting() -> One {
    let farm = Farm::new();
    farm.config(
        serde_json::json!({"deploymentConfigName": "steps", "computePlatform": "ECS",
        "x-croft": {"trafficSteps": [{"percent": 10, "waitSeconds": 20}]}}),
    );
    farm.group(group("box", serde_json::json!({"deploymentConfigName": "steps",
        "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        "x-croft": {"router": haproxy(), "containers": {"ports": {"blue": 81, "green": 82}}}})));
    farm.host("h1", None);
    farm.host("h2", None);
    let mut one = One::new(farm);
    for (number, revision) in [(1, 2), (2, 3)] {
        one.deploy(number, "box", revision);
        one.answer(&[]);
        one.pass(1_000);
        one.answer(&[]);
        if number == 1 {
            for _ in 0..10 {
                for (deployment, step) in std::mem::take(&mut one.routed) {
                    one.input(Input::Routed(deployment, step));
                }
                one.pass(21_000);
                one.answer(&[]);
            }
            assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
        }
    }
    one
}

#[test]
fn traffic_moves_in_steps_and_only_when_the_balancer_has_been_told() {
    let mut one = shifting();
    one.pass(3_000);
    let share = |one: &One| {
        let (new, old) = (one.weight("h1", Side::New), one.weight("h1", Side::Old));
        f64::from(new) / f64::from(new + old)
    };
    assert!((share(&one) - 0.1).abs() < 0.01, "{}", share(&one));
    one.pass(60_000);
    assert!(
        (share(&one) - 0.1).abs() < 0.01,
        "the balancer has not said that it was told"
    );
    let (deployment, step) = one.routed.pop().unwrap();
    one.input(Input::Routed(deployment, step));
    one.pass(1_000);
    assert!((share(&one) - 1.0).abs() < 0.001);
    let (deployment, step) = one.routed.pop().unwrap();
    one.input(Input::Routed(deployment, step));
    one.pass(1_000);
    let told = one.answer(&[]);
    assert!(told.contains(&("h1".into(), LifecycleEvent::BlockTraffic)));
    assert!(
        told.contains(&("h1".into(), ApplicationStop)),
        "the old container is stopped last"
    );
    one.pass(1_000);
    assert_eq!(one.status(2), Some(DeploymentStatus::Succeeded));
}

/// What the old revision's scripts come to is no matter of the release; a container that still has traffic is not stopped.
#[test]
fn a_script_of_the_old_side_does_not_end_a_good_release_and_what_follows_it_is_run() {
    use LifecycleEvent::{AfterBlockTraffic, BeforeBlockTraffic, BlockTraffic};
    for (event, after) in [
        (BeforeBlockTraffic, true),
        (BlockTraffic, false),
        (AfterBlockTraffic, true),
        (ApplicationStop, true),
    ] {
        let mut one = shifting();
        for _ in 0..2 {
            one.pass(60_000);
            for (deployment, step) in std::mem::take(&mut one.routed) {
                one.input(Input::Routed(deployment, step));
            }
            one.pass(21_000);
        }
        let mut told = Vec::new();
        for _ in 0..5 {
            told.extend(one.answer(&[("h1", event)]));
            one.pass(1_000);
        }
        assert_eq!(one.status(2), Some(DeploymentStatus::Succeeded), "{event}");
        let went_on = told.contains(&("h1".into(), ApplicationStop));
        assert_eq!(went_on, after, "{event}: what follows on that host");
    }
}

#[test]
fn colours_alternate_and_each_container_has_a_name_of_its_own() {
    let mut one = shifting();
    let containers = |one: &One, number| {
        let deployment = one.engine.state().deployment(&id(number));
        deployment.and_then(|one| one.plan.as_ref()?.containers)
    };
    let group = one.engine.state().group(&name("box")).unwrap();
    assert_eq!(group.serves, Some(Colour::Blue));
    assert_eq!(containers(&one, 2).unwrap().new, Colour::Green);
    one.pass(3_000);
    let told = one.weights.as_ref().unwrap();
    let mut servers: Vec<String> = told.weights.iter().map(Weight::server).collect();
    servers.sort();
    assert_eq!(servers, ["h1-blue", "h1-green", "h2-blue", "h2-green"]);
    assert_eq!(told.needs, Some(Needs::All));
    let intents = stop(one.engine.state(), &id(2), Then::AsTheGroupSays, "me").unwrap();
    assert!(one.farm.intend(&intents));
    one.settle();
    let back = one.engine.state().deployment(&rollback_id(&id(2))).unwrap();
    assert_eq!(
        back.plan.as_ref().unwrap().containers.unwrap().new,
        Colour::Blue
    );
    assert_eq!(one.weights.as_ref().unwrap().needs, Some(Needs::One));
    for _ in 0..5 {
        for (deployment, step) in std::mem::take(&mut one.routed) {
            one.input(Input::Routed(deployment, step));
        }
        one.pass(3_000);
        one.answer(&[]);
    }
    let end = one.end(&rollback_id(&id(2)));
    assert_eq!(end.status, DeploymentStatus::Succeeded);
    let group = one.engine.state().group(&name("box")).unwrap();
    assert_eq!(group.serves, Some(Colour::Blue));
    assert!(group.hosts.values().all(|host| host.is_healthy));
    one.deploy(3, "box", 4);
    assert_eq!(containers(&one, 3).unwrap().new, Colour::Green);
}

#[test]
fn a_container_that_is_not_well_on_one_host_ends_the_deployment_and_the_old_ones_serve_on() {
    let farm = Farm::new();
    farm.group(group("box", boxes()));
    farm.host("h1", None);
    farm.host("h2", None);
    let mut one = One::new(farm);
    one.deploy(1, "box", 2);
    one.over_well(1);
    one.deploy(2, "box", 3);
    one.answer(&[("h1", ValidateService)]);
    one.pass(1_000);
    assert_eq!(one.end(&id(2)).status, DeploymentStatus::Failed);
    for host in ["h1", "h2"] {
        let told = &one.weights.as_ref().unwrap().weights;
        let of = |colour| {
            let weights = told.iter();
            let mut found =
                weights.filter(|weight| weight.host == host && weight.colour == Some(colour));
            found.next().unwrap().weight
        };
        assert_eq!((of(Colour::Blue), of(Colour::Green)), (WEIGHT_FULL, 0));
    }
    let group = one.engine.state().group(&name("box")).unwrap();
    assert_eq!(group.serves, Some(Colour::Blue));
    assert!(
        group.hosts.values().all(|host| host.is_healthy),
        "what serves is well"
    );
}

/// Settings of a group of containers that move at once.
fn boxes() -> serde_json::Value {
    serde_json::json!({
        "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        "x-croft": {"router": haproxy(), "containers": {"ports": {"blue": 81, "green": 82}}}})
}

/// A second release of containers that has all traffic; of the old ones that of `h1` is gone and that of `h2` is being stopped.
fn taking_down() -> One {
    let mut settings = boxes();
    settings["autoRollbackConfiguration"] = serde_json::json!({"enabled": true,
        "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"]});
    settings["x-croft"]["verdicts"] = serde_json::json!({});
    settings["x-croft"]["bakeMinutes"] = serde_json::json!(0);
    let farm = Farm::new();
    farm.group(group("box", settings));
    farm.host("h1", None);
    farm.host("h2", None);
    let mut one = One::new(farm);
    for (number, revision) in [(1, 2), (2, 3)] {
        one.deploy(number, "box", revision);
        for _ in 0..20 {
            one.see(number);
            let waits = |(host, event, _): &(String, LifecycleEvent, Report)| {
                host == "h2" && *event == ApplicationStop
            };
            while let Some(at) = one.commands.iter().position(|told| !waits(told)) {
                let (_, _, report) = one.commands.remove(at);
                one.input(Input::Report(report));
            }
            for (deployment, step) in std::mem::take(&mut one.routed) {
                one.input(Input::Routed(deployment, step));
            }
            one.pass(1_000);
        }
    }
    assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
    assert_eq!(one.status(2), None);
    assert!(!one.commands.is_empty(), "h2 stops its old container");
    one
}

#[test]
fn nothing_goes_back_to_containers_that_are_being_stopped() {
    let is_forward = |one: &One| {
        ["h1", "h2"].iter().all(|host| {
            one.weight(host, Side::New) == WEIGHT_FULL && one.weight(host, Side::Old) == 0
        })
    };
    let mut one = taking_down();
    let finding = Finding {
        by: "alarm 5xx".into(),
        message: "it fires".into(),
        evidence: serde_json::Value::Null,
    };
    one.input(Input::Advised(id(2), Advice::RollBack(Box::new(finding))));
    one.pass(3_000);
    assert_eq!(one.status(2), None, "nobody judges it any more");
    assert!(is_forward(&one));
    one.answer(&[]);
    one.pass(3_000);
    assert_eq!(one.status(2), Some(DeploymentStatus::Succeeded));

    let mut one = taking_down();
    let intents = roll_back(one.engine.state(), &name("box"), "me").unwrap();
    assert!(one.farm.intend(&intents));
    one.settle();
    one.pass(3_000);
    let end = one.end(&id(2));
    assert_eq!(
        (end.status, end.rollback),
        (DeploymentStatus::Succeeded, None)
    );
    let said = end.rollback_message.unwrap();
    assert!(said.contains("it is not taken back"), "{said}");
    assert!(is_forward(&one));
    let group = one.engine.state().group(&name("box")).unwrap();
    assert_eq!(group.target().unwrap().deployment, id(2));
    assert_eq!(group.serves, Some(Colour::Green));
}

#[test]
fn containers_that_have_not_begun_wait_while_it_is_held() {
    let mut settings = boxes();
    settings["x-croft"]["verdicts"] = serde_json::json!({});
    let farm = Farm::new();
    farm.group(group("box", settings));
    farm.host("h1", None);
    let mut one = One::new(farm);
    one.deploy(1, "box", 2);
    one.hold(1);
    one.pass(60_000);
    assert!(one.commands.is_empty(), "{:?}", one.commands);
    one.see(1);
    assert_eq!(one.commands.len(), 1);
}

#[test]
fn a_group_of_containers_without_ports_is_refused_when_its_turn_comes() {
    let farm = Farm::new();
    let mut settings = boxes();
    settings["x-croft"] = serde_json::json!({"router": haproxy()});
    farm.group(group("box", settings));
    farm.host("h1", None);
    let mut one = One::new(farm);
    let intents = admit(one.engine.state(), &id(1), asked("box", 2), "me").unwrap();
    one.farm.intend(&intents);
    one.settle();
    assert!(one.commands.is_empty());
    let is_said = one.farm.entries(Seq::ZERO).into_iter().any(|entry| {
        let text = String::from_utf8_lossy(entry.event().unwrap()).into_owned();
        text.contains("x-croft.containers: a host's two containers need a port each")
    });
    assert!(is_said);
}

#[test]
fn in_the_middle_of_a_shift_traffic_is_back_with_the_decision_itself() {
    let mut one = shifting();
    one.pass(3_000);
    one.weights = None;
    let finding = Finding {
        by: "canary".into(),
        message: "errors".into(),
        evidence: serde_json::Value::Null,
    };
    one.input(Input::Advised(id(2), Advice::RollBack(Box::new(finding))));
    assert_eq!(
        one.weight("h1", Side::New),
        WEIGHT_FULL,
        "what takes it back names the old side its new one"
    );
    let back = one.engine.state().deployment(&rollback_id(&id(2))).unwrap();
    let first = &back.plan.as_ref().unwrap().steps[0];
    assert!(matches!(
        first,
        croft_proto::deploy::Step::Shift { percent: 100, .. }
    ));
    one.routed.clear();
    one.pass(3_000);
    let (deployment, step) = one.routed.pop().unwrap();
    one.input(Input::Routed(deployment, step));
    one.pass(1_000);
    let told = one.answer(&[]);
    assert!(
        !told.iter().any(|(_, event)| *event == Install),
        "nothing is installed to go back"
    );
    one.pass(1_000);
    assert_eq!(
        one.end(&rollback_id(&id(2))).status,
        DeploymentStatus::Succeeded
    );
}

#[test]
fn traffic_waits_to_be_let_go_and_stops_when_nobody_does() {
    for is_let_go in [true, false] {
        let farm = Farm::new();
        farm.group(group("box", serde_json::json!({"deploymentConfigName": "CodeDeployDefault.ECSAllAtOnce",
            "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
            "blueGreenDeploymentConfiguration": {"deploymentReadyOption":
                {"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 5}},
            "x-croft": {"router": haproxy(), "containers": {"ports": {"blue": 81, "green": 82}}}})));
        farm.host("h1", None);
        let mut one = One::new(farm);
        one.deploy(1, "box", 2);
        one.answer(&[]);
        let deployment = one.engine.state().deployment(&id(1)).unwrap();
        assert_eq!(deployment.status(), DeploymentStatus::Ready);
        assert_eq!(deployment.overview().ready, 1);
        one.pass(200_000);
        if is_let_go {
            let say = |one: &One| go_on(one.engine.state(), &id(1), Watchers::LetGo, "me");
            let intents = say(&one).unwrap();
            assert!(one.farm.intend(&intents));
            one.settle();
            let again = say(&one).unwrap_err();
            assert!(matches!(again, Refusal::NotWaiting { .. }), "{again}");
            one.answer(&[]);
            let deployment = one.engine.state().deployment(&id(1)).unwrap();
            assert_eq!(deployment.traffic_percent, 100);
            assert_eq!(one.status(1), None);
        } else {
            one.pass(101_000);
            let end = one.end(&id(1));
            assert_eq!(end.status, DeploymentStatus::Stopped);
            let said = end.rollback_message.unwrap();
            assert!(said.contains("nothing to go back to"), "{said}");
        }
    }
}

/// Three hosts in place behind a balancer, all of them on a release that bakes.
fn baking() -> One {
    let mut one = One::with(serde_json::json!({
        "deploymentConfigName": "CodeDeployDefault.AllAtOnce",
        "deploymentStyle": {"deploymentOption": "WITH_TRAFFIC_CONTROL"},
        "x-croft": {"router": haproxy(), "bakeMinutes": 5}}));
    one.deploy(1, "web", 2);
    one.answer(&[]);
    one.pass(301_000);
    assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
    one.deploy(2, "web", 3);
    one.answer(&[]);
    one.pass(3_000);
    assert_eq!(one.weight("h1", Side::New), WEIGHT_FULL);
    one
}

#[test]
fn a_host_that_is_not_heard_loses_its_traffic_as_its_release_is_taken_back() {
    let mut one = baking();
    let intents = stop(one.engine.state(), &id(2), Then::AsTheGroupSays, "me").unwrap();
    assert!(one.farm.intend(&intents));
    one.settle();
    for host in ["h1", "h2", "h3"] {
        assert_eq!(one.weight(host, Side::New), 0, "{host}: at once");
    }
    // Two of them answer; the third is cut off, and its balancer is not.
    let away = |one: &mut One| one.commands.retain(|(host, ..)| host != "h1");
    for _ in 0..2 * LifecycleEvent::ALL.len() {
        away(&mut one);
        one.answer_one();
    }
    for seconds in [3, 30, 300] {
        one.pass(seconds * 1_000);
        away(&mut one);
        assert_eq!(one.weight("h1", Side::New), 0, "after {seconds} s more");
        assert_eq!(one.weight("h2", Side::New), WEIGHT_FULL);
    }
    // It has failed in the rollback by then, and comes back to be brought to its group's revision.
    one.pass(11_000);
    assert_eq!(one.weight("h1", Side::New), 0, "until it has the good one");
    let update = one.answer(&[]);
    assert!(update.contains(&("h1".into(), Install)), "{update:?}");
    one.pass(3_000);
    assert_eq!(one.weight("h1", Side::New), WEIGHT_FULL);
}

/// Nothing was done to them: what stands there stands as it did.
#[test]
fn hosts_of_a_rollback_that_is_stopped_before_it_touches_them_have_their_traffic_again() {
    let mut one = baking();
    let back = rollback_id(&id(2));
    let intents = stop(one.engine.state(), &id(2), Then::AsTheGroupSays, "me").unwrap();
    assert!(one.farm.intend(&intents));
    one.settle();
    assert_eq!(one.weight("h1", Side::New), 0);
    let intents = stop(one.engine.state(), &back, Then::AsTheGroupSays, "me").unwrap();
    assert!(one.farm.intend(&intents));
    one.settle();
    one.commands.clear();
    for _ in 0..12 {
        one.pass(3_000);
    }
    assert_eq!(one.weight("h1", Side::New), WEIGHT_FULL);
}
