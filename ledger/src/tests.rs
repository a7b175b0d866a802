//! The suite against every implementation, and what only one of them can do wrong.

/// A file that is torn, foreign, newer, in use, or whose writer is killed.
mod embedded;
/// A broker that dies, does not wait for its disk, or has other settings.
mod jetstream;
/// A broker whose leader dies.
mod cluster;
/// Logs written anew.
mod restoring;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use croft_nats_testing::Server;
use croft_proto::Timestamp;

use crate::conformance::{CASES, Case, for_each_case};
use crate::{Clock, Config, Embedded, JetStream, Ledger, Memory};

/// No case takes a tenth of it, unless it hangs.
const CASE_MAX: Duration = Duration::from_secs(60);

fn case(name: &str) -> Case {
    let found = CASES.iter().find(|(known, _)| *known == name);
    found.unwrap().1
}

/// Runs it to its end, or fails.
fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let limited = async { tokio::time::timeout(CASE_MAX, future).await };
    runtime.block_on(limited).expect("it hangs")
}

/// Each look at it is a second later, or one earlier now and then.
fn crooked_clock() -> Clock {
    let looks = AtomicU64::new(0);
    Clock::from_fn(move || {
        let look = looks.fetch_add(1, Ordering::Relaxed);
        Timestamp::from_millis(1000 * if look % 5 == 4 { look - 2 } else { look })
    })
}

fn on_memory(case: Case) {
    run(case(Arc::new(Memory::new(crooked_clock()))));
}

fn on_embedded(case: Case) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = Embedded::open(&path, crooked_clock()).unwrap();
    run(case(Arc::new(ledger)));
}

fn on_jetstream(case: Case) {
    let Some(server) = Server::start() else {
        return;
    };
    run(async {
        let ledger = JetStream::connect(Config::new(&server.address)).await;
        let ledger: Arc<dyn Ledger> = Arc::new(ledger.unwrap());
        case(ledger).await;
    });
}

macro_rules! suite {
    ($($module:ident: $($name:ident)*;)*) => {
        mod conformance_of_memory {
            $($(#[test] fn $name() { super::on_memory(super::case(stringify!($name))) })*)*
        }
        mod conformance_of_embedded {
            $($(#[test] fn $name() { super::on_embedded(super::case(stringify!($name))) })*)*
        }
        mod conformance_of_jetstream {
            $($(#[test] fn $name() { super::on_jetstream(super::case(stringify!($name))) })*)*
        }
    };
}
for_each_case!(suite);
