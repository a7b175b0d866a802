//! Projects of a chunk. Numbered as they are first heard of, so that a build's row has a number and not a name.

use std::collections::HashMap;

use bytes::Bytes;
use croft_ledger::{Entry, Seq};
use croft_proto::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::Wrong;
use crate::event::ProjectEvent;
use crate::schema::{of_seq, of_time, signed, to_seq, to_time, unsigned};

const COLUMNS: &str =
    "SELECT id, name, last, number, rounds, created_ms, modified_ms, project, rules FROM projects";
const NEXT: &str = "SELECT coalesce(max(id), 0) + 1 FROM projects";
const WRITE: &str =
    "INSERT OR REPLACE INTO projects (id, name, last, number, rounds, created_ms, modified_ms,
    project, rules) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

/// The projects that a chunk touches.
#[derive(Debug, Default)]
pub(super) struct Projects {
    touched: Vec<Project>,
    by_name: HashMap<String, usize>,
    by_id: HashMap<i64, usize>,
    /// None until a project is new.
    next: Option<i64>,
    /// One of them was configured anew, or removed.
    pub(super) are_configured: bool,
}

#[derive(Debug)]
pub(super) struct Project {
    pub(super) id: i64,
    name: String,
    last: Seq,
    number: u64,
    pub(super) rounds: u64,
    created: Option<Timestamp>,
    modified: Option<Timestamp>,
    project: Option<Vec<u8>>,
    rules: Option<Vec<u8>>,
}

impl Projects {
    pub(super) fn fold(
        &mut self,
        connection: &Connection,
        name: &str,
        entry: &Entry,
        event: &Bytes,
    ) -> Result<(), Wrong> {
        let event = ProjectEvent::read(event)?;
        self.are_configured |= !matches!(event, ProjectEvent::Admitted { .. });
        let project = self.named(connection, name)?;
        project.last = entry.seq;
        match event {
            ProjectEvent::Applied {
                rules,
                project: json,
            } => {
                project.created.get_or_insert(entry.at);
                project.modified = Some(entry.at);
                project.rules = Some(rules.get().into());
                project.project = Some(json.get().into());
            }
            ProjectEvent::Admitted { number } => project.number = project.number.max(number),
            ProjectEvent::Deleted => {
                project.created = None;
                project.modified = None;
                project.rules = None;
                project.project = None;
            }
        }
        Ok(())
    }

    pub(super) fn purged(
        &mut self,
        connection: &Connection,
        name: &str,
        at: Seq,
    ) -> rusqlite::Result<()> {
        self.named(connection, name)?.last = at;
        Ok(())
    }

    pub(super) fn id_of(&mut self, connection: &Connection, name: &str) -> rusqlite::Result<i64> {
        Ok(self.named(connection, name)?.id)
    }

    /// The number of one more build of the project that has test cases.
    pub(super) fn round(&mut self, connection: &Connection, id: i64) -> rusqlite::Result<u64> {
        let at = match self.by_id.get(&id) {
            Some(at) => *at,
            None => {
                let sql = format!("{COLUMNS} WHERE id = ?1");
                let mut find = connection.prepare_cached(&sql)?;
                let found = find.query_row(params![id], project)?;
                self.add(found)
            }
        };
        let project = &mut self.touched[at];
        project.rounds += 1;
        Ok(project.rounds)
    }

    pub(super) fn touched(&self) -> &[Project] {
        &self.touched
    }

    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut write = connection.prepare_cached(WRITE)?;
        for project in &self.touched {
            write.execute(params![
                project.id,
                project.name,
                of_seq(project.last),
                signed(project.number),
                signed(project.rounds),
                project.created.map(of_time),
                project.modified.map(of_time),
                project.project,
                project.rules,
            ])?;
        }
        Ok(())
    }

    fn named(&mut self, connection: &Connection, name: &str) -> rusqlite::Result<&mut Project> {
        let at = match self.by_name.get(name) {
            Some(at) => *at,
            None => {
                let sql = format!("{COLUMNS} WHERE name = ?1");
                let mut find = connection.prepare_cached(&sql)?;
                let found = find.query_row(params![name], project).optional()?;
                let found = match found {
                    Some(found) => found,
                    None => self.new_one(connection, name)?,
                };
                self.add(found)
            }
        };
        Ok(&mut self.touched[at])
    }

    fn new_one(&mut self, connection: &Connection, name: &str) -> rusqlite::Result<Project> {
        let id = match self.next {
            Some(next) => next,
            None => connection.query_row(NEXT, [], |row| row.get(0))?,
        };
        self.next = Some(id + 1);
        Ok(Project {
            id,
            name: name.into(),
            last: Seq::ZERO,
            number: 0,
            rounds: 0,
            created: None,
            modified: None,
            project: None,
            rules: None,
        })
    }

    fn add(&mut self, project: Project) -> usize {
        let at = self.touched.len();
        self.by_name.insert(project.name.clone(), at);
        self.by_id.insert(project.id, at);
        self.touched.push(project);
        at
    }
}

fn project(row: &Row<'_>) -> rusqlite::Result<Project> {
    Ok(Project {
        id: row.get(0)?,
        name: row.get(1)?,
        last: to_seq(row.get(2)?),
        number: unsigned(row.get(3)?),
        rounds: unsigned(row.get(4)?),
        created: row.get::<_, Option<i64>>(5)?.map(to_time),
        modified: row.get::<_, Option<i64>>(6)?.map(to_time),
        project: row.get(7)?,
        rules: row.get(8)?,
    })
}
