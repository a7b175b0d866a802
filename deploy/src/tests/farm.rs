use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use croft_ledger::{Append, Clock, Entry, Expected, Ledger, Memory, Seq, Subject};
use croft_proto::Timestamp;
use croft_proto::deploy::{
    AppEvent, Application, ConfigEvent, DeploymentConfig, DeploymentGroup, DeploymentId,
    GroupEvent, HostEvent, StartDeployment, Tag,
};
use futures_util::FutureExt as _;
use serde::Serialize;

use crate::*;

pub(super) const START_MS: u64 = 1_800_000_000_000;

/// A ledger whose clock is set by hand.
pub(super) struct Farm {
    pub(super) ledger: Memory,
    pub(super) wall: Arc<AtomicU64>,
}

pub(super) fn id(number: u64) -> DeploymentId {
    let mut bytes = [0; 9];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    let mut rest = number;
    for byte in &mut bytes {
        *byte = u8::try_from(rest % 36).unwrap();
        rest /= 36;
    }
    DeploymentId::drawn(bytes)
}

pub(super) fn name(group: &str) -> GroupName {
    let application = if group == "box" { "boxes" } else { "shop" };
    GroupName {
        application: application.into(),
        group: group.into(),
    }
}

/// A deployment of the revision of that number.
pub(super) fn asked(group: &str, revision: u64) -> StartDeployment {
    let name = name(group);
    serde_json::from_value(serde_json::json!({
        "applicationName": name.application, "deploymentGroupName": name.group,
        "revision": {"digest": format!("{revision:064x}"), "origin": {"revisionType": "Local Directory", "location": "/r"}}
    }))
    .unwrap()
}

/// A group of all hosts, with these settings beside.
pub(super) fn group(group: &str, more: serde_json::Value) -> DeploymentGroup {
    let name = name(group);
    let mut json = serde_json::json!({
        "applicationName": name.application, "deploymentGroupName": name.group, "deploymentGroupId": group,
        "ec2TagFilters": [{"Key": "all", "Type": "KEY_ONLY"}],
        "autoRollbackConfiguration": {"enabled": true,
            "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"]}
    });
    let more = more.as_object().unwrap().clone();
    json.as_object_mut().unwrap().extend(more);
    let group: DeploymentGroup = serde_json::from_value(json).unwrap();
    group.check().unwrap();
    group
}

pub(super) fn haproxy() -> serde_json::Value {
    serde_json::json!({"type": "haproxy", "socket": "/run/h", "backend": "b"})
}

impl Farm {
    pub(super) fn new() -> Self {
        let wall = Arc::new(AtomicU64::new(START_MS));
        let clock = Arc::clone(&wall);
        let ledger = Memory::new(Clock::from_fn(move || {
            Timestamp::from_millis(clock.load(Ordering::Relaxed))
        }));
        let farm = Self { ledger, wall };
        for (name, platform) in [("shop", "Server"), ("boxes", "ECS")] {
            let json = serde_json::json!({"applicationName": name, "computePlatform": platform});
            let application: Application = serde_json::from_value(json).unwrap();
            let event = AppEvent::Applied { application };
            farm.say(Subject::of("app", name).unwrap(), &event);
        }
        farm
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall.load(Ordering::Relaxed))
    }

    pub(super) fn pass(&self, ms: u64) {
        self.wall.fetch_add(ms, Ordering::Relaxed);
    }

    /// The first event of a subject.
    pub(super) fn say(&self, subject: Subject, event: &impl Serialize) {
        let event = serde_json::to_vec(event).unwrap().into();
        let append = Append {
            subject,
            expected: Expected::NEW,
            event,
        };
        assert!(self.append(vec![append]));
    }

    /// The same of a subject that has an entry.
    pub(super) fn say_after(&self, subject: Subject, event: &impl Serialize) {
        let entries = self.entries(Seq::ZERO);
        let last = entries.iter().rev().find(|entry| entry.subject == subject);
        let append = Append {
            expected: Expected::Last(last.unwrap().seq),
            subject,
            event: serde_json::to_vec(event).unwrap().into(),
        };
        assert!(self.append(vec![append]));
    }

    pub(super) fn append(&self, batch: Vec<Append>) -> bool {
        let appended = self.ledger.append(batch).now_or_never().unwrap();
        match appended {
            Ok(_) => true,
            Err(croft_ledger::AppendError::Conflict { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }

    pub(super) fn intend(&self, intents: &[Intent]) -> bool {
        let appends = intents.iter().map(|intent| intent.append().unwrap());
        self.append(appends.collect())
    }

    pub(super) fn entries(&self, after: Seq) -> Vec<Entry> {
        self.ledger
            .read(after, usize::MAX)
            .now_or_never()
            .unwrap()
            .unwrap()
    }

    pub(super) fn last(&self) -> Seq {
        self.ledger.last().now_or_never().unwrap().unwrap()
    }

    pub(super) fn group(&self, settings: DeploymentGroup) {
        let name = GroupName {
            application: settings.application_name.clone(),
            group: settings.deployment_group_name.clone(),
        };
        let event = GroupEvent::Applied(Box::new(settings));
        self.say(name.subject().unwrap(), &event);
    }

    pub(super) fn host(&self, name: &str, zone: Option<&str>) {
        let event = HostEvent::Enrolled {
            public_key: String::new(),
            tags: vec![Tag {
                key: "all".into(),
                value: String::new(),
            }],
            zone: zone.map(Into::into),
            invitation: None,
        };
        self.say(host_subject(name).unwrap(), &event);
    }

    pub(super) fn revoke(&self, name: &str) {
        self.say_after(host_subject(name).unwrap(), &HostEvent::Revoked);
    }

    pub(super) fn enrol_again(&self, name: &str) {
        let event = HostEvent::Enrolled {
            public_key: "another".into(),
            tags: vec![Tag {
                key: "all".into(),
                value: String::new(),
            }],
            zone: None,
            invitation: None,
        };
        self.say_after(host_subject(name).unwrap(), &event);
    }

    pub(super) fn config(&self, json: serde_json::Value) {
        let config: DeploymentConfig = serde_json::from_value(json).unwrap();
        config.check().unwrap();
        let name = config.deployment_config_name.clone();
        let event = ConfigEvent::Made(Box::new(config));
        self.say(Subject::of("deployconfig", &name).unwrap(), &event);
    }
}
