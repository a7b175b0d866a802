//! What is wanted of the ledger: events with what must be true of their subjects. Made by every decision; appended by whoever
//! runs a server, all of one decision together.

use bytes::Bytes;
use croft_ledger::{Append, Expected, Subject};
use croft_proto::farm::{BuildEvent, BuildId, ProjectEvent, Submitted};

/// An event of either kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Recorded {
    /// Of a build.
    Build(Box<BuildEvent>),
    /// Of a project.
    Project(Box<ProjectEvent>),
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
    pub(crate) fn build(id: BuildId, expected: Expected, event: BuildEvent) -> Self {
        Self {
            subject: build_subject(id),
            expected,
            event: Recorded::Build(Box::new(event)),
        }
    }

    /// The build that it says was submitted.
    pub(crate) fn into_submitted(self) -> Option<Submitted> {
        match self.event {
            Recorded::Build(event) => match *event {
                BuildEvent::Submitted(submitted) => Some(*submitted),
                BuildEvent::AttemptStarted { .. }
                | BuildEvent::AttemptLost { .. }
                | BuildEvent::StopRequested { .. }
                | BuildEvent::Settled { .. } => None,
            },
            Recorded::Project(_) => None,
        }
    }

    /// As bytes for the ledger.
    ///
    /// # Errors
    /// When the event cannot be written as JSON.
    pub fn append(&self) -> Result<Append, serde_json::Error> {
        let json = match &self.event {
            Recorded::Build(event) => serde_json::to_vec(event)?,
            Recorded::Project(event) => serde_json::to_vec(event)?,
        };
        Ok(Append {
            subject: self.subject.clone(),
            expected: self.expected,
            event: Bytes::from(json),
        })
    }
}

/// `build.<id>`.
#[must_use]
pub fn build_subject(id: BuildId) -> Subject {
    Subject::of("build", &id.to_string()).expect("an id is short and made of digits and hyphens")
}

/// `project.<name>`.
///
/// # Errors
/// When the name is too long or empty.
pub fn project_subject(name: &str) -> Result<Subject, croft_ledger::SubjectError> {
    Subject::of("project", name)
}
