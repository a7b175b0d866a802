//! Checking everything, and mending what can be. Received from `croft cache verify`, and from a restore that ran into damage.
//!
//! Mending never invents: good chunks of a damaged pack are copied into a new one, a copy on another tier is taken where
//! there is one, and an entry that has lost something is removed, so that the next build saves it anew.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use croft_proto::Timestamp;
use object_store::path::Path;

use crate::backend::{Listed, Objects};
use crate::content::Reader;
use crate::gc::used_name;
use crate::id::Short;
use crate::index::Index;
use crate::intake::bring_in;
use crate::layout::{folder, id_of};
use crate::pack::{Contents, Decoder, PACK_BYTES_MAX, chunk_of, damaged, read_contents};
use crate::records::name::scopes_folder;
use crate::records::record::{Outcome, Record};
use crate::restore::parse_list;
use crate::tree::Node;
use crate::workers::{self, Queue};
use crate::{Error, Id, Store};

/// One object that is not what was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Its name in the store, or `live/<tree>` for a folder made for mounting.
    pub object: String,
    /// How it shows.
    pub reason: String,
    /// What was done about it; none when nothing was asked for.
    pub repair: Option<String>,
}

/// The report of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Objects looked at.
    pub objects: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// What is damaged, by name. Empty when all is well.
    pub damaged: Vec<Damage>,
}

/// Whether to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Only report; folders made for mounting that changed are removed all the same, since builds would see them.
    No,
    /// Mend what can be, remove what cannot.
    Yes,
}

impl Store {
    /// Reads every object and checks every hash: packs, each chunk in them, records and their signatures, that nothing they
    /// name is missing, and the folders made for mounting.
    ///
    /// # Errors
    /// When the store cannot be read or, mending, not be written. Damage is not an error but the answer.
    pub fn verify(&self, repair: Repair, now: Timestamp) -> Result<Verified, Error> {
        let held = self.share()?;
        let mut verified = Verified::default();
        let packs = self.objects.list(&folder("packs"))?;
        let good = check_packs(self, &packs, repair, &mut verified)?;
        let checked = Checked {
            packs: packs.iter().filter_map(|pack| id_of(&pack.name)).collect(),
            good,
        };
        check_records(self, &checked, repair, now, &mut verified)?;
        for (id, reason) in self.scrub_live() {
            verified.damaged.push(Damage {
                object: format!("live/{id}"),
                reason,
                repair: Some(
                    "not used any more, removed when no build has it; the next build makes it anew"
                        .into(),
                ),
            });
        }
        drop(held);
        verified.damaged.sort_by(|a, b| a.object.cmp(&b.object));
        Ok(verified)
    }

    /// After a read that ran into damage: copies what is whole out of the pack at fault and removes it, so that what it has
    /// lost is stored again by the next save. Trouble is only logged: the reader has its own to report.
    pub(crate) fn heal(&self, error: &Error) {
        let Error::Damaged { object, .. } = error else {
            return;
        };
        let name = Path::from(object.as_str());
        if id_of(&name).is_none() {
            return;
        }
        // A collection that is alone here must not count chunks in a pack that is about to go.
        let Ok(held) = self.share() else {
            return;
        };
        if self.objects.distrust(&name) {
            return;
        }
        let healed = self.objects.size_bytes(&name).and_then(|size| match size {
            Some(size_bytes) => salvage(&self.objects, &Listed { name, size_bytes }).map(drop),
            None => Ok(()),
        });
        if let Err(error) = healed {
            tracing::debug!(%error, "a damaged pack stays");
        }
        drop(held);
    }
}

/// Checks packs; the chunks that are whole.
fn check_packs(
    store: &Store,
    packs: &[Listed],
    repair: Repair,
    verified: &mut Verified,
) -> Result<HashSet<Short>, Error> {
    let good = Mutex::new(HashSet::new());
    let bad = Mutex::new(Vec::new());
    let bytes = AtomicU64::new(0);
    let queue = Queue::new(packs.len());
    store
        .meter
        .expect(packs.iter().map(|pack| pack.size_bytes).sum());
    workers::run_reading(&store.objects, &queue, |queue| {
        while let Some(at) = queue.take() {
            bytes.fetch_add(packs[at].size_bytes, Ordering::Relaxed);
            let (chunks, checked) = check_pack(&store.objects, &packs[at])?;
            store.meter.advance(packs[at].size_bytes);
            good.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(chunks);
            if let Err(reason) = checked {
                bad.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((at, reason));
            }
        }
        Ok(())
    })?;
    verified.objects += packs.len() as u64;
    verified.bytes += bytes.into_inner();
    for (at, reason) in bad.into_inner().unwrap_or_else(PoisonError::into_inner) {
        let repair = match repair {
            Repair::No => None,
            Repair::Yes => Some(mend(store, &packs[at], &good)?),
        };
        verified.damaged.push(Damage {
            object: packs[at].name.to_string(),
            reason,
            repair,
        });
    }
    Ok(good.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// What was done about a damaged pack. Chunks that another tier has whole become good again.
fn mend(store: &Store, pack: &Listed, good: &Mutex<HashSet<Short>>) -> Result<String, Error> {
    if store.objects.distrust(&pack.name) {
        let (chunks, checked) = check_pack(&store.objects, pack)?;
        if checked.is_ok() {
            good.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(chunks);
            return Ok("fetched from the far tier".into());
        }
    }
    let saved = salvage(&store.objects, pack)?;
    Ok(format!("removed; {saved} whole chunks of it were kept"))
}

/// The chunks of a pack that are whole, and how it shows when not all of it is.
type CheckedPack = (Vec<Short>, Result<(), String>);

fn check_pack(objects: &Objects, pack: &Listed) -> Result<CheckedPack, Error> {
    let read = objects
        .get(&pack.name, PACK_BYTES_MAX)
        .and_then(|bytes| Ok((bytes, read_contents(objects, pack)?)));
    let (bytes, contents) = match read {
        Ok(read) => read,
        // A collection removed it meanwhile.
        Err(Error::Missing { .. }) => return Ok((Vec::new(), Ok(()))),
        Err(error) if error.is_damage() => return Ok((Vec::new(), Err(words(&error)))),
        Err(error) => return Err(error),
    };
    let mut whole = Vec::with_capacity(contents.slots.len());
    let mut bad = None;
    each_chunk(&bytes, &contents, |id, chunk| match chunk {
        Ok(_) => {
            whole.push(id.short());
            Ok(())
        }
        Err(reason) => {
            bad = Some(format!("its chunk {id} {reason}"));
            Ok(())
        }
    })?;
    let is_itself = Some(Id::of(&bytes)) == id_of(&pack.name);
    let checked = match bad {
        Some(reason) => Err(reason),
        None if is_itself => Ok(()),
        None => Err("it does not match its hash".into()),
    };
    Ok((whole, checked))
}

fn words(error: &Error) -> String {
    if let Error::Damaged { reason, .. } = error {
        return reason.clone();
    }
    error.to_string()
}

/// Hands out every chunk of a pack, or how it fails to be one.
fn each_chunk(
    bytes: &[u8],
    contents: &Contents,
    mut each: impl FnMut(Id, Result<&[u8], &'static str>) -> Result<(), Error>,
) -> Result<(), Error> {
    let (mut decoder, mut raw) = (Decoder::new()?, Vec::new());
    let mut slots = contents.slots.iter();
    for frame in &contents.frames {
        let start = frame.offset as usize;
        let stored = bytes
            .get(start..start + frame.stored_bytes as usize)
            .unwrap_or_default();
        let lengths = (frame.stored_bytes, frame.raw_bytes);
        let decoded = decoder.decode(stored, lengths, &mut raw);
        for slot in slots.by_ref().take(frame.chunks as usize) {
            let place = (slot.offset, slot.raw_bytes);
            let chunk = decoded.and_then(|()| chunk_of(&raw, slot.id, place));
            each(slot.id, chunk)?;
        }
    }
    Ok(())
}

/// Copies the whole chunks of a damaged pack into a new one and removes it; how many there were.
///
/// A pack that is whole when it is looked at again stays: the damage was on the way.
fn salvage(objects: &Objects, pack: &Listed) -> Result<usize, Error> {
    let (chunks, checked) = check_pack(objects, pack)?;
    if checked.is_ok() {
        return Ok(chunks.len());
    }
    let read = objects
        .get(&pack.name, PACK_BYTES_MAX)
        .and_then(|bytes| Ok((bytes, read_contents(objects, pack)?)));
    let mut saved = 0;
    match read {
        Ok((bytes, contents)) => {
            let nothing = Index::default();
            bring_in(objects, &nothing, u64::MAX, |intake| {
                let mut feeder = intake.feeder()?;
                each_chunk(&bytes, &contents, |id, chunk| match chunk {
                    Ok(raw) => {
                        saved += 1;
                        feeder.copy(id, raw)
                    }
                    Err(_) => Ok(()),
                })?;
                feeder.flush()
            })?;
        }
        Err(error) if error.is_damage() => {}
        Err(error) => return Err(error),
    }
    objects.delete(&pack.name)?;
    Ok(saved)
}

/// What was read of the packs.
struct Checked {
    packs: HashSet<Id>,
    good: HashSet<Short>,
}

impl Checked {
    /// Neither read whole, nor in a pack that came since: builds save and collections rewrite while this runs.
    fn is_bad(&self, index: &Index, id: &Id) -> bool {
        let came_since = || {
            let place = index.place(id)?;
            Some(!self.packs.contains(&id_of(&index.pack(place.pack).name)?))
        };
        !self.good.contains(&id.short()) && !came_since().unwrap_or(false)
    }
}

/// Checks records: that they count here, and that all they name is whole.
fn check_records(
    store: &Store,
    checked: &Checked,
    repair: Repair,
    now: Timestamp,
    verified: &mut Verified,
) -> Result<(), Error> {
    let seen = store.seen();
    let own = scopes_folder(store.trust.scopes.write());
    let records = store.records(seen.as_ref(), now);
    let records = records.read_all(&folder("entries"))?;
    // After the records: what they name was written before they were.
    let index = store.index()?;
    for (name, record) in records {
        verified.objects += 1;
        let whole = record.and_then(|record| names_good_chunks(store, &index, checked, &record));
        let error = match whole {
            Ok(()) => continue,
            Err(error) if error.is_unusable() => error,
            Err(error) => return Err(error),
        };
        let repair = match repair {
            Repair::No => None,
            // Whole, and perhaps good for another machine that writes the same scope.
            Repair::Yes if !error.is_damage() => Some(why_left(&error).into()),
            Repair::Yes if !name.prefix_matches(&own) => {
                Some("left: it belongs to another scope".into())
            }
            Repair::Yes => {
                store.objects.delete(&name)?;
                store.objects.delete(&used_name(&name))?;
                Some("removed; the next build saves it anew, a tree is put again by hand".into())
            }
        };
        verified.damaged.push(Damage {
            object: name.to_string(),
            reason: words(&error),
            repair,
        });
    }
    Ok(())
}

/// What a person may do about a record that is whole but no answer here.
fn why_left(error: &Error) -> &'static str {
    if matches!(error, Error::NotUnderstood { .. }) {
        return "left: a newer croft may read it";
    }
    "left: add its signer to this machine's keyring if you know it, else remove the entry where it was made"
}

fn names_good_chunks(
    store: &Store,
    index: &Index,
    checked: &Checked,
    record: &Record,
) -> Result<(), Error> {
    let missing = |id: &Id| {
        Err(damaged(
            &record.name(),
            format!("its chunk {id} is missing or damaged"),
        ))
    };
    let is_bad = |id: &&Id| checked.is_bad(index, id);
    match &record.outcome {
        Outcome::Content { chunks, .. } => chunks.iter().find(is_bad).map_or(Ok(()), missing),
        Outcome::Tree { id, list } => {
            if let Some(id) = list.chunks.iter().find(is_bad) {
                return missing(id);
            }
            let mut reader = Reader::new(&store.objects, index)?;
            let tree = parse_list(list, Some(id), &mut reader)?;
            if let Some(id) = tree.chunks().find(is_bad) {
                return missing(id);
            }
            lengths_add_up(index, record, &tree)
        }
    }
}

fn lengths_add_up(index: &Index, record: &Record, tree: &crate::Tree) -> Result<(), Error> {
    let wrong = tree.entries().iter().find(|entry| {
        let Node::File { size_bytes, chunks } = &entry.node else {
            return false;
        };
        let lengths = chunks.iter().filter_map(|id| index.place(id));
        lengths.map(|place| u64::from(place.raw_bytes)).sum::<u64>() != *size_bytes
    });
    match wrong {
        Some(entry) => Err(damaged(
            &record.name(),
            format!("the chunks of `{}` do not add up", entry.path.display()),
        )),
        None => Ok(()),
    }
}
