//! Taking away what nobody needs, beside writers and readers, without any lock between machines. Received from saves that
//! filled the store, and from people; leaves every entry that stays whole.
//!
//! A collection goes in this order, and why it is safe hangs on it:
//! 1. read what is condemned, then list leases, then read all records: whatever a finished save has named is seen;
//! 2. decide which entries go (none whose tree a lease names, unless somebody asks), delete their records;
//! 3. mark every chunk that the other records, and the leases of running builds, lead to;
//! 4. remove packs that an earlier collection condemned, if its grace is over, no save that might not have known of it is
//!    still running, and nothing marked is in them alone;
//! 5. write what is condemned now, *then* list leases again and note them: those saves may not have seen it.
//!
//! A save in turn writes its lease before it reads what is condemned ([`crate::writing`]). Where this process can hold a
//! whole folder for itself (nobody else saves or reads), packs go at once instead.

/// Packs that are about to go.
mod condemned;
/// What is reachable.
mod mark;
/// Which entries go.
mod plan;
/// Copying what is used out of packs that mostly are not.
mod rewrite;

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use croft_proto::Timestamp;
use object_store::path::Path;

use crate::backend::{Listed, Objects};
use crate::id::Short;
use crate::index::Index;
use crate::layout::folder;
use crate::lock::{Held, STEPS_EXCLUSIVE};
use crate::records::lease::{LeaseKind, Leases, live_leases};
use crate::records::record::Record;
use crate::records::removed::{Removal, Removed};
use crate::records::sealed::{self, CONTENT_RECORD_BYTES_MAX, open_to_keep};
use crate::{Error, Store};
pub(crate) use condemned::condemned_packs;
use mark::{Marked, mark};
use plan::{Candidate, Plan, decide};
pub use plan::{Departure, Policy, Selector};

/// Names whose newest record is remembered: more than a machine uses in a month.
const SEEN_MAX: usize = 20_000;

/// What a collection did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Entries that go, and why each.
    pub departures: Vec<Departure>,
    /// Bytes freed now.
    pub freed_bytes: u64,
    /// Bytes of packs that nothing uses but that a running save may: freed by a later collection, half an hour from now at
    /// the earliest.
    pub condemned_bytes: u64,
    /// Bytes of all objects that are left.
    pub stored_bytes: u64,
    /// Bytes of folders made for mounting that went.
    pub unmounted_bytes: u64,
    /// What a person should look at, a sentence each: leases that are strange, and stand in the way. May be empty.
    pub warnings: Vec<String>,
}

/// What a prune or removal took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Entries removed, including damaged ones.
    pub entries: u64,
    /// Bytes freed.
    pub freed_bytes: u64,
    /// Bytes of all objects that are left.
    pub stored_bytes: u64,
}

/// Whether to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Remove.
    Act,
    /// Only say what would be removed.
    DryRun,
}

impl Store {
    /// Removes what the policy lets go and what nobody uses any more.
    ///
    /// # Errors
    /// When the store cannot be read or changed. What was removed by then stays removed; nothing that is needed is.
    pub fn collect(&self, policy: &Policy, mode: Mode, now: Timestamp) -> Result<Collected, Error> {
        let held = self.alone(0);
        let mut collected = collect(&self.strictly(), held.as_ref(), policy, mode, now)?;
        if mode == Mode::Act {
            self.seen().map(|seen| seen.trim(SEEN_MAX));
            collected.unmounted_bytes = self.trim_live(policy.live_bytes_max.unwrap_or(u64::MAX));
        }
        Ok(collected)
    }

    /// Brings the store down to `cap_bytes`: the entries worth least per byte go first, then what nobody uses.
    ///
    /// # Errors
    /// As [`Store::collect`].
    pub fn prune(&self, cap_bytes: u64, now: Timestamp) -> Result<Pruned, Error> {
        let policy = Policy {
            bytes_max: Some(cap_bytes),
            live_bytes_max: Some(cap_bytes),
            ..Policy::default()
        };
        let pruned = self.collect(&policy, Mode::Act, now).map(Pruned::from)?;
        self.evicted.fetch_add(pruned.entries, Ordering::Relaxed);
        Ok(pruned)
    }

    /// Removes entries and everything that only they used. Waits a while for others to leave a local folder, so that the
    /// room is there at once.
    ///
    /// # Errors
    /// As [`Store::collect`].
    pub fn remove(&self, selector: &Selector, now: Timestamp) -> Result<Pruned, Error> {
        let policy = Policy {
            asked: Some(selector.clone()),
            ..Policy::default()
        };
        let held = self.alone(STEPS_EXCLUSIVE / 10);
        let collected = collect(&self.strictly(), held.as_ref(), &policy, Mode::Act, now)?;
        if *selector == Selector::All {
            self.trim_live(0);
        }
        Ok(collected.into())
    }

    /// The folder for this process alone, when the store is one of this machine and nobody else is in it.
    fn alone(&self, steps: u32) -> Option<Held<'_>> {
        self.is_folder()
            .then(|| self.lock.exclusive(steps).ok())
            .flatten()
    }
}

impl From<Collected> for Pruned {
    fn from(collected: Collected) -> Self {
        Self {
            entries: collected.departures.len() as u64,
            freed_bytes: collected.freed_bytes,
            stored_bytes: collected.stored_bytes,
        }
    }
}

fn collect(
    store: &Store,
    alone: Option<&Held<'_>>,
    policy: &Policy,
    mode: Mode,
    now: Timestamp,
) -> Result<Collected, Error> {
    let objects = &store.objects;
    if alone.is_some() && mode == Mode::Act {
        store.sweep_staged();
    }
    let before = store.stored_bytes()?;
    // In this order: a save that a condemnation waits for has a lease by then, so one whose lease is not listed has ended,
    // and what it named is among the records.
    let condemned::Read { condemned, torn } = condemned::read_all(objects)?;
    let leases = live_leases(objects, now)?;
    let (candidates, broken) = read_candidates(store, &leases)?;
    let doomed = condemned::packs_of(&condemned);
    let index = Index::load(objects, store.near_path(), |pack| doomed.contains(pack))?;
    let plan = decide(policy, candidates, broken, now, |record| {
        let chunks = mark::chunks_of(objects, &index, &record.outcome)?;
        let sized = |short: Short| (short, index.stored_bytes(&short).unwrap_or(0));
        Ok(chunks.into_iter().map(sized).collect())
    })?;
    let mut collected = Collected {
        departures: plan.departures.clone(),
        stored_bytes: before,
        warnings: leases.warnings(),
        ..Collected::default()
    };
    let ahead = condemned.iter().filter_map(|one| one.warning(now));
    collected.warnings.extend(ahead);
    for warning in &collected.warnings {
        tracing::warn!("{warning}");
    }
    if mode == Mode::DryRun {
        let marked = mark(objects, &index, &plan.kept, &leases)?;
        collected.condemned_bytes = unused_bytes(&index, &marked);
        return Ok(collected);
    }
    for torn in &torn {
        objects.delete(torn)?;
    }
    remove_records(store, &plan, now)?;
    let marked = mark(objects, &index, &plan.kept, &leases)?;
    if marked.is_complete() {
        let sweep = Sweep {
            store,
            index: &index,
            marked: &marked,
            condemned: &doomed,
            is_alone: alone.is_some(),
            bytes_max: policy.bytes_max,
            now,
        };
        sweep.earlier(&condemned, &leases)?;
        collected.condemned_bytes = sweep.now()?;
    }
    remove_ended(objects, &leases, &plan)?;
    collected.stored_bytes = store.stored_bytes()?;
    collected.freed_bytes = before.saturating_sub(collected.stored_bytes);
    Ok(collected)
}

/// Every record that is whole, whoever signed it, and the names of those that are not.
fn read_candidates(store: &Store, leases: &Leases) -> Result<(Vec<Candidate>, Vec<Path>), Error> {
    let objects = &store.objects;
    let held = leases.trees();
    let used: HashSet<Path> = objects
        .list(&folder("used"))?
        .into_iter()
        .map(|listed| listed.name)
        .collect();
    let (mut candidates, mut broken) = (Vec::new(), Vec::new());
    for listed in objects.list(&folder("entries"))? {
        let bytes = match objects.get(&listed.name, CONTENT_RECORD_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(Error::Missing { .. }) => continue,
            Err(error) if error.is_damage() => {
                broken.push(listed.name);
                continue;
            }
            Err(error) => return Err(error),
        };
        match open_to_keep(&listed.name, &bytes) {
            Ok(record) => candidates.push(Candidate {
                last_used: last_used(objects, &used, &listed.name, &record),
                is_held: record
                    .outcome
                    .tree()
                    .is_some_and(|tree| held.contains(tree)),
                is_believed: sealed::open(&listed.name, &bytes, &store.trust.keyring).is_ok(),
                name: listed.name,
                record,
            }),
            Err(error) if error.is_damage() => broken.push(listed.name),
            // Anybody can seal what is no record. It answers nobody, so it keeps nothing; the object itself is let be.
            Err(error @ Error::Untrusted { .. }) => {
                tracing::warn!(%error, "what is no entry keeps nothing alive");
            }
            // A later format: nobody here can tell what it needs, so nothing may go.
            Err(error) => return Err(error),
        }
    }
    Ok((candidates, broken))
}

/// Where the time of an entry's last use is noted.
pub(crate) fn used_name(entry: &Path) -> Path {
    folder("used")
        .parts()
        .chain(entry.parts().skip(2))
        .collect()
}

fn last_used(objects: &Objects, noted: &HashSet<Path>, entry: &Path, record: &Record) -> Timestamp {
    let name = used_name(entry);
    if !noted.contains(&name) {
        return record.created;
    }
    let text = objects.get(&name, 32).ok();
    let millis = text.and_then(|bytes| str::from_utf8(&bytes).ok()?.parse().ok());
    millis.map_or(record.created, |millis| {
        record.created.max(Timestamp::from_millis(millis))
    })
}

/// Deletes the records that go, and remembers why.
fn remove_records(store: &Store, plan: &Plan, now: Timestamp) -> Result<(), Error> {
    for name in plan
        .departing
        .iter()
        .map(|(name, _)| name)
        .chain(&plan.broken)
    {
        store.objects.delete(name)?;
        store.objects.delete(&used_name(name))?;
    }
    let removals: Vec<Removal> = plan
        .departing
        .iter()
        .zip(&plan.departures)
        .map(|((_, record), departure)| Removal::of(record, now, departure.reason))
        .collect();
    if let Some(near) = store.near_path()
        && let Err(error) = Removed::in_folder(near).append(&removals)
    {
        tracing::debug!(%error, "what was removed is not noted");
    }
    Ok(())
}

/// Leases that are over, and times of use of entries that are gone.
fn remove_ended(objects: &Objects, leases: &Leases, plan: &Plan) -> Result<(), Error> {
    for lease in &leases.ended {
        objects.delete(lease)?;
    }
    let kept: HashSet<Path> = plan
        .kept
        .iter()
        .map(|candidate| used_name(&candidate.name))
        .collect();
    let gone: HashSet<Path> = plan
        .departing
        .iter()
        .map(|(name, _)| used_name(name))
        .collect();
    for used in objects.list(&folder("used"))? {
        // A note of an entry that came while this ran stays.
        if !kept.contains(&used.name) && gone.contains(&used.name) {
            objects.delete(&used.name)?;
        }
    }
    Ok(())
}

fn unused_bytes(index: &Index, marked: &Marked) -> u64 {
    let unused = index
        .packs()
        .iter()
        .enumerate()
        .filter(|(number, _)| marked.used_bytes(*number) == 0);
    unused.map(|(_, pack)| pack.listed.size_bytes).sum()
}

/// Packs that go.
struct Sweep<'a> {
    store: &'a Store,
    index: &'a Index,
    marked: &'a Marked,
    /// Packs that earlier collections condemned.
    condemned: &'a HashSet<Path>,
    is_alone: bool,
    bytes_max: Option<u64>,
    now: Timestamp,
}

impl Sweep<'_> {
    /// Removes what earlier collections condemned, as far as that is safe by now.
    fn earlier(&self, condemned: &[condemned::Condemned], leases: &Leases) -> Result<(), Error> {
        for one in condemned {
            if !self.is_alone && !one.is_over(self.now, leases) {
                condemned::make_sure_it_is_sealed(&self.store.objects, one)?;
                continue;
            }
            let used = self.sweep(one)?;
            if !self.is_alone {
                self.renew(&used)?;
            }
            self.store.objects.delete(&one.name)?;
        }
        Ok(())
    }

    /// Copies what is used in condemned packs, and condemns those anew: whoever reads from them now has half an hour more.
    fn renew(&self, packs: &[usize]) -> Result<(), Error> {
        if packs.is_empty() {
            return Ok(());
        }
        rewrite::rewrite(&self.store.objects, self.index, self.marked, packs)?;
        let names = packs
            .iter()
            .map(|number| self.index.pack(rewrite::short(*number)).name.clone());
        condemned::condemn(&self.store.objects, names.collect(), self.now)
    }

    /// Removes the packs of a condemnation that nothing uses; which are left, because what is used is in them alone.
    ///
    /// Those stay condemned all the same, and go a while after what is used has been copied. Were they pardoned, a save could count
    /// on them again, while another collection that read the condemnation before is about to remove them.
    fn sweep(&self, one: &condemned::Condemned) -> Result<Vec<usize>, Error> {
        let mut used = Vec::new();
        for (number, pack) in self.index.packs().iter().enumerate() {
            if !one.packs.contains(&pack.listed.name) {
                continue;
            }
            if self.marked.used_bytes(number) == 0 {
                self.store.objects.delete(&pack.listed.name)?;
            } else {
                used.push(number);
            }
        }
        for name in self.broken().filter(|name| one.packs.contains(name)) {
            self.store.objects.delete(&name)?;
        }
        Ok(used)
    }

    /// Packs whose index cannot be read: nothing in them is of use to anybody.
    fn broken(&self) -> impl Iterator<Item = Path> {
        self.index.broken().iter().filter_map(|error| {
            let Error::Damaged { object, .. } = error else {
                return None;
            };
            Some(Path::from(object.as_str()))
        })
    }

    /// Removes or condemns what nothing uses; the bytes condemned.
    fn now(&self) -> Result<u64, Error> {
        let packs: Vec<(usize, &Listed)> = self
            .index
            .packs()
            .iter()
            .enumerate()
            .filter(|(_, pack)| self.is_alone || !pack.condemned)
            .map(|(number, pack)| (number, &pack.listed))
            .collect();
        let chosen = rewrite::choose(&packs, self.marked, self.bytes_max);
        rewrite::rewrite(
            &self.store.objects,
            self.index,
            self.marked,
            &chosen.rewrite,
        )?;
        let going: Vec<&Listed> = chosen
            .remove
            .iter()
            .chain(&chosen.rewrite)
            .map(|number| self.index.pack(rewrite::short(*number)))
            .collect();
        let mut names: Vec<Path> = going.iter().map(|pack| pack.name.clone()).collect();
        names.extend(self.broken().filter(|name| !self.condemned.contains(name)));
        if names.is_empty() {
            return Ok(0);
        }
        if self.is_alone {
            for name in &names {
                self.store.objects.delete(name)?;
            }
            return Ok(0);
        }
        condemned::condemn(&self.store.objects, names, self.now)?;
        Ok(going.iter().map(|pack| pack.size_bytes).sum())
    }
}

/// A lease that stands in the way of removing what was condemned before it could know.
fn is_save(kind: LeaseKind) -> bool {
    kind == LeaseKind::Save
}
