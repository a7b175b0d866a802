//! Which files a worker takes together: neighbours, so that what lies together in packs is read together.

use std::ops::Range;

use crate::tree::{Entry, Node};

/// Files of a batch hold about this many bytes together. A larger file is a batch of its own.
const BATCH_BYTES: u64 = 16 << 20;

/// Entries of a batch at most, so that many empty files are still shared out.
const BATCH_ENTRIES: usize = 1024;

/// Splits a tree into work of similar size.
pub(super) fn batches(entries: &[Entry]) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0_u64);
    for (position, entry) in entries.iter().enumerate() {
        if let Node::File { size_bytes, .. } = entry.node {
            bytes = bytes.saturating_add(size_bytes);
        }
        if bytes >= BATCH_BYTES || position + 1 - start >= BATCH_ENTRIES {
            batches.push(start..position + 1);
            (start, bytes) = (position + 1, 0);
        }
    }
    if start < entries.len() {
        batches.push(start..entries.len());
    }
    batches
}
