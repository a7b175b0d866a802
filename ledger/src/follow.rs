//! Entries to come, for the logs that live in this process: read until there is nothing, then wait to be woken.

use std::collections::VecDeque;
use std::future::Future;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::sync::watch;

use crate::{Entry, ReadError, Seq};

/// Entries read at once: a few pages of SQLite, and little memory even when all are of the largest size.
const PAGE: usize = 128;

struct Following<R> {
    read: R,
    last: watch::Receiver<Seq>,
    after: Seq,
    ready: VecDeque<Entry>,
    has_ended: bool,
}

/// Every entry after `after`, then those to come. `last` wakes, `read(after, limit)` reads.
pub(crate) fn follow<R, F>(
    after: Seq,
    last: watch::Receiver<Seq>,
    read: R,
) -> BoxStream<'static, Result<Entry, ReadError>>
where
    R: FnMut(Seq, usize) -> F + Send + 'static,
    F: Future<Output = Result<Vec<Entry>, ReadError>> + Send + 'static,
{
    let following = Following {
        read,
        last,
        after,
        ready: VecDeque::new(),
        has_ended: false,
    };
    stream::unfold(following, |mut following| async move {
        if following.has_ended {
            return None;
        }
        let next = following.next().await;
        following.has_ended = next.is_err();
        Some((next, following))
    })
    .boxed()
}

impl<R, F> Following<R>
where
    R: FnMut(Seq, usize) -> F,
    F: Future<Output = Result<Vec<Entry>, ReadError>>,
{
    async fn next(&mut self) -> Result<Entry, ReadError> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                self.after = entry.seq;
                return Ok(entry);
            }
            // Seen before reading: what is appended meanwhile wakes again.
            self.last.mark_unchanged();
            self.ready = (self.read)(self.after, PAGE).await?.into();
            if self.ready.is_empty() {
                let woken = self.last.changed().await;
                woken.map_err(|_closed| ReadError::Closed)?;
            }
        }
    }
}
