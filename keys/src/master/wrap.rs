//! Wrapping what only the master key's holder may have: the private keys of pools. Received in clear from whoever makes one;
//! handed on as text that may be kept in the ledger.
//!
//! ChaCha20-Poly1305 (RFC 8439) by `ring`, with a key derived from the master key for nothing else, and a random nonce. One
//! key takes 2^32 random nonces before two of them may meet (by the usual bound, a chance of 2^-32); a farm wraps a handful
//! of keys a year.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::MasterKey;
use crate::closed::{check_length, closed_value};
use crate::framed::frame;
use crate::{CloseError, OpenError, Secret, random_bytes};

/// For what the wrapping key is derived. Who changes how things are wrapped changes this, too.
const KEY_CONTEXT: &str = "croft 2026-11-28 master key wrapping v1";

/// Bytes of a nonce, which come before the ciphertext and its tag.
const NONCE_BYTES: usize = 12;

closed_value! {
    /// Bytes that open with the master key that wrapped them, in the place they were wrapped for.
    ///
    /// **Shape.** `wrapped-v1:`, and in digits a nonce of 12 bytes, as many bytes as were wrapped, and a tag of 16.
    Wrapped, "wrapped-v1"
}

impl MasterKey {
    /// The bytes, wrapped for that place and no other.
    ///
    /// # Errors
    /// When they are too many, or there are no random bytes.
    pub fn wrap(&self, context: &[&str], bytes: &[u8]) -> Result<Wrapped, CloseError> {
        check_length(bytes)?;
        let nonce: [u8; NONCE_BYTES] = random_bytes()?;
        let mut wrapped = nonce.to_vec();
        // In one piece, so that no copy of the bytes is left in clear where a growing buffer was.
        wrapped.reserve_exact(bytes.len() + CHACHA20_POLY1305.tag_len());
        wrapped.extend_from_slice(bytes);
        let tag = self
            .wrapping_key()
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                place(context),
                &mut wrapped[NONCE_BYTES..],
            )
            .expect("no secret is near the 2^38 bytes one nonce is good for");
        wrapped.extend_from_slice(tag.as_ref());
        Ok(Wrapped(wrapped))
    }

    /// What was wrapped with this key for that place.
    ///
    /// # Errors
    /// When the key, the place or any bit is another.
    pub fn unwrapped(&self, context: &[&str], wrapped: &Wrapped) -> Result<Secret, OpenError> {
        let (nonce, closed) = wrapped.0.split_first_chunk().ok_or(OpenError)?;
        let mut bytes = Zeroizing::new(closed.to_vec());
        let opened = self.wrapping_key().open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            place(context),
            &mut bytes,
        );
        match opened {
            Ok(opened) => Ok(Secret::new(opened.to_vec())),
            Err(ring::error::Unspecified) => Err(OpenError),
        }
    }

    fn wrapping_key(&self) -> LessSafeKey {
        let key = Zeroizing::new(blake3::derive_key(KEY_CONTEXT, &self.0));
        let key = UnboundKey::new(&CHACHA20_POLY1305, key.as_ref());
        LessSafeKey::new(key.expect("the cipher's keys have 32 bytes"))
    }
}

fn place(context: &[&str]) -> Aad<Vec<u8>> {
    Aad::from(frame(context.iter().map(|part| part.as_bytes())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hex;

    const POOL: &[&str] = &["pool", "default", "1"];

    fn master(byte: u8) -> MasterKey {
        MasterKey([byte; 32])
    }

    #[test]
    fn what_was_wrapped_opens_with_its_key_in_its_place_only() {
        let wrapped = master(1).wrap(POOL, b"key").unwrap();
        assert_eq!(
            master(1).unwrapped(POOL, &wrapped).unwrap().expose(),
            b"key"
        );
        assert_eq!(master(2).unwrapped(POOL, &wrapped).unwrap_err(), OpenError);
        let elsewhere: [&[&str]; 5] = [
            &[],
            &["pool", "default", "2"],
            &["pool", "default"],
            &["pool", "defaul", "t1"],
            &["secret", "default", "1"],
        ];
        for context in elsewhere {
            assert!(
                master(1).unwrapped(context, &wrapped).is_err(),
                "{context:?}"
            );
        }
        assert_ne!(wrapped, master(1).wrap(POOL, b"key").unwrap());
    }

    #[test]
    fn a_changed_or_cut_value_does_not_open() {
        let wrapped = master(1).wrap(POOL, b"key").unwrap();
        assert_eq!(wrapped.0.len(), 12 + 3 + 16);
        for bit in 0..8 * wrapped.0.len() {
            let mut changed = wrapped.clone();
            changed.0[bit / 8] ^= 1 << (bit % 8);
            assert!(master(1).unwrapped(POOL, &changed).is_err(), "{bit}");
        }
        for length in 0..wrapped.0.len() {
            let cut = Wrapped(wrapped.0[..length].to_vec());
            assert!(master(1).unwrapped(POOL, &cut).is_err(), "{length}");
        }
    }

    /// The golden value was made by another implementation, from the description of the shape.
    #[test]
    fn a_value_wrapped_by_version_1_opens_for_ever() {
        let wrapped: Wrapped =
            "wrapped-v1:6465666768696a6b6c6d6e6f366b840e623bc58faee679fad9cbc8895c8413b4853ec2084d"
                .parse()
                .unwrap();
        let opened = master(7).unwrapped(POOL, &wrapped).unwrap();
        assert_eq!(hex::encode(opened.expose()), "000102030405060708");
    }

    #[test]
    fn only_a_secret_of_allowed_length_is_wrapped() {
        let bytes = vec![0; crate::SECRET_BYTES_MAX + 1];
        let error = master(1).wrap(POOL, &bytes).unwrap_err();
        assert!(error.to_string().contains("24577 bytes"), "{error}");
        let wrapped = master(1).wrap(POOL, &bytes[1..]).unwrap();
        let read: Wrapped = wrapped.to_string().parse().unwrap();
        assert_eq!(
            master(1).unwrapped(POOL, &read).unwrap().expose(),
            &bytes[1..]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..200), context in prop::collection::vec(".*", 0..4)) {
            let context: Vec<&str> = context.iter().map(String::as_str).collect();
            let wrapped = master(3).wrap(&context, &bytes).unwrap();
            let json = serde_json::to_string(&wrapped).unwrap();
            let read: Wrapped = serde_json::from_str(&json).unwrap();
            let opened = master(3).unwrapped(&context, &read).unwrap();
            prop_assert_eq!(opened.expose(), &bytes[..]);
        }
    }
}
