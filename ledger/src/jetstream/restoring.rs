//! Writing a stream anew. Each entry has a header that says its old time, and each message must follow the last one of the whole
//! stream: whoever else writes to it makes the restoring fail instead of giving entries other sequences.

use std::sync::Arc;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::Shared;
use super::decode::{AT, PURGED};
use super::publish::{Message, ROLLUP};
use crate::restore::{follow_on, unavailable};
use crate::{BATCH_MAX, Body, Entry, Expected, RestoreError, Restoring, Seq};

/// Of the whole stream, not of a subject.
const EXPECTED_LAST: &str = "Nats-Expected-Last-Sequence";

/// A stream that is being written.
#[derive(Debug)]
pub struct JetStreamRestoring {
    shared: Arc<Shared>,
    last: Seq,
}

/// Begins; refuses a stream that has, or ever had, entries.
pub(super) async fn begin(shared: Arc<Shared>) -> Result<JetStreamRestoring, RestoreError> {
    let last = shared.last().await.map_err(unavailable)?;
    if last > Seq::ZERO {
        let ledger = format!("the stream {}", shared.stream);
        return Err(RestoreError::NotEmpty { ledger, last });
    }
    Ok(JetStreamRestoring { shared, last })
}

impl Restoring for JetStreamRestoring {
    fn write(&mut self, entries: Vec<Entry>) -> BoxFuture<'_, Result<(), RestoreError>> {
        async move {
            follow_on(self.last, &entries)?;
            let mut rest = &entries[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(together(rest));
                self.send(now).await?;
                rest = later;
            }
            Ok(())
        }
        .boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Seq, RestoreError>> {
        async move { Ok(self.last) }.boxed()
    }
}

/// How many of the next entries make one batch: events do, and a tombstone, which rolls its subject up, is one by itself.
fn together(entries: &[Entry]) -> usize {
    let events = entries.iter().take(BATCH_MAX);
    events
        .take_while(|entry| entry.event().is_some())
        .count()
        .max(1)
}

impl JetStreamRestoring {
    async fn send(&mut self, entries: &[Entry]) -> Result<(), RestoreError> {
        let Some(last) = entries.last().map(|entry| entry.seq) else {
            return Ok(());
        };
        let messages = entries.iter().enumerate().map(|(at, entry)| {
            let expected = (at == 0).then_some(self.last);
            self.message(entry, expected)
        });
        let appended = self.shared.send_messages(messages.collect()).await;
        let given = appended.map_err(unavailable)?.last;
        if given != last {
            return Err(RestoreError::Elsewhere { seq: last, given });
        }
        self.last = last;
        self.shared.saw(last);
        Ok(())
    }

    fn message<'a>(&self, entry: &'a Entry, expected: Option<Seq>) -> Message<'a> {
        let mut headers: HeaderMap = self.shared.headers(Expected::Previous);
        headers.insert(AT, entry.at.millis().to_string());
        if let Some(expected) = expected {
            headers.insert(EXPECTED_LAST, expected.to_string());
        }
        let event = match &entry.body {
            Body::Event(event) => event.clone(),
            Body::Tombstone { last } => {
                headers.insert(ROLLUP, "sub");
                headers.insert(PURGED, last.to_string());
                Bytes::new()
            }
        };
        Message {
            subject: &entry.subject,
            headers,
            event,
        }
    }
}
