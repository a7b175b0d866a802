//! Bytes nobody can guess, from the operating system. Handed to whoever needs a name or secret that is used once.

use ring::rand::{SecureRandom as _, SystemRandom};

/// The operating system gave no random bytes; nothing can be done without them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoRandom;

/// `N` random bytes.
///
/// # Errors
/// [`NoRandom`] when the operating system has none to give.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut bytes = [0; N];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(ring::error::Unspecified) => Err(NoRandom),
    }
}
