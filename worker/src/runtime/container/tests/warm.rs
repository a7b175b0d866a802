//! Warm containers against a real engine: everything that holds for cold ones, and what is theirs alone.

/// A pool with its owner.
mod pool;
/// Owners that are killed or frozen.
mod lost;
/// To whom they are handed.
mod serving;
/// Networks that they join one after the other.
mod networks;

use super::super::super::suite;

suite::cases!(pool::Suite::new("suite over warm containers").await);
