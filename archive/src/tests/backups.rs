use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use croft_ledger::{Clock, Config, Embedded, JetStream, Ledger, Memory, Restoring, Seq};
use croft_nats_testing::Server;
use croft_proto::Timestamp;
use croft_views::Views;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any};
use proptest::{prop_assert_eq, proptest};

use super::{all, append, build, clock, depot, farm, subject};
use crate::{About, BackupError, History, RestoreError, Retention, backup, check};

fn about() -> About {
    About {
        server: Some("here".into()),
        at: Timestamp::from_millis(1),
        croft: "0".into(),
    }
}

fn history(ledger: &Arc<dyn Ledger>, archive: &Path) -> History {
    History::new(Arc::new(Arc::clone(ledger)), depot(archive))
}

/// A farm of which some builds were archived and purged.
async fn purged(archive: &Path) -> Arc<dyn Ledger> {
    let ledger = farm(4).await;
    let views = Views::in_memory().unwrap();
    views.apply(&all(&*ledger).await).unwrap();
    let retention = Retention {
        ledger: Arc::clone(&ledger),
        views,
        archive: depot(archive),
        clock: Clock::from_fn(|| Timestamp::from_millis(1_800_000_000_000)),
        keep_ms: 1,
        every: Duration::from_secs(1),
    };
    assert_eq!(retention.pass().await.unwrap().purged, 4);
    append(&*ledger, "project.x", "{}").await;
    ledger
}

async fn restored(backup: &Path, archive: &Path, path: &Path) -> Arc<dyn Ledger> {
    let checked = check(&depot(backup)).await.unwrap();
    let restoring: Box<dyn Restoring> = Box::new(Embedded::restore(path).unwrap());
    checked.write(restoring, &depot(archive)).await.unwrap();
    Arc::new(Embedded::open(path, clock()).unwrap())
}

fn segments(backup: &Path) -> Vec<PathBuf> {
    let found = std::fs::read_dir(backup.join("segments")).unwrap();
    let mut found: Vec<_> = found.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

#[tokio::test]
async fn a_farm_is_restored_with_its_past() {
    let folder = tempfile::tempdir().unwrap();
    let [old, new, kept] = ["old", "new", "kept"].map(|name| folder.path().join(name));
    let ledger = purged(&old).await;
    let done = backup(&history(&ledger, &old), &depot(&kept), about()).await;
    let done = done.unwrap();
    let last = ledger.last().await.unwrap();
    assert_eq!(
        (done.manifest.last, done.manifest.entries),
        (last, last.get())
    );

    let again = restored(&kept, &new, &folder.path().join("ledger.db")).await;
    assert_eq!(all(&*again).await, all(&*ledger).await);
    let page = |history: History| async move { history.read(Seq::ZERO, 1000).await.unwrap() };
    let was = page(history(&ledger, &old)).await;
    assert_eq!(was.missing, None);
    assert_eq!(page(history(&again, &new)).await, was);
    // And a purged build is not born again.
    let refused = again.purge(&subject(&build(1)), Seq::ZERO).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_farm_is_restored_into_a_stream() {
    let Some(server) = Server::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let [old, new, kept] = ["old", "new", "kept"].map(|name| folder.path().join(name));
    let ledger = purged(&old).await;
    backup(&history(&ledger, &old), &depot(&kept), about())
        .await
        .unwrap();
    let stream = JetStream::connect(Config::new(&server.address))
        .await
        .unwrap();
    let restoring = stream.restore().await.unwrap();
    let checked = check(&depot(&kept)).await.unwrap();
    checked
        .write(Box::new(restoring), &depot(&new))
        .await
        .unwrap();
    assert_eq!(all(&stream).await, all(&*ledger).await);
}

#[tokio::test]
async fn a_second_backup_writes_what_is_new_and_what_was_purged_meanwhile_stays_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let [old, new, kept] = ["old", "new", "kept"].map(|name| folder.path().join(name));
    let ledger = purged(&old).await;
    let history_of = history(&ledger, &old);
    let first = backup(&history_of, &depot(&kept), about()).await.unwrap();
    let same = backup(&history_of, &depot(&kept), about()).await.unwrap();
    assert_eq!((same.entries_new, same.segments_new), (0, 0));
    append(&*ledger, "project.x", "{\"two\": 2}").await;
    let second = backup(&history_of, &depot(&kept), about()).await.unwrap();
    assert_eq!((second.entries_new, second.segments_new), (1, 1));
    assert_eq!(second.manifest.segments[0], first.manifest.segments[0]);
    let again = restored(&kept, &new, &folder.path().join("ledger.db")).await;
    assert_eq!(all(&*again).await, all(&*ledger).await);
}

#[tokio::test]
async fn a_damaged_backup_is_refused_and_named_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let [old, kept] = ["old", "kept"].map(|name| folder.path().join(name));
    let ledger = purged(&old).await;
    let history = history(&ledger, &old);
    backup(&history, &depot(&kept), about()).await.unwrap();
    append(&*ledger, "project.x", "{}").await;
    backup(&history, &depot(&kept), about()).await.unwrap();
    let second = segments(&kept).pop().unwrap();
    let whole = std::fs::read(&second).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damage in [&flipped[..], &whole[..whole.len() - 1], b""] {
        std::fs::write(&second, damage).unwrap();
        let refused = check(&depot(&kept)).await.unwrap_err();
        let RestoreError::Archive(named) = refused else {
            panic!("{refused}");
        };
        let name = second.file_name().unwrap().display().to_string();
        assert!(named.to_string().contains(&name), "{named}");
    }
    std::fs::remove_file(&second).unwrap();
    assert!(check(&depot(&kept)).await.is_err());
    std::fs::write(&second, &whole).unwrap();
    check(&depot(&kept)).await.unwrap();
    let manifest = kept.join("manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("\"entries\": 1", "\"entries\": 2")).unwrap();
    let refused = check(&depot(&kept)).await.unwrap_err();
    assert!(matches!(refused, RestoreError::Manifest(_)), "{refused}");
    std::fs::remove_file(&manifest).unwrap();
    let refused = check(&depot(&kept)).await.unwrap_err();
    assert!(matches!(refused, RestoreError::None), "{refused}");
}

#[tokio::test]
async fn a_backup_of_another_farm_or_another_past_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let [old, kept, other] = ["old", "kept", "other"].map(|name| folder.path().join(name));
    let ledger = purged(&old).await;
    backup(&history(&ledger, &old), &depot(&kept), about())
        .await
        .unwrap();
    let another: Arc<dyn Ledger> = Arc::new(Memory::new(clock()));
    let empty = backup(&history(&another, &other), &depot(&kept), about()).await;
    assert!(matches!(empty, Err(BackupError::Empty)));
    append(&*another, "token.1", "{}").await;
    let refused = backup(&history(&another, &other), &depot(&kept), about()).await;
    assert!(matches!(refused, Err(BackupError::OtherFarm)));

    // Restored from before the last backup, and gone on since.
    let early = folder.path().join("early");
    let beginning = restored(&kept, &other, &early).await;
    append(&*ledger, "project.x", "{\"this\": 1}").await;
    backup(&history(&ledger, &old), &depot(&kept), about())
        .await
        .unwrap();
    let behind = backup(&history(&beginning, &other), &depot(&kept), about()).await;
    assert!(matches!(behind, Err(BackupError::OtherPast { .. })));
    append(&*beginning, "project.x", "{\"that\": 1}").await;
    let beside = backup(&history(&beginning, &other), &depot(&kept), about()).await;
    assert!(matches!(beside, Err(BackupError::OtherPast { .. })));
}

#[tokio::test]
async fn a_backup_that_would_not_be_whole_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let [old, lost, kept] = ["old", "lost", "kept"].map(|name| folder.path().join(name));
    let ledger = purged(&old).await;
    let refused = backup(&history(&ledger, &lost), &depot(&kept), about()).await;
    assert!(matches!(refused, Err(BackupError::Missing { first, .. }) if first == Seq::new(2)));
    assert!(!kept.join("manifest.json").exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_log_reads_the_same_after_a_restore(
        told in vec((0_u8..6, vec(any::<u8>(), 1..60), any::<bool>()), 1..40),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let [old, new, kept] = ["old", "new", "kept"].map(|name| folder.path().join(name));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (was, is) = runtime.block_on(async {
            let ledger: Arc<dyn Ledger> = Arc::new(Memory::new(clock()));
            append(&*ledger, "pool.x", "{}").await;
            let mut gone = std::collections::HashSet::new();
            for (on, event, ends) in told {
                if gone.contains(&on) {
                    continue;
                }
                let subject = format!("build.{on}");
                let last = append(&*ledger, &subject, event).await;
                if ends {
                    let subject = super::subject(&subject);
                    let own = ledger.read_subject(&subject, Seq::ZERO, 1000).await.unwrap();
                    let history = history(&ledger, &old);
                    history.shelf().await.unwrap().put(own).await.unwrap();
                    ledger.purge(&subject, last).await.unwrap();
                    gone.insert(on);
                }
            }
            backup(&history(&ledger, &old), &depot(&kept), about()).await.unwrap();
            let again = restored(&kept, &new, &folder.path().join("ledger.db")).await;
            (all(&*ledger).await, all(&*again).await)
        });
        prop_assert_eq!(was, is);
    }
}
