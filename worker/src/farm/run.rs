//! The loop: says that this worker is there, takes hints while slots are free and the machine is fit, and starts an attempt for each
//! claim. Told to leave, it takes no more, lets what runs come to its end, and gives back what may not.

use std::sync::Arc;
use std::time::Duration;

use croft_bus::{Announcement, TakeError, Taken};
use croft_ledger::{Body, Seq, Subject};
use croft_proto::farm::{BuildId, WorkerEvent};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::Instrument as _;

use super::attempt::{self, Went};
use super::claim::{self};
use super::fitness::{self, Fitness, Unfit};
use super::parts::Parts;
use crate::{Stop, chain};

/// A take waits so long on the bus before it is asked anew.
const TAKE: Duration = Duration::from_secs(5);
/// After a bus that does not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked whether somebody wants this worker to drain.
const LOOK: Duration = Duration::from_secs(5);
/// What somebody said of a worker is a handful of events.
const ENTRIES_AT_ONCE: usize = 64;

/// What a worker's owner wants of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It works.
    #[default]
    Working,
    /// It takes no more builds and ends with the last of those it runs.
    Draining,
    /// It gives back what it runs.
    Leaving,
}

/// Why a worker ended that was not told to.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Whoever was to tell it is gone.
    #[error("the worker's owner is gone")]
    Forsaken,
}

/// A worker, to be run.
#[derive(Debug)]
pub struct Worker {
    parts: Parts,
}

type Taking = BoxFuture<'static, Result<Option<Taken>, TakeError>>;

struct Loop {
    parts: Parts,
    attempts: JoinSet<Option<(BuildId, Went)>>,
    leave: watch::Sender<Stop>,
    fitness: Fitness,
    unfit: Option<Unfit>,
    /// By somebody's word in the ledger.
    is_drained: bool,
    told: Seq,
}

impl Worker {
    /// A worker of those parts.
    #[must_use]
    pub const fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// Runs until it has drained.
    ///
    /// # Errors
    /// When `standing`'s sender is gone: nobody could tell it to end.
    pub async fn run(self, standing: watch::Receiver<Standing>) -> Result<(), WorkerError> {
        let (keys, ledger) = (self.parts.keys.clone(), Arc::clone(&self.parts.ledger));
        let pool = self.parts.settings.pool.clone();
        tokio::select! {
            ended = self.work(standing) => ended,
            never = keys.follow(ledger.as_ref(), &pool) => match never {},
        }
    }

    async fn work(self, mut standing: watch::Receiver<Standing>) -> Result<(), WorkerError> {
        let announce_every = Duration::from_millis(self.parts.settings.lease.renew_ms().min(3_000));
        let mut state = Loop::new(self.parts);
        let mut announce = tokio::time::interval(announce_every);
        announce.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut taking: Option<Taking> = None;
        loop {
            let now = *standing.borrow_and_update();
            if now == Standing::Leaving {
                super::lease::ask(&state.leave, Stop::Now);
            }
            let is_working = now == Standing::Working;
            if !is_working && state.attempts.is_empty() && taking.is_none() {
                state.announce(0).await;
                return Ok(());
            }
            if taking.is_none() && is_working && state.free() > 0 {
                taking = Some(state.take());
            }
            if !is_working || state.is_drained {
                // A hint on its way comes back to the others.
                taking = None;
            }
            tokio::select! {
                biased;
                changed = standing.changed() => if changed.is_err() {
                    return Err(WorkerError::Forsaken);
                },
                Some(ended) = state.attempts.join_next(), if !state.attempts.is_empty() => {
                    state.ended(ended);
                    state.announce_as(is_working).await;
                }
                taken = pending(&mut taking) => {
                    taking = None;
                    state.taken(taken);
                    state.announce_as(is_working).await;
                }
                _ = announce.tick() => state.announce_as(is_working).await,
                _ = look.tick() => state.look().await,
            }
        }
    }
}

async fn pending(taking: &mut Option<Taking>) -> Result<Option<Taken>, TakeError> {
    match taking {
        Some(taking) => taking.await,
        None => std::future::pending().await,
    }
}

impl Loop {
    fn new(parts: Parts) -> Self {
        Self {
            parts,
            attempts: JoinSet::new(),
            leave: watch::Sender::new(Stop::No),
            fitness: Fitness::default(),
            unfit: None,
            is_drained: false,
            told: Seq::ZERO,
        }
    }

    /// Slots that a build could be started in now.
    fn free(&mut self) -> u32 {
        let settings = &self.parts.settings;
        let home = self.parts.home.path();
        let bytes_min = settings.disk_free_bytes_min;
        let unfit = self.fitness.look(Instant::now(), home, bytes_min);
        let metrics = &self.parts.metrics;
        metrics.fitness(unfit.as_ref(), self.fitness.faults(), fitness::free(home));
        if unfit != self.unfit {
            match &unfit {
                Some(why) => tracing::warn!(worker = %settings.name, "no builds are taken: {why}"),
                None => {
                    tracing::info!(worker = %settings.name, faults = self.fitness.faults(), "builds are taken again")
                }
            }
            self.parts
                .vitals
                .unfit(unfit.as_ref().map(ToString::to_string));
            self.unfit = unfit;
        }
        if self.unfit.is_some() || self.is_drained {
            return 0;
        }
        let running = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX);
        settings.slots.saturating_sub(running)
    }

    fn take(&self) -> Taking {
        let (bus, pool) = (
            Arc::clone(&self.parts.bus),
            self.parts.settings.pool.clone(),
        );
        async move {
            let taken = bus.take(&pool, TAKE).await;
            if taken.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
            taken
        }
        .boxed()
    }

    fn taken(&mut self, taken: Result<Option<Taken>, TakeError>) {
        match taken {
            Ok(None) => {}
            Ok(Some(taken)) => {
                let (parts, leave) = (self.parts.clone(), self.leave.subscribe());
                self.attempts.spawn(async move {
                    let name = parts.settings.name.as_str().to_string();
                    let claimed = claim::claim(parts.ledger.as_ref(), taken, &name).await;
                    parts.metrics.claimed(claimed.is_some());
                    let claimed = claimed?;
                    let span = tracing::info_span!("attempt", build = %claimed.build, attempt = claimed.attempt);
                    let build = claimed.build;
                    // On the heap: it is large, and there are many.
                    let running = attempt::run(claimed, parts, leave).boxed();
                    Some((build, running.instrument(span).await))
                });
            }
            Err(error) => tracing::warn!(error = %chain(&error), "no hint was taken"),
        }
    }

    fn ended(&mut self, ended: Result<Option<(BuildId, Went)>, tokio::task::JoinError>) {
        match ended {
            Ok(None) => {}
            Ok(Some((build, went))) => self.fitness.ended(Some(build), went, Instant::now()),
            Err(error) => {
                tracing::error!(%error, "an attempt ended in a way it must not; its lease runs out");
                self.fitness.ended(None, Went::Fault, Instant::now());
            }
        }
    }

    async fn announce_as(&mut self, is_working: bool) {
        let is_draining = !is_working || self.is_drained;
        self.parts.vitals.draining(is_draining);
        self.parts
            .metrics
            .standing(self.attempts.len(), is_draining);
        let free = if is_working { self.free() } else { 0 };
        self.announce(free).await;
    }

    async fn announce(&self, slots_free: u32) {
        let settings = &self.parts.settings;
        let said = self.parts.bus.announce(Announcement {
            worker: settings.name.clone(),
            pool: settings.pool.clone(),
            slots_free,
            slots: settings.slots,
            version: settings.version.clone(),
        });
        match said.await {
            Ok(()) => self.parts.vitals.bus_answered(),
            Err(error) => {
                tracing::debug!(error = %chain(&error), "not announced; it is said again soon");
            }
        }
    }

    /// Whether somebody wants this worker to drain, or to go on.
    async fn look(&mut self) {
        let Ok(subject) = Subject::of("worker", self.parts.settings.name.as_str()) else {
            return;
        };
        let read = self
            .parts
            .ledger
            .read_subject(&subject, self.told, ENTRIES_AT_ONCE);
        let Ok(entries) = read.await else {
            return;
        };
        self.parts.vitals.ledger_answered();
        for entry in entries {
            self.told = entry.seq;
            let Body::Event(event) = &entry.body else {
                continue;
            };
            match serde_json::from_slice(event) {
                Ok(WorkerEvent::Draining { by }) => {
                    tracing::info!(%by, "told to drain");
                    self.is_drained = true;
                }
                Ok(WorkerEvent::Resumed { by }) => {
                    tracing::info!(%by, "told to go on");
                    self.is_drained = false;
                }
                Err(error) => {
                    tracing::warn!(%error, "what was said of this worker is not understood")
                }
            }
        }
    }
}
