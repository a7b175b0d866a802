//! Containers that replace each other on hosts: real agents, a real engine and a real HAProxy before them, which somebody asks all the time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::balanced::{Balanced, free_port};
use super::deploy::{Fleet, script};
use crate::harness::eventually;
use crate::harness::rig::{Rig, each_size, in_size};
use crate::harness::{At, docker, skip};

in_size!(one_server SMALL, |plan| plan;
    a_new_container_gets_a_tenth_then_all_and_a_bad_one_nothing,
);

each_size!(small large |plan| plan;
    a_canary_that_is_stopped_gives_the_traffic_back_and_leaves_nothing,
    an_agent_that_is_killed_while_a_container_is_asked_goes_on,
    a_balancer_that_is_started_anew_in_a_canary_is_told_its_shares_again,
    a_canary_outlives_its_servers_in_every_step,
);

/// Small, and made by `scripts/test-image`.
const IMAGE: &str = "croft-test/busybox:1";
const BOX: At = At {
    image: Some(IMAGE),
    shell: "sh",
};

/// How many seconds a container that will be well may take.
const WITHIN: &str = "30";

/// Hosts of this machine, each at an address of its own.
const HOSTS: [(&str, &str); 2] = [("web-1", "127.0.0.1"), ("web-2", "127.0.0.2")];

/// Containers on two hosts behind a balancer. Dropped, they are gone.
struct Boxes<'r> {
    fleet: Fleet<'r>,
    balanced: Balanced,
}

impl Drop for Boxes<'_> {
    fn drop(&mut self) {
        for id in self.listed("{{.ID}}") {
            docker(&["rm", "-fv", &id]);
        }
    }
}

impl<'r> Boxes<'r> {
    /// None where there is no engine or no HAProxy.
    fn start(rig: &'r mut Rig, config: &str) -> Option<Self> {
        if let Some(why) = BOX.missing() {
            skip(&why);
            return None;
        }
        let (blue, green) = (free_port(), free_port());
        let servers: Vec<(String, String)> = HOSTS
            .iter()
            .flat_map(|(host, address)| {
                [("blue", blue), ("green", green)]
                    .map(|(colour, port)| (format!("{host}-{colour}"), format!("{address}:{port}")))
            })
            .collect();
        let balanced = Balanced::before(rig.folder(), &servers)?;
        let config = json!({"deploymentConfigName": "canary", "computePlatform": "ECS",
            "x-croft": {"trafficSteps": serde_json::from_str::<Value>(config).unwrap()}});
        let put = rig.ask("PUT", "/v1/deployment-configs/canary", &config.to_string());
        assert!(matches!(put.status, 200 | 201), "{}", put.text());
        let group = json!({
            "deploymentConfigName": "canary",
            "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
            "autoRollbackConfiguration": {"enabled": true, "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_REQUEST"]},
            "x-croft": {"bakeMinutes": 0, "containers": {"ports": {"blue": blue, "green": green}},
                "router": {"type": "haproxy", "socket": balanced.socket, "backend": "web"}},
        });
        let mut fleet = Fleet::of(rig, "ECS", group);
        for (host, address) in HOSTS {
            fleet.add_with(host, 0, &[("CROFT_PUBLISH", address)]);
        }
        Some(Self { fleet, balanced })
    }

    /// Deploys a revision that goes well.
    fn has(&self, revision: &Path) {
        let info = self.fleet.over(&self.fleet.deploy(revision));
        assert_eq!(info["status"], "Succeeded", "{info:#}");
    }

    /// The group's containers.
    fn listed(&self, format: &str) -> Vec<String> {
        let group = self.fleet.group_id();
        let filter = format!("label=croft.deploy.group={group}");
        let listed = docker(&[
            "ps",
            "-a",
            "--no-trunc",
            "--filter",
            &filter,
            "--format",
            format,
        ]);
        let mut listed: Vec<String> = listed.lines().map(ToString::to_string).collect();
        listed.sort();
        listed
    }

    /// Which of them are there, each with its host.
    fn there(&self) -> Vec<String> {
        self.listed(
            "{{.Label \"croft.deploy.host\"}}-{{.Label \"croft.deploy.colour\"}} {{.State}}",
        )
    }

    /// How much of all weight each colour has, in percent.
    fn shares(&self) -> [u32; 2] {
        let weights = self.balanced.weights();
        let of = |colour: &str| -> u32 {
            let of_it = weights.iter().filter(|(name, _)| name.ends_with(colour));
            of_it.map(|(_, weight)| weight).sum()
        };
        let (blue, green) = (of("blue"), of("green"));
        let all = (blue + green).max(1);
        [blue, green].map(|part| (part * 100 + all / 2) / all)
    }

    fn traffic(&self, id: &str) -> u64 {
        let info = self.fleet.info(id);
        info["x-croft"]["trafficPercent"]
            .as_u64()
            .unwrap_or_default()
    }
}

/// A revision whose container serves its name, and is well only if its page is there.
fn boxed(rig: &Rig, name: &str, page: &str) -> PathBuf {
    let folder = rig.source(
        name,
        "version: 0.2\nphases: {build: {commands: [\"true\"]}}\n",
    );
    write_spec(&folder, name, page, "");
    let image = folder.join("image.tar");
    docker(&["save", "-o", image.to_str().unwrap(), IMAGE]);
    folder
}

/// Long enough for an engine that is busy: its proxy takes seconds to hand a request on then. Who has no page answers at once, and is
/// not waited for.
fn write_spec(folder: &Path, name: &str, page: &str, hooks: &str) {
    let within = if page == "page" { WITHIN } else { "4" };
    let spec = format!(
        "version: 0.0\nos: linux\nx-croft:\n  container:\n    image: image.tar\n    port: 8080\n    stopSeconds: 1\n    \
         command: [/bin/sh, -c, 'mkdir -p /www; echo {name} > /www/{page}; exec busybox httpd -f -p 8080 -h /www']\n    \
         healthCheck: {{path: /page, withinSeconds: {within}}}\n{hooks}"
    );
    std::fs::write(folder.join("appspec.yml"), spec).unwrap();
}

/// Asks the balancer until it is told to end; what was answered, how often, and how often nothing was.
struct Asking<'b> {
    balanced: &'b Balanced,
    seen: Mutex<(BTreeMap<String, u32>, u32)>,
    is_over: AtomicBool,
}

impl<'b> Asking<'b> {
    fn new(balanced: &'b Balanced) -> Self {
        Self {
            balanced,
            seen: Mutex::default(),
            is_over: AtomicBool::new(false),
        }
    }

    fn run(&self) {
        while !self.is_over.load(Ordering::Relaxed) {
            let page = self.balanced.page();
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            match page {
                Some(page) => *seen.0.entry(page.trim().to_string()).or_default() += 1,
                None => seen.1 += 1,
            }
        }
    }

    /// Everything since the last time this was asked.
    fn taken(&self) -> (BTreeMap<String, u32>, u32) {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the next so many answers are.
    fn next(&self, count: u32) -> BTreeMap<String, u32> {
        let (seen, failed) = self.taken();
        assert_eq!(failed, 0, "{seen:?}\n{}", self.balanced.troubles());
        eventually("many are answered", || {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.0.values().sum::<u32>() >= count
        });
        let (seen, failed) = self.taken();
        assert_eq!(failed, 0, "{seen:?}\n{}", self.balanced.troubles());
        seen
    }
}

/// Ends the asking also when the test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn a_new_container_gets_a_tenth_then_all_and_a_bad_one_nothing(rig: &mut Rig) {
    let revisions = [
        boxed(rig, "one", "page"),
        boxed(rig, "two", "page"),
        boxed(rig, "bad", "other"),
    ];
    let Some(boxes) = Boxes::start(rig, r#"[{"percent": 10, "waitSeconds": 15}]"#) else {
        return;
    };
    let fleet = &boxes.fleet;
    boxes.has(&revisions[0]);
    assert_eq!(boxes.there(), ["web-1-blue running", "web-2-blue running"]);
    let asking = Asking::new(&boxes.balanced);
    std::thread::scope(|threads| {
        let _ends = Ends(&asking.is_over);
        threads.spawn(|| asking.run());
        let second = fleet.deploy(&revisions[1]);
        eventually("the new ones are asked", || {
            asking.next(20).contains_key("two")
        });
        assert_eq!(boxes.traffic(&second), 10);
        assert_eq!(boxes.there().len(), 4, "the old ones are warm");
        let share = asking.next(400);
        let (old, new) = (share["one"], share["two"]);
        assert!(
            (20..=60).contains(&new),
            "a tenth of {} is {new}",
            old + new
        );
        let second = fleet.over(&second);
        assert_eq!(second["status"], "Succeeded", "{second:#}");
        let after = asking.next(100);
        assert!(after.len() == 1 && after.contains_key("two"), "{after:?}");
        assert_eq!(
            boxes.there(),
            ["web-1-green running", "web-2-green running"]
        );
        let third = fleet.over(&fleet.deploy(&revisions[2]));
        assert_eq!(third["status"], "Failed", "{third:#}");
        let failure = &third["errorInformation"]["x-croft-firstFailure"];
        assert_eq!(failure["event"], "ValidateService", "{third:#}");
        let message = failure["message"].as_str().unwrap();
        assert!(message.contains("answers 404"), "{message}");
        let back = fleet.taken_back(&third);
        assert_eq!(back["status"], "Succeeded", "{back:#}");
        let after = asking.next(100);
        assert!(after.len() == 1 && after.contains_key("two"), "{after:?}");
    });
    assert_eq!(
        boxes.there(),
        ["web-1-green running", "web-2-green running"]
    );
}

fn a_canary_that_is_stopped_gives_the_traffic_back_and_leaves_nothing(rig: &mut Rig) {
    let revisions = [boxed(rig, "one", "page"), boxed(rig, "two", "page")];
    let Some(boxes) = Boxes::start(rig, r#"[{"percent": 50, "waitSeconds": 600}]"#) else {
        return;
    };
    let fleet = &boxes.fleet;
    boxes.has(&revisions[0]);
    let asking = Asking::new(&boxes.balanced);
    std::thread::scope(|threads| {
        let _ends = Ends(&asking.is_over);
        threads.spawn(|| asking.run());
        let second = fleet.deploy(&revisions[1]);
        eventually("the new ones are asked", || {
            asking.next(20).contains_key("two")
        });
        let stop = format!("/v1/deployments/{second}/stop");
        let stopped = fleet.rig.ask("POST", &stop, "{}");
        assert_eq!(stopped.status, 200, "{}", stopped.text());
        eventually("the old ones have it all", || {
            !asking.next(50).contains_key("two")
        });
        let back = fleet.taken_back(&fleet.over(&second));
        assert_eq!(back["status"], "Succeeded", "{back:#}");
        let after = asking.next(100);
        assert!(after.len() == 1 && after.contains_key("one"), "{after:?}");
    });
    assert_eq!(boxes.there(), ["web-1-blue running", "web-2-blue running"]);
}

fn an_agent_that_is_killed_while_a_container_is_asked_goes_on(rig: &mut Rig) {
    let revisions = [boxed(rig, "one", "page"), boxed(rig, "two", "page")];
    // It is well only once somebody lets it be.
    let spec = revisions[1].join("appspec.yml");
    let text = std::fs::read_to_string(&spec).unwrap();
    let gate = rig.folder().join("gate");
    std::fs::create_dir(&gate).unwrap();
    let text = text
        .replace(
            &format!("{{path: /page, withinSeconds: {WITHIN}}}"),
            "{command: [test, -e, /gate/open], withinSeconds: 120}",
        )
        .replace(
            "stopSeconds: 1\n",
            &format!(
                "stopSeconds: 1\n    volumes: ['{}:/gate:ro']\n",
                gate.display()
            ),
        )
        + "hooks:\n  AfterInstall:\n    - location: note.sh\n  ValidateService:\n    - location: note.sh\n";
    std::fs::write(&spec, text).unwrap();
    let note = "#!/bin/sh\necho $LIFECYCLE_EVENT >> \"$HOST_ROOT/started\"\n";
    script(&revisions[1].join("note.sh"), note);
    let Some(mut boxes) = Boxes::start(rig, "[]") else {
        return;
    };
    boxes.has(&revisions[0]);
    let second = boxes.fleet.deploy(&revisions[1]);
    let up = [
        "web-1-blue running",
        "web-1-green running",
        "web-2-blue running",
        "web-2-green running",
    ];
    eventually("the new ones are up", || boxes.there() == up);
    for agent in &mut boxes.fleet.agents {
        agent.kill();
        agent.start();
    }
    let page = boxes.balanced.page().unwrap();
    assert_eq!(page.trim(), "one");
    std::fs::write(gate.join("open"), "").unwrap();
    let second = boxes.fleet.over(&second);
    assert_eq!(second["status"], "Succeeded", "{second:#}");
    assert_eq!(
        boxes.there(),
        ["web-1-green running", "web-2-green running"]
    );
    for (host, _) in HOSTS {
        assert_eq!(
            boxes.fleet.started(host),
            ["AfterInstall", "ValidateService"],
            "once each"
        );
    }
    assert_eq!(boxes.balanced.page().unwrap().trim(), "two");
    let asked = Command::new("docker")
        .args(["image", "inspect", IMAGE])
        .output();
    assert!(
        asked.unwrap().status.success(),
        "an image that was there stays"
    );
}

fn a_balancer_that_is_started_anew_in_a_canary_is_told_its_shares_again(rig: &mut Rig) {
    let revisions = [boxed(rig, "one", "page"), boxed(rig, "two", "page")];
    let Some(mut boxes) = Boxes::start(rig, r#"[{"percent": 10, "waitSeconds": 10}]"#) else {
        return;
    };
    boxes.has(&revisions[0]);
    let second = boxes.fleet.deploy(&revisions[1]);
    eventually("the new ones have their part", || {
        boxes.shares() == [90, 10]
    });
    boxes.balanced.start_anew();
    assert_eq!(boxes.shares(), [50, 50], "it has forgotten");
    eventually("it is told again", || boxes.shares() == [90, 10]);
    assert_eq!(boxes.traffic(&second), 10, "in the same step");
    let second = boxes.fleet.over(&second);
    assert_eq!(second["status"], "Succeeded", "{second:#}");
    eventually("the new ones have all", || boxes.shares() == [0, 100]);
    assert_eq!(boxes.balanced.page().unwrap().trim(), "two");
}

/// Adds scripts that say in which event they ran, and of which revision they are.
fn tells(revision: &Path) {
    let spec = revision.join("appspec.yml");
    let events = [
        "BeforeInstall",
        "AfterInstall",
        "ApplicationStart",
        "ValidateService",
        "BeforeAllowTraffic",
        "AfterAllowTraffic",
        "BeforeBlockTraffic",
        "AfterBlockTraffic",
        "ApplicationStop",
    ];
    let hooks = events.map(|event| format!("  {event}:\n    - location: note.sh\n"));
    let text = std::fs::read_to_string(&spec).unwrap();
    std::fs::write(&spec, format!("{text}hooks:\n{}", hooks.concat())).unwrap();
    let note = "#!/bin/sh\necho \"$LIFECYCLE_EVENT $DEPLOYMENT_ID\" >> \"$HOST_ROOT/started\"\n";
    script(&revision.join("note.sh"), note);
}

/// All servers die, and come again.
fn kill_servers(rig: &mut Rig) {
    for server in &mut rig.servers {
        server.kill();
    }
    for server in 0..rig.servers.len() {
        rig.restart_server(server);
    }
}

fn a_canary_outlives_its_servers_in_every_step(rig: &mut Rig) {
    let revisions = ["one", "two", "three"].map(|name| boxed(rig, name, "page"));
    for revision in &revisions {
        tells(revision);
    }
    let Some(boxes) = Boxes::start(rig, r#"[{"percent": 50, "waitSeconds": 3}]"#) else {
        return;
    };
    boxes.has(&revisions[0]);
    let second = boxes.fleet.deploy(&revisions[1]);
    kill_servers(boxes.fleet.rig);
    eventually("the new ones are made", || boxes.there().len() == 4);
    kill_servers(boxes.fleet.rig);
    for percent in [50, 100] {
        eventually("traffic moves", || boxes.traffic(&second) >= percent);
        kill_servers(boxes.fleet.rig);
    }
    eventually("the old ones go", || boxes.there().len() < 4);
    kill_servers(boxes.fleet.rig);
    let info = boxes.fleet.over(&second);
    assert_eq!(info["status"], "Succeeded", "{info:#}");
    let green = ["web-1-green running", "web-2-green running"];
    assert_eq!(boxes.there(), green);

    let third = boxes.fleet.deploy(&revisions[2]);
    eventually("traffic moves", || boxes.traffic(&third) == 50);
    let stop = format!("/v1/deployments/{third}/stop");
    assert_eq!(boxes.fleet.rig.ask("POST", &stop, "{}").status, 200);
    kill_servers(boxes.fleet.rig);
    let back = boxes.fleet.info(&third)["rollbackInfo"]["rollbackDeploymentId"].clone();
    eventually("the new ones lose it", || boxes.shares() == [0, 100]);
    kill_servers(boxes.fleet.rig);
    eventually("the new ones go", || boxes.there().len() < 4);
    kill_servers(boxes.fleet.rig);
    let back = boxes.fleet.over(back.as_str().unwrap());
    assert_eq!(back["status"], "Succeeded", "{back:#}");
    assert_eq!(boxes.there(), green);
    assert_eq!(boxes.balanced.page().unwrap().trim(), "two");
    for (host, _) in HOSTS {
        let mut ran = boxes.fleet.started(host);
        let count = ran.len();
        ran.sort();
        ran.dedup();
        assert_eq!(ran.len(), count, "{host}: {:?}", boxes.fleet.started(host));
        assert!(count > 15, "{host}: {ran:?}");
    }
}
