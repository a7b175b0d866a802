//! What scripts print, to the farm: a piece at a time, at most four a second, each until the farm has it or will not have it. Whatever the
//! farm does, no event waits for it but for a moment at its end.

use std::collections::VecDeque;
use std::time::Duration;

use croft_agent::{Piece, Spool};
use croft_proto::deploy::OutputAnswer;
use tokio::time::{Instant, sleep, sleep_until};

use super::calls::Calls;
use super::{PAUSE_MAX, PAUSE_MIN, refusal};
use crate::farm::client::problem::Problem;

/// How long an event that is over waits for the farm to have its last lines.
pub(super) const LAST_LINES: Duration = Duration::from_secs(2);
/// Calls in one [`SECOND`], whoever waits for them.
const CALLS_MAX: usize = 4;
const SECOND: Duration = Duration::from_secs(1);
/// Between two calls, so that lines are gathered.
const GATHER: Duration = Duration::from_millis(250);
/// Tries of a piece that the farm refuses: of several servers one may be a moment behind.
const REFUSED_MAX: u32 = 3;

/// When the last calls were made.
#[derive(Debug, Default)]
struct Pace(VecDeque<Instant>);

impl Pace {
    /// When the next may be made: soon where somebody waits, and never too many.
    fn next(&self) -> Next {
        let last = self.0.back().map(|last| *last + GATHER);
        let first = self.0.front().filter(|_| self.0.len() >= CALLS_MAX);
        let hurried = first.map(|first| *first + SECOND);
        Next {
            usual: last.max(hurried),
            hurried,
        }
    }

    fn called(&mut self, now: Instant) {
        self.0.push_back(now);
        if self.0.len() > CALLS_MAX {
            self.0.pop_front();
        }
    }

    /// Waits for the next call's turn.
    async fn turn(&mut self, spool: &Spool) {
        let next = self.next();
        let until = |at: Option<Instant>| sleep_until(at.unwrap_or_else(Instant::now));
        tokio::select! {
            () = until(next.usual) => {}
            () = spool.hurried() => until(next.hurried).await,
        }
        self.called(Instant::now());
    }
}

struct Next {
    usual: Option<Instant>,
    hurried: Option<Instant>,
}

/// Sends what comes, for ever.
pub(super) async fn send(calls: &Calls, spool: &Spool) {
    let mut pace = Pace::default();
    loop {
        spool.filled().await;
        pace.turn(spool).await;
        if let Some(piece) = spool.take() {
            deliver(calls, spool, piece, &mut pace).await;
        }
    }
}

/// Says the piece until the farm has it, or has refused it too often.
async fn deliver(calls: &Calls, spool: &Spool, piece: Piece, pace: &mut Pace) {
    let (mut pause, mut refused) = (PAUSE_MIN, 0);
    loop {
        let answer = calls.json::<OutputAnswer>("output", &piece.output).await;
        let Err(error) = answer else {
            return spool.sent(&piece);
        };
        let refusal = refusal(&error);
        tracing::debug!(
            error = format!("{error:#}"),
            "the farm does not take what a script printed"
        );
        refused += u32::from(refusal.is_some_and(Problem::is_callers));
        if refused >= REFUSED_MAX {
            return spool.left_out(&piece);
        }
        let after = refusal.and_then(|refusal| refusal.retry_after);
        sleep(after.unwrap_or(pause).min(PAUSE_MAX)).await;
        pause = (pause * 2).min(PAUSE_MAX);
        pace.called(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_gathered_and_never_too_many_in_a_second() {
        let mut pace = Pace::default();
        let start = Instant::now();
        let next = pace.next();
        assert_eq!((next.usual, next.hurried), (None, None));
        for number in 1..=3 {
            pace.called(start);
            let next = pace.next();
            assert_eq!(next.usual, Some(start + GATHER), "{number}");
            assert_eq!(next.hurried, None, "{number}");
        }
        let later = start + GATHER;
        pace.called(later);
        let next = pace.next();
        assert_eq!(next.hurried, Some(start + SECOND));
        assert_eq!(next.usual, Some(start + SECOND));
        pace.called(start + SECOND);
        assert_eq!(pace.next().hurried, Some(start + SECOND));
        assert_eq!(pace.next().usual, Some(start + SECOND + GATHER));
    }
}
