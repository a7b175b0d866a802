//! Deployments that are told to go on: those that wait for it do, and the others say what they do instead.

use serde_json::{Value, json};

use super::farm::{Farm, group, haproxy, id};
use super::one::One;
use crate::*;

/// What it does that is told to go on while those who watch say that; none when it takes the word.
fn said(one: &One, watchers: Watchers) -> Option<String> {
    let told = go_on(one.engine.state(), &id(1), watchers, "me");
    let refused = told.err()?.to_string();
    let begin = format!(
        "the deployment `{}` does not wait to be told to go on: ",
        id(1)
    );
    let doing = refused.strip_prefix(&begin);
    Some(doing.unwrap_or(&refused).to_string())
}

/// The same when they let it go, and when they hold it.
fn both(one: &One) -> [Option<String>; 2] {
    [Watchers::LetGo, Watchers::Hold].map(|watchers| said(one, watchers))
}

fn go(one: &mut One) {
    let intents = go_on(one.engine.state(), &id(1), Watchers::LetGo, "me").unwrap();
    assert!(one.farm.intend(&intents));
    one.settle();
}

/// Who said so is kept, and a word that was meant for one step does not let the next one through.
#[test]
fn who_told_it_to_go_on_is_shown_and_only_the_step_that_is_meant_goes_on() {
    let mut one = canary_first();
    one.deploy(1, "web", 2);
    one.answer(&[]);
    let step = one.engine.state().deployment(&id(1)).unwrap().step;
    let is_in = |one: &One, step| ask::is_in(one.engine.state(), &id(1), step);
    assert_eq!(is_in(&one, step), Ok(()));
    go(&mut one);
    let info = one.engine.state().deployment(&id(1)).unwrap().info();
    let told: Vec<_> = info
        .own
        .continued
        .iter()
        .map(|one| (one.by.as_str(), one.step))
        .collect();
    assert_eq!(told, [("me", step)]);
    assert_eq!(info.own.by.as_deref(), Some("me"));
    let times = info.own.step_times.len();
    assert_eq!(times, usize::try_from(info.own.step.unwrap()).unwrap() + 1);
    let refused = is_in(&one, step).unwrap_err().to_string();
    assert!(
        refused.ends_with("step 2 was meant, and it is in step 3 of 4"),
        "{refused}"
    );
}

const WAITS: [Option<String>; 2] = [None, None];

/// What holds may be waived, and nothing else.
fn only_held(doing: &str) -> [Option<String>; 2] {
    [Some(doing.to_string()), None]
}

fn never(doing: &str) -> [Option<String>; 2] {
    [Some(doing.to_string()), Some(doing.to_string())]
}

fn canary_first() -> One {
    let farm = Farm::new();
    farm.config(json!({"deploymentConfigName": "careful",
        "minimumHealthyHosts": {"type": "HOST_COUNT", "value": 0},
        "x-croft": {"canary": {"hosts": 1, "waitSeconds": 60}}}));
    farm.group(group(
        "web",
        json!({"deploymentConfigName": "careful", "x-croft": {"bakeMinutes": 5}}),
    ));
    for host in ["h1", "h2", "h3"] {
        farm.host(host, None);
    }
    One::new(farm)
}

#[test]
fn in_place_a_watch_and_the_bake_wait_and_hosts_that_run_do_not() {
    let mut one = canary_first();
    one.deploy(1, "web", 2);
    assert_eq!(both(&one), only_held("ApplicationStop runs on h1"));
    one.answer(&[]);
    assert_eq!(both(&one), WAITS, "the first one is watched");
    go(&mut one);
    // What was said ends that wait, and none of the next.
    assert_eq!(both(&one), only_held("ApplicationStop runs on h2, h3"));
    one.answer_one();
    let apart = "ApplicationStop runs on h3, DownloadBundle runs on h2";
    assert_eq!(both(&one), only_held(apart));
    one.answer(&[]);
    assert_eq!(both(&one), WAITS, "it bakes");
    go(&mut one);
    one.pass(1_000);
    let over = both(&one);
    let is_over = |said: &Option<String>| said.as_ref().is_some_and(|said| said.contains("over"));
    assert!(over.iter().all(is_over), "{over:?}");
}

#[test]
fn one_whose_hosts_others_have_or_whose_turn_it_is_not_says_so() {
    let farm = Farm::new();
    farm.group(group("tool", json!({})));
    farm.group(group("web", json!({"x-croft": {"busy": "QUEUE"}})));
    farm.host("h1", None);
    let mut one = One::new(farm);
    one.deploy(2, "tool", 2);
    one.deploy(1, "web", 2);
    assert_eq!(both(&one), only_held("1 of its hosts are to begin"));
    let mut one = One::with(json!({"x-croft": {"busy": "QUEUE"}}));
    one.deploy(2, "web", 2);
    one.deploy(1, "web", 3);
    assert_eq!(both(&one), never("it waits for its turn in its group"));
}

/// A release of containers, by what its traffic waits for before it moves.
fn containers(ready: &Value) -> One {
    let farm = Farm::new();
    farm.group(group("box", json!({"deploymentConfigName": "CodeDeployDefault.ECSAllAtOnce",
        "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        "blueGreenDeploymentConfiguration": {"deploymentReadyOption": ready,
            "terminateBlueInstancesOnDeploymentSuccess": {"action": "TERMINATE", "terminationWaitTimeInMinutes": 5}},
        "x-croft": {"router": haproxy(), "containers": {"ports": {"blue": 81, "green": 82}}}})));
    farm.host("h1", None);
    let mut one = One::new(farm);
    one.deploy(1, "box", 2);
    one
}

#[test]
fn with_two_sides_the_word_is_waited_for_before_traffic_and_in_the_bake() {
    let asks = json!({"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 5});
    let mut one = containers(&asks);
    assert_eq!(both(&one), only_held("DownloadBundle runs on h1"));
    one.answer(&[]);
    assert_eq!(both(&one), WAITS, "it is ready");
    go(&mut one);
    assert_eq!(both(&one), only_held("BeforeAllowTraffic runs on h1"));
    one.answer(&[]);
    let moving = "its traffic moves step by step, and the new revision gets 100 of 100";
    assert_eq!(both(&one), only_held(moving));
    // A hold of its traffic that is waived is waived once.
    let intents = go_on(one.engine.state(), &id(1), Watchers::Hold, "me").unwrap();
    assert!(one.farm.intend(&intents));
    one.settle();
    assert_eq!(both(&one), never("somebody has told it so already"));
    for _ in 0..3 {
        while let Some((deployment, step)) = one.routed.pop() {
            one.input(Input::Routed(deployment, step));
        }
        one.pass(60_000);
        one.answer(&[]);
    }
    assert_eq!(both(&one), WAITS, "it bakes, and the old side is kept");
}
