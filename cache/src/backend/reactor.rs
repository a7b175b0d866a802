//! The runtime that stores speaking HTTP need. Made by `Objects` when such a store is opened, never for a local one; handed
//! to the lanes, whose callers are plain threads.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// Connections and their TLS run here. Callers poll their own requests, so two threads keep up with many of them.
const THREADS: usize = 2;

/// A small runtime of this crate's own, which ends with the last store that uses it.
#[derive(Debug)]
pub(crate) struct Reactor {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Reactor {
    /// A running reactor.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("cache-io")
            .enable_all()
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// The future's output, waited for on this thread, which must not be running a task of another runtime (the threads of
    /// `spawn_blocking` are fine).
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        // Dropped plainly it would wait for idle connections, and panic inside another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_plain_thread_waits_for_a_timer() {
        let reactor = Reactor::start().unwrap();
        let slept = reactor.block_on(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            7
        });
        assert_eq!(slept, 7);
    }

    #[test]
    fn a_blocking_thread_of_another_runtime_may_use_it_and_drop_it() {
        let outer = Builder::new_current_thread().build().unwrap();
        let seven = outer.block_on(async {
            let blocking = tokio::task::spawn_blocking(|| {
                let reactor = Reactor::start().unwrap();
                reactor.block_on(async { 7 })
            });
            blocking.await.unwrap()
        });
        assert_eq!(seven, 7);
    }

    #[test]
    fn dropping_it_inside_another_runtime_is_no_panic() {
        let outer = Builder::new_current_thread().build().unwrap();
        outer.block_on(async { drop(Reactor::start().unwrap()) });
    }
}
