//! **Shape of a world.** One ledger that never lies; servers that fold it, die, and lose their broker; workers that die, freeze
//! past their leases and wake; hints and renewals that are lost, late or there twice; wall clocks that jump. A seed gives the
//! same story each time. `CROFT_SEEDS=20000 cargo nextest run -p croft-scheduler simulation` tries more of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use croft_ledger::{Append, Clock, Entry, Expected, Ledger, Memory, Seq};
use croft_proto::farm::{
    BuildEvent, BuildId, GivenBackFor, LEAVING_MAX, LossReason, Losses, SettledBy, Submitted,
};
use croft_proto::{Status, Timestamp};
use futures_util::FutureExt as _;

use super::steps::{applied, asked, rules, settled, started};
use crate::*;

const STEP_MS: u64 = 500;
const START_MS: u64 = 1_800_000_000_000;
const FAULTS_MS: u64 = 5 * 60_000;
const CALM_MS: u64 = 10 * 60_000;
/// Few, so that stories come to the end of them.
const ATTEMPTS_MAX: u32 = 4;
const WORKER_KILLS_ITSELF_MS: u64 = 14_000;

/// splitmix64 (Steele, Lea, Flood 2014).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn index(&mut self, length: u64) -> usize {
        usize::try_from(self.below(length)).unwrap()
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

struct Server {
    scheduler: Scheduler,
    folded: Seq,
    is_caught_up: bool,
    away_until_ms: u64,
    is_connected: bool,
    /// Its own steady clock began then; no two agree.
    born_ms: u64,
}

impl Server {
    fn new(now_ms: u64) -> Self {
        Self {
            scheduler: Scheduler::default(),
            folded: Seq::ZERO,
            is_caught_up: false,
            away_until_ms: 0,
            is_connected: false,
            born_ms: now_ms,
        }
    }
}

struct Running {
    attempt: u32,
    ends_ms: u64,
    heard_ms: u64,
}

struct Worker {
    name: String,
    slots: usize,
    frozen_until_ms: u64,
    running: BTreeMap<BuildId, Running>,
}

struct World {
    chance: Chance,
    now_ms: u64,
    wall: Arc<AtomicU64>,
    ledger: Memory,
    servers: Vec<Server>,
    workers: Vec<Worker>,
    hints: Vec<(u64, Hint)>,
    accepted: BTreeSet<BuildId>,
    faults: bool,
    born: u64,
}

fn entries(ledger: &Memory, after: Seq) -> Vec<Entry> {
    ledger.read(after, 1_000).now_or_never().unwrap().unwrap()
}

/// What a worker makes of a build's own subject: the last entry, the current attempt if it runs, and whether it is over.
fn current(ledger: &Memory, build: BuildId) -> (Seq, Option<u32>, bool) {
    let subject = build_subject(build);
    let read = ledger.read_subject(&subject, Seq::ZERO, 1_000);
    let (mut last, mut attempt, mut over) = (Seq::ZERO, None, false);
    for entry in read.now_or_never().unwrap().unwrap() {
        last = entry.seq;
        match serde_json::from_slice(entry.event().unwrap()).unwrap() {
            BuildEvent::AttemptStarted {
                attempt: started, ..
            } => attempt = Some(started),
            BuildEvent::AttemptLost { .. } => attempt = None,
            BuildEvent::Settled { .. } => over = true,
            BuildEvent::Submitted(_) | BuildEvent::StopRequested { .. } => {}
        }
    }
    (last, attempt, over)
}

fn submitted(ledger: &Memory, build: BuildId) -> Option<Submitted> {
    let subject = build_subject(build);
    let read = ledger.read_subject(&subject, Seq::ZERO, 1);
    let first = read.now_or_never().unwrap().unwrap().into_iter().next()?;
    match serde_json::from_slice(first.event().unwrap()).unwrap() {
        BuildEvent::Submitted(submitted) => Some(*submitted),
        BuildEvent::AttemptStarted { .. }
        | BuildEvent::AttemptLost { .. }
        | BuildEvent::StopRequested { .. }
        | BuildEvent::Settled { .. } => None,
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let wall = Arc::new(AtomicU64::new(START_MS));
        let clock = Arc::clone(&wall);
        let ledger = Memory::new(Clock::from_fn(move || {
            Timestamp::from_millis(clock.load(Ordering::Relaxed))
        }));
        let mut world = Self {
            chance: Chance(seed),
            now_ms: 0,
            wall,
            ledger,
            servers: (0..2).map(|_| Server::new(0)).collect(),
            workers: Vec::new(),
            hints: Vec::new(),
            accepted: BTreeSet::new(),
            faults: true,
            born: 0,
        };
        for _ in 0..3 {
            let worker = world.worker();
            world.workers.push(worker);
        }
        let event = applied(croft_proto::farm::ProjectRules {
            attempts_max: ATTEMPTS_MAX,
            auto_retry_limit: 1,
            ..rules()
        });
        world.append(vec![Append {
            subject: project_subject("app").unwrap(),
            expected: Expected::NEW,
            event: serde_json::to_vec(&event).unwrap().into(),
        }]);
        world
    }

    fn worker(&mut self) -> Worker {
        self.born += 1;
        Worker {
            name: format!("w{}", self.born),
            slots: 2,
            frozen_until_ms: 0,
            running: BTreeMap::new(),
        }
    }

    fn append(&self, batch: Vec<Append>) -> bool {
        let appended = self.ledger.append(batch).now_or_never().unwrap();
        appended.is_ok()
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(self.wall.load(Ordering::Relaxed))
    }

    fn step(&mut self) {
        self.now_ms += STEP_MS;
        self.wall.fetch_add(STEP_MS, Ordering::Relaxed);
        if self.faults {
            self.hurt();
            if self.chance.one_in(3) {
                self.submit();
            }
            if self.chance.one_in(60) {
                self.stop_one();
            }
        }
        for at in 0..self.servers.len() {
            self.serve(at);
        }
        for at in 0..self.workers.len() {
            self.work(at);
        }
    }

    fn hurt(&mut self) {
        if self.chance.one_in(120) {
            let at = self.chance.index(2);
            self.servers[at] = Server::new(self.now_ms);
        }
        if self.chance.one_in(80) {
            let at = self.chance.index(2);
            self.servers[at].away_until_ms = self.now_ms + self.chance.below(40_000);
        }
        if self.chance.one_in(80) {
            let at = self.chance.index(3);
            self.workers[at] = self.worker();
        }
        if self.chance.one_in(80) {
            let at = self.chance.index(3);
            self.workers[at].frozen_until_ms = self.now_ms + self.chance.below(60_000);
        }
        if self.chance.one_in(40) {
            let at = self.chance.index(3);
            self.give_back(at, GivenBackFor::Leaving);
            self.workers[at] = self.worker();
        }
        if self.chance.one_in(40) {
            let at = self.chance.index(3);
            self.give_back(at, GivenBackFor::Machine);
        }
        if self.chance.one_in(200) {
            // Forwards only: a ledger's own times never go back.
            self.wall
                .fetch_add(self.chance.below(60_000), Ordering::Relaxed);
        }
    }

    /// All that a worker runs, as far as it still is that worker's.
    fn give_back(&mut self, at: usize, cause: GivenBackFor) {
        for (build, run) in std::mem::take(&mut self.workers[at].running) {
            let (last, current, is_over) = current(&self.ledger, build);
            if is_over || current != Some(run.attempt) {
                continue;
            }
            let message = "so that others have it".to_string();
            let event = BuildEvent::AttemptLost {
                attempt: run.attempt,
                reason: LossReason::GivenBack { message, cause },
            };
            self.append(vec![append(build, last, &event)]);
        }
    }

    fn submit(&mut self) {
        let at = self.chance.index(2);
        let mut asked = asked(0);
        asked.build = BuildId::derived(u128::from(self.chance.next()).to_le_bytes());
        let build = asked.build;
        let admitted = admit(self.servers[at].scheduler.farm(), asked, self.wall());
        // A server that has not folded the project refuses, one that is behind conflicts: the caller asks again.
        if let Ok(Admission::New { intents, .. }) = admitted
            && self.append(appends(&intents))
        {
            self.accepted.insert(build);
        }
    }

    fn stop_one(&mut self) {
        let at = self.chance.index(2);
        let farm = self.servers[at].scheduler.farm();
        let Some(build) = farm.unfinished().map(|(id, _)| id).min() else {
            return;
        };
        match stop(farm, build, "somebody", self.wall()) {
            Stopping::Over(intents) | Stopping::Told(intents) => {
                self.append(appends(&intents));
            }
            Stopping::TwiceTold | Stopping::NotRunning => {}
        }
    }

    fn serve(&mut self, at: usize) {
        if self.servers[at].away_until_ms > self.now_ms {
            if self.servers[at].is_connected {
                self.servers[at].is_connected = false;
                self.input(at, Input::Disconnected);
            }
            return;
        }
        if !self.servers[at].is_connected {
            self.servers[at].is_connected = true;
            self.input(at, Input::Connected);
        }
        for entry in entries(&self.ledger, self.servers[at].folded) {
            self.servers[at].folded = entry.seq;
            self.input(at, Input::Entry(&entry));
        }
        if !self.servers[at].is_caught_up {
            self.servers[at].is_caught_up = true;
            self.input(at, Input::CaughtUp);
        }
        self.input(at, Input::Tick);
    }

    /// The answer, when there is one; everything else is done.
    fn input(&mut self, at: usize, input: Input<'_>) -> Option<Verdict> {
        let now = Now {
            steady_ms: self.now_ms - self.servers[at].born_ms,
            wall: self.wall(),
        };
        let actions = self.servers[at].scheduler.step(input, now).unwrap();
        let mut verdict = None;
        for action in actions {
            match action {
                Action::Append(intents) => {
                    if !(self.faults && self.chance.one_in(10)) {
                        self.append(appends(&intents));
                    }
                }
                Action::Publish(hint) => self.publish(hint),
                Action::Answer(answer) => verdict = Some(answer),
                Action::Retry(previous) => {
                    if let Some(before) = submitted(&self.ledger, previous) {
                        self.input(at, Input::Before(previous, &before));
                    }
                }
            }
        }
        verdict
    }

    fn publish(&mut self, hint: Hint) {
        let copies = if self.faults { self.chance.below(3) } else { 1 };
        for _ in 0..copies {
            let late = if self.faults {
                self.chance.below(4_000)
            } else {
                0
            };
            self.hints.push((self.now_ms + late, hint.clone()));
        }
    }

    fn work(&mut self, at: usize) {
        if self.workers[at].frozen_until_ms > self.now_ms {
            return;
        }
        if self.now_ms.is_multiple_of(3_000) {
            self.announce(at);
            self.renew(at);
        }
        let now_ms = self.now_ms;
        // A worker that is not heard kills its builds before others start them.
        self.workers[at]
            .running
            .retain(|_, run| now_ms - run.heard_ms < WORKER_KILLS_ITSELF_MS);
        self.finish(at);
        self.claim(at);
    }

    fn announce(&mut self, at: usize) {
        let worker = &self.workers[at];
        let announced = Announced {
            worker: worker.name.clone(),
            pool: "default".into(),
            slots_free: u32::try_from(worker.slots - worker.running.len()).unwrap(),
        };
        for server in 0..self.servers.len() {
            if self.is_heard_by(server) {
                self.input(server, Input::Announced(announced.clone()));
            }
        }
    }

    fn is_heard_by(&mut self, server: usize) -> bool {
        self.servers[server].is_connected && !(self.faults && self.chance.one_in(8))
    }

    fn renew(&mut self, at: usize) {
        let running: Vec<_> = self.workers[at]
            .running
            .iter()
            .map(|(build, run)| Renewed {
                build: *build,
                attempt: run.attempt,
            })
            .collect();
        for renewed in running {
            let mut first = None;
            for server in 0..self.servers.len() {
                if self.is_heard_by(server) {
                    let answer = self.input(server, Input::Renewed(renewed));
                    first = first.or(answer);
                }
            }
            let now_ms = self.now_ms;
            let running = &mut self.workers[at].running;
            match first {
                None => {}
                Some(Verdict::Lost) => {
                    running.remove(&renewed.build);
                }
                Some(verdict) => {
                    let run = running.get_mut(&renewed.build).unwrap();
                    run.heard_ms = now_ms;
                    if verdict == Verdict::Stop {
                        run.ends_ms = now_ms;
                    }
                }
            }
        }
    }

    fn finish(&mut self, at: usize) {
        let over: Vec<(BuildId, u32)> = self.workers[at]
            .running
            .iter()
            .filter(|(_, run)| run.ends_ms <= self.now_ms)
            .map(|(build, run)| (*build, run.attempt))
            .collect();
        for (build, attempt) in over {
            let (last, current, is_over) = current(&self.ledger, build);
            if is_over || current != Some(attempt) {
                self.workers[at].running.remove(&build);
                continue;
            }
            // Between the look and the append another one may come: then it is looked at again.
            if self.faults && self.chance.one_in(10) {
                continue;
            }
            let status = if self.chance.one_in(4) {
                Status::Failed
            } else {
                Status::Succeeded
            };
            let event = settled(attempt, status, self.wall());
            if self.append(vec![append(build, last, &event)]) {
                self.workers[at].running.remove(&build);
            }
        }
    }

    fn claim(&mut self, at: usize) {
        while self.workers[at].running.len() < self.workers[at].slots {
            let now_ms = self.now_ms;
            let Some(next) = self.hints.iter().position(|(due, _)| *due <= now_ms) else {
                return;
            };
            let (_, hint) = self.hints.remove(next);
            let event = started(hint.attempt, &self.workers[at].name);
            if !self.append(vec![append(hint.build, hint.last, &event)]) {
                continue;
            }
            let run = Running {
                attempt: hint.attempt,
                ends_ms: now_ms + self.chance.below(30_000),
                heard_ms: now_ms,
            };
            self.workers[at].running.insert(hint.build, run);
        }
    }

    /// Every build of the ledger, with its events.
    fn story(&self) -> BTreeMap<BuildId, Vec<BuildEvent>> {
        let mut builds: BTreeMap<BuildId, Vec<BuildEvent>> = BTreeMap::new();
        let mut after = Seq::ZERO;
        loop {
            let read = entries(&self.ledger, after);
            let Some(last) = read.last() else {
                return builds;
            };
            after = last.seq;
            for entry in read.iter().filter(|entry| entry.subject.kind() == "build") {
                let id = entry.subject.parts().nth(1).unwrap().parse().unwrap();
                let event = serde_json::from_slice(entry.event().unwrap()).unwrap();
                builds.entry(id).or_default().push(event);
            }
        }
    }
}

fn append(build: BuildId, last: Seq, event: &BuildEvent) -> Append {
    Append {
        subject: build_subject(build),
        expected: Expected::Last(last),
        event: serde_json::to_vec(event).unwrap().into(),
    }
}

fn appends(intents: &[Intent]) -> Vec<Append> {
    intents
        .iter()
        .map(|intent| intent.append().unwrap())
        .collect()
}

/// One outcome, the last event, of the attempt that was current then.
fn check(seed: u64, build: BuildId, events: &[BuildEvent]) {
    let tell = |what: &str| format!("seed {seed}, build {build}: {what}: {events:#?}");
    let outcomes = events
        .iter()
        .filter(|event| matches!(event, BuildEvent::Settled { .. }));
    assert_eq!(outcomes.count(), 1, "{}", tell("one outcome"));
    let Some(BuildEvent::Settled { attempt, by, .. }) = events.last() else {
        panic!("{}", tell("the outcome is last"));
    };
    let mut current = None;
    let mut started = 0;
    let mut losses = Losses::default();
    for event in events {
        match event {
            BuildEvent::AttemptStarted { attempt, .. } => {
                started += 1;
                assert!(!losses.is_last(ATTEMPTS_MAX), "{}", tell("one too many"));
                assert!(current.is_none(), "{}", tell("two attempts at once"));
                assert_eq!(*attempt, started, "{}", tell("attempts are counted"));
                current = Some(*attempt);
            }
            BuildEvent::AttemptLost { attempt, reason } => {
                losses.add(reason);
                assert_eq!(current, Some(*attempt), "{}", tell("what ran was lost"));
                current = None;
            }
            BuildEvent::Submitted(_)
            | BuildEvent::StopRequested { .. }
            | BuildEvent::Settled { .. } => {}
        }
    }
    assert!(started <= ATTEMPTS_MAX + LEAVING_MAX, "{}", tell("a bound"));
    if *by == SettledBy::Quarantine {
        assert!(losses.is_last(ATTEMPTS_MAX), "{}", tell("given up early"));
    }
    if *by == SettledBy::Worker {
        assert_eq!(
            current,
            Some(*attempt),
            "{}",
            tell("a stale attempt settled")
        );
    }
}

fn live(seed: u64) -> usize {
    let mut world = World::new(seed);
    while world.now_ms < FAULTS_MS {
        world.step();
    }
    world.faults = false;
    while world.now_ms < FAULTS_MS + CALM_MS {
        world.step();
    }
    let story = world.story();
    for build in &world.accepted {
        assert!(story.contains_key(build), "seed {seed}: {build} was lost");
    }
    for (build, events) in &story {
        check(seed, *build, events);
    }
    let numbers: Vec<u64> = story
        .values()
        .map(|events| {
            let BuildEvent::Submitted(submitted) = &events[0] else {
                panic!("seed {seed}: a build does not begin with its submission");
            };
            submitted.number
        })
        .collect();
    let distinct: BTreeSet<u64> = numbers.iter().copied().collect();
    assert_eq!(
        distinct.len(),
        numbers.len(),
        "seed {seed}: a number was given twice"
    );
    let retried = story.values().filter(|events| {
        let failed = matches!(
            events.last(),
            Some(BuildEvent::Settled {
                status: Status::Failed,
                ..
            })
        );
        let BuildEvent::Submitted(submitted) = &events[0] else {
            panic!("seed {seed}: a build does not begin with its submission");
        };
        failed && submitted.auto_retry.auto_retry_number == 0
    });
    let retries = story.values().filter(|events| {
        matches!(&events[0], BuildEvent::Submitted(submitted) if submitted.auto_retry.auto_retry_number == 1)
    });
    assert_eq!(
        retried.count(),
        retries.count(),
        "seed {seed}: one retry for each failure"
    );
    story.len()
}

#[test]
fn whatever_dies_no_accepted_build_is_lost_and_each_has_one_outcome() {
    let seeds = std::env::var("CROFT_SEEDS").map_or(1_000, |text| text.parse().unwrap());
    let builds: usize = (0..seeds).map(live).sum();
    assert!(
        builds as u64 > seeds * 50,
        "{builds} builds are too few to prove anything"
    );
}

#[test]
fn a_lost_workers_build_is_noticed_and_starts_elsewhere_within_twenty_seconds() {
    for seed in 0..50 {
        let mut world = World::new(seed);
        world.faults = false;
        while world.accepted.is_empty() {
            world.step();
            world.submit();
        }
        let build = *world.accepted.first().unwrap();
        while !world
            .workers
            .iter()
            .any(|worker| worker.running.contains_key(&build))
        {
            world.step();
        }
        let at = world
            .workers
            .iter()
            .position(|worker| worker.running.contains_key(&build))
            .unwrap();
        let died_ms = world.now_ms;
        world.workers[at] = world.worker();
        while current(&world.ledger, build).1 != Some(2) {
            world.step();
            let took_ms = world.now_ms - died_ms;
            assert!(took_ms <= 20_000, "seed {seed}: {took_ms} ms");
        }
    }
}
