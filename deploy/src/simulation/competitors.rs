//! The rules of others, as read in their sources: Flagger's loop and Argo Rollouts' analysis. Takes the canary's requests and
//! errors; says when each would have taken the release back.

/// How much time one number of a window covers.
const SLOT_MS: u64 = 10_000;

/// The longest window: five minutes.
const SLOTS: usize = 30;

/// Their names, in the order in which they are found.
pub const COMPETITORS: [&str; 4] = [
    "Flagger 60s/10",
    "Flagger 60s/5",
    "Flagger 60s/1",
    "Argo 5m/F3",
];

/// The last five minutes of the canary.
#[derive(Clone, Debug)]
struct Window {
    slots: [(f64, f64); SLOTS],
    current: usize,
}

impl Window {
    fn success(&self, slots: usize) -> Option<f64> {
        let (mut requests, mut errors) = (0.0, 0.0);
        for back in 0..slots {
            let slot = self.slots[(self.current + SLOTS - back) % SLOTS];
            requests += slot.0;
            errors += slot.1;
        }
        (requests > 0.0).then(|| 1.0 - errors / requests)
    }

    fn next(&mut self) {
        self.current = (self.current + 1) % SLOTS;
        self.slots[self.current] = (0.0, 0.0);
    }
}

/// Flagger: a check every minute, success of at least 99% in the last one; no value is a failed check. Failures add up over the whole
/// release, and are compared with the threshold at the beginning of the next check.
#[derive(Clone, Debug)]
struct Flagger {
    threshold: u32,
    failed: u32,
    found: Option<u64>,
}

impl Flagger {
    const INTERVAL_MS: u64 = 60_000;

    fn tick(&mut self, at_ms: u64, window: &Window) {
        if !at_ms.is_multiple_of(Self::INTERVAL_MS) || self.found.is_some() {
            return;
        }
        if self.failed >= self.threshold {
            self.found = Some(at_ms);
        } else if window.success(6).is_none_or(|success| success < 0.99) {
            self.failed += 1;
        }
    }
}

/// Argo Rollouts: the first measurement after a minute, then every five; success of at least 95% in the last five. The fourth failure
/// is one too many. No value is an error, tried again after ten seconds; the fifth error in a row is one too many as well.
#[derive(Clone, Debug)]
struct Argo {
    next_ms: u64,
    failed: u32,
    errors: u32,
    found: Option<u64>,
}

impl Argo {
    fn tick(&mut self, at_ms: u64, window: &Window) {
        if at_ms < self.next_ms || self.found.is_some() {
            return;
        }
        match window.success(SLOTS) {
            None => {
                self.errors += 1;
                self.next_ms = at_ms + 10_000;
            }
            Some(success) => {
                self.errors = 0;
                self.failed += u32::from(success < 0.95);
                self.next_ms = at_ms + 300_000;
            }
        }
        if self.failed > 3 || self.errors > 4 {
            self.found = Some(at_ms);
        }
    }
}

/// All of them, watching one release.
#[derive(Clone, Debug)]
pub(super) struct Competitors {
    window: Window,
    flagger: [Flagger; 3],
    argo: Argo,
}

impl Competitors {
    pub(super) fn new() -> Self {
        Self {
            window: Window {
                slots: [(0.0, 0.0); SLOTS],
                current: 0,
            },
            flagger: [10, 5, 1].map(|threshold| Flagger {
                threshold,
                failed: 0,
                found: None,
            }),
            argo: Argo {
                next_ms: 60_000,
                failed: 0,
                errors: 0,
                found: None,
            },
        }
    }

    /// Takes one scrape of the canary.
    pub(super) fn poll(&mut self, at_ms: u64, requests: f64, errors: f64) {
        let slot = &mut self.window.slots[self.window.current];
        slot.0 += requests;
        slot.1 += errors;
        if !at_ms.is_multiple_of(SLOT_MS) {
            return;
        }
        for flagger in &mut self.flagger {
            flagger.tick(at_ms, &self.window);
        }
        self.argo.tick(at_ms, &self.window);
        self.window.next();
    }

    /// When each of [`COMPETITORS`] took the release back.
    pub(super) fn found(&self) -> [Option<u64>; COMPETITORS.len()] {
        let [ten, five, one] = &self.flagger;
        [ten.found, five.found, one.found, self.argo.found]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(errors: impl Fn(u64) -> f64, requests: f64) -> [Option<u64>; 4] {
        let mut competitors = Competitors::new();
        for second in 1..=1800 {
            competitors.poll(second * 1000, requests, errors(second));
        }
        let seconds = |found: Option<u64>| found.map(|found| found / 1000);
        competitors.found().map(seconds)
    }

    #[test]
    fn a_broken_canary_is_found_when_their_documents_examples_say() {
        let expected = [Some(660), Some(360), Some(120), Some(960)];
        assert_eq!(found(|_| 5.0, 10.0), expected);
    }

    #[test]
    fn a_good_canary_is_left_alone_and_one_without_traffic_is_not() {
        assert_eq!(found(|_| 0.0, 10.0), [None; 4]);
        let expected = [Some(660), Some(360), Some(120), Some(100)];
        assert_eq!(found(|_| 0.0, 0.0), expected);
    }

    #[test]
    fn flaggers_failures_add_up_over_the_whole_release() {
        let once_in_five_minutes = |second: u64| if second % 300 < 60 { 5.0 } else { 0.0 };
        let [_, five, ..] = found(once_in_five_minutes, 10.0);
        assert!(five.is_some(), "{five:?}");
    }
}
