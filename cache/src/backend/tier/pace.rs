//! What fetching from the far store costs, learned from the fetches there were. Received from `near`; pure.

/// Before anything was fetched: a store some way off.
const LATENCY_MS: f64 = 30.0;
const BYTES_PER_MS: f64 = 50.0 * 1_048.576;

/// Each new measure counts for this much of the estimate, so that about the last ten fetches decide.
const NEW: f64 = 0.2;

/// A smaller object measures the latency, a larger one the bandwidth.
const SMALL_BYTES: u64 = 64 << 10;

/// Latency and bandwidth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    latency_ms: f64,
    bytes_per_ms: f64,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            latency_ms: LATENCY_MS,
            bytes_per_ms: BYTES_PER_MS,
        }
    }

    /// Learns from a fetch.
    pub(super) fn learn(&mut self, size_bytes: u64, took_ms: u64) {
        // A fetch faster than the clock's step took at least half of one.
        let took = (took_ms as f64).max(0.5);
        if size_bytes < SMALL_BYTES {
            self.latency_ms += NEW * (took - self.latency_ms);
            return;
        }
        let carrying = (took - self.latency_ms).max(took / 10.0);
        let measured = size_bytes as f64 / carrying;
        self.bytes_per_ms += NEW * (measured - self.bytes_per_ms);
    }

    /// Milliseconds to fetch that many bytes, at least one.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "`as` saturates, and a fraction of a millisecond is nothing"
    )]
    pub(super) fn cost_ms(&self, size_bytes: u64) -> u64 {
        let cost = self.latency_ms + size_bytes as f64 / self.bytes_per_ms.max(1.0);
        (cost as u64).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_nears_what_fetches_took() {
        let mut pace = Pace::new();
        for _ in 0..50 {
            pace.learn(1_000, 200);
        }
        for _ in 0..50 {
            pace.learn(10_000_000, 1_200);
        }
        assert!((195..=205).contains(&pace.cost_ms(0)), "{pace:?}");
        let large = pace.cost_ms(20_000_000);
        assert!((2_150..=2_250).contains(&large), "{pace:?} {large}");
    }

    #[test]
    fn instant_fetches_do_not_divide_by_zero() {
        let mut pace = Pace::new();
        for _ in 0..100 {
            pace.learn(0, 0);
            pace.learn(1 << 30, 0);
        }
        assert_eq!(pace.cost_ms(0), 1);
    }
}
