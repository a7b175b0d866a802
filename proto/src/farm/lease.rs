//! How long an attempt may be silent, and what follows from that for both sides.

use serde::{Deserialize, Serialize};

/// A lease: all of a farm must have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    ms: u64,
}

impl Lease {
    /// Shorter ones would call a machine lost that only pages.
    pub const MS_MIN: u64 = 1_000;
    /// Longer ones would leave a lost build lying for longer than people wait.
    pub const MS_MAX: u64 = 600_000;

    /// One of that many milliseconds.
    ///
    /// # Errors
    /// When it is too short or too long.
    pub fn new(ms: u64) -> Result<Self, String> {
        if (Self::MS_MIN..=Self::MS_MAX).contains(&ms) {
            return Ok(Self { ms });
        }
        Err(format!(
            "a lease of {ms} ms: {} to {} are possible",
            Self::MS_MIN,
            Self::MS_MAX
        ))
    }

    /// A server that has been connected throughout and has heard nothing for longer calls the attempt lost.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.ms
    }

    /// How often a worker renews: five times a lease, so that four renewals may be lost.
    #[must_use]
    pub const fn renew_ms(self) -> u64 {
        self.ms / 5
    }

    /// A worker whose last acknowledged renewal was sent so long ago kills its build: before anybody starts it elsewhere.
    #[must_use]
    pub const fn kill_ms(self) -> u64 {
        self.ms - self.ms / 15
    }
}

impl Default for Lease {
    fn default() -> Self {
        Self { ms: 15_000 }
    }
}
