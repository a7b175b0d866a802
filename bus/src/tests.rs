//! The suite against every implementation, and what only one of them can do wrong.

/// A broker that dies, or has other settings.
mod nats;
/// A broker whose leader dies.
mod cluster;

use std::sync::Arc;
use std::time::Duration;

use croft_nats_testing::Server;

use crate::conformance::{CASES, Case, for_each_case, settings};
use crate::{Bus, Config, Hint, Memory, Nats, Pool, Settings};

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

fn on_memory(case: Case) {
    run(case(Arc::new(Memory::new(&settings()))));
}

fn config(server: &Server) -> Config {
    Config {
        settings: settings(),
        ..Config::new(&server.address)
    }
}

fn on_nats(case: Case) {
    let Some(server) = Server::start() else {
        return;
    };
    run(async {
        let bus = Nats::connect(config(&server)).await.unwrap();
        case(Arc::new(bus)).await;
    });
}

macro_rules! suite {
    ($($module:ident: $($name:ident)*;)*) => {
        mod conformance_of_memory {
            $($(#[test] fn $name() { super::on_memory(super::case(stringify!($name))) })*)*
        }
        mod conformance_of_nats {
            $($(#[test] fn $name() { super::on_nats(super::case(stringify!($name))) })*)*
        }
    };
}
for_each_case!(suite);

/// A window that the suite cannot wait for: its own is a minute.
fn short_window() -> Settings {
    Settings {
        dedupe_window: Duration::from_millis(200),
        ..settings()
    }
}

/// Published again and again, a hint that was done is one again some time: not before the window has passed.
async fn until_new_again(bus: &dyn Bus) {
    let pool: Pool = "p".parse().unwrap();
    let hint = Hint {
        build: "b".parse().unwrap(),
        attempt: 1,
        seq: 1,
    };
    let since = tokio::time::Instant::now();
    for _ in 0..2 {
        while bus.waiting(&pool).await.unwrap() == 0 {
            bus.publish(&pool, hint.clone()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let taken = bus.take(&pool, Duration::from_secs(20)).await.unwrap();
        taken.unwrap().done().await.unwrap();
    }
    let window = short_window().dedupe_window;
    assert!(since.elapsed() > window / 2, "{:?}", since.elapsed());
}

#[test]
fn a_hint_is_new_again_after_the_window_in_memory() {
    run(async { until_new_again(&Memory::new(&short_window())).await });
}

#[test]
fn a_hint_is_new_again_after_the_window_over_a_broker() {
    let Some(server) = Server::start() else {
        return;
    };
    run(async {
        let settings = short_window();
        let config = Config {
            settings,
            ..config(&server)
        };
        until_new_again(&Nats::connect(config).await.unwrap()).await;
    });
}
