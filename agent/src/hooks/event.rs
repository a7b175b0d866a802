//! The scripts of one event, in their order, until one fails. Receives them from `host`, hands back diagnostics: a script that
//! fails is a value, and so is everything else that goes wrong here.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use croft_beneath::Root;
use croft_proto::deploy::{DeploymentId, Diagnostics, HostCommand, ScriptErrorCode};
use croft_spec::appspec::Script;

use super::leftover::Leftovers;
use super::log::ScriptLog;
use super::phase::{Times, Why};
use super::process::{self, Listener, Ran};
use super::tree::Known;
use super::{environment, words};
use crate::state::durable;
use crate::watch::Stream;

/// `set-user-id` and `set-group-id`: whose rights such a script would have is not for its file to say.
const SET_ID: u32 = 0o6000;
/// What a shell says of a program that it may not run.
const NOT_EXECUTABLE: i32 = 126;

/// What scripts are run with.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    /// The event's command.
    pub(crate) command: &'a HostCommand,
    /// The deployment that brought the scripts.
    pub(crate) from: &'a DeploymentId,
    /// Their revision.
    pub(crate) archive: &'a Path,
    /// Where a running script is noted, for an agent that is started after this one was killed.
    pub(crate) note: PathBuf,
    /// The agent's own environment.
    pub(crate) environment: &'a [(OsString, OsString)],
    /// How long a script has after TERM.
    pub(crate) end: Duration,
    /// How long the output of a script that has ended is waited for.
    pub(crate) drain: Duration,
    pub(crate) leftovers: &'a Leftovers,
    pub(crate) is_over: &'a AtomicBool,
}

/// Why a script has failed.
struct Failed {
    code: ScriptErrorCode,
    message: String,
}

impl Failed {
    fn new(code: ScriptErrorCode, message: String) -> Self {
        Self { code, message }
    }
}

/// Runs the scripts; those after one that fails are not run.
pub(crate) fn run(
    with: &Surroundings<'_>,
    scripts: &[Script],
    log: &mut ScriptLog<'_>,
) -> Diagnostics {
    for script in scripts {
        log.script(&script.location, with.from);
        if let Err(failed) = one(with, script, log) {
            log.note(&failed.message);
            return Diagnostics {
                error_code: failed.code,
                script_name: script.location.clone(),
                message: failed.message,
                log_tail: log.tail(),
                script_from_deployment: Some(with.from.to_string()),
                printed: None,
            };
        }
    }
    Diagnostics {
        error_code: ScriptErrorCode::Success,
        script_name: scripts
            .last()
            .map(|script| script.location.clone())
            .unwrap_or_default(),
        message: "Succeeded".into(),
        log_tail: log.tail(),
        script_from_deployment: Some(with.from.to_string()),
        printed: None,
    }
}

fn one(with: &Surroundings<'_>, script: &Script, log: &mut ScriptLog<'_>) -> Result<(), Failed> {
    let path = runnable(with, script)?;
    let mut command = command(with, script, &path);
    let times = Times {
        run: Duration::from_secs(script.timeout_s),
        end: with.end,
        drain: with.drain,
    };
    let mut listening = Listening {
        log,
        note: &with.note,
    };
    let ran = match process::run(&mut command, times, with.is_over, &mut listening) {
        // A file without a `#!` line: whoever starts programs takes it for one of the shell's.
        Err(error) if is_no_program(&error) => {
            let mut command = self::command(with, script, "/bin/sh");
            command.arg(&path);
            process::run(&mut command, times, with.is_over, &mut listening)
        }
        ran => ran,
    };
    if let Err(error) = durable::remove(&with.note) {
        tracing::warn!(%error, "cannot forget a script that has ended");
    }
    let ran = ran.map_err(|error| not_started(script, &error))?;
    let ended = verdict(with, script, &ran);
    if !ran.left.is_empty() {
        log.note(
            "the script has ended, and a process that it left still holds its output: what that prints is not kept, and it \
             may end when the agent does; redirect its output and errors to a file or to /dev/null",
        );
        with.leftovers.keep(ran.left);
    }
    ended
}

/// The script's path, once it is certain that there is one, that it is in the revision, and that it can be run.
fn runnable(with: &Surroundings<'_>, script: &Script) -> Result<String, Failed> {
    let said = &script.location;
    let from = with.from;
    let missing = |why: String| {
        let message =
            format!("Script at specified location: {said} {why}, in the revision of {from}");
        Failed::new(ScriptErrorCode::ScriptMissing, message)
    };
    let location = script.location_in_bundle().unwrap_or_default();
    let opened = Root::open(with.archive).and_then(|root| root.open_file(Path::new(&location)));
    let file = opened.map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            missing("does not exist".into())
        } else {
            missing(format!("cannot be read: {error}"))
        }
    })?;
    executable(&file).map_err(|why| {
        let message =
            format!("Script at specified location: {said} cannot be executed: {why}, in the revision of {from}");
        Failed::new(ScriptErrorCode::ScriptNotExecutable, message)
    })?;
    Ok(with.archive.join(location).display().to_string())
}

fn executable(file: &File) -> Result<(), String> {
    let found = file.metadata().map_err(|error| error.to_string())?;
    let mode = found.permissions().mode();
    if mode & SET_ID != 0 {
        return Err(format!(
            "its mode {:04o} has the set-user-ID or set-group-ID bit; use runas",
            mode & 0o7777
        ));
    }
    if mode & 0o111 == 0 {
        let permissions = Permissions::from_mode(mode & 0o7777 | 0o111);
        let set = file.set_permissions(permissions);
        set.map_err(|error| format!("it has no execute bit, and may not be given one: {error}"))?;
    }
    Ok(())
}

fn command(with: &Surroundings<'_>, script: &Script, path: &str) -> Command {
    let mut words = words::of(script, path).into_iter();
    let mut command = Command::new(words.next().unwrap_or_default());
    command
        .args(words)
        .env_clear()
        .envs(with.environment.iter().map(|(name, value)| (name, value)))
        .envs(environment::variables(with.command))
        .current_dir(with.archive)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    command
}

fn is_no_program(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error())
}

fn not_started(script: &Script, error: &io::Error) -> Failed {
    let said = &script.location;
    let (code, why) = if error.kind() == io::ErrorKind::NotFound {
        (
            ScriptErrorCode::ScriptNotExecutable,
            "the program that its first line names, or su or sudo, is missing".to_string(),
        )
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        (
            ScriptErrorCode::ScriptNotExecutable,
            format!("{error}; its file system may be mounted noexec"),
        )
    } else {
        (ScriptErrorCode::UnknownError, error.to_string())
    };
    let message = format!("Script at specified location: {said} cannot be started: {why}");
    Failed::new(code, message)
}

/// What a script's end means, in AWS's sentences where it has some.
fn verdict(with: &Surroundings<'_>, script: &Script, ran: &Ran) -> Result<(), Failed> {
    use std::os::unix::process::ExitStatusExt as _;
    let said = &script.location;
    let as_whom = script
        .runas
        .as_ref()
        .map(|user| format!(" run as user {user}"))
        .unwrap_or_default();
    let start = format!("Script at specified location: {said}{as_whom}");
    match ran.why {
        Some(Why::TimedOut) => {
            let message = format!("{start} failed to complete in {} seconds", script.timeout_s);
            return Err(Failed::new(ScriptErrorCode::ScriptTimedOut, message));
        }
        Some(Why::Stopped) => {
            let message = format!("{start} was stopped");
            return Err(Failed::new(ScriptErrorCode::UnknownError, message));
        }
        None => {}
    }
    let Some(status) = ran.status else {
        let message = format!("{start} did not end");
        return Err(Failed::new(ScriptErrorCode::UnknownError, message));
    };
    let message = match (status.code(), status.signal()) {
        (Some(0), _) => return Ok(()),
        (Some(code), _) => format!(
            "{start} failed with exit code {code}{}",
            hint(with, script, code)
        ),
        (None, signal) => format!("{start} was ended by signal {}", signal.unwrap_or_default()),
    };
    Err(Failed::new(ScriptErrorCode::ScriptFailed, message))
}

fn hint(with: &Surroundings<'_>, script: &Script, code: i32) -> String {
    match &script.runas {
        Some(user) if code == NOT_EXECUTABLE => format!(
            "; {user} may not be allowed to reach {}",
            with.archive.display()
        ),
        Some(_) | None => String::new(),
    }
}

struct Listening<'a, 'log> {
    log: &'a mut ScriptLog<'log>,
    note: &'a Path,
}

impl Listener for Listening<'_, '_> {
    fn started(&mut self, process: &Known) {
        if let Err(error) = durable::write(self.note, process) {
            tracing::warn!(%error, "cannot note a script that runs");
        }
    }

    fn line(&mut self, stream: Stream, text: &str) {
        self.log.line(stream, text);
    }
}
