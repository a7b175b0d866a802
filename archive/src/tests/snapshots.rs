//! Copies of read models: kept, brought, and not believed.

use std::path::Path;
use std::sync::Arc;

use croft_ledger::{Entry, Ledger, Memory, Seq};
use croft_views::{BuildFilter, Views};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;

use super::{append, build, clock, depot, farm, submitted};
use crate::{Retention, SnapshotKey, Snapshots, Whole};

/// A ledger, its archive, and files of this test.
struct Bench {
    ledger: Arc<dyn Ledger>,
    folder: TempDir,
}

impl Bench {
    async fn new() -> Self {
        Self {
            ledger: farm(8).await,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn archive(&self) -> croft_cache::Depot {
        depot(&self.folder.path().join("archive"))
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn snapshots(&self) -> Snapshots {
        Snapshots::new(
            Arc::clone(&self.ledger),
            self.archive(),
            SnapshotKey::of(b"k"),
        )
    }

    /// A read model at that file that is where the ledger is.
    async fn views(&self, name: &str) -> Views {
        let views = Views::open(&self.file(name)).unwrap();
        let whole = Arc::new(Whole::new(Arc::clone(&self.ledger), self.archive()));
        let last = self.ledger.last().await.unwrap();
        let (stop, stopped) = watch::channel(false);
        let following = croft_views::follow(whole, views.clone(), stopped);
        let mut positions = views.positions();
        let waiting = async {
            let there = positions.wait_for(|position| *position >= last);
            there.await.map(drop).unwrap();
            stop.send_replace(true);
        };
        tokio::join!(following, waiting).0.unwrap();
        views
    }

    async fn keep(&self, views: &Views, apart: u64) -> Option<Seq> {
        let scratch = self.file("scratch");
        let kept = self.snapshots().keep(views, &scratch, apart).await.unwrap();
        assert!(!scratch.exists());
        kept
    }

    async fn another_build(&self, number: u64) {
        append(&*self.ledger, &build(number), submitted(number)).await;
    }

    /// Objects of copies, without the log's name.
    fn kept(&self) -> Vec<String> {
        let names = self.archive().list("views").unwrap();
        let names = names.iter().map(|name| name.split_once('/').unwrap().1);
        names.map(ToString::to_string).collect()
    }

    fn object(&self, name: &str) -> std::path::PathBuf {
        let views = self.file("archive/views");
        let log = std::fs::read_dir(&views).unwrap().next().unwrap().unwrap();
        log.path().join(name)
    }
}

/// Another ledger with those entries, at the same times.
async fn branch(entries: &[Entry]) -> Arc<dyn Ledger> {
    let ledger: Arc<dyn Ledger> = Arc::new(Memory::new(clock()));
    for entry in entries {
        let event = entry.event().unwrap().clone();
        append(&*ledger, entry.subject.as_str(), event).await;
    }
    ledger
}

/// All that a read model lists.
fn listed(views: &Views) -> Vec<String> {
    let page = views.ask_now(|read| read.builds(&BuildFilter::default(), None, 100));
    let rows = page.unwrap().rows;
    rows.iter().map(|row| format!("{row:?}")).collect()
}

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_server_on_an_empty_disk_begins_with_a_copy_and_comes_to_the_same() {
    let bench = Bench::new().await;
    let first = bench.views("first.db").await;
    let kept = bench.keep(&first, 1).await;
    assert_eq!(kept, Some(first.position()));
    // What was finished leaves the ledger, and something happens.
    let retention = Retention {
        ledger: Arc::clone(&bench.ledger),
        views: first.clone(),
        archive: bench.archive(),
        clock: croft_ledger::Clock::system(),
        keep_ms: 1,
        every: std::time::Duration::from_secs(3_600),
    };
    assert!(retention.pass().await.unwrap().purged > 0);
    bench.another_build(20).await;
    let whole = bench.views("whole.db").await;

    let path = bench.file("second.db");
    assert!(!Views::stands(&path));
    assert_eq!(bench.snapshots().bring(&path).await.unwrap(), kept);
    assert!(Views::stands(&path));
    assert_eq!(Views::open(&path).unwrap().position(), kept.unwrap());
    let second = bench.views("second.db").await;
    assert_eq!(second.position(), whole.position());
    assert_eq!(listed(&second), listed(&whole));
    assert_eq!(listed(&second).len(), 10);
}

#[tokio::test]
async fn copies_are_so_many_entries_apart_and_two_stay() {
    let bench = Bench::new().await;
    let views = bench.views("views.db").await;
    assert_eq!(bench.keep(&views, 1_000).await, None);
    let mut kept = vec![bench.keep(&views, 10).await.unwrap()];
    assert_eq!(bench.keep(&views, 1).await, None, "nothing has happened");
    for number in 20..23 {
        bench.another_build(number).await;
        let views = bench.views("views.db").await;
        assert_eq!(bench.keep(&views, 2).await, None);
        kept.push(bench.keep(&views, 1).await.unwrap());
        if number == 20 {
            // What another server began, and did not end.
            let unfinished = format!("{:020}-0123456789abcdef/000000", 1);
            let path = bench.object(&unfinished);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "a part").unwrap();
        }
    }
    let there = bench.kept();
    let notes: Vec<u64> = there
        .iter()
        .filter_map(|name| name.strip_suffix(".note"))
        .map(|stem| stem.split_once('-').unwrap().0.parse().unwrap())
        .collect();
    let newest: Vec<u64> = kept[2..].iter().map(|seq| seq.get()).collect();
    assert_eq!(notes, newest);
    assert_eq!(there.len(), 4, "a part and a note each: {there:?}");
}

#[tokio::test]
async fn a_damaged_copy_is_passed_over_for_the_one_before() {
    let bench = Bench::new().await;
    let views = bench.views("views.db").await;
    let before = bench.keep(&views, 1).await;
    bench.another_build(20).await;
    let views = bench.views("views.db").await;
    let newest = bench.keep(&views, 1).await;
    let path = bench.file("new.db");
    let brought = async || {
        let brought = bench.snapshots().bring(&path).await.unwrap();
        let is_there = path.exists();
        std::fs::remove_file(&path).unwrap_or_default();
        assert_eq!(is_there, brought.is_some());
        let left = path.with_extension("unfinished");
        assert!(!left.exists());
        brought
    };
    assert_eq!(brought().await, newest);
    let there = bench.kept();
    let part = |at: usize| {
        let mut parts = there.iter().filter(|name| !name.ends_with(".note"));
        bench.object(parts.nth(at).unwrap())
    };
    flip(&part(1));
    assert_eq!(brought().await, before);
    std::fs::remove_file(part(1)).unwrap();
    assert_eq!(brought().await, before);
    let note = there.iter().find(|name| name.ends_with(".note")).unwrap();
    flip(&bench.object(note));
    assert_eq!(brought().await, None);
}

#[tokio::test]
async fn a_copy_that_is_not_of_the_farms_servers_is_not_believed() {
    let bench = Bench::new().await;
    let views = bench.views("views.db").await;
    let forger = Snapshots::new(
        Arc::clone(&bench.ledger),
        bench.archive(),
        SnapshotKey::of(b"guessed"),
    );
    let scratch = bench.file("scratch");
    assert!(forger.keep(&views, &scratch, 1).await.unwrap().is_some());
    let path = bench.file("new.db");
    assert_eq!(bench.snapshots().bring(&path).await.unwrap(), None);
    assert!(!path.exists());
    // Nor is what claims to be newer than anything, or is too large to be read.
    let forged = bench.object(&format!("{}-0123456789abcdef.note", u64::MAX));
    std::fs::write(&forged, vec![7; 17 << 20]).unwrap();
    let kept = bench.keep(&views, 1).await;
    assert_eq!(kept, Some(views.position()));
    assert_eq!(bench.snapshots().bring(&path).await.unwrap(), kept);
    assert!(!forged.exists());
}

#[tokio::test]
async fn what_is_kept_shows_nothing_of_the_read_model() {
    let bench = Bench::new().await;
    let views = bench.views("views.db").await;
    assert!(bench.keep(&views, 1).await.is_some());
    let clear = std::fs::read(bench.file("views.db")).unwrap();
    let shows = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).any(|part| part == what);
    assert!(shows(&clear, b"SQLite format 3"));
    for name in bench.kept() {
        let stored = std::fs::read(bench.object(&name)).unwrap();
        assert!(!shows(&stored, b"schema"), "{name}");
        let packed = zstd::bulk::decompress(&stored, 1 << 30);
        assert!(packed.is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_copy_of_what_this_log_never_was_is_not_taken() {
    let bench = Bench::new().await;
    bench.another_build(20).await;
    let views = bench.views("views.db").await;
    assert!(bench.keep(&views, 1).await.is_some());
    // As after a restore from a backup that lacks the last one: the same beginning, and then something else.
    let mut entries = super::all(&*bench.ledger).await;
    let last = entries.pop().unwrap();
    for other in [None, Some(build(21))] {
        let ledger = branch(&entries).await;
        if let Some(other) = &other {
            let seq = append(&*ledger, other, submitted(21)).await;
            assert_eq!(seq, last.seq);
        }
        let snapshots = Snapshots::new(ledger, bench.archive(), SnapshotKey::of(b"k"));
        let path = bench.file("new.db");
        assert_eq!(snapshots.bring(&path).await.unwrap(), None, "{other:?}");
    }
    // And what this log does not know does not keep it from keeping its own.
    let own = Bench {
        ledger: branch(&entries).await,
        folder: bench.folder,
    };
    append(&*own.ledger, &build(21), submitted(21)).await;
    let views = own.views("own.db").await;
    assert_eq!(own.keep(&views, 5).await, Some(last.seq));
    let notes = own.kept();
    let notes = notes.iter().filter(|name| name.ends_with(".note"));
    assert_eq!(notes.count(), 1, "what counts for nobody is gone");
    let bench = own;
    let empty: Arc<dyn Ledger> = Arc::new(Memory::new(clock()));
    append(
        &*empty,
        "project.web",
        json!({"type": "deleted"}).to_string(),
    )
    .await;
    let another = Snapshots::new(empty, bench.archive(), SnapshotKey::of(b"k"));
    let path = bench.file("new.db");
    assert_eq!(another.bring(&path).await.unwrap(), None, "another farm's");
}
