//! The commands that run roles of the farm: `croft up`, `croft server`, `croft worker`. Words become parts, parts become loops,
//! signals end them in order.

/// Their words.
pub(crate) mod words;
/// The ledger, the bus and the stores.
pub(crate) mod substrates;
/// The file of the read model.
mod copies;
/// The key that everything else hangs on.
mod master;
/// Server and worker in one process.
pub(crate) mod up;
/// The server's loops.
pub(crate) mod server;
/// The worker's.
pub(crate) mod worker;
/// A host that is deployed to.
pub(crate) mod agent;
/// Alarms, asked for.
mod alerts;
/// Metrics, asked for.
mod prometheus;
/// A ledger written down elsewhere, and begun from there.
pub(crate) mod backup;
/// The first signal, and the second.
mod ending;
/// How a worker is let in, and has its pool's keys.
mod enrolment;
/// What every role shows of itself.
mod observed;
/// The way to a monitoring server.
mod monitored;
/// How many callers there may be.
mod open_files;

use std::time::Duration;

use anyhow::Context;

/// Loops wait most of the time; two threads let one of them compute.
const THREADS_MIN: usize = 2;
/// After everything has ended, for threads that still wait for a disk or a network.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Runs a role that waits nearly always, and does its work on threads for what blocks, to its end: all its tasks share the thread that
/// calls, since each thread keeps memory for itself.
pub(crate) fn run_lean<T>(role: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .thread_name("croft")
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let end = runtime.block_on(role);
    runtime.shutdown_timeout(AT_ONCE);
    end
}

/// Runs a role to its end.
pub(crate) fn run<T>(role: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let threads = std::thread::available_parallelism().map_or(THREADS_MIN, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.max(THREADS_MIN))
        .thread_name("croft")
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let end = runtime.block_on(role);
    runtime.shutdown_timeout(AT_ONCE);
    end
}
