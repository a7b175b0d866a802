//! What of the decisions' state is counted: how much there is of everything, and what has just happened. Taken by whoever runs a
//! server, for its metrics and its log; nothing follows from it.

use std::collections::BTreeMap;

use croft_proto::farm::{BuildId, LossReason, SettledBy};
use croft_proto::{Status, Timestamp};

use super::{Now, Scheduler};
use crate::farm::{Change, Stage};

/// Something that has happened since this server knows the truth. What happened before it was there is nobody's news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// A worker has claimed a build.
    Claimed {
        build: BuildId,
        project: u32,
        pool: u32,
        attempt: u32,
        worker: String,
        /// From submission, or from the loss of the attempt before.
        waited_ms: u64,
        /// From its hint; none when that was another server's.
        offered_ms: Option<u64>,
    },
    /// An attempt was lost.
    Lost { build: BuildId, reason: LossReason },
    /// A build is over.
    Ended {
        build: BuildId,
        project: u32,
        status: Status,
        by: SettledBy,
    },
    /// A hint that nobody had claimed went out again.
    OfferedAgain,
}

/// How much there is of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Measured {
    /// Of each pool.
    pub(crate) pools: BTreeMap<u32, PoolMeasured>,
    /// Running builds of each project that has some.
    pub(crate) running: BTreeMap<u32, u64>,
}

/// A pool's builds that wait, by what they wait for. The words are those of [`crate::Why`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PoolMeasured {
    pub(crate) no_worker: u64,
    pub(crate) limit: u64,
    pub(crate) line: u64,
    pub(crate) offered: u64,
    /// How long the one has waited that has waited longest.
    pub(crate) oldest_ms: u64,
}

impl Scheduler {
    /// How much there is of everything. Takes time for every unfinished build.
    pub(crate) fn measure(&self, now: Timestamp) -> Measured {
        let mut measured = Measured::default();
        for number in self.pools.keys() {
            measured.pools.insert(*number, PoolMeasured::default());
        }
        for (id, build) in self.farm.unfinished() {
            match build.stage {
                Stage::Running { .. } => *measured.running.entry(build.project).or_default() += 1,
                Stage::Waiting => {
                    let pool = self.pools.get(&build.pool);
                    let of = measured.pools.entry(build.pool).or_default();
                    let waited_ms = now.millis_since(build.waits_since);
                    of.oldest_ms = of.oldest_ms.max(waited_ms);
                    let is_out = pool.is_some_and(|pool| pool.is_out(id));
                    let is_open = self.counted.contains(&id) || self.gates.is_open(build.project);
                    match (pool.map_or(0, super::Pool::workers), is_out) {
                        (0, _) => of.no_worker += 1,
                        (_, true) => of.offered += 1,
                        (_, false) if !is_open => of.limit += 1,
                        (_, false) => of.line += 1,
                    }
                }
            }
        }
        measured
    }

    /// What of a change is news. Asked after the fold, and before the pools know.
    pub(super) fn noted(&self, change: &Change, at: Timestamp, now: Now) -> Option<Noted> {
        match change {
            Change::Nothing | Change::Stopping | Change::Rules(_) | Change::Waits(_) => None,
            Change::Lost(build, reason) => Some(Noted::Lost {
                build: *build,
                reason: reason.clone(),
            }),
            Change::Claimed(id, worker) => {
                let build = self.farm.build(*id)?;
                let pool = self.pools.get(&build.pool);
                let out = pool.and_then(|pool| pool.out_since(*id));
                Some(Noted::Claimed {
                    build: *id,
                    project: build.project,
                    pool: build.pool,
                    attempt: build.attempts,
                    worker: worker.clone(),
                    waited_ms: at.millis_since(build.waits_since),
                    offered_ms: out.map(|out| now.steady_ms.saturating_sub(out)),
                })
            }
            Change::Ended(build, was, status, by) => Some(Noted::Ended {
                build: *build,
                project: was.project,
                status: *status,
                by: *by,
            }),
        }
    }
}
