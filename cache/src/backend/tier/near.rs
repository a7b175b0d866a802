//! The near copies: bounded, evicted by what they would cost to fetch again per byte. Received from `Tiered`; nothing here is
//! ever an error for a build, since every copy can be fetched again, except what waits to be sent.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::ops::Range;
use std::sync::Mutex;

use bytes::Bytes;
use object_store::Result;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::super::Listed;
use super::super::lane::Lane;
use super::super::ticks::Ticks;
use super::super::worth::worth;
use super::pace::Pace;
use super::pending::Pending;
use super::{Full, held};

/// Eviction goes on down to this part of the bound, so that it is not needed for every object.
const DOWN_TO: (u64, u64) = (9, 10);

/// What each copy cost to fetch and when it was used. Lost or damaged, it is made anew from a listing.
const COSTS: &str = "fetch-costs";

/// A hundred bytes for each of some hundred thousand copies; more is not one of ours.
const COSTS_BYTES_MAX: u64 = 64 << 20;

/// The two ways to write near, and the right to.
#[derive(Debug)]
pub(crate) struct NearLanes {
    /// For copies: a crash may lose or tear them.
    pub(crate) quick: Lane,
    /// For what waits to be sent: written through to the disk.
    pub(crate) sure: Lane,
    /// Locked as long as the folder is used.
    pub(crate) _in_use: Option<File>,
}

/// The near copies.
#[derive(Debug)]
pub(super) struct Near {
    lanes: NearLanes,
    bytes_max: u64,
    ticks: Ticks,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    /// About what is there; never less than what this process put there. A listing says it exactly.
    total_bytes: u64,
    copies: HashMap<Path, Copy>,
    pace: Pace,
}

#[derive(Clone, Copy, Debug)]
struct Copy {
    /// Unknown for a copy that was here before this process and its sidecar.
    cost_ms: Option<u64>,
    /// When it was last used, on a scale where this process began at zero.
    used_ms: i64,
}

/// A line of the sidecar file.
#[derive(Debug, Serialize, Deserialize)]
struct Noted {
    name: String,
    cost_ms: Option<u64>,
    /// When the file was written. What passed since then passed for all alike, and need not be known.
    idle_ms: i64,
}

impl Near {
    pub(super) fn open(lanes: NearLanes, bytes_max: u64, ticks: Ticks) -> Result<Self> {
        let listed = copies(&lanes.quick)?;
        let known = Known {
            total_bytes: listed.iter().map(|object| object.size_bytes).sum(),
            copies: read_costs(&lanes.quick),
            pace: Pace::new(),
        };
        Ok(Self {
            lanes,
            bytes_max,
            ticks,
            known: Mutex::new(known),
        })
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.ticks.now_ms()
    }

    /// Learns what a fetch cost.
    pub(super) fn fetched(&self, size_bytes: u64, took_ms: u64) {
        held(&self.known).pace.learn(size_bytes, took_ms);
    }

    /// The copy, if there is one that can be read.
    pub(super) fn get(&self, name: &Path, bytes_max: u64) -> Option<Bytes> {
        let bytes = self.lanes.quick.get(name, bytes_max).ok()?;
        self.used(name);
        Some(bytes)
    }

    /// Parts of the copy, if they can be read whole. A copy that is too short is a torn one and dropped.
    pub(super) fn get_ranges(&self, name: &Path, ranges: &[Range<u64>]) -> Option<Vec<Bytes>> {
        let read = self.lanes.quick.get_ranges(name, ranges);
        match read {
            Ok(parts) if is_whole(ranges, &parts) => {
                self.used(name);
                Some(parts)
            }
            Ok(_) => None,
            Err(error) => {
                tracing::trace!(%name, %error, "not near");
                None
            }
        }
    }

    pub(super) fn size_bytes(&self, name: &Path) -> Option<u64> {
        self.lanes.quick.size_bytes(name).ok().flatten()
    }

    pub(super) fn list(&self, folder: &Path) -> Result<Vec<Listed>> {
        self.lanes.quick.list(folder)
    }

    /// Keeps a copy, if there is room to be made; failing to costs a later fetch.
    pub(super) fn keep(&self, name: &Path, bytes: &Bytes, pending: &Pending) {
        let size = bytes.len() as u64;
        if size > self.bytes_max {
            return;
        }
        if let Err(error) = self.lanes.quick.put(name, bytes.clone()) {
            tracing::debug!(%name, %error, "no near copy");
            return;
        }
        if self.added(name, size) > self.bytes_max
            && let Err(error) = self.evict(down_to(self.bytes_max), pending)
        {
            tracing::debug!(%error, "the near folder cannot be brought under its bound");
        }
    }

    /// Keeps a copy unless it is there already.
    pub(super) fn keep_changed(&self, name: &Path, bytes: &Bytes, pending: &Pending) {
        let size = bytes.len() as u64;
        if self.get(name, size).as_ref() != Some(bytes) {
            self.keep(name, bytes, pending);
        }
    }

    /// Keeps what waits to be sent, on the disk itself.
    pub(super) fn keep_surely(&self, name: &Path, bytes: &Bytes) -> Result<()> {
        self.lanes.sure.put(name, bytes.clone())?;
        self.added(name, bytes.len() as u64);
        Ok(())
    }

    /// Room for something that waits. What waits already cannot make room.
    pub(super) fn make_room(&self, size_bytes: u64, pending: &Pending) -> Result<()> {
        let wanted = held(&self.known).total_bytes.saturating_add(size_bytes);
        if wanted <= self.bytes_max {
            return Ok(());
        }
        let left = self.evict(self.bytes_max.saturating_sub(size_bytes), pending)?;
        if left.saturating_add(size_bytes) > self.bytes_max {
            return Err(Full.into());
        }
        Ok(())
    }

    pub(super) fn forget(&self, name: &Path) {
        if let Err(error) = self.lanes.quick.delete(name) {
            tracing::debug!(%name, %error, "a near copy stays");
        }
        held(&self.known).copies.remove(name);
    }

    /// Removes the copies that are least worth until at most `down_to` bytes are left; gives the bytes left.
    fn evict(&self, down_to: u64, pending: &Pending) -> Result<u64> {
        let listed = copies(&self.lanes.quick)?;
        let waiting: HashSet<Path> = pending.in_order()?.into_iter().collect();
        let mut total: u64 = listed.iter().map(|object| object.size_bytes).sum();
        for object in self.by_worth(listed) {
            if total <= down_to {
                break;
            }
            if !waiting.contains(&object.name) {
                self.forget(&object.name);
                total = total.saturating_sub(object.size_bytes);
            }
        }
        held(&self.known).total_bytes = total;
        self.save_costs();
        Ok(total)
    }

    /// The least worth first.
    fn by_worth(&self, listed: Vec<Listed>) -> Vec<Listed> {
        let now_ms = signed(self.now_ms());
        let known = held(&self.known);
        let mut valued: Vec<_> = listed
            .into_iter()
            .map(|object| {
                let copy = known.copies.get(&object.name).copied();
                let used_ms = copy.map_or(0, |copy| copy.used_ms);
                let idle_ms = u64::try_from(now_ms.saturating_sub(used_ms)).unwrap_or(0);
                let cost_ms = copy.and_then(|copy| copy.cost_ms);
                let cost_ms = cost_ms.unwrap_or_else(|| known.pace.cost_ms(object.size_bytes));
                (worth(cost_ms, object.size_bytes, idle_ms), object)
            })
            .collect();
        drop(known);
        valued.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.name.cmp(&y.name)));
        valued.into_iter().map(|(_, object)| object).collect()
    }

    /// Notes a copy; gives about what there is now.
    fn added(&self, name: &Path, size_bytes: u64) -> u64 {
        let used_ms = signed(self.now_ms());
        let mut known = held(&self.known);
        let cost_ms = Some(known.pace.cost_ms(size_bytes));
        let copy = Copy { cost_ms, used_ms };
        known.copies.insert(name.clone(), copy);
        known.total_bytes = known.total_bytes.saturating_add(size_bytes);
        known.total_bytes
    }

    fn used(&self, name: &Path) {
        let used_ms = signed(self.now_ms());
        let mut known = held(&self.known);
        let copy = known.copies.entry(name.clone());
        let cost_ms = None;
        copy.or_insert(Copy { cost_ms, used_ms }).used_ms = used_ms;
    }

    /// Writes the sidecar file.
    pub(super) fn save_costs(&self) {
        let now_ms = signed(self.now_ms());
        let noted: Vec<Noted> = held(&self.known)
            .copies
            .iter()
            .map(|(name, copy)| Noted {
                name: name.to_string(),
                cost_ms: copy.cost_ms,
                idle_ms: now_ms.saturating_sub(copy.used_ms),
            })
            .collect();
        let written = serde_json::to_vec(&noted)
            .map_err(super::super::answer::generic)
            .and_then(|bytes| self.lanes.quick.put(&Path::from(COSTS), Bytes::from(bytes)));
        if let Err(error) = written {
            tracing::debug!(%error, "what fetches cost is forgotten");
        }
    }
}

/// Every copy, of older layouts too: nobody else would ever remove those. Whatever else lies in the folder is not ours.
fn copies(lane: &Lane) -> Result<Vec<Listed>> {
    let mut listed = lane.list(&Path::default())?;
    listed.retain(|object| {
        object
            .name
            .parts()
            .next()
            .is_some_and(|part| is_layout(part.as_ref()))
    });
    Ok(listed)
}

fn is_layout(folder: &str) -> bool {
    let version = folder.strip_prefix('v').unwrap_or_default();
    !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit())
}

fn read_costs(lane: &Lane) -> HashMap<Path, Copy> {
    let bytes = lane.get(&Path::from(COSTS), COSTS_BYTES_MAX);
    let noted: Vec<Noted> = bytes
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let copies = noted.into_iter().filter_map(|noted| {
        let copy = Copy {
            cost_ms: noted.cost_ms,
            used_ms: noted.idle_ms.checked_neg()?,
        };
        Some((Path::parse(&noted.name).ok()?, copy))
    });
    copies.collect()
}

fn is_whole(ranges: &[Range<u64>], parts: &[Bytes]) -> bool {
    ranges.len() == parts.len()
        && ranges
            .iter()
            .zip(parts)
            .all(|(range, part)| part.len() as u64 == range.end.saturating_sub(range.start))
}

fn down_to(bytes_max: u64) -> u64 {
    let (part, of) = DOWN_TO;
    bytes_max / of * part
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
