//! Who waits, why, and who goes first.

use serde_json::{Value, json};

use crate::harness::eventually;
use crate::harness::rig::{Rig, commands, each_size};

each_size!(small large |plan| plan.slots("1");
    beyond_a_projects_limit_builds_are_refused_or_wait,
    drained_workers_take_nothing_and_higher_priorities_go_first,
);

/// Makes a project, or configures it anew.
#[track_caller]
fn project(rig: &Rig, name: &str, command: &str, more: &Value) {
    let mut project = json!({
        "name": name,
        "source": {"type": "NO_SOURCE", "buildspec": commands(&[command])},
        "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": {"type": "LINUX_CONTAINER", "image": "sandbox", "computeType": "BUILD_GENERAL1_SMALL"},
    });
    for (name, value) in more.as_object().unwrap() {
        project[name] = value.clone();
    }
    let made = rig.ask("PUT", &format!("/v1/projects/{name}"), &project.to_string());
    assert!(matches!(made.status, 200 | 201), "{}", made.text());
}

fn beyond_a_projects_limit_builds_are_refused_or_wait(rig: &mut Rig) {
    let sleep = format!("sleep {}", rig.seconds(900));
    project(rig, "refusing", &sleep, &json!({"concurrentBuildLimit": 1}));
    let queues = json!({"concurrentBuildLimit": 1, "x-croft": {"concurrencyMode": "QUEUE", "pool": "nobody"}});
    project(rig, "queueing", "true", &queues);

    let running = rig.start_build(&json!({"projectName": "refusing"}));
    rig.until_sleeping(900, 1);
    let refused = rig.ask(
        "POST",
        "/v1/builds",
        &json!({"projectName": "refusing"}).to_string(),
    );
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(
        refused.json()["code"],
        "AccountLimitExceededException",
        "{}",
        refused.text()
    );
    rig.told(&["build", "stop", &running]);
    rig.over_as(&running, "STOPPED", 1);
    // What is over does not count any more.
    let after = rig.start_build(&json!({"projectName": "refusing"}));
    rig.told(&["build", "stop", &after]);
    rig.over(&after);

    let queued = rig.start_build(&json!({"projectName": "queueing"}));
    eventually("there is no worker for it", || {
        why(rig, &queued) == "noWorker"
    });
    let told = rig.told(&["build", "explain", &queued]);
    assert!(
        told.contains("no worker is there for pool `nobody`"),
        "{told}"
    );
    rig.told(&["build", "stop", &queued]);

    project(
        rig,
        "queueing",
        &sleep,
        &json!({"concurrentBuildLimit": 1, "x-croft": {"concurrencyMode": "QUEUE"}}),
    );
    let first = rig.start_build(&json!({"projectName": "queueing"}));
    rig.until_sleeping(900, 1);
    let second = rig.start_build(&json!({"projectName": "queueing"}));
    eventually("the limit stands against it", || {
        why(rig, &second) == "limit"
    });
    let told = rig.told(&["build", "explain", &second]);
    assert!(told.contains("concurrentBuildLimit"), "{told}");
    rig.told(&["build", "stop", &first]);
    eventually("it runs", || rig.stage(&second) == "running");
    rig.told(&["build", "stop", &second]);
    rig.over_as(&first, "STOPPED", 1);
    rig.over_as(&second, "STOPPED", 1);
    rig.assert_nothing_left();
}

/// Why a build waits; nothing when it does not.
fn why(rig: &Rig, id: &str) -> String {
    let explained = rig.get(&format!("/v1/builds/{id}/explain"));
    explained["why"]["reason"]
        .as_str()
        .unwrap_or_default()
        .to_string()
}

fn drained_workers_take_nothing_and_higher_priorities_go_first(rig: &mut Rig) {
    let workers = rig.told(&["worker", "list", "-o", "name"]);
    let workers: Vec<&str> = workers.lines().collect();
    for worker in &workers {
        rig.told(&["worker", "drain", worker]);
    }
    eventually("nobody offers anything", || free_slots(rig) == 0);
    let listed = rig.told_json(&["worker", "list"]);
    assert!(
        listed
            .as_array()
            .unwrap()
            .iter()
            .all(|worker| worker["draining"] == true),
        "{listed:#}"
    );

    let source = rig.source("ranked", &commands(&["true"]));
    let submit = |priority: &str| rig.detach(&source, &["--priority", priority]);
    let ids: Vec<String> = ["1", "0", "4", "2", "4", "3"]
        .into_iter()
        .map(submit)
        .collect();
    for id in &ids {
        assert_eq!(rig.stage(id), "waiting");
    }
    // One worker alone, with one slot: what it takes first was first.
    rig.told(&["worker", "resume", workers[0]]);
    for id in &ids {
        rig.over_as(id, "SUCCEEDED", 1);
    }
    let mut order: Vec<(f64, usize)> = Vec::new();
    for (index, id) in ids.iter().enumerate() {
        let explained = rig.get(&format!("/v1/builds/{id}/explain"));
        let timeline = explained["timeline"].as_array().unwrap();
        let claimed = timeline
            .iter()
            .find(|moment| moment["event"] == "attemptStarted")
            .unwrap();
        order.push((claimed["at"].as_f64().unwrap(), index));
    }
    order.sort_by(|one, other| one.0.total_cmp(&other.0));
    let order: Vec<usize> = order.into_iter().map(|(_, index)| index).collect();
    // Hints for what was there first may be out already: so many as there are slots, and two.
    let place = |index: usize| order.iter().position(|at| *at == index).unwrap();
    assert!(place(2) < place(4), "equals go in their order: {order:?}");
    assert!(place(4) < place(5) && place(5) < place(3), "{order:?}");
    rig.assert_nothing_left();
}

pub(super) fn free_slots(rig: &Rig) -> u64 {
    let queue = rig.get("/v1/queue");
    let pools = queue["pools"].as_array().unwrap();
    pools
        .iter()
        .map(|pool| pool["slotsFree"].as_u64().unwrap())
        .sum()
}
