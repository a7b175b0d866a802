//! Secrets: a build has them, and nobody finds them afterwards, wherever they look.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::registry::{PASSWORD, Registry, USER};
use crate::harness::rig::{Rig, Tap, each_size, in_size};
use crate::harness::{At, Ran, docker, eventually, skip};
use crate::secrets::forms;

each_size!(small large |plan| plan;
    a_secret_is_used_by_a_build_and_found_nowhere,
    after_another_workers_token_was_revoked_builds_have_secrets_without_any_start,
);

in_size!(contained SMALL, |plan| plan;
    an_image_is_fetched_as_the_user_that_a_secret_names,
);

/// Every kind of character that an encoding treats in a way of its own.
const TOKEN: &str = "t/o+k \"e\\ö&<7>=%?-e2e";
const PARAMETER: &str = "p/a+r \"a\\ö&<8>=%?-e2e";
/// Small, and made by `scripts/test-image`.
const IMAGE: &str = "croft-test/busybox:1";
const BOX: At = At {
    image: Some(IMAGE),
    shell: "sh",
};
/// Both are there, and asked for.
const ENV: &str =
    "env:\n  secrets-manager: {TOKEN: app/token}\n  parameter-store: {PARAMETER: /app/parameter}\n";
/// Where a frame of zstd begins.
const FRAME: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// More than any frame of this test's has.
const FRAME_BYTES_MAX: u64 = 64 << 20;

fn set(rig: &Rig, name: &str, kind: &str, value: &str) {
    let mut command = rig.croft(&["secret", "set", name, "--kind", kind]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(value.as_bytes())
        .unwrap();
    Ran::of(&rig.client_home(), child.wait_with_output().unwrap()).assert_code(0);
}

fn a_secret_is_used_by_a_build_and_found_nowhere(rig: &mut Rig) {
    let tap = rig.nats.as_ref().map(|nats| Tap::on(&nats.address));
    set(rig, "app/token", "secrets-manager", TOKEN);
    set(rig, "/app/parameter", "parameter-store", PARAMETER);
    let listed = rig.told(&["secret", "list", "-o", "name"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let commands = "phases:\n  build:\n    commands:\n      - echo \"[$TOKEN][$PARAMETER]\"\n      - for before in '' a ab; do printf '%s' \"$before$TOKEN:rest\" | base64 -w0; echo; done\n      - printf '%s' \"$TOKEN\" | wc -c\n      - printf '%s' \"$PARAMETER\" | wc -c > count\n      - echo \"$TOKEN\" >&2\nartifacts:\n  files: [count]\n";
    let source = rig.source("keeper", &format!("version: 0.2\n{ENV}{commands}"));
    let ran = rig.submit(&source, &[]);
    ran.assert_code(0);
    assert!(ran.output().starts_with("[***][***]\n"), "{}", ran.output());
    assert!(
        ran.output().contains(&format!("\n{}\n", TOKEN.len())),
        "it is the real one: {}",
        ran.output()
    );
    let id = ran.build()["id"].as_str().unwrap().to_string();
    let mut all = vec![("what submit showed".to_string(), ran.stdout.clone())];
    all.push(("the log".into(), rig.log(&id).into_bytes()));
    for path in ["explain", "reports", "artifacts"] {
        let answer = rig.ask("GET", &format!("/v1/builds/{id}/{path}"), "");
        all.push((path.to_string(), answer.body));
    }
    all.push(("audit".into(), rig.ask("GET", "/v1/audit", "").body));
    in_a_container(rig, &mut all);
    into_the_past(rig);
    everything(rig, &mut all);
    if let Some(tap) = tap {
        let heard = tap.all();
        for subject in ["croft.bus.hint.default ", "croft.bus.output."] {
            assert!(find(&heard, subject.as_bytes()), "{subject}");
        }
        assert!(find(&heard, b"[***][***]"), "output was heard");
        all.push(("the broker".into(), heard));
    }
    assert_nowhere(&all);
}

fn assert_nowhere(all: &[(String, Vec<u8>)]) {
    let needles: Vec<String> = [TOKEN, PARAMETER].into_iter().flat_map(forms).collect();
    let mut frames = 0;
    for (name, bytes) in all {
        assert_without(name, bytes, &needles);
        for frame in frames_of(bytes) {
            frames += 1;
            assert_without(&format!("a frame of {name}"), &frame, &needles);
        }
    }
    // Else nothing was looked at.
    assert!(
        frames > 0 && all.iter().any(|(_, bytes)| find(bytes, b"keeper")),
        "{frames}"
    );
    assert!(all.iter().any(|(_, bytes)| in_frames(bytes, b"[***][***]")));
    let past = |(name, _): &&(String, Vec<u8>)| name.contains("/archive/");
    let mut past = all.iter().filter(past);
    assert!(
        past.clone().any(|(name, _)| name.contains("/views/")),
        "there is a copy of the read model"
    );
    assert!(
        past.any(|(_, bytes)| in_frames(bytes, b"attemptStarted")),
        "there is a segment with builds in it"
    );
}

/// Whether that is in there, compressed.
fn in_frames(bytes: &[u8], needle: &[u8]) -> bool {
    frames_of(bytes).iter().any(|frame| find(frame, needle))
}

/// The same in a container, which the engine tells of while it runs.
fn in_a_container(rig: &mut Rig, all: &mut Vec<(String, Vec<u8>)>) {
    if let Some(reason) = BOX.missing() {
        skip(&reason);
        return;
    }
    let commands = "phases:\n  build:\n    commands:\n      - echo \"[$TOKEN][$PARAMETER]\"\n      - until [ -e /tmp/seen ]; do sleep 1; done\n      - printf '%s' \"$TOKEN\" | wc -c\n";
    let source = rig.source("boxed", &format!("version: 0.2\n{ENV}{commands}"));
    let id = rig.detach(&source, &["--image", IMAGE]);
    let path = format!("/v1/builds/{id}/log");
    eventually("its command has shown what it was given", || {
        let log = rig.asked("GET", &path, "");
        log.is_some_and(|log| log.text().contains("[***][***]"))
    });
    let containers = rig.containers();
    assert_eq!(containers.len(), 1, "{containers:?}");
    for container in &containers {
        let told = docker(&["inspect", container]);
        assert!(told.contains("croft.build"), "{told}");
        all.push((format!("docker inspect {container}"), told.into_bytes()));
        let logs = Command::new("docker").args(["logs", container]).output();
        let logs = logs.unwrap();
        all.push((
            format!("docker logs {container}"),
            [logs.stdout, logs.stderr].concat(),
        ));
        docker(&["exec", container, "touch", "/tmp/seen"]);
    }
    rig.over_as(&id, "SUCCEEDED", 1);
    let log = rig.log(&id);
    assert!(
        log.contains(&format!("\n{}\n", TOKEN.len())),
        "it is the real one: {log}"
    );
    all.push(("the log of the container".into(), log.into_bytes()));
}

/// What is over goes into a segment, and the read model into a copy; then nothing writes any more.
fn into_the_past(rig: &mut Rig) {
    rig.serve_with(&[
        "--keep-builds",
        "1s",
        "--keep-every",
        "1s",
        "--snapshot-entries",
        "5",
    ]);
    for what in ["segments: 1", "kept a copy of the read model"] {
        eventually(what, || {
            rig.servers.iter().any(|server| server.log().contains(what))
        });
    }
    for server in &mut rig.servers {
        server.kill();
    }
}

/// Each byte that the farm keeps, by where it is.
fn everything(rig: &Rig, all: &mut Vec<(String, Vec<u8>)>) {
    files(rig.folder(), all);
    if let Some(s3) = &rig.s3 {
        all.extend(s3.objects());
    }
    if let Some(nats) = &rig.nats {
        files(nats.folder(), all);
    }
}

fn files(folder: &Path, all: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&path, all);
        } else if kind.is_file() {
            // One that is removed meanwhile holds nothing any more.
            all.push((
                path.display().to_string(),
                fs::read(&path).unwrap_or_default(),
            ));
        }
    }
}

/// What is compressed in there.
fn frames_of(bytes: &[u8]) -> Vec<Vec<u8>> {
    let starts = bytes.windows(FRAME.len()).enumerate();
    let starts = starts.filter(|(_, window)| *window == FRAME);
    let frames = starts.filter_map(|(at, _)| {
        let mut frame = Vec::new();
        let decoder = zstd::Decoder::new(&bytes[at..]).ok()?.single_frame();
        // What only looks like the beginning of a frame ends with an error, sooner or later.
        drop(decoder.take(FRAME_BYTES_MAX).read_to_end(&mut frame));
        Some(frame)
    });
    frames.collect()
}

fn find(bytes: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else {
        return false;
    };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        if rest[at..].starts_with(needle) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

#[track_caller]
fn assert_without(name: &str, bytes: &[u8], needles: &[String]) {
    for needle in needles {
        assert!(!find(bytes, needle.as_bytes()), "{needle:?} is in {name}");
    }
}

/// The pool's keys are made anew, and every secret is sealed to them.
fn after_another_workers_token_was_revoked_builds_have_secrets_without_any_start(rig: &mut Rig) {
    set(rig, "app/token", "secrets-manager", TOKEN);
    let spec = "version: 0.2\nenv:\n  secrets-manager: {TOKEN: app/token}\nphases:\n  build:\n    commands:\n      - printf '%s' \"$TOKEN\" | wc -c\n";
    let source = rig.source("keeper", spec);
    let runs = |rig: &Rig| {
        let ran = rig.submit(&source, &[]);
        ran.assert_code(0);
        assert!(ran.output().contains(&TOKEN.len().to_string()));
        let id = ran.build()["id"].as_str().unwrap().to_string();
        rig.over_as(&id, "SUCCEEDED", 1);
    };
    runs(rig);
    rig.told(&[
        "token", "create", "gone", "--role", "worker", "--pool", "default",
    ]);
    let tokens = rig.told_json(&["token", "list"]);
    let all = tokens.as_array().unwrap();
    let gone = all.iter().find(|token| token["name"] == "gone").unwrap();
    rig.told(&["token", "revoke", gone["id"].as_str().unwrap()]);
    // At once, and with a value that was never sealed to the first key.
    runs(rig);
    set(
        rig,
        "app/token",
        "secrets-manager",
        &TOKEN.replace('t', "T"),
    );
    runs(rig);
}

fn an_image_is_fetched_as_the_user_that_a_secret_names(rig: &mut Rig) {
    let Some(image) = At::CONTAINER.farm().and_then(|farm| farm.at().image) else {
        return;
    };
    let Some(registry) = Registry::start() else {
        return;
    };
    let image = registry.publish(image, "private/farm:1");
    let credential =
        serde_json::json!({"credential": "registry/ours", "credentialProvider": "SECRETS_MANAGER"});
    let spec = "version: 0.2\nphases:\n  build:\n    commands: [echo in]\n";
    let project = serde_json::json!({
        "source": {"type": "NO_SOURCE", "buildspec": spec},
        "environment": {"image": image, "registryCredential": credential},
    });
    let made = rig.ask("PUT", "/v1/projects/private", &project.to_string());
    assert_eq!(made.status, 201, "{}", made.text());
    let start = serde_json::json!({"projectName": "private"});
    let refused = rig.ask("POST", "/v1/builds", &start.to_string());
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.text().contains("registry/ours"));
    for (password, status) in [("wrong", "FAILED"), (PASSWORD, "SUCCEEDED")] {
        let value = serde_json::json!({"username": USER, "password": password}).to_string();
        set(rig, "registry/ours", "secrets-manager", &value);
        let id = rig.start_build(&start);
        let build = rig.over_as(&id, status, 1);
        assert!(!build.to_string().contains(PASSWORD));
        assert!(!rig.log(&id).contains(PASSWORD));
    }
    docker(&["rmi", &image]);
    rig.assert_nothing_left();
}
