//! What a role includes. Received with a token's record; asked for every request.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the holder of a token is to the farm.
///
/// **Shape.** `viewer`, `builder`, `deployer`, `admin` or `worker`, in JSON and in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AccessRole {
    /// Sees everything that is no secret, and changes nothing.
    Viewer,
    /// Starts and stops builds, too.
    Builder,
    /// Sees, deploys and takes back; starts no builds.
    Deployer,
    /// Does what any of these may, and grants tokens, changes projects and keeps secrets.
    Admin,
    /// Is a machine that runs builds: it takes work and reports on it, and sees nothing else. No person has this role, not
    /// even an administrator, because the pool's key is handed to who has it.
    Worker,
}

/// A word that is no role. Whoever wrote it can mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the role is `viewer`, `builder`, `deployer`, `admin` or `worker`, not `{}`",
    .0.escape_debug()
)]
pub struct UnknownRole(String);

impl AccessRole {
    /// Every role there is.
    pub const ALL: [Self; 5] = [
        Self::Viewer,
        Self::Builder,
        Self::Deployer,
        Self::Admin,
        Self::Worker,
    ];

    /// True when who has this role may do what needs that one.
    #[must_use]
    pub const fn allows(self, needed: Self) -> bool {
        match self {
            Self::Viewer => matches!(needed, Self::Viewer),
            Self::Builder => matches!(needed, Self::Viewer | Self::Builder),
            Self::Deployer => matches!(needed, Self::Viewer | Self::Deployer),
            Self::Admin => !matches!(needed, Self::Worker),
            Self::Worker => matches!(needed, Self::Worker),
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Builder => "builder",
            Self::Deployer => "deployer",
            Self::Admin => "admin",
            Self::Worker => "worker",
        }
    }
}

impl FromStr for AccessRole {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let found = Self::ALL.into_iter().find(|role| role.word() == text);
        // Enough of it to know it again.
        found.ok_or_else(|| UnknownRole(text.chars().take(32).collect()))
    }
}

impl fmt::Display for AccessRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_allows_what_the_table_says_and_nothing_else() {
        // Rows: who has it. Columns: what is needed, in the same order.
        let table = [
            (AccessRole::Viewer, [true, false, false, false, false]),
            (AccessRole::Builder, [true, true, false, false, false]),
            (AccessRole::Deployer, [true, false, true, false, false]),
            (AccessRole::Admin, [true, true, true, true, false]),
            (AccessRole::Worker, [false, false, false, false, true]),
        ];
        for ((has, row), listed) in table.into_iter().zip(AccessRole::ALL) {
            assert_eq!(has, listed);
            for (needed, expected) in AccessRole::ALL.into_iter().zip(row) {
                assert_eq!(has.allows(needed), expected, "{has} for {needed}");
            }
        }
    }

    #[test]
    fn a_role_has_one_word_in_text_and_json() {
        for role in AccessRole::ALL {
            let word = role.to_string();
            assert_eq!(word.parse(), Ok(role));
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{word}\""));
        }
        for text in ["", "Viewer", "admin ", "root", "reader"] {
            let error = text.parse::<AccessRole>().unwrap_err().to_string();
            assert!(error.ends_with(&format!("not `{text}`")), "{error}");
        }
    }
}
