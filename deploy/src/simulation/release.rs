//! One release from its first request to the end of its bake. Takes a scenario and a seed; hands back who took it back, and when.

use croft_proto::Timestamp;

use super::armed::Armed;
use super::competitors::{COMPETITORS, Competitors};
use super::random::Random;
use super::traffic::{Badness, Traffic, past};
use crate::verdict::{self, Decision, Errors, Learned, Trigger};

/// What was learned before.
const HISTORY_MS: u64 = 3_600_000;

/// What is known of the service before the release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// The hour before.
    Hour,
    /// Nothing.
    None,
}

/// A release and its service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scenario {
    /// Requests a second of the whole service.
    pub rps: f64,
    /// The canary's share of them.
    pub weight: f64,
    /// How requests fail that are no fault of the release.
    pub errors: Badness,
    /// How requests are slow that are no fault of the release.
    pub slow: Badness,
    /// What the release adds to the canary's errors.
    pub fault: Badness,
    /// Time from one scrape to the next; a minute must be a multiple of it.
    pub scrape_ms: u64,
    /// How long the canary is watched.
    pub bake_ms: u64,
    /// What is known before.
    pub history: History,
}

/// That Croft took a release back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// So long after the canary's first request.
    pub after_ms: u64,
    /// Who said so.
    pub trigger: Trigger,
}

/// What became of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// With Croft.
    pub croft: Option<Found>,
    /// With each of [`COMPETITORS`]: so long after the canary's first request.
    pub others: [Option<u64>; COMPETITORS.len()],
}

/// Plays a release. The same seed gives the same release; `room` is memory to be used again.
#[must_use]
pub fn simulate(scenario: &Scenario, seed: u64, room: &mut Vec<Errors>) -> Outcome {
    let mut random = Random::new(seed);
    let errors = learn(scenario, scenario.errors, &mut random, room);
    let slow = learn(scenario, scenario.slow, &mut random, room);
    let mut armed = Armed::new(scenario.weight, errors, slow);
    let mut competitors = Competitors::new();
    let badness = [scenario.errors, scenario.slow, scenario.fault];
    let mut traffic = Traffic::new(&mut random, scenario.rps, scenario.weight, badness);
    let mut croft = None;
    for number in 1..=scenario.bake_ms / scenario.scrape_ms {
        let at_ms = number * scenario.scrape_ms;
        let served = traffic.step(at_ms, scenario.scrape_ms);
        competitors.poll(at_ms, served[0].requests, served[0].errors);
        if croft.is_none() {
            croft = match armed.poll(Timestamp::from_millis(at_ms), served) {
                Decision::RollBack { trigger, .. } => Some(Found {
                    after_ms: at_ms,
                    trigger,
                }),
                Decision::Continue | Decision::Hold { .. } => None,
            };
        }
    }
    Outcome {
        croft,
        others: competitors.found(),
    }
}

fn learn(
    scenario: &Scenario,
    badness: Badness,
    random: &mut Random,
    room: &mut Vec<Errors>,
) -> Learned {
    let scrape_ms = scenario.scrape_ms;
    let requests = past(random, scenario.rps, badness, scrape_ms, HISTORY_MS, room);
    match scenario.history {
        History::None => Learned::nothing(scrape_ms),
        History::Hour => Learned::from_history(&verdict::History {
            scrape_ms,
            span_ms: HISTORY_MS,
            requests,
            errors: room,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_release_again() {
        let scenario = Scenario {
            rps: 10.0,
            weight: 0.1,
            errors: Badness::new(0.01, 5.0),
            slow: Badness::new(0.01, 5.0),
            fault: Badness::new(0.2, 1.0),
            scrape_ms: 1000,
            bake_ms: 600_000,
            history: History::Hour,
        };
        let mut room = Vec::new();
        let first = simulate(&scenario, 7, &mut room);
        assert_eq!(simulate(&scenario, 7, &mut room), first);
        assert!(first.croft.is_some(), "{first:?}");
        assert_ne!(simulate(&scenario, 8, &mut room), first);
    }
}
