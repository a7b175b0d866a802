//! Documents of what is deployed and built: what cannot be in them, and where it stands.

use serde_json::{Value, json};

use super::deployments::shop;
use super::rig::Rig;

/// Where the body is wrong.
fn pointers(problem: &Value) -> Vec<&str> {
    let places = problem["invalidParams"].as_array().unwrap().iter();
    places
        .map(|place| place["pointer"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_nobody_knows_is_refused_with_its_place_and_what_aws_has_is_said() {
    let rig = Rig::start().await;
    shop(&rig).await;
    let deployment = json!({"applicationName": "shop", "deploymentGroupName": "prod", "revision": {"digest": "a"},
        "updateOutdatedInstanceOnly": true});
    for (verb, path, body, pointer, said) in [
        (
            "PUT",
            "/v1/applications/toys",
            json!({"computPlatform": "ECS"}),
            "#/computPlatform",
            "did you mean `computePlatform`?",
        ),
        (
            "PUT",
            "/v1/applications/shop/groups/canary",
            json!({"ec2TagFilters": [{"Key": "role", "value": "web"}]}),
            "#/ec2TagFilters/0/value",
            "did you mean `Value`?",
        ),
        (
            "PUT",
            "/v1/deployment-configs/careful",
            json!({"minimumHealthyHosts": {"typ": "HOST_COUNT", "value": 1}}),
            "#/minimumHealthyHosts/typ",
            "did you mean `type`?",
        ),
        (
            "PUT",
            "/v1/projects/web",
            json!({"source": {"typ": "NO_SOURCE"}}),
            "#/source/typ",
            "did you mean `type`?",
        ),
        (
            "POST",
            "/v1/deployments",
            deployment,
            "#/updateOutdatedInstanceOnly",
            "did you mean `updateOutdatedInstancesOnly`?",
        ),
    ] {
        let problem = rig.send(verb, path, &body).await.is(400).json();
        assert_eq!(problem["code"], "InvalidInputException");
        let first = &problem["invalidParams"][0];
        assert_eq!(first["pointer"], pointer, "{problem}");
        assert!(
            first["detail"].as_str().unwrap().contains(said),
            "{problem}"
        );
        assert!(
            problem["detail"].as_str().unwrap().contains(said),
            "{problem}"
        );
    }
    let group = json!({"serviceRoleArn": "arn", "lastSuccessfulDeployment": {"deploymentId": "d"}});
    let taken = rig
        .send("PUT", "/v1/applications/shop/groups/canary", &group)
        .await;
    let notes = taken.is(201).json()["notes"].clone();
    assert_eq!(notes.as_array().unwrap().len(), 1, "{notes}");
    let tags = json!({"tags": [{"Key": "a", "Value": "b"}]});
    let taken = rig.send("PUT", "/v1/applications/toys", &tags).await;
    let notes = taken.is(201).json()["notes"].clone();
    assert!(
        notes[0].as_str().unwrap().starts_with("tags does nothing"),
        "{notes}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_is_wrong_with_a_group_is_said_at_once() {
    let rig = Rig::start().await;
    shop(&rig).await;
    let path = "/v1/applications/shop/groups/canary";
    let group = json!({
        "deploymentGroupName": "canary",
        "alarmConfiguration": {"enabled": true},
        "autoRollbackConfiguration": {"enabled": true},
        "x-croft": {"bakeMinutes": 9999, "verdicts": {"prometheus": "http://x"},
            "router": {"type": "script", "path": "/usr/bin/route", "host": "lb1"}},
    });
    let problem = rig.send("PUT", path, &group).await.is(400).json();
    let errors = problem["errors"].as_array().unwrap();
    for part in [
        "alarmConfiguration.alarms",
        "autoRollbackConfiguration.events",
        "x-croft.bakeMinutes",
        "x-croft.verdicts",
        "x-croft.router.host `lb1`",
    ] {
        let found = errors
            .iter()
            .any(|error| error.as_str().unwrap().contains(part));
        assert!(found, "{part}: {errors:?}");
    }
    let pointers = pointers(&problem);
    assert_eq!(pointers.len(), errors.len(), "{problem}");
    for pointer in ["#/x-croft/bakeMinutes", "#/x-croft/verdicts/prometheus"] {
        assert!(pointers.contains(&pointer), "{pointers:?}");
    }
    for (path, body, status, code) in [
        (
            path,
            json!({"deploymentConfigName": "none"}),
            404,
            "DeploymentConfigDoesNotExistException",
        ),
        (
            path,
            json!({"applicationName": "other"}),
            400,
            "InvalidInputException",
        ),
        (
            "/v1/applications/none/groups/x",
            json!({}),
            404,
            "ApplicationDoesNotExistException",
        ),
        (
            "/v1/applications/fn",
            json!({"computePlatform": "Lambda"}),
            400,
            "InvalidInputException",
        ),
        (
            "/v1/applications/shop",
            json!({"computePlatform": "ECS"}),
            409,
            "AlreadyExistsException",
        ),
        (
            "/v1/applications/shop",
            json!([]),
            400,
            "InvalidInputException",
        ),
    ] {
        let answer = rig.send("PUT", path, &body).await.is(status).json();
        assert_eq!(answer["code"], code, "{path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_are_named_and_that_the_group_has_not_are_said() {
    let rig = Rig::start().await;
    shop(&rig).await;
    let group = json!({
        "ec2TagFilters": [{"Key": "role", "Value": "web", "Type": "KEY_AND_VALUE"}],
        "x-croft": {
            "router": {"type": "haproxy", "socket": "/s", "backend": "web", "servers": {"web-9": "a"}},
            "verdicts": {"hosts": {"map": {"web-9": "10.0.0.9:80"}}},
        },
    });
    let path = "/v1/applications/shop/groups/canary";
    let taken = rig.send("PUT", path, &group).await.is(201).json();
    let notes: Vec<&str> = taken["notes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|note| note.as_str().unwrap())
        .collect();
    assert_eq!(
        notes,
        [
            "x-croft.router.servers.web-9: no host of that name belongs to the farm now",
            "x-croft.verdicts.hosts.map.web-9: no host of that name belongs to the farm now",
        ]
    );
    let colours = json!({"x-croft": {"router": {"type": "haproxy", "socket": "/s", "backend": "web",
        "servers": {"web/9": "a", "web-1": "b", "web-2": "b"}}}});
    let problem = rig.send("PUT", path, &colours).await.is(400).json();
    let pointers = pointers(&problem);
    assert_eq!(
        pointers,
        [
            "#/x-croft/router/servers/web-2",
            "#/x-croft/router/servers/web~19"
        ],
        "{problem}"
    );
}
