//! Guard rails: what needs no statistics. Takes health checks, restarts and counts of the canary's instances; says once that the
//! release must go. What takes a release back is watched by them as well, and by nothing else.

use std::collections::{BTreeMap, VecDeque};

use croft_proto::Timestamp;
use serde::{Deserialize, Serialize};

use super::counter::Counts;

/// When a guard rail is hit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct GuardRules {
    /// So many failed health checks in a row make an instance unhealthy.
    pub failures_min: u32,
    /// So many restarts make an instance one that loops. That it is up again afterwards excuses nothing.
    pub restarts_min: u32,
    /// That share of the canary's instances, between 0 and 1.
    pub fraction: f64,
    /// A canary that fails more than this share of its requests,
    pub ratio_max: f64,
    /// of so many at least,
    pub requests_min: f64,
    /// in so many separate slices of time at least: a burst of one moment is not a broken release.
    pub slices_min: u32,
}

impl Default for GuardRules {
    fn default() -> Self {
        Self {
            failures_min: 3,
            restarts_min: 2,
            fraction: 0.5,
            ratio_max: 0.5,
            requests_min: 20.0,
            slices_min: 5,
        }
    }
}

/// Counts are cut in slices of this length, as long as the longest burst that is expected.
const SLICE_MS: u64 = 5_000;

/// Slices that are kept; the oldest is forgotten.
const SLICES_MAX: usize = 120;

/// Which guard rail was hit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    tag = "rail"
)]
pub enum Hit {
    /// Instances fail their health checks.
    Unhealthy {
        /// So many.
        instances: u32,
        /// Of so many.
        of: u32,
    },
    /// Instances restart again and again.
    CrashLoop {
        /// So many.
        instances: u32,
        /// Of so many.
        of: u32,
    },
    /// Most requests fail.
    Errors {
        /// What was counted.
        counts: Counts,
    },
}

/// What a health check said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Well.
    Passed,
    /// Not well, or no answer.
    Failed,
}

#[derive(Clone, Copy, Debug, Default)]
struct Instance {
    failures: u32,
    restarts: u32,
}

#[derive(Clone, Copy, Debug)]
struct Slice {
    number: u64,
    counts: Counts,
}

/// The guard rails of one deployment.
#[derive(Clone, Debug)]
pub struct Guard {
    rules: GuardRules,
    instances: BTreeMap<String, Instance>,
    slices: VecDeque<Slice>,
    hit: Option<Hit>,
}

impl Guard {
    /// Guard rails around so many instances, by name.
    #[must_use]
    pub fn new(rules: GuardRules, instances: impl IntoIterator<Item = String>) -> Self {
        Self {
            rules,
            instances: instances
                .into_iter()
                .map(|name| (name, Instance::default()))
                .collect(),
            slices: VecDeque::with_capacity(SLICES_MAX),
            hit: None,
        }
    }

    /// A health check of an instance.
    pub fn check(&mut self, instance: &str, check: Check) {
        let known = self.instances.entry(instance.to_owned()).or_default();
        known.failures = match check {
            Check::Passed => 0,
            Check::Failed => known.failures.saturating_add(1),
        };
        let min = self.rules.failures_min;
        if let Some((instances, of)) = self.too_many(|instance| instance.failures >= min) {
            self.hit.get_or_insert(Hit::Unhealthy { instances, of });
        }
    }

    /// An instance has restarted by itself.
    pub fn restarted(&mut self, instance: &str) {
        let known = self.instances.entry(instance.to_owned()).or_default();
        known.restarts = known.restarts.saturating_add(1);
        let min = self.rules.restarts_min;
        if let Some((instances, of)) = self.too_many(|instance| instance.restarts >= min) {
            self.hit.get_or_insert(Hit::CrashLoop { instances, of });
        }
    }

    fn too_many(&self, is_bad: impl Fn(&Instance) -> bool) -> Option<(u32, u32)> {
        let bad = self.instances.values().filter(|one| is_bad(one)).count();
        let (bad, of) = (
            u32::try_from(bad).unwrap_or(u32::MAX),
            u32::try_from(self.instances.len()).unwrap_or(u32::MAX),
        );
        let enough = bad > 0 && f64::from(bad) >= self.rules.fraction * f64::from(of);
        enough.then_some((bad, of))
    }

    /// What the canary counted since the last time.
    pub fn counted(&mut self, at: Timestamp, counts: Counts) {
        if counts == Counts::NONE {
            return;
        }
        let number = at.millis().saturating_sub(1) / SLICE_MS;
        match self.slices.back_mut() {
            Some(last) if last.number == number => last.counts = last.counts.plus(counts),
            Some(_) | None => {
                if self.slices.len() >= SLICES_MAX {
                    self.slices.pop_front();
                }
                self.slices.push_back(Slice { number, counts });
            }
        }
        if counts.bad > 0.0 && self.hit.is_none() {
            self.hit = self.errors().map(|counts| Hit::Errors { counts });
        }
    }

    /// The shortest recent time with enough requests and slices, if most of it failed.
    fn errors(&self) -> Option<Counts> {
        let (mut sum, mut bad_slices) = (Counts::NONE, 0);
        for slice in self.slices.iter().rev() {
            sum = sum.plus(slice.counts);
            if self.is_bad(slice.counts) {
                bad_slices += 1;
            }
            if sum.requests >= self.rules.requests_min && bad_slices >= self.rules.slices_min {
                return self.is_bad(sum).then_some(sum);
            }
        }
        None
    }

    fn is_bad(&self, counts: Counts) -> bool {
        counts
            .ratio()
            .is_some_and(|ratio| ratio > self.rules.ratio_max)
    }

    /// The first rail that was hit. Stays, once hit.
    #[must_use]
    pub fn hit(&self) -> Option<&Hit> {
        self.hit.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(instances: u32) -> Guard {
        let names = (0..instances).map(|number| format!("i{number}"));
        Guard::new(GuardRules::default(), names)
    }

    fn count(guard: &mut Guard, second: u64, requests: f64, bad: f64) {
        let at = Timestamp::from_millis(second * 1000);
        guard.counted(at, Counts { requests, bad });
    }

    #[test]
    fn three_failed_checks_in_a_row_on_half_of_the_instances_are_a_hit() {
        let mut guard = guard(4);
        for instance in ["i0", "i1"] {
            guard.check(instance, Check::Failed);
            guard.check(instance, Check::Failed);
            guard.check(instance, Check::Passed);
            guard.check(instance, Check::Failed);
            guard.check(instance, Check::Failed);
        }
        assert_eq!(guard.hit(), None);
        guard.check("i0", Check::Failed);
        assert_eq!(guard.hit(), None);
        guard.check("i1", Check::Failed);
        let expected = Hit::Unhealthy {
            instances: 2,
            of: 4,
        };
        assert_eq!(guard.hit(), Some(&expected));
        guard.check("i1", Check::Passed);
        assert_eq!(guard.hit(), Some(&expected));
    }

    #[test]
    fn two_restarts_are_a_loop_though_the_instance_is_well_in_between() {
        let mut guard = guard(1);
        guard.restarted("i0");
        guard.check("i0", Check::Passed);
        assert_eq!(guard.hit(), None);
        guard.restarted("i0");
        let expected = Hit::CrashLoop {
            instances: 1,
            of: 1,
        };
        assert_eq!(guard.hit(), Some(&expected));
    }

    #[test]
    fn a_canary_that_fails_most_of_its_requests_is_gone_in_seconds() {
        let mut guard = guard(1);
        let found = (1..=60).find(|second| {
            count(&mut guard, *second, 10.0, 6.0);
            guard.hit().is_some()
        });
        assert_eq!(found, Some(21));
    }

    #[test]
    fn two_bursts_are_no_hit_however_large() {
        let mut guard = guard(1);
        count(&mut guard, 1, 1.0, 0.0);
        for second in [4, 5, 6, 7, 8, 24, 25, 26, 27, 28] {
            count(&mut guard, second, 20.0, 20.0);
        }
        for second in 29..600 {
            count(&mut guard, second, 1.0, 0.0);
        }
        assert_eq!(guard.hit(), None);
    }

    #[test]
    fn a_few_requests_are_no_hit_though_all_fail() {
        let mut guard = guard(1);
        for second in 0..19 {
            count(&mut guard, second * 30, 1.0, 1.0);
        }
        assert_eq!(guard.hit(), None);
        count(&mut guard, 600, 1.0, 1.0);
        assert!(guard.hit().is_some());
    }

    #[test]
    fn a_fault_that_begins_late_is_not_outvoted_by_the_good_time_before() {
        let mut guard = guard(1);
        for second in 1..500 {
            count(&mut guard, second, 10.0, 0.0);
        }
        let found = (500..600).find(|second| {
            count(&mut guard, *second, 10.0, 9.0);
            guard.hit().is_some()
        });
        assert!(found.is_some_and(|second| second <= 525), "{found:?}");
    }
}
