//! Bytes that are somebody's secret, for as long as they are needed. Handed out by whatever opens a sealed or wrapped value.

use std::fmt;

use zeroize::Zeroizing;

/// Secret bytes. They are overwritten when they are dropped, and no log shows them.
///
/// What was copied out of it, and what a compiler left on a stack, is beyond its reach.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Those bytes, from now on a secret.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes. Who asks says why they are needed in clear.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_a_log_shows_nothing() {
        let secret = Secret::new(b"hunter2".to_vec());
        assert_eq!(format!("{:?}", Some(&secret)), "Some(Secret(..))");
        assert_eq!(secret.expose(), b"hunter2");
    }
}
