//! What a deployment that did not go well, and that nothing takes back, has left on its hosts, as it is shown. Made by whoever folds the ledger.

use serde::{Deserialize, Serialize};

/// Hosts by how they were left: of each kind at most [`super::WAIT_NAMES_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Left {
    /// They have all of its revision.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<String>,
    /// It failed on them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// It ended in the middle of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub between: Vec<String>,
    /// All of that for people.
    pub message: String,
    /// What to do.
    pub advice: String,
}
