//! Tables, and numbers as SQLite has them. Used by the opening, the fold and the questions.

use croft_ledger::Seq;
use croft_proto::Timestamp;

/// "Crvw": says that a SQLite file is this and not some other program's.
pub(crate) const APPLICATION_ID: i32 = 0x4372_7677;

/// Of the tables below. A file of any other is removed: it is quicker to fold anew than to convert.
pub const SCHEMA_VERSION: i32 = 2;

/// Bytes of a page. A build's events are a few thousand bytes: in SQLite's 4096 nearly every row would need pages of its own
/// beside the table's, two or three to write for each build.
pub(crate) const PAGE_BYTES: u32 = 16_384;

/// A build's `stage`: 0 waits, 1 runs, 2 is to stop, 3 and above is over, a number for each status. `submitted` and `settled` are
/// events as they were appended; `life` is a list of the others, `[{"seq", "at", "event"}]`.
///
/// A case's `round` counts the project's builds that had test cases: what was not seen for many rounds is forgotten.
pub(crate) const TABLES: &str = "
    CREATE TABLE place (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        seq INTEGER NOT NULL
    ) STRICT;
    INSERT INTO place (only, seq) VALUES (1, 0);

    CREATE TABLE projects (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        last INTEGER NOT NULL,
        number INTEGER NOT NULL,
        rounds INTEGER NOT NULL,
        created_ms INTEGER,
        modified_ms INTEGER,
        project BLOB,
        rules BLOB
    ) STRICT;

    CREATE TABLE builds (
        seq INTEGER PRIMARY KEY,
        id BLOB NOT NULL,
        project INTEGER NOT NULL,
        pool TEXT NOT NULL,
        stage INTEGER NOT NULL,
        last INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        submitted BLOB NOT NULL,
        life BLOB,
        settled_seq INTEGER,
        settled_ms INTEGER,
        settled BLOB
    ) STRICT;
    CREATE UNIQUE INDEX builds_by_id ON builds (id);
    CREATE INDEX builds_by_project ON builds (project, stage);
    CREATE INDEX builds_by_stage ON builds (stage);
    CREATE INDEX builds_in_pools ON builds (pool, stage) WHERE stage < 3;
    CREATE INDEX builds_to_archive ON builds (settled_ms) WHERE last = settled_seq;

    CREATE TABLE cases (
        project INTEGER NOT NULL,
        report TEXT NOT NULL,
        prefix TEXT NOT NULL,
        suite TEXT NOT NULL,
        name TEXT NOT NULL,
        round INTEGER NOT NULL,
        status TEXT NOT NULL,
        nanos INTEGER NOT NULL,
        build INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        PRIMARY KEY (project, report, prefix, suite, name)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX cases_by_round ON cases (project, round);

    CREATE TABLE secrets (
        name TEXT PRIMARY KEY,
        last INTEGER NOT NULL,
        version INTEGER NOT NULL,
        kind TEXT NOT NULL,
        projects TEXT NOT NULL,
        wrapped TEXT NOT NULL,
        sealed TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        changed_ms INTEGER NOT NULL,
        is_there INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE pool_keys (
        pool TEXT NOT NULL,
        generation INTEGER NOT NULL,
        public TEXT NOT NULL,
        wrapped TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        PRIMARY KEY (pool, generation)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE tokens (
        id TEXT PRIMARY KEY,
        seq INTEGER NOT NULL,
        record TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE workers (
        name TEXT PRIMARY KEY,
        is_draining INTEGER NOT NULL,
        by TEXT NOT NULL,
        at_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE audit (
        seq INTEGER PRIMARY KEY,
        chain TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        entry BLOB NOT NULL
    ) STRICT;
    CREATE INDEX audit_by_chain ON audit (chain);

    CREATE TABLE heads (
        subject TEXT PRIMARY KEY,
        seq INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// SQLite's integers are signed: half of all numbers is enough.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

pub(crate) fn of_seq(seq: Seq) -> i64 {
    signed(seq.get())
}

pub(crate) fn to_seq(number: i64) -> Seq {
    Seq::new(unsigned(number))
}

pub(crate) fn of_time(at: Timestamp) -> i64 {
    signed(at.millis())
}

pub(crate) fn to_time(millis: i64) -> Timestamp {
    Timestamp::from_millis(unsigned(millis))
}
