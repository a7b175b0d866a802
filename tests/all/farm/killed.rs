//! Deployments whose agents and servers are killed in every step of them: what was over is never done again, what was interrupted goes on or
//! has failed, and the deployment ends as it must.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::deploy::{Fleet, script};
use crate::harness::eventually;
use crate::harness::rig::{Rig, each_size};

each_size!(small large |plan| plan;
    an_agent_that_is_killed_in_any_script_fails_that_event_and_repeats_none,
    an_agent_that_is_killed_while_a_revision_comes_or_is_installed_goes_on,
    an_agent_that_is_killed_while_its_traffic_moves_goes_on,
    a_release_outlives_its_servers_in_every_event_of_a_host,
    a_release_outlives_its_servers_between_its_hosts,
    a_rollback_outlives_its_servers_in_every_step,
);

/// Those that have scripts, in the order of a host in place behind a balancer.
const SCRIPTED: [&str; 9] = [
    "BeforeBlockTraffic",
    "AfterBlockTraffic",
    "ApplicationStop",
    "BeforeInstall",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
    "BeforeAllowTraffic",
    "AfterAllowTraffic",
];
/// All of them.
const ALL: [&str; 13] = [
    "BeforeBlockTraffic",
    "BlockTraffic",
    "AfterBlockTraffic",
    "ApplicationStop",
    "DownloadBundle",
    "BeforeInstall",
    "Install",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
    "BeforeAllowTraffic",
    "AllowTraffic",
    "AfterAllowTraffic",
];

/// Files of a revision that takes a while to come and to be installed.
const FILES: usize = 2_500;
/// So many of them are there when somebody dies in the middle of it.
const SOME: usize = 50;
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(1);

/// A revision whose scripts say that they ran, and wait in the events that their host's `hold-EVENT` names; `fails` is the event whose script
/// fails.
fn hooked(rig: &Rig, name: &str, fails: &str) -> PathBuf {
    let folder = rig.source(
        name,
        "version: 0.2\nphases: {build: {commands: [\"true\"]}}\n",
    );
    let hooks: String = SCRIPTED
        .iter()
        .map(|event| format!("  {event}:\n    - location: hook.sh\n      timeout: 90\n"))
        .collect();
    let spec = format!("version: 0.0\nos: linux\nhooks:\n{hooks}");
    std::fs::write(folder.join("appspec.yml"), spec).unwrap();
    let hook = format!(
        "#!/bin/sh\necho \"$LIFECYCLE_EVENT $DEPLOYMENT_ID\" >> \"$HOST_ROOT/ran\"\ntouch \"$HOST_ROOT/at-$LIFECYCLE_EVENT\"\n\
         while test -e \"$HOST_ROOT/hold-$LIFECYCLE_EVENT\"; do sleep 0.05; done\n\
         echo {name} > \"$HOST_ROOT/revision\"\ntest \"$LIFECYCLE_EVENT\" != \"{fails}\"\n"
    );
    script(&folder.join("hook.sh"), &hook);
    folder
}

/// The same, which takes its time to come to a host's `/srv`.
fn large(rig: &Rig, name: &str) -> PathBuf {
    let folder = hooked(rig, name, "none");
    let spec = folder.join("appspec.yml");
    let text = std::fs::read_to_string(&spec).unwrap();
    let files = "os: linux\nfiles: [{source: files, destination: /srv/app}]\nfile_exists_behavior: OVERWRITE\n";
    std::fs::write(&spec, text.replace("os: linux\n", files)).unwrap();
    let files = folder.join("files");
    std::fs::create_dir(&files).unwrap();
    for number in 0..FILES {
        std::fs::write(files.join(number.to_string()), contents(name, number)).unwrap();
    }
    folder
}

/// What is in a file of that revision: as much as takes a moment, and nothing twice.
fn contents(name: &str, number: usize) -> String {
    let line = format!("{name} {number} {}\n", number.wrapping_mul(2_654_435_761));
    line.repeat(200)
}

/// A group behind a program that is told who gets traffic. It waits with a change while the host's `hold-BlockTraffic` or `hold-AllowTraffic`
/// is there.
fn behind_a_program(rig: &Rig) -> Value {
    let program = rig.folder().join("balancer.sh");
    let roots = rig.folder().join("roots");
    let text = format!(
        "#!/bin/sh\nwhile read -r host weight; do\n  at={}/$host\n  test \"$weight\" = \"$(cat \"$at/weight\" 2> /dev/null)\" && continue\n  \
         event=AllowTraffic\n  test \"$weight\" = 0 && event=BlockTraffic\n  touch \"$at/at-$event\"\n  \
         while test -e \"$at/hold-$event\"; do sleep 0.05; done\n  echo \"$weight\" > \"$at/weight\"\ndone\n",
        roots.display()
    );
    script(&program, &text);
    json!({
        "deploymentConfigName": "CodeDeployDefault.AllAtOnce",
        "deploymentStyle": {"deploymentType": "IN_PLACE", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        "x-croft": {"bakeMinutes": 0, "router": {"type": "script", "path": program}},
    })
}

/// What is looked at of one host.
struct Host {
    name: String,
    root: PathBuf,
    /// Its agent's folder of the group.
    group: PathBuf,
}

impl Host {
    fn of(fleet: &Fleet<'_>, number: usize, name: &str) -> Self {
        let home = fleet.agents[number].home();
        Self {
            name: name.to_string(),
            root: fleet.root(name),
            group: home.join("agent").join(fleet.group_id()),
        }
    }

    fn all(fleet: &Fleet<'_>, names: &[&str]) -> Vec<Self> {
        let names = names.iter().enumerate();
        names
            .map(|(number, name)| Self::of(fleet, number, name))
            .collect()
    }

    fn holds(&self, event: &str) {
        std::fs::write(self.root.join(format!("hold-{event}")), "").unwrap();
        // What was there before is of another deployment.
        std::fs::remove_file(self.root.join(format!("at-{event}"))).unwrap_or_default();
    }

    fn lets_go(&self, event: &str) {
        std::fs::remove_file(self.root.join(format!("hold-{event}"))).unwrap();
    }

    /// Waits until it is in that event.
    fn is_in(&self, event: &str) {
        let at = self.root.join(format!("at-{event}"));
        eventually(&format!("{} is in {event}", self.name), || at.exists());
    }

    /// The event that its agent has begun and not ended.
    fn running(&self) -> Option<String> {
        let text = std::fs::read(self.group.join("group.json")).ok()?;
        let journal: Value = serde_json::from_slice(&text).ok()?;
        journal["running"]["event"].as_str().map(str::to_string)
    }

    /// Waits until it is in the middle of an event that has no script.
    fn is_amid(&self, deployment: &str, event: &str) {
        let made = match event {
            "DownloadBundle" => self
                .group
                .join(deployment)
                .join("deployment-archive.partial/files"),
            _ => self.root.join("srv/app"),
        };
        let some = || std::fs::read_dir(&made).is_ok_and(|made| made.count() >= SOME);
        loop {
            if self.running().as_deref() == Some(event) && some() {
                return;
            }
            let ended = self.performed(deployment).contains_key(event);
            let is_past = ended && self.running().as_deref() != Some(event);
            assert!(!is_past, "{}: {event} was over too soon", self.name);
            std::thread::sleep(LOOK_AGAIN_AFTER);
        }
    }

    /// How often its agent has begun each event of a deployment.
    fn performed(&self, deployment: &str) -> BTreeMap<String, usize> {
        let log = self.group.join(deployment).join("logs/scripts.log");
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let events = text
            .lines()
            .filter_map(|line| line.split_once(" LifecycleEvent - "));
        let mut performed = BTreeMap::new();
        for (_, event) in events {
            *performed.entry(event.to_string()).or_default() += 1;
        }
        performed
    }

    /// The scripts that ran, each with its deployment.
    fn ran(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.root.join("ran")).unwrap_or_default();
        text.lines().map(str::to_string).collect()
    }

    /// No script ran twice in one deployment.
    #[track_caller]
    fn assert_nothing_ran_twice(&self) {
        let mut ran = self.ran();
        let count = ran.len();
        ran.sort();
        ran.dedup();
        assert_eq!(ran.len(), count, "{}: {:?}", self.name, self.ran());
    }

    /// Each event that is the agent's was begun once in that deployment.
    #[track_caller]
    fn assert_all_once(&self, deployment: &str) {
        let performed = self.performed(deployment);
        let own = ALL
            .into_iter()
            .filter(|event| !matches!(*event, "BlockTraffic" | "AllowTraffic"));
        let expected: BTreeMap<String, usize> = own.map(|event| (event.to_string(), 1)).collect();
        assert_eq!(performed, expected, "{}", self.name);
        self.assert_nothing_ran_twice();
    }

    fn revision(&self) -> String {
        let text = std::fs::read_to_string(self.root.join("revision"));
        text.unwrap_or_default().trim().to_string()
    }

    fn has_traffic(&self) -> bool {
        let weight = std::fs::read_to_string(self.root.join("weight"));
        weight.is_ok_and(|weight| weight.trim() == "256")
    }
}

/// How each event of a host ended.
fn events(fleet: &Fleet<'_>, deployment: &str, host: &str) -> BTreeMap<String, String> {
    let path = format!("/v1/deployments/{deployment}/targets/{host}");
    let told = fleet.rig.get(&path);
    let events = &told["deploymentTargets"][0]["instanceTarget"]["lifecycleEvents"];
    let events = events.as_array().unwrap_or_else(|| panic!("{told:#}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    events
        .iter()
        .map(|event| (text(&event["lifecycleEventName"]), text(&event["status"])))
        .collect()
}

fn deployed(fleet: &Fleet<'_>, revision: &Path) {
    let info = fleet.over(&fleet.deploy(revision));
    assert_eq!(info["status"], "Succeeded", "{info:#}");
}

/// A host for each event that has scripts, each killed in its own.
fn an_agent_that_is_killed_in_any_script_fails_that_event_and_repeats_none(rig: &mut Rig) {
    let (good, bad) = (hooked(rig, "good", "none"), hooked(rig, "bad", "none"));
    let names: Vec<String> = SCRIPTED
        .iter()
        .map(|event| format!("in-{}", event.to_lowercase()))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let group = behind_a_program(rig);
    let at: Vec<(&str, u16)> = names.iter().map(|name| (*name, 0)).collect();
    let mut fleet = Fleet::start_with(rig, group, &at);
    deployed(&fleet, &good);
    let hosts = Host::all(&fleet, &names);
    for (host, event) in hosts.iter().zip(SCRIPTED) {
        host.holds(event);
    }
    let id = fleet.deploy(&bad);
    for (number, (host, event)) in hosts.iter().zip(SCRIPTED).enumerate() {
        host.is_in(event);
        fleet.agents[number].kill();
        host.lets_go(event);
        fleet.agents[number].start();
    }
    let info = fleet.over(&id);
    assert_eq!(info["status"], "Failed", "{info:#}");
    for (host, event) in hosts.iter().zip(SCRIPTED) {
        let how = events(&fleet, &id, &host.name);
        let mut all = ALL.into_iter();
        for before in all.by_ref().take_while(|one| *one != event) {
            assert_eq!(how[before], "Succeeded", "{}: {how:?}", host.name);
        }
        assert_eq!(how[event], "Failed", "{}: {how:?}", host.name);
        for after in all {
            let is_begun = host.performed(&id).contains_key(after);
            assert!(!is_begun, "{}: {after} after {event}", host.name);
        }
    }
    let back = fleet.taken_back(&info);
    assert_eq!(back["status"], "Succeeded", "{back:#}");
    for host in &hosts {
        assert_eq!(host.revision(), "good", "{}", host.name);
        host.assert_nothing_ran_twice();
        eventually("it has traffic", || host.has_traffic());
    }
}

/// What comes from the farm is fetched on, and what is installed is installed on.
fn an_agent_that_is_killed_while_a_revision_comes_or_is_installed_goes_on(rig: &mut Rig) {
    let (one, two) = (hooked(rig, "one", "none"), large(rig, "two"));
    let group = behind_a_program(rig);
    let mut fleet = Fleet::start_with(rig, group, &[]);
    let names = ["downloads", "installs"];
    for name in names {
        fleet.add_apart(name);
    }
    deployed(&fleet, &one);
    let hosts = Host::all(&fleet, &names);
    let killed = ["DownloadBundle", "Install"];
    // One after the other, or they wait for each other's disk.
    for host in &hosts {
        host.holds("BeforeBlockTraffic");
    }
    let id = fleet.deploy(&two);
    for (number, (host, event)) in hosts.iter().zip(killed).enumerate() {
        host.is_in("BeforeBlockTraffic");
        host.lets_go("BeforeBlockTraffic");
        host.is_amid(&id, event);
        fleet.agents[number].kill();
        assert_eq!(host.running().as_deref(), Some(event), "it was over");
        fleet.agents[number].start();
    }
    goes_well(&fleet, &id, &hosts);
    for (host, killed) in hosts.iter().zip(killed) {
        for (event, times) in host.performed(&id) {
            let expected = 1 + usize::from(event == killed);
            assert_eq!(times, expected, "{}: {event}", host.name);
        }
        for number in 0..FILES {
            let file = host.root.join("srv/app").join(number.to_string());
            let is = std::fs::read_to_string(&file);
            let is_whole = is.is_ok_and(|is| is == contents("two", number));
            assert!(is_whole, "{}", file.display());
        }
    }
}

/// What a balancer does is none of the agent's.
fn an_agent_that_is_killed_while_its_traffic_moves_goes_on(rig: &mut Rig) {
    let (one, two) = (hooked(rig, "one", "none"), hooked(rig, "two", "none"));
    let group = behind_a_program(rig);
    let mut fleet = Fleet::start_with(rig, group, &[("leaves", 0), ("joins", 0)]);
    deployed(&fleet, &one);
    let hosts = Host::all(&fleet, &["leaves", "joins"]);
    let killed = ["BlockTraffic", "AllowTraffic"];
    for (host, event) in hosts.iter().zip(killed) {
        host.holds(event);
    }
    let id = fleet.deploy(&two);
    for (number, (host, event)) in hosts.iter().zip(killed).enumerate() {
        host.is_in(event);
        fleet.agents[number].kill();
        fleet.agents[number].start();
        host.lets_go(event);
    }
    goes_well(&fleet, &id, &hosts);
    for host in &hosts {
        host.assert_all_once(&id);
    }
}

fn goes_well(fleet: &Fleet<'_>, id: &str, hosts: &[Host]) {
    let info = fleet.over(id);
    assert_eq!(info["status"], "Succeeded", "{info:#}");
    assert_eq!(info["deploymentOverview"]["Succeeded"], hosts.len());
    for host in hosts {
        host.assert_nothing_ran_twice();
        eventually("it has traffic", || host.has_traffic());
    }
}

/// All servers die and come again.
fn kill_servers(fleet: &mut Fleet<'_>) {
    for server in &mut fleet.rig.servers {
        server.kill();
    }
    for server in 0..fleet.rig.servers.len() {
        fleet.rig.restart_server(server);
    }
}

/// Whether a host waits in it when it is told to: what has no script, and is no balancer's, does not.
fn can_wait(event: &str) -> bool {
    !matches!(event, "DownloadBundle" | "Install")
}

fn a_release_outlives_its_servers_in_every_event_of_a_host(rig: &mut Rig) {
    let (one, two) = (hooked(rig, "one", "none"), large(rig, "two"));
    let group = behind_a_program(rig);
    let mut fleet = Fleet::start_with(rig, group, &[]);
    fleet.add_apart("web-1");
    deployed(&fleet, &one);
    let host = Host::of(&fleet, 0, "web-1");
    for event in ALL.into_iter().filter(|event| can_wait(event)) {
        host.holds(event);
    }
    let id = fleet.deploy(&two);
    for event in ALL {
        if can_wait(event) {
            host.is_in(event);
            kill_servers(&mut fleet);
            host.lets_go(event);
        } else {
            host.is_amid(&id, event);
            kill_servers(&mut fleet);
        }
    }
    let info = fleet.over(&id);
    assert_eq!(info["status"], "Succeeded", "{info:#}");
    host.assert_all_once(&id);
    let how = events(&fleet, &id, "web-1");
    assert!(how.values().all(|how| how == "Succeeded"), "{how:?}");
    assert!(host.has_traffic());
}

/// Two hosts, the first of which is watched before the other one follows.
const PAIR: [&str; 2] = ["web-1", "web-2"];

fn pair<'r>(rig: &'r mut Rig, first: &Path) -> (Fleet<'r>, Vec<Host>) {
    let config = json!({"minimumHealthyHosts": {"type": "HOST_COUNT", "value": 0},
        "x-croft": {"canary": {"hosts": 1, "waitSeconds": 5}}});
    let made = rig.ask("PUT", "/v1/deployment-configs/careful", &config.to_string());
    assert_eq!(made.status, 201, "{}", made.text());
    let mut group = behind_a_program(rig);
    group["deploymentConfigName"] = json!("careful");
    let fleet = Fleet::start_with(rig, group, &PAIR.map(|name| (name, 0)));
    deployed(&fleet, first);
    let hosts = Host::all(&fleet, &PAIR);
    (fleet, hosts)
}

/// When it is accepted, while each host is begun, while the first is watched, and while all bakes.
fn a_release_outlives_its_servers_between_its_hosts(rig: &mut Rig) {
    let (one, two) = (hooked(rig, "one", "none"), hooked(rig, "two", "none"));
    let (mut fleet, hosts) = pair(rig, &one);
    for host in &hosts {
        host.holds("BeforeBlockTraffic");
        host.holds("AfterAllowTraffic");
    }
    let id = fleet.deploy_with(&two, &json!({"x-croft": {"bakeMinutes": 30}}));
    kill_servers(&mut fleet);
    for (number, host) in hosts.iter().enumerate() {
        for event in ["BeforeBlockTraffic", "AfterAllowTraffic"] {
            host.is_in(event);
            kill_servers(&mut fleet);
            host.lets_go(event);
        }
        if number == 0 {
            let watched = || fleet.info(&id)["deploymentOverview"]["Succeeded"] == 1;
            eventually("the first is watched", watched);
            assert!(!hosts[1].root.join("at-BeforeBlockTraffic").exists());
            kill_servers(&mut fleet);
        }
    }
    eventually("it bakes", || fleet.info(&id)["status"] == "Baking");
    kill_servers(&mut fleet);
    assert_eq!(fleet.info(&id)["status"], "Baking");
    let go_on = fleet
        .rig
        .ask("POST", &format!("/v1/deployments/{id}/continue"), "{}");
    assert_eq!(go_on.status, 200, "{}", go_on.text());
    kill_servers(&mut fleet);
    let info = fleet.over(&id);
    assert_eq!(info["status"], "Succeeded", "{info:#}");
    for host in &hosts {
        host.assert_all_once(&id);
        assert_eq!(host.revision(), "two");
        eventually("it has traffic", || host.has_traffic());
    }
}

fn a_rollback_outlives_its_servers_in_every_step(rig: &mut Rig) {
    let (good, bad) = (
        hooked(rig, "good", "none"),
        hooked(rig, "bad", "ValidateService"),
    );
    let (mut fleet, hosts) = pair(rig, &good);
    let (canary, other) = (&hosts[0], &hosts[1]);
    canary.holds("ValidateService");
    let id = fleet.deploy(&bad);
    canary.is_in("ValidateService");
    // It has no traffic any more that could be blocked.
    let held = || {
        ALL.into_iter()
            .filter(|event| can_wait(event) && *event != "BlockTraffic")
    };
    for event in held().filter(|event| *event != "ValidateService") {
        canary.holds(event);
    }
    canary.lets_go("ValidateService");
    let info = fleet.over(&id);
    canary.holds("ValidateService");
    kill_servers(&mut fleet);
    for event in held() {
        canary.is_in(event);
        kill_servers(&mut fleet);
        canary.lets_go(event);
    }
    let back = fleet.taken_back(&info);
    kill_servers(&mut fleet);
    assert_eq!(fleet.info(&id)["status"], "Failed", "{info:#}");
    assert_eq!(back["status"], "Succeeded", "{back:#}");
    canary.assert_all_once(back["deploymentId"].as_str().unwrap());
    assert_eq!(canary.revision(), "good");
    assert_eq!(other.revision(), "good");
    assert!(other.performed(&id).is_empty(), "it never had the bad one");
    let all = fleet.rig.get("/v1/deployments");
    let count = all["deployments"].as_array().unwrap().len();
    assert_eq!(count, 3, "one rollback: {all:#}");
    for host in &hosts {
        eventually("it has traffic", || host.has_traffic());
    }
}
