//! Which phase follows which: pure. Receives how a phase ended and what the buildspec says of failures, hands back what to do.

use croft_proto::{PhaseType, Status};
use croft_spec::OnFailure;
use regex::Regex;

/// How a command phase ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Every command succeeded.
    Succeeded,
    /// A command failed.
    Failed {
        /// The error message that `RETRY-<regex>` is matched against: the context's message, then the command's last lines.
        message: String,
    },
    /// Somebody stopped the build, or its time ran out.
    Interrupted(Status),
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// That command phase.
    Phase(PhaseType),
    /// Reports, cache and artifacts.
    Upload,
    /// The end; nothing is uploaded.
    Finish,
    /// The build starts again.
    Retry {
        /// The number of the try that comes next.
        attempt: u32,
        /// The last try's number.
        attempts_max: u32,
    },
}

/// The way of one build through its phases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Journey {
    /// From 1.
    attempt: u32,
    status: Status,
    succeeding: bool,
}

impl Journey {
    /// A build's `attempt`th try, at its beginning.
    pub(crate) fn new(attempt: u32) -> Self {
        Self {
            attempt,
            status: Status::Succeeded,
            succeeding: true,
        }
    }

    /// How the build will end as things stand. `on-failure: CONTINUE` keeps a failed phase out of it.
    pub(crate) fn status(&self) -> Status {
        self.status
    }

    /// `CODEBUILD_BUILD_SUCCEEDING`: false once a command phase has failed, whatever its `on-failure` says.
    pub(crate) fn succeeding(&self) -> bool {
        self.succeeding
    }

    /// A command failed; its phase's `finally` already sees it.
    pub(crate) fn note_failure(&mut self) {
        self.succeeding = false;
    }

    /// Takes in how `phase` ended; tells what comes next.
    pub(crate) fn after(
        &mut self,
        phase: PhaseType,
        ended: &Ended,
        on_failure: &OnFailure,
    ) -> Next {
        match ended {
            Ended::Succeeded => following(phase),
            Ended::Interrupted(status) => {
                (self.status, self.succeeding) = (*status, false);
                Next::Finish
            }
            Ended::Failed { message } => self.after_failure(phase, message, on_failure),
        }
    }

    fn after_failure(&mut self, phase: PhaseType, message: &str, on_failure: &OnFailure) -> Next {
        self.succeeding = false;
        match on_failure {
            OnFailure::Continue => return following(phase),
            OnFailure::Retry { count, pattern }
                if self.attempt <= *count && matches(pattern.as_deref(), message) =>
            {
                return Next::Retry {
                    attempt: self.attempt + 1,
                    attempts_max: count + 1,
                };
            }
            OnFailure::Unset | OnFailure::Abort | OnFailure::Retry { .. } => {}
        }
        self.status = Status::Failed;
        let abort = matches!(on_failure, OnFailure::Abort);
        let goes_on = !abort && [PhaseType::Build, PhaseType::PostBuild].contains(&phase);
        if goes_on {
            following(phase)
        } else {
            Next::Finish
        }
    }
}

fn following(phase: PhaseType) -> Next {
    let place = PhaseType::COMMANDS.iter().position(|other| *other == phase);
    match place.and_then(|place| PhaseType::COMMANDS.get(place + 1)) {
        Some(next) => Next::Phase(*next),
        None => Next::Upload,
    }
}

/// The buildspec's reader has checked the pattern; one that does not compile matches nothing.
fn matches(pattern: Option<&str>, message: &str) -> bool {
    pattern.is_none_or(|pattern| Regex::new(pattern).is_ok_and(|regex| regex.is_match(message)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use PhaseType::{Build, Install, PostBuild, PreBuild};

    fn failed() -> Ended {
        Ended::Failed {
            message: "Error while executing command: x. Reason: exit status 7".into(),
        }
    }

    #[test]
    fn every_phase_and_every_rule_leads_where_the_table_says() {
        let unset = OnFailure::Unset;
        let abort = OnFailure::Abort;
        let go_on = OnFailure::Continue;
        let table = [
            (Install, &unset, Next::Finish, Status::Failed),
            (PreBuild, &unset, Next::Finish, Status::Failed),
            (Build, &unset, Next::Phase(PostBuild), Status::Failed),
            (PostBuild, &unset, Next::Upload, Status::Failed),
            (Install, &abort, Next::Finish, Status::Failed),
            (PreBuild, &abort, Next::Finish, Status::Failed),
            (Build, &abort, Next::Finish, Status::Failed),
            (PostBuild, &abort, Next::Finish, Status::Failed),
            (Install, &go_on, Next::Phase(PreBuild), Status::Succeeded),
            (PreBuild, &go_on, Next::Phase(Build), Status::Succeeded),
            (Build, &go_on, Next::Phase(PostBuild), Status::Succeeded),
            (PostBuild, &go_on, Next::Upload, Status::Succeeded),
        ];
        for (phase, rule, next, status) in table {
            let mut journey = Journey::new(1);
            assert_eq!(
                journey.after(phase, &failed(), rule),
                next,
                "{phase} {rule:?}"
            );
            assert_eq!(
                (journey.status(), journey.succeeding()),
                (status, false),
                "{phase} {rule:?}"
            );
        }
    }

    #[test]
    fn success_goes_through_all_phases_to_the_upload() {
        let mut journey = Journey::new(1);
        let mut seen = vec![];
        let mut phase = Install;
        while let Next::Phase(next) = journey.after(phase, &Ended::Succeeded, &OnFailure::Abort) {
            seen.push(next);
            phase = next;
        }
        assert_eq!(seen, [PreBuild, Build, PostBuild]);
        assert_eq!(
            (journey.status(), journey.succeeding()),
            (Status::Succeeded, true)
        );
    }

    #[test]
    fn retries_are_counted_and_matched() {
        let rule = |count, pattern: Option<&str>| OnFailure::Retry {
            count,
            pattern: pattern.map(str::to_string),
        };
        let next = |attempt, rule: &OnFailure| Journey::new(attempt).after(Build, &failed(), rule);
        assert_eq!(
            next(1, &rule(3, None)),
            Next::Retry {
                attempt: 2,
                attempts_max: 4
            }
        );
        assert_eq!(
            next(3, &rule(3, None)),
            Next::Retry {
                attempt: 4,
                attempts_max: 4
            }
        );
        assert_eq!(next(4, &rule(3, None)), Next::Phase(PostBuild));
        assert_eq!(next(1, &rule(0, None)), Next::Phase(PostBuild));
        assert_eq!(
            next(1, &rule(1, Some("status [67]"))),
            Next::Retry {
                attempt: 2,
                attempts_max: 2
            }
        );
        assert_eq!(next(1, &rule(1, Some("^timeout"))), Next::Phase(PostBuild));
    }

    #[test]
    fn an_interruption_ends_the_build_from_any_phase() {
        for status in [Status::Stopped, Status::TimedOut] {
            let mut journey = Journey::new(1);
            let ended = Ended::Interrupted(status);
            assert_eq!(
                journey.after(Build, &ended, &OnFailure::Continue),
                Next::Finish
            );
            assert_eq!(journey.status(), status);
        }
    }
}
