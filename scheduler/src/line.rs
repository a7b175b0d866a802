//! Who waits for a pool, and who is next. Received from the fold; asked whenever a hint may go out.
//!
//! Higher priorities go first. Within one, projects take turns by weight: start-time fair queueing over numbers of builds, so
//! that a project of twice the weight gets twice the turns while both wait, and one that comes late starts where the others
//! are (Goyal, Vin, Cheng: Start-time Fair Queueing, 1996). Within a project, the first submitted goes first.
//!
//! **Starvation bound.** Each eighth turn belongs to the build that has waited longest, whatever its priority and project. So a
//! build before which `n` others were submitted waits for at most `8 (n + 1)` turns of its pool, those not counted that a limit
//! of its own project held up.
//!
//! A turn costs logarithmic time. What leaves the line from its middle is only forgotten, and skipped when its turn comes.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use croft_ledger::Seq;
use croft_proto::farm::{BuildId, PRIORITIES, Priority, Weight};

/// Each so manieth turn belongs to who has waited longest.
pub const AGE_EVERY: u64 = 8;

/// What a turn costs a project of weight 1. Divisible by every weight up to ten, and finely enough by the others.
const TURN: u64 = 2_520_000;

/// Who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) build: BuildId,
    /// When it was submitted, in the order of the ledger.
    pub(crate) submitted: Seq,
    pub(crate) project: u32,
    pub(crate) priority: Priority,
}

/// Those who wait for one pool.
#[derive(Debug, Default)]
pub(crate) struct Line {
    levels: [Level; PRIORITIES],
    /// Everybody who really waits.
    waiting: BTreeMap<Seq, Waiting>,
    /// Who has waited longest of each project that is not known to be held up, by age.
    eldest: BTreeSet<(Seq, u32)>,
    /// The same by project.
    eldest_of: HashMap<u32, Seq>,
    turns: u64,
}

/// One priority.
#[derive(Debug, Default)]
struct Level {
    flows: HashMap<u32, Flow>,
    /// Projects that have somebody here and are not held up, by their start times.
    ready: BTreeSet<(u64, u32)>,
    /// The start time of the last turn.
    now: u64,
}

/// One project's builds of a priority.
#[derive(Debug, Default)]
struct Flow {
    builds: VecDeque<Seq>,
    start: u64,
    is_ready: bool,
}

impl Line {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The place of that one among all who wait, from 1, by age: fairness and limits may serve it earlier or later.
    pub(crate) fn position(&self, submitted: Seq) -> Option<usize> {
        self.waiting.contains_key(&submitted).then_some(())?;
        Some(self.waiting.range(..=submitted).count())
    }

    /// One that comes back goes before those that were submitted after it.
    pub(crate) fn add(&mut self, waiting: Waiting) {
        let level = &mut self.levels[usize::from(waiting.priority.number())];
        let flow = level.flows.entry(waiting.project).or_default();
        let at = flow
            .builds
            .partition_point(|other| *other < waiting.submitted);
        if flow.builds.get(at) != Some(&waiting.submitted) {
            flow.builds.insert(at, waiting.submitted);
        }
        if !flow.is_ready {
            flow.is_ready = true;
            flow.start = flow.start.max(level.now);
            level.ready.insert((flow.start, waiting.project));
        }
        self.waiting.insert(waiting.submitted, waiting);
        match self.eldest_of.get(&waiting.project) {
            Some(known) if *known <= waiting.submitted => {}
            Some(_) | None => self.look_for_eldest(waiting.project),
        }
    }

    /// Finds who has waited longest of a project.
    fn look_for_eldest(&mut self, project: u32) {
        if let Some(known) = self.eldest_of.remove(&project) {
            self.eldest.remove(&(known, project));
        }
        let waiting = &self.waiting;
        let flows = self.levels.iter_mut();
        let flows = flows.filter_map(|level| level.flows.get_mut(&project));
        if let Some(eldest) = flows.filter_map(|flow| flow.front(waiting)).min() {
            self.eldest.insert((eldest, project));
            self.eldest_of.insert(project, eldest);
        }
    }

    /// It does not wait any more.
    pub(crate) fn remove(&mut self, submitted: Seq) {
        self.waiting.remove(&submitted);
    }

    /// A limit that may have held up the project has room again.
    pub(crate) fn release(&mut self, project: u32) {
        for level in &mut self.levels {
            if let Some(flow) = level.flows.get_mut(&project)
                && !flow.is_ready
            {
                flow.is_ready = true;
                flow.start = flow.start.max(level.now);
                level.ready.insert((flow.start, project));
            }
        }
        self.look_for_eldest(project);
    }

    /// The same of every project: limits are others.
    pub(crate) fn release_all(&mut self) {
        let flows = self.levels.iter().flat_map(|level| level.flows.keys());
        let projects: BTreeSet<u32> = flows.copied().collect();
        for project in projects {
            self.release(project);
        }
    }

    /// Who is next, and waits no more.
    pub(crate) fn take(
        &mut self,
        is_open: impl Fn(u32) -> bool,
        weight: impl Fn(u32) -> Weight,
    ) -> Option<Waiting> {
        let turn = self.turns + 1;
        let aged = turn
            .is_multiple_of(AGE_EVERY)
            .then(|| self.oldest(&is_open));
        let next = match aged.flatten() {
            Some(oldest) => Some(oldest),
            None => self.fair(&is_open, &weight),
        };
        if let Some(next) = next {
            self.turns = turn;
            self.waiting.remove(&next.submitted);
        }
        next
    }

    /// Who has waited longest of those whom no limit holds up. A project that one does is looked at again when it is released.
    fn oldest(&mut self, is_open: &impl Fn(u32) -> bool) -> Option<Waiting> {
        loop {
            let (eldest, project) = *self.eldest.first()?;
            if !is_open(project) {
                self.eldest.pop_first();
                self.eldest_of.remove(&project);
                continue;
            }
            if let Some(waiting) = self.waiting.get(&eldest) {
                return Some(*waiting);
            }
            self.look_for_eldest(project);
        }
    }

    fn fair(
        &mut self,
        is_open: &impl Fn(u32) -> bool,
        weight: &impl Fn(u32) -> Weight,
    ) -> Option<Waiting> {
        let waiting = &self.waiting;
        let mut levels = self.levels.iter_mut().rev();
        levels.find_map(|level| level.take(waiting, is_open, weight))
    }
}

impl Flow {
    /// The first of them that really waits. Those before it are forgotten.
    fn front(&mut self, waiting: &BTreeMap<Seq, Waiting>) -> Option<Seq> {
        while let Some(front) = self.builds.front() {
            if waiting.contains_key(front) {
                return Some(*front);
            }
            self.builds.pop_front();
        }
        None
    }
}

impl Level {
    fn take(
        &mut self,
        waiting: &BTreeMap<Seq, Waiting>,
        is_open: &impl Fn(u32) -> bool,
        weight: &impl Fn(u32) -> Weight,
    ) -> Option<Waiting> {
        while let Some((start, project)) = self.ready.pop_first() {
            let flow = self.flows.get_mut(&project)?;
            flow.is_ready = false;
            let Some(front) = flow.front(waiting) else {
                if start <= self.now {
                    // Whoever comes back starts no earlier than this anyway.
                    self.flows.remove(&project);
                }
                continue;
            };
            if !is_open(project) {
                // Until it is released.
                continue;
            }
            flow.builds.pop_front();
            self.now = start;
            flow.start = start + TURN / u64::from(weight(project).number());
            flow.is_ready = true;
            self.ready.insert((flow.start, project));
            return waiting.get(&front).copied();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(submitted: u64, project: u32, priority: u8) -> Waiting {
        Waiting {
            build: BuildId::derived([u8::try_from(submitted % 251).unwrap(); 16]),
            submitted: Seq::new(submitted),
            project,
            priority: Priority::new(priority).unwrap(),
        }
    }

    fn ten(_: u32) -> Weight {
        Weight::default()
    }

    fn order(line: &mut Line, weight: impl Fn(u32) -> Weight + Copy) -> Vec<(u64, u32)> {
        std::iter::from_fn(|| line.take(|_| true, weight))
            .map(|next| (next.submitted.get(), next.project))
            .collect()
    }

    #[test]
    fn projects_take_turns_and_their_builds_keep_their_order() {
        let mut line = Line::default();
        for submitted in 1..=4 {
            line.add(waiting(submitted, 1, 2));
        }
        line.add(waiting(5, 2, 2));
        line.add(waiting(6, 2, 2));
        let order = order(&mut line, ten);
        assert_eq!(order, [(1, 1), (5, 2), (2, 1), (6, 2), (3, 1), (4, 1)]);
    }

    #[test]
    fn three_times_the_weight_gets_three_times_the_turns() {
        let mut line = Line::default();
        for submitted in 1..=400 {
            line.add(waiting(submitted, u32::try_from(submitted % 2).unwrap(), 2));
        }
        let weight = |project| Weight::new(if project == 1 { 30 } else { 10 }).unwrap();
        let mut turns = [0; 2];
        for _ in 0..80 {
            let next = line.fair(&|_| true, &weight).unwrap();
            line.remove(next.submitted);
            turns[next.project as usize] += 1;
        }
        assert_eq!(turns, [20, 60]);
    }

    #[test]
    fn a_higher_priority_goes_first_but_for_each_eighth_turn() {
        let mut line = Line::default();
        line.add(waiting(1, 1, 0));
        for submitted in 2..=40 {
            line.add(waiting(submitted, 2, 4));
        }
        let order = order(&mut line, ten);
        let turn = order.iter().position(|next| *next == (1, 1)).unwrap() + 1;
        assert_eq!(turn as u64, AGE_EVERY);
        assert_eq!(order.len(), 40);
    }

    #[test]
    fn whoever_a_limit_holds_up_does_not_keep_the_eighth_turn_from_others() {
        let mut line = Line::default();
        for submitted in 1..=100 {
            line.add(waiting(submitted, 1, 2));
        }
        line.add(waiting(101, 2, 0));
        for submitted in 102..=200 {
            line.add(waiting(submitted, 3, 4));
        }
        let is_open = |project| project != 1;
        let taken: Vec<u64> = (0..8)
            .map(|_| line.take(is_open, ten).unwrap().submitted.get())
            .collect();
        assert_eq!(taken.last(), Some(&101), "{taken:?}");
        line.release(1);
        let taken: Vec<u64> = (0..8)
            .map(|_| line.take(|_| true, ten).unwrap().submitted.get())
            .collect();
        assert_eq!(taken.last(), Some(&1), "{taken:?}");
    }

    #[test]
    fn who_comes_late_gets_no_turns_for_the_time_it_was_not_there() {
        let mut line = Line::default();
        for submitted in 1..=100 {
            line.add(waiting(submitted, 1, 2));
        }
        for _ in 0..50 {
            line.take(|_| true, ten).unwrap();
        }
        for submitted in 101..=110 {
            line.add(waiting(submitted, 2, 2));
        }
        let next: Vec<u32> = (0..6)
            .map(|_| line.take(|_| true, ten).unwrap().project)
            .collect();
        let late = next.iter().filter(|project| **project == 2).count();
        assert!((2..=4).contains(&late), "{next:?}");
    }

    #[test]
    fn who_is_held_up_waits_and_is_served_when_released() {
        let mut line = Line::default();
        line.add(waiting(1, 1, 2));
        line.add(waiting(2, 2, 2));
        let next = line.take(|project| project != 1, ten).unwrap();
        assert_eq!(next.project, 2);
        assert_eq!(line.take(|project| project != 1, ten), None);
        assert_eq!(line.take(|_| true, ten), None, "nobody has released it");
        line.release(1);
        assert_eq!(line.take(|_| true, ten).unwrap().project, 1);
        assert_eq!(line.len(), 0);
    }

    #[test]
    fn who_left_or_came_back_is_met_once_and_in_order() {
        let mut line = Line::default();
        for submitted in 1..=3 {
            line.add(waiting(submitted, 1, 2));
        }
        line.remove(Seq::new(2));
        let first = line.take(|_| true, ten).unwrap();
        line.add(first);
        assert_eq!(line.position(Seq::new(3)), Some(2));
        assert_eq!(order(&mut line, ten), [(1, 1), (3, 1)]);
    }
}
