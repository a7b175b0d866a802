use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::super::call::{Call, Failure};
use super::super::{build, fleet, pages};
use super::farm_at;
use super::stub::{Reply, Stub};

#[tokio::test]
async fn a_question_bears_the_token_and_names_that_stay_one_segment() {
    let stub = Stub::start(|_, _| Reply::Json(200, json!({}))).await;
    let call = Call::get(&["v1", "secrets", "/app/db ü"]).query("limit", "5");
    stub.farm().json::<Value>(&call).await.unwrap();
    let asked = &stub.asked()[0];
    assert_eq!(asked.path, "/v1/secrets/%2Fapp%2Fdb%20%C3%BC?limit=5");
    assert_eq!(asked.header("authorization"), Some("Bearer croft_secret"));
    stub.stop().await;
}

#[tokio::test]
async fn what_may_be_asked_twice_is_asked_until_the_server_is_back() {
    let stub = Stub::start(|_, before| match before {
        0 => Reply::RetryAfter(503, "0"),
        1 => Reply::HangUp,
        _ => Reply::Json(200, json!({"ok": true})),
    })
    .await;
    let answer: Value = stub
        .farm()
        .json(&Call::get(&["v1", "queue"]))
        .await
        .unwrap();
    assert_eq!(answer["ok"], json!(true));
    assert_eq!(stub.asked().len(), 3);
    stub.stop().await;
}

#[tokio::test]
async fn what_would_be_done_twice_is_asked_once() {
    let stub = Stub::start(|_, before| match before {
        0 => Reply::Bytes(503, Vec::new()),
        _ => Reply::HangUp,
    })
    .await;
    for expected in [1, 2] {
        let call = Call::new(Method::POST, &["v1", "tokens"]).only_unsent();
        stub.farm().bytes(&call).await.unwrap_err();
        assert_eq!(stub.asked().len(), expected);
    }
    stub.stop().await;
}

#[tokio::test]
async fn a_server_that_asks_for_more_patience_than_there_is_is_not_waited_for() {
    let stub = Stub::start(|_, _| Reply::RetryAfter(429, "3600")).await;
    let failure = stub.farm().bytes(&Call::get(&["v1"])).await.unwrap_err();
    assert!(
        failure.to_string().contains("try again in 3600 s"),
        "{failure}"
    );
    assert_eq!(stub.asked().len(), 1);
    stub.stop().await;
}

#[tokio::test]
async fn a_refusal_says_what_the_server_says_and_whose_fault_it_is() {
    let stub = Stub::start(|asked, _| {
        let problem = |code, detail| json!({"code": code, "detail": detail, "requestId": "r-1"});
        match asked.path.as_str() {
            "/v1/builds/no" => {
                let detail = "there is no build `no`";
                Reply::Json(404, problem("ResourceNotFoundException", detail))
            }
            "/v1/queue" => Reply::Json(500, problem("InternalServiceException", "it broke")),
            _ => Reply::Json(307, json!({})),
        }
    })
    .await;
    let farm = stub.farm();
    let failure = farm
        .bytes(&Call::get(&["v1", "builds", "no"]))
        .await
        .unwrap_err();
    assert!(failure.is_callers() && failure.is_not_found());
    assert_eq!(failure.to_string(), "there is no build `no`");
    let failure = farm.bytes(&Call::get(&["v1", "queue"])).await.unwrap_err();
    assert!(!failure.is_callers() && failure.to_string().contains("r-1"));
    // Whatever it points to does not get the token.
    let failure = farm.bytes(&Call::get(&["elsewhere"])).await.unwrap_err();
    assert!(failure.to_string().contains("307"), "{failure}");
    stub.stop().await;
}

#[tokio::test]
async fn nobody_at_the_address_is_told_with_where_it_is_from() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let farm = farm_at(&address, Duration::ZERO);
    let failure = farm.bytes(&Call::get(&["v1", "queue"])).await.unwrap_err();
    assert!(!failure.is_callers());
    let said = format!("{:#}", anyhow::Error::from(failure));
    for part in [&address, "from a test", "nothing listens at", "croft up"] {
        assert!(said.contains(part), "{said}");
    }
}

#[tokio::test]
async fn an_answer_that_is_none_of_a_croft_is_told_as_that() {
    let stub = Stub::start(|_, _| Reply::Bytes(200, b"<html>".to_vec())).await;
    let failure = stub
        .farm()
        .json::<Value>(&Call::get(&["v1"]))
        .await
        .unwrap_err();
    assert!(matches!(failure, Failure::Strange { .. }), "{failure}");
    stub.stop().await;
}

#[tokio::test]
async fn lists_are_read_page_by_page_up_to_their_limit() {
    let stub = Stub::start(|asked, _| {
        let row = |id: u32| json!({"id": id.to_string()});
        if asked.path.contains("cursor=second") {
            Reply::Json(200, json!({"builds": [row(3), row(4)]}))
        } else {
            Reply::Json(
                200,
                json!({"builds": [row(1), row(2)], "nextToken": "second"}),
            )
        }
    })
    .await;
    let farm = stub.farm();
    for (limit, rows, questions) in [(100, 4, 2), (2, 2, 3), (3, 3, 5)] {
        let query = [("project", "a b".to_string())];
        let found = pages::all(&farm, &["v1", "builds"], &query, "builds", limit).await;
        assert_eq!(found.unwrap().len(), rows, "{limit}");
        assert_eq!(stub.asked().len(), questions, "{limit}");
    }
    assert_eq!(stub.asked()[0].path, "/v1/builds?limit=100&project=a+b");
    stub.stop().await;
}

#[tokio::test]
async fn commands_ask_for_what_the_api_calls_it() {
    use crate::farm::words::{BuildCommand, BuildName};
    let stub = Stub::start(|_, _| Reply::Json(200, json!({"build": {"id": "web:1"}}))).await;
    let farm = stub.farm();
    let name = || BuildName {
        id: "web:1".to_string(),
    };
    let output = || crate::args::OutputWords {
        output: crate::args::Format::Name,
    };
    let stop = BuildCommand::Stop {
        build: name(),
        output: output(),
    };
    build::act(&farm, &stop).await.unwrap();
    let retry = BuildCommand::Retry {
        build: name(),
        output: output(),
    };
    build::act(&farm, &retry).await.unwrap();
    fleet::tell(&farm, "w 1", "drain", "").await.unwrap();
    let asked: Vec<String> = stub
        .asked()
        .iter()
        .map(|asked| format!("{} {}", asked.method, asked.path))
        .collect();
    assert_eq!(
        asked,
        [
            "POST /v1/builds/web:1/stop",
            "POST /v1/builds/web:1/retry",
            "POST /v1/workers/w%201/drain"
        ]
    );
    stub.stop().await;
}
