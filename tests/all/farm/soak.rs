//! Builds are submitted all the time, and whatever the farm is made of is killed, frozen or cut off at random: for a few seconds
//! among the other tests, and for as long as `CROFT_SOAK_MINUTES` says when somebody wants to find what a short look does not.
//! A failure has its seed and its story above it; `CROFT_SEED` draws the same faults again.
//!
//! `CROFT_SOAK_MINUTES=30 cargo nextest run -p croft-tests soak --no-capture`

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::faults::Chance;
use crate::harness::rig::{Plan, Rig, Size, commands};

/// Builds that may be on their way at once; more only make the queue longer.
const UNDERWAY_MAX: usize = 12;

/// Among the other tests.
const A_LOOK: Duration = Duration::from_secs(10);

#[test]
fn a_small_farm_loses_nothing_in_a_soak() {
    soak(Plan::SMALL.soon());
}

#[test]
fn a_large_farm_loses_nothing_in_a_soak() {
    soak(Plan::LARGE.soon());
}

fn soak(plan: Plan) {
    let minutes = std::env::var("CROFT_SOAK_MINUTES").map(|text| text.parse::<u64>().unwrap());
    let lasts = minutes.map_or(A_LOOK, |minutes| Duration::from_secs(60 * minutes));
    let Some(mut rig) = Rig::start(plan) else {
        return;
    };
    let mut story = Story {
        chance: Chance::of_environment(),
        begun: Instant::now(),
        faults: 0,
    };
    let nap = format!("sleep {}", rig.seconds(1));
    let sources = [
        rig.source("quick", &commands(&["echo quick"])),
        rig.source("napping", &commands(&[&nap, "echo rested"])),
        rig.source("failing", &commands(&["echo failing; false"])),
    ];
    let (mut all, mut underway): (Vec<(String, usize)>, Vec<String>) = (Vec::new(), Vec::new());
    while story.begun.elapsed() < lasts {
        for _ in 0..story.chance.below(3) {
            let kind = story.pick(sources.len());
            let id = rig.detach(&sources[kind], &[]);
            underway.push(id.clone());
            all.push((id, kind));
        }
        std::thread::sleep(Duration::from_millis(story.chance.below(1_000)));
        story.fault(&mut rig);
        while underway.len() > UNDERWAY_MAX {
            rig.over(&underway.remove(0));
        }
    }
    for (id, kind) in &all {
        let build = rig.over(id);
        let attempts = build["x-croft"]["attempts"].as_u64().unwrap();
        let is_given_up = build["x-croft"]["settledBy"] == "quarantine";
        let status = match (kind, is_given_up) {
            (_, true) => "FAULT",
            (2, false) => "FAILED",
            (_, false) => "SUCCEEDED",
        };
        rig.over_as(id, status, attempts);
    }
    assert!(
        rig.told(&["audit", "--verify"])
            .contains("as it was written")
    );
    let listed = rig.told(&["build", "list", "--limit", "1000000", "-o", "name"]);
    assert_eq!(
        listed.lines().count(),
        all.len(),
        "nothing is lost, nothing was made up"
    );
    for builder in 0..rig.builders().len() {
        rig.builders()[builder].kill();
        rig.restart_builder(builder);
    }
    rig.assert_nothing_left();
    eprintln!(
        "{} builds, {} faults, every one ended once",
        all.len(),
        story.faults
    );
}

/// What happens, drawn and told.
struct Story {
    chance: Chance,
    begun: Instant,
    faults: usize,
}

impl Story {
    fn pick(&mut self, count: usize) -> usize {
        usize::try_from(self.chance.below(count as u64)).unwrap()
    }

    fn tell(&mut self, what: &str) {
        self.faults += 1;
        eprintln!("{:>8.1} s  {what}", self.begun.elapsed().as_secs_f64());
    }

    fn fault(&mut self, rig: &mut Rig) {
        let builder = self.pick(rig.builders().len());
        match (self.chance.below(6), rig.plan.size) {
            (0, _) => {
                self.tell(&format!("builder {builder} is killed"));
                rig.builders()[builder].kill();
                rig.restart_builder(builder);
            }
            (1, _) => {
                let pause = Duration::from_millis(self.chance.below(4_000));
                self.tell(&format!("builder {builder} is frozen for {pause:?}"));
                rig.builders()[builder].signal(Signal::STOP);
                std::thread::sleep(pause);
                rig.builders()[builder].signal(Signal::CONT);
            }
            (2, _) => {
                self.tell(&format!("builder {builder} is told to leave"));
                rig.builders()[builder].signal(Signal::TERM);
                assert!(rig.builders()[builder].ended().success());
                rig.restart_builder(builder);
            }
            (3, Size::Large) => {
                let server = self.pick(rig.servers.len());
                self.tell(&format!("server {server} is killed"));
                rig.servers[server].kill();
                rig.restart_server(server);
            }
            (4, Size::Large) => {
                self.tell("the broker is killed");
                let nats = rig.nats.as_mut().unwrap();
                nats.kill();
                nats.restart();
            }
            (5, Size::Large) => {
                let pause = Duration::from_millis(self.chance.below(4_000));
                self.tell(&format!("object storage is away for {pause:?}"));
                rig.s3.as_mut().unwrap().shut();
                std::thread::sleep(pause);
                rig.s3.as_mut().unwrap().reopen();
            }
            (_, _) => {}
        }
    }
}
