use std::collections::BTreeSet;

use croft_ledger::Seq;
use croft_proto::deploy::{
    Colour, Creator, DeploymentStatus, Diagnostics, ErrorCode, EventStatus, Finding,
    LifecycleEvent, RevisionHealth, ScriptErrorCode, Side,
};

use super::farm::{Farm, asked, group, haproxy, id, name};
use crate::*;

/// One server whose appends succeed; commands wait until they are answered.
struct One {
    farm: Farm,
    engine: Engine,
    folded: Seq,
    commands: Vec<(String, LifecycleEvent, Report)>,
    weights: Option<Weights>,
    routed: Vec<(croft_proto::deploy::DeploymentId, u32)>,
    answers: Vec<Answer>,
}

impl One {
    fn new(farm: Farm) -> Self {
        let mut one = Self {
            farm,
            engine: Engine::default(),
            folded: Seq::ZERO,
            commands: Vec::new(),
            weights: None,
            routed: Vec::new(),
            answers: Vec::new(),
        };
        one.settle();
        one.input(Input::CaughtUp);
        one
    }

    /// Three hosts and a group `web` with these settings.
    fn with(settings: serde_json::Value) -> Self {
        let farm = Farm::new();
        farm.group(group("web", settings));
        for host in ["h1", "h2", "h3"] {
            farm.host(host, None);
        }
        Self::new(farm)
    }

    fn input(&mut self, input: Input<'_>) {
        self.only(input);
        self.settle();
    }

    fn only(&mut self, input: Input<'_>) {
        let now = Now {
            steady_ms: self.farm.now().millis() - super::farm::START_MS,
            wall: self.farm.now(),
        };
        for action in self.engine.step(input, now).unwrap() {
            match action {
                Action::Append(intents) => {
                    self.farm.intend(&intents);
                }
                Action::Command { host, command } => {
                    let report = Report {
                        host: host.clone(),
                        deployment: command.deployment_id.clone(),
                        generation: command.generation,
                        event: command.event,
                        said: Said::Ended(EventStatus::Succeeded, None),
                    };
                    self.commands.push((host, command.event, report));
                }
                Action::Route {
                    deployment,
                    generation,
                    host,
                    event,
                    ..
                } => {
                    let report = Report {
                        host: host.clone(),
                        deployment,
                        generation,
                        event,
                        said: Said::Ended(EventStatus::Succeeded, None),
                    };
                    self.commands.push((host, event, report));
                }
                Action::SetWeights { weights, step } => {
                    self.weights = Some(weights);
                    self.routed.extend(step);
                }
                Action::Answer(answer) => self.answers.push(answer),
            }
        }
    }

    /// One entry after another, those among them that follow from the ones before.
    fn settle(&mut self) {
        while self.folded < self.farm.last() {
            for entry in self.farm.entries(self.folded) {
                self.folded = entry.seq;
                self.only(Input::Entry(&entry));
            }
        }
    }

    fn deploy(&mut self, number: u64, group: &str, revision: u64) {
        let intents = admit(
            self.engine.state(),
            &id(number),
            asked(group, revision),
            "me",
        )
        .unwrap();
        assert!(self.farm.intend(&intents));
        self.settle();
    }

    /// Whoever watches says that a deployment may go on.
    fn see(&mut self, number: u64) {
        self.input(Input::Advised(id(number), Advice::Continue));
    }

    /// Whoever watches does not know.
    fn hold(&mut self, number: u64) {
        let reason = "the monitor is away".into();
        self.input(Input::Advised(id(number), Advice::Hold { reason }));
    }

    fn pass(&mut self, ms: u64) {
        self.farm.pass(ms);
        self.input(Input::Tick);
    }

    /// Answers what hosts were told; those of `fails` fail, with a log.
    fn answer(&mut self, fails: &[(&str, LifecycleEvent)]) -> Vec<(String, LifecycleEvent)> {
        let mut told = Vec::new();
        while !self.commands.is_empty() {
            let (host, event, mut report) = self.commands.remove(0);
            if fails.contains(&(host.as_str(), event)) {
                report.said = Said::Ended(EventStatus::Failed, Some(Box::new(diagnostics())));
            }
            told.push((host, event));
            self.input(Input::Report(report));
        }
        told
    }

    fn status(&self, number: u64) -> Option<DeploymentStatus> {
        let deployment = self.engine.state().deployment(&id(number))?;
        deployment.end.as_ref().map(|end| end.status)
    }

    fn end(&self, of: &croft_proto::deploy::DeploymentId) -> End {
        let deployment = self.engine.state().deployment(of).unwrap();
        deployment.end.clone().unwrap()
    }

    /// All that is left of a deployment goes well.
    fn over_well(&mut self, number: u64) {
        for _ in 0..10 {
            self.answer(&[]);
            for (deployment, step) in std::mem::take(&mut self.routed) {
                self.input(Input::Routed(deployment, step));
            }
            self.pass(3_000);
        }
        assert_eq!(self.status(number), Some(DeploymentStatus::Succeeded));
    }

    fn weight(&self, host: &str, side: Side) -> u32 {
        let weights = &self.weights.as_ref().unwrap().weights;
        let found = weights
            .iter()
            .find(|weight| weight.host == host && weight.side == side);
        found.unwrap().weight
    }
}

fn diagnostics() -> Diagnostics {
    Diagnostics {
        error_code: ScriptErrorCode::ScriptFailed,
        script_name: "scripts/start.sh".into(),
        message: "exit code 3".into(),
        log_tail: "one\nport is taken\n".into(),
        script_from_deployment: None,
    }
}

use LifecycleEvent::{ApplicationStart, ApplicationStop, Install, ValidateService};

#[test]
fn one_host_after_another_runs_seven_events_without_a_balancer() {
    let mut one = One::with(serde_json::json!({}));
    one.deploy(1, "web", 2);
    let told = one.answer(&[]);
    let order: Vec<&str> = told.iter().map(|(host, _)| host.as_str()).collect();
    assert_eq!(order.len(), 21);
    assert!(order[..7].iter().all(|host| *host == order[0]));
    let events: Vec<LifecycleEvent> = told[..7].iter().map(|(_, event)| *event).collect();
    assert_eq!(events, LifecycleEvent::ALL[3..10]);
    one.pass(1_000);
    assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
    let group = one.engine.state().group(&name("web")).unwrap();
    assert_eq!(group.target().unwrap().deployment, id(1));
    assert!(group.hosts.values().all(|host| host.is_healthy));
}

#[test]
fn behind_a_balancer_all_thirteen_are_run_and_a_host_in_the_middle_has_no_traffic() {
    let mut one = One::with(serde_json::json!({
        "deploymentStyle": {"deploymentOption": "WITH_TRAFFIC_CONTROL"}, "x-croft": {"router": haproxy()}}));
    one.deploy(1, "web", 2);
    while one.commands[0].1 != Install {
        let (_, _, report) = one.commands.remove(0);
        one.input(Input::Report(report));
    }
    let host = one.commands[0].0.clone();
    one.pass(3_000);
    assert_eq!(one.weight(&host, Side::New), 0);
    let told = one.answer(&[]);
    assert!(told.contains(&(host.clone(), LifecycleEvent::AllowTraffic)));
    one.pass(3_000);
    assert_eq!(one.weight(&host, Side::New), WEIGHT_FULL);
}

#[test]
fn a_failure_names_host_event_script_exit_code_and_last_lines_and_is_taken_back() {
    let mut one = One::with(serde_json::json!({}));
    one.deploy(1, "web", 2);
    one.answer(&[]);
    one.pass(1_000);
    one.deploy(2, "web", 3);
    // The first host goes well, the second does not: one more failure than OneAtATime has room for.
    let first = one.commands[0].0.clone();
    let others: Vec<&str> = ["h1", "h2", "h3"]
        .into_iter()
        .filter(|host| *host != first)
        .collect();
    let fails = [(others[0], ApplicationStart), (others[1], ApplicationStart)];
    // Only the bad revision's script fails; the deployment that takes it back installs the good one.
    loop {
        let deployment = one.engine.state().deployment(&id(2)).unwrap();
        if deployment.end.is_some() {
            break;
        }
        let (host, event, mut report) = one.commands.remove(0);
        if fails.contains(&(host.as_str(), event)) {
            report.said = Said::Ended(EventStatus::Failed, Some(Box::new(diagnostics())));
        }
        one.input(Input::Report(report));
    }
    let end = one.end(&id(2));
    assert_eq!(end.status, DeploymentStatus::Failed);
    let error = end.error.unwrap();
    assert_eq!(error.code, ErrorCode::HealthConstraints);
    for part in [
        "1 of 3 hosts went well",
        others[0],
        "ApplicationStart",
        "scripts/start.sh",
        "exit code 3",
        "port is taken",
    ] {
        assert!(error.message.contains(part), "{part}: {}", error.message);
    }
    assert_eq!(end.rollback, Some(rollback_id(&id(2))));
    let shown =
        serde_json::to_value(one.engine.state().deployment(&id(2)).unwrap().info()).unwrap();
    assert_eq!(shown["errorInformation"]["code"], "HEALTH_CONSTRAINTS");
    assert_eq!(
        shown["errorInformation"]["x-croft-firstFailure"]["scriptName"],
        "scripts/start.sh"
    );
    let overview = serde_json::json!({"Pending": 0, "InProgress": 0, "Succeeded": 1, "Failed": 1, "Skipped": 1, "Ready": 0});
    assert_eq!(shown["deploymentOverview"], overview);
    assert_eq!(
        shown["rollbackInfo"]["rollbackDeploymentId"],
        rollback_id(&id(2)).as_str()
    );
    let told = one.answer(&[]);
    one.pass(1_000);
    assert_eq!(
        one.end(&rollback_id(&id(2))).status,
        DeploymentStatus::Succeeded
    );
    let hosts: BTreeSet<String> = told.into_iter().map(|(host, _)| host).collect();
    assert!(
        !hosts.contains(others[1]),
        "a host that was not reached has the good revision still"
    );
    let group = one.engine.state().group(&name("web")).unwrap();
    assert_eq!(
        group.target().unwrap().asked.revision,
        asked("web", 2).revision
    );
}

#[test]
fn a_rollback_that_fails_halts_and_says_what_stands_where_and_nothing_follows() {
    let mut one =
        One::with(serde_json::json!({"deploymentConfigName": "CodeDeployDefault.AllAtOnce"}));
    one.deploy(1, "web", 2);
    one.answer(&[]);
    one.pass(1_000);
    one.deploy(2, "web", 3);
    let all = ["h1", "h2", "h3"].map(|host| (host, ValidateService));
    one.answer(&all);
    one.pass(1_000);
    one.answer(&all);
    one.pass(1_000);
    let end = one.end(&rollback_id(&id(2)));
    assert_eq!((end.status, end.rollback), (DeploymentStatus::Halted, None));
    let message = end.error.unwrap().message;
    assert!(
        message.contains("Failed on the way back: h1, h2, h3"),
        "{message}"
    );
    for _ in 0..100 {
        one.pass(10_000);
    }
    assert!(one.engine.state().group(&name("web")).unwrap().is_idle());
    assert!(one.commands.is_empty());
}

#[test]
fn a_rollback_that_a_guard_rail_ends_halts_too() {
    let mut one = One::with(serde_json::json!({}));
    one.deploy(1, "web", 2);
    one.answer(&[]);
    one.pass(1_000);
    one.deploy(2, "web", 3);
    let (_, _, report) = one.commands.remove(0);
    let intents = stop(one.engine.state(), &id(2), Then::GoBack, "me").unwrap();
    assert!(one.farm.intend(&intents));
    one.settle();
    one.input(Input::Report(report));
    let finding = Finding {
        by: "crash loop".into(),
        message: "it restarts".into(),
        evidence: serde_json::json!("x".repeat(100_000)),
    };
    let back = rollback_id(&id(2));
    one.input(Input::Advised(
        back.clone(),
        Advice::RollBack(Box::new(finding)),
    ));
    let end = one.end(&back);
    assert_eq!((end.status, end.rollback), (DeploymentStatus::Halted, None));
    assert!(end.error.unwrap().message.contains("In the middle of it"));
    assert!(end.finding.unwrap().evidence.to_string().len() < 100);
}

#[test]
fn a_host_that_says_too_much_is_recorded_shortened() {
    let mut one =
        One::with(serde_json::json!({"deploymentConfigName": "CodeDeployDefault.AllAtOnce"}));
    one.deploy(1, "web", 2);
    for (_, _, mut report) in std::mem::take(&mut one.commands) {
        let mut said = diagnostics();
        said.log_tail = format!("{}the end", "ä".repeat(100_000));
        said.message = "m".repeat(100_000);
        report.said = Said::Ended(EventStatus::Failed, Some(Box::new(said)));
        one.input(Input::Report(report));
    }
    let all = one.farm.entries(Seq::ZERO);
    assert!(
        all.iter()
            .all(|entry| entry.event().unwrap().len() < 64 << 10)
    );
    let end = one.end(&id(1));
    let first = end.error.unwrap().first_failure.unwrap();
    assert!(first.log_tail.ends_with("the end") && first.log_tail.len() <= 4 << 10);
}

#[test]
fn what_the_old_revision_cannot_do_may_be_ignored() {
    for (is_ignored, status) in [
        (true, DeploymentStatus::Succeeded),
        (false, DeploymentStatus::Failed),
    ] {
        let mut one = One::with(serde_json::json!({}));
        let mut wanted = asked("web", 2);
        wanted.ignore_application_stop_failures = is_ignored;
        let intents = admit(one.engine.state(), &id(1), wanted, "me").unwrap();
        one.farm.intend(&intents);
        one.settle();
        one.answer(&["h1", "h2", "h3"].map(|host| (host, ApplicationStop)));
        one.pass(1_000);
        assert_eq!(one.status(1), Some(status));
    }
}

#[test]
fn a_host_that_never_begins_has_failed_after_five_minutes_and_one_that_never_ends_after_an_hour() {
    let mut one =
        One::with(serde_json::json!({"deploymentConfigName": "CodeDeployDefault.AllAtOnce"}));
    one.deploy(1, "web", 2);
    let commands = std::mem::take(&mut one.commands);
    assert_eq!(commands.len(), 3);
    for (host, _, mut report) in commands {
        if host == "h2" {
            report.said = Said::Started;
        }
        if host != "h3" {
            one.input(Input::Report(report));
        }
    }
    one.commands.clear();
    one.pass(299_000);
    assert_eq!(
        one.engine.state().deployment(&id(1)).unwrap().running.len(),
        3
    );
    one.pass(2_000);
    let deployment = one.engine.state().deployment(&id(1)).unwrap();
    assert_eq!(
        deployment.running.len(),
        1,
        "only the one that has begun is waited for"
    );
    one.pass(3_600_000);
    let end = one.end(&id(1));
    assert_eq!(end.status, DeploymentStatus::Failed);
    assert!(end.error.unwrap().message.contains("within five minutes"));
}

#[test]
fn an_alarm_ends_it_and_takes_it_back_while_a_host_still_runs_its_event() {
    let mut one = One::with(serde_json::json!({"x-croft": {"verdicts": {}, "bakeMinutes": 1}}));
    one.deploy(1, "web", 2);
    one.see(1);
    one.answer(&[]);
    for _ in 0..4 {
        one.see(1);
        one.pass(25_000);
    }
    assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
    one.deploy(2, "web", 3);
    one.see(2);
    let (host, event, report) = one.commands.remove(0);
    let finding = Finding {
        by: "errors".into(),
        message: "9% of requests fail".into(),
        evidence: serde_json::json!({"query": "q"}),
    };
    one.input(Input::Advised(id(2), Advice::RollBack(Box::new(finding))));
    let end = one.end(&id(2));
    assert_eq!(end.status, DeploymentStatus::Stopped);
    assert_eq!(end.error.unwrap().code, ErrorCode::AlarmActive);
    assert_eq!(end.finding.unwrap().evidence["query"], "q");
    let back = rollback_id(&id(2));
    assert!(one.commands.is_empty(), "the host is waited for");
    one.input(Input::Report(report.clone()));
    assert_eq!(one.commands[0].0, host);
    assert_eq!(one.commands[0].2.deployment, back);
    assert_eq!(event, ApplicationStop);
    one.answer(&[]);
    one.pass(1_000);
    assert_eq!(one.end(&back).status, DeploymentStatus::Succeeded);
    one.answers.clear();
    one.input(Input::Report(report));
    assert_eq!(one.answers, [Answer::Stale]);
}

#[test]
fn blind_it_stays_where_it_is_and_goes_on_when_somebody_sees_again() {
    let mut one = One::with(serde_json::json!({"x-croft": {"verdicts": {}, "bakeMinutes": 1}}));
    one.deploy(1, "web", 2);
    one.pass(1_000);
    assert!(one.commands.is_empty(), "nobody has looked yet");
    one.see(1);
    one.answer(&[]);
    one.see(1);
    one.pass(20_000);
    for _ in 0..20 {
        one.hold(1);
        one.pass(60_000);
    }
    assert_eq!(one.status(1), None);
    one.see(1);
    one.pass(29_000);
    assert_eq!(one.status(1), None, "blind it was not watched");
    one.see(1);
    one.pass(12_000);
    assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
}

#[test]
fn a_suspicion_in_place_holds_the_hosts_that_have_not_begun_until_it_ends_or_somebody_goes_on() {
    for goes_on in [true, false] {
        let mut one = One::with(serde_json::json!({"x-croft": {"verdicts": {}}}));
        one.deploy(1, "web", 2);
        one.see(1);
        assert_eq!(one.commands.len(), 1);
        one.hold(1);
        one.answer(&[]);
        one.pass(600_000);
        assert!(one.commands.is_empty(), "the second host waits");
        if goes_on {
            let intents = go_on(one.engine.state(), &id(1), "me").unwrap();
            assert!(one.farm.intend(&intents));
            one.settle();
        } else {
            one.see(1);
        }
        assert_eq!(one.commands.len(), 1);
        assert_ne!(one.commands[0].0, "h1");
    }
}

#[test]
fn a_canary_goes_first_and_is_watched_before_the_others_follow() {
    let farm = Farm::new();
    farm.config(serde_json::json!({"deploymentConfigName": "careful",
        "minimumHealthyHosts": {"type": "HOST_COUNT", "value": 0},
        "x-croft": {"canary": {"hosts": 1, "waitSeconds": 60}}}));
    farm.group(group(
        "web",
        serde_json::json!({"deploymentConfigName": "careful"}),
    ));
    for host in ["h1", "h2", "h3"] {
        farm.host(host, None);
    }
    let mut one = One::new(farm);
    one.deploy(1, "web", 2);
    let first = one.answer(&[]);
    assert!(first.iter().all(|(host, _)| host == "h1"), "{first:?}");
    one.pass(59_000);
    assert!(one.commands.is_empty());
    one.pass(1_000);
    assert_eq!(one.commands.len(), 2, "the others go together");
    one.answer(&[]);
    one.pass(1_000);
    assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
    one.deploy(2, "web", 3);
    let told = one.answer(&[("h1", ValidateService)]);
    assert!(told.iter().all(|(host, _)| host == "h1"), "{told:?}");
    let back = one.engine.state().deployment(&rollback_id(&id(2)));
    let steps = &back.unwrap().plan.as_ref().unwrap().steps;
    assert_eq!(steps.len(), 2, "what takes back has no canary: {steps:?}");
}

#[test]
fn a_metrics_outage_of_any_length_takes_no_good_release_back() {
    const HOUR_MS: u64 = 3_600_000;
    // Blind from the first host, after one, or in the bake; a server that dies in the middle of it, or not.
    for hosts_before in 0..=3 {
        for blind_hours in [1, 7, 9, 200] {
            for dies in [false, true] {
                let what = format!("{hosts_before} hosts, {blind_hours} h, {dies}");
                let mut one =
                    One::with(serde_json::json!({"x-croft": {"verdicts": {}, "bakeMinutes": 1}}));
                one.deploy(1, "web", 2);
                for _ in 0..hosts_before {
                    one.see(1);
                    let next = one.commands[0].0.clone();
                    while one
                        .commands
                        .first()
                        .is_some_and(|(host, _, _)| *host == next)
                    {
                        let (_, _, report) = one.commands.remove(0);
                        one.hold(1);
                        one.input(Input::Report(report));
                    }
                }
                for hour in 0..blind_hours {
                    one.hold(1);
                    one.pass(HOUR_MS);
                    if dies && hour == blind_hours / 2 {
                        one = One::new(one.farm);
                    }
                }
                assert_eq!(one.status(1), None, "{what}");
                for _ in 0..10 {
                    one.see(1);
                    one.answer(&[]);
                    one.pass(25_000);
                }
                let end = one.end(&id(1));
                assert_eq!(end.rollback, None, "{what}");
                let is_forgotten = dies && blind_hours >= 9;
                if !is_forgotten {
                    assert_eq!(end.status, DeploymentStatus::Succeeded, "{what}");
                }
            }
        }
    }
}

#[test]
fn a_busy_group_refuses_queues_or_supersedes_and_an_older_build_never_wins() {
    let mut one = One::with(serde_json::json!({}));
    one.deploy(1, "web", 2);
    let wanted = |busy: &str, order: u64| {
        let mut wanted = asked("web", 3);
        let own = serde_json::json!({"busy": busy, "order": order});
        wanted.own = Some(serde_json::from_value(own).unwrap());
        wanted
    };
    let ask = |one: &One, number, wanted| admit(one.engine.state(), &id(number), wanted, "me");
    assert_eq!(ask(&one, 2, wanted("REFUSE", 5)), Err(Refusal::Busy(id(1))));
    for (number, busy, order) in [(3, "QUEUE", 5), (4, "QUEUE", 6), (5, "SUPERSEDE", 9)] {
        let intents = ask(&one, number, wanted(busy, order)).unwrap();
        assert!(one.farm.intend(&intents));
        one.settle();
    }
    assert_eq!(
        ask(&one, 6, wanted("QUEUE", 8)),
        Err(Refusal::Older {
            order: 8,
            newest: 9
        })
    );
    let group = one.engine.state().group(&name("web")).unwrap();
    assert_eq!(group.queue, [id(5)]);
    one.answer(&[]);
    one.pass(1_000);
    one.answer(&[]);
    one.pass(1_000);
    assert_eq!(one.status(5), Some(DeploymentStatus::Succeeded));
}

#[test]
fn a_host_that_comes_back_with_another_revision_is_closed_and_brought_to_its_groups() {
    let mut one = One::with(serde_json::json!({
        "deploymentStyle": {"deploymentOption": "WITH_TRAFFIC_CONTROL"}, "x-croft": {"router": haproxy()}}));
    one.deploy(1, "web", 2);
    one.answer(&[]);
    one.pass(3_000);
    let returned = |digest: String| Input::Returned {
        host: "h2".into(),
        group: name("web"),
        digest: Some(digest),
    };
    one.input(returned(format!("{:064x}", 2)));
    one.pass(3_000);
    assert_eq!(one.weight("h2", Side::New), WEIGHT_FULL);
    one.input(returned(format!("{:064x}", 7)));
    assert!(one.commands.is_empty());
    one.pass(3_000);
    assert_eq!(one.weight("h2", Side::New), 0);
    let told = one.answer(&[]);
    assert!(told.iter().all(|(host, _)| host == "h2") && !told.is_empty());
    one.pass(3_000);
    assert_eq!(one.weight("h2", Side::New), WEIGHT_FULL);
    let group = one.engine.state().group(&name("web")).unwrap();
    let update = one
        .engine
        .state()
        .deployment(group.ended.as_ref().unwrap())
        .unwrap();
    assert_eq!(update.accepted.creator, Creator::AutoUpdate);
}

#[test]
fn a_host_that_came_back_while_a_deployment_ran_is_looked_at_when_that_is_over() {
    let mut one = One::with(serde_json::json!({"x-croft": {"bakeMinutes": 1}}));
    one.deploy(1, "web", 2);
    one.answer(&[]);
    assert_eq!(one.status(1), None, "it bakes");
    one.input(Input::Returned {
        host: "h2".into(),
        group: name("web"),
        digest: None,
    });
    let standing = |one: &One| {
        let group = one.engine.state().group(&name("web")).unwrap();
        group.hosts.get("h2").map(|standing| standing.revision)
    };
    one.pass(70_000);
    assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
    one.pass(1_000);
    assert_eq!(standing(&one), Some(RevisionHealth::Unknown));
    one.pass(6_000);
    let told = one.answer(&[]);
    assert!(told.iter().all(|(host, _)| host == "h2") && !told.is_empty());
    one.pass(70_000);
    assert_eq!(standing(&one), Some(RevisionHealth::Current));
}

#[test]
fn a_host_that_was_revoked_is_closed_and_who_comes_by_its_name_has_nothing() {
    let mut one = One::with(serde_json::json!({
        "deploymentStyle": {"deploymentOption": "WITH_TRAFFIC_CONTROL"}, "x-croft": {"router": haproxy()}}));
    one.deploy(1, "web", 2);
    one.answer(&[]);
    one.pass(3_000);
    assert_eq!(one.weight("h2", Side::New), WEIGHT_FULL);
    one.farm.revoke("h2");
    one.settle();
    one.pass(3_000);
    assert_eq!(one.weight("h2", Side::New), 0);
    assert_eq!(one.weight("h1", Side::New), WEIGHT_FULL);
    one.farm.enrol_again("h2");
    one.settle();
    one.pass(3_000);
    assert_eq!(one.weight("h2", Side::New), 0, "nothing is installed there");
    let told = one.answer(&[]);
    assert!(told.iter().all(|(host, _)| host == "h2") && !told.is_empty());
    one.pass(3_000);
    assert_eq!(one.weight("h2", Side::New), WEIGHT_FULL);
}

/// A group of containers, whose first revision is there and whose second has 10% of the traffic.
fn shifting() -> One {
    let farm = Farm::new();
    farm.config(
        serde_json::json!({"deploymentConfigName": "steps", "computePlatform": "ECS",
        "x-croft": {"trafficSteps": [{"percent": 10, "waitSeconds": 20}]}}),
    );
    farm.group(group("box", serde_json::json!({"deploymentConfigName": "steps",
        "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        "x-croft": {"router": haproxy(), "containers": {"ports": {"blue": 81, "green": 82}}}})));
    farm.host("h1", None);
    farm.host("h2", None);
    let mut one = One::new(farm);
    for (number, revision) in [(1, 2), (2, 3)] {
        one.deploy(number, "box", revision);
        one.answer(&[]);
        one.pass(1_000);
        one.answer(&[]);
        if number == 1 {
            for _ in 0..10 {
                for (deployment, step) in std::mem::take(&mut one.routed) {
                    one.input(Input::Routed(deployment, step));
                }
                one.pass(21_000);
                one.answer(&[]);
            }
            assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
        }
    }
    one
}

#[test]
fn traffic_moves_in_steps_and_only_when_the_balancer_has_been_told() {
    let mut one = shifting();
    one.pass(3_000);
    let share = |one: &One| {
        let (new, old) = (one.weight("h1", Side::New), one.weight("h1", Side::Old));
        f64::from(new) / f64::from(new + old)
    };
    assert!((share(&one) - 0.1).abs() < 0.01, "{}", share(&one));
    one.pass(60_000);
    assert!(
        (share(&one) - 0.1).abs() < 0.01,
        "the balancer has not said that it was told"
    );
    let (deployment, step) = one.routed.pop().unwrap();
    one.input(Input::Routed(deployment, step));
    one.pass(1_000);
    assert!((share(&one) - 1.0).abs() < 0.001);
    let (deployment, step) = one.routed.pop().unwrap();
    one.input(Input::Routed(deployment, step));
    one.pass(1_000);
    let told = one.answer(&[]);
    assert!(told.contains(&("h1".into(), LifecycleEvent::BlockTraffic)));
    assert!(
        told.contains(&("h1".into(), ApplicationStop)),
        "the old container is stopped last"
    );
    one.pass(1_000);
    assert_eq!(one.status(2), Some(DeploymentStatus::Succeeded));
}

/// What the old revision's scripts come to is no matter of the release; a container that still has traffic is not stopped.
#[test]
fn a_script_of_the_old_side_does_not_end_a_good_release_and_what_follows_it_is_run() {
    use LifecycleEvent::{AfterBlockTraffic, BeforeBlockTraffic, BlockTraffic};
    for (event, after) in [
        (BeforeBlockTraffic, true),
        (BlockTraffic, false),
        (AfterBlockTraffic, true),
        (ApplicationStop, true),
    ] {
        let mut one = shifting();
        for _ in 0..2 {
            one.pass(60_000);
            for (deployment, step) in std::mem::take(&mut one.routed) {
                one.input(Input::Routed(deployment, step));
            }
            one.pass(21_000);
        }
        let mut told = Vec::new();
        for _ in 0..5 {
            told.extend(one.answer(&[("h1", event)]));
            one.pass(1_000);
        }
        assert_eq!(one.status(2), Some(DeploymentStatus::Succeeded), "{event}");
        let went_on = told.contains(&("h1".into(), ApplicationStop));
        assert_eq!(went_on, after, "{event}: what follows on that host");
    }
}

#[test]
fn colours_alternate_and_each_container_has_a_name_of_its_own() {
    let mut one = shifting();
    let containers = |one: &One, number| {
        let deployment = one.engine.state().deployment(&id(number));
        deployment.and_then(|one| one.plan.as_ref()?.containers)
    };
    let group = one.engine.state().group(&name("box")).unwrap();
    assert_eq!(group.serves, Some(Colour::Blue));
    assert_eq!(containers(&one, 2).unwrap().new, Colour::Green);
    one.pass(3_000);
    let told = one.weights.as_ref().unwrap();
    let mut servers: Vec<String> = told.weights.iter().map(Weight::server).collect();
    servers.sort();
    assert_eq!(servers, ["h1-blue", "h1-green", "h2-blue", "h2-green"]);
    assert_eq!(told.needs, Some(Needs::All));
    let intents = stop(one.engine.state(), &id(2), Then::AsTheGroupSays, "me").unwrap();
    assert!(one.farm.intend(&intents));
    one.settle();
    let back = one.engine.state().deployment(&rollback_id(&id(2))).unwrap();
    assert_eq!(
        back.plan.as_ref().unwrap().containers.unwrap().new,
        Colour::Blue
    );
    assert_eq!(one.weights.as_ref().unwrap().needs, Some(Needs::One));
    for _ in 0..5 {
        for (deployment, step) in std::mem::take(&mut one.routed) {
            one.input(Input::Routed(deployment, step));
        }
        one.pass(3_000);
        one.answer(&[]);
    }
    let end = one.end(&rollback_id(&id(2)));
    assert_eq!(end.status, DeploymentStatus::Succeeded);
    let group = one.engine.state().group(&name("box")).unwrap();
    assert_eq!(group.serves, Some(Colour::Blue));
    assert!(group.hosts.values().all(|host| host.is_healthy));
    one.deploy(3, "box", 4);
    assert_eq!(containers(&one, 3).unwrap().new, Colour::Green);
}

#[test]
fn a_container_that_is_not_well_on_one_host_ends_the_deployment_and_the_old_ones_serve_on() {
    let farm = Farm::new();
    farm.group(group("box", boxes()));
    farm.host("h1", None);
    farm.host("h2", None);
    let mut one = One::new(farm);
    one.deploy(1, "box", 2);
    one.over_well(1);
    one.deploy(2, "box", 3);
    one.answer(&[("h1", ValidateService)]);
    one.pass(1_000);
    assert_eq!(one.end(&id(2)).status, DeploymentStatus::Failed);
    for host in ["h1", "h2"] {
        let told = &one.weights.as_ref().unwrap().weights;
        let of = |colour| {
            let weights = told.iter();
            let mut found =
                weights.filter(|weight| weight.host == host && weight.colour == Some(colour));
            found.next().unwrap().weight
        };
        assert_eq!((of(Colour::Blue), of(Colour::Green)), (WEIGHT_FULL, 0));
    }
    let group = one.engine.state().group(&name("box")).unwrap();
    assert_eq!(group.serves, Some(Colour::Blue));
    assert!(
        group.hosts.values().all(|host| host.is_healthy),
        "what serves is well"
    );
}

/// Settings of a group of containers that move at once.
fn boxes() -> serde_json::Value {
    serde_json::json!({
        "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        "x-croft": {"router": haproxy(), "containers": {"ports": {"blue": 81, "green": 82}}}})
}

#[test]
fn a_group_of_containers_without_ports_is_refused_when_its_turn_comes() {
    let farm = Farm::new();
    let mut settings = boxes();
    settings["x-croft"] = serde_json::json!({"router": haproxy()});
    farm.group(group("box", settings));
    farm.host("h1", None);
    let mut one = One::new(farm);
    let intents = admit(one.engine.state(), &id(1), asked("box", 2), "me").unwrap();
    one.farm.intend(&intents);
    one.settle();
    assert!(one.commands.is_empty());
    let is_said = one.farm.entries(Seq::ZERO).into_iter().any(|entry| {
        let text = String::from_utf8_lossy(entry.event().unwrap()).into_owned();
        text.contains("x-croft.containers: a host's two containers need a port each")
    });
    assert!(is_said);
}

#[test]
fn in_the_middle_of_a_shift_traffic_is_back_with_the_decision_itself() {
    let mut one = shifting();
    one.pass(3_000);
    one.weights = None;
    let finding = Finding {
        by: "canary".into(),
        message: "errors".into(),
        evidence: serde_json::Value::Null,
    };
    one.input(Input::Advised(id(2), Advice::RollBack(Box::new(finding))));
    assert_eq!(
        one.weight("h1", Side::New),
        WEIGHT_FULL,
        "what takes it back names the old side its new one"
    );
    let back = one.engine.state().deployment(&rollback_id(&id(2))).unwrap();
    let first = &back.plan.as_ref().unwrap().steps[0];
    assert!(matches!(
        first,
        croft_proto::deploy::Step::Shift { percent: 100, .. }
    ));
    one.routed.clear();
    one.pass(3_000);
    let (deployment, step) = one.routed.pop().unwrap();
    one.input(Input::Routed(deployment, step));
    one.pass(1_000);
    let told = one.answer(&[]);
    assert!(
        !told.iter().any(|(_, event)| *event == Install),
        "nothing is installed to go back"
    );
    one.pass(1_000);
    assert_eq!(
        one.end(&rollback_id(&id(2))).status,
        DeploymentStatus::Succeeded
    );
}

#[test]
fn zones_follow_each_other_and_each_is_watched_before_the_next() {
    let farm = Farm::new();
    farm.config(serde_json::json!({"deploymentConfigName": "zonal",
        "minimumHealthyHosts": {"type": "HOST_COUNT", "value": 0},
        "zonalConfig": {"firstZoneMonitorDurationInSeconds": 60, "monitorDurationInSeconds": 30,
            "minimumHealthyHostsPerZone": {"type": "HOST_COUNT", "value": 1}}}));
    farm.group(group(
        "web",
        serde_json::json!({"deploymentConfigName": "zonal"}),
    ));
    for (host, zone) in [
        ("a1", "a"),
        ("b1", "b"),
        ("a2", "a"),
        ("c1", "c"),
        ("c2", "c"),
        ("b2", "b"),
    ] {
        farm.host(host, Some(zone));
    }
    let mut one = One::new(farm);
    one.deploy(1, "web", 2);
    let mut zones = Vec::new();
    for wait_ms in [59_000, 29_000, 0] {
        let told = one.answer(&[]);
        let hosts: BTreeSet<String> = told.into_iter().map(|(host, _)| host).collect();
        zones.push(hosts.into_iter().collect::<Vec<_>>().join(" "));
        one.pass(wait_ms);
        assert!(one.commands.is_empty(), "the zone is still watched");
        one.pass(1_000);
    }
    assert_eq!(zones, ["a1 a2", "b1 b2", "c1 c2"]);
    assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
}

#[test]
fn a_zone_below_its_minimum_stops_the_later_ones() {
    let farm = Farm::new();
    farm.config(serde_json::json!({"deploymentConfigName": "zonal",
        "minimumHealthyHosts": {"type": "HOST_COUNT", "value": 0}, "zonalConfig": {}}));
    farm.group(group(
        "web",
        serde_json::json!({"deploymentConfigName": "zonal"}),
    ));
    for (host, zone) in [("a1", "a"), ("a2", "a"), ("b1", "b")] {
        farm.host(host, Some(zone));
    }
    let mut one = One::new(farm);
    one.deploy(1, "web", 2);
    let told = one.answer(&[("a1", Install), ("a2", Install)]);
    assert!(told.iter().all(|(host, _)| host != "b1"));
    assert_eq!(one.status(1), Some(DeploymentStatus::Failed));
}

#[test]
fn traffic_waits_to_be_let_go_and_stops_when_nobody_does() {
    for is_let_go in [true, false] {
        let farm = Farm::new();
        farm.group(group("box", serde_json::json!({"deploymentConfigName": "CodeDeployDefault.ECSAllAtOnce",
            "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
            "blueGreenDeploymentConfiguration": {"deploymentReadyOption":
                {"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 5}},
            "x-croft": {"router": haproxy(), "containers": {"ports": {"blue": 81, "green": 82}}}})));
        farm.host("h1", None);
        let mut one = One::new(farm);
        one.deploy(1, "box", 2);
        one.answer(&[]);
        let deployment = one.engine.state().deployment(&id(1)).unwrap();
        assert_eq!(deployment.status(), DeploymentStatus::Ready);
        assert_eq!(deployment.overview().ready, 1);
        one.pass(200_000);
        if is_let_go {
            let intents = go_on(one.engine.state(), &id(1), "me").unwrap();
            assert!(one.farm.intend(&intents));
            one.settle();
            let again = go_on(one.engine.state(), &id(1), "me");
            assert_eq!(again, Err(Refusal::NotWaiting(id(1))));
            one.answer(&[]);
            let deployment = one.engine.state().deployment(&id(1)).unwrap();
            assert_eq!(deployment.traffic_percent, 100);
            assert_eq!(one.status(1), None);
        } else {
            one.pass(101_000);
            let end = one.end(&id(1));
            assert_eq!(end.status, DeploymentStatus::Stopped);
            let said = end.rollback_message.unwrap();
            assert!(said.contains("nothing to go back to"), "{said}");
        }
    }
}

#[test]
fn a_minimum_that_leaves_no_host_ends_the_deployment_before_anything_is_done() {
    let mut one = One::with(serde_json::json!({"deploymentConfigName": "most"}));
    one.farm
        .config(serde_json::json!({"deploymentConfigName": "most",
        "minimumHealthyHosts": {"type": "FLEET_PERCENT", "value": 95}}));
    one.settle();
    let intents = admit(one.engine.state(), &id(1), asked("web", 2), "me").unwrap();
    one.farm.intend(&intents);
    one.settle();
    assert!(one.commands.is_empty());
    let ended = one.farm.entries(Seq::ZERO).into_iter().any(|entry| {
        let text = String::from_utf8_lossy(entry.event().unwrap()).into_owned();
        text.contains("HEALTH_CONSTRAINTS_INVALID")
            && text.contains("3 of 3 hosts must stay healthy")
    });
    assert!(ended);
}

#[test]
fn the_cost_of_a_host_is_the_same_in_a_fleet_of_a_thousand_and_of_ten_thousand() {
    let cost = |hosts: u32| {
        let farm = Farm::new();
        farm.group(group(
            "web",
            serde_json::json!({"deploymentConfigName": "CodeDeployDefault.HalfAtATime"}),
        ));
        for number in 0..hosts {
            farm.host(
                &format!("ip-10-0-{}-{}.eu-west-1", number / 250, number % 250),
                None,
            );
        }
        let before = farm.last().get();
        let mut one = One::new(farm);
        one.deploy(1, "web", 2);
        assert_eq!(
            one.commands.len(),
            hosts as usize / 2,
            "half of them at once"
        );
        let mut told = 0;
        while !one.commands.is_empty() {
            for (_, _, report) in std::mem::take(&mut one.commands) {
                told += 1;
                one.input(Input::Report(report));
            }
        }
        one.pass(1_000);
        assert_eq!(one.status(1), Some(DeploymentStatus::Succeeded));
        (
            f64::from(told) / f64::from(hosts),
            (one.farm.last().get() - before) / u64::from(hosts),
        )
    };
    assert_eq!(cost(1_000), cost(10_000));
}
