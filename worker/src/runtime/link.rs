//! Talking to the runner: one command at a time over its socket, and, where the runner holds a lease, a sign of life every
//! now and then. Made by a runtime, used by the engine.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use croft_runner::frame;
use croft_runner::protocol::{Reply, Request, Run, State, VERSION, Variable};
use rustix::net::RecvFlags;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// How often a lease is renewed within its time: one that comes late, or two, do no harm.
const RENEWALS_PER_LEASE: u32 = 5;
/// A runner reads what it is told at once, unless it is frozen with its container.
const QUIT_MAX: Duration = Duration::from_secs(1);

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It ran.
    Exited {
        /// 0 to 255; 128 + the signal's number when a signal killed it.
        status: i32,
        /// What carries over; `None` when it did not come to its end.
        state: Option<State>,
    },
    /// It could not be started.
    Refused {
        /// 126 or 127.
        status: i32,
        /// Why, for the user.
        reason: String,
    },
}

/// The runner's first words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// It stands ready.
    Ready {
        environment: Vec<Variable>,
        runtimes: Option<Vec<u8>>,
    },
    /// Its sandbox could not be made.
    Broken { reason: String, overlay: bool },
}

/// The socket to one runner.
#[derive(Debug)]
pub struct Link {
    reader: OwnedReadHalf,
    writer: Writer,
    /// The task that renews the lease; ends with the link.
    renewing: JoinSet<()>,
}

/// Whole messages at a time, whoever writes.
type Writer = Arc<Mutex<OwnedWriteHalf>>;

impl Link {
    pub(crate) fn new(stream: UnixStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self {
            reader,
            writer: Arc::new(Mutex::new(writer)),
            renewing: JoinSet::new(),
        }
    }

    /// From now on tells the runner that this process is there, often enough for a runner that leaves after so long a
    /// silence.
    pub(crate) fn renew(&mut self, lease: Duration) {
        self.renewing
            .spawn(renew(Arc::clone(&self.writer), lease / RENEWALS_PER_LEASE));
    }

    /// Whether a runner that has nothing to say is still there.
    pub(crate) fn is_open(&self) -> bool {
        // Asked of the kernel: what the event loop knows may be older.
        let look = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let stream: &UnixStream = self.reader.as_ref();
        matches!(
            rustix::net::recv(stream, &mut [0; 1], look),
            Err(rustix::io::Errno::AGAIN)
        )
    }

    /// Waits for the runner's first words.
    pub(crate) async fn greet(&mut self, limit: Duration) -> io::Result<Greeting> {
        let reply = tokio::time::timeout(limit, self.reply())
            .await
            .map_err(|late| io::Error::new(io::ErrorKind::TimedOut, late))??;
        match reply {
            Reply::Ready {
                version: VERSION,
                environment,
                runtimes,
            } => Ok(Greeting::Ready {
                environment,
                runtimes,
            }),
            Reply::Broken { reason, overlay } => Ok(Greeting::Broken { reason, overlay }),
            Reply::Ready { version, .. } => Err(io::Error::other(format!(
                "the runner speaks version {version}, this program {VERSION}"
            ))),
            Reply::Exited { .. } | Reply::Refused { .. } => {
                Err(io::Error::other("the runner spoke out of turn"))
            }
        }
    }

    pub(crate) async fn send<T: serde::Serialize + Sync>(&mut self, message: &T) -> io::Result<()> {
        let bytes = frame::encode(message)?;
        self.writer.lock().await.write_all(&bytes).await
    }

    /// Starts a command; the future of [`Link::split`] tells how it went.
    ///
    /// # Errors
    /// When the runner is gone.
    pub async fn run(&mut self, run: Run) -> io::Result<()> {
        self.send(&Request::Run(Box::new(run))).await
    }

    /// Tells the runner to leave. A runner that is gone already needs no telling.
    pub(crate) async fn quit(&mut self) {
        let told = tokio::time::timeout(QUIT_MAX, self.send(&Request::Quit)).await;
        // One that reads nothing sees the socket close, or is killed.
        told.unwrap_or(Ok(())).unwrap_or_default();
    }

    /// Waiting and signalling at once: how the command that was started ended (an error when the runner is gone: killed
    /// from outside, or its container was), and the way to reach the command meanwhile.
    ///
    /// # Cancel
    /// The future is not safe to drop: a half-read reply is lost. Keep it and poll it again.
    pub fn split(
        &mut self,
    ) -> (
        impl Future<Output = io::Result<Ended>> + Send + '_,
        Signals<'_>,
    ) {
        (
            ended(&mut self.reader),
            Signals {
                writer: &self.writer,
            },
        )
    }

    async fn reply(&mut self) -> io::Result<Reply> {
        reply(&mut self.reader).await
    }
}

/// The way to a running command.
#[derive(Debug)]
pub struct Signals<'l> {
    writer: &'l Writer,
}

impl Signals<'_> {
    /// Sends a signal to the command's whole session.
    ///
    /// # Errors
    /// When the runner is gone.
    pub async fn send(&mut self, signal: i32) -> io::Result<()> {
        let bytes = frame::encode(&Request::Signal(signal))?;
        self.writer.lock().await.write_all(&bytes).await
    }
}

/// Until the runner is gone.
async fn renew(writer: Writer, every: Duration) {
    let Ok(alive) = frame::encode(&Request::Alive) else {
        return;
    };
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // Never waits: a message that is being written is a sign of life, too, and a runner that reads nothing must not keep
        // the others from being written, or given up.
        let Ok(writer) = writer.try_lock() else {
            continue;
        };
        match writer.try_write(&alive) {
            Ok(count) if count == alive.len() => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // So few bytes are taken whole or not at all.
            Ok(_) | Err(_) => return,
        }
    }
}

async fn ended(reader: &mut OwnedReadHalf) -> io::Result<Ended> {
    match reply(reader).await? {
        Reply::Exited { status, state } => Ok(Ended::Exited { status, state }),
        Reply::Refused { status, reason } => Ok(Ended::Refused { status, reason }),
        Reply::Ready { .. } | Reply::Broken { .. } => {
            Err(io::Error::other("the runner spoke out of turn"))
        }
    }
}

async fn reply(reader: &mut OwnedReadHalf) -> io::Result<Reply> {
    let mut header = [0; 4];
    reader.read_exact(&mut header).await?;
    let mut body = vec![0; frame::body_length(header)?];
    reader.read_exact(&mut body).await?;
    frame::decode(&body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_renewed_and_a_runner_that_reads_nothing_holds_nobody_up() {
        let (here, mut there) = UnixStream::pair().unwrap();
        let mut link = Link::new(here);
        let lease = Duration::from_millis(10);
        link.renew(lease);
        let alive = frame::encode(&Request::Alive).unwrap();
        for _ in 0..3 {
            let mut read = vec![0; alive.len()];
            there.read_exact(&mut read).await.unwrap();
            assert_eq!(read, alive);
        }
        // Until the socket is full, and longer.
        tokio::time::sleep(lease * 1000).await;
        assert!(link.is_open());
        let begun = tokio::time::Instant::now();
        link.quit().await;
        assert_eq!(begun.elapsed(), QUIT_MAX, "the socket is not full");
        drop(there);
        link.quit().await;
        assert!(!link.is_open());
    }
}
