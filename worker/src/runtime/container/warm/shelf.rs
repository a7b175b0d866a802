//! Which warm containers there are and which there should be. Told what was asked for, started and taken; answers what to
//! start and what to throw away. Pure: without a clock, and whatever the containers are.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::super::image::Pull;
use super::super::{Limits, Options};

/// How long nothing is started of a kind that could not be started.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// How long a build that has just got its container has the machine to itself, while another one stands: what an engine needs to
/// start one more would be taken from its first commands.
const REST: Duration = Duration::from_millis(150);
/// How many are started at once: an engine gets no faster with more.
const STARTING_MAX: usize = 2;

/// How many there should be, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Of every kind that was used, unless [`super::Warm::keep`] says otherwise.
    pub count: usize,
    /// Of all kinds together. Those used last come first.
    pub warm_max: usize,
    /// After so long without a build, a kind's containers go.
    pub idle_max: Duration,
}

impl Default for Settings {
    /// For a machine that runs a few builds at a time: an idle container costs a process of a megabyte and what the engine
    /// keeps of it.
    fn default() -> Self {
        Self {
            count: 2,
            warm_max: 8,
            idle_max: Duration::from_secs(600),
        }
    }
}

/// What containers are made from: options that any build may share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recipe(Options);

/// What a warm container is: it serves a build that asks for the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    image_id: String,
    network: Option<String>,
    limits: Limits,
    lease: Option<Duration>,
}

impl Recipe {
    /// `None` for what must not stand ready: a container that may do what the machine may, and one that is part of another
    /// container's network, which may be another one's by the time a build comes.
    pub(super) fn of(options: &Options) -> Option<Self> {
        let joins = |network: &String| network.starts_with("container:");
        if options.privileged || options.network.as_ref().is_some_and(joins) {
            return None;
        }
        Some(Self(Options {
            // What is not here is fetched for a build, never in advance; so nobody's login stays here.
            pull: Pull::Never,
            login: None,
            ..options.clone()
        }))
    }

    pub(super) fn options(&self) -> &Options {
        &self.0
    }

    pub(super) fn key(&self, image_id: &str) -> Key {
        Key {
            image_id: image_id.to_string(),
            network: self.0.network.clone(),
            limits: self.0.limits,
            lease: self.0.lease,
        }
    }
}

/// One kind that is wanted.
#[derive(Debug)]
struct Want {
    recipe: Recipe,
    count: usize,
    used: Instant,
    /// Which image its name meant when it was last looked up.
    image_id: Option<String>,
    starting: usize,
    not_before: Option<Instant>,
    /// Until when the build that got one of these has the machine to itself.
    rests_until: Option<Instant>,
}

impl Want {
    fn key(&self) -> Option<Key> {
        self.image_id.as_deref().map(|id| self.recipe.key(id))
    }
}

/// What stands ready, and what is wanted.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    settings: Settings,
    /// The one used last first.
    wants: Vec<Want>,
    /// The oldest first.
    ready: VecDeque<(Key, T)>,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan<T> {
    /// Each counts as being started until [`Shelf::started`] or [`Shelf::failed`] is told.
    pub(super) start: Vec<Recipe>,
    pub(super) throw_away: Vec<T>,
    /// When to ask again, if something waits for that.
    pub(super) again: Option<Instant>,
}

impl<T> Shelf<T> {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            wants: Vec::new(),
            ready: VecDeque::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ready.len()
    }

    /// So many of that kind are wanted from now on.
    pub(super) fn keep(&mut self, recipe: &Recipe, count: usize, now: Instant) {
        self.want(recipe, now).count = count;
    }

    /// A build asked for that kind, and its image's name meant that image.
    pub(super) fn used(&mut self, recipe: &Recipe, image_id: &str, now: Instant) {
        self.want(recipe, now).image_id = Some(image_id.to_string());
    }

    /// Which image the name of that kind meant last.
    pub(super) fn known(&self, recipe: &Recipe) -> Option<String> {
        let want = self.wants.iter().find(|want| want.recipe == *recipe);
        want.and_then(|want| want.image_id.clone())
    }

    /// The want of that kind, which is the one used last now.
    fn want(&mut self, recipe: &Recipe, now: Instant) -> &mut Want {
        let mut want = match self.wants.iter().position(|want| want.recipe == *recipe) {
            Some(position) => self.wants.remove(position),
            None => Want {
                recipe: recipe.clone(),
                count: self.settings.count,
                used: now,
                image_id: None,
                starting: 0,
                not_before: None,
                rests_until: None,
            },
        };
        want.used = now;
        self.wants.insert(0, want);
        &mut self.wants[0]
    }

    /// The oldest of that kind: each goes to one build, and none grows old.
    pub(super) fn take(&mut self, key: &Key, now: Instant) -> Option<T> {
        let position = self.ready.iter().position(|(ready, _)| ready == key)?;
        for want in &mut self.wants {
            // A rest that has begun is not made longer: builds that follow each other closely would never have another one.
            let is_over = want.rests_until.is_none_or(|rest| rest + REST <= now);
            if is_over && want.key().as_ref() == Some(key) {
                want.rests_until = Some(now + REST);
            }
        }
        self.ready.remove(position).map(|(_, taken)| taken)
    }

    /// Those that are no good any more.
    pub(super) fn sort_out(&mut self, is_good: impl Fn(&T) -> bool) -> Vec<T> {
        let (good, bad): (VecDeque<_>, VecDeque<_>) =
            self.ready.drain(..).partition(|(_, ready)| is_good(ready));
        self.ready = good;
        bad.into_iter().map(|(_, ready)| ready).collect()
    }

    /// One was started, of that image.
    pub(super) fn started(&mut self, recipe: &Recipe, image_id: &str, ready: T) {
        if let Some(want) = self.ended(recipe) {
            want.image_id = Some(image_id.to_string());
        }
        self.ready.push_back((recipe.key(image_id), ready));
    }

    /// One could not be started.
    pub(super) fn failed(&mut self, recipe: &Recipe, now: Instant) {
        if let Some(want) = self.ended(recipe) {
            want.not_before = Some(now + RETRY_AFTER);
        }
    }

    fn ended(&mut self, recipe: &Recipe) -> Option<&mut Want> {
        let want = self.wants.iter_mut().find(|want| want.recipe == *recipe)?;
        want.starting = want.starting.saturating_sub(1);
        Some(want)
    }

    /// What is to be started and thrown away now.
    pub(super) fn plan(&mut self, now: Instant) -> Plan<T> {
        let idle_max = self.settings.idle_max;
        let is_idle = |want: &Want| now.duration_since(want.used) > idle_max;
        self.wants
            .retain(|want| !is_idle(want) || want.starting > 0);
        let mut room = self.settings.warm_max;
        let mut allotted = Vec::new();
        for want in &self.wants {
            let count = if is_idle(want) {
                0
            } else {
                want.count.min(room)
            };
            room -= count;
            allotted.push(count);
        }
        let throw_away = self.surplus(&allotted);
        let (start, again) = self.missing(&allotted, now);
        Plan {
            start,
            throw_away,
            again,
        }
    }

    /// Takes out what nobody wants, or not so many of.
    fn surplus(&mut self, allotted: &[usize]) -> Vec<T> {
        let mut kept: VecDeque<(Key, T)> = VecDeque::new();
        let mut surplus = Vec::new();
        for (key, ready) in self.ready.drain(..) {
            let wanted = self.wants.iter().zip(allotted);
            let wanted = wanted.filter(|(want, _)| want.key().as_ref() == Some(&key));
            let count_max = wanted.map(|(_, count)| *count).max().unwrap_or(0);
            if kept.iter().filter(|(other, _)| *other == key).count() < count_max {
                kept.push_back((key, ready));
            } else {
                surplus.push(ready);
            }
        }
        self.ready = kept;
        surplus
    }

    /// What is to be started, and when a rest ends for which more waits. Where no other one stands ready, nothing waits.
    fn missing(&mut self, allotted: &[usize], now: Instant) -> (Vec<Recipe>, Option<Instant>) {
        let mut again: Option<Instant> = None;
        let mut starting: usize = self.wants.iter().map(|want| want.starting).sum();
        let mut start = Vec::new();
        for (want, allotted) in self.wants.iter_mut().zip(allotted) {
            let key = want.key();
            let is_of_it = |other: &Key| key.as_ref() == Some(other);
            let ready = self.ready.iter().filter(|(other, _)| is_of_it(other));
            let mut here = ready.count() + want.starting;
            if want.not_before.is_some_and(|then| now < then) {
                continue;
            }
            if let Some(rest) = want.rests_until.filter(|rest| now < *rest && here > 0) {
                if here < *allotted {
                    again = Some(again.map_or(rest, |again| again.min(rest)));
                }
                continue;
            }
            while here < *allotted
                && starting < STARTING_MAX
                && self.ready.len() + starting < self.settings.warm_max
            {
                want.starting += 1;
                starting += 1;
                here += 1;
                start.push(want.recipe.clone());
            }
        }
        (start, again)
    }

    /// Everything; nothing is wanted any more.
    pub(super) fn clear(&mut self) -> Vec<T> {
        self.wants.clear();
        self.ready.drain(..).map(|(_, ready)| ready).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(image: &str) -> Recipe {
        Recipe::of(&Options::new(image.to_string())).unwrap()
    }

    fn shelf(count: usize, warm_max: usize) -> Shelf<u32> {
        Shelf::new(Settings {
            count,
            warm_max,
            ..Settings::default()
        })
    }

    /// Does what the plans say until there is nothing to do; what was thrown away.
    fn settle(shelf: &mut Shelf<u32>, image_id: &str, next: &mut u32, now: Instant) -> Vec<u32> {
        let mut thrown = Vec::new();
        loop {
            let plan = shelf.plan(now);
            assert!(plan.start.len() <= STARTING_MAX);
            thrown.extend(plan.throw_away);
            if plan.start.is_empty() {
                return thrown;
            }
            for recipe in plan.start {
                *next += 1;
                shelf.started(&recipe, image_id, *next);
            }
        }
    }

    #[test]
    fn what_was_used_is_kept_ready_and_the_oldest_goes_first() {
        let (mut shelf, mut next, now) = (shelf(3, 8), 0, Instant::now());
        assert!(settle(&mut shelf, "1", &mut next, now).is_empty());
        shelf.used(&recipe("a"), "1", now);
        settle(&mut shelf, "1", &mut next, now);
        assert_eq!((shelf.len(), next), (3, 3));
        assert_eq!(shelf.take(&recipe("a").key("1"), now), Some(1));
        assert_eq!(shelf.take(&recipe("a").key("2"), now), None);
        settle(&mut shelf, "1", &mut next, now + REST);
        assert_eq!((shelf.len(), next), (3, 4));
        // Another tag of the same image is the same image.
        assert_eq!(shelf.take(&recipe("b").key("1"), now), Some(2));
    }

    #[test]
    fn a_build_that_has_just_begun_is_left_alone_while_another_one_stands() {
        let (mut shelf, mut next, now) = (shelf(2, 8), 0, Instant::now());
        shelf.used(&recipe("a"), "1", now);
        settle(&mut shelf, "1", &mut next, now);
        shelf.take(&recipe("a").key("1"), now).unwrap();
        let plan = shelf.plan(now);
        assert_eq!((plan.start.len(), plan.again), (0, Some(now + REST)));
        let plan = shelf.plan(now + REST);
        assert_eq!((plan.start.len(), plan.again), (1, None));
        shelf.started(&recipe("a"), "1", 3);
        // Builds that follow each other closely do not put it off for ever.
        shelf.take(&recipe("a").key("1"), now + REST).unwrap();
        let plan = shelf.plan(now + REST);
        assert_eq!((plan.start.len(), plan.again), (1, None));
        shelf.started(&recipe("a"), "1", 4);
        // When none is left the next build would wait: both are started. Other kinds do not wait for this one.
        let now = now + 3 * REST;
        shelf.take(&recipe("a").key("1"), now).unwrap();
        shelf.take(&recipe("a").key("1"), now).unwrap();
        shelf.used(&recipe("b"), "2", now);
        let plan = shelf.plan(now);
        assert_eq!(plan.start, [recipe("b"), recipe("b")]);
        shelf.started(&recipe("b"), "2", 5);
        shelf.started(&recipe("b"), "2", 6);
        assert_eq!(shelf.plan(now).start, [recipe("a"), recipe("a")]);
    }

    #[test]
    fn a_tag_that_moved_throws_away_what_it_meant_before() {
        let (mut shelf, mut next, now) = (shelf(2, 8), 0, Instant::now());
        shelf.used(&recipe("a"), "1", now);
        settle(&mut shelf, "1", &mut next, now);
        assert_eq!(shelf.known(&recipe("a")).as_deref(), Some("1"));
        shelf.used(&recipe("a"), "2", now);
        assert_eq!(shelf.known(&recipe("a")).as_deref(), Some("2"));
        assert_eq!(shelf.take(&recipe("a").key("2"), now), None);
        assert_eq!(settle(&mut shelf, "2", &mut next, now), [1, 2]);
        assert_eq!(shelf.take(&recipe("a").key("2"), now), Some(3));
    }

    #[test]
    fn the_cap_is_for_those_used_last() {
        let (mut shelf, mut next, now) = (shelf(2, 3), 0, Instant::now());
        shelf.used(&recipe("a"), "1", now);
        shelf.used(&recipe("b"), "2", now);
        let plan = shelf.plan(now);
        assert_eq!(plan.start, [recipe("b"), recipe("b")]);
        shelf.started(&recipe("b"), "2", 1);
        shelf.started(&recipe("b"), "2", 2);
        assert!(settle(&mut shelf, "1", &mut next, now).is_empty());
        assert_eq!((shelf.len(), next), (3, 1));
        // Now the other one is; one of two has to go for its second.
        shelf.used(&recipe("a"), "1", now);
        assert_eq!(settle(&mut shelf, "1", &mut next, now), [2]);
        assert_eq!((shelf.len(), next), (3, 2));
    }

    #[test]
    fn what_is_not_used_goes_and_is_not_started_again() {
        let (mut shelf, mut next, now) = (shelf(2, 8), 0, Instant::now());
        shelf.keep(&recipe("a"), 1, now);
        shelf.used(&recipe("b"), "2", now);
        let plan = shelf.plan(now);
        assert_eq!(plan.start, [recipe("b"), recipe("b")]);
        let later = now + Settings::default().idle_max + Duration::from_secs(1);
        // What is being started meanwhile goes as soon as it stands.
        shelf.used(&recipe("a"), "1", later);
        shelf.started(&recipe("b"), "2", 8);
        shelf.started(&recipe("b"), "2", 9);
        assert_eq!(settle(&mut shelf, "1", &mut next, later), [8, 9]);
        assert_eq!((shelf.len(), next), (1, 1));
        assert_eq!(shelf.clear(), [1]);
        assert!(shelf.plan(later).start.is_empty());
    }

    #[test]
    fn what_could_not_be_started_is_tried_again_later() {
        let (mut shelf, now) = (shelf(1, 8), Instant::now());
        shelf.keep(&recipe("a"), 1, now);
        assert_eq!(shelf.plan(now).start.len(), 1);
        shelf.failed(&recipe("a"), now);
        assert!(shelf.plan(now).start.is_empty());
        assert_eq!(shelf.plan(now + RETRY_AFTER).start.len(), 1);
    }

    #[test]
    fn what_is_no_good_is_sorted_out_and_replaced() {
        let (mut shelf, mut next, now) = (shelf(2, 8), 0, Instant::now());
        shelf.used(&recipe("a"), "1", now);
        settle(&mut shelf, "1", &mut next, now);
        assert_eq!(shelf.sort_out(|ready| *ready != 1), [1]);
        settle(&mut shelf, "1", &mut next, now);
        assert_eq!((shelf.len(), next), (2, 3));
    }

    #[test]
    fn what_may_harm_the_machine_or_belongs_to_another_container_never_stands_ready() {
        let options = Options::new("a".to_string());
        let privileged = Options {
            privileged: true,
            ..options.clone()
        };
        let joined = Options {
            network: Some("container:1".to_string()),
            ..options
        };
        assert_eq!((Recipe::of(&privileged), Recipe::of(&joined)), (None, None));
    }
}
