//! Whether a release is a good one. Takes what is measured of a canary and of what it replaces; hands one decision to the
//! deployment's engine, with the evidence for it.
//!
//! Five detectors that know nothing of each other, and one function that weighs what they say.

/// What counters counted, from raw samples.
mod counter;
/// Slow requests, from a histogram's buckets.
mod histogram;
/// What the hour before teaches about bursts.
mod history;
/// The bet against a clean release.
mod wealth;
/// The sequential canary test.
mod sequential;
/// Health, crash loops, requests that mostly fail.
mod guard;
/// Limits on the values of a query.
mod threshold;
/// What to do when a metric has no value.
mod missing;
/// One decision out of all of it.
mod decide;
/// Why, for later.
mod evidence;
/// What could be found at today's traffic.
mod power;

pub use counter::{Counter, Counts, CountsFrom, NotACount, Together};
pub use decide::{Decision, Finding, Scope, Why, decide};
pub use evidence::{Evidence, Trigger, of_alarm, of_alert, of_guard, of_sequential, of_threshold};
pub use guard::{Check, Guard, GuardRules, Hit};
pub use histogram::{HistogramError, SlowerThan};
pub use history::{BLOCK_UNKNOWN_MS, BLOCKS_MIN, Errors, History, Learned, Lesson};
pub use missing::{Cause, Gap, Kind, Missing, OnTimeout, Policy};
pub use power::{Asked, seconds_to_convict, sentence};
pub use sequential::{Against, CURVE_POINTS_MAX, Point, Rules, Sequential, Suspicion};
pub use threshold::{Measured, Threshold, Watched};
