//! Faults with the lease that a farm has by itself: fifteen seconds until a loss is noticed, and twenty until its build is started
//! elsewhere.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::eventually;
use crate::harness::rig::{Rig, commands, in_size};

in_size!(large LARGE, |plan| plan;
    a_killed_workers_build_starts_elsewhere_within_twenty_seconds,
    a_worker_frozen_for_less_than_a_lease_keeps_its_build,
);

in_size!(small SMALL, |plan| plan;
    what_croft_up_ran_when_it_was_killed_runs_again_a_lease_after_its_start,
);

fn begun(rig: &Rig, seconds: u32) -> String {
    let sleep = format!("sleep {}", rig.seconds(seconds));
    let id = rig.detach(&rig.source("sleeper", &commands(&[&sleep])), &[]);
    rig.until_sleeping(seconds, 1);
    id
}

/// Which worker has it.
fn worker_of(rig: &Rig, id: &str) -> usize {
    let build = rig.build(id);
    let name = build["x-croft"]["worker"].as_str().unwrap();
    usize::from(name.starts_with("worker-1-"))
}

fn a_killed_workers_build_starts_elsewhere_within_twenty_seconds(rig: &mut Rig) {
    let id = begun(rig, 2);
    let worker = worker_of(rig, &id);
    let killed = Instant::now();
    rig.workers[worker].kill();
    eventually("its first attempt's end", || rig.sleeping(2).is_empty());
    rig.until_sleeping(2, 1);
    let elapsed = killed.elapsed();
    assert!(
        elapsed < Duration::from_secs(20),
        "elsewhere after {elapsed:?}"
    );
    assert!(
        elapsed > Duration::from_secs(10),
        "nobody can know it after {elapsed:?}"
    );
    rig.over_as(&id, "SUCCEEDED", 2);
    rig.restart_builder(worker);
    rig.assert_nothing_left();
}

fn a_worker_frozen_for_less_than_a_lease_keeps_its_build(rig: &mut Rig) {
    let id = begun(rig, 8);
    let worker = worker_of(rig, &id);
    rig.workers[worker].signal(Signal::STOP);
    let frozen = Instant::now();
    eventually("some seconds pass", || {
        frozen.elapsed() > Duration::from_secs(6)
    });
    rig.workers[worker].signal(Signal::CONT);
    rig.over_as(&id, "SUCCEEDED", 1);
    rig.assert_nothing_left();
}

fn what_croft_up_ran_when_it_was_killed_runs_again_a_lease_after_its_start(rig: &mut Rig) {
    let id = begun(rig, 2);
    rig.servers[0].kill();
    rig.restart_server(0);
    let started = Instant::now();
    rig.until_sleeping(2, 1);
    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_secs(20), "again after {elapsed:?}");
    rig.over_as(&id, "SUCCEEDED", 2);
    rig.assert_nothing_left();
}
