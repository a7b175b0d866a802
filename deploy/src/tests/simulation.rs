//! **Shape of a world.** One ledger that never lies; two servers that fold it and die between any two actions; hosts that run one event
//! at a time, are away, hang, and remember on their disks what they did; commands, reports and answers that are lost, late or there
//! twice; people who deploy, stop and take back; somebody who watches. Three groups share the hosts. A seed gives the same story each
//! time. `CROFT_SEEDS=20000 cargo nextest run -p croft-deploy simulation` tries more of them.

use std::collections::{BTreeMap, BTreeSet};

use croft_ledger::Seq;
use croft_proto::deploy::{
    Accepted, Busy, Creator, DeploymentEvent, DeploymentId, DeploymentStatus, EventStatus, Finding,
    HostCommand, LifecycleEvent, Step, Was,
};

use super::farm::{Farm, asked, group, haproxy, id, name};
use crate::*;

const STEP_MS: u64 = 1_000;
const FAULTS_MS: u64 = 10 * 60_000;
const CALM_MS_MAX: u64 = 12 * 3_600_000;
const GROUPS: [&str; 3] = ["web", "tool", "box"];

/// splitmix64 (Steele, Lea, Flood 2014).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

#[derive(Default)]
struct Server {
    engine: Engine,
    folded: Seq,
    is_caught_up: bool,
    away_until_ms: u64,
}

type Event = (DeploymentId, LifecycleEvent);

/// A host's agent. All of it is on its disk.
#[derive(Default)]
struct Agent {
    away_until_ms: u64,
    running: Option<(HostCommand, u64)>,
    done: BTreeMap<Event, EventStatus>,
    begun: BTreeSet<Event>,
    generations: BTreeMap<String, u64>,
    outbox: Vec<Report>,
}

struct World {
    seed: u64,
    chance: Chance,
    now_ms: u64,
    farm: Farm,
    servers: Vec<Server>,
    agents: BTreeMap<String, Agent>,
    /// Commands and the balancer's work on their way, by when they arrive.
    commands: Vec<(u64, String, HostCommand)>,
    routes: Vec<(u64, Report)>,
    routed: Vec<(u64, usize, DeploymentId, u32)>,
    checkpoint: (State, Seq),
    faults: bool,
    born: u64,
}

fn settings(of: &str, chance: &mut Chance) -> serde_json::Value {
    let configs = ["OneAtATime", "HalfAtATime", "AllAtOnce"];
    let config = format!("CodeDeployDefault.{}", configs[chance.index(3)]);
    match of {
        "web" => serde_json::json!({"deploymentConfigName": config,
            "deploymentStyle": {"deploymentOption": "WITH_TRAFFIC_CONTROL"},
            "x-croft": {"router": haproxy(), "bakeMinutes": 1, "busy": "QUEUE", "verdicts": {}}}),
        "tool" => {
            serde_json::json!({"deploymentConfigName": if chance.one_in(2) { "zonal" } else { "twothirds" },
            "x-croft": {"busy": "SUPERSEDE"}})
        }
        _ => serde_json::json!({"deploymentConfigName": "steps",
            "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
            "blueGreenDeploymentConfiguration": {"deploymentReadyOption": {"actionOnTimeout":
                if chance.one_in(2) { "STOP_DEPLOYMENT" } else { "CONTINUE_DEPLOYMENT" }, "waitTimeInMinutes": 3}},
            "x-croft": {"router": haproxy(), "bakeMinutes": 1, "verdicts": {}, "containers": {"ports": {"blue": 81, "green": 82}}}}),
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let farm = Farm::new();
        farm.config(serde_json::json!({"deploymentConfigName": "zonal",
            "minimumHealthyHosts": {"type": "FLEET_PERCENT", "value": 50},
            "zonalConfig": {"monitorDurationInSeconds": 30}}));
        farm.config(serde_json::json!({"deploymentConfigName": "twothirds",
            "minimumHealthyHosts": {"type": "FLEET_PERCENT", "value": 66}}));
        farm.config(serde_json::json!({"deploymentConfigName": "steps", "computePlatform": "ECS",
            "x-croft": {"trafficSteps": [{"percent": 10, "waitSeconds": 20}, {"percent": 50, "waitSeconds": 20}]}}));
        for of in GROUPS {
            farm.group(group(of, settings(of, &mut chance)));
        }
        let hosts = 4 + chance.below(6);
        let agents: BTreeMap<String, Agent> = (0..hosts)
            .map(|number| (format!("h{number}"), Agent::default()))
            .collect();
        for (number, host) in agents.keys().enumerate() {
            farm.host(host, Some(if number % 2 == 0 { "a" } else { "b" }));
        }
        Self {
            seed,
            chance,
            now_ms: 0,
            farm,
            servers: (0..2).map(|_| Server::default()).collect(),
            agents,
            commands: Vec::new(),
            routes: Vec::new(),
            routed: Vec::new(),
            checkpoint: (State::default(), Seq::ZERO),
            faults: true,
            born: 0,
        }
    }

    fn now(&self) -> Now {
        Now {
            steady_ms: self.now_ms,
            wall: self.farm.now(),
        }
    }

    /// True when something that may go wrong does.
    fn fails(&mut self, count: u64) -> bool {
        self.faults && self.chance.one_in(count)
    }

    fn step(&mut self, ms: u64) {
        self.now_ms += ms;
        self.farm.pass(ms);
        for at in 0..self.servers.len() {
            if self.fails(150) {
                self.servers[at].away_until_ms = self.now_ms + self.chance.below(60_000);
            }
            self.serve(at);
        }
        if self.faults {
            self.want();
        }
        self.watch();
        self.arrive();
        let hosts: Vec<String> = self.agents.keys().cloned().collect();
        for host in hosts {
            self.work(&host);
        }
    }

    fn serve(&mut self, at: usize) {
        if self.servers[at].away_until_ms > self.now_ms {
            return;
        }
        for entry in self.farm.entries(self.servers[at].folded) {
            self.servers[at].folded = entry.seq;
            if !self.input(at, Input::Entry(&entry)) {
                return;
            }
        }
        if !self.servers[at].is_caught_up {
            self.servers[at].is_caught_up = true;
            if !self.input(at, Input::CaughtUp) {
                return;
            }
        }
        // What a server hears of hosts is its own view, and may be wrong.
        let mut silent: BTreeSet<String> = BTreeSet::new();
        for (host, agent) in &self.agents {
            let is_away = agent.away_until_ms > self.now_ms;
            if is_away != (self.faults && self.chance.one_in(20)) {
                silent.insert(host.clone());
            }
        }
        if self.input(at, Input::Silent(silent)) {
            self.input(at, Input::Tick);
        }
    }

    /// False when the server died of it.
    fn input(&mut self, at: usize, input: Input<'_>) -> bool {
        let now = self.now();
        let stepped = self.servers[at].engine.step(input, now);
        let actions =
            stepped.unwrap_or_else(|error| panic!("seed {}: {error}: {:?}", self.seed, error));
        for action in actions {
            // A server may die between any two actions; the next one knows only the ledger.
            if self.fails(60) {
                self.servers[at] = self.born_again();
                return false;
            }
            self.act(at, action);
        }
        true
    }

    /// A new server in the place of one that died: most begin from a state that was folded elsewhere, some from the first entry.
    fn born_again(&mut self) -> Server {
        if self.chance.one_in(10) {
            return Server::default();
        }
        for entry in self.farm.entries(self.checkpoint.1) {
            self.checkpoint.1 = entry.seq;
            self.checkpoint.0.fold(&entry).unwrap();
        }
        Server {
            engine: Engine::of(self.checkpoint.0.clone()),
            folded: self.checkpoint.1,
            ..Server::default()
        }
    }

    fn act(&mut self, at: usize, action: Action) {
        match action {
            Action::Append(intents) => {
                if !self.fails(10) {
                    self.farm.intend(&intents);
                }
            }
            Action::Command { host, command } => {
                let copies = if self.faults { self.chance.below(3) } else { 1 };
                for _ in 0..copies {
                    let due = self.now_ms + self.chance.below(4_000);
                    self.commands.push((due, host.clone(), command.clone()));
                }
            }
            Action::Route {
                deployment,
                generation,
                host,
                event,
                ..
            } => {
                let failed = self.fails(40);
                let status = if failed {
                    EventStatus::Failed
                } else {
                    EventStatus::Succeeded
                };
                let report = Report {
                    host,
                    deployment,
                    generation,
                    event,
                    said: Said::Ended(status, None),
                };
                if !self.fails(5) {
                    self.routes
                        .push((self.now_ms + self.chance.below(5_000), report));
                }
            }
            Action::SetWeights { step, .. } => {
                if let Some((deployment, step)) = step
                    && !self.fails(4)
                {
                    let due = self.now_ms + self.chance.below(3_000);
                    self.routed.push((due, at, deployment, step));
                }
            }
            Action::Answer(_) => {}
        }
    }

    /// What is said is heard by one server, and maybe answered.
    fn say(&mut self, report: Report) -> Option<Answer> {
        let at = self.chance.index(2);
        if self.servers[at].away_until_ms > self.now_ms || self.fails(8) {
            return None;
        }
        let now = self.now();
        let actions = self.servers[at]
            .engine
            .step(Input::Report(report), now)
            .unwrap();
        let mut answer = None;
        for action in actions {
            match action {
                Action::Answer(said) => answer = Some(said),
                Action::Append(_)
                | Action::Command { .. }
                | Action::Route { .. }
                | Action::SetWeights { .. } => self.act(at, action),
            }
        }
        answer.filter(|_| !self.fails(8))
    }

    fn arrive(&mut self) {
        let now_ms = self.now_ms;
        let (due, later) = std::mem::take(&mut self.routes)
            .into_iter()
            .partition(|(at, _)| *at <= now_ms);
        self.routes = later;
        for (_, report) in due {
            self.say(report);
        }
        let (due, later) = std::mem::take(&mut self.routed)
            .into_iter()
            .partition(|(at, ..)| *at <= now_ms);
        self.routed = later;
        for (_, at, deployment, step) in due {
            self.input(at, Input::Routed(deployment, step));
        }
        let (due, later) = std::mem::take(&mut self.commands)
            .into_iter()
            .partition(|(at, ..)| *at <= now_ms);
        self.commands = later;
        for (_, host, command) in due {
            self.command(&host, command);
        }
    }

    fn command(&mut self, host: &str, command: HostCommand) {
        let takes_ms = match self.chance.below(20) {
            0 if self.faults && self.chance.one_in(20) => u64::MAX,
            0 => 60_000,
            _ => 1_000 + self.chance.below(6_000),
        };
        let agent = self.agents.get_mut(host).unwrap();
        if agent.away_until_ms > self.now_ms {
            return;
        }
        let event = (command.deployment_id.clone(), command.event);
        let seen = agent
            .generations
            .entry(command.deployment_group_id.clone())
            .or_default();
        if command.generation < *seen || agent.running.is_some() {
            return;
        }
        *seen = command.generation;
        if let Some(status) = agent.done.get(&event) {
            let said = Said::Ended(*status, None);
            agent.outbox.push(report(host, &command, said));
            return;
        }
        assert!(
            agent.begun.insert(event),
            "seed {}: {host} begins {command:?} twice",
            self.seed
        );
        agent.outbox.push(report(host, &command, Said::Started));
        agent.running = Some((command, self.now_ms.saturating_add(takes_ms)));
    }

    fn work(&mut self, host: &str) {
        if self.fails(400) {
            let away_ms = self.chance.below(400_000);
            self.agents.get_mut(host).unwrap().away_until_ms = self.now_ms + away_ms;
        }
        // One host of each world is a bad one: it fails whatever it is given, often.
        let fails = match (host, self.chance.below(4)) {
            ("h1", 0) => 0,
            (_, _) => self.chance.below(100),
        };
        let now_ms = self.now_ms;
        let agent = self.agents.get_mut(host).unwrap();
        if agent.away_until_ms > now_ms {
            return;
        }
        if let Some((command, _)) = agent.running.take_if(|(_, ends_ms)| *ends_ms <= now_ms) {
            // Revisions of odd numbers are bad.
            let is_bad = command.revision.digest.ends_with(['1', '3', '5', '7', '9']);
            let status = match (is_bad, fails) {
                (true, 0..10) | (false, 0) => EventStatus::Failed,
                (_, 10..15) => EventStatus::Skipped,
                (_, _) => EventStatus::Succeeded,
            };
            agent
                .done
                .insert((command.deployment_id.clone(), command.event), status);
            agent.outbox.retain(|waiting| waiting.said != Said::Started);
            agent
                .outbox
                .push(report(host, &command, Said::Ended(status, None)));
        }
        // One that hangs is ended by the engine; here by the next agent that starts.
        if let Some((command, ends_ms)) = &agent.running
            && *ends_ms == u64::MAX
            && !self.faults
        {
            let event = (command.deployment_id.clone(), command.event);
            agent.done.insert(event, EventStatus::Failed);
            agent.running = None;
        }
        let waiting = std::mem::take(&mut agent.outbox);
        let mut kept = Vec::new();
        for report in waiting {
            match self.say(report.clone()) {
                Some(Answer::Recorded | Answer::Stale) => {}
                Some(Answer::Later) | None => kept.push(report),
            }
        }
        self.agents.get_mut(host).unwrap().outbox = kept;
    }

    /// Somebody who watches, and hurts bad revisions now and then.
    fn watch(&mut self) {
        for at in 0..2 {
            let engine = &self.servers[at].engine;
            let watched: Vec<(DeploymentId, bool)> = engine
                .state()
                .deployments()
                .filter(|one| one.end.is_none())
                .filter_map(|one| {
                    let plan = one.plan.as_ref()?;
                    let is_bad = plan.revision.digest.ends_with(['1', '3', '5', '7', '9']);
                    Some((one.id.clone(), is_bad && plan.is_watched))
                })
                .collect();
            for (deployment, is_bad) in watched {
                if self.fails(5) {
                    continue;
                }
                let advice = match (is_bad && self.chance.one_in(60), self.fails(10)) {
                    (true, _) => Advice::RollBack(Box::new(Finding {
                        by: "errors".into(),
                        message: "too many".into(),
                        evidence: serde_json::Value::Null,
                    })),
                    (false, true) => Advice::Hold {
                        reason: "no traffic".into(),
                    },
                    (false, false) => Advice::Continue,
                };
                self.input(at, Input::Advised(deployment, advice));
            }
        }
    }

    fn want(&mut self) {
        let at = self.chance.index(2);
        let of = GROUPS[self.chance.index(3)];
        let state = self.servers[at].engine.state();
        let intents = match self.chance.below(600) {
            0..20 => {
                self.born += 1;
                let mut asked = asked(of, 1 + self.chance.below(6));
                let busy = match self.chance.below(4) {
                    0 => Some(Busy::Refuse),
                    1 => Some(Busy::Queue),
                    _ => None,
                };
                let own = croft_proto::deploy::OwnOfDeployment {
                    busy,
                    order: Some(self.born),
                    ..Default::default()
                };
                asked.own = Some(own);
                asked.ignore_application_stop_failures = self.chance.one_in(2);
                admit(state, &id(self.born + self.seed * 1_000), asked, "somebody")
            }
            20 => roll_back(state, &name(of), "somebody"),
            21..23 => {
                let active = state
                    .group(&name(of))
                    .and_then(|group| group.active.clone());
                let then = if self.chance.one_in(2) {
                    Then::GoBack
                } else {
                    Then::AsTheGroupSays
                };
                let Some(active) = active else { return };
                stop(state, &active, then, "somebody")
            }
            23..40 => {
                let active = state
                    .group(&name(of))
                    .and_then(|group| group.active.clone());
                let Some(active) = active else { return };
                let plan = state.deployment(&active).and_then(|one| one.plan.as_ref());
                let watchers = match plan.is_some_and(|plan| plan.is_watched) {
                    true => Watchers::Hold,
                    false => Watchers::LetGo,
                };
                go_on(state, &active, watchers, "somebody")
            }
            40..45 => {
                let host = format!("h{}", self.chance.below(4));
                let returned = Input::Returned {
                    host,
                    group: name(of),
                    digest: None,
                };
                self.input(at, returned);
                return;
            }
            _ => return,
        };
        if let Ok(intents) = intents {
            self.farm.intend(&intents);
        }
    }
}

fn report(host: &str, command: &HostCommand, said: Said) -> Report {
    Report {
        host: host.into(),
        deployment: command.deployment_id.clone(),
        generation: command.generation,
        event: command.event,
        said,
    }
}

/// Hosts that are healthy by what is recorded of each, and not by the engine's own counts.
fn healthy(deployment: &Deployment) -> u32 {
    let healthy = deployment.targets.iter().filter(|target| {
        let is_untouched = target.planned.was == Was::Healthy && !target.is_attempted;
        is_untouched || (target.is_done && !target.is_failed)
    });
    let bystanders = deployment
        .plan
        .as_ref()
        .map_or(0, |plan| plan.fleet.bystanders);
    u32::try_from(healthy.count()).unwrap() + bystanders
}

/// What must hold after every entry, and what was seen.
#[derive(Default)]
struct Seen {
    accepted: BTreeSet<DeploymentId>,
    ended: BTreeMap<DeploymentId, DeploymentStatus>,
    rollbacks: u64,
}

/// Back to what went well last, and never from what itself takes back.
fn check_rollback(state: &State, accepted: &Accepted, tell: &dyn Fn(&str) -> String) {
    let parent = accepted.parent.clone().unwrap();
    let parent = state.deployment(&parent).unwrap();
    let (from, to) = (&parent.accepted, &accepted.asked.revision);
    assert_ne!(from.creator, Creator::Rollback, "{}", tell("a loop"));
    assert_ne!(from.asked.revision, *to, "{}", tell("back to the same"));
    let good = state.group(&parent.group()).unwrap().target().unwrap();
    let of = &good.asked.revision;
    assert_eq!(of, to, "{}", tell("back to what was not good"));
}

/// The plan that an entry is.
fn planned(entry: &croft_ledger::Entry) -> Option<croft_proto::deploy::Plan> {
    let event: DeploymentEvent = serde_json::from_slice(entry.event()?).ok()?;
    let DeploymentEvent::Planned(plan) = event else {
        return None;
    };
    Some(*plan)
}

/// Nothing is installed where something serves, and what goes back goes to what does.
fn check_colour(state: &State, plan: &croft_proto::deploy::Plan, tell: &dyn Fn(&str) -> String) {
    let Some(containers) = plan.containers else {
        return;
    };
    let name = GroupName {
        application: plan.application_name.clone(),
        group: plan.deployment_group_name.clone(),
    };
    let serves = state.group(&name).and_then(|group| group.serves);
    let is_kept = serves
        .is_none_or(|serves| (serves == containers.new) == (plan.creator == Creator::Rollback));
    assert!(is_kept, "{}", tell("the serving containers are replaced"));
}

/// Enough hosts are healthy, where hosts are changed in place.
fn check_health(deployment: &Deployment, tell: &dyn Fn(&str) -> String) {
    let Some(plan) = &deployment.plan else {
        return;
    };
    let has_sides = plan
        .steps
        .iter()
        .any(|step| matches!(step, Step::Shift { .. }));
    if has_sides || deployment.targets.len() != plan.targets as usize {
        return;
    }
    let least = plan.rule.minimum.min(plan.fleet.healthy_before);
    let healthy = healthy(deployment);
    let what = format!("{healthy} healthy hosts, {least} must be");
    assert!(healthy >= least, "{}", tell(&what));
    let counted = deployment.tally.healthy();
    assert_eq!(counted, healthy, "{}", tell("the counts are wrong"));
}

fn check(world: &World) -> Seen {
    let mut state = State::default();
    let mut seen = Seen::default();
    let mut took_back: BTreeSet<DeploymentId> = BTreeSet::new();
    for entry in world.farm.entries(Seq::ZERO) {
        let tell = |what: &str| format!("seed {}, entry {}: {what}", world.seed, entry.seq);
        let parts: Vec<String> = entry.subject.parts().collect();
        let of_deployment = (parts.len() == 2 && parts[0] == "deployment").then(|| {
            let event: DeploymentEvent = serde_json::from_slice(entry.event().unwrap()).unwrap();
            (parts[1].parse::<DeploymentId>().unwrap(), event)
        });
        match of_deployment {
            Some((id, DeploymentEvent::Accepted(accepted))) => {
                if accepted.creator == Creator::Rollback {
                    seen.rollbacks += 1;
                    let parent = accepted.parent.clone().unwrap();
                    assert!(took_back.insert(parent), "{}", tell("taken back twice"));
                    check_rollback(&state, &accepted, &tell);
                }
                seen.accepted.insert(id);
            }
            Some((id, DeploymentEvent::Ended { status, .. })) => {
                let before = seen.ended.insert(id, status);
                assert!(before.is_none(), "{}", tell("two outcomes"));
            }
            Some((_, _)) | None => {}
        }
        if let Some(planned) = planned(&entry) {
            check_colour(&state, &planned, &tell);
        }
        state
            .fold(&entry)
            .unwrap_or_else(|error| panic!("{}", tell(&error.to_string())));
        let id = parts.get(1).and_then(|id| id.parse().ok());
        if let Some(deployment) = id.and_then(|id| state.deployment(&id)) {
            check_health(deployment, &tell);
        }
    }
    seen
}

fn live(seed: u64) -> Seen {
    let mut world = World::new(seed);
    while world.now_ms < FAULTS_MS {
        world.step(STEP_MS);
    }
    world.faults = false;
    for agent in world.agents.values_mut() {
        agent.away_until_ms = 0;
    }
    for server in &mut world.servers {
        server.away_until_ms = 0;
    }
    while world.now_ms < FAULTS_MS + CALM_MS_MAX {
        world.step(5_000);
        let state = world.servers[0].engine.state();
        let is_quiet = state.groups().all(|(_, group)| group.is_idle())
            && state.deployments().all(Deployment::is_drained);
        if is_quiet && world.servers[0].folded == world.farm.last() {
            break;
        }
    }
    let seen = check(&world);
    for id in &seen.accepted {
        let state = world.servers[0].engine.state();
        assert!(
            seen.ended.contains_key(id),
            "seed {seed}: {id} has no end: {:#?}",
            state.deployment(id)
        );
    }
    let state = world.servers[0].engine.state();
    for host in world.agents.keys() {
        let taken = &state.host(host).unwrap().taken;
        assert_eq!(*taken, None, "seed {seed}: {host} was not given back");
    }
    seen
}

#[test]
fn whatever_dies_every_deployment_has_one_end_and_enough_hosts_stay_healthy() {
    let seeds = std::env::var("CROFT_SEEDS").map_or(150, |text| text.parse().unwrap());
    let (mut ended, mut rollbacks) = (BTreeMap::new(), 0);
    for seed in 0..seeds {
        let seen = live(seed);
        rollbacks += seen.rollbacks;
        for status in seen.ended.into_values() {
            *ended.entry(status.name()).or_insert(0_u64) += 1;
        }
    }
    // Each kind of end must have been met often, or nothing is proven of it.
    for status in ["Succeeded", "Failed", "Stopped"] {
        let met = ended.get(status).copied().unwrap_or_default();
        assert!(met >= seeds, "{status}: {ended:?}");
    }
    let halted = ended.get("Halted").copied().unwrap_or_default();
    assert!(
        halted * 30 >= seeds && rollbacks >= seeds / 2,
        "{ended:?}, {rollbacks} rollbacks"
    );
}
