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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_values_that_do_not_fit_are_told_at_once_in_words_of_ours() {
    let rig = Rig::start().await;
    shop(&rig).await;
    let group = json!({
        "deploymentStyle": {"deploymentType": "BLUE_GREN"},
        "ec2TagFilters": {"Key": "role"},
        "x-croft": {"bakeMinutes": "10", "containers": {"ports": {"blue": 70000}},
            "verdicts": {"thresholds": [{"name": 5, "query": "up"}]}},
        "autoRollbackConfiguration": {"enabled": "yes"},
    });
    let path = "/v1/applications/shop/groups/canary";
    let problem = rig.send("PUT", path, &group).await.is(400).json();
    let places = problem["invalidParams"].as_array().unwrap().iter();
    let told = |place: &Value| format!("{} {}", place["pointer"], place["detail"]).replace('"', "");
    let mut told: Vec<String> = places.map(told).collect();
    told.sort();
    let wanted = [
        "#/autoRollbackConfiguration/enabled autoRollbackConfiguration.enabled: expected true or false, found the text `yes`",
        "#/deploymentStyle/deploymentType deploymentStyle.deploymentType: expected one of `IN_PLACE` and `BLUE_GREEN`, found the text `BLUE_GREN`; did you mean `BLUE_GREEN`?",
        "#/ec2TagFilters ec2TagFilters: expected a list, found a map; begin it with a hyphen, or put it in brackets",
        "#/x-croft/bakeMinutes x-croft.bakeMinutes: expected a whole number, found the text `10`; write it without quotes",
        "#/x-croft/containers/ports x-croft.containers.ports: `green` is missing, a whole number from 0 to 65535",
        "#/x-croft/containers/ports/blue x-croft.containers.ports.blue: expected a whole number from 0 to 65535, found the number 70000",
        "#/x-croft/verdicts/thresholds/0/name x-croft.verdicts.thresholds[0].name: expected a text, found the number 5; put the value in quotes: without them it is no text",
    ];
    assert_eq!(told, wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_the_farm_knows_to_be_wrong_has_its_place_too() {
    let rig = Rig::start().await;
    shop(&rig).await;
    for (path, body, status, pointer) in [
        (
            "/v1/applications/shop/groups/canary",
            json!({"deploymentConfigName": "nope"}),
            404,
            "#/deploymentConfigName",
        ),
        (
            "/v1/applications/nope/groups/canary",
            json!({"applicationName": "nope"}),
            404,
            "#/applicationName",
        ),
        (
            "/v1/applications/shop",
            json!({"computePlatform": "ECS"}),
            409,
            "#/computePlatform",
        ),
    ] {
        let problem = rig.send("PUT", path, &body).await.is(status).json();
        assert_eq!(pointers(&problem), [pointer], "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_that_are_none_are_refused_where_they_stand() {
    let rig = Rig::start().await;
    shop(&rig).await;
    let group = json!({"x-croft": {"verdicts": {
        "metrics": [{"name": "errors", "requests": "all", "bad": "all{code=\"500\""}],
        "thresholds": [{"name": "p50", "query": "p50", "max": 1}, {"name": "p99", "query": "p99{", "max": 1}],
    }}});
    let path = "/v1/applications/shop/groups/canary";
    let check = rig.send("POST", &format!("{path}/check"), &group).await;
    let problem = rig.send("PUT", path, &group).await.is(400).json();
    assert_eq!(pointers(&check.is(400).json()), pointers(&problem));
    assert_eq!(
        pointers(&problem),
        [
            "#/x-croft/verdicts/metrics/0/bad",
            "#/x-croft/verdicts/thresholds/1/query"
        ]
    );
    let said = problem["detail"].as_str().unwrap();
    assert!(said.contains("does not take this query"), "{said}");
    let within = &problem["invalidParams"][1]["within"];
    assert_eq!(within, &json!({"line": 1, "column": 5}));
    rig.get(path).await.is(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whether_a_document_would_be_taken_is_said_and_nothing_is_changed() {
    let rig = Rig::start().await;
    shop(&rig).await;
    for (path, body, places) in [
        ("/v1/applications/toys/check", json!({}), None),
        (
            "/v1/applications/shop/check",
            json!({"computePlatform": "ECS"}),
            Some(vec!["#/computePlatform"]),
        ),
        (
            "/v1/projects/web/check",
            json!({"environment": {"image": "x"}}),
            None,
        ),
        (
            "/v1/deployment-configs/CodeDeployDefault.X/check",
            json!({"minimumHealthyHosts": {"type": "HOST_COUNT", "value": 1}}),
            Some(vec![""]),
        ),
        ("/v1/applications/shop/groups/test/check", json!({}), None),
        (
            "/v1/applications/none/groups/test/check",
            json!({"applicationName": "none", "deploymentConfigName": "none"}),
            Some(vec!["#/applicationName", "#/deploymentConfigName"]),
        ),
        (
            "/v1/applications/none/groups/test/check?coming=applicationName,deploymentConfigName",
            json!({"applicationName": "none", "deploymentConfigName": "none"}),
            None,
        ),
        (
            "/v1/applications/shop/groups/test/check",
            json!({"deploymentConfigName": "CodeDeployDefault.ECSLinear10PercentEvery1Minutes"}),
            Some(vec!["#/deploymentConfigName"]),
        ),
    ] {
        let answer = rig.send("POST", path, &body).await;
        match places {
            None => assert_eq!(answer.is(200).json(), json!({}), "{path}"),
            Some(places) => {
                let problem = answer.json();
                let status = problem["status"].as_u64().unwrap();
                assert!((400..500).contains(&status), "{path} {problem}");
                if places != [""] {
                    assert_eq!(pointers(&problem), places, "{path} {problem}");
                }
            }
        }
    }
    let large = json!({"environment": {"image": "x"}, "source": {"type": "NO_SOURCE", "buildspec": "#".repeat(61 << 10)}});
    let large = rig.send("POST", "/v1/projects/web/check", &large).await;
    let said = large.is(400).json()["detail"].to_string();
    assert!(said.contains("an event holds 60 KiB"), "{said}");
    let groups = rig.get("/v1/applications/shop/groups").await.is(200).json();
    assert_eq!(groups["deploymentGroups"].as_array().unwrap().len(), 1);
    let asked = json!({"applicationName": "shop", "deploymentGroupName": "prod", "revision": {"digest": "ab".repeat(32)},
        "deploymentConfigName": "CodeDeployDefault.ECSCanary10Percent5Minutes"});
    let refused = rig.send("POST", "/v1/deployments", &asked).await.is(400);
    let detail = refused.json()["detail"].as_str().unwrap().to_string();
    assert!(detail.contains("moves traffic step by step"), "{detail}");
}
