//! The service on a real socket, over the pool in memory and over pools that fail.

/// A service and its client.
mod served;
/// What is stored is found again, and is what it should be.
mod entries;
/// Results of actions and what they name.
mod results;
/// Who may do what, and where.
mod access;
/// Too much, too slow, too odd.
mod bounds;
/// Pools that fail.
mod trouble;
/// The same over the cache's own store.
mod stored;
