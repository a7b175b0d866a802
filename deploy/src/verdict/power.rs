//! How soon the sequential test would find a regression at today's traffic. Takes what is known before a deployment; hands a
//! sentence to its pre-flight. An estimate of the middle, from the rate at which evidence grows; a simulation in this room's tests
//! holds it to a factor of two.

use super::history::Learned;
use super::wealth::{FIRST_STAKE, THETAS};

/// Traffic, and the regression that is asked about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    /// Requests a second of the canary.
    pub canary_rps: f64,
    /// Of the old instances at the same time.
    pub baseline_rps: f64,
    /// The share of requests that is bad today.
    pub usual: f64,
    /// The share that would be bad of the canary's.
    pub regressed: f64,
    /// The wealth that convicts.
    pub decides_at: f64,
    /// What is still a good release.
    pub tolerance: f64,
}

/// About how many seconds the test takes to convict; nothing when it never would.
#[must_use]
pub fn seconds_to_convict(asked: &Asked, learned: &Learned) -> Option<f64> {
    let canary = asked.canary_rps * asked.regressed;
    let baseline = asked.baseline_rps * asked.usual;
    let clean = asked.tolerance * asked.canary_rps / asked.baseline_rps;
    let share = canary / (canary + baseline);
    let clean_share = clean / (1.0 + clean);
    if !(canary > 0.0 && share > clean_share) {
        return None;
    }
    // What one unit wins on average, for the expectation that fits best.
    let exposure = asked.canary_rps / asked.baseline_rps;
    let wins = |theta: f64| {
        let bad = theta * exposure;
        let both = ((1.0 + clean) / (1.0 + bad)).ln();
        share * ((bad / clean).ln() + both) + (1.0 - share) * both
    };
    let wins = THETAS.into_iter().map(wins).fold(0.0, f64::max);
    if wins <= 0.0 {
        return None;
    }
    let count = f64::from(u32::try_from(THETAS.len()).unwrap_or(1));
    let needed = (asked.decides_at * count / FIRST_STAKE).ln() / wins;
    // The canary must err in three blocks at least.
    let needed = needed.max(3.0 / share);
    let block = learned.block_ms as f64 / 1000.0;
    let apart = 1.0 / (canary + baseline);
    let each_counts = learned.dispersion == Some(1.0);
    let unit = if each_counts { apart } else { apart + block };
    Some(needed * unit)
}

/// The same for a person: "at 1.2 requests/s a regression to 5% is found in about 17 min".
#[must_use]
pub fn sentence(asked: &Asked, learned: &Learned) -> String {
    let rps = asked.canary_rps + asked.baseline_rps;
    let percent = asked.regressed * 100.0;
    match seconds_to_convict(asked, learned) {
        Some(seconds) if seconds < 90.0 => {
            format!(
                "at {rps:.1} requests/s a regression to {percent}% is found in about {seconds:.0} s"
            )
        }
        Some(seconds) => format!(
            "at {rps:.1} requests/s a regression to {percent}% is found in about {:.0} min",
            seconds / 60.0
        ),
        None => format!(
            "at {rps:.1} requests/s a regression to {percent}% cannot be told from what is usual"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::history::Lesson;
    use super::*;

    fn steady() -> Learned {
        Learned {
            block_ms: 1000,
            dispersion: Some(1.0),
            units_min: 1.0,
            units_max: 3.0,
            blocks_per_request: 0.001,
            from: Lesson::History,
        }
    }

    fn asked(rps: f64, usual: f64, regressed: f64) -> Asked {
        Asked {
            canary_rps: rps * 0.1,
            baseline_rps: rps * 0.9,
            usual,
            regressed,
            decides_at: 2000.0,
            tolerance: 1.5,
        }
    }

    #[test]
    fn less_traffic_and_smaller_faults_take_longer() {
        let seconds =
            |rps, regressed| seconds_to_convict(&asked(rps, 0.001, regressed), &steady()).unwrap();
        assert!(seconds(100.0, 0.1) < seconds(100.0, 0.02));
        assert!(seconds(100.0, 0.02) < seconds(10.0, 0.02));
    }

    #[test]
    fn what_is_usual_is_never_found() {
        let same = asked(100.0, 0.01, 0.01);
        assert_eq!(seconds_to_convict(&same, &steady()), None);
        assert!(sentence(&same, &steady()).contains("cannot be told"));
    }

    #[test]
    fn the_sentence_says_traffic_fault_and_time() {
        let said = sentence(&asked(1.2, 0.005, 0.05), &steady());
        assert!(
            said.starts_with("at 1.2 requests/s a regression to 5%"),
            "{said}"
        );
        assert!(said.ends_with("min"), "{said}");
        let said = sentence(&asked(100.0, 0.001, 0.1), &steady());
        assert!(said.ends_with(" s"), "{said}");
    }
}
