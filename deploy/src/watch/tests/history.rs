//! What is read of the hour before, and what is promised of it.

use croft_proto::deploy::{Pace, Span, Step};

use super::*;

/// A world whose hosts' health is said by a prober, at moments of its own, under the hosts' names.
fn with_a_prober() -> World {
    let world = World::new(json!({"guards": {"up": "probe", "started": "started"}}));
    for second in -1190..0 {
        for number in 0..4 {
            let mut told = series("probe", &format!("h{number}:80"), second, 1.0);
            let sample = &mut told.samples[0];
            // Before each scrape, and before the first of all.
            sample.at = Timestamp::from_millis(sample.at.millis() - 10_400);
            world.source.record("probe", told);
        }
    }
    world
}

#[test]
fn a_prober_of_hosts_says_nothing_of_what_their_counters_had_counted() {
    let mut world = with_a_prober();
    world.pass(5);
    let (rps, bad) = world.watch.metrics[0].past.rate().unwrap();
    // A million requests of each host were counted before anybody looked.
    assert!((35.0..45.0).contains(&rps), "{rps}");
    assert!((0.0005..0.002).contains(&bad), "{bad}");
    assert_eq!(world.watch.rhythm.scrape_ms(), 1_000);
    let notes = world.watch.notes(&world.deployment);
    assert!(notes[0].starts_with("`errors`: at 4"), "{notes:?}");
    world.fails = 0.1;
    let (_, trigger) = taken_back(&world.pass(60)).unwrap();
    assert_eq!(trigger, Trigger::Sequential);
}

#[test]
fn a_host_that_a_prober_finds_down_counts_as_one() {
    let mut world = with_a_prober();
    let mut decisions = Vec::new();
    for second in 0..60 {
        for number in 0..4 {
            let value = f64::from(u8::from(number > 0 || second < 20));
            let mut told = series("probe", &format!("h{number}:80"), second, value);
            let sample = &mut told.samples[0];
            sample.at = Timestamp::from_millis(sample.at.millis() - 400);
            world.source.record("probe", told);
        }
        decisions.extend(world.pass(1));
    }
    let (second, trigger) = taken_back(&decisions).unwrap();
    assert_eq!(trigger, Trigger::Guard);
    assert!((20..40).contains(&second), "{second}");
}

#[test]
fn what_will_not_be_tested_is_not_promised() {
    let notes = |baseline: &str, at_once: u32, has_past: bool| {
        let mut world = World::new(json!({"baseline": baseline}));
        if !has_past {
            world.source = Scripted::default();
        }
        let plan = world.deployment.plan.as_mut().unwrap();
        plan.rule.at_once_max = at_once;
        plan.steps = vec![Step::Run {
            targets: Span { from: 0, to: 4 },
            events: Vec::new(),
            pace: Pace::Healthy { zone: None },
        }];
        world.pass(5);
        world.watch.notes(&world.deployment)
    };
    let (alone, little) = (
        "no old instance serves beside the new ones",
        "less than ten minutes of requests",
    );
    for (baseline, at_once, has_past, parts) in [
        ("auto", 1, true, vec!["a regression to 10% is found"]),
        (
            "auto",
            1,
            false,
            vec!["tested while old instances serve, and not after", little],
        ),
        (
            "auto",
            4,
            true,
            vec!["is found in about", ", against the hour before"],
        ),
        ("auto", 4, false, vec!["no test of it", alone, little]),
        ("concurrent", 4, true, vec!["no test of it", alone]),
        ("concurrent", 1, false, vec!["no request was counted"]),
        ("history", 1, true, vec![", against the hour before"]),
        ("history", 1, false, vec!["no test of it", little]),
    ] {
        let notes = notes(baseline, at_once, has_past);
        let said = notes.join("\n");
        for part in &parts {
            assert!(
                said.contains(part),
                "{baseline} {at_once} {has_past}: {part}: {said}"
            );
        }
        let is_promised = said.contains("is found in about");
        assert_eq!(
            is_promised,
            has_past && parts[0] != "no test of it",
            "{said}"
        );
    }
}
