//! Hosts that come to a farm and leave it.

use serde_json::json;

use super::deploy::{Fleet, scripts};
use crate::harness::eventually;
use crate::harness::rig::{Rig, in_size};

in_size!(hosts SMALL, |plan| plan;
    the_agent_of_a_host_that_is_revoked_says_what_to_do_and_ends,
    a_host_that_is_let_in_again_keeps_what_it_has,
    a_host_has_one_agent,
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
    let_in_again(&mut fleet);
}

fn a_host_has_one_agent(rig: &mut Rig) {
    let fleet = Fleet::start_with(rig, json!({}), &[("web-1", 0)]);
    let home = fleet.agents[0].home();
    let second = fleet.rig.croft(&["agent"]).env("CROFT_HOME", home).output();
    let second = second.unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(5), "{said}");
    assert!(said.contains("another croft agent works with"), "{said}");
    let group = fleet.rig.get("/v1/applications/shop/groups/web");
    assert_eq!(group["deploymentGroupInfo"]["x-croft-state"]["hosts"], 1);
}

/// The first host comes once more, with a new invitation and what is left on its disk.
fn let_in_again(fleet: &mut Fleet<'_>) {
    let token = fleet.rig.told(&["host", "invite", "web-1", "role=web"]);
    let server = format!("http://{}", fleet.rig.addresses[0]);
    let agent = &mut fleet.agents[0];
    let words = ["agent", "--server", &server, "--invitation", token.trim()];
    *agent.words() = words.map(str::to_string).to_vec();
    agent.start();
    agent.says("host web-1 of ");
}

fn a_host_that_is_let_in_again_keeps_what_it_has(rig: &mut Rig) {
    let mut fleet = Fleet::start_with(rig, json!({}), &[("web-1", 0)]);
    let good = scripts(fleet.rig, "good", "exit 0");
    let deployed = fleet.deploy(&good);
    assert_eq!(fleet.over(&deployed)["status"], "Succeeded");
    let group = |fleet: &Fleet<'_>| {
        fleet.rig.get("/v1/applications/shop/groups/web")["deploymentGroupInfo"].clone()
    };
    let healthy = |fleet: &Fleet<'_>| group(fleet)["x-croft-state"]["hostsHealthy"].clone();
    assert_eq!(healthy(&fleet), 1);
    fleet.rig.told(&["host", "revoke", "web-1"]);
    assert_eq!(fleet.agents[0].ended().code(), Some(5));
    assert_eq!(healthy(&fleet), 0);
    let_in_again(&mut fleet);
    eventually("the host is well by what it has", || healthy(&fleet) == 1);
    let last = &group(&fleet)["lastAttemptedDeployment"]["deploymentId"];
    assert_eq!(*last, deployed, "nothing was deployed since");
}
