//! Hosts that come back, or are let in again, and what is done about what they have.

use croft_ledger::Seq;
use croft_proto::deploy::{Creator, DeploymentStatus, LifecycleEvent, RevisionHealth, Side};

use super::farm::{asked, haproxy, id, name};
use super::one::One;
use crate::*;

/// A host says what it has of the group `web`: the revision of that number, or nothing.
fn returned(host: &str, revision: Option<u64>) -> Input<'static> {
    Input::Returned {
        host: host.into(),
        group: name("web"),
        digest: revision.map(|revision| format!("{revision:064x}")),
    }
}

#[test]
fn a_host_that_comes_back_with_another_revision_is_closed_and_brought_to_its_groups() {
    let mut one = One::with(serde_json::json!({
        "deploymentStyle": {"deploymentOption": "WITH_TRAFFIC_CONTROL"}, "x-croft": {"router": haproxy()}}));
    one.deploy(1, "web", 2);
    one.answer(&[]);
    one.pass(3_000);
    one.input(returned("h2", Some(2)));
    one.pass(3_000);
    assert_eq!(one.weight("h2", Side::New), WEIGHT_FULL);
    one.input(returned("h2", Some(7)));
    assert!(one.commands.is_empty());
    one.pass(3_000);
    assert_eq!(one.weight("h2", Side::New), 0);
    let told = one.answer(&[]);
    assert!(told.iter().all(|(host, _)| host == "h2") && !told.is_empty());
    one.pass(3_000);
    assert_eq!(one.weight("h2", Side::New), WEIGHT_FULL);
    let group = one.engine.state().group(&name("web")).unwrap();
    let update = one
        .engine
        .state()
        .deployment(group.ended.as_ref().unwrap())
        .unwrap();
    assert_eq!(update.accepted.creator, Creator::AutoUpdate);
}

#[test]
fn a_host_that_came_back_while_a_deployment_ran_is_looked_at_when_that_is_over() {
    let mut one = One::with(serde_json::json!({"x-croft": {"bakeMinutes": 1}}));
    one.deploy(1, "web", 2);
    one.answer(&[]);
    assert_eq!(one.status(1), None, "it bakes");
    one.input(returned("h2", None));
    let standing = |one: &One| {
        let group = one.engine.state().group(&name("web")).unwrap();
        group.hosts.get("h2").map(|standing| standing.revision)
    };
    one.pass(70_000);
    assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
    one.pass(1_000);
    assert_eq!(standing(&one), Some(RevisionHealth::Unknown));
    one.pass(6_000);
    let told = one.answer(&[]);
    assert!(told.iter().all(|(host, _)| host == "h2") && !told.is_empty());
    one.pass(70_000);
    assert_eq!(standing(&one), Some(RevisionHealth::Current));
}

#[test]
fn a_host_that_was_revoked_is_closed_and_who_comes_by_its_name_has_nothing() {
    let mut one = One::with(serde_json::json!({
        "deploymentStyle": {"deploymentOption": "WITH_TRAFFIC_CONTROL"}, "x-croft": {"router": haproxy()}}));
    one.deploy(1, "web", 2);
    one.answer(&[]);
    one.pass(3_000);
    assert_eq!(one.weight("h2", Side::New), WEIGHT_FULL);
    one.farm.revoke("h2");
    one.settle();
    one.pass(3_000);
    assert_eq!(one.weight("h2", Side::New), 0);
    assert_eq!(one.weight("h1", Side::New), WEIGHT_FULL);
    one.farm.enrol_again("h2");
    one.settle();
    one.input(returned("h2", None));
    one.pass(3_000);
    assert_eq!(one.weight("h2", Side::New), 0, "nothing is installed there");
    one.pass(7_000);
    let told = one.answer(&[]);
    assert!(told.iter().all(|(host, _)| host == "h2") && !told.is_empty());
    one.pass(3_000);
    assert_eq!(one.weight("h2", Side::New), WEIGHT_FULL);
}

#[test]
fn a_host_that_is_let_in_again_with_what_it_had_is_not_deployed_to() {
    let mut one = One::with(serde_json::json!({
        "deploymentStyle": {"deploymentOption": "WITH_TRAFFIC_CONTROL"}, "x-croft": {"router": haproxy()}}));
    one.deploy(1, "web", 2);
    one.answer(&[]);
    one.pass(3_000);
    one.farm.revoke("h2");
    one.settle();
    one.pass(60_000);
    one.farm.enrol_again("h2");
    one.settle();
    // The tick may come before the host does.
    one.pass(1_000);
    assert_eq!(
        one.weight("h2", Side::New),
        0,
        "nobody knows yet what it has"
    );
    one.input(returned("h2", Some(2)));
    one.pass(3_000);
    assert_eq!(one.weight("h2", Side::New), WEIGHT_FULL);
    one.pass(60_000);
    assert!(one.commands.is_empty(), "{:?}", one.commands);
    let group = one.engine.state().group(&name("web")).unwrap();
    assert_eq!(group.ended, Some(id(1)), "nothing was deployed since");
    assert!(group.left_well.is_empty());
}

#[test]
fn a_host_that_failed_before_it_was_revoked_is_deployed_to_when_it_is_let_in_again() {
    let mut one = One::with(serde_json::json!({"outdatedInstancesStrategy": "UPDATE",
        "deploymentConfigName": "CodeDeployDefault.AllAtOnce"}));
    one.deploy(1, "web", 2);
    one.answer(&[("h2", LifecycleEvent::ValidateService)]);
    assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
    one.farm.revoke("h2");
    one.settle();
    one.farm.enrol_again("h2");
    one.settle();
    // All of it is installed there, and it does not work.
    one.input(returned("h2", Some(2)));
    one.pass(6_000);
    let told = one.answer(&[]);
    assert!(told.iter().all(|(host, _)| host == "h2") && !told.is_empty());
}

#[test]
fn a_deployment_that_found_no_hosts_leaves_the_automatic_update_to_the_last_that_did() {
    let mut one = One::with(serde_json::json!({}));
    one.deploy(1, "web", 2);
    one.answer(&[]);
    one.pass(3_000);
    for host in ["h1", "h2", "h3"] {
        one.farm.revoke(host);
    }
    one.settle();
    let intents = admit(one.engine.state(), &id(2), asked("web", 3), "me").unwrap();
    one.farm.intend(&intents);
    one.settle();
    let ended = one.farm.entries(Seq::ZERO).into_iter().any(|entry| {
        let text = String::from_utf8_lossy(entry.event().unwrap()).into_owned();
        text.contains("NO_INSTANCES")
    });
    assert!(ended);
    one.farm.enrol_again("h2");
    one.settle();
    one.input(returned("h2", None));
    one.pass(11_000);
    let told = one.answer(&[]);
    assert!(told.iter().all(|(host, _)| host == "h2") && !told.is_empty());
    let group = one.engine.state().group(&name("web")).unwrap();
    let good = group.target().unwrap();
    assert_eq!(good.asked.revision.digest, format!("{:064x}", 2));
}

/// A group whose host `h2` came back without what it had, and whose automatic update failed.
fn with_an_update_that_failed(deployments: &[(u64, u64)]) -> One {
    let mut one = One::with(serde_json::json!({}));
    for (number, revision) in deployments {
        one.deploy(*number, "web", *revision);
        one.over_well(*number);
    }
    one.input(returned("h2", None));
    one.pass(6_000);
    let told = one.answer(&[("h2", LifecycleEvent::ApplicationStart)]);
    assert!(told.iter().all(|(host, _)| host == "h2") && !told.is_empty());
    let state = one.engine.state();
    let ended = state.group(&name("web")).unwrap().ended.clone().unwrap();
    let ended = state.deployment(&ended).unwrap();
    assert_eq!(ended.accepted.creator, Creator::AutoUpdate);
    assert_eq!(ended.end.as_ref().unwrap().status, DeploymentStatus::Failed);
    one
}

#[test]
fn after_an_update_that_failed_going_back_leads_to_another_revision_or_says_that_there_is_none() {
    let one = with_an_update_that_failed(&[(1, 2), (2, 3)]);
    let intents = roll_back(one.engine.state(), &name("web"), "me").unwrap();
    assert!(one.farm.intend(&intents));
    let asked = format!("{:064x}", 2);
    let accepted = intents.iter().any(|intent| {
        let event = intent.append().unwrap().event;
        String::from_utf8_lossy(&event).contains(&asked)
    });
    assert!(accepted, "{intents:?}");
    let one = with_an_update_that_failed(&[(1, 2)]);
    let refusal = roll_back(one.engine.state(), &name("web"), "me").unwrap_err();
    assert_eq!(refusal, Refusal::NothingGood);
    assert!(
        refusal
            .to_string()
            .starts_with("there is nothing to go back to")
    );
}
