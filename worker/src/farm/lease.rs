//! An attempt's lease, kept by saying every few seconds that it runs. What follows from the answers is decided by [`Held`], which
//! knows no clock; [`keep`] is the loop around it.

use std::sync::Arc;
use std::time::Duration;

use croft_bus::{Bus, Renewal, Verdict};
use croft_proto::farm::Lease;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::{Stop, chain};

/// How the lease stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hold {
    /// It holds.
    #[default]
    Held,
    /// It holds, and the build is to be stopped.
    Stopping,
    /// It does not: nothing that this attempt does counts any more.
    Gone,
}

/// What has been heard of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    lease: Lease,
    /// When the last renewal that was answered had been sent; the claim counts as one.
    acknowledged_ms: u64,
    hold: Hold,
}

impl Held {
    pub(crate) const fn new(lease: Lease, now_ms: u64) -> Self {
        Self {
            lease,
            acknowledged_ms: now_ms,
            hold: Hold::Held,
        }
    }

    /// The answer to a renewal that was sent at that time.
    pub(crate) fn heard(&mut self, verdict: &Verdict, sent_ms: u64) {
        match verdict {
            Verdict::Go => self.acknowledged_ms = self.acknowledged_ms.max(sent_ms),
            Verdict::Stop { .. } => {
                self.acknowledged_ms = self.acknowledged_ms.max(sent_ms);
                if self.hold == Hold::Held {
                    self.hold = Hold::Stopping;
                }
            }
            Verdict::Lost => self.hold = Hold::Gone,
        }
    }

    /// How it stands now.
    pub(crate) fn now(&mut self, now_ms: u64) -> Hold {
        if now_ms.saturating_sub(self.acknowledged_ms) >= self.lease.kill_ms() {
            self.hold = Hold::Gone;
        }
        self.hold
    }
}

/// Renews until it is dropped or the lease is gone, and asks the build to stop when it has to. `claimed` is when the claim was sent.
///
/// # Cancel
/// Safe.
pub(crate) async fn keep(
    bus: Arc<dyn Bus>,
    renewal: Renewal,
    lease: Lease,
    claimed: Instant,
    stop: watch::Sender<Stop>,
) -> Hold {
    let now_ms = || u64::try_from(claimed.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut held = Held::new(lease, 0);
    // Looked at far more often than renewed: a machine that was frozen must notice before anything else.
    let look = Duration::from_millis((lease.renew_ms() / 10).max(20));
    let mut looks = tokio::time::interval(look);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut due_ms = lease.renew_ms();
    let mut asking: Option<(u64, futures_util::future::BoxFuture<'_, _>)> = None;
    loop {
        tokio::select! {
            biased;
            _ = looks.tick() => {}
            answer = async { match &mut asking {
                Some((_, answer)) => answer.await,
                None => std::future::pending().await,
            } } => {
                let sent_ms = asking.take().map_or(0, |(sent_ms, _)| sent_ms);
                match answer {
                    Ok(verdict) => held.heard(&verdict, sent_ms),
                    Err(error) => tracing::debug!(build = %renewal.build, error = %chain(&error), "unheard"),
                }
            }
        }
        let hold = held.now(now_ms());
        match hold {
            Hold::Held => {}
            Hold::Stopping => ask(&stop, Stop::Gracefully),
            Hold::Gone => {
                ask(&stop, Stop::Now);
                return Hold::Gone;
            }
        }
        if asking.is_none() && now_ms() >= due_ms {
            let sent_ms = now_ms();
            due_ms = sent_ms + lease.renew_ms();
            asking = Some((sent_ms, bus.renew(renewal.clone())));
        }
    }
}

/// Asks for no less than was asked for before.
pub(crate) fn ask(stop: &watch::Sender<Stop>, wanted: Stop) {
    stop.send_if_modified(|asked| {
        let is_more = wanted > *asked;
        *asked = (*asked).max(wanted);
        is_more
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> Held {
        Held::new(Lease::default(), 0)
    }

    #[test]
    fn a_lease_that_nobody_acknowledges_is_gone_a_second_before_a_server_may_say_so() {
        let mut held = held();
        assert_eq!(held.now(13_999), Hold::Held);
        assert_eq!(held.now(14_000), Hold::Gone);
        held.heard(&Verdict::Go, 14_000);
        assert_eq!(
            held.now(14_001),
            Hold::Gone,
            "what is gone does not come back"
        );
    }

    #[test]
    fn a_lease_counts_from_when_the_renewal_was_sent() {
        let mut held = held();
        held.heard(&Verdict::Go, 3_000);
        held.heard(&Verdict::Go, 1_000);
        assert_eq!(held.now(16_999), Hold::Held);
        assert_eq!(held.now(17_000), Hold::Gone);
    }

    #[test]
    fn a_stop_keeps_the_lease_and_a_loss_ends_it() {
        let mut held = held();
        let stop = Verdict::Stop {
            reason: String::new(),
        };
        held.heard(&stop, 6_000);
        held.heard(&Verdict::Go, 9_000);
        assert_eq!(held.now(22_000), Hold::Stopping);
        held.heard(&Verdict::Lost, 10_000);
        assert_eq!(held.now(10_001), Hold::Gone);
    }
}
