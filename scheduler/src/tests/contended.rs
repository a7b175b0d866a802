use std::sync::Arc;
use std::time::Duration;

use croft_bus::{Bus, Memory as MemoryBus, Settings};
use croft_ledger::{
    Append, AppendError, Appended, Clock, Expected, Ledger, Memory, Seq, Subject, Through,
};
use croft_proto::farm::Lease;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::steps::{applied, rules};
use crate::*;

/// Somebody else is always faster with one project.
#[derive(Debug)]
struct Contended {
    inner: Memory,
    project: Subject,
}

impl Contended {
    async fn overtake(&self) -> AppendError {
        let entries = self.inner.read_subject(&self.project, Seq::ZERO, 1_000);
        let last = entries.await.unwrap().last().unwrap().seq;
        let other = Append {
            subject: self.project.clone(),
            expected: Expected::Last(last),
            event: serde_json::to_vec(&applied(rules())).unwrap().into(),
        };
        let actual = self.inner.append(vec![other]).await.unwrap().last;
        AppendError::Conflict {
            subject: self.project.clone(),
            expected: last,
            actual: Some(actual),
        }
    }
}

impl Through for Contended {
    fn inner(&self) -> &dyn Ledger {
        &self.inner
    }

    fn append(&self, batch: Vec<Append>) -> BoxFuture<'_, Result<Appended, AppendError>> {
        async move {
            // As a disk does: what is asked meanwhile comes together.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let is_about = |append: &Append| append.subject == self.project;
            let is_first = |append: &Append| append.expected == Expected::NEW;
            if batch
                .iter()
                .any(|append| is_about(append) && !is_first(append))
            {
                return Err(self.overtake().await);
            }
            self.inner.append(batch).await
        }
        .boxed()
    }
}

fn asked(project: &str) -> Asked {
    Asked {
        project: project.into(),
        ..super::server::asked()
    }
}

#[tokio::test(start_paused = true)]
async fn a_project_that_others_are_always_faster_with_takes_nobody_else_down() {
    let ledger: Arc<dyn Ledger> = Arc::new(Contended {
        inner: Memory::new(Clock::system()),
        project: Subject::of("project", "hot").unwrap(),
    });
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new(&Settings::default()));
    let (server, handle) = Server::new(Parts {
        ledger,
        bus,
        lease: Lease::default(),
        clock: Clock::system(),
        metrics: Metrics::new(&prometheus::Registry::new()).unwrap(),
    });
    let (stop, stopped) = watch::channel(false);
    let mut servers = JoinSet::new();
    servers.spawn(server.run(stopped));
    for name in ["hot", "cold", "other"] {
        handle.project(name.into(), applied(rules())).await.unwrap();
    }
    let hot = async {
        for _ in 0..5 {
            let refused = handle.start(asked("hot")).await.unwrap_err();
            assert_eq!(refused, Refused::Failed(Failed::Contended));
        }
    };
    // While appends are on their way more come.
    let cold = async {
        for _ in 0..60 {
            handle.start(asked("cold")).await.unwrap();
        }
    };
    let other = async {
        for _ in 0..60 {
            handle.start(asked("other")).await.unwrap();
        }
    };
    tokio::join!(hot, cold, other);
    stop.send_replace(true);
    servers.join_next().await.unwrap().unwrap().unwrap();
}
