//! A deployment as people and tools see it, in AWS's shape. Made of the fold, for whoever is asked.

use croft_proto::deploy::{
    ComputePlatform, DeploymentInfo, DeploymentOverview, DeploymentStatus, EventStatus,
    OwnOfDeploymentInfo, RollbackInfo, Side, Step, TargetStatus,
};
use serde_json::{Value, json};

use crate::state::{Deployment, State, Target};

/// Targets that are shown in one answer.
pub const TARGETS_SHOWN_MAX: usize = 1_000;

/// A deployment.
#[must_use]
pub fn info(state: &State, deployment: &Deployment) -> DeploymentInfo {
    let (accepted, plan) = (&deployment.accepted, deployment.plan.as_ref());
    let asked = &accepted.asked;
    let group = state.group(&deployment.group());
    let settings = group.and_then(|group| group.settings.as_ref());
    let app = state.app(&asked.application_name);
    let application = app.and_then(|app| app.application.as_ref());
    let end = deployment.end.as_ref();
    DeploymentInfo {
        application_name: asked.application_name.clone(),
        deployment_group_name: asked.deployment_group_name.clone(),
        deployment_config_name: plan
            .map(|plan| plan.deployment_config_name.clone())
            .or_else(|| asked.deployment_config_name.clone()),
        deployment_id: deployment.id.clone(),
        previous_revision: plan.and_then(|plan| plan.previous_revision.clone()),
        revision: asked.revision.clone(),
        status: status(deployment),
        error_information: end.and_then(|end| end.error.as_deref().cloned()),
        create_time: deployment.created,
        start_time: deployment.began,
        complete_time: end.map(|end| end.at),
        deployment_overview: overview(deployment),
        description: asked.description.clone(),
        creator: accepted.creator.name().to_string(),
        ignore_application_stop_failures: asked.ignore_application_stop_failures,
        update_outdated_instances_only: asked.update_outdated_instances_only,
        rollback_info: rollback(deployment),
        deployment_style: settings.map(|settings| settings.deployment_style),
        file_exists_behavior: asked.file_exists_behavior,
        compute_platform: application.map_or(ComputePlatform::Server, |application| {
            application.compute_platform
        }),
        own: OwnOfDeploymentInfo {
            generation: plan.map(|plan| plan.generation),
            steps: plan.map(|plan| plan.steps.clone()).unwrap_or_default(),
            step: plan.map(|_| deployment.step),
            traffic_percent: plan
                .filter(|plan| plan.moves_traffic)
                .map(|_| deployment.traffic_percent),
            finding: end.and_then(|end| end.finding.clone()),
        },
    }
}

/// Where it stands.
#[must_use]
pub fn status(deployment: &Deployment) -> DeploymentStatus {
    match (&deployment.end, deployment.current()) {
        (Some(end), _) => end.status,
        (None, None) if deployment.plan.is_none() => DeploymentStatus::Queued,
        (None, Some(Step::Bake { .. })) => DeploymentStatus::Baking,
        (None, Some(Step::Ready { .. })) => DeploymentStatus::Ready,
        (None, Some(Step::Run { .. } | Step::Watch { .. } | Step::Shift { .. }) | None) => {
            DeploymentStatus::InProgress
        }
    }
}

fn rollback(deployment: &Deployment) -> Option<RollbackInfo> {
    let end = deployment.end.as_ref();
    let info = RollbackInfo {
        rollback_deployment_id: end.and_then(|end| end.rollback.clone()),
        rollback_triggering_deployment_id: deployment.accepted.parent.clone(),
        rollback_message: end.and_then(|end| end.rollback_message.clone()),
    };
    (info != RollbackInfo::default()).then_some(info)
}

fn overview(deployment: &Deployment) -> DeploymentOverview {
    let mut overview = DeploymentOverview::default();
    for target in &deployment.targets {
        *match target_status(deployment, target) {
            TargetStatus::Pending | TargetStatus::Unknown => &mut overview.pending,
            TargetStatus::InProgress => &mut overview.in_progress,
            TargetStatus::Succeeded => &mut overview.succeeded,
            TargetStatus::Failed => &mut overview.failed,
            TargetStatus::Skipped => &mut overview.skipped,
            TargetStatus::Ready => &mut overview.ready,
        } += 1;
    }
    overview
}

/// Where one of its targets stands.
#[must_use]
pub fn target_status(deployment: &Deployment, target: &Target) -> TargetStatus {
    let is_over = deployment.end.is_some();
    match target {
        target if target.is_failed => TargetStatus::Failed,
        target if target.running.is_some() => TargetStatus::InProgress,
        target if target.is_done => match deployment.current() {
            Some(Step::Ready { .. }) if !is_over => TargetStatus::Ready,
            Some(_) | None => TargetStatus::Succeeded,
        },
        _ if is_over => TargetStatus::Skipped,
        target if target.is_attempted => TargetStatus::InProgress,
        _ => TargetStatus::Pending,
    }
}

/// A deployment's targets, in AWS's shape (`InstanceTarget`), at most [`TARGETS_SHOWN_MAX`].
#[must_use]
pub fn targets(deployment: &Deployment) -> Vec<Value> {
    let shown = deployment.targets.iter().take(TARGETS_SHOWN_MAX);
    shown
        .map(|target| shown_target(deployment, target))
        .collect()
}

fn shown_target(deployment: &Deployment, target: &Target) -> Value {
    let ended = target
        .ended
        .iter()
        .map(|(event, status)| json!({"lifecycleEventName": event, "status": status}));
    let running = target.running.map(|running| {
        let status = if running.is_started {
            EventStatus::InProgress
        } else {
            EventStatus::Pending
        };
        json!({"lifecycleEventName": running.event, "status": status, "startTime": running.since})
    });
    let label = match target.planned.side {
        Side::New => "Green",
        Side::Old => "Blue",
    };
    json!({
        "deploymentId": deployment.id,
        "targetId": target.planned.host,
        "status": target_status(deployment, target),
        "instanceLabel": label,
        "zone": target.planned.zone,
        "lifecycleEvents": ended.chain(running).collect::<Vec<_>>(),
    })
}
