//! Deployments that are followed as they happen.

use croft_proto::deploy::LifecycleEvent;
use serde_json::{Value, json};

use super::deployments::{enrolled, play, shop, start};
use super::events::{Event, Events};
use super::rig::Rig;

/// How a host of theirs was in the last of these events that tell of it, event by event.
fn told_of(events: &[Event], host: &str) -> Vec<String> {
    let targets = events.iter().filter(|event| event.kind == "targets");
    let rows = targets.flat_map(|event| event.data["deploymentTargets"].as_array().unwrap());
    let mut of_host = rows.filter(|row| row["instanceTarget"]["targetId"] == host);
    let last = of_host.next_back().unwrap();
    let events = last["instanceTarget"]["lifecycleEvents"]
        .as_array()
        .unwrap();
    let words = |event: &Value| {
        let word = |field: &str| event[field].as_str().unwrap().to_string();
        word("lifecycleEventName") + " " + &word("status")
    };
    events.iter().map(words).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_sees_a_deployment_to_its_end_and_lacks_nothing_when_it_comes_back() {
    let rig = Rig::start().await;
    let digest = shop(&rig).await;
    enrolled(&rig, "h1").await;
    let id = start(&rig, &digest).await;
    let path = format!("/v1/deployments/{id}/events");
    let mut events = Events::at(&rig, &path, None).await;
    let first = events.next().await.unwrap();
    assert_eq!(first.kind, "state");
    let fails = Some(LifecycleEvent::ValidateService);
    let (all, ()) = tokio::join!(events.all(), play(&rig, "h1", &id, fails));
    let failed = told_of(&all, "h1");
    assert_eq!(failed.last().unwrap(), "ValidateService Failed");
    let seen = |wanted: &str| {
        let looks = (1..=all.len()).rev();
        let mut looks = looks.filter(|end| all[..*end].iter().any(|one| one.kind == "targets"));
        looks.any(|end| told_of(&all[..end], "h1").iter().any(|told| told == wanted))
    };
    assert!(seen("Install Succeeded"));
    let end = all.last().unwrap();
    assert_eq!(
        (end.kind.as_str(), &end.data["status"]),
        ("end", &json!("Failed"))
    );
    let mut states = all.iter().filter(|event| event.kind == "state");
    let state = states.next_back().unwrap();
    assert_eq!(state.data["deploymentInfo"]["status"], "Failed");
    let places = all
        .iter()
        .filter_map(|event| event.id.as_ref()?.parse::<u64>().ok());
    assert!(places.clone().is_sorted() && places.count() > 1);
    // Who comes when it is over is told all of it; so is who was away meanwhile.
    for last in [None, Some("1")] {
        let again = Events::at(&rig, &path, last).await.all().await;
        let kinds: Vec<&str> = again.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds, ["state", "targets", "end"]);
        assert_eq!(told_of(&again, "h1"), failed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_comes_back_is_not_told_again_what_it_has() {
    let rig = Rig::start().await;
    let digest = shop(&rig).await;
    enrolled(&rig, "h1").await;
    let id = start(&rig, &digest).await;
    let path = format!("/v1/deployments/{id}/events");
    let mut events = Events::at(&rig, &path, None).await;
    // Until the host has something to run: nothing more happens by itself.
    let place = loop {
        let event = events.next().await.unwrap();
        let is_begun = event.kind == "targets"
            && told_of(std::slice::from_ref(&event), "h1") == ["ApplicationStop Pending"];
        if is_begun {
            break event.id.unwrap();
        }
    };
    let again = Events::at(&rig, &path, Some(&place)).await;
    let (all, ()) = tokio::join!(again.all(), play(&rig, "h1", &id, None));
    let first = all.iter().find_map(|event| event.id.as_ref()).unwrap();
    assert!(
        first.parse::<u64>().unwrap() > place.parse().unwrap(),
        "{first} {place}"
    );
    assert_eq!(all.last().unwrap().data["status"], "Succeeded");
    let wrong = [("last-event-id", "1.2")];
    let refused = rig.open("GET", &path, Some(&rig.admin), &wrong, "").await;
    assert_eq!(refused.status(), 400);
}
