//! Stops, time limits and kills: what still runs, how it ends, and that nothing is left on the machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::harness::{At, Farm, Live, docker, each_place, eventually, skip};

/// A number of seconds that no other process sleeps for: it finds this test's processes.
fn mark(farm: &Farm) -> String {
    let letters = farm.folder().display().to_string();
    let sum = letters
        .bytes()
        .fold(5381_u64, |sum, byte| sum.wrapping_mul(33) ^ u64::from(byte));
    format!("8{:08}.{}", sum % 100_000_000, std::process::id())
}

/// Processes of this machine that have `mark` among their words, in whatever namespace.
pub(crate) fn processes(mark: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        if words.starts_with("sleep ") && words.contains(mark) {
            found.push(format!("{}: {words}", entry.file_name().display()));
        }
    }
    found
}

fn containers(farm: &Farm) -> Vec<String> {
    if farm.at().image.is_none() {
        return Vec::new();
    }
    let filter = format!("label=croft.home={}", farm.home().display());
    docker(&[
        "ps",
        "--all",
        "--no-trunc",
        "--format",
        "{{.ID}}",
        "--filter",
        &filter,
    ])
    .lines()
    .map(str::to_string)
    .collect()
}

/// Folders of the control group tree whose name has one of the words.
fn cgroups(words: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let path = entry.path();
                let name = entry.file_name().display().to_string();
                if words.iter().any(|word| name.contains(word)) {
                    found.push(path.display().to_string());
                }
                folders.push(path);
            }
        }
    }
    found
}

/// Everything of this test's builds that is still on the machine.
fn leftovers(farm: &Farm, mark: &str, ids: &[String]) -> Vec<String> {
    let home = farm.home().display().to_string();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mounts = mounts
        .lines()
        .filter(|line| line.contains(&home))
        .map(str::to_string);
    // Files beside them are Croft's own notes, which stay.
    let folders = fs::read_dir(farm.home().join("run"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.display().to_string());
    let found = processes(mark)
        .into_iter()
        .chain(containers(farm))
        .chain(mounts)
        .chain(folders);
    found.chain(cgroups(ids)).collect()
}

#[track_caller]
fn assert_nothing_left(farm: &Farm, mark: &str, ids: &[String]) {
    assert_eq!(leftovers(farm, mark, ids), Vec::<String>::new());
}

/// A build whose BUILD waits for its end with a daemon beside it, up to where it waits.
fn waiting(farm: &Farm, words: &[&str]) -> (Live, String) {
    let mark = mark(farm);
    farm.spec(&format!(
        "phases:\n  build:\n    commands: ['setsid sleep {mark} & sleep {mark} & echo ready; sleep {mark}', 'echo never']\n    finally: ['echo finally $CODEBUILD_BUILD_SUCCEEDING']\n  post_build:\n    commands: ['echo never']\n"
    ));
    let mut live = farm.start(words);
    live.until_output("ready");
    (live, mark)
}

#[track_caller]
fn assert_stopped(live: &mut Live, code: i32, status: &str, finally: bool) {
    let end = live.end();
    assert_eq!(end.code(), Some(code), "{end:?} {:#?}", live.seen);
    let completed = live
        .seen_of("buildCompleted")
        .pop()
        .expect("a stopped build completes")
        .clone();
    assert_eq!(completed["build"]["buildStatus"], status);
    let phases = completed["build"]["phases"].as_array().unwrap();
    let build = phases
        .iter()
        .find(|phase| phase["phaseType"] == "BUILD")
        .unwrap();
    assert_eq!(build["phaseStatus"], status);
    assert!(
        phases
            .iter()
            .all(|phase| phase["phaseType"] != "POST_BUILD"),
        "{phases:#?}"
    );
    let outputs: String = live
        .seen_of("output")
        .iter()
        .map(|event| event["text"].as_str().unwrap())
        .collect();
    assert_eq!(outputs.contains("finally 0"), finally, "{outputs}");
    assert!(!outputs.contains("never"), "{outputs}");
}

fn one_interrupt_lets_finally_run_and_the_build_is_stopped(farm: &Farm) {
    let (mut live, mark) = waiting(farm, &[]);
    live.signal(Signal::INT);
    assert_stopped(&mut live, 3, "STOPPED", true);
    assert_nothing_left(farm, &mark, &[]);
}

fn a_request_to_terminate_is_an_interrupt(farm: &Farm) {
    let (mut live, mark) = waiting(farm, &[]);
    live.signal(Signal::TERM);
    assert_stopped(&mut live, 3, "STOPPED", true);
    assert_nothing_left(farm, &mark, &[]);
}

/// The command does not listen to SIGTERM, so one interrupt alone would not end it soon.
fn two_interrupts_end_everything_at_once(farm: &Farm) {
    let mark = mark(farm);
    farm.spec(&format!(
        "phases:\n  build:\n    commands: [\"trap '' TERM INT; echo ready; while true; do sleep {mark}; done\"]\n    finally: ['echo finally 0']\n"
    ));
    let mut live = farm.start(&[]);
    live.until_output("ready");
    live.signal(Signal::INT);
    live.until("the notice", |event| {
        event["type"] == "notice" && event["message"].as_str().unwrap().contains("stopping")
    });
    live.signal(Signal::INT);
    let end = live.end();
    assert_eq!(end.code(), Some(130), "{end:?} {:#?}", live.seen);
    let outputs: String = live
        .seen_of("output")
        .iter()
        .map(|event| event["text"].as_str().unwrap())
        .collect();
    assert!(!outputs.contains("finally"), "{outputs}");
    assert_nothing_left(farm, &mark, &[]);
}

/// Interrupts a build in the first of its `finally` commands, once those in BUILD have ended.
#[track_caller]
fn interrupted_in_finally(farm: &Farm, command: &str) {
    farm.spec(&format!(
        "phases:\n  build:\n    commands: ['{command}']\n    finally: ['echo ready; until test -e go; do sleep 0.05; done; echo whole', 'echo finally 0']\n  post_build:\n    commands: ['echo never']\nartifacts:\n  files: [buildspec.yml]\n"
    ));
    let mut live = farm.start(&["--in-place"]);
    live.until_output("ready");
    live.signal(Signal::INT);
    live.until("the notice", |event| {
        event["type"] == "notice" && event["message"].as_str().unwrap().contains("stopping")
    });
    farm.file("go", "");
    live.until_output("whole");
    assert_stopped(&mut live, 3, "STOPPED", true);
    let begun = live.seen_of("phaseStarted");
    assert!(
        begun
            .iter()
            .all(|event| event["phase"] != "UPLOAD_ARTIFACTS"),
        "{begun:#?}"
    );
}

fn an_interrupt_during_finally_lets_it_end_and_ends_the_build(farm: &Farm) {
    interrupted_in_finally(farm, "true");
}

fn an_interrupt_during_the_finally_of_a_failed_phase_is_not_forgotten(farm: &Farm) {
    interrupted_in_finally(farm, "false");
}

fn two_interrupts_end_a_finally_at_once(farm: &Farm) {
    let mark = mark(farm);
    farm.spec(&format!(
        "phases:\n  build:\n    commands: ['true']\n    finally: ['echo ready; sleep {mark}', 'echo never']\n"
    ));
    let mut live = farm.start(&[]);
    live.until_output("ready");
    live.signal(Signal::INT);
    live.until("the notice", |event| {
        event["type"] == "notice" && event["message"].as_str().unwrap().contains("stopping")
    });
    live.signal(Signal::INT);
    let end = live.end();
    assert_eq!(end.code(), Some(130), "{end:?} {:#?}", live.seen);
    assert_nothing_left(farm, &mark, &[]);
}

/// Interrupts a build while a shell expands a text of its buildspec.
#[track_caller]
fn interrupted_while_expanding(farm: &Farm, phase: &str) {
    let mark = mark(farm);
    farm.spec(&stuck(phase, &mark));
    let mut live = farm.start(&[]);
    live.until_phase(phase);
    eventually("the build waits", || !processes(&mark).is_empty());
    live.signal(Signal::INT);
    let end = live.end();
    assert_eq!(end.code(), Some(3), "{end:?} {:#?}", live.seen);
    let completed = live.seen_of("buildCompleted").pop().unwrap().clone();
    assert_eq!(completed["build"]["buildStatus"], "STOPPED");
    let phases = completed["build"]["phases"].as_array().unwrap();
    let stopped = phases.iter().find(|other| other["phaseType"] == phase);
    assert_eq!(stopped.unwrap()["phaseStatus"], "STOPPED", "{phases:#?}");
    let commands = live.seen_of("commandStarted").len();
    assert_eq!(commands, usize::from(phase == "UPLOAD_ARTIFACTS"));
    assert_nothing_left(farm, &mark, &[]);
}

fn an_interrupt_while_a_cache_key_is_expanded_stops_the_build(farm: &Farm) {
    interrupted_while_expanding(farm, "DOWNLOAD_SOURCE");
}

fn an_interrupt_while_an_artifact_name_is_expanded_stops_the_build(farm: &Farm) {
    interrupted_while_expanding(farm, "UPLOAD_ARTIFACTS");
}

fn a_build_that_takes_too_long_is_timed_out_and_finally_runs(farm: &Farm) {
    // Long enough to reach BUILD on a busy machine.
    let (mut live, mark) = waiting(farm, &["--timeout", "6s"]);
    assert_stopped(&mut live, 4, "TIMED_OUT", true);
    assert_nothing_left(farm, &mark, &[]);
}

fn a_build_that_succeeds_leaves_no_daemon_behind(farm: &Farm) {
    let mark = mark(farm);
    farm.outputs(&[
        &format!("nohup sleep {mark} >/dev/null 2>&1 & setsid sleep {mark} & sleep {mark} &"),
        "true",
    ]);
    assert_nothing_left(farm, &mark, &[]);
}

fn a_build_that_fails_leaves_no_daemon_behind(farm: &Farm) {
    let mark = mark(farm);
    farm.run_commands(&[&format!("setsid sleep {mark} & false")])
        .assert_code(1);
    assert_nothing_left(farm, &mark, &[]);
}

each_place!(
    one_interrupt_lets_finally_run_and_the_build_is_stopped,
    a_request_to_terminate_is_an_interrupt,
    two_interrupts_end_everything_at_once,
    an_interrupt_during_finally_lets_it_end_and_ends_the_build,
    an_interrupt_during_the_finally_of_a_failed_phase_is_not_forgotten,
    two_interrupts_end_a_finally_at_once,
    an_interrupt_while_a_cache_key_is_expanded_stops_the_build,
    an_interrupt_while_an_artifact_name_is_expanded_stops_the_build,
    a_build_that_takes_too_long_is_timed_out_and_finally_runs,
    a_build_that_succeeds_leaves_no_daemon_behind,
    a_build_that_fails_leaves_no_daemon_behind,
);

/// A buildspec that waits forever in that phase.
fn stuck(phase: &str, mark: &str) -> String {
    let wait = format!("setsid sleep {mark} & sleep {mark}");
    match phase {
        "DOWNLOAD_SOURCE" => format!(
            "phases:\n  build:\n    commands: ['true']\ncache:\n  key: x-$({wait})\n  paths: [kept]\n"
        ),
        "UPLOAD_ARTIFACTS" => format!(
            "phases:\n  build:\n    commands: ['true']\nartifacts:\n  files: [buildspec.yml]\n  name: x-$({wait})\n"
        ),
        "PROVISIONING" | "FINALIZING" => "phases:\n  build:\n    commands: ['true']\n".to_string(),
        phase => format!(
            "phases:\n  {}:\n    commands: ['{wait}']\n",
            phase.to_lowercase()
        ),
    }
}

/// Kills `croft` in that phase; after the next start nothing is left, and that build is as good as any.
fn killed_in(farm: &Farm, phase: &str) {
    let mark = mark(farm);
    farm.file("given", "given");
    farm.spec(&stuck(phase, &mark));
    let mut live = farm.start(&[]);
    live.until_phase(phase);
    if !["PROVISIONING", "FINALIZING"].contains(&phase) {
        eventually("the build waits", || !processes(&mark).is_empty());
    }
    let ids = containers(farm);
    live.signal(Signal::KILL);
    assert_eq!(live.end().signal(), Some(9));
    assert_eq!(farm.outputs(&["cat given"]), ["given"]);
    assert_nothing_left(farm, &mark, &ids);
}

fn killed_in_provisioning(farm: &Farm) {
    killed_in(farm, "PROVISIONING");
}

fn killed_in_download_source(farm: &Farm) {
    killed_in(farm, "DOWNLOAD_SOURCE");
}

fn killed_in_install(farm: &Farm) {
    killed_in(farm, "INSTALL");
}

fn killed_in_pre_build(farm: &Farm) {
    killed_in(farm, "PRE_BUILD");
}

fn killed_in_build(farm: &Farm) {
    killed_in(farm, "BUILD");
}

fn killed_in_post_build(farm: &Farm) {
    killed_in(farm, "POST_BUILD");
}

fn killed_in_upload_artifacts(farm: &Farm) {
    killed_in(farm, "UPLOAD_ARTIFACTS");
}

fn killed_in_finalizing(farm: &Farm) {
    killed_in(farm, "FINALIZING");
}

/// Two builds at once in one home: the start of one must not sweep the other away.
fn a_start_sweeps_no_living_build(farm: &Farm) {
    let (mut live, mark) = waiting(farm, &[]);
    let other = Farm::new(farm.at());
    other.spec("phases:\n  build:\n    commands: ['echo other']\n");
    let mut command = other.croft_run(&["-o", "ndjson"]);
    command.env("CROFT_HOME", farm.home());
    other.end(command).assert_code(0);
    assert_eq!(processes(&mark).len(), 3);
    live.signal(Signal::INT);
    assert_stopped(&mut live, 3, "STOPPED", true);
}

mod kill {
    use super::{
        a_start_sweeps_no_living_build, each_place, killed_in_build, killed_in_download_source,
        killed_in_finalizing, killed_in_install, killed_in_post_build, killed_in_pre_build,
        killed_in_provisioning, killed_in_upload_artifacts,
    };

    each_place!(
        killed_in_provisioning,
        killed_in_download_source,
        killed_in_install,
        killed_in_pre_build,
        killed_in_build,
        killed_in_post_build,
        killed_in_upload_artifacts,
        killed_in_finalizing,
        a_start_sweeps_no_living_build,
    );
}

/// The engine finishes what a killed `croft` had asked for even when the next start has been and gone.
#[test]
fn a_container_that_turns_up_late_is_swept_by_a_later_start() {
    let Some(farm) = At::CONTAINER.farm() else {
        return;
    };
    let (mut live, mark) = waiting(&farm, &[]);
    let id = live.seen_of("buildStarted")[0]["build"]["id"]
        .as_str()
        .unwrap()
        .to_string();
    live.signal(Signal::KILL);
    live.end();
    farm.outputs(&["true"]);
    let labels = [
        format!("croft.home={}", farm.home().display()),
        format!("croft.build={id}"),
    ];
    let image = farm.at().image.unwrap();
    docker(&[
        "create", "--label", &labels[0], "--label", &labels[1], image,
    ]);
    assert_eq!(containers(&farm).len(), 1);
    // A build in the sandbox sweeps too.
    farm.end(farm.croft(&["run"])).assert_code(0);
    assert_nothing_left(&farm, &mark, &[]);
}

/// Where nothing was killed, a build in the sandbox has no business with an engine.
#[test]
fn a_sandbox_asks_no_engine_until_something_was_killed() {
    let Some(farm) = At::SANDBOX.farm() else {
        return;
    };
    let path = farm.folder().join("engine.sock");
    let engine = std::os::unix::net::UnixListener::bind(&path).unwrap();
    engine.set_nonblocking(true).unwrap();
    let run = |words: &[&str]| {
        let mut command = farm.croft_run(&["-o", "ndjson"]);
        command.args(words);
        command.env("DOCKER_HOST", format!("unix://{}", path.display()));
        command
    };
    farm.spec("phases:\n  build:\n    commands: ['true']\n");
    farm.end(run(&[])).assert_code(0);
    farm.end(run(&["--timeout", "wrong"])).assert_code(5);
    farm.end(run(&[])).assert_code(0);
    let asked = engine.accept().map(|_| ()).unwrap_err();
    assert_eq!(asked.kind(), std::io::ErrorKind::WouldBlock);
    let (mut live, _) = waiting(&farm, &[]);
    live.signal(Signal::KILL);
    live.end();
    farm.spec("phases:\n  build:\n    commands: ['true']\n");
    let mut started = run(&[]).stdout(Stdio::null()).spawn().unwrap();
    // It hangs up at once, which is no engine's answer.
    eventually("the engine is asked", || engine.accept().is_ok());
    drop(engine);
    fs::remove_file(&path).unwrap();
    assert!(started.wait().unwrap().success());
    // Nobody answered, so nobody knows: it is asked again.
    assert!(farm.home().join("run/.sweep-containers").exists());
}

#[test]
fn a_helper_on_this_machine_ends_with_a_killed_croft() {
    if !std::path::Path::new("/usr/bin/setpriv").exists() {
        skip("there is no /usr/bin/setpriv");
        return;
    }
    let Some(farm) = At::SANDBOX.farm() else {
        return;
    };
    let mark = mark(&farm);
    let git = farm.person().join("git");
    fs::write(&git, format!("#!/bin/sh\nexec sleep {mark}\n")).unwrap();
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = farm.croft_run(&["-o", "ndjson", "https://localhost:1/app.git"]);
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", farm.person().display()));
    let mut live = Live::start(command);
    eventually("git runs", || processes(&mark).len() == 1);
    live.signal(Signal::KILL);
    live.end();
    eventually("git is gone", || processes(&mark).is_empty());
}

/// Proves that the search above finds what it looks for.
#[test]
fn the_search_for_leftovers_finds_a_process() {
    let mark = format!("9{:08}.5", std::process::id());
    let mut child = Command::new("sleep")
        .arg(&mark)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the process shows", || processes(&mark).len() == 1);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(processes(&mark), Vec::<String>::new());
}
