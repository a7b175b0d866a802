//! Requests and what becomes of them: the traffic of both arms, scrape by scrape, and the errors of the hour before. Takes rates;
//! hands counts to the detectors of a simulated release, as scrapes would.
//!
//! Requests are a Poisson process. Bad ones are each by themselves, or come in bursts: of geometric size, spread evenly over the
//! burst's length, and requests as well. Where a burst falls is a choice; on one instance, so on one arm, is the hardest for whoever
//! compares arms.

use croft_proto::Timestamp;

use super::random::Random;
use crate::verdict::{Counts, Errors};

/// Bursts are so long, but where a scenario says otherwise.
pub const BURST_MS: u64 = 5_000;

/// Steps that are kept ready: more than a burst's length in the shortest steps.
const AHEAD: usize = 64;

/// On whom a burst falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Falls {
    /// On one instance.
    OnOne,
    /// On all, by their share of the traffic.
    OnAll,
}

/// How bad requests come, in a release that is as good as the last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Badness {
    /// The share of bad requests.
    pub ratio: f64,
    /// How many come together, on average; 1 is each by itself.
    pub burst: f64,
    /// Within how long.
    pub burst_ms: u64,
    /// On whom they fall.
    pub falls: Falls,
}

impl Badness {
    /// Bursts on one instance, of the usual length.
    #[must_use]
    pub const fn new(ratio: f64, burst: f64) -> Self {
        Self {
            ratio,
            burst,
            burst_ms: BURST_MS,
            falls: Falls::OnOne,
        }
    }
}

/// What the canary and the baseline had of something.
pub(super) type Both = [f64; 2];

/// Bad requests of one kind.
#[derive(Clone, Debug)]
pub(super) struct Source {
    random: Random,
    weight: f64,
    badness: Badness,
    wait_ms: f64,
    next_ms: f64,
    ahead: [Both; AHEAD],
}

impl Source {
    pub(super) fn new(mut random: Random, rps: f64, weight: f64, badness: Badness) -> Self {
        let per_ms = rps * badness.ratio / badness.burst / 1000.0;
        let wait_ms = if per_ms > 0.0 {
            1.0 / per_ms
        } else {
            f64::INFINITY
        };
        let next_ms = random.exponential(wait_ms);
        Self {
            random,
            weight,
            badness,
            wait_ms,
            next_ms,
            ahead: [[0.0; 2]; AHEAD],
        }
    }

    /// Those of the step that ends at so many milliseconds, all steps being as long.
    pub(super) fn step(&mut self, end_ms: u64, step_ms: u64) -> Both {
        let number = end_ms / step_ms;
        let slot = |number: u64| usize::try_from(number).unwrap_or(0) % AHEAD;
        while self.next_ms < end_ms as f64 {
            let mut left = self.random.geometric(self.badness.burst);
            let mut arm = self.arm();
            while left > 0.0 {
                let at = self.next_ms + self.spread();
                let ends_in = (at / step_ms as f64).floor() + 1.0;
                let later = (ends_in - number as f64).clamp(0.0, (AHEAD - 1) as f64);
                self.ahead[slot(number + whole(later))][arm] += 1.0;
                if self.badness.falls == Falls::OnAll {
                    arm = self.arm();
                }
                left -= 1.0;
            }
            self.next_ms += self.random.exponential(self.wait_ms);
        }
        std::mem::take(&mut self.ahead[slot(number)])
    }

    fn arm(&mut self) -> usize {
        usize::from(self.random.unit() >= self.weight)
    }

    fn spread(&mut self) -> f64 {
        if self.badness.burst > 1.0 {
            self.random.unit() * self.badness.burst_ms as f64
        } else {
            0.0
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of steps, small and not below zero"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

/// What one arm served in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Served {
    pub(super) requests: f64,
    pub(super) errors: f64,
    pub(super) slow: f64,
}

impl Served {
    pub(super) fn errors(self) -> Counts {
        Counts {
            requests: self.requests,
            bad: self.errors,
        }
    }

    pub(super) fn slow(self) -> Counts {
        Counts {
            requests: self.requests,
            bad: self.slow,
        }
    }
}

/// The traffic of both arms.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    random: Random,
    /// Good requests a second.
    good: Both,
    errors: Source,
    slow: Source,
    fault: Source,
}

impl Traffic {
    /// `fault` are errors of the canary alone, by its own requests.
    pub(super) fn new(
        random: &mut Random,
        rps: f64,
        weight: f64,
        [errors, slow, fault]: [Badness; 3],
    ) -> Self {
        let canary = rps * weight;
        Self {
            errors: Source::new(random.split(), rps, weight, errors),
            slow: Source::new(random.split(), rps, weight, slow),
            fault: Source::new(random.split(), canary, 1.0, fault),
            random: random.split(),
            good: [canary * (1.0 - fault.ratio), rps - canary],
        }
    }

    pub(super) fn step(&mut self, end_ms: u64, step_ms: u64) -> [Served; 2] {
        let errors = self.errors.step(end_ms, step_ms);
        let slow = self.slow.step(end_ms, step_ms);
        let fault = self.fault.step(end_ms, step_ms);
        let seconds = step_ms as f64 / 1000.0;
        [0, 1].map(|arm| {
            let good = self.random.poisson(self.good[arm] * seconds);
            let errors = errors[arm] + fault[arm];
            Served {
                requests: good + errors + slow[arm],
                errors,
                slow: slow[arm],
            }
        })
    }
}

/// Fills `into` with the bad requests of a past of that length, scrape by scrape, and says how many requests there were.
pub(super) fn past(
    random: &mut Random,
    rps: f64,
    badness: Badness,
    scrape_ms: u64,
    span_ms: u64,
    into: &mut Vec<Errors>,
) -> f64 {
    into.clear();
    let mut source = Source::new(random.split(), rps, 1.0, badness);
    let mut sum = 0.0;
    for number in 1..=span_ms / scrape_ms {
        let [count, _] = source.step(number * scrape_ms, scrape_ms);
        if count > 0.0 {
            sum += count;
            into.push(Errors {
                at: Timestamp::from_millis(number * scrape_ms),
                count,
            });
        }
    }
    random.poisson(rps * span_ms as f64 / 1000.0) + sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Badness = Badness::new(0.0, 1.0);

    fn ratios(errors: Badness, fault: Badness) -> Both {
        let mut traffic = Traffic::new(&mut Random::new(3), 100.0, 0.1, [errors, NONE, fault]);
        let mut sums = [Served::default(); 2];
        for second in 1..=60_000 {
            for (sum, served) in sums.iter_mut().zip(traffic.step(second * 1000, 1000)) {
                sum.requests += served.requests;
                sum.errors += served.errors;
            }
        }
        sums.map(|sum| sum.errors / sum.requests)
    }

    #[test]
    fn as_many_requests_fail_as_asked_for_on_either_arm_however_they_come() {
        for burst in [1.0, 5.0, 20.0] {
            for falls in [Falls::OnOne, Falls::OnAll] {
                let errors = Badness {
                    falls,
                    ..Badness::new(0.01, burst)
                };
                for got in ratios(errors, NONE) {
                    assert!((0.0075..0.0125).contains(&got), "{burst} {falls:?}: {got}");
                }
            }
        }
    }

    #[test]
    fn a_fault_is_the_canarys_alone() {
        let [canary, baseline] = ratios(Badness::new(0.001, 1.0), Badness::new(0.1, 1.0));
        assert!((0.095..0.107).contains(&canary), "{canary}");
        assert!((0.0008..0.0012).contains(&baseline), "{baseline}");
    }

    #[test]
    fn bursts_come_together_and_single_errors_do_not() {
        let crowded = |burst| {
            let mut errors = Vec::new();
            let badness = Badness::new(0.001, burst);
            past(
                &mut Random::new(5),
                100.0,
                badness,
                1000,
                3_600_000,
                &mut errors,
            );
            let total: f64 = errors.iter().map(|errors| errors.count).sum();
            total / errors.len() as f64
        };
        assert!(crowded(1.0) < 1.2, "{}", crowded(1.0));
        assert!(crowded(20.0) > 2.5, "{}", crowded(20.0));
    }
}
