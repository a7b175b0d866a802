//! One decision out of what all detectors say. Takes findings; hands the engine one of three words: go on, hold, or take it back.
//!
//! Detectors know nothing of each other, and none of them can overrule another: whoever has enough against a release takes it back,
//! and whoever suspects it holds its traffic.

use croft_proto::Timestamp;
use serde::{Deserialize, Serialize};

use super::evidence::{Evidence, Trigger};
use super::missing::{Cause, Gap};

/// Why no more traffic moves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "why")]
pub enum Why {
    /// The sequential test has a suspicion.
    Suspicion {
        /// Of which metric.
        metric: String,
        /// What a stake of 1 has become.
        wealth: f64,
        /// What it must become for a conviction.
        decides_at: f64,
    },
    /// A metric has no value.
    Missing {
        /// Which metric.
        metric: String,
        /// For what reason.
        cause: Cause,
        /// Since when.
        since: Timestamp,
    },
    /// The same, and it waits for somebody to say what to do.
    Ask {
        /// Which metric.
        metric: String,
        /// For what reason.
        cause: Cause,
        /// Since when.
        since: Timestamp,
    },
}

impl Why {
    /// A word for a metric's label.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Suspicion { .. } => "suspicion",
            Self::Missing { cause, .. } | Self::Ask { cause, .. } => cause.word(),
        }
    }

    /// Whether it waits for a person, and not for time.
    #[must_use]
    pub const fn asks(&self) -> bool {
        match self {
            Self::Ask { .. } => true,
            Self::Suspicion { .. } | Self::Missing { .. } => false,
        }
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Suspicion {
                metric,
                wealth,
                decides_at,
            } => write!(
                f,
                "`{metric}` looks worse than before: evidence {wealth:.0} of {decides_at:.0}"
            ),
            Self::Missing { metric, cause, .. } => {
                write!(f, "`{metric}` has no value: {}", cause.word())
            }
            Self::Ask { metric, cause, .. } => write!(
                f,
                "`{metric}` has had no value for too long ({}): continue, stop or roll back",
                cause.word()
            ),
        }
    }
}

/// What one detector says.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// Nothing against the release.
    Clear,
    /// It should get no more traffic for now.
    Hold(Why),
    /// It must go.
    Against(Box<Evidence>),
}

impl Finding {
    /// What a metric's missing values say.
    #[must_use]
    pub fn of_gap(metric: &str, query: &str, at: Timestamp, gap: Gap) -> Self {
        let metric = || metric.to_owned();
        match gap {
            // An instance that is down is counted by the guard rails.
            Gap::None | Gap::Ignored { .. } | Gap::Unhealthy => Self::Clear,
            Gap::Hold { cause, since } => Self::Hold(Why::Missing {
                metric: metric(),
                cause,
                since,
            }),
            Gap::Ask { cause, since } => Self::Hold(Why::Ask {
                metric: metric(),
                cause,
                since,
            }),
            Gap::Failed { cause, since } => Self::Against(Box::new(Evidence::missing(
                metric(),
                query,
                at,
                cause,
                since,
            ))),
        }
    }
}

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A release: every detector counts.
    Release,
    /// A rollback: it is known to be good, and the alarms that its predecessor set off still fire. Guard rails and people count.
    Rollback,
}

impl Scope {
    fn minds(self, trigger: Trigger) -> bool {
        match (self, trigger) {
            (Self::Release, _) | (Self::Rollback, Trigger::Guard | Trigger::Manual) => true,
            (
                Self::Rollback,
                Trigger::Sequential | Trigger::Threshold | Trigger::Alarm | Trigger::Webhook,
            ) => false,
        }
    }
}

/// What to do with a release now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    tag = "decision"
)]
pub enum Decision {
    /// Go on.
    Continue,
    /// Move no more traffic to it, and bake it longer by as much.
    Hold {
        /// All reasons.
        why: Vec<Why>,
    },
    /// Take it back at once.
    RollBack {
        /// Which kind of detector said so.
        trigger: Trigger,
        /// What it knows.
        evidence: Box<Evidence>,
    },
}

/// Weighs what the detectors say. Of several that are against the release the quickest kind is named, and of the same kind the
/// first.
#[must_use]
pub fn decide(scope: Scope, findings: impl IntoIterator<Item = Finding>) -> Decision {
    let mut why = Vec::new();
    let mut against: Option<Box<Evidence>> = None;
    for finding in findings {
        match finding {
            Finding::Clear => {}
            Finding::Hold(reason) => why.push(reason),
            Finding::Against(evidence) => {
                let is_first = against
                    .as_ref()
                    .is_none_or(|known| evidence.trigger < known.trigger);
                if scope.minds(evidence.trigger) && is_first {
                    against = Some(evidence);
                }
            }
        }
    }
    match (against, scope) {
        (Some(evidence), _) => Decision::RollBack {
            trigger: evidence.trigger,
            evidence,
        },
        (None, Scope::Release) if !why.is_empty() => Decision::Hold { why },
        (None, Scope::Release | Scope::Rollback) => Decision::Continue,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn against(trigger: Trigger) -> Finding {
        Finding::Against(Box::new(Evidence::said(
            trigger,
            "m".into(),
            Timestamp::from_millis(1000),
            "because".into(),
        )))
    }

    fn suspicion() -> Finding {
        Finding::Hold(Why::Suspicion {
            metric: "errors".into(),
            wealth: 25.0,
            decides_at: 1000.0,
        })
    }

    fn trigger(scope: Scope, findings: Vec<Finding>) -> Option<Trigger> {
        match decide(scope, findings) {
            Decision::RollBack { trigger, .. } => Some(trigger),
            Decision::Continue | Decision::Hold { .. } => None,
        }
    }

    #[test]
    fn nothing_said_goes_on() {
        assert_eq!(decide(Scope::Release, []), Decision::Continue);
        assert_eq!(
            decide(Scope::Release, [Finding::Clear, Finding::Clear]),
            Decision::Continue
        );
    }

    #[test]
    fn all_reasons_to_hold_are_told() {
        let gap = Gap::Hold {
            cause: Cause::NoTraffic,
            since: Timestamp::from_millis(5),
        };
        let missing = Finding::of_gap("latency", "q", Timestamp::from_millis(9), gap);
        let decision = decide(Scope::Release, [suspicion(), Finding::Clear, missing]);
        let Decision::Hold { why } = decision else {
            panic!("{decision:?}");
        };
        let told: Vec<String> = why.iter().map(ToString::to_string).collect();
        assert!(told[0].contains("evidence 25 of 1000"), "{told:?}");
        assert!(told[1].contains("no_traffic"), "{told:?}");
    }

    #[test]
    fn one_detector_is_enough_and_the_quickest_kind_is_named() {
        let all = vec![
            suspicion(),
            against(Trigger::Alarm),
            against(Trigger::Sequential),
            against(Trigger::Webhook),
        ];
        assert_eq!(trigger(Scope::Release, all), Some(Trigger::Sequential));
        for one in Trigger::ALL {
            assert_eq!(trigger(Scope::Release, vec![against(one)]), Some(one));
        }
    }

    #[test]
    fn a_rollback_minds_its_guard_rails_and_people_alone() {
        for one in Trigger::ALL {
            let minds = matches!(one, Trigger::Guard | Trigger::Manual);
            let said = trigger(Scope::Rollback, vec![against(one), suspicion()]);
            assert_eq!(said, minds.then_some(one));
        }
        let held = decide(Scope::Rollback, [suspicion()]);
        assert_eq!(held, Decision::Continue);
    }

    #[test]
    fn no_gap_but_a_failed_one_is_against_a_release() {
        let (cause, since) = (Cause::SourceDown, Timestamp::from_millis(1));
        let gaps = [
            (Gap::None, false),
            (Gap::Ignored { cause }, false),
            (Gap::Hold { cause, since }, false),
            (Gap::Ask { cause, since }, false),
            (Gap::Unhealthy, false),
            (Gap::Failed { cause, since }, true),
        ];
        for (gap, expected) in gaps {
            let finding = Finding::of_gap("m", "q", since, gap);
            assert_eq!(matches!(finding, Finding::Against(_)), expected, "{gap:?}");
        }
    }
}
