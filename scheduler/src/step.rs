//! All of it, an input at a time: the fold, the lines, the leases, and what follows from them. Fed by whoever runs a server;
//! its actions are carried out by the same, in order. Carrying one out twice, or not at all, breaks nothing: what is appended
//! expects a sequence, and what was lost is asked for again after a while.

/// What of it is counted.
mod measure;

use std::collections::{BTreeMap, BTreeSet};

use croft_ledger::{Entry, Expected, Seq};
use croft_proto::farm::{BuildEvent, BuildId, Lease, LossReason, SettledBy, Submitted};
use croft_proto::{Status, Timestamp};

use crate::admit::{Again, again, retry_id};
use crate::evidence::Evidence;
use crate::farm::{Change, Farm, FoldError, Stage, Unfinished};
use crate::gate::Gates;
use crate::intent::Intent;
use crate::lease::Leases;
use crate::line::Waiting;
use crate::pool::{Announced, Hint, Pool};
use crate::stop::{Ending, settled};
use crate::why::Why;

pub(crate) use measure::{Measured, Noted};

/// An action that should have shown in the ledger is asked for again after this: the append failed, or the server did.
const AGAIN_MS: u64 = 5_000;

/// Builds given up in one tick for having waited too long: a tick must not take long.
const EXPIRED_MAX: usize = 1_000;

/// What time it is, by two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that is never set: leases, hints.
    pub steady_ms: u64,
    /// What people call the time, and may be set: for what is shown, and for how long builds had waited when this server came.
    pub wall: Timestamp,
}

/// A worker says that an attempt goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// Which build.
    pub build: BuildId,
    /// Which attempt of it.
    pub attempt: u32,
}

/// What a worker is told about its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Go,
    /// Somebody wants it to end: stop it and settle.
    Stop,
    /// It does not count any more: end it, and say nothing.
    Lost,
}

/// What has happened.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// The next entry of the ledger.
    Entry(&'a Entry),
    /// All that was in the ledger when this server started has been folded: from now on it acts.
    CaughtUp,
    /// The broker answers.
    Connected,
    /// The broker does not.
    Disconnected,
    /// A worker has announced itself.
    Announced(Announced),
    /// A worker has renewed an attempt.
    Renewed(Renewed),
    /// A build that was to be retried, as it was submitted: the answer to [`Action::Retry`].
    Before(BuildId, &'a Submitted),
    /// A second has passed, or less.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Append these, all or nothing. When that is refused, others were faster: nothing is to be done.
    Append(Vec<Intent>),
    /// Publish a hint.
    Publish(Hint),
    /// Tell the worker that renewed.
    Answer(Verdict),
    /// Read how that build was submitted and hand it back as [`Input::Before`].
    Retry(BuildId),
}

/// A server's decisions.
#[derive(Debug, Default)]
pub struct Scheduler {
    farm: Farm,
    pools: BTreeMap<u32, Pool>,
    gates: Gates,
    /// Builds that count at their project's gate.
    counted: BTreeSet<BuildId>,
    leases: Leases,
    /// When each waiting build is given up, by the steady clock: nobody's clock that is set shortens a wait.
    deadlines: BTreeSet<(u64, BuildId)>,
    /// The same by build.
    due: BTreeMap<BuildId, u64>,
    /// Builds that wait and get no other attempt: a worker gave the last one back.
    spent: BTreeSet<BuildId>,
    /// Builds about which something was appended that does not show yet, and when that was.
    asked: BTreeMap<BuildId, u64>,
    /// Automatic retries that have not been seen yet: the failed build before each, and when it was last asked for.
    retries: BTreeMap<BuildId, (BuildId, Option<u64>)>,
    /// The latest time in the ledger.
    told: Timestamp,
    is_caught_up: bool,
}

impl Scheduler {
    /// Decisions of a farm with that lease, of which nothing is folded yet.
    #[must_use]
    pub fn new(lease: Lease) -> Self {
        Self {
            leases: Leases::of(lease),
            ..Self::default()
        }
    }

    /// What is folded.
    #[must_use]
    pub const fn farm(&self) -> &Farm {
        &self.farm
    }

    /// How many builds wait in a pool's line, and how many workers have announced themselves there.
    #[must_use]
    pub fn pool(&self, name: &str) -> (usize, usize) {
        let mut pools = self.pools.iter();
        let found = pools.find(|(number, _)| self.farm.pool_name(**number) == name);
        found.map_or((0, 0), |(_, pool)| (pool.line.len(), pool.workers()))
    }

    /// The place of a build in its pool's line, from 1, by age. None when it does not stand there.
    #[must_use]
    pub fn position(&self, id: BuildId) -> Option<usize> {
        let build = self.farm.build(id)?;
        self.pools.get(&build.pool)?.line.position(build.submitted)
    }

    /// Every pool, by name: how many builds wait in its line, and how many hints are out.
    pub fn lines(&self) -> impl Iterator<Item = (&str, usize, usize)> {
        self.pools.iter().map(|(number, pool)| {
            let name = self.farm.pool_name(*number);
            (name, pool.line.len(), pool.out())
        })
    }

    /// Why a build waits; none for one that does not, or is not known.
    #[must_use]
    pub fn why(&self, id: BuildId) -> Option<Why> {
        let build = self.farm.build(id)?;
        if build.stage != Stage::Waiting {
            return None;
        }
        let pool = self.pools.get(&build.pool)?;
        let name = self.farm.pool_name(build.pool).to_string();
        let is_open = self.counted.contains(&id) || self.gates.is_open(build.project);
        Some(match (pool.workers(), pool.is_out(id)) {
            (0, _) => Why::NoWorker { pool: name },
            (workers, true) => Why::Offered {
                pool: name,
                workers,
                slots_free: pool.slots_free(),
            },
            (_, false) if !is_open => Why::Limit {
                project: self.farm.project_name(build.project).to_string(),
            },
            (workers, false) => Why::Line {
                pool: name,
                workers,
                slots_free: pool.slots_free(),
                waiting: pool.line.len(),
                older: pool
                    .line
                    .position(build.submitted)
                    .map_or(0, |place| place.saturating_sub(1)),
            },
        })
    }

    /// Decides.
    ///
    /// # Errors
    /// When an entry cannot be folded. A server must then stop acting: it does not know the truth.
    pub fn step(&mut self, input: Input<'_>, now: Now) -> Result<Vec<Action>, FoldError> {
        self.step_noting(input, now, &mut Vec::new())
    }

    /// The same; says beside it what has happened, for whoever counts.
    pub(crate) fn step_noting(
        &mut self,
        input: Input<'_>,
        now: Now,
        noted: &mut Vec<Noted>,
    ) -> Result<Vec<Action>, FoldError> {
        let mut actions = Vec::new();
        match input {
            Input::Entry(entry) => {
                let pool = self.fold(entry, now, noted)?;
                self.publish(pool, now, &mut actions);
            }
            Input::CaughtUp => {
                self.caught_up(now);
                self.publish_all(now, &mut actions);
            }
            Input::Connected => self.leases.connected(now.steady_ms),
            Input::Disconnected => self.leases.disconnected(),
            Input::Announced(announced) => {
                let pool = self.farm.pool_of(&announced.pool);
                let known = self.pools.entry(pool).or_default();
                known.announce(announced, now.steady_ms);
                self.publish(Some(pool), now, &mut actions);
            }
            Input::Renewed(renewed) => actions.extend(self.answer(renewed, now)),
            Input::Before(previous, before) => actions.extend(self.retry(previous, before)),
            Input::Tick => self.tick(now, &mut actions, noted),
        }
        Ok(actions)
    }

    /// From when on each build that waits has waited, as far as can be told: no longer than since the latest entry of the ledger, and no
    /// longer than by this server's clock. After a time in which nobody was there it is shorter than it was, and never longer.
    fn caught_up(&mut self, now: Now) {
        self.is_caught_up = true;
        self.leases.caught_up(now.steady_ms);
        let at = self.told.min(now.wall);
        let waiting = self
            .farm
            .unfinished()
            .filter(|(_, build)| build.stage == Stage::Waiting && build.attempts == 0);
        let left =
            waiting.map(|(id, build)| (id, build.deadline.millis_since(at.max(build.waits_since))));
        let left: Vec<(BuildId, u64)> = left.collect();
        for (id, left_ms) in left {
            self.wait_for(id, left_ms, now);
        }
    }

    fn wait_for(&mut self, id: BuildId, left_ms: u64, now: Now) {
        let due = now.steady_ms.saturating_add(left_ms);
        if let Some(before) = self.due.insert(id, due) {
            self.deadlines.remove(&(before, id));
        }
        self.deadlines.insert((due, id));
    }

    fn waits_no_more(&mut self, id: BuildId) {
        if let Some(due) = self.due.remove(&id) {
            self.deadlines.remove(&(due, id));
        }
    }

    /// Folds an entry and keeps account of it; the pool in which a hint may go out now.
    fn fold(
        &mut self,
        entry: &Entry,
        now: Now,
        noted: &mut Vec<Noted>,
    ) -> Result<Option<u32>, FoldError> {
        let change = self.farm.fold(entry)?;
        self.told = self.told.max(entry.at);
        if self.is_caught_up {
            noted.extend(self.noted(&change, entry.at, now));
        }
        match change {
            Change::Nothing | Change::Stopping => Ok(None),
            Change::Rules(project) => {
                let rules = self.farm.project(project).rules.as_ref();
                self.gates
                    .set(project, rules.and_then(|rules| rules.concurrency.as_ref()));
                let counted = self.counted.iter().filter_map(|id| self.farm.build(*id));
                self.gates.recount(counted.map(|build| build.project));
                // A group's limit is also that of its other projects.
                for pool in self.pools.values_mut() {
                    pool.line.release_all();
                }
                Ok(None)
            }
            Change::Waits(id) | Change::Lost(id, _) => Ok(self.waits(id, now)),
            Change::Claimed(id, worker) => Ok(self.claimed(id, &worker, now)),
            Change::Ended(id, build, status, _) => Ok(self.ended(id, &build, status)),
        }
    }

    fn waits(&mut self, id: BuildId, now: Now) -> Option<u32> {
        let build = *self.farm.build(id)?;
        self.asked.remove(&id);
        self.leases.forget(id);
        self.uncount(id, &build);
        self.retries.remove(&id);
        // One that was lost has waited already; its worker's death is not its fault.
        if build.attempts == 0 && self.is_caught_up {
            self.wait_for(id, build.deadline.millis_since(build.waits_since), now);
        }
        let pool = self.pools.entry(build.pool).or_default();
        pool.take_in(id);
        if build.is_spent() {
            // It is given up with the next tick, unless whoever lost it has done that already.
            self.spent.insert(id);
            return Some(build.pool);
        }
        pool.line.add(Waiting {
            build: id,
            submitted: build.submitted,
            project: build.project,
            priority: build.priority,
        });
        Some(build.pool)
    }

    fn claimed(&mut self, id: BuildId, worker: &str, now: Now) -> Option<u32> {
        let build = *self.farm.build(id)?;
        self.asked.remove(&id);
        self.spent.remove(&id);
        self.waits_no_more(id);
        self.leases.hear(id, now.steady_ms);
        let pool = self.pools.entry(build.pool).or_default();
        pool.take_in(id);
        pool.line.remove(build.submitted);
        pool.claimed(worker);
        if self.counted.insert(id) {
            self.gates.take(build.project);
        }
        Some(build.pool)
    }

    fn ended(&mut self, id: BuildId, build: &Unfinished, status: Status) -> Option<u32> {
        self.asked.remove(&id);
        self.spent.remove(&id);
        self.waits_no_more(id);
        self.leases.forget(id);
        self.uncount(id, build);
        if status == Status::Failed && build.retries_left > 0 {
            self.retries.insert(retry_id(id), (id, None));
        }
        let pool = self.pools.entry(build.pool).or_default();
        pool.take_in(id);
        pool.line.remove(build.submitted);
        Some(build.pool)
    }

    fn uncount(&mut self, id: BuildId, build: &Unfinished) {
        if !self.counted.remove(&id) {
            return;
        }
        for project in self.gates.give(build.project) {
            for pool in self.pools.values_mut() {
                pool.line.release(project);
            }
        }
    }

    fn publish_all(&mut self, now: Now, actions: &mut Vec<Action>) {
        let pools: Vec<u32> = self.pools.keys().copied().collect();
        for pool in pools {
            self.publish(Some(pool), now, actions);
        }
    }

    /// Hints for as many slots as are free.
    fn publish(&mut self, pool: Option<u32>, now: Now, actions: &mut Vec<Action>) {
        let Some(number) = pool.filter(|_| self.is_caught_up) else {
            return;
        };
        let (farm, gates) = (&self.farm, &mut self.gates);
        let Some(pool) = self.pools.get_mut(&number) else {
            return;
        };
        for _ in 0..pool.room() {
            let next = pool.line.take(
                |project| gates.is_open(project),
                |project| farm.weight(project),
            );
            let Some(next) = next else {
                return;
            };
            if self.counted.insert(next.build) {
                gates.take(next.project);
            }
            pool.put_out(next.build, now.steady_ms);
            actions.extend(hint(farm, next.build).map(Action::Publish));
        }
    }

    fn answer(&mut self, renewed: Renewed, now: Now) -> Option<Action> {
        if self.farm.has_ended(renewed.build) {
            return Some(Action::Answer(Verdict::Lost));
        }
        // Not folded yet, or over for long: another server may know.
        let build = self.farm.build(renewed.build)?;
        let verdict = match build.stage {
            Stage::Running { stopping } if build.attempts == renewed.attempt => {
                self.leases.hear(renewed.build, now.steady_ms);
                if stopping { Verdict::Stop } else { Verdict::Go }
            }
            // Claimed a moment ago.
            _ if renewed.attempt > build.attempts => Verdict::Go,
            Stage::Waiting | Stage::Running { .. } => Verdict::Lost,
        };
        Some(Action::Answer(verdict))
    }

    fn retry(&mut self, previous: BuildId, before: &Submitted) -> Option<Action> {
        let next = retry_id(previous);
        self.retries.get(&next)?;
        match again(&self.farm, previous, before) {
            Again::Now(intents) => Some(Action::Append(intents)),
            // It is asked for again.
            Again::Later => None,
            Again::Never => {
                self.retries.remove(&next);
                None
            }
        }
    }

    fn tick(&mut self, now: Now, actions: &mut Vec<Action>, noted: &mut Vec<Noted>) {
        if !self.is_caught_up {
            return;
        }
        self.farm.forget_tokens(now.wall);
        for pool in self.pools.values_mut() {
            pool.tick(now.steady_ms);
            let stale = pool.stale(now.steady_ms);
            noted.extend(stale.iter().map(|_| Noted::OfferedAgain));
            let hints = stale.into_iter().filter_map(|id| hint(&self.farm, id));
            actions.extend(hints.map(Action::Publish));
        }
        for (id, silent_ms) in self.leases.silent(now.steady_ms) {
            let reason = LossReason::Unheard { silent_ms };
            actions.extend(self.lose(id, reason, now));
        }
        self.give_up(now, actions);
        self.expire(now, actions);
        for (previous, asked) in self.retries.values_mut() {
            if asked.is_none_or(|asked| now.steady_ms.saturating_sub(asked) >= AGAIN_MS) {
                *asked = Some(now.steady_ms);
                actions.push(Action::Retry(*previous));
            }
        }
        self.publish_all(now, actions);
    }

    /// An attempt that is lost; the last of them ends its build, with the evidence.
    fn lose(&mut self, id: BuildId, reason: LossReason, now: Now) -> Option<Action> {
        let build = *self.farm.build(id)?;
        self.may_ask(id, now)?;
        let is_last = build.losses.and(&reason).is_last(build.attempts_max);
        let evidence = self.farm.evidence(id).and(build.attempts, &reason);
        let lost = BuildEvent::AttemptLost {
            attempt: build.attempts,
            reason,
        };
        let mut intents = vec![Intent::build(id, Expected::Last(build.last), lost)];
        let is_stopping = build.stage == (Stage::Running { stopping: true });
        let ending = if is_stopping {
            Some(Ending {
                status: Status::Stopped,
                by: SettledBy::Stop,
                message: "its worker was lost after somebody had asked it to stop".into(),
            })
        } else if is_last {
            Some(quarantined(&build, &evidence))
        } else {
            None
        };
        intents.extend(ending.map(|ending| {
            Intent::build(id, Expected::Previous, settled(&build, ending, now.wall))
        }));
        Some(Action::Append(intents))
    }

    /// Gives up what gets no other attempt.
    fn give_up(&mut self, now: Now, actions: &mut Vec<Action>) {
        for id in self.spent.clone() {
            let Some(build) = self.farm.build(id).copied() else {
                continue;
            };
            if self.may_ask(id, now).is_none() {
                continue;
            }
            let ending = quarantined(&build, &self.farm.evidence(id));
            let settled = settled(&build, ending, now.wall);
            let intent = Intent::build(id, Expected::Last(build.last), settled);
            actions.push(Action::Append(vec![intent]));
        }
    }

    /// Gives up what has waited too long.
    fn expire(&mut self, now: Now, actions: &mut Vec<Action>) {
        let late: Vec<BuildId> = self
            .deadlines
            .iter()
            .take_while(|(due, _)| *due <= now.steady_ms)
            .take(EXPIRED_MAX)
            .map(|(_, id)| *id)
            .collect();
        for id in late {
            let Some(build) = self.farm.build(id).copied() else {
                continue;
            };
            if self.may_ask(id, now).is_none() {
                continue;
            }
            let ending = Ending {
                status: Status::TimedOut,
                by: SettledBy::QueueTimeout,
                message: "it waited in the queue for longer than its queue timeout".into(),
            };
            let settled = settled(&build, ending, now.wall);
            let intent = Intent::build(id, Expected::Last(build.last), settled);
            actions.push(Action::Append(vec![intent]));
        }
    }

    /// None while the answer to an earlier append may still come.
    fn may_ask(&mut self, id: BuildId, now: Now) -> Option<()> {
        let asked = self.asked.get(&id);
        if asked.is_some_and(|asked| now.steady_ms.saturating_sub(*asked) < AGAIN_MS) {
            return None;
        }
        self.asked.insert(id, now.steady_ms);
        Some(())
    }
}

fn quarantined(build: &Unfinished, evidence: &Evidence) -> Ending {
    Ending {
        status: Status::Fault,
        by: SettledBy::Quarantine,
        message: evidence.message(build.attempts),
    }
}

fn hint(farm: &Farm, id: BuildId) -> Option<Hint> {
    let build = farm.build(id)?;
    let last: Seq = build.last;
    Some(Hint {
        pool: farm.pool_name(build.pool).to_string(),
        build: id,
        attempt: build.attempts + 1,
        last,
    })
}
