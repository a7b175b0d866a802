//! Rollbacks under guard rails: one whose hosts do not stay up is halted, once, and says what stands where; a monitor holds none.

use croft_proto::deploy::{DeploymentId, DeploymentStatus, Finding, Side, Step};
use serde_json::{Value, json};

use super::farm::{Farm, group, haproxy, id};
use super::one::One;
use crate::*;

fn guards() -> Value {
    json!({"guards": {"up": "up", "started": "started"}})
}

/// Three hosts on a good release, and a rollback of the next one that has begun.
fn going_back(own: Value) -> One {
    let mut one = One::with(json!({"x-croft": own}));
    one.deploy(1, "web", 2);
    see_until_over(&mut one, 1);
    assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
    one.deploy(2, "web", 3);
    one.fails(2);
    assert_eq!(one.status(2), Some(DeploymentStatus::Failed));
    one
}

fn see_until_over(one: &mut One, number: u64) {
    for _ in 0..60 {
        one.see(number);
        one.answer(&[]);
        one.pass(25_000);
    }
}

fn back() -> DeploymentId {
    rollback_id(&id(2))
}

fn deployment(one: &One) -> &Deployment {
    one.engine.state().deployment(&back()).unwrap()
}

/// How long it is watched at its end.
fn watched_ms(one: &One) -> Option<u64> {
    match deployment(one).plan.as_ref().unwrap().steps.last() {
        Some(Step::Bake { wait_ms }) => Some(*wait_ms),
        _ => None,
    }
}

fn loops() -> Advice {
    Advice::RollBack(Box::new(Finding {
        by: "guard restarts".into(),
        message: "1 of 1 instances restart again and again".into(),
        // More than an event can hold.
        evidence: json!("x".repeat(100_000)),
    }))
}

#[test]
fn one_whose_hosts_do_not_stay_up_is_halted_and_says_what_stands_where() {
    let mut one = going_back(json!({"bakeMinutes": 10, "verdicts": guards()}));
    let plan = deployment(&one).plan.clone().unwrap();
    assert!(plan.verdicts.is_some() && !plan.is_watched && plan.alarms.is_empty());
    assert_eq!(watched_ms(&one), Some(60_000));
    one.answer(&[]);
    one.pass(30_000);
    assert_eq!(deployment(&one).status(), DeploymentStatus::Baking);
    one.input(Input::Advised(back(), loops()));
    let end = one.end(&back());
    assert_eq!(end.status, DeploymentStatus::Halted);
    let finding = end.finding.unwrap();
    assert_eq!(finding.by, "guard restarts");
    assert!(finding.evidence.to_string().len() < 100);
    let said = end.error.unwrap().message;
    for part in [
        "guard restarts: 1 of 1 instances restart again and again",
        "nothing follows by itself",
        "Back on the good revision: h1",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(end.rollback, None);
    // Whoever says so again, and however long it takes: nothing begins.
    for _ in 0..10 {
        one.input(Input::Advised(back(), loops()));
        one.pass(600_000);
    }
    let group = one.engine.state().group(&super::farm::name("web")).unwrap();
    assert!(group.is_idle() && one.commands.is_empty());
    assert_eq!(group.generation, 3, "it is the last");
}

/// While it bakes it looks as if nothing went back: whoever asks for it then must not stop it.
#[test]
fn who_asks_to_go_back_while_it_goes_back_is_told_so_and_stops_nothing() {
    let mut one = going_back(json!({"bakeMinutes": 10, "verdicts": guards()}));
    for is_back in [false, true] {
        if is_back {
            one.answer(&[]);
            one.pass(30_000);
        }
        let told = roll_back(one.engine.state(), &super::farm::name("web"), "me");
        assert_eq!(told.unwrap_err(), Refusal::GoesBack(back()));
    }
    assert_eq!(deployment(&one).status(), DeploymentStatus::Baking);
}

#[test]
fn in_the_middle_nothing_halts_it_and_the_others_come_back() {
    let mut one = One::with(
        json!({"deploymentConfigName": "CodeDeployDefault.OneAtATime",
        "x-croft": {"bakeMinutes": 10, "verdicts": guards()}}),
    );
    for number in [1, 2] {
        one.deploy(number, "web", number + 1);
        one.see(number);
        one.answer(&[]);
        if number == 1 {
            see_until_over(&mut one, 1);
        }
    }
    let intents = stop(one.engine.state(), &id(2), Then::GoBack, "me").unwrap();
    assert!(one.farm.intend(&intents));
    one.settle();
    one.answer_next_host();
    one.input(Input::Advised(back(), loops()));
    assert!(deployment(&one).end.is_none());
    for _ in 0..10 {
        if deployment(&one).status() == DeploymentStatus::Baking {
            break;
        }
        one.pass(1_000);
        one.answer(&[]);
    }
    one.input(Input::Advised(back(), loops()));
    let end = one.end(&back());
    assert_eq!(end.status, DeploymentStatus::Halted);
    let said = end.error.unwrap().message;
    assert!(!said.contains("Left as the other"), "{said}");
}

#[test]
fn one_that_is_well_or_that_nobody_sees_succeeds_when_its_time_is_over_or_somebody_says_so() {
    for goes_on in [false, true] {
        let mut one = going_back(json!({"bakeMinutes": 10, "verdicts": guards()}));
        one.answer(&[]);
        one.pass(59_000);
        assert_eq!(deployment(&one).status(), DeploymentStatus::Baking);
        match goes_on {
            // A monitor that is away holds it no longer.
            false => one.input(Input::Advised(
                back(),
                Advice::Hold {
                    reason: "the monitor is away".into(),
                },
            )),
            true => {
                let intents = go_on(one.engine.state(), &back(), Watchers::LetGo, "me");
                assert!(one.farm.intend(&intents.unwrap()));
                one.settle();
            }
        }
        one.pass(1_000);
        assert_eq!(one.end(&back()).status, DeploymentStatus::Succeeded);
    }
}

#[test]
fn it_is_watched_no_longer_than_a_release_and_not_where_no_guard_rail_sees_anything() {
    let one = going_back(json!({"bakeMinutes": 0, "verdicts": guards()}));
    assert_eq!(watched_ms(&one), Some(0));
    let thresholds = json!({"thresholds": [{"name": "t", "query": "t", "max": 1}]});
    for verdicts in [json!({}), thresholds] {
        let one = going_back(json!({"bakeMinutes": 10, "verdicts": verdicts}));
        assert_eq!(watched_ms(&one), Some(0));
        assert_eq!(deployment(&one).plan.as_ref().unwrap().verdicts, None);
    }
}

/// Answers all that a deployment asks for, until it bakes or is over.
fn until_it_bakes(one: &mut One, number: u64) {
    for _ in 0..40 {
        one.see(number);
        one.answer(&[]);
        for (deployment, step) in std::mem::take(&mut one.routed) {
            one.input(Input::Routed(deployment, step));
        }
        let deployment = one.engine.state().deployment(&id(number)).unwrap();
        if deployment.status() == DeploymentStatus::Baking {
            return;
        }
        one.pass(1_000);
    }
    panic!("it does not bake");
}

/// Two sides whose second deployment has all traffic and is stopped: its rollback.
fn sides_going_back(of: &str) -> One {
    let farm = Farm::new();
    let mut own = json!({"bakeMinutes": 10, "verdicts": guards(), "router": haproxy()});
    if of == "box" {
        own["containers"] = json!({"ports": {"blue": 81, "green": 82}});
    }
    let style = json!({"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"});
    farm.group(group(of, json!({"x-croft": own, "deploymentStyle": style})));
    farm.host("h1", None);
    let mut one = One::new(farm);
    one.deploy(1, of, 2);
    until_it_bakes(&mut one, 1);
    let intents = go_on(one.engine.state(), &id(1), Watchers::LetGo, "me").unwrap();
    assert!(one.farm.intend(&intents));
    one.settle();
    one.see(1);
    one.pass(1_000);
    assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
    // Of hosts the new side is the one that comes now.
    one.farm.host("h2", None);
    one.settle();
    one.deploy(2, of, 3);
    until_it_bakes(&mut one, 2);
    let intents = stop(one.engine.state(), &id(2), Then::GoBack, "me").unwrap();
    assert!(one.farm.intend(&intents));
    one.settle();
    one
}

#[test]
fn traffic_that_went_back_is_watched_there_and_stays_there_when_that_is_halted() {
    for of in ["web", "box"] {
        let mut one = sides_going_back(of);
        assert!(deployment(&one).plan.as_ref().unwrap().verdicts.is_some());
        assert_eq!(watched_ms(&one), Some(60_000), "{of}");
        for _ in 0..40 {
            if deployment(&one).status() == DeploymentStatus::Baking {
                break;
            }
            one.answer(&[]);
            for (deployment, step) in std::mem::take(&mut one.routed) {
                one.input(Input::Routed(deployment, step));
            }
            one.pass(1_000);
        }
        let traffic = |one: &One| {
            let weights = one.weights.as_ref().unwrap().weights.iter();
            let of_side = |side| {
                let mine = weights.clone().filter(move |weight| weight.side == side);
                mine.map(|weight| weight.weight).max()
            };
            (of_side(Side::New), of_side(Side::Old))
        };
        let back_to_all = traffic(&one);
        assert_eq!(back_to_all.1, Some(0), "{of}");
        assert!(back_to_all.0 > Some(0), "{of}");
        one.input(Input::Advised(back(), loops()));
        assert_eq!(one.end(&back()).status, DeploymentStatus::Halted, "{of}");
        one.pass(10_000);
        assert_eq!(
            traffic(&one),
            back_to_all,
            "{of}: it has what is taken back stopped"
        );
    }
}
