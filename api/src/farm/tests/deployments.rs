//! Applications, groups, configurations, deployments and hosts, asked for over HTTP. A host is played by hand.

use std::time::Duration;

use croft_cache::{Id, Packs};
use croft_deploy::{Report, Said, host_subject};
use croft_ledger::Expected;
use croft_proto::deploy::{
    Diagnostics, EventStatus, HostCommand, HostEvent, LifecycleEvent, ScriptErrorCode, Tag,
};
use serde_json::{Value, json};

use super::super::deploy::{known, revisions};
use super::super::held::Need;
use super::super::metrics::Metrics;
use super::super::state::State;
use super::rig::{PATIENCE, Rig};

/// A farm with an application and a group of hosts with the tag `role=web`, and a revision in its store.
pub(super) async fn shop(rig: &Rig) -> String {
    rig.send("PUT", "/v1/applications/shop", &json!({}))
        .await
        .is(201);
    let group = json!({
        "deploymentConfigName": "CodeDeployDefault.AllAtOnce",
        "ec2TagFilters": [{"Key": "role", "Value": "web", "Type": "KEY_AND_VALUE"}],
        "autoRollbackConfiguration": {"enabled": true, "events": ["DEPLOYMENT_FAILURE"]},
    });
    rig.send("PUT", "/v1/applications/shop/groups/prod", &group)
        .await
        .is(201);
    rig.keep(&[("appspec.yml", b"version: 0.0\nos: linux\n")])
}

fn of(digest: &str) -> Value {
    json!({"applicationName": "shop", "deploymentGroupName": "prod", "revision": {"digest": digest}})
}

pub(super) async fn start(rig: &Rig, digest: &str) -> String {
    let started = rig.send("POST", "/v1/deployments", &of(digest)).await;
    let started = started.is(201).json();
    started["deploymentId"].as_str().unwrap().to_string()
}

/// The deployment once it is over.
async fn over(rig: &Rig, id: &str) -> Value {
    let path = format!("/v1/deployments/{id}?wait=complete&timeout=50");
    let answer = rig.get(&path).await.is(200).json();
    let info = answer["deploymentInfo"].clone();
    assert!(info["completeTime"].is_number(), "{info}");
    info
}

/// A host of the farm, as if it had been invited.
pub(super) async fn enrolled(rig: &Rig, name: &str) {
    let event = HostEvent::Enrolled {
        public_key: "00".repeat(32),
        tags: vec![Tag {
            key: "role".into(),
            value: "web".into(),
        }],
        zone: None,
        invitation: None,
    };
    let check = |_: &croft_deploy::State| Ok(Expected::NEW);
    let deploy = &rig.farm.deploy;
    let done = deploy.record(host_subject(name).unwrap(), event.into(), check);
    assert!(deploy.folded(done.await.unwrap().seq, PATIENCE).await);
}

/// Runs whatever the host is told, until it is told nothing for a moment after the deployment's last event; `fails` ends badly.
pub(super) async fn play(rig: &Rig, host: &str, id: &str, fails: Option<LifecycleEvent>) {
    play_so(rig, host, id, |event| match Some(event) == fails {
        true => Said::Ended(EventStatus::Failed, Some(Box::new(failure()))),
        false => Said::Ended(EventStatus::Succeeded, None),
    })
    .await;
}

/// The same with other ends of events.
pub(super) async fn play_so(
    rig: &Rig,
    host: &str,
    id: &str,
    ends: impl Fn(LifecycleEvent) -> Said,
) {
    let deploy = &rig.farm.deploy;
    loop {
        let commands: Vec<HostCommand> = deploy.take(host, Duration::from_millis(100)).await;
        for command in commands
            .into_iter()
            .filter(|command| command.deployment_id.as_str() == id)
        {
            for said in [Said::Started, ends(command.event)] {
                let report = Report {
                    host: host.into(),
                    deployment: command.deployment_id.clone(),
                    generation: command.generation,
                    event: command.event,
                    said,
                };
                while deploy.hear(report.clone()).await.unwrap() == croft_deploy::Answer::Later {}
            }
        }
        let info = rig
            .get(&format!("/v1/deployments/{id}"))
            .await
            .is(200)
            .json();
        if info["deploymentInfo"]["completeTime"].is_number() {
            return;
        }
    }
}

pub(super) fn failure() -> Diagnostics {
    Diagnostics {
        error_code: ScriptErrorCode::ScriptFailed,
        script_name: "scripts/start.sh".into(),
        message: "it ended with exit code 3".into(),
        log_tail: "no port\n".into(),
        script_from_deployment: None,
        printed: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applications_and_groups_are_made_changed_and_deleted() {
    let rig = Rig::start().await;
    shop(&rig).await;
    rig.send(
        "PUT",
        "/v1/applications/shop",
        &json!({"applicationName": "shop"}),
    )
    .await
    .is(200);
    let apps = rig.get("/v1/applications").await.is(200).json();
    assert_eq!(apps["applications"][0]["applicationName"], "shop");
    let path = "/v1/applications/shop/groups/prod";
    let first = rig.get(path).await.is(200).json()["deploymentGroupInfo"].clone();
    let id = first["deploymentGroupId"].as_str().unwrap();
    assert_eq!(id.len(), 36, "{first}");
    // What is printed may be applied again, and hosts know the group by the same id.
    let again = rig.send("PUT", path, &first).await.is(200).json();
    assert_eq!(again["deploymentGroupInfo"]["deploymentGroupId"], id);
    assert_eq!(again["notes"], json!([]));
    let noted = json!({"serviceRoleArn": "arn:aws:iam::1:role/x", "deploymentGroupId": "mine"});
    let noted = rig.send("PUT", path, &noted).await.is(200).json();
    assert_eq!(noted["notes"].as_array().unwrap().len(), 1);
    assert_eq!(noted["deploymentGroupInfo"]["deploymentGroupId"], id);
    let listed = rig.get("/v1/applications/shop/groups").await.is(200).json();
    assert_eq!(listed["deploymentGroups"][0]["deploymentGroupName"], "prod");
    let busy = rig
        .send("DELETE", "/v1/applications/shop", &json!({}))
        .await;
    assert!(busy.is(409).json()["detail"].to_string().contains("`prod`"));
    let deleted = rig.send("DELETE", path, &json!({})).await.is(200).json();
    assert_eq!(deleted, json!({"deleted": "prod", "notes": []}));
    rig.get(path).await.is(404);
    // Hosts find what they have of it under the same id.
    let made = rig.send("PUT", path, &json!({})).await.is(201).json();
    assert_eq!(made["deploymentGroupInfo"]["deploymentGroupId"], id);
    rig.send("DELETE", path, &json!({})).await.is(200);
    rig.send("DELETE", "/v1/applications/shop", &json!({}))
        .await
        .is(200);
    let gone = rig.get("/v1/applications/shop").await.is(404).json();
    assert_eq!(gone["code"], "ApplicationDoesNotExistException");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_group_is_judged_by_is_listed_and_tried() {
    let rig = Rig::start().await;
    shop(&rig).await;
    let group = json!({
        "alarmConfiguration": {"enabled": true, "alarms": [{"name": "TooManyErrors"}]},
        "x-croft": {"verdicts": {
            "metrics": [{"name": "errors", "requests": "all", "bad": "all{code=\"500\"}"}],
            "thresholds": [{"name": "p99", "query": "p99", "max": 1}],
        }},
    });
    let path = "/v1/applications/shop/groups/prod";
    rig.send("PUT", path, &group).await.is(200);
    let listed = rig.get(&format!("{path}/alarms")).await.is(200).json();
    let rows = listed["alarms"].as_array().unwrap();
    let names: Vec<String> = rows
        .iter()
        .map(|row| format!("{} {}", row["kind"], row["name"]).replace('"', ""))
        .collect();
    assert_eq!(
        names,
        [
            "external TooManyErrors",
            "metric errors.requests",
            "metric errors.bad",
            "threshold p99"
        ]
    );
    let path = format!("{path}/alarms/test");
    let tried = rig.send("POST", &path, &json!({})).await;
    let tried = tried.is(200).json();
    let states: Vec<&str> = tried["tried"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["INSUFFICIENT_DATA"; 3]);
    let none = "/v1/applications/shop/groups/none/alarms";
    rig.get(none).await.is(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configurations_never_change_and_stay_while_they_are_needed() {
    let rig = Rig::start().await;
    shop(&rig).await;
    let path = "/v1/deployment-configs/careful";
    let careful = json!({"minimumHealthyHosts": {"type": "FLEET_PERCENT", "value": 75}});
    rig.send("PUT", path, &careful).await.is(201);
    rig.send("PUT", path, &careful).await.is(200);
    let other = json!({"minimumHealthyHosts": {"type": "FLEET_PERCENT", "value": 50}});
    rig.send("PUT", path, &other).await.is(409);
    let all = rig.get("/v1/deployment-configs").await.is(200).json();
    let names = all["deploymentConfigs"].as_array().unwrap();
    assert_eq!(names.len(), 18);
    assert_eq!(names[17]["deploymentConfigName"], "careful");
    let of_aws = "/v1/deployment-configs/CodeDeployDefault.OneAtATime";
    rig.get(of_aws).await.is(200);
    rig.send("PUT", of_aws, &careful).await.is(400);
    rig.send("DELETE", of_aws, &json!({})).await.is(400);
    let group = "/v1/applications/shop/groups/prod";
    rig.send("PUT", group, &json!({"deploymentConfigName": "careful"}))
        .await
        .is(200);
    let used = rig.send("DELETE", path, &json!({})).await.is(409).json();
    assert!(used["detail"].to_string().contains("`shop/prod`"), "{used}");
    rig.send("PUT", group, &json!({})).await.is(200);
    rig.send("DELETE", path, &json!({})).await.is(200);
    rig.get(path).await.is(404);
    // The name is free again, also for another one.
    rig.send("PUT", path, &other).await.is(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_without_hosts_fails_and_says_so() {
    let rig = Rig::start().await;
    let digest = shop(&rig).await;
    let id = start(&rig, &digest).await;
    let info = over(&rig, &id).await;
    assert_eq!(info["status"], "Failed");
    assert_eq!(info["errorInformation"]["code"], "NO_INSTANCES");
    assert_eq!(
        info["revision"]["origin"]["revisionType"],
        "Local Directory"
    );
    let targets = rig.get(&format!("/v1/deployments/{id}/targets")).await;
    assert_eq!(targets.is(200).json()["deploymentTargets"], json!([]));
    let target = rig.get(&format!("/v1/deployments/{id}/targets/h1")).await;
    let none = target.is(404).json();
    assert_eq!(none["code"], "DeploymentTargetDoesNotExistException");
    for (path, code) in [
        ("stop", "DeploymentAlreadyCompletedException"),
        ("continue", "DeploymentAlreadyCompletedException"),
    ] {
        let path = format!("/v1/deployments/{id}/{path}");
        let answer = rig.send("POST", &path, &json!({})).await.is(409).json();
        assert_eq!(answer["code"], code);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_deployed_is_refused_with_awss_word() {
    let rig = Rig::start().await;
    let digest = shop(&rig).await;
    let with = |field: &str, value: Value| {
        let mut body = of(&digest);
        body[field] = value;
        body
    };
    let gone = json!({"digest": "ab".repeat(32)});
    let alarms = json!({"enabled": true, "alarms": []});
    for (body, status, code) in [
        (json!({}), 400, "InvalidInputException"),
        (
            with("revision", json!({"digest": "x"})),
            400,
            "InvalidInputException",
        ),
        (with("revision", gone), 400, "RevisionDoesNotExistException"),
        (
            with("deploymentGroupName", json!("x")),
            404,
            "DeploymentGroupDoesNotExistException",
        ),
        (
            with("deploymentConfigName", json!("x")),
            404,
            "DeploymentConfigDoesNotExistException",
        ),
        (
            with("overrideAlarmConfiguration", alarms),
            400,
            "InvalidInputException",
        ),
        (
            with("fileExistsBehavior", json!("KEEP")),
            400,
            "InvalidInputException",
        ),
    ] {
        let answer = rig.send("POST", "/v1/deployments", &body).await;
        let answer = answer.is(status).json();
        assert_eq!(answer["code"], code, "{answer}");
    }
    let none = json!({});
    let back = rig.send("POST", "/v1/applications/shop/groups/prod/rollback", &none);
    let back = back.await.is(409).json();
    assert_eq!(back["code"], "NothingToRollBackToException");
    for id in ["d-AAAAAAAAA", "nonsense"] {
        let none = rig
            .get(&format!("/v1/deployments/{id}"))
            .await
            .is(404)
            .json();
        assert_eq!(none["code"], "DeploymentDoesNotExistException");
    }
    rig.get("/v1/deployments?status=Good").await.is(400);
    rig.get("/v1/deployments?cursor=x").await.is(400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_twice_with_one_key_there_is_one_deployment() {
    let rig = Rig::start().await;
    let digest = shop(&rig).await;
    let ask = |key: &'static str, body: Value| {
        let (rig, token) = (&rig, Some(rig.admin.as_str()));
        async move {
            let headers = [("idempotency-key", key)];
            let asked = rig.ask("POST", "/v1/deployments", token, &headers, body.to_string());
            asked.await
        }
    };
    let first = ask("k", of(&digest)).await.is(201).json();
    over(&rig, first["deploymentId"].as_str().unwrap()).await;
    let second = ask("k", of(&digest)).await.is(200).json();
    assert_eq!(first["deploymentId"], second["deploymentId"]);
    let other = rig.keep(&[("appspec.yml", b"another")]);
    let mismatch = ask("k", of(&other)).await.is(409).json();
    assert_eq!(mismatch["code"], "IdempotencyParameterMismatch");
    ask("another", of(&digest)).await.is(201);
    let listed = rig.get("/v1/deployments?group=prod").await.is(200).json();
    assert_eq!(listed["deployments"].as_array().unwrap().len(), 2);
}

/// A server that has forgotten a deployment shows it as before, out of the ledger.
async fn is_folded_anew(rig: &Rig, id: &str) {
    let anew = known::anew(&*rig.farm.ledger, &id.parse().unwrap()).await;
    let anew = anew.unwrap().unwrap();
    let shown = rig.get(&format!("/v1/deployments/{id}")).await.json();
    let info = serde_json::to_value(&anew.info).unwrap();
    assert_eq!(info, shown["deploymentInfo"]);
    let targets = rig
        .get(&format!("/v1/deployments/{id}/targets"))
        .await
        .json();
    let targets = targets["deploymentTargets"].as_array().unwrap().clone();
    let targets: Vec<&Value> = targets.iter().map(|one| &one["instanceTarget"]).collect();
    assert_eq!(anew.targets.iter().collect::<Vec<_>>(), targets);
    assert!(!targets.is_empty());
}

/// A server that has just come keeps what a group may go back to, and nothing else.
async fn all_is_kept(rig: &Rig, good: &str, bad: &str) {
    let mut farm = rig.farm.clone();
    farm.registry = prometheus::Registry::new();
    let metrics = Metrics::new(&farm.registry).unwrap();
    let (notes, _noted) = tokio::sync::mpsc::channel(1);
    let state = State::new(farm, metrics, notes);
    assert!(revisions::keep_all(&state).await);
    let need = Need {
        now: rig.now(),
        ms: 12 * 60 * 60 * 1000,
    };
    let is_kept = |digest: &str| state.held.covers(&Id::parse(digest).unwrap(), need);
    assert!(is_kept(good) && !is_kept(bad));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_fails_is_told_with_its_script_and_the_group_is_taken_back() {
    let rig = Rig::start().await;
    let good = shop(&rig).await;
    enrolled(&rig, "h1").await;
    let first = start(&rig, &good).await;
    play(&rig, "h1", &first, None).await;
    assert_eq!(over(&rig, &first).await["status"], "Succeeded");
    let path = format!("/v1/deployments/{first}/targets/h1");
    let target = rig.get(&path).await.is(200).json();
    let target = &target["deploymentTargets"][0]["instanceTarget"];
    assert_eq!(target["status"], "Succeeded");
    let events = target["lifecycleEvents"].as_array().unwrap();
    assert!(events.len() > 3, "{events:?}");
    for event in events {
        assert!(
            event["startTime"].as_f64() <= event["endTime"].as_f64(),
            "{event}"
        );
    }
    let bad = rig.keep(&[("appspec.yml", b"bad")]);
    let second = start(&rig, &bad).await;
    play(&rig, "h1", &second, Some(LifecycleEvent::ApplicationStart)).await;
    let info = over(&rig, &second).await;
    assert_eq!(info["status"], "Failed");
    let failure = &info["errorInformation"]["x-croft-firstFailure"];
    assert_eq!(failure["scriptName"], "scripts/start.sh");
    let path = format!("/v1/deployments/{second}/targets/h1");
    let target = rig.get(&path).await.is(200).json();
    let events = &target["deploymentTargets"][0]["instanceTarget"]["lifecycleEvents"];
    let failed = events.as_array().unwrap().last().unwrap();
    assert_eq!(failed["diagnostics"]["logTail"], "no port\n", "{failed}");
    let back = info["rollbackInfo"]["rollbackDeploymentId"]
        .as_str()
        .unwrap();
    play(&rig, "h1", back, None).await;
    let info = over(&rig, back).await;
    assert_eq!(info["status"], "Succeeded");
    assert_eq!(info["creator"], "codeDeployRollback");
    assert_eq!(info["revision"]["digest"], good.as_str());
    for id in [first.as_str(), second.as_str(), back] {
        is_folded_anew(&rig, id).await;
    }
    all_is_kept(&rig, &good, &bad).await;
    let pages: Vec<Value> = [
        rig.get("/v1/deployments?limit=2").await.is(200).json(),
        rig.get("/v1/deployments?status=Failed&application=shop")
            .await
            .is(200)
            .json(),
    ]
    .into();
    let ids = |page: &Value| -> Vec<String> {
        let rows = page["deployments"].as_array().unwrap();
        rows.iter()
            .map(|row| row["deploymentId"].as_str().unwrap().to_string())
            .collect()
    };
    assert_eq!(ids(&pages[0]), [back, second.as_str()]);
    assert_eq!(ids(&pages[1]), [second.as_str()]);
    let cursor = pages[0]["nextToken"].as_str().unwrap();
    let rest = rig
        .get(&format!("/v1/deployments?limit=2&cursor={cursor}"))
        .await;
    let rest = rest.is(200).json();
    assert_eq!(ids(&rest), [first.as_str()]);
    assert_eq!(rest["nextToken"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_a_deployment_is_waited_for_and_a_stop_ends_it() {
    let rig = Rig::start().await;
    let digest = shop(&rig).await;
    enrolled(&rig, "h1").await;
    let id = start(&rig, &digest).await;
    let path = format!("/v1/deployments/{id}");
    let mut seen = rig.get(&path).await.is(200).json();
    // Until the host is told something, nothing happens by itself.
    while rig
        .farm
        .deploy
        .take("h1", Duration::from_millis(100))
        .await
        .is_empty()
    {}
    loop {
        let seq = &seen["lastSeq"];
        let quiet = rig
            .get(&format!("{path}?wait=change&seq={seq}&timeout=1"))
            .await;
        let quiet = quiet.is(200).json();
        if quiet["lastSeq"] == *seq {
            break;
        }
        seen = quiet;
    }
    let busy = rig.send("POST", "/v1/deployments", &of(&digest)).await;
    let busy = busy.is(409).json();
    assert_eq!(busy["code"], "DeploymentLimitExceededException");
    let none = json!({});
    let held = rig.send("DELETE", "/v1/applications/shop/groups/prod", &none);
    assert!(
        held.await.is(409).json()["detail"]
            .to_string()
            .contains(&id)
    );
    rig.get(&format!("{path}?wait=forever")).await.is(400);
    let waiting = format!("{path}?wait=change&seq={}&timeout=50", seen["lastSeq"]);
    let stopping = format!("{path}/stop");
    let asked = json!({"autoRollbackEnabled": false});
    let (changed, stopped) = tokio::join!(rig.get(&waiting), rig.send("POST", &stopping, &asked));
    stopped.is(200);
    assert_eq!(
        changed.is(200).json()["deploymentInfo"]["status"],
        "Stopped"
    );
    let info = over(&rig, &id).await;
    assert_eq!(info["errorInformation"]["code"], "MANUAL_STOP");
}

/// What a group's hosts have.
async fn instances(rig: &Rig) -> Value {
    let group = rig.get("/v1/applications/shop/groups/prod").await;
    let group = group.is(200).json();
    group["deploymentGroupInfo"]["x-croft-state"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_waited_for_what_is_left_and_what_each_host_has_is_shown() {
    let rig = Rig::start().await;
    let good = shop(&rig).await;
    enrolled(&rig, "h1").await;
    enrolled(&rig, "h2").await;
    let first = start(&rig, &good).await;
    tokio::join!(
        play(&rig, "h1", &first, None),
        play(&rig, "h2", &first, None)
    );
    let state = instances(&rig).await;
    assert_eq!(state["revisions"], json!([{"revision": good, "hosts": 2}]));
    let bad = rig.keep(&[("appspec.yml", b"bad")]);
    let second = start(&rig, &bad).await;
    let path = format!("/v1/deployments/{second}");
    let info = rig.get(&path).await.is(200).json()["deploymentInfo"].clone();
    let waits = &info["x-croft"]["waits"];
    assert_eq!(waits[0]["kind"], "event", "{info:#}");
    assert_eq!(waits[0]["names"], json!(["h1", "h2"]));
    assert_eq!(info["x-croft"]["rollbackOn"], json!(["DEPLOYMENT_FAILURE"]));
    let targets = rig.get(&format!("{path}/targets")).await.is(200).json();
    assert_eq!(&targets["waits"], waits);
    let target = &targets["deploymentTargets"][0]["instanceTarget"];
    assert_eq!(&target["x-croft"]["waits"], waits);
    // One of them installs it, and then somebody stops it.
    until_installed(&rig, "h1", &second).await;
    let none = json!({});
    let stopped = rig.send("POST", &format!("{path}/stop"), &none).await;
    let stopped = stopped.is(200).json()["deploymentInfo"].clone();
    let left = &stopped["x-croft"]["left"];
    assert_eq!(left["between"], json!(["h1", "h2"]), "{stopped:#}");
    let advice = left["advice"].as_str().unwrap();
    assert!(
        advice.starts_with("croft deployment rollback shop prod"),
        "{advice}"
    );
    for what in ["stop", "continue"] {
        let again = rig.send("POST", &format!("{path}/{what}"), &none).await;
        let again = again.is(409).json();
        assert_eq!(again["code"], "DeploymentAlreadyCompletedException");
        let detail = again["detail"].as_str().unwrap();
        assert!(detail.contains("is over: Stopped since 20"), "{detail}");
    }
    let state = instances(&rig).await;
    assert_eq!(
        (&state["hosts"], &state["hostsOnTarget"]),
        (&json!(2), &json!(1))
    );
    let of = |number: usize| state["instances"][number].clone();
    assert_eq!(
        (&of(0)["revision"], &of(0)["deploymentId"]),
        (&json!(bad), &json!(second))
    );
    assert_eq!(
        (&of(1)["revision"], &of(1)["deploymentId"]),
        (&json!(good), &json!(first))
    );
    assert_eq!(
        (&of(0)["onTarget"], &of(1)["onTarget"]),
        (&json!(false), &json!(true))
    );
    who_has_gone_is_not_counted(&rig, &bad).await;
    let roll_back = "/v1/applications/shop/groups/prod/rollback";
    let back = rig.send("POST", roll_back, &none).await.is(201).json();
    let by_hand = back["deploymentId"].as_str().unwrap().to_string();
    assert_ne!(by_hand, second);
    assert_eq!(back["deploymentInfo"]["revision"]["digest"], good);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_that_stops_a_release_answers_with_what_takes_it_back() {
    let rig = Rig::start().await;
    let good = shop(&rig).await;
    enrolled(&rig, "h1").await;
    let first = start(&rig, &good).await;
    play(&rig, "h1", &first, None).await;
    let bad = rig.keep(&[("appspec.yml", b"bad")]);
    let second = start(&rig, &bad).await;
    until_installed(&rig, "h1", &second).await;
    let roll_back = "/v1/applications/shop/groups/prod/rollback";
    let back = rig.send("POST", roll_back, &json!({})).await.is(201).json();
    let info = &back["deploymentInfo"];
    assert_eq!(info["creator"], "codeDeployRollback", "{back:#}");
    assert_eq!(
        info["rollbackInfo"]["rollbackTriggeringDeploymentId"],
        second
    );
    assert_eq!(
        over(&rig, &second).await["rollbackInfo"]["rollbackDeploymentId"],
        back["deploymentId"]
    );
}

async fn who_has_gone_is_not_counted(rig: &Rig, bad: &str) {
    let gone = rig.send("DELETE", "/v1/hosts/h2", &json!({})).await;
    gone.is(200);
    let state = instances(rig).await;
    assert_eq!(
        (&state["hosts"], &state["hostsDeployedTo"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(state["revisions"], json!([{"revision": bad, "hosts": 1}]));
}

/// Plays a host until it has installed the deployment's revision.
async fn until_installed(rig: &Rig, host: &str, id: &str) {
    let deploy = &rig.farm.deploy;
    loop {
        for command in deploy.take(host, Duration::from_millis(100)).await {
            if command.deployment_id.as_str() != id {
                continue;
            }
            for said in [Said::Started, Said::Ended(EventStatus::Succeeded, None)] {
                let report = Report {
                    host: host.into(),
                    deployment: command.deployment_id.clone(),
                    generation: command.generation,
                    event: command.event,
                    said,
                };
                while deploy.hear(report.clone()).await.unwrap() == croft_deploy::Answer::Later {}
            }
            if command.event == LifecycleEvent::Install {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_some_applications_sees_and_deploys_only_those() {
    let rig = Rig::start().await;
    let digest = shop(&rig).await;
    let id = start(&rig, &digest).await;
    over(&rig, &id).await;
    let (_, other) = rig.token("deployer", &["blog"]).await;
    let (_, own) = rig.token("deployer", &["shop"]).await;
    let path = format!("/v1/deployments/{id}");
    for (token, seen, status) in [(&other, 0, 404), (&own, 1, 200)] {
        let token = Some(token.as_str());
        let get = async |path: &str| rig.ask("GET", path, token, &[], "").await;
        get(&path).await.is(status);
        get(&format!("{path}/targets")).await.is(status);
        let apps = get("/v1/applications").await.is(200).json();
        assert_eq!(apps["applications"].as_array().unwrap().len(), seen);
        let all = get("/v1/deployments").await.is(200).json();
        assert_eq!(all["deployments"].as_array().unwrap().len(), seen);
    }
    let body = of(&digest).to_string();
    let refused = rig.ask("POST", "/v1/deployments", Some(&other), &[], body.clone());
    refused.await.is(403);
    let refused = rig.ask("GET", "/v1/applications/shop", Some(&other), &[], "");
    refused.await.is(403);
    rig.ask("POST", "/v1/deployments", Some(&own), &[], body)
        .await
        .is(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_shown_with_its_groups_and_is_given_other_tags() {
    let rig = Rig::start().await;
    shop(&rig).await;
    enrolled(&rig, "h1").await;
    let host = rig.get("/v1/hosts/h1").await.is(200).json()["host"].clone();
    assert_eq!(host["tags"], json!([{"Key": "role", "Value": "web"}]));
    assert_eq!(host["deploymentGroups"][0]["deploymentGroupName"], "prod");
    let tags = json!({"tags": [{"Key": "role", "Value": "db"}, {"Key": "new"}]});
    let told = rig.send("PUT", "/v1/hosts/h1/tags", &tags).await.is(200);
    assert_eq!(told.json()["host"]["deploymentGroups"], json!([]));
    let twice = json!({"tags": [{"Key": "a"}, {"Key": "a"}, {"Key": ""}]});
    let wrong = rig.send("PUT", "/v1/hosts/h1/tags", &twice).await.is(400);
    assert_eq!(wrong.json()["errors"].as_array().unwrap().len(), 2);
    let none = rig.send("PUT", "/v1/hosts/none/tags", &tags).await.is(404);
    assert_eq!(none.json()["code"], "InstanceDoesNotExistException");
    rig.get("/v1/hosts/none").await.is(404);
}

#[tokio::test]
async fn what_a_build_made_is_deployed_and_nothing_else_of_it() {
    let rig = Rig::start().await;
    shop(&rig).await;
    enrolled(&rig, "web-1").await;
    rig.project("web").await;
    let of_build = |build: &str| {
        json!({"applicationName": "shop", "deploymentGroupName": "prod",
            "revision": {"origin": {"revisionType": "Build", "buildId": build}}})
    };
    let ask = async |build: &str| rig.send("POST", "/v1/deployments", &of_build(build)).await;
    let (running, id) = rig.build("web").await;
    let early = ask(&running).await.is(400).json();
    assert!(
        early["detail"].to_string().contains("not over yet"),
        "{early}"
    );
    let bare = rig.keep(&[("build.log", b"a log"), ("artifacts/index.html", b"hello")]);
    rig.settle(id, &running, Some(bare)).await;
    let settled = async |id: &str| {
        let path = format!("/v1/builds/{id}?wait=complete&timeout=50");
        rig.get(&path).await.is(200);
    };
    settled(&running).await;
    let bare = ask(&running).await.is(400).json();
    assert!(
        bare["detail"].to_string().contains("no `appspec.yml`"),
        "{bare}"
    );

    let (built, id) = rig.build("web").await;
    let spec: (&str, &[u8]) = ("appspec.yml", b"version: 0.0\nos: linux\n");
    let page: (&str, &[u8]) = ("index.html", b"hello");
    let kept = rig.keep(&[
        ("build.log", b"a log"),
        ("artifacts/appspec.yml", spec.1),
        ("artifacts/index.html", page.1),
    ]);
    rig.settle(id, &built, Some(kept)).await;
    settled(&built).await;
    let (_, stranger) = rig.token("deployer", &["shop"]).await;
    let body = of_build(&built).to_string();
    let denied = rig.ask("POST", "/v1/deployments", Some(&stranger), &[], body);
    denied.await.is(404);
    let started = ask(&built).await.is(201).json();
    let revision = &started["deploymentInfo"]["revision"];
    assert_eq!(
        revision["origin"],
        json!({"revisionType": "Build", "buildId": built})
    );
    let digest = Id::parse(revision["digest"].as_str().unwrap()).unwrap();
    let tree = rig.farm.kept.tree(&digest, rig.now()).unwrap().unwrap();
    let files = rig.farm.kept.files(&tree, &Packs::default()).unwrap();
    let names = files.entries().iter().map(|entry| entry.path.display());
    let names: Vec<String> = names.map(|name| name.to_string()).collect();
    assert_eq!(names, ["appspec.yml", "index.html"]);

    let none = ask("web:00000000-0000-4000-8000-000000000000").await;
    none.is(404);

    // Nobody's files pass for a build's.
    let forged = rig.keep(&[("appspec.yml", spec.1), ("index.html", b"forged")]);
    let mut body = of_build(&built);
    body["revision"]["digest"] = json!(forged.to_string());
    let refused = rig.send("POST", "/v1/deployments", &body).await.is(400);
    assert_eq!(refused.json()["code"], "InvalidRevisionException");
    body["revision"]["digest"] = revision["digest"].clone();
    let busy = rig.send("POST", "/v1/deployments", &body).await.is(409);
    assert_eq!(busy.json()["code"], "DeploymentLimitExceededException");
}
