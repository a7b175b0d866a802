//! Hosts that are not heard: they are begun last, and nobody who is there waits for them.

use std::collections::BTreeSet;

use croft_proto::deploy::{DeploymentStatus, LifecycleEvent, Side};

use super::farm::{Farm, group, id};
use super::one::One;
use crate::*;

fn silent(one: &mut One, hosts: &[&str]) {
    let hosts: BTreeSet<String> = hosts.iter().map(ToString::to_string).collect();
    one.input(Input::Silent(hosts));
}

/// Hosts in the order in which they were begun.
fn begun(told: &[(String, LifecycleEvent)]) -> Vec<&str> {
    let first = told
        .iter()
        .filter(|(_, event)| *event == LifecycleEvent::ApplicationStop);
    first.map(|(host, _)| host.as_str()).collect()
}

#[test]
fn a_rollback_one_at_a_time_does_not_keep_hosts_that_are_heard_waiting_for_one_that_is_not() {
    let mut one = One::with(serde_json::json!({"x-croft": {"bakeMinutes": 30}}));
    one.deploy(1, "web", 2);
    one.answer(&[]);
    one.pass(1_801_000);
    assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
    one.deploy(2, "web", 3);
    one.answer(&[]);
    // The first of the next one dies in the bake, and then all are to go back.
    silent(&mut one, &["h1"]);
    let intents = stop(one.engine.state(), &id(2), Then::GoBack, "me").unwrap();
    assert!(one.farm.intend(&intents));
    one.settle();
    let mut told = Vec::new();
    let heard = |one: &One| one.commands.iter().position(|(host, ..)| host != "h1");
    while let Some(at) = heard(&one) {
        let (host, event, report) = one.commands.remove(at);
        told.push((host, event));
        one.input(Input::Report(report));
    }
    assert_eq!(begun(&told), ["h2", "h3"]);
    let back = rollback_id(&id(2));
    let deployment = one.engine.state().deployment(&back).unwrap();
    let is_done = |host: &str| {
        let number = deployment.target(Side::New, host).unwrap();
        deployment.at(number).is_done
    };
    assert_eq!(["h1", "h2", "h3"].map(is_done), [false, true, true]);
    assert_eq!(one.commands[0].0, "h1", "now it is its turn");
    // Its ApplicationStop may fail, and its DownloadBundle may not.
    for _ in 0..2 {
        one.commands.clear();
        one.pass(301_000);
    }
    one.pass(1_000);
    assert_eq!(one.end(&back).status, DeploymentStatus::Succeeded);
}

#[test]
fn those_that_are_heard_go_first_whatever_failed_last() {
    let mut one = One::with(serde_json::json!({}));
    silent(&mut one, &["h1"]);
    one.deploy(1, "web", 2);
    let told = one.answer(&[]);
    assert_eq!(begun(&told), ["h2", "h3", "h1"]);
    one.pass(1_000);
    assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
}

#[test]
fn one_that_falls_silent_while_others_are_changed_goes_behind_them() {
    let mut one = One::with(serde_json::json!({}));
    one.deploy(1, "web", 2);
    let first = one.commands[0].0.clone();
    let others: Vec<&str> = ["h1", "h2", "h3"]
        .into_iter()
        .filter(|host| *host != first)
        .collect();
    silent(&mut one, &[others[0]]);
    let told = one.answer(&[]);
    assert_eq!(begun(&told), [first.as_str(), others[1], others[0]]);
    // Whoever is heard again is no longer the last.
    one.pass(1_000);
    silent(&mut one, &[]);
    one.deploy(2, "web", 3);
    let told = one.answer(&[]);
    assert_eq!(begun(&told).len(), 3);
}

#[test]
fn all_at_once_waits_for_nobody_and_room_is_kept_for_those_that_others_have() {
    let farm = Farm::new();
    farm.group(group(
        "web",
        serde_json::json!({"deploymentConfigName": "CodeDeployDefault.HalfAtATime"}),
    ));
    farm.group(group("tool", serde_json::json!({})));
    for host in ["h1", "h2", "h3", "h4"] {
        farm.host(host, None);
    }
    let mut one = One::new(farm);
    one.deploy(1, "tool", 2);
    let busy = one.commands[0].0.clone();
    let rest: Vec<&str> = ["h1", "h2", "h3", "h4"]
        .into_iter()
        .filter(|host| *host != busy)
        .collect();
    silent(&mut one, &[rest[1], rest[2]]);
    one.deploy(2, "web", 2);
    let of_web = |one: &One| -> Vec<String> {
        let of = one
            .commands
            .iter()
            .filter(|(_, _, report)| report.deployment == id(2));
        of.map(|(host, ..)| host.clone()).collect()
    };
    // Two may be changed at once: one that is heard is, and the other's place is kept.
    assert_eq!(of_web(&one), [rest[0]]);
    while one.status(2).is_none() {
        one.answer(&[]);
        one.pass(1_000);
    }
    assert_eq!(one.status(2), Some(DeploymentStatus::Succeeded));
    let mut all =
        One::with(serde_json::json!({"deploymentConfigName": "CodeDeployDefault.AllAtOnce"}));
    silent(&mut all, &["h1"]);
    all.deploy(1, "web", 2);
    assert_eq!(all.commands.len(), 3);
}

#[test]
fn one_that_is_silent_and_was_not_well_is_tried_when_no_other_may_begin() {
    let mut one = One::with(serde_json::json!({}));
    one.deploy(1, "web", 2);
    one.over_well(1);
    // As many are well as must be, so only this one may begin: it may bring back what the others wait for.
    one.farm.revoke("h1");
    one.farm.enrol_again("h1");
    one.settle();
    silent(&mut one, &["h1"]);
    one.deploy(2, "web", 3);
    let told = one.answer(&[]);
    assert_eq!(begun(&told), ["h1", "h2", "h3"]);
}
