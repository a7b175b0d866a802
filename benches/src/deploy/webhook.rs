//! From Alertmanager's message to traffic restored at a real HAProxy: two hosts of an in-place group have a bad release and are watched, a message says
//! that its alarm fires, and the release before is deployed again on both at once.
//!
//! Measured from before the message is sent until the last answer of the bad release, or the first one of the good release, whichever is later, as
//! somebody sees it who asks the balancer all the time. The hosts' service is this process: it answers with what the revisions' scripts have written, so
//! that starting a service is no part of it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

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
        stage.uploaded(subject, "good")?,
        stage.uploaded(subject, "bad")?,
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
    hosts: Hosts,
    front: String,
    balancer: Child,
    _agents: Vec<Agent>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.balancer.kill().unwrap_or_default();
        self.balancer.wait().map(drop).unwrap_or_default();
    }
}

impl Stage {
    fn set(subject: &Subject) -> Result<Self, String> {
        let hosts = Hosts::start(subject)?;
        let folder = hosts.farm.folder();
        let mut servers = String::new();
        let mut roots = Vec::new();
        for host in HOSTS {
            let root = folder.join("roots").join(host);
            std::fs::create_dir_all(&root).map_err(text)?;
            let port = serve(root.join("page"))?;
            servers += &format!("  server {host} 127.0.0.1:{port} check inter 100ms\n");
            roots.push(root);
        }
        let front = format!("127.0.0.1:{}", free_port()?);
        let socket = folder.join("haproxy.sock");
        let balancer = balance(&folder, &socket, &front, &servers)?;
        let more = json!({
            "deploymentStyle": {"deploymentType": "IN_PLACE", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
            "alarmConfiguration": {"enabled": true, "alarms": [{"name": "Bad"}]},
            "autoRollbackConfiguration": {"enabled": true, "events": ["DEPLOYMENT_STOP_ON_ALARM"]},
            "x-croft": {"bakeMinutes": 30, "router": {"type": "haproxy", "socket": socket, "backend": "web"}},
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
            hosts,
            front,
            balancer,
            _agents: agents?,
        })
    }

    /// The digest of a release whose script writes its name.
    fn uploaded(&self, subject: &Subject, name: &str) -> Result<Value, String> {
        let folder = self.hosts.farm.folder().join(name);
        std::fs::create_dir(&folder).map_err(text)?;
        let spec =
            "version: 0.0\nos: linux\nhooks:\n  ApplicationStart:\n    - location: start.sh\n";
        std::fs::write(folder.join("appspec.yml"), spec).map_err(text)?;
        let start = format!("#!/bin/sh\necho {name} > \"$HOST_ROOT/page\"\n");
        let script = folder.join("start.sh");
        std::fs::write(&script, start).map_err(text)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).map_err(text)?;
        // A group without hosts fails at once; its revision is on the farm then.
        self.hosts.group("none", &json!({}))?;
        let id = self.hosts.deploy(subject, "none", &folder)?;
        Ok(self.hosts.over(&id)?["revision"]["digest"].clone())
    }

    fn begin(&self, digest: &Value) -> Result<String, String> {
        let asked = json!({
            "applicationName": "bench", "deploymentGroupName": "web",
            "revision": {"digest": digest, "origin": {"revisionType": "Local Directory", "location": "/r"}},
        });
        let id = self.hosts.begin(&asked)?;
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
        let mut stream = TcpStream::connect(&self.front).ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.contains(" 200").then(|| body.trim().to_string())
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

fn free_port() -> Result<u16, String> {
    let held = TcpListener::bind(("127.0.0.1", 0)).map_err(text)?;
    Ok(held.local_addr().map_err(text)?.port())
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

fn balance(folder: &Path, socket: &Path, front: &str, servers: &str) -> Result<Child, String> {
    let settings = format!(
        "global\n  stats socket {} level admin\n  maxconn 200\ndefaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n  \
         timeout server 5s\n  timeout queue 5s\n  option redispatch\nfrontend in\n  bind {front}\n  default_backend web\nbackend web\n{servers}",
        socket.display()
    );
    let file = folder.join("haproxy.cfg");
    std::fs::write(&file, settings).map_err(text)?;
    let mut command = Command::new("haproxy");
    command
        .arg("-db")
        .arg("-f")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let balancer = command
        .spawn()
        .map_err(|error| format!("haproxy: {error}"))?;
    let begun = Instant::now();
    while !socket.exists() {
        if begun.elapsed() > Duration::from_secs(10) {
            return Err("haproxy did not start".into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(balancer)
}
