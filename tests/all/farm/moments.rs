//! Each of what a farm is made of is killed at each moment of a build's journey, from the first byte of its source to its outcome: in
//! steps that are shorter than those of the journey, so that each of them is met. `CROFT_MOMENTS` says how many moments there are.

use std::process::{Child, Stdio};
use std::time::Duration;

use crate::harness::rig::{Rig, Size, commands, each_size};

each_size!(small large |plan| plan.soon();
    whoever_dies_at_whichever_moment_no_accepted_build_is_lost,
);

/// A build of one word is over in half a second, on a machine that has nothing else to do.
const MOMENT: Duration = Duration::from_millis(60);

/// Among the other tests: fewer, further apart.
const MOMENTS: u32 = 4;
const APART: u32 = 3;

/// Who dies.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Builder,
    Server,
    Broker,
}

impl Victim {
    /// Kills it, and starts it again.
    fn dies(self, rig: &mut Rig) {
        match self {
            Self::Builder => {
                rig.builders()[0].kill();
                rig.restart_builder(0);
            }
            Self::Server => {
                rig.servers[0].kill();
                rig.restart_server(0);
            }
            Self::Broker => {
                let nats = rig.nats.as_mut().expect("a large farm has a broker");
                nats.kill();
                nats.restart();
            }
        }
    }
}

fn whoever_dies_at_whichever_moment_no_accepted_build_is_lost(rig: &mut Rig) {
    let asked = std::env::var("CROFT_MOMENTS").map(|text| text.parse::<u32>().unwrap());
    let moments: Vec<Duration> = match asked {
        Ok(count) => (0..count).map(|moment| MOMENT * moment).collect(),
        Err(_) => (0..MOMENTS).map(|moment| MOMENT * moment * APART).collect(),
    };
    let victims: &[Victim] = match rig.plan.size {
        Size::Small => &[Victim::Builder],
        Size::Large => &[Victim::Builder, Victim::Server, Victim::Broker],
    };
    let source = rig.source("short", &commands(&["echo short"]));
    // The project is there, and the source's chunks are.
    rig.over(&rig.detach(&source, &[]));
    let mut accepted = Vec::new();
    for victim in victims {
        for moment in &moments {
            let submitting = submitting(rig, &source.display().to_string());
            std::thread::sleep(*moment);
            victim.dies(rig);
            let ended = submitting.wait_with_output().unwrap();
            // One that was not accepted may have been lost with whoever took it in; then its client says so.
            match ended.status.success() {
                true => accepted.push(String::from_utf8(ended.stdout).unwrap().trim().to_string()),
                false => eprintln!(
                    "{victim:?} after {moment:?}: not accepted: {}",
                    String::from_utf8_lossy(&ended.stderr)
                ),
            }
        }
    }
    // A list may be of a moment ago; whoever asks for a build by its id is answered when it is known.
    for id in &accepted {
        rig.over(id);
    }
    let listed = rig.told(&["build", "list", "--limit", "100000", "-o", "name"]);
    let ids: Vec<&str> = listed.lines().collect();
    for id in &accepted {
        assert!(
            ids.contains(&id.as_str()),
            "{id} was accepted, and is not there: {ids:?}"
        );
    }
    for id in ids {
        let build = rig.over(id);
        let attempts = build["x-croft"]["attempts"].as_u64().unwrap();
        // Whose workers died three times over is given up, by name.
        let status = match build["x-croft"]["settledBy"] == "quarantine" {
            true => "FAULT",
            false => "SUCCEEDED",
        };
        rig.over_as(id, status, attempts);
    }
    eprintln!("{} accepted, each ended once", accepted.len());
    rig.assert_nothing_left();
}

fn submitting(rig: &Rig, source: &str) -> Child {
    let mut croft = rig.croft(&["submit", source, "--detach"]);
    croft.stdout(Stdio::piped()).stderr(Stdio::piped());
    croft.spawn().unwrap()
}
