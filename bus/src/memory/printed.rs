//! Live output of hosts in memory: what is kept of each deployment, and who listens to it.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::sync::watch;

use crate::{Deployment, FollowError, Heard, Host, Mark, Printing};

/// What a piece costs beyond its bytes.
const OVERHEAD_BYTES: usize = 256;

/// What all hosts have printed.
#[derive(Debug)]
pub(super) struct Printed {
    kept: Mutex<All>,
    settings: Printing,
    /// Drawn: numbers begin anew with each process.
    epoch: u64,
}

#[derive(Debug, Default)]
struct All {
    of: HashMap<Deployment, Kept>,
    /// Whose every piece is, in the order in which they came.
    order: BTreeMap<u64, Deployment>,
    bytes: usize,
    last: u64,
}

/// What is kept of one deployment.
#[derive(Debug, Default)]
struct Kept {
    pieces: BTreeMap<u64, (Host, Bytes)>,
    of_host: HashMap<Host, VecDeque<u64>>,
    wake: watch::Sender<()>,
}

impl Printed {
    pub(super) fn new(settings: Printing) -> Self {
        Self {
            kept: Mutex::default(),
            settings,
            epoch: RandomState::new().hash_one(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        // Whatever panicked did so before it changed anything.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn print(&self, deployment: &Deployment, host: Host, piece: Bytes) {
        let mut all = self.lock();
        all.push(deployment, host.clone(), piece);
        let own = all.of.get(deployment).and_then(|of| of.of_host.get(&host));
        if let Some(own) = own.filter(|own| own.len() > self.settings.pieces_max)
            && let Some(first) = own.front().copied()
        {
            all.drop_piece(first);
        }
        while all.bytes > self.settings.bytes_max_in_all
            && let Some((first, _)) = all.order.first_key_value()
        {
            let first = *first;
            all.drop_piece(first);
        }
    }
}

impl All {
    fn push(&mut self, deployment: &Deployment, host: Host, piece: Bytes) {
        self.last += 1;
        self.bytes += piece.len() + OVERHEAD_BYTES;
        self.order.insert(self.last, deployment.clone());
        let of = self.of.entry(deployment.clone()).or_default();
        let own = of.of_host.entry(host.clone()).or_default();
        own.push_back(self.last);
        of.pieces.insert(self.last, (host, piece));
        of.wake.send_replace(());
    }

    /// Lets go of a piece, which is its host's oldest.
    fn drop_piece(&mut self, seq: u64) {
        let Some(deployment) = self.order.remove(&seq) else {
            return;
        };
        let Some(of) = self.of.get_mut(&deployment) else {
            return;
        };
        let Some((host, piece)) = of.pieces.remove(&seq) else {
            return;
        };
        self.bytes -= piece.len() + OVERHEAD_BYTES;
        if let Some(own) = of.of_host.get_mut(&host) {
            own.pop_front();
            if own.is_empty() {
                of.of_host.remove(&host);
            }
        }
        self.forget(&deployment);
    }

    /// A deployment of which nothing is kept and that nobody listens to leaves nothing behind.
    fn forget(&mut self, deployment: &Deployment) {
        let is_over = |of: &Kept| of.pieces.is_empty() && of.wake.receiver_count() == 0;
        if self.of.get(deployment).is_some_and(is_over) {
            self.of.remove(deployment);
        }
    }
}

struct Listening {
    printed: Arc<Printed>,
    deployment: Deployment,
    host: Option<Host>,
    after: u64,
    /// The last piece that there was when it began; none once it is said that all up to it was given.
    until: Option<u64>,
    /// None only while it ends.
    woken: Option<watch::Receiver<()>>,
}

pub(super) fn listen(
    printed: &Arc<Printed>,
    deployment: Deployment,
    host: Option<Host>,
    after: Option<Mark>,
) -> BoxStream<'static, Result<Heard, FollowError>> {
    let mut all = printed.lock();
    let of = all.of.entry(deployment.clone()).or_default();
    let woken = Some(of.wake.subscribe());
    let until = Some(all.last);
    drop(all);
    let after = after.filter(|mark| mark.epoch == printed.epoch);
    let listening = Listening {
        printed: Arc::clone(printed),
        deployment,
        host,
        after: after.map_or(0, |mark| mark.seq),
        until,
        woken,
    };
    stream::unfold(listening, |mut listening| async move {
        let next = listening.next().await?;
        Some((Ok(next), listening))
    })
    .boxed()
}

impl Listening {
    async fn next(&mut self) -> Option<Heard> {
        loop {
            // Seen before looking: what is printed meanwhile wakes again.
            self.woken.as_mut()?.mark_unchanged();
            let found = self.look();
            let is_new = |until: &mut u64| found.as_ref().is_none_or(|(seq, _)| *seq > *until);
            if self.until.take_if(is_new).is_some() {
                return Some(Heard::CaughtUp);
            }
            if let Some((seq, bytes)) = found {
                self.after = seq;
                let epoch = self.printed.epoch;
                let mark = Mark { epoch, seq };
                return Some(Heard::Piece { mark, bytes });
            }
            self.woken.as_mut()?.changed().await.ok()?;
        }
    }

    /// The next piece that is wanted; those before it are not looked at again.
    fn look(&mut self) -> Option<(u64, Bytes)> {
        let all = self.printed.lock();
        let pieces = all.of.get(&self.deployment)?.pieces.range(self.after + 1..);
        for (seq, (host, bytes)) in pieces {
            if self.host.as_ref().is_none_or(|wanted| wanted == host) {
                return Some((*seq, bytes.clone()));
            }
            self.after = *seq;
        }
        None
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut all = self.printed.lock();
        self.woken = None;
        all.forget(&self.deployment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn deployments_that_are_over_leave_nothing_behind() {
        let printed = Arc::new(Printed::new(Printing {
            pieces_max: 2,
            bytes_max_in_all: 4 * OVERHEAD_BYTES,
        }));
        drop(listen(&printed, "nobody's".parse().unwrap(), None, None));
        assert!(printed.lock().of.is_empty());
        for number in 0..100 {
            let deployment = format!("d{number}").parse().unwrap();
            for _ in 0..3 {
                printed.print(&deployment, "h".parse().unwrap(), Bytes::new());
            }
        }
        let all = printed.lock();
        assert_eq!((all.of.len(), all.order.len()), (2, 4));
        assert_eq!(all.bytes, 4 * OVERHEAD_BYTES);
    }
}
