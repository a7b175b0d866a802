//! From a canary's first traffic at a real HAProxy to none: ten hosts of an in-place group, of which one gets the bad release first, a real
//! Prometheus that scrapes them every second, and users who ask a hundred times a second, so that the canary has a tenth of the traffic and
//! ten requests a second. One request of a thousand fails of the good release, one of ten of the bad one, each by itself, drawn from the
//! trial's number.
//!
//! Measured at the balancer, which is asked for the canary's weight every 20 ms: from when it has one with the bad release to when it has none.
//! Before each trial Prometheus begins anew with the hour before it, in which nothing was deployed; what it scrapes then goes on from there. The
//! hosts' service is this process: it answers with what the revisions' scripts have written.

/// What hosts serve, and who asks.
mod service;
/// The hour before.
mod past;
/// Who scrapes.
mod prometheus;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::balancer::{BACKEND, Balancer};
use super::hosts::{Agent, Hosts};
use crate::sample::Verdict;
use crate::subject::Subject;
use past::{Chance, Past};
use prometheus::Prometheus;
use service::{Service, seconds};

/// `CROFT_BENCH_TRIALS` says another number.
const TRIALS: usize = 20;
const P95_MAX: Duration = Duration::from_secs(30);
const HOSTS: usize = 10;
/// The first by its name: all others are as healthy.
const CANARY: &str = "web-0";
/// So much is scraped before a trial's deployment begins.
const SCRAPED: Duration = Duration::from_secs(10);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);
/// A trial that takes longer hangs; a canary that is not found to be bad has none of the others follow it before.
const TRIAL_MAX: Duration = Duration::from_secs(240);
const CANARY_SECONDS: u64 = 300;

pub(super) fn found(subject: &Subject) -> Result<Vec<Verdict>, String> {
    let trials = std::env::var("CROFT_BENCH_TRIALS").ok();
    let trials = trials
        .and_then(|trials| trials.parse().ok())
        .unwrap_or(TRIALS);
    let mut stage = Stage::set(subject)?;
    let bad = stage.hosts.uploaded(subject, "bad")?;
    let mut times = Vec::new();
    for number in 0..trials {
        let (time, by) = stage.trial(number as u64, &bad)?;
        println!(
            "deploy         canary {number}: off after {:.2} s, by {by}",
            time.as_secs_f64()
        );
        times.push(time);
    }
    times.sort();
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)].as_secs_f64();
    println!(
        "deploy         {trials} canaries that fail a tenth of their requests, first traffic to none: p50 {:.1} s, p95 {:.1} s; with the \
         settings of their documents' examples Flagger takes 660 s and Argo Rollouts 960 s in simulated releases (croft-benches verdicts)",
        at(50),
        at(95)
    );
    Ok(vec![Verdict::limit(
        "a canary's first traffic to none, p95",
        at(95),
        P95_MAX.as_secs_f64(),
        "s",
    )])
}

struct Stage {
    service: Service,
    balancer: Balancer,
    prometheus: Prometheus,
    _agents: Vec<Agent>,
    hosts: Hosts,
}

impl Stage {
    /// All hosts on the good release.
    fn set(subject: &Subject) -> Result<Self, String> {
        let mut prometheus = Prometheus::new()?;
        let hosts = Hosts::start_with(subject, &["--prometheus", &prometheus.url()])?;
        let folder = hosts.farm.folder();
        let names: Vec<String> = (0..HOSTS).map(|number| format!("web-{number}")).collect();
        let roots: Vec<_> = names
            .iter()
            .map(|name| folder.join("roots").join(name))
            .collect();
        for root in &roots {
            std::fs::create_dir_all(root).map_err(|error| error.to_string())?;
        }
        let mut service = Service::start(roots.iter().map(|root| root.join("page")).collect())?;
        let ports = service.ports();
        // In memory: what a disk takes for an hour of samples would be a gap in them.
        prometheus.of(subject.folder("prometheus"), &ports)?;
        let servers: Vec<(String, u16)> = names.iter().cloned().zip(ports.clone()).collect();
        let balancer = Balancer::before(&folder, &servers)?;
        service.is_used(&balancer.front)?;
        let config = json!({"minimumHealthyHosts": {"type": "HOST_COUNT", "value": 0},
            "x-croft": {"canary": {"hosts": 1, "waitSeconds": CANARY_SECONDS}}});
        let path = "/v1/deployment-configs/canary";
        hosts
            .farm
            .client()?
            .granted("PUT", path, &config.to_string())?;
        hosts.group("web", &group(&balancer, None))?;
        let agents: Result<Vec<Agent>, String> = names
            .iter()
            .zip(&roots)
            .map(|(name, root)| {
                let root = root.display().to_string();
                hosts.agent(subject, name, "web", &[("HOST_ROOT", root)])
            })
            .collect();
        let agents = agents?;
        // Nobody judges the first one: there is nothing to compare it with.
        let good = hosts.uploaded(subject, "good")?;
        let all = json!({"deploymentConfigName": "CodeDeployDefault.AllAtOnce"});
        let info = hosts.over(&hosts.release("web", &good, &all)?)?;
        if info["status"] != "Succeeded" {
            return Err(info.to_string());
        }
        hosts.group("web", &group(&balancer, Some(&servers)))?;
        Ok(Self {
            service,
            balancer,
            prometheus,
            _agents: agents,
            hosts,
        })
    }

    /// From the canary's first traffic to none, and what found it to be bad.
    fn trial(&mut self, number: u64, bad: &Value) -> Result<(Duration, String), String> {
        let mut chance = Chance::new(number);
        self.service.asked(false);
        let past = Past::until(seconds(), &self.service.ports(), &mut chance);
        self.service.has_behind_it(&past, &mut chance);
        self.prometheus.begin_anew(&past.text)?;
        self.service.asked(true);
        std::thread::sleep(SCRAPED);
        let id = self.hosts.release("web", bad, &json!({}))?;
        self.until(&id, |_, weight| weight == 0)?;
        self.until(&id, |is_up, weight| is_up && weight > 0)?;
        let begun = Instant::now();
        self.until(&id, |_, weight| weight == 0)?;
        let time = begun.elapsed();
        let info = self.hosts.over(&id)?;
        let by = info["x-croft"]["finding"]["by"].as_str();
        let by = by.ok_or_else(|| info.to_string())?.to_string();
        let back = info["rollbackInfo"]["rollbackDeploymentId"].as_str();
        let back = self.hosts.over(back.ok_or_else(|| info.to_string())?)?;
        if back["status"] != "Succeeded" {
            return Err(back.to_string());
        }
        Ok((time, by))
    }

    /// Waits until that is so of whether the canary is up, and of its weight.
    fn until(&self, id: &str, is_so: impl Fn(bool, u32) -> bool) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let (is_up, weight) = self.balancer.standing(CANARY)?;
            if is_so(is_up, weight) {
                return Ok(());
            }
            if begun.elapsed() > TRIAL_MAX {
                return Err(self
                    .hosts
                    .get(&format!("/v1/deployments/{id}"))?
                    .to_string());
            }
            std::thread::sleep(LOOK_AGAIN_AFTER);
        }
    }
}

/// The group; its releases are judged where it is said which series are of which host.
fn group(balancer: &Balancer, servers: Option<&[(String, u16)]>) -> Value {
    let mut own = json!({"bakeMinutes": 0,
        "router": {"type": "haproxy", "socket": balancer.socket, "backend": BACKEND}});
    if let Some(servers) = servers {
        let map: serde_json::Map<String, Value> = servers
            .iter()
            .map(|(name, port)| (name.clone(), json!(format!("127.0.0.1:{port}"))))
            .collect();
        own["verdicts"] = json!({
            "hosts": {"map": map},
            "metrics": [{"name": "errors", "requests": "http_requests_total{job=\"shop\"}",
                "bad": "http_requests_total{job=\"shop\",code=~\"5..\"}"}],
            "guards": {"up": "up{job=\"shop\"}", "started": "process_start_time_seconds{job=\"shop\"}"},
        });
    }
    json!({
        "deploymentConfigName": "canary",
        "deploymentStyle": {"deploymentType": "IN_PLACE", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        "autoRollbackConfiguration": {"enabled": true, "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"]},
        "x-croft": own,
    })
}
