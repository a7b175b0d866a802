//! YAML text to a tree that still knows where everything stood. Receives text from the readers of each file kind, hands
//! them nodes; nothing above this module knows which parser is beneath.
//!
//! A scalar keeps its text as written (`1.10`, `010`, `yes`): what it means is decided by who asks. Anchors, aliases and
//! `<<` are resolved here, and everything is bounded by the constants below.

/// The tree.
mod node;
/// Parser events to the tree.
mod compose;
/// Keys: duplicates and `<<`.
mod entries;
/// What the parser's complaints mean.
mod explain;
/// Reading on after a syntax error.
mod recover;

pub(crate) use explain::quote;
pub(crate) use node::{Entry, Kind, Node, Scalar};
pub(crate) use recover::{Gaps, read};

/// Values in a file, with every alias counted as what it stands for. The largest public buildspecs have a few hundred;
/// this stops an alias bomb within milliseconds.
pub(crate) const NODES_MAX: usize = 100_000;

/// Bytes of a text that count as one more value: what is read of a text is copied, once for each alias of it.
pub(crate) const TEXT_BYTES_PER_VALUE: usize = 64;

/// Levels of maps and lists inside each other. A buildspec needs seven; recursion is safe far above this.
pub(crate) const DEPTH_MAX: usize = 48;
