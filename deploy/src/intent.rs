//! What is wanted of the ledger: events with what must be true of their subjects. Made by every decision; appended by whoever
//! runs a server, all of one decision together.

use bytes::Bytes;
use croft_ledger::{Append, Expected, Seq, Subject, SubjectError};
use croft_proto::deploy::{
    AppEvent, ConfigEvent, DeploymentEvent, DeploymentId, GroupEvent, HostEvent, Side, TargetEvent,
};

/// An event of any kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Recorded {
    /// Of an application.
    App(Box<AppEvent>),
    /// Of a configuration.
    Config(Box<ConfigEvent>),
    /// Of a group.
    Group(Box<GroupEvent>),
    /// Of a deployment.
    Deployment(Box<DeploymentEvent>),
    /// Of one of its targets.
    Target(Box<TargetEvent>),
    /// Of a host.
    Host(Box<HostEvent>),
}

/// An event to append.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// What it is about.
    pub subject: Subject,
    /// What must be true of that.
    pub expected: Expected,
    /// What happened.
    pub event: Recorded,
}

impl Intent {
    /// As bytes for the ledger.
    ///
    /// # Errors
    /// When the event cannot be written as JSON.
    pub fn append(&self) -> Result<Append, serde_json::Error> {
        let json = match &self.event {
            Recorded::App(event) => serde_json::to_vec(event)?,
            Recorded::Config(event) => serde_json::to_vec(event)?,
            Recorded::Group(event) => serde_json::to_vec(event)?,
            Recorded::Deployment(event) => serde_json::to_vec(event)?,
            Recorded::Target(event) => serde_json::to_vec(event)?,
            Recorded::Host(event) => serde_json::to_vec(event)?,
        };
        Ok(Append {
            subject: self.subject.clone(),
            expected: self.expected,
            event: Bytes::from(json),
        })
    }
}

/// A group's name, with its application's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName {
    /// The application.
    pub application: String,
    /// The group.
    pub group: String,
}

impl GroupName {
    /// `group.<application>.<name>`.
    ///
    /// # Errors
    /// When a name is empty or too long.
    pub fn subject(&self) -> Result<Subject, SubjectError> {
        Subject::from_parts(&["group", &self.application, &self.group])
    }
}

/// `deployment.<id>`.
#[must_use]
pub fn deployment_subject(id: &DeploymentId) -> Subject {
    Subject::of("deployment", id.as_str()).expect("an id is short and made of letters")
}

/// `deployment.<id>.host.<name>`, or `deployment.<id>.old.<name>` for the old side: a host may be on both when its containers are
/// replaced.
///
/// # Errors
/// When the host's name is empty or too long.
pub fn target_subject(id: &DeploymentId, side: Side, host: &str) -> Result<Subject, SubjectError> {
    let side = match side {
        Side::New => "host",
        Side::Old => "old",
    };
    Subject::from_parts(&["deployment", id.as_str(), side, host])
}

/// `host.<name>`.
///
/// # Errors
/// When the name is empty or too long.
pub fn host_subject(name: &str) -> Result<Subject, SubjectError> {
    Subject::of("host", name)
}

/// Events of one subject, after an entry of it; each expects the one before.
#[derive(Debug)]
pub(crate) struct Row {
    subject: Subject,
    next: Expected,
    pub(crate) intents: Vec<Intent>,
}

impl Row {
    pub(crate) const fn after(subject: Subject, last: Seq) -> Self {
        Self {
            subject,
            next: Expected::Last(last),
            intents: Vec::new(),
        }
    }

    pub(crate) fn deployment(id: &DeploymentId, last: Seq) -> Self {
        Self::after(deployment_subject(id), last)
    }

    pub(crate) fn push(&mut self, event: Recorded) {
        self.intents.push(Intent {
            subject: self.subject.clone(),
            expected: self.next,
            event,
        });
        self.next = Expected::Previous;
    }

    pub(crate) fn says(mut self, event: Recorded) -> Self {
        self.push(event);
        self
    }
}

impl From<DeploymentEvent> for Recorded {
    fn from(event: DeploymentEvent) -> Self {
        Self::Deployment(Box::new(event))
    }
}

impl From<GroupEvent> for Recorded {
    fn from(event: GroupEvent) -> Self {
        Self::Group(Box::new(event))
    }
}

impl From<TargetEvent> for Recorded {
    fn from(event: TargetEvent) -> Self {
        Self::Target(Box::new(event))
    }
}

impl From<HostEvent> for Recorded {
    fn from(event: HostEvent) -> Self {
        Self::Host(Box::new(event))
    }
}
