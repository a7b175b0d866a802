//! One process of a script: started in a group of its own, its output read, its time kept. Receives a command from `event`,
//! hands lines on as they come and back how it ended. One thread does it all, so nothing of it can be left waiting.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use super::lines::Lines;
use super::phase::{Happened, Phase, Times, Why};
use super::tree::{self, Known};
use crate::watch::Stream;

/// How soon it is noticed that the caller wants no more.
const LOOK: Duration = Duration::from_millis(100);
/// What is read at once.
const PIECE_BYTES: usize = 64 << 10;

/// How a process ended.
#[derive(Debug)]
pub(super) struct Ran {
    /// `None` when not even KILL ended it.
    pub(super) status: Option<ExitStatus>,
    /// Why it was made to end.
    pub(super) why: Option<Why>,
    /// Pipes that somebody still holds.
    pub(super) left: Vec<File>,
}

/// Who hears of a process.
pub(super) trait Listener {
    /// It has started.
    fn started(&mut self, process: &Known);
    /// It has printed a line.
    fn line(&mut self, stream: Stream, text: &str);
}

struct Pipe {
    stream: Stream,
    file: File,
    lines: Lines,
}

/// Runs the command, whose output and errors are pipes, to its end.
pub(super) fn run(
    command: &mut Command,
    times: Times,
    is_over: &AtomicBool,
    listener: &mut dyn Listener,
) -> io::Result<Ran> {
    let mut child = command.spawn()?;
    let pid = Pid::from_child(&child);
    let known = Known::of(pid).ok_or_else(|| io::Error::other("/proc does not show processes"));
    let (known, pidfd) = match known.and_then(|known| Ok((known, opened(pid)?))) {
        Ok(opened) => opened,
        Err(error) => {
            child.kill().unwrap_or_default();
            child.wait()?;
            return Err(error);
        }
    };
    listener.started(&known);
    let mut running = Running {
        pipes: pipes(&mut child)?,
        child,
        pidfd: Some(pidfd),
        status: None,
    };
    let mut tree = std::collections::BTreeSet::new();
    let mut phase = Phase::first(times, Instant::now());
    loop {
        let happened = running.wait(phase.until(), is_over, listener);
        let (next, signal) = phase.next(happened, times, Instant::now());
        if let Some(signal) = signal {
            if signal == Signal::TERM {
                tree = known.with_descendants();
            }
            tree::send(&known, &tree, signal);
        }
        if happened == Happened::Ended {
            running.reap()?;
        }
        phase = next;
        if let Phase::Over(why) = phase {
            return Ok(running.over(why, listener));
        }
    }
}

fn opened(pid: Pid) -> io::Result<OwnedFd> {
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

fn pipes(child: &mut Child) -> io::Result<Vec<Pipe>> {
    let stdout = child.stdout.take().map(OwnedFd::from);
    let stderr = child.stderr.take().map(OwnedFd::from);
    let mut pipes = Vec::new();
    for (stream, fd) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
        let Some(fd) = fd else { continue };
        rustix::fs::fcntl_setfl(&fd, OFlags::NONBLOCK)?;
        pipes.push(Pipe {
            stream,
            file: File::from(fd),
            lines: Lines::default(),
        });
    }
    Ok(pipes)
}

struct Running {
    child: Child,
    /// Until it has ended.
    pidfd: Option<OwnedFd>,
    status: Option<ExitStatus>,
    /// Those that are open.
    pipes: Vec<Pipe>,
}

impl Running {
    /// Reads what there is, and says what happened; nothing, after a moment, in which nothing did.
    fn wait(
        &mut self,
        until: Option<Instant>,
        is_over: &AtomicBool,
        listener: &mut dyn Listener,
    ) -> Happened {
        if self.pidfd.is_none() && self.pipes.is_empty() {
            return Happened::Silent;
        }
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let pause = left.unwrap_or_default().min(LOOK);
        let mut watched: Vec<PollFd<'_>> = self
            .pipes
            .iter()
            .map(|pipe| PollFd::new(&pipe.file, PollFlags::IN))
            .collect();
        watched.extend(self.pidfd.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
        let pause = Timespec::try_from(pause).ok();
        if poll(&mut watched, pause.as_ref()).is_err() {
            return Happened::Waited;
        }
        let ready: Vec<bool> = watched.iter().map(|fd| !fd.revents().is_empty()).collect();
        let has_ended = self.pidfd.is_some() && ready.last() == Some(&true);
        let mut ready = ready.into_iter();
        self.pipes.retain_mut(|pipe| {
            let is_open = ready.next() != Some(true) || pipe.read(listener);
            if !is_open {
                let stream = pipe.stream;
                pipe.lines.finish(&mut |text| listener.line(stream, text));
            }
            is_open
        });
        if has_ended {
            Happened::Ended
        } else if is_over.load(Ordering::Relaxed) {
            Happened::Stop
        } else {
            Happened::Waited
        }
    }

    fn reap(&mut self) -> io::Result<()> {
        self.pidfd = None;
        self.status = Some(self.child.wait()?);
        Ok(())
    }

    fn over(mut self, why: Option<Why>, listener: &mut dyn Listener) -> Ran {
        for pipe in &mut self.pipes {
            let stream = pipe.stream;
            pipe.lines.finish(&mut |text| listener.line(stream, text));
        }
        Ran {
            status: self.status,
            why,
            left: self.pipes.into_iter().map(|pipe| pipe.file).collect(),
        }
    }
}

impl Pipe {
    /// Reads once; false at its end.
    fn read(&mut self, listener: &mut dyn Listener) -> bool {
        let mut piece = [0; PIECE_BYTES];
        match self.file.read(&mut piece) {
            Ok(0) => false,
            Ok(bytes) => {
                let stream = self.stream;
                let read = piece.get(..bytes).unwrap_or_default();
                self.lines
                    .push(read, &mut |text| listener.line(stream, text));
                true
            }
            Err(error) => {
                use io::ErrorKind::{Interrupted, WouldBlock};
                [Interrupted, WouldBlock].contains(&error.kind())
            }
        }
    }
}
