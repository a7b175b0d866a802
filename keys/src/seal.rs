//! Sealing secrets to a pool, so that they rest nowhere in clear: whoever has the public key can seal, only the pool's
//! workers can open. Received from the API (a secret somebody sets); opened on a worker, when a build asks for it.
//!
//! HPKE (RFC 9180) in its base mode, with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and ChaCha20-Poly1305, by the crate
//! `hpke`; nothing of it is made here. Where a value belongs (`["secret", name, version]`) is authenticated with it, so that
//! a sealed value that was moved to another name does not open there.
//!
//! What sealing does not say is *who* sealed: anybody with the public key can. That is the ledger's and the audit chain's to
//! tell.

/// The keys of pools.
mod pool;

pub use pool::{BadPoolKey, PoolKey, PoolPublic};

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable as _, HpkeError, Kem as KemTrait, OpModeR, OpModeS, Serializable as _};
use std::convert::Infallible;
use zeroize::Zeroizing;

use crate::closed::{check_length, closed_value};
use crate::framed::frame;
use crate::{CloseError, NoRandom, OpenError, Secret, random_bytes};

/// Bytes of a secret. In digits, and with what is around it, it has to fit into an event of the ledger (64 KiB); AWS's
/// parameters have 8 KiB at most.
pub const SECRET_BYTES_MAX: usize = 24 * 1024;

/// What sets this use of a pool's key apart from any other. Who changes what is sealed, or how, changes this, too.
const INFO: &[u8] = b"croft 2026-11-28 sealed value v1";

/// Bytes of the key that was made for one sealing; they come before the ciphertext and its tag.
const ENCAPSULATED_BYTES: usize = 32;

type Kem = X25519HkdfSha256;
type PrivateKey = <Kem as KemTrait>::PrivateKey;
type PublicKey = <Kem as KemTrait>::PublicKey;
type EncappedKey = <Kem as KemTrait>::EncappedKey;

closed_value! {
    /// A secret that opens with the private key of the pool it was sealed to, in the place it was sealed for.
    ///
    /// **Shape.** `sealed-v1:`, and in digits an encapsulated key of 32 bytes, as many bytes as the secret has, and a tag of
    /// 16.
    Sealed, "sealed-v1"
}

/// The secret, sealed to that pool for that place and no other.
///
/// # Errors
/// When it is too long, the key is one that hides nothing, or there are no random bytes.
pub fn seal(to: &PoolPublic, context: &[&str], plaintext: &[u8]) -> Result<Sealed, CloseError> {
    check_length(plaintext)?;
    let mut drawn = Drawn::new()?;
    let (encapsulated, closed) =
        hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeS::Base,
            &to.key(),
            INFO,
            plaintext,
            &place(context),
            &mut drawn,
        )
        .map_err(|_error: HpkeError| CloseError::WeakKey)?;
    Ok(Sealed([&encapsulated.to_bytes()[..], &closed].concat()))
}

/// What was sealed to that key for that place.
///
/// # Errors
/// When the key, the place or any bit is another.
pub fn open(with: &PoolKey, context: &[&str], sealed: &Sealed) -> Result<Secret, OpenError> {
    let (encapsulated, closed) = sealed
        .0
        .split_at_checked(ENCAPSULATED_BYTES)
        .ok_or(OpenError)?;
    open_parts(with.key(), encapsulated, INFO, &place(context), closed)
        .map(Secret::new)
        .map_err(|_error: HpkeError| OpenError)
}

/// RFC 9180's `Open` in base mode.
fn open_parts(
    key: &PrivateKey,
    encapsulated: &[u8],
    info: &[u8],
    aad: &[u8],
    closed: &[u8],
) -> Result<Vec<u8>, HpkeError> {
    hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, Kem>(
        &OpModeR::Base,
        key,
        &EncappedKey::from_bytes(encapsulated)?,
        info,
        closed,
        aad,
    )
}

fn place(context: &[&str]) -> Vec<u8> {
    frame(context.iter().map(|part| part.as_bytes()))
}

/// The random bytes of one sealing, drawn before it starts: `hpke` knows no way to say that there are none.
struct Drawn(Option<Zeroizing<[u8; 32]>>);

impl Drawn {
    fn new() -> Result<Self, NoRandom> {
        Ok(Self(Some(Zeroizing::new(random_bytes()?))))
    }
}

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("a key is drawn as bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("a key is drawn as bytes")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        let drawn = self.0.take().expect("one key is drawn for a sealing");
        bytes.copy_from_slice(&drawn[..]);
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}

#[cfg(test)]
mod tests;
