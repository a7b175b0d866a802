//! How long a build waits for its container: one from a pool that is filled again between samples, one that is started for
//! it, and the docker command line with the same image and network, in turn.

use std::future::Future;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use croft_worker::Home;
use croft_worker::runtime::container::{Container, Docker, Options, Settings, Warm};
use croft_worker::runtime::{Request, Runtime, Source, install_runner};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::sample::{Verdict, median, whole};
use crate::subject::IMAGE;

const ROUNDS: usize = 101;
/// What a warm start may take.
const MILLISECONDS_MAX: f64 = 5.0;
/// Against the command line, which also starts and removes.
const SHARE_MAX: f64 = 0.1;
/// An engine goes on for a while after it has answered.
const REST: Duration = Duration::from_millis(200);
/// Longer than an engine takes to start one container.
const FILL_MAX: Duration = Duration::from_secs(60);

/// Times of one way to get a place.
#[derive(Default)]
struct Times {
    provision: Vec<Duration>,
    release: Vec<Duration>,
}

pub(crate) fn run() -> Result<Vec<Verdict>, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(measure())
}

async fn measure() -> Result<Vec<Verdict>, String> {
    let text = |error: std::io::Error| error.to_string();
    // On a disk, as a worker's is.
    let folder = TempDir::with_prefix_in("croft-bench-", "/var/tmp").map_err(text)?;
    let home = Home::open(&folder.path().join("home")).map_err(text)?;
    let runner = install_runner(home.path()).map_err(|error| error.to_string())?;
    let docker = Docker::new(std::path::Path::new("/nonexistent"), |_| None);
    let options = Options::new(IMAGE.to_string());
    let path = home.path().to_path_buf();
    let cold = Container::new(runner.clone(), path, docker.clone(), options.clone());
    let settings = Settings {
        count: 1,
        ..Settings::default()
    };
    let warm = Warm::new(runner, home, docker, settings);
    let shutdown = CancellationToken::new();
    let mut running = JoinSet::new();
    let (owned, told) = (warm.clone(), shutdown.clone());
    running.spawn(async move { owned.run(told).await });
    warm.keep(options.clone(), 1);
    let runtime = warm.runtime(options);
    let (mut hot, mut made, mut theirs) = (Times::default(), Times::default(), Vec::new());
    for round in 0..=ROUNDS {
        filled(&warm).await?;
        let first = sample(&*runtime, folder.path(), round).await?;
        filled(&warm).await?;
        let second = sample(&cold, folder.path(), round).await?;
        let mut command = Command::new("docker");
        let third = whole(command.args(["run", "--rm", IMAGE, "echo"]))?;
        // The first one warms up.
        if round > 0 {
            hot.add(first);
            made.add(second);
            theirs.push(third);
        }
    }
    let hits = warm.counts().warm_hits;
    shutdown.cancel();
    running.join_all().await;
    if hits != ROUNDS as u64 + 1 {
        return Err(format!("only {hits} places were warm"));
    }
    Ok(verdicts(hot, made, theirs))
}

/// Until a container stands ready, and the engine has come to rest from starting it and removing the one before.
async fn filled(warm: &Warm) -> Result<(), String> {
    let look = async {
        while warm.counts().ready == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(REST).await;
    };
    patiently(look).await
}

async fn patiently(look: impl Future<Output = ()>) -> Result<(), String> {
    let looked = tokio::time::timeout(FILL_MAX, look).await;
    looked.map_err(|_late| "no container became ready".to_string())
}

async fn sample(
    runtime: &dyn Runtime,
    folder: &std::path::Path,
    round: usize,
) -> Result<(Duration, Duration), String> {
    let text = |error: std::io::Error| error.to_string();
    let (source, directory) = (folder.join("source"), folder.join("build"));
    std::fs::create_dir_all(&source).map_err(text)?;
    std::fs::create_dir_all(&directory).map_err(text)?;
    let request = Request {
        build_id: format!("bench:{round}"),
        directory: directory.clone(),
        sources: vec![Source {
            directory: source,
            inside: PathBuf::from("/codebuild/output/src1/src"),
            in_place: false,
        }],
        hidden: Vec::new(),
        extra: Vec::new(),
    };
    let begun = Instant::now();
    let slot = runtime.provision(&request, &|_| ()).await;
    let provisioned = begun.elapsed();
    let slot = slot.map_err(|error| error.to_string())?;
    let begun = Instant::now();
    slot.release().await.map_err(|error| error.to_string())?;
    let released = begun.elapsed();
    std::fs::remove_dir_all(&directory).map_err(text)?;
    Ok((provisioned, released))
}

impl Times {
    fn add(&mut self, (provision, release): (Duration, Duration)) {
        self.provision.push(provision);
        self.release.push(release);
    }
}

fn verdicts(hot: Times, made: Times, theirs: Vec<Duration>) -> Vec<Verdict> {
    for (name, times) in [
        ("warm: a place", &hot.provision),
        ("warm: its release", &hot.release),
        ("cold: a place", &made.provision),
        ("cold: its release", &made.release),
        ("docker run --rm echo", &theirs),
    ] {
        let mut sorted = times.clone();
        sorted.sort();
        let at = |percent: usize| milliseconds(sorted[(sorted.len() - 1) * percent / 100]);
        println!(
            "{name:22} p50 {:8.2} ms  p99 {:8.2} ms  of {}",
            at(50),
            at(99),
            sorted.len()
        );
    }
    let hot = median(hot.provision);
    vec![
        Verdict::limit(
            "a place in a warm container",
            milliseconds(hot),
            MILLISECONDS_MAX,
            "ms",
        ),
        Verdict::times(
            "the same, against a cold one",
            hot,
            median(made.provision),
            SHARE_MAX,
        ),
        Verdict::times(
            "the same, against docker run --rm",
            hot,
            median(theirs),
            SHARE_MAX,
        ),
    ]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
