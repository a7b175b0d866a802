//! The loop: requests in, commands run, replies out. One thread waits for the socket and for the running command at once;
//! whatever else ends here was orphaned by a command and is reaped, since this is the sandbox's first process.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{PidfdFlags, Signal, WaitOptions, WaitStatus};

use crate::command::{self, Running};
use crate::frame;
use crate::helpers;
use crate::protocol::{Owner, RUNNER, Reply, Request, Run, TMP, USER_BIN, VERSION};

/// Where AWS's images say which runtimes they can switch to.
const RUNTIMES: &str = "/codebuild/image/config/runtimes.yml";
/// A file of AWS's has some tens of kilobytes.
const RUNTIMES_BYTES_MAX: u64 = 1 << 20;
/// How often orphans are reaped while nothing else happens.
const REAP_EVERY: Duration = Duration::from_secs(1);

/// Serves until the worker says so, is gone, or was silent for `lease`; then everything this process started ends with it. `owner` is whom
/// the build's user 0 is on the host.
///
/// # Errors
/// When the socket breaks or the build's own directories cannot be made.
pub fn serve(control: &UnixStream, lease: Option<Duration>, owner: Owner) -> io::Result<()> {
    make_directories()?;
    // A worker that is frozen in the middle of a message, or does not read one, is silent, too.
    control.set_read_timeout(lease)?;
    control.set_write_timeout(lease)?;
    let mut stream = control;
    frame::write(&mut stream, &ready())?;
    let mut heard = Instant::now();
    let mut running: Option<(Running, OwnedFd)> = None;
    let mut waiting: VecDeque<Box<Run>> = VecDeque::new();
    loop {
        if lease.is_some_and(|lease| heard.elapsed() > lease) {
            return Ok(());
        }
        let (asked, ended) = wait(control, running.as_ref().map(|(_, pidfd)| pidfd))?;
        if asked {
            heard = Instant::now();
            match frame::read(&mut stream)? {
                None | Some(Request::Quit) => return Ok(()),
                Some(Request::Alive) => {}
                Some(Request::Run(run)) => waiting.push_back(run),
                Some(Request::Signal(number)) => signal(running.as_ref(), number),
            }
        }
        let finished = reap(running.as_ref().map(|(command, _)| command));
        if let (true, Some((command, _)), Some(status)) =
            (ended || finished.is_some(), &running, finished)
        {
            frame::write(
                &mut stream,
                &Reply::Exited {
                    status,
                    state: command::finish(command),
                },
            )?;
            running = None;
        }
        if running.is_none()
            && let Some(run) = waiting.pop_front()
        {
            match start(&run, owner) {
                Ok(started) => running = Some(started),
                Err(refused) => frame::write(&mut stream, &refused)?,
            }
        }
    }
}

fn start(run: &Run, owner: Owner) -> Result<(Running, OwnedFd), Reply> {
    let command = command::start(run, owner)?;
    let pidfd = rustix::process::pidfd_open(command.pid, PidfdFlags::empty()).map_err(|error| {
        Reply::Refused {
            status: 126,
            reason: format!("cannot watch the command: {error}"),
        }
    })?;
    Ok((command, pidfd))
}

/// Whether the worker spoke, and whether the command ended.
fn wait(control: &UnixStream, pidfd: Option<&OwnedFd>) -> io::Result<(bool, bool)> {
    let mut watched = vec![PollFd::new(control, PollFlags::IN)];
    if let Some(pidfd) = pidfd {
        watched.push(PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN));
    }
    let limit = Timespec {
        tv_sec: REAP_EVERY.as_secs().cast_signed(),
        tv_nsec: 0,
    };
    match rustix::event::poll(&mut watched, Some(&limit)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let happened = |index: usize| {
        watched
            .get(index)
            .is_some_and(|fd| !fd.revents().is_empty())
    };
    Ok((happened(0), happened(1)))
}

/// Collects every process that ended; the status of `command` when it is among them.
fn reap(command: Option<&Running>) -> Option<i32> {
    let mut status = None;
    while let Ok(Some((pid, ended))) = rustix::process::wait(WaitOptions::NOHANG) {
        if command.is_some_and(|command| command.pid == pid) {
            status = Some(exit_status(ended));
        }
    }
    status
}

fn exit_status(ended: WaitStatus) -> i32 {
    ended
        .exit_status()
        .or_else(|| ended.terminating_signal().map(|signal| 128 + signal))
        .unwrap_or(255)
}

/// Reaches the command's whole session; processes that made a session of their own end with the sandbox.
fn signal(running: Option<&(Running, OwnedFd)>, number: i32) {
    if let (Some((command, _)), Some(signal)) = (running, Signal::from_named_raw(number)) {
        // The launcher may not have made its session yet: then there is no such group and the process itself is told.
        // A process that is gone meanwhile needs no signal.
        rustix::process::kill_process_group(command.pid, signal)
            .or_else(|_| rustix::process::kill_process(command.pid, signal))
            .unwrap_or_default();
    }
}

fn ready() -> Reply {
    let environment = std::env::vars_os()
        .map(|(name, value)| (name.into_vec(), value.into_vec()))
        .collect();
    let small = fs::metadata(RUNTIMES).is_ok_and(|found| found.len() <= RUNTIMES_BYTES_MAX);
    let runtimes = small.then(|| fs::read(RUNTIMES).ok()).flatten();
    Reply::Ready {
        version: VERSION,
        environment,
        runtimes,
    }
}

/// The folders a build expects, and the helpers under their names.
fn make_directories() -> io::Result<()> {
    fs::create_dir_all(TMP)?;
    fs::set_permissions(TMP, fs::Permissions::from_mode(0o1777))?;
    fs::create_dir_all(USER_BIN)?;
    for name in helpers::NAMES {
        match symlink(RUNNER, format!("{USER_BIN}/{name}")) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
