//! Releases of a small service, second by second, through a source that a script stands in for.

/// The hour before.
mod history;
/// What takes back.
mod back;
/// Containers of two sides.
mod sides;

use std::collections::BTreeMap;

use croft_ledger::{Body, Entry, Seq};
use croft_proto::deploy::{
    Accepted, DeploymentId, Plan, PlannedTarget, Side, VerdictSettings, Was,
};
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use super::*;
use crate::metrics::Sample;
use crate::metrics::scripted::Scripted;
use crate::state::Target;
use crate::verdict::Trigger;

const BEGAN_MS: u64 = 1_800_000_000_000;

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(BEGAN_MS + second * 1000)
}

/// A deployment in place of four hosts that has begun.
fn deployment() -> Deployment {
    let asked = json!({"applicationName": "shop", "deploymentGroupName": "web",
        "revision": {"digest": "2".repeat(64), "origin": {"revisionType": "Local Directory", "location": "/r"}}});
    let accepted: Accepted =
        serde_json::from_value(json!({"asked": asked, "creator": "user", "by": "me"})).unwrap();
    let id = DeploymentId::drawn([7; 9]);
    let entry = Entry {
        seq: Seq::new(1),
        at: at(0),
        subject: crate::deployment_subject(&id),
        body: Body::Event(bytes::Bytes::new()),
    };
    let mut deployment = Deployment::accepted(&entry, id, accepted);
    let plan: Plan = serde_json::from_value(json!({
        "generation": 2, "creator": "user", "applicationName": "shop", "deploymentGroupName": "web",
        "deploymentGroupId": "g", "deploymentType": "IN_PLACE", "targetKind": "host",
        "revision": asked["revision"], "fileExistsBehavior": "DISALLOW",
        "ignoreApplicationStopFailures": false, "deploymentConfigName": "c",
        "rule": {"minimum": 3, "atOnceMax": 1}, "fleet": {"total": 4, "healthyBefore": 4, "bystanders": 0},
        "targets": 4, "steps": [], "movesTraffic": false, "alarms": [], "ignorePollAlarmFailure": false,
        "isWatched": true, "rollbackOn": []}))
    .unwrap();
    deployment.plan = Some(plan);
    deployment.began = Some(at(0));
    for number in 0..4 {
        deployment.targets.push(Target {
            planned: PlannedTarget {
                host: format!("h{number}"),
                zone: None,
                side: Side::New,
                was: Was::Healthy,
            },
            last: Seq::ZERO,
            running: None,
            ended: Vec::new(),
            is_attempted: false,
            is_failed: false,
            is_done: false,
            begun_at: None,
            done_at: None,
            printed: None,
        });
    }
    deployment
}

/// What a process has counted.
#[derive(Clone, Copy, Default)]
struct Process {
    requests: f64,
    bad: f64,
    began: f64,
}

/// The service, its monitor, and a watch.
struct World {
    source: Scripted,
    deployment: Deployment,
    watch: Watch,
    settings: Settings,
    processes: [Process; 4],
    seed: u64,
    second: i64,
    /// Of a host of the new revision.
    fails: f64,
    /// Requests a second of each host.
    rps: u32,
    is_collecting: bool,
    /// Hosts that the monitor has not come to.
    unseen: [bool; 4],
    down: [bool; 4],
    /// What the monitor calls them.
    instances: [String; 4],
}

fn series(name: &str, instance: &str, second: i64, value: f64) -> Series {
    let ms = u64::try_from(i64::try_from(BEGAN_MS).unwrap() + second * 1000 - 300).unwrap();
    Series {
        labels: BTreeMap::from([
            ("__name__".to_owned(), name.to_owned()),
            ("instance".to_owned(), instance.to_owned()),
        ]),
        samples: vec![Sample {
            at: Timestamp::from_millis(ms),
            value,
        }],
    }
}

impl World {
    /// A service with an hour of errors at one of a thousand, and the first host on the new revision from its tenth second on.
    fn new(more: Value) -> Self {
        let instances = [0, 1, 2, 3].map(|number| format!("h{number}:80"));
        Self::of(deployment(), instances, more)
    }

    /// The same of another deployment, whose targets the monitor calls so.
    fn of(deployment: Deployment, instances: [String; 4], more: Value) -> Self {
        let mut written = json!({
            "metrics": [{"name": "errors", "requests": "requests", "bad": "bad"}],
            "guards": {"up": "up", "started": "started"},
        });
        written
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let written = VerdictSettings(written.as_object().unwrap().clone());
        let settings = Settings::read(&written).unwrap();
        let mut world = Self {
            source: Scripted::default(),
            watch: Watch::new(settings.clone(), &deployment),
            deployment,
            settings,
            processes: [Process {
                requests: 1e6,
                bad: 1e3,
                began: 5.0,
            }; 4],
            seed: 1,
            second: -1200,
            fails: 0.001,
            rps: 10,
            is_collecting: true,
            unseen: [false; 4],
            down: [false; 4],
            instances,
        };
        while world.second < 0 {
            world.serve();
        }
        world
    }

    fn chance(&mut self) -> f64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 40) as f64 / (1_u64 << 24) as f64
    }

    /// A second of requests, and its scrapes.
    fn serve(&mut self) {
        self.second += 1;
        let (second, now) = (
            self.second,
            u64::try_from(self.second).map(at).unwrap_or(at(0)),
        );
        match second {
            5 => self.deployment.targets[0].begun_at = Some(now),
            10 => {
                self.deployment.targets[0].done_at = Some(now);
                self.processes[0] = Process {
                    began: 10.0,
                    ..Process::default()
                };
            }
            _ => {}
        }
        for number in 0..4 {
            let target = self.deployment.targets.get(number);
            let is_new = target.is_some_and(|target| target.done_at.is_some());
            let fails = if is_new { self.fails } else { 0.001 };
            for _ in 0..self.rps {
                self.processes[number].requests += 1.0;
                if self.chance() < fails {
                    self.processes[number].bad += 1.0;
                }
            }
            let (process, instance) = (self.processes[number], self.instances[number].clone());
            let is_up = !self.down[number];
            let record = |name: &str, value: f64| {
                if self.is_collecting && !self.unseen[number] {
                    self.source
                        .record(name, series(name, &instance, second, value));
                }
            };
            record("up", f64::from(u8::from(is_up)));
            if is_up {
                record("requests", process.requests);
                record("started", process.began);
                if process.bad > 0.0 {
                    record("bad", process.bad);
                }
            }
        }
        if self.is_collecting {
            let seconds = (BEGAN_MS / 1000) as f64 + second as f64 - 0.3;
            let beat = series("", "all", second, seconds);
            self.source.record(Heart::QUERY, beat);
        }
    }

    /// All that is there goes to the watch.
    fn read(&mut self, now: Timestamp) {
        while let Some(round) = self.watch.round(now) {
            let questions = round.questions();
            let asked = questions.iter();
            let answers: Vec<_> = asked
                .map(|question| question.ask(&self.source).now_or_never().unwrap())
                .collect();
            let is_down = answers.iter().any(Result::is_err);
            self.watch.took(&self.deployment, &round, answers, now);
            if is_down {
                return;
            }
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(at(u64::try_from(self.second).unwrap()).millis() + 900)
    }

    /// So many seconds; the decision after each.
    fn pass(&mut self, seconds: u64) -> Vec<Decision> {
        (0..seconds)
            .map(|_| {
                self.serve();
                let now = self.now();
                self.read(now);
                self.watch.decision(now)
            })
            .collect()
    }
}

fn taken_back(decisions: &[Decision]) -> Option<(usize, Trigger)> {
    let mut all = decisions.iter().enumerate();
    all.find_map(|(second, decision)| match decision {
        Decision::RollBack { trigger, .. } => Some((second, *trigger)),
        Decision::Continue | Decision::Hold { .. } => None,
    })
}

fn held(decisions: &[Decision]) -> usize {
    let is_held = |decision: &&Decision| matches!(decision, Decision::Hold { .. });
    decisions.iter().filter(is_held).count()
}

#[test]
fn a_release_that_fails_a_tenth_of_its_requests_is_taken_back_within_half_a_minute() {
    let mut world = World::new(json!({}));
    world.fails = 0.1;
    let decisions = world.pass(60);
    let (second, trigger) = taken_back(&decisions).unwrap();
    assert!((11..40).contains(&second), "{second}");
    assert_eq!(trigger, Trigger::Sequential);
    let Some(Decision::RollBack { evidence, .. }) = decisions.last() else {
        panic!("it is taken back still");
    };
    assert!(!evidence.curve.is_empty() && !evidence.historical);
    assert!(evidence.baseline.unwrap().requests > 500.0);
}

#[test]
fn a_good_release_goes_on_and_what_its_detectors_can_find_is_told() {
    let mut world = World::new(json!({}));
    let decisions = world.pass(300);
    assert_eq!(taken_back(&decisions), None);
    assert!(held(&decisions) < 5, "{}", held(&decisions));
    let notes = world.watch.notes(&world.deployment);
    let found = notes
        .iter()
        .find(|note| note.contains("a regression to 10% is found"));
    assert!(found.is_some(), "{notes:?}");
    let shown = world.watch.shown(world.now());
    assert_eq!(shown.metrics[0].against, "concurrent");
    assert!(shown.metrics[0].canary.requests > 2_000.0);
}

#[test]
fn a_watch_that_begins_in_the_middle_comes_to_the_same() {
    let mut world = World::new(json!({}));
    world.fails = 0.02;
    world.pass(45);
    let now = world.now();
    let (was, decided) = (world.watch.shown(now), world.watch.decision(now));
    world.watch = Watch::new(world.settings.clone(), &world.deployment);
    assert!(matches!(world.watch.decision(now), Decision::Hold { .. }));
    world.read(now);
    assert_eq!(world.watch.shown(now), was);
    assert_eq!(world.watch.decision(now), decided);
}

#[test]
fn the_first_error_of_a_new_process_is_counted_and_those_before_it_are_not() {
    let mut world = World::new(json!({}));
    world.fails = 0.0;
    world.pass(30);
    world.processes[0].bad = 3.0;
    world.pass(5);
    let canary = world.watch.shown(world.now()).metrics[0].canary;
    assert!((canary.bad - 3.0).abs() < 1e-9, "{canary:?}");
    assert!(canary.requests < 300.0, "{canary:?}");
}

/// An alarm that is set off by missing data, the strictest there is.
fn strict() -> Value {
    json!({"alarms": [{"AlarmName": "strict", "Query": "value", "Period": 10, "EvaluationPeriods": 2,
        "Threshold": 5, "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "breaching"}],
        "thresholds": [{"name": "needed", "query": "value", "max": 5, "kind": "other",
            "missing": {"required": true, "onTimeout": "rollback", "maxHoldMs": 1000}}]})
}

fn value(world: &World, from: i64, to: i64, value: f64) {
    for second in from..to {
        let one = series("value", "all", second, value);
        world.source.record("value", one);
    }
}

#[test]
fn a_monitor_that_is_away_or_collects_nothing_takes_no_good_release_back() {
    // It does not answer; or it answers, and has collected nothing meanwhile.
    for answers in [false, true] {
        let mut world = World::new(strict());
        value(&world, -400, 60, 1.0);
        let before = world.pass(60);
        assert_eq!(taken_back(&before), None);
        world.is_collecting = false;
        world.source.leave(!answers);
        let blind = world.pass(900);
        assert_eq!(taken_back(&blind), None, "{answers}");
        assert!(held(&blind) > 800, "{answers}: {}", held(&blind));
        world.is_collecting = true;
        world.source.leave(false);
        value(&world, 960, 1500, 1.0);
        let after = world.pass(400);
        assert_eq!(taken_back(&after), None, "{answers}");
        assert_eq!(after.last(), Some(&Decision::Continue), "{answers}");
    }
}

/// After it comes back a monitor has scraped few targets at first.
#[test]
fn values_of_a_monitor_that_is_just_coming_back_take_no_good_release_back() {
    let floor = json!({"alarms": [{"AlarmName": "few", "Query": "value", "Period": 10, "EvaluationPeriods": 2,
        "Threshold": 5, "ComparisonOperator": "LessThanThreshold"}],
        "thresholds": [{"name": "asked", "query": "value", "min": 5, "intervalSeconds": 5, "failureLimit": 1, "window": 4}]});
    let mut world = World::new(floor);
    value(&world, -400, 60, 10.0);
    assert_eq!(taken_back(&world.pass(60)), None);
    world.is_collecting = false;
    assert_eq!(taken_back(&world.pass(100)), None);
    world.is_collecting = true;
    value(&world, 160, 220, 1.0);
    value(&world, 220, 420, 10.0);
    let back = world.pass(260);
    assert_eq!(taken_back(&back), None);
    assert!(held(&back) > 100, "{}", held(&back));
    assert_eq!(back.last(), Some(&Decision::Continue));
    // A value that stays low is the release's.
    value(&world, 420, 520, 1.0);
    assert!(taken_back(&world.pass(60)).is_some());
}

#[test]
fn a_series_that_a_monitor_has_not_come_back_to_yet_is_not_missing() {
    let required = json!({"metrics": [{"name": "errors", "requests": "requests", "bad": "bad",
        "missing": {"required": true}}]});
    let mut world = World::new(required);
    assert_eq!(taken_back(&world.pass(60)), None);
    world.is_collecting = false;
    assert_eq!(taken_back(&world.pass(100)), None);
    world.is_collecting = true;
    world.unseen[0] = true;
    let before_the_canary = world.pass(20);
    assert_eq!(taken_back(&before_the_canary), None);
    world.unseen[0] = false;
    let after = world.pass(200);
    assert_eq!(taken_back(&after), None);
    assert_eq!(after.last(), Some(&Decision::Continue));
    // A series that is gone for good is.
    world.unseen[0] = true;
    assert!(taken_back(&world.pass(60)).is_some());
}

#[test]
fn an_alarm_from_before_does_not_count_until_it_begins_again() {
    let mut world = World::new(strict());
    value(&world, -400, 60, 9.0);
    world.settings.thresholds.clear();
    world.watch = Watch::new(world.settings.clone(), &world.deployment);
    value(&world, 60, 120, 1.0);
    value(&world, 120, 200, 9.0);
    let decisions = world.pass(110);
    assert_eq!(taken_back(&decisions), None);
    let notes = world.watch.notes(&world.deployment);
    assert_eq!(
        notes
            .iter()
            .filter(|note| note.contains("fires already"))
            .count(),
        0
    );
    let again = world.pass(60);
    assert_eq!(taken_back(&again).unwrap().1, Trigger::Alarm);
}

#[test]
fn a_threshold_that_is_passed_too_often_takes_back() {
    let mut world = World::new(json!({"thresholds":
        [{"name": "p99", "query": "value", "max": 1, "intervalSeconds": 5, "failureLimit": 1, "window": 4}]}));
    value(&world, -400, 40, 0.5);
    value(&world, 40, 100, 3.0);
    let decisions = world.pass(100);
    let (second, trigger) = taken_back(&decisions).unwrap();
    assert_eq!(trigger, Trigger::Threshold);
    assert!((44..60).contains(&second), "{second}");
}

#[test]
fn a_canary_that_is_down_alone_is_taken_back_and_not_when_all_are() {
    let mut world = World::new(json!({}));
    world.pass(60);
    world.down = [true; 4];
    let cut_off = world.pass(300);
    assert_eq!(taken_back(&cut_off), None);
    assert!(held(&cut_off) > 280, "{}", held(&cut_off));
    world.down = [false; 4];
    let back = world.pass(60);
    assert_eq!(taken_back(&back), None);
    world.down[0] = true;
    let alone = world.pass(20);
    let (second, trigger) = taken_back(&alone).unwrap();
    assert_eq!(trigger, Trigger::Guard);
    assert!(second < 8, "{second}");
}

#[test]
fn a_canary_whose_process_begins_again_and_again_is_taken_back() {
    let mut world = World::new(json!({}));
    assert_eq!(taken_back(&world.pass(30)), None);
    for began in [30.0, 60.0] {
        world.processes[0] = Process {
            began,
            ..Process::default()
        };
        world.pass(10);
    }
    assert_eq!(taken_back(&world.pass(1)).unwrap().1, Trigger::Guard);
}

/// All hosts begin at once, and the monitor is cut off from them meanwhile.
#[test]
fn a_monitor_that_is_cut_off_while_all_hosts_are_changed_holds() {
    let mut world = World::new(json!({}));
    for target in &mut world.deployment.targets {
        (target.begun_at, target.done_at) = (Some(at(5)), Some(at(10)));
    }
    world.pass(5);
    world.down = [true; 4];
    let cut_off = world.pass(120);
    assert_eq!(taken_back(&cut_off), None);
    assert!(held(&cut_off) > 100, "{}", held(&cut_off));
    // It comes to some before it comes to others.
    (world.down, world.unseen) = ([false; 4], [true, true, false, false]);
    assert_eq!(taken_back(&world.pass(1)), None);
    world.unseen = [false; 4];
    let back = world.pass(60);
    assert_eq!(taken_back(&back), None);
    // Those that never come up while others are up are not well.
    world.down = [true, true, false, false];
    assert_eq!(taken_back(&world.pass(10)).unwrap().1, Trigger::Guard);
}

#[test]
fn two_processes_of_a_host_are_two_and_begin_again_each_by_itself() {
    let mut world = World::new(json!({}));
    for second in 0..60 {
        let began = if second < 40 { 7.0 } else { 40.0 };
        let other = series("started", "h0:81", second, began);
        world.source.record("started", other);
    }
    assert_eq!(taken_back(&world.pass(39)), None);
    // Both are started again once.
    world.processes[0].began = 40.0;
    assert_eq!(taken_back(&world.pass(15)), None);
    // One of them once more.
    world.processes[0].began = 55.0;
    assert_eq!(taken_back(&world.pass(10)).unwrap().1, Trigger::Guard);
}

#[test]
fn what_was_refused_once_is_asked_again_and_too_much_at_once_in_parts() {
    let mut world = World::new(json!({}));
    // An hour in rounds of ten minutes has more.
    world.source.limit(Some(1_000));
    let decisions = world.pass(60);
    assert_eq!(decisions.last(), Some(&Decision::Continue));
    let whole = {
        let mut world = World::new(json!({}));
        world.pass(60);
        world.watch.shown(world.now())
    };
    assert_eq!(world.watch.shown(world.now()), whole);
    world.source.limit(Some(10));
    assert_eq!(held(&world.pass(3)), 3);
    world.source.limit(None);
    let after = world.pass(5);
    assert_eq!(after.last(), Some(&Decision::Continue));
}

#[test]
fn without_traffic_it_is_held_for_a_while_and_then_goes_on() {
    let mut world = World::new(json!({}));
    world.rps = 0;
    let decisions = world.pass(800);
    assert_eq!(taken_back(&decisions), None);
    assert!(
        (500..700).contains(&held(&decisions)),
        "{}",
        held(&decisions)
    );
    assert_eq!(decisions.last(), Some(&Decision::Continue));
}

#[test]
fn when_no_old_instance_serves_the_hour_before_is_compared_with() {
    let mut world = World::new(json!({}));
    world.pass(30);
    for target in &mut world.deployment.targets[1..] {
        target.begun_at = Some(at(31));
        target.done_at = Some(at(32));
    }
    world.fails = 0.1;
    let decisions = world.pass(120);
    assert!(taken_back(&decisions).is_some());
    let shown = world.watch.shown(world.now());
    assert!(
        shown
            .metrics
            .iter()
            .any(|metric| metric.against == "history"),
        "{shown:?}"
    );
}
