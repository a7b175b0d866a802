//! Telling balancers, one thing after the other for each group. Received from the loop: weights, and hosts to be let in or out; handed
//! back: what to await beside everything else, and then whether it is so.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use croft_balance::Seen;
use croft_proto::deploy::{
    DeploymentId, Diagnostics, EventStatus, LifecycleEvent, Router, ScriptErrorCode,
};
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::routing::Routing;
use crate::intent::GroupName;
use crate::step::{Report, Said};
use crate::traffic::{Needs, WEIGHT_FULL, Weights};

/// How long a host that is taken out may take to end what it has begun.
const DRAIN_MAX: Duration = Duration::from_secs(30);
/// How long a host that is let in may take to be well in its balancer's eyes.
const WELL_MAX: Duration = Duration::from_secs(300);
/// Between two looks at a balancer.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// A host that a balancer is letting in or out.
pub(super) type RouteKey = (DeploymentId, String, LifecycleEvent);

/// The deployment and its step that wait for a group's weights.
pub(super) type Waiting = Option<(DeploymentId, u32)>;

/// A balancer was told all of a group's weights.
pub(super) struct Told {
    pub(super) group: GroupName,
    /// None when somebody else has told it something newer: nobody is told that a step's weights are so, they are decided anew.
    pub(super) step: Waiting,
    pub(super) how: Result<(), String>,
}

/// Whose turn it is to tell a group's balancer.
#[derive(Debug, Default)]
struct Turn {
    lock: Mutex<()>,
    /// Of what was decided last: whatever is older tells a balancer nothing any more, whenever its turn comes.
    newest: AtomicU64,
}

impl Turn {
    fn number(&self) -> u64 {
        self.newest.fetch_add(1, Ordering::AcqRel) + 1
    }

    fn is_newest(&self, number: u64) -> bool {
        self.newest.load(Ordering::Acquire) == number
    }
}

/// What is on its way to them.
#[derive(Default)]
pub(super) struct Balancers {
    /// One balancer is told one thing after the other.
    turns: HashMap<GroupName, Arc<Turn>>,
    routes: HashSet<RouteKey>,
    /// Groups whose balancer does not do as it is told, so that it is said once.
    troubled: HashSet<GroupName>,
}

impl Balancers {
    fn turn(&mut self, group: &GroupName) -> Arc<Turn> {
        Arc::clone(self.turns.entry(group.clone()).or_default())
    }

    /// All of a group's weights.
    pub(super) fn tell(
        &mut self,
        routing: Arc<dyn Routing>,
        router: Router,
        weights: Weights,
        step: Waiting,
    ) -> BoxFuture<'static, Told> {
        let (group, turn) = (weights.group.clone(), self.turn(&weights.group));
        let needs = weights.needs;
        let wanted: BTreeMap<String, u32> = weights
            .weights
            .into_iter()
            .map(|weight| (weight.server(), weight.weight))
            .collect();
        let number = turn.number();
        Box::pin(async move {
            let _turn = turn.lock.lock().await;
            if !turn.is_newest(number) {
                return Told {
                    group,
                    step: None,
                    how: Ok(()),
                };
            }
            let how = moved(&*routing, &router, &wanted, needs).await;
            Told { group, step, how }
        })
    }

    /// Says how that went, when it went otherwise than the last time; the step that its balancer now has been told of.
    pub(super) fn told(&mut self, told: Told) -> Waiting {
        let Told { group, step, how } = told;
        let (application, name) = (&group.application, &group.group);
        match how {
            Ok(()) => {
                if self.troubled.remove(&group) {
                    tracing::info!(
                        application,
                        group = name,
                        "its balancer does as it is told again"
                    );
                }
                step
            }
            Err(error) => {
                if !self.troubled.contains(&group) {
                    tracing::warn!(
                        application,
                        group = name,
                        error,
                        "its balancer does not do as it is told"
                    );
                    self.troubled.insert(group);
                }
                None
            }
        }
    }

    /// Lets a host in or out, and then says how that went; none when that is on its way already.
    pub(super) fn route(
        &mut self,
        routing: Arc<dyn Routing>,
        router: Router,
        (group, server): (&GroupName, String),
        mut report: Report,
    ) -> Option<BoxFuture<'static, (RouteKey, Report)>> {
        let key = (report.deployment.clone(), report.host.clone(), report.event);
        if !self.routes.insert(key.clone()) {
            return None;
        }
        let turn = self.turn(group);
        turn.number();
        Some(Box::pin(async move {
            let routed = route(&*routing, &turn, &router, &server, report.event).await;
            report.said = match routed {
                Ok(()) => Said::Ended(EventStatus::Succeeded, None),
                Err(message) => Said::Ended(EventStatus::Failed, Some(Box::new(failed(message)))),
            };
            (key, report)
        }))
    }

    /// The same may be wanted again.
    pub(super) fn routed(&mut self, key: &RouteKey) {
        self.routes.remove(key);
    }
}

/// Where one side takes the other's place, those that are to have traffic get it first, and the others keep theirs until the balancer sees
/// that they are well.
async fn moved(
    routing: &dyn Routing,
    router: &Router,
    wanted: &BTreeMap<String, u32>,
    needs: Option<Needs>,
) -> Result<(), String> {
    let raised = wanted.iter().filter(|(_, weight)| **weight > 0);
    let raised: BTreeMap<String, u32> = raised
        .map(|(name, weight)| (name.clone(), *weight))
        .collect();
    if let Some(needs) = needs.filter(|_| !raised.is_empty()) {
        let seen = routing.set(router, &raised).await?;
        let is_down = |name: &&String| {
            seen.get(*name)
                .is_some_and(|seen| seen.is_up == Some(false))
        };
        let down: Vec<&str> = raised.keys().filter(is_down).map(String::as_str).collect();
        let is_enough = match needs {
            Needs::All => down.is_empty(),
            Needs::One => down.len() < raised.len(),
        };
        if !is_enough {
            return Err(format!(
                "its checks of {} do not succeed; until they do, the others keep their traffic",
                down.join(", ")
            ));
        }
    }
    routing.set(router, wanted).await.map(drop)
}

fn failed(message: String) -> Diagnostics {
    Diagnostics {
        error_code: ScriptErrorCode::UnknownError,
        script_name: String::new(),
        message,
        log_tail: String::new(),
        script_from_deployment: None,
    }
}

/// Until the host has ended what it has begun, or is well. It must be so twice: another server may have told the balancer what held a
/// moment ago.
async fn route(
    routing: &dyn Routing,
    turn: &Turn,
    router: &Router,
    host: &str,
    event: LifecycleEvent,
) -> Result<(), String> {
    let opens = event == LifecycleEvent::AllowTraffic;
    let weight = if opens { WEIGHT_FULL } else { 0 };
    let wanted = BTreeMap::from([(host.to_string(), weight)]);
    let deadline = Instant::now() + if opens { WELL_MAX } else { DRAIN_MAX };
    let mut times = 0;
    loop {
        let seen = {
            let _turn = turn.lock.lock().await;
            routing.set(router, &wanted).await
        };
        let is_late = Instant::now() >= deadline;
        match seen.map(|seen| seen.get(host).cloned()) {
            Ok(server) if is_so(server.as_ref(), opens) && (times > 0 || server.is_none()) => {
                return Ok(());
            }
            Ok(server) if is_so(server.as_ref(), opens) && !is_late => {
                times += 1;
                tokio::time::sleep(LOOK_AGAIN_AFTER).await;
            }
            // What is left of its sessions ends with it.
            Ok(_) if is_late && !opens => return Ok(()),
            Ok(_) if is_late => {
                return Err(format!(
                    "the balancer's checks of {host} do not succeed after {} s",
                    WELL_MAX.as_secs()
                ));
            }
            Err(error) if is_late => return Err(error),
            Ok(_) | Err(_) => {
                times = 0;
                tokio::time::sleep(LOOK_AGAIN_AFTER).await;
            }
        }
    }
}

/// Whether a server is as wanted; a balancer that does not say is believed.
fn is_so(server: Option<&Seen>, opens: bool) -> bool {
    match (server, opens) {
        (None, _) => true,
        (Some(server), true) => server.is_up != Some(false),
        (Some(server), false) => server.sessions == 0,
    }
}
