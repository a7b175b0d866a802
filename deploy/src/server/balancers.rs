//! Telling balancers, one thing after the other for each group. Received from the loop: weights, and hosts to be let in or out; handed
//! back: what to await beside everything else, and then whether it is so.

/// How they are.
mod shown;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use croft_balance::Seen;
use croft_proto::Timestamp;
use croft_proto::deploy::{
    DeploymentId, Diagnostics, EventStatus, LifecycleEvent, Router, ScriptErrorCode, Side,
};
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::routing::{Balanced, Routing};
use crate::intent::GroupName;
use crate::step::{Report, Said};
use crate::traffic::{Needs, WEIGHT_FULL, Weight, Weights};

/// How long a host that is taken out may take to end what it has begun.
const DRAIN_MAX: Duration = Duration::from_secs(30);
/// How long a host that is let in may take to be well in its balancer's eyes.
const WELL_MAX: Duration = Duration::from_secs(300);
/// How much longer a balancer is asked that does not do as it is told: another server that reaches it has then long said how it ended.
const AWAY_MAX: Duration = Duration::from_secs(60);
/// Between two looks at a balancer.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// A host that a balancer is letting in or out.
pub(super) type RouteKey = (DeploymentId, String, LifecycleEvent);

/// The deployment and its step that wait for a group's weights.
pub(super) type Waiting = Option<(DeploymentId, u32)>;

/// A balancer was told all of a group's weights.
pub(super) struct Told {
    pub(super) group: GroupName,
    pub(super) step: Waiting,
    /// None when somebody else has told it something newer: nobody is told that a step's weights are so, they are decided anew.
    pub(super) how: Option<Result<Noted, String>>,
}

/// What is to be said of a balancer that was told.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// Of servers that are not there, or not Croft's to open and close.
    notes: BTreeSet<String>,
    /// What a side with traffic waits for, when none of its servers can have any.
    holds: bool,
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
    /// And whether somebody else has said how that ended.
    routes: HashMap<RouteKey, Arc<AtomicBool>>,
    /// What is wrong with a group's balancer, and since when, so that it is said once.
    troubled: HashMap<GroupName, BTreeMap<String, Timestamp>>,
    /// How a group's balancer was when it was told the last time.
    reached: BTreeMap<GroupName, Reached>,
}

/// How a balancer was when it was told the last time.
#[derive(Clone, Debug)]
enum Reached {
    /// It did as it was told.
    Well,
    /// It has not since then, and said this last.
    NotSince(Timestamp, String),
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
        let (needs, weights) = (weights.needs, weights.weights);
        let wanted: BTreeMap<String, u32> = weights
            .iter()
            .map(|weight| (weight.server(), weight.weight))
            .collect();
        let number = turn.number();
        Box::pin(async move {
            let _turn = turn.lock.lock().await;
            if !turn.is_newest(number) {
                return Told {
                    group,
                    step: None,
                    how: None,
                };
            }
            let told = moved(&*routing, &router, &wanted, needs).await;
            let how = told.map(|balanced| noted(&weights, &balanced));
            let how = Some(how);
            Told { group, step, how }
        })
    }

    /// Says how that went, when it went otherwise than the last time; the step that its balancer now has been told of.
    pub(super) fn told(&mut self, told: Told, now: Timestamp) -> Waiting {
        let Told { group, step, how } = told;
        let how = how?;
        let (application, name) = (&group.application, &group.group);
        let reached = match (&how, self.reached.get(&group)) {
            (Ok(_), _) => Reached::Well,
            (Err(error), Some(Reached::NotSince(since, _))) => {
                Reached::NotSince(*since, error.clone())
            }
            (Err(error), Some(Reached::Well) | None) => Reached::NotSince(now, error.clone()),
        };
        self.reached.insert(group.clone(), reached);
        let (notes, step) = match how {
            Ok(noted) => (noted.notes, step.filter(|_| !noted.holds)),
            Err(error) => {
                let note = format!("it does not do as it is told: {error}");
                (BTreeSet::from([note]), None)
            }
        };
        let before = self.troubled.remove(&group).unwrap_or_default();
        for note in notes.iter().filter(|note| !before.contains_key(*note)) {
            tracing::warn!(application, group = name, "its balancer: {note}");
        }
        if notes.is_empty() && !before.is_empty() {
            tracing::info!(
                application,
                group = name,
                "its balancer does as it is told again"
            );
        }
        if !notes.is_empty() {
            let since = |note: &String| before.get(note).copied().unwrap_or(now);
            let notes = notes.into_iter().map(|note| (since(&note), note));
            let notes = notes.map(|(since, note)| (note, since)).collect();
            self.troubled.insert(group, notes);
        }
        step
    }

    /// Lets a host in or out, and then says how that went; none when that is on its way already. The report is none when somebody else was
    /// faster.
    pub(super) fn route(
        &mut self,
        routing: Arc<dyn Routing>,
        router: Router,
        (group, server): (&GroupName, String),
        mut report: Report,
    ) -> Option<BoxFuture<'static, (RouteKey, Option<Report>)>> {
        let key = (report.deployment.clone(), report.host.clone(), report.event);
        if self.routes.contains_key(&key) {
            return None;
        }
        let is_over = Arc::new(AtomicBool::new(false));
        self.routes.insert(key.clone(), Arc::clone(&is_over));
        let turn = self.turn(group);
        turn.number();
        Some(Box::pin(async move {
            let asked = Asked {
                server: &server,
                opens: report.event == LifecycleEvent::AllowTraffic,
                is_over: &is_over,
            };
            let said = match route(&*routing, &turn, &router, asked).await {
                Ended::Otherwise => return (key, None),
                Ended::Done => Said::Ended(EventStatus::Succeeded, None),
                Ended::LeftAlone(note) => {
                    let known = diagnostics(ScriptErrorCode::Success, note);
                    Said::Ended(EventStatus::Succeeded, Some(Box::new(known)))
                }
                Ended::Failed(message) => {
                    let known = diagnostics(ScriptErrorCode::UnknownError, message);
                    Said::Ended(EventStatus::Failed, Some(Box::new(known)))
                }
            };
            report.said = said;
            (key, Some(report))
        }))
    }

    /// The same may be wanted again.
    pub(super) fn routed(&mut self, key: &RouteKey) {
        self.routes.remove(key);
    }

    /// Those whose end somebody else has said, or that nobody wants any more, end without a word.
    pub(super) fn end_routes(&self, is_wanted: impl Fn(&RouteKey) -> bool) {
        for (key, is_over) in &self.routes {
            if !is_wanted(key) {
                is_over.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// Where one side takes the other's place, those that are to have traffic get it first, and the others keep theirs until the balancer sees
/// that they are well. Those that cannot be told are not waited for, unless there are no others.
async fn moved(
    routing: &dyn Routing,
    router: &Router,
    wanted: &BTreeMap<String, u32>,
    needs: Option<Needs>,
) -> Result<Balanced, String> {
    let raised = wanted.iter().filter(|(_, weight)| **weight > 0);
    let raised: BTreeMap<String, u32> = raised
        .map(|(name, weight)| (name.clone(), *weight))
        .collect();
    if let Some(needs) = needs.filter(|_| !raised.is_empty()) {
        let balanced = routing.set(router, &raised).await?;
        let seen = |name: &String| balanced.seen.get(name);
        let is_told = |name: &&String| {
            !balanced.missing.contains_key(*name)
                && !seen(name).is_some_and(|seen| seen.is_maintained)
        };
        let is_down = |name: &&String| seen(name).is_some_and(|seen| seen.is_up == Some(false));
        let told: Vec<&String> = raised.keys().filter(is_told).collect();
        let down: Vec<&str> = told
            .iter()
            .copied()
            .filter(is_down)
            .map(String::as_str)
            .collect();
        let is_enough = match needs {
            Needs::All => down.is_empty() && !told.is_empty(),
            Needs::One => down.len() < told.len(),
        };
        if !is_enough {
            let waits: Vec<&str> = if told.is_empty() {
                raised.keys().map(String::as_str).collect()
            } else {
                down
            };
            return Err(format!(
                "its checks of {} do not succeed, or it has no such servers, or they are in maintenance; until they do, the others keep their traffic",
                waits.join(", ")
            ));
        }
    }
    routing.set(router, wanted).await
}

fn diagnostics(error_code: ScriptErrorCode, message: String) -> Diagnostics {
    Diagnostics {
        error_code,
        script_name: String::new(),
        message,
        log_tail: String::new(),
        script_from_deployment: None,
        printed: None,
    }
}

/// What is to be said of a balancer that was told those weights.
fn noted(weights: &[Weight], balanced: &Balanced) -> Noted {
    let mut noted = Noted::default();
    for side in [Side::New, Side::Old] {
        let wanted = weights
            .iter()
            .filter(|one| one.side == side && one.weight > 0);
        let (mut served, mut not_served) = (0, 0);
        for one in wanted {
            let server = one.server();
            if let Some(wrong) = balanced.missing.get(&server) {
                noted.notes.insert(wrong.clone());
                not_served += 1;
            } else if balanced
                .seen
                .get(&server)
                .is_some_and(|seen| seen.is_maintained)
            {
                noted.notes.insert(maintained(&server));
                not_served += 1;
            } else {
                served += 1;
            }
        }
        noted.holds |= served == 0 && not_served > 0;
    }
    noted
}

fn maintained(host: &str) -> String {
    format!(
        "the server of host {host} is in maintenance, and is left so: whoever put it there lets it in again (`set server ... state ready`)"
    )
}

/// A host that is to be let in or out.
#[derive(Clone, Copy)]
struct Asked<'a> {
    server: &'a str,
    opens: bool,
    /// Whether somebody else has said how that ended.
    is_over: &'a AtomicBool,
}

/// How that ended.
enum Ended {
    Done,
    /// It is somebody else's to open it.
    LeftAlone(String),
    Failed(String),
    /// Somebody else has said it.
    Otherwise,
}

/// Until the host has ended what it has begun, or is well. It must be so twice: another server may have told the balancer what held a
/// moment ago.
async fn route(routing: &dyn Routing, turn: &Turn, router: &Router, asked: Asked<'_>) -> Ended {
    let Asked {
        server: host,
        opens,
        is_over,
    } = asked;
    let weight = if opens { WEIGHT_FULL } else { 0 };
    let wanted = BTreeMap::from([(host.to_string(), weight)]);
    let begun = Instant::now();
    let most = if opens { WELL_MAX } else { DRAIN_MAX };
    let mut times = 0;
    loop {
        if is_over.load(Ordering::Relaxed) {
            return Ended::Otherwise;
        }
        let told = {
            let _turn = turn.lock.lock().await;
            routing.set(router, &wanted).await
        };
        let took = begun.elapsed();
        let is_late = took >= most;
        let balanced = match told {
            Ok(balanced) => balanced,
            // Another server may reach it: this one speaks last.
            Err(error) if took >= most + AWAY_MAX => return Ended::Failed(error),
            Err(_) => {
                times = 0;
                tokio::time::sleep(LOOK_AGAIN_AFTER).await;
                continue;
            }
        };
        if let Some(wrong) = balanced.missing.get(host) {
            // It may be about to be reloaded with settings that have it.
            if took >= DRAIN_MAX {
                return Ended::Failed(wrong.clone());
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
            continue;
        }
        match balanced.seen.get(host) {
            Some(server) if opens && server.is_maintained => {
                return Ended::LeftAlone(maintained(host));
            }
            server if is_so(server, opens) && (times > 0 || server.is_none()) => {
                return Ended::Done;
            }
            server if is_so(server, opens) && !is_late => times += 1,
            // What is left of its sessions ends with it.
            _ if is_late && !opens => return Ended::Done,
            _ if is_late => {
                return Ended::Failed(format!(
                    "the balancer's checks of {host} do not succeed after {} s",
                    WELL_MAX.as_secs()
                ));
            }
            _ => times = 0,
        }
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A balancer with servers of those hosts, some of them in maintenance; or one that is not reached.
    #[derive(Default)]
    struct Scripted {
        hosts: BTreeSet<&'static str>,
        maintained: BTreeSet<&'static str>,
        away: bool,
    }

    impl Routing for Scripted {
        fn set<'a>(
            &'a self,
            _: &'a Router,
            weights: &'a BTreeMap<String, u32>,
        ) -> BoxFuture<'a, Result<Balanced, String>> {
            let mut balanced = Balanced::default();
            for (host, weight) in weights {
                if self.hosts.contains(host.as_str()) {
                    let seen = Seen {
                        weight: *weight,
                        is_maintained: self.maintained.contains(host.as_str()),
                        is_up: None,
                        sessions: 0,
                    };
                    balanced.seen.insert(host.clone(), seen);
                } else {
                    let wrong = format!("no server of {host}");
                    balanced.missing.insert(host.clone(), wrong);
                }
            }
            let told = if self.away {
                Err("it is away".to_string())
            } else {
                Ok(balanced)
            };
            Box::pin(std::future::ready(told))
        }
    }

    async fn ended(
        routing: &Scripted,
        host: &str,
        opens: bool,
        is_over: &AtomicBool,
    ) -> (Ended, u64) {
        let begun = Instant::now();
        let asked = Asked {
            server: host,
            opens,
            is_over,
        };
        let ended = route(routing, &Turn::default(), &Router::None, asked).await;
        (ended, begun.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_host_that_the_balancer_has_no_server_of_fails() {
        let routing = Scripted {
            hosts: BTreeSet::from(["a"]),
            ..Scripted::default()
        };
        let never = AtomicBool::new(false);
        for opens in [true, false] {
            let (good, _) = ended(&routing, "a", opens, &never).await;
            assert!(matches!(good, Ended::Done));
            let (bad, seconds) = ended(&routing, "b", opens, &never).await;
            assert!(matches!(bad, Ended::Failed(why) if why == "no server of b"));
            assert_eq!(seconds, DRAIN_MAX.as_secs());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_in_maintenance_is_left_so_and_its_host_goes_on_with_a_word_of_it() {
        let routing = Scripted {
            hosts: BTreeSet::from(["a"]),
            maintained: BTreeSet::from(["a"]),
            ..Scripted::default()
        };
        let never = AtomicBool::new(false);
        let (opened, _) = ended(&routing, "a", true, &never).await;
        assert!(matches!(opened, Ended::LeftAlone(note) if note.contains("maintenance")));
        let (closed, _) = ended(&routing, "a", false, &never).await;
        assert!(matches!(closed, Ended::Done));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_reach_the_balancer_speaks_after_all_that_may_reach_it() {
        let routing = Scripted {
            away: true,
            ..Scripted::default()
        };
        let never = AtomicBool::new(false);
        for (opens, most) in [(true, WELL_MAX), (false, DRAIN_MAX)] {
            let (failed, seconds) = ended(&routing, "a", opens, &never).await;
            assert!(matches!(failed, Ended::Failed(_)));
            assert_eq!(seconds, (most + AWAY_MAX).as_secs());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_without_a_word_when_another_server_has_said_how_it_ended() {
        let routing: Arc<dyn Routing> = Arc::new(Scripted {
            away: true,
            ..Scripted::default()
        });
        let mut balancers = Balancers::default();
        let group = GroupName {
            application: "shop".into(),
            group: "web".into(),
        };
        let report = Report {
            host: "a".into(),
            deployment: DeploymentId::drawn([1; 9]),
            generation: 1,
            event: LifecycleEvent::BlockTraffic,
            said: Said::Started,
        };
        let begin = |balancers: &mut Balancers| {
            let routing = Arc::clone(&routing);
            balancers.route(routing, Router::None, (&group, "a".into()), report.clone())
        };
        let routing_it = begin(&mut balancers).unwrap();
        assert!(begin(&mut balancers).is_none(), "it is on its way");
        balancers.end_routes(|_| true);
        balancers.end_routes(|(_, host, _)| host != "a");
        let (key, said) = routing_it.await;
        assert_eq!(said, None);
        balancers.routed(&key);
        assert!(begin(&mut balancers).is_some());
    }

    fn weight(host: &str, side: Side, weight: u32) -> Weight {
        Weight {
            host: host.into(),
            side,
            colour: None,
            weight,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_waits_for_a_side_that_none_of_its_servers_can_serve_and_for_no_other() {
        let routing = Scripted {
            hosts: BTreeSet::from(["a", "b", "o"]),
            maintained: BTreeSet::from(["b"]),
            ..Scripted::default()
        };
        let sides = |new: &[&str]| {
            let mut weights: Vec<Weight> =
                new.iter().map(|host| weight(host, Side::New, 10)).collect();
            weights.push(weight("o", Side::Old, 90));
            weights
        };
        for (new, holds, notes) in [
            (&["a"][..], false, 0),
            (&["a", "b", "gone"], false, 2),
            (&["b"], true, 1),
            (&["gone"], true, 1),
        ] {
            let weights = sides(new);
            let wanted = weights.iter().map(|one| (one.host.clone(), one.weight));
            let wanted = wanted.collect();
            let balanced = routing.set(&Router::None, &wanted).await.unwrap();
            let noted = noted(&weights, &balanced);
            assert_eq!((noted.holds, noted.notes.len()), (holds, notes), "{new:?}");
        }
        let closed = [weight("gone", Side::New, 0)];
        let balanced = Balanced {
            missing: BTreeMap::from([("gone".into(), "no server".into())]),
            ..Balanced::default()
        };
        let noted = noted(&closed, &balanced);
        assert!(noted.notes.is_empty() && !noted.holds, "it is not missed");
    }
}
