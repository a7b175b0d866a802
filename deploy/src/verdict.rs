//! Whether a release is a good one. Takes what is measured of a canary and of what it replaces; hands one decision to the
//! deployment's engine, with the evidence for it.
//!
//! Five detectors that know nothing of each other, and one function that weighs what they say.

/// What counters counted, from raw samples.
mod counter;
/// What the hour before teaches about bursts.
mod history;
/// The bet against a clean release.
mod wealth;
/// The sequential canary test.
mod sequential;

pub use counter::{Counter, Counts, CountsFrom, NotACount, Together};
pub use history::{BLOCK_UNKNOWN_MS, BLOCKS_MIN, Errors, History, Learned, Lesson};
pub use sequential::{Against, CURVE_POINTS_MAX, Point, Rules, Sequential, Suspicion};
