//! A pool with its owner, and what can be seen of it from outside.

use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::super::bench::{self, Build};
use crate::Home;
use crate::runtime::container::{Counts, Options, Settings, Warm};
use crate::runtime::{Error, Report, Request, Runtime, Slot, install_runner};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A pool that is kept filled, in a state directory of its own.
pub(super) struct Pool {
    pub(super) warm: Warm,
    pub(super) home: Home,
    shutdown: CancellationToken,
    running: JoinSet<()>,
    _folder: tempfile::TempDir,
}

impl Pool {
    /// One that keeps so many of what it is asked for.
    pub(super) fn new(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        let settings = Settings {
            count,
            ..Settings::default()
        };
        let warm = pool_of(home.clone(), settings);
        let (shutdown, mut running) = (CancellationToken::new(), JoinSet::new());
        let (owned, told) = (warm.clone(), shutdown.clone());
        running.spawn(async move { owned.run(told).await });
        Self {
            warm,
            home,
            shutdown,
            running,
            _folder: folder,
        }
    }

    /// One with so many ready.
    pub(super) async fn with_ready(options: &Options, count: usize) -> Self {
        let pool = Self::new(count);
        pool.warm.keep(options.clone(), count);
        pool.until(|counts| counts.ready == count as u64).await;
        pool
    }

    pub(super) async fn until(&self, holds: impl Fn(&Counts) -> bool) -> Counts {
        let begun = tokio::time::Instant::now();
        loop {
            let counts = self.warm.counts();
            if holds(&counts) {
                return counts;
            }
            assert!(begun.elapsed() < PATIENCE, "never came, from {counts:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(super) async fn provision(&self, build: &Build, options: &Options) -> Slot {
        let runtime = self.warm.runtime(options.clone());
        build.provision_by(&*runtime).await.unwrap()
    }

    /// The ids of its containers for builds.
    pub(super) fn containers(&self) -> Vec<String> {
        let holders = self.holders();
        let mut ids = containers(&self.home);
        ids.retain(|id| !holders.contains(id));
        ids
    }

    /// The ids of those that hold a network for them.
    pub(super) fn holders(&self) -> Vec<String> {
        holders(&self.home)
    }

    /// Tells the owner to end; nothing is left then.
    pub(super) async fn close(mut self) -> Counts {
        self.shutdown.cancel();
        while let Some(ended) = self.running.join_next().await {
            ended.unwrap();
        }
        assert_eq!(containers(&self.home), Vec::<String>::new());
        assert_eq!(folders(&self.home), Vec::<String>::new());
        self.warm.counts()
    }
}

pub(super) fn pool_of(home: Home, settings: Settings) -> Warm {
    let runner = install_runner(&bench::home()).unwrap();
    Warm::new(runner, home, bench::plain_docker(), settings)
}

/// The ids of the containers that bear a home's label.
pub(super) fn containers(home: &Home) -> Vec<String> {
    labelled(home, "croft.home")
}

/// Those of them that hold a network for others.
pub(super) fn holders(home: &Home) -> Vec<String> {
    labelled(home, "croft.network")
}

fn labelled(home: &Home, label: &str) -> Vec<String> {
    let home = format!("label=croft.home={}", home.path().display());
    let (all, label) = (
        ["ps", "--all", "--quiet", "--no-trunc"],
        format!("label={label}"),
    );
    let ids = bench::docker(&[&all[..], &["--filter", &home, "--filter", &label]].concat());
    ids.split_whitespace().map(str::to_string).collect()
}

/// The folders of containers and builds that a home has.
pub(super) fn folders(home: &Home) -> Vec<String> {
    let entries = fs::read_dir(home.path().join("run")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.starts_with('.')).collect()
}

/// Looks until there is an answer.
pub(super) async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = tokio::time::Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// For the suite: a pool whose every place is a warm container.
pub(super) struct Suite {
    pool: Pool,
    options: Options,
    runtime: Arc<dyn Runtime>,
}

impl Suite {
    pub(super) async fn new(test: &str) -> Option<Self> {
        if !bench::engine(test) {
            return None;
        }
        let (options, pool) = (bench::debian_options(), Pool::new(0));
        let runtime = pool.warm.runtime(options.clone());
        Some(Self {
            pool,
            options,
            runtime,
        })
    }

    async fn make(&self, request: &Request, report: Report<'_>) -> Result<Slot, Error> {
        self.pool.warm.keep(self.options.clone(), 1);
        self.pool.until(|counts| counts.ready > 0).await;
        let before = self.pool.warm.counts().warm_hits;
        let slot = self.runtime.provision(request, report).await?;
        // A case ends without a word: nothing must be starting then.
        self.pool.warm.keep(self.options.clone(), 0);
        assert_eq!(self.pool.warm.counts().warm_hits, before + 1);
        // What is a build's own is nowhere on this machine's side.
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let directory = request.directory.to_string_lossy().into_owned();
        assert!(!mounts.contains(&directory));
        assert!(Path::new(&directory).exists());
        Ok(slot)
    }
}

impl Runtime for Suite {
    fn provision<'a>(
        &'a self,
        request: &'a Request,
        report: Report<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Slot, Error>> + Send + 'a>> {
        Box::pin(self.make(request, report))
    }
}
