//! What scripts print, to the farm: a piece at a time, at most four a second, each until the farm has it or will not have it. Whatever the
//! farm does, no event waits for it but for a moment at its end.

use std::collections::VecDeque;
use std::time::Duration;

use croft_agent::{Piece, Spool};
use croft_proto::deploy::{HostOutput, OutputAnswer};
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

/// Who takes pieces: the farm, in tests one that answers as it is told.
pub(super) trait Taker: Sync {
    /// Says a piece once.
    fn say(&self, output: &HostOutput) -> impl Future<Output = anyhow::Result<()>> + Send;
}

impl Taker for Calls {
    async fn say(&self, output: &HostOutput) -> anyhow::Result<()> {
        let answer: OutputAnswer = self.json("output", output).await?;
        tracing::trace!(bytes = answer.bytes, "the farm has what a script printed");
        Ok(())
    }
}

/// Sends what comes, for ever.
pub(super) async fn send(taker: &impl Taker, spool: &Spool) {
    let mut pace = Pace::default();
    loop {
        spool.filled().await;
        pace.turn(spool).await;
        if let Some(piece) = spool.take() {
            deliver(taker, spool, piece, &mut pace).await;
        }
    }
}

/// Says the piece until the farm has it, or has refused it too often.
async fn deliver(taker: &impl Taker, spool: &Spool, piece: Piece, pace: &mut Pace) {
    let (mut pause, mut refused) = (PAUSE_MIN, 0);
    loop {
        let Err(error) = taker.say(&piece.output).await else {
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
    use std::sync::{Arc, Mutex};

    use croft_agent::{Said, Spooling, Stream, Watch as _};
    use croft_proto::Timestamp;
    use croft_proto::deploy::{
        DeploymentId, DeploymentType, FileExistsBehavior, HostCommand, LifecycleEvent, Revision,
        RevisionOrigin,
    };

    use super::*;
    use crate::farm::client::Failure;

    fn spooling(spool: &Arc<Spool>) -> Spooling {
        let command = HostCommand {
            deployment_id: DeploymentId::drawn([1; 9]),
            generation: 1,
            event: LifecycleEvent::ApplicationStart,
            application_name: "a".into(),
            deployment_group_name: "g".into(),
            deployment_group_id: "i".into(),
            revision: Revision {
                digest: "0".repeat(64),
                origin: RevisionOrigin::Local {
                    location: "/r".into(),
                },
            },
            app_spec_filename: None,
            file_exists_behavior: FileExistsBehavior::Disallow,
            creator: "user".into(),
            deployment_type: DeploymentType::InPlace,
            container: None,
        };
        spool.watch(&command, Timestamp::from_millis(1))
    }

    fn print(spooling: &Spooling, text: &str) {
        let stream = Stream::Stdout;
        spooling.said(&Said::Line { stream, text });
    }

    fn problem(status: u16, retry_after: Option<Duration>) -> anyhow::Error {
        let problem = Problem::read(status, b"{}", retry_after, "a test");
        Failure::Refused(Box::new(problem)).into()
    }

    /// A farm that answers so, one after the other, and then takes everything. It remembers what it was said, in short, and when.
    struct Told {
        answers: Mutex<std::vec::IntoIter<anyhow::Error>>,
        said: Mutex<Vec<(String, Instant)>>,
    }

    impl Taker for Told {
        async fn say(&self, output: &HostOutput) -> anyhow::Result<()> {
            let texts: Vec<_> = output.lines.iter().map(|line| line.text.as_str()).collect();
            let text = format!("{}+{} {}", output.from, output.left_out, texts.join(" "));
            self.said.lock().unwrap().push((text, Instant::now()));
            self.answers.lock().unwrap().next().map_or(Ok(()), Err)
        }
    }

    async fn told(
        answers: Vec<anyhow::Error>,
        printing: impl AsyncFnOnce(Arc<Spool>),
    ) -> Vec<(String, Instant)> {
        let told = Told {
            answers: Mutex::new(answers.into_iter()),
            said: Mutex::default(),
        };
        let spool = Arc::new(Spool::default());
        tokio::select! {
            () = send(&told, &spool) => unreachable!("it sends for ever"),
            () = printing(Arc::clone(&spool)) => {}
        }
        told.said.into_inner().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_for_good_is_left_out_and_what_passes_is_said_again() {
        let gone = || problem(404, None);
        let slow_down = problem(429, Some(Duration::from_secs(3)));
        let away = problem(503, None);
        let answers = vec![gone(), gone(), gone(), slow_down, away];
        let told = told(answers, async |spool: Arc<Spool>| {
            let spooling = spooling(&spool);
            print(&spooling, "one");
            spooling.handed_over(Duration::from_secs(60)).await;
            print(&spooling, "two");
            spooling.handed_over(Duration::from_secs(60)).await;
        });
        let told = told.await;
        let texts: Vec<_> = told.iter().map(|(text, _)| text.as_str()).collect();
        let (one, two) = ("0+0 one", "4+4 two");
        assert_eq!(texts, [one, one, one, two, two, two]);
        assert!(told[4].1 - told[3].1 >= Duration::from_secs(3), "{told:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn lines_are_gathered_and_the_last_of_an_event_go_at_once() {
        let told = told(Vec::new(), async |spool: Arc<Spool>| {
            let spooling = spooling(&spool);
            print(&spooling, "one");
            sleep(GATHER / 5).await;
            print(&spooling, "two");
            sleep(GATHER / 5).await;
            print(&spooling, "three");
            sleep(GATHER).await;
            print(&spooling, "last");
            spooling.handed_over(LAST_LINES).await;
        });
        let told = told.await;
        let texts: Vec<_> = told.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(texts, ["0+0 one", "4+0 two three", "14+0 last"]);
        assert!(told[2].1 - told[1].1 < GATHER, "{told:?}");
    }

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
