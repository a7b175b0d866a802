//! Hosts: invited, enrolled, and heard only when they sign what they say.

use std::time::Duration;

use croft_keys::{Caller, HostCall, Signable, Signer, UNKNOWN_RUN};
use croft_proto::deploy::HOST_REVOKED;
use serde_json::json;

use super::rig::{Answer, PATIENCE, Rig};

/// Microseconds since 1970, as hosts count.
pub(super) fn counter(rig: &Rig) -> u64 {
    rig.farm.clock.now().millis() * 1000
}

/// A signed call, as the host of that name, for the server as it is now.
async fn signed(rig: &Rig, signer: &Signer, host: &str, counter: u64, body: &str) -> Answer {
    let run = run_of(rig).await;
    sent(rig, &header(signer, host, (counter, &run), body), body).await
}

/// The word of the server's run, as it is told to whoever does not know it.
pub(super) async fn run_of(rig: &Rig) -> String {
    let asked = rig.ask("POST", "/v1/agent/poll", None, &[], "");
    let answer = asked.await.is(401);
    answer.headers["croft-server-run"].to_str().unwrap().into()
}

fn header(signer: &Signer, host: &str, call: (u64, &str), body: &str) -> String {
    header_at("/v1/agent/poll", signer, host, call, body)
}

/// What signs a call of that path.
pub(super) fn header_at(
    path: &str,
    signer: &Signer,
    host: &str,
    (counter, run): (u64, &str),
    body: &str,
) -> String {
    let signable = Signable {
        method: "POST",
        path,
        body: body.as_bytes(),
    };
    HostCall::sign(signer, Caller { host, counter, run }, signable).to_string()
}

async fn sent(rig: &Rig, header: &str, body: &str) -> Answer {
    let headers = [("authorization", header)];
    let asked = rig.ask("POST", "/v1/agent/poll", None, &headers, body.to_string());
    asked.await
}

pub(super) async fn invited(rig: &Rig, host: &str) -> String {
    let body = json!({"host": host, "tags": [{"Key": "role", "Value": "web"}], "zone": "a"});
    let made = rig
        .send("POST", "/v1/hosts/invitations", &body)
        .await
        .is(201);
    made.json()["token"].as_str().unwrap().to_string()
}

pub(super) async fn enrol(rig: &Rig, token: &str, signer: &Signer) -> Answer {
    let body = json!({"token": token, "publicKey": signer.key_id().to_string()});
    let asked = rig.ask("POST", "/v1/agent/enrolments", None, &[], body.to_string());
    asked.await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_let_in_by_its_invitation_and_heard_by_its_key_only() {
    let rig = Rig::start().await;
    let (own, other) = (
        Signer::of_this_process().unwrap(),
        Signer::of_this_process().unwrap(),
    );
    let token = invited(&rig, "web-1").await;
    let now = counter(&rig);
    signed(&rig, &own, "web-1", now, "{}").await.is(401);
    enrol(&rig, &token.replace("22", "23"), &own).await.is(403);
    enrol(&rig, &token, &own).await.is(201);
    // The same host may come again; nobody else may be it.
    enrol(&rig, &token, &own).await.is(201);
    enrol(&rig, &token, &other).await.is(400);
    let told = signed(&rig, &own, "web-1", now + 1, "{}").await.is(200);
    assert_eq!(told.json(), json!({"commands": []}));
    let listed = rig.get("/v1/hosts").await.json();
    assert_eq!(listed["hosts"][0]["instanceName"], "web-1");
    assert_eq!(listed["hosts"][0]["zone"], "a");
    assert!(listed["hosts"][0]["lastHeard"].is_number(), "{listed}");
    // Calls may overtake each other.
    signed(&rig, &own, "web-1", now, "{}").await.is(200);
    signed(&rig, &own, "web-1", now, "{}").await.is(401);
    // Heard before, by another, from long ago.
    signed(&rig, &own, "web-1", now + 1, "{}").await.is(401);
    signed(&rig, &other, "web-1", now + 2, "{}").await.is(401);
    let long_ago = now - 10 * 60 * 1_000_000;
    signed(&rig, &own, "web-1", long_ago, "{}").await.is(401);
    signed(&rig, &own, "web-1", now + 3, "{}").await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_has_not_read_what_became_of_hosts_has_them_ask_again() {
    let mut rig = Rig::start().await;
    let (own, newcomer) = (
        Signer::of_this_process().unwrap(),
        Signer::of_this_process().unwrap(),
    );
    let token = invited(&rig, "web-1").await;
    enrol(&rig, &token, &own).await.is(201);
    let token = invited(&rig, "web-2").await;
    let deployer = rig.another_server().await;
    // Neither whom it would not know, nor whom it would take for a stranger, nor who would be let in as if he was new.
    let asked = rig.ask("POST", "/v1/agent/poll", None, &[], "").await;
    let run = asked.headers["croft-server-run"]
        .to_str()
        .unwrap()
        .to_string();
    let now = counter(&rig);
    let call = header(&own, "web-1", (now, &run), "{}");
    for answer in [
        asked,
        sent(&rig, &call, "{}").await,
        enrol(&rig, &token, &newcomer).await,
    ] {
        let answer = answer.is(503);
        assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
        let problem = answer.json();
        assert_eq!(problem["code"], "ServiceUnavailableException", "{problem}");
    }
    let ready = rig
        .ask("GET", "/readyz", None, &[], "")
        .await
        .is(503)
        .json();
    assert_eq!(ready["deploymentsCaughtUp"], false);
    let stopped = rig.stop.subscribe();
    rig.tasks
        .spawn(async move { deployer.run(stopped).await.unwrap() });
    let read = async {
        while !rig.farm.deploy.progress().is_caught_up {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap();
    // The very call that was not looked at is good now.
    sent(&rig, &call, "{}").await.is(200);
    enrol(&rig, &token, &newcomer).await.is(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_was_revoked_is_not_heard_and_may_come_with_another_key() {
    let rig = Rig::start().await;
    let (own, other) = (
        Signer::of_this_process().unwrap(),
        Signer::of_this_process().unwrap(),
    );
    let token = invited(&rig, "web-1").await;
    enrol(&rig, &token, &own).await.is(201);
    rig.send("DELETE", "/v1/hosts/web-1", &json!({}))
        .await
        .is(200);
    rig.send("DELETE", "/v1/hosts/web-1", &json!({}))
        .await
        .is(404);
    let now = counter(&rig);
    // Whose key it was is told what to do; nobody else learns of it.
    let told = signed(&rig, &own, "web-1", now, "{}").await.is(403).json();
    assert_eq!(told["code"], HOST_REVOKED, "{told}");
    assert!(told["detail"].as_str().unwrap().contains("invite web-1"));
    signed(&rig, &other, "web-1", now, "{}").await.is(401);
    // Neither the key nor the invitation is good any more.
    for signer in [&own, &other] {
        enrol(&rig, &token, signer).await.is(400);
    }
    let token = invited(&rig, "web-1").await;
    enrol(&rig, &token, &other).await.is(201);
    signed(&rig, &other, "web-1", now + 1, "{}").await.is(200);
    // There is another by that name now.
    signed(&rig, &own, "web-1", now + 2, "{}").await.is(401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_revoked_while_it_waits_is_told_at_once() {
    let rig = Rig::start().await;
    let own = member(&rig).await;
    let run = run_of(&rig).await;
    let body = r#"{"waitSeconds": 30}"#;
    let waits = header(&own, "web-1", (counter(&rig), &run), body);
    let begun = tokio::time::Instant::now();
    let revoking = async {
        while rig.farm.deploy.key_of("web-1").is_none() || !is_heard(&rig).await {
            tokio::task::yield_now().await;
        }
        rig.send("DELETE", "/v1/hosts/web-1", &json!({})).await
    };
    let (waited, revoked) = tokio::join!(sent(&rig, &waits, body), revoking);
    revoked.is(200);
    assert_eq!(waited.is(200).json(), json!({"commands": []}));
    assert!(begun.elapsed() < Duration::from_secs(25));
}

async fn is_heard(rig: &Rig) -> bool {
    let listed = rig.get("/v1/hosts").await.json();
    listed["hosts"][0]["lastHeard"].is_number()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_calls_are_not_signed_well_is_soon_not_looked_at_and_nobody_else() {
    // Two calls, and then one a second.
    let rig = Rig::with(|settings| settings.strangers = (1, 2)).await;
    let (own, other) = (member(&rig).await, Signer::of_this_process().unwrap());
    let token = invited(&rig, "web-2").await;
    enrol(&rig, &token, &other).await.is(201);
    let (run, now) = (run_of(&rig).await, counter(&rig));
    let call = |signer, host, counter| header(signer, host, (counter, &run), "{}");
    // What is signed well costs nothing.
    for more in 0..5 {
        let good = call(&own, "web-1", now + more);
        sent(&rig, &good, "{}").await.is(200);
    }
    let mut refused = None;
    for more in 0..10 {
        let forged = call(&other, "web-1", now + 10 + more);
        let answer = sent(&rig, &forged, "{}").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        answer.is(401);
    }
    let refused = refused.expect("the pace of one address ends");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(refused.json()["code"], "ThrottlingException");
    // The host itself is heard all the same: who forges its calls may be at its address.
    for more in 20..23 {
        let good = call(&own, "web-1", now + more);
        sent(&rig, &good, "{}").await.is(200);
    }
    // Of another host from there all is heard.
    for more in 0..3 {
        let good = call(&other, "web-2", now + more);
        sent(&rig, &good, "{}").await.is(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invitations_that_are_made_up_are_soon_not_looked_at() {
    let rig = Rig::with(|settings| settings.strangers = (1, 2)).await;
    let own = Signer::of_this_process().unwrap();
    let token = invited(&rig, "web-1").await;
    let made_up = token.replace('2', "3");
    let mut statuses = Vec::new();
    while statuses.last() != Some(&429) && statuses.len() < 10 {
        statuses.push(enrol(&rig, &made_up, &own).await.status);
    }
    assert_eq!(statuses.first(), Some(&403), "{statuses:?}");
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_invites_a_host_that_is_here_is_told_so() {
    let rig = Rig::start().await;
    let is_enrolled = async || {
        let body = json!({"host": "web-1"});
        let made = rig.send("POST", "/v1/hosts/invitations", &body).await;
        made.is(201).json()["isEnrolled"].as_bool()
    };
    assert_eq!(is_enrolled().await, Some(false));
    member(&rig).await;
    assert_eq!(is_enrolled().await, Some(true));
    rig.send("DELETE", "/v1/hosts/web-1", &json!({}))
        .await
        .is(200);
    assert_eq!(is_enrolled().await, Some(false));
}

/// A host `web-1` of the farm.
async fn member(rig: &Rig) -> Signer {
    let own = Signer::of_this_process().unwrap();
    let token = invited(rig, "web-1").await;
    enrol(rig, &token, &own).await.is(201);
    own
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_call_is_refused_whatever_of_it_was_changed() {
    let rig = Rig::start().await;
    let own = member(&rig).await;
    let (run, now) = (run_of(&rig).await, counter(&rig));
    let good = header(&own, "web-1", (now, &run), "{}");
    let forged = [
        good.replace(&now.to_string(), &(now + 1).to_string()),
        good.replace("web-1", "web-2"),
        good.replace(&run, UNKNOWN_RUN),
        header(
            &Signer::of_this_process().unwrap(),
            "web-1",
            (now, &run),
            "{}",
        ),
    ];
    for header in forged {
        sent(&rig, &header, "{}").await.is(401);
    }
    sent(&rig, &good, r#"{"fresh":true}"#).await.is(401);
    sent(&rig, &good, "{}").await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_listened_to_is_taken_once() {
    let rig = Rig::start().await;
    let own = member(&rig).await;
    let (run, now) = (run_of(&rig).await, counter(&rig));
    let heard = header(&own, "web-1", (now, &run), "{}");
    sent(&rig, &heard, "{}").await.is(200);
    for _ in 0..3 {
        sent(&rig, &heard, "{}").await.is(401);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_to_one_run_of_a_server_is_none_to_another_server_nor_after_a_restart() {
    let mut rig = Rig::start().await;
    let own = member(&rig).await;
    let (run, now) = (run_of(&rig).await, counter(&rig));
    let (heard, kept) = (
        header(&own, "web-1", (now, &run), "{}"),
        header(&own, "web-1", (now + 1, &run), "{}"),
    );
    sent(&rig, &heard, "{}").await.is(200);
    // Another front has heard nothing: what is another server, and what this one is after a restart.
    rig.farm.registry = prometheus::Registry::new();
    rig.farm.settings.server = "s2".into();
    rig.serve().await;
    for header in [&heard, &kept] {
        let refused = sent(&rig, header, "{}").await.is(401);
        assert_eq!(refused.json()["code"], "CallForAnotherServerException");
    }
    signed(&rig, &own, "web-1", now + 2, "{}").await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_lets_one_host_in_once() {
    let rig = Rig::start().await;
    let (own, other) = (
        Signer::of_this_process().unwrap(),
        Signer::of_this_process().unwrap(),
    );
    let (first, second) = (invited(&rig, "web-1").await, invited(&rig, "web-1").await);
    assert_ne!(first, second);
    enrol(&rig, &first, &own).await.is(201);
    enrol(&rig, &first, &other).await.is(400);
    rig.send("DELETE", "/v1/hosts/web-1", &json!({}))
        .await
        .is(200);
    let refused = enrol(&rig, &first, &other).await.is(400);
    assert!(refused.json().to_string().contains("has been used"));
    enrol(&rig, &second, &other).await.is(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_shows_its_invitation_again_keeps_the_tags_it_got_since() {
    let rig = Rig::start().await;
    let own = Signer::of_this_process().unwrap();
    let token = invited(&rig, "web-1").await;
    enrol(&rig, &token, &own).await.is(201);
    let tags = json!({"tags": [{"Key": "role", "Value": "db"}]});
    rig.send("PUT", "/v1/hosts/web-1/tags", &tags).await.is(200);
    enrol(&rig, &token, &own).await.is(201);
    let shown = rig.get("/v1/hosts/web-1").await.is(200).json();
    assert_eq!(shown["host"]["tags"], tags["tags"]);
    // A new invitation says anew what it is.
    let token = invited(&rig, "web-1").await;
    enrol(&rig, &token, &own).await.is(201);
    let shown = rig.get("/v1/hosts/web-1").await.is(200).json();
    assert_eq!(shown["host"]["tags"][0]["Value"], "web");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_came_in_and_who_pushed_an_alert_is_in_the_audit_chain() {
    let rig = Rig::start().await;
    member(&rig).await;
    let alert = json!({"groupKey": "k", "alerts": []});
    rig.send("POST", "/v1/alerts", &alert).await.is(200);
    let noted = rig.get_all("/v1/audit").await.is(200).json().to_string();
    for (action, target) in [("EnrolHost", "host.web-1"), ("PushAlerts", "alerts.k")] {
        assert!(noted.contains(action) && noted.contains(target), "{noted}");
    }
}
