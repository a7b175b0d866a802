//! The loop: takes entries, renewals, announcements, time and callers' wishes as they come, lets [`Scheduler::step`] decide, and
//! carries out what it decides. Nothing it waits for stops it from hearing the rest: appends and messages are on their way beside it.

use std::sync::Arc;
use std::time::Instant;

use croft_bus::{Announcement, RenewalRequest};
use croft_ledger::{Append, AppendError, Entry, ReadError, Seq};
use croft_proto::farm::{BuildEvent, BuildId, Submitted};
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, FuturesUnordered};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::behind;
use super::handle::{Command, PoolLine, Progress};
use super::seen::Seen;
use super::surely::chain;
use super::wishes::{Came, Wishes};
use super::{AGAIN, Parts, Server, TICK, TICKS_A_SECOND};
use crate::step::Noted;
use crate::{
    Action, Announced, FoldError, Hint, Input, Now, Renewed, Scheduler, Verdict, build_subject,
};

/// Things that are on their way at once: appends, hints, answers. Beyond it the loop takes no more of them up and asks again a
/// tick later.
const ON_THEIR_WAY_MAX: usize = 4096;

/// Entries folded in one go before anything else is looked at.
const ENTRIES_AT_ONCE: usize = 256;

/// How often others are let go first before wishes are decided, while that brings more of them.
const GATHERED_MAX: usize = 16;

/// Unfinished builds up to which they are all looked at each tick; of more, each tenth: a look takes a tenth of a microsecond each.
const MEASURED_MAX: usize = 10_000;
const MEASURED_TICKS: u64 = 10 * TICKS_A_SECOND;

/// Why a server stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It does not know the truth, and must not decide.
    #[error("failed to fold the ledger")]
    Fold(#[from] FoldError),
    /// The ledger cannot be read any more.
    #[error("failed to follow the ledger")]
    Read(#[from] ReadError),
}

/// Something that was on its way has arrived.
enum Arrived {
    /// Nothing follows from it.
    Done,
    Came(Came),
    /// A build that is to be retried, as it was submitted.
    Before(BuildId, Option<Box<Submitted>>),
    /// How far the ledger is, if it answers.
    Probed(Option<Seq>),
    Renewals(Option<BoxStream<'static, RenewalRequest>>),
    Announcements(Option<BoxStream<'static, Announcement>>),
}

type OnTheirWay = FuturesUnordered<BoxFuture<'static, Arrived>>;

struct Loop {
    parts: Parts,
    scheduler: Scheduler,
    wishes: Wishes,
    seen: Seen,
    on_their_way: OnTheirWay,
    begun: Instant,
    progress: Progress,
    is_probing: bool,
    ticks: u64,
    /// Where the ledger ended when this server looked for the first time.
    caught_up_at: Option<Seq>,
}

impl Server {
    /// Runs until `stop` is true, or its sender is gone.
    ///
    /// # Errors
    /// When the ledger cannot be read or folded: a server that does not know the truth must not decide.
    pub async fn run(mut self, stop: watch::Receiver<bool>) -> Result<(), ServerError> {
        let entries = self.parts.ledger.follow(Seq::ZERO);
        let mut state = Loop::new(self.parts);
        let ended = state
            .run(entries, &mut self.commands, &self.progress, stop)
            .await;
        state.tell_what_landed();
        ended
    }
}

impl Loop {
    async fn run(
        &mut self,
        entries: BoxStream<'static, Result<Entry, ReadError>>,
        commands: &mut mpsc::Receiver<Command>,
        progress: &watch::Sender<Progress>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), ServerError> {
        let mut entries = entries.ready_chunks(ENTRIES_AT_ONCE);
        let mut renewals: BoxStream<'static, RenewalRequest> =
            futures_util::stream::pending().boxed();
        let mut announcements: BoxStream<'static, Announcement> =
            futures_util::stream::pending().boxed();
        self.listen();
        self.probe();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                // Before entries, as their answers are: a long history must not keep workers from hearing that they may go on.
                Some(renewal) = renewals.next() => self.renewed(renewal)?,
                Some(arrived) = self.on_their_way.next(), if !self.on_their_way.is_empty() => {
                    match arrived {
                        Arrived::Renewals(Some(stream)) => renewals = stream,
                        Arrived::Announcements(Some(stream)) => announcements = stream,
                        Arrived::Renewals(None)
                        | Arrived::Announcements(None)
                        | Arrived::Done
                        | Arrived::Came(_)
                        | Arrived::Before(..)
                        | Arrived::Probed(_) => self.arrived(arrived)?,
                    }
                }
                chunk = entries.next() => self.fold(chunk.ok_or(ReadError::Closed)?)?,
                Some(announcement) = announcements.next() => self.announced(announcement)?,
                // When nobody can ask any more, the farm goes on.
                Some(command) = commands.recv() => self.asked(command),
                _ = tick.tick() => self.tick()?,
            }
            if self.progress.is_caught_up && self.wishes.may_depart(self.scheduler.farm()) {
                self.gather(commands).await;
            }
            self.decide();
            progress
                .send_if_modified(|known| std::mem::replace(known, self.progress) != self.progress);
        }
    }

    fn new(parts: Parts) -> Self {
        Self {
            scheduler: Scheduler::new(parts.lease),
            parts,
            wishes: Wishes::default(),
            seen: Seen::default(),
            on_their_way: OnTheirWay::new(),
            begun: now(),
            progress: Progress::default(),
            is_probing: false,
            ticks: 0,
            caught_up_at: None,
        }
    }

    fn now(&self) -> Now {
        let steady_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now {
            steady_ms,
            wall: self.parts.clock.now(),
        }
    }

    fn fold(&mut self, chunk: Vec<Result<Entry, ReadError>>) -> Result<(), ServerError> {
        for entry in chunk {
            let entry = entry?;
            self.step(Input::Entry(&entry))?;
            self.progress.folded = entry.seq;
        }
        self.look_whether_caught_up()
    }

    fn look_whether_caught_up(&mut self) -> Result<(), ServerError> {
        let is_there = self
            .caught_up_at
            .is_some_and(|at| self.progress.folded >= at);
        if is_there && !self.progress.is_caught_up {
            self.progress.is_caught_up = true;
            self.step(Input::CaughtUp)?;
        }
        Ok(())
    }

    fn arrived(&mut self, arrived: Arrived) -> Result<(), ServerError> {
        match arrived {
            Arrived::Done => {}
            Arrived::Came(came) => self.wishes.came(came),
            Arrived::Before(previous, Some(before)) => {
                self.step(Input::Before(previous, &before))?;
            }
            // Not readable now: it is asked for again.
            Arrived::Before(_, None) => {}
            Arrived::Probed(last) => self.probed(last)?,
            Arrived::Renewals(_) => self.listen_to_renewals(),
            Arrived::Announcements(_) => self.listen_to_announcements(),
        }
        Ok(())
    }

    fn probed(&mut self, last: Option<Seq>) -> Result<(), ServerError> {
        self.is_probing = false;
        let Some(last) = last else {
            if self.progress.is_connected {
                tracing::warn!(
                    "the ledger does not answer: no attempt is called lost until it does"
                );
            }
            self.progress.is_connected = false;
            self.step(Input::Disconnected)?;
            return Ok(());
        };
        if !self.progress.is_connected {
            self.progress.is_connected = true;
            self.step(Input::Connected)?;
        }
        self.caught_up_at.get_or_insert(last);
        self.look_whether_caught_up()
    }

    fn tick(&mut self) -> Result<(), ServerError> {
        self.ticks += 1;
        let is_second = self.ticks.is_multiple_of(TICKS_A_SECOND);
        if is_second {
            self.probe();
            self.wishes.tell(self.scheduler.farm());
            self.seen.tick(self.now().steady_ms);
        }
        self.step(Input::Tick)?;
        if is_second {
            self.measure();
        }
        Ok(())
    }

    fn measure(&self) {
        let farm = self.scheduler.farm();
        let is_small = farm.unfinished().len() <= MEASURED_MAX;
        if self.progress.is_caught_up && (is_small || self.ticks.is_multiple_of(MEASURED_TICKS)) {
            let now = self.now();
            let measured = self.scheduler.measure(now.wall);
            let workers = self.seen.all(now.steady_ms);
            self.parts.metrics.show(&measured, &workers, farm);
        }
    }

    /// Counts what has happened, and says it.
    fn note(&self, noted: &[Noted]) {
        let farm = self.scheduler.farm();
        for noted in noted {
            self.parts.metrics.count(noted, farm);
            match noted {
                Noted::Claimed {
                    build,
                    attempt,
                    worker,
                    waited_ms,
                    ..
                } => tracing::info!(%build, attempt, %worker, waited_ms, "claimed"),
                Noted::Lost { build, reason } => {
                    tracing::warn!(%build, ?reason, "an attempt was lost")
                }
                Noted::Ended {
                    build, status, by, ..
                } => tracing::info!(%build, %status, ?by, "over"),
                Noted::OfferedAgain => {}
            }
        }
    }

    fn renewed(&mut self, request: RenewalRequest) -> Result<(), ServerError> {
        let Ok(build) = request.renewal.build.as_str().parse::<BuildId>() else {
            tracing::warn!(build = %request.renewal.build, "a renewal for what is no build's id");
            return Ok(());
        };
        let renewed = Renewed {
            build,
            attempt: request.renewal.attempt,
        };
        if !self.progress.is_caught_up {
            self.judge(request, renewed);
            return Ok(());
        }
        let now = self.now();
        let actions = self.scheduler.step(Input::Renewed(renewed), now)?;
        let mut request = Some(request);
        for action in actions {
            match action {
                Action::Answer(verdict) => {
                    if let Some(request) = request.take() {
                        self.answer(request, verdict);
                    }
                }
                Action::Append(_) | Action::Publish(_) | Action::Retry(_) => self.carry_out(action),
            }
        }
        Ok(())
    }

    fn answer(&self, request: RenewalRequest, verdict: Verdict) {
        self.parts.metrics.answered(verdict);
        self.send(async move {
            said(request, verdict).await;
            Arrived::Done
        });
    }

    /// Answers from the ledger what is not folded yet.
    fn judge(&self, request: RenewalRequest, renewed: Renewed) {
        if self.on_their_way.len() >= ON_THEIR_WAY_MAX {
            return;
        }
        let (ledger, metrics) = (Arc::clone(&self.parts.ledger), self.parts.metrics.clone());
        self.send(async move {
            if let Some(verdict) = behind::judge(ledger, renewed).await {
                metrics.answered(verdict);
                said(request, verdict).await;
            }
            Arrived::Done
        });
    }

    fn announced(&mut self, announcement: Announcement) -> Result<(), ServerError> {
        let announced = Announced {
            worker: announcement.worker.to_string(),
            pool: announcement.pool.to_string(),
            slots_free: announcement.slots_free,
        };
        let now_ms = self.now().steady_ms;
        self.seen.hear(announcement, now_ms);
        self.step(Input::Announced(announced))
    }

    fn asked(&mut self, command: Command) {
        match command {
            Command::Wish(wish, reply) => self.wishes.add(wish, reply),
            Command::Why(build, reply) => drop(reply.send(self.scheduler.why(build))),
            Command::Lines(reply) => {
                let lines = self
                    .scheduler
                    .lines()
                    .map(|(pool, waiting, offered)| PoolLine {
                        pool: pool.to_string(),
                        waiting,
                        offered,
                    });
                drop(reply.send(lines.collect()));
            }
            Command::Workers(reply) => drop(reply.send(self.seen.all(self.now().steady_ms))),
        }
    }

    /// Takes up what is asked by whoever is about to ask: callers who were answered together ask again together, and the first of
    /// them alone would be an append, and a wait for the disk, of its own.
    async fn gather(&mut self, commands: &mut mpsc::Receiver<Command>) {
        for _ in 0..GATHERED_MAX {
            tokio::task::yield_now().await;
            let Ok(command) = commands.try_recv() else {
                return;
            };
            self.asked(command);
            while let Ok(command) = commands.try_recv() {
                self.asked(command);
            }
        }
    }

    /// Takes up the wishes that wait, if nothing of theirs is on its way.
    fn decide(&mut self) {
        if !self.progress.is_caught_up {
            return;
        }
        let now = self.now().wall;
        let next = self
            .wishes
            .next(self.scheduler.farm(), &self.parts.ledger, now);
        if let Some(next) = next {
            self.on_their_way.push(next.map(Arrived::Came).boxed());
        }
    }

    /// The last thing: who waits for what is in the ledger is told, also when that is not folded any more.
    fn tell_what_landed(&mut self) {
        // What has come and was not looked at.
        while let Some(Some(arrived)) = self.on_their_way.next().now_or_never() {
            if let Arrived::Came(came) = arrived {
                self.wishes.came(came);
            }
        }
        self.wishes.tell(self.scheduler.farm());
    }

    fn step(&mut self, input: Input<'_>) -> Result<(), ServerError> {
        let (now, mut noted) = (self.now(), Vec::new());
        let actions = self.scheduler.step_noting(input, now, &mut noted)?;
        self.note(&noted);
        for action in actions {
            self.carry_out(action);
        }
        Ok(())
    }

    fn carry_out(&self, action: Action) {
        if self.on_their_way.len() >= ON_THEIR_WAY_MAX {
            // Whatever it is, it is decided again a few seconds later.
            tracing::warn!("too much is on its way; an action is put off");
            return;
        }
        match action {
            Action::Append(intents) => {
                let appends = intents.iter().map(crate::Intent::append).collect();
                match appends {
                    Ok(appends) => self.append(appends),
                    Err(error) => tracing::error!(%error, "an event cannot be written as JSON"),
                }
            }
            Action::Publish(hint) => self.publish(hint),
            Action::Retry(previous) => self.read_before(previous),
            // Renewals are answered where they come in.
            Action::Answer(_) => {}
        }
    }

    /// Appends a decision, once. What came of it shows in the ledger; when it does not, it is decided again by what is known then: said
    /// again as it is, it could come into a ledger in which it is not true any more.
    fn append(&self, appends: Vec<Append>) {
        let ledger = Arc::clone(&self.parts.ledger);
        self.send(async move {
            match ledger.append(appends).await {
                Ok(_) | Err(AppendError::Conflict { .. }) => Arrived::Done,
                Err(AppendError::Unknown { source }) => {
                    tracing::warn!(error = %source, "a decision's append was lost sight of");
                    Arrived::Probed(None)
                }
                Err(error) => {
                    let why = chain(&error);
                    tracing::warn!(%why, "a decision could not be recorded; it is decided again");
                    Arrived::Done
                }
            }
        });
    }

    fn publish(&self, hint: Hint) {
        let (Ok(pool), Ok(build)) = (hint.pool.parse(), hint.build.to_string().parse()) else {
            tracing::error!(pool = %hint.pool, "a pool's name cannot be sent");
            return;
        };
        self.parts.metrics.published(&hint.pool);
        let bus = Arc::clone(&self.parts.bus);
        let hint = croft_bus::Hint {
            build,
            attempt: hint.attempt,
            seq: hint.last.get(),
        };
        self.send(async move {
            if let Err(error) = bus.publish(&pool, hint).await {
                tracing::warn!(error = %chain(&error), "a hint was not published; it is again later");
            }
            Arrived::Done
        });
    }

    fn read_before(&self, previous: BuildId) {
        let ledger = Arc::clone(&self.parts.ledger);
        self.send(async move {
            let read = ledger
                .read_subject(&build_subject(previous), Seq::ZERO, 1)
                .await;
            let before = read.ok().and_then(|entries| {
                let event = serde_json::from_slice(entries.first()?.event()?).ok()?;
                match event {
                    BuildEvent::Submitted(submitted) => Some(submitted),
                    BuildEvent::AttemptStarted { .. }
                    | BuildEvent::AttemptLost { .. }
                    | BuildEvent::StopRequested { .. }
                    | BuildEvent::Settled { .. } => None,
                }
            });
            Arrived::Before(previous, before)
        });
    }

    fn probe(&mut self) {
        if std::mem::replace(&mut self.is_probing, true) {
            return;
        }
        let ledger = Arc::clone(&self.parts.ledger);
        self.send(async move { Arrived::Probed(ledger.last().await.ok()) });
    }

    fn listen(&self) {
        self.listen_to_renewals();
        self.listen_to_announcements();
    }

    fn listen_to_renewals(&self) {
        let bus = Arc::clone(&self.parts.bus);
        self.send(async move {
            let renewals = bus.renewals().await;
            if renewals.is_err() {
                tokio::time::sleep(AGAIN).await;
            }
            Arrived::Renewals(renewals.ok())
        });
    }

    fn listen_to_announcements(&self) {
        let bus = Arc::clone(&self.parts.bus);
        self.send(async move {
            let announcements = bus.announcements().await;
            if announcements.is_err() {
                tokio::time::sleep(AGAIN).await;
            }
            Arrived::Announcements(announcements.ok())
        });
    }

    fn send(&self, future: impl Future<Output = Arrived> + Send + 'static) {
        self.on_their_way.push(future.boxed());
    }
}

async fn said(request: RenewalRequest, verdict: Verdict) {
    let verdict = match verdict {
        Verdict::Go => croft_bus::Verdict::Go,
        Verdict::Stop => croft_bus::Verdict::Stop {
            reason: "somebody asked for it to be stopped".into(),
        },
        Verdict::Lost => croft_bus::Verdict::Lost,
    };
    if let Err(error) = request.answer(verdict).await {
        tracing::debug!(error = %chain(&error), "a worker was not answered; it asks again");
    }
}

fn now() -> Instant {
    Instant::now()
}
