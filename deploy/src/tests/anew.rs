//! Groups that are deleted and made again under their name: they have what their hosts have, and claim nothing else.

use croft_ledger::Subject;
use croft_proto::deploy::{AppEvent, Application, DeploymentStatus, GroupEvent, StartDeployment};
use serde_json::json;

use super::farm::{asked, group, id, name};
use super::one::One;
use crate::*;

fn delete(one: &mut One) {
    let subject = name("web").subject().unwrap();
    one.farm.say_after(subject, &GroupEvent::Deleted);
    one.settle();
}

/// Makes it again; under the id that it is to have, or another one.
fn make(one: &mut One, id: &str) {
    let settings = json!({"deploymentGroupId": id, "autoRollbackConfiguration": {"enabled": true,
        "events": ["DEPLOYMENT_FAILURE"]}});
    let event = GroupEvent::Applied(Box::new(group("web", settings)));
    one.farm.say_after(name("web").subject().unwrap(), &event);
    one.settle();
}

fn web(one: &One) -> &Group {
    one.engine.state().group(&name("web")).unwrap()
}

fn id_of(one: &One) -> Option<String> {
    one.engine.state().id_of(&name("web")).map(str::to_string)
}

/// What went well of it, by its revisions.
fn good(one: &One) -> Vec<String> {
    let good = web(one).good.iter();
    good.map(|good| good.asked.revision.digest.clone())
        .collect()
}

fn digest(revision: u64) -> String {
    format!("{revision:064x}")
}

/// Three hosts that have the second of two revisions.
fn deployed() -> One {
    let mut one = One::with(json!({}));
    for (number, revision) in [(1, 2), (2, 3)] {
        one.deploy(number, "web", revision);
        one.over_well(number);
    }
    one
}

#[test]
fn it_has_its_id_and_what_its_hosts_have_and_goes_on_with_its_generations() {
    let mut one = deployed();
    delete(&mut one);
    assert_eq!(good(&one), [digest(3)], "no host has another one");
    let again = id_of(&one).unwrap();
    make(&mut one, &again);
    // Nothing is deployed before somebody asks for it.
    one.pass(600_000);
    assert!(one.commands.is_empty() && web(&one).is_idle());
    let nothing = roll_back(one.engine.state(), &name("web"), "me");
    assert_eq!(nothing.unwrap_err(), Refusal::NothingGood);
    one.deploy(3, "web", 4);
    let plan = |one: &One| one.engine.state().deployment(&id(3)).unwrap().plan.clone();
    let plan = plan(&one).unwrap();
    assert_eq!((plan.generation, plan.deployment_group_id), (3, again));
    let before = plan.previous_revision.unwrap().digest;
    assert_eq!(before, digest(3));
    // And what fails goes back to what was there.
    one.fails(3);
    assert_eq!(one.status(3), Some(DeploymentStatus::Failed));
    for _ in 0..5 {
        one.answer(&[]);
        one.pass(1_000);
    }
    let back = one.end(&rollback_id(&id(3)));
    assert_eq!(back.status, DeploymentStatus::Succeeded);
}

#[test]
fn under_another_id_its_hosts_have_nothing_and_generations_go_on() {
    let mut one = deployed();
    delete(&mut one);
    make(&mut one, "another");
    let group = web(&one);
    assert!(group.good.is_empty() && group.hosts.is_empty() && group.installed.is_empty());
    one.deploy(3, "web", 4);
    let plan = one.engine.state().deployment(&id(3)).unwrap().plan.clone();
    assert_eq!(plan.unwrap().generation, 3);
    one.fails(3);
    let end = one.end(&id(3));
    assert_eq!((end.status, end.rollback), (DeploymentStatus::Failed, None));
    let why = end.rollback_message.unwrap();
    assert!(
        why.contains("no deployment of this group has gone well before"),
        "{why}"
    );
}

#[test]
fn after_a_month_it_begins_anew_under_its_id() {
    let mut one = deployed();
    delete(&mut one);
    let gone = web(&one);
    let at = one.farm.now();
    assert!(gone.may_go_back(at));
    let month_ms = 31 * 24 * 60 * 60 * 1000;
    one.pass(month_ms);
    assert!(!web(&one).may_go_back(one.farm.now()));
    let again = id_of(&one).unwrap();
    make(&mut one, &again);
    let group = web(&one);
    assert!(group.good.is_empty() && group.hosts.is_empty());
    assert!(group.may_go_back(one.farm.now()), "it is there again");
}

#[test]
fn of_a_group_that_is_gone_only_what_hosts_of_the_farm_have_is_remembered() {
    let mut one = deployed();
    let mut newest: StartDeployment = asked("web", 4);
    newest.own = serde_json::from_value(json!({"order": 500})).unwrap();
    let admitted = admit(one.engine.state(), &id(3), newest.clone(), "me").unwrap();
    assert!(one.farm.intend(&admitted));
    one.settle();
    // The first host comes to have it, and the rest does not.
    one.answer_next_host();
    let intents = stop(one.engine.state(), &id(3), Then::AsTheGroupSays, "me").unwrap();
    assert!(one.farm.intend(&intents));
    one.settle();
    for _ in 0..5 {
        one.answer(&[]);
        one.pass(1_000);
    }
    while !web(&one).is_idle() {
        one.pass(1_000);
        one.answer(&[]);
    }
    delete(&mut one);
    assert_eq!(good(&one), [digest(3)]);
    for host in ["h1", "h2", "h3"] {
        one.farm.revoke(host);
    }
    one.settle();
    assert!(good(&one).is_empty(), "nothing is known of them any more");
    let again = id_of(&one).unwrap();
    make(&mut one, &again);
    let mut first = newest;
    first.own = serde_json::from_value(json!({"order": 1})).unwrap();
    assert!(admit(one.engine.state(), &id(4), first, "me").is_ok());
}

#[test]
fn one_of_an_application_of_another_kind_is_another_group() {
    let mut one = deployed();
    delete(&mut one);
    let app = |one: &mut One, event: &AppEvent| {
        one.farm
            .say_after(Subject::of("app", "shop").unwrap(), event);
        one.settle();
    };
    let applied = |platform: &str| {
        let json = json!({"applicationName": "shop", "computePlatform": platform});
        let application: Application = serde_json::from_value(json).unwrap();
        AppEvent::Applied { application }
    };
    app(&mut one, &AppEvent::Deleted);
    app(&mut one, &applied("ECS"));
    assert_eq!(id_of(&one), None, "containers take up no files");
    app(&mut one, &AppEvent::Deleted);
    app(&mut one, &applied("Server"));
    assert_eq!(id_of(&one).as_deref(), Some("web"));
}
