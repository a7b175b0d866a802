//! Hosts that are cut off from their farm while a release is taken back elsewhere, and come back with it. Their balancer reaches them all the
//! time, so nothing but the farm keeps the bad release from being asked.
//!
//! `CROFT_AWAY_SECONDS=330` cuts them off for longer than their farm waits for them.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::balanced::{Balanced, free_port};
use super::deploy::{Fleet, alert, served};
use crate::harness::eventually;
use crate::harness::rig::{Cable, Rig, each_size};

each_size!(small large |plan| plan;
    a_host_that_stands_still_with_a_bad_release_gets_no_traffic_until_it_has_the_good_one,
    a_host_whose_cable_is_pulled_with_a_bad_release_gets_no_traffic_until_it_has_the_good_one,
);

/// For so long something is cut off: `CROFT_AWAY_SECONDS`, or as long as a test among others may.
pub(super) fn away(usual: Duration) -> Duration {
    let seconds = std::env::var("CROFT_AWAY_SECONDS");
    seconds.map_or(usual, |text| Duration::from_secs(text.parse().unwrap()))
}

/// What the balancer answers to so many requests.
fn answers(balanced: &Balanced, count: usize) -> BTreeMap<String, u32> {
    let mut seen = BTreeMap::new();
    for _ in 0..count {
        let page = balanced.page().unwrap_or("nothing".into());
        *seen.entry(page.trim().to_string()).or_default() += 1;
    }
    seen
}

/// As in a machine that is suspended.
fn a_host_that_stands_still_with_a_bad_release_gets_no_traffic_until_it_has_the_good_one(
    rig: &mut Rig,
) {
    cut_off(rig, None);
}

/// Its agent goes on, and hears nothing.
fn a_host_whose_cable_is_pulled_with_a_bad_release_gets_no_traffic_until_it_has_the_good_one(
    rig: &mut Rig,
) {
    let cable = Cable::to(&rig.addresses[0]);
    cut_off(rig, Some(&cable));
}

fn cut_off(rig: &mut Rig, cable: Option<&Cable>) {
    let ports = [("web-1", free_port()), ("web-2", free_port())];
    let Some(balanced) = Balanced::start(rig.folder(), &ports) else {
        return;
    };
    let (good, bad) = (served(rig, "good", "true"), served(rig, "bad", "true"));
    let router = json!({"type": "haproxy", "socket": balanced.socket, "backend": "web"});
    let more = json!({
        "deploymentConfigName": "CodeDeployDefault.AllAtOnce",
        "deploymentStyle": {"deploymentType": "IN_PLACE", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        "alarmConfiguration": {"enabled": true, "alarms": [{"name": "TooManyErrors"}]},
        "x-croft": {"bakeMinutes": 0, "router": router}});
    let mut fleet = Fleet::start_with(rig, more, &ports[1..]);
    let (host, port) = ports[0];
    match cable {
        Some(cable) => fleet.add_over(cable, host, port),
        None => fleet.add_with(host, port, &[]),
    }
    let agent = &fleet.agents[1];
    let first = fleet.over(&fleet.deploy(&good));
    assert_eq!(first["status"], "Succeeded", "{first:#}");
    let id = fleet.deploy_with(&bad, &json!({"x-croft": {"bakeMinutes": 30}}));
    eventually("it bakes", || fleet.info(&id)["status"] == "Baking");
    assert_eq!(answers(&balanced, 20).keys().collect::<Vec<_>>(), ["bad"]);

    match cable {
        Some(cable) => cable.pull(),
        None => agent.signal(Signal::STOP),
    }
    alert(&fleet, "TooManyErrors");
    let info = fleet.over(&id);
    assert_eq!(info["status"], "Stopped", "{info:#}");
    eventually("the other one has the good release, and traffic", || {
        balanced.page().is_some_and(|page| page.trim() == "good")
    });
    assert_eq!(balanced.weights()["web-1"], 0);
    let cut_off = Instant::now();
    let until = away(Duration::from_secs(6));
    while cut_off.elapsed() < until {
        let seen = answers(&balanced, 20);
        assert_eq!(seen.keys().collect::<Vec<_>>(), ["good"], "{seen:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    let page = fleet.root("web-1").join("www/page");
    let stands = || std::fs::read_to_string(&page).unwrap();
    assert_eq!(stands().trim(), "bad", "it stands there still");

    match cable {
        Some(cable) => cable.plug_in(),
        None => agent.signal(Signal::CONT),
    }
    eventually("it has traffic again", || {
        let seen = answers(&balanced, 5);
        assert_eq!(seen.keys().collect::<Vec<_>>(), ["good"], "{seen:?}");
        balanced.weights()["web-1"] > 0
    });
    assert_eq!(stands().trim(), "good");
    let back = fleet.taken_back(&info);
    assert_eq!(back["status"], "Succeeded", "{back:#}");
    let seen = answers(&balanced, 40);
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["good"], "{seen:?}");
    for (host, _) in ports {
        let pid = std::fs::read_to_string(fleet.root(host).join("pid")).unwrap();
        let killed = Command::new("kill").arg(pid.trim()).status().unwrap();
        assert!(killed.success());
    }
}
