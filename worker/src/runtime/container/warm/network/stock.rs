//! Which networks there are for containers to join and which should be made. Told who found none, which came back and how;
//! answers what to make and what to throw away. Pure: without a clock, and whatever a network is.

use std::time::Duration;

use tokio::time::Instant;

use super::super::shelf::Recipe;

/// A namespace's name servers and hosts are those of the moment when it was made: changes of the machine's reach builds
/// after so long at most.
const AGE_MAX: Duration = Duration::from_secs(600);
/// One that nobody asked for in that time goes: it costs as much as a container that stands ready.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How many in a row, each used up by the first container that joined it, show that the builds here use the network: then a
/// network that is made beside its container costs more than the one that comes with it.
const SPOILT_MAX: u32 = 3;
/// How long none is made then, or after one could not be made.
const REST: Duration = Duration::from_secs(300);

/// Which containers may join the same network, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    network: Option<String>,
    lease: Option<Duration>,
}

impl Key {
    /// `None` for containers that need none: the machine's own network costs nothing.
    pub(super) fn of(recipe: &Recipe) -> Option<Self> {
        let options = recipe.options();
        let is_own = options.network.as_deref() != Some("host");
        is_own.then(|| Self {
            network: options.network.clone(),
            lease: options.lease,
        })
    }
}

/// What a network is, besides itself; goes with it to whoever has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    key: Key,
    made: Instant,
    /// How many had it so far.
    served: u32,
}

/// How a network came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// As it was given.
    Untouched,
    /// Somebody used it.
    Used,
}

/// One kind of network.
#[derive(Debug)]
struct Kind {
    key: Key,
    /// What the last container that found none was made from.
    missed: Option<Recipe>,
    is_being_made: bool,
    /// In a row.
    spoilt: u32,
    not_before: Option<Instant>,
}

/// One that nobody has.
#[derive(Debug)]
struct Idle<T> {
    ticket: Ticket,
    network: T,
    since: Instant,
}

/// What there is for whoever comes next.
#[derive(Debug)]
pub(super) struct Stock<T> {
    idle: Vec<Idle<T>>,
    kinds: Vec<Kind>,
}

impl<T> Default for Stock<T> {
    fn default() -> Self {
        Self {
            idle: Vec::new(),
            kinds: Vec::new(),
        }
    }
}

impl<T> Stock<T> {
    /// The one that came back last, so that those too many are idle for long enough to go. Where there is none, one should be
    /// made for the next.
    pub(super) fn take(&mut self, recipe: &Recipe, now: Instant) -> Option<(Ticket, T)> {
        let key = Key::of(recipe)?;
        let fits = |idle: &Idle<T>| idle.ticket.key == key && !is_old(&idle.ticket, now);
        let Some(position) = self.idle.iter().rposition(fits) else {
            self.kind(&key).missed = Some(recipe.clone());
            return None;
        };
        let mut idle = self.idle.remove(position);
        idle.ticket.served += 1;
        Some((idle.ticket, idle.network))
    }

    /// A new one.
    pub(super) fn made(&mut self, recipe: &Recipe, network: T, now: Instant) {
        let Some(key) = Key::of(recipe) else {
            return;
        };
        self.kind(&key).is_being_made = false;
        let ticket = Ticket {
            key,
            made: now,
            served: 0,
        };
        self.idle.push(Idle {
            ticket,
            network,
            since: now,
        });
    }

    /// One could not be made, or not be joined.
    pub(super) fn failed(&mut self, recipe: &Recipe, now: Instant) {
        if let Some(key) = Key::of(recipe) {
            let kind = self.kind(&key);
            kind.is_being_made = false;
            kind.not_before = Some(now + REST);
        }
    }

    /// Nobody is in it any more. What is handed back is to go.
    pub(super) fn back(
        &mut self,
        ticket: Ticket,
        network: T,
        came: Came,
        now: Instant,
    ) -> Option<T> {
        let kind = self.kind(&ticket.key);
        match came {
            Came::Untouched => kind.spoilt = 0,
            Came::Used if ticket.served > 1 => {}
            Came::Used => kind.spoilt += 1,
        }
        if kind.spoilt >= SPOILT_MAX {
            kind.spoilt = 0;
            kind.not_before = Some(now + REST);
        }
        if came == Came::Used || is_old(&ticket, now) {
            return Some(network);
        }
        self.idle.push(Idle {
            ticket,
            network,
            since: now,
        });
        None
    }

    /// What to make now, one of a kind at a time; each counts as being made until [`Stock::made`] or [`Stock::failed`] is told.
    pub(super) fn wanted(&mut self, now: Instant) -> Vec<Recipe> {
        let Self { idle, kinds } = self;
        let mut make = Vec::new();
        for kind in kinds {
            let rests = kind.not_before.is_some_and(|then| now < then);
            let is_there = idle.iter().any(|idle| idle.ticket.key == kind.key);
            if kind.is_being_made {
                continue;
            }
            let missed = kind.missed.take();
            if rests || is_there {
                continue;
            }
            kind.is_being_made = missed.is_some();
            make.extend(missed);
        }
        make
    }

    /// Those that nobody shall have any more.
    pub(super) fn too_old(&mut self, now: Instant) -> Vec<T> {
        let is_good = |idle: &Idle<T>| !is_old(&idle.ticket, now) && now < idle.since + IDLE_MAX;
        let (good, old) = self.idle.drain(..).partition(is_good);
        self.idle = good;
        Vec::into_iter(old)
            .map(|idle: Idle<T>| idle.network)
            .collect()
    }

    /// Everything.
    pub(super) fn clear(&mut self) -> Vec<T> {
        self.kinds.clear();
        self.idle.drain(..).map(|idle| idle.network).collect()
    }

    fn kind(&mut self, key: &Key) -> &mut Kind {
        let position = self.kinds.iter().position(|kind| kind.key == *key);
        let position = position.unwrap_or_else(|| {
            self.kinds.push(Kind {
                key: key.clone(),
                missed: None,
                is_being_made: false,
                spoilt: 0,
                not_before: None,
            });
            self.kinds.len() - 1
        });
        &mut self.kinds[position]
    }
}

fn is_old(ticket: &Ticket, now: Instant) -> bool {
    now >= ticket.made + AGE_MAX
}

#[cfg(test)]
mod tests {
    use super::super::super::super::Options;
    use super::*;

    fn recipe(network: Option<&str>) -> Recipe {
        let options = Options {
            network: network.map(str::to_string),
            ..Options::new("a".to_string())
        };
        Recipe::of(&options).unwrap()
    }

    /// A stock in which somebody missed one of that kind, and got it.
    fn stocked(kind: &Recipe, now: Instant) -> Stock<u32> {
        let mut stock = Stock::default();
        assert_eq!(stock.take(kind, now), None);
        assert!(stock.wanted(now).iter().eq([kind]));
        stock.made(kind, 1, now);
        stock
    }

    #[test]
    fn what_was_missed_is_made_once_and_had_by_one_at_a_time() {
        let (any, now) = (recipe(None), Instant::now());
        let mut stock: Stock<u32> = Stock::default();
        assert!(stock.wanted(now).is_empty());
        assert_eq!(stock.take(&any, now), None);
        assert!(stock.wanted(now).iter().eq([&any]));
        // While it is being made, others miss it, too: one more is made, and only if none is there then.
        assert_eq!(stock.take(&any, now), None);
        assert!(stock.wanted(now).is_empty());
        stock.made(&any, 1, now);
        assert!(stock.wanted(now).is_empty());
        let (ticket, network) = stock.take(&any, now).unwrap();
        assert_eq!(network, 1);
        assert_eq!(stock.take(&any, now), None);
        assert_eq!(stock.back(ticket, 1, Came::Untouched, now), None);
        assert_eq!(stock.take(&any, now).unwrap().1, 1);
    }

    #[test]
    fn kinds_are_kept_apart_and_the_machines_own_needs_none() {
        let now = Instant::now();
        let mut stock = stocked(&recipe(Some("none")), now);
        assert_eq!(stock.take(&recipe(None), now), None);
        assert_eq!(stock.take(&recipe(Some("host")), now), None);
        assert_eq!(stock.wanted(now), [recipe(None)]);
        assert!(stock.take(&recipe(Some("none")), now).is_some());
    }

    #[test]
    fn one_that_was_used_goes_and_so_does_one_that_is_old_or_idle() {
        let (any, now) = (recipe(None), Instant::now());
        let mut stock = stocked(&any, now);
        let (ticket, _) = stock.take(&any, now).unwrap();
        let back = stock.back(ticket.clone(), 1, Came::Used, now);
        assert_eq!(back, Some(1));
        let old = now + AGE_MAX;
        assert_eq!(stock.back(ticket, 1, Came::Untouched, old), Some(1));
        let mut stock = stocked(&any, now);
        assert!(stock.too_old(now).is_empty());
        assert_eq!(stock.too_old(now + IDLE_MAX), [1]);
        let mut stock = stocked(&any, now);
        assert_eq!(stock.take(&any, old), None);
        assert_eq!(stock.clear(), [1]);
    }

    #[test]
    fn where_every_build_uses_the_network_none_is_made_for_a_while() {
        let (any, now) = (recipe(None), Instant::now());
        let mut stock: Stock<u32> = Stock::default();
        for _ in 0..SPOILT_MAX {
            assert_eq!(stock.take(&any, now), None);
            assert!(stock.wanted(now).iter().eq([&any]));
            stock.made(&any, 1, now);
            let (ticket, _) = stock.take(&any, now).unwrap();
            stock.back(ticket, 1, Came::Used, now).unwrap();
        }
        assert_eq!(stock.take(&any, now), None);
        assert!(stock.wanted(now).is_empty());
        assert_eq!(stock.take(&any, now + REST), None);
        assert_eq!(stock.wanted(now + REST), [any]);
    }

    #[test]
    fn one_that_served_several_before_it_was_used_has_paid_for_itself() {
        let (any, now) = (recipe(None), Instant::now());
        let mut stock = stocked(&any, now);
        for _ in 0..2 * SPOILT_MAX {
            let (ticket, _) = stock.take(&any, now).unwrap();
            assert_eq!(stock.back(ticket, 1, Came::Untouched, now), None);
            let (ticket, _) = stock.take(&any, now).unwrap();
            assert_eq!(stock.back(ticket, 1, Came::Used, now), Some(1));
            assert_eq!(stock.take(&any, now), None);
            assert!(stock.wanted(now).iter().eq([&any]));
            stock.made(&any, 1, now);
        }
    }

    #[test]
    fn one_that_cannot_be_made_is_not_tried_at_once_again() {
        let (any, now) = (recipe(None), Instant::now());
        let mut stock: Stock<u32> = Stock::default();
        assert_eq!(stock.take(&any, now), None);
        assert!(stock.wanted(now).iter().eq([&any]));
        stock.failed(&any, now);
        assert_eq!(stock.take(&any, now), None);
        assert!(stock.wanted(now).is_empty());
        assert_eq!(stock.take(&any, now + REST), None);
        assert_eq!(stock.wanted(now + REST), [any]);
    }
}
