//! A real Prometheus, with samples written into its store, does what every source of metrics must.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use croft_deploy::metrics::suite;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::*;

/// A Prometheus that scrapes nothing, with the suite's samples.
struct Server {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

/// Says that nothing was tested, and why.
fn skip(reason: &str) {
    let line = format!("a_real_prometheus_does_what_a_source_must: {reason}");
    eprintln!("SKIPPED {line}");
    if let Some(path) = std::env::var_os("CROFT_TEST_SKIPS") {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        std::io::Write::write_all(&mut file, format!("{line}\n").as_bytes()).unwrap();
    }
}

fn openmetrics(begin: Timestamp) -> String {
    let mut text = String::new();
    for name in ["suite_requests", "suite_errors"] {
        writeln!(text, "# TYPE {name} gauge").unwrap();
        for series in suite::recorded(begin) {
            let instance = &series.labels["instance"];
            for sample in series
                .samples
                .iter()
                .filter(|_| suite::selector(&series) == name)
            {
                let at = seconds(sample.at);
                writeln!(
                    text,
                    "{name}{{instance=\"{instance}\"}} {} {at}",
                    sample.value
                )
                .unwrap();
            }
        }
    }
    text + "# EOF\n"
}

impl Server {
    /// None, said out loud, where there is no Prometheus.
    fn start(begin: Timestamp) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (samples, store) = (folder.path().join("samples"), folder.path().join("store"));
        std::fs::write(&samples, openmetrics(begin)).unwrap();
        let config = folder.path().join("prometheus.yml");
        std::fs::write(&config, "global: {scrape_interval: 1m}\n").unwrap();
        let filled = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args([&samples, &store])
            .output();
        let Ok(filled) = filled else {
            skip("there is no promtool: run scripts/setup");
            return None;
        };
        assert!(filled.status.success(), "{filled:?}");
        let port = {
            let held = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
            held.local_addr().unwrap().port()
        };
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", store.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
            _folder: folder,
        })
    }
}

/// Two hours ago: what is backfilled is never in the part that Prometheus still writes.
fn begin() -> Timestamp {
    let now = croft_ledger::Clock::system().now().millis();
    Timestamp::from_millis(now / 60_000 * 60_000 - 2 * 3_600_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_prometheus_does_what_a_source_must() {
    let begin = begin();
    let Some(server) = Server::start(begin) else {
        return;
    };
    let source = Prometheus::of(Some(&server.url)).unwrap().unwrap();
    let limit = Instant::now() + Duration::from_secs(60);
    while source.instant("vector(1)", begin).await.is_err() {
        assert!(Instant::now() < limit, "Prometheus does not answer");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for case in suite::CASES {
        eprintln!("{}", case.name);
        (case.run)(&source, begin).await;
    }
    let refused = source.instant("up[5m]", begin).await;
    assert!(matches!(refused, Err(SourceError::Query(_))), "{refused:?}");
    it_says_where_a_query_is_wrong(&source, begin).await;
    drop(server);
    suite::a_source_that_is_away_is_down(&source).await;
}

async fn it_says_where_a_query_is_wrong(source: &Prometheus, now: Timestamp) {
    let serde_json::Value::Object(written) = serde_json::json!({
        "metrics": [{"name": "errors", "requests": "up{job=\"shop\"", "bad": "up == 0"}],
        "thresholds": [
            {"name": "good", "query": "sum(rate(up{job=~\"a.*\"}[1m])) by (job) > bool 0", "max": 1},
            {"name": "bad", "query": "sum(rate(up[1m])\n  andd up)", "max": 1},
            {"name": "raw", "query": "rate(up)", "max": 1},
        ],
    }) else {
        unreachable!("it is a map")
    };
    let written = croft_proto::deploy::VerdictSettings(written);
    let settings = croft_deploy::verdict::Settings::read(&written).unwrap();
    let found = croft_deploy::server::check_all(source, &settings, now).await;
    assert_eq!(found.notes, Vec::<String>::new());
    let place = |wrong: &croft_deploy::server::Wrong| {
        let path = wrong.said.split(": ").next().unwrap_or_default();
        let within = wrong.within.map(|at| (at.line, at.column));
        (path.replace("x-croft.verdicts.", ""), within)
    };
    let places: Vec<_> = found.wrong.iter().map(place).collect();
    let wanted = [
        ("metrics[0].requests", Some((1, 14))),
        ("metrics[0].bad", None),
        ("thresholds[1].query", Some((2, 3))),
        ("thresholds[2].query", Some((1, 6))),
    ];
    let wanted = wanted.map(|(path, within)| (path.to_owned(), within));
    assert_eq!(places, wanted, "{:#?}", found.wrong);
}

#[test]
fn an_address_that_is_none_is_named_with_its_flag() {
    let wrong = Prometheus::of(Some("nowhere")).unwrap_err();
    assert!(
        wrong.to_string().starts_with("--prometheus nowhere"),
        "{wrong}"
    );
    let there = Prometheus::of(Some("http://127.0.0.1:9090/prom"))
        .unwrap()
        .unwrap();
    assert_eq!(there.base.path(), "/prom/api/v1/");
    assert!(Path::new(there.base.path()).is_absolute());
}

#[test]
fn mistakes_are_told_from_outages_and_numbers_are_what_they_are() {
    let refused = br#"{"status":"error","errorType":"bad_data","error":"1:3: parse error"}"#;
    let read_as = |status: u16, bytes: &[u8]| read(StatusCode::from_u16(status).unwrap(), bytes);
    assert_eq!(
        read_as(400, refused),
        Err(SourceError::Query("1:3: parse error".into()))
    );
    assert!(matches!(read_as(503, refused), Err(SourceError::Down(_))));
    let beyond = br#"{"status":"error","errorType":"execution","error":"too many samples"}"#;
    assert_eq!(
        read_as(422, beyond),
        Err(SourceError::Data("too many samples".into()))
    );
    assert!(matches!(read_as(502, b"<html>"), Err(SourceError::Down(_))));
    let vector = br#"{"status":"success","data":{"resultType":"vector","result":[
        {"metric":{"a":"b"},"value":[1800000000.123,"+Inf"]}]}}"#;
    let found = read_as(200, vector).unwrap();
    assert_eq!(found[0].samples[0].at.millis(), 1_800_000_000_123);
    assert!(found[0].samples[0].value.is_infinite());
}

/// Answers everybody with a head, and with what follows once it may go on; counts the heads.
async fn hesitate(
    listener: tokio::net::TcpListener,
    may_go_on: watch::Receiver<bool>,
    begun: watch::Sender<usize>,
) {
    const BODY: &str = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#;
    let mut answering = JoinSet::new();
    loop {
        let (mut stream, _peer) = listener.accept().await.unwrap();
        let (mut may_go_on, begun) = (may_go_on.clone(), begun.clone());
        answering.spawn(async move {
            if stream.read(&mut [0; 4096]).await.unwrap() == 0 {
                return;
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                BODY.len()
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            begun.send_modify(|count| *count += 1);
            may_go_on.wait_for(|is_so| *is_so).await.unwrap();
            stream.write_all(BODY.as_bytes()).await.unwrap();
        });
    }
}

#[tokio::test]
async fn a_few_answers_are_read_at_once_however_many_are_asked_for() {
    const ASKED: usize = 3 * AT_ONCE_MAX;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (go_on, may_go_on) = watch::channel(false);
    let (begun, mut all_begun) = watch::channel(0);
    let mut serving = JoinSet::new();
    serving.spawn(hesitate(listener, may_go_on, begun));
    let source = Prometheus::of(Some(&url)).unwrap().unwrap();
    let asking = (0..ASKED).map(|_| source.instant("2", Timestamp::from_millis(1000)));
    let looking = async {
        // Everybody is answered, and all turns are taken.
        all_begun.wait_for(|count| *count == ASKED).await.unwrap();
        while source.turns.available_permits() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        go_on.send_replace(true);
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(asking), looking);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(source.turns.available_permits(), AT_ONCE_MAX);
}
