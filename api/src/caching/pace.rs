//! Whether an upload comes on fast enough. Asked by `upload` for every piece; silence alone is the [`super::pulse`]'s: who
//! sends a byte now and then is not silent, and yet holds a place that others wait for.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::limits::{UPLOAD_BYTES_PER_SECOND_MIN, UPLOAD_MAX};

/// The client took longer for its body than it may.
#[derive(Debug)]
pub(super) struct TooSlow;

/// One upload's time. Only what is spent waiting for the client counts: a slow storage is not its fault.
#[derive(Debug)]
pub(super) struct Pace {
    grace: Duration,
    waited: Duration,
}

impl Pace {
    pub(super) fn new(grace: Duration) -> Self {
        Self {
            grace,
            waited: Duration::ZERO,
        }
    }

    /// What `next` brings, if it does in time for an upload that has brought so many bytes.
    pub(super) async fn within<T>(
        &mut self,
        brought_bytes: u64,
        next: impl Future<Output = T>,
    ) -> Result<T, TooSlow> {
        let left = allowed(self.grace, brought_bytes).saturating_sub(self.waited);
        let began = Instant::now();
        let next = timeout(left, next).await.map_err(|_elapsed| TooSlow);
        self.waited += began.elapsed();
        next
    }
}

/// How long a client may have taken for so many bytes.
fn allowed(grace: Duration, brought_bytes: u64) -> Duration {
    let for_bytes = Duration::from_secs(brought_bytes / UPLOAD_BYTES_PER_SECOND_MIN);
    grace.saturating_add(for_bytes).min(UPLOAD_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_earn_time_up_to_a_limit() {
        let grace = Duration::from_secs(60);
        assert_eq!(allowed(grace, 0), grace);
        let megabyte = allowed(grace, 1 << 20);
        assert_eq!(megabyte, grace + Duration::from_secs(64));
        assert_eq!(allowed(grace, 2 << 30), UPLOAD_MAX);
        assert_eq!(allowed(Duration::MAX, u64::MAX), UPLOAD_MAX);
    }
}
