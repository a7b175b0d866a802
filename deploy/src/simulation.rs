//! Simulated releases, good and bad, for tests and benchmarks alone. Takes scenarios and seeds; hands back when Croft's detectors
//! and the rules of others would have taken each release back.
//!
//! It stands in this room, behind a feature, so that the tests beside the detectors and the benchmarks run the same code; no
//! program that is shipped switches the feature on.

/// Chance that can be repeated.
mod random;
/// Requests and what becomes of them.
mod traffic;
/// All of Croft's detectors, armed.
mod armed;
/// The rules of others.
mod competitors;
/// One release from its first request to the end of its bake.
mod release;
/// Many releases, and what must be reached.
mod table;
/// The same in words.
pub mod report;

pub use competitors::COMPETITORS;
pub use release::{Found, History, Outcome, Scenario, simulate};
pub use table::{Cell, Row, Tally, bound_upper, clean_cells, detection_rows, further_rows, tally};
pub use traffic::{BURST_MS, Badness, Falls};
