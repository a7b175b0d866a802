//! The scheduler's decisions with few and many builds in the queue, its memory for each, and how fast it folds a ledger.

use std::time::{Duration, Instant};

use bytes::Bytes;
use croft_ledger::{Body, Entry, Seq, Subject};
use croft_proto::farm::{
    AutoRetry, BuildEvent, BuildId, Priority, ProjectEvent, ProjectRules, SettledBy, Submitted,
    Weight,
};
use croft_proto::{Status, Timestamp};
use croft_scheduler::{Action, Announced, Input, Now, Scheduler, build_subject, project_subject};

use crate::sample::{Verdict, median};

const FEW: u64 = 1_000;
const MANY: u64 = 1_000_000;
const PROJECTS: u64 = 100;
/// Decisions timed in each queue; each sends out a few hints, and the small queue must last.
const DECISIONS: usize = 150;
const SLOWER_MAX: f64 = 2.0;
const BYTES_MAX: f64 = 500.0;
/// Nanoseconds for each folded event: 100,000 a second.
const FOLD_NANOS_MAX: f64 = 10_000.0;

/// A scheduler and the ledger's place.
struct Farm {
    scheduler: Scheduler,
    seq: u64,
    now: Now,
}

pub(crate) fn run() -> Result<Vec<Verdict>, String> {
    let mut few = Farm::new()?;
    few.submit(FEW)?;
    let mut many = Farm::new()?;
    let before = resident_bytes()?;
    let folding = many.submit(MANY)?;
    let bytes = (resident_bytes()?.saturating_sub(before)) as f64 / MANY as f64;
    let (mut in_few, mut in_many) = (Vec::new(), Vec::new());
    for _ in 0..DECISIONS {
        in_few.push(few.decide()?);
        in_many.push(many.decide()?);
    }
    let nanos = folding.as_secs_f64() * 1e9 / MANY as f64;
    Ok(vec![
        Verdict::times(
            "a turn of a build with 1,000,000 queued, with 1,000",
            median(in_many),
            median(in_few),
            SLOWER_MAX,
        ),
        Verdict::limit("memory of a queued build", bytes, BYTES_MAX, "bytes"),
        Verdict::limit("folding an event", nanos, FOLD_NANOS_MAX, "ns"),
    ])
}

impl Farm {
    fn new() -> Result<Self, String> {
        let mut farm = Self {
            scheduler: Scheduler::default(),
            seq: 0,
            now: Now {
                steady_ms: 0,
                wall: Timestamp::from_millis(1_800_000_000_000),
            },
        };
        farm.input(Input::Connected)?;
        farm.input(Input::CaughtUp)?;
        for project in 0..PROJECTS {
            let event = ProjectEvent::Applied {
                rules: Box::new(ProjectRules {
                    pool: "default".into(),
                    priority: Priority::NORMAL,
                    weight: Weight::default(),
                    concurrency: None,
                    queued_timeout_in_minutes: 480,
                    auto_retry_limit: 0,
                    attempts_max: 3,
                }),
                project: Box::default(),
            };
            let subject = project_subject(&name(project)).map_err(|error| error.to_string())?;
            farm.append(subject, &event)?;
        }
        Ok(farm)
    }

    fn input(&mut self, input: Input<'_>) -> Result<Vec<Action>, String> {
        let actions = self.scheduler.step(input, self.now);
        actions.map_err(|error| error.to_string())
    }

    fn append(
        &mut self,
        subject: Subject,
        event: &impl serde::Serialize,
    ) -> Result<Vec<Action>, String> {
        let event = serde_json::to_vec(event).map_err(|error| error.to_string())?;
        self.entry(subject, event)
    }

    fn entry(&mut self, subject: Subject, event: Vec<u8>) -> Result<Vec<Action>, String> {
        self.seq += 1;
        let entry = Entry {
            seq: Seq::new(self.seq),
            subject,
            at: self.now.wall,
            body: Body::Event(Bytes::from(event)),
        };
        self.input(Input::Entry(&entry))
    }

    /// Folds so many submissions; how long that took, without making them.
    fn submit(&mut self, count: u64) -> Result<Duration, String> {
        let mut took = Duration::ZERO;
        for number in 0..count {
            let event = submission(number);
            let event = serde_json::to_vec(&event).map_err(|error| error.to_string())?;
            let subject = build_subject(id(number));
            let start = Instant::now();
            self.entry(subject, event)?;
            took += start.elapsed();
        }
        Ok(took)
    }

    /// One build's turn: a slot is free, a hint goes out, a worker claims it and settles it.
    fn decide(&mut self) -> Result<Duration, String> {
        let start = Instant::now();
        let mut actions = self.announce(1)?;
        // All hints are out: the first of them is claimed, and its place is free.
        let Some(Action::Publish(hint)) = actions.pop() else {
            return Err("no hint went out".into());
        };
        self.append(
            build_subject(hint.build),
            &BuildEvent::AttemptStarted {
                attempt: hint.attempt,
                worker: "w".into(),
            },
        )?;
        self.append(
            build_subject(hint.build),
            &BuildEvent::Settled {
                attempt: hint.attempt,
                status: Status::Succeeded,
                by: SettledBy::Worker,
                message: None,
                build: None,
                at: self.now.wall,
            },
        )?;
        let took = start.elapsed();
        // What went out meanwhile is claimed by nobody here: the slot is taken again.
        self.announce(0)?;
        Ok(took)
    }

    fn announce(&mut self, slots_free: u32) -> Result<Vec<Action>, String> {
        // Each worker is a new one: hints that are out do not take its slot.
        self.seq += 1;
        self.input(Input::Announced(Announced {
            worker: format!("w{}", self.seq),
            pool: "default".into(),
            slots_free: slots_free * 4,
        }))
    }
}

fn name(project: u64) -> String {
    format!("project-{project}")
}

fn id(number: u64) -> BuildId {
    BuildId::derived(u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_be_bytes())
}

fn submission(number: u64) -> BuildEvent {
    BuildEvent::Submitted(Box::new(Submitted {
        project: name(number % PROJECTS),
        number: number / PROJECTS + 1,
        pool: "default".into(),
        priority: Priority::NORMAL,
        queued_ms_max: 480 * 60_000,
        attempts_max: 3,
        auto_retry: AutoRetry {
            auto_retry_limit: 0,
            auto_retry_number: 0,
            previous_auto_retry: None,
        },
        initiator: "bench".into(),
        request: Box::new(serde_json::json!({
            "projectName": name(number % PROJECTS),
            "sourceVersion": "0123456789abcdef0123456789abcdef01234567",
        })),
    }))
}

fn resident_bytes() -> Result<u64, String> {
    let text = std::fs::read_to_string("/proc/self/statm").map_err(|error| error.to_string())?;
    let pages: Option<u64> = text.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    let pages = pages.ok_or("/proc/self/statm has another form")?;
    Ok(pages * u64::try_from(rustix::param::page_size()).unwrap_or(4096))
}
