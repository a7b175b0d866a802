//! What can cut a build short: somebody's stop, and the time limit. Received from the caller, asked by whoever waits.

use croft_proto::Status;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep_until};

/// How urgently a build is asked to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Not at all.
    #[default]
    No,
    /// The running command is told to end, its phase's `finally` may run for a while.
    Gracefully,
    /// Everything ends at once.
    Now,
}

/// How long a command may take to end after SIGTERM before it is killed.
pub(crate) const TERM_GRACE: Duration = Duration::from_secs(10);
/// How long a `finally` list may take once the build was stopped or timed out.
pub(crate) const FINALLY_GRACE: Duration = Duration::from_secs(60);

/// Watches for a stop and for the end of the build's time.
#[derive(Clone, Debug)]
pub(crate) struct Interrupts {
    stop: watch::Receiver<Stop>,
    deadline: Instant,
}

impl Interrupts {
    pub(crate) fn new(stop: watch::Receiver<Stop>, limit: Duration) -> Self {
        Self {
            stop,
            deadline: Instant::now() + limit,
        }
    }

    /// What happened already; `None` when the build may go on.
    pub(crate) fn happened(&self) -> Option<Status> {
        if *self.stop.borrow() > Stop::No {
            return Some(Status::Stopped);
        }
        (Instant::now() >= self.deadline).then_some(Status::TimedOut)
    }

    /// Waits until the build is asked to stop or its time is over.
    pub(crate) async fn any(&mut self) -> Status {
        let deadline = self.deadline;
        tokio::select! {
            biased;
            () = reached(&mut self.stop, Stop::Gracefully) => Status::Stopped,
            () = sleep_until(deadline) => Status::TimedOut,
        }
    }

    /// Waits until the build must end at once.
    pub(crate) async fn now(&mut self) {
        reached(&mut self.stop, Stop::Now).await;
    }

    /// The interruptions of a `finally` list that runs because of one: only its grace and a second, harder stop.
    pub(crate) fn during_grace(&self) -> Grace {
        Grace {
            stop: self.stop.clone(),
            deadline: Instant::now() + FINALLY_GRACE,
        }
    }
}

/// What is left to a stopped build.
#[derive(Clone, Debug)]
pub(crate) struct Grace {
    stop: watch::Receiver<Stop>,
    deadline: Instant,
}

impl Grace {
    /// Waits until the grace is over.
    pub(crate) async fn over(&mut self) {
        let deadline = self.deadline;
        tokio::select! {
            () = reached(&mut self.stop, Stop::Now) => (),
            () = sleep_until(deadline) => (),
        }
    }

    /// Whether it is over already.
    pub(crate) fn is_over(&self) -> bool {
        *self.stop.borrow() == Stop::Now || Instant::now() >= self.deadline
    }
}

/// A caller that is gone will never ask for a stop.
async fn reached(stop: &mut watch::Receiver<Stop>, level: Stop) {
    if stop.wait_for(|now| *now >= level).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stop_wins_over_the_time_limit_and_each_is_told() {
        let (ask, stop) = watch::channel(Stop::No);
        let mut interrupts = Interrupts::new(stop, Duration::from_secs(5));
        assert_eq!(interrupts.happened(), None);
        assert_eq!(interrupts.any().await, Status::TimedOut);
        ask.send_replace(Stop::Gracefully);
        assert_eq!(interrupts.any().await, Status::Stopped);
        assert_eq!(interrupts.happened(), Some(Status::Stopped));
    }

    #[tokio::test(start_paused = true)]
    async fn the_grace_of_a_stopped_build_ends_by_itself_or_by_a_second_stop() {
        let (ask, stop) = watch::channel(Stop::Gracefully);
        let interrupts = Interrupts::new(stop, Duration::from_secs(3600));
        let mut grace = interrupts.during_grace();
        assert!(!grace.is_over());
        grace.over().await;
        assert!(grace.is_over());
        let mut grace = interrupts.during_grace();
        ask.send_replace(Stop::Now);
        grace.over().await;
        assert!(grace.is_over());
    }
}
