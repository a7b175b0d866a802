//! A few threads doing the same work from one queue. Received from save and restore.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::Error;
use crate::backend::Objects;

/// More than this helps no local disk, and each thread holds several MiB of buffers.
const WORKERS_MAX: usize = 4;

/// Workers that mostly wait for a network: servers are fastest with several requests at once.
const WORKERS_FAR: usize = 8;

/// The numbers `0..count`, each handed out once, until somebody stops the queue.
#[derive(Debug)]
pub(crate) struct Queue {
    next: AtomicUsize,
    count: usize,
    stopped: AtomicBool,
}

impl Queue {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            next: AtomicUsize::new(0),
            count,
            stopped: AtomicBool::new(false),
        }
    }

    /// One that only ends when somebody stops it.
    pub(crate) fn endless() -> Self {
        Self::new(usize::MAX)
    }

    /// The next number, or none when all are taken or one worker failed.
    pub(crate) fn take(&self) -> Option<usize> {
        if self.stopped.load(Ordering::Relaxed) {
            return None;
        }
        let taken = self.next.fetch_add(1, Ordering::Relaxed);
        (taken < self.count).then_some(taken)
    }
}

/// How many threads to start where so many are wanted: in a simulation one, so that its seed says all that happens.
pub(crate) fn limit(wanted: usize) -> usize {
    #[cfg(test)]
    if crate::simulated::is_running() {
        return 1;
    }
    wanted
}

/// What each worker returned, of as many as there are processors. The first error stops the queue and is returned once every
/// worker has ended.
pub(crate) fn run<T: Send>(
    queue: &Queue,
    work: impl Fn(&Queue) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    run_as_many(queue, processors.min(WORKERS_MAX), work)
}

/// The same for work that reads objects: with more workers when they are far away.
pub(crate) fn run_reading<T: Send>(
    objects: &Objects,
    queue: &Queue,
    work: impl Fn(&Queue) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    if objects.is_far() {
        return run_as_many(queue, WORKERS_FAR, work);
    }
    run(queue, work)
}

/// The same with so many workers, however many processors there are.
pub(crate) fn run_as_many<T: Send>(
    queue: &Queue,
    wanted: usize,
    work: impl Fn(&Queue) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    let stopping = |queue: &Queue| {
        let result = work(queue);
        if result.is_err() {
            queue.stopped.store(true, Ordering::Relaxed);
        }
        result
    };
    let extra = limit(wanted).min(queue.count).saturating_sub(1);
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for _ in 0..extra {
            let spawned = thread::Builder::new()
                .name("croft-cache".into())
                .spawn_scoped(scope, || stopping(queue));
            // A machine that has no thread left does the work on this one.
            threads.extend(spawned.ok());
        }
        let mut results = vec![stopping(queue)];
        for thread in threads {
            results.push(
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            );
        }
        results.into_iter().collect()
    })
}
