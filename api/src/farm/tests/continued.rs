//! Deployments that are told to go on, over HTTP: once, in the step that is meant, by whom; and those of very many hosts.

use std::time::Duration;

use serde_json::{Value, json};

use super::deployments::{enrolled, play, shop, start};
use super::rig::{PATIENCE, Rig};

async fn info(rig: &Rig, id: &str) -> Value {
    let answer = rig.get(&format!("/v1/deployments/{id}")).await;
    answer.is(200).json()["deploymentInfo"].clone()
}

async fn until(rig: &Rig, id: &str, is_so: impl Fn(&Value) -> bool) {
    let limit = tokio::time::Instant::now() + PATIENCE;
    loop {
        let info = info(rig, id).await;
        if is_so(&info) {
            return;
        }
        assert!(tokio::time::Instant::now() < limit, "{info:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_again_is_answered_as_before_and_lets_no_other_step_through() {
    let rig = Rig::start().await;
    let digest = shop(&rig).await;
    let careful = json!({"minimumHealthyHosts": {"type": "HOST_COUNT", "value": 0},
        "x-croft": {"canary": {"hosts": 1, "waitSeconds": 3600}}});
    rig.send("PUT", "/v1/deployment-configs/careful", &careful)
        .await
        .is(201);
    let group = json!({"deploymentConfigName": "careful",
        "ec2TagFilters": [{"Key": "role", "Value": "web", "Type": "KEY_AND_VALUE"}]});
    rig.send("PUT", "/v1/applications/shop/groups/prod", &group)
        .await
        .is(200);
    for host in ["web-1", "web-2"] {
        enrolled(&rig, host).await;
    }
    let id = start(&rig, &digest).await;
    tokio::select! {
        () = play(&rig, "web-1", &id, None) => panic!("the others are not begun"),
        () = play(&rig, "web-2", &id, None) => panic!("the others are not begun"),
        () = until(&rig, &id, |info| info["x-croft"]["step"] == 1) => {}
    }
    let path = format!("/v1/deployments/{id}/continue");
    let step = |number: u32| json!({"x-croft": {"step": number}});
    let wrong = rig.send("POST", &path, &step(0)).await.is(409).json();
    let said = wrong["detail"].as_str().unwrap();
    assert!(
        said.ends_with("step 1 was meant, and it is in step 2 of 4"),
        "{said}"
    );
    rig.send("POST", &path, &step(1)).await.is(200);
    until(&rig, &id, |info| info["x-croft"]["step"] == 2).await;
    // The answer was lost, and it is asked again: in the next step by now.
    let again = rig.send("POST", &path, &step(1)).await.is(200).json();
    let continued = again["deploymentInfo"]["x-croft"]["continued"]
        .as_array()
        .unwrap();
    assert_eq!(continued.len(), 1, "{continued:?}");
    assert_eq!(continued[0]["step"], 1);
    assert!(continued[0]["by"].as_str().is_some_and(|by| !by.is_empty()));
    let bad = rig.send("POST", &path, &json!({"step": 1})).await;
    bad.is(400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_very_many_hosts_those_that_are_not_shown_are_known_and_others_refused() {
    let rig = Rig::start().await;
    let digest = shop(&rig).await;
    let hosts: Vec<String> = (0..1_002)
        .map(|number| format!("web-{number:04}"))
        .collect();
    for host in &hosts {
        enrolled(&rig, host).await;
    }
    let id = start(&rig, &digest).await;
    until(&rig, &id, |info| info["startTime"].is_number()).await;
    let path = format!("/v1/deployments/{id}/targets");
    let shown = rig.get(&path).await.is(200).json();
    let shown = shown["deploymentTargets"].as_array().unwrap();
    assert_eq!(shown.len(), 1_000);
    let is_shown = |host: &&String| {
        let mut shown = shown.iter();
        shown.any(|target| target["instanceTarget"]["targetId"] == host.as_str())
    };
    let hidden = hosts.iter().find(|host| !is_shown(host)).unwrap();
    let output = |host: &str| format!("/v1/deployments/{id}/output?follow=false&host={host}");
    rig.get(&output(hidden)).await.is(200);
    let one = rig.get(&format!("{path}/{hidden}")).await.is(200).json();
    let one = &one["deploymentTargets"][0]["instanceTarget"];
    assert_eq!(one["targetId"], hidden.as_str());
    for path in [output("nope"), format!("{path}/nope")] {
        let refused = rig.get(&path).await.is(404).json();
        assert_eq!(refused["code"], "DeploymentTargetDoesNotExistException");
        let said = refused["detail"].as_str().unwrap();
        assert!(said.ends_with("and very many more"), "{said}");
    }
}
