//! Containers of two sides on the same hosts: told apart by their ports, or by their names, or not at all.

use croft_proto::deploy::{Colour, PlannedContainers, Step, TargetKind};

use super::*;

/// Green containers on two hosts beside blue ones, with a tenth of the traffic from the tenth second on.
fn deployment() -> Deployment {
    let mut deployment = super::deployment();
    let plan = deployment.plan.as_mut().unwrap();
    plan.target_kind = TargetKind::Container;
    plan.containers = Some(PlannedContainers {
        new: Colour::Green,
        ports: serde_json::from_value(json!({"blue": 81, "green": 82})).unwrap(),
    });
    plan.steps = vec![Step::Shift {
        percent: 10,
        wait_ms: 600_000,
    }];
    plan.steps.insert(
        0,
        Step::Ready {
            wait_ms: 0,
            on_timeout: croft_proto::deploy::ActionOnTimeout::ContinueDeployment,
        },
    );
    for (number, target) in deployment.targets.iter_mut().enumerate() {
        target.planned.host = format!("h{}", number % 2);
        if number >= 2 {
            target.planned.side = Side::Old;
        } else {
            (target.begun_at, target.done_at) = (Some(at(2)), Some(at(5)));
        }
    }
    deployment.shifts = vec![(at(10), 10)];
    deployment
}

/// A world in which the monitor calls the four so, and a tenth of the requests of the green ones fail from the start.
fn world(instances: [&str; 4], more: Value) -> World {
    let mut world = World::of(deployment(), instances.map(str::to_owned), more);
    world.fails = 0.1;
    world
}

const BY_PORT: [&str; 4] = ["h0:82", "h1:82", "h0:81", "h1:81"];

#[test]
fn their_ports_tell_sides_apart_and_a_bad_one_is_taken_back() {
    let mut world = world(BY_PORT, json!({}));
    let decisions = world.pass(60);
    let (second, trigger) = taken_back(&decisions).unwrap();
    assert!((10..50).contains(&second), "{second}");
    assert_eq!(trigger, Trigger::Sequential);
    let shown = world.watch.shown(world.now());
    assert_eq!(shown.metrics[0].against, "concurrent");
    let (canary, baseline) = (shown.metrics[0].canary, shown.metrics[0].baseline);
    assert!(canary.bad / canary.requests > 0.05, "{canary:?}");
    assert!(baseline.bad / baseline.requests < 0.01, "{baseline:?}");
    // Before they have traffic nothing of them counts.
    assert!(
        canary.requests <= 20.0 * (world.second as f64 - 8.0),
        "{canary:?}"
    );
}

#[test]
fn hosts_that_have_other_names_for_the_monitor_and_containers_that_have_one_are_found() {
    for (instances, map) in [
        (
            ["10.0.0.1:82", "10.0.0.2:82", "10.0.0.1:81", "10.0.0.2:81"],
            json!({"h0": "10.0.0.1", "h1": "10.0.0.2"}),
        ),
        (
            ["g0", "g1", "b0", "b1"],
            json!({"h0-green": "g0", "h1-green": "g1", "h0-blue": "b0", "h1-blue": "b1"}),
        ),
    ] {
        let more = json!({"hosts": {"map": map}});
        let mut world = world(instances, more);
        let (_, trigger) = taken_back(&world.pass(60)).unwrap();
        assert_eq!(trigger, Trigger::Sequential);
    }
}

#[test]
fn a_good_release_goes_on_and_sides_that_cannot_be_told_apart_are_said_and_count_nothing() {
    let mut good = world(BY_PORT, json!({}));
    good.fails = 0.001;
    assert_eq!(taken_back(&good.pass(300)), None);
    assert!(
        !good
            .watch
            .notes(&good.deployment)
            .join("\n")
            .contains("alone")
    );
    let mut blurred = world(["h0:9100", "h1:9100", "n0:9100", "n1:9100"], json!({}));
    assert_eq!(taken_back(&blurred.pass(300)), None);
    let notes = blurred.watch.notes(&blurred.deployment);
    assert!(
        notes[0].contains("no series is of one container alone (instance is `h0:9100`)"),
        "{notes:?}"
    );
    assert_eq!(notes.len(), 1, "{notes:?}");
}

/// Traffic goes back to blue containers that stood all the time: they are watched from then on, though nothing was installed.
#[test]
fn what_went_back_to_containers_that_do_not_stay_up_is_told_of() {
    for are_well in [true, false] {
        let mut deployment = deployment();
        deployment.accepted.creator = Creator::Rollback;
        let plan = deployment.plan.as_mut().unwrap();
        plan.steps.remove(0);
        for target in &mut deployment.targets {
            (target.begun_at, target.done_at) = (None, None);
        }
        let mut world = World::of(deployment, BY_PORT.map(str::to_owned), json!({}));
        // Not those that the world has its first host on by itself.
        world.pass(30);
        (
            world.deployment.targets[0].begun_at,
            world.deployment.targets[0].done_at,
        ) = (None, None);
        world.down = [!are_well, !are_well, false, false];
        let decisions = world.pass(30);
        let found = taken_back(&decisions).map(|(_, trigger)| trigger);
        assert_eq!(found, (!are_well).then_some(Trigger::Guard));
    }
}
