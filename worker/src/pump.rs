//! From the commands' pipe to the output writer: one thread that reads, so that a build's output never waits for anything
//! else this program does. It alone touches the pipe; the engine asks it to catch up when a command has ended.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use croft_exec::output::{HOLD_MS_MAX, Writer};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use tokio::sync::{mpsc, oneshot};

use crate::runtime::PIPE_BYTES;

/// The engine asks once per command and waits for the answer.
const ASKED_MAX: usize = 4;

/// The reading thread, seen from the engine.
#[derive(Debug)]
pub(crate) struct Pump {
    ask: mpsc::Sender<oneshot::Sender<()>>,
    wake: OwnedFd,
    thread: JoinHandle<()>,
}

impl Pump {
    /// Starts to read `output` into `writer`.
    ///
    /// # Errors
    /// When the machine gives no thread or descriptor.
    pub(crate) fn start(output: File, writer: Arc<Writer>) -> io::Result<Self> {
        let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let woken = wake.try_clone()?;
        let (ask, asked) = mpsc::channel(ASKED_MAX);
        let thread = std::thread::Builder::new()
            .name("output".into())
            .spawn(move || {
                Reader {
                    output,
                    writer,
                    woken,
                    asked,
                    buffer: vec![0; PIPE_BYTES / 4],
                }
                .run()
            })?;
        Ok(Self { ask, wake, thread })
    }

    /// Returns when everything that had been printed by now was handed to the writer.
    pub(crate) async fn catch_up(&self) {
        let (done, caught_up) = oneshot::channel();
        if self.ask.send(done).await.is_ok()
            && rustix::io::write(&self.wake, &1_u64.to_ne_bytes()).is_ok()
        {
            // A thread that ended has nothing left to hand over.
            caught_up.await.unwrap_or_default();
        }
    }

    /// Reads what is there, then ends the thread. Processes that still hold the pipe write into nothing.
    pub(crate) async fn finish(self) {
        self.catch_up().await;
        drop(self.ask);
        rustix::io::write(&self.wake, &1_u64.to_ne_bytes()).unwrap_or_default();
        let joined = tokio::task::spawn_blocking(|| self.thread.join()).await;
        joined
            .expect("joining is not cancelled")
            .expect("the reading thread does not panic");
    }
}

struct Reader {
    output: File,
    writer: Arc<Writer>,
    woken: OwnedFd,
    asked: mpsc::Receiver<oneshot::Sender<()>>,
    buffer: Vec<u8>,
}

impl Reader {
    fn run(mut self) {
        let mut open = true;
        loop {
            let (readable, woken, idle) = self.wait(open);
            if readable {
                open = self.read_once();
            } else if idle {
                self.writer.idle();
            }
            if woken && !self.answer() {
                return;
            }
        }
    }

    /// Whether output came, the engine asked, or nothing happened for as long as output may be held back.
    fn wait(&self, open: bool) -> (bool, bool, bool) {
        let mut watched = vec![PollFd::new(&self.woken, PollFlags::IN)];
        if open {
            watched.push(PollFd::new(&self.output, PollFlags::IN));
        }
        let limit = Timespec {
            tv_sec: 0,
            tv_nsec: HOLD_MS_MAX.cast_signed() * 1_000_000,
        };
        let count = rustix::event::poll(&mut watched, Some(&limit)).unwrap_or(0);
        let happened = |index: usize| {
            watched
                .get(index)
                .is_some_and(|fd| !fd.revents().is_empty())
        };
        (happened(1), happened(0), count == 0)
    }

    /// False when nobody holds the other end any more.
    fn read_once(&mut self) -> bool {
        match self.output.read(&mut self.buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.writer.output(&self.buffer[..count]);
                true
            }
            Err(error) => {
                error.kind() == io::ErrorKind::Interrupted
                    || error.kind() == io::ErrorKind::WouldBlock
            }
        }
    }

    /// Hands over what the pipe holds now, and not what a chatty background process adds meanwhile. False when the engine is
    /// gone.
    fn answer(&mut self) -> bool {
        let mut count = [0; 8];
        rustix::io::read(&self.woken, &mut count).unwrap_or_default();
        loop {
            match self.asked.try_recv() {
                Ok(done) => {
                    let mut left = rustix::io::ioctl_fionread(&self.output).unwrap_or(0);
                    while left > 0 {
                        let wanted = self
                            .buffer
                            .len()
                            .min(usize::try_from(left).unwrap_or(usize::MAX));
                        match self.output.read(&mut self.buffer[..wanted]) {
                            Ok(count) if count > 0 => {
                                self.writer.output(&self.buffer[..count]);
                                left = left.saturating_sub(count as u64);
                            }
                            _ => break,
                        }
                    }
                    // The engine may have stopped waiting.
                    done.send(()).unwrap_or_default();
                }
                Err(mpsc::error::TryRecvError::Empty) => return true,
                Err(mpsc::error::TryRecvError::Disconnected) => return false,
            }
        }
    }
}
