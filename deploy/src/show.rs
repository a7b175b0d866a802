//! A deployment as it is shown, in AWS's shape. Made from what is folded; a deployment that is over and forgotten is folded anew from its
//! own subjects.

/// What it has left.
mod left;

use croft_ledger::Entry;
use croft_proto::deploy::{
    ComputePlatform, DeploymentEvent, DeploymentId, DeploymentInfo, DeploymentOption,
    DeploymentOverview, DeploymentStatus, DeploymentStyle, EventStatus, LifecycleEvent,
    OwnOfDeploymentInfo, RollbackInfo, Side, Step, TargetKind, TargetStatus,
};

use crate::state::{Deployment, FoldError, Target, parsed};

impl Deployment {
    /// A deployment from the entries of its own subject and of those below it, in order: for one that is over, and that no state keeps. None
    /// when its first entry is not there.
    ///
    /// # Errors
    /// When one of them cannot be folded.
    pub fn of<'e>(
        id: &DeploymentId,
        entries: impl IntoIterator<Item = &'e Entry>,
    ) -> Result<Option<Self>, FoldError> {
        let mut made: Option<Self> = None;
        for entry in entries {
            let parts: Vec<String> = entry.subject.parts().collect();
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            let Some(event) = entry.event() else {
                continue;
            };
            match (parts.as_slice(), &mut made) {
                (["deployment", of], _) if *of == id.as_str() => {
                    match (parsed(entry, event)?, &mut made) {
                        (DeploymentEvent::Accepted(accepted), None) => {
                            made = Some(Self::accepted(entry, id.clone(), *accepted));
                        }
                        (event, Some(made)) => {
                            made.fold(entry, event)?;
                        }
                        (_, None) => return Ok(None),
                    }
                }
                (["deployment", of, side @ ("host" | "old"), host], Some(made))
                    if *of == id.as_str() =>
                {
                    let side = if *side == "host" {
                        Side::New
                    } else {
                        Side::Old
                    };
                    made.fold_target(entry, side, host, parsed(entry, event)?)?;
                }
                (_, _) => {}
            }
        }
        Ok(made)
    }

    /// Where it stands.
    #[must_use]
    pub fn status(&self) -> DeploymentStatus {
        if let Some(end) = &self.end {
            return end.status;
        }
        match self.current() {
            None => DeploymentStatus::Created,
            Some(Step::Ready { .. }) => DeploymentStatus::Ready,
            Some(Step::Bake { .. }) => DeploymentStatus::Baking,
            Some(Step::Run { .. } | Step::Watch { .. } | Step::Shift { .. }) => {
                DeploymentStatus::InProgress
            }
        }
    }

    /// Where one of its targets stands.
    #[must_use]
    pub fn target_status(&self, target: &Target) -> TargetStatus {
        let is_over = self.end.is_some();
        if target.is_failed {
            TargetStatus::Failed
        } else if target.running.is_some() {
            TargetStatus::InProgress
        } else if !target.is_attempted {
            if is_over {
                TargetStatus::Skipped
            } else {
                TargetStatus::Pending
            }
        } else if !target.is_done {
            TargetStatus::Unknown
        } else if !is_over && self.status() == DeploymentStatus::Ready {
            TargetStatus::Ready
        } else {
            TargetStatus::Succeeded
        }
    }

    /// Where the events of one of its targets stand, in order: those that it has run, and the one that it is to run.
    pub fn target_events<'t>(
        &self,
        target: &'t Target,
    ) -> impl Iterator<Item = (LifecycleEvent, EventStatus)> + use<'t> {
        let current = target.running.map(|running| {
            let status = if running.is_started {
                EventStatus::InProgress
            } else {
                EventStatus::Pending
            };
            (running.event, status)
        });
        target.ended.iter().copied().chain(current)
    }

    /// How many targets stand where.
    #[must_use]
    pub fn overview(&self) -> DeploymentOverview {
        let mut overview = DeploymentOverview::default();
        for target in &self.targets {
            let count = match self.target_status(target) {
                TargetStatus::Pending => &mut overview.pending,
                TargetStatus::InProgress => &mut overview.in_progress,
                TargetStatus::Succeeded => &mut overview.succeeded,
                // AWS counts what nobody knows among the failed.
                TargetStatus::Failed | TargetStatus::Unknown => &mut overview.failed,
                TargetStatus::Skipped => &mut overview.skipped,
                TargetStatus::Ready => &mut overview.ready,
            };
            *count += 1;
        }
        overview
    }

    /// All of it, as AWS's `GetDeployment` has it.
    #[must_use]
    pub fn info(&self) -> DeploymentInfo {
        let (asked, plan, end) = (&self.accepted.asked, self.plan.as_ref(), self.end.as_ref());
        let taken_back = end.and_then(|end| end.rollback.clone());
        let message = end.and_then(|end| end.rollback_message.clone());
        let parent = self.accepted.parent.clone();
        let has_rollback = taken_back.is_some() || message.is_some() || parent.is_some();
        DeploymentInfo {
            application_name: asked.application_name.clone(),
            deployment_group_name: asked.deployment_group_name.clone(),
            deployment_config_name: plan
                .map(|plan| plan.deployment_config_name.clone())
                .or_else(|| asked.deployment_config_name.clone()),
            deployment_id: self.id.clone(),
            previous_revision: plan.and_then(|plan| plan.previous_revision.clone()),
            revision: asked.revision.clone(),
            status: self.status(),
            error_information: end.and_then(|end| end.error.as_deref().cloned()),
            create_time: self.created,
            start_time: self.began,
            complete_time: end.map(|end| end.at),
            deployment_overview: self.overview(),
            description: asked.description.clone(),
            creator: self.accepted.creator.name().to_string(),
            ignore_application_stop_failures: asked.ignore_application_stop_failures,
            update_outdated_instances_only: asked.update_outdated_instances_only,
            rollback_info: has_rollback.then_some(RollbackInfo {
                rollback_deployment_id: taken_back,
                rollback_triggering_deployment_id: parent,
                rollback_message: message,
            }),
            deployment_style: plan.map(|plan| DeploymentStyle {
                deployment_type: plan.deployment_type,
                deployment_option: if plan.moves_traffic {
                    DeploymentOption::WithTrafficControl
                } else {
                    DeploymentOption::WithoutTrafficControl
                },
            }),
            file_exists_behavior: asked.file_exists_behavior,
            compute_platform: match plan.map(|plan| plan.target_kind) {
                Some(TargetKind::Container) => ComputePlatform::Ecs,
                Some(TargetKind::Host) | None => ComputePlatform::Server,
            },
            own: self.own(),
        }
    }

    /// What AWS has not.
    fn own(&self) -> OwnOfDeploymentInfo {
        let (plan, end) = (self.plan.as_ref(), self.end.as_ref());
        OwnOfDeploymentInfo {
            by: Some(self.accepted.by.clone()),
            superseded_by: end.and_then(|end| end.superseded_by.clone()),
            continued: self.continued.clone(),
            step_times: self.step_times.clone(),
            alarms: plan
                .map(|plan| plan.alarms.iter().map(|alarm| alarm.name.clone()).collect())
                .unwrap_or_default(),
            generation: plan.map(|plan| plan.generation),
            containers: plan.and_then(|plan| plan.containers),
            steps: plan.map(|plan| plan.steps.clone()).unwrap_or_default(),
            step: plan.map(|_| self.step),
            traffic_percent: plan
                .filter(|plan| plan.has_sides())
                .map(|_| self.traffic_percent),
            finding: end.and_then(|end| end.finding.clone()),
            notes: self.notes.clone().unwrap_or_default(),
            watch: end.and_then(|end| end.watch.as_deref().cloned()),
            left: self.left().map(Box::new),
            waits: Vec::new(),
            rollback_on: plan
                .filter(|_| end.is_none())
                .map(|plan| plan.rollback_on.clone())
                .unwrap_or_default(),
            first_failure: self
                .first_failure
                .clone()
                .filter(|_| end.is_none())
                .map(Box::new),
        }
    }
}

/// Targets that are shown in one answer.
pub const TARGETS_SHOWN_MAX: usize = 1_000;

impl Deployment {
    /// Its targets, in AWS's shape (`InstanceTarget`), at most [`TARGETS_SHOWN_MAX`].
    #[must_use]
    pub fn targets_shown(&self) -> Vec<serde_json::Value> {
        let shown = self.targets.iter().take(TARGETS_SHOWN_MAX);
        shown.map(|target| self.target_shown(target)).collect()
    }

    /// The same of one host, whichever of very many it is.
    #[must_use]
    pub fn host_shown(&self, host: &str) -> Vec<serde_json::Value> {
        let numbers = [Side::New, Side::Old].map(|side| self.target(side, host));
        let numbers = numbers.into_iter().flatten();
        numbers
            .map(|number| self.target_shown(self.at(number)))
            .collect()
    }

    fn target_shown(&self, target: &Target) -> serde_json::Value {
        let side = target.planned.side;
        let label = self.plan.as_ref().and_then(|plan| plan.label(side));
        let events = self.target_events(target);
        let events = events.map(
            |(event, status)| serde_json::json!({"lifecycleEventName": event, "status": status}),
        );
        let mut shown = serde_json::json!({
            "deploymentId": self.id,
            "targetId": target.planned.host,
            "status": self.target_status(target),
            "zone": target.planned.zone,
            "lifecycleEvents": events.collect::<Vec<_>>(),
        });
        if let Some(label) = label {
            shown["instanceLabel"] = label.into();
        }
        let own = [
            (
                "printed",
                target.printed.map(|printed| serde_json::json!(printed)),
            ),
            ("beganAt", target.begun_at.map(|at| serde_json::json!(at))),
            ("doneAt", target.done_at.map(|at| serde_json::json!(at))),
        ];
        for (name, value) in own {
            if let Some(value) = value {
                shown["x-croft"][name] = value;
            }
        }
        shown
    }
}

/// How a deployment's targets were when somebody was last told of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamps(Vec<Stamp>);

/// What tells a target from how it was: where it stands, how many events it has run, and the one that it is to run, or runs.
type Stamp = (TargetStatus, usize, Option<(LifecycleEvent, bool)>);

impl Stamps {
    /// The targets that are otherwise than they were, as they are shown, of the first [`TARGETS_SHOWN_MAX`]; from now on they are known
    /// so.
    pub fn changed(&mut self, deployment: &Deployment) -> Vec<serde_json::Value> {
        let mut changed = Vec::new();
        let targets = deployment.targets.iter().take(TARGETS_SHOWN_MAX);
        for (number, target) in targets.enumerate() {
            let running = target.running;
            let stamp = (
                deployment.target_status(target),
                target.ended.len(),
                running.map(|running| (running.event, running.is_started)),
            );
            match self.0.get_mut(number) {
                Some(known) if *known == stamp => continue,
                Some(known) => *known = stamp,
                None => self.0.push(stamp),
            }
            changed.push(deployment.target_shown(target));
        }
        changed
    }
}
