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

    /// What limits a `finally` list; `cut` is the interruption that its phase's commands met already.
    pub(crate) fn of_finally(&self, cut: Option<Status>) -> Finally {
        Finally {
            interrupts: self.clone(),
            grace: cut.map(|status| (status, self.during_grace())),
        }
    }

    /// What is left once the build was interrupted: only a time and a second, harder stop end it.
    fn during_grace(&self) -> Grace {
        Grace {
            stop: self.stop.clone(),
            deadline: Instant::now() + FINALLY_GRACE,
        }
    }
}

/// The limit of a `finally` list: it cleans up, so an interruption does not end it but gives it a grace.
#[derive(Clone, Debug)]
pub(crate) struct Finally {
    interrupts: Interrupts,
    grace: Option<(Status, Grace)>,
}

impl Finally {
    /// The interruption that its build met so far. The grace begins when that is first noticed.
    pub(crate) fn happened(&mut self) -> Option<Status> {
        if self.grace.is_none() {
            let happened = self.interrupts.happened()?;
            self.grace = Some((happened, self.interrupts.during_grace()));
        }
        self.grace.as_ref().map(|(status, _)| *status)
    }

    /// The interruption whose grace is over.
    pub(crate) fn ended(&mut self) -> Option<Status> {
        self.happened()?;
        let (status, grace) = self.grace.as_ref()?;
        grace.is_over().then_some(*status)
    }

    /// Waits until the grace of an interruption is over.
    ///
    /// # Cancel
    /// Safe: a grace that began goes on.
    pub(crate) async fn over(&mut self) -> Status {
        if self.grace.is_none() {
            let status = self.interrupts.any().await;
            self.grace = Some((status, self.interrupts.during_grace()));
        }
        match &mut self.grace {
            Some((status, grace)) => {
                grace.over().await;
                *status
            }
            // Set right above.
            None => std::future::pending().await,
        }
    }
}

/// What is left to a stopped build.
#[derive(Clone, Debug)]
struct Grace {
    stop: watch::Receiver<Stop>,
    deadline: Instant,
}

impl Grace {
    /// Waits until the grace is over.
    async fn over(&mut self) {
        let deadline = self.deadline;
        tokio::select! {
            () = reached(&mut self.stop, Stop::Now) => (),
            () = sleep_until(deadline) => (),
        }
    }

    /// Whether it is over already.
    fn is_over(&self) -> bool {
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
        let mut finally = interrupts.of_finally(Some(Status::TimedOut));
        assert_eq!(finally.ended(), None);
        assert_eq!(finally.over().await, Status::TimedOut);
        assert_eq!(finally.ended(), Some(Status::TimedOut));
        let mut finally = interrupts.of_finally(Some(Status::Stopped));
        ask.send_replace(Stop::Now);
        assert_eq!(finally.over().await, Status::Stopped);
    }

    #[tokio::test(start_paused = true)]
    async fn a_finally_that_is_interrupted_gets_the_whole_grace() {
        let (_ask, stop) = watch::channel(Stop::No);
        let interrupts = Interrupts::new(stop, Duration::from_secs(5));
        let mut finally = interrupts.of_finally(None);
        assert_eq!((finally.happened(), finally.ended()), (None, None));
        let begun = Instant::now();
        // Given up and asked again, as by the commands of a list: the grace is not begun anew.
        let asked = tokio::time::timeout(Duration::from_secs(30), finally.over()).await;
        assert!(asked.is_err());
        assert_eq!(finally.happened(), Some(Status::TimedOut));
        assert_eq!(finally.ended(), None);
        assert_eq!(finally.over().await, Status::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), 5 + FINALLY_GRACE.as_secs());
    }
}
