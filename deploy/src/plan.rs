//! A deployment's plan, made when its turn comes: which hosts, in which order, and what is done. Received from the state; recorded, and
//! never changed.
//!
//! The order of hosts is zone by zone where a configuration says so, and then: those whose last deployment failed and those that never
//! had one, then those of an unknown revision, of an old one, and the current ones. Hosts that are not heard come after all that are:
//! one that does not answer is waited for, and the others must not wait with it.

/// The old side and the new one.
mod sides;

use std::collections::BTreeSet;

use croft_proto::deploy::{
    Accepted, Colour, Creator, DeploymentConfig, DeploymentGroup, DeploymentOption, DeploymentType,
    ErrorCode, Fleet, HealthRule, LifecycleEvent, Pace, Plan, PlannedContainers, PlannedTarget,
    RevisionHealth, Side, Span, Standing, Step, TargetKind, Was, ZonalConfig,
};
use croft_proto::deploy::{BAKE_MINUTES, ComputePlatform, DEFAULT_CONFIG};

use crate::health::rule;
use crate::intent::GroupName;
use crate::select::is_of_group;
use crate::state::{Deployment, Group, State};
use crate::verdict::Settings;

/// Most targets of a deployment: their names and standings fit one batch of events.
pub const TARGETS_MAX: usize = 20_000;

/// Hosts that one automatic update brings to their group's revision: their names fit one event.
pub(crate) const UPDATED_MAX: usize = 150;

/// What a deployment of containers goes by when nobody names a configuration: AWS's own.
const DEFAULT_CONFIG_OF_CONTAINERS: &str = "CodeDeployDefault.ECSAllAtOnce";

/// Zones in a plan: a provider's regions have six.
const ZONES_MAX: usize = 64;

/// Guard rails watch what is taken back to for so long: three checks in a row and two restarts of what does not stay up.
const GUARDED_MS_MAX: u64 = 60_000;

/// Why a deployment cannot begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// AWS's word.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
}

pub(crate) fn refused(code: ErrorCode, message: impl Into<String>) -> Refused {
    Refused {
        code,
        message: message.into(),
    }
}

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given<'s> {
    pub(crate) state: &'s State,
    pub(crate) name: &'s GroupName,
    pub(crate) group: &'s Group,
    pub(crate) settings: &'s DeploymentGroup,
    pub(crate) accepted: &'s Accepted,
    /// Hosts that are not heard.
    pub(crate) silent: &'s BTreeSet<String>,
}

/// Targets in order, what is done with them, and what must hold.
#[derive(Debug)]
pub(crate) struct Course {
    pub(crate) targets: Vec<PlannedTarget>,
    pub(crate) steps: Vec<Step>,
    pub(crate) rule: HealthRule,
    pub(crate) fleet: Fleet,
}

/// The plan of a deployment whose turn it is, and its targets; those that are `silent` are the last of theirs.
///
/// # Errors
/// When it cannot begin: it is over then, and nothing was changed.
pub fn plan(
    state: &State,
    deployment: &Deployment,
    silent: &BTreeSet<String>,
) -> Result<(Plan, Vec<PlannedTarget>), Refused> {
    let name = deployment.group();
    let gone = || {
        refused(
            ErrorCode::DeploymentGroupMissing,
            format!("the group {}/{} is gone", name.application, name.group),
        )
    };
    let group = state.group(&name).ok_or_else(gone)?;
    let settings = group.settings.as_ref().ok_or_else(gone)?;
    let accepted = &deployment.accepted;
    let given = Given {
        state,
        name: &name,
        group,
        settings,
        accepted,
        silent,
    };
    let config = config(&given)?;
    let containers = containers(&given)?;
    let course = match settings.deployment_style.deployment_type {
        DeploymentType::InPlace => in_place(&given, &config)?,
        DeploymentType::BlueGreen => sides::course(&given, &config)?,
    };
    if course.targets.len() > TARGETS_MAX {
        return Err(refused(
            ErrorCode::OverMaxInstances,
            format!(
                "{} hosts: a deployment has at most {TARGETS_MAX}",
                course.targets.len()
            ),
        ));
    }
    Ok(written(&given, &config, containers, course))
}

fn written(
    given: &Given<'_>,
    config: &DeploymentConfig,
    containers: Option<PlannedContainers>,
    course: Course,
) -> (Plan, Vec<PlannedTarget>) {
    let (settings, accepted) = (given.settings, given.accepted);
    let asked = &accepted.asked;
    // What takes another one back is judged by guard rails alone: the alarm that ended the other one may still be firing.
    let is_rollback = accepted.creator == Creator::Rollback;
    let alarms = asked
        .override_alarm_configuration
        .as_ref()
        .filter(|alarms| alarms.enabled)
        .or_else(|| match asked.override_alarm_configuration {
            None => settings.alarms(),
            Some(_) => None,
        })
        .filter(|_| !is_rollback);
    let verdicts = settings.own.as_ref().and_then(|own| own.verdicts.clone());
    let verdicts = verdicts.filter(|_| !is_rollback || is_guarded(given));
    let rollback_on = match &asked.auto_rollback_configuration {
        Some(rollback) if rollback.enabled => rollback.events.clone(),
        Some(_) => Vec::new(),
        None => settings.rollback_events().to_vec(),
    };
    let plan = Plan {
        generation: given.group.generation + 1,
        parent: accepted.parent.clone(),
        creator: accepted.creator,
        application_name: given.name.application.clone(),
        deployment_group_name: given.name.group.clone(),
        deployment_group_id: settings.deployment_group_id.clone(),
        deployment_type: settings.deployment_style.deployment_type,
        target_kind: kind(given),
        containers,
        revision: asked.revision.clone(),
        previous_revision: given.group.target().map(|good| good.asked.revision.clone()),
        app_spec_filename: asked.own().app_spec_filename,
        file_exists_behavior: asked.file_exists_behavior,
        ignore_application_stop_failures: asked.ignore_application_stop_failures,
        deployment_config_name: config.deployment_config_name.clone(),
        rule: course.rule,
        fleet: course.fleet,
        targets: u32::try_from(course.targets.len()).unwrap_or(u32::MAX),
        steps: course.steps,
        moves_traffic: moves_traffic(settings),
        alarms: alarms.map(|of| of.alarms.clone()).unwrap_or_default(),
        ignore_poll_alarm_failure: alarms.is_some_and(|of| of.ignore_poll_alarm_failure),
        is_watched: !is_rollback && (alarms.is_some() || verdicts.is_some()),
        verdicts,
        rollback_on,
    };
    (plan, course.targets)
}

fn config(given: &Given<'_>) -> Result<DeploymentConfig, Refused> {
    let asked = given.accepted.asked.deployment_config_name.as_deref();
    let name = asked
        .or(given.settings.deployment_config_name.as_deref())
        .unwrap_or(match kind(given) {
            TargetKind::Host => DEFAULT_CONFIG,
            TargetKind::Container => DEFAULT_CONFIG_OF_CONTAINERS,
        });
    given.state.config(name).ok_or_else(|| {
        refused(
            ErrorCode::InternalError,
            format!("there is no deployment configuration `{name}`"),
        )
    })
}

pub(crate) fn kind(given: &Given<'_>) -> TargetKind {
    let app = given.state.app(&given.name.application);
    let platform = app.and_then(|app| app.application.as_ref());
    match platform.map(|application| application.compute_platform) {
        Some(ComputePlatform::Ecs) => TargetKind::Container,
        Some(ComputePlatform::Server | ComputePlatform::Lambda) | None => TargetKind::Host,
    }
}

/// Which containers the new side is: those that do not serve. What goes back turns its parent's sides around.
fn containers(given: &Given<'_>) -> Result<Option<PlannedContainers>, Refused> {
    if kind(given) == TargetKind::Host {
        return Ok(None);
    }
    let turned = parent(given).and_then(|parent| parent.plan.as_ref()?.containers);
    if let Some(turned) = turned.filter(|_| given.accepted.creator == Creator::Rollback) {
        return Ok(Some(PlannedContainers {
            new: turned.new.other(),
            ..turned
        }));
    }
    let fits = given.settings.check_platform(ComputePlatform::Ecs);
    fits.map_err(|wrong| refused(ErrorCode::InternalError, wrong.join("; ")))?;
    let own = given.settings.own.as_ref();
    let settings = own.and_then(|own| own.containers);
    Ok(settings.map(|settings| PlannedContainers {
        new: given.group.serves.map_or(Colour::Blue, Colour::other),
        ports: settings.ports,
    }))
}

fn moves_traffic(settings: &DeploymentGroup) -> bool {
    let style = settings.deployment_style;
    let is_asked = style.deployment_option == DeploymentOption::WithTrafficControl
        || style.deployment_type == DeploymentType::BlueGreen;
    is_asked && settings.router().is_some()
}

/// Whether guard rails can see what is taken back to.
fn is_guarded(given: &Given<'_>) -> bool {
    let own = given.settings.own.as_ref();
    let written = own.and_then(|own| own.verdicts.as_ref());
    let settings = written.and_then(|written| Settings::read(written).ok());
    settings.is_some_and(|settings| settings.has_guards())
}

/// How long it is watched at the end. A rollback is as long as guard rails need, at most: the good revision serves already.
pub(crate) fn bake_ms(given: &Given<'_>) -> u64 {
    match given.accepted.creator {
        Creator::Rollback if !is_guarded(given) => 0,
        Creator::Rollback => own_bake_ms(given).min(GUARDED_MS_MAX),
        Creator::User | Creator::AutoUpdate => own_bake_ms(given),
    }
}

fn own_bake_ms(given: &Given<'_>) -> u64 {
    let own = given.settings.own.as_ref();
    let minutes = given
        .accepted
        .asked
        .own()
        .bake_minutes
        .or_else(|| own.and_then(|own| own.bake_minutes));
    let is_measured =
        given.settings.alarms().is_some() || own.is_some_and(|own| own.verdicts.is_some());
    let usual = if is_measured { BAKE_MINUTES } else { 0 };
    u64::from(minutes.unwrap_or(usual)) * 60_000
}

/// The group's hosts, each with how it is.
pub(crate) fn hosts<'s>(given: &Given<'s>) -> Vec<(&'s str, Option<&'s str>, Option<Standing>)> {
    let hosts = given.state.hosts.iter();
    hosts
        .filter(|(_, host)| host.is_enrolled && is_of_group(given.settings, &host.tags))
        .map(|(name, host)| {
            let standing = given.group.hosts.get(name).copied();
            (name.as_str(), host.zone.as_deref(), standing)
        })
        .collect()
}

/// Smaller goes first.
fn rank(standing: Option<Standing>) -> u8 {
    match standing {
        Some(Standing {
            is_healthy: false, ..
        })
        | None => 0,
        Some(standing) => match standing.revision {
            RevisionHealth::Unknown => 1,
            RevisionHealth::Old => 2,
            RevisionHealth::Current => 3,
        },
    }
}

const fn was(standing: Option<Standing>) -> Was {
    match standing {
        Some(Standing {
            is_healthy: true, ..
        }) => Was::Healthy,
        Some(_) | None => Was::Unhealthy,
    }
}

fn in_place(given: &Given<'_>, config: &DeploymentConfig) -> Result<Course, Refused> {
    let mut all = hosts(given);
    let is_zonal = config.zonal_config.is_some();
    all.sort_by_key(|(host, zone, standing)| {
        let zone = zone.filter(|_| is_zonal);
        (zone, given.silent.contains(*host), rank(*standing))
    });
    let total = count(all.len());
    let healthy = count(
        all.iter()
            .filter(|(_, _, standing)| was(*standing) == Was::Healthy)
            .count(),
    );
    // On a first deployment nothing is healthy yet: every host counts as if it were, or a minimum would mean nothing.
    let is_first = healthy == 0;
    let mut bystanders = 0;
    let mut targets = Vec::new();
    for (host, zone, standing) in all {
        let was = if is_first {
            Was::Healthy
        } else {
            was(standing)
        };
        if !is_target(given, host, standing) {
            bystanders += u32::from(was == Was::Healthy);
            continue;
        }
        targets.push(PlannedTarget {
            host: host.to_string(),
            zone: zone.map(ToString::to_string),
            side: Side::New,
            was,
        });
    }
    if targets.is_empty() {
        return Err(no_hosts(given));
    }
    let rule = fleet_rule(config, total)?;
    let fleet = Fleet {
        total,
        healthy_before: if is_first { total } else { healthy },
        bystanders,
    };
    let mut steps = match &config.zonal_config {
        Some(zonal) => zones(given, &targets, zonal)?,
        None => canary_first(given, &targets, config),
    };
    steps.push(Step::Bake {
        wait_ms: bake_ms(given),
    });
    Ok(Course {
        targets,
        steps,
        rule,
        fleet,
    })
}

/// The canary, a wait, and the others, where the configuration says so; what takes back or mends does not wait.
fn canary_first(
    given: &Given<'_>,
    targets: &[PlannedTarget],
    config: &DeploymentConfig,
) -> Vec<Step> {
    let run = |from, to, zone| Step::Run {
        targets: Span { from, to },
        events: in_place_events(given.settings),
        pace: Pace::Healthy { zone },
    };
    let all = count(targets.len());
    let canary = config.own.as_ref().and_then(|own| own.canary);
    let is_release = given.accepted.creator == Creator::User;
    let Some(canary) = canary.filter(|canary| is_release && canary.hosts < all) else {
        return vec![run(0, all, None)];
    };
    // Counted as a zone is, so that the others do not follow when none of the canary went well.
    let first = &targets[..canary.hosts as usize];
    let healthy = first.iter().filter(|target| target.was == Was::Healthy);
    let fleet = Fleet {
        total: canary.hosts,
        healthy_before: count(healthy.count()),
        bystanders: 0,
    };
    let rule = HealthRule {
        minimum: 0,
        at_once_max: canary.hosts,
    };
    vec![
        run(0, canary.hosts, Some((rule, fleet))),
        Step::Watch {
            wait_ms: canary.wait_seconds * 1_000,
        },
        run(canary.hosts, all, None),
    ]
}

pub(crate) fn fleet_rule(config: &DeploymentConfig, total: u32) -> Result<HealthRule, Refused> {
    let Some(minimum) = config.minimum_healthy_hosts else {
        return Ok(HealthRule {
            minimum: 0,
            at_once_max: total.max(1),
        });
    };
    rule(minimum, total)
        .map_err(|invalid| refused(ErrorCode::HealthConstraintsInvalid, invalid.to_string()))
}

pub(crate) fn no_hosts(given: &Given<'_>) -> Refused {
    refused(
        ErrorCode::NoInstances,
        format!(
            "the group {}/{} has no hosts to deploy to: enrol some, or look at its tags",
            given.name.application, given.name.group
        ),
    )
}

/// Whether a host of the group is deployed to.
fn is_target(given: &Given<'_>, host: &str, standing: Option<Standing>) -> bool {
    let is_current = standing.is_some_and(|standing| {
        standing.is_healthy && standing.revision == RevisionHealth::Current
    });
    let accepted = given.accepted;
    match (accepted.creator, parent(given)) {
        (Creator::AutoUpdate, _) => accepted.only.iter().any(|only| only == host),
        // Those that the other one did not come to have the good revision still.
        (Creator::Rollback, Some(parent)) => {
            !is_current
                || parent
                    .target(Side::New, host)
                    .is_some_and(|number| parent.at(number).is_attempted)
        }
        (Creator::User | Creator::Rollback, _) => {
            !accepted.asked.update_outdated_instances_only || !is_current
        }
    }
}

/// What is taken back.
pub(crate) fn parent<'s>(given: &Given<'s>) -> Option<&'s Deployment> {
    given.state.deployment(given.accepted.parent.as_ref()?)
}

/// All thirteen events behind a balancer, seven without.
fn in_place_events(settings: &DeploymentGroup) -> Vec<LifecycleEvent> {
    let has_traffic = moves_traffic(settings);
    LifecycleEvent::ALL
        .into_iter()
        .filter(|event| has_traffic || !event.needs_traffic_control())
        .collect()
}

/// A step for each zone, and a wait after each but the last.
fn zones(
    given: &Given<'_>,
    targets: &[PlannedTarget],
    zonal: &ZonalConfig,
) -> Result<Vec<Step>, Refused> {
    let mut steps = Vec::new();
    let mut from = 0;
    let zones: Vec<&[PlannedTarget]> = targets.chunk_by(|a, b| a.zone == b.zone).collect();
    if zones.len() > ZONES_MAX {
        return Err(refused(
            ErrorCode::InternalError,
            format!("{} zones: at most {ZONES_MAX}", zones.len()),
        ));
    }
    let each = zonal.monitor_duration_in_seconds.unwrap_or_default();
    let first = zonal.first_zone_monitor_duration_in_seconds.unwrap_or(each);
    for (number, zone) in zones.iter().enumerate() {
        if number > 0 {
            let seconds = if number == 1 { first } else { each };
            steps.push(Step::Watch {
                wait_ms: seconds * 1_000,
            });
        }
        let total = count(zone.len());
        let healthy = zone.iter().filter(|target| target.was == Was::Healthy);
        let fleet = Fleet {
            total,
            healthy_before: count(healthy.count()),
            bystanders: 0,
        };
        let rule = match zonal.minimum_healthy_hosts_per_zone {
            None => HealthRule {
                minimum: 0,
                at_once_max: total,
            },
            Some(minimum) => rule(minimum, total).map_err(|invalid| {
                let zone = zone[0].zone.as_deref().unwrap_or("without a name");
                refused(
                    ErrorCode::HealthConstraintsInvalid,
                    format!("in the zone {zone} {invalid}"),
                )
            })?,
        };
        steps.push(Step::Run {
            targets: Span {
                from,
                to: from + total,
            },
            events: in_place_events(given.settings),
            pace: Pace::Healthy {
                zone: Some((rule, fleet)),
            },
        });
        from += total;
    }
    Ok(steps)
}

pub(crate) fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
