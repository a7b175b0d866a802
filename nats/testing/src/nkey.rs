//! Ed25519 keys in the writing of NATS: a byte that says whose, the key, a checksum; in base32.

use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

/// Whose a key is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Operator,
    Account,
    User,
}

impl Kind {
    /// Makes the first letter of what is written `O`, `A` or `U`.
    fn byte(self) -> u8 {
        match self {
            Self::Operator => 14 << 3,
            Self::Account => 0,
            Self::User => 20 << 3,
        }
    }
}

/// What a seed begins with, an `S`.
const SEED: u8 = 18 << 3;

#[derive(Debug)]
pub(crate) struct Key {
    kind: Kind,
    seed: [u8; 32],
    pair: Ed25519KeyPair,
}

impl Key {
    pub(crate) fn new(kind: Kind) -> Self {
        let mut seed = [0; 32];
        SystemRandom::new().fill(&mut seed).unwrap();
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        Self { kind, seed, pair }
    }

    pub(crate) fn public(&self) -> String {
        let key = self.pair.public_key();
        written(&[&[self.kind.byte()], key.as_ref()].concat())
    }

    pub(crate) fn seed(&self) -> String {
        let kind = self.kind.byte();
        let first = [SEED | kind >> 5, (kind & 31) << 3];
        written(&[first.as_slice(), &self.seed].concat())
    }

    pub(crate) fn sign(&self, text: &str) -> Vec<u8> {
        self.pair.sign(text.as_bytes()).as_ref().to_vec()
    }
}

fn written(bytes: &[u8]) -> String {
    let sum = checksum(bytes).to_le_bytes();
    in_letters(
        &[bytes, &sum].concat(),
        5,
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
    )
}

/// base32 or base64, without padding: so many bits a letter.
pub(crate) fn in_letters(bytes: &[u8], bits: u32, letters: &[u8]) -> String {
    let mut text = String::new();
    let (mut held, mut count) = (0_u32, 0);
    let mut push = |value: u32| text.push(char::from(letters[value as usize]));
    for byte in bytes {
        held = (held << 8 | u32::from(*byte)) & 0xffff;
        count += 8;
        while count >= bits {
            count -= bits;
            push(held >> count & ((1 << bits) - 1));
        }
    }
    if count > 0 {
        push(held << (bits - count) & ((1 << bits) - 1));
    }
    text
}

/// CRC-16 as XMODEM has it.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u16;
    for byte in bytes {
        sum ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            let is_over = sum & 0x8000 != 0;
            sum = sum << 1 ^ if is_over { 0x1021 } else { 0 };
        }
    }
    sum
}
