//! What `croft cache` prints, row by row.

use croft_cache::{AskedFor, Damage, Departure, Difference, EntrySummary, UsedSpace};
use croft_proto::Timestamp;
use serde::Serialize;

use crate::output::Rows;
use crate::render::{count, date, size};

/// One entry.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    project: String,
    key: Option<String>,
    scope: String,
    space: String,
    tree: Option<String>,
    files: u64,
    logical_bytes: u64,
    stored_bytes: u64,
    created: Timestamp,
    last_used: Timestamp,
    paths: Vec<String>,
    producer: String,
}

impl From<EntrySummary> for Entry {
    fn from(entry: EntrySummary) -> Self {
        Self {
            project: entry.project,
            key: entry.key,
            scope: entry.scope,
            space: entry.space,
            tree: entry.tree.map(|id| id.to_string()),
            files: entry.files,
            logical_bytes: entry.logical_bytes,
            stored_bytes: entry.stored_bytes,
            created: entry.created,
            last_used: entry.last_used,
            paths: entry.paths,
            producer: entry.producer,
        }
    }
}

impl Rows for Entry {
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
                "SCOPE",
                "SPACE",
                "TREE",
                "PATHS",
            ],
            6,
        )
    }

    fn cells(&self) -> Vec<String> {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        vec![
            self.project.clone(),
            or_dash(&self.key),
            count(self.files),
            size(self.logical_bytes),
            size(self.stored_bytes),
            date(self.last_used),
            date(self.created),
            self.scope.clone(),
            self.space.clone(),
            or_dash(&self.tree),
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

/// The room everything takes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Room {
    entries: u64,
    logical_bytes: u64,
    unique_bytes: u64,
    stored_bytes: u64,
    packs: u64,
    mounted_bytes: u64,
    /// Bytes of all entries' files for each byte stored.
    dedup_factor: f64,
}

impl From<UsedSpace> for Room {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a ratio for people; exact far beyond any cache's size"
    )]
    fn from(space: UsedSpace) -> Self {
        Self {
            entries: space.entries,
            logical_bytes: space.logical_bytes,
            unique_bytes: space.unique_bytes,
            stored_bytes: space.stored_bytes,
            packs: space.packs,
            mounted_bytes: space.live_bytes,
            dedup_factor: space.logical_bytes as f64 / space.stored_bytes.max(1) as f64,
        }
    }
}

impl Rows for Room {
    fn titles() -> (Vec<&'static str>, usize) {
        (
            vec![
                "ENTRIES",
                "LOGICAL",
                "UNIQUE",
                "STORED",
                "FACTOR",
                "MADE TO MOUNT",
                "PACKS",
            ],
            6,
        )
    }

    fn cells(&self) -> Vec<String> {
        vec![
            count(self.entries),
            size(self.logical_bytes),
            size(self.unique_bytes),
            size(self.stored_bytes),
            format!("{:.1}", self.dedup_factor),
            size(self.mounted_bytes),
            count(self.packs),
        ]
    }

    fn name(&self) -> String {
        self.stored_bytes.to_string()
    }
}

/// Something that is not what was stored.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Damaged {
    object: String,
    reason: String,
    repair: Option<String>,
}

impl From<Damage> for Damaged {
    fn from(damage: Damage) -> Self {
        Self {
            object: damage.object,
            reason: damage.reason,
            repair: damage.repair,
        }
    }
}

impl Rows for Damaged {
    fn titles() -> (Vec<&'static str>, usize) {
        (vec!["OBJECT", "DAMAGE", "REPAIR"], 3)
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.object.clone(),
            self.reason.clone(),
            self.repair.clone().unwrap_or_else(|| "-".into()),
        ]
    }

    fn name(&self) -> String {
        self.object.clone()
    }
}

/// An entry that goes, and why.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Going {
    project: String,
    key: Option<String>,
    scope: String,
    stored_bytes: u64,
    last_used: Timestamp,
    explanation: String,
}

impl From<Departure> for Going {
    fn from(departure: Departure) -> Self {
        Self {
            project: departure.project,
            key: departure.key,
            scope: departure.scope,
            stored_bytes: departure.stored_bytes,
            last_used: departure.last_used,
            explanation: departure.explanation,
        }
    }
}

impl Rows for Going {
    fn titles() -> (Vec<&'static str>, usize) {
        (
            vec!["PROJECT", "KEY", "STORED", "LAST USED", "WHY", "SCOPE"],
            5,
        )
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.project.clone(),
            self.key.clone().unwrap_or_else(|| "-".into()),
            size(self.stored_bytes),
            date(self.last_used),
            self.explanation.clone(),
            self.scope.clone(),
        ]
    }

    fn name(&self) -> String {
        match &self.key {
            Some(key) => format!("{}/{key}", self.project),
            None => self.project.clone(),
        }
    }
}

/// One path that differs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Differs {
    path: String,
    how: &'static str,
}

impl From<Difference> for Differs {
    fn from(difference: Difference) -> Self {
        let (how, path) = match difference {
            Difference::Added(path) => ("added", path),
            Difference::Removed(path) => ("removed", path),
            Difference::Contents(path) => ("changed", path),
            Difference::Metadata(path) => ("mode, owner or time", path),
        };
        Self { path, how }
    }
}

impl Rows for Differs {
    fn titles() -> (Vec<&'static str>, usize) {
        (vec!["PATH", "HOW"], 2)
    }

    fn cells(&self) -> Vec<String> {
        vec![self.path.escape_debug().to_string(), self.how.to_string()]
    }

    fn name(&self) -> String {
        self.path.clone()
    }
}

/// What a project last asked for, and why it got what it got.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Asked {
    project: String,
    key: Option<String>,
    when: Timestamp,
    explanation: String,
}

impl From<AskedFor> for Asked {
    fn from(asked: AskedFor) -> Self {
        Self {
            project: asked.project,
            key: asked.key,
            when: asked.when,
            explanation: asked.answer,
        }
    }
}

impl Rows for Asked {
    fn titles() -> (Vec<&'static str>, usize) {
        (vec!["PROJECT", "KEY", "ASKED", "WHY"], 4)
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.project.clone(),
            self.key.clone().unwrap_or_else(|| "-".into()),
            date(self.when),
            self.explanation.clone(),
        ]
    }

    fn name(&self) -> String {
        self.project.clone()
    }
}
