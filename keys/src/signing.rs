//! Signing what is kept, and checking who signed it. Received from the cache's records; keys come from a file of this
//! machine. Ed25519 (RFC 8032) by `ring`.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ring::pkcs8;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::key_file::{self, FileFault};
use crate::{Secret, hex};

/// Why a signing key cannot be used. The owner of the file can mend each.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error("failed to {action} the key file {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Somebody else on this machine may read or write the file, so that its signatures prove nothing.
    #[error(
        "the key file {} is open to others (mode {mode:04o}); run `chmod 600` on it if nobody has used that, else remove it",
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds no key. It is left as it is.
    #[error("the key file {} is not an Ed25519 private key in PKCS#8 (DER): {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system gave no random bytes.
    #[error("the system gives no random bytes to make a key from")]
    NoRandom,
}

impl KeyError {
    fn of_file(path: &Path, fault: FileFault) -> Self {
        let path = path.into();
        match fault {
            FileFault::System(action, source) => Self::File {
                action,
                path,
                source,
            },
            FileFault::Open(mode) => Self::Open { path, mode },
            FileFault::Malformed(reason) => Self::Malformed {
                path,
                reason: reason.into(),
            },
            FileFault::NoRandom => Self::NoRandom,
        }
    }
}

/// A signature does not fit the bytes, the context or the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not that of these bytes by this key")]
pub struct BadSignature;

/// What a signature is about, so that one made for one purpose is worth nothing for another.
///
/// **Shape.** Text without a NUL, which is what separates it from the bytes that are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context(&'static str);

impl Context {
    /// The purpose of that name.
    ///
    /// # Panics
    /// When the name has a NUL in it; in a constant, the program does not compile.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            assert!(bytes[at] != 0, "a context has no NUL in it");
            at += 1;
        }
        Self(name)
    }

    /// `context || 0x00 || bytes`: no two pairs of context and bytes are the same message.
    fn message(self, bytes: &[u8]) -> Vec<u8> {
        [self.0.as_bytes(), &[0], bytes].concat()
    }
}

/// A public key, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 32]);

/// A signature, written as 128 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

/// A private key, ready to sign.
pub struct Signer {
    pair: Ed25519KeyPair,
    key_id: KeyId,
}

impl Signer {
    /// The key in that file, which is made on first use: mode 0600, whole or not at all, in a folder that is
    /// made too. Of several processes that make it at once, all get the same key.
    ///
    /// # Errors
    /// [`KeyError::Open`] when others may read the file, [`KeyError::Malformed`] when it is no key (it is never
    /// overwritten), [`KeyError::File`] when it cannot be read or made.
    pub fn open_or_make(path: &Path) -> Result<Self, KeyError> {
        let failed = |fault| KeyError::of_file(path, fault);
        if let Some(pkcs8) = key_file::read(path).map_err(failed)? {
            return Self::parse(path, &pkcs8);
        }
        key_file::make(path, &fresh()?).map_err(failed)?;
        // Read again: another process may have been first, and then its key is the one that counts.
        match key_file::read(path).map_err(failed)? {
            Some(pkcs8) => Self::parse(path, &pkcs8),
            None => Err(KeyError::File {
                action: "find again",
                path: path.into(),
                source: io::ErrorKind::NotFound.into(),
            }),
        }
    }

    /// A key that is gone with this process, for stores in memory and for tests.
    ///
    /// # Errors
    /// [`KeyError::NoRandom`] when the operating system gives no random bytes.
    pub fn of_this_process() -> Result<Self, KeyError> {
        Self::parse(Path::new("(in memory)"), fresh()?.as_ref())
    }

    /// The key of that seed, as [`MasterKey::signing_seed`](crate::MasterKey::signing_seed) gives it; none of other than 32 bytes.
    #[must_use]
    pub fn of_seed(seed: &Secret) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose()).ok()?;
        let public = pair.public_key().as_ref().try_into();
        let key_id = KeyId(public.expect("an Ed25519 public key has 32 bytes"));
        Some(Self { pair, key_id })
    }

    fn parse(path: &Path, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let malformed = |reason: String| KeyError::Malformed {
            path: path.into(),
            reason,
        };
        // OpenSSL leaves the public key out of its files; where it is present, it is checked.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8)
            .map_err(|error| malformed(error.to_string()))?;
        let public = pair.public_key().as_ref().try_into();
        let key_id = KeyId(public.expect("an Ed25519 public key has 32 bytes"));
        Ok(Self { pair, key_id })
    }

    /// The public half, by which others know this key.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The signature of those bytes for that purpose. The same bytes have the same signature each time.
    #[must_use]
    pub fn sign(&self, context: Context, bytes: &[u8]) -> Signature {
        let signature = self.pair.sign(&context.message(bytes));
        Signature(
            signature
                .as_ref()
                .try_into()
                .expect("an Ed25519 signature has 64 bytes"),
        )
    }
}

fn fresh() -> Result<pkcs8::Document, KeyError> {
    match Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()) {
        Ok(pkcs8) => Ok(pkcs8),
        Err(ring::error::Unspecified) => Err(KeyError::NoRandom),
    }
}

impl KeyId {
    /// The key written as `text`, or none when it is not exactly 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        hex::decode(text).map(Self)
    }

    /// Passes when this key signed those bytes for that purpose.
    ///
    /// # Errors
    /// [`BadSignature`] when anything at all differs.
    pub fn verify(
        &self,
        context: Context,
        bytes: &[u8],
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        let key = UnparsedPublicKey::new(&ED25519, &self.0);
        match key.verify(&context.message(bytes), &signature.0) {
            Ok(()) => Ok(()),
            Err(ring::error::Unspecified) => Err(BadSignature),
        }
    }
}

impl Signature {
    /// The signature written as `text`, or none when it is not exactly 128 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        hex::decode(text).map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The private half has no place in a log.
        f.debug_struct("Signer")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
