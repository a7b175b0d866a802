//! What is said of a lifecycle event's script, and what a deployment may do to files it finds.

use serde::{Deserialize, Serialize};

use super::PrintedUntil;

/// Why an event on a host failed, in AWS's words.
///
/// **Source.** CodeDeploy's API, `LifecycleErrorCode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ScriptErrorCode {
    /// It did not.
    Success,
    /// The revision has no such script.
    ScriptMissing,
    /// It cannot be executed.
    ScriptNotExecutable,
    /// It did not end in its time.
    ScriptTimedOut,
    /// It ended with another exit code than 0.
    ScriptFailed,
    /// Anything else: the message says what.
    UnknownError,
}

/// What is known of an event that has ended.
///
/// **Shape.** As AWS's `Diagnostics`. `log_tail` is the end of what the event's scripts printed, at most 4 KiB, whole lines.
/// `script_from_deployment` and `printed` are ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostics {
    /// Whether and how it failed.
    pub error_code: ScriptErrorCode,
    /// The script as its AppSpec file names it; empty when it was none.
    #[serde(default)]
    pub script_name: String,
    /// One sentence for people.
    #[serde(default)]
    pub message: String,
    /// The end of what was printed.
    #[serde(default)]
    pub log_tail: String,
    /// The deployment that brought the revision whose script it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script_from_deployment: Option<String>,
    /// What the host had printed in the deployment by then, where the farm had not got all of it: who follows is told what is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub printed: Option<PrintedUntil>,
}

/// What an installation does with a file that is where one of its own goes, and that no earlier deployment of its group put there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FileExistsBehavior {
    /// The event fails.
    #[default]
    Disallow,
    /// The file is replaced.
    Overwrite,
    /// The file stays, and is not the deployment's.
    Retain,
}
