//! Which files a worker takes together: neighbours, so that what lies together in packs is read together.

use std::ops::Range;

use crate::tree::{Entry, Node};

/// How much of a tree a worker takes at once. A file with more bytes is a batch of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchSize {
    bytes: u64,
    /// So that many empty files are still shared out.
    entries: usize,
}

/// From a disk: small, so that all workers end at about the same time.
pub(super) const NEAR: BatchSize = BatchSize {
    bytes: 8 << 20,
    entries: 512,
};

/// Over a network: about the contents of a pack, so that few packs are asked for twice.
pub(super) const FAR: BatchSize = BatchSize {
    bytes: 48 << 20,
    entries: 4096,
};

/// Splits a tree into work of similar size.
pub(super) fn batches(entries: &[Entry], size: BatchSize) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0_u64);
    for (position, entry) in entries.iter().enumerate() {
        if let Node::File { size_bytes, .. } = entry.node {
            bytes = bytes.saturating_add(size_bytes);
        }
        if bytes >= size.bytes || position + 1 - start >= size.entries {
            batches.push(start..position + 1);
            (start, bytes) = (position + 1, 0);
        }
    }
    if start < entries.len() {
        batches.push(start..entries.len());
    }
    batches
}
