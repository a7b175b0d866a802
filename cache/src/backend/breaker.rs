//! When to leave a failing store alone, and when to try it again. Received from `guard`, one event at a time; pure.

/// What happened to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Somebody wants to call it.
    Asked,
    /// A call was answered.
    Answered,
    /// A call that began at that time failed, or took too long. Calls that were on their way together fail together, which
    /// is one failure.
    Failed { began_ms: u64 },
}

/// How the store is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Called freely. `failures` of the last calls in a row failed, the last of them at `failed_ms`.
    Closed { failures: u32, failed_ms: u64 },
    /// Not called before `until_ms`; the pause was `pause_ms` long.
    Open { until_ms: u64, pause_ms: u64 },
    /// One call is out to see whether it answers again. A caller that never reports back is forgotten at `until_ms`.
    Trying { until_ms: u64, pause_ms: u64 },
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Make the call.
    Go,
    /// Do not make it.
    Stop,
    /// Nothing changed that anybody must know.
    Quiet,
    /// Say that the store is given up for now.
    SayGivenUp,
    /// Say that it is back.
    SayBack,
}

/// When it opens and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// This many failures in a row.
    pub(crate) failures_max: u32,
    /// The first pause; each vain try doubles it.
    pub(crate) pause_ms: u64,
    /// The longest pause.
    pub(crate) pause_ms_max: u64,
    /// After this long a try counts as lost.
    pub(crate) try_ms_max: u64,
}

impl State {
    /// Called freely.
    pub(crate) fn new() -> Self {
        Self::Closed {
            failures: 0,
            failed_ms: 0,
        }
    }
}

/// The next state, and what to do.
pub(crate) fn step(state: State, event: Event, now_ms: u64, limits: &Limits) -> (State, Reply) {
    match (state, event) {
        (State::Closed { .. }, Event::Asked) => (state, Reply::Go),
        (State::Closed { .. }, Event::Answered) => (State::new(), Reply::Quiet),
        (
            State::Closed {
                failures,
                failed_ms,
            },
            Event::Failed { began_ms },
        ) => {
            if failures > 0 && began_ms < failed_ms {
                return (state, Reply::Quiet);
            }
            let failures = failures.saturating_add(1);
            if failures >= limits.failures_max {
                return (opened(now_ms, limits.pause_ms), Reply::SayGivenUp);
            }
            let failed_ms = now_ms;
            let next = State::Closed {
                failures,
                failed_ms,
            };
            (next, Reply::Quiet)
        }
        (
            State::Open { until_ms, pause_ms } | State::Trying { until_ms, pause_ms },
            Event::Asked,
        ) => {
            if now_ms < until_ms {
                return (state, Reply::Stop);
            }
            let until_ms = now_ms.saturating_add(limits.try_ms_max);
            (State::Trying { until_ms, pause_ms }, Reply::Go)
        }
        // Calls that were on their way when it opened.
        (State::Open { .. }, Event::Answered | Event::Failed { .. }) => (state, Reply::Quiet),
        (State::Trying { .. }, Event::Answered) => (State::new(), Reply::SayBack),
        (State::Trying { until_ms, pause_ms }, Event::Failed { began_ms }) => {
            if began_ms < until_ms.saturating_sub(limits.try_ms_max) {
                return (state, Reply::Quiet);
            }
            let pause_ms = pause_ms.saturating_mul(2).min(limits.pause_ms_max);
            (opened(now_ms, pause_ms), Reply::Quiet)
        }
    }
}

fn opened(now_ms: u64, pause_ms: u64) -> State {
    State::Open {
        until_ms: now_ms.saturating_add(pause_ms),
        pause_ms,
    }
}

#[cfg(test)]
mod tests {
    use Event::{Answered, Asked};

    use super::*;

    const LIMITS: Limits = Limits {
        failures_max: 3,
        pause_ms: 100,
        pause_ms_max: 250,
        try_ms_max: 50,
    };

    /// The last failure, if any, was at 500.
    fn closed(failures: u32) -> State {
        let failed_ms = if failures > 0 { 500 } else { 0 };
        State::Closed {
            failures,
            failed_ms,
        }
    }

    fn failed(began_ms: u64) -> Event {
        Event::Failed { began_ms }
    }

    fn open(until_ms: u64, pause_ms: u64) -> State {
        State::Open { until_ms, pause_ms }
    }

    fn trying(until_ms: u64, pause_ms: u64) -> State {
        State::Trying { until_ms, pause_ms }
    }

    /// State, event, the time, the next state, the reply.
    type Row = (State, Event, u64, State, Reply);

    fn check(table: &[Row]) {
        for (state, event, now_ms, next, reply) in table {
            assert_eq!(
                step(*state, *event, *now_ms, &LIMITS),
                (*next, *reply),
                "{state:?} {event:?} at {now_ms}"
            );
        }
    }

    #[test]
    fn closed_it_lets_calls_through_and_opens_after_failures_in_a_row() {
        check(&[
            (closed(0), Asked, 0, closed(0), Reply::Go),
            (closed(2), Asked, 0, closed(2), Reply::Go),
            (closed(2), Answered, 0, closed(0), Reply::Quiet),
            (closed(0), failed(490), 500, closed(1), Reply::Quiet),
            (closed(1), failed(499), 501, closed(1), Reply::Quiet),
            (closed(2), failed(499), 501, closed(2), Reply::Quiet),
            (
                closed(2),
                failed(500),
                1_000,
                open(1_100, 100),
                Reply::SayGivenUp,
            ),
        ]);
    }

    #[test]
    fn open_it_waits_for_the_pause_to_end() {
        let now = open(1_100, 100);
        check(&[
            (now, Asked, 1_099, now, Reply::Stop),
            (now, Asked, 1_100, trying(1_150, 100), Reply::Go),
            (now, Answered, 1_050, now, Reply::Quiet),
            (now, failed(1_040), 1_050, now, Reply::Quiet),
        ]);
    }

    #[test]
    fn trying_it_lets_one_call_through_which_decides() {
        let now = trying(1_150, 100);
        check(&[
            (now, Asked, 1_149, now, Reply::Stop),
            (now, Asked, 1_150, trying(1_200, 100), Reply::Go),
            (now, Answered, 1_140, closed(0), Reply::SayBack),
            (now, failed(1_099), 1_140, now, Reply::Quiet),
            (now, failed(1_100), 1_140, open(1_340, 200), Reply::Quiet),
            (
                trying(1_150, 200),
                failed(1_100),
                1_140,
                open(1_390, 250),
                Reply::Quiet,
            ),
        ]);
    }

    #[test]
    fn an_outage_is_said_once_and_so_is_its_end() {
        let mut state = State::new();
        let mut said = Vec::new();
        let mut tell = |state: &mut State, event, now_ms| {
            let (next, reply) = step(*state, event, now_ms, &LIMITS);
            *state = next;
            if matches!(reply, Reply::SayGivenUp | Reply::SayBack) {
                said.push((now_ms, reply));
            }
            reply
        };
        for now_ms in (0..2_000).step_by(10) {
            if tell(&mut state, Asked, now_ms) == Reply::Go {
                let event = if now_ms < 1_000 {
                    failed(now_ms)
                } else {
                    Answered
                };
                tell(&mut state, event, now_ms);
            }
        }
        // Tries at 120, 320, 570, 820 and 1070: the pause doubles up to its limit.
        assert_eq!(said, [(20, Reply::SayGivenUp), (1_070, Reply::SayBack)]);
    }
}
