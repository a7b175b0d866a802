use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use croft_ledger::{
    Append, AppendError, Appended, Clock, Expected, Ledger, Memory, Seq, Subject, Through,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::server::surely::{Ended, append};

/// Loses sight of the first append: after it has happened, or before.
#[derive(Debug)]
struct Forgetful {
    inner: Memory,
    forgets: AtomicBool,
    happens: bool,
}

impl Through for Forgetful {
    fn inner(&self) -> &dyn Ledger {
        &self.inner
    }

    fn append(&self, batch: Vec<Append>) -> BoxFuture<'_, Result<Appended, AppendError>> {
        async move {
            if !self.forgets.swap(false, Ordering::Relaxed) {
                return self.inner.append(batch).await;
            }
            if self.happens {
                self.inner.append(batch).await?;
            }
            Err(AppendError::Unknown {
                source: "forgotten".into(),
            })
        }
        .boxed()
    }
}

fn subject(name: &str) -> Subject {
    Subject::of("build", name).unwrap()
}

fn new(name: &str) -> Append {
    Append {
        subject: subject(name),
        expected: Expected::NEW,
        event: "{}".into(),
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_sight_of_is_there_once_and_up_to_its_last_entry() {
    for happens in [true, false] {
        let ledger: Arc<dyn Ledger> = Arc::new(Forgetful {
            inner: Memory::new(Clock::system()),
            forgets: AtomicBool::new(true),
            happens,
        });
        let batch = vec![new("a"), new("b"), new("c")];
        let ended = append(Arc::clone(&ledger), batch, Some(subject("a"))).await;
        let last = ledger.last().await.unwrap();
        assert_eq!(last, Seq::new(3));
        assert!(
            matches!(ended, Ended::There(seq) if seq == last),
            "{ended:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_was_faster_is_not_taken_for_oneself() {
    let ledger = Arc::new(Forgetful {
        inner: Memory::new(Clock::system()),
        forgets: AtomicBool::new(false),
        happens: false,
    });
    ledger.inner.append(vec![new("b")]).await.unwrap();
    ledger.forgets.store(true, Ordering::Relaxed);
    let ledger = ledger as Arc<dyn Ledger>;
    let ended = append(
        Arc::clone(&ledger),
        vec![new("a"), new("b")],
        Some(subject("a")),
    )
    .await;
    assert!(matches!(ended, Ended::Conflict), "{ended:?}");
    assert_eq!(ledger.last().await.unwrap(), Seq::new(1));
}
