//! Records from sealing to finding, and everybody who would like a record to say something else.

/// Any record is read back as it was written.
mod round_trip;
/// Records made or moved by an enemy.
mod red_team;
/// Bytes that are not what was written.
mod torn;
/// An old record put back.
mod replay;
/// Where records may be written.
mod writing;
/// Which record is found.
mod finding;
/// What running work keeps alive.
mod leases;
/// Why nothing was found.
mod reasons;

use std::sync::Arc;

use croft_keys::{Keyring, ScopeName, Signer};
use croft_proto::Timestamp;
use object_store::memory::InMemory;
use object_store::path::Path;

use super::lookup::{Looked, Reader, Wanted, find};
use super::name::{Space, version_of_paths};
use super::record::{Format, Outcome, Record};
use super::scope::Scopes;
use super::sealed;
use super::seen::Seen;
use crate::backend::Objects;
use crate::{Content, Error, Id};

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn scope(text: &str) -> ScopeName {
    text.parse().unwrap()
}

fn signer() -> Signer {
    Signer::of_this_process().unwrap()
}

/// A keyring with these keys for these scopes.
fn keyring(rules: &[(&Signer, &str)]) -> Keyring {
    rules
        .iter()
        .fold(Keyring::default(), |keyring, (signer, pattern)| {
            keyring.and(signer.key_id(), pattern.parse().unwrap())
        })
}

/// The project's trusted record with that key, made at that time.
fn record(key: &str, created: u64) -> Record {
    let paths = vec!["target".to_owned()];
    Record {
        format: Format,
        scope: ScopeName::trusted(),
        space: Space::BUILD,
        project: "app".into(),
        key: Some(key.into()),
        version: version_of_paths(&paths),
        paths,
        outcome: Outcome::Tree {
            id: Id::of(key.as_bytes()),
            list: Content {
                size_bytes: 1,
                chunks: vec![Id::of(b"list")],
            },
        },
        files: 3,
        logical_bytes: 300,
        stored_bytes: 100,
        created: at(created),
        cost_ms: 60_000,
        key_template: None,
        made_of: Vec::new(),
        producer: "croft".into(),
    }
}

fn in_scope(name: &str, record: Record) -> Record {
    Record {
        scope: scope(name),
        ..record
    }
}

fn without_key(created: u64) -> Record {
    Record {
        key: None,
        ..record("-", created)
    }
}

/// A bucket, and the farm's key for `trusted` and that of the machine that builds forks.
struct Bucket {
    objects: Objects,
    farm: Signer,
    forks: Signer,
    keyring: Keyring,
    seen: Option<Seen>,
}

impl Bucket {
    fn new() -> Self {
        let (farm, forks) = (signer(), signer());
        Self {
            objects: Objects::new(Arc::new(InMemory::new())),
            keyring: keyring(&[(&farm, "trusted"), (&forks, "fork/*")]),
            farm,
            forks,
            seen: None,
        }
    }

    fn put_as(&self, signer: &Signer, record: &Record) -> Path {
        let name = record.name();
        self.objects
            .put(&name, sealed::seal(record, signer).unwrap())
            .unwrap();
        name
    }

    fn put(&self, record: &Record) -> Path {
        self.put_as(&self.farm, record)
    }

    fn reader(&self) -> Reader<'_> {
        Reader {
            objects: &self.objects,
            keyring: &self.keyring,
            seen: self.seen.as_ref(),
            now: at(1 << 40),
        }
    }

    fn read(&self, name: &Path) -> Result<Option<Record>, Error> {
        self.reader().read(name)
    }

    fn find_if(
        &self,
        scopes: &Scopes,
        key: Option<&str>,
        fallback_keys: &[&str],
        usable: impl Fn(&Record) -> Result<bool, Error>,
    ) -> Result<Looked, Error> {
        let fallback_keys: Vec<String> = fallback_keys.iter().map(ToString::to_string).collect();
        let wanted = Wanted {
            scopes,
            space: &Space::BUILD,
            project: "app",
            key,
            fallback_keys: &fallback_keys,
            version: &version_of_paths(&["target".into()]),
        };
        find(self.reader(), wanted, &mut |record| usable(record))
    }

    fn find(&self, key: Option<&str>, fallback_keys: &[&str]) -> Looked {
        self.find_if(&Scopes::trusted(), key, fallback_keys, |_| Ok(true))
            .unwrap()
    }

    /// The key found, or `-` for the record without one.
    fn found(&self, key: Option<&str>, fallback_keys: &[&str]) -> Option<String> {
        key_of(&self.find(key, fallback_keys))
    }
}

fn key_of(looked: &Looked) -> Option<String> {
    let found = looked.found.as_ref()?;
    Some(found.record.key.clone().unwrap_or_else(|| "-".into()))
}

fn fork(name: &str) -> Scopes {
    Scopes::within(&"fork/*".parse().unwrap(), scope(name)).unwrap()
}

/// The reason a record is not trusted.
fn untrusted(result: Result<impl std::fmt::Debug, Error>) -> String {
    let error = result.unwrap_err();
    assert!(error.is_unusable() && !error.is_damage(), "{error:?}");
    let Error::Untrusted { reason, .. } = error else {
        panic!("it is not untrusted but: {error}");
    };
    reason
}
