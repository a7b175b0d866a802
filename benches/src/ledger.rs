//! The ledger: durable appends a second, against what its medium does by itself, in the same run.
//!
//! A file against writing 256 bytes and waiting for the disk, one after another, on the same file system. JetStream against
//! plain publishes to the same server with one in flight. The server waits for its disk before each answer, too.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use bytes::Bytes;
use croft_ledger::{Append, Clock, Config, Embedded, Expected, JetStream, Ledger, Subject};
use croft_nats_testing::Server;
use futures_util::future::join_all;

use crate::sample::Verdict;

const ROUNDS: usize = 5;
/// Of one measurement.
const SPAN: Duration = Duration::from_secs(1);
const EVENT_BYTES: usize = 256;
const APPENDERS: usize = 64;
const BATCH: usize = 16;
/// Of the medium's rate: alone a commit of SQLite's is about one wait for the disk, and may cost what SQLite does besides.
const ALONE_MIN: f64 = 0.2;
const TOGETHER_MIN: f64 = 5.0;
const JETSTREAM_MIN: f64 = 0.8;
const BATCHES_MIN: f64 = 5.0;

/// Events a second.
type Rates = Vec<f64>;

pub(crate) fn run() -> Result<Vec<Verdict>, String> {
    let folder = tempfile::tempdir().map_err(text)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(text)?;
    let mut verdicts = runtime.block_on(embedded(folder.path()))?;
    let Some(server) = Server::start_in(folder.path()) else {
        return Err("JetStream: there is no nats-server: run scripts/setup".into());
    };
    verdicts.extend(runtime.block_on(broker(&server))?);
    Ok(verdicts)
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

async fn embedded(folder: &Path) -> Result<Vec<Verdict>, String> {
    let ledger = Embedded::open(&folder.join("ledger.db"), Clock::system()).map_err(text)?;
    let ledger: Arc<dyn Ledger> = Arc::new(ledger);
    let mut disk = File::create(folder.join("serial")).map_err(text)?;
    let (mut serial, mut alone, mut together) = (Rates::new(), Rates::new(), Rates::new());
    for round in 0..ROUNDS {
        serial.push(fdatasync(&mut disk)?);
        alone.push(appends(&ledger, &format!("alone-{round}"), 1, 1).await?);
        together.push(appends(&ledger, &format!("many-{round}"), APPENDERS, 1).await?);
    }
    let serial = middle(serial);
    let medium = "serial 256 B + fdatasync";
    Ok(vec![
        verdict(
            "embedded, one appender",
            middle(alone),
            serial,
            medium,
            ALONE_MIN,
        ),
        verdict(
            "embedded, 64 appenders",
            middle(together),
            serial,
            medium,
            TOGETHER_MIN,
        ),
    ])
}

async fn broker(server: &Server) -> Result<Vec<Verdict>, String> {
    let connected = JetStream::connect(Config::new(&server.address)).await;
    let ledger: Arc<dyn Ledger> = Arc::new(connected.map_err(text)?);
    let client = async_nats::connect(&server.address).await.map_err(text)?;
    let raw = jetstream::new(client);
    let stream = jetstream::stream::Config {
        name: "RAW".into(),
        subjects: vec!["raw.>".into()],
        ..Default::default()
    };
    raw.create_stream(stream).await.map_err(text)?;
    let (mut theirs, mut alone) = (Rates::new(), Rates::new());
    let (mut together, mut batches) = (Rates::new(), Rates::new());
    for round in 0..ROUNDS {
        theirs.push(publishes(&raw, round).await?);
        alone.push(appends(&ledger, &format!("alone-{round}"), 1, 1).await?);
        together.push(appends(&ledger, &format!("many-{round}"), APPENDERS, 1).await?);
        batches.push(appends(&ledger, &format!("batch-{round}"), 1, BATCH).await?);
    }
    let theirs = middle(theirs);
    let medium = "JetStream's own publish, one in flight";
    let rows = [
        ("JetStream, one appender", alone, JETSTREAM_MIN),
        ("JetStream, 64 appenders", together, 1.0),
        ("JetStream, batches of 16", batches, BATCHES_MIN),
    ];
    let rows =
        rows.map(|(what, ours, at_least)| verdict(what, middle(ours), theirs, medium, at_least));
    Ok(rows.into())
}

fn verdict(what: &str, ours: f64, theirs: f64, medium: &str, at_least: f64) -> Verdict {
    Verdict {
        what: format!(
            "durable events of 256 B, {what} ({:.2} of at least {at_least} of the medium's rate)",
            ours / theirs
        ),
        ours: format!("{ours:.0}/s"),
        theirs: format!("{theirs:.0}/s of {medium}"),
        ratio: theirs / ours,
        at_most: 1.0 / at_least,
        reached: ours >= theirs * at_least,
    }
}

fn middle(mut rates: Rates) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// A number of things done in a time, a second.
fn rate(count: u32, since: Instant) -> f64 {
    f64::from(count) / since.elapsed().as_secs_f64()
}

fn fdatasync(file: &mut File) -> Result<f64, String> {
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < SPAN {
        file.write_all(&[b'x'; EVENT_BYTES]).map_err(text)?;
        file.sync_data().map_err(text)?;
        count += 1;
    }
    Ok(rate(count, start))
}

/// So many appenders, each on a subject of its own and with one batch in flight.
async fn appends(
    ledger: &Arc<dyn Ledger>,
    name: &str,
    appenders: usize,
    batch: usize,
) -> Result<f64, String> {
    let start = Instant::now();
    let all = (0..appenders).map(|appender| async move {
        let subject = format!("bench.{name}-{appender}");
        let subject: Subject = subject.parse().map_err(text)?;
        let (mut count, mut expected) = (0, Expected::NEW);
        while start.elapsed() < SPAN {
            let mut events = vec![
                Append {
                    subject: subject.clone(),
                    expected: Expected::Previous,
                    event: Bytes::from_static(&[b'7'; EVENT_BYTES]),
                };
                batch
            ];
            events[0].expected = expected;
            let appended = ledger.append(events).await.map_err(text)?;
            expected = Expected::Last(appended.last);
            count += u32::try_from(batch).unwrap_or_default();
        }
        Ok::<u32, String>(count)
    });
    let counts = join_all(all).await;
    let counts = counts.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(rate(counts.into_iter().sum(), start))
}

async fn publishes(raw: &jetstream::Context, round: usize) -> Result<f64, String> {
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < SPAN {
        let event = Bytes::from_static(&[b'7'; EVENT_BYTES]);
        let sent = raw.publish(format!("raw.{round}"), event).await;
        sent.map_err(text)?.await.map_err(text)?;
        count += 1;
    }
    Ok(rate(count, start))
}
