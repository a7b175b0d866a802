//! Packs that are about to go, and whom to wait for. Written by one collection, carried out by a later one, read by every
//! save before it counts on what is stored.
//!
//! **Shape.** `v2/condemned/<32 random hexadecimal digits>`: the BLAKE3 hash of the rest, a newline, and JSON, which names its
//! format. It is written twice: first the packs, then also the saves that were running afterwards. One without those is *unsealed*: its collection
//! died in between, and the next one seals it.

use std::collections::HashSet;

use croft_proto::Timestamp;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::is_save;
use crate::backend::Objects;
use crate::layout::folder;
use crate::records::SKEW_MS;
use crate::records::lease::{Leases, live_leases};
use crate::{Error, Id};

/// How long condemned packs stay at least: ten minutes for clocks that differ, ten for listings that are late, ten for a
/// record that was being written meanwhile.
pub(super) const GRACE_MS: u64 = 30 * 60 * 1000;

/// Looks until condemnations stand still. Each is renewed by one collection in half an hour at most.
const LOOKS_MAX: usize = 100;

/// Bytes of one: 400,000 packs.
const BYTES_MAX: u64 = 32 << 20;

/// The format of this version.
const FORMAT: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body {
    /// Absent in those that were written before it had a name.
    #[serde(default = "first_format")]
    croft_condemned: u32,
    at: Timestamp,
    packs: Vec<String>,
    /// Saves that may not have seen this; none while it is unsealed.
    waits_for: Option<Vec<String>>,
}

const fn first_format() -> u32 {
    FORMAT
}

/// A condemnation.
#[derive(Debug)]
pub(super) struct Condemned {
    pub(super) name: Path,
    pub(super) packs: HashSet<Path>,
    at: Timestamp,
    waits_for: Option<HashSet<Path>>,
}

impl Condemned {
    /// What a person should look at: one dated further in the future than clocks may differ is not over for long.
    pub(super) fn warning(&self, now: Timestamp) -> Option<String> {
        let is_ahead = self.at.millis() > now.millis().saturating_add(SKEW_MS);
        is_ahead.then(|| {
            format!(
                "{} is dated in the future, and what it removes goes no sooner: is a machine's clock wrong? If no build runs, delete it",
                self.name
            )
        })
    }

    /// True when nobody can count on the packs any more who has not named them in a record.
    pub(super) fn is_over(&self, now: Timestamp, leases: &Leases) -> bool {
        let Some(waits_for) = &self.waits_for else {
            return false;
        };
        let is_late = self.at.millis().saturating_add(GRACE_MS) <= now.millis();
        let running = leases
            .live
            .iter()
            .any(|lease| waits_for.contains(&lease.name));
        is_late && !running
    }
}

/// Every pack that is condemned.
pub(crate) fn condemned_packs(objects: &Objects) -> Result<HashSet<Path>, Error> {
    Ok(packs_of(&read_all(objects)?.condemned))
}

pub(super) fn packs_of(condemned: &[Condemned]) -> HashSet<Path> {
    condemned
        .iter()
        .flat_map(|one| one.packs.iter().cloned())
        .collect()
}

/// What there is at one moment.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) condemned: Vec<Condemned>,
    /// Objects that count for nothing: their collections removed nothing by them, and nobody can. A collection may remove
    /// them; whoever only reads changes nothing.
    pub(super) torn: Vec<Path>,
}

/// Every condemnation there is at one moment.
pub(super) fn read_all(objects: &Objects) -> Result<Read, Error> {
    let mut looks = 0;
    loop {
        looks += 1;
        match read_listed(objects) {
            // One that went since it was listed may have been written anew, under another name.
            Err(Error::Missing { .. }) if looks < LOOKS_MAX => {}
            read => return read,
        }
    }
}

fn read_listed(objects: &Objects) -> Result<Read, Error> {
    let mut read = Read::default();
    for listed in objects.list(&folder("condemned"))? {
        let one = match objects.get(&listed.name, BYTES_MAX) {
            Ok(bytes) => parse(&listed.name, &bytes)?,
            // Larger than any there is, or otherwise not what was written.
            Err(Error::Damaged { .. }) => None,
            Err(error) => return Err(error),
        };
        match one {
            Some(one) => read.condemned.push(one),
            None => read.torn.push(listed.name),
        }
    }
    Ok(read)
}

/// What is asked of one first: a later format has fields that are unknown here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default = "first_format")]
    croft_condemned: u32,
}

/// The JSON, when it is as it was written.
fn sealed_part(bytes: &[u8]) -> Option<&[u8]> {
    let (hash, rest) = bytes.split_at_checked(64)?;
    let json = rest.strip_prefix(b"\n")?;
    (Id::parse(str::from_utf8(hash).ok()?)? == Id::of(json)).then_some(json)
}

/// None when it is torn, or nothing that any croft writes: anybody can seal what they like.
///
/// # Errors
/// [`Error::NotUnderstood`] for one that is whole and of a later format: nobody here can tell which packs it means.
fn parse(name: &Path, bytes: &[u8]) -> Result<Option<Condemned>, Error> {
    let Some(json) = sealed_part(bytes) else {
        return Ok(None);
    };
    let Ok(head) = serde_json::from_slice::<Head>(json) else {
        return Ok(None);
    };
    if head.croft_condemned != FORMAT {
        return Err(Error::NotUnderstood {
            object: name.to_string(),
            format: head.croft_condemned.to_string(),
        });
    }
    let Ok(body) = serde_json::from_slice::<Body>(json) else {
        return Ok(None);
    };
    let paths = |names: Vec<String>| names.into_iter().map(Path::from).collect();
    Ok(Some(Condemned {
        name: name.clone(),
        packs: paths(body.packs),
        at: body.at,
        waits_for: body.waits_for.map(paths),
    }))
}

/// Says that those packs are about to go.
pub(super) fn condemn(objects: &Objects, packs: Vec<Path>, now: Timestamp) -> Result<(), Error> {
    let unique: String = crate::intake::salt()?
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let one = Condemned {
        name: folder("condemned").join(unique),
        packs: packs.into_iter().collect(),
        at: now,
        waits_for: None,
    };
    write(objects, &one, None)?;
    seal(objects, &one, now)
}

/// A condemnation whose collection died before it had noted whom to wait for gets that now.
pub(super) fn make_sure_it_is_sealed(objects: &Objects, one: &Condemned) -> Result<(), Error> {
    if one.waits_for.is_some() {
        return Ok(());
    }
    seal(objects, one, one.at)
}

fn seal(objects: &Objects, one: &Condemned, now: Timestamp) -> Result<(), Error> {
    let leases = live_leases(objects, now)?;
    let saves = leases
        .live
        .iter()
        .filter(|lease| lease.terms.as_ref().is_none_or(|terms| is_save(terms.kind)));
    let waits_for = saves.map(|lease| lease.name.to_string()).collect();
    write(objects, one, Some(waits_for))
}

fn write(objects: &Objects, one: &Condemned, waits_for: Option<Vec<String>>) -> Result<(), Error> {
    let mut packs: Vec<String> = one.packs.iter().map(ToString::to_string).collect();
    packs.sort();
    let body = Body {
        croft_condemned: FORMAT,
        at: one.at,
        packs,
        waits_for,
    };
    let json = serde_json::to_vec(&body).map_err(|error| Error::Name(error.to_string()))?;
    let bytes = [Id::of(&json).to_string().as_bytes(), b"\n", &json].concat();
    objects.put(&one.name, bytes)
}
