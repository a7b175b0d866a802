//! A server over a ledger in memory, with hosts that answer as a script says, and with alarms.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use croft_ledger::{Clock, Expected, Memory, Subject};
use croft_proto::Timestamp;
use croft_proto::deploy::{
    AppEvent, Application, DeploymentGroup, DeploymentId, DeploymentStatus, Diagnostics,
    EventStatus, GroupEvent, HostEvent, LifecycleEvent, Router, ScriptErrorCode, StartDeployment,
    Tag,
};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::*;
use crate::alarm::Webhook;
use crate::ask::Then;
use crate::intent::{GroupName, Recorded, host_subject};
use crate::step::{Answer, Report, Said};

/// What is counted.
mod counted;
/// Who is heard by which server.
mod heard;

/// No condition here takes so long.
const LIMIT: Duration = Duration::from_secs(60);

/// A balancer that does all that it is told, and remembers it.
#[derive(Clone, Default)]
struct Balancer(Arc<Mutex<BTreeMap<String, u32>>>);

impl Balancer {
    fn weights(&self) -> BTreeMap<String, u32> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Routing for Balancer {
    fn set<'a>(
        &'a self,
        _: &'a Router,
        weights: &'a BTreeMap<String, u32>,
    ) -> BoxFuture<'a, Result<Balanced, String>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(weights.clone());
        Box::pin(std::future::ready(Ok(Balanced::default())))
    }
}

struct Farm {
    handle: Handle,
    ledger: Arc<dyn Ledger>,
    balancer: Balancer,
    registry: prometheus::Registry,
    tasks: JoinSet<()>,
    _stop: watch::Sender<bool>,
    next: u8,
}

fn name() -> GroupName {
    GroupName {
        application: "shop".into(),
        group: "web".into(),
    }
}

impl Farm {
    /// A group of those hosts, each of which runs what it is told, but for what `fails` says.
    async fn start(hosts: &[&str], more: Value, fails: fn(&str, &str) -> bool) -> Self {
        let balancer = Balancer::default();
        let mut farm = Self::behind(Arc::new(balancer.clone()), hosts, more, fails).await;
        farm.balancer = balancer;
        farm
    }

    /// The same with a balancer that is told otherwise.
    async fn behind(
        routing: Arc<dyn Routing>,
        hosts: &[&str],
        more: Value,
        fails: fn(&str, &str) -> bool,
    ) -> Self {
        let clock = Clock::system();
        let ledger: Arc<dyn Ledger> = Arc::new(Memory::new(clock.clone()));
        let registry = prometheus::Registry::new();
        let (server, handle) = Server::new(Parts {
            ledger: Arc::clone(&ledger),
            bus: Arc::new(croft_bus::Memory::new(&croft_bus::Settings::default())),
            nonce: 1,
            clock,
            routing,
            alerts: None,
            metrics: None,
            counts: Counts::new(&registry).unwrap(),
        });
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { server.run(stopped).await.unwrap() });
        let mut farm = Self {
            handle,
            ledger,
            balancer: Balancer::default(),
            registry,
            tasks,
            _stop: stop,
            next: 0,
        };
        farm.until("it has caught up", |_| true).await;
        let application: Application =
            serde_json::from_value(json!({"applicationName": "shop"})).unwrap();
        let app = AppEvent::Applied { application };
        farm.record(
            Subject::of("app", "shop").unwrap(),
            Recorded::App(Box::new(app)),
        )
        .await;
        let mut group = json!({
            "applicationName": "shop", "deploymentGroupName": "web", "deploymentGroupId": "g",
            "deploymentConfigName": "CodeDeployDefault.AllAtOnce",
            "ec2TagFilters": [{"Key": "all", "Type": "KEY_ONLY"}],
            "autoRollbackConfiguration": {"enabled": true,
                "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"]},
        });
        let more = more.as_object().unwrap().clone();
        group.as_object_mut().unwrap().extend(more);
        let group: DeploymentGroup = serde_json::from_value(group).unwrap();
        group.check().unwrap();
        farm.record(
            name().subject().unwrap(),
            GroupEvent::Applied(Box::new(group)).into(),
        )
        .await;
        for host in hosts {
            farm.enrol(host).await;
            let (handle, host) = (farm.handle.clone(), (*host).to_string());
            farm.tasks.spawn(serve(handle, host, fails));
        }
        farm
    }

    async fn enrol(&self, host: &str) {
        let event = HostEvent::Enrolled {
            public_key: String::new(),
            tags: vec![Tag {
                key: "all".into(),
                value: String::new(),
            }],
            zone: None,
            invitation: None,
        };
        self.record(host_subject(host).unwrap(), event.into()).await;
    }

    async fn record(&self, subject: Subject, event: Recorded) {
        let recorded = self.handle.record(subject, event, |_| Ok(Expected::NEW));
        let done = recorded.await.unwrap();
        assert!(self.handle.folded(done.seq, LIMIT).await);
    }

    async fn until(&self, what: &str, is_so: impl Fn(Seen<'_>) -> bool + Copy + Send + 'static) {
        let waiting = async {
            let mut progress = self.handle.clone();
            loop {
                let caught_up = progress.progress().is_caught_up;
                if caught_up && progress.look(is_so).await.unwrap() {
                    return;
                }
                tokio::task::yield_now().await;
                progress = progress.clone();
            }
        };
        let waited = tokio::time::timeout(LIMIT, waiting).await;
        waited.unwrap_or_else(|_| panic!("not so: {what}"));
    }

    /// Deploys the revision of that digit.
    async fn deploy(&mut self, revision: char) -> DeploymentId {
        self.deploy_with(revision, json!({})).await
    }

    /// The same with these settings of ours.
    async fn deploy_with(&mut self, revision: char, own: Value) -> DeploymentId {
        self.next += 1;
        let id = DeploymentId::drawn([self.next; 9]);
        let asked: StartDeployment = serde_json::from_value(json!({
            "applicationName": "shop", "deploymentGroupName": "web", "x-croft": own,
            "revision": {"digest": String::from(revision).repeat(64),
                "origin": {"revisionType": "Local Directory", "location": "/r"}},
        }))
        .unwrap();
        let done = self
            .handle
            .start(id.clone(), asked, "somebody")
            .await
            .unwrap();
        assert_eq!(done.deployment, Some(id.clone()));
        id
    }

    /// How it ended, once it has.
    async fn over(&self, id: &DeploymentId) -> Arc<Remembered> {
        let waiting = async {
            loop {
                let wanted = id.clone();
                let found = self
                    .handle
                    .look(move |seen| seen.book.find(&wanted).cloned());
                if let Some(found) = found.await.unwrap() {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, waiting).await.unwrap()
    }
}

/// A host: asks, does nothing, and says how that went until it is heard.
async fn serve(handle: Handle, host: String, fails: fn(&str, &str) -> bool) {
    loop {
        for command in handle.take(&host, Duration::from_secs(5)).await {
            let is_bad = command.event == LifecycleEvent::ValidateService
                && fails(&host, &command.revision.digest[..1]);
            let said = match is_bad {
                false => Said::Ended(EventStatus::Succeeded, None),
                true => Said::Ended(
                    EventStatus::Failed,
                    Some(Box::new(Diagnostics {
                        error_code: ScriptErrorCode::ScriptFailed,
                        script_name: "check.sh".into(),
                        message: "exit code 7".into(),
                        log_tail: "no answer\n".into(),
                        script_from_deployment: None,
                        printed: None,
                    })),
                ),
            };
            let report = Report {
                host: host.clone(),
                deployment: command.deployment_id,
                generation: command.generation,
                event: command.event,
                said,
            };
            loop {
                match handle.hear(report.clone()).await {
                    Ok(Answer::Later) => tokio::task::yield_now().await,
                    Ok(Answer::Recorded | Answer::Stale) => break,
                    Err(_) => return,
                }
            }
        }
    }
}

fn never(_: &str, _: &str) -> bool {
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_revision_reaches_every_host() {
    let mut farm = Farm::start(&["a", "b", "c"], json!({}), never).await;
    let id = farm.deploy('1').await;
    let over = farm.over(&id).await;
    assert_eq!(over.info.status, DeploymentStatus::Succeeded);
    assert_eq!(over.info.deployment_overview.succeeded, 3);
    assert_eq!(over.targets.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_one_is_taken_back_and_its_first_failure_is_told() {
    let mut farm = Farm::start(&["a", "b"], json!({}), |_, revision| revision == "2").await;
    let good = farm.deploy('1').await;
    assert_eq!(
        farm.over(&good).await.info.status,
        DeploymentStatus::Succeeded
    );
    let bad = farm.deploy('2').await;
    let over = farm.over(&bad).await;
    assert_eq!(over.info.status, DeploymentStatus::Failed);
    let failure = over.info.error_information.as_ref().unwrap();
    let first = failure.first_failure.as_ref().unwrap();
    assert_eq!(
        (first.event, first.script_name.as_str()),
        (LifecycleEvent::ValidateService, "check.sh")
    );
    let back = over.info.rollback_info.as_ref().unwrap();
    let back = back.rollback_deployment_id.clone().unwrap();
    let taken_back = farm.over(&back).await;
    assert_eq!(taken_back.info.status, DeploymentStatus::Succeeded);
    assert!(taken_back.info.revision.digest.starts_with('1'));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_leave_traffic_while_they_are_changed_and_come_back() {
    let more = json!({"deploymentStyle": {"deploymentType": "IN_PLACE", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        "x-croft": {"router": {"type": "haproxy", "socket": "/none", "backend": "b"}, "bakeMinutes": 0}});
    let mut farm = Farm::start(&["a", "b"], more, never).await;
    let id = farm.deploy('1').await;
    let over = farm.over(&id).await;
    assert_eq!(over.info.status, DeploymentStatus::Succeeded, "{over:?}");
    let weights = farm.balancer.weights();
    assert_eq!(weights.get("a"), Some(&crate::WEIGHT_FULL), "{weights:?}");
    assert_eq!(weights.get("b"), Some(&crate::WEIGHT_FULL), "{weights:?}");
}

fn alert(status: &str, starts_at: Timestamp) -> Webhook {
    let seconds = i64::try_from(starts_at.millis()).unwrap();
    let starts_at = chrono::DateTime::from_timestamp_millis(seconds).unwrap();
    serde_json::from_value(json!({"groupKey": "k", "alerts": [{"status": status,
        "labels": {"alertname": "TooManyErrors"}, "startsAt": starts_at.to_rfc3339(), "fingerprint": "f"}]}))
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_that_begins_in_the_bake_takes_it_back_and_one_from_before_does_not() {
    let more = json!({"alarmConfiguration": {"enabled": true, "alarms": [{"name": "TooManyErrors"}]},
        "x-croft": {"bakeMinutes": 10}});
    let mut farm = Farm::start(&["a"], more, never).await;
    let clock = Clock::system();
    let first = farm.deploy('1').await;
    let wanted = |status| {
        move |seen: Seen<'_>| {
            let mut all = seen.state.deployments();
            all.any(|one| one.status() == status)
        }
    };
    farm.until("it bakes", wanted(DeploymentStatus::Baking))
        .await;
    let done = farm
        .handle
        .go_on(first.clone(), None, "somebody")
        .await
        .unwrap();
    assert!(farm.handle.folded(done.seq, LIMIT).await);
    assert_eq!(
        farm.over(&first).await.info.status,
        DeploymentStatus::Succeeded
    );
    let before = clock.now();
    farm.handle.alerted(alert("firing", before)).await.unwrap();
    let second = farm.deploy('2').await;
    farm.until("it bakes all the same", wanted(DeploymentStatus::Baking))
        .await;
    let later = Timestamp::from_millis(clock.now().millis() + 1_000);
    farm.handle
        .alerted(alert("resolved", before))
        .await
        .unwrap();
    farm.handle.alerted(alert("firing", later)).await.unwrap();
    let over = farm.over(&second).await;
    assert_eq!(over.info.status, DeploymentStatus::Stopped);
    let finding = over.info.own.finding.as_ref().unwrap();
    assert_eq!(finding.by, "alarm TooManyErrors");
    let back = over.info.rollback_info.as_ref().unwrap();
    let back = back.rollback_deployment_id.clone().unwrap();
    // A rollback is not stopped by what its predecessor set off, nor does it bake.
    assert_eq!(
        farm.over(&back).await.info.status,
        DeploymentStatus::Succeeded
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stopped_by_hand_goes_back_when_that_is_asked_for() {
    let more = json!({"x-croft": {"bakeMinutes": 10}});
    let mut farm = Farm::start(&["a"], more, never).await;
    let baking = |seen: Seen<'_>| {
        let mut all = seen.state.deployments();
        all.any(|one| one.status() == DeploymentStatus::Baking)
    };
    let first = farm.deploy('1').await;
    farm.until("it bakes", baking).await;
    farm.handle.go_on(first.clone(), None, "x").await.unwrap();
    farm.over(&first).await;
    let second = farm.deploy('2').await;
    farm.until("it bakes", baking).await;
    let stopped = farm.handle.stop(second.clone(), Then::GoBack, "x").await;
    stopped.unwrap();
    let over = farm.over(&second).await;
    assert_eq!(over.info.status, DeploymentStatus::Stopped);
    assert!(
        over.info
            .rollback_info
            .as_ref()
            .unwrap()
            .rollback_deployment_id
            .is_some()
    );
    let refused = farm.handle.stop(second, Then::AsTheGroupSays, "x").await;
    assert!(matches!(refused, Err(Refused::Rule(_))));
}
