//! The watches of all deployments that have verdicts: which are there, what they ask next, and what they say. Told by the loop of time and of
//! answers; asks nobody itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use croft_proto::Timestamp;
use croft_proto::deploy::{Creator, DeploymentId, Finding, Wait, WaitKind, Watched};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};

use crate::advice::Advice;
use crate::metrics::{Metrics, Series, SourceError};
use crate::state::{Deployment, State};
use crate::verdict::{Cause, Decision, Settings, Why};
use crate::watch::{Round, Watch};

/// Questions that are asked at once: a group with fifty alarms must not fill its Prometheus.
const AT_ONCE: usize = 4;

/// The answers to a round.
pub(super) struct Answered {
    id: DeploymentId,
    round: Round,
    answers: Vec<Result<Vec<Series>, SourceError>>,
}

#[derive(Debug)]
struct One {
    watch: Watch,
    is_asking: bool,
    /// What had no value at the last look, and why.
    lacking: BTreeSet<(String, Cause)>,
}

/// All watches.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    all: BTreeMap<DeploymentId, Result<One, String>>,
    newly_lacking: Vec<Cause>,
}

impl Verdicts {
    /// Begins watches of those deployments, and ends those of others.
    pub(super) fn keep(&mut self, state: &State, watched: &[DeploymentId]) {
        self.all.retain(|id, _| watched.contains(id));
        for id in watched {
            let deployment = state.deployment(id);
            let plan = deployment.and_then(|one| one.plan.as_ref());
            let written = plan.and_then(|plan| plan.verdicts.as_ref());
            let (Some(deployment), Some(written)) = (deployment, written) else {
                continue;
            };
            self.all.entry(id.clone()).or_insert_with(|| {
                let settings = Settings::read(written).map_err(|wrong| wrong.join("; "))?;
                Ok(One {
                    watch: Watch::new(settings, deployment),
                    is_asking: false,
                    lacking: BTreeSet::new(),
                })
            });
        }
    }

    /// What is to be asked now.
    pub(super) fn ask(
        &mut self,
        source: &Arc<dyn Metrics>,
        now: Timestamp,
    ) -> Vec<BoxFuture<'static, Answered>> {
        let mut asking = Vec::new();
        for (id, one) in &mut self.all {
            let Ok(one) = one else { continue };
            if one.is_asking {
                continue;
            }
            if let Some(round) = one.watch.round(now) {
                one.is_asking = true;
                asking.push(ask(Arc::clone(source), id.clone(), round));
            }
        }
        asking
    }

    /// Takes answers; whether there is more to ask at once.
    pub(super) fn answered(&mut self, state: &State, answered: Answered, now: Timestamp) -> bool {
        let Some(Ok(one)) = self.all.get_mut(&answered.id) else {
            return false;
        };
        one.is_asking = false;
        let Some(deployment) = state.deployment(&answered.id) else {
            return false;
        };
        let is_down = answered.answers.iter().any(Result::is_err);
        one.watch
            .took(deployment, &answered.round, answered.answers, now);
        let lacking = one.watch.lacking();
        let lacking: BTreeSet<_> = lacking.map(|(of, cause)| (of.to_owned(), cause)).collect();
        let new = lacking.difference(&one.lacking).map(|(_, cause)| *cause);
        self.newly_lacking.extend(new);
        one.lacking = lacking;
        !is_down && one.watch.is_behind(now)
    }

    /// What is to become of a deployment.
    pub(super) fn advice(
        &self,
        deployment: &Deployment,
        has_source: bool,
        now: Timestamp,
    ) -> Advice {
        let plan = deployment.plan.as_ref();
        if plan.is_none_or(|plan| plan.verdicts.is_none()) {
            return Advice::Continue;
        }
        // What takes back waits for no monitor.
        let holds = deployment.accepted.creator != Creator::Rollback;
        let hold = |reason: &str| match holds {
            true => Advice::Hold {
                reason: reason.to_owned(),
            },
            false => Advice::Continue,
        };
        if !has_source {
            return hold("this server has no Prometheus to ask (--prometheus)");
        }
        match self.all.get(&deployment.id) {
            None => hold("it is not watched yet"),
            Some(Err(wrong)) => hold(wrong),
            Some(Ok(one)) => advice(one.watch.decision(now)),
        }
    }

    /// What a deployment waits for; `source` is whom metrics are asked of.
    pub(super) fn waits(
        &self,
        deployment: &Deployment,
        source: Option<&str>,
        now: Timestamp,
    ) -> Vec<Wait> {
        let plan = deployment.plan.as_ref();
        if plan.is_none_or(|plan| plan.verdicts.is_none()) {
            return Vec::new();
        }
        let monitoring = |message: &str| vec![Wait::new(WaitKind::Monitoring, message)];
        let Some(source) = source else {
            return monitoring("this server has no Prometheus to ask (--prometheus)");
        };
        match self.all.get(&deployment.id) {
            None => monitoring("it is not watched yet"),
            Some(Err(wrong)) => monitoring(wrong),
            Some(Ok(one)) => one.watch.waits(&deployment.id, source, now),
        }
    }

    /// Why a deployment that is held is so, in words for labels.
    pub(super) fn holds(
        &self,
        id: &DeploymentId,
        has_source: bool,
        now: Timestamp,
    ) -> BTreeSet<&'static str> {
        match self.all.get(id) {
            _ if !has_source => BTreeSet::from(["no_source"]),
            Some(Ok(one)) => match one.watch.decision(now) {
                Decision::Hold { why } => why.iter().map(Why::word).collect(),
                Decision::Continue | Decision::RollBack { .. } => BTreeSet::new(),
            },
            Some(Err(_)) | None => BTreeSet::from(["not_watched"]),
        }
    }

    /// What began to have no value since this was asked last, by why.
    pub(super) fn newly_lacking(&mut self) -> Vec<Cause> {
        std::mem::take(&mut self.newly_lacking)
    }

    /// Those that can be read.
    pub(super) fn watches(&self) -> impl Iterator<Item = (&DeploymentId, &Watch)> {
        let all = self.all.iter();
        all.filter_map(|(id, one)| Some((id, &one.as_ref().ok()?.watch)))
    }

    /// How one stands.
    pub(super) fn shown(&self, id: &DeploymentId, now: Timestamp) -> Option<Watched> {
        match self.all.get(id)? {
            Ok(one) => Some(one.watch.shown(now)),
            Err(wrong) => Some(Watched {
                holds: vec![wrong.clone()],
                ..Watched::default()
            }),
        }
    }

    /// Deployments that have something to say before they begin, and what.
    pub(super) fn to_note(&self, state: &State) -> Vec<(DeploymentId, Vec<String>)> {
        let ready = self.all.iter().filter_map(|(id, one)| {
            let one = one.as_ref().ok()?;
            let deployment = state.deployment(id)?;
            // How soon a fault would be found is nobody's question of what takes one back.
            let is_release = deployment.accepted.creator != Creator::Rollback;
            let is_new = is_release && deployment.notes.is_none() && deployment.end.is_none();
            (is_new && one.watch.is_ready()).then(|| (id.clone(), one.watch.notes(deployment)))
        });
        ready.collect()
    }
}

fn ask(source: Arc<dyn Metrics>, id: DeploymentId, round: Round) -> BoxFuture<'static, Answered> {
    Box::pin(async move {
        let asking = round.questions().into_iter().map(|question| {
            let source = Arc::clone(&source);
            async move { question.ask(&*source).await }
        });
        let mut arriving = stream::iter(asking).buffered(AT_ONCE);
        let mut answers = Vec::new();
        while let Some(answer) = arriving.next().await {
            // Who does not answer one question does not answer the others, each after its time.
            let is_down = matches!(answer, Err(SourceError::Down(_)));
            answers.push(answer);
            if is_down {
                break;
            }
        }
        drop(arriving);
        Answered { id, round, answers }
    })
}

fn advice(decision: Decision) -> Advice {
    match decision {
        Decision::Continue => Advice::Continue,
        Decision::Hold { why } => {
            let why: Vec<String> = why.iter().map(ToString::to_string).collect();
            Advice::Hold {
                reason: why.join("; "),
            }
        }
        Decision::RollBack { trigger, evidence } => Advice::RollBack(Box::new(Finding {
            by: format!("{} {}", trigger.word(), evidence.metric),
            message: evidence.sentence.clone(),
            // What was made of numbers and words can be written.
            evidence: serde_json::to_value(&*evidence).unwrap_or_default(),
        })),
    }
}

/// Both: what takes back comes first, then what holds.
pub(super) fn both(one: Advice, other: Advice) -> Advice {
    match (one, other) {
        (back @ Advice::RollBack(_), _) | (_, back @ Advice::RollBack(_)) => back,
        (Advice::Hold { reason }, Advice::Hold { reason: more }) => Advice::Hold {
            reason: format!("{reason}; {more}"),
        },
        (hold @ Advice::Hold { .. }, Advice::Continue)
        | (Advice::Continue, hold @ Advice::Hold { .. }) => hold,
        (Advice::Continue, Advice::Continue) => Advice::Continue,
    }
}
