//! The loop: takes entries, reports, time and callers' wishes as they come, lets [`Engine::step`] decide, and carries out what it
//! decides. Nothing it waits for stops it from hearing the rest: appends and balancers are on their way beside it.

/// What is counted.
mod observed;
/// Hosts that are not there.
mod heard;
/// What callers wish.
mod wishes;
/// What is watched.
mod judging;
/// What deployments wait for.
mod waiting;
/// What is recorded at their ends.
mod ended;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use croft_bus::Presence;
use croft_ledger::{Append, AppendError, Entry, ReadError, Seq};
use croft_proto::Timestamp;
use croft_proto::deploy::{Colour, DeploymentId, Has, LifecycleEvent, Router, Side};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::alarms::Watch;
use super::balancers::{Balancers, RouteKey, Told, Waiting};
use super::book::Book;
use super::handle::{Command, Failed, Keys, Progress, Seen};
use super::mailbox::Mailbox;
use super::verdicts::{Answered, Verdicts};
use super::{Parts, Server};
use crate::alarm::Polled;
use crate::intent::{GroupName, Intent};
use crate::state::{FoldError, Running};
use crate::step::{Action, Answer, Engine, Input, Now, Report, Said, is_the_balancers};
use crate::traffic::{Weights, server};
use heard::{Silences, TELL_TICKS};
use wishes::Wished;

/// How often time passes for the decisions.
const TICK: Duration = Duration::from_secs(1);
/// Alarms are asked for each so many ticks.
const POLL_TICKS: u64 = 5;
/// Entries folded in one go before anything else is looked at.
const ENTRIES_AT_ONCE: usize = 256;

/// Why a server stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It does not know the truth, and must not act.
    #[error("failed to fold the ledger")]
    Fold(#[from] FoldError),
    /// The ledger cannot be read any more.
    #[error("failed to follow the ledger")]
    Read(#[from] ReadError),
}

/// How an append ended.
enum Ended {
    There(Seq),
    Conflict,
    Failed(Failed),
}

/// Something that was on its way has arrived.
enum Arrived {
    /// What the decisions wanted to append.
    Appended(Ended),
    Wished(Wished, Option<DeploymentId>, Ended),
    /// How far the ledger is, if it answers.
    Probed(Option<Seq>),
    /// A balancer was told all of a group's weights.
    Told(Told),
    /// A balancer has let a host in, or out.
    Routed(RouteKey, Option<Report>),
    /// All alarms, asked for then.
    Polled(Timestamp, Result<Vec<Polled>, String>),
    /// What a watch wanted to know.
    Measured(Answered),
    /// What servers say of their hosts, if one can listen now.
    Presences(Option<BoxStream<'static, Presence>>),
    /// Others know which hosts are here, or will next time.
    ToldPresence,
}

struct Loop {
    parts: Parts,
    engine: Engine,
    book: Book,
    watch: Watch,
    is_polling: bool,
    verdicts: Verdicts,
    /// Why deployments that are watched are held.
    held: BTreeMap<DeploymentId, BTreeSet<&'static str>>,
    ticks: u64,
    mailbox: Arc<Mailbox>,
    keys: Arc<Keys>,
    /// Hosts that are not heard.
    silences: Silences,
    presences: BoxStream<'static, Presence>,
    /// What hosts said last that they have, and when.
    reports: HashMap<String, (Timestamp, Vec<Has>)>,
    on_their_way: FuturesUnordered<BoxFuture<'static, Arrived>>,
    again: Vec<Wished>,
    balancers: Balancers,
    begun: Instant,
    progress: Progress,
    caught_up_at: Option<Seq>,
    is_probing: bool,
    was_away: bool,
}

impl Server {
    /// Runs until `stop` is true, or its sender is gone.
    ///
    /// # Errors
    /// When the ledger cannot be read or folded: a server that does not know the truth must not act.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), ServerError> {
        let mut entries = self
            .parts
            .ledger
            .follow(Seq::ZERO)
            .ready_chunks(ENTRIES_AT_ONCE);
        let mut state = Loop::new(self.parts, self.mailbox, self.keys);
        state.listen_to_presences();
        state.probe();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                Some(arrived) = state.on_their_way.next(), if !state.on_their_way.is_empty() => {
                    state.arrived(arrived)?;
                }
                chunk = entries.next() => state.fold(chunk.ok_or(ReadError::Closed)?)?,
                Some(presence) = state.presences.next() => state.heard(&presence),
                // Before those who ask: a thousand hosts must not keep time from passing.
                _ = tick.tick() => state.tick()?,
                // When nobody can ask any more, deployments go on.
                Some(command) = self.commands.recv() => state.asked(command)?,
            }
            self.progress.send_if_modified(|known| {
                std::mem::replace(known, state.progress) != state.progress
            });
        }
    }
}

impl Loop {
    fn new(parts: Parts, mailbox: Arc<Mailbox>, keys: Arc<Keys>) -> Self {
        Self {
            parts,
            engine: Engine::default(),
            book: Book::default(),
            watch: Watch::default(),
            is_polling: false,
            verdicts: Verdicts::default(),
            held: BTreeMap::new(),
            ticks: 0,
            mailbox,
            keys,
            silences: Silences::default(),
            presences: futures_util::stream::pending().boxed(),
            reports: HashMap::new(),
            on_their_way: FuturesUnordered::new(),
            again: Vec::new(),
            balancers: Balancers::default(),
            begun: Instant::now(),
            progress: Progress::default(),
            caught_up_at: None,
            is_probing: false,
            was_away: false,
        }
    }

    fn now(&self) -> Now {
        let steady_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now {
            steady_ms,
            wall: self.parts.clock.now(),
        }
    }

    /// Decides, and carries out; what a host is to be told, when it asked.
    fn step(&mut self, input: Input<'_>) -> Result<Option<Answer>, FoldError> {
        let (now, mut noted) = (self.now(), Vec::new());
        let actions = self.engine.step_noting(input, now, &mut noted)?;
        for noted in &noted {
            self.parts.counts.count(noted);
        }
        let mut answer = None;
        for action in actions {
            match action {
                Action::Answer(said) => answer = Some(said),
                Action::Append(intents) => self.append(&self.seen(intents)),
                Action::Command { host, command } => self.mailbox.put(&host, command),
                Action::SetWeights { weights, step } => self.tell(weights, step),
                Action::Route {
                    group,
                    deployment,
                    generation,
                    host,
                    colour,
                    event,
                } => self.route(
                    &group,
                    colour,
                    Report {
                        host,
                        deployment,
                        generation,
                        event,
                        // Not said until it has ended: another server must do it when this one dies.
                        said: Said::Started,
                    },
                ),
            }
        }
        Ok(answer)
    }

    fn fold(&mut self, chunk: Vec<Result<Entry, ReadError>>) -> Result<(), ServerError> {
        let mut touched = Vec::new();
        for entry in chunk {
            let entry = entry?;
            touched.extend(deployment_of(&entry));
            self.step(Input::Entry(&entry))?;
            self.note_host(&entry);
            self.progress.folded = entry.seq;
            self.note(&mut touched);
        }
        self.look_whether_caught_up()?;
        self.retry();
        Ok(())
    }

    /// Whoever checks a host's calls knows its key.
    fn note_host(&mut self, entry: &Entry) {
        if entry.subject.kind() == "host"
            && let Some(name) = entry.subject.parts().nth(1)
        {
            let host = self.engine.state().host(&name);
            self.keys.note(&name, host);
            if host.is_some_and(|host| !host.is_enrolled) {
                self.mailbox.forget(&name);
                self.reports.remove(&*name);
            }
        }
    }

    /// Remembers what is over, before the decisions forget it.
    fn note(&mut self, touched: &mut Vec<DeploymentId>) {
        for id in touched.drain(..) {
            let state = self.engine.state();
            if let Some(over) = state.deployment(&id).filter(|one| one.end.is_some()) {
                self.book.note(over);
            }
        }
    }

    fn look_whether_caught_up(&mut self) -> Result<(), FoldError> {
        let is_there = self
            .caught_up_at
            .is_some_and(|at| self.progress.folded >= at);
        if is_there && !self.progress.is_caught_up {
            self.progress.is_caught_up = true;
            self.step(Input::CaughtUp)?;
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<(), FoldError> {
        self.probe();
        self.retry();
        if self.ticks.is_multiple_of(POLL_TICKS) {
            self.poll();
        }
        if self.ticks.is_multiple_of(TELL_TICKS) {
            self.tell_presence();
        }
        self.ticks += 1;
        self.measure();
        self.forget_commands();
        self.watch.keep_only(self.alarms());
        self.listen()?;
        self.advise()?;
        self.step(Input::Tick)?;
        if self.progress.is_caught_up {
            self.show();
        }
        Ok(())
    }

    /// Commands of events that are over, or of deployments that are, wait for nobody; nor does a balancer for such an event's end.
    fn forget_commands(&self) {
        let state = self.engine.state();
        self.mailbox.retain(|host, command| {
            let id = &command.deployment_id;
            let is_on = state.deployment(id).is_some_and(|one| one.end.is_none());
            is_on && runs(state, id, host, command.event)
        });
        self.balancers
            .end_routes(|(id, host, event)| runs(state, id, host, *event));
    }

    fn probe(&mut self) {
        if std::mem::replace(&mut self.is_probing, true) {
            return;
        }
        let ledger = Arc::clone(&self.parts.ledger);
        self.on_their_way.push(Box::pin(async move {
            Arrived::Probed(ledger.last().await.ok())
        }));
    }

    fn arrived(&mut self, arrived: Arrived) -> Result<(), FoldError> {
        match arrived {
            // What it led to comes as entries; what did not happen is decided again.
            Arrived::Appended(Ended::There(_) | Ended::Conflict) => {}
            Arrived::Appended(Ended::Failed(error)) => {
                tracing::warn!(%error, "a deployment's event is not recorded yet");
            }
            Arrived::Wished(wished, deployment, ended) => self.wished(wished, deployment, ended),
            Arrived::Probed(last) => self.probed(last)?,
            Arrived::Told(told) => {
                let now = self.parts.clock.now();
                if let Some((id, step)) = self.balancers.told(told, now) {
                    self.step(Input::Routed(id, step))?;
                }
            }
            Arrived::Polled(asked, found) => {
                self.is_polling = false;
                if let Some(said) = self.watch.polled(asked, found) {
                    tracing::warn!("{said}");
                }
                self.advise()?;
            }
            Arrived::Measured(answered) => self.measured(answered)?,
            Arrived::Presences(came) => self.listening_to_presences(came),
            Arrived::ToldPresence => self.told_presence(),
            Arrived::Routed(key, report) => {
                self.balancers.routed(&key);
                if let Some(report) = report {
                    self.step(Input::Report(report))?;
                }
            }
        }
        Ok(())
    }

    fn probed(&mut self, last: Option<Seq>) -> Result<(), FoldError> {
        self.is_probing = false;
        let Some(last) = last else {
            self.was_away = true;
            return Ok(());
        };
        if std::mem::take(&mut self.was_away) {
            self.step(Input::Connected)?;
        }
        self.caught_up_at.get_or_insert(last);
        self.look_whether_caught_up()
    }

    fn asked(&mut self, command: Command) -> Result<(), FoldError> {
        match command {
            Command::Wish(wish, reply) => self.wish(Wished {
                wish,
                reply,
                tries: 0,
            }),
            Command::Hear(report, reply) => {
                let answer = self.step(Input::Report(report))?;
                // Who has gone asks again.
                reply
                    .send(answer.unwrap_or(Answer::Later))
                    .unwrap_or_default();
            }
            Command::Returned(host, has) => self.returned(&host, &has)?,
            Command::Fresh(host) => self.tell_again(&host),
            Command::Alerted(message) => {
                self.watch.keep_only(self.alarms());
                self.watch.pushed(&message, self.parts.clock.now());
                self.advise()?;
            }
            Command::Look(look) => look(Seen {
                state: self.engine.state(),
                book: &self.book,
                verdicts: &self.verdicts,
                now: self.parts.clock.now(),
                waits: &|id| self.waits(id),
                reports: &self.reports,
            }),
        }
        Ok(())
    }

    /// What a host has of each group that has deployed to it.
    fn returned(&mut self, host: &str, has: &[Has]) -> Result<(), FoldError> {
        let now = self.parts.clock.now();
        self.reports.insert(host.to_string(), (now, has.to_vec()));
        let groups = self.engine.state().groups();
        let of_host = groups.filter(|(_, group)| group.hosts.contains_key(host));
        let inputs: Vec<Input<'_>> = of_host
            .map(|(name, group)| {
                // Of one that is gone as well: what its hosts have is what it takes up when it is made again.
                let id = group.id.as_deref();
                let found = has.iter().find(|has| Some(&*has.deployment_group_id) == id);
                Input::Returned {
                    host: host.to_string(),
                    group: name.clone(),
                    digest: found.map(|has| has.digest.clone()),
                }
            })
            .collect();
        for input in inputs {
            self.step(input)?;
        }
        Ok(())
    }

    /// What a host is to do, or has begun.
    fn tell_again(&self, host: &str) {
        for deployment in self.engine.state().deployments() {
            let Some(plan) = &deployment.plan else {
                continue;
            };
            for side in [Side::New, Side::Old] {
                let number = deployment.target(side, host);
                let running = number.and_then(|number| deployment.at(number).running);
                // What had not begun when its deployment ended is not to begin any more.
                let is_due = |running: &Running| {
                    let is_on = deployment.end.is_none() || running.is_started;
                    is_on && !is_the_balancers(running.event)
                };
                if let Some(running) = running.filter(is_due) {
                    let command = plan.command(&deployment.id, side, running.event);
                    self.mailbox.put(host, command);
                }
            }
        }
    }

    fn append(&self, intents: &[Intent]) {
        let appending = append(Arc::clone(&self.parts.ledger), intents);
        self.on_their_way
            .push(Box::pin(async move { Arrived::Appended(appending.await) }));
    }

    fn router(&self, group: &GroupName) -> Option<Router> {
        let settings = self.engine.state().group(group)?.settings.as_ref()?;
        settings.router().cloned()
    }

    /// All of a group's weights.
    fn tell(&mut self, weights: Weights, step: Waiting) {
        let Some(router) = self.router(&weights.group) else {
            return;
        };
        let routing = Arc::clone(&self.parts.routing);
        let telling = self.balancers.tell(routing, router, weights, step);
        self.on_their_way
            .push(Box::pin(async move { Arrived::Told(telling.await) }));
    }

    /// Lets a host in or out.
    fn route(&mut self, group: &GroupName, colour: Option<Colour>, report: Report) {
        let Some(router) = self.router(group) else {
            return;
        };
        let routing = Arc::clone(&self.parts.routing);
        let server = server(&report.host, colour);
        if let Some(routed) = self
            .balancers
            .route(routing, router, (group, server), report)
        {
            self.on_their_way.push(Box::pin(async move {
                let (key, report) = routed.await;
                Arrived::Routed(key, report)
            }));
        }
    }
}

/// Whether it is that event's turn on one of a host's targets.
fn runs(state: &crate::State, id: &DeploymentId, host: &str, event: LifecycleEvent) -> bool {
    let Some(deployment) = state.deployment(id) else {
        return false;
    };
    [Side::New, Side::Old].into_iter().any(|side| {
        let number = deployment.target(side, host);
        let running = number.and_then(|number| deployment.at(number).running);
        running.is_some_and(|running| running.event == event)
    })
}

/// The deployment that an entry is about.
fn deployment_of(entry: &Entry) -> Option<DeploymentId> {
    if entry.subject.kind() != "deployment" {
        return None;
    }
    entry.subject.parts().nth(1)?.parse().ok()
}

/// The deployment that a batch is about first.
fn deployment_in(intents: &[Intent]) -> Option<DeploymentId> {
    let subjects = intents.iter().map(|intent| &intent.subject);
    let of = |subject: &croft_ledger::Subject| {
        let is_one = subject.kind() == "deployment";
        let id = is_one.then(|| subject.parts().nth(1)).flatten();
        id.and_then(|id| id.parse().ok())
    };
    subjects.into_iter().find_map(of)
}

fn append(ledger: Arc<dyn croft_ledger::Ledger>, intents: &[Intent]) -> BoxFuture<'static, Ended> {
    let batch: Result<Vec<Append>, _> = intents.iter().map(Intent::append).collect();
    Box::pin(async move {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => return Ended::Failed(Failed::Unavailable(error.to_string())),
        };
        match ledger.append(batch).await {
            Ok(appended) => Ended::There(appended.last),
            Err(AppendError::Conflict { .. }) => Ended::Conflict,
            Err(AppendError::Unknown { .. }) => Ended::Failed(Failed::Unknown),
            Err(error) => Ended::Failed(Failed::Unavailable(error.to_string())),
        }
    })
}
