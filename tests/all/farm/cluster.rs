//! A broker of three servers whose leader is killed, or cut off: no running build notices.

use crate::harness::eventually;
use crate::harness::rig::{Rig, commands, http, in_size};

in_size!(large LARGE, |plan| plan.broker(crate::harness::rig::Broker::Cluster).slots("25");
    no_attempt_is_lost_with_the_brokers_leader,
);

in_size!(parted LARGE, |plan| plan.broker(crate::harness::rig::Broker::ClusterOnHosts).slots("8");
    no_attempt_is_lost_when_the_brokers_leader_is_cut_off,
);

/// In the order of the cluster's.
const SERVERS: [&str; 3] = ["one", "two", "three"];
const BUILDS: usize = 50;
const NAP: u32 = 20;
/// All of them run before the first is over.
const LONG_NAP: u32 = 45;

fn no_attempt_is_lost_with_the_brokers_leader(rig: &mut Rig) {
    let nap = format!("sleep {}", rig.seconds(LONG_NAP));
    let source = rig.source("many", &commands(&[&nap]));
    let mut ids = vec![rig.detach(&source, &[])];
    let start =
        serde_json::json!({"projectName": "many", "x-croft": {"tree": tree_of(rig, &ids[0])}});
    ids.extend((1..BUILDS).map(|_| rig.start_build(&start)));
    rig.until_sleeping(LONG_NAP, BUILDS);
    let leader = leader(rig, 0);
    rig.cluster.as_mut().unwrap().server(&leader).kill();
    for id in &ids {
        rig.over_as(id, "SUCCEEDED", 1);
    }
    rig.assert_nothing_left();
}

/// It runs on meanwhile, thinks for some seconds that it leads, and comes back with what it knew.
fn no_attempt_is_lost_when_the_brokers_leader_is_cut_off(rig: &mut Rig) {
    let nap = format!("sleep {}", rig.seconds(NAP));
    let source = rig.source("many", &commands(&[&nap]));
    let mut ids: Vec<String> = (0..4).map(|_| rig.detach(&source, &[])).collect();
    rig.until_sleeping(NAP, ids.len());
    let cut_off = leader(rig, 0);
    rig.cluster.as_ref().unwrap().cut_off(&cut_off);
    let others = SERVERS.iter().position(|name| *name != cut_off).unwrap();
    eventually("another leads", || {
        let leader = leader(rig, others);
        !leader.is_empty() && leader != cut_off
    });
    // What is submitted meanwhile is as durable as ever.
    ids.push(rig.detach(&rig.source("quick", &commands(&["true"])), &[]));
    rig.over_as(ids.last().unwrap(), "SUCCEEDED", 1);
    let cluster = rig.cluster.as_mut().unwrap();
    cluster.reconnect(&cut_off);
    cluster.wait_until_whole();
    ids.push(rig.detach(&rig.source("quick", &commands(&["true"])), &[]));
    for id in &ids {
        rig.over_as(id, "SUCCEEDED", 1);
    }
    rig.assert_nothing_left();
}

/// The source of a build that was submitted.
fn tree_of(rig: &Rig, id: &str) -> String {
    let build = rig.build(id);
    let tree = &build["source"]["x-croft"]["tree"];
    tree.as_str()
        .unwrap_or_else(|| panic!("{build:#}"))
        .to_string()
}

/// The server that leads the ledger's stream, the only one on disk, as one of them has it; empty while there is none.
fn leader(rig: &Rig, asked: usize) -> String {
    let monitoring = rig.cluster.as_ref().unwrap().monitoring();
    let at = monitoring[asked].trim_start_matches("http://");
    let page = http::ask(at, "GET", "/jsz?streams=1&config=1", &[], b"")
        .unwrap()
        .json();
    let accounts = page["account_details"].as_array().unwrap();
    let mut streams = accounts
        .iter()
        .flat_map(|account| account["stream_detail"].as_array().unwrap());
    let ledger = streams
        .find(|stream| stream["config"]["storage"] == "file")
        .unwrap();
    let leader = ledger["cluster"]["leader"].as_str();
    leader.unwrap_or_default().to_string()
}
