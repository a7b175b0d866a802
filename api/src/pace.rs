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
    /// What any has at the beginning, and the most that it ever has: who sent much at first may stop no longer than others.
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
    /// How long the client may be waited for now.
    left: Duration,
    /// Bytes that have earned their time.
    counted_bytes: u64,
    waited: Duration,
}

impl Pace {
    pub(crate) const fn new(allowance: Allowance) -> Self {
        Self {
            left: allowance.grace,
            allowance,
            counted_bytes: 0,
            waited: Duration::ZERO,
        }
    }

    /// What `next` brings, if it does in time for an upload that has brought so many bytes.
    pub(crate) async fn within<T>(
        &mut self,
        brought_bytes: u64,
        next: impl Future<Output = T>,
    ) -> Result<T, TooSlow> {
        self.earn(brought_bytes);
        let began = Instant::now();
        let next = timeout(self.left(), next).await.map_err(|_elapsed| TooSlow);
        self.spend(began.elapsed());
        next
    }

    /// Gives the time for those bytes that have come since.
    fn earn(&mut self, brought_bytes: u64) {
        let new = brought_bytes.saturating_sub(self.counted_bytes);
        self.counted_bytes = brought_bytes;
        let earned = self.left.saturating_add(self.allowance.earned(new));
        self.left = earned.min(self.allowance.grace);
    }

    fn spend(&mut self, waited: Duration) {
        self.left = self.left.saturating_sub(waited);
        self.waited += waited;
    }

    fn left(&self) -> Duration {
        let in_all = self.allowance.wait_max.saturating_sub(self.waited);
        self.left.min(in_all)
    }
}

impl Allowance {
    /// What so many bytes earn.
    const fn earned(&self, bytes: u64) -> Duration {
        Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / self.bytes_per_second_min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pace() -> Pace {
        Pace::new(Allowance {
            grace: 10 * SECOND,
            bytes_per_second_min: 1000,
            wait_max: 60 * SECOND,
        })
    }

    #[test]
    fn recent_bytes_earn_time_and_old_ones_do_not() {
        let mut pace = pace();
        pace.earn(1_000_000);
        assert_eq!(pace.left(), 10 * SECOND, "however much came at first");
        pace.spend(8 * SECOND);
        pace.earn(1_000_000);
        assert_eq!(pace.left(), 2 * SECOND, "nothing has come since");
        pace.earn(1_001_500);
        assert_eq!(pace.left(), Duration::from_millis(3500));
        pace.spend(4 * SECOND);
        assert_eq!(pace.left(), Duration::ZERO);
    }

    #[test]
    fn who_keeps_the_pace_goes_on_up_to_a_limit() {
        let mut pace = pace();
        for second in 1..60 {
            pace.spend(SECOND);
            pace.earn(second * 1000);
            assert!(pace.left() > Duration::ZERO, "{second}");
        }
        assert_eq!(pace.left(), SECOND);
        pace.spend(SECOND);
        pace.earn(u64::MAX);
        assert_eq!(pace.left(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_much_and_then_nothing_is_waited_for_no_longer_than_others() {
        let mut pace = pace();
        let began = Instant::now();
        let never = std::future::pending::<()>();
        assert!(pace.within(1_000_000, never).await.is_err());
        assert!(began.elapsed() < 11 * SECOND, "{:?}", began.elapsed());
    }
}
