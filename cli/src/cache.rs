//! `croft cache`: look at the cache and act on it.

use std::collections::BTreeSet;

use croft_cache::{EntrySummary, Selector, Store};
use serde::Serialize;

use crate::args::{CacheCommand, CacheWords, Format, Global};
use crate::exit::{Exit, Wrong};
use crate::output::{self, Rows};
use crate::render::{count, size};
use crate::surroundings::Surroundings;

/// One entry, as it is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    project: String,
    key: Option<String>,
    files: u64,
    logical_bytes: u64,
    stored_bytes: u64,
    created: croft_proto::Timestamp,
    last_used: croft_proto::Timestamp,
    paths: Vec<String>,
}

impl From<EntrySummary> for Row {
    fn from(entry: EntrySummary) -> Self {
        Self {
            project: entry.project,
            key: entry.key,
            files: entry.files,
            logical_bytes: entry.logical_bytes,
            stored_bytes: entry.stored_bytes,
            created: entry.created,
            last_used: entry.last_used,
            paths: entry.paths,
        }
    }
}

impl Rows for Row {
    fn titles() -> (Vec<&'static str>, usize) {
        (
            vec![
                "PROJECT",
                "KEY",
                "FILES",
                "SIZE",
                "STORED",
                "LAST USED",
                "CREATED",
                "PATHS",
            ],
            6,
        )
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.project.clone(),
            self.key.clone().unwrap_or_else(|| "-".into()),
            count(self.files),
            size(self.logical_bytes),
            size(self.stored_bytes),
            date(self.last_used),
            date(self.created),
            self.paths.join(" "),
        ]
    }

    fn name(&self) -> String {
        match &self.key {
            Some(key) => format!("{}/{key}", self.project),
            None => self.project.clone(),
        }
    }
}

fn date(moment: croft_proto::Timestamp) -> String {
    let millis = i64::try_from(moment.millis()).unwrap_or(i64::MAX);
    chrono::DateTime::from_timestamp_millis(millis)
        .map(|utc| {
            utc.with_timezone(&chrono::Local)
                .format("%Y-%m-%d %H:%M")
                .to_string()
        })
        .unwrap_or_default()
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Damaged {
    object: String,
    reason: String,
}

impl Rows for Damaged {
    fn titles() -> (Vec<&'static str>, usize) {
        (vec!["OBJECT", "DAMAGE"], 2)
    }

    fn cells(&self) -> Vec<String> {
        vec![self.object.clone(), self.reason.clone()]
    }

    fn name(&self) -> String {
        self.object.clone()
    }
}

pub(crate) fn cache(global: &Global, words: &CacheWords) -> anyhow::Result<Exit> {
    let surroundings = Surroundings::read(global)?;
    let store = Store::open(&surroundings.cache_dir, surroundings.cache_bytes_max)?;
    match &words.command {
        CacheCommand::Ls(words) => list(&store, words.output),
        CacheCommand::Rm { project, key, .. } => remove(&store, project.as_deref(), key.as_deref()),
        CacheCommand::Verify(words) => verify(&store, words.output),
    }
}

fn list(store: &Store, format: Format) -> anyhow::Result<Exit> {
    let rows: Vec<Row> = store.list()?.into_iter().map(Row::from).collect();
    output::rows(&rows, format)?;
    if matches!(format, Format::Table | Format::Wide) {
        let usage = store.usage()?;
        let line = format!(
            "{} of {} used by {} entries\n",
            size(usage.stored_bytes),
            size(usage.cap_bytes),
            count(usage.entries)
        );
        output::text(&line)?;
    }
    Ok(Exit::Succeeded)
}

/// Which entries the words mean; without a project, all.
fn selector(project: Option<&str>, key: Option<&str>) -> Selector {
    match (project, key) {
        (None, _) => Selector::All,
        (Some(project), None) => Selector::Project(project.to_string()),
        (Some(project), Some(key)) => Selector::Entry {
            project: project.to_string(),
            key: Some(key.to_string()),
        },
    }
}

/// True for a project's own entries and for those of every source that is called like it: `app@/home/me/app`.
fn is_of(entry: &str, project: &str) -> bool {
    entry
        .strip_prefix(project)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
}

fn remove(store: &Store, project: Option<&str>, key: Option<&str>) -> anyhow::Result<Exit> {
    let selectors = match project {
        None => vec![Selector::All],
        Some(project) => {
            let names = store.list()?.into_iter().map(|entry| entry.project);
            let names: BTreeSet<String> = names.filter(|name| is_of(name, project)).collect();
            names.iter().map(|name| selector(Some(name), key)).collect()
        }
    };
    let (mut entries, mut freed_bytes) = (0, 0);
    for selector in &selectors {
        let removed = store.remove(selector)?;
        entries += removed.entries;
        freed_bytes += removed.freed_bytes;
    }
    if entries == 0 && project.is_some() {
        return Err(Wrong(
            "nothing in the cache is called that: `croft cache ls` lists what there is".into(),
        )
        .into());
    }
    output::text(&format!(
        "removed {} entries, {} freed\n",
        count(entries),
        size(freed_bytes)
    ))?;
    Ok(Exit::Succeeded)
}

/// Damage found is an infrastructure failure: exit code 2.
fn verify(store: &Store, format: Format) -> anyhow::Result<Exit> {
    let verified = store.verify()?;
    let rows: Vec<Damaged> = verified
        .damaged
        .into_iter()
        .map(|damage| Damaged {
            object: damage.object,
            reason: damage.reason,
        })
        .collect();
    if matches!(format, Format::Table | Format::Wide) {
        output::text(&format!(
            "{} objects, {}: {} damaged\n",
            count(verified.objects),
            size(verified.bytes),
            count(rows.len() as u64)
        ))?;
    }
    if !rows.is_empty() || !matches!(format, Format::Table | Format::Wide) {
        output::rows(&rows, format)?;
    }
    Ok(if rows.is_empty() {
        Exit::Succeeded
    } else {
        Exit::Infrastructure
    })
}
