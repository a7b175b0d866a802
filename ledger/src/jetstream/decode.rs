//! A stored message as an entry of the log. Used by all that read.

use async_nats::HeaderMap;
use bytes::Bytes;
use croft_proto::Timestamp;

use crate::{Body, Entry, ReadError, Seq};

/// On a tombstone: the last sequence of what it replaced.
pub(super) const PURGED: &str = "Croft-Purged";

/// On an entry that was restored: when it was appended for the first time, in milliseconds. The broker's own time is the
/// restoring's then.
pub(super) const AT: &str = "Croft-At";

/// A message as it is stored.
pub(super) struct Stored<'a> {
    pub(super) seq: Seq,
    pub(super) subject: &'a str,
    pub(super) at_nanos: i128,
    pub(super) headers: Option<&'a HeaderMap>,
    pub(super) payload: Bytes,
}

impl Stored<'_> {
    pub(super) fn entry(self, prefix: &str) -> Result<Entry, ReadError> {
        let seq = self.seq;
        let damaged = |reason: String| ReadError::Damaged { seq, reason };
        let subject = self.subject.strip_prefix(prefix);
        let subject = subject.and_then(|rest| rest.strip_prefix('.'));
        let subject = subject.unwrap_or(self.subject).parse();
        let subject = subject.map_err(|error: crate::SubjectError| damaged(error.to_string()))?;
        let purged = self.headers.and_then(|headers| headers.get(PURGED));
        let body = match purged {
            None => Body::Event(self.payload),
            Some(last) => Body::Tombstone {
                last: last
                    .as_str()
                    .parse()
                    .map(Seq::new)
                    .map_err(|error| damaged(format!("{PURGED}: {error}")))?,
            },
        };
        let restored = self.headers.and_then(|headers| headers.get(AT));
        let at = match restored {
            None => u64::try_from(self.at_nanos / 1_000_000).unwrap_or_default(),
            Some(at) => at
                .as_str()
                .parse()
                .map_err(|error| damaged(format!("{AT}: {error}")))?,
        };
        Ok(Entry {
            seq,
            subject,
            at: Timestamp::from_millis(at),
            body,
        })
    }
}
