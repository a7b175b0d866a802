//! Secrets, pools' keys, tokens, workers, audit entries: written at once. Values are here
//! sealed or wrapped, tokens as hashes, as the ledger has them.

use std::collections::HashMap;

use bytes::Bytes;
use croft_keys::{Access, AccessRecord};
use croft_ledger::{Entry, Seq, Subject};
use croft_proto::farm::{PoolEvent, SecretEvent, TokenEvent, WorkerEvent};
use rusqlite::{Connection, params};
use serde::de::Error as _;

use super::Wrong;
use crate::event::Noted;
use crate::schema::{of_seq, of_time};

const HEAD: &str = "INSERT OR REPLACE INTO heads (subject, seq) VALUES (?1, ?2)";
const SET: &str = "INSERT INTO secrets (name, last, version, kind, projects, wrapped, sealed, created_ms, changed_ms, is_there)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, 1)
    ON CONFLICT (name) DO UPDATE SET last = ?2, version = ?3, kind = ?4, projects = ?5, wrapped = ?6, sealed = ?7,
        created_ms = CASE is_there WHEN 1 THEN created_ms ELSE ?8 END, changed_ms = ?8, is_there = 1";
const RESEAL: &str =
    "UPDATE secrets SET last = ?2, sealed = ?4 WHERE name = ?1 AND version = ?3 AND is_there = 1";
const REMOVE: &str =
    "UPDATE secrets SET last = ?2, wrapped = '', sealed = '[]', changed_ms = ?3, is_there = 0
    WHERE name = ?1";
const KEY: &str = "INSERT OR REPLACE INTO pool_keys (pool, generation, public, wrapped, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)";
const ISSUE: &str = "INSERT OR REPLACE INTO tokens (id, seq, record) VALUES (?1, ?2, ?3)";
const REVOKE: &str = "DELETE FROM tokens WHERE id = ?1";
const WORKER: &str =
    "INSERT OR REPLACE INTO workers (name, is_draining, by, at_ms) VALUES (?1, ?2, ?3, ?4)";
const NOTE: &str = "INSERT INTO audit (seq, chain, at_ms, entry) VALUES (?1, ?2, ?3, ?4)";

/// Where those subjects end now.
pub(super) fn heads(
    connection: &Connection,
    heads: &HashMap<Subject, Seq>,
) -> rusqlite::Result<()> {
    let mut head = connection.prepare_cached(HEAD)?;
    for (subject, seq) in heads {
        head.execute(params![subject.as_str(), of_seq(*seq)])?;
    }
    Ok(())
}

pub(super) fn secret(
    connection: &Connection,
    name: &str,
    entry: &Entry,
    event: &Bytes,
) -> Result<(), Wrong> {
    let (seq, at) = (of_seq(entry.seq), of_time(entry.at));
    match serde_json::from_slice(event)? {
        SecretEvent::Set {
            version,
            kind,
            projects,
            wrapped,
            sealed,
        } => {
            let kind = serde_json::to_string(&kind)?;
            let projects = serde_json::to_string(&projects)?;
            let sealed = serde_json::to_string(&sealed)?;
            let mut set = connection.prepare_cached(SET)?;
            set.execute(params![
                name, seq, version, kind, projects, wrapped, sealed, at
            ])?;
        }
        SecretEvent::Resealed { version, sealed } => {
            let sealed = serde_json::to_string(&sealed)?;
            let mut reseal = connection.prepare_cached(RESEAL)?;
            reseal.execute(params![name, seq, version, sealed])?;
        }
        SecretEvent::Removed => {
            let mut remove = connection.prepare_cached(REMOVE)?;
            remove.execute(params![name, seq, at])?;
        }
    }
    Ok(())
}

pub(super) fn pool(
    connection: &Connection,
    name: &str,
    entry: &Entry,
    event: &Bytes,
) -> Result<(), Wrong> {
    let PoolEvent::Keyed {
        generation,
        public,
        wrapped,
    } = serde_json::from_slice(event)?;
    let mut key = connection.prepare_cached(KEY)?;
    key.execute(params![
        name,
        generation,
        public,
        wrapped,
        of_time(entry.at)
    ])?;
    Ok(())
}

pub(super) fn token(
    connection: &Connection,
    id: &str,
    entry: &Entry,
    event: &Bytes,
) -> Result<(), Wrong> {
    match serde_json::from_slice(event)? {
        TokenEvent::Issued {
            name,
            role,
            projects,
            hash,
            expires,
        } => {
            let record = AccessRecord {
                id: id.parse().map_err(serde_json::Error::custom)?,
                name,
                access: Access {
                    role: role.parse().map_err(serde_json::Error::custom)?,
                    projects: projects
                        .into_iter()
                        .map(|pattern| serde_json::from_value(pattern.into()))
                        .collect::<Result<_, _>>()?,
                },
                hash: hash.parse().map_err(serde_json::Error::custom)?,
                created: entry.at.millis(),
                expires: expires.map(croft_proto::Timestamp::millis),
            };
            let mut issue = connection.prepare_cached(ISSUE)?;
            issue.execute(params![
                id,
                of_seq(entry.seq),
                serde_json::to_string(&record)?
            ])?;
        }
        TokenEvent::Revoked => {
            connection.prepare_cached(REVOKE)?.execute(params![id])?;
        }
    }
    Ok(())
}

pub(super) fn worker(
    connection: &Connection,
    name: &str,
    entry: &Entry,
    event: &Bytes,
) -> Result<(), Wrong> {
    let (is_draining, by) = match serde_json::from_slice(event)? {
        WorkerEvent::Draining { by } => (true, by),
        WorkerEvent::Resumed { by } => (false, by),
    };
    let mut worker = connection.prepare_cached(WORKER)?;
    worker.execute(params![name, is_draining, by, of_time(entry.at)])?;
    Ok(())
}

pub(super) fn audit(
    connection: &Connection,
    chain: &str,
    entry: &Entry,
    event: &Bytes,
) -> Result<(), Wrong> {
    let noted: Noted<'_> = serde_json::from_slice(event)?;
    let mut note = connection.prepare_cached(NOTE)?;
    note.execute(params![
        of_seq(entry.seq),
        chain,
        of_time(entry.at),
        noted.entry.get().as_bytes(),
    ])?;
    Ok(())
}
