//! One history: processes that save, send, restore, collect and die over one store, in an order that its seed says; and what must
//! hold whatever the order was.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Scope};

use object_store::ObjectStore;
use object_store::memory::InMemory;

use super::steps::{Change, Stepper, Steps};
use super::{Chance, Contents, KEYED, MINUTE};
use crate::backend::Objects;
use crate::gc::Mode;
use crate::lock::Lock;
use crate::tests::transfer::LIMITS;
use crate::tests::{Site, Use, at};
use crate::{Adoption, Found, Policy, Repair, SaveOutcome, Selector, Store, simulated};

/// How far clocks are from the true time, either way.
const SKEW_MS: u64 = 10 * MINUTE;

/// A save that takes longer notices and gives up: see `Writing::check`, whose clock no simulation can turn.
const SAVE_MS_MAX: u64 = 110 * MINUTE;

/// Processes at once.
const CROWD_MAX: usize = 4;

#[derive(Clone, Debug)]
enum Deed {
    /// Contents by their number.
    Save(usize),
    Restore(usize),
    /// Contents by their number, from a store of their own.
    Send(usize),
    Collect(Policy),
}

/// What a save came to.
#[derive(Clone, Copy, Debug)]
struct SaveEnd {
    process: usize,
    is_saved: bool,
}

struct Process {
    started_ms: u64,
    is_save: bool,
    /// How often it gets a turn, compared to others.
    weight: u64,
    /// It gets none before this turn, unless nobody else is there.
    stalled_until: u64,
}

/// All that happens in one history.
struct World<'a> {
    inner: Arc<InMemory>,
    steps: Arc<Steps>,
    /// Signs for every process.
    store: Store,
    contents: &'a Contents,
    ends: Mutex<Vec<SaveEnd>>,
    faults: Mutex<Vec<String>>,
}

/// Runs the history of a seed; what did not hold, and the story of it.
pub(super) fn run(seed: u64, contents: &Contents) -> Result<(), (Vec<String>, Vec<String>)> {
    let inner = Arc::new(InMemory::new());
    let store = Store::new(Arc::clone(&inner) as Arc<dyn ObjectStore>, u64::MAX).unwrap();
    let world = World {
        inner,
        steps: Arc::default(),
        store,
        contents,
        ends: Mutex::default(),
        faults: Mutex::default(),
    };
    simulated::begin(seed);
    thread::scope(|scope| world.schedule(scope, &mut Chance::new(seed)));
    world.judge();
    simulated::end();
    let faults = std::mem::take(&mut *world.faults());
    if faults.is_empty() {
        return Ok(());
    }
    Err((faults, std::mem::take(&mut world.steps.state().story)))
}

impl World<'_> {
    fn faults(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, words: String) {
        self.steps.tell(format!("FAULT {words}"));
        self.faults().push(words);
    }

    fn schedule<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, chance: &mut Chance) {
        let mut processes: Vec<Process> = Vec::new();
        let mut left = 10 + chance.below(10);
        let mut clock_ms = 1_800_000_000_000;
        for turn in 0_u64.. {
            let waiting = self.steps.settle();
            let is_room = left > 0 && waiting.len() < CROWD_MAX;
            if is_room && (waiting.is_empty() || chance.one_in(12)) {
                left -= 1;
                processes.push(self.start(scope, chance, clock_ms));
                continue;
            }
            let Some(next) = pick(&waiting, &processes, turn, chance) else {
                return;
            };
            let is_late =
                processes[next].is_save && clock_ms - processes[next].started_ms > SAVE_MS_MAX;
            if is_late || chance.one_in(250) {
                self.steps.kill(next);
            } else {
                self.steps.give_turn(next);
            }
            clock_ms += self.pass(chance);
            if chance.one_in(15) {
                processes[next].stalled_until = turn + 20 + chance.below(150);
            }
        }
    }

    /// Time that passes between two operations: mostly little, now and then more than any grace.
    fn pass(&self, chance: &mut Chance) -> u64 {
        let minutes = match chance.below(2_000) {
            0..20 => 5,
            20..40 => 21,
            40..75 => 41,
            75 => 180,
            _ => return chance.below(3_000),
        };
        self.steps.tell(format!("{minutes} minutes pass"));
        minutes * MINUTE
    }

    fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        chance: &mut Chance,
        clock_ms: u64,
    ) -> Process {
        let deed = deed(chance, self.contents.count());
        let process = self.steps.enter();
        let now_ms = clock_ms - SKEW_MS + chance.below(2 * SKEW_MS);
        self.steps
            .tell(format!("process {process} starts: {deed:?} at {now_ms}"));
        let is_save = matches!(deed, Deed::Save(_) | Deed::Send(_));
        let seed = chance.next();
        scope.spawn(move || {
            simulated::begin(seed);
            let acted = catch_unwind(AssertUnwindSafe(|| self.act(process, &deed, now_ms)));
            if acted.is_err() {
                self.fault(format!("process {process} panicked"));
            }
            simulated::end();
            self.steps.end(process);
        });
        Process {
            started_ms: clock_ms,
            is_save,
            weight: weight(chance),
            stalled_until: 0,
        }
    }

    fn store_of(&self, process: usize) -> Store {
        let mut store = self.store.clone();
        store.objects = Objects::new(Arc::new(Stepper {
            inner: Arc::clone(&self.inner),
            steps: Arc::clone(&self.steps),
            process,
        }));
        store.lock = Lock::in_memory();
        store
    }

    fn act(&self, process: usize, deed: &Deed, now_ms: u64) {
        let store = self.store_of(process);
        let failed = match deed {
            Deed::Save(number) => {
                let saved = using(*number)
                    .at(now_ms)
                    .save(&store, self.contents.site(*number));
                let is_saved = saved
                    .as_ref()
                    .is_ok_and(|saved| saved.outcome == SaveOutcome::Saved);
                self.end(SaveEnd { process, is_saved });
                saved.err()
            }
            Deed::Send(number) => {
                let sent = self.send(&store, *number, now_ms);
                let is_saved = *sent.as_ref().unwrap_or(&false);
                self.end(SaveEnd { process, is_saved });
                sent.err()
            }
            Deed::Restore(number) => self.restore(&store, *number, now_ms, "a restore"),
            Deed::Collect(policy) => store.collect(policy, Mode::Act, at(now_ms)).err(),
        };
        match failed {
            None => {}
            Some(_) if self.steps.is_dead(process) => {}
            // Objects may go under anybody's hands; that must show as what it is.
            Some(error) if error.is_damage() => self.steps.tell(format!("{process}: {error}")),
            Some(error) => self.fault(format!("process {process}: {error}")),
        }
    }

    fn end(&self, end: SaveEnd) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.push(end);
    }

    /// As a client does whose server says again and again what is missing; whether it came to an end.
    fn send(&self, store: &Store, number: usize, now_ms: u64) -> Result<bool, crate::Error> {
        let (from, offer) = (&self.contents.source, &self.contents.offers[number]);
        for _ in 0..3 {
            let wanted = store.wanting(&offer.ids())?;
            for batch in from.export(offer, &wanted)? {
                store.receive(&mut &batch?[..], &LIMITS, &|| at(now_ms))?;
            }
            match store.adopt(offer, at(now_ms))? {
                Adoption::Visible { tree, .. } => {
                    // What a person removed meanwhile cannot be held.
                    let held = store.hold_tree(&tree.id, at(now_ms + 60 * MINUTE), at(now_ms));
                    return match held {
                        Err(error) if !error.is_damage() => Err(error),
                        _ => Ok(true),
                    };
                }
                Adoption::Missing(missing) => {
                    self.steps
                        .tell(format!("{} chunks are missing", missing.len()));
                }
            }
        }
        Ok(false)
    }

    fn restore(
        &self,
        store: &Store,
        number: usize,
        now_ms: u64,
        whose: &str,
    ) -> Option<crate::Error> {
        let to = Site::new();
        match using(number).at(now_ms).restore(store, &to) {
            Err(error) => {
                if to.has("target") {
                    self.fault(format!("{whose} failed and left something behind"));
                }
                Some(error)
            }
            Ok(restored) => {
                if restored.found == Found::Exact && !self.contents.may_be(number, &to) {
                    self.fault(format!("{whose} of {number} gave something else"));
                }
                None
            }
        }
    }

    /// What must hold now that everybody is gone.
    fn judge(&self) {
        let now_ms = 1_900_000_000_000;
        let verified = self.store.verify(Repair::No, at(now_ms)).unwrap();
        for damage in verified.damaged {
            self.fault(format!("damaged: {} {}", damage.object, damage.reason));
        }
        let changes = std::mem::take(&mut self.steps.state().changes);
        let ends = std::mem::take(&mut *self.ends.lock().unwrap_or_else(PoisonError::into_inner));
        for end in ends.iter().filter(|end| end.is_saved) {
            self.judge_save(end.process, &changes);
        }
        for number in 0..self.contents.count() {
            if let Some(error) = self.restore(&self.store, number, now_ms, "the last restore") {
                self.fault(format!("the last restore of {number}: {error}"));
            }
        }
    }

    /// A save that reported success is there, unless it was removed since.
    fn judge_save(&self, process: usize, changes: &[Change]) {
        let put = changes
            .iter()
            .rev()
            .find(|change| change.process == process && change.is_put);
        let Some(put) = put else {
            self.fault(format!("process {process} saved without writing a record"));
            return;
        };
        let is_removed = changes
            .iter()
            .any(|change| !change.is_put && change.record == put.record && change.step > put.step);
        let found = self.store.objects.size_bytes(&put.record).unwrap();
        if found.is_none() && !is_removed {
            self.fault(format!("what process {process} saved is gone"));
        }
    }
}

fn pick(waiting: &[usize], processes: &[Process], turn: u64, chance: &mut Chance) -> Option<usize> {
    let awake = |nth: &&usize| processes[**nth].stalled_until <= turn;
    let is_one_awake = waiting.iter().any(|nth| awake(&nth));
    let weight_of = |nth: &usize| match is_one_awake && !awake(&nth) {
        true => 0,
        false => processes[*nth].weight,
    };
    let total: u64 = waiting.iter().map(weight_of).sum();
    let mut drawn = chance.below(total.max(1));
    waiting.iter().copied().find(|nth| {
        let weight = weight_of(nth);
        let is_it = drawn < weight;
        drawn = drawn.wrapping_sub(weight);
        is_it
    })
}

/// Some are quick and some hardly move, so that deep overtaking happens.
fn weight(chance: &mut Chance) -> u64 {
    [1, 1, 5, 30, 30][usize::try_from(chance.below(5)).unwrap()]
}

fn deed(chance: &mut Chance, contents: usize) -> Deed {
    let number = usize::try_from(chance.below(contents as u64)).unwrap();
    match chance.below(10) {
        0..3 => Deed::Save(number),
        3 => Deed::Send(number),
        4 => Deed::Restore(number),
        _ => Deed::Collect(policy(chance, number)),
    }
}

fn policy(chance: &mut Chance, number: usize) -> Policy {
    let mut policy = Policy::default();
    match chance.below(10) {
        0 => policy.bytes_max = Some(3_000 + chance.below(12_000)),
        1 => policy.entries_max = Some(usize::try_from(1 + chance.below(3)).unwrap()),
        2 => policy.idle_ms_max = Some(20 * MINUTE),
        3..6 => policy.asked = Some(Selector::All),
        6 => {
            policy.asked = Some(Selector::Entry {
                project: "project".into(),
                key: using(number).key.map(str::to_string),
            });
        }
        _ => {}
    }
    policy
}

/// The entry of contents: some have a key each, the others replace each other.
fn using(number: usize) -> Use {
    Use::new(KEYED.get(number).copied())
}
