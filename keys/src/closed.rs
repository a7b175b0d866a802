//! The text of closed values: sealed and wrapped ones. Written where one is made; read where a record names one.
//!
//! **Shape.** A word with a version, a colon, and the bytes in lower-case hexadecimal digits: `sealed-v1:00ff...`. A value of
//! a later version is refused by its word, not taken for a damaged one.

use crate::hex;

/// Bytes of a closed value: a plaintext of [`crate::SECRET_BYTES_MAX`] with all that is added to it.
pub(crate) const CLOSED_BYTES_MAX: usize = crate::SECRET_BYTES_MAX + 128;

/// A text that is no sealed or wrapped value of a version this program knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no value of the form `{word}:<lower-case hexadecimal digits>`")]
pub struct BadClosed {
    pub(crate) word: &'static str,
}

/// The value did not open: it was changed, belongs elsewhere, or is for another key. Which of these is not known, and a
/// sender should not learn it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value does not open with this key in this place")]
pub struct OpenError;

/// Why a value cannot be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// It is too long. Its owner can keep it elsewhere, and a key to it here.
    #[error(
        "the secret has {bytes} bytes, {} are allowed",
        crate::SECRET_BYTES_MAX
    )]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// The public key is one of the few that make every secret known (RFC 7748, section 6.1). Nobody makes it by chance.
    #[error("the public key hides nothing")]
    WeakKey,
    /// The operating system gave no random bytes.
    #[error("the system gives no random bytes to seal with")]
    NoRandom,
}

impl From<crate::NoRandom> for CloseError {
    fn from(crate::NoRandom: crate::NoRandom) -> Self {
        Self::NoRandom
    }
}

/// Passes when the secret is not too long.
pub(crate) const fn check_length(plaintext: &[u8]) -> Result<(), CloseError> {
    let bytes = plaintext.len();
    if bytes > crate::SECRET_BYTES_MAX {
        return Err(CloseError::TooLong { bytes });
    }
    Ok(())
}

/// The bytes of a value with that word.
pub(crate) fn read(word: &'static str, text: &str) -> Result<Vec<u8>, BadClosed> {
    let digits = text
        .strip_prefix(word)
        .and_then(|rest| rest.strip_prefix(':'));
    digits
        .filter(|digits| digits.len() <= 2 * CLOSED_BYTES_MAX)
        .and_then(hex::decode_all)
        .ok_or(BadClosed { word })
}

/// A type of closed values: bytes behind a word, the same in text, in JSON and in a log (they are no secret).
macro_rules! closed_value {
    ($(#[$doc:meta])* $name:ident, $word:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(Vec<u8>);

        impl ::std::str::FromStr for $name {
            type Err = crate::BadClosed;

            fn from_str(text: &str) -> Result<Self, crate::BadClosed> {
                crate::closed::read($word, text).map(Self)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                write!(f, "{}:{}", $word, crate::hex::encode(&self.0))
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                write!(f, "{}({} bytes)", stringify!($name), self.0.len())
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(::serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use closed_value;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_value_is_read_from_its_own_text_only() {
        assert_eq!(read("sealed-v1", "sealed-v1:00ff"), Ok(vec![0, 0xff]));
        assert_eq!(read("sealed-v1", "sealed-v1:"), Ok(Vec::new()));
        let long = format!("sealed-v1:{}", "00".repeat(CLOSED_BYTES_MAX + 1));
        let refused = [
            "",
            "00ff",
            "sealed-v1",
            "sealed-v100ff",
            "sealed-v2:00ff",
            "wrapped-v1:00ff",
            "sealed-v1:00f",
            "sealed-v1:00FF",
            "sealed-v1: 00ff",
            "sealed-v1:00ff\n",
            "sealed-v1:é",
            &long,
        ];
        for text in refused {
            let error = read("sealed-v1", text).unwrap_err();
            assert!(error.to_string().contains("`sealed-v1:<"), "{text}");
        }
        assert!(read("sealed-v1", &long[..long.len() - 2]).is_ok());
    }
}
