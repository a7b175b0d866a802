//! What a followed build has told so far, and what of it is new. Receives messages of the event stream in whatever order broken
//! connections bring them; hands each event to the rendering once. Decides by what it was told: no clock, no connection.

use croft_exec::output::{Chunk, Sink};
use croft_proto::farm::{GivenBackFor, LossReason};
use croft_proto::{Build, Event, EventKind, NoticeLevel, Status, Summary, Timestamp};
use serde::Deserialize;

use super::sse::Message;

/// Who is shown the build.
pub(crate) struct Shown {
    pub(crate) sink: Box<dyn Sink>,
    /// False for tools, which get the build's own events and nothing else on standard output.
    pub(crate) is_person: bool,
}

/// How a build ended.
#[derive(Debug, Deserialize)]
pub(crate) struct Ended {
    pub(crate) build: Build,
    #[serde(default)]
    summary: Option<Summary>,
}

/// What is known of a build from its stream.
#[derive(Debug, Default)]
pub(crate) struct Story {
    /// `<project>:<uuid>`, as a person would type it.
    id: String,
    attempt: u64,
    /// The last event's number, of this attempt.
    seq: u64,
    /// The id of the message before, and of the last one that had another: everything up to that has surely come whole.
    last_id: Option<String>,
    whole_id: Option<String>,
    /// The end as the worker told it: shown when the farm has said that it holds.
    told_end: Option<Event>,
    /// The server has skipped something. The next event's number tells whether that was news.
    is_skipped: bool,
    /// Nobody runs it yet.
    pub(crate) is_waiting: bool,
}

#[derive(Debug, Deserialize)]
struct Attempt {
    attempt: u64,
    /// How the one before was lost: not told by every server, and a later one may know ways that are not for us.
    #[serde(default)]
    before: serde_json::Value,
}

#[derive(Debug, Deserialize)]
struct Numbered {
    seq: u64,
}

#[derive(Debug, Deserialize)]
struct State {
    status: String,
}

impl Shown {
    /// Says something that is not of the build itself.
    pub(crate) fn say(&mut self, level: NoticeLevel, message: &str, now: Timestamp) {
        if self.is_person {
            let message = message.to_string();
            let kind = EventKind::Notice { level, message };
            self.sink.event(&Event {
                seq: 0,
                time: now,
                kind,
            });
        } else {
            eprintln!("croft: {message}");
        }
    }
}

impl Story {
    pub(crate) fn of(id: &str) -> Self {
        Self {
            id: id.to_string(),
            ..Self::default()
        }
    }

    /// What to ask for when the stream is opened again: what has come after this is told twice and shown once.
    pub(crate) fn resume_after(&self) -> Option<&str> {
        self.whole_id.as_deref()
    }

    /// Takes in a message and shows what is new in it; the end, when it was that.
    ///
    /// # Errors
    /// When a message is not as the API says.
    pub(crate) fn hear(
        &mut self,
        message: &Message<'_>,
        shown: &mut Shown,
        now: Timestamp,
    ) -> Result<Option<Box<Ended>>, serde_json::Error> {
        if let Some(id) = message.id
            && self.last_id.as_deref() != Some(id)
        {
            self.whole_id = self.last_id.replace(id.to_string());
        }
        match message.event {
            "build" => {
                let lines = message.data.lines().filter(|line| !line.is_empty());
                for line in lines {
                    // A later server's kinds are not for us.
                    match serde_json::from_str::<Event>(line) {
                        Ok(event) => self.event(event, shown, now),
                        Err(error) => self.not_understood(line, &error),
                    }
                }
            }
            "attempt" => {
                let Attempt { attempt, before } = serde_json::from_str(message.data)?;
                let before = serde_json::from_value(before).ok();
                self.attempt(attempt, before.as_ref(), shown, now);
            }
            "skipped" => self.is_skipped = true,
            "state" => {
                let State { status } = serde_json::from_str(message.data)?;
                self.is_waiting = status == "QUEUED";
            }
            "end" => {
                let ended: Ended = serde_json::from_str(message.data)?;
                self.end(&ended, shown, now);
                return Ok(Some(Box::new(ended)));
            }
            // A later server may say more.
            _ => {}
        }
        Ok(None)
    }

    fn attempt(
        &mut self,
        attempt: u64,
        before: Option<&LossReason>,
        shown: &mut Shown,
        now: Timestamp,
    ) {
        if attempt <= self.attempt {
            return;
        }
        self.is_waiting = false;
        self.attempt = attempt;
        self.seq = 0;
        self.told_end = None;
        if attempt > 1 {
            let message = format!(
                "attempt {attempt}: the build starts from its beginning; {}",
                lost(before)
            );
            shown.say(NoticeLevel::Warning, &message, now);
        }
    }

    fn event(&mut self, event: Event, shown: &mut Shown, now: Timestamp) {
        self.is_waiting = false;
        if event.seq <= self.seq {
            return;
        }
        if event.seq > self.seq + 1 {
            self.missed(shown, now);
        }
        self.is_skipped = false;
        self.seq = event.seq;
        match &event.kind {
            EventKind::Output { phase, text } => {
                if !text.is_empty() {
                    shown.sink.output(&Chunk {
                        seq: event.seq,
                        time: event.time,
                        phase: *phase,
                        bytes: text.as_bytes(),
                    });
                }
            }
            EventKind::BuildCompleted { .. } => self.told_end = Some(event),
            EventKind::BuildStarted { .. }
            | EventKind::PhaseStarted { .. }
            | EventKind::PhaseCompleted { .. }
            | EventKind::CommandStarted { .. }
            | EventKind::CommandCompleted { .. }
            | EventKind::Notice { .. }
            | EventKind::CacheRestored { .. }
            | EventKind::CacheSaved { .. }
            | EventKind::ReportReady { .. }
            | EventKind::Retrying { .. } => shown.sink.event(&event),
        }
    }

    /// It counts, or it would seem missed.
    fn not_understood(&mut self, line: &str, error: &serde_json::Error) {
        tracing::warn!(%error, "an event is not understood");
        if let Ok(Numbered { seq }) = serde_json::from_str(line) {
            self.seq = self.seq.max(seq);
        }
    }

    fn missed(&self, shown: &mut Shown, now: Timestamp) {
        let message = format!(
            "something of the output was missed here; all of it: croft build logs {}",
            self.id
        );
        shown.say(NoticeLevel::Warning, &message, now);
    }

    /// The last event of the rendering, made from what the farm recorded.
    fn end(&mut self, ended: &Ended, shown: &mut Shown, now: Timestamp) {
        if self.is_skipped {
            self.missed(shown, now);
        }
        let told = self.told_end.take();
        let (mut seq, mut time, mut summary) = (self.seq + 1, now, Summary::default());
        if let Some(event) = told
            && let EventKind::BuildCompleted { summary: told, .. } = event.kind
        {
            (seq, time, summary) = (event.seq, event.time, *told);
        }
        if let Some(recorded) = &ended.summary {
            summary.clone_from(recorded);
        }
        if shown.is_person {
            self.for_a_person(&mut summary);
        }
        let kind = EventKind::BuildCompleted {
            build: Box::new(ended.build.clone()),
            summary: Box::new(summary),
        };
        shown.sink.event(&Event { seq, time, kind });
        shown.sink.finish();
    }

    /// Paths of the worker's machine tell nobody here where things are.
    fn for_a_person(&self, summary: &mut Summary) {
        summary.log_path = format!("croft build logs {}", self.id);
        for artifact in &mut summary.artifacts {
            artifact.location = format!("croft build artifacts {} --into DIR", self.id);
        }
    }
}

/// What became of the attempt before.
fn lost(before: Option<&LossReason>) -> String {
    match before {
        Some(LossReason::Unheard { .. }) => "the worker of the attempt before was lost".into(),
        Some(LossReason::GivenBack { message, cause }) => {
            let gave = match cause {
                GivenBackFor::Machine => "the worker of the attempt before could not run it",
                GivenBackFor::Leaving | GivenBackFor::Lease | GivenBackFor::Unsaid => {
                    "the worker of the attempt before gave it back"
                }
            };
            format!("{gave}: {message}")
        }
        None => "the attempt before did not come to its end".into(),
    }
}

impl Ended {
    /// True when the buildspec had mistakes, which `croft run` tells by a number of its own.
    pub(crate) fn is_mistake(&self) -> bool {
        let contexts = self.build.phases.iter().flat_map(|phase| &phase.contexts);
        self.build.build_status == Status::Failed
            && contexts
                .into_iter()
                .any(|context| context.status_code == "YAML_FILE_ERROR")
    }
}

#[cfg(test)]
mod tests;
