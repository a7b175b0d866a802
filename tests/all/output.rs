//! What a build shows: plain, as events, as one JSON value, on a terminal; and that no output is too much or too odd for it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::harness::{At, Farm, eventually, in_terminal};

/// The most that `croft` may hold in memory, whatever a build writes.
const RESIDENT_KIB_MAX: u64 = 60 << 10;

macro_rules! sandbox {
    () => {
        match At::SANDBOX.farm() {
            Some(farm) => farm,
            None => return,
        }
    };
}

const FAILING: &str = "phases:\n  build:\n    commands:\n      - echo first\n      - |\n        echo working\n        echo \"no such luck\" >&2\n        exit 9\n";

/// Times are the only part that differs from run to run.
fn without_times(text: &str) -> String {
    let is_time = |word: &str| {
        let digits = word
            .trim_end_matches(',')
            .strip_suffix('s')
            .unwrap_or_default();
        digits.split_once('.').is_some_and(|(whole, tenths)| {
            [whole, tenths]
                .iter()
                .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
        })
    };
    let line = |line: &str| {
        line.split(' ')
            .map(|word| if is_time(word) { "TIME" } else { word })
            .collect::<Vec<_>>()
            .join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_failing_build_ends_with_the_command_its_status_its_place_and_its_last_lines() {
    let farm = sandbox!();
    farm.spec(FAILING);
    let ran = farm.end(farm.croft_run(&[]));
    ran.assert_code(1);
    let text = without_times(&ran.text());
    let end = text
        .split_once("FAILED at")
        .expect("it says where it failed")
        .1;
    let expected = " BUILD in TIME
  command      echo working
               echo \"no such luck\" >&2
               exit 9
  exit status  9
  in           BUILD at buildspec.yml:7:9
  last lines
  │ working
  │ no such luck";
    assert_eq!(end, expected);
}

#[test]
fn plain_output_has_the_phase_in_front_of_every_line() {
    let farm = sandbox!();
    farm.spec(FAILING);
    let text = without_times(&farm.end(farm.croft_run(&["-o", "plain"])).text());
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("[BUILD]"))
        .collect();
    let expected = ["[BUILD] started", "[BUILD] $ echo first", "[BUILD] first"];
    assert_eq!(lines[..3], expected);
    assert!(
        lines.contains(&"[BUILD] working") && lines.contains(&"[BUILD] no such luck"),
        "{text}"
    );
    assert_eq!(lines.last(), Some(&"[BUILD] failed in TIME"));
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn events_are_numbered_without_gaps_and_come_in_order() {
    let farm = sandbox!();
    let ran = farm.run_commands(&["for i in 1 2 3 4 5; do echo $i; done", "echo two >&2"]);
    ran.assert_code(0);
    let numbers: Vec<u64> = ran
        .events
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let times: Vec<f64> = ran
        .events
        .iter()
        .map(|event| event["time"].as_f64().unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(ran.text().lines().count(), ran.events.len());
    assert_eq!(
        (
            &ran.events[0]["type"],
            &ran.events[numbers.len() - 1]["type"]
        ),
        (&"buildStarted".into(), &"buildCompleted".into())
    );
}

#[test]
fn json_is_the_finished_build_and_nothing_else() {
    let farm = sandbox!();
    farm.spec(FAILING);
    let ran = farm.end(farm.croft_run(&["-o", "json"]));
    ran.assert_code(1);
    let value: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(value["build"]["buildStatus"], "FAILED");
    assert_eq!(value["summary"]["failedCommand"]["place"]["line"], 7);
    assert_eq!(ran.stderr, "");
}

#[test]
fn the_log_has_the_form_of_codebuilds_own() {
    let farm = sandbox!();
    farm.spec(FAILING);
    let ran = farm.run(&[]);
    let log = String::from_utf8(ran.log()).unwrap();
    let agent: Vec<&str> = log
        .lines()
        .filter_map(|line| line.strip_prefix("[Container] "))
        .map(|line| &line[27..])
        .collect();
    for expected in [
        "Entering phase BUILD",
        "Running command echo first",
        "Phase complete: BUILD State: FAILED",
        "Entering phase POST_BUILD",
        "Phase complete: INSTALL State: SUCCEEDED",
    ] {
        assert!(agent.contains(&expected), "{expected}: {log}");
    }
    assert!(
        log.contains("] first\n") || log.contains("\nfirst\n\n"),
        "{log}"
    );
    assert!(log.contains("Phase context status code: COMMAND_EXECUTION_ERROR Message: Error while executing command: echo working"), "{log}");
}

#[test]
fn a_line_of_ten_megabytes_passes_whole() {
    let farm = sandbox!();
    farm.spec("phases:\n  build:\n    commands: ['head -c 10000000 /dev/zero | tr \"\\0\" x; echo; echo after']\n");
    let ran = farm.end(farm.croft_run(&["-o", "plain"]));
    ran.assert_code(0);
    let lines = || ran.stdout.split(|byte| *byte == b'\n');
    assert_eq!(
        lines().map(<[u8]>::len).max(),
        Some(10_000_000 + "[BUILD] ".len())
    );
    assert!(lines().any(|line| line == b"[BUILD] after"));
    let log = ran.log();
    assert_eq!(
        log.split(|byte| *byte == b'\n').map(<[u8]>::len).max(),
        Some(10_000_000)
    );
}

#[test]
fn bytes_that_are_not_text_pass_as_they_are() {
    let farm = sandbox!();
    farm.spec("phases:\n  build:\n    commands: ['printf \"a\\377\\376b\\n\"']\n");
    let ran = farm.end(farm.croft_run(&["-o", "plain"]));
    ran.assert_code(0);
    assert!(
        ran.stdout
            .windows(13)
            .any(|window| window == b"[BUILD] a\xff\xfeb\n"),
        "{}",
        ran.text()
    );
}

#[test]
fn a_last_line_without_an_end_is_shown() {
    let farm = sandbox!();
    farm.spec("phases:\n  build:\n    commands: ['printf \"no end\"', 'echo next']\n");
    let text = farm.end(farm.croft_run(&["-o", "plain"])).text();
    assert!(
        text.contains("[BUILD] no end\n[BUILD] $ echo next\n[BUILD] next\n"),
        "{text}"
    );
}

/// The most memory a process ever had.
fn resident_kib_max(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

/// The second command waits until its maker was looked at, so that the first one's output is behind it.
fn memory_of(commands: &str, words: &[&str]) -> u64 {
    let farm = Farm::new(At::SANDBOX);
    farm.file("secrets", "/app/one=a-secret-of-its-own\n");
    farm.spec(&format!(
        "env:\n  parameter-store: {{ONE: /app/one}}\nphases:\n  build:\n    commands: ['{commands}', 'touch ready; until test -e go; do sleep 0.05; done']\n"
    ));
    let mut command = farm.croft_run(&["--in-place", "--secret-file", "secrets"]);
    let mut child = command.args(words).stdout(Stdio::null()).spawn().unwrap();
    eventually("the output is behind", || {
        farm.source().join("ready").exists()
    });
    let most = resident_kib_max(&child);
    farm.file("go", "");
    assert!(child.wait().unwrap().success());
    most
}

const MANY_LINES: &str =
    "yes \"a line of output with some length, as builds write them\" | head -c";

#[test]
fn two_hundred_megabytes_of_output_take_no_more_memory_than_allowed() {
    let _farm = sandbox!();
    let most = memory_of(&format!("{MANY_LINES} 200000000"), &["-o", "plain"]);
    assert!(most < RESIDENT_KIB_MAX, "{most} KiB");
}

#[test]
fn many_events_take_no_more_memory_than_allowed() {
    let _farm = sandbox!();
    let most = memory_of(&format!("{MANY_LINES} 80000000"), &["-o", "ndjson"]);
    assert!(most < RESIDENT_KIB_MAX, "{most} KiB");
}

#[test]
fn one_line_of_two_hundred_megabytes_takes_no_more_memory_than_allowed() {
    let _farm = sandbox!();
    let most = memory_of("head -c 200000000 /dev/zero", &["-o", "plain"]);
    assert!(most < RESIDENT_KIB_MAX, "{most} KiB");
}

#[test]
fn a_reader_that_goes_away_does_not_fail_the_build() {
    let farm = sandbox!();
    farm.spec("phases:\n  build:\n    commands: ['yes output | head -n 100000', 'echo the end > done']\nartifacts: {files: [done]}\n");
    let mut child = farm
        .croft_run(&["-o", "plain", "-a", "../out"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.starts_with("Build 1 of source"), "{line}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(farm.folder().join("out/done").exists());
    let builds: Vec<_> = fs::read_dir(farm.home().join("builds"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let log = fs::read_to_string(builds[0].join("build.log")).unwrap();
    assert_eq!(
        log.lines().filter(|line| *line == "output").count(),
        100_000
    );
}

/// True when there are colours in the text; moving the cursor is no colour.
fn has_color(text: &str) -> bool {
    text.split("\u{1b}[").skip(1).any(|rest| {
        let end = rest
            .find(|letter: char| letter.is_ascii_alphabetic())
            .unwrap_or(0);
        rest[end..].starts_with('m') && !["", "0"].contains(&&rest[..end])
    })
}

#[test]
fn a_terminal_has_colours_unless_they_are_not_wanted() {
    let farm = sandbox!();
    farm.spec(FAILING);
    let Some(ran) = in_terminal(&farm, farm.croft_run(&[])) else {
        return;
    };
    ran.assert_code(1);
    assert!(has_color(&ran.text()), "{:?}", ran.text());
    let mut command = farm.croft_run(&[]);
    command.env("NO_COLOR", "1");
    let ran = in_terminal(&farm, command).unwrap();
    ran.assert_code(1);
    assert!(!has_color(&ran.text()), "{:?}", ran.text());
    assert!(
        ran.text().contains("no such luck") && ran.text().contains("buildspec.yml:7:9"),
        "{:?}",
        ran.text()
    );
}

#[test]
fn control_sequences_of_a_build_do_not_reach_the_terminal() {
    let farm = sandbox!();
    farm.spec("phases:\n  build:\n    commands: ['printf \"\\033]0;title\\007\\033[2J\\033[1;1Hmoved\\n\"; false']\n");
    let Some(ran) = in_terminal(&farm, farm.croft_run(&[])) else {
        return;
    };
    ran.assert_code(1);
    assert!(ran.text().contains("moved"), "{:?}", ran.text());
    assert!(
        !ran.text().contains("\u{1b}]0;") && !ran.text().contains("\u{1b}[2J"),
        "{:?}",
        ran.text()
    );
}

#[test]
fn the_expected_time_is_known_after_a_build_that_succeeded() {
    let farm = sandbox!();
    farm.spec("phases:\n  build:\n    commands: ['true']\n");
    assert!(farm.run(&[]).events[0].get("expectedMs").is_none());
    assert!(farm.run(&[]).events[0]["expectedMs"].as_u64().is_some());
}
