//! Whether an upload comes on fast enough. Asked for every piece by whoever takes one in, here and in the cache's front: who sends a
//! byte now and then is not silent, and yet holds room that others wait for.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout};

/// The client took longer for its body than it may.
#[derive(Debug)]
pub(crate) struct TooSlow;

/// How long an upload may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// At the beginning, for any.
    pub(crate) grace: Duration,
    /// So many bytes earn another second.
    pub(crate) bytes_per_second_min: u64,
    /// For any, however large.
    pub(crate) wait_max: Duration,
}

/// One upload's time. Only what is spent waiting for the client counts: a slow storage is not its fault.
#[derive(Debug)]
pub(crate) struct Pace {
    allowance: Allowance,
    waited: Duration,
}

impl Pace {
    pub(crate) const fn new(allowance: Allowance) -> Self {
        Self {
            allowance,
            waited: Duration::ZERO,
        }
    }

    /// What `next` brings, if it does in time for an upload that has brought so many bytes.
    pub(crate) async fn within<T>(
        &mut self,
        brought_bytes: u64,
        next: impl Future<Output = T>,
    ) -> Result<T, TooSlow> {
        let left = self.allowance.of(brought_bytes).saturating_sub(self.waited);
        let began = Instant::now();
        let next = timeout(left, next).await.map_err(|_elapsed| TooSlow);
        self.waited += began.elapsed();
        next
    }
}

impl Allowance {
    /// How long a client may have taken for so many bytes.
    fn of(&self, brought_bytes: u64) -> Duration {
        let for_bytes = Duration::from_secs(brought_bytes / self.bytes_per_second_min);
        self.grace.saturating_add(for_bytes).min(self.wait_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_earn_time_up_to_a_limit() {
        let allowance = |grace| Allowance {
            grace,
            bytes_per_second_min: 16 << 10,
            wait_max: Duration::from_secs(6000),
        };
        let grace = Duration::from_secs(60);
        assert_eq!(allowance(grace).of(0), grace);
        let megabyte = allowance(grace).of(1 << 20);
        assert_eq!(megabyte, grace + Duration::from_secs(64));
        assert_eq!(allowance(grace).of(2 << 30), Duration::from_secs(6000));
        let longest = allowance(Duration::MAX).of(u64::MAX);
        assert_eq!(longest, Duration::from_secs(6000));
    }
}
