//! What each project last asked the cache for, so that "why did it miss?" can be asked afterwards. Written by every look-up of
//! a build on this machine; read by `croft cache explain`. Losing it loses nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use croft_proto::Timestamp;
use serde::{Deserialize, Serialize};

use crate::replace::replace;
use crate::restore::Lookup;
use crate::{Error, Explanation, Id, Input, Store};

/// Bytes of a note: keys, paths and inputs are limited where records are made.
const NOTE_BYTES_MAX: u64 = 4 << 20;

/// A look-up of a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AskedFor {
    /// Whose.
    pub project: String,
    /// The exact key.
    pub key: Option<String>,
    /// Prefixes.
    pub fallback_keys: Vec<String>,
    /// The configured paths, expanded.
    pub paths: Vec<String>,
    /// The source directory inside the build.
    pub base: PathBuf,
    /// What the key was made of.
    pub made_of: Vec<Input>,
    /// When.
    pub when: Timestamp,
    /// Whether its exact key was found.
    pub was_found: bool,
    /// The reason as it was then.
    pub answer: String,
}

impl Store {
    /// Explains a look-up and remembers it as the project's last.
    ///
    /// # Errors
    /// As [`Store::explain`]. A note that cannot be written is no error.
    pub fn explain_and_note(
        &self,
        lookup: &Lookup<'_>,
        made_of: &[Input],
    ) -> Result<Explanation, Error> {
        let explanation = self.explain(lookup, made_of)?;
        self.note(lookup, made_of, (false, explanation.to_string()));
        Ok(explanation)
    }

    /// Remembers a look-up that found its exact key as the project's last.
    pub fn note_found(&self, lookup: &Lookup<'_>, made_of: &[Input]) {
        self.note(lookup, made_of, (true, "its exact key was found".into()));
    }

    fn note(&self, lookup: &Lookup<'_>, made_of: &[Input], (was_found, answer): (bool, String)) {
        let asked = AskedFor {
            project: lookup.project.to_string(),
            key: lookup.key.map(str::to_string),
            fallback_keys: lookup.fallback_keys.to_vec(),
            paths: lookup.paths.to_vec(),
            base: lookup.base.to_path_buf(),
            made_of: made_of.to_vec(),
            when: lookup.now,
            was_found,
            answer,
        };
        if let Some(file) = self.note_of(lookup.project)
            && let Err(error) = write(&file, &asked)
        {
            tracing::debug!(%error, "what was asked for is not noted");
        }
    }

    /// What a project last asked for on this machine, if it ever did.
    #[must_use]
    pub fn last_asked(&self, project: &str) -> Option<AskedFor> {
        read(&self.note_of(project)?)
    }

    /// The last question of every project on this machine, the newest first.
    #[must_use]
    pub fn all_asked(&self) -> Vec<AskedFor> {
        let folder = self.near_folder("asked");
        let entries = folder.and_then(|folder| fs::read_dir(folder).ok());
        let mut asked: Vec<AskedFor> = entries
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            // Not what a crash left half-way to it.
            .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
            .filter_map(|path| read(&path))
            .collect();
        asked.sort_by(|a, b| (b.when, &a.project).cmp(&(a.when, &b.project)));
        asked
    }

    fn note_of(&self, project: &str) -> Option<PathBuf> {
        let name = Id::of_name("croft cache 2026 asked by project", project.as_bytes());
        Some(self.near_folder("asked")?.join(format!("{name}.json")))
    }
}

fn read(file: &Path) -> Option<AskedFor> {
    let size = fs::metadata(file).ok()?.len();
    (size <= NOTE_BYTES_MAX).then_some(())?;
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

fn write(file: &Path, asked: &AskedFor) -> std::io::Result<()> {
    replace(file, &serde_json::to_vec(asked)?)
}
