//! Secrets, keys, tokens: who is given them, and where none of them is.

use croft_keys::{PoolKey, Sealed, open};
use croft_ledger::{Seq, Subject};
use croft_proto::farm::{SealedFor, SecretEvent};
use serde_json::{Value, json};

use super::rig::Rig;

const VALUE: &str = "hunter2-\u{e9}\"quoted\" and long enough";

/// A secret as the ledger has it last.
async fn sealed(rig: &Rig, name: &str) -> (u32, Vec<SealedFor>) {
    let subject = Subject::of("secret", name).unwrap();
    let entries = rig
        .farm
        .ledger
        .read_subject(&subject, Seq::ZERO, 100)
        .await
        .unwrap();
    let event = entries.last().unwrap().event().unwrap().clone();
    match serde_json::from_slice(&event).unwrap() {
        SecretEvent::Set {
            version, sealed, ..
        }
        | SecretEvent::Resealed { version, sealed } => (version, sealed),
        SecretEvent::Removed => panic!("removed"),
    }
}

/// The keys of a pool, as a worker is given them.
async fn enrol(rig: &Rig, token: &str, pool: &str) -> Vec<(u32, PoolKey)> {
    let own = PoolKey::generate().unwrap();
    let body = json!({"publicKey": own.public().to_string(), "worker": "w1"}).to_string();
    let path = format!("/v1/pools/{pool}/enrolments");
    let given = rig
        .ask("POST", &path, Some(token), &[], body)
        .await
        .is(200)
        .json();
    assert_eq!(given["lease"]["ms"], 15_000);
    // What one of the farm puts into its store, all the others believe.
    let store_key: Sealed = given["storeKey"].as_str().unwrap().parse().unwrap();
    let seed = open(&own, &["enrolment", pool, "store"], &store_key).unwrap();
    let signer = croft_keys::Signer::of_seed(&seed).unwrap();
    let of_servers = super::super::signer_of_store(&rig.farm.master);
    assert_eq!(signer.key_id(), of_servers.key_id());
    let key = |key: &Value| {
        let generation = u32::try_from(key["generation"].as_u64().unwrap()).unwrap();
        let sealed: Sealed = key["sealedKey"].as_str().unwrap().parse().unwrap();
        let context = ["enrolment", pool, &generation.to_string()];
        (
            generation,
            PoolKey::opened(&own, &context, &sealed).unwrap(),
        )
    };
    given["keys"].as_array().unwrap().iter().map(key).collect()
}

/// What the newest of these keys opens of a secret.
fn opened(
    name: &str,
    pool: &str,
    keys: &[(u32, PoolKey)],
    secret: &(u32, Vec<SealedFor>),
) -> String {
    let (generation, key) = keys.last().unwrap();
    let (version, sealed) = secret;
    let mut sealed = sealed.iter();
    let sealed = sealed.find(|sealed| sealed.pool == pool && sealed.generation == *generation);
    let sealed: Sealed = sealed.unwrap().sealed.parse().unwrap();
    let value = open(key, &["secret", name, &version.to_string(), pool], &sealed).unwrap();
    String::from_utf8(value.expose().to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_too_large_for_so_many_pools_keeps_no_other_from_them() {
    let rig = Rig::start().await;
    for (name, value) in [("a", "x".repeat(10_000)), ("b", VALUE.to_string())] {
        let (path, body) = (format!("/v1/secrets/{name}"), json!({"value": value}));
        rig.send("PUT", &path, &body).await.is(200);
    }
    let pools = ["p1", "p2", "p3", "p4", "p5"];
    let (_, token) = rig.token("worker", &pools).await;
    for pool in pools {
        let keys = enrol(&rig, &token, pool).await;
        assert_eq!(opened("b", pool, &keys, &sealed(&rig, "b").await), VALUE);
    }
    let (_, large) = sealed(&rig, "a").await;
    assert!(large.len() < pools.len(), "an event does not hold so many");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_reaches_workers_of_pools_old_and_new_and_nobody_else() {
    let rig = Rig::start().await;
    let body = json!({"value": VALUE, "kind": "PARAMETER_STORE", "projects": ["web*"]});
    let set = rig
        .send("PUT", "/v1/secrets/db%2Fpassword", &body)
        .await
        .is(200);
    assert_eq!(set.json()["secret"]["version"], 1);
    let again = rig
        .send("PUT", "/v1/secrets/db%2Fpassword", &body)
        .await
        .is(200);
    assert_eq!(again.json()["secret"]["version"], 2);
    let (_, token) = rig.token("worker", &["default", "gpu"]).await;
    let name = "db/password";
    for pool in ["default", "gpu"] {
        let keys = enrol(&rig, &token, pool).await;
        assert_eq!(opened(name, pool, &keys, &sealed(&rig, name).await), VALUE);
    }
    let own = PoolKey::generate().unwrap().public().to_string();
    let body = json!({"publicKey": own, "worker": "w"}).to_string();
    let other = rig.ask(
        "POST",
        "/v1/pools/other/enrolments",
        Some(&token),
        &[],
        body.clone(),
    );
    other.await.is(403);
    // Not even an administrator is given a pool's key.
    let admin = rig.ask(
        "POST",
        "/v1/pools/gpu/enrolments",
        Some(&rig.admin),
        &[],
        body,
    );
    admin.await.is(403);
    let list = rig.get("/v1/secrets").await.is(200).json();
    assert_eq!(list["secrets"][0]["kind"], "PARAMETER_STORE");
    assert_eq!(list["secrets"][0]["pools"], json!(["default", "gpu"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoking_a_workers_token_makes_new_keys_and_seals_to_them() {
    let rig = Rig::start().await;
    let (id, token) = rig.token("worker", &["default"]).await;
    let before = enrol(&rig, &token, "default").await;
    assert_eq!(before.len(), 1);
    rig.send("PUT", "/v1/secrets/s", &json!({"value": VALUE}))
        .await
        .is(200);
    let gone = rig
        .send("DELETE", &format!("/v1/tokens/{id}"), &json!({}))
        .await
        .is(200);
    assert_eq!(gone.json()["rotatedPools"], json!(["default"]));
    let (_, token) = rig.token("worker", &["default"]).await;
    let after = enrol(&rig, &token, "default").await;
    assert_eq!(after.len(), 2);
    let secret = sealed(&rig, "s").await;
    assert_eq!(opened("s", "default", &after, &secret), VALUE);
    let old = &before[0].1;
    let now: Sealed = secret.1[0].sealed.parse().unwrap();
    assert!(open(old, &["secret", "s", "1", "default"], &now).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_value_is_in_the_ledger_or_in_any_answer() {
    let rig = Rig::start().await;
    rig.project("web").await;
    let mut answers = Vec::new();
    let bodies = [
        json!({"value": VALUE}),
        json!({"value": VALUE, "kind": VALUE}),
        json!({"value": VALUE, "projects": VALUE}),
        json!({"value": VALUE, "projects": [VALUE]}),
        json!({"value": VALUE, VALUE: 1}),
        json!({"value": [VALUE]}),
        json!(VALUE),
        json!({"value": VALUE.repeat(2000)}),
    ];
    for body in &bodies {
        answers.push(rig.send("PUT", "/v1/secrets/s", body).await);
    }
    let torn = format!("{{\"value\": \"{VALUE}");
    answers.push(
        rig.ask("PUT", "/v1/secrets/s", Some(&rig.admin), &[], torn)
            .await,
    );
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 400, 400, 400, 400, 400, 400, 400, 400]);
    for path in [
        "/v1/secrets",
        "/v1/audit",
        "/v1/tokens",
        "/metrics",
        "/v1/openapi.json",
    ] {
        answers.push(rig.get(path).await.is(200));
    }
    answers.push(
        rig.send("DELETE", "/v1/secrets/s", &json!({}))
            .await
            .is(200),
    );
    answers.push(
        rig.send("DELETE", "/v1/secrets/s", &json!({}))
            .await
            .is(404),
    );
    let mut places = vec![rig.all_of_the_ledger().await];
    places.extend(answers.iter().map(|answer| answer.body.to_vec()));
    let hex: String = VALUE.bytes().map(|byte| format!("{byte:02x}")).collect();
    let json = json!(VALUE).to_string();
    let forms = [
        VALUE,
        "hunter2",
        &hex,
        &hex.to_uppercase(),
        json.trim_matches('"'),
        "aHVudGVyMi",
        "h1bnRlcjIt",
        "odW50ZXIyL",
    ];
    for place in places {
        for form in forms {
            let there = place
                .windows(form.len())
                .any(|bytes| bytes == form.as_bytes());
            assert!(!there, "{form} in {}", String::from_utf8_lossy(&place));
        }
    }
    // Nor is any token.
    let ledger = rig.all_of_the_ledger().await;
    let secret_part = rig.admin.rsplit('_').next().unwrap();
    assert!(!String::from_utf8_lossy(&ledger).contains(secret_part));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_checked_before_they_are_issued() {
    let rig = Rig::start().await;
    let wrong = json!({"name": "", "role": "root", "projects": ["a*b"], "expiresInDays": 0});
    let wrong = rig.send("POST", "/v1/tokens", &wrong).await.is(400).json();
    assert_eq!(wrong["errors"].as_array().unwrap().len(), 4, "{wrong}");
    let good = json!({"name": "n", "role": "viewer", "expiresInDays": 30});
    let made = rig.send("POST", "/v1/tokens", &good).await.is(201).json();
    let list = rig.get("/v1/tokens").await.is(200).json();
    let tokens = list["tokens"].as_array().unwrap();
    let listed = tokens
        .iter()
        .find(|token| token["id"] == made["id"])
        .unwrap();
    assert!(listed["expires"].is_number() && listed["name"] == "n");
    rig.send("DELETE", "/v1/tokens/ffffffffffff", &json!({}))
        .await
        .is(404);
    rig.send("DELETE", "/v1/tokens/x", &json!({})).await.is(404);
}
