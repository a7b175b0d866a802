//! A deadline for every call to a far store, and a breaker that leaves it alone when it keeps failing, so that a dead server
//! costs a build seconds and one line of output. Received from `lane`, call by call; what it says goes to the log and, as
//! notices, to whoever shows them to the build.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use object_store::{Error, Result};

use super::answer::{GivenUp, Late, generic, is_answer};
use super::breaker::{self, Event, Reply, State, step};
use super::ticks::Ticks;

/// How long a call may take, and when to give up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Any call. Ten seconds is longer than a healthy store ever takes and as long as a person believes in progress.
    pub(crate) call_ms: u64,
    /// On top, for each byte carried: 1 MiB/s, under which building anew beats fetching.
    pub(crate) bytes_per_second: u64,
    pub(crate) breaker: breaker::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            call_ms: 10_000,
            bytes_per_second: 1 << 20,
            breaker: breaker::Limits {
                // One failure is an accident and two a coincidence.
                failures_max: 3,
                // A restarted server is noticed within seconds; one that is gone costs one try in two minutes.
                pause_ms: 5_000,
                pause_ms_max: 120_000,
                // Longer than any try's deadline with the objects this crate writes.
                try_ms_max: 60_000,
            },
        }
    }
}

/// Stands between a lane and its far store.
#[derive(Clone, Debug)]
pub(crate) struct Guard(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The store as a person knows it.
    what: String,
    limits: Limits,
    ticks: Ticks,
    state: Mutex<State>,
    notices: Mutex<Vec<String>>,
}

impl Guard {
    pub(crate) fn new(what: String, limits: Limits, ticks: Ticks) -> Self {
        Self(Arc::new(Inner {
            what,
            limits,
            ticks,
            state: Mutex::new(State::new()),
            notices: Mutex::default(),
        }))
    }

    /// The call's outcome; an error at once when the store is given up, and one when it takes longer than a call that
    /// carries `bytes` may. Must be polled inside a reactor.
    pub(crate) async fn call<T>(
        &self,
        bytes: u64,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let began_ms = self.0.ticks.now_ms();
        if self.step(Event::Asked, None) == Reply::Stop {
            return Err(generic(GivenUp));
        }
        let allowed_ms = self.allowed_ms(bytes);
        let outcome = tokio::time::timeout(Duration::from_millis(allowed_ms), work).await;
        let outcome = outcome.unwrap_or_else(|_elapsed| {
            Err(generic(Late {
                waited_ms: allowed_ms,
            }))
        });
        match &outcome {
            Err(error) if !is_answer(error) => self.step(Event::Failed { began_ms }, Some(error)),
            _ => self.step(Event::Answered, None),
        };
        outcome
    }

    /// True while a call would not be made.
    pub(crate) fn is_given_up(&self) -> bool {
        let now_ms = self.0.ticks.now_ms();
        let state = *held(&self.0.state);
        let (_, reply) = step(state, Event::Asked, now_ms, &self.0.limits.breaker);
        reply == Reply::Stop
    }

    /// What was said since the last call, oldest first.
    pub(crate) fn notices(&self) -> Vec<String> {
        std::mem::take(&mut *held(&self.0.notices))
    }

    fn allowed_ms(&self, bytes: u64) -> u64 {
        let limits = &self.0.limits;
        let carrying_ms = bytes.saturating_mul(1_000) / limits.bytes_per_second.max(1);
        limits.call_ms.saturating_add(carrying_ms)
    }

    fn step(&self, event: Event, error: Option<&Error>) -> Reply {
        let now_ms = self.0.ticks.now_ms();
        let reply = {
            let mut state = held(&self.0.state);
            let (next, reply) = step(*state, event, now_ms, &self.0.limits.breaker);
            *state = next;
            reply
        };
        match reply {
            Reply::SayGivenUp => self.say(format!(
                "the cache at {} does not answer and is left alone for a while: {}",
                self.0.what,
                error.map_or_else(String::new, ToString::to_string)
            )),
            Reply::SayBack => self.say(format!("the cache at {} answers again", self.0.what)),
            Reply::Go | Reply::Stop | Reply::Quiet => {}
        }
        reply
    }

    /// Says something of its own accord, as it says that the store is given up.
    pub(crate) fn say(&self, notice: String) {
        tracing::warn!("{notice}");
        held(&self.0.notices).push(notice);
    }
}

/// The value, whatever a panicking thread did: each critical section leaves it whole.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::super::reactor::Reactor;
    use super::*;

    fn guard(call_ms: u64) -> (Guard, Arc<AtomicU64>) {
        let now = Arc::new(AtomicU64::new(0));
        let limits = Limits {
            call_ms,
            ..Limits::default()
        };
        let ticks = Ticks::Hand(Arc::clone(&now));
        (Guard::new("s3://shelf".into(), limits, ticks), now)
    }

    fn refused() -> Result<u8> {
        Err(generic(std::io::Error::other("connection refused")))
    }

    #[test]
    fn a_call_that_hangs_ends_at_its_deadline() {
        let reactor = Reactor::start().unwrap();
        let (guard, _) = guard(20);
        let late = reactor.block_on(guard.call(0, pending::<Result<u8>>()));
        let text = late.unwrap_err().to_string();
        assert!(text.contains("no answer within 20 ms"), "{text}");
    }

    #[test]
    fn more_bytes_have_more_time() {
        let (guard, _) = guard(10_000);
        assert_eq!(guard.allowed_ms(0), 10_000);
        assert_eq!(guard.allowed_ms(8 << 20), 18_000);
        assert!(guard.allowed_ms(u64::MAX) >= 10_000);
    }

    #[test]
    fn a_dead_store_is_given_up_and_said_once_and_its_return_too() {
        let reactor = Reactor::start().unwrap();
        let (guard, now) = guard(1_000);
        for _ in 0..10 {
            reactor
                .block_on(guard.call(0, ready(refused())))
                .unwrap_err();
        }
        assert!(guard.is_given_up());
        let untried = reactor.block_on(guard.call(0, ready(Ok(7))));
        assert!(untried.unwrap_err().to_string().contains("not asked"));
        now.store(5_000, Ordering::SeqCst);
        assert!(!guard.is_given_up());
        assert_eq!(reactor.block_on(guard.call(0, ready(Ok(7)))).unwrap(), 7);
        assert_eq!(
            guard.notices(),
            [
                "the cache at s3://shelf does not answer and is left alone for a while: Generic cache error: connection refused",
                "the cache at s3://shelf answers again",
            ]
        );
        assert!(guard.notices().is_empty());
    }

    #[test]
    fn a_missing_object_is_no_failure() {
        let reactor = Reactor::start().unwrap();
        let (guard, _) = guard(1_000);
        for _ in 0..10 {
            let missing: Result<u8> = Err(Error::NotFound {
                path: "a".into(),
                source: "gone".into(),
            });
            reactor.block_on(guard.call(0, ready(missing))).unwrap_err();
        }
        assert_eq!(reactor.block_on(guard.call(0, ready(Ok(7)))).unwrap(), 7);
        assert!(guard.notices().is_empty());
    }
}
