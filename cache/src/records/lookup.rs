//! Finding the record that answers. Received from restores and the fronts of other tools; a record is handed back only
//! when it is trusted here and the caller says that what it names exists.
//!
//! The order is that of AWS's keyed cache, seen through scopes: the exact key in the own scope, then in `trusted`; then for
//! each fallback key, which is a *prefix* of keys, the own scope, then `trusted`. Within one scope and prefix the newest
//! wins. Project and version of the paths must be the same in any case.

use std::collections::HashSet;

use croft_keys::{Keyring, ScopeName};
use croft_proto::Timestamp;
use object_store::path::Path;

use super::name::{Name, Space};
use super::record::Record;
use super::scope::Scopes;
use super::sealed::{self, CONTENT_RECORD_BYTES_MAX};
use super::seen::{Seen, Sight};
use crate::backend::Objects;
use crate::workers::{self, Queue};
use crate::{Error, Id};

/// Reads records that count here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) objects: &'a Objects,
    pub(crate) keyring: &'a Keyring,
    /// None where nothing is kept between processes, as in tests: then old records put back are not noticed.
    pub(crate) seen: Option<&'a Seen>,
    pub(crate) now: Timestamp,
}

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) scopes: &'a Scopes,
    pub(crate) space: &'a Space,
    pub(crate) project: &'a str,
    /// The exact key; none for the one record without a key.
    pub(crate) key: Option<&'a str>,
    /// Prefixes, in order. An empty one, which would match anything, is skipped; without a key all are.
    pub(crate) fallback_keys: &'a [String],
    pub(crate) version: &'a Id,
}

/// How a record was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Key,
    FallbackKey,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) by: By,
    pub(crate) name: Path,
    pub(crate) record: Record,
}

/// The answer of a look-up.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// None is a miss.
    pub(crate) found: Option<Match>,
    /// Records that would have been better, each once, and why they were not used.
    pub(crate) skipped: Vec<Skipped>,
}

/// A record that was not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its name.
    pub object: String,
    /// Why.
    pub reason: String,
    /// Its bytes are at fault, so that whoever may write its scope should remove it.
    pub is_damaged: bool,
}

/// Names of records, and each one's content or why it does not count here.
pub(crate) type Records = Vec<(Path, Result<Record, Error>)>;

impl Reader<'_> {
    /// The record of that name, if there is one and it counts here.
    ///
    /// # Errors
    /// [`Error::is_unusable`] when there is one that does not count; else when the store cannot be read.
    pub(crate) fn read(&self, name: &Path) -> Result<Option<Record>, Error> {
        let bytes = match self.objects.get(name, CONTENT_RECORD_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(Error::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let record = sealed::open(name, &bytes, self.keyring)?;
        if let Some(seen) = self.seen.filter(|_| record.is_replaceable()) {
            let sight = Sight {
                created: record.created,
                hash: Id::of(&bytes),
            };
            seen.admit(name, sight, self.now)?;
        }
        Ok(Some(record))
    }

    /// Every record below a folder, sorted by name: those that count, and why the others do not. One that was replaced or
    /// removed since it was listed is left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn read_all(&self, folder: &Path) -> Result<Records, Error> {
        let listed = self.objects.list(folder)?;
        let queue = Queue::new(listed.len());
        let parts = workers::run(&queue, |queue| {
            let mut part = Vec::new();
            while let Some(nth) = queue.take() {
                let name = &listed[nth].name;
                match self.read(name) {
                    Ok(None) => {}
                    Ok(Some(record)) => part.push((name.clone(), Ok(record))),
                    Err(error) if error.is_unusable() => part.push((name.clone(), Err(error))),
                    Err(error) => return Err(error),
                }
            }
            Ok(part)
        })?;
        let mut records: Vec<_> = parts.into_iter().flatten().collect();
        records.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(records)
    }
}

/// The best record for what is wanted, of those that count here and that `usable` agrees to. `usable` is asked once for
/// each candidate, best first: whether everything the record names exists.
///
/// # Errors
/// When the store cannot be read, or `usable` fails other than by [`Error::is_unusable`], which means "not this one".
pub(crate) fn find(
    reader: Reader<'_>,
    wanted: Wanted<'_>,
    usable: &mut dyn FnMut(&Record) -> Result<bool, Error>,
) -> Result<Looked, Error> {
    let mut search = Search {
        reader,
        wanted,
        usable,
        tried: HashSet::new(),
        skipped: Vec::new(),
    };
    let found = match search.exact()? {
        Some(found) => Some(found),
        None => search.fallback()?,
    };
    Ok(Looked {
        found,
        skipped: search.skipped,
    })
}

struct Search<'a> {
    reader: Reader<'a>,
    wanted: Wanted<'a>,
    usable: &'a mut dyn FnMut(&Record) -> Result<bool, Error>,
    tried: HashSet<Path>,
    skipped: Vec<Skipped>,
}

impl Search<'_> {
    fn name<'b>(&'b self, scope: &'b ScopeName) -> Name<'b> {
        Name {
            scope,
            space: self.wanted.space,
            project: self.wanted.project,
            version: self.wanted.version,
            key: self.wanted.key,
        }
    }

    fn exact(&mut self) -> Result<Option<Match>, Error> {
        for scope in self.wanted.scopes.reads() {
            let name = self.name(scope).path();
            match self.reader.read(&name) {
                Ok(None) => {}
                Ok(Some(record)) => {
                    if let Some(found) = self.tried(By::Key, &name, &record)? {
                        return Ok(Some(found));
                    }
                }
                Err(error) if error.is_unusable() => self.skip(&name, &error),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn fallback(&mut self) -> Result<Option<Match>, Error> {
        let prefixes: Vec<&str> = self
            .wanted
            .fallback_keys
            .iter()
            .map(String::as_str)
            .collect();
        let prefixes: Vec<&str> = prefixes.into_iter().filter(|key| !key.is_empty()).collect();
        if self.wanted.key.is_none() || prefixes.is_empty() {
            return Ok(None);
        }
        let scopes = self.wanted.scopes.reads();
        let mut read: Vec<Option<Vec<(Path, Record)>>> = scopes.iter().map(|_| None).collect();
        for prefix in &prefixes {
            for (scope, read) in scopes.iter().zip(&mut read) {
                let records = match read {
                    Some(records) => records,
                    None => read.insert(self.newest_first(scope, &prefixes)?),
                };
                for (name, record) in records {
                    if starts_with(record, prefix)
                        && let Some(found) = self.tried(By::FallbackKey, name, record)?
                    {
                        return Ok(Some(found));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The records of a scope whose keys start with any of the prefixes. Others are not kept in memory.
    fn newest_first(
        &mut self,
        scope: &ScopeName,
        prefixes: &[&str],
    ) -> Result<Vec<(Path, Record)>, Error> {
        let folder = self.name(scope).versions_folder();
        let mut records = Vec::new();
        for (name, record) in self.reader.read_all(&folder)? {
            match record {
                Ok(record) if prefixes.iter().any(|prefix| starts_with(&record, prefix)) => {
                    records.push((name, record));
                }
                Ok(_) => {}
                Err(error) => self.skip(&name, &error),
            }
        }
        records.sort_by(|(_, a), (_, b)| (b.created, &b.key).cmp(&(a.created, &a.key)));
        Ok(records)
    }

    /// The record as a match, when it was not tried before and the caller can use it.
    fn tried(&mut self, by: By, name: &Path, record: &Record) -> Result<Option<Match>, Error> {
        if self.tried.contains(name) {
            return Ok(None);
        }
        match (self.usable)(record) {
            Ok(true) => {
                return Ok(Some(Match {
                    by,
                    name: name.clone(),
                    record: record.clone(),
                }));
            }
            Ok(false) => {
                let object = name.to_string();
                self.skip(name, &Error::Missing { object });
            }
            Err(error) if error.is_unusable() => self.skip(name, &error),
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    fn skip(&mut self, name: &Path, error: &Error) {
        if !self.tried.insert(name.clone()) {
            return;
        }
        let reason = if matches!(error, Error::Missing { .. }) {
            "something it names is gone".into()
        } else {
            error.to_string()
        };
        self.skipped.push(Skipped {
            object: name.to_string(),
            reason,
            is_damaged: error.is_damage(),
        });
    }
}

fn starts_with(record: &Record, prefix: &str) -> bool {
    let key = record.key.as_deref();
    key.is_some_and(|key| key.starts_with(prefix))
}
