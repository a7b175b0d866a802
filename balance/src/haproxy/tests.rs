//! With a real HAProxy, each test one of its own.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use super::*;

const START_MAX: Duration = Duration::from_secs(20);

/// A running HAProxy with one backend of three servers that nobody is behind.
struct Running {
    folder: TempDir,
    child: Child,
}

impl Running {
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let settings = format!(
            "global\n  stats socket {}/socket level admin\n  maxconn 100\n\
             defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n\
             backend web\n  server a 127.0.0.1:9\n  server b 127.0.0.1:9\n  server c 127.0.0.1:9 weight 100\n",
            folder.path().display()
        );
        fs::write(folder.path().join("settings"), settings).unwrap();
        let child = Self::spawn(folder.path())?;
        let mut running = Self { folder, child };
        running.wait();
        Some(running)
    }

    fn spawn(folder: &Path) -> Option<Child> {
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(folder.join("settings"));
        let spawned = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        match spawned {
            Ok(child) => Some(child),
            Err(error) => {
                skip(&format!("there is no haproxy ({error}): run scripts/setup"));
                None
            }
        }
    }

    fn wait(&mut self) {
        let begun = Instant::now();
        while std::os::unix::net::UnixStream::connect(self.socket()).is_err() {
            assert!(begun.elapsed() < START_MAX, "HAProxy does not listen");
            assert!(self.child.try_wait().unwrap().is_none(), "HAProxy ended");
            std::thread::yield_now();
        }
    }

    /// As a reload does: another process with the same settings, which knows nothing of what the first was told.
    fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        fs::remove_file(self.socket()).unwrap();
        self.child = Self::spawn(self.folder.path()).unwrap();
        self.wait();
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn backend(&self, name: &str) -> HaProxy {
        HaProxy::new(&self.socket(), name).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

/// Says that the running test did not test anything; `scripts/test` reads the file, and fails in CI when there is a line.
fn skip(reason: &str) {
    use std::io::Write as _;
    let line = format!("balance: {reason}");
    eprintln!("SKIPPED {line}");
    if let Some(path) = std::env::var_os("CROFT_TEST_SKIPS") {
        let mut file = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

fn wanted(weights: &[(&str, u32)]) -> Wanted {
    weights
        .iter()
        .map(|(server, weight)| ((*server).to_string(), *weight))
        .collect()
}

fn weights(seen: &BTreeMap<String, Seen>) -> Vec<u32> {
    seen.values().map(|seen| seen.weight).collect()
}

#[tokio::test]
async fn what_is_wanted_is_so_and_said_only_where_it_differs() {
    let Some(running) = Running::start() else {
        return;
    };
    let web = running.backend("web");
    assert_eq!(weights(&web.see().await.unwrap()), [1, 1, 100]);
    let canary = wanted(&[("a", 230), ("b", 26), ("c", 0)]);
    let applied = web.apply(&canary).await.unwrap();
    assert_eq!(applied.changed, ["a", "b", "c"]);
    assert_eq!(weights(&applied.seen), [230, 26, 0]);
    assert!(web.apply(&canary).await.unwrap().changed.is_empty());
    let back = web.apply(&wanted(&[("c", 256)])).await.unwrap();
    assert_eq!(back.changed, ["c"]);
    assert_eq!(weights(&back.seen), [230, 26, 256]);
}

#[tokio::test]
async fn one_that_was_started_again_is_told_again() {
    let Some(mut running) = Running::start() else {
        return;
    };
    let web = running.backend("web");
    let closed = wanted(&[("a", 256), ("b", 0)]);
    web.apply(&closed).await.unwrap();
    running.restart();
    assert_eq!(weights(&web.see().await.unwrap()), [1, 1, 100]);
    let again = web.apply(&closed).await.unwrap();
    assert_eq!(again.changed, ["a", "b"]);
    assert_eq!(weights(&again.seen), [256, 0, 100]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_and_the_others_are_told() {
    let Some(running) = Running::start() else {
        return;
    };
    let said = |error: HaProxyError| error.to_string();
    let none = running.backend("api").see().await.unwrap_err();
    assert_eq!(
        said(none),
        "HAProxy has no backend `api` with servers; it has web"
    );
    let web = running.backend("web");
    let applied = web.apply(&wanted(&[("a", 0), ("z", 1)])).await.unwrap();
    assert_eq!(
        (applied.changed, applied.missing),
        (vec!["a".into()], vec!["z".into()])
    );
    assert_eq!(weights(&applied.seen), [0, 1, 100]);
    for unsayable in [("a", 257), ("a; disable server web/b", 1), ("", 1)] {
        let refused = web.apply(&wanted(&[unsayable])).await;
        assert!(matches!(refused, Err(HaProxyError::Unsayable(_))));
    }
}

#[tokio::test]
async fn one_that_somebody_put_into_maintenance_stays_there_until_he_ends_it() {
    let Some(running) = Running::start() else {
        return;
    };
    let web = running.backend("web");
    web.apply(&wanted(&[("a", 256), ("b", 256)])).await.unwrap();
    web.ask("set server web/a state maint").await.unwrap();
    assert!(web.see().await.unwrap()["a"].is_maintained);
    for weight in [0, 100] {
        let told = wanted(&[("a", weight), ("b", 256)]);
        let applied = web.apply(&told).await.unwrap();
        let a = &applied.seen["a"];
        assert_eq!((a.is_maintained, a.weight), (true, 0));
        assert!(applied.changed.is_empty());
    }
    web.ask("set server web/a state ready").await.unwrap();
    let seen = web.see().await.unwrap();
    assert_eq!((seen["a"].is_maintained, seen["a"].weight), (false, 100));
}

#[tokio::test]
async fn one_that_is_not_there_is_said_to_be_away() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = HaProxy::new(&folder.path().join("socket"), "web").unwrap();
    let away = nobody.see().await.unwrap_err();
    assert!(away.to_string().contains("level admin"), "{away}");
}

#[test]
fn what_haproxy_says_of_servers_is_read_in_each_of_their_states() {
    let table = "# pxname,svname,qcur,scur,status,weight\n\
        web,FRONTEND,,3,OPEN,\n\
        web,a,0,2,UP,256\nweb,b,0,0,DOWN 1/2,10\nweb,c,0,1,DRAIN,0\nweb,d,0,0,MAINT,7\nweb,e,0,0,no check,1\n\
        web,BACKEND,0,3,UP,256\napi,x,0,0,UP,1\napi,BACKEND,0,0,UP,1\n";
    let found = servers(table, "web").unwrap();
    let told: Vec<_> = found
        .values()
        .map(|seen| (seen.weight, seen.is_up, seen.sessions))
        .collect();
    assert_eq!(
        told,
        [
            (256, Some(true), 2),
            (10, Some(false), 0),
            (0, Some(true), 1),
            (0, Some(false), 0),
            (1, None, 0)
        ]
    );
    assert!(servers("nothing of it", "web").is_err());
}
