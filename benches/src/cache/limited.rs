//! Commands with a limit. Received from the rows; hands back how long each took and what it printed.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// A command that succeeded.
pub(crate) struct Ran {
    pub(crate) time: Duration,
    pub(crate) printed: String,
}

/// Runs the command; when it takes longer than the limit, it and what it started are killed.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<Ran, String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let shown = shown(command);
    let start = Instant::now();
    let child = command
        .spawn()
        .map_err(|error| format!("{shown}: {error}"))?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (ended, running) = sync_channel::<()>(0);
    let (output, time, late) = thread::scope(|scope| {
        let watch = thread::Builder::new()
            .name("limit".into())
            .spawn_scoped(scope, move || {
                let late = running.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
                if let (true, Some(group)) = (late, group) {
                    kill_process_group(group, Signal::KILL).unwrap_or_default();
                }
                late
            });
        let output = child.wait_with_output();
        let time = start.elapsed();
        drop(ended);
        let late = watch.is_ok_and(|watch| watch.join().unwrap_or(false));
        (output, time, late)
    });
    let output = output.map_err(|error| format!("{shown}: {error}"))?;
    if late {
        return Err(format!("{shown}: took more than {} s", limit.as_secs()));
    }
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{shown}: {}: {}", output.status, errors.trim()));
    }
    Ok(Ran {
        time,
        printed: String::from_utf8_lossy(&output.stdout).into_owned(),
    })
}

/// The command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        let value = value?;
        Some(format!("{}={}", name.display(), value.display()))
    });
    let program = std::iter::once(command.get_program()).chain(command.get_args());
    let words = program.map(|word| {
        let word = word.to_string_lossy();
        if word.contains(' ') {
            format!("'{word}'")
        } else {
            word.into_owned()
        }
    });
    variables.chain(words).collect::<Vec<_>>().join(" ")
}
