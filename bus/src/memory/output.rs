//! Live output in memory: what is kept of each build, and who follows it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::message::Record;
use crate::order::Order;
use crate::patience::Followers;
use crate::{Build, FollowError, Item, Output, Place};

/// What a record costs beyond its bytes: without it, ends and empty chunks would be kept for ever.
const OVERHEAD_BYTES: usize = 256;

/// The output of all builds.
#[derive(Debug)]
pub(super) struct Outputs {
    kept: Mutex<All>,
    settings: Output,
}

#[derive(Debug, Default)]
struct All {
    of: HashMap<Build, Kept>,
    /// Whose every record is, in the order in which they came.
    order: BTreeMap<u64, Build>,
    bytes: usize,
    last_record: u64,
    last_follower: u64,
}

/// What is kept of one build.
#[derive(Debug)]
struct Kept {
    /// With its number in the order of all.
    records: VecDeque<(u64, Record)>,
    bytes: usize,
    /// What is put next.
    head: Place,
    followers: Followers<u64>,
    wake: watch::Sender<()>,
}

/// What became of putting a record.
enum Put {
    Done,
    /// Followers have to take something first.
    Wait {
        limit: Duration,
        kept: Place,
        woken: watch::Receiver<()>,
    },
}

impl Outputs {
    pub(super) fn new(settings: Output) -> Self {
        Self {
            kept: Mutex::default(),
            settings,
        }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        // Whatever panicked did so before it changed anything.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn put(&self, build: &Build, record: Record) {
        while let Put::Wait {
            limit,
            kept,
            mut woken,
        } = self.put_now(build, &record)
        {
            let began = Instant::now();
            // Woken or not, it is tried again, with what is left of the patience.
            match timeout(limit, woken.changed()).await {
                Ok(_) | Err(_) => {}
            }
            let waited = began.elapsed();
            if let Some(of) = self.lock().of.get_mut(build) {
                of.followers.waited(waited, kept);
            }
        }
    }

    fn put_now(&self, build: &Build, record: &Record) -> Put {
        let mut all = self.lock();
        let of = all.of(build, &self.settings);
        let place = record.place();
        if place < of.head {
            return Put::Done;
        }
        let gone = if place.attempt > of.head.attempt {
            of.records.len()
        } else {
            of.too_many(record, &self.settings)
        };
        // What an earlier attempt wrote is not worth waiting for.
        let last = (place.attempt == of.head.attempt && gone > 0).then(|| &of.records[gone - 1]);
        if let Some((_, last)) = last {
            let kept = last.place().next();
            if let Some(limit) = of.followers.wait(kept) {
                let woken = of.wake.subscribe();
                return Put::Wait { limit, kept, woken };
            }
        }
        for _ in 0..gone {
            all.drop_first(build);
        }
        all.push(build, record.clone());
        while all.bytes > self.settings.bytes_max_in_all {
            // No build waits for another's followers.
            let Some((_, oldest)) = all.order.first_key_value() else {
                break;
            };
            let oldest = oldest.clone();
            all.drop_first(&oldest);
            all.forget(&oldest);
        }
        Put::Done
    }
}

impl All {
    fn of(&mut self, build: &Build, settings: &Output) -> &mut Kept {
        // Looked up first, since a build's name is copied only once.
        if !self.of.contains_key(build) {
            let kept = Kept {
                records: VecDeque::new(),
                bytes: 0,
                head: Place::START,
                followers: Followers::new(settings.patience, settings.chunks_max),
                wake: watch::Sender::new(()),
            };
            self.of.insert(build.clone(), kept);
        }
        self.of.get_mut(build).expect("it was put there")
    }

    fn push(&mut self, build: &Build, record: Record) {
        let Some(of) = self.of.get_mut(build) else {
            return;
        };
        let cost = cost(&record);
        self.last_record += 1;
        self.bytes += cost;
        of.bytes += cost;
        of.head = record.place().next();
        of.records.push_back((self.last_record, record));
        of.wake.send_replace(());
        self.order.insert(self.last_record, build.clone());
    }

    fn drop_first(&mut self, build: &Build) {
        let of = self.of.get_mut(build);
        let Some((of, (id, record))) =
            of.and_then(|of| of.records.pop_front().map(|first| (of, first)))
        else {
            return;
        };
        let cost = cost(&record);
        of.bytes -= cost;
        self.bytes -= cost;
        self.order.remove(&id);
    }

    /// A build of which nothing is kept and that nobody follows leaves nothing behind.
    fn forget(&mut self, build: &Build) {
        let is_over = |of: &Kept| of.records.is_empty() && of.followers.is_empty();
        if self.of.get(build).is_some_and(is_over) {
            self.of.remove(build);
        }
    }
}

fn cost(record: &Record) -> usize {
    record.size_bytes() + OVERHEAD_BYTES
}

impl Kept {
    /// How many of the oldest have to go for one more.
    fn too_many(&self, record: &Record, settings: &Output) -> usize {
        let mut bytes = self.bytes + cost(record);
        let too_many = (self.records.len() + 1).saturating_sub(settings.chunks_max);
        let mut gone = 0;
        for (_, old) in &self.records {
            if gone >= too_many && bytes <= settings.bytes_max {
                break;
            }
            bytes -= cost(old);
            gone += 1;
        }
        gone
    }

    /// The first record that is not before that place.
    fn at(&self, place: Place) -> Option<Record> {
        let at = self
            .records
            .partition_point(|(_, record)| record.place() < place);
        self.records.get(at).map(|(_, record)| record.clone())
    }
}

/// Known to those who put for as long as it is there.
struct Following {
    outputs: Arc<Outputs>,
    build: Build,
    id: u64,
    order: Order,
    ready: VecDeque<Item>,
    woken: watch::Receiver<()>,
    has_ended: bool,
}

pub(super) fn follow(
    outputs: &Arc<Outputs>,
    build: Build,
    from: Place,
) -> BoxStream<'static, Result<Item, FollowError>> {
    let following = Following::new(Arc::clone(outputs), build, from);
    stream::unfold(following, |mut following| async move {
        let next = following.next().await?;
        Some((Ok(next), following))
    })
    .boxed()
}

impl Following {
    fn new(outputs: Arc<Outputs>, build: Build, from: Place) -> Self {
        let mut all = outputs.lock();
        all.last_follower += 1;
        let id = all.last_follower;
        let of = all.of(&build, &outputs.settings);
        of.followers.took(id, from, of.head);
        let woken = of.wake.subscribe();
        drop(all);
        Self {
            outputs,
            build,
            id,
            order: Order::new(from),
            ready: VecDeque::new(),
            woken,
            has_ended: false,
        }
    }

    async fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                self.has_ended = item == Item::End;
                return Some(item);
            }
            if self.has_ended {
                return None;
            }
            // Seen before looking: what is put meanwhile wakes again.
            self.woken.mark_unchanged();
            self.look();
            if self.ready.is_empty() {
                self.woken.changed().await.ok()?;
            }
        }
    }

    fn look(&mut self) {
        let mut all = self.outputs.lock();
        let of = all.of(&self.build, &self.outputs.settings);
        let Some(record) = of.at(self.order.place) else {
            return;
        };
        self.ready.extend(self.order.accept(record));
        of.followers.took(self.id, self.order.place, of.head);
        of.wake.send_replace(());
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut all = self.outputs.lock();
        if let Some(of) = all.of.get_mut(&self.build) {
            of.followers.left(&self.id);
            of.wake.send_replace(());
        }
        all.forget(&self.build);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::settings;

    #[tokio::test]
    async fn builds_that_are_over_leave_nothing_behind() {
        let output = Output {
            bytes_max_in_all: 4 * OVERHEAD_BYTES,
            ..settings().output
        };
        let outputs = Arc::new(Outputs::new(output));
        drop(follow(&outputs, "nobody's".parse().unwrap(), Place::START));
        assert!(outputs.lock().of.is_empty());
        for number in 0..100 {
            let build = format!("b{number}").parse().unwrap();
            outputs.put(&build, Record::end(1, 0)).await;
        }
        let all = outputs.lock();
        assert_eq!((all.of.len(), all.order.len()), (4, 4));
        assert_eq!(all.bytes, 4 * OVERHEAD_BYTES);
    }
}
