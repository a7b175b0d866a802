//! The bet against a clean release: what a stake of 1 has become. Takes units of evidence from the sequential test; hands back
//! the wealth, which a clean release brings to `1 / alpha` with a probability of at most `alpha`, however often one looks.
//!
//! **Source.** A mixture of likelihood ratios is a test martingale (Ville's inequality); for counters in Netflix' arXiv
//! 2205.14762. The bet is also begun anew every [`RESTART_MS`] with a part of the stake that was kept back for it, so that a fault that
//! begins late has not to win back what the clean time before it has lost.

/// How many times as many errors the bets expect of the canary.
pub(crate) const THETAS: [f64; 8] = [2.0, 3.0, 5.0, 8.0, 16.0, 32.0, 64.0, 256.0];

/// A bet is begun anew so often.
pub(crate) const RESTART_MS: u64 = 5 * 60_000;

/// What is staked at first: most, since a bad release is bad from its first request.
pub(crate) const FIRST_STAKE: f64 = 0.9;

/// And at most so many times: the first hour. Later faults are found by the last of them.
pub(crate) const RUNS_MAX: u32 = 12;

/// No exponent is larger: far beyond any decision, and finite in sums.
const LOG_MAX: f64 = 300.0;

/// One bet: the logarithm of what it has become, for each expectation.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    stake: f64,
    log: [f64; THETAS.len()],
}

/// All bets.
#[derive(Clone, Debug)]
pub(crate) struct Wealth {
    runs: Vec<Run>,
    kept: f64,
}

/// The logarithms of one unit's likelihood ratios, for each expectation.
pub(crate) type Ratios = [f64; THETAS.len()];

impl Wealth {
    pub(crate) fn new() -> Self {
        let mut wealth = Self {
            runs: Vec::with_capacity(usize::try_from(RUNS_MAX).unwrap_or(0)),
            kept: 1.0,
        };
        wealth.begin(FIRST_STAKE);
        wealth
    }

    fn begin(&mut self, stake: f64) {
        self.kept -= stake;
        self.runs.push(Run {
            stake,
            ..Run::default()
        });
    }

    /// Begins the bets that are due so long after the first.
    pub(crate) fn begin_due(&mut self, elapsed_ms: u64) {
        loop {
            let begun = u32::try_from(self.runs.len()).unwrap_or(RUNS_MAX);
            if begun >= RUNS_MAX || elapsed_ms < u64::from(begun) * RESTART_MS {
                return;
            }
            // Of the rest 1/2, 1/6, 1/12, ...: together below 1 however many follow.
            let number = f64::from(begun);
            self.begin((1.0 - FIRST_STAKE) / (number * (number + 1.0)));
        }
    }

    /// Takes evidence: the ratios, each so many times.
    pub(crate) fn take(&mut self, ratios: &Ratios) {
        for run in &mut self.runs {
            for (log, ratio) in run.log.iter_mut().zip(ratios) {
                *log = (*log + ratio).min(LOG_MAX);
            }
        }
    }

    /// What the stake of 1 has become.
    pub(crate) fn value(&self) -> f64 {
        let count = f64::from(u32::try_from(THETAS.len()).unwrap_or(1));
        let won = self.runs.iter().map(|run| {
            let sum: f64 = run.log.iter().map(|log| log.exp()).sum();
            run.stake * sum / count
        });
        self.kept + won.sum::<f64>()
    }
}

/// Evidence of `canary` and `baseline` units of errors, when the canary had `exposure` times the baseline's requests and a clean
/// one is one with at most `tolerance` times the baseline's errors.
pub(crate) fn concurrent(canary: f64, baseline: f64, exposure: f64, tolerance: f64) -> Ratios {
    let mut ratios = [0.0; THETAS.len()];
    let clean = tolerance * exposure;
    for (ratio, theta) in ratios.iter_mut().zip(THETAS) {
        let bad = theta.max(tolerance) * exposure;
        // ln of (bad / (1 + bad)) / (clean / (1 + clean)), and of the same for the baseline's share.
        let both = ((1.0 + clean) / (1.0 + bad)).ln();
        *ratio = canary * ((bad / clean).ln() + both) + baseline * both;
    }
    ratios
}

/// Evidence of `canary` units of errors where a clean release would have had at most `expected` of them.
pub(crate) fn historical(canary: f64, expected: f64, tolerance: f64) -> Ratios {
    let mut ratios = [0.0; THETAS.len()];
    for (ratio, theta) in ratios.iter_mut().zip(THETAS) {
        let more = theta.max(tolerance) / tolerance;
        *ratio = canary * more.ln() - (more - 1.0) * expected * tolerance;
    }
    ratios
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fair_game_wins_nothing_on_average() {
        // All outcomes of one unit, weighed as a release on the border of clean has them.
        let (exposure, tolerance) = (1.0 / 9.0, 1.5);
        let share = tolerance * exposure / (1.0 + tolerance * exposure);
        let value = |canary: f64| {
            let mut wealth = Wealth::new();
            wealth.take(&concurrent(canary, 1.0 - canary, exposure, tolerance));
            wealth.value()
        };
        let mean = share * value(1.0) + (1.0 - share) * value(0.0);
        assert!((mean - 1.0).abs() < 1e-12, "{mean}");
    }

    #[test]
    fn a_unit_that_both_arms_share_wins_no_more_than_one_that_falls_on_either() {
        let (exposure, tolerance) = (1.0 / 9.0, 1.5);
        let share = tolerance * exposure / (1.0 + tolerance * exposure);
        let mut wealth = Wealth::new();
        wealth.take(&concurrent(share, 1.0 - share, exposure, tolerance));
        assert!(wealth.value() <= 1.0, "{}", wealth.value());
    }

    #[test]
    fn five_units_of_the_canary_alone_are_enough_at_a_tenth_of_the_traffic() {
        let mut wealth = Wealth::new();
        for _ in 0..5 {
            wealth.take(&concurrent(1.0, 0.0, 1.0 / 9.0, 1.5));
        }
        assert!(wealth.value() > 1000.0, "{}", wealth.value());
    }

    #[test]
    fn a_bet_begun_later_forgets_what_the_clean_time_has_lost() {
        let (mut early, mut again) = (Wealth::new(), Wealth::new());
        for _ in 0..200 {
            let clean = concurrent(0.1, 0.9, 1.0 / 9.0, 1.5);
            early.take(&clean);
            again.take(&clean);
        }
        again.begin_due(RESTART_MS);
        for _ in 0..8 {
            let bad = concurrent(1.0, 0.0, 1.0 / 9.0, 1.5);
            early.take(&bad);
            again.take(&bad);
        }
        assert!(early.value() < 2.0, "{}", early.value());
        assert!(again.value() > 1000.0, "{}", again.value());
    }

    #[test]
    fn stakes_never_come_to_more_than_one() {
        let mut wealth = Wealth::new();
        wealth.begin_due(u64::MAX);
        assert_eq!(wealth.runs.len(), 12);
        assert!(wealth.kept > 0.0, "{}", wealth.kept);
        assert!((wealth.value() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn against_history_the_expected_number_of_errors_wins_nothing() {
        let mut wealth = Wealth::new();
        wealth.take(&historical(2.0, 2.0, 1.5));
        assert!(wealth.value() < 1.0, "{}", wealth.value());
        let mut wealth = Wealth::new();
        wealth.take(&historical(20.0, 2.0, 1.5));
        assert!(wealth.value() > 20_000.0, "{}", wealth.value());
    }
}
