use croft_proto::deploy::{Finding, LifecycleEvent};

use super::farm::id;
use super::one::One;
use super::traffic::shifting;
use crate::step::{Noted, Over, TakenBack};
use crate::*;
use LifecycleEvent::ValidateService;

impl One {
    /// The deployments that were noted to be over since this was asked last.
    fn overs(&mut self) -> Vec<Over> {
        let noted = std::mem::take(&mut self.noted);
        let overs = noted.into_iter().filter_map(|noted| match noted {
            Noted::Over(over) => Some(*over),
            Noted::Event { .. } | Noted::TrafficBack { .. } => None,
        });
        overs.collect()
    }
}

#[test]
fn each_end_is_news_once_and_nothing_is_when_another_server_reads_the_same() {
    let mut one = One::with(serde_json::json!({}));
    one.deploy(1, "web", 2);
    one.pass(2_000);
    one.answer(&[]);
    one.pass(1_000);
    let events = one.noted.iter();
    let events = events.filter(|noted| matches!(noted, Noted::Event { .. }));
    assert_eq!(events.count(), 21, "three hosts, seven events");
    let overs = one.overs();
    let [over] = overs.as_slice() else {
        panic!("{overs:?}");
    };
    assert_eq!(
        (over.creator, over.target, over.strategy, over.result),
        ("user", "host", "in_place", "succeeded")
    );
    assert_eq!((over.whole_ms, over.line_ms, over.paused_ms), (2_000, 0, 0));
    assert_eq!((over.targets.succeeded, &over.taken_back), (3, &None));
    one.pass(60_000);
    assert_eq!(one.overs(), [], "it was told");
    let restarted = One::new(one.farm);
    assert_eq!(restarted.noted, [], "what was before is nobody's news");
}

/// A release that was taken back a minute after its first host was done, for that reason.
fn taken_back_by(end: impl FnOnce(&mut One)) -> TakenBack {
    let mut one = One::with(serde_json::json!({"x-croft": {"verdicts": {}, "bakeMinutes": 1}}));
    one.deploy(1, "web", 2);
    one.see(1);
    one.answer(&[]);
    for _ in 0..4 {
        one.see(1);
        one.pass(25_000);
    }
    one.deploy(2, "web", 3);
    one.see(2);
    one.answer_next_host();
    one.see(2);
    one.pass(60_000);
    one.overs();
    end(&mut one);
    let mut overs = one.overs();
    let over = overs.remove(0);
    assert_eq!(over.result, "rolled_back");
    over.taken_back.unwrap()
}

fn finding(by: &str, evidence: serde_json::Value) -> Advice {
    Advice::RollBack(Box::new(Finding {
        by: by.into(),
        message: "it is bad".into(),
        evidence,
    }))
}

#[test]
fn what_takes_a_release_back_is_told_by_its_word_and_since_the_release_served() {
    let none = serde_json::json!({});
    for (by, evidence, trigger) in [
        ("sequential errors", none.clone(), "sequential"),
        ("guard health", none.clone(), "guard"),
        ("threshold latency", none.clone(), "threshold"),
        ("alarm Errors", serde_json::json!({"groups": []}), "alarm"),
        (
            "alarm Errors",
            serde_json::json!({"groups": ["g"]}),
            "webhook",
        ),
        ("something later croft says", none, "alarm"),
    ] {
        let back = taken_back_by(|one| {
            one.input(Input::Advised(id(2), finding(by, evidence)));
        });
        assert_eq!(
            back,
            TakenBack {
                trigger,
                detection_ms: 60_000
            }
        );
    }
    let by_hand = taken_back_by(|one| {
        let intents = stop(one.engine.state(), &id(2), Then::GoBack, "me").unwrap();
        assert!(one.farm.intend(&intents));
        one.settle();
    });
    assert_eq!(by_hand.trigger, "manual");
    let failed = taken_back_by(|one| {
        one.answer(&[
            ("h1", ValidateService),
            ("h2", ValidateService),
            ("h3", ValidateService),
        ]);
    });
    assert_eq!(failed.trigger, "failure");
}

#[test]
fn time_in_the_line_and_time_that_it_was_held_are_told_apart() {
    let mut one = One::with(
        serde_json::json!({"x-croft": {"verdicts": {}, "busy": "QUEUE", "bakeMinutes": 0}}),
    );
    one.deploy(1, "web", 2);
    one.deploy(2, "web", 3);
    one.see(1);
    for _ in 0..30 {
        one.hold(1);
        one.pass(1_000);
    }
    for _ in 0..10 {
        one.see(1);
        one.see(2);
        one.answer(&[]);
        one.see(2);
        one.pass(1_000);
    }
    let overs = one.overs();
    let [first, second] = overs.as_slice() else {
        panic!("{overs:?}");
    };
    assert_eq!((first.line_ms, first.paused_ms), (0, 30_000));
    assert!((30_000..40_000).contains(&first.whole_ms), "{first:?}");
    assert_eq!((second.line_ms, second.paused_ms), (first.whole_ms, 0));
}

#[test]
fn traffic_that_is_given_back_is_told_once_with_how_long_that_took() {
    let mut one = shifting();
    for (deployment, step) in std::mem::take(&mut one.routed) {
        one.input(Input::Routed(deployment, step));
    }
    let intents = stop(one.engine.state(), &id(2), Then::AsTheGroupSays, "me").unwrap();
    assert!(one.farm.intend(&intents));
    one.settle();
    one.noted.clear();
    one.pass(1_500);
    for _ in 0..3 {
        for (deployment, step) in std::mem::take(&mut one.routed) {
            one.input(Input::Routed(deployment, step));
        }
        one.pass(3_000);
        one.answer(&[]);
    }
    let back = |noted: &&Noted| matches!(noted, Noted::TrafficBack { .. });
    let told: Vec<Noted> = one.noted.iter().filter(back).cloned().collect();
    let expected = Noted::TrafficBack {
        application: "boxes".into(),
        took_ms: 1_500,
    };
    assert_eq!(told, [expected]);
    let overs = one.overs();
    assert!(
        overs
            .iter()
            .any(|over| over.is_back && over.target == "container")
    );
}
