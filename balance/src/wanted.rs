//! How much each server should have, and has.

use std::collections::BTreeMap;

/// A full share: HAProxy's largest weight.
pub const WEIGHT_FULL: u32 = 256;

/// Weights by server, each from 0 (nothing new is sent there; what is there ends in its time) to [`WEIGHT_FULL`]. Servers that are not
/// named are left as they are.
pub type Wanted = BTreeMap<String, u32>;

/// A server as its balancer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it is sent, as in [`Wanted`]: 0 for one that is drained or in maintenance.
    pub weight: u32,
    /// Whether somebody has put it into maintenance: its state is that person's, and is left alone.
    pub is_maintained: bool,
    /// Whether the balancer's own checks of it succeed; none when it does not check.
    pub is_up: Option<bool>,
    /// Sessions that are open there now.
    pub sessions: u64,
}

/// What became of what was wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Servers that were told something. Empty when all was so already.
    pub changed: Vec<String>,
    /// Servers that the backend does not have. The others were told all the same.
    pub missing: Vec<String>,
    /// All the backend's servers, as they are now.
    pub seen: BTreeMap<String, Seen>,
}
