use std::path::Path;

use croft_ledger::Entry;
use croft_ledger::Seq;
use proptest::prelude::*;
use rusqlite::types::Value as Column;

use super::*;

/// Every row of every table.
fn contents(path: &Path) -> Vec<(String, Vec<Vec<Column>>)> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let mut tables = connection.prepare(sql).unwrap();
    let tables = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
    tables
        .map(Result::unwrap)
        .map(|table| {
            let mut rows = connection
                .prepare(&format!("SELECT * FROM {table}"))
                .unwrap();
            let width = rows.column_count();
            let rows = rows.query_map([], |row| (0..width).map(|at| row.get(at)).collect());
            (table, rows.unwrap().map(Result::unwrap).collect())
        })
        .collect()
}

/// A story of a few builds of two projects: which of them goes on, and how.
fn story(steps: &[(u64, u8)]) -> Vec<Entry> {
    let mut events = vec![("project.web".to_string(), applied())];
    let mut stages = std::collections::HashMap::<u64, (u32, u8)>::new();
    for (number, how) in steps {
        let subject = format!("build.{}", id(*number));
        let project = if number % 2 == 0 { "web" } else { "shop" };
        let (attempt, stage) = stages.entry(*number).or_default();
        let event = match (*stage, how % 4) {
            (0, _) => {
                *stage = 1;
                let admitted = json!({"type": "admitted", "build": id(*number), "number": number});
                events.push((format!("project.{project}"), admitted));
                submitted(project, *number)
            }
            (1, 0) => {
                *stage = 3;
                settled(*attempt, "STOPPED", "stop", None)
            }
            (1, _) => {
                *stage = 2;
                *attempt += 1;
                started(*attempt)
            }
            (2, 0) => {
                *stage = 1;
                lost(*attempt)
            }
            (2, 1) => stop(),
            (2, _) => {
                *stage = 3;
                let name = format!("case-{}", how % 7);
                let build = finished("SUCCEEDED", &[(&name, "SUCCEEDED")]);
                settled(*attempt, "SUCCEEDED", "worker", Some(build))
            }
            _ => continue,
        };
        events.push((subject, event));
    }
    numbered(&events)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn chunks_of_any_size_make_the_same_file(
        steps in prop::collection::vec((0_u64..12, any::<u8>()), 1..120),
        size in 2_usize..50,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let entries = story(&steps);
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        for (path, size) in [(&one, 1), (&other, size)] {
            let views = Views::open(path).unwrap();
            for chunk in entries.chunks(size) {
                views.apply(chunk).unwrap();
                // What was folded before changes nothing.
                views.apply(chunk).unwrap();
            }
        }
        prop_assert_eq!(contents(&one), contents(&other));
    }
}

#[test]
fn a_file_opened_again_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("views.db");
    let entries = story(&[(1, 1), (1, 1), (1, 2), (2, 1)]);
    Views::open(&path).unwrap().apply(&entries[..3]).unwrap();
    let views = Views::open(&path).unwrap();
    assert_eq!(views.position(), Seq::new(3));
    views.apply(&entries).unwrap();
    drop(views);
    let at_once = folder.path().join("at-once");
    Views::open(&at_once).unwrap().apply(&entries).unwrap();
    assert_eq!(contents(&path), contents(&at_once));
}

#[test]
fn a_file_that_is_no_read_model_of_this_schema_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("views.db");
    let change = |sql: &str| {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch(sql).unwrap();
    };
    let spoils: [&dyn Fn(); 5] = [
        &|| {
            std::fs::write(
                &path,
                "this is no database, and long enough to show it".repeat(100),
            )
            .unwrap()
        },
        &|| change("PRAGMA user_version = 999"),
        &|| change("PRAGMA application_id = 1"),
        &|| {
            change("PRAGMA wal_checkpoint(TRUNCATE)");
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[100..4000].fill(0xee);
            std::fs::write(&path, bytes).unwrap();
        },
        &|| crate::open::mark_damage(&path),
    ];
    for (at, spoil) in spoils.into_iter().enumerate() {
        let entries = story(&[(1, 1), (1, 1)]);
        let views = Views::open(&path).unwrap();
        views.apply(&entries).unwrap();
        drop(views);
        assert_eq!(Views::open(&path).unwrap().position(), Seq::new(4), "{at}");
        spoil();
        let views = Views::open(&path).unwrap();
        assert_eq!(views.position(), Seq::ZERO, "{at}");
        assert_eq!(views.apply(&entries).unwrap(), Seq::new(4), "{at}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_said_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no").join("views.db");
    let error = Views::open(&path).unwrap_err().to_string();
    assert!(
        error.starts_with("failed to open the read model"),
        "{error}"
    );
}
