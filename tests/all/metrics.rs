//! What a farm shows to a real Prometheus: every metric that is documented is seen there, and none is shown that is not documented.

/// Deployments.
mod deployed;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{At, Farm, eventually, skip};

/// A process that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.0.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap_or_default();
        }
        self.0.wait().map(drop).unwrap_or_default();
    }
}

/// `croft up`, which asks the Prometheus of that port, and where it listens.
fn up(farm: &Farm, prometheus: u16) -> (Running, String) {
    let key = farm.folder().join("keys/master.key");
    fs::create_dir_all(key.parent().unwrap()).unwrap();
    let mut command = farm.croft(&[
        "up",
        "--listen",
        "127.0.0.1:0",
        "--slots",
        "2",
        "--warm",
        "0",
    ]);
    command.arg("--master-key-file").arg(&key);
    command.arg(format!("--prometheus=http://127.0.0.1:{prometheus}"));
    command.stdout(Stdio::piped());
    command.stderr(fs::File::create(farm.folder().join("up.log")).unwrap());
    command.env("CROFT_LOG_FORMAT", "json");
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let running = Running(child);
    let url = lines.find_map(|line| {
        let line = line.ok()?;
        line.strip_prefix("listening on http://")
            .map(str::to_string)
    });
    (running, url.expect("it says where it listens"))
}

fn has_prometheus() -> bool {
    let asked = Command::new("prometheus")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}

/// A port for a Prometheus: it says nowhere which one it took.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A Prometheus that asks the farm each second, with a viewer's token.
fn prometheus(farm: &Farm, target: &str, port: u16) -> Running {
    let made = farm.end(farm.croft(&["token", "create", "prometheus", "--role", "viewer"]));
    made.assert_code(0);
    let token = made.text();
    let folder = farm.folder().join("prometheus");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("token"), token.trim()).unwrap();
    let config = format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs:\n\
         - job_name: croft\n  \
           authorization: {{credentials_file: {}}}\n  \
           static_configs: [{{targets: ['{target}']}}]\n",
        folder.join("token").display()
    );
    fs::write(folder.join("prometheus.yml"), config).unwrap();
    let child = Command::new("prometheus")
        .arg(format!(
            "--config.file={}",
            folder.join("prometheus.yml").display()
        ))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.join("data").display()
        ))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("log")).unwrap())
        .spawn()
        .unwrap();
    Running(child)
}

/// One GET: the answer's body, if it is 200.
fn get(address: &str, path: &str, token: Option<&str>) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    let authorization = token.map_or_else(String::new, |token| {
        format!("Authorization: Bearer {token}\r\n")
    });
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: {address}\r\n{authorization}Connection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.lines()
        .next()?
        .contains(" 200")
        .then(|| body.to_string())
}

/// What Prometheus answers to an expression: each row's labels and value.
fn asked(port: u16, expression: &str) -> Vec<(Value, f64)> {
    let query: String = expression
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect();
    let path = format!("/api/v1/query?query={query}");
    let Some(body) = get(&format!("127.0.0.1:{port}"), &path, None) else {
        return Vec::new();
    };
    let answer: Value = serde_json::from_str(&body).unwrap_or_default();
    let rows = answer["data"]["result"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    rows.into_iter()
        .filter_map(|row| {
            let value = row["value"][1].as_str()?.parse().ok()?;
            Some((row["metric"].clone(), value))
        })
        .collect()
}

/// The names in the tables of docs/metrics.md, with their types.
fn documented() -> BTreeSet<(String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let text = fs::read_to_string(path).unwrap();
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|');
        let name = cells.next()?.trim().trim_end_matches('`').to_string();
        Some((name, cells.next()?.trim().to_string()))
    });
    rows.filter(|(name, _)| name.starts_with("croft_"))
        .collect()
}

/// What `/metrics` says that it has, with its types.
fn exported(text: &str) -> BTreeSet<(String, String)> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let pairs = types.filter_map(|line| line.split_once(' '));
    pairs
        .filter(|(name, _)| name.starts_with("croft_"))
        .map(|(name, kind)| (name.to_string(), kind.to_string()))
        .collect()
}

/// Starts a build of a folder of that name with that buildspec; its id.
fn submit(farm: &Farm, project: &str, text: &str) -> String {
    farm.file(
        &format!("{project}/buildspec.yml"),
        format!("version: 0.2\n{text}"),
    );
    let ran = farm.end(farm.croft(&["submit", project, "--detach"]));
    ran.assert_code(0);
    ran.text().trim().to_string()
}

/// Waits until Prometheus has that value for an expression.
#[track_caller]
fn eventually_is(port: u16, expression: &str, wanted: f64) {
    eventually(&format!("{expression} is {wanted}"), || {
        asked(port, expression)
            .iter()
            .any(|(_, value)| (value - wanted).abs() < 0.5)
    });
}

const CACHED: &str = "phases:\n  build:\n    commands: [mkdir -p kept, date > kept/when, echo said]\ncache:\n  key: k1\n  paths: [kept/**/*]\n";
const FAILS: &str = "phases:\n  build:\n    commands: ['false']\n";
const SLEEPS: &str = "phases:\n  build:\n    commands: [sleep 600]\n";

#[test]
fn prometheus_sees_every_documented_metric_and_none_that_is_not_documented() {
    if !has_prometheus() {
        skip("there is no prometheus: run scripts/setup");
        return;
    }
    let Some(farm) = At::SANDBOX.farm() else {
        return;
    };
    let port = free_port();
    let (_up, address) = up(&farm, port);
    eventually("the farm knows this machine's token", || {
        farm.end(farm.croft(&["queue"])).code == Some(0)
    });
    let _prometheus = prometheus(&farm, &address, port);
    eventually_is(port, "croft_build_info", 1.0);

    for count in [1.0, 2.0] {
        submit(&farm, "good", CACHED);
        eventually_is(
            port,
            r#"croft_builds_total{project="good",result="succeeded"}"#,
            count,
        );
    }
    submit(&farm, "bad", FAILS);
    let stopped = submit(&farm, "stopped", SLEEPS);
    eventually_is(port, r#"croft_builds_running{project="stopped"}"#, 1.0);
    farm.end(farm.croft(&["build", "stop", &stopped]))
        .assert_code(0);
    eventually_is(
        port,
        r#"croft_builds_total{project="bad",result="failed"}"#,
        1.0,
    );
    eventually_is(
        port,
        r#"croft_builds_total{project="stopped",result="stopped"}"#,
        1.0,
    );
    eventually_is(port, r#"croft_builds_running{project="stopped"}"#, 0.0);
    eventually_is(
        port,
        r#"croft_cache_requests_total{cache="build",result="hit"}"#,
        1.0,
    );
    eventually_is(
        port,
        r#"croft_build_phase_duration_seconds_count{project="bad",phase="BUILD",result="failed"}"#,
        1.0,
    );
    eventually_is(port, r#"croft_workers{pool="default",state="idle"}"#, 1.0);
    eventually_is(port, "croft_broker_durable", 1.0);
    let _hosts = deployed::two_deployments(&farm, &address, port);

    let token = fs::read_to_string(farm.folder().join("prometheus/token")).unwrap();
    assert_eq!(get(&address, "/metrics", None), None, "a token is needed");
    let shown = exported(&get(&address, "/metrics", Some(&token)).unwrap());
    let documented = documented();
    assert_eq!(
        shown, documented,
        "shown on the left, documented on the right"
    );
    for (name, kind) in &documented {
        let series = if kind == "histogram" {
            format!("{name}_count")
        } else {
            name.clone()
        };
        eventually(&format!("{series} is seen"), || {
            !asked(port, &series).is_empty()
        });
    }
    each_build_can_be_followed(&farm, &stopped);
}

/// The lines of the log that carry one build's id tell its way through all rooms.
fn each_build_can_be_followed(farm: &Farm, id: &str) {
    let uuid = id.rsplit(':').next().unwrap();
    let log = fs::read_to_string(farm.folder().join("up.log")).unwrap();
    let of_it: Vec<Value> = log
        .lines()
        .filter(|line| line.contains(uuid))
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let said = |message: &str| {
        of_it
            .iter()
            .any(|line| line["fields"]["message"] == message)
    };
    assert!(
        said("answered") && said("claimed") && said("over"),
        "{of_it:#?}"
    );
}
