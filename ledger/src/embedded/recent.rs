//! The end of the log, in memory: followers that are up to date are given what was just committed without asking the file for it.
//! Filled by the writer before it wakes them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::{Entry, Seq, Subject};

/// Entries kept: those of some hundred batches. Who is further behind reads the file.
const ENTRIES_MAX: usize = 512;

/// Bytes of their events.
const BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Everything behind this one was kept, but for what was purged since.
    after: Seq,
}

impl Recent {
    /// The end of a log whose last entry that is.
    pub(super) fn behind(last: Seq) -> Self {
        Self(Mutex::new(Kept {
            after: last,
            ..Kept::default()
        }))
    }

    /// What was committed, in order.
    pub(super) fn add(&self, entries: Vec<Entry>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            kept.bytes += size_bytes(&entry);
            kept.entries.push_back(entry);
        }
        while (kept.entries.len() > ENTRIES_MAX || kept.bytes > BYTES_MAX)
            && let Some(oldest) = kept.entries.pop_front()
        {
            kept.bytes -= size_bytes(&oldest);
            kept.after = oldest.seq;
        }
    }

    /// Whatever there is of a subject is gone from the file, and so from here.
    pub(super) fn purge(&self, subject: &Subject) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.entries.retain(|entry| entry.subject != *subject);
        kept.bytes = kept.entries.iter().map(size_bytes).sum();
    }

    /// The entries after that one, at most so many; may be none. None at all when only the file knows them.
    pub(super) fn after(&self, after: Seq, limit: usize) -> Option<Vec<Entry>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if after < kept.after {
            return None;
        }
        let first = kept.entries.partition_point(|entry| entry.seq <= after);
        Some(kept.entries.range(first..).take(limit).cloned().collect())
    }
}

fn size_bytes(entry: &Entry) -> usize {
    entry.event().map_or(0, bytes::Bytes::len)
}

#[cfg(test)]
mod tests {
    use croft_proto::Timestamp;

    use super::*;
    use crate::Body;

    fn entry(seq: u64, subject: &str, bytes: usize) -> Entry {
        Entry {
            seq: Seq::new(seq),
            subject: subject.parse().unwrap(),
            at: Timestamp::from_millis(0),
            body: Body::Event(vec![b' '; bytes].into()),
        }
    }

    fn seqs(recent: &Recent, after: u64, limit: usize) -> Option<Vec<u64>> {
        let entries = recent.after(Seq::new(after), limit)?;
        Some(entries.iter().map(|entry| entry.seq.get()).collect())
    }

    #[test]
    fn who_is_behind_what_is_kept_has_to_read_the_file() {
        let recent = Recent::behind(Seq::new(10));
        assert_eq!(seqs(&recent, 9, 8), None);
        assert_eq!(seqs(&recent, 10, 8), Some(vec![]));
        recent.add(vec![entry(11, "a.1", 1), entry(12, "a.2", 1)]);
        assert_eq!(seqs(&recent, 10, 8), Some(vec![11, 12]));
        assert_eq!(seqs(&recent, 10, 1), Some(vec![11]));
        assert_eq!(seqs(&recent, 12, 8), Some(vec![]));
        assert_eq!(seqs(&recent, 9, 8), None);
    }

    #[test]
    fn entries_and_bytes_are_bounded_and_the_oldest_go() {
        let recent = Recent::behind(Seq::ZERO);
        for seq in 1..=600 {
            recent.add(vec![entry(seq, "a.1", 1)]);
        }
        assert_eq!(seqs(&recent, 87, 8), None);
        assert_eq!(seqs(&recent, 88, 600).unwrap().len(), 512);
        recent.add(vec![entry(601, "a.1", BYTES_MAX)]);
        assert_eq!(seqs(&recent, 599, 8), None);
        assert_eq!(seqs(&recent, 600, 8), Some(vec![601]));
    }

    #[test]
    fn what_is_purged_is_not_given_any_more() {
        let recent = Recent::behind(Seq::ZERO);
        recent.add(vec![
            entry(1, "a.1", 1),
            entry(2, "a.2", 1),
            entry(3, "a.1", 1),
        ]);
        recent.purge(&"a.1".parse().unwrap());
        recent.add(vec![entry(4, "a.1", 0)]);
        assert_eq!(seqs(&recent, 0, 8), Some(vec![2, 4]));
    }
}
