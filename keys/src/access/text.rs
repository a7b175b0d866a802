//! The text of a token, its name and its hash. Made when a token is granted; read from what a client sent.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Access, AccessRecord};
use crate::{NoRandom, hex, random_bytes};

/// What every token starts with, so that people and scanners of secrets know one where they see it.
const START: &str = "croft_";

/// The name of a token, which may be shown, listed and logged.
///
/// **Shape.** 12 lower-case hexadecimal digits. 48 random bits: a farm that grants a million tokens makes a name twice with
/// a chance of one in five hundred, and then the second grant is refused, or replaces the first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId([u8; 6]);

/// The BLAKE3 hash of a token's whole text, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash([u8; 32]);

/// A text that is no name or hash of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has to be {digits} lower-case hexadecimal digits")]
pub struct BadTokenText {
    digits: usize,
}

/// A new token: for its holder, and for the farm.
#[derive(Clone, PartialEq, Eq)]
pub struct NewAccessToken {
    /// By which it is listed and taken back.
    pub id: TokenId,
    /// What the holder keeps secret: `croft_<id>_<64 hex digits>`. It cannot be had again.
    pub token: String,
    /// What the farm keeps.
    pub hash: TokenHash,
}

/// A token that nobody has yet. It opens nothing before its record is in a table.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn new_access_token() -> Result<NewAccessToken, NoRandom> {
    let id = TokenId(random_bytes()?);
    let secret: [u8; 32] = random_bytes()?;
    let token = format!("{START}{id}_{}", hex::encode(&secret));
    let hash = TokenHash::of(&token);
    Ok(NewAccessToken { id, token, hash })
}

impl NewAccessToken {
    /// What the farm keeps of it: everything but the token.
    ///
    /// **Units.** Milliseconds since the Unix epoch.
    #[must_use]
    pub fn record(
        &self,
        name: impl Into<String>,
        access: Access,
        created: u64,
        expires: Option<u64>,
    ) -> AccessRecord {
        AccessRecord {
            id: self.id,
            name: name.into(),
            access,
            hash: self.hash,
            created,
            expires,
        }
    }
}

/// The name and the hash of what a client sent; none when it is not of a token's form (a password somebody made up could be
/// guessed from its hash).
pub(super) fn read(token: &str) -> Option<(TokenId, TokenHash)> {
    let (id, secret) = token.strip_prefix(START)?.split_once('_')?;
    let id = hex::decode(id).map(TokenId)?;
    let _secret: [u8; 32] = hex::decode(secret)?;
    Some((id, TokenHash::of(token)))
}

impl TokenHash {
    fn of(token: &str) -> Self {
        Self(*blake3::hash(token.as_bytes()).as_bytes())
    }
}

/// Both are digits in text, in JSON and in a log.
macro_rules! in_digits {
    ($name:ident, $digits:literal) => {
        impl FromStr for $name {
            type Err = BadTokenText;

            fn from_str(text: &str) -> Result<Self, BadTokenText> {
                let bytes = hex::decode(text).map(Self);
                bytes.ok_or(BadTokenText { digits: $digits })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(D::Error::custom)
            }
        }
    };
}

in_digits!(TokenId, 12);
in_digits!(TokenHash, 64);

impl fmt::Debug for NewAccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The token itself has no place in a log.
        f.debug_struct("NewAccessToken")
            .field("id", &self.id)
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_token_is_its_name_and_a_secret_that_nothing_else_shows() {
        let made = new_access_token().unwrap();
        let parts: Vec<&str> = made.token.split('_').collect();
        assert_eq!(parts[..2], ["croft", &made.id.to_string()]);
        assert_eq!((parts[1].len(), parts[2].len()), (12, 64));
        assert_eq!(read(&made.token), Some((made.id, made.hash)));
        assert!(!format!("{made:?}").contains(parts[2]));
        let other = new_access_token().unwrap();
        assert!(made.id != other.id && made.hash != other.hash);
    }

    #[test]
    fn names_and_hashes_are_read_back_from_their_own_text_only() {
        let made = new_access_token().unwrap();
        assert_eq!(made.id.to_string().parse(), Ok(made.id));
        assert_eq!(made.hash.to_string().parse(), Ok(made.hash));
        for text in ["", "0123456789AB", "0123456789a", "0123456789ab ", "xyz"] {
            assert!(text.parse::<TokenId>().is_err(), "{text:?}");
        }
        assert!(made.id.to_string().parse::<TokenHash>().is_err());
    }
}
