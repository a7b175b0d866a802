//! The keys of pools. A pool's private key is made by a server, kept wrapped by the master key, and given to each worker of
//! the pool sealed to a key that worker made; it rotates when a worker is revoked.

use std::fmt;
use std::str::FromStr;

use hpke::{Deserializable as _, Kem as _, Serializable as _};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::{Kem, PrivateKey, PublicKey, Sealed, open, seal};
use crate::{CloseError, MasterKey, NoRandom, OpenError, Secret, Wrapped, hex, random_bytes};

/// A private key: of a pool, or of a worker that is to be given one. Its bytes have no way out but wrapped or sealed.
pub struct PoolKey {
    private: PrivateKey,
    public: PoolPublic,
}

/// A public key, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolPublic([u8; 32]);

/// A text that is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pool's public key has to be 64 lower-case hexadecimal digits")]
pub struct BadPoolKey;

impl PoolKey {
    /// A new key.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn generate() -> Result<Self, NoRandom> {
        let drawn: Zeroizing<[u8; 32]> = Zeroizing::new(random_bytes()?);
        let (private, _public) = Kem::derive_keypair(&drawn[..]);
        Ok(Self::of(private))
    }

    fn of(private: PrivateKey) -> Self {
        let public = Kem::sk_to_pk(&private).to_bytes();
        Self {
            private,
            public: PoolPublic(public.into()),
        }
    }

    /// The public half, which others seal to.
    #[must_use]
    pub fn public(&self) -> PoolPublic {
        self.public
    }

    /// This key as the farm keeps it.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn wrap(&self, master: &MasterKey, context: &[&str]) -> Result<Wrapped, CloseError> {
        master.wrap(context, &self.bytes()[..])
    }

    /// The key that was wrapped for that place.
    ///
    /// # Errors
    /// When the master key, the place or any bit is another, or what was wrapped is no key.
    pub fn unwrapped(
        master: &MasterKey,
        context: &[&str],
        wrapped: &Wrapped,
    ) -> Result<Self, OpenError> {
        Self::of_secret(&master.unwrapped(context, wrapped)?)
    }

    /// This key as a worker is given it.
    ///
    /// # Errors
    /// When the worker's key is one that hides nothing, or there are no random bytes.
    pub fn seal_to(&self, worker: &PoolPublic, context: &[&str]) -> Result<Sealed, CloseError> {
        seal(worker, context, &self.bytes()[..])
    }

    /// The key a worker was given.
    ///
    /// # Errors
    /// When the worker's key, the place or any bit is another, or what was sealed is no key.
    pub fn opened(worker: &Self, context: &[&str], sealed: &Sealed) -> Result<Self, OpenError> {
        Self::of_secret(&open(worker, context, sealed)?)
    }

    fn of_secret(secret: &Secret) -> Result<Self, OpenError> {
        match PrivateKey::from_bytes(secret.expose()) {
            Ok(private) => Ok(Self::of(private)),
            Err(_other_length) => Err(OpenError),
        }
    }

    fn bytes(&self) -> Zeroizing<[u8; 32]> {
        let mut bytes = Zeroizing::new([0; 32]);
        self.private.write_exact(&mut bytes[..]);
        bytes
    }

    pub(super) const fn key(&self) -> &PrivateKey {
        &self.private
    }
}

impl PoolPublic {
    pub(super) fn key(&self) -> PublicKey {
        PublicKey::from_bytes(&self.0).expect("32 bytes are an X25519 public key")
    }
}

impl FromStr for PoolPublic {
    type Err = BadPoolKey;

    fn from_str(text: &str) -> Result<Self, BadPoolKey> {
        hex::decode(text).map(Self).ok_or(BadPoolKey)
    }
}

impl fmt::Display for PoolPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for PoolPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for PoolPublic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PoolPublic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

impl fmt::Debug for PoolKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The private half has no place in a log.
        f.debug_struct("PoolKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}
