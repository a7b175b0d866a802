//! A broker of three servers whose leader is killed: no running build notices.

use crate::harness::rig::{Rig, commands, http, in_size};

in_size!(large LARGE, |plan| plan.cluster().slots("25");
    no_attempt_is_lost_with_the_brokers_leader,
);

const BUILDS: usize = 50;
const NAP: u32 = 20;

fn no_attempt_is_lost_with_the_brokers_leader(rig: &mut Rig) {
    let nap = format!("sleep {}", rig.seconds(NAP));
    let source = rig.source("many", &commands(&[&nap]));
    let mut ids = vec![rig.detach(&source, &[])];
    let start =
        serde_json::json!({"projectName": "many", "x-croft": {"tree": tree_of(rig, &ids[0])}});
    ids.extend((1..BUILDS).map(|_| rig.start_build(&start)));
    rig.until_sleeping(NAP, BUILDS / 2);
    let leader = leader(rig);
    rig.cluster.as_mut().unwrap().server(&leader).kill();
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

/// The server that leads the ledger's stream: the only one on disk.
fn leader(rig: &Rig) -> String {
    let monitoring = rig.cluster.as_ref().unwrap().monitoring();
    let at = monitoring[0].trim_start_matches("http://");
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
    ledger["cluster"]["leader"].as_str().unwrap().to_string()
}
