//! Whether a container is well: pure. What was seen of it and when enters; a verdict leaves. `event` looks and asks.

use std::time::Duration;

/// How long one that nobody can ask must stay up.
pub(super) const STAYS_UP: Duration = Duration::from_secs(3);

/// What the engine says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Whether its process runs.
    pub(super) is_running: bool,
    /// How often the engine has started it again.
    pub(super) restarts: i64,
    /// How its process ended, when it has.
    pub(super) exit_code: i64,
}

/// When it is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// So many good answers in a row; none where nobody is asked.
    pub(super) healthy_count: Option<u32>,
    /// Within so long.
    pub(super) within: Duration,
}

/// What is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is asked again.
    Wait,
    /// It is.
    Well,
    /// It has ended by itself: nothing more is waited for.
    Ended,
    /// It is not, and its time is over.
    Late,
}

/// What holds after another look.
pub(super) fn verdict(rule: Rule, seen: Seen, good_in_a_row: u32, since: Duration) -> Verdict {
    if !seen.is_running || seen.restarts > 0 {
        return Verdict::Ended;
    }
    let is_well = match rule.healthy_count {
        Some(count) => good_in_a_row >= count,
        None => since >= STAYS_UP,
    };
    if is_well {
        Verdict::Well
    } else if since >= rule.within {
        Verdict::Late
    } else {
        Verdict::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_well_after_enough_good_answers_and_never_once_it_has_ended() {
        let up = Seen {
            is_running: true,
            restarts: 0,
            exit_code: 0,
        };
        let restarted = Seen { restarts: 1, ..up };
        let gone = Seen {
            is_running: false,
            ..up
        };
        let asked = Rule {
            healthy_count: Some(2),
            within: Duration::from_secs(10),
        };
        let unasked = Rule {
            healthy_count: None,
            within: Duration::from_secs(60),
        };
        let s = Duration::from_secs;
        for (rule, seen, good, since, expected) in [
            (asked, up, 0, s(0), Verdict::Wait),
            (asked, up, 1, s(9), Verdict::Wait),
            (asked, up, 2, s(1), Verdict::Well),
            (asked, up, 1, s(10), Verdict::Late),
            (asked, up, 2, s(11), Verdict::Well),
            (asked, restarted, 2, s(1), Verdict::Ended),
            (asked, gone, 2, s(1), Verdict::Ended),
            (unasked, up, 0, s(2), Verdict::Wait),
            (unasked, up, 0, s(3), Verdict::Well),
            (unasked, restarted, 0, s(3), Verdict::Ended),
        ] {
            let found = verdict(rule, seen, good, since);
            assert_eq!(found, expected, "{rule:?} {seen:?} {good} {since:?}");
        }
    }
}
