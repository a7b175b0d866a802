//! Releases that are judged by what a real Prometheus scrapes of their hosts, every second: a good one goes through, one that fails a tenth
//! of its requests is taken back with the evidence, and neither a Prometheus that dies nor a service without users takes anything back.
//!
//! `CROFT_AWAY_SECONDS=300` has Prometheus dead, and a release without users baked, for five minutes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::away::away;
use super::balanced::free_port;
use super::deploy::{Fleet, scripts};
use crate::harness::eventually;
use crate::harness::rig::{Rig, each_size, http, in_size, thread};
use crate::harness::skip;

each_size!(small large |plan| plan;
    a_release_that_fails_a_tenth_of_its_requests_is_taken_back_with_the_evidence,
    a_prometheus_that_dies_in_the_bake_takes_no_good_release_back,
    a_good_release_that_nobody_asks_anything_goes_through,
);

in_size!(rolled_back SMALL, |plan| plan;
    a_rollback_whose_host_does_not_stay_up_is_halted_with_the_evidence,
);

/// Requests of each host a second.
const RPS: u64 = 10;
const HOSTS: [&str; 4] = ["web-1", "web-2", "web-3", "web-4"];

/// What one host serves: the revision that its scripts have started, and counters of it.
#[derive(Debug, Default)]
struct Counted {
    revision: String,
    began: f64,
    requests: u64,
    bad: u64,
}

/// The hosts' service, asked by its users if it has some: all within this process.
struct Service {
    /// Of each host a second.
    requests: u64,
    ports: BTreeMap<&'static str, u16>,
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Service {
    fn start(roots: &Path) -> Self {
        Self::asked(roots, RPS)
    }

    /// One whose hosts are asked so often a second.
    fn asked(roots: &Path, requests: u64) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (mut ports, mut threads) = (BTreeMap::new(), Vec::new());
        for host in HOSTS {
            let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            ports.insert(host, listener.local_addr().unwrap().port());
            let (started, over) = (roots.join(host).join("started"), Arc::clone(&is_over));
            let counted = Arc::new(Mutex::new(Counted::default()));
            let serving = Arc::clone(&counted);
            let closed = Arc::clone(&is_over);
            threads.push(thread("serves", move || {
                serve(&listener, &serving, &closed)
            }));
            threads.push(thread("asks", move || {
                use_it(requests, &started, &counted, &over);
            }));
        }
        Self {
            requests,
            ports,
            is_over,
            threads,
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for port in self.ports.values() {
            // Whoever waits for a scrape looks up.
            std::net::TcpStream::connect(("127.0.0.1", *port))
                .map(drop)
                .unwrap_or_default();
        }
        for thread in self.threads.drain(..) {
            thread.join().unwrap_or_default();
        }
    }
}

/// Shows the counters to whoever scrapes.
fn serve(listener: &TcpListener, counted: &Mutex<Counted>, is_over: &AtomicBool) {
    for socket in listener.incoming() {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let Ok(mut socket) = socket else { continue };
        let mut head = [0; 4096];
        if socket.read(&mut head).unwrap_or_default() == 0 {
            continue;
        }
        let body = {
            let counted = counted.lock().unwrap();
            let mut body = format!(
                "process_start_time_seconds {}\nhttp_requests_total{{code=\"200\"}} {}\n",
                counted.began,
                counted.requests - counted.bad
            );
            // As most programs do it: no error, no series.
            if counted.bad > 0 {
                writeln!(body, "http_requests_total{{code=\"500\"}} {}", counted.bad).unwrap();
            }
            body
        };
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(answer.as_bytes()).unwrap_or_default();
    }
}

/// How long the first revision stays up where it does not.
const UP_SECONDS: f64 = 3.0;

/// Asks the host's revision again and again; a bad one fails every tenth request, and where something says so the first does not stay up.
fn use_it(requests: u64, started: &Path, counted: &Mutex<Counted>, is_over: &AtomicBool) {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    while !is_over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(1000 / RPS));
        let text = std::fs::read_to_string(started).unwrap_or_default();
        let Some(revision) = text.lines().last() else {
            continue;
        };
        let number = ASKED.fetch_add(1, Ordering::Relaxed);
        let mut counted = counted.lock().unwrap();
        let falls = revision == "one" && started.with_file_name("falls").exists();
        if counted.revision != revision || (falls && seconds() - counted.began > UP_SECONDS) {
            *counted = Counted {
                revision: revision.to_string(),
                began: seconds(),
                ..Counted::default()
            };
        }
        if requests == 0 {
            continue;
        }
        counted.requests += 1;
        // Of its own requests: of those of all hosts one host may come by few, or by a fifth, as they take turns.
        let is_bad = match revision {
            "bad" => counted.requests.is_multiple_of(10),
            _ => number.is_multiple_of(1009),
        };
        counted.bad += u64::from(is_bad);
    }
}

fn seconds() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs_f64()
}

/// A real Prometheus that scrapes the hosts every second, and knows the hour before.
struct Prometheus {
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Prometheus {
    /// None, said out loud, where there is none.
    fn new(folder: &Path, service: &Service) -> Option<Self> {
        let folder = folder.join("prometheus");
        std::fs::create_dir(&folder).unwrap();
        let targets: Vec<String> = service
            .ports
            .values()
            .map(|port| format!("'127.0.0.1:{port}'"))
            .collect();
        let config = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: shop\n    static_configs: [{{targets: [{}]}}]\n",
            targets.join(", ")
        );
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        std::fs::write(folder.join("past"), past(service)).unwrap();
        let filled = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args([folder.join("past"), folder.join("store")])
            .output();
        match filled {
            Ok(filled) => assert!(filled.status.success(), "{filled:?}"),
            Err(error) => {
                skip(&format!(
                    "there is no promtool ({error}): run scripts/setup"
                ));
                return None;
            }
        }
        let mut prometheus = Self {
            folder,
            port: free_port(),
            child: None,
        };
        prometheus.start();
        Some(prometheus)
    }

    fn start(&mut self) {
        let log = std::fs::File::create(self.folder.join("log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!(
                "--config.file={}",
                self.folder.join("prometheus.yml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                self.folder.join("store").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{}", self.port))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap());
        let at = format!("127.0.0.1:{}", self.port);
        eventually("Prometheus is ready", || {
            let ready = http::ask(&at, "GET", "/-/ready", &[], b"");
            ready.is_ok_and(|answer| answer.status == 200)
        });
    }

    fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

/// Half an hour in which one of a thousand requests failed, each by itself, if there were any.
fn past(service: &Service) -> String {
    let end = seconds() - 30.0;
    let mut text = String::from("# TYPE http_requests counter\n");
    for code in ["200", "500"] {
        for (number, port) in service.ports.values().enumerate() {
            let mut bad = 0;
            for second in 0..1800 {
                // Spread without a rhythm.
                let is_bad = service.requests > 0 && (second * 7919 + number * 331) % 100 == 0;
                bad += u64::from(is_bad);
                let value = if code == "500" {
                    bad
                } else {
                    second as u64 * service.requests
                };
                let at = end - 1800.0 + f64::from(u32::try_from(second).unwrap());
                writeln!(
                    text,
                    "http_requests_total{{instance=\"127.0.0.1:{port}\",job=\"shop\",code=\"{code}\"}} {value} {at:.3}"
                )
                .unwrap();
            }
        }
    }
    text + "# EOF\n"
}

/// A group whose releases are judged.
fn verdicts(service: &Service) -> Value {
    let map: BTreeMap<&str, String> = service
        .ports
        .iter()
        .map(|(host, port)| (*host, format!("127.0.0.1:{port}")))
        .collect();
    json!({
        "hosts": {"map": map},
        "missing": {"maxHoldMs": 20_000},
        "metrics": [{"name": "errors", "requests": "http_requests_total{job=\"shop\"}",
            "bad": "http_requests_total{job=\"shop\",code=~\"5..\"}"}],
        "guards": {"up": "up{job=\"shop\"}", "started": "process_start_time_seconds{job=\"shop\"}"},
        "alarms": [{"AlarmName": "mostly failing", "Period": 10, "EvaluationPeriods": 3, "Threshold": 0.5,
            "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "breaching",
            "Query": "sum(rate(http_requests_total{job=\"shop\",code=~\"5..\"}[10s])) / sum(rate(http_requests_total{job=\"shop\"}[10s])) or vector(0)"}],
    })
}

/// Four hosts on their first revision, judged by Prometheus.
fn judged<'r>(rig: &'r mut Rig, service: &Service, prometheus: &Prometheus) -> Fleet<'r> {
    let url = format!("http://127.0.0.1:{}", prometheus.port);
    rig.serve_with(&["--prometheus", &url]);
    let first = scripts(rig, "one", "true");
    let config = json!({"minimumHealthyHosts": {"type": "HOST_COUNT", "value": 0},
        "x-croft": {"canary": {"hosts": 1, "waitSeconds": 45}}});
    let made = rig.ask("PUT", "/v1/deployment-configs/careful", &config.to_string());
    assert_eq!(made.status, 201, "{}", made.text());
    let hosts: Vec<(&str, u16)> = HOSTS.iter().map(|host| (*host, 0)).collect();
    let more = json!({"deploymentConfigName": "careful",
        "x-croft": {"bakeMinutes": 0, "verdicts": verdicts(service)}});
    let fleet = Fleet::start_with(rig, more, &hosts);
    let all = json!({"deploymentConfigName": "CodeDeployDefault.AllAtOnce"});
    let info = fleet.over(&fleet.deploy_with(&first, &all));
    assert_eq!(info["status"], "Succeeded", "{info:#}");
    fleet
}

/// The deployment once it is over, which may take its bake, or its canary's time.
fn over(fleet: &Fleet<'_>, id: &str) -> Value {
    let limit = Instant::now() + Duration::from_secs(150);
    while fleet.info(id)["completeTime"].is_null() {
        assert!(Instant::now() < limit, "{:#}", fleet.info(id));
        std::thread::sleep(Duration::from_millis(200));
    }
    fleet.info(id)
}

fn a_release_that_fails_a_tenth_of_its_requests_is_taken_back_with_the_evidence(rig: &mut Rig) {
    let service = Service::start(&rig.folder().join("roots"));
    let Some(prometheus) = Prometheus::new(rig.folder(), &service) else {
        return;
    };
    let (bad, good) = (scripts(rig, "bad", "true"), scripts(rig, "two", "true"));
    let fleet = judged(rig, &service, &prometheus);
    let tried = fleet.rig.told(&["alarm", "test", "shop", "web"]);
    assert!(
        tried.contains("errors.bad") && !tried.contains("MISTAKE"),
        "{tried}"
    );
    let id = fleet.deploy(&bad);
    let info = over(&fleet, &id);
    assert_eq!(info["status"], "Stopped", "{info:#}");
    let finding = &info["x-croft"]["finding"];
    assert_eq!(finding["by"], "sequential errors", "{info:#}");
    let evidence = &finding["evidence"];
    assert!(
        evidence["curve"]
            .as_array()
            .is_some_and(|curve| !curve.is_empty()),
        "{evidence:#}"
    );
    let ratio = |of: &Value| of["bad"].as_f64().unwrap() / of["requests"].as_f64().unwrap();
    // A tenth, and by chance more: it is convicted at a moment at which it looks bad.
    assert!(
        (0.05..0.5).contains(&ratio(&evidence["canary"])),
        "{evidence:#}"
    );
    assert!(ratio(&evidence["baseline"]) < 0.01, "{evidence:#}");
    let notes = info["x-croft"]["notes"].to_string();
    assert!(
        notes.contains("a regression to 10% is found in about"),
        "{notes}"
    );
    let back = fleet.taken_back(&info);
    assert_eq!(back["status"], "Succeeded", "{back:#}");
    let had_it = HOSTS
        .iter()
        .filter(|host| fleet.started(host).contains(&"bad".into()));
    assert_eq!(had_it.count(), 1, "the canary alone had it");
    let explained = fleet.rig.told(&["deployment", "explain", &id]);
    for part in ["sequential errors", "query", "curve", "█", "before"] {
        assert!(explained.contains(part), "{part}: {explained}");
    }
    // What is as good as the last goes through, past the canary.
    let info = over(&fleet, &fleet.deploy(&good));
    assert_eq!(info["status"], "Succeeded", "{info:#}");
    for host in HOSTS {
        assert_eq!(fleet.started(host).last().map(String::as_str), Some("two"));
    }
}

/// As after a release that has changed what the earlier one needs.
fn a_rollback_whose_host_does_not_stay_up_is_halted_with_the_evidence(rig: &mut Rig) {
    let service = Service::start(&rig.folder().join("roots"));
    let Some(prometheus) = Prometheus::new(rig.folder(), &service) else {
        return;
    };
    let bad = scripts(rig, "bad", "touch \"$HOST_ROOT/falls\"; exit 1");
    let fleet = judged(rig, &service, &prometheus);
    let path = "/v1/applications/shop/groups/web";
    let mut group = fleet.rig.get(path)["deploymentGroupInfo"].clone();
    group["x-croft"]["bakeMinutes"] = json!(10);
    let put = fleet.rig.ask("PUT", path, &group.to_string());
    assert_eq!(put.status, 200, "{}", put.text());
    let all = json!({"deploymentConfigName": "CodeDeployDefault.AllAtOnce"});
    let info = over(&fleet, &fleet.deploy_with(&bad, &all));
    assert_eq!(info["status"], "Failed", "{info:#}");
    let id = info["rollbackInfo"]["rollbackDeploymentId"].as_str();
    let back = over(&fleet, id.unwrap_or_else(|| panic!("{info:#}")));
    assert_eq!(back["status"], "Halted", "{back:#}");
    assert_eq!(
        back["x-croft"]["finding"]["by"], "guard restarts",
        "{back:#}"
    );
    let said = back["errorInformation"]["message"].as_str().unwrap();
    for part in [
        "nothing follows by itself",
        "Back on the good revision: web-1",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let none = &back["rollbackInfo"]["rollbackDeploymentId"];
    assert!(none.is_null(), "{back:#}");
    for host in HOSTS {
        assert_eq!(fleet.started(host), ["one", "bad", "one"]);
    }
}

fn a_prometheus_that_dies_in_the_bake_takes_no_good_release_back(rig: &mut Rig) {
    let service = Service::start(&rig.folder().join("roots"));
    let Some(mut prometheus) = Prometheus::new(rig.folder(), &service) else {
        return;
    };
    let good = scripts(rig, "two", "true");
    let fleet = judged(rig, &service, &prometheus);
    let all = json!({"deploymentConfigName": "CodeDeployDefault.AllAtOnce", "x-croft": {"bakeMinutes": 1}});
    let id = fleet.deploy_with(&good, &all);
    eventually("it bakes", || fleet.info(&id)["status"] == "Baking");
    let holds = || fleet.info(&id)["x-croft"]["watch"]["holds"].to_string();
    eventually("nothing holds it", || holds() == "[]");
    prometheus.kill();
    eventually("it is held", || holds().contains("source"));
    let explained = fleet.rig.told(&["deployment", "explain", &id]);
    for part in [
        "waits     Prometheus at 127.0.0.1:",
        "does not answer",
        "are left once it is not held",
        "it waits for somebody to decide then, and is never taken back for this",
    ] {
        assert!(explained.contains(part), "{part}: {explained}");
    }
    // As long as the bake, and longer than all periods of the alarm.
    let (blind, until) = (Instant::now(), away(Duration::from_secs(60)));
    while blind.elapsed() < until {
        let info = fleet.info(&id);
        assert_eq!(info["status"], "Baking", "{info:#}");
        std::thread::sleep(Duration::from_millis(500));
    }
    prometheus.start();
    eventually("nothing holds it", || holds() == "[]");
    let info = over(&fleet, &id);
    assert_eq!(info["status"], "Succeeded", "{info:#}");
    assert!(info["rollbackInfo"].is_null(), "{info:#}");
}

/// Longer ones wait for users for a while, and then no longer.
fn a_good_release_that_nobody_asks_anything_goes_through(rig: &mut Rig) {
    let service = Service::asked(&rig.folder().join("roots"), 0);
    let Some(prometheus) = Prometheus::new(rig.folder(), &service) else {
        return;
    };
    let good = scripts(rig, "two", "true");
    let fleet = judged(rig, &service, &prometheus);
    let minutes = away(Duration::ZERO).as_secs() / 60;
    let id = fleet.deploy_with(&good, &json!({"x-croft": {"bakeMinutes": minutes}}));
    let limit = Instant::now() + Duration::from_secs(150 + 90 * minutes);
    while fleet.info(&id)["completeTime"].is_null() {
        assert!(Instant::now() < limit, "{:#}", fleet.info(&id));
        std::thread::sleep(Duration::from_millis(200));
    }
    let info = fleet.info(&id);
    assert_eq!(info["status"], "Succeeded", "{info:#}");
    assert!(info["rollbackInfo"].is_null(), "{info:#}");
    for host in HOSTS {
        assert_eq!(fleet.started(host), ["one", "two"]);
    }
}
