//! Bytes that came from elsewhere, taken apart. Used by everything of this module that is sent.
//!
//! **Shape.** Each kind of message starts with its own seven bytes of text and one of version; numbers are little-endian. No
//! length is believed before the bytes it speaks of are there.

use super::{OFFER_CHUNKS_MAX, Refusal};
use crate::Id;

/// Bytes of an envelope.
pub(super) const ENVELOPE_BYTES: usize = 8;

/// The version of every message of this croft.
pub(super) const VERSION: u8 = 1;

/// What a list of ids starts with.
const IDS: &[u8; 7] = b"croftid";

/// Writes a message's beginning.
pub(super) fn write_envelope(bytes: &mut Vec<u8>, kind: &[u8; 7]) {
    bytes.extend_from_slice(kind);
    bytes.push(VERSION);
}

/// Checks a message's beginning.
pub(super) fn check_envelope(
    envelope: &[u8; ENVELOPE_BYTES],
    kind: &[u8; 7],
) -> Result<(), Refusal> {
    match envelope.strip_prefix(kind) {
        Some(&[VERSION]) => Ok(()),
        Some(&[version]) if version > VERSION => Err(Refusal::Newer { version }),
        Some(_) => Err(Refusal::malformed("its version is none")),
        None => Err(Refusal::malformed("it does not start as it should")),
    }
}

/// What is left of a message.
#[derive(Debug)]
pub(super) struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// All that follows the envelope.
    pub(super) fn of(bytes: &'a [u8], kind: &[u8; 7]) -> Result<Self, Refusal> {
        let mut rest = Self(bytes);
        check_envelope(&rest.array()?, kind)?;
        Ok(rest)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let ended = || Refusal::malformed("it ends in the middle");
        let (first, rest) = self.0.split_first_chunk().ok_or_else(ended)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Refusal> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Refusal> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn id(&mut self) -> Result<Id, Refusal> {
        self.array().map(Id::from_bytes)
    }
}

/// Ids as bytes: what a receiver answers when it is asked which chunks it lacks.
///
/// **Shape.** `croftid`, a byte of version, and 32 bytes an id.
#[must_use]
pub fn encode_ids(ids: &[Id]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ENVELOPE_BYTES + ids.len() * 32);
    write_envelope(&mut bytes, IDS);
    for id in ids {
        bytes.extend_from_slice(id.bytes());
    }
    bytes
}

/// The ids that those bytes are.
///
/// # Errors
/// When they are not, or more than a tree that is sent has.
pub fn decode_ids(bytes: &[u8]) -> Result<Vec<Id>, Refusal> {
    let mut rest = Rest::of(bytes, IDS)?;
    if rest.len() / 32 > OFFER_CHUNKS_MAX {
        return Err(Refusal::TooMuch {
            what: "ids",
            limit: OFFER_CHUNKS_MAX as u64,
        });
    }
    let mut ids = Vec::with_capacity(rest.len() / 32);
    while rest.len() > 0 {
        ids.push(rest.id()?);
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_their_golden_bytes() {
        let ids = [Id::of(b"a"), Id::of(b"b")];
        let bytes = encode_ids(&ids);
        insta::assert_snapshot!(hex(&bytes));
        assert_eq!(decode_ids(&bytes).unwrap(), ids);
        assert_eq!(decode_ids(&encode_ids(&[])).unwrap(), []);
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn what_are_no_ids_is_refused() {
        let bytes = encode_ids(&[Id::of(b"a")]);
        for end in 0..bytes.len() {
            let cut = decode_ids(&bytes[..end]);
            assert!(cut.is_err() || end == ENVELOPE_BYTES, "{end}");
        }
        let mut newer = bytes;
        newer[7] = 2;
        assert_eq!(decode_ids(&newer), Err(Refusal::Newer { version: 2 }));
        newer[7] = 0;
        assert!(decode_ids(&newer).is_err());
        let many = encode_ids(&vec![Id::of(b"a"); OFFER_CHUNKS_MAX + 1]);
        assert!(matches!(decode_ids(&many), Err(Refusal::TooMuch { .. })));
    }
}
