//! Hundreds of agents at one server, half of which get a revision at once: what a host costs the server, and how soon a whole batch has been
//! told to begin. Fleets of 100, 300 and 1,000.
//!
//! The agents are simulated, in this process: each has a key and a connection of its own, signs every call, waits at the server as real ones do, and
//! says that each event it is told has succeeded. They run nothing.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use croft_keys::{Caller, HostCall, Signable, Signer, UNKNOWN_RUN};
use croft_proto::deploy::{
    Commands, Diagnostics, Enrolling, Heard, HostCommand, HostReport, LifecycleEvent, Poll,
    ReportAnswer, Reported, ScriptErrorCode,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::hosts::Hosts;
use crate::farm::http::text;
use crate::sample::Verdict;
use crate::subject::Subject;

const FLEETS: [usize; 3] = [100, 300, 1_000];
const POLL_SECONDS: u64 = 25;
/// Of a whole batch, from the answer to who deployed.
const DISPATCHED_MAX: Duration = Duration::from_secs(2);
/// A host of the largest fleet may cost so many times one of the smallest.
const FLAT_MAX: f64 = 1.5;
const FIRST: LifecycleEvent = LifecycleEvent::ApplicationStop;
/// Until all agents wait at the server.
const REST: Duration = Duration::from_secs(2);
const OVER_MAX: Duration = Duration::from_secs(300);
/// Events of a deployment, and some that are told twice.
const SAID_BY_EACH_MAX: usize = 64;
/// Agents that are let in at once.
const LET_IN_AT_ONCE: usize = 32;

pub(super) fn fleets(subject: &Subject) -> Result<Vec<Verdict>, String> {
    let mut costs = Vec::new();
    let mut verdicts = Vec::new();
    for size in FLEETS {
        let measured = fleet(subject, size)?;
        println!(
            "deploy         {size} agents: batch of {} told in {:.0} ms, over in {:.2} s, server {:.2} ms of processor a host",
            size / 2,
            measured.dispatched.as_secs_f64() * 1e3,
            measured.over.as_secs_f64(),
            measured.cpu_ms_a_host,
        );
        costs.push(measured.cpu_ms_a_host);
        if size == FLEETS[FLEETS.len() - 1] {
            let what = format!("a batch of {} of {size} hosts is told to begin", size / 2);
            verdicts.push(Verdict::limit(
                &what,
                measured.dispatched.as_secs_f64(),
                DISPATCHED_MAX.as_secs_f64(),
                "s",
            ));
        }
    }
    let (small, large) = (costs[0], costs[costs.len() - 1]);
    let what = "processor time a host among 1,000, against among 100 and half as much again";
    verdicts.push(Verdict::limit(what, large, small * FLAT_MAX, "ms"));
    Ok(verdicts)
}

struct Measured {
    dispatched: Duration,
    over: Duration,
    cpu_ms_a_host: f64,
}

fn fleet(subject: &Subject, size: usize) -> Result<Measured, String> {
    let hosts = Hosts::start(subject)?;
    hosts.group(
        "fleet",
        &json!({"deploymentConfigName": "CodeDeployDefault.HalfAtATime"}),
    )?;
    let revision = hosts.farm.folder().join("revision");
    std::fs::create_dir(&revision).map_err(text)?;
    std::fs::write(revision.join("appspec.yml"), "version: 0.0\nos: linux\n").map_err(text)?;
    // A group without hosts fails at once; its revision is on the farm then.
    let first = hosts.deploy(subject, "fleet", &revision)?;
    let digest = hosts.over(&first)?["revision"]["digest"].clone();
    let invitations = invited(&hosts, size)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(text)?;
    runtime.block_on(async {
        let mut agents = JoinSet::new();
        let mut commands = let_in(&hosts, invitations, &mut agents).await?;
        tokio::time::sleep(REST).await;
        let cpu = hosts.farm.processor_time()?;
        let id = begin(&hosts, &digest)?;
        let start = Instant::now();
        let mut told = HashSet::new();
        while told.len() < size / 2 {
            let said = tokio::time::timeout(OVER_MAX, commands.recv()).await;
            match said.map_err(text)? {
                Some(Said::Told(number, FIRST)) => told.insert(number),
                Some(_) => false,
                None => return Err(failure(&mut agents).await),
            };
        }
        let dispatched = start.elapsed();
        // What else they are told waits in the channel, which has room for all of it.
        let info = tokio::task::block_in_place(|| hosts.over(&id))?;
        let over = start.elapsed();
        let cpu = hosts.farm.processor_time()?.saturating_sub(cpu);
        agents.shutdown().await;
        if info["status"] != "Succeeded" {
            return Err(info.to_string());
        }
        Ok(Measured {
            dispatched,
            over,
            cpu_ms_a_host: cpu.as_secs_f64() * 1e3 / size as f64,
        })
    })
}

fn invited(hosts: &Hosts, size: usize) -> Result<Vec<String>, String> {
    let mut client = hosts.farm.client()?;
    let mut invite = |number: usize| {
        let asked = json!({"host": name(number), "tags": [{"Key": "group", "Value": "fleet"}]});
        loop {
            let answer = client.ask("POST", "/v1/hosts/invitations", &asked.to_string())?;
            match answer.status {
                // Nobody may ask so often.
                429 => std::thread::sleep(Duration::from_millis(50)),
                201 => {
                    let invited: serde_json::Value =
                        serde_json::from_str(&answer.body).map_err(text)?;
                    return Ok(invited["token"].as_str().unwrap_or_default().to_string());
                }
                other => return Err(format!("an invitation: {other}: {}", answer.body)),
            }
        }
    };
    (0..size).map(&mut invite).collect()
}

/// All of them are the farm's, and wait at it, when this returns.
async fn let_in(
    hosts: &Hosts,
    invitations: Vec<String>,
    agents: &mut JoinSet<Result<(), String>>,
) -> Result<mpsc::Receiver<Said>, String> {
    let size = invitations.len();
    let (told, mut commands) = mpsc::channel(SAID_BY_EACH_MAX * size);
    let turns = Arc::new(tokio::sync::Semaphore::new(LET_IN_AT_ONCE));
    for (number, invitation) in invitations.into_iter().enumerate() {
        let agent = Agent::new(&hosts.farm.server, &hosts.farm.folder(), number)?;
        let (told, turns) = (told.clone(), Arc::clone(&turns));
        agents.spawn(async move { agent.run(&invitation, &turns, &told).await });
    }
    drop(told);
    let mut waiting = HashSet::new();
    while waiting.len() < size {
        match commands.recv().await {
            Some(Said::Waits(number)) => waiting.insert(number),
            Some(Said::Told(..)) => return Err("an agent was told something too soon".into()),
            None => return Err(failure(agents).await),
        };
    }
    Ok(commands)
}

/// Starts the deployment; its id.
fn begin(hosts: &Hosts, digest: &serde_json::Value) -> Result<String, String> {
    let asked = json!({
        "applicationName": "bench", "deploymentGroupName": "fleet",
        "revision": {"digest": digest, "origin": {"revisionType": "Local Directory", "location": "/r"}},
    });
    hosts.begin(&asked)
}

async fn failure(agents: &mut JoinSet<Result<(), String>>) -> String {
    match agents.join_next().await {
        Some(Ok(Err(reason))) => reason,
        Some(Err(error)) => error.to_string(),
        Some(Ok(Ok(()))) | None => "the agents have ended".into(),
    }
}

fn name(number: usize) -> String {
    format!("h{number:04}")
}

enum Said {
    /// It is let in, and about to ask.
    Waits(usize),
    Told(usize, LifecycleEvent),
}

struct Agent {
    number: usize,
    host: String,
    server: String,
    signer: Signer,
    counter: AtomicU64,
}

/// A connection that is kept.
struct Line(BufReader<TcpStream>, String);

impl Agent {
    fn new(server: &str, folder: &Path, number: usize) -> Result<Self, String> {
        let path = folder.join(format!("{}.key", name(number)));
        Ok(Self {
            number,
            host: name(number),
            server: server
                .trim_start_matches("http://")
                .trim_end_matches('/')
                .to_string(),
            signer: Signer::open_or_make(&path).map_err(text)?,
            counter: AtomicU64::new(0),
        })
    }

    async fn run(
        self,
        invitation: &str,
        let_in: &tokio::sync::Semaphore,
        told: &mpsc::Sender<Said>,
    ) -> Result<(), String> {
        let mut line = Line::to(&self.server).await?;
        {
            let _turn = let_in.acquire().await.map_err(text)?;
            let enrolling = Enrolling {
                token: invitation.to_string(),
                public_key: self.signer.key_id().to_string(),
            };
            let body = serde_json::to_vec(&enrolling).map_err(text)?;
            line.ask(&self.server, "/v1/agent/enrolments", "", &body)
                .await?;
        }
        told.send(Said::Waits(self.number)).await.map_err(text)?;
        let mut fresh = true;
        loop {
            let poll = Poll {
                has: None,
                fresh,
                wait_seconds: POLL_SECONDS,
            };
            let commands: Commands = self.call(&mut line, "/v1/agent/poll", &poll).await?;
            fresh = false;
            for command in commands.commands {
                told.send(Said::Told(self.number, command.event))
                    .await
                    .map_err(text)?;
                self.done(&mut line, command).await?;
            }
        }
    }

    async fn done(&self, line: &mut Line, command: HostCommand) -> Result<(), String> {
        let report = HostReport {
            deployment_id: command.deployment_id,
            generation: command.generation,
            event: command.event,
            status: Reported::Succeeded,
            diagnostics: Some(Box::new(Diagnostics {
                error_code: ScriptErrorCode::Success,
                script_name: String::new(),
                message: "Succeeded".into(),
                log_tail: String::new(),
                script_from_deployment: None,
                printed: None,
            })),
        };
        loop {
            let heard: ReportAnswer = self.call(line, "/v1/agent/reports", &report).await?;
            match heard.answer {
                Heard::Recorded | Heard::Stale => return Ok(()),
                Heard::Later => tokio::time::sleep(Duration::from_millis(250)).await,
            }
        }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        line: &mut Line,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, String> {
        let body = serde_json::to_vec(body).map_err(text)?;
        let mut run = line.1.clone();
        let mut answer = self.signed(line, path, &body).await;
        // The first call to a server is answered with the word of its run, and made again.
        while answer.is_err() && run != line.1 {
            run.clone_from(&line.1);
            answer = self.signed(line, path, &body).await;
        }
        serde_json::from_slice(&answer?).map_err(text)
    }

    async fn signed(&self, line: &mut Line, path: &str, body: &[u8]) -> Result<Vec<u8>, String> {
        let now = std::time::UNIX_EPOCH.elapsed().map_err(text)?.as_micros();
        let now = u64::try_from(now).map_err(text)?;
        let counter = now.max(self.counter.load(Ordering::Relaxed) + 1);
        self.counter.store(counter, Ordering::Relaxed);
        let signable = Signable {
            method: "POST",
            path,
            body,
        };
        let from = Caller {
            host: &self.host,
            counter,
            run: &line.1,
        };
        let said = HostCall::sign(&self.signer, from, signable).to_string();
        line.ask(&self.server, path, &said, body).await
    }
}

impl Line {
    async fn to(server: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(server).await.map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        Ok(Self(BufReader::new(stream), UNKNOWN_RUN.to_string()))
    }

    async fn ask(
        &mut self,
        host: &str,
        path: &str,
        said: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, String> {
        let authorization = match said {
            "" => String::new(),
            said => format!("authorization: {said}\r\n"),
        };
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\n{authorization}content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let request = [head.as_bytes(), body].concat();
        self.0.get_mut().write_all(&request).await.map_err(text)?;
        let (mut status, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).await.map_err(text)? == 0 {
                return Err(format!("{path}: the server closed the connection"));
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest.to_string();
            }
            if let Some(run) = line.strip_prefix("croft-server-run:") {
                self.1 = run.trim().to_string();
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(text)?;
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer).await.map_err(text)?;
        if status.starts_with('2') {
            return Ok(answer);
        }
        Err(format!(
            "{path}: {status}: {}",
            String::from_utf8_lossy(&answer)
        ))
    }
}
