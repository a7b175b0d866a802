//! The suite against every implementation, and what only one of them can do wrong.

use std::sync::Arc;
use std::time::Duration;

use crate::Memory;
use crate::conformance::{CASES, Case, for_each_case, settings};

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

macro_rules! suite {
    ($($module:ident: $($name:ident)*;)*) => {
        mod conformance_of_memory {
            $($(#[test] fn $name() { super::on_memory(super::case(stringify!($name))) })*)*
        }
    };
}
for_each_case!(suite);
