//! A build that does nothing: what Croft itself costs. In the sandbox against bubblewrap with the same namespaces, in a
//! container against the docker command line with the same image and network.

use std::process::Command;

use crate::sample::{Verdict, in_turn, until_printed, whole};
use crate::subject::{IMAGE, Subject};

const ROUNDS: usize = 41;
const ROUNDS_CONTAINER: usize = 15;
const MARKER: &str = "marker-of-the-first-output";

pub(crate) fn sandbox(subject: &Subject) -> Result<Vec<Verdict>, String> {
    let source = subject.source("noop", &[&format!("echo {MARKER}")])?;
    let first = in_turn(
        ROUNDS,
        || until_printed(&mut subject.run(&source), MARKER),
        || until_printed(&mut bubblewrap(&format!("echo {MARKER}")), MARKER),
    )?;
    let all = in_turn(
        ROUNDS,
        || whole(&mut subject.run(&source)),
        || whole(&mut bubblewrap("true")),
    )?;
    Ok(vec![
        Verdict::times(
            "first output in the sandbox, against bwrap",
            first.0,
            first.1,
            3.0,
        ),
        Verdict::times(
            "whole run in the sandbox, against bwrap",
            all.0,
            all.1,
            10.0,
        ),
    ])
}

fn bubblewrap(script: &str) -> Command {
    let mut command = Command::new("bwrap");
    command.args([
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-cgroup",
    ]);
    command.args([
        "--ro-bind",
        "/",
        "/",
        "--dev",
        "/dev",
        "--proc",
        "/proc",
        "--tmpfs",
        "/tmp",
    ]);
    command.args(["sh", "-c", script]);
    command
}

pub(crate) fn container(subject: &Subject) -> Result<Vec<Verdict>, String> {
    let source = subject.source("noop-container", &["true"])?;
    let mut verdicts = Vec::new();
    for network in ["bridge", "none"] {
        let ours = || {
            let mut command = subject.run(&source);
            whole(command.args(["--image", IMAGE, "--pull", "never", "--network", network]))
        };
        let theirs = || {
            whole(Command::new("docker").args(["run", "--rm", "--network", network, IMAGE, "true"]))
        };
        let (ours, theirs) = in_turn(ROUNDS_CONTAINER, ours, theirs)?;
        let what = format!("whole run in a container, network {network}, against docker run --rm");
        verdicts.push(Verdict::times(&what, ours, theirs, 1.0));
    }
    Ok(verdicts)
}
