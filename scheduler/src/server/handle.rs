//! What the loop is asked, and by whom: the API holds a [`Handle`] and waits for answers.

use std::time::Duration;

use croft_ledger::Seq;
use croft_proto::farm::{BuildId, ProjectEvent};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::Instrument as _;

use super::seen::WorkerSeen;
use crate::{Accepted, Asked, Granted, Refusal, Why, Wish};

/// How far a server's fold is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last entry folded.
    pub folded: Seq,
    /// Whether all that was there at the start is folded: before, it decides nothing.
    pub is_caught_up: bool,
    /// Whether the broker answers.
    pub is_connected: bool,
}

/// A pool as this server sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolLine {
    /// Its name.
    pub pool: String,
    /// Builds in its line.
    pub waiting: usize,
    /// Hints that are out.
    pub offered: usize,
}

/// A build that was accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Started {
    /// Which.
    pub build: BuildId,
    /// Up to where in the ledger it is; a read that waits for this sees it. None when the token's build was there before.
    pub seq: Option<Seq>,
    /// What is new; none when the token's build was there before.
    pub new: Option<Box<Accepted>>,
}

/// Why a wish was not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A rule stands against it.
    #[error(transparent)]
    Rule(#[from] Refusal),
    /// It could not be done now.
    #[error(transparent)]
    Failed(#[from] Failed),
}

/// Why nothing was decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// Nothing happened: the ledger cannot be written. Ask again later.
    #[error("the ledger cannot be written now: {0}")]
    Unavailable(String),
    /// It may have happened. Ask again with the same idempotency token.
    #[error(
        "lost sight of an append, so it may have happened: ask again with the same idempotency token"
    )]
    Unknown,
    /// The same subjects change too fast. Ask again.
    #[error("others were faster, again and again: ask again")]
    Contended,
    /// This server stops.
    #[error("this server is shutting down")]
    Closed,
}

/// What the loop is asked.
#[derive(Debug)]
pub(super) enum Command {
    Wish(
        Wish,
        oneshot::Sender<Result<(Granted, Option<Seq>), Refused>>,
    ),
    Why(BuildId, oneshot::Sender<Option<Why>>),
    Lines(oneshot::Sender<Vec<PoolLine>>),
    Workers(oneshot::Sender<Vec<WorkerSeen>>),
}

/// The way to ask a server.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    progress: watch::Receiver<Progress>,
}

impl Handle {
    pub(super) const fn new(
        commands: mpsc::Sender<Command>,
        progress: watch::Receiver<Progress>,
    ) -> Self {
        Self { commands, progress }
    }

    /// How far the fold is now.
    #[must_use]
    pub fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// Waits until the fold is at `seq`, for at most `limit`. True when it is.
    pub async fn folded(&self, seq: Seq, limit: Duration) -> bool {
        let mut progress = self.progress.clone();
        let there = progress.wait_for(|progress| progress.folded >= seq);
        matches!(tokio::time::timeout(limit, there).await, Ok(Ok(_)))
    }

    /// Accepts a build; it is durable when this returns.
    ///
    /// # Errors
    /// The rule that stands against it, or why nothing could be decided.
    pub async fn start(&self, asked: Asked) -> Result<Started, Refused> {
        match self.wish(Wish::Start(Box::new(asked))).await? {
            (Granted::Started(new), seq) => Ok(Started {
                build: new.build,
                seq,
                new: Some(new),
            }),
            (Granted::Same(build), _) => Ok(Started {
                build,
                seq: None,
                new: None,
            }),
            (
                other @ (Granted::Stopped | Granted::Told | Granted::NotRunning | Granted::Applied),
                _,
            ) => unreachable!("a start was answered with {other:?}"),
        }
    }

    /// Ends a build, or asks its worker to; says which.
    ///
    /// # Errors
    /// Why nothing could be decided.
    pub async fn stop(
        &self,
        build: BuildId,
        by: String,
    ) -> Result<(Granted, Option<Seq>), Refused> {
        let span = tracing::info_span!("stop", %build);
        self.wish(Wish::Stop { build, by }).instrument(span).await
    }

    /// Records a project's configuration, or its end.
    ///
    /// # Errors
    /// There is none to delete, or why nothing could be decided.
    pub async fn project(&self, name: String, event: ProjectEvent) -> Result<Option<Seq>, Refused> {
        let event = Box::new(event);
        let granted = self.wish(Wish::Project { name, event }).await?;
        Ok(granted.1)
    }

    /// Why a build waits; none when it does not.
    ///
    /// # Errors
    /// The server stops.
    pub async fn why(&self, build: BuildId) -> Result<Option<Why>, Failed> {
        self.ask(|reply| Command::Why(build, reply)).await
    }

    /// Every pool's line.
    ///
    /// # Errors
    /// The server stops.
    pub async fn lines(&self) -> Result<Vec<PoolLine>, Failed> {
        self.ask(Command::Lines).await
    }

    /// Every worker that was heard of lately.
    ///
    /// # Errors
    /// The server stops.
    pub async fn workers(&self) -> Result<Vec<WorkerSeen>, Failed> {
        self.ask(Command::Workers).await
    }

    async fn wish(&self, wish: Wish) -> Result<(Granted, Option<Seq>), Refused> {
        self.ask(|reply| Command::Wish(wish, reply)).await?
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Failed> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(command(reply)).await;
        if sent.is_err() {
            return Err(Failed::Closed);
        }
        answer
            .await
            .map_err(|_gone: oneshot::error::RecvError| Failed::Closed)
    }
}
