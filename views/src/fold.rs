//! Entries into rows. A chunk is folded in memory first, so that each build and project it touches is written once, however many
//! of its events the chunk has. Received from [`crate::Views::apply`] with an open transaction; what is rare is written at once.

/// Builds.
mod builds;
/// Projects.
mod projects;
/// Test cases.
mod cases;
/// Secrets, pools, tokens, workers, audit entries.
mod custody;

use std::collections::HashMap;

use bytes::Bytes;
use croft_ledger::{Body, Entry, Seq, Subject};
use croft_proto::farm::BuildId;
use rusqlite::{Connection, params};

use crate::ApplyError;
use crate::schema::of_seq;
use builds::Builds;
use cases::Cases;
use projects::Projects;

/// What a chunk has changed so far.
#[derive(Debug)]
pub(crate) struct Chunk<'a> {
    connection: &'a Connection,
    builds: Builds,
    projects: Projects,
    cases: Cases,
    /// Where the subjects end that are neither a build's nor a project's.
    heads: HashMap<Subject, Seq>,
}

/// Why an entry is not folded: its own fault, in which case those before it stand, or the file's.
#[derive(Debug)]
pub(crate) enum Wrong {
    NotUnderstood(serde_json::Error),
    Impossible(&'static str),
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for Wrong {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<serde_json::Error> for Wrong {
    fn from(error: serde_json::Error) -> Self {
        Self::NotUnderstood(error)
    }
}

impl Wrong {
    pub(crate) fn of(self, entry: &Entry) -> ApplyError {
        let (seq, subject) = (entry.seq, entry.subject.clone());
        match self {
            Self::NotUnderstood(source) => ApplyError::NotUnderstood {
                seq,
                subject,
                source,
            },
            Self::Impossible(reason) => ApplyError::Impossible {
                seq,
                subject,
                reason,
            },
            Self::Database(error) => ApplyError::Database(error),
        }
    }
}

impl<'a> Chunk<'a> {
    pub(crate) fn new(connection: &'a Connection) -> Self {
        Self {
            connection,
            builds: Builds::default(),
            projects: Projects::default(),
            cases: Cases::default(),
            heads: HashMap::new(),
        }
    }

    /// Folds one entry. After an error nothing of the entry is there.
    pub(crate) fn fold(&mut self, entry: &Entry) -> Result<(), Wrong> {
        let event = match &entry.body {
            Body::Event(event) => event,
            Body::Tombstone { .. } => return self.purged(entry),
        };
        match entry.subject.kind() {
            "build" => {
                let id = build_id(entry)?;
                self.fold_build(id, entry, event)
            }
            "project" => {
                let name = name(entry);
                self.projects.fold(self.connection, &name, entry, event)
            }
            "secret" => self.fold_other(custody::secret, entry, event),
            "pool" => self.fold_other(custody::pool, entry, event),
            "token" => self.fold_other(custody::token, entry, event),
            "worker" => self.fold_other(custody::worker, entry, event),
            "audit" => self.fold_other(custody::audit, entry, event),
            // Of rooms that this one does not know.
            _ => Ok(()),
        }
    }

    fn fold_other(
        &mut self,
        fold: fn(&Connection, &str, &Entry, &Bytes) -> Result<(), Wrong>,
        entry: &Entry,
        event: &Bytes,
    ) -> Result<(), Wrong> {
        fold(self.connection, &name(entry), entry, event)?;
        self.heads.insert(entry.subject.clone(), entry.seq);
        Ok(())
    }

    /// Writes what is still in memory, and how far the rows are now.
    pub(crate) fn write(&mut self, position: Seq) -> rusqlite::Result<()> {
        self.projects.write(self.connection)?;
        self.builds.write(self.connection)?;
        self.cases.write(self.connection, &self.projects)?;
        custody::heads(self.connection, &self.heads)?;
        let mut place = self
            .connection
            .prepare_cached("UPDATE place SET seq = ?1")?;
        place.execute(params![of_seq(position)])?;
        Ok(())
    }

    /// Whether a project was configured anew, or removed.
    pub(crate) const fn configures(&self) -> bool {
        self.projects.are_configured
    }

    /// Builds that the chunk has changed.
    pub(crate) fn touched(&self) -> impl Iterator<Item = BuildId> + '_ {
        self.builds.touched()
    }

    /// What is known of it stays; whoever appends to the subject must know where it ends.
    fn purged(&mut self, entry: &Entry) -> Result<(), Wrong> {
        match entry.subject.kind() {
            "build" => {
                let id = build_id(entry)?;
                Ok(self.builds.purged(self.connection, id, entry.seq)?)
            }
            "project" => {
                let name = name(entry);
                Ok(self.projects.purged(self.connection, &name, entry.seq)?)
            }
            "secret" | "pool" | "token" | "worker" | "audit" => {
                self.heads.insert(entry.subject.clone(), entry.seq);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn name(entry: &Entry) -> String {
    entry.subject.parts().nth(1).unwrap_or_default()
}

fn build_id(entry: &Entry) -> Result<BuildId, Wrong> {
    // An id has no sign that a subject escapes.
    let (_kind, id) = entry.subject.as_str().split_once('.').unwrap_or_default();
    id.parse()
        .map_err(|_not_an_id: String| Wrong::Impossible("its subject is no build's"))
}
