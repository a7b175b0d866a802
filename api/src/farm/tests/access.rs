//! Who may do what, and how often.

use croft_keys::AccessRole;
use serde_json::{Value, json};

use super::super::openapi::whole;
use super::rig::Rig;

/// A path with something in place of its parameters.
fn filled(template: &str) -> String {
    let parts = template.split('/').map(|part| match part {
        "{id}" => "0198f000-0000-7000-8000-000000000000",
        part if part.starts_with('{') => "nothing",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Every operation of the document that no host signs: verb, path, the role it needs.
fn operations() -> Vec<(String, String, Option<AccessRole>)> {
    operations_of(|scope| scope != "host")
}

fn operations_of(is_wanted: impl Fn(&str) -> bool) -> Vec<(String, String, Option<AccessRole>)> {
    let mut all = Vec::new();
    for (path, verbs) in whole()["paths"].as_object().unwrap() {
        for (verb, operation) in verbs.as_object().unwrap() {
            if !is_wanted(operation["x-croft-scope"].as_str().unwrap()) {
                continue;
            }
            let role: Option<AccessRole> =
                serde_json::from_value(operation["x-croft-role"].clone()).unwrap();
            all.push((verb.to_ascii_uppercase(), filled(path), role));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_good_token_nothing_is_answered_but_health() {
    let rig = Rig::start().await;
    let unknown = format!("croft_{}_{}", "0".repeat(12), "0".repeat(64));
    let mut refused = 0;
    for (verb, path, role) in operations() {
        for token in [None, Some("nonsense"), Some(unknown.as_str())] {
            let answer = rig.ask(&verb, &path, token, &[], "{}").await;
            assert_eq!(answer.status == 401, role.is_some(), "{verb} {path}");
            if role.is_some() {
                assert!(answer.headers.contains_key("www-authenticate"));
                refused += 1;
            }
        }
    }
    assert!(refused > 90, "{refused}");
}

/// An administrator's token opens none of what hosts sign.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hosts_sign_is_closed_to_everybody_else() {
    let rig = Rig::start().await;
    let (_, admin) = rig.token("admin", &[]).await;
    let signed = operations_of(|scope| scope == "host");
    assert!(signed.len() >= 4, "{signed:?}");
    for (verb, path, _) in signed {
        for token in [None, Some(admin.as_str())] {
            let answer = rig.ask(&verb, &path, token, &[], "{}").await;
            assert_eq!(answer.status, 401, "{verb} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_was_issued_elsewhere_a_moment_ago_is_known() {
    let rig = Rig::start().await;
    for name in ["one", "another", "a third"] {
        // As `croft up` and other servers do: nothing of it passes through this front.
        let token = super::super::token_of_this_machine(&rig.farm, name, None);
        let token = token.await.unwrap();
        let answer = rig.ask("GET", "/v1/projects", Some(&token), &[], "");
        answer.await.is(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_role_may_do_what_the_document_says_and_nothing_else() {
    let rig = Rig::start().await;
    let (mut allowed, mut denied) = (0, 0);
    for role in AccessRole::ALL {
        let (_, token) = rig.token(&role.to_string(), &[]).await;
        for (verb, path, needed) in operations() {
            let Some(needed) = needed else { continue };
            let answer = rig.ask(&verb, &path, Some(&token), &[], "{}").await;
            let may = role.allows(needed);
            assert_eq!(
                answer.status != 403,
                may,
                "{role} {verb} {path}: {answer:?}"
            );
            assert_ne!(answer.status, 401);
            assert!(answer.status < 500, "{role} {verb} {path}: {answer:?}");
            if may {
                allowed += 1;
            } else {
                denied += 1;
                let detail = answer.json()["detail"].to_string();
                assert!(detail.contains(&format!("`{needed}`")), "{detail}");
            }
        }
    }
    assert!(allowed > 50 && denied > 50, "{allowed} {denied}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_some_projects_sees_and_starts_only_those() {
    let rig = Rig::start().await;
    for project in ["shop-api", "shop-web", "other"] {
        rig.project(project).await;
    }
    let (id, _) = rig.build("other").await;
    rig.build("shop-api").await;
    let (_, token) = rig.token("builder", &["shop-*"]).await;
    let token = Some(token.as_str());
    let projects = rig.ask("GET", "/v1/projects", token, &[], "").await.is(200);
    let names: Vec<Value> = projects.json()["projects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|project| project["name"].clone())
        .collect();
    assert_eq!(names, ["shop-api", "shop-web"]);
    let builds = rig.ask("GET", "/v1/builds", token, &[], "").await.is(200);
    assert_eq!(builds.json()["builds"].as_array().unwrap().len(), 1);
    // As if it were not there.
    let path = format!("/v1/builds/{id}");
    rig.ask("GET", &path, token, &[], "").await.is(404);
    let start = |project: &str| json!({"projectName": project}).to_string();
    for (project, status) in [("shop-web", 201), ("other", 403), ("shop-new", 404)] {
        let started = rig.ask("POST", "/v1/builds", token, &[], start(project));
        started.await.is(status);
    }
    for path in [
        "/v1/projects/other",
        "/v1/builds?project=other",
        "/v1/queue",
    ] {
        rig.ask("GET", path, token, &[], "").await.is(403);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_lets_nobody_in_any_more() {
    let rig = Rig::start().await;
    let (id, token) = rig.token("viewer", &[]).await;
    let ask = || rig.ask("GET", "/v1/projects", Some(&token), &[], "");
    ask().await.is(200);
    let path = format!("/v1/tokens/{id}");
    rig.send("DELETE", &path, &json!({})).await.is(200);
    ask().await.is(401);
    rig.send("DELETE", &path, &json!({})).await.is(200);
    let listed = rig.get("/v1/tokens").await.json().to_string();
    assert!(!listed.contains(&id), "{listed}");
    assert!(!listed.contains("hash"), "{listed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let rig = Rig::with(|settings| settings.pace = (1, 5)).await;
    let mut refused = 0;
    for _ in 0..10 {
        let answer = rig.get("/v1/projects").await;
        if answer.status == 429 {
            assert!(answer.headers.contains_key("retry-after"));
            refused += 1;
        }
    }
    assert!(refused >= 3, "{refused}");
}
