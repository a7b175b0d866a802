//! What the loop is asked, and by whom: the API holds a [`Handle`] and waits for answers.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use croft_ledger::{Expected, Seq, Subject};
use croft_proto::Timestamp;
use croft_proto::deploy::{DeploymentId, Has, HostCommand, StartDeployment, Wait, Watched};
use tokio::sync::{mpsc, oneshot, watch};

use super::book::Book;
use super::mailbox::Mailbox;
use super::verdicts::Verdicts;
use crate::alarm::Webhook;
use crate::ask::{Refusal, Then};
use crate::intent::{GroupName, Recorded};
use crate::metrics::Metrics;
use crate::state::{Host, State};
use crate::step::{Answer, Report};

/// How far a server's fold is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last entry folded.
    pub folded: Seq,
    /// Whether all that was there at the start is folded: before, it does nothing.
    pub is_caught_up: bool,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The deployment it is about, where it is about one.
    pub deployment: Option<DeploymentId>,
    /// Up to where in the ledger it is.
    pub seq: Seq,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A rule stands against it.
    #[error(transparent)]
    Rule(#[from] Refusal),
    /// It could not be done now.
    #[error(transparent)]
    Failed(#[from] Failed),
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// Nothing happened: the ledger cannot be written. Ask again later.
    #[error("the ledger cannot be written now: {0}")]
    Unavailable(String),
    /// It may have happened. Look before asking again.
    #[error("lost sight of an append, so it may have happened: look before asking again")]
    Unknown,
    /// The same subjects change too fast. Ask again.
    #[error("others were faster, again and again: ask again")]
    Contended,
    /// This server has not read all of the ledger yet, or stops.
    #[error("this server is starting or shutting down")]
    Closed,
}

/// What is read of a server: what it has folded, what is over, and what it measures.
#[derive(Clone, Copy)]
pub struct Seen<'s> {
    /// What it has folded.
    pub state: &'s State,
    /// What is over.
    pub book: &'s Book,
    pub(super) verdicts: &'s Verdicts,
    pub(super) now: Timestamp,
    pub(super) waits: &'s dyn Fn(&DeploymentId) -> Vec<Wait>,
    pub(super) reports: &'s HashMap<String, (Timestamp, Vec<Has>)>,
}

impl std::fmt::Debug for Seen<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seen")
    }
}

impl Seen<'_> {
    /// What a host has of a group, by the group's id, as it said itself when it came or came back to this server, and when that was: the digest
    /// of a revision, or none when it has none. None when it has said nothing to this server.
    #[must_use]
    pub fn reported(&self, host: &str, group_id: &str) -> Option<(Timestamp, Option<&str>)> {
        let (at, has) = self.reports.get(host)?;
        let of_group = has.iter().find(|has| has.deployment_group_id == group_id);
        Some((*at, of_group.map(|has| has.digest.as_str())))
    }

    /// What a deployment waits for, as this server sees it now; empty for one that it has forgotten, or of which nothing goes on.
    #[must_use]
    pub fn waits(&self, id: &DeploymentId) -> Vec<Wait> {
        (self.waits)(id)
    }

    /// How the detectors of a deployment stand; none when it has none, or is not watched.
    #[must_use]
    pub fn watched(&self, id: &DeploymentId) -> Option<Watched> {
        self.verdicts.shown(id, self.now)
    }
}

/// What is wished.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    Start(DeploymentId, Box<StartDeployment>, String),
    Stop(DeploymentId, Then, String),
    GoOn(DeploymentId, Option<u32>, String),
    RollBack(GroupName, String),
    /// An event of a subject that only people change, when the check lets it.
    Record(Box<Record>),
}

/// What is to be recorded, and what must be so.
#[derive(Clone)]
pub(super) struct Record {
    pub(super) subject: Subject,
    pub(super) event: Recorded,
    /// The last entry of the subject, if it may be recorded.
    pub(super) check: Arc<Check>,
}

/// Whether something may be recorded, given what is folded.
pub(super) type Check = dyn Fn(&State) -> Result<Expected, Refusal> + Send + Sync;

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

type Look = Box<dyn FnOnce(Seen<'_>) + Send>;

/// What the loop is asked.
pub(super) enum Command {
    Wish(Wish, oneshot::Sender<Result<Done, Refused>>),
    Hear(Report, oneshot::Sender<Answer>),
    Returned(String, Vec<Has>),
    Fresh(String),
    Alerted(Box<Webhook>),
    Look(Look),
}

/// The way to ask a server.
#[derive(Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    progress: watch::Receiver<Progress>,
    mailbox: Arc<Mailbox>,
    keys: Arc<Keys>,
    asks_for_alarms: bool,
    metrics: Option<Arc<dyn Metrics>>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle")
    }
}

/// The key of a host that this server knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKey {
    /// In hexadecimal.
    pub key: String,
    /// Whether the host belongs to the farm; one that was revoked did, and can be told so.
    pub is_enrolled: bool,
}

/// The keys of hosts by name: read for each call of a host, which must not wait for the loop before it is known to be one.
#[derive(Debug, Default)]
pub(super) struct Keys(RwLock<HashMap<String, HostKey>>);

impl Keys {
    /// As the host is now.
    pub(super) fn note(&self, name: &str, host: Option<&Host>) {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match host {
            Some(host) => keys.insert(
                name.to_string(),
                HostKey {
                    key: host.public_key.clone(),
                    is_enrolled: host.is_enrolled,
                },
            ),
            None => keys.remove(name),
        };
    }
}

impl Handle {
    pub(super) fn new(
        commands: mpsc::Sender<Command>,
        progress: watch::Receiver<Progress>,
        mailbox: Arc<Mailbox>,
        keys: Arc<Keys>,
        asks_for_alarms: bool,
        metrics: Option<Arc<dyn Metrics>>,
    ) -> Self {
        Self {
            commands,
            progress,
            mailbox,
            keys,
            asks_for_alarms,
            metrics,
        }
    }

    /// The key of a host; none when this server knows of no such host.
    #[must_use]
    pub fn key_of(&self, host: &str) -> Option<HostKey> {
        let keys = self.keys.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(host).cloned()
    }

    /// Where this server asks for metrics, if anywhere.
    #[must_use]
    pub fn metrics(&self) -> Option<&Arc<dyn Metrics>> {
        self.metrics.as_ref()
    }

    /// Whether this server asks somebody for alarms, and does not only wait for them.
    #[must_use]
    pub const fn asks_for_alarms(&self) -> bool {
        self.asks_for_alarms
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

    /// Accepts a deployment, whose id the caller has drawn; it is durable when this returns.
    ///
    /// # Errors
    /// The rule that stands against it, or why nothing could be decided.
    pub async fn start(
        &self,
        id: DeploymentId,
        asked: StartDeployment,
        by: &str,
    ) -> Result<Done, Refused> {
        self.wish(Wish::Start(id, Box::new(asked), by.to_string()))
            .await
    }

    /// Stops a deployment.
    ///
    /// # Errors
    /// When it is over, or why nothing could be decided.
    pub async fn stop(&self, id: DeploymentId, then: Then, by: &str) -> Result<Done, Refused> {
        self.wish(Wish::Stop(id, then, by.to_string())).await
    }

    /// Ends a deployment's wait.
    ///
    /// # Errors
    /// When it does not wait, or why nothing could be decided.
    pub async fn go_on(
        &self,
        id: DeploymentId,
        step: Option<u32>,
        by: &str,
    ) -> Result<Done, Refused> {
        self.wish(Wish::GoOn(id, step, by.to_string())).await
    }

    /// Takes a group back.
    ///
    /// # Errors
    /// When there is nothing to go back to, or why nothing could be decided.
    pub async fn roll_back(&self, group: GroupName, by: &str) -> Result<Done, Refused> {
        self.wish(Wish::RollBack(group, by.to_string())).await
    }

    /// Records an event of a subject that only people change. `check` is asked what the subject's last entry is, or why not; maybe more
    /// than once.
    ///
    /// # Errors
    /// What the check says, or why nothing could be recorded.
    pub async fn record(
        &self,
        subject: Subject,
        event: Recorded,
        check: impl Fn(&State) -> Result<Expected, Refusal> + Send + Sync + 'static,
    ) -> Result<Done, Refused> {
        let record = Record {
            subject,
            event,
            check: Arc::new(check),
        };
        self.wish(Wish::Record(Box::new(record))).await
    }

    /// What of all that is folded the caller wants to know.
    ///
    /// # Errors
    /// The server stops.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(Seen<'_>) -> T + Send + 'static,
    ) -> Result<T, Failed> {
        let (reply, answer) = oneshot::channel();
        let look: Look = Box::new(move |seen| drop(reply.send(look(seen))));
        self.send(Command::Look(look)).await?;
        answer
            .await
            .map_err(|_gone: oneshot::error::RecvError| Failed::Closed)
    }

    /// What a host says of an event.
    ///
    /// # Errors
    /// The server stops.
    pub async fn hear(&self, report: Report) -> Result<Answer, Failed> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Hear(report, reply)).await?;
        answer
            .await
            .map_err(|_gone: oneshot::error::RecvError| Failed::Closed)
    }

    /// What a host that has just come, or was away, says it has: all of it. What it does not name it has not.
    ///
    /// # Errors
    /// The server starts or stops: it does not know yet what the host should have.
    pub async fn returned(&self, host: String, has: Vec<Has>) -> Result<(), Failed> {
        if !self.progress().is_caught_up {
            return Err(Failed::Closed);
        }
        self.send(Command::Returned(host, has)).await
    }

    /// A host whose agent has just started is told again what it is to do: one that died may have begun it, or ended it without
    /// having said so.
    ///
    /// # Errors
    /// The server stops.
    pub async fn fresh(&self, host: String) -> Result<(), Failed> {
        self.send(Command::Fresh(host)).await
    }

    /// What Alertmanager says.
    ///
    /// # Errors
    /// The server stops.
    pub async fn alerted(&self, message: Webhook) -> Result<(), Failed> {
        self.send(Command::Alerted(Box::new(message))).await
    }

    /// What a host is to do, or nothing when nothing came in that time.
    pub async fn take(&self, host: &str, wait: Duration) -> Vec<HostCommand> {
        self.mailbox.take(host, wait).await
    }

    async fn wish(&self, wish: Wish) -> Result<Done, Refused> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Wish(wish, reply)).await?;
        answer
            .await
            .map_err(|_gone: oneshot::error::RecvError| Failed::Closed)?
    }

    async fn send(&self, command: Command) -> Result<(), Failed> {
        let sent = self.commands.send(command).await;
        sent.map_err(|_closed: mpsc::error::SendError<Command>| Failed::Closed)
    }
}
