//! Guard rails of one deployment, fed from scrapes: instances that are down, processes that begin again, errors.
//!
//! A monitor that cannot reach anybody must take nothing back. So that an instance is down counts when another of the group is seen up
//! after it, and once for each time that one is: however often it failed while nobody was seen, the monitor may have been cut off.

use std::collections::HashMap;

use croft_proto::Timestamp;

use super::timeline::Arm;
use crate::verdict::{Cause, Check, Counts, Finding, Guard, GuardRules, Why, of_guard};

/// What is known of one host's processes.
#[derive(Clone, Debug, Default)]
struct Processes {
    /// By series: when it began, and how often it did so again.
    all: HashMap<String, (f64, u32)>,
    /// The most that one of them began again: two that each did so once are one restart of their host.
    restarts: u32,
}

/// Guard rails under watch.
#[derive(Debug)]
pub(super) struct GuardWatch {
    guard: Guard,
    hosts: HashMap<String, Processes>,
    /// Hosts that failed checks and that no other host has been seen up since: when the first was.
    pending: HashMap<String, Timestamp>,
    /// Since when nobody of the group could be scraped.
    cut_off: Option<Timestamp>,
}

impl GuardWatch {
    /// Guard rails that count a share of those that have been seen with the new revision, or of `all` from the first one on.
    pub(super) fn new(rules: GuardRules, all: impl IntoIterator<Item = String>) -> Self {
        Self {
            guard: Guard::new(rules, all),
            hosts: HashMap::new(),
            pending: HashMap::new(),
            cut_off: None,
        }
    }

    /// A scrape of a host: whether it is up, where that is said, and when its processes began, by series.
    pub(super) fn scrape(
        &mut self,
        (host, at): (&str, Timestamp),
        arm: Arm,
        (is_up, began): (Option<bool>, &[(&str, f64)]),
        scrape_ms: u64,
    ) {
        if is_up == Some(true) {
            self.pending.remove(host);
            self.sees();
        }
        match (arm, is_up) {
            (Arm::Canary, Some(true)) => self.guard.check(host, Check::Passed),
            (Arm::Canary, Some(false)) => {
                let since = *self.pending.entry(host.to_owned()).or_insert(at);
                if at.millis_since(since) > 2 * scrape_ms + 2_000 {
                    self.cut_off.get_or_insert(since);
                }
            }
            (Arm::Canary | Arm::Baseline | Arm::Neither, _) => {}
        }
        let processes = self.hosts.entry(host.to_owned()).or_default();
        match arm {
            Arm::Canary if processes.restarted(began) => self.guard.restarted(host),
            Arm::Canary => {}
            // What the deployment itself starts is no restart.
            Arm::Baseline | Arm::Neither => processes.all.clear(),
        }
    }

    /// An instance is up, so the monitor sees: what failed on others just before did fail.
    fn sees(&mut self) {
        self.cut_off = None;
        for (other, _) in std::mem::take(&mut self.pending) {
            self.guard.check(&other, Check::Failed);
        }
    }

    pub(super) fn counted(&mut self, at: Timestamp, counts: Counts) {
        self.guard.counted(at, counts);
    }

    pub(super) fn findings(&self, at: Timestamp) -> Vec<Finding> {
        let cut_off = self.cut_off.map(|since| {
            Finding::Hold(Why::Missing {
                metric: "health".into(),
                cause: Cause::TargetDown,
                since,
            })
        });
        let guard = of_guard(at, &self.guard);
        cut_off.into_iter().chain([guard]).collect()
    }
}

impl Processes {
    /// Whether the host has begun again once more.
    fn restarted(&mut self, began: &[(&str, f64)]) -> bool {
        let before = self.restarts;
        for (series, is) in began {
            let (was, times) = self.all.entry((*series).to_owned()).or_insert((*is, 0));
            if (*was - is).abs() > 1.0 {
                *times += 1;
            }
            *was = *is;
            self.restarts = self.restarts.max(*times);
        }
        self.restarts > before
    }
}
