//! Releases of `examples/http-service` on three hosts behind a real HAProxy, asked all the time: good ones fail no request, and a faulty
//! one goes by itself, because a real Prometheus sees it and says so, with an Alertmanager or without.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::balanced::{free_port, statistics};
use crate::harness::rig::{Rig, Role, each_size, http};
use crate::harness::{eventually, skip};

each_size!(small large |plan| plan;
    a_faulty_release_goes_when_alertmanager_says_so,
    a_faulty_release_goes_when_prometheus_is_asked,
    a_balancer_that_forgets_its_weights_in_a_deployment_is_told_again,
);

const HOSTS: [&str; 3] = ["web-1", "web-2", "web-3"];
/// Between two requests of one of those who ask.
const ASK_EVERY: Duration = Duration::from_millis(20);
const ASKING: usize = 3;

/// A program of this machine, killed in the end.
struct Program(Child);

impl Program {
    fn start(command: &mut Command, log: &Path) -> Self {
        let log = fs::File::options()
            .append(true)
            .create(true)
            .open(log)
            .unwrap();
        let command = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap());
        Self(command.stderr(log).spawn().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().unwrap_or_default();
        self.0.wait().map(drop).unwrap_or_default();
    }
}

/// Who tells the farm that something fires.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watched {
    Pushed,
    Asked,
    No,
}

/// The example as its own files put it together, at free ports.
struct Stage<'r> {
    rig: &'r mut Rig,
    folder: PathBuf,
    ports: Vec<u16>,
    front: String,
    balancer: Option<Program>,
    /// Before those that they call.
    _watching: Vec<Program>,
    agents: Vec<Role>,
}

fn has(program: &str) -> bool {
    let asked = Command::new(program)
        .arg(if program == "haproxy" {
            "-v"
        } else {
            "--version"
        })
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok()
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/http-service")
}

/// A file of the example with other ports and places.
fn adapted(name: &str, into: &Path, changes: &[(&str, &str)]) -> PathBuf {
    let mut text = fs::read_to_string(example().join("farm").join(name)).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{name} has no {from}");
        text = text.replace(from, to);
    }
    let path = into.join(name);
    fs::write(&path, text).unwrap();
    path
}

impl<'r> Stage<'r> {
    fn set(rig: &'r mut Rig, watched: Watched) -> Option<Self> {
        for program in [
            "haproxy",
            "prometheus",
            "prometheus-alertmanager",
            "python3",
        ] {
            if !has(program) {
                skip(&format!("there is no {program}: run scripts/setup"));
                return None;
            }
        }
        let folder = rig.folder().join("stage");
        fs::create_dir(&folder).unwrap();
        let ports: Vec<u16> = HOSTS.iter().map(|_| free_port()).collect();
        let front = format!("127.0.0.1:{}", free_port());
        let mut stage = Self {
            rig,
            folder,
            ports,
            front,
            balancer: None,
            _watching: Vec::new(),
            agents: Vec::new(),
        };
        stage.balance();
        stage.watch(watched);
        let socket = stage.socket().display().to_string();
        let group = adapted(
            "prices.yml",
            &stage.folder,
            &[
                ("/run/prices-haproxy.sock", &socket),
                ("bakeMinutes: 1", "bakeMinutes: 30"),
            ],
        );
        stage.rig.told(&["app", "apply", group.to_str().unwrap()]);
        for (host, port) in HOSTS.iter().zip(stage.ports.clone()) {
            stage.add(host, port);
        }
        Some(stage)
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("haproxy.sock")
    }

    /// Starts the balancer, which knows nothing of what it was told before.
    fn balance(&mut self) {
        self.balancer = None;
        let servers = HOSTS.iter().zip(&self.ports);
        let servers: Vec<String> = servers
            .map(|(host, port)| format!("server {host} 127.0.0.1:{port} check inter 200ms"))
            .collect();
        let file = adapted(
            "haproxy.cfg",
            &self.folder,
            &[
                (
                    "/run/prices-haproxy.sock",
                    &self.socket().display().to_string(),
                ),
                ("127.0.0.1:8080", &self.front),
                (
                    "server web-1 127.0.0.1:8081 check inter 200ms",
                    &servers.join("\n  "),
                ),
            ],
        );
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(file);
        self.balancer = Some(Program::start(
            &mut command,
            &self.folder.join("haproxy.log"),
        ));
        eventually("the balancer answers", || {
            UnixStream::connect(self.socket()).is_ok()
        });
    }

    fn watch(&mut self, watched: Watched) {
        if watched == Watched::No {
            return;
        }
        let (prometheus, alertmanager) = (free_port(), free_port());
        let targets: Vec<String> = self
            .ports
            .iter()
            .map(|port| format!("'127.0.0.1:{port}'"))
            .collect();
        adapted("rules.yml", &self.folder, &[]);
        let file = adapted(
            "prometheus.yml",
            &self.folder,
            &[
                ("127.0.0.1:9093", &format!("127.0.0.1:{alertmanager}")),
                ("'127.0.0.1:8081'", &targets.join(", ")),
            ],
        );
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                self.folder.join("prometheus").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{prometheus}"));
        let asked = Program::start(&mut command, &self.folder.join("prometheus.log"));
        self._watching.push(asked);
        eventually("Prometheus answers", || {
            TcpStream::connect(("127.0.0.1", prometheus)).is_ok()
        });
        match watched {
            Watched::Pushed => self.push(alertmanager),
            Watched::Asked | Watched::No => {
                let url = format!("http://127.0.0.1:{prometheus}");
                self.rig.serve_with(&["--prometheus", &url]);
            }
        }
    }

    fn push(&mut self, port: u16) {
        let token = self
            .rig
            .told(&["token", "create", "alerts", "--role", "deployer"]);
        let kept = self.folder.join("alerts.token");
        fs::write(&kept, token.trim()).unwrap();
        // Each server is told.
        let receiver = |address: &String| {
            format!(
                "- url: http://{address}/v1/alerts\n        http_config: {{authorization: {{credentials_file: {}}}}}",
                kept.display()
            )
        };
        let receivers: Vec<String> = self.rig.addresses.iter().map(receiver).collect();
        let file = adapted(
            "alertmanager.yml",
            &self.folder,
            &[(
                "- url: http://127.0.0.1:9470/v1/alerts\n        http_config: {authorization: {credentials_file: /etc/croft/alerts.token}}",
                &receivers.join("\n      "),
            )],
        );
        let mut command = Command::new("prometheus-alertmanager");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.path={}",
                self.folder.join("alertmanager").display()
            ))
            .arg("--cluster.listen-address=")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let pushes = Program::start(&mut command, &self.folder.join("alertmanager.log"));
        self._watching.push(pushes);
        eventually("Alertmanager answers", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
    }

    fn add(&mut self, host: &str, port: u16) {
        let token = self.rig.told(&["host", "invite", host, "role=prices"]);
        let server = format!("http://{}", self.rig.addresses[0]);
        let words = ["agent", "--server", &server, "--invitation", token.trim()];
        let own = self.folder.join(host);
        let mut agent = Role::new(self.rig.folder(), host, &words)
            .with("PRICES_PORT", port.to_string())
            .on_a_host(&own);
        agent.start();
        agent.says(&format!("host {host} of "));
        self.agents.push(agent);
    }

    /// Builds a release, and starts its deployment; its id.
    fn deploy(&self, release: &str) -> String {
        let (source, built) = (example(), self.folder.join(release));
        let (source, built) = (source.to_str().unwrap(), built.to_str().unwrap());
        let release = format!("RELEASE={release}");
        self.rig
            .told(&["run", source, "--env", &release, "-a", built]);
        let words = ["deploy", "prices", "prod", "--detach", "--revision", built];
        self.rig.told(&words).trim().to_string()
    }

    fn info(&self, id: &str) -> Value {
        self.rig.get(&format!("/v1/deployments/{id}"))["deploymentInfo"].clone()
    }

    fn over(&self, id: &str) -> Value {
        let mut info = Value::Null;
        eventually("a deployment is over", || {
            info = self.info(id);
            let over = ["Succeeded", "Failed", "Stopped", "Halted"];
            over.iter().any(|status| info["status"] == *status)
        });
        info
    }

    /// A release that is waited for, and watched no longer than until all hosts have it.
    fn released(&self, release: &str) {
        let id = self.deploy(release);
        let mut status = Value::Null;
        eventually("it bakes", || {
            status = self.info(&id)["status"].clone();
            status == "Baking" || status == "Failed" || status == "Stopped"
        });
        assert_eq!(status, "Baking", "{:#}", self.info(&id));
        let path = format!("/v1/deployments/{id}/continue");
        assert_eq!(self.rig.ask("POST", &path, "{}").status, 200);
        assert_eq!(self.over(&id)["status"], "Succeeded");
    }

    /// A column of the balancer's statistics for each host, and for all of them.
    fn statistics(&self, column: &str) -> BTreeMap<String, String> {
        statistics(&self.socket(), "prices", column)
    }

    /// Asks all the time while `during` runs; the answers by status and release.
    fn asked(&self, during: impl FnOnce(&Mutex<BTreeMap<String, u32>>)) -> BTreeMap<String, u32> {
        let seen = Mutex::new(BTreeMap::new());
        let is_over = AtomicBool::new(false);
        std::thread::scope(|threads| {
            for _ in 0..ASKING {
                threads.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        let answer = self.ask();
                        *seen.lock().unwrap().entry(answer).or_default() += 1;
                        std::thread::sleep(ASK_EVERY);
                    }
                });
            }
            // Whatever becomes of it, those who ask end.
            let ending = Ending(&is_over);
            during(&seen);
            drop(ending);
        });
        seen.into_inner().unwrap()
    }

    fn ask(&self) -> String {
        let Ok(answer) = http::ask(&self.front, "GET", "/", &[], b"") else {
            return "nothing".into();
        };
        let text = answer.text();
        let release = text
            .split_once('(')
            .and_then(|(_, rest)| rest.split_once(')'));
        match (answer.status, release) {
            (200, Some((release, _))) => release.to_string(),
            (status, _) => status.to_string(),
        }
    }

    fn end(self) {
        for host in HOSTS {
            let pid = fs::read_to_string(self.folder.join(host).join("run/prices/pid")).unwrap();
            let killed = Command::new("kill").arg(pid.trim()).status().unwrap();
            assert!(killed.success());
        }
    }
}

struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One, two, and the faulty one, which goes by itself.
fn a_faulty_release_goes(rig: &mut Rig, watched: Watched, by: &str) {
    let Some(stage) = Stage::set(rig, watched) else {
        return;
    };
    stage.released("one");
    stage.asked(|seen| {
        stage.released("two");
        let seen = seen.lock().unwrap().clone();
        let releases: Vec<&str> = seen.keys().map(String::as_str).collect();
        assert_eq!(releases, ["one", "two"], "{seen:?}");
        // What the balancer answered for servers, or tried twice, is no answer of theirs.
        for column in ["hrsp_5xx", "econ", "eresp"] {
            let counted = stage.statistics(column);
            assert!(
                counted.values().all(|count| count == "0"),
                "{column}: {counted:?}"
            );
        }
        let id = stage.deploy("faulty");
        let info = stage.over(&id);
        assert_eq!(info["status"], "Stopped", "{info:#}");
        let finding = &info["x-croft"]["finding"];
        assert_eq!(finding["by"], "alarm PricesFail", "{info:#}");
        assert!(finding.to_string().contains(by), "{finding:#}");
        let back = info["rollbackInfo"]["rollbackDeploymentId"].as_str();
        let back = stage.over(back.unwrap_or_else(|| panic!("{info:#}")));
        assert_eq!(back["status"], "Succeeded", "{back:#}");
    });
    let after = stage.asked(|seen| {
        eventually("it is asked again", || {
            seen.lock().unwrap().values().sum::<u32>() > 100
        });
    });
    assert_eq!(after.keys().collect::<Vec<_>>(), ["two"], "{after:?}");
    stage.end();
}

fn a_faulty_release_goes_when_alertmanager_says_so(rig: &mut Rig) {
    a_faulty_release_goes(rig, Watched::Pushed, "pushed by Alertmanager");
}

fn a_faulty_release_goes_when_prometheus_is_asked(rig: &mut Rig) {
    a_faulty_release_goes(rig, Watched::Asked, "found by asking");
}

fn a_balancer_that_forgets_its_weights_in_a_deployment_is_told_again(rig: &mut Rig) {
    let Some(mut stage) = Stage::set(rig, Watched::No) else {
        return;
    };
    stage.released("one");
    let id = stage.deploy("two");
    let is_out = |stage: &Stage<'_>| {
        let weights = stage.statistics("weight");
        let status = stage.statistics("status");
        HOSTS
            .iter()
            .filter(|host| {
                weights[**host] == "0"
                    || status[**host].contains("DRAIN")
                    || status[**host].contains("MAINT")
            })
            .count()
    };
    eventually("a host is out of traffic", || is_out(&stage) == 1);
    stage.balance();
    assert_eq!(is_out(&stage), 0, "it has forgotten");
    eventually("it is told again", || is_out(&stage) == 1);
    eventually("it bakes", || stage.info(&id)["status"] == "Baking");
    eventually("all have traffic", || is_out(&stage) == 0);
    let seen = stage.asked(|seen| {
        eventually("it is asked", || {
            seen.lock().unwrap().values().sum::<u32>() > 50
        });
    });
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["two"], "{seen:?}");
    assert_eq!(json!(stage.info(&id)["status"]), "Baking");
    stage.end();
}
