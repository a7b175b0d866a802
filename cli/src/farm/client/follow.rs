//! Following a build: its stream is opened, again when it breaks, and given to the story, until the build is over or the person
//! goes. Receives a farm, an id and a rendering; hands back how it ended.

use std::time::Duration;

use anyhow::Context as _;
use croft_proto::NoticeLevel;
use reqwest::Response;
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::call::{Call, Failure, Farm};
use super::sse::Parser;
use super::story::{Ended, Shown, Story};
use crate::surroundings::now;

/// How often a live rendering is told that time passes.
const TICK: Duration = Duration::from_millis(100);
/// The server says something every ten seconds; a connection that is silent for three times as long is dead.
pub(super) const SILENT_MAX: Duration = Duration::from_secs(30);
/// A server that was killed is back by then, or another one is.
pub(super) const AWAY_MAX: Duration = Duration::from_secs(60);
/// The first pause before connecting again, doubled each time.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longer ones would not be noticed as a server that is back.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(4);
/// A build that waits for so long is asked why, and again as often.
const WHY_EVERY: Duration = Duration::from_secs(5);

/// How following ended.
#[derive(Debug)]
pub(crate) enum Followed {
    /// With the build.
    Ended(Box<Ended>),
    /// The person went; the build goes on.
    Detached,
}

/// Everything that goes on while a build is followed.
struct Following<'a> {
    farm: &'a Farm,
    id: &'a str,
    story: Story,
    shown: &'a mut Shown,
    signals: [Signal; 3],
    tick: Interval,
    away: Option<Away>,
    asked_why: Instant,
    why: String,
}

/// The server does not answer.
struct Away {
    since: Instant,
    pause: Duration,
}

/// What came of one connection.
enum Came {
    End(Box<Ended>),
    Signal,
    /// It broke.
    Break,
}

/// Shows the build from its beginning to its end.
///
/// # Errors
/// When there is no such build; when the server stays away for a minute, or answers what is not understood.
pub(crate) async fn follow(farm: &Farm, id: &str, shown: &mut Shown) -> anyhow::Result<Followed> {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut following = Following {
        farm,
        id,
        story: Story::of(id),
        shown,
        signals: [
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ],
        tick,
        away: None,
        asked_why: Instant::now(),
        why: String::new(),
    };
    let end = following.run().await;
    if !matches!(end, Ok(Followed::Ended(_))) {
        shown.sink.finish();
    }
    end
}

impl Following<'_> {
    async fn run(&mut self) -> anyhow::Result<Followed> {
        loop {
            let Some(opened) = self.open().await else {
                return Ok(Followed::Detached);
            };
            let failure = match opened {
                Ok(response) => match self.read(response).await? {
                    Came::End(ended) => return Ok(Followed::Ended(ended)),
                    Came::Signal => return Ok(Followed::Detached),
                    Came::Break => None,
                },
                Err(failure) if failure.is_passing() => Some(failure),
                Err(failure) => return Err(failure.into()),
            };
            if !self.wait(failure).await? {
                return Ok(Followed::Detached);
            }
        }
    }

    /// `None` when the person goes.
    async fn open(&mut self) -> Option<Result<Response, Failure>> {
        let mut call = Call::get(&["v1", "builds", self.id, "events"]);
        call = call.header("accept", "text/event-stream");
        if let Some(id) = self.story.resume_after() {
            call = call.header("last-event-id", id);
        }
        let farm = self.farm;
        let opening = farm.once(&call);
        tokio::pin!(opening);
        loop {
            tokio::select! {
                opened = &mut opening => return Some(opened),
                () = told(&mut self.signals) => return None,
                _ = self.tick.tick() => self.shown.sink.tick(now()),
            }
        }
    }

    async fn read(&mut self, mut response: Response) -> anyhow::Result<Came> {
        let mut parser = Parser::default();
        let mut heard = Instant::now();
        loop {
            let piece = tokio::select! {
                piece = response.chunk() => piece,
                () = told(&mut self.signals) => return Ok(Came::Signal),
                _ = self.tick.tick() => {
                    self.shown.sink.tick(now());
                    if heard.elapsed() > SILENT_MAX {
                        return Ok(Came::Break);
                    }
                    self.ask_why().await;
                    continue;
                }
            };
            let Ok(Some(piece)) = piece else {
                return Ok(Came::Break);
            };
            heard = Instant::now();
            self.is_back();
            let (mut end, mut wrong) = (None, None);
            let (story, shown) = (&mut self.story, &mut *self.shown);
            let parsed = parser.push(&piece, &mut |message| {
                if end.is_some() || wrong.is_some() {
                    return;
                }
                match story.hear(message, shown, now()) {
                    Ok(ended) => end = ended,
                    Err(error) => wrong = Some(error),
                }
            });
            let server = &self.farm.connection.server;
            if let Some(source) = wrong {
                let server = server.to_string();
                return Err(Failure::Strange { server, source }.into());
            }
            parsed.with_context(|| format!("cannot follow the build on {server}"))?;
            if let Some(ended) = end {
                return Ok(Came::End(ended));
            }
        }
    }

    fn is_back(&mut self) {
        if self.away.take().is_some() {
            self.shown
                .say(NoticeLevel::Info, "the server is there again", now());
        }
    }

    /// Waits before the next connection; false when the person goes meanwhile.
    async fn wait(&mut self, failure: Option<Failure>) -> anyhow::Result<bool> {
        let is_new = self.away.is_none();
        let away = self.away.get_or_insert_with(|| Away {
            since: Instant::now(),
            pause: PAUSE_MIN,
        });
        let pause = failure.as_ref().and_then(Failure::retry_after);
        let pause = pause.unwrap_or(away.pause);
        away.pause = (away.pause * 2).min(PAUSE_MAX);
        if away.since.elapsed() + pause > AWAY_MAX {
            let context = format!(
                "the server has not been there for a minute; the build goes on without: croft build watch {}",
                self.id
            );
            return Err(match failure {
                Some(failure) => anyhow::Error::from(failure).context(context),
                None => anyhow::anyhow!(context),
            });
        }
        if is_new {
            let message = "the connection to the server is lost; trying again for a minute";
            self.shown.say(NoticeLevel::Warning, message, now());
        }
        let until = Instant::now() + pause;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return Ok(true),
                () = told(&mut self.signals) => return Ok(false),
                _ = self.tick.tick() => self.shown.sink.tick(now()),
            }
        }
    }

    /// Says what a waiting build waits for, when that is another thing than before.
    async fn ask_why(&mut self) {
        if !self.story.is_waiting || self.asked_why.elapsed() < WHY_EVERY {
            return;
        }
        let call = Call::get(&["v1", "builds", self.id, "explain"]);
        let answer = tokio::time::timeout(WHY_EVERY, async {
            let answer = self.farm.once(&call).await?;
            let bytes = self.farm.whole(answer).await?;
            self.farm.understood::<Value>(&bytes)
        });
        let answer = answer.await;
        self.asked_why = Instant::now();
        let Ok(Ok(answer)) = answer else {
            return;
        };
        let why = answer.pointer("/why/text").and_then(Value::as_str);
        if let Some(why) = why.filter(|why| *why != self.why) {
            let message = format!("waiting: {why}");
            self.shown.say(NoticeLevel::Info, &message, now());
            self.why = why.to_string();
        }
    }
}

/// Comes when somebody wants an end.
async fn told(signals: &mut [Signal; 3]) {
    let [interrupt, terminate, hang_up] = signals;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
}
