//! From Alertmanager's message to traffic restored at a real HAProxy: two hosts of an in-place group have a bad release and are watched, a message says
//! that its alarm fires, and the release before is deployed again on both at once.
//!
//! Measured from before the message is sent until the last answer of the bad release, or the first one of the good release, whichever is later, as
//! somebody sees it who asks the balancer all the time. The hosts' service is this process: it answers with what the revisions' scripts have written, so
//! that starting a service is no part of it.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::balancer::{BACKEND, Balancer};
use super::hosts::{Agent, Hosts};
use crate::farm::http::text;
use crate::sample::Verdict;
use crate::subject::Subject;

/// `CROFT_BENCH_TRIALS` says another number.
const TRIALS: usize = 100;
const P99_MAX: Duration = Duration::from_secs(2);
const HOSTS: [&str; 2] = ["web-1", "web-2"];
/// When nothing of the bad release has come for so long, nothing will.
const QUIET: Duration = Duration::from_millis(500);
const RESTORED_MAX: Duration = Duration::from_secs(60);

pub(super) fn restored(subject: &Subject) -> Result<Vec<Verdict>, String> {
    let trials = std::env::var("CROFT_BENCH_TRIALS").ok();
    let trials = trials
        .and_then(|trials| trials.parse().ok())
        .unwrap_or(TRIALS);
    let stage = Stage::set(subject)?;
    let (good, bad) = (
        stage.hosts.uploaded(subject, "good")?,
        stage.hosts.uploaded(subject, "bad")?,
    );
    stage.released(&good)?;
    let mut times = Vec::new();
    for number in 0..trials {
        times.push(stage.trial(number, &bad)?);
    }
    times.sort();
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
    println!(
        "deploy         {trials} messages to traffic restored: p50 {:.2} s, p90 {:.2} s, p99 {:.2} s",
        at(50).as_secs_f64(),
        at(90).as_secs_f64(),
        at(99).as_secs_f64()
    );
    Ok(vec![Verdict::limit(
        "Alertmanager's message to traffic restored, p99",
        at(99).as_secs_f64(),
        P99_MAX.as_secs_f64(),
        "s",
    )])
}

struct Stage {
    balancer: Balancer,
    _agents: Vec<Agent>,
    hosts: Hosts,
}

impl Stage {
    fn set(subject: &Subject) -> Result<Self, String> {
        let hosts = Hosts::start(subject)?;
        let folder = hosts.farm.folder();
        let mut servers = Vec::new();
        let mut roots = Vec::new();
        for host in HOSTS {
            let root = folder.join("roots").join(host);
            std::fs::create_dir_all(&root).map_err(text)?;
            let port = serve(root.join("page"))?;
            servers.push((host.to_string(), port));
            roots.push(root);
        }
        let balancer = Balancer::before(&folder, &servers)?;
        let more = json!({
            "deploymentStyle": {"deploymentType": "IN_PLACE", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
            "alarmConfiguration": {"enabled": true, "alarms": [{"name": "Bad"}]},
            "autoRollbackConfiguration": {"enabled": true, "events": ["DEPLOYMENT_STOP_ON_ALARM"]},
            "x-croft": {"bakeMinutes": 30, "router": {"type": "haproxy", "socket": balancer.socket, "backend": BACKEND}},
        });
        hosts.group("web", &more)?;
        let agents: Result<Vec<Agent>, String> = HOSTS
            .iter()
            .zip(roots)
            .map(|(host, root)| {
                let root = root.display().to_string();
                hosts.agent(subject, host, "web", &[("HOST_ROOT", root)])
            })
            .collect();
        Ok(Self {
            balancer,
            _agents: agents?,
            hosts,
        })
    }

    fn begin(&self, digest: &Value) -> Result<String, String> {
        let id = self.hosts.release("web", digest, &json!({}))?;
        let begun = Instant::now();
        loop {
            let info = self.hosts.get(&format!("/v1/deployments/{id}"))?;
            match info["deploymentInfo"]["status"].as_str() {
                Some("Baking") => return Ok(id),
                Some("Failed" | "Stopped" | "Halted") => return Err(info.to_string()),
                _ if begun.elapsed() > RESTORED_MAX => return Err(format!("{id} does not bake")),
                _ => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    fn released(&self, digest: &Value) -> Result<(), String> {
        let id = self.begin(digest)?;
        let path = format!("/v1/deployments/{id}/continue");
        self.hosts.farm.client()?.granted("POST", &path, "{}")?;
        self.hosts.over(&id).map(drop)
    }

    fn trial(&self, number: usize, bad: &Value) -> Result<Duration, String> {
        let id = self.begin(bad)?;
        if self.page().as_deref() != Some("bad") {
            return Err("the bad release has no traffic".into());
        }
        let mut client = self.hosts.farm.client()?;
        let message = message(number, "firing")?;
        let begun = Instant::now();
        client.granted("POST", "/v1/alerts", &message)?;
        let (mut last_bad, mut first_good) = (begun, None);
        loop {
            let now = Instant::now();
            match self.page().as_deref() {
                Some("bad") => last_bad = now,
                Some("good") => {
                    first_good.get_or_insert(now);
                }
                _ => {}
            }
            if let Some(good) = first_good
                && now.duration_since(good.max(last_bad)) > QUIET
            {
                let info = self.hosts.over(&id)?;
                let back = info["rollbackInfo"]["rollbackDeploymentId"].as_str();
                self.hosts.over(back.ok_or_else(|| info.to_string())?)?;
                client.granted("POST", "/v1/alerts", &self::message(number, "resolved")?)?;
                return Ok(good.max(last_bad) - begun);
            }
            if begun.elapsed() > RESTORED_MAX {
                return Err("traffic is not restored".into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What the balancer answers with.
    fn page(&self) -> Option<String> {
        let (status, page) = Balancer::ask(&self.balancer.front)?;
        (status == 200).then_some(page)
    }
}

/// What Alertmanager sends.
fn message(number: usize, status: &str) -> Result<String, String> {
    let now = Command::new("date")
        .args(["-u", "+%Y-%m-%dT%H:%M:%S.%NZ"])
        .output()
        .map_err(text)?;
    let now = String::from_utf8_lossy(&now.stdout).trim().to_string();
    let ends = if status == "firing" {
        "0001-01-01T00:00:00Z"
    } else {
        now.as_str()
    };
    Ok(json!({"version": "4", "groupKey": "k", "status": status, "alerts": [{
        "status": status, "labels": {"alertname": "Bad", "trial": number.to_string()}, "annotations": {},
        "startsAt": now, "endsAt": ends, "fingerprint": format!("f{number}")}]})
    .to_string())
}

/// Answers each connection with what is in the file, for as long as this process lives.
fn serve(page: PathBuf) -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(text)?;
    let port = listener.local_addr().map_err(text)?.port();
    let answering = std::thread::Builder::new().name("service".into());
    let answer = move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut request = [0; 1024];
            // HAProxy's checks connect and say nothing.
            if stream.read(&mut request).unwrap_or(0) == 0 {
                continue;
            }
            let text = std::fs::read_to_string(&page).unwrap_or_default();
            let head = format!("HTTP/1.0 200 OK\r\ncontent-length: {}\r\n\r\n", text.len());
            stream
                .write_all((head + &text).as_bytes())
                .unwrap_or_default();
        }
    };
    answering.spawn(answer).map(drop).map_err(text)?;
    Ok(port)
}
