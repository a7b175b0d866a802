//! Names of builds, pools, workers, deployments and hosts. Made where an id is read; parts of a broker's subjects.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest name in bytes: with every byte escaped it is a fifth of what a broker takes as one protocol line (4 KiB).
pub const NAME_BYTES_MAX: usize = 255;

/// Longest name of a pool in bytes: escaped, it is the name of a broker's consumer, which has 255 bytes at most.
pub const POOL_BYTES_MAX: usize = 80;

/// Why a text is no name. Whoever made it can fix that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {size_bytes_max} bytes, and this one has {size_bytes}")]
pub struct NameError {
    /// How many such a name has at most.
    pub size_bytes_max: usize,
    /// How many it has.
    pub size_bytes: usize,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $max:ident) => {
        $(#[$doc])*
        ///
        #[doc = concat!("**Shape.** 1 to [`", stringify!($max), "`] bytes of any text.")]
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                let size_bytes = text.len();
                if (1..=$max).contains(&size_bytes) {
                    return Ok(Self(text));
                }
                Err(NameError {
                    size_bytes_max: $max,
                    size_bytes,
                })
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                text.to_owned().try_into()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

name! {
    /// A build's id.
    Build, NAME_BYTES_MAX
}
name! {
    /// A pool of workers; hints wait per pool.
    Pool, POOL_BYTES_MAX
}
name! {
    /// A worker's name.
    Worker, NAME_BYTES_MAX
}
name! {
    /// A deployment's id.
    Deployment, NAME_BYTES_MAX
}
name! {
    /// The name of a host that is deployed to.
    Host, NAME_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_neither_empty_nor_endless() {
        assert!("".parse::<Build>().is_err());
        assert!("x".repeat(POOL_BYTES_MAX).parse::<Pool>().is_ok());
        let error = "x"
            .repeat(NAME_BYTES_MAX + 1)
            .parse::<Worker>()
            .unwrap_err();
        assert_eq!(error.size_bytes, NAME_BYTES_MAX + 1);
    }
}
