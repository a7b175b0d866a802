use croft_proto::Timestamp;

use super::steps::{Bench, LEASE_MS, appended, applied, asked, rules, started};
use crate::{Input, Now, Scheduler};

#[test]
fn a_server_that_was_frozen_calls_nobody_lost() {
    let mut bench = Bench::new(rules());
    bench.submit(asked(1));
    bench.build(1, &started(1, "w"));
    bench.pass(1_000);
    assert_eq!(
        appended(&bench.sleep(4 * LEASE_MS)),
        [],
        "what it was told lies unread"
    );
    assert_eq!(appended(&bench.pass(LEASE_MS)), []);
    assert_eq!(
        appended(&bench.pass(1)).len(),
        1,
        "a lease later it was silent"
    );
}

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

fn ahead(time: Timestamp, ms: u64) -> Timestamp {
    Timestamp::from_millis(time.millis() + ms)
}

#[test]
fn a_clock_that_is_set_ahead_gives_up_nothing_in_the_queue() {
    let mut bench = Bench::new(rules());
    bench.submit(asked(1));
    let right = bench.now.wall;
    bench.now.wall = ahead(right, DAY_MS);
    assert_eq!(appended(&bench.pass(MINUTE_MS)), []);
    // On one machine the ledger has no other clock.
    bench.project(&applied(rules()));
    assert_eq!(appended(&bench.pass(MINUTE_MS)), []);
    bench.now.wall = ahead(right, 2 * MINUTE_MS);
    bench.submit(asked(2));
    assert_eq!(appended(&bench.pass(477 * MINUTE_MS)), []);
    let events = appended(&bench.sleep(MINUTE_MS));
    assert_eq!(events.len(), 1, "the first has waited for eight hours");
}

#[test]
fn a_server_that_comes_late_counts_what_was_waited_before_it_and_not_its_own_clock() {
    let mut bench = Bench::new(rules());
    bench.submit(asked(1));
    bench.pass(7 * 60 * MINUTE_MS);
    bench.project(&applied(rules()));
    let mut late = Bench {
        scheduler: Scheduler::default(),
        now: Now {
            steady_ms: 0,
            wall: ahead(bench.now.wall, 100 * DAY_MS),
        },
        seq: 0,
        entries: Vec::new(),
    };
    for entry in &bench.entries {
        late.scheduler.step(Input::Entry(entry), late.now).unwrap();
    }
    late.scheduler.step(Input::CaughtUp, late.now).unwrap();
    assert_eq!(appended(&late.pass(59 * MINUTE_MS)), []);
    assert_eq!(appended(&late.sleep(MINUTE_MS)).len(), 1);
}
