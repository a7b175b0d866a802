//! Named contents of other tools: a key, and bytes. Received from the fronts that speak those tools' protocols; stored in the
//! same packs and under the same rules as the files of builds.
//!
//! Small contents that come at the same time are stored together: whoever comes first writes for all that have come
//! meanwhile. So a lone upload waits for nobody, and a thousand make few objects.

/// Small contents that come at the same time.
mod together;

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use croft_proto::Timestamp;

use crate::content::{Content, Reader, limited};
use crate::index::Index;
use crate::intake::{Intake, Stop, bring_in};
use crate::records::lookup::{self, Wanted};
use crate::records::name::{Space, version_of_paths};
use crate::records::record::{Format, Outcome, Record};
use crate::records::scope::Scopes;
use crate::records::write::Writer;
use crate::writing::Writing;
use crate::{Error, Id, Store};
use together::Upload;

/// Contents up to this size are held in memory and stored with others; larger ones go straight into packs of their own.
const TOGETHER_BYTES_MAX: u64 = 1 << 20;

/// Whose records these are within their space: there are no projects in other tools' protocols.
const PROJECT: &str = "tool";

/// What contents are called, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct NamedAs<'a> {
    /// Where the record is written, and where it may come from.
    pub scopes: &'a Scopes,
    /// Whose protocol.
    pub space: &'a Space,
    /// The tool's own key.
    pub key: &'a str,
}

/// Contents that were found.
#[derive(Debug)]
pub struct Named {
    content: Content,
    store: Store,
    index: Arc<Index>,
}

impl Named {
    /// Bytes of the contents.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.content.size_bytes
    }

    /// Whether the packs are still there that the index speaks of.
    fn is_there(&self) -> Result<bool, Error> {
        let mut packs = BTreeSet::new();
        for chunk in &self.content.chunks {
            let Some(place) = self.index.place(chunk) else {
                return Ok(false);
            };
            packs.insert(place.pack);
        }
        for pack in packs {
            let name = &self.index.pack(pack).name;
            if self.store.objects.size_bytes(name)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The bytes in pieces of at most half a MiB, each checked against its hash.
    pub fn read(self) -> impl Iterator<Item = Result<Bytes, Error>> + Send {
        let Self {
            content,
            store,
            mut index,
        } = self;
        let mut groups = content
            .chunks
            .chunks(CHUNKS_AT_ONCE)
            .map(<[Id]>::to_vec)
            .collect::<Vec<_>>()
            .into_iter();
        let mut ready = Vec::new().into_iter();
        std::iter::from_fn(move || {
            loop {
                if let Some(piece) = ready.next() {
                    return Some(Ok(piece));
                }
                let group = groups.next()?;
                let read = read_group(&store, &index, &group).or_else(|error| {
                    store.heal(&error);
                    // A collection of another process may have moved them since the index was read.
                    match store.index() {
                        Ok(fresh) if error.is_unusable() => {
                            index = fresh.into();
                            read_group(&store, &index, &group)
                        }
                        _ => Err(error),
                    }
                });
                match read {
                    Ok(pieces) => ready = pieces.into_iter(),
                    Err(error) => {
                        groups = Vec::new().into_iter();
                        return Some(Err(error));
                    }
                }
            }
        })
    }
}

/// Chunks read with one look at the store: at most 8 MiB of memory for a reader.
const CHUNKS_AT_ONCE: usize = 16;

fn read_group(store: &Store, index: &Index, group: &[Id]) -> Result<Vec<Bytes>, Error> {
    let mut pieces = Vec::with_capacity(group.len());
    Reader::new(&store.objects, index)?.read(group, |chunk| {
        pieces.push(Bytes::copy_from_slice(chunk));
        Ok(())
    })?;
    Ok(pieces)
}

/// Uploads between two looks at how full the store is.
const UPLOADS_PER_LOOK: u64 = 256;

/// A store, kept open for many small requests.
#[derive(Debug)]
pub struct Shelf {
    store: Store,
    uploads: AtomicU64,
    index: RwLock<Arc<Index>>,
    waiting: Mutex<Vec<Arc<Upload>>>,
    writer: Mutex<()>,
}

impl Shelf {
    /// The shelf of a store.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open(store: Store) -> Result<Self, Error> {
        let index = RwLock::new(Arc::new(store.index()?));
        Ok(Self {
            store,
            index,
            uploads: AtomicU64::new(0),
            waiting: Mutex::default(),
            writer: Mutex::default(),
        })
    }

    /// The contents of that name, when all of them are there and their record counts for those scopes.
    ///
    /// # Errors
    /// When the store cannot be read. Damaged or untrusted records are a miss.
    pub fn find(&self, name: &NamedAs<'_>, now: Timestamp) -> Result<Option<Named>, Error> {
        let version = version_of_paths(&[]);
        let wanted = Wanted {
            scopes: name.scopes,
            space: name.space,
            project: PROJECT,
            key: Some(name.key),
            fallback_keys: &[],
            version: &version,
        };
        let seen = self.store.seen();
        let records = self.store.records(seen.as_ref(), now);
        let looked = lookup::find(records, wanted, &mut |record| self.is_whole(record))?;
        let Some(found) = looked.found else {
            return Ok(None);
        };
        let Outcome::Content { size_bytes, chunks } = found.record.outcome else {
            return Ok(None);
        };
        self.store.note_use(&found.name, now);
        Ok(Some(Named {
            content: Content { size_bytes, chunks },
            store: self.store.clone(),
            index: self.index(),
        }))
    }

    /// The size of the contents of that name, when all of them can be read: what [`Shelf::find`] says as soon as bytes are
    /// read, for those who want none.
    ///
    /// # Errors
    /// As [`Shelf::find`].
    pub fn size_bytes(&self, name: &NamedAs<'_>, now: Timestamp) -> Result<Option<u64>, Error> {
        let Some(found) = self.find(name, now)? else {
            return Ok(None);
        };
        if found.is_there()? {
            return Ok(Some(found.size_bytes()));
        }
        // A collection of another process has moved or removed them since the index was read.
        self.refresh()?;
        Ok(self.find(name, now)?.map(|found| found.size_bytes()))
    }

    /// After every so many uploads: brings a store that is over its cap below it again.
    fn look_at_the_cap(&self, uploads: u64, now: Timestamp) {
        let before = self.uploads.fetch_add(uploads, Ordering::Relaxed);
        if before / UPLOADS_PER_LOOK == (before + uploads) / UPLOADS_PER_LOOK {
            return;
        }
        if let Err(error) = self.store.prune_if_over_cap(now) {
            tracing::warn!(%error, "the cache is not pruned");
        }
    }

    fn is_whole(&self, record: &Record) -> Result<bool, Error> {
        let Outcome::Content { chunks, .. } = &record.outcome else {
            return Ok(false);
        };
        if self.index().missing(chunks).is_none() {
            return Ok(true);
        }
        // Somebody else may have stored them since the index was read.
        self.refresh()?;
        Ok(self.index().missing(chunks).is_none())
    }

    fn index(&self) -> Arc<Index> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&index)
    }

    fn refresh(&self) -> Result<(), Error> {
        let fresh = Arc::new(self.store.index()?);
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Stores contents under that name; they are durable and visible when this returns. How many bytes there were.
    ///
    /// `now` is asked when it is needed: contents may come for an hour, and a lease as old as their beginning would have ended.
    ///
    /// # Errors
    /// [`Error::Read`] when the contents end early or are larger than `bytes_max`; else when the store cannot be written.
    /// Then nothing is visible, unless they were stored and only the index could not be read again.
    pub fn put(
        &self,
        name: &NamedAs<'_>,
        contents: &mut dyn Read,
        bytes_max: u64,
        now: &dyn Fn() -> Timestamp,
    ) -> Result<u64, Error> {
        let unreadable = |source| Error::Read {
            path: name.key.into(),
            source,
        };
        let mut start = Vec::new();
        let together = TOGETHER_BYTES_MAX.min(bytes_max);
        limited(contents, together)
            .read_to_end(&mut start)
            .map_err(unreadable)?;
        if start.len() as u64 > bytes_max {
            return Err(unreadable(too_large(bytes_max)));
        }
        if start.len() as u64 <= together {
            let chunks = cut(&start).map_err(unreadable)?;
            let record = self.record(name, start.len() as u64, &chunks, now());
            return self.put_together(name.scopes, record, chunks, now);
        }
        let rest = bytes_max - start.len() as u64;
        let mut whole = start.as_slice().chain(limited(contents, rest));
        self.put_alone(name, &mut whole, bytes_max, now)
    }

    fn put_alone(
        &self,
        name: &NamedAs<'_>,
        contents: &mut dyn Read,
        bytes_max: u64,
        now: &dyn Fn() -> Timestamp,
    ) -> Result<u64, Error> {
        let stored = self.write_alone(name, contents, bytes_max, now);
        // A failed one has left packs that nobody uses, and may be the last upload for long.
        self.look_at_the_cap(UPLOADS_PER_LOOK, now());
        let size_bytes = stored?;
        self.refresh()?;
        Ok(size_bytes)
    }

    fn write_alone(
        &self,
        name: &NamedAs<'_>,
        contents: &mut dyn Read,
        bytes_max: u64,
        now: &dyn Fn() -> Timestamp,
    ) -> Result<u64, Error> {
        let writing = Writing::begin(&self.store, now())?;
        let (content, _) = bring_in(
            &self.store.objects,
            &writing.index,
            self.store.cap_bytes,
            |intake| take_alone(intake, name.key, contents),
        )?;
        if content.size_bytes > bytes_max {
            return Err(Error::Read {
                path: name.key.into(),
                source: too_large(bytes_max),
            });
        }
        let chunks: Vec<(Id, Bytes)> = content
            .chunks
            .iter()
            .map(|id| (*id, Bytes::new()))
            .collect();
        let record = self.record(name, content.size_bytes, &chunks, now());
        writing.check()?;
        self.write_record(name.scopes, &record)?;
        Ok(content.size_bytes)
    }

    fn write_record(&self, scopes: &Scopes, record: &Record) -> Result<(), Error> {
        let seen = self.store.seen();
        let writer = Writer {
            objects: &self.store.objects,
            signer: &self.store.trust.signer,
            scopes,
            seen: seen.as_ref(),
        };
        writer.write(record).map(drop)
    }

    fn record(
        &self,
        name: &NamedAs<'_>,
        size_bytes: u64,
        chunks: &[(Id, Bytes)],
        now: Timestamp,
    ) -> Record {
        Record {
            format: Format,
            scope: name.scopes.write().clone(),
            space: name.space.clone(),
            project: PROJECT.into(),
            key: Some(name.key.to_string()),
            paths: Vec::new(),
            version: version_of_paths(&[]),
            outcome: Outcome::Content {
                size_bytes,
                chunks: chunks.iter().map(|(id, _)| *id).collect(),
            },
            files: 1,
            logical_bytes: size_bytes,
            // Before compression; packs know better, and nobody asks of so small a thing.
            stored_bytes: size_bytes,
            created: now,
            cost_ms: 0,
            key_template: None,
            made_of: Vec::new(),
            producer: self.store.trust.producer.clone(),
        }
    }
}

fn take_alone(intake: &Intake<'_>, key: &str, contents: &mut dyn Read) -> Result<Content, Error> {
    let mut feeder = intake.feeder()?;
    let content = match feeder.take(contents) {
        Ok(content) => content,
        Err(Stop::Failed(error)) => return Err(error),
        Err(Stop::Unreadable(source)) => {
            return Err(Error::Read {
                path: key.into(),
                source,
            });
        }
    };
    feeder.flush()?;
    Ok(content)
}

fn cut(bytes: &[u8]) -> std::io::Result<Vec<(Id, Bytes)>> {
    let mut chunks = Vec::new();
    let mut reader = bytes;
    crate::chunk::Cutter::new().cut::<std::io::Error>(&mut reader, |chunk| {
        chunks.push((Id::of(chunk), Bytes::copy_from_slice(chunk)));
        Ok(())
    })?;
    Ok(chunks)
}

fn too_large(bytes_max: u64) -> std::io::Error {
    std::io::Error::new(
        std::io::ErrorKind::FileTooLarge,
        format!("larger than {bytes_max} bytes"),
    )
}
