//! Who was refused what, gathered so that nobody fills the ledger by asking in vain. The front hands each refusal in; the first of its
//! kind is noted at once, and those that follow it as one note with their number when the window ends, or the server does. Kinds are
//! told apart by who asked, for what, and the answer's status.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use croft_keys::audit::AuditAct;
use futures_util::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::audit;
use super::limits::{REFUSALS_EVERY, REFUSALS_MAX, REFUSALS_WINDOW};
use super::state::State;

/// Whose refusals are counted when there are too many kinds.
const OTHERS: &str = "others";

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    actor: String,
    action: String,
    status: StatusCode,
}

/// Refusals of one kind that are not noted yet.
#[derive(Debug)]
struct Gathered {
    since: Instant,
    count: u64,
    /// The last of them.
    last: AuditAct,
}

/// Refusals in the windows that are open.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<Kind, Gathered>>);

impl Refusals {
    /// Counts a refusal, or gives it back to be noted at once: the first of its kind. Who asks too often is only counted, since every
    /// token can do that at any time.
    pub(super) fn took(&self, act: AuditAct, status: StatusCode, now: Instant) -> Option<AuditAct> {
        // A path may be a hundred times as long as what is noted of it.
        let act = audit::bounded(act);
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = Kind {
            actor: act.actor.clone(),
            action: act.action.clone(),
            status,
        };
        let has_room = table.len() < REFUSALS_MAX || table.contains_key(&own);
        let (kind, act) = match has_room {
            true => (own, act),
            false => others(act, status),
        };
        if let Some(gathered) = table.get_mut(&kind) {
            gathered.count += 1;
            gathered.last = act;
            return None;
        }
        let is_only_counted = status == StatusCode::TOO_MANY_REQUESTS || !has_room;
        let gathered = Gathered {
            since: now,
            count: u64::from(is_only_counted),
            last: act.clone(),
        };
        table.insert(kind, gathered);
        (!is_only_counted).then_some(act)
    }

    /// Notes of those whose window has ended.
    fn due(&self, now: Instant) -> Vec<AuditAct> {
        self.take(|gathered| now.saturating_duration_since(gathered.since) >= REFUSALS_WINDOW)
    }

    /// Notes of all.
    pub(super) fn rest(&self) -> Vec<AuditAct> {
        self.take(|_| true)
    }

    fn take(&self, is_due: impl Fn(&Gathered) -> bool) -> Vec<AuditAct> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = table.extract_if(|_, gathered| is_due(gathered));
        let due = due.filter(|(_, gathered)| gathered.count > 0);
        due.map(|(_, gathered)| counted(gathered)).collect()
    }
}

/// What stands for refusals that there is no room to tell apart.
fn others(act: AuditAct, status: StatusCode) -> (Kind, AuditAct) {
    let kind = Kind {
        actor: OTHERS.into(),
        action: OTHERS.into(),
        status,
    };
    let act = AuditAct {
        actor: OTHERS.into(),
        role: String::new(),
        action: OTHERS.into(),
        target: String::new(),
        ..act
    };
    (kind, act)
}

/// One note of all: that of the last, with their number.
fn counted(gathered: Gathered) -> AuditAct {
    let outcome = format!("{} ({} times)", gathered.last.outcome, gathered.count);
    AuditAct {
        outcome,
        ..gathered.last
    }
}

/// Notes what was gathered, window by window, until the server drains. What it has taken by then is among the server's tasks when it
/// returns; the server notes the rest.
pub(super) async fn keep_noted(state: Arc<State>) {
    let mut every = interval(REFUSALS_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = state.draining.cancelled() => return,
            _ = every.tick() => {}
        }
        let due = state.refusals.due(Instant::now());
        if !due.is_empty() {
            // What is out of the table is noted, also when the server ends meanwhile.
            let noting = Arc::clone(&state);
            state
                .tasks
                .spawn(async move { note_all(&noting, due).await });
        }
    }
}

/// Puts them on record.
pub(super) async fn note_all(state: &State, acts: Vec<AuditAct>) {
    let noted = join_all(acts.into_iter().map(|act| audit::note(state, act))).await;
    let late = noted.iter().filter(|noted| noted.is_err()).count();
    if late > 0 {
        tracing::warn!(late, "refusals could not be put on record in time");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::limits::NOTE_CHARS_MAX;
    use super::*;

    fn act(actor: &str, target: &str) -> AuditAct {
        AuditAct {
            at_ms: 1,
            request_id: "r".into(),
            actor: actor.into(),
            role: "viewer".into(),
            action: "StartBuild".into(),
            target: target.into(),
            outcome: "AccessDeniedException".into(),
        }
    }

    #[test]
    fn the_first_is_noted_at_once_and_the_rest_as_one_when_the_window_ends() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let refused =
            |target: &str, now| refusals.took(act("a", target), StatusCode::FORBIDDEN, now);
        assert_eq!(refused("first", start), Some(act("a", "first")));
        for _ in 0..37 {
            assert_eq!(refused("later", start + Duration::from_secs(9)), None);
        }
        let other = refusals.took(act("b", "x"), StatusCode::FORBIDDEN, start);
        assert_eq!(other, Some(act("b", "x")), "another's is another's");
        let end = start + REFUSALS_WINDOW;
        assert_eq!(refusals.due(end - Duration::from_millis(1)), []);
        let due = refusals.due(end);
        assert_eq!(due.len(), 1, "of one that came once nothing is left to say");
        assert_eq!(due[0].outcome, "AccessDeniedException (37 times)");
        assert_eq!(due[0].target, "later");
        assert_eq!(refused("again", end), Some(act("a", "again")));
    }

    #[test]
    fn what_is_gathered_of_long_texts_is_short() {
        let (refusals, now, long) = (Refusals::default(), Instant::now(), "x".repeat(64 << 10));
        let refused = || refusals.took(act("a", &long), StatusCode::FORBIDDEN, now);
        assert_eq!(refused().unwrap().target.len(), NOTE_CHARS_MAX);
        assert_eq!(refused(), None);
        let rest = refusals.rest();
        assert_eq!(rest[0].target, "x".repeat(NOTE_CHARS_MAX));
        assert!(rest[0].target.capacity() <= 2 * NOTE_CHARS_MAX);
    }

    #[test]
    fn who_asks_too_often_is_only_counted() {
        let refusals = Refusals::default();
        for _ in 0..3 {
            let taken = refusals.took(act("a", "x"), StatusCode::TOO_MANY_REQUESTS, Instant::now());
            assert_eq!(taken, None);
        }
        assert!(refusals.rest()[0].outcome.ends_with("(3 times)"));
        assert_eq!(refusals.rest(), []);
    }

    #[test]
    fn kinds_beyond_the_limit_are_counted_together() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let beyond = 10;
        for number in 0..REFUSALS_MAX + beyond {
            let taken = refusals.took(act(&number.to_string(), "x"), StatusCode::FORBIDDEN, now);
            assert_eq!(taken.is_some(), number < REFUSALS_MAX);
        }
        let rest = refusals.rest();
        assert_eq!(rest.len(), 1);
        assert_eq!(rest[0].actor, OTHERS);
        assert!(rest[0].outcome.ends_with("(10 times)"), "{rest:?}");
    }
}
