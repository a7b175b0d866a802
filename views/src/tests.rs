use bytes::Bytes;
use croft_ledger::{Body, Entry, Seq};
use croft_proto::Timestamp;
use serde_json::{Value, json};

use crate::{BuildFilter, Stage, Views};

pub(crate) const ID: &str = "00000000-0000-4000-8000-000000000001";

pub(crate) fn entry(seq: u64, subject: &str, event: Value) -> Entry {
    Entry {
        seq: Seq::new(seq),
        subject: subject.parse().unwrap(),
        at: Timestamp::from_millis(1_700_000_000_000 + seq * 1_000),
        body: Body::Event(Bytes::from(event.to_string())),
    }
}

pub(crate) fn submitted(project: &str, number: u64) -> Value {
    json!({
        "type": "submitted", "project": project, "number": number, "pool": "default", "priority": 2,
        "queuedMsMax": 28_800_000, "attemptsMax": 3,
        "autoRetry": {"autoRetryLimit": 0, "autoRetryNumber": 0}, "initiator": "someone",
        "request": {
            "source": {"type": "NO_SOURCE"}, "sourceVersion": "main",
            "environment": {"type": "LINUX_CONTAINER", "image": "alpine", "computeType": "BUILD_GENERAL1_SMALL"},
            "artifacts": {"type": "NO_ARTIFACTS"}, "timeoutInMinutes": 60
        }
    })
}

#[test]
fn smoke() {
    let views = Views::in_memory().unwrap();
    let build = format!("build.{ID}");
    let entries = [
        entry(1, &build, submitted("web", 1)),
        entry(
            2,
            &build,
            json!({"type": "attemptStarted", "attempt": 1, "worker": "w"}),
        ),
    ];
    assert_eq!(views.apply(&entries).unwrap(), Seq::new(2));
    let row = views
        .ask_now(|read| read.build(ID.parse().unwrap()))
        .unwrap()
        .unwrap();
    assert_eq!(row.stage, Stage::Running);
    let page = views
        .ask_now(|read| {
            read.builds(
                &BuildFilter {
                    project: Some("web".into()),
                    stages: vec![],
                },
                None,
                10,
            )
        })
        .unwrap();
    assert_eq!(page.rows, [row]);
}
