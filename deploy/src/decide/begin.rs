//! Which hosts begin a step now: as many as health lets, that nobody else has; those that are not heard after all that are. Asked by the
//! decision for each append; what it hands back is one append.

use std::collections::BTreeSet;

use croft_ledger::Expected;
use croft_proto::deploy::{DeploymentEvent, HealthRule, HostEvent, Pace, Plan, Was};

use crate::health::{Begin, Tally, begin_in_zone};
use crate::intent::{Intent, Row, host_subject};
use crate::state::{Deployment, Host, State};

/// Hosts that begin in one append: each is taken with it, and a batch has 64 events.
const BEGIN_MAX: usize = 60;
/// Hosts looked at, at most, to find some that no other deployment has.
const LOOK_MAX: usize = 1_000;

/// How many more may begin, with those that are chosen.
struct Room {
    /// None where nothing but their number limits them.
    paced: Option<Paced>,
}

struct Paced {
    fleet: (HealthRule, Tally),
    zone: Option<(HealthRule, Tally)>,
}

impl Room {
    fn of(deployment: &Deployment, plan: &Plan) -> Self {
        let paced = match deployment.pace() {
            Some(Pace::Healthy { zone }) => Some(Paced {
                fleet: (plan.rule, deployment.tally),
                zone: zone.map(|(rule, _)| (rule, deployment.zone)),
            }),
            Some(Pace::Enough | Pace::Every | Pace::Whichever) | None => None,
        };
        Self { paced }
    }

    fn begin(&self, was: Was) -> Begin {
        let Some(paced) = &self.paced else {
            return Begin::Now;
        };
        let zone = paced.zone.as_ref().map(|(rule, tally)| (*rule, tally));
        begin_in_zone((paced.fleet.0, &paced.fleet.1), zone, was)
    }

    fn take(&mut self, was: Was) {
        self.count(|tally| tally.in_progress.add(was));
    }

    fn count(&mut self, count: impl Fn(&mut Tally)) {
        if let Some(paced) = &mut self.paced {
            count(&mut paced.fleet.1);
            if let Some((_, tally)) = &mut paced.zone {
                count(tally);
            }
        }
    }
}

/// How hosts end what they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Well,
    Failed,
}

/// Whether the next host may begin once those have ended so; never when no other may either.
pub(crate) fn may_begin_after(
    deployment: &Deployment,
    plan: &Plan,
    numbers: &[u32],
    ending: Ending,
) -> Option<Begin> {
    let mut room = Room::of(deployment, plan);
    for number in numbers {
        let was = deployment.at(*number).planned.was;
        room.count(|tally| {
            tally.in_progress.take(was);
            match ending {
                Ending::Well => tally.succeeded.add(was),
                Ending::Failed => tally.failed.add(was),
            }
        });
    }
    let pending = deployment.pending.iter();
    let all = pending.map(|number| room.begin(deployment.at(*number).planned.was));
    all.reduce(|first, other| match first {
        Begin::Never => other,
        Begin::Now | Begin::Later => first,
    })
}

/// Whether one of those that have not begun may, now or when others are over.
pub(super) fn may_any(deployment: &Deployment, plan: &Plan) -> bool {
    let room = Room::of(deployment, plan);
    let mut pending = deployment.pending.iter();
    pending.any(|number| room.begin(deployment.at(*number).planned.was) != Begin::Never)
}

/// Whether the next of those that have not begun may; none when all have.
pub(crate) fn may_begin(deployment: &Deployment, plan: &Plan) -> Option<Begin> {
    let room = Room::of(deployment, plan);
    let first = deployment.pending.first()?;
    Some(room.begin(deployment.at(*first).planned.was))
}

/// What is appended so that some begin; none when none may.
pub(super) fn some(
    state: &State,
    deployment: &Deployment,
    plan: &Plan,
    silent: &BTreeSet<String>,
) -> Option<Vec<Intent>> {
    let chosen = chosen(state, deployment, plan, silent);
    if chosen.is_empty() {
        return None;
    }
    let targets = chosen.iter().map(|(number, _)| *number).collect();
    let dispatched = DeploymentEvent::Dispatched { targets };
    let mut intents = Row::deployment(&deployment.id, deployment.last)
        .says(dispatched.into())
        .intents;
    for (number, host) in chosen {
        let taken = HostEvent::Taken {
            deployment: deployment.id.clone(),
        };
        intents.push(Intent {
            subject: host_subject(&deployment.at(number).planned.host).ok()?,
            expected: Expected::Last(host.last),
            event: taken.into(),
        });
    }
    Some(intents)
}

fn chosen<'s>(
    state: &'s State,
    deployment: &Deployment,
    plan: &Plan,
    silent: &BTreeSet<String>,
) -> Vec<(u32, &'s Host)> {
    let mut room = Room::of(deployment, plan);
    let pending = deployment.pending.iter().take(LOOK_MAX).copied();
    let is_silent = |number: &u32| silent.contains(&deployment.at(*number).planned.host);
    let (last, first): (Vec<u32>, Vec<u32>) = pending.partition(is_silent);
    let mut chosen = Vec::new();
    let mut taken = Vec::new();
    for (numbers, are_heard) in [(first, true), (last, false)] {
        if !are_heard {
            // What is not heard may be waited for in vain, so room is kept for those that only another deployment keeps from beginning.
            taken.drain(..).for_each(|was| room.take(was));
        }
        for number in numbers {
            let planned = &deployment.at(number).planned;
            match room.begin(planned.was) {
                Begin::Now if chosen.len() < BEGIN_MAX => {}
                Begin::Never => continue,
                Begin::Now | Begin::Later => return chosen,
            }
            let Some(host) = state.host(&planned.host) else {
                continue;
            };
            // Its last deployment may still run an event there; it is waited for, and others go first.
            if host.taken.is_some() {
                taken.push(planned.was);
                continue;
            }
            room.take(planned.was);
            chosen.push((number, host));
        }
    }
    chosen
}
