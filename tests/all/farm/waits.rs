//! Deployments that wait: whoever looks is told for whom or what, since when and what then, and nobody who is there waits for one who is not.

use std::path::Path;

use serde_json::{Value, json};

use super::deploy::{Fleet, alert, script, scripts};
use crate::harness::eventually;
use crate::harness::rig::{Rig, Size, http, in_size};

in_size!(waits SMALL, |plan| plan;
    a_host_that_is_not_heard_is_told_of_and_goes_back_last,
    a_balancer_that_cannot_be_told_is_named_with_what_it_says,
    what_a_stopped_release_leaves_is_told_with_how_to_go_back,
);

in_size!(waits_large LARGE, |plan| plan;
    a_host_that_is_not_heard_is_told_of_and_goes_back_last,
);

/// The waits of that kind of a deployment.
fn waits(fleet: &Fleet<'_>, id: &str, kind: &str) -> Vec<Value> {
    let info = fleet.info(id);
    let all = info["x-croft"]["waits"].as_array().cloned();
    let all = all.unwrap_or_default().into_iter();
    all.filter(|wait| wait["kind"] == kind).collect()
}

/// The hosts that each server says are not heard.
fn silent(fleet: &Fleet<'_>, id: &str) -> Vec<Value> {
    let token = format!("Bearer {}", fleet.rig.token);
    let path = format!("/v1/deployments/{id}");
    let of_one = |address: &String| {
        let headers = [("Authorization", token.as_str())];
        let answer = http::ask(address, "GET", &path, &headers, b"").unwrap();
        let info = &answer.json()["deploymentInfo"];
        let waits = info["x-croft"]["waits"].as_array().cloned();
        let hosts = waits.unwrap_or_default().into_iter();
        let hosts = hosts.filter(|wait| wait["kind"] == "host");
        Value::from_iter(hosts.map(|wait| wait["names"].clone()))
    };
    fleet.rig.addresses.iter().map(of_one).collect()
}

fn says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
}

fn a_host_that_is_not_heard_is_told_of_and_goes_back_last(rig: &mut Rig) {
    let (good, bad) = (scripts(rig, "good", "true"), scripts(rig, "bad", "true"));
    let hosts = ["web-1", "web-2", "web-3"];
    let more =
        json!({"alarmConfiguration": {"enabled": true, "alarms": [{"name": "TooManyErrors"}]}});
    let mut fleet = Fleet::start_with(rig, more, &hosts.map(|host| (host, 0)));
    let first = fleet.over(&fleet.deploy(&good));
    assert_eq!(first["status"], "Succeeded", "{first:#}");
    let id = fleet.deploy_with(&bad, &json!({"x-croft": {"bakeMinutes": 30}}));
    eventually("it bakes", || fleet.info(&id)["status"] == "Baking");
    // In a large farm it asks the second server, and the others the first.
    fleet.agents[1].kill();
    eventually("no server hears it, and all hear the others", || {
        let silent = silent(&fleet, &id);
        silent.iter().all(|hosts| *hosts == json!([["web-2"]]))
    });
    let told = waits(&fleet, &id, "host");
    assert!(told[0]["since"].is_number(), "{told:#?}");
    let got = fleet.rig.told(&["deployment", "get", &id]);
    says(
        &got,
        &[
            "web-2 is not heard",
            "since",
            "the bake: all hosts are done",
            "until",
        ],
    );
    let explained = fleet.rig.told(&["deployment", "explain", &id]);
    says(
        &explained,
        &[
            "so far    of its hosts 3 went well",
            "now       step 2 of 2",
            "waits     web-2 is not heard",
            "next      it has succeeded when this step is over",
            "an alarm or another detector speaks against it",
        ],
    );

    alert(&fleet, "TooManyErrors");
    let back = fleet.over(&id)["rollbackInfo"]["rollbackDeploymentId"].clone();
    let back = back.as_str().unwrap();
    eventually("those that are heard are back", || {
        ["web-1", "web-3"]
            .iter()
            .all(|host| fleet.started(host) == ["good", "bad", "good"])
    });
    eventually("it waits for the one that is not heard", || {
        waits(&fleet, back, "host")
            .iter()
            .any(|wait| wait["until"].is_number())
    });
    let targets = fleet.rig.told(&["deployment", "targets", back]);
    says(
        &targets,
        &[
            "EVENT STATUS",
            "it is not heard",
            "waits    web-2 is to run",
            "the event has failed then",
        ],
    );
    let explained = fleet.rig.told(&["deployment", "explain", back]);
    says(&explained, &["web-2 is to run", "is not taken back itself"]);
    fleet.agents[1].start();
    let over = fleet.over(back);
    assert_eq!(over["status"], "Succeeded", "{over:#}");
    assert!(over["x-croft"]["waits"].is_null(), "{over:#}");
    // A server knows what those have that came to it.
    if fleet.rig.plan.size == Size::Small {
        let group = fleet.rig.told(&["group", "get", "shop", "web"]);
        assert_eq!(group.matches(" yes").count(), 6, "{group}");
    }
}

/// A program in place of a balancer, that fails while something is there.
fn program(folder: &Path) -> Value {
    let program = folder.join("balancer.sh");
    let broken = folder.join("broken");
    let text = format!(
        "#!/bin/sh\ncat > /dev/null\nif test -e {0}; then echo the socket is gone >&2; exit 1; fi\n",
        broken.display()
    );
    script(&program, &text);
    json!({"type": "script", "path": program})
}

fn a_balancer_that_cannot_be_told_is_named_with_what_it_says(rig: &mut Rig) {
    let (one, two) = (scripts(rig, "one", "true"), scripts(rig, "two", "true"));
    let router = program(rig.folder());
    let broken = rig.folder().join("broken");
    let more = json!({
        "deploymentStyle": {"deploymentType": "IN_PLACE", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        "x-croft": {"bakeMinutes": 0, "router": router}});
    let fleet = Fleet::start_with(rig, more, &[("web-1", 0)]);
    assert_eq!(fleet.over(&fleet.deploy(&one))["status"], "Succeeded");
    std::fs::write(&broken, "").unwrap();
    let id = fleet.deploy(&two);
    eventually("its balancer cannot be told", || {
        !waits(&fleet, &id, "balancer").is_empty()
    });
    let wait = waits(&fleet, &id, "balancer").remove(0);
    let said = wait["message"].as_str().unwrap();
    says(
        said,
        &[
            "balancer.sh",
            "does not do as it is told",
            "the socket is gone",
        ],
    );
    assert!(wait["since"].is_number(), "{wait:#}");
    for command in ["get", "explain", "targets"] {
        let told = fleet.rig.told(&["deployment", command, &id]);
        says(&told, &["the socket is gone"]);
    }
    let told = fleet.rig.folder().join("told");
    let mut watching = fleet.rig.croft(&["deployment", "watch", &id]);
    watching.stdout(std::fs::File::create(&told).unwrap());
    let mut watching = watching.spawn().unwrap();
    let watched = || std::fs::read_to_string(&told).unwrap();
    eventually("who follows it is told", || {
        watched().contains("  waits: the balancer (the program")
    });
    std::fs::remove_file(&broken).unwrap();
    let over = fleet.over(&id);
    assert_eq!(over["status"], "Succeeded", "{over:#}");
    assert!(watching.wait().unwrap().success());
    says(
        &watched(),
        &["  over: the balancer", "Succeeded (1 succeeded"],
    );
}

fn what_a_stopped_release_leaves_is_told_with_how_to_go_back(rig: &mut Rig) {
    let good = scripts(rig, "good", "true");
    let slow = scripts(
        rig,
        "slow",
        "test $(basename \"$HOST_ROOT\") = web-1 && exit 0; while test ! -e \"$HOST_ROOT/go\"; do sleep 0.1; done",
    );
    let fleet = Fleet::start_with(rig, json!({}), &[("web-1", 0), ("web-2", 0)]);
    let first = fleet.deploy(&good);
    assert_eq!(fleet.over(&first)["status"], "Succeeded");
    let id = fleet.deploy(&slow);
    eventually("the second is in the middle of it", || {
        fleet.started("web-2") == ["good", "slow"]
    });
    let stopped = fleet.rig.told(&["deployment", "stop", &id]);
    says(
        &stopped,
        &[
            "web-1 with the revision of this deployment",
            "web-2 in the middle of it",
            "croft deployment rollback shop web",
        ],
    );
    let explained = fleet.rig.told(&["deployment", "explain", &id]);
    says(
        &explained,
        &[
            "left      it leaves web-1",
            "croft deployment rollback shop web",
        ],
    );
    let again = fleet.rig.ran(&["deployment", "stop", &id]);
    again.assert_code(5);
    says(&again.stderr, &["is over: Stopped since 20"]);
    let group = fleet.rig.told(&["group", "get", "shop", "web"]);
    says(&group, &[&format!("{id} "), " on 2"][..1]);
    assert_eq!(
        group.matches(&id).count(),
        2,
        "both have its files: {group}"
    );
    std::fs::write(fleet.root("web-2").join("go"), "").unwrap();
    let back = fleet
        .rig
        .ran(&["deployment", "rollback", "shop", "web", "--watch"]);
    back.assert_code(0);
    says(&back.stderr, &["croft: started d-"]);
    says(&back.text(), &["Succeeded (2 succeeded"]);
    for host in ["web-1", "web-2"] {
        assert_eq!(fleet.started(host).last().unwrap(), "good");
    }
}
