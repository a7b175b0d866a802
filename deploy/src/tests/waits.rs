//! What a deployment is said to wait for.

use croft_proto::Timestamp;
use croft_proto::deploy::{EventStatus, LifecycleEvent, Wait, WaitKind};

use super::farm::{haproxy, id, name};
use super::one::One;
use crate::waits::{Knows, Silence, waits};
use crate::*;

/// What is said of a deployment by a server that does not hear those hosts, and heard them last a minute ago.
fn said(one: &One, number: u64, silent: &[&str], held_ms: Option<u64>) -> Vec<Wait> {
    let now = one.farm.now();
    let last = Timestamp::from_millis(now.millis() - 60_000);
    let state = one.engine.state();
    let knows = Knows {
        now,
        silence: &|host| match silent.contains(&host) {
            true => Silence::Since(Some(last)),
            false => Silence::None,
        },
        hears_since: Timestamp::default(),
        balancer: Vec::new(),
        watchers: Vec::new(),
        is_held: held_ms.is_some(),
        held_ms: held_ms.unwrap_or_default(),
        is_routed: false,
    };
    waits(state, state.deployment(&id(number)).unwrap(), knows)
}

fn kinds(said: &[Wait]) -> Vec<WaitKind> {
    said.iter().map(|wait| wait.kind).collect()
}

#[test]
fn a_host_that_is_not_heard_is_named_with_since_when_and_when_its_event_fails() {
    let mut one = One::with(serde_json::json!({}));
    one.deploy(1, "web", 2);
    one.pass(5_000);
    let at_first = said(&one, 1, &[], None);
    assert_eq!(
        kinds(&at_first),
        [WaitKind::HealthyHosts, WaitKind::Event],
        "it may begin any moment"
    );
    assert_eq!(at_first[0].names, ["h1"]);
    let rule = "2 hosts to begin: 2 of 3 hosts must stay healthy and 2 are, 1 of at most 1 are being changed";
    assert_eq!(at_first[0].message, rule);
    one.pass(10_000);
    let silent = said(&one, 1, &["h1", "h2"], None);
    assert_eq!(
        kinds(&silent),
        [WaitKind::Host, WaitKind::Host, WaitKind::HealthyHosts]
    );
    let began = one
        .engine
        .state()
        .deployment(&id(1))
        .unwrap()
        .began
        .unwrap();
    let (now, first) = (one.farm.now(), &silent[0]);
    assert!(
        first
            .message
            .starts_with("h1 is to run ApplicationStop, and is not heard"),
        "{first:?}"
    );
    assert_eq!(
        first.since,
        Some(Timestamp::from_millis(now.millis() - 60_000))
    );
    assert_eq!(
        first.until,
        Some(Timestamp::from_millis(began.millis() + 300_000))
    );
    assert!(first.then.as_ref().unwrap().contains("the host with it"));
    assert!(
        silent[1].message.ends_with("it is begun last"),
        "{silent:?}"
    );
    let asks = said(&one, 1, &[], None);
    assert!(
        asks[0].message.contains("although its agent asks"),
        "{asks:?}"
    );
    // In the middle of an event as well.
    let (_, _, mut report) = one.commands.remove(0);
    report.said = Said::Started;
    one.input(Input::Report(report));
    let running = said(&one, 1, &["h1"], None);
    assert!(
        running[0]
            .message
            .starts_with("h1 runs ApplicationStop, and is not heard")
    );
    let heard = said(&one, 1, &[], None);
    assert_eq!(heard.last().unwrap().message, "ApplicationStop on h1");
    one.farm.revoke("h1");
    one.settle();
    let revoked = said(&one, 1, &[], None);
    assert!(
        revoked[0].message.ends_with("has been revoked"),
        "{revoked:?}"
    );
}

#[test]
fn the_next_host_begins_when_the_one_before_has_gone_well() {
    let mut one = One::with(serde_json::json!({}));
    one.deploy(1, "web", 2);
    let then = said(&one, 1, &[], None)[0].then.clone();
    assert_eq!(
        then.as_deref(),
        Some(
            "the next begins when h1 has gone well; if it fails no other may, and the deployment fails"
        )
    );
}

/// Two hosts are not well, and both fail again: what would do for the third to begin is told each time.
#[test]
fn who_begins_next_is_told_as_it_is_when_hosts_fail() {
    let mut one = One::with(serde_json::json!({
        "deploymentConfigName": "CodeDeployDefault.AllAtOnce", "outdatedInstancesStrategy": "IGNORE"}));
    one.deploy(1, "web", 2);
    let event = LifecycleEvent::ApplicationStart;
    one.answer(&[("h2", event), ("h3", event)]);
    one.over_well(1);
    let mut asked = super::farm::asked("web", 3);
    asked.deployment_config_name = Some("CodeDeployDefault.OneAtATime".into());
    let intents = admit(one.engine.state(), &id(2), asked, "me").unwrap();
    assert!(one.farm.intend(&intents));
    one.settle();
    let then = |one: &One| {
        let said = said(one, 2, &[], None);
        let mut of_health = said.into_iter();
        let of_health = of_health.find(|wait| wait.kind == WaitKind::HealthyHosts);
        of_health.and_then(|wait| wait.then).unwrap_or_default()
    };
    assert_eq!(then(&one), "the next begins when h2 is done, well or not");
    let (_, _, mut report) = one.commands.remove(0);
    report.event = LifecycleEvent::ApplicationStop;
    report.said = Said::Ended(EventStatus::Failed, None);
    one.input(Input::Report(report));
    assert_eq!(
        then(&one),
        "no further host may begin, however it ends on h3: too few are healthy, and the deployment fails then"
    );
}

#[test]
fn a_bake_ends_at_a_moment_and_stands_still_while_it_is_held() {
    let mut one = One::with(serde_json::json!({"x-croft": {"bakeMinutes": 10}}));
    one.deploy(1, "web", 2);
    one.answer(&[]);
    let since = one.farm.now().millis();
    one.pass(60_000);
    let bakes = said(&one, 1, &["h2"], None);
    assert_eq!(
        kinds(&bakes),
        [WaitKind::Host, WaitKind::Time],
        "who is silent is told of"
    );
    assert_eq!(
        bakes[1].until,
        Some(Timestamp::from_millis(since + 600_000))
    );
    let held = said(&one, 1, &[], Some(20_000));
    assert_eq!((held[0].until, held[0].remaining_ms), (None, Some(560_000)));
}

#[test]
fn one_that_waits_for_its_turn_names_who_has_it() {
    let mut one = One::with(serde_json::json!({"x-croft": {"busy": "QUEUE"}}));
    for number in 1..=3 {
        one.deploy(number, "web", number);
    }
    let second = said(&one, 2, &[], None);
    assert_eq!(second[0].names, [id(1).as_str()]);
    let third = said(&one, 3, &[], None);
    assert_eq!(kinds(&third), [WaitKind::Turn]);
    assert_eq!(third[0].names, [id(1).as_str(), id(2).as_str()]);
    assert!(said(&one, 1, &[], None).len() == 2);
}

#[test]
fn containers_wait_for_somebody_and_then_for_their_balancer() {
    let farm = super::farm::Farm::new();
    farm.group(super::farm::group(
        "box",
        serde_json::json!({
            "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
            "blueGreenDeploymentConfiguration": {"deploymentReadyOption":
                {"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 3}},
            "x-croft": {"router": haproxy(), "containers": {"ports": {"blue": 81, "green": 82}}}}),
    ));
    farm.host("h1", None);
    let mut one = One::new(farm);
    one.deploy(1, "box", 2);
    one.answer(&[]);
    let ready = said(&one, 1, &[], None);
    assert_eq!(kinds(&ready), [WaitKind::Approval]);
    assert!(
        ready[0]
            .then
            .as_ref()
            .unwrap()
            .contains("croft deployment continue")
    );
    assert!(ready[0].until.is_some());
    let intents = go_on(one.engine.state(), &id(1), Watchers::LetGo, "me").unwrap();
    assert!(one.farm.intend(&intents));
    one.settle();
    one.answer(&[]);
    let shifts = said(&one, 1, &[], None);
    assert_eq!(kinds(&shifts), [WaitKind::Balancer], "{shifts:?}");
}

#[test]
fn what_is_stopped_says_what_it_leaves_where_and_how_to_go_back() {
    let mut one = One::with(serde_json::json!({"autoRollbackConfiguration": {"enabled": false}}));
    one.deploy(1, "web", 2);
    one.over_well(1);
    one.deploy(2, "web", 3);
    // One has it, and one is in the middle of it.
    let first = one.answer_next_host();
    let second = one.commands[0].0.clone();
    while one.commands[0].1 != LifecycleEvent::AfterInstall {
        one.answer_one();
    }
    let intents = stop(one.engine.state(), &id(2), Then::AsTheGroupSays, "me").unwrap();
    assert!(one.farm.intend(&intents));
    one.settle();
    let info = one.engine.state().deployment(&id(2)).unwrap().info();
    let left = info.own.left.unwrap();
    assert_eq!(
        (&left.done, &left.between),
        (&vec![first.clone()], &vec![second.clone()])
    );
    assert_eq!(
        left.message,
        format!(
            "it leaves {first} with the revision of this deployment; {second} in the middle of it, so it may not serve"
        )
    );
    assert!(
        left.advice
            .starts_with("croft deployment rollback shop web brings them to"),
        "{}",
        left.advice
    );
    // Each host tells what it has, and who brought it.
    let group = one.engine.state().group(&name("web")).unwrap();
    let by = |host: &str| group.installed[host].deployment.clone();
    assert_eq!([by(&first), by(&second)], [id(2), id(2)]);
    let third = ["h1", "h2", "h3"]
        .into_iter()
        .find(|host| ![&first, &second].contains(&&(*host).to_string()));
    assert_eq!(by(third.unwrap()), id(1));
    assert_eq!(
        one.engine
            .state()
            .deployment(&id(1))
            .map(|one| one.info().own.left),
        None
    );
    let again = stop(one.engine.state(), &id(2), Then::AsTheGroupSays, "me").unwrap_err();
    let said = again.to_string();
    assert!(
        said.contains("is over: Stopped since 2027-01-15T0"),
        "{said}"
    );
}

/// Going back leads past the revision that went well last when it was that which was deployed.
#[test]
fn what_went_well_last_and_did_not_this_time_is_to_be_deployed_again() {
    let mut one = One::with(serde_json::json!({}));
    one.deploy(1, "web", 2);
    one.over_well(1);
    one.deploy(2, "web", 2);
    while one.commands[0].1 != LifecycleEvent::AfterInstall {
        one.answer_one();
    }
    let intents = stop(one.engine.state(), &id(2), Then::AsTheGroupSays, "me").unwrap();
    assert!(one.farm.intend(&intents));
    one.settle();
    let info = one.engine.state().deployment(&id(2)).unwrap().info();
    let advice = info.own.left.unwrap().advice;
    let command = format!("croft deploy shop web --revision {:064x} ", 2);
    assert!(advice.contains(&command), "{advice}");
}
