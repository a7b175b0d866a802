//! What to do when a metric has no value: it depends on why. Takes what each look at a metric gave; hands [`Gap`]s to the
//! decision.
//!
//! There is no one switch for missing data: a service without visitors, a series that was renamed, a dead instance and a dead
//! Prometheus all give nothing, and mean different things.

use croft_proto::Timestamp;
use serde::{Deserialize, Serialize};

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The denominator is zero, and the scrapes are well: nobody asks anything of the canary.
    NoTraffic,
    /// The target is up, and the series is not there.
    NoSeries,
    /// The target is not up.
    TargetDown,
    /// The metrics' source does not answer, or with an error.
    SourceDown,
    /// The value is not a number, or infinite.
    NotANumber,
    /// The query gives several series. A mistake: the last one must never win in silence.
    ManySeries,
    /// The source does not take the query, or its samples are no counts. A mistake as well.
    Refused,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::NoTraffic,
        Self::NoSeries,
        Self::TargetDown,
        Self::SourceDown,
        Self::NotANumber,
        Self::ManySeries,
        Self::Refused,
    ];

    /// A word for a metric's label.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoTraffic => "no_traffic",
            Self::NoSeries => "no_series",
            Self::TargetDown => "target_down",
            Self::SourceDown => "source_down",
            Self::NotANumber => "nan",
            Self::ManySeries => "many_series",
            Self::Refused => "refused",
        }
    }
}

/// What a metric measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// One count divided by another: it is not a number when both are zero.
    Ratio,
    /// Anything else, which always has a value.
    Other,
}

/// What to do when waiting has taken too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnTimeout {
    /// Go on without the metric.
    Promote,
    /// Take the release back.
    Rollback,
    /// Wait for somebody to decide.
    Pause,
}

/// What to do about a metric's missing values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Policy {
    /// Whether the release fails without the series.
    pub required: bool,
    /// So many looks without the series are forgiven: it appears with the first request.
    pub grace_looks: u32,
    /// How long traffic is held for want of requests.
    pub max_hold_ms: u64,
    /// And then.
    pub on_timeout: OnTimeout,
    /// How long a source may be down.
    pub max_blind_ms: u64,
    /// And then: go on when set, else wait for somebody. AWS's name; the default is AWS's.
    pub ignore_poll_alarm_failure: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            required: false,
            grace_looks: 3,
            max_hold_ms: 10 * 60_000,
            on_timeout: OnTimeout::Promote,
            max_blind_ms: 10 * 60_000,
            ignore_poll_alarm_failure: false,
        }
    }
}

/// What follows for a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "gap")]
pub enum Gap {
    /// There is a value.
    None,
    /// There is none, and it does not matter.
    Ignored {
        /// Why there is none.
        cause: Cause,
    },
    /// No more traffic moves, and the bake is longer by as much. The release is not blamed.
    Hold {
        /// Why there is none.
        cause: Cause,
        /// Since when.
        since: Timestamp,
    },
    /// As `Hold`, until somebody says what to do.
    Ask {
        /// Why there is none.
        cause: Cause,
        /// Since when.
        since: Timestamp,
    },
    /// The instance is to be counted as one that fails its health checks.
    Unhealthy,
    /// The release has failed.
    Failed {
        /// Why there is none.
        cause: Cause,
        /// Since when.
        since: Timestamp,
    },
}

/// One metric's missing values over time.
#[derive(Clone, Debug)]
pub struct Missing {
    kind: Kind,
    policy: Policy,
    now: Option<Absent>,
}

#[derive(Clone, Copy, Debug)]
struct Absent {
    cause: Cause,
    since: Timestamp,
    looks: u32,
}

impl Missing {
    /// A metric that has missed nothing yet.
    #[must_use]
    pub fn new(kind: Kind, policy: Policy) -> Self {
        Self {
            kind,
            policy,
            now: None,
        }
    }

    /// Why it has no value now; none when it has one.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        self.now.map(|absent| absent.cause)
    }

    /// Takes a look at the metric: it had a value, or none for a reason.
    pub fn look(&mut self, at: Timestamp, missing: Option<Cause>) -> Gap {
        let Some(cause) = missing.map(|cause| self.meaning(cause)) else {
            self.now = None;
            return Gap::None;
        };
        let absent = match self.now {
            Some(absent) if absent.cause == cause => Absent {
                looks: absent.looks.saturating_add(1),
                ..absent
            },
            Some(_) | None => Absent {
                cause,
                since: at,
                looks: 1,
            },
        };
        self.now = Some(absent);
        self.judge(at, absent)
    }

    /// Zero divided by zero is no traffic.
    fn meaning(&self, cause: Cause) -> Cause {
        match (cause, self.kind) {
            (Cause::NotANumber, Kind::Ratio) => Cause::NoTraffic,
            (cause, Kind::Ratio | Kind::Other) => cause,
        }
    }

    fn judge(&self, at: Timestamp, absent: Absent) -> Gap {
        let Absent {
            cause,
            since,
            looks,
        } = absent;
        let waited_ms = at.millis_since(since);
        match cause {
            Cause::NoTraffic if waited_ms < self.policy.max_hold_ms => Gap::Hold { cause, since },
            Cause::NoTraffic => match self.policy.on_timeout {
                OnTimeout::Promote => Gap::Ignored { cause },
                OnTimeout::Rollback => Gap::Failed { cause, since },
                OnTimeout::Pause => Gap::Ask { cause, since },
            },
            Cause::NoSeries if !self.policy.required => Gap::Ignored { cause },
            Cause::NoSeries if looks <= self.policy.grace_looks => Gap::Hold { cause, since },
            Cause::NoSeries => Gap::Failed { cause, since },
            Cause::TargetDown => Gap::Unhealthy,
            Cause::SourceDown if waited_ms < self.policy.max_blind_ms => Gap::Hold { cause, since },
            Cause::SourceDown if self.policy.ignore_poll_alarm_failure => Gap::Ignored { cause },
            // A release is never taken back because its monitor died.
            Cause::SourceDown => Gap::Ask { cause, since },
            // A mistake in a query says nothing of the release.
            Cause::NotANumber | Cause::ManySeries | Cause::Refused => Gap::Ask { cause, since },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    /// Looks every ten seconds for so long; the last answer.
    fn after(missing: &mut Missing, cause: Cause, seconds: u64) -> Gap {
        let looks = (0..=seconds).step_by(10);
        looks.fold(Gap::None, |_, second| missing.look(at(second), Some(cause)))
    }

    fn metric(policy: Policy) -> Missing {
        Missing::new(Kind::Ratio, policy)
    }

    #[test]
    fn no_traffic_holds_and_then_does_as_it_is_told() {
        let (cause, since) = (Cause::NoTraffic, at(0));
        let then = |on_timeout| {
            let policy = Policy {
                on_timeout,
                ..Policy::default()
            };
            let mut missing = metric(policy);
            assert_eq!(after(&mut missing, cause, 590), Gap::Hold { cause, since });
            missing.look(at(600), Some(cause))
        };
        assert_eq!(then(OnTimeout::Promote), Gap::Ignored { cause });
        assert_eq!(then(OnTimeout::Rollback), Gap::Failed { cause, since });
        assert_eq!(then(OnTimeout::Pause), Gap::Ask { cause, since });
    }

    #[test]
    fn a_series_that_is_not_there_fails_only_what_requires_it_and_after_grace() {
        let (cause, since) = (Cause::NoSeries, at(0));
        let mut free = metric(Policy::default());
        assert_eq!(after(&mut free, cause, 600), Gap::Ignored { cause });
        let policy = Policy {
            required: true,
            ..Policy::default()
        };
        let mut required = metric(policy);
        assert_eq!(after(&mut required, cause, 20), Gap::Hold { cause, since });
        let fourth = required.look(at(30), Some(cause));
        assert_eq!(fourth, Gap::Failed { cause, since });
    }

    #[test]
    fn no_policy_lets_a_dead_source_take_a_release_back() {
        let cause = Cause::SourceDown;
        for on_timeout in [OnTimeout::Promote, OnTimeout::Rollback, OnTimeout::Pause] {
            for ignore_poll_alarm_failure in [true, false] {
                let policy = Policy {
                    required: true,
                    on_timeout,
                    ignore_poll_alarm_failure,
                    ..Policy::default()
                };
                let mut missing = metric(policy);
                let held = after(&mut missing, cause, 590);
                assert_eq!(
                    held,
                    Gap::Hold {
                        cause,
                        since: at(0)
                    }
                );
                let then = missing.look(at(600), Some(cause));
                let expected = if ignore_poll_alarm_failure {
                    Gap::Ignored { cause }
                } else {
                    Gap::Ask {
                        cause,
                        since: at(0),
                    }
                };
                assert_eq!(then, expected);
            }
        }
    }

    #[test]
    fn a_target_that_is_down_is_a_matter_of_its_health() {
        let gap = metric(Policy::default()).look(at(0), Some(Cause::TargetDown));
        assert_eq!(gap, Gap::Unhealthy);
    }

    #[test]
    fn not_a_number_is_no_traffic_for_a_ratio_and_a_mistake_elsewhere() {
        let (since, cause) = (at(0), Cause::NoTraffic);
        let mut ratio = metric(Policy::default());
        let gap = ratio.look(at(0), Some(Cause::NotANumber));
        assert_eq!(gap, Gap::Hold { cause, since });
        let cause = Cause::NotANumber;
        let mut other = Missing::new(Kind::Other, Policy::default());
        assert_eq!(other.look(at(0), Some(cause)), Gap::Ask { cause, since });
    }

    #[test]
    fn several_series_ask_somebody_and_blame_nobody() {
        let (cause, since) = (Cause::ManySeries, at(0));
        let mut missing = metric(Policy::default());
        assert_eq!(after(&mut missing, cause, 6000), Gap::Ask { cause, since });
    }

    #[test]
    fn a_value_or_another_cause_begins_the_waiting_anew() {
        let mut missing = metric(Policy::default());
        after(&mut missing, Cause::NoTraffic, 590);
        assert_eq!(missing.look(at(595), None), Gap::None);
        let gap = missing.look(at(600), Some(Cause::NoTraffic));
        let (cause, since) = (Cause::NoTraffic, at(600));
        assert_eq!(gap, Gap::Hold { cause, since });
        let gap = missing.look(at(610), Some(Cause::SourceDown));
        let (cause, since) = (Cause::SourceDown, at(610));
        assert_eq!(gap, Gap::Hold { cause, since });
    }
}
