//! Why a build waits, for a person. Made by [`crate::Scheduler::why`]; shown by `croft build explain`.

use serde::Serialize;

/// Why a build waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(
    tag = "reason",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Why {
    /// Nobody is there who would run it.
    NoWorker {
        /// The pool that has no workers.
        pool: String,
    },
    /// A limit on builds at once stands against it.
    Limit {
        /// Whose, or that of its group.
        project: String,
    },
    /// Others are before it, or no slot is free.
    Line {
        /// In which pool.
        pool: String,
        /// Workers there.
        workers: usize,
        /// Their free slots.
        slots_free: usize,
        /// Builds in the pool's line.
        waiting: usize,
        /// Those among them that were submitted before it. Priorities and fair shares let younger ones pass.
        older: usize,
    },
    /// It is offered to the pool's workers, and none has claimed it yet.
    Offered {
        /// Which pool.
        pool: String,
        /// Workers there.
        workers: usize,
        /// Their free slots; one that takes no builds, since its disk is full or its machine fails, has none.
        slots_free: usize,
    },
}

impl Why {
    /// Words for a metric's label: `no_worker`, `limit`, `line`, `offered`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NoWorker { .. } => "no_worker",
            Self::Limit { .. } => "limit",
            Self::Line { .. } => "line",
            Self::Offered { .. } => "offered",
        }
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoWorker { pool } => write!(
                f,
                "no worker is there for pool `{pool}`: start one with `croft worker --pool {pool}`"
            ),
            Self::Limit { project } => write!(
                f,
                "as many builds of project `{project}`, or of its group, run as its concurrentBuildLimit allows"
            ),
            Self::Line {
                pool,
                workers,
                slots_free,
                waiting,
                older,
            } => write!(
                f,
                "pool `{pool}` has {workers} workers with {slots_free} free slots; {waiting} builds wait, {older} of them for longer"
            ),
            Self::Offered {
                pool,
                workers,
                slots_free: 0,
            } => write!(
                f,
                "it is offered to the {workers} workers of pool `{pool}`, and none has a free slot: they are busy, or take no builds for \
                 a reason that their logs and `croft doctor` there say"
            ),
            Self::Offered { pool, .. } => {
                write!(f, "it is offered to the workers of pool `{pool}`")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_and_not_taken_says_where_the_reason_is() {
        let offered = |slots_free| Why::Offered {
            pool: "default".into(),
            workers: 2,
            slots_free,
        };
        assert_eq!(
            offered(1).to_string(),
            "it is offered to the workers of pool `default`"
        );
        assert!(offered(0).to_string().contains("`croft doctor`"));
    }
}
