//! The id of a deployment. Drawn by whoever starts it; it is in every subject, command and folder of the deployment.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Characters after `d-`, as AWS's.
const LETTERS: usize = 9;

/// An id such as `d-A1B2C3D4E`.
///
/// **Shape.** `d-` and nine of `A-Z0-9`; a deployment without a server has `-local` after them, as `codedeploy-local` writes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeploymentId(String);

impl DeploymentId {
    /// The id that those bytes draw, each one character.
    #[must_use]
    pub fn drawn(bytes: [u8; LETTERS]) -> Self {
        const ALPHABET: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        let drawn = bytes
            .iter()
            .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
        Self("d-".chars().chain(drawn).collect())
    }

    /// The same, of a deployment without a server.
    #[must_use]
    pub fn local(self) -> Self {
        Self(format!("{}-local", self.0))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for DeploymentId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let drawn = text.strip_suffix("-local").unwrap_or(text);
        let is_id = drawn.strip_prefix("d-").is_some_and(|letters| {
            letters.len() == LETTERS
                && letters
                    .bytes()
                    .all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit())
        });
        if is_id {
            Ok(Self(text.to_string()))
        } else {
            Err(format!(
                "`{text}` is no deployment's id: those look like d-A1B2C3D4E"
            ))
        }
    }
}

impl TryFrom<String> for DeploymentId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<DeploymentId> for String {
    fn from(id: DeploymentId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_id_is_read_back_and_what_is_none_is_refused() {
        let id = DeploymentId::drawn([0, 25, 26, 35, 36, 255, 7, 8, 9]);
        assert_eq!(id.as_str(), "d-AZ09ADHIJ");
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
        let local = id.local();
        assert_eq!(local.as_str().parse(), Ok(local.clone()));
        for wrong in ["d-AZ09ADHI", "d-az09adhij", "AZ09ADHIJ", "d-../../../x", ""] {
            assert!(wrong.parse::<DeploymentId>().is_err(), "{wrong}");
        }
    }
}
