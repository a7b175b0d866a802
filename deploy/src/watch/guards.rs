//! Guard rails of one deployment, fed from scrapes: instances that are down, processes that begin again, errors.
//!
//! A monitor that cannot reach anybody must take nothing back. So an instance that is down counts only while another of the group is
//! up, or when it was up with the old revision and never was with the new one, while the monitor saw others.

use std::collections::HashMap;

use croft_proto::Timestamp;

use super::timeline::{Arm, Timeline};
use crate::verdict::{Cause, Check, Counts, Finding, Guard, GuardRules, Why, of_guard};

/// What is known of one host.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    up_at: Option<Timestamp>,
    began: Option<f64>,
}

/// Guard rails under watch.
#[derive(Debug)]
pub(super) struct GuardWatch {
    guard: Guard,
    hosts: HashMap<String, Known>,
    /// Failed checks that no other host has been seen up since: when the first was, and how many.
    pending: HashMap<String, (Timestamp, u32)>,
    /// Since when nobody of the group could be scraped.
    cut_off: Option<Timestamp>,
}

impl GuardWatch {
    pub(super) fn new(rules: GuardRules) -> Self {
        Self {
            guard: Guard::new(rules, []),
            hosts: HashMap::new(),
            pending: HashMap::new(),
            cut_off: None,
        }
    }

    /// A scrape of a host: whether it is up, as far as that is measured, and when its process began.
    pub(super) fn scrape(
        &mut self,
        (host, at): (&str, Timestamp),
        timeline: &Timeline,
        (up, began): (Option<f64>, Option<f64>),
        scrape_ms: u64,
    ) {
        let arm = timeline.arm(host, at);
        let is_up = up.is_none_or(|up| up > 0.0);
        let known = self.hosts.get(host).copied().unwrap_or_default();
        let near_ms = 2 * scrape_ms + 2_000;
        if is_up {
            self.cut_off = None;
            self.saw(host);
        }
        if arm == Arm::Canary {
            if is_up {
                self.guard.check(host, Check::Passed);
            } else if self.never_came_up(host, timeline, near_ms) {
                self.guard.check(host, Check::Failed);
            } else {
                let (since, failed) = self.pending.entry(host.to_owned()).or_insert((at, 0));
                *failed += 1;
                if at.millis_since(*since) > near_ms {
                    self.cut_off.get_or_insert(*since);
                }
            }
            let is_another = known
                .began
                .zip(began)
                .is_some_and(|(was, is)| (was - is).abs() > 1.0);
            if is_another {
                self.guard.restarted(host);
            }
        }
        let known = self.hosts.entry(host.to_owned()).or_default();
        if is_up {
            known.up_at = Some(at);
        }
        // What the deployment itself starts is no restart.
        match arm {
            Arm::Canary => known.began = began.or(known.began),
            Arm::Baseline | Arm::Neither => known.began = None,
        }
    }

    /// A host is up, so the monitor sees: what failed on others did fail.
    fn saw(&mut self, host: &str) {
        self.pending.remove(host);
        for (other, (_, failed)) in std::mem::take(&mut self.pending) {
            for _ in 0..failed {
                self.guard.check(&other, Check::Failed);
            }
        }
    }

    /// It could be scraped until the deployment began on it, and not since.
    fn never_came_up(&self, host: &str, timeline: &Timeline, near_ms: u64) -> bool {
        let up_at = self.hosts.get(host).and_then(|known| known.up_at);
        let (Some(up), Some(left), Some(new)) =
            (up_at, timeline.left(host), timeline.new_from(host))
        else {
            return false;
        };
        up < new && left.millis_since(up) <= near_ms
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
