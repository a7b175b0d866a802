//! Many releases of a kind, and what must be reached. Takes a scenario and how many seeds; hands back what share was taken back and
//! how soon. The rows stand here once, for the tests' few releases and the benchmark's many.

use std::collections::BTreeMap;

use super::competitors::COMPETITORS;
use super::release::{History, Outcome, Scenario, simulate};
use super::traffic::{Badness, Falls};
use crate::verdict::Trigger;

/// What became of many releases.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Releases.
    pub seeds: u64,
    /// Milliseconds until Croft took them back, sorted; those that it did not are missing.
    pub croft: Vec<u64>,
    /// Who said so, and how often.
    pub triggers: BTreeMap<Trigger, u64>,
    /// Milliseconds for each of [`COMPETITORS`].
    pub others: [Vec<u64>; COMPETITORS.len()],
}

impl Tally {
    /// So many of a thousand releases were taken back within that many seconds; nothing when fewer were taken back at all.
    #[must_use]
    pub fn quantile_seconds(&self, sorted: &[u64], of_thousand: u64) -> Option<u64> {
        let rank = (self.seeds * of_thousand).div_ceil(1000).max(1) - 1;
        let found = sorted.get(usize::try_from(rank).ok()?);
        found.map(|found| found / 1000)
    }
}

/// A regression, and how soon Croft must find it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// In words.
    pub name: &'static str,
    /// The release.
    pub scenario: Scenario,
    /// Seconds within which 95 of 100 must be taken back. Nothing: it is measured and need reach nothing.
    pub p95_seconds: Option<u64>,
}

/// Good releases, none of which should be taken back.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// How errors come, in words.
    pub errors: &'static str,
    /// The release.
    pub scenario: Scenario,
}

const NO_FAULT: Badness = Badness::new(0.0, 1.0);

/// How requests are slow, everywhere: a share that makes the second metric a busy one.
const SLOW: f64 = 0.01;

const BAKE_MS: u64 = 30 * 60_000;

const fn scenario(rps: f64, ratio: f64, burst: f64, fault: Badness) -> Scenario {
    Scenario {
        rps,
        weight: 0.1,
        errors: Badness::new(ratio, burst),
        slow: Badness::new(SLOW, burst),
        fault,
        scrape_ms: 1000,
        bake_ms: BAKE_MS,
        history: History::Hour,
    }
}

/// A tenth of 100 requests a second to a canary of which a thousandth failed before.
const fn faulty(burst: f64, fault: f64) -> Scenario {
    scenario(100.0, 0.001, burst, Badness::new(fault, 1.0))
}

const fn row(name: &'static str, scenario: Scenario, p95_seconds: u64) -> Row {
    Row {
        name,
        scenario,
        p95_seconds: Some(p95_seconds),
    }
}

/// The regressions that must be found, all with the same settings.
#[must_use]
pub const fn detection_rows() -> [Row; 6] {
    [
        row(
            "10% of requests fail, steady history",
            faulty(1.0, 0.099),
            30,
        ),
        row("10%, history in bursts of 5", faulty(5.0, 0.099), 90),
        row("10%, history in bursts of 20", faulty(20.0, 0.099), 90),
        row(
            "2% of requests fail, steady history",
            faulty(1.0, 0.019),
            90,
        ),
        row("2%, history in bursts of 5", faulty(5.0, 0.019), 600),
        row("2%, history in bursts of 20", faulty(20.0, 0.019), 600),
    ]
}

const fn further(name: &'static str, scenario: Scenario) -> Row {
    Row {
        name,
        scenario,
        p95_seconds: None,
    }
}

/// Regressions that are measured as well, to show where the test is weaker.
#[must_use]
pub const fn further_rows() -> [Row; 8] {
    let mut slow_scrapes = faulty(1.0, 0.099);
    slow_scrapes.scrape_ms = 5000;
    let mut slower_scrapes = faulty(1.0, 0.019);
    slower_scrapes.scrape_ms = 15_000;
    let mut unknown = faulty(1.0, 0.099);
    unknown.history = History::None;
    let half_percent = faulty(1.0, 0.004);
    let mut bursts = faulty(5.0, 0.099);
    bursts.fault = Badness::new(0.099, 5.0);
    let mut long_bursts = faulty(20.0, 0.099);
    long_bursts.fault = Badness::new(0.099, 20.0);
    let small = scenario(10.0, 0.002, 1.0, Badness::new(0.048, 1.0));
    let tiny = scenario(1.0, 0.005, 1.0, Badness::new(0.495, 1.0));
    [
        further("10%, scraped every 5 s", slow_scrapes),
        further("2%, scraped every 15 s", slower_scrapes),
        further("10%, no history", unknown),
        further("0.5%", half_percent),
        further("10% in bursts of 5, history too", bursts),
        further("10% in bursts of 20, history too", long_bursts),
        further("10 requests/s: 5%", small),
        further("1 request/s: 50%", tiny),
    ]
}

/// Good releases of services of all sizes: steady errors, and bursts on one instance.
#[must_use]
pub fn clean_cells() -> Vec<Cell> {
    let sizes = [(0.1, 0.005), (1.0, 0.005), (10.0, 0.002), (100.0, 0.001)];
    let comings = [
        ("steady", 1.0),
        ("bursts of 5", 5.0),
        ("bursts of 20", 20.0),
    ];
    let cell = |errors, rps, ratio, burst| Cell {
        errors,
        scenario: scenario(rps, ratio, burst, NO_FAULT),
    };
    let mut cells = Vec::new();
    for (rps, ratio) in sizes {
        cells.extend(comings.map(|(errors, burst)| cell(errors, rps, ratio, burst)));
    }
    cells
}

impl Cell {
    /// The same with bursts that all instances share, or that are longer than any block that is learned.
    #[must_use]
    pub fn with_bursts(mut self, errors: &'static str, falls: Falls, burst_ms: u64) -> Self {
        self.errors = errors;
        for badness in [&mut self.scenario.errors, &mut self.scenario.slow] {
            badness.falls = falls;
            badness.burst_ms = burst_ms;
        }
        self
    }
}

/// The first seed. The detectors' settings were chosen on seeds below.
const SEED_FIRST: u64 = 1_000_000;

/// Plays so many releases, on so many threads.
///
/// # Errors
/// What the system says when it has no room for a thread.
pub fn tally(scenario: &Scenario, seeds: u64, threads: u64) -> std::io::Result<Tally> {
    let threads = threads.max(1);
    let outcomes = std::thread::scope(|scope| {
        let play = |first: u64| {
            let mut room = Vec::new();
            let mine = (first..seeds).step_by(usize::try_from(threads).unwrap_or(1));
            mine.map(|seed| simulate(scenario, SEED_FIRST + seed, &mut room))
                .collect::<Vec<Outcome>>()
        };
        let mut running = Vec::new();
        for first in 0..threads {
            let named = std::thread::Builder::new().name(format!("releases-{first}"));
            running.push(named.spawn_scoped(scope, move || play(first))?);
        }
        let mut all = Vec::new();
        for thread in running {
            all.extend(thread.join().expect("a simulated release does not panic"));
        }
        Ok::<_, std::io::Error>(all)
    })?;
    let sorted = |mut found: Vec<u64>| {
        found.sort_unstable();
        found
    };
    let croft = outcomes.iter().filter_map(|outcome| outcome.croft);
    let mut triggers = BTreeMap::new();
    for found in croft.clone() {
        *triggers.entry(found.trigger).or_insert(0) += 1;
    }
    let other = |number: usize| outcomes.iter().filter_map(move |one| one.others[number]);
    Ok(Tally {
        seeds,
        croft: sorted(croft.map(|found| found.after_ms).collect()),
        triggers,
        others: std::array::from_fn(|number| sorted(other(number).collect())),
    })
}

/// The largest share that could, with 5 chances of 100, have shown no more than `found` of `of`: Clopper and Pearson's one-sided bound.
#[must_use]
pub fn bound_upper(found: u64, of: u64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle: f64 = f64::midpoint(low, high);
        if at_most(found, of, middle) > 0.05 {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The chance of at most `found` among `of`, each with chance `share`.
fn at_most(found: u64, of: u64, share: f64) -> f64 {
    let mut term = of as f64 * (1.0 - share).ln();
    let mut sum = term.exp();
    for number in 1..=found.min(of) {
        let odds = share / (1.0 - share) * (of - number + 1) as f64 / number as f64;
        term += odds.ln();
        sum += term.exp();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Asked, Learned, Lesson, seconds_to_convict};

    #[test]
    fn the_bound_is_clopper_and_pearsons() {
        for (found, of, expected) in [(0, 10_000, 2.995e-4), (4, 10_000, 9.15e-4), (3, 20, 0.3437)]
        {
            let bound = bound_upper(found, of);
            assert!(
                (bound / expected - 1.0).abs() < 2e-3,
                "{found}/{of}: {bound}"
            );
        }
    }

    #[test]
    fn a_quantile_counts_releases_that_were_never_taken_back() {
        let tally = Tally {
            seeds: 100,
            croft: (1..=95).map(|second| second * 1000).collect(),
            triggers: BTreeMap::new(),
            others: Default::default(),
        };
        assert_eq!(tally.quantile_seconds(&tally.croft, 500), Some(50));
        assert_eq!(tally.quantile_seconds(&tally.croft, 950), Some(95));
        assert_eq!(tally.quantile_seconds(&tally.croft, 960), None);
    }

    /// A few releases of each row; the benchmark plays thousands. So few may be a little later by chance.
    #[test]
    fn regressions_are_found_in_time() {
        for row in detection_rows() {
            let tally = tally(&row.scenario, 100, 2).unwrap();
            let p95 = tally.quantile_seconds(&tally.croft, 950);
            let limit = row.p95_seconds.unwrap() * 5 / 4;
            assert!(p95.is_some_and(|p95| p95 <= limit), "{}: {p95:?}", row.name);
        }
    }

    #[test]
    fn the_estimate_before_a_deployment_is_right_to_a_factor_of_two() {
        let learned = Learned {
            block_ms: 1000,
            dispersion: Some(1.0),
            units_min: 1.0,
            units_max: 3.0,
            blocks_per_request: 0.001,
            from: Lesson::History,
        };
        let found = |rps: f64, usual: f64, fault: f64| {
            let scenario = scenario(rps, usual, 1.0, Badness::new(fault, 1.0));
            let tally = tally(&scenario, 60, 2).unwrap();
            let asked = Asked {
                canary_rps: rps * 0.1,
                baseline_rps: rps * 0.9,
                usual,
                regressed: usual + fault,
                decides_at: 2000.0,
                tolerance: 1.5,
            };
            let estimate = seconds_to_convict(&asked, &learned).unwrap();
            let half = tally.quantile_seconds(&tally.croft, 500).unwrap();
            (estimate, half as f64)
        };
        for (rps, usual, fault) in [
            (100.0, 0.001, 0.099),
            (100.0, 0.001, 0.019),
            (10.0, 0.002, 0.048),
            (1.0, 0.005, 0.495),
        ] {
            let (estimate, half) = found(rps, usual, fault);
            let factor = estimate / half;
            assert!(
                (0.5..2.0).contains(&factor),
                "{rps} {fault}: {estimate:.0} {half}"
            );
        }
    }

    #[test]
    fn what_others_document_takes_minutes_in_the_same_releases() {
        let tally = tally(&detection_rows()[0].scenario, 40, 2).unwrap();
        let p50 = |number: usize| tally.quantile_seconds(&tally.others[number], 500);
        assert_eq!(
            [0, 1, 2, 3].map(p50),
            [Some(660), Some(360), Some(120), Some(960)]
        );
    }

    #[test]
    fn good_releases_are_left_alone_whatever_their_size_and_however_errors_come() {
        for cell in clean_cells() {
            let tally = tally(&cell.scenario, 150, 2).unwrap();
            let rps = cell.scenario.rps;
            assert_eq!(tally.croft.len(), 0, "{rps} requests/s, {}", cell.errors);
        }
    }

    #[test]
    fn bursts_that_all_instances_share_take_no_release_back() {
        for cell in clean_cells() {
            let cell = cell.with_bursts("shared", Falls::OnAll, 5000);
            let tally = tally(&cell.scenario, 50, 2).unwrap();
            assert_eq!(tally.croft.len(), 0, "{} requests/s", cell.scenario.rps);
        }
    }
}
