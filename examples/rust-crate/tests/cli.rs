//! The program as its users call it.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

const LOG: &str = r#"{"time":"2026-03-01T08:00:00Z","level":"info","request":{"path":"/health"},"ms":2}
{"time":"2026-03-01T09:00:00Z","level":"error","request":{"path":"/orders"},"ms":812}
not json
{"time":"2026-03-01T10:00:00Z","level":"error","request":{"path":"/health"},"ms":3}
"#;

fn logpick(arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_logpick"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program that refuses its arguments may be gone before it reads.
    child.stdin.take().expect("stdin is piped").write_all(LOG.as_bytes()).ok();
    child.wait_with_output().expect("the program ends")
}

fn stdout(arguments: &[&str]) -> String {
    let output = logpick(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the output is UTF-8")
}

#[test]
fn conditions_and_fields_are_applied_together() {
    let picked = stdout(&["--where", "level=error", "-w", "request.path!=health", "-f", "ms", "-f", "request.path"]);
    assert_eq!(picked, "812\t/orders\n");
}

#[test]
fn since_keeps_later_records_whole() {
    let picked = stdout(&["--since", "2026-03-01T11:00:00+02:00", "--field", "time"]);
    assert_eq!(picked, "2026-03-01T09:00:00Z\n2026-03-01T10:00:00Z\n");
}

#[test]
fn values_are_counted() {
    assert_eq!(stdout(&["--count-by", "level"]), "2\terror\n1\tinfo\n");
}

#[test]
fn broken_lines_are_told_and_do_not_fail() {
    let output = logpick(&[]);
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "logpick: passed over 1 of 4 lines: not a JSON object\n");
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 3);
}

#[test]
fn a_bad_condition_is_explained() {
    let output = logpick(&["--where", "level"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("FIELD=PATTERN"));
}

#[test]
fn a_missing_file_is_named() {
    let output = logpick(&["no-such.log"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such.log"));
}
