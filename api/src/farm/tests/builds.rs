//! Builds and projects: started, listed, waited for, ended, started again.

use serde_json::{Value, json};

use super::rig::Rig;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_is_made_shown_configured_anew_and_deleted() {
    let rig = Rig::start().await;
    let body = json!({"environment": {"image": "alpine"}, "vpcConfig": {"vpcId": "x"}});
    let made = rig.send("PUT", "/v1/projects/web", &body).await.is(201);
    assert_eq!(made.json()["project"]["name"], "web");
    assert!(
        made.json()["notes"][0]
            .as_str()
            .unwrap()
            .contains("vpcConfig")
    );
    rig.send("PUT", "/v1/projects/web", &body).await.is(200);
    rig.get("/v1/projects/web").await.is(200);
    rig.send("PUT", "/v1/projects/web", &json!({"name": "other"}))
        .await
        .is(400);
    let wrong = json!({"timeoutInMinutes": 1, "queuedTimeoutInMinutes": 1});
    let wrong = rig.send("PUT", "/v1/projects/web", &wrong).await.is(400);
    assert_eq!(wrong.json()["errors"].as_array().unwrap().len(), 2);
    rig.send("DELETE", "/v1/projects/web", &json!({}))
        .await
        .is(200);
    rig.get("/v1/projects/web").await.is(404);
    rig.send("DELETE", "/v1/projects/web", &json!({}))
        .await
        .is(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_is_started_found_by_each_of_its_names_and_stopped() {
    let rig = Rig::start().await;
    rig.project("web").await;
    let started = rig
        .send("POST", "/v1/builds", &json!({"projectName": "web"}))
        .await
        .is(201);
    let build = started.json()["build"].clone();
    assert_eq!(build["currentPhase"], "QUEUED");
    assert_eq!(build["buildStatus"], "IN_PROGRESS");
    assert_eq!(build["x-croft"]["stage"], "waiting");
    let (id, arn) = (
        build["id"].as_str().unwrap(),
        build["arn"].as_str().unwrap(),
    );
    let alone = id.split_once(':').unwrap().1;
    for name in [id, alone, &arn.replace('/', "%2F")] {
        let found = rig.get(&format!("/v1/builds/{name}")).await.is(200).json();
        assert_eq!(found["build"]["id"], id);
    }
    let why = rig
        .get(&format!("/v1/builds/{id}/explain"))
        .await
        .is(200)
        .json();
    assert_eq!(why["why"]["reason"], "noWorker", "{why}");
    let queue = rig.get("/v1/queue").await.is(200).json();
    assert_eq!(queue["pools"][0]["waiting"], 1, "{queue}");
    let stop = format!("/v1/builds/{id}/stop");
    let stopped = rig.send("POST", &stop, &json!({})).await.is(200).json();
    assert_eq!(stopped["build"]["buildStatus"], "STOPPED");
    // A build that is over is as it is, and no error.
    let again = rig.send("POST", &stop, &json!({})).await.is(200).json();
    assert_eq!(again["build"]["buildStatus"], "STOPPED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_is_answered_with_what_is_shown_later() {
    let rig = Rig::start().await;
    rig.project("web").await;
    let asked = json!({"projectName": "web", "sourceVersion": "main", "x-croft": {"priority": 1}});
    let started = rig.send("POST", "/v1/builds", &asked).await.is(201).json();
    let id = started["build"]["id"].as_str().unwrap();
    let later = rig.get(&format!("/v1/builds/{id}")).await.is(200).json();
    assert_eq!(started, later);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_is_started_as_its_project_is_configured_now() {
    let rig = Rig::start().await;
    for image in ["alpine", "debian", "alpine"] {
        let project = json!({"environment": {"image": image}});
        let applied = rig.send("PUT", "/v1/projects/web", &project).await;
        let seq = applied.seq();
        let seq = [("croft-seq", seq.as_str())];
        for _ in 0..2 {
            let body = json!({"projectName": "web"}).to_string();
            let started = rig
                .ask("POST", "/v1/builds", Some(&rig.admin), &seq, body)
                .await
                .is(201)
                .json();
            assert_eq!(started["build"]["environment"]["image"], image);
        }
    }
    rig.send("DELETE", "/v1/projects/web", &json!({}))
        .await
        .is(200);
    rig.send("POST", "/v1/builds", &json!({"projectName": "web"}))
        .await
        .is(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_twice_with_one_token_there_is_one_build() {
    let rig = Rig::start().await;
    rig.project("web").await;
    let body = json!({"projectName": "web"}).to_string();
    let key = [("idempotency-key", "k1")];
    let ask = |body: String| rig.ask("POST", "/v1/builds", Some(&rig.admin), &key, body);
    let first = ask(body.clone()).await.is(201).json();
    let second = ask(body).await.is(200).json();
    assert_eq!(first["build"]["id"], second["build"]["id"]);
    let other = json!({"projectName": "web", "sourceVersion": "x"}).to_string();
    let other = ask(other).await.is(409).json();
    assert_eq!(other["code"], "IdempotencyParameterMismatch");
    let differs = json!({"projectName": "web", "idempotencyToken": "k2"}).to_string();
    ask(differs).await.is(400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_is_a_new_build_of_the_same_request() {
    let rig = Rig::start().await;
    rig.project("web").await;
    let body = json!({"projectName": "web", "imageOverride": "debian"});
    let first = rig.send("POST", "/v1/builds", &body).await.is(201).json();
    let id = first["build"]["id"].as_str().unwrap();
    let retry = format!("/v1/builds/{id}/retry");
    let second = rig.send("POST", &retry, &json!({})).await.is(201).json();
    assert_ne!(second["build"]["id"], id);
    assert_eq!(second["build"]["environment"]["image"], "debian");
    assert_eq!(second["build"]["buildNumber"], 2);
    let of = second["build"]["x-croft"]["retryOf"].as_str().unwrap();
    assert!(id.ends_with(of), "{of}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_sees_what_it_wrote() {
    let rig = Rig::start().await;
    rig.project("web").await;
    for number in 1..=20 {
        let body = json!({"projectName": "web"});
        let started = rig.send("POST", "/v1/builds", &body).await.is(201);
        let seq = started.seq();
        let headers = [("croft-seq", seq.as_str())];
        let list = rig.ask("GET", "/v1/builds?limit=1", Some(&rig.admin), &headers, "");
        let newest = list.await.is(200).json()["builds"][0].clone();
        assert_eq!(newest["buildNumber"], number);
        assert_eq!(newest["id"], started.json()["build"]["id"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_have_every_build_once_whatever_comes_meanwhile() {
    let rig = Rig::start().await;
    rig.project("web").await;
    for _ in 0..7 {
        rig.build("web").await;
    }
    let (mut seen, mut cursor): (Vec<u64>, Option<String>) = (Vec::new(), None);
    loop {
        let from = cursor
            .map(|cursor| format!("&cursor={cursor}"))
            .unwrap_or_default();
        let page = rig
            .get(&format!("/v1/builds?limit=3{from}"))
            .await
            .is(200)
            .json();
        let numbers = page["builds"].as_array().unwrap().iter();
        seen.extend(numbers.map(|build| build["buildNumber"].as_u64().unwrap()));
        rig.build("web").await;
        match page["nextToken"].as_str() {
            Some(next) => cursor = Some(next.to_string()),
            None => break,
        }
    }
    assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1]);
    for wrong in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "cursor=x",
        "status=DONE",
    ] {
        rig.get(&format!("/v1/builds?{wrong}")).await.is(400);
    }
    let waiting = rig.get("/v1/builds?status=QUEUED").await.is(200).json();
    assert_eq!(waiting["builds"].as_array().unwrap().len(), 10);
    let over = rig.get("/v1/builds?status=SUCCEEDED").await.is(200).json();
    assert_eq!(over["builds"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_build_is_answered_when_it_is_over() {
    let rig = Rig::start().await;
    rig.project("web").await;
    let (id, build) = rig.build("web").await;
    let path = format!("/v1/builds/{id}?wait=complete&timeout=50");
    let ending = async {
        rig.claim(build, 1).await;
        rig.settle(build, &id, None).await
    };
    let (waited, _) = tokio::join!(rig.get(&path), ending);
    let waited = waited.is(200).json();
    assert_eq!(waited["build"]["buildStatus"], "SUCCEEDED");
    let reports = rig
        .get(&format!("/v1/builds/{id}/reports"))
        .await
        .is(200)
        .json();
    assert_eq!(reports["reports"][0]["name"], "r");
    let (id, _) = rig.build("web").await;
    let path = format!("/v1/builds/{id}?wait=complete&timeout=0");
    let at_once = rig.get(&path).await.is(200).json();
    assert_eq!(at_once["build"]["buildStatus"], "IN_PROGRESS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_refused_by_name() {
    let rig = Rig::start().await;
    rig.project("web").await;
    let cases: [(Value, u16, &str); 5] = [
        (json!({"projectName": "none"}), 404, "none"),
        (json!({}), 400, "projectName"),
        (
            json!({"projectName": "web", "imageOverrride": "x"}),
            400,
            "imageOverrride",
        ),
        (
            json!({"projectName": "web", "timeoutInMinutesOverride": 1}),
            400,
            "timeoutInMinutesOverride",
        ),
        (
            json!({"projectName": "web", "x-croft": {"tree": "ab".repeat(32)}}),
            400,
            "upload",
        ),
    ];
    for (body, status, part) in cases {
        let refused = rig
            .send("POST", "/v1/builds", &body)
            .await
            .is(status)
            .json();
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{detail}");
    }
    let token = Some(rig.admin.as_str());
    let broken = rig
        .ask("POST", "/v1/builds", token, &[], "{\n\"projectName\": }")
        .await;
    let detail = broken.is(400).json()["detail"].to_string();
    assert!(detail.contains("line 2"), "{detail}");
    let large = vec![b' '; 129 << 10];
    rig.ask("POST", "/v1/builds", token, &[], large)
        .await
        .is(413);
    let limited = json!({"environment": {"image": "alpine"}, "concurrentBuildLimit": 1});
    rig.send("PUT", "/v1/projects/small", &limited)
        .await
        .is(201);
    rig.build("small").await;
    let full = rig
        .send("POST", "/v1/builds", &json!({"projectName": "small"}))
        .await
        .is(400);
    assert_eq!(full.json()["code"], "AccountLimitExceededException");
    rig.get("/v1/nothing").await.is(404);
    rig.send("PUT", "/v1/builds", &json!({})).await.is(405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_whose_registry_credential_is_no_secret_of_its_project_is_refused_by_name() {
    let rig = Rig::start().await;
    let credential =
        json!({"credential": "registry/ours", "credentialProvider": "SECRETS_MANAGER"});
    let environment = json!({"image": "r.example/x:1", "registryCredential": credential});
    let body = json!({"environment": environment, "source": {"type": "NO_SOURCE"}});
    rig.send("PUT", "/v1/projects/web", &body).await.is(201);
    let start = json!({"projectName": "web"});
    let refused = async |start: &Value| {
        let refused = rig.send("POST", "/v1/builds", start).await.is(400);
        String::from_utf8_lossy(&refused.body).into_owned()
    };
    assert!(refused(&start).await.contains("`registry/ours`"));
    let value = r#"{"username": "me", "password": "hunter2"}"#;
    let path = "/v1/secrets/registry%2Fours";
    let others = json!({"value": value, "projects": ["api"]});
    rig.send("PUT", path, &others).await.is(200);
    let why = refused(&start).await;
    assert!(why.contains("`web` may have"), "{why}");
    let ours = json!({"value": value, "projects": ["web"]});
    rig.send("PUT", path, &ours).await.is(200);
    let started = rig.send("POST", "/v1/builds", &start).await.is(201).json();
    rig.send("DELETE", path, &json!({})).await.is(200);
    let id = started["build"]["id"].as_str().unwrap();
    let again = format!("/v1/builds/{id}/retry");
    rig.send("POST", &again, &json!({})).await.is(400);
    let vault = json!({"projectName": "web", "registryCredentialOverride":
        {"credential": "registry/ours", "credentialProvider": "VAULT"}});
    assert!(refused(&vault).await.contains("VAULT"));
}
