//! Hosts that come to a farm and leave it.

use serde_json::json;

use super::deploy::Fleet;
use crate::harness::rig::{Rig, in_size};

in_size!(hosts SMALL, |plan| plan;
    the_agent_of_a_host_that_is_revoked_says_what_to_do_and_ends,
);

fn the_agent_of_a_host_that_is_revoked_says_what_to_do_and_ends(rig: &mut Rig) {
    let mut fleet = Fleet::start_with(rig, json!({}), &[("web-1", 0)]);
    let again = fleet.rig.ran(&["host", "invite", "web-1"]);
    let said = &again.stderr;
    assert!(said.contains("web-1 belongs to the farm already"), "{said}");
    fleet.rig.told(&["host", "revoke", "web-1"]);
    // It waits at its server for what is to be done, and is told at once.
    let agent = &mut fleet.agents[0];
    assert_eq!(agent.ended().code(), Some(5), "{}", agent.log());
    let told = |log: &str| log.matches("`croft host invite web-1`").count();
    let log = agent.log();
    assert!(told(&log) == 1 && log.contains("--invitation"), "{log}");
    // A service manager that starts it all the same is told the same.
    agent.start();
    assert_eq!(agent.ended().code(), Some(5), "{}", agent.log());
    assert_eq!(told(&agent.log()), 2, "{}", agent.log());
    // It is let in again as anybody is.
    let token = fleet.rig.told(&["host", "invite", "web-1"]);
    let server = format!("http://{}", fleet.rig.addresses[0]);
    let agent = &mut fleet.agents[0];
    let words = ["agent", "--server", &server, "--invitation", token.trim()];
    *agent.words() = words.map(str::to_string).to_vec();
    agent.start();
    agent.says("host web-1 of ");
}
