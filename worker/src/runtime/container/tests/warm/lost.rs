//! Owners that are killed or frozen: their containers leave by themselves, or the next sweep finds them.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio_util::sync::CancellationToken;

use super::super::bench::{self, Build};
use super::pool::{containers, folders, holders, pool_of, until};
use crate::Home;
use crate::runtime::container::{Container, Options, Settings, Swept, sweep};
use crate::runtime::install_runner;

/// Where the other process finds its folder.
const FOLDER: &str = "CROFT_TEST_WARM_FOLDER";
/// How many it keeps ready.
const READY: usize = 2;

/// Another process that owns a pool, with one build in a warm container and one in a cold one.
struct Owner {
    process: Child,
    home: Home,
    folder: tempfile::TempDir,
    /// How many folders are in its home: of warm containers, used or not, and of those that hold a network.
    folders: usize,
}

impl Owner {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(&folder.path().join("home")).unwrap();
        let test = format!("{}::an_owner_for_other_tests", module_path!());
        let (_, test) = test.split_once("::").unwrap();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(FOLDER, folder.path())
            // What it leaves goes with the folder.
            .env("TMPDIR", folder.path())
            .spawn()
            .unwrap();
        until("the other process's containers", || {
            assert!(process.try_wait().unwrap().is_none(), "it ended");
            folder.path().join("builds").exists().then_some(())
        })
        .await;
        let holders = holders(&home).len();
        assert!(holders > 0);
        assert_eq!(containers(&home).len(), READY + 2 + holders);
        Self {
            process,
            home,
            folder,
            folders: READY + 1 + holders,
        }
    }

    /// The builds it runs: the warm one first.
    fn builds(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("builds")).unwrap();
        text.lines().map(str::to_string).collect()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.process);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Nothing of it is left, once the sweep that a start makes has run.
    async fn assert_gone_after_sweep(&self) {
        let home = &self.home;
        assert!(swept_anew(home).await.answered);
        crate::sweep::sweep(home).unwrap();
        assert_eq!(containers(home), Vec::<String>::new());
        assert_eq!(folders(home), Vec::<String>::new());
    }
}

/// As the next start of a croft with that home sweeps.
async fn swept_anew(home: &Home) -> Swept {
    let docker = bench::plain_docker();
    let swept = sweep(&docker, home.path(), |id| home.is_running(id)).await;
    swept.unwrap()
}

impl Drop for Owner {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(crate::sweep::remove(self.folder.path()));
    }
}

/// Started by other tests, to be killed and frozen; by itself it does nothing.
#[test]
fn an_owner_for_other_tests() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let folder = Path::new(&folder);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let home = Home::open(&folder.join("home")).unwrap();
        let options = Options {
            lease: Some(Duration::from_secs(2)),
            ..bench::options()
        };
        let settings = Settings {
            count: READY,
            ..Settings::default()
        };
        let warm = pool_of(home.clone(), settings);
        warm.keep(options.clone(), READY);
        let builds = async {
            until("ready", || (warm.counts().ready == 2).then_some(())).await;
            let (hot, cold) = (Build::new(), Build::new());
            let runtime = warm.runtime(options.clone());
            let first = hot.provision_by(&*runtime).await.unwrap();
            assert_eq!(warm.counts().warm_hits, 1);
            let runner = install_runner(&bench::home()).unwrap();
            let container = Container::new(
                runner,
                home.path().to_path_buf(),
                bench::plain_docker(),
                options.clone(),
            );
            let second = cold.provision(&container).await.unwrap();
            until("ready again", || (warm.counts().ready == 2).then_some(())).await;
            // Longer than a lease: they are renewed.
            tokio::time::sleep(Duration::from_secs(4)).await;
            let names = format!("{}\n{}\n", hot.request.build_id, cold.request.build_id);
            let part = folder.join("part");
            fs::write(&part, names).unwrap();
            fs::rename(part, folder.join("builds")).unwrap();
            std::future::pending::<()>().await;
            drop((first, second));
        };
        tokio::join!(warm.run(CancellationToken::new()), builds);
    });
}

#[tokio::test]
async fn a_frozen_owners_containers_leave_after_the_lease() {
    if !bench::engine("a_frozen_owners_containers_leave_after_the_lease") {
        return;
    }
    let owner = Owner::start().await;
    owner.signal(Signal::STOP);
    // Nobody but the runners themselves can do that: the process is there, and holds their sockets.
    until("the end of a frozen process's containers", || {
        containers(&owner.home).is_empty().then_some(())
    })
    .await;
    assert_eq!(folders(&owner.home).len(), owner.folders);
    owner.signal(Signal::KILL);
    until("the end of the process", || {
        owner
            .home
            .abandoned()
            .unwrap()
            .len()
            .eq(&owner.folders)
            .then_some(())
    })
    .await;
    owner.assert_gone_after_sweep().await;
}

#[tokio::test]
async fn a_killed_owners_containers_are_swept_with_their_folders() {
    if !bench::engine("a_killed_owners_containers_are_swept_with_their_folders") {
        return;
    }
    let owner = Owner::start().await;
    let home = &owner.home;
    // While it lives, nothing of the pool is touched; its cold build has no folder here and is not asked about.
    let cold = owner.builds().remove(1);
    let alive = |id: &str| id == cold || home.is_running(id);
    let swept = sweep(&bench::plain_docker(), home.path(), alive)
        .await
        .unwrap();
    assert_eq!((swept.builds.len(), swept.warm), (0, 0));
    // Frozen ones cannot leave by themselves.
    for id in containers(home) {
        bench::docker(&["pause", &id]);
    }
    owner.signal(Signal::KILL);
    until("the end of the process", || {
        home.abandoned()
            .unwrap()
            .len()
            .eq(&owner.folders)
            .then_some(())
    })
    .await;
    let swept = swept_anew(home).await;
    let mut builds = owner.builds();
    builds.sort();
    assert_eq!((swept.builds, swept.warm), (builds, READY));
    owner.assert_gone_after_sweep().await;
}
