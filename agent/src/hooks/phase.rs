//! How long a process may run, and what is done about one that does not end. Pure: what happened and when enters, the next phase
//! and a signal leave; `process` waits and sends.

use std::time::{Duration, Instant};

use rustix::process::Signal;

/// The times of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// What its AppSpec gives it.
    pub(super) run: Duration,
    /// How long it has after TERM.
    pub(super) end: Duration,
    /// How long its output is waited for when it has ended itself.
    pub(super) drain: Duration,
}

/// A process that does not die of KILL hangs in the kernel, and the event does not hang with it.
const KILLED_FOR: Duration = Duration::from_secs(5);

/// Why a process was made to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Its time was over.
    TimedOut,
    /// The caller wants no more.
    Stopped,
}

/// Where a process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It runs, until then.
    Running(Instant),
    /// It was asked to end, and is killed then.
    Ending(Instant, Why),
    /// It was killed, and is given up then.
    Killed(Instant, Why),
    /// It has ended; its output is read until then.
    Draining(Instant, Option<Why>),
    /// Nothing is waited for any more.
    Over(Option<Why>),
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happened {
    /// Nothing, but time went by.
    Waited,
    /// The caller wants no more.
    Stop,
    /// The process ended.
    Ended,
    /// Nobody can print anything any more.
    Silent,
}

impl Phase {
    /// The first one.
    pub(super) fn first(times: Times, now: Instant) -> Self {
        Self::Running(now + times.run)
    }

    /// When there is something to do though nothing happens.
    pub(super) fn until(self) -> Option<Instant> {
        match self {
            Self::Running(at)
            | Self::Ending(at, _)
            | Self::Killed(at, _)
            | Self::Draining(at, _) => Some(at),
            Self::Over(_) => None,
        }
    }

    /// The next phase, and what is sent to the process and all that it has started.
    pub(super) fn next(
        self,
        happened: Happened,
        times: Times,
        now: Instant,
    ) -> (Self, Option<Signal>) {
        let is_over = self.until().is_some_and(|until| until <= now);
        let ending = |why| (Self::Ending(now + times.end, why), Some(Signal::TERM));
        match (self, happened) {
            (Self::Running(_), Happened::Ended) => (Self::Draining(now + times.drain, None), None),
            // Whoever did not follow it out is not left behind.
            (Self::Ending(_, why) | Self::Killed(_, why), Happened::Ended) => (
                Self::Draining(now + times.drain, Some(why)),
                Some(Signal::KILL),
            ),
            (Self::Running(_), Happened::Stop) => ending(Why::Stopped),
            (Self::Running(_), Happened::Waited | Happened::Silent) if is_over => {
                ending(Why::TimedOut)
            }
            (Self::Ending(_, why), _) if is_over => {
                (Self::Killed(now + KILLED_FOR, why), Some(Signal::KILL))
            }
            (Self::Killed(_, why), _) if is_over => (Self::Over(Some(why)), None),
            (Self::Draining(_, why), Happened::Silent) => (Self::Over(why), None),
            (Self::Draining(_, why), _) if is_over => (Self::Over(why), None),
            (phase, _) => (phase, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times {
        run: Duration::from_secs(60),
        end: Duration::from_secs(10),
        drain: Duration::from_secs(2),
    };

    #[expect(clippy::too_many_lines, reason = "a table")]
    #[test]
    fn every_phase_knows_what_to_do_about_everything() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let timed_out = Why::TimedOut;
        use Happened::{Ended, Silent, Stop, Waited};
        use Phase::{Draining, Ending, Killed, Over, Running};
        let (term, kill) = (Some(Signal::TERM), Some(Signal::KILL));
        let table = [
            (Running(at(60)), Waited, 59, Running(at(60)), None),
            (Running(at(60)), Silent, 59, Running(at(60)), None),
            (Running(at(60)), Ended, 59, Draining(at(61), None), None),
            (Running(at(60)), Ended, 61, Draining(at(63), None), None),
            (
                Running(at(60)),
                Stop,
                59,
                Ending(at(69), Why::Stopped),
                term,
            ),
            (Running(at(60)), Waited, 60, Ending(at(70), timed_out), term),
            (Running(at(60)), Silent, 60, Ending(at(70), timed_out), term),
            (
                Ending(at(70), timed_out),
                Waited,
                69,
                Ending(at(70), timed_out),
                None,
            ),
            (
                Ending(at(70), timed_out),
                Stop,
                69,
                Ending(at(70), timed_out),
                None,
            ),
            (
                Ending(at(70), timed_out),
                Ended,
                69,
                Draining(at(71), Some(timed_out)),
                kill,
            ),
            (
                Ending(at(70), timed_out),
                Waited,
                70,
                Killed(at(75), timed_out),
                kill,
            ),
            (
                Ending(at(70), timed_out),
                Stop,
                70,
                Killed(at(75), timed_out),
                kill,
            ),
            (
                Killed(at(75), timed_out),
                Waited,
                74,
                Killed(at(75), timed_out),
                None,
            ),
            (
                Killed(at(75), timed_out),
                Ended,
                74,
                Draining(at(76), Some(timed_out)),
                kill,
            ),
            (
                Killed(at(75), timed_out),
                Waited,
                75,
                Over(Some(timed_out)),
                None,
            ),
            (
                Draining(at(62), None),
                Waited,
                61,
                Draining(at(62), None),
                None,
            ),
            (
                Draining(at(62), None),
                Stop,
                61,
                Draining(at(62), None),
                None,
            ),
            (Draining(at(62), None), Silent, 61, Over(None), None),
            (Draining(at(62), None), Waited, 62, Over(None), None),
            (Over(None), Waited, 99, Over(None), None),
        ];
        for (phase, happened, now, next, signal) in table {
            let found = phase.next(happened, TIMES, at(now));
            assert_eq!(found, (next, signal), "{phase:?} {happened:?} {now}");
        }
    }
}
