//! Hosts: invited, enrolled, and heard only when they sign what they say.

use croft_keys::{HostCall, Signable, Signer};
use serde_json::json;

use super::rig::{Answer, Rig};

/// Microseconds since 1970, as hosts count.
fn counter(rig: &Rig) -> u64 {
    rig.farm.clock.now().millis() * 1000
}

/// A signed call, as the host of that name.
async fn signed(rig: &Rig, signer: &Signer, host: &str, counter: u64, body: &str) -> Answer {
    let signable = Signable {
        method: "POST",
        path: "/v1/agent/poll",
        body: body.as_bytes(),
    };
    let said = HostCall::sign(signer, host, counter, signable).to_string();
    let headers = [("authorization", said.as_str())];
    let asked = rig.ask("POST", "/v1/agent/poll", None, &headers, body.to_string());
    asked.await
}

async fn invited(rig: &Rig, host: &str) -> String {
    let body = json!({"host": host, "tags": [{"Key": "role", "Value": "web"}], "zone": "a"});
    let made = rig
        .send("POST", "/v1/hosts/invitations", &body)
        .await
        .is(201);
    made.json()["token"].as_str().unwrap().to_string()
}

async fn enrol(rig: &Rig, token: &str, signer: &Signer) -> Answer {
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
    signed(&rig, &own, "web-1", now, "{}").await.is(401);
    enrol(&rig, &token, &other).await.is(201);
    signed(&rig, &other, "web-1", now + 1, "{}").await.is(200);
}
