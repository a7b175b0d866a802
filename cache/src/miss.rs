//! Why an entry was not found. Received from `croft cache explain` and from builds whose cache missed.

use crate::layout::folder;
use crate::records::explain::{Asked, Evidence, explain};
use crate::records::name::{Name, Space, version_of_paths};
use crate::records::record::Record;
use crate::records::removed::Removed;
use crate::restore::Lookup;
use crate::selection::Selection;
use crate::{Error, Explanation, Input, Skipped, Store};

impl Store {
    /// Why a look-up found what it found, or nothing; `made_of` says what its key is made of, when that is known.
    ///
    /// # Errors
    /// When a path cannot be used or the store cannot be read.
    pub fn explain(&self, lookup: &Lookup<'_>, made_of: &[Input]) -> Result<Explanation, Error> {
        let selection = Selection::parse(lookup.paths, lookup.base)?;
        let held = self.share()?;
        let (records, skipped) = self.evidence(lookup)?;
        drop(held);
        let removed = self
            .near_path()
            .map(|near| Removed::in_folder(near).read())
            .unwrap_or_default();
        let asked = Asked {
            scopes: &self.trust.scopes,
            space: &Space::BUILD,
            project: lookup.project,
            key: lookup.key,
            paths: selection.texts(),
            made_of,
            now: lookup.now,
        };
        let evidence = Evidence {
            records: &records,
            skipped: &skipped,
            removed: &removed,
        };
        Ok(explain(&asked, &evidence))
    }

    /// The project's records of every scope, and why some do not count. Only its own are read, however many others there are.
    fn evidence(&self, lookup: &Lookup<'_>) -> Result<(Vec<Record>, Vec<Skipped>), Error> {
        let version = version_of_paths(&[]);
        let folder_of_project = Name {
            scope: self.trust.scopes.write(),
            space: &Space::BUILD,
            project: lookup.project,
            version: &version,
            key: None,
        }
        .projects_folder();
        let project = folder_of_project.filename().unwrap_or_default().to_string();
        let seen = self.seen();
        let reader = self.records(seen.as_ref(), lookup.now);
        let (mut records, mut skipped) = (Vec::new(), Vec::new());
        for listed in self.objects.list(&folder("entries"))? {
            let is_own = listed.name.parts().nth(3);
            if is_own.is_none_or(|part| part.as_ref() != project) {
                continue;
            }
            match reader.read(&listed.name) {
                Ok(record) => records.extend(record),
                Err(error) if error.is_unusable() => skipped.push(Skipped {
                    object: listed.name.to_string(),
                    reason: error.to_string(),
                    is_damaged: error.is_damage(),
                }),
                Err(error) => return Err(error),
            }
        }
        Ok((records, skipped))
    }
}
