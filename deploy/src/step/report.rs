//! What a host or a balancer says of an event: recorded once, whatever is said how often, and only while it is that event's turn.

use croft_proto::deploy::{
    DeploymentId, Diagnostics, EventStatus, LifecycleEvent, Side, TargetEvent,
};

use super::{Action, Answer, Engine};
use crate::decide::event_over;
use crate::state::{Deployment, State};

/// AWS's longest end of a log, 4 KiB.
const LOG_BYTES_MAX: usize = 4 << 10;
/// A sentence, or a script's path: Linux's longest path.
const WORDS_BYTES_MAX: usize = 4 << 10;

/// What is said of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The host.
    pub host: String,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The command's generation.
    pub generation: u64,
    /// The event.
    pub event: LifecycleEvent,
    /// What of it.
    pub said: Said,
}

/// What is said of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// It has begun.
    Started,
    /// It is over.
    Ended(EventStatus, Option<Box<Diagnostics>>),
}

impl Engine {
    pub(super) fn hear(&self, report: Report, actions: &mut Vec<Action>) {
        if !self.is_caught_up {
            actions.push(Action::Answer(Answer::Later));
            return;
        }
        let (intents, answer) = heard(&self.state, report);
        actions.extend(intents.map(Action::Append));
        actions.push(Action::Answer(answer));
    }
}

fn heard(state: &State, report: Report) -> (Option<Vec<crate::Intent>>, Answer) {
    let Some(deployment) = state.deployment(&report.deployment) else {
        return (None, Answer::Stale);
    };
    let plan = deployment.plan.as_ref();
    if plan.is_none_or(|plan| plan.generation != report.generation) {
        return (None, Answer::Stale);
    }
    let Some(number) = target_of(deployment, &report) else {
        return (None, answer_to_late(deployment, &report));
    };
    let is_started = deployment
        .at(number)
        .running
        .is_some_and(|running| running.is_started);
    let event = report.event;
    let record = match report.said {
        Said::Started if is_started => return (None, Answer::Recorded),
        Said::Started => TargetEvent::Started { event },
        Said::Ended(status, diagnostics) => TargetEvent::Ended {
            event,
            status: settled(status),
            diagnostics: diagnostics.map(shortened),
        },
    };
    (
        event_over(state, deployment, number, event, record),
        Answer::Later,
    )
}

/// What a host says must fit an event, whatever it says: of a log its end counts, of words their beginning.
fn shortened(mut diagnostics: Box<Diagnostics>) -> Box<Diagnostics> {
    let tail = &mut diagnostics.log_tail;
    let from = tail.len().saturating_sub(LOG_BYTES_MAX);
    let from = (from..=tail.len()).find(|at| tail.is_char_boundary(*at));
    tail.drain(..from.unwrap_or_default());
    for words in [&mut diagnostics.message, &mut diagnostics.script_name] {
        let to = words.floor_char_boundary(WORDS_BYTES_MAX);
        words.truncate(to);
    }
    diagnostics
}

/// What is over has gone well, or not, or had nothing to do.
const fn settled(status: EventStatus) -> EventStatus {
    match status {
        EventStatus::Succeeded => EventStatus::Succeeded,
        EventStatus::Skipped => EventStatus::Skipped,
        EventStatus::Failed | EventStatus::Pending | EventStatus::InProgress => EventStatus::Failed,
        EventStatus::Unknown => EventStatus::Unknown,
    }
}

/// The host's target whose turn that event is.
fn target_of(deployment: &Deployment, report: &Report) -> Option<u32> {
    [Side::New, Side::Old].into_iter().find_map(|side| {
        let number = deployment.target(side, &report.host)?;
        let running = deployment.at(number).running?;
        (running.event == report.event).then_some(number)
    })
}

/// It is recorded already, or it was never its turn.
fn answer_to_late(deployment: &Deployment, report: &Report) -> Answer {
    let is_recorded = [Side::New, Side::Old].into_iter().any(|side| {
        let number = deployment.target(side, &report.host);
        number.is_some_and(|number| {
            let ended = &deployment.at(number).ended;
            ended.iter().any(|(event, _)| *event == report.event)
        })
    });
    if is_recorded {
        Answer::Recorded
    } else {
        Answer::Stale
    }
}
