//! What is worth keeping when there is not room for everything. Received from whoever evicts: the near tier (the cost is
//! that of fetching again) and the store (that of building again); pure.

use std::cmp::Ordering;

/// An object not used for this long is worth half as much per byte. Three days: what served a branch last week should
/// yield to what serves one today unless it is several times as dear.
const HALF_LIFE_MS: f64 = 3.0 * 24.0 * 3_600.0 * 1_000.0;

/// How much it would hurt per byte to be without; the least is evicted first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Worth(f64);

impl Ord for Worth {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Worth {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Worth {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Worth {}

/// The value of keeping `size_bytes` that cost `cost_ms` to get again and were last used `idle_ms` ago.
///
/// Cost per byte, halved with every half-life of idleness. As a logarithm, so that years of idleness do not end at zero,
/// where everything would be equal.
pub(crate) fn worth(cost_ms: u64, size_bytes: u64, idle_ms: u64) -> Worth {
    let density = positive(cost_ms).log2() - positive(size_bytes).log2();
    Worth(density - idle_ms as f64 / HALF_LIFE_MS)
}

/// Nothing is free and nothing is without size.
fn positive(number: u64) -> f64 {
    number.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 24 * 3_600 * 1_000;

    #[test]
    fn what_is_dear_per_byte_is_kept() {
        assert!(worth(1_000, 1_000, 0) > worth(100, 1_000, 0));
        assert!(worth(1_000, 1_000, 0) > worth(1_000, 10_000, 0));
        // Ten times the cost and ten times the bytes: all the same.
        assert_eq!(worth(1_024, 1_024, 0), worth(1, 1, 0));
    }

    #[test]
    fn idleness_halves_worth_every_three_days() {
        assert!(worth(100, 1_000, 0) > worth(100, 1_000, 1));
        assert_eq!(worth(200, 1_000, 3 * DAY_MS), worth(100, 1_000, 0));
        assert!(worth(100, 1_000, 3_650 * DAY_MS) > worth(100, 1_000, 3_651 * DAY_MS));
    }

    #[test]
    fn nothing_is_divided_by_zero() {
        assert_eq!(worth(0, 0, 0), worth(1, 1, 0));
        assert!(worth(u64::MAX, 1, 0) > worth(0, u64::MAX, u64::MAX));
    }
}
