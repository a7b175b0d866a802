//! How a deployment's detectors stand, as it is shown. Made by the server that is asked; what it shows is its own view of now.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Requests, and the bad ones among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WatchedCounts {
    /// All.
    pub requests: f64,
    /// The bad ones.
    pub bad: f64,
}

/// A point of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WatchedPoint {
    /// When.
    pub at: Timestamp,
    /// The evidence.
    pub wealth: f64,
}

/// A canary metric's test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WatchedMetric {
    /// Its name.
    pub name: String,
    /// Whom it is compared with: `concurrent`, `history`, or `nothing` yet.
    pub against: String,
    /// What a stake of 1 has become.
    pub wealth: f64,
    /// What it must become.
    pub decides_at: f64,
    /// What the new revision counted.
    pub canary: WatchedCounts,
    /// What the old one did.
    pub baseline: WatchedCounts,
    /// How the evidence went.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<WatchedPoint>,
}

/// An alarm or a threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WatchedQuery {
    /// Its name.
    pub name: String,
    /// `alarm` or `threshold`.
    pub kind: String,
    /// An alarm's, in AWS's words; of a threshold `OK`, or how many of the last values were outside.
    pub state: String,
    /// The last value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

/// How all of them stand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Watched {
    /// Why it does not go on, each in a sentence; empty while it may.
    pub holds: Vec<String>,
    /// Canary metrics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<WatchedMetric>,
    /// Thresholds and alarms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queries: Vec<WatchedQuery>,
    /// Up to when all was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_to: Option<Timestamp>,
}
