//! Builds of a chunk: new ones, and those of before that something happens to. Written once each, in the order in which they
//! came, at the end of the chunk.

use std::collections::HashMap;

use bytes::Bytes;
use croft_ledger::{Entry, Seq};
use croft_proto::farm::BuildId;
use croft_proto::{Status, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Chunk, Wrong};
use crate::build::Stage;
use crate::event::BuildEvent;
use crate::schema::{of_seq, of_time, to_seq};

const FIND: &str = "SELECT seq, project, stage, last, life FROM builds WHERE id = ?1";
const INSERT: &str =
    "INSERT INTO builds (seq, id, project, pool, stage, last, at_ms, submitted, life,
    settled_seq, settled_ms, settled) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
const UPDATE: &str = "UPDATE builds SET stage = ?2, last = ?3, life = ?4 WHERE seq = ?1";
const SETTLE: &str =
    "UPDATE builds SET stage = ?2, last = ?3, life = ?4, settled_seq = ?5, settled_ms = ?6,
    settled = ?7 WHERE seq = ?1";

/// The builds that a chunk touches.
#[derive(Debug, Default)]
pub(super) struct Builds {
    touched: Vec<Touched>,
    by_id: HashMap<BuildId, usize>,
}

#[derive(Debug)]
struct Touched {
    id: BuildId,
    seq: Seq,
    project: i64,
    stage: Stage,
    last: Seq,
    /// As in its column; empty for none.
    life: Vec<u8>,
    /// Only when the chunk has it.
    new: Option<New>,
    settled: Option<Settled>,
}

#[derive(Debug)]
struct New {
    pool: String,
    at: Timestamp,
    event: Bytes,
}

#[derive(Debug)]
struct Settled {
    seq: Seq,
    at: Timestamp,
    event: Bytes,
}

impl Builds {
    pub(super) fn touched(&self) -> impl Iterator<Item = BuildId> + '_ {
        self.touched.iter().map(|build| build.id)
    }

    pub(super) fn purged(
        &mut self,
        connection: &Connection,
        id: BuildId,
        at: Seq,
    ) -> rusqlite::Result<()> {
        // One that was purged before this view began is not there.
        if let Some(build) = self.find(connection, id)? {
            build.last = at;
        }
        Ok(())
    }

    pub(super) fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut insert = connection.prepare_cached(INSERT)?;
        let mut update = connection.prepare_cached(UPDATE)?;
        let mut settle = connection.prepare_cached(SETTLE)?;
        for build in &self.touched {
            let (seq, stage, last) = (of_seq(build.seq), build.stage.code(), of_seq(build.last));
            let life = build.life();
            let settled = build.settled.as_ref();
            let settled_seq = settled.map(|settled| of_seq(settled.seq));
            let settled_at = settled.map(|settled| of_time(settled.at));
            let event = settled.map(|settled| &settled.event[..]);
            match (&build.new, settled) {
                (Some(new), _) => insert.execute(params![
                    seq,
                    &build.id.bytes()[..],
                    build.project,
                    new.pool,
                    stage,
                    last,
                    of_time(new.at),
                    &new.event[..],
                    life,
                    settled_seq,
                    settled_at,
                    event,
                ])?,
                (None, Some(_)) => settle.execute(params![
                    seq,
                    stage,
                    last,
                    life,
                    settled_seq,
                    settled_at,
                    event
                ])?,
                (None, None) => update.execute(params![seq, stage, last, life])?,
            };
        }
        Ok(())
    }

    /// The build as it stands in this chunk, or before it.
    fn find(
        &mut self,
        connection: &Connection,
        id: BuildId,
    ) -> rusqlite::Result<Option<&mut Touched>> {
        if let Some(at) = self.by_id.get(&id) {
            return Ok(self.touched.get_mut(*at));
        }
        let mut find = connection.prepare_cached(FIND)?;
        let found = find.query_row(params![&id.bytes()[..]], |row| {
            Ok(Touched {
                id,
                seq: to_seq(row.get(0)?),
                project: row.get(1)?,
                stage: Stage::from_code(row.get(2)?),
                last: to_seq(row.get(3)?),
                life: row.get::<_, Option<Vec<u8>>>(4)?.unwrap_or_default(),
                new: None,
                settled: None,
            })
        });
        Ok(found.optional()?.map(|found| self.add(found)))
    }

    fn add(&mut self, build: Touched) -> &mut Touched {
        let at = self.touched.len();
        self.by_id.insert(build.id, at);
        self.touched.push(build);
        &mut self.touched[at]
    }
}

impl Touched {
    fn life(&self) -> Option<&[u8]> {
        (!self.life.is_empty()).then_some(&self.life[..])
    }

    /// One more event at the end of the list.
    fn note(&mut self, entry: &Entry, event: &[u8]) {
        let opening = if self.life.pop().is_some() { "," } else { "[" };
        let head = format!(
            "{opening}{{\"seq\":{},\"at\":{},\"event\":",
            entry.seq,
            entry.at.millis()
        );
        self.life.extend_from_slice(head.as_bytes());
        self.life.extend_from_slice(event);
        self.life.extend_from_slice(b"}]");
    }
}

impl Chunk<'_> {
    pub(super) fn fold_build(
        &mut self,
        id: BuildId,
        entry: &Entry,
        event: &Bytes,
    ) -> Result<(), Wrong> {
        let read = BuildEvent::read(event)?;
        let known = self.builds.find(self.connection, id)?;
        let build = match (known, &read) {
            (Some(_), BuildEvent::Submitted(_)) => {
                return Err(Wrong::Impossible("it was submitted twice"));
            }
            (None, BuildEvent::Submitted(submitted)) => {
                let project = self.projects.id_of(self.connection, &submitted.project.0)?;
                self.builds.add(Touched {
                    id,
                    seq: entry.seq,
                    project,
                    stage: Stage::Waiting,
                    last: entry.seq,
                    life: Vec::new(),
                    new: Some(New {
                        pool: submitted.pool.0.clone().into_owned(),
                        at: entry.at,
                        event: event.clone(),
                    }),
                    settled: None,
                });
                return Ok(());
            }
            (None, _) => return Err(Wrong::Impossible("the build was never submitted")),
            (Some(build), _) => build,
        };
        if matches!(build.stage, Stage::Over(_)) {
            return Err(Wrong::Impossible("the build is over"));
        }
        match read {
            BuildEvent::Submitted(_) => return Ok(()),
            BuildEvent::AttemptStarted { .. } => build.stage = Stage::Running,
            BuildEvent::AttemptLost { .. } => build.stage = Stage::Waiting,
            BuildEvent::StopRequested { .. } if build.stage == Stage::Running => {
                build.stage = Stage::Stopping;
            }
            BuildEvent::StopRequested { .. } => {}
            BuildEvent::Settled {
                status,
                build: finished,
                ..
            } => {
                if status == Status::InProgress {
                    return Err(Wrong::Impossible("a build that is over is not in progress"));
                }
                build.stage = Stage::Over(status);
                build.last = entry.seq;
                build.settled = Some(Settled {
                    seq: entry.seq,
                    at: entry.at,
                    event: event.clone(),
                });
                let (project, seq) = (build.project, build.seq);
                if let Some(finished) = finished {
                    let round = || self.projects.round(self.connection, project);
                    self.cases
                        .take(finished.get(), project, seq, entry.at, round)?;
                }
                return Ok(());
            }
        }
        build.last = entry.seq;
        build.note(entry, event);
        Ok(())
    }
}
