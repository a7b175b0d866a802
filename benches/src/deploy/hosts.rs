//! A farm with an application and hosts that have agents.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::farm::http::text;
use crate::farm::running::{Farm, end, resident_bytes};
use crate::subject::Subject;

/// A deployment that takes longer hangs.
const OVER_MAX: Duration = Duration::from_secs(300);
const APPLICATION: &str = "bench";

pub(super) struct Hosts {
    pub(super) farm: Farm,
}

/// A host's agent, which ends with it.
pub(super) struct Agent {
    child: Child,
    log: PathBuf,
}

impl Hosts {
    pub(super) fn start(subject: &Subject) -> Result<Self, String> {
        Self::start_with(subject, &[])
    }

    /// The same, the server with those words more.
    pub(super) fn start_with(subject: &Subject, words: &[&str]) -> Result<Self, String> {
        let farm = Farm::up(subject, words)?;
        let application = json!({"computePlatform": "Server"}).to_string();
        let path = format!("/v1/applications/{APPLICATION}");
        farm.client()?.granted("PUT", &path, &application)?;
        Ok(Self { farm })
    }

    /// A group of the hosts that have its name as their tag.
    pub(super) fn group(&self, name: &str, more: &Value) -> Result<(), String> {
        let mut group = json!({
            "deploymentConfigName": "CodeDeployDefault.AllAtOnce",
            "ec2TagFilters": [{"Key": "group", "Value": name, "Type": "KEY_AND_VALUE"}],
            "x-croft": {"bakeMinutes": 0},
        });
        if let (Some(group), Some(more)) = (group.as_object_mut(), more.as_object()) {
            group.extend(more.clone());
        }
        let path = format!("/v1/applications/{APPLICATION}/groups/{name}");
        self.farm
            .client()?
            .granted("PUT", &path, &group.to_string())
            .map(drop)
    }

    /// Lets a host of that group in, and starts its agent.
    pub(super) fn agent(
        &self,
        subject: &Subject,
        host: &str,
        group: &str,
        environment: &[(&str, String)],
    ) -> Result<Agent, String> {
        let asked = json!({"host": host, "tags": [{"Key": "group", "Value": group}]});
        let mut client = self.farm.client()?;
        let invited = client.granted("POST", "/v1/hosts/invitations", &asked.to_string())?;
        let token = invited["token"].as_str().ok_or("no invitation")?;
        let home = self.farm.folder().join(host);
        let log = self.farm.folder().join(format!("{host}.log"));
        let words = [
            "agent",
            "--server",
            &self.farm.server,
            "--invitation",
            token,
        ];
        let mut command = self.farm.croft(subject, &words);
        command
            .env("CROFT_HOME", &home)
            .env_remove("CROFT_TOKEN")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).map_err(text)?);
        let child = command.spawn().map_err(text)?;
        let begun = Instant::now();
        while !home.join("agent/farm.json").exists() {
            if begun.elapsed() > OVER_MAX {
                return Err("an agent was not let in".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Agent { child, log })
    }

    /// Uploads a folder and deploys it; its deployment's id.
    pub(super) fn deploy(
        &self,
        subject: &Subject,
        group: &str,
        folder: &Path,
    ) -> Result<String, String> {
        let folder = folder.display().to_string();
        let words = [
            "deploy",
            APPLICATION,
            group,
            "--revision",
            &folder,
            "--detach",
        ];
        let mut command = self.farm.croft(subject, &words);
        command
            .env("CROFT_SERVER", &self.farm.server)
            .env("CROFT_TOKEN", &self.farm.token);
        let output = command.output().map_err(text)?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
    }

    /// The digest of a release whose script writes its name into `page` in `HOST_ROOT`.
    pub(super) fn uploaded(&self, subject: &Subject, name: &str) -> Result<Value, String> {
        let folder = self.farm.folder().join(name);
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
        self.group("none", &json!({}))?;
        let id = self.deploy(subject, "none", &folder)?;
        Ok(self.over(&id)?["revision"]["digest"].clone())
    }

    /// Starts the deployment of what was uploaded, with those settings; its id.
    pub(super) fn release(
        &self,
        group: &str,
        digest: &Value,
        more: &Value,
    ) -> Result<String, String> {
        let mut asked = json!({
            "applicationName": APPLICATION, "deploymentGroupName": group,
            "revision": {"digest": digest, "origin": {"revisionType": "Local Directory", "location": "/r"}},
        });
        if let (Some(asked), Some(more)) = (asked.as_object_mut(), more.as_object()) {
            asked.extend(more.clone());
        }
        self.begin(&asked)
    }

    /// Starts a deployment of a revision that is on the farm; its id.
    pub(super) fn begin(&self, asked: &Value) -> Result<String, String> {
        let mut client = self.farm.client()?;
        let started = client.granted("POST", "/v1/deployments", &asked.to_string())?;
        let id = started["deploymentId"].as_str();
        Ok(id.ok_or("a deployment without id")?.to_string())
    }

    /// The deployment once it is over.
    pub(super) fn over(&self, id: &str) -> Result<Value, String> {
        let begun = Instant::now();
        while begun.elapsed() < OVER_MAX {
            let info = self.get(&format!("/v1/deployments/{id}"))?["deploymentInfo"].clone();
            match info["status"].as_str() {
                Some("Succeeded" | "Failed" | "Stopped" | "Halted") => return Ok(info),
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        Err(format!("{id} is not over after {OVER_MAX:?}"))
    }

    /// From the beginning of one event of a host to the end of another.
    pub(super) fn between(
        &self,
        id: &str,
        host: &str,
        (first, last): (&str, &str),
    ) -> Result<Duration, String> {
        let target = self.get(&format!("/v1/deployments/{id}/targets/{host}"))?;
        let events = find(&target, "lifecycleEvents").ok_or("a target without events")?;
        let time = |name: &str, what: &str| {
            let events = events.as_array().into_iter().flatten();
            let mut named = events.filter(|event| event["lifecycleEventName"] == name);
            named.find_map(|event| event[what].as_f64())
        };
        let (start, end) = (time(first, "startTime"), time(last, "endTime"));
        let (Some(start), Some(end)) = (start, end) else {
            return Err(format!("{first} or {last} has no time: {events}"));
        };
        Ok(Duration::from_secs_f64(end - start))
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, String> {
        self.farm.client()?.granted("GET", path, "")
    }
}

/// The value of that name, wherever it is.
fn find<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Object(map) => map
            .get(name)
            .or_else(|| map.values().find_map(|value| find(value, name))),
        Value::Array(list) => list.iter().find_map(|value| find(value, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

impl Agent {
    pub(super) fn resident_bytes(&self) -> Result<u64, String> {
        resident_bytes(self.child.id())
    }

    /// The most since the last [`Agent::forget_peak`].
    pub(super) fn peak_bytes(&self) -> Result<u64, String> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).map_err(text)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok());
        kib.map(|kib: u64| kib << 10)
            .ok_or_else(|| "no peak".into())
    }

    pub(super) fn forget_peak(&self) -> Result<(), String> {
        let path = format!("/proc/{}/clear_refs", self.child.id());
        std::fs::write(path, "5").map_err(text)
    }

    /// What it fetched for its last revision, before compression.
    pub(super) fn fetched_bytes(&self) -> Result<u64, String> {
        let log = std::fs::read_to_string(&self.log).map_err(text)?;
        let said = log
            .lines()
            .rev()
            .find_map(|line| line.split_once("fetched_bytes="));
        let (_, rest) = said.ok_or("the agent does not say what it has fetched")?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().map_err(text)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}
