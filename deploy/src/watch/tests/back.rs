//! What takes a release back: guard rails watch it, and nothing else speaks against it or holds it.

use super::*;

/// Four hosts that are taken back, the first from its tenth second on.
fn world(more: Value) -> World {
    let mut world = World::new(more);
    world.deployment.accepted.creator = Creator::Rollback;
    world.watch = Watch::new(world.settings.clone(), &world.deployment);
    world
}

/// All of them are back.
fn all_back(world: &mut World) {
    for target in &mut world.deployment.targets {
        (target.begun_at, target.done_at) = (Some(at(5)), Some(at(10)));
    }
}

fn is_left_alone(decisions: &[Decision]) -> bool {
    let mut all = decisions.iter();
    all.all(|decision| *decision == Decision::Continue)
}

#[test]
fn one_that_does_not_stay_up_is_told_of_once_half_of_the_hosts_do_not() {
    let mut world = world(json!({}));
    let loops = |world: &mut World, hosts: &[usize]| {
        for began in [30.0, 60.0] {
            for host in hosts {
                world.processes[*host].began = began + world.second as f64;
            }
            world.pass(10);
        }
    };
    world.pass(30);
    loops(&mut world, &[0]);
    // Of those that are back it is all, and of those that come back a fourth.
    assert!(is_left_alone(&world.pass(5)));
    all_back(&mut world);
    world.pass(5);
    loops(&mut world, &[0, 1]);
    let (_, trigger) = taken_back(&world.pass(1)).unwrap();
    assert_eq!(trigger, Trigger::Guard);
}

#[test]
fn hosts_that_are_not_well_are_told_of_while_others_are_seen() {
    let mut world = world(json!({}));
    all_back(&mut world);
    world.pass(30);
    world.down = [true, true, false, false];
    assert_eq!(taken_back(&world.pass(20)).unwrap().1, Trigger::Guard);
}

/// A monitor that cannot reach the only host that is taken back may be cut off: what it cannot see is held against nobody.
#[test]
fn one_host_that_nobody_reaches_is_not_told_of() {
    let mut world = world(json!({}));
    world.deployment.targets.truncate(1);
    world.watch = Watch::new(world.settings.clone(), &world.deployment);
    assert!(is_left_alone(&world.pass(30)));
    world.down = [true; 4];
    assert!(is_left_alone(&world.pass(60)));
}

/// Whatever becomes of those that are back, the others are not left with the release that is taken back.
#[test]
fn nothing_is_told_of_before_the_last_host_is_back() {
    let mut world = world(json!({}));
    all_back(&mut world);
    world.deployment.targets[3].done_at = None;
    world.down = [true, true, false, false];
    assert!(is_left_alone(&world.pass(60)));
    world.deployment.targets[3].done_at = Some(at(60));
    assert_eq!(taken_back(&world.pass(20)).unwrap().1, Trigger::Guard);
}

#[test]
fn one_that_failed_keeps_nobody_from_watching_the_others() {
    let mut world = world(json!({}));
    all_back(&mut world);
    let failed = &mut world.deployment.targets[3];
    (failed.done_at, failed.is_failed) = (None, true);
    world.down = [true, true, false, false];
    assert_eq!(taken_back(&world.pass(60)).unwrap().1, Trigger::Guard);
}

#[test]
fn neither_the_test_nor_thresholds_nor_alarms_count_and_no_monitor_holds_it() {
    let mut world = world(strict());
    all_back(&mut world);
    assert!(world.watch.settings.alarms.is_empty() && world.watch.settings.thresholds.is_empty());
    world.fails = 0.1;
    value(&world, -60, 300, 100.0);
    assert!(is_left_alone(&world.pass(120)));
    world.is_collecting = false;
    assert!(is_left_alone(&world.pass(120)), "it waits for nobody");
    let shown = world.watch.shown(world.now());
    assert!(shown.metrics.is_empty() && shown.queries.is_empty());
    assert_eq!(world.watch.bets().count(), 0);
}

#[test]
fn one_that_fails_most_of_its_requests_is_told_of() {
    let mut world = world(json!({}));
    all_back(&mut world);
    world.fails = 0.9;
    assert_eq!(taken_back(&world.pass(60)).unwrap().1, Trigger::Guard);
}
