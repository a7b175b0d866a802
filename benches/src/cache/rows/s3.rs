//! Against a real S3 server: what it takes and gives by itself, and what a save and a restore make of it, in turn.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path as Name;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use tokio::runtime::Runtime;

use super::Setting;
use crate::cache::child::Printed;
use crate::cache::contest::{Contest, Took};
use crate::cache::invented::Numbers;
use crate::cache::place::same;
use crate::cache::report::{Report, rate};
use crate::cache::server::{Server, runtime};
use crate::cache::tool::ours;

const ROW: &str = "s3";
const AT_LEAST: f64 = 0.8;
const OBJECT_BYTES: usize = 8 << 20;
const PARALLEL: usize = 8;

/// As much as a save of the corpus stores, about.
const OBJECTS: u64 = 32;
const RAW_BYTES: u64 = OBJECTS * OBJECT_BYTES as u64;

#[derive(Clone, Copy)]
enum Step {
    RawPut,
    Save,
    RawGet,
    Restore,
    SaveCorpus,
    RestoreCorpus,
}

const STEPS: [(&str, Step); 6] = [
    ("raw put", Step::RawPut),
    ("croft save", Step::Save),
    ("raw get", Step::RawGet),
    ("croft restore", Step::Restore),
    ("croft save, corpus", Step::SaveCorpus),
    ("croft restore, corpus", Step::RestoreCorpus),
];

/// Of a tree whose bytes are what travels: compressing more would compare the compressor with the server.
const NOISE_FILES: u64 = 64;
const NOISE_FILE_BYTES: usize = 4 << 20;

pub(crate) fn run(setting: &Setting<'_>, report: &mut Report) -> Result<(), String> {
    let tree = setting.place.fresh("noise")?;
    let mut numbers = Numbers::new(7);
    for number in 0..NOISE_FILES {
        let path = tree.join(format!("file-{number}"));
        std::fs::write(path, numbers.noise(NOISE_FILE_BYTES)).map_err(|error| error.to_string())?;
    }
    let corpus = setting.corpus(report)?.folder.clone();
    let folder = setting.place.fresh("server")?;
    let server = Server::start(setting.options.garage.as_deref(), &folder)?;
    report.about(format!(
        "s3: {}; {OBJECTS} raw objects of {} MiB, {PARALLEL} at once; croft saves and restores as many bytes that do not compress, and the corpus",
        server.name,
        OBJECT_BYTES >> 20
    ));
    let runtime = runtime()?;
    let mut contest = Contest::default();
    for round in 0..setting.rounds() {
        let key = format!("round-{round}");
        let raw = server
            .bucket
            .connect(runtime.handle(), &format!("raw-{round}"))?;
        // Always in this order: what is read has to be written first.
        contest.join(Contest::in_turn(1, &STEPS, |step, _| match step {
            Step::RawPut => raw_put(&runtime, &raw, round),
            Step::RawGet => raw_get(&runtime, &raw),
            Step::Save => {
                let (took, printed) = child(setting, &server, "save-s3", &tree, &key)?;
                let stored_bytes = Some(printed.stored_bytes);
                Ok(Took {
                    stored_bytes,
                    ..took
                })
            }
            Step::Restore => restore(setting, &server, &tree, &key),
            Step::SaveCorpus => child(
                setting,
                &server,
                "save-s3",
                &corpus,
                &format!("{key}-corpus"),
            )
            .map(|(took, _)| took),
            Step::RestoreCorpus => restore(setting, &server, &corpus, &format!("{key}-corpus")),
        }));
    }
    setting.place.forget(&tree)?;
    judge(report, &contest);
    Ok(())
}

/// Restores, and compares with what was saved.
fn restore(setting: &Setting<'_>, server: &Server, tree: &Path, key: &str) -> Result<Took, String> {
    let into = setting.place.fresh("back")?;
    let (took, _) = child(setting, server, "restore-s3", &into, key)?;
    same(tree, &into)?;
    setting.place.forget(&into)?;
    Ok(took)
}

fn child(
    setting: &Setting<'_>,
    server: &Server,
    verb: &str,
    folder: &Path,
    key: &str,
) -> Result<(Took, Printed), String> {
    let mut command = ours();
    let place = server.bucket.hand_to(&mut command, key);
    // Each starts with nothing of the bucket on this machine but the key that signs.
    let near = setting.place.fresh("near")?;
    let kept = setting.place.folder().join("signing-key");
    let own = near.join("here/signing-key");
    std::fs::create_dir_all(near.join("here")).map_err(|error| error.to_string())?;
    if kept.is_file() {
        std::fs::copy(&kept, &own).map_err(|error| error.to_string())?;
    }
    command.arg(verb).arg(place).arg(&near).arg(folder).arg(key);
    let done = setting.ours(&mut command);
    std::fs::copy(&own, &kept).map_err(|error| error.to_string())?;
    setting.place.forget(&near)?;
    done
}

fn name(number: u64) -> Name {
    Name::from(format!("object-{number}"))
}

fn raw_put(runtime: &Runtime, store: &Arc<dyn ObjectStore>, round: usize) -> Result<Took, String> {
    // A server that stores equal blocks once would have less to do.
    let seed = round as u64 + 1;
    let mut numbers = Numbers::new(seed << 32);
    let objects: Vec<_> = (0..OBJECTS)
        .map(|number| (name(number), PutPayload::from(numbers.noise(OBJECT_BYTES))))
        .collect();
    let start = Instant::now();
    runtime
        .block_on(async {
            let puts = objects
                .into_iter()
                .map(|(name, payload)| async move { store.put(&name, payload).await.map(drop) });
            let all = stream::iter(puts).buffer_unordered(PARALLEL);
            all.try_collect::<()>().await
        })
        .map_err(|error| error.to_string())?;
    Ok(raw(start))
}

fn raw_get(runtime: &Runtime, store: &Arc<dyn ObjectStore>) -> Result<Took, String> {
    let start = Instant::now();
    let bytes: u64 = runtime
        .block_on(async {
            let gets = (0..OBJECTS).map(|number| async move {
                let found = store.get(&name(number)).await?;
                let bytes = found.bytes().await?;
                Ok::<u64, object_store::Error>(bytes.len() as u64)
            });
            let all = stream::iter(gets).buffer_unordered(PARALLEL);
            all.try_fold(0, |sum, bytes| async move { Ok(sum + bytes) })
                .await
        })
        .map_err(|error| error.to_string())?;
    if bytes != RAW_BYTES {
        return Err(format!("{bytes} of {RAW_BYTES} bytes came back"));
    }
    Ok(raw(start))
}

fn raw(start: Instant) -> Took {
    Took {
        stored_bytes: Some(RAW_BYTES),
        ..Took::time(start.elapsed())
    }
}

/// Rates over what is stored; a restore reads what its save stored.
fn judge(report: &mut Report, contest: &Contest) {
    let stored = |name: &str| contest.player(name)?.stored_bytes();
    let ms = |name: &str| {
        let player = contest.player(name)?;
        player.inside_ms().or_else(|| player.whole_ms())
    };
    let rates = [
        ("raw put", stored("raw put")),
        ("croft save", stored("croft save")),
        ("raw get", stored("raw get")),
        ("croft restore", stored("croft save")),
    ]
    .map(|(name, bytes)| Some((name, rate(bytes?, ms(name)?))));
    let before = report.measures.len();
    report.add(ROW, contest);
    for (name, rate) in rates.into_iter().flatten() {
        for measure in &mut report.measures[before..] {
            if measure.tool == name {
                measure.more = format!("{rate:.0} MiB/s of stored bytes");
            }
        }
    }
    for pair in rates.chunks(2) {
        match pair {
            [Some((raw, theirs)), Some((name, ours))] => {
                let what = format!("rate of {name} against {raw}");
                report.claim(ROW, what, ours / theirs, AT_LEAST);
            }
            _ => report.unjudged(ROW, "a rate against the server's own"),
        }
    }
}
