//! Builds that wait, in memory: a queue per pool, and whoever waits for it is woken.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{self, BoxFuture};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::held::Receipt;
use crate::{Build, HINTS_MAX, Hint, Pool, PublishError, Settings, Taken, Unavailable};

/// The queues of all pools.
#[derive(Debug)]
pub(super) struct Hints {
    queues: Mutex<Queues>,
    ack_wait: Duration,
    dedupe_window: Duration,
    wake: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Queues {
    of: HashMap<Pool, Queue>,
    last_id: u64,
    count: usize,
}

#[derive(Debug, Default)]
struct Queue {
    /// The smallest number is the oldest, whoever held it before.
    waiting: BTreeMap<u64, Hint>,
    held: HashMap<u64, Held>,
    published: HashMap<(Build, u32), Instant>,
    /// In the order in which they leave the window.
    window: VecDeque<(Instant, Build, u32)>,
}

#[derive(Debug)]
struct Held {
    hint: Hint,
    /// When it comes back.
    until: Instant,
}

impl Hints {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            queues: Mutex::default(),
            ack_wait: settings.ack_wait,
            dedupe_window: settings.dedupe_window,
            wake: watch::Sender::new(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        // Whatever panicked did so before it changed anything.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn publish(&self, pool: Pool, hint: Hint) -> Result<(), PublishError> {
        let now = Instant::now();
        let mut queues = self.lock();
        let queues = &mut *queues;
        let queue = queues.of.entry(pool).or_default();
        queue.forget(now);
        let key = (hint.build.clone(), hint.attempt);
        if queue.published.contains_key(&key) {
            return Ok(());
        }
        if queues.count >= HINTS_MAX {
            return Err(PublishError::Full);
        }
        let until = now + self.dedupe_window;
        queue.window.push_back((until, key.0.clone(), key.1));
        queue.published.insert(key, until);
        queues.last_id += 1;
        queues.count += 1;
        queue.waiting.insert(queues.last_id, hint);
        self.wake.send_replace(());
        Ok(())
    }

    pub(super) async fn take(this: &Arc<Self>, pool: &Pool, wait: Duration) -> Option<Taken> {
        let limit = Instant::now() + wait;
        let mut woken = this.wake.subscribe();
        loop {
            // Seen before looking: what is published meanwhile wakes again.
            woken.mark_unchanged();
            let now = Instant::now();
            let again_at = match this.take_now(pool, now) {
                Ok((id, hint)) => return Some(Taken::new(hint, Slip::new(this, pool, id))),
                Err(due) => due.map_or(limit, |due| due.min(limit)),
            };
            if now >= limit {
                return None;
            }
            // Woken or late, the queue is looked at again.
            tokio::select! {
                _ = woken.changed() => {}
                () = sleep_until(again_at) => {}
            }
        }
    }

    /// The oldest hint, or when the next held one comes back.
    fn take_now(&self, pool: &Pool, now: Instant) -> Result<(u64, Hint), Option<Instant>> {
        let mut queues = self.lock();
        let Some(queue) = queues.of.get_mut(pool) else {
            return Err(None);
        };
        queue.bring_back(now);
        let Some((id, hint)) = queue.waiting.pop_first() else {
            return Err(queue.held.values().map(|held| held.until).min());
        };
        let held = Held {
            hint: hint.clone(),
            until: now + self.ack_wait,
        };
        queue.held.insert(id, held);
        Ok((id, hint))
    }

    pub(super) fn waiting(&self, pool: &Pool) -> u64 {
        let queues = self.lock();
        let count = queues.of.get(pool).map_or(0, Queue::len);
        u64::try_from(count).expect("a count is smaller")
    }

    pub(super) fn drop_all(&self, pool: &Pool) {
        let mut queues = self.lock();
        let dropped = queues.of.remove(pool);
        queues.count -= dropped.map_or(0, |queue| queue.len());
    }

    fn done(&self, pool: &Pool, id: u64) {
        let mut queues = self.lock();
        let Some(queue) = queues.of.get_mut(pool) else {
            return;
        };
        let is_gone = queue.held.remove(&id).is_some() | queue.waiting.remove(&id).is_some();
        queues.count -= usize::from(is_gone);
    }

    fn give_back(&self, pool: &Pool, id: u64, delay: Duration) {
        let mut queues = self.lock();
        let queue = queues.of.get_mut(pool);
        if let Some(held) = queue.and_then(|queue| queue.held.get_mut(&id)) {
            held.until = Instant::now() + delay;
        }
        drop(queues);
        self.wake.send_replace(());
    }
}

impl Queue {
    fn len(&self) -> usize {
        self.waiting.len() + self.held.len()
    }

    /// Lets go of what has left the window.
    fn forget(&mut self, now: Instant) {
        while let Some((_, build, attempt)) = self.window.pop_front_if(|(until, ..)| *until <= now)
        {
            self.published.remove(&(build, attempt));
        }
    }

    /// What was held for too long waits again, in its old place.
    fn bring_back(&mut self, now: Instant) {
        let back = self.held.extract_if(|_, held| held.until <= now);
        self.waiting.extend(back.map(|(id, held)| (id, held.hint)));
    }
}

/// One taking of a hint.
struct Slip {
    hints: Arc<Hints>,
    pool: Pool,
    id: u64,
}

impl Slip {
    fn new(hints: &Arc<Hints>, pool: &Pool, id: u64) -> Self {
        Self {
            hints: Arc::clone(hints),
            pool: pool.clone(),
            id,
        }
    }
}

impl Receipt for Slip {
    fn done(self: Box<Self>) -> BoxFuture<'static, Result<(), Unavailable>> {
        future::lazy(move |_| {
            self.hints.done(&self.pool, self.id);
            Ok(())
        })
        .boxed()
    }

    fn give_back(self: Box<Self>, delay: Duration) -> BoxFuture<'static, Result<(), Unavailable>> {
        future::lazy(move |_| {
            self.hints.give_back(&self.pool, self.id, delay);
            Ok(())
        })
        .boxed()
    }
}
