//! Talking to the runner: one command at a time over its socket. Made by a runtime, used by the engine.

use std::io;
use std::time::Duration;

use croft_runner::frame;
use croft_runner::protocol::{Reply, Request, Run, State, VERSION, Variable};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

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
    writer: OwnedWriteHalf,
}

impl Link {
    pub(crate) fn new(stream: UnixStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self { reader, writer }
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
        self.writer.write_all(&frame::encode(message)?).await
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
        self.send(&Request::Quit).await.unwrap_or_default();
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
                writer: &mut self.writer,
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
    writer: &'l mut OwnedWriteHalf,
}

impl Signals<'_> {
    /// Sends a signal to the command's whole session.
    ///
    /// # Errors
    /// When the runner is gone.
    pub async fn send(&mut self, signal: i32) -> io::Result<()> {
        self.writer
            .write_all(&frame::encode(&Request::Signal(signal))?)
            .await
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
