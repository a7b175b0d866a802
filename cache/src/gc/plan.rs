//! Which entries go: decisions over records and times, without touching anything.

use std::collections::{HashMap, HashSet};

use croft_keys::ScopeName;
use croft_proto::Timestamp;
use object_store::path::Path;

use crate::Error;
use crate::backend::worth::worth;
use crate::id::Short;
use crate::records::name::Space;
use crate::records::record::Record;
use crate::records::removed::RemovalReason;

/// What may stay. None of its limits set lets every entry stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Entries not used for longer than this many milliseconds go.
    pub idle_ms_max: Option<u64>,
    /// Entries worth least per byte go until the rest fits into this many.
    pub bytes_max: Option<u64>,
    /// Of each project's builds, only so many entries stay, the last used. What other tools and people put is not counted:
    /// to them, one project is the whole cache.
    pub entries_max: Option<usize>,
    /// Folders made for mounting may take this many bytes.
    pub live_bytes_max: Option<u64>,
    /// Those somebody asked to remove.
    pub asked: Option<Selector>,
}

/// Which entries to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// Every entry.
    All,
    /// Every entry of a project.
    Project(String),
    /// One key of a project, whatever its paths; `None` is the entry without a key.
    Entry {
        /// Whose.
        project: String,
        /// Exactly.
        key: Option<String>,
    },
}

impl Selector {
    fn selects(&self, record: &Record) -> bool {
        match self {
            Self::All => true,
            Self::Project(project) => record.project == *project,
            Self::Entry { project, key } => record.project == *project && record.key == *key,
        }
    }
}

/// An entry that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// Whose it is.
    pub project: String,
    /// Its key; none for the entry without a key.
    pub key: Option<String>,
    /// Its scope.
    pub scope: String,
    /// Compressed bytes of what it uses, which others may use too.
    pub stored_bytes: u64,
    /// When it was last used.
    pub last_used: Timestamp,
    /// Why it goes.
    pub reason: RemovalReason,
    /// The same for people.
    pub explanation: String,
}

/// An entry to decide about.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) name: Path,
    pub(super) record: Record,
    pub(super) last_used: Timestamp,
    /// True when a key of this machine's keyring vouches for it.
    pub(super) is_believed: bool,
    /// True while a lease names its tree.
    pub(super) is_held: bool,
}

/// What was decided.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) kept: Vec<Candidate>,
    /// In the order of `departures`.
    pub(super) departing: Vec<(Path, Record)>,
    pub(super) departures: Vec<Departure>,
    /// Records that cannot be read.
    pub(super) broken: Vec<Path>,
}

impl Plan {
    fn depart(&mut self, candidate: Candidate, reason: RemovalReason, explanation: String) {
        self.departures.push(Departure {
            project: candidate.record.project.clone(),
            key: candidate.record.key.clone(),
            scope: candidate.record.scope.as_str().to_string(),
            stored_bytes: candidate.record.stored_bytes,
            last_used: candidate.last_used,
            reason,
            explanation,
        });
        self.departing.push((candidate.name, candidate.record));
    }
}

/// A chunk, and its bytes in the store.
pub(super) type Sized = (Short, u64);

/// Decides. `chunks_of` says what an entry needs; it is asked only when bytes are limited.
pub(super) fn decide(
    policy: &Policy,
    mut candidates: Vec<Candidate>,
    broken: Vec<Path>,
    now: Timestamp,
    chunks_of: impl Fn(&Record) -> Result<Vec<Sized>, Error>,
) -> Result<Plan, Error> {
    let mut plan = Plan {
        broken,
        ..Plan::default()
    };
    // The last used first.
    candidates.sort_by(|a, b| (b.last_used, &b.name).cmp(&(a.last_used, &a.name)));
    // Strangers' entries among themselves: else they could take the places of those that are believed.
    let mut counts: HashMap<(ScopeName, String, bool), usize> = HashMap::new();
    let mut staying = Vec::new();
    for candidate in candidates {
        let record = &candidate.record;
        let is_build = record.space == Space::BUILD;
        let place = (
            record.scope.clone(),
            record.project.clone(),
            candidate.is_believed,
        );
        let idle_ms = now.millis().saturating_sub(candidate.last_used.millis());
        if policy
            .asked
            .as_ref()
            .is_some_and(|asked| asked.selects(record))
        {
            plan.depart(candidate, RemovalReason::Asked, "it was asked for".into());
        } else if candidate.is_held {
            // Its chunks stay anyway, and whoever holds it may have yet to look it up.
            staying.push(candidate);
        } else if policy.idle_ms_max.is_some_and(|limit| idle_ms > limit) {
            let words = format!("not used for {}", span(idle_ms));
            plan.depart(candidate, RemovalReason::Age, words);
        } else if policy
            .entries_max
            .is_some_and(|limit| is_build && counts.get(&place).copied().unwrap_or(0) >= limit)
        {
            let kept = counts.get(&place).copied().unwrap_or(0);
            let words = format!("{kept} of its project were used since");
            plan.depart(candidate, RemovalReason::Count, words);
        } else {
            if is_build {
                *counts.entry(place).or_default() += 1;
            }
            staying.push(candidate);
        }
    }
    match policy.bytes_max {
        Some(bytes_max) => fit(&mut plan, staying, bytes_max, now, chunks_of)?,
        None => plan.kept = staying,
    }
    Ok(plan)
}

/// The longest a build can take: what an entry says beyond that was not measured.
const COST_MS_MAX: u64 = 36 * 3_600 * 1_000;

/// Bytes of a record, about.
const RECORD_BYTES: u64 = 1024;

/// Keeps what is worth most per byte, as much as fits; chunks that two entries share count once.
///
/// What an entry says of its cost ranks it only beneath those that this machine believes: else whoever can put objects into
/// the store could push everybody's entries out of it. How much room it takes is counted, not believed.
fn fit(
    plan: &mut Plan,
    mut staying: Vec<Candidate>,
    bytes_max: u64,
    now: Timestamp,
    chunks_of: impl Fn(&Record) -> Result<Vec<Sized>, Error>,
) -> Result<(), Error> {
    staying.sort_by_key(|candidate| {
        let record = &candidate.record;
        let idle_ms = now.millis().saturating_sub(candidate.last_used.millis());
        let worth = worth(
            record.cost_ms.min(COST_MS_MAX),
            record.stored_bytes,
            idle_ms,
        );
        std::cmp::Reverse((candidate.is_held, candidate.is_believed, worth))
    });
    let mut there: HashSet<Short> = HashSet::new();
    let mut room_bytes = bytes_max;
    for candidate in staying {
        let chunks = match chunks_of(&candidate.record) {
            Ok(chunks) => chunks,
            Err(error) if error.is_damage() => {
                plan.depart(candidate, RemovalReason::Damage, error.to_string());
                continue;
            }
            Err(error) => return Err(error),
        };
        let new: HashMap<Short, u64> = chunks
            .into_iter()
            .filter(|(short, _)| !there.contains(short))
            .collect();
        // Of chunks that nobody who stays has, and about a record.
        let needed = new.values().sum::<u64>() + RECORD_BYTES;
        if needed <= room_bytes || candidate.is_held {
            room_bytes = room_bytes.saturating_sub(needed);
            there.extend(new.into_keys());
            plan.kept.push(candidate);
        } else {
            let words = reason_of_size(&candidate, now);
            plan.depart(candidate, RemovalReason::Size, words);
        }
    }
    Ok(())
}

fn reason_of_size(candidate: &Candidate, now: Timestamp) -> String {
    let record = &candidate.record;
    let idle_ms = now.millis().saturating_sub(candidate.last_used.millis());
    let mib = record.stored_bytes.max(1).div_ceil(1 << 20);
    format!(
        "no room, and worth less than what stays: took {} to make, {mib} MiB stored, not used for {}",
        span(record.cost_ms),
        span(idle_ms)
    )
}

/// A time span in the largest unit that fits.
fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86400),
    }
}
