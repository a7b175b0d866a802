//! A build that is followed event by event while it runs, to act at a known point of it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Whatever is waited for happens sooner than this, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Events that may wait to be looked at; more only slow the build down.
const EVENTS_WAITING_MAX: usize = 1024;
const POLL_EVERY: Duration = Duration::from_millis(10);

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < limit, "waited too long until {what}");
        std::thread::sleep(POLL_EVERY);
    }
}

/// A running `croft run -o ndjson`. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Live {
    child: Child,
    events: Receiver<Value>,
    reader: Option<JoinHandle<()>>,
    /// What was seen so far.
    pub(crate) seen: Vec<Value>,
}

impl Live {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (give, events) = sync_channel(EVENTS_WAITING_MAX);
        let reader = std::thread::Builder::new()
            .name("events".to_string())
            .spawn(move || {
                for line in lines.map_while(Result::ok) {
                    if serde_json::from_str(&line)
                        .is_ok_and(|event: Value| give.send(event).is_err())
                    {
                        return;
                    }
                }
            });
        Self {
            child,
            events,
            reader: Some(reader.unwrap()),
            seen: Vec::new(),
        }
    }

    /// Waits for an event that fits.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let limit = Instant::now() + PATIENCE;
        loop {
            match self
                .events
                .recv_timeout(limit.saturating_duration_since(Instant::now()))
            {
                Ok(event) => {
                    self.seen.push(event.clone());
                    if fits(&event) {
                        return event;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("waited too long for {what}; saw {:#?}", self.seen)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("ended before {what}; saw {:#?}", self.seen)
                }
            }
        }
    }

    /// Waits for the beginning of a phase.
    #[track_caller]
    pub(crate) fn until_phase(&mut self, phase: &str) {
        self.until(phase, |event| {
            event["type"] == "phaseStarted" && event["phase"] == phase
        });
    }

    /// Waits until commands wrote `text` in one piece.
    #[track_caller]
    pub(crate) fn until_output(&mut self, text: &str) {
        self.until(text, |event| {
            event["type"] == "output"
                && event["text"]
                    .as_str()
                    .is_some_and(|said| said.contains(text))
        });
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// The program's end; its events are in `seen`.
    pub(crate) fn end(&mut self) -> ExitStatus {
        while let Ok(event) = self.events.recv_timeout(PATIENCE) {
            self.seen.push(event);
        }
        let mut status = None;
        eventually("the program ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        status.unwrap()
    }

    /// The events of one type seen so far.
    pub(crate) fn seen_of(&self, kind: &str) -> Vec<&Value> {
        self.seen
            .iter()
            .filter(|event| event["type"] == kind)
            .collect()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // It may be gone already.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(|_| ()).unwrap_or_default();
    }
}
