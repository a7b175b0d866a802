//! Warm containers against a real engine: everything that holds for cold ones, and what is theirs alone.

/// A pool with its owner.
mod pool;
/// Owners that are killed or frozen.
mod lost;
/// To whom they are handed.
mod serving;

use super::super::super::suite;

suite::cases!(pool::Suite::new("suite over warm containers").await);
