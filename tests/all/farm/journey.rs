//! From a folder on a person's machine to its artifacts there again; and what is asked of a build on the way.

use rustix::process::Signal;
use serde_json::json;

use super::queue::free_slots;
use crate::harness::rig::{Rig, commands, each_size};
use crate::harness::{Live, eventually};

each_size!(small large |plan| plan;
    a_folder_is_built_elsewhere_as_it_would_be_here,
    a_build_that_is_followed_is_left_by_ctrl_c_and_ended_by_a_stop,
    projects_in_awss_shape_are_built_and_a_token_starts_one_build,
);

fn a_folder_is_built_elsewhere_as_it_would_be_here(rig: &mut Rig) {
    let spec = "version: 0.2\nphases:\n  build:\n    commands:\n      - seq 1 2000\n      - mkdir out && cp words out/ && printf more > out/more\n  post_build:\n    commands: ['echo after $CODEBUILD_BUILD_SUCCEEDING']\nartifacts:\n  base-directory: out\n  files: ['**/*']\n";
    let source = rig.source("shop", spec);
    std::fs::write(source.join("words"), "words of the source").unwrap();
    let ran = rig.submit(&source, &[]);
    ran.assert_code(0);
    let lines: Vec<String> = (1..=2000).map(|number| number.to_string()).collect();
    let expected = format!("{}\nafter 1\n", lines.join("\n"));
    assert_eq!(ran.output(), expected, "{}", ran.stderr);
    assert!(ran.stderr.contains("uploaded"), "{}", ran.stderr);
    let id = ran.build()["id"].as_str().unwrap().to_string();

    let told = rig.told(&["build", "logs", &id]);
    assert!(told.contains(&lines.join("\n")), "{told}");
    let into = rig.folder().join("brought");
    rig.told(&["build", "artifacts", &id, "--into", into.to_str().unwrap()]);
    let read = |name: &str| std::fs::read_to_string(into.join(name)).unwrap();
    assert_eq!(
        (read("words"), read("more")),
        ("words of the source".into(), "more".into())
    );

    let again = rig.submit(&source, &[]);
    again.assert_code(0);
    assert!(
        !again.stderr.contains("uploaded"),
        "nothing has changed: {}",
        again.stderr
    );
    assert_eq!(again.build()["buildNumber"], 2);

    let failing = rig.source("shop", &commands(&["echo so far; exit 3", "echo never"]));
    let ran = rig.submit(&failing, &[]);
    ran.assert_code(1);
    assert_eq!(
        (ran.output().as_str(), ran.status()),
        ("so far\n", "FAILED")
    );
    let broken = rig.source(
        "shop",
        "version: 0.2\nphases:\n  bild:\n    commands: [x]\n",
    );
    let refused = rig.submit(&broken, &[]);
    refused.assert_code(5);
    assert!(
        refused.stderr.contains("nothing was sent"),
        "{}",
        refused.stderr
    );

    the_story_is_told(rig, &id);
    rig.assert_nothing_left();
}

/// Lists, a build alone, its explanation, and once more.
fn the_story_is_told(rig: &Rig, first: &str) {
    let listed = rig.told_json(&["build", "list", "--project", "shop"]);
    let numbers: Vec<u64> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|build| build["buildNumber"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [3, 2, 1]);
    let succeeded = rig.told(&["build", "list", "--status", "SUCCEEDED", "-o", "name"]);
    assert_eq!(succeeded.lines().count(), 2, "{succeeded}");
    let build = rig.told_json(&["build", "get", first]);
    assert_eq!(build["buildStatus"], "SUCCEEDED");
    assert_eq!(build["x-croft"]["attempts"], 1);
    assert_eq!(
        rig.timeline(first),
        ["submitted", "attemptStarted", "settled"]
    );
    let told = rig.told(&["build", "explain", first]);
    assert!(
        told.contains("SUCCEEDED") && told.contains("phase BUILD"),
        "{told}"
    );
    let retried = rig.told(&["build", "retry", first, "-o", "name"]);
    let build = rig.over_as(retried.trim(), "SUCCEEDED", 1);
    assert_eq!(build["buildNumber"], 4);
    assert!(rig.log(retried.trim()).contains("2000\n"));
    let refused = rig.ran(&["build", "get", "shop:00000000-0000-4000-8000-000000000000"]);
    refused.assert_code(5);
}

fn a_build_that_is_followed_is_left_by_ctrl_c_and_ended_by_a_stop(rig: &mut Rig) {
    let sleep = format!("echo begun; sleep {}", rig.seconds(900));
    let spec = format!(
        "version: 0.2\nphases:\n  build:\n    commands: ['{sleep}', 'echo never']\n    finally: ['echo at last']\n"
    );
    let source = rig.source("long", &spec);
    let mut live = Live::start(rig.croft(&["submit", source.to_str().unwrap(), "-o", "ndjson"]));
    live.until_output("begun");
    live.signal(Signal::INT);
    assert_eq!(live.end().code(), Some(130));
    let id = rig
        .told(&["build", "list", "-o", "name"])
        .trim()
        .to_string();
    assert_eq!(rig.stage(&id), "running", "only the following has ended");
    rig.until_sleeping(900, 1);

    let watched = rig.croft(&["build", "watch", &id, "-o", "ndjson"]);
    let mut watched = Live::start(watched);
    watched.until_output("begun");
    rig.told(&["build", "stop", &id]);
    assert_eq!(watched.end().code(), Some(3), "{:#?}", watched.seen);
    rig.over_as(&id, "STOPPED", 1);
    let log = rig.log(&id);
    assert!(log.contains("at last") && !log.contains("never\n"), "{log}");
    // One that is over is stopped without harm.
    rig.told(&["build", "stop", &id]);

    // One that waits is over at once, and no worker ever has it.
    for worker in rig.told(&["worker", "list", "-o", "name"]).lines() {
        rig.told(&["worker", "drain", worker]);
    }
    eventually("no worker offers anything", || free_slots(rig) == 0);
    let waiting = rig.detach(&source, &[]);
    rig.told(&["build", "stop", &waiting]);
    rig.over_as(&waiting, "STOPPED", 0);
    rig.assert_nothing_left();
}

fn projects_in_awss_shape_are_built_and_a_token_starts_one_build(rig: &mut Rig) {
    let project = json!({
        "name": "from-aws",
        "description": "as create-project takes it",
        "source": {"type": "NO_SOURCE", "buildspec": commands(&["echo $GREETING $EXTRA; touch made"])},
        "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": {
            "type": "LINUX_CONTAINER", "image": "sandbox", "computeType": "BUILD_GENERAL1_SMALL",
            "environmentVariables": [{"name": "GREETING", "value": "hello", "type": "PLAINTEXT"}],
        },
        "serviceRole": "arn:aws:iam::123456789012:role/nobody",
        "timeoutInMinutes": 10, "queuedTimeoutInMinutes": 30,
    });
    let file = rig.folder().join("project.json");
    std::fs::write(&file, project.to_string()).unwrap();
    rig.told(&["project", "apply", "-f", file.to_str().unwrap()]);
    assert_eq!(
        rig.told(&["project", "list", "-o", "name"]).trim(),
        "from-aws"
    );
    assert_eq!(
        rig.told_json(&["project", "get", "from-aws"])["timeoutInMinutes"],
        10
    );

    let start = json!({
        "projectName": "from-aws", "idempotencyToken": "once",
        "environmentVariablesOverride": [{"name": "EXTRA", "value": "there"}],
    });
    let first = rig.start_build(&start);
    let last = rig.addresses.len() - 1;
    // From another server, where there is one.
    rig.addresses.swap(0, last);
    let second = rig.start_build(&start);
    assert_eq!(first, second);
    rig.over_as(&first, "SUCCEEDED", 1);
    assert_eq!(rig.start_build(&start), first, "also when it is over");
    assert!(
        rig.log(&first).contains("hello there"),
        "{}",
        rig.log(&first)
    );
    assert_eq!(rig.get("/v1/builds")["builds"].as_array().unwrap().len(), 1);

    let source = rig.source("twice", &commands(&["true"]));
    let words = ["--idempotency-token", "mine"];
    let ids = [rig.detach(&source, &words), rig.detach(&source, &words)];
    assert_eq!(ids[0], ids[1]);
    rig.over_as(&ids[0], "SUCCEEDED", 1);
    rig.told(&["project", "delete", "from-aws"]);
    assert_eq!(
        rig.ask(
            "POST",
            "/v1/builds",
            &json!({"projectName": "from-aws"}).to_string()
        )
        .status,
        404
    );
    assert_eq!(
        rig.build(&first)["buildStatus"],
        "SUCCEEDED",
        "its builds stay"
    );
    rig.assert_nothing_left();
}
