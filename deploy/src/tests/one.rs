//! One engine over a ledger in memory, an input at a time, for tests: appends succeed, and commands wait until they are answered.

use croft_ledger::Seq;
use croft_proto::deploy::{
    DeploymentStatus, Diagnostics, EventStatus, LifecycleEvent, ScriptErrorCode, Side,
};

use super::farm::{Farm, asked, group, id};
use crate::step::Noted;
use crate::*;

/// One server whose appends succeed; commands wait until they are answered.
pub(super) struct One {
    pub(super) farm: Farm,
    pub(super) engine: Engine,
    pub(super) folded: Seq,
    pub(super) commands: Vec<(String, LifecycleEvent, Report)>,
    pub(super) weights: Option<Weights>,
    pub(super) routed: Vec<(croft_proto::deploy::DeploymentId, u32)>,
    pub(super) answers: Vec<Answer>,
    pub(super) noted: Vec<Noted>,
}

impl One {
    pub(super) fn new(farm: Farm) -> Self {
        let mut one = Self {
            farm,
            engine: Engine::default(),
            folded: Seq::ZERO,
            commands: Vec::new(),
            weights: None,
            routed: Vec::new(),
            answers: Vec::new(),
            noted: Vec::new(),
        };
        one.settle();
        one.input(Input::CaughtUp);
        one
    }

    /// Three hosts and a group `web` with these settings.
    pub(super) fn with(settings: serde_json::Value) -> Self {
        let farm = Farm::new();
        farm.group(group("web", settings));
        for host in ["h1", "h2", "h3"] {
            farm.host(host, None);
        }
        Self::new(farm)
    }

    pub(super) fn input(&mut self, input: Input<'_>) {
        self.only(input);
        self.settle();
    }

    pub(super) fn only(&mut self, input: Input<'_>) {
        let now = Now {
            steady_ms: self.farm.now().millis() - super::farm::START_MS,
            wall: self.farm.now(),
        };
        let noted = &mut self.noted;
        for action in self.engine.step_noting(input, now, noted).unwrap() {
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
    pub(super) fn settle(&mut self) {
        while self.folded < self.farm.last() {
            for entry in self.farm.entries(self.folded) {
                self.folded = entry.seq;
                self.only(Input::Entry(&entry));
            }
        }
    }

    pub(super) fn deploy(&mut self, number: u64, group: &str, revision: u64) {
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
    pub(super) fn see(&mut self, number: u64) {
        self.input(Input::Advised(id(number), Advice::Continue));
    }

    /// Whoever watches does not know.
    pub(super) fn hold(&mut self, number: u64) {
        let reason = "the monitor is away".into();
        self.input(Input::Advised(id(number), Advice::Hold { reason }));
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.farm.pass(ms);
        self.input(Input::Tick);
    }

    /// Answers what hosts were told; those of `fails` fail, with a log.
    pub(super) fn answer(
        &mut self,
        fails: &[(&str, LifecycleEvent)],
    ) -> Vec<(String, LifecycleEvent)> {
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

    /// All goes well until the services are looked at, which fails on every host, until a deployment is over.
    pub(super) fn fails(&mut self, number: u64) {
        for _ in 0..200 {
            if self.status(number).is_some() {
                return;
            }
            self.see(number);
            if self.commands.is_empty() {
                self.pass(1_000);
                continue;
            }
            let (_, event, mut report) = self.commands.remove(0);
            if event == LifecycleEvent::ValidateService && report.deployment == id(number) {
                report.said = Said::Ended(EventStatus::Failed, Some(Box::new(diagnostics())));
            }
            self.input(Input::Report(report));
        }
        panic!("it does not fail");
    }

    /// The oldest of what hosts were told is answered.
    pub(super) fn answer_one(&mut self) {
        if !self.commands.is_empty() {
            let (_, _, report) = self.commands.remove(0);
            self.input(Input::Report(report));
        }
    }

    /// All that the host is told that is to answer next; its name.
    pub(super) fn answer_next_host(&mut self) -> String {
        let next = self.commands[0].0.clone();
        let is_next = |one: &Self| one.commands.first().is_some_and(|(host, ..)| *host == next);
        while is_next(self) {
            self.answer_one();
        }
        next
    }

    pub(super) fn status(&self, number: u64) -> Option<DeploymentStatus> {
        let deployment = self.engine.state().deployment(&id(number))?;
        deployment.end.as_ref().map(|end| end.status)
    }

    pub(super) fn end(&self, of: &croft_proto::deploy::DeploymentId) -> End {
        let deployment = self.engine.state().deployment(of).unwrap();
        deployment.end.clone().unwrap()
    }

    /// All that is left of a deployment goes well.
    pub(super) fn over_well(&mut self, number: u64) {
        for _ in 0..10 {
            self.answer(&[]);
            for (deployment, step) in std::mem::take(&mut self.routed) {
                self.input(Input::Routed(deployment, step));
            }
            self.pass(3_000);
        }
        assert_eq!(self.status(number), Some(DeploymentStatus::Succeeded));
    }

    pub(super) fn weight(&self, host: &str, side: Side) -> u32 {
        let weights = &self.weights.as_ref().unwrap().weights;
        let found = weights
            .iter()
            .find(|weight| weight.host == host && weight.side == side);
        found.unwrap().weight
    }
}

pub(super) fn diagnostics() -> Diagnostics {
    Diagnostics {
        error_code: ScriptErrorCode::ScriptFailed,
        script_name: "scripts/start.sh".into(),
        message: "exit code 3".into(),
        log_tail: "one\nport is taken\n".into(),
        script_from_deployment: None,
        printed: None,
    }
}
