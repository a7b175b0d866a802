//! Plans in which one side replaces the other: hosts that are there already, or the new containers of hosts beside their old ones.
//!
//! The new side is installed, waits until traffic may move, gets it in steps, and is watched while the old side is kept warm. Only
//! then is the old side taken down. Going back is moving the traffic back: the old side is still there, and nothing is installed.

use croft_proto::deploy::{
    ActionOnTimeout, BlueGreenDeploymentConfiguration, Creator, DeploymentConfig, Fleet,
    HealthRule, LifecycleEvent, Pace, PlannedTarget, RevisionHealth, Side, Span, Step, TargetKind,
    Was,
};

use super::{Course, Given, Refused, bake_ms, count, fleet_rule, hosts, kind, no_hosts, parent};
use crate::select::is_of_targets;
use crate::state::Deployment;

use LifecycleEvent::{
    AfterAllowTraffic, AfterBlockTraffic, AfterInstall, ApplicationStart, ApplicationStop,
    BeforeAllowTraffic, BeforeBlockTraffic, BeforeInstall, BlockTraffic, DownloadBundle, Install,
    ValidateService,
};

pub(super) fn course(given: &Given<'_>, config: &DeploymentConfig) -> Result<Course, Refused> {
    if given.accepted.creator == Creator::Rollback
        && let Some(parent) = parent(given)
    {
        return Ok(back(parent, bake_ms(given)));
    }
    let (new, old) = sides(given);
    if new.is_empty() {
        return Err(no_hosts(given));
    }
    let total = count(new.len());
    let rule = fleet_rule(config, total)?;
    let mut targets: Vec<PlannedTarget> = new;
    targets.extend(old);
    let whole = |from, to, events: &[LifecycleEvent], pace| Step::Run {
        targets: Span { from, to },
        events: events.to_vec(),
        pace,
    };
    let blue_green = given
        .settings
        .blue_green_deployment_configuration
        .clone()
        .unwrap_or_default();
    let (installing, allowing) = paces(kind(given), config);
    let mut steps = vec![
        whole(0, total, installed(kind(given)), installing),
        ready(&blue_green),
        whole(0, total, &[BeforeAllowTraffic], allowing),
    ];
    // With nothing to take traffic from there is nothing to be careful of.
    let has_old = targets.len() > total as usize;
    let moves = config.traffic_steps();
    let moves = moves
        .into_iter()
        .filter(|step| has_old || step.percent == 100);
    for step in moves {
        steps.push(Step::Shift {
            percent: step.percent,
            wait_ms: step.wait_seconds * 1_000,
        });
    }
    steps.push(whole(0, total, &[AfterAllowTraffic], allowing));
    let warm = &blue_green.terminate_blue_instances_on_deployment_success;
    let warm_ms = u64::from(warm.termination_wait_time_in_minutes) * 60_000;
    steps.push(Step::Bake {
        wait_ms: bake_ms(given).max(warm_ms),
    });
    let all = count(targets.len());
    if all > total {
        let is_kept = warm.action.as_deref() == Some("KEEP_ALIVE");
        let events = taken_down(kind(given), is_kept);
        // The release is out and well: an old container that does not end is no reason to say that it is not.
        let pace = match kind(given) {
            TargetKind::Host => Pace::Every,
            TargetKind::Container => Pace::Whichever,
        };
        steps.push(whole(total, all, &events, pace));
    }
    Ok(Course {
        targets,
        steps,
        rule,
        fleet: Fleet {
            total,
            healthy_before: total,
            bystanders: 0,
        },
    })
}

/// How the new side is installed, and allowed traffic. A container stands beside one that serves, so nothing is lost by beginning all of
/// them at once, and all must do well where nobody says how many hosts are enough.
const fn paces(given_kind: TargetKind, config: &DeploymentConfig) -> (Pace, Pace) {
    match (given_kind, config.minimum_healthy_hosts) {
        (TargetKind::Container, None) => (Pace::Every, Pace::Every),
        (TargetKind::Container | TargetKind::Host, _) => {
            (Pace::Healthy { zone: None }, Pace::Enough)
        }
    }
}

/// The new side and the old one. Nothing of the new side serves anybody yet, so all of it counts as healthy.
fn sides(given: &Given<'_>) -> (Vec<PlannedTarget>, Vec<PlannedTarget>) {
    let target = |host: &str, zone: Option<&str>, side| PlannedTarget {
        host: host.to_string(),
        zone: zone.map(ToString::to_string),
        side,
        was: Was::Healthy,
    };
    let of_group = hosts(given);
    if kind(given) == TargetKind::Container {
        let new = of_group.iter();
        let new = new.map(|(host, zone, _)| target(host, *zone, Side::New));
        // A failed deployment says nothing of its hosts here: what stands of them is what serves.
        let old = of_group.iter().filter(|(_, _, standing)| {
            standing.is_some_and(|standing| {
                standing.is_healthy && standing.revision == RevisionHealth::Current
            })
        });
        let old = old.map(|(host, zone, _)| target(host, *zone, Side::Old));
        return (new.collect(), old.collect());
    }
    let named = given.accepted.asked.target_instances.as_ref();
    let new: Vec<PlannedTarget> = match named {
        Some(named) => {
            let all = given.state.hosts.iter();
            all.filter(|(_, host)| host.is_enrolled && is_of_targets(named, &host.tags))
                .map(|(name, host)| target(name, host.zone.as_deref(), Side::New))
                .collect()
        }
        // Nobody names a new side: it is those of the group that have no traffic.
        None => {
            let idle = of_group.iter().filter(|(_, _, standing)| {
                standing.is_none_or(|standing| standing.revision != RevisionHealth::Current)
            });
            idle.map(|(host, zone, _)| target(host, *zone, Side::New))
                .collect()
        }
    };
    let serving = given.group.hosts.iter();
    let old = serving
        .filter(|(name, standing)| {
            standing.revision == RevisionHealth::Current
                && !new.iter().any(|target| target.host == **name)
        })
        .map(|(name, _)| {
            let zone = given.state.host(name).and_then(|host| host.zone.as_deref());
            target(name, zone, Side::Old)
        })
        .collect();
    (new, old)
}

const fn installed(kind: TargetKind) -> &'static [LifecycleEvent] {
    match kind {
        TargetKind::Host => &[
            ApplicationStop,
            DownloadBundle,
            BeforeInstall,
            Install,
            AfterInstall,
            ApplicationStart,
            ValidateService,
        ],
        // A new container has nothing to stop; the old one is stopped when it is taken down.
        TargetKind::Container => &[
            DownloadBundle,
            BeforeInstall,
            Install,
            AfterInstall,
            ApplicationStart,
            ValidateService,
        ],
    }
}

fn taken_down(kind: TargetKind, is_kept: bool) -> Vec<LifecycleEvent> {
    let mut events = vec![BeforeBlockTraffic, BlockTraffic, AfterBlockTraffic];
    if kind == TargetKind::Container && !is_kept {
        events.push(ApplicationStop);
    }
    events
}

fn ready(config: &BlueGreenDeploymentConfiguration) -> Step {
    let option = config.deployment_ready_option;
    let on_timeout = option.action_on_timeout;
    let minutes = match on_timeout {
        ActionOnTimeout::ContinueDeployment => 0,
        ActionOnTimeout::StopDeployment => option.wait_time_in_minutes,
    };
    Step::Ready {
        wait_ms: u64::from(minutes) * 60_000,
        on_timeout,
    }
}

/// Traffic back to the old side. Before any has moved there is only the new side to be discarded, and nothing to be watched.
fn back(parent: &Deployment, watched_ms: u64) -> Course {
    let turned = |side, to| {
        let targets = parent.targets.iter();
        targets
            .filter(move |target| target.planned.side == side)
            .map(move |target| PlannedTarget {
                side: to,
                ..target.planned.clone()
            })
    };
    let mut targets: Vec<PlannedTarget> = turned(Side::Old, Side::New).collect();
    let total = count(targets.len());
    targets.extend(turned(Side::New, Side::Old));
    let all = count(targets.len());
    let run = |from, to, events: &[LifecycleEvent], pace| Step::Run {
        targets: Span { from, to },
        events: events.to_vec(),
        pace,
    };
    let to_all = Step::Shift {
        percent: 100,
        wait_ms: 0,
    };
    // Traffic first: scripts may take long, and the old side was never stopped.
    let mut steps = vec![to_all];
    if parent.traffic_percent > 0 {
        steps.push(run(0, total, &[BeforeAllowTraffic], Pace::Whichever));
        steps.push(run(0, total, &[AfterAllowTraffic], Pace::Whichever));
    }
    let kind = parent.plan.as_ref().map(|plan| plan.target_kind);
    let events = taken_down(kind.unwrap_or_default(), false);
    steps.push(run(total, all, &events, Pace::Whichever));
    if parent.traffic_percent > 0 && watched_ms > 0 {
        steps.push(Step::Bake {
            wait_ms: watched_ms,
        });
    }
    Course {
        targets,
        steps,
        rule: HealthRule {
            minimum: 0,
            at_once_max: all.max(1),
        },
        fleet: Fleet {
            total,
            healthy_before: total,
            bystanders: 0,
        },
    }
}
