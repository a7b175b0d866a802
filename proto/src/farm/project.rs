//! What of a project's configuration decides when and where its builds run. The rest of it is for the worker.

use serde::{Deserialize, Serialize};

/// How many priorities there are.
pub const PRIORITIES: usize = 5;

/// The largest weight: a hundred times the share of the smallest is as far as fairness is worth the word.
pub const WEIGHT_MAX: u32 = 100;

/// Which builds of a pool go first: all of a higher priority before any of a lower one, but for the starvation bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(u8);

impl Priority {
    /// What a build has that says nothing.
    pub const NORMAL: Self = Self(2);

    /// From 0, the lowest.
    ///
    /// # Errors
    /// When there is no such priority.
    pub fn new(number: u8) -> Result<Self, String> {
        if usize::from(number) < PRIORITIES {
            return Ok(Self(number));
        }
        Err(format!(
            "priority {number}: they go from 0 to {}",
            PRIORITIES - 1
        ))
    }

    /// From 0, the lowest.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::NORMAL
    }
}

impl TryFrom<u8> for Priority {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        Self::new(number)
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> Self {
        priority.0
    }
}

/// A project's share of a pool beside the others that wait in it, from 1 to [`WEIGHT_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Weight(u32);

impl Weight {
    /// The weight of that number.
    ///
    /// # Errors
    /// When it is 0 or above [`WEIGHT_MAX`].
    pub fn new(number: u32) -> Result<Self, String> {
        if (1..=WEIGHT_MAX).contains(&number) {
            return Ok(Self(number));
        }
        Err(format!(
            "weight {number}: weights go from 1 to {WEIGHT_MAX}"
        ))
    }

    /// At least 1.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(10)
    }
}

impl TryFrom<u32> for Weight {
    type Error = String;

    fn try_from(number: u32) -> Result<Self, String> {
        Self::new(number)
    }
}

impl From<Weight> for u32 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}

/// What happens to a build that a limit on concurrent ones stands against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConcurrencyMode {
    /// It is refused, as AWS does with `concurrentBuildLimit`.
    #[default]
    Reject,
    /// It waits.
    Queue,
}

/// How many builds may be there at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Concurrency {
    /// At least 1.
    pub limit: u32,
    /// What happens beyond it.
    #[serde(default)]
    pub mode: ConcurrencyMode,
    /// Projects that name the same group share one limit, the smallest of theirs; absent, the project has its own. Groups
    /// only queue.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub group: Option<String>,
}

/// When and where a project's builds run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProjectRules {
    /// The pool of workers.
    pub pool: String,
    /// Of its builds, unless one says otherwise.
    #[serde(default)]
    pub priority: Priority,
    /// Beside other projects.
    #[serde(default)]
    pub weight: Weight,
    /// AWS's `concurrentBuildLimit`, or the like; absent, there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub concurrency: Option<Concurrency>,
    /// AWS's `queuedTimeoutInMinutes`: 5 to 480.
    pub queued_timeout_in_minutes: u32,
    /// How often a build that failed is started again by itself, as AWS's `autoRetryLimit`; 0 for never.
    #[serde(default)]
    pub auto_retry_limit: u32,
    /// How often a build is started whose worker was lost. One that takes every worker with it must end one day.
    pub attempts_max: u32,
}
