//! A disk without any room left: what was accepted ends once, what cannot be accepted is refused in words that say so, and all of it goes
//! on when there is room again.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::harness::eventually;
use crate::harness::rig::{Rig, commands, in_size};

in_size!(small SMALL, |plan| plan.soon().disk("96m");
    a_full_disk_loses_no_build,
);

/// Seconds that the build sleeps which is running while there is no room.
const NAP: u32 = 6;

/// Takes all the room that there is.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    let block = [0; 4096];
    let error = loop {
        if let Err(error) = file.write_all(&block) {
            break error;
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{error}");
}

fn a_full_disk_loses_no_build(rig: &mut Rig) {
    let nap = format!("sleep {}", rig.seconds(NAP));
    for (name, spec) in [
        ("napping", commands(&[&nap, "echo rested"])),
        ("quick", commands(&["echo quick"])),
    ] {
        let project = json!({
            "name": name, "source": {"type": "NO_SOURCE", "buildspec": spec}, "environment": {"image": "sandbox"},
        });
        let path = format!("/v1/projects/{name}");
        let made = rig.ask("PUT", &path, &project.to_string());
        assert!(made.status < 300, "{}", made.text());
    }
    let before = rig.start_build(&json!({"projectName": "napping"}));
    rig.until_sleeping(NAP, 1);

    let filler = rig.folder().join("filler");
    fill(&filler);
    let quick = json!({"projectName": "quick"}).to_string();
    let refused = rig.asked("POST", "/v1/builds", &quick).unwrap();
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(
        refused
            .text()
            .contains("the ledger cannot be written now; nothing happened: its disk is full"),
        "{}",
        refused.text()
    );
    // It is looked at all the same, and its build comes to its end in vain until there is room for it.
    assert_eq!(rig.get("/v1/builds")["builds"].as_array().unwrap().len(), 1);
    eventually("the build is at its end", || rig.sleeping(NAP).is_empty());
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(rig.stage(&before), "running");

    std::fs::remove_file(&filler).unwrap();
    let mut after = None;
    eventually("a build is accepted again", || {
        let answer = rig.asked("POST", "/v1/builds", &quick).unwrap();
        let accepted = (answer.status == 201).then(|| answer.json());
        after = accepted.and_then(|json| json["build"]["id"].as_str().map(str::to_string));
        after.is_some()
    });
    let after = after.unwrap();
    rig.over_as(&before, "SUCCEEDED", 1);
    assert!(rig.log(&before).contains("rested"));
    rig.over_as(&after, "SUCCEEDED", 1);
    assert_eq!(rig.get("/v1/builds")["builds"].as_array().unwrap().len(), 2);
    assert!(
        rig.told(&["audit", "--verify"])
            .contains("as it was written")
    );
    rig.assert_nothing_left();
}
