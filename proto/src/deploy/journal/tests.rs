use super::*;
use crate::deploy::{Side, Was};

#[test]
fn ten_thousand_hosts_fit_a_batch_of_events() {
    let targets: Vec<PlannedTarget> = (0..10_000)
        .map(|number| PlannedTarget {
            host: format!(
                "ip-10-0-{}-{}.eu-west-1.compute.internal",
                number / 256,
                number % 256
            ),
            zone: Some("eu-west-1a".into()),
            side: Side::New,
            was: Was::Unhealthy,
        })
        .collect();
    let parts = parts(targets.clone());
    assert!(parts.len() < 40, "{}", parts.len());
    for part in &parts {
        let event = DeploymentEvent::Targets {
            targets: part.clone(),
        };
        assert!(serde_json::to_vec(&event).unwrap().len() <= 64 << 10);
    }
    assert_eq!(parts.concat(), targets);
}

#[test]
fn a_thousand_hosts_of_the_longest_names_fit_too() {
    let long = "h".repeat(255);
    let stand = Standing {
        is_healthy: true,
        revision: RevisionHealth::Current,
        updates_failed: 0,
    };
    let parts = parts(vec![(long, stand); 1_000]);
    assert!(parts.len() < 10, "{}", parts.len());
    for hosts in parts {
        let event = GroupEvent::Stand { hosts };
        assert!(serde_json::to_vec(&event).unwrap().len() <= 64 << 10);
    }
}

#[test]
fn events_read_as_they_were_written() {
    let written = r#"{"type":"ended","event":"Install","status":"Failed","diagnostics":{"errorCode":"ScriptFailed","scriptName":"a.sh","message":"m","logTail":"t"}}"#;
    let event: TargetEvent = serde_json::from_str(written).unwrap();
    assert_eq!(serde_json::to_string(&event).unwrap(), written);
    let written = r#"{"type":"accepted","deployment":"d-AAAAAAAAA","order":7}"#;
    let event: GroupEvent = serde_json::from_str(written).unwrap();
    assert_eq!(serde_json::to_string(&event).unwrap(), written);
    let written = r#"{"type":"stand","hosts":[["h1",{"ok":true,"rev":"current"}]]}"#;
    let event: GroupEvent = serde_json::from_str(written).unwrap();
    assert_eq!(serde_json::to_string(&event).unwrap(), written);
    assert!(serde_json::from_str::<GroupEvent>(r#"{"type":"later"}"#).is_err());
}
