//! Credentials files: a JWT, and the key that signs the server's nonce. Read once; handed to the connection.
//!
//! The client crate can do this with a second copy of Ed25519 in the tree. The one that is there anyway does as well.

use std::path::Path;
use std::sync::Arc;

use async_nats::{Auth, AuthError, ConnectOptions};
use ring::signature::Ed25519KeyPair;

use super::config::ConnectError;

/// Who signs.
pub(super) struct Signer {
    jwt: String,
    key: Ed25519KeyPair,
}

impl Signer {
    pub(super) fn read(path: &Path) -> Result<Self, ConnectError> {
        let wrong = |reason: String| ConnectError::Credentials {
            path: path.to_path_buf(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        Self::parse(&text).map_err(|reason| wrong(reason.into()))
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let jwt = block(text, "NATS USER JWT").ok_or("it has no `NATS USER JWT`")?;
        let seed = block(text, "USER NKEY SEED").ok_or("it has no `USER NKEY SEED`")?;
        let bytes = base32(seed).ok_or("its seed is not base32")?;
        // Two bytes say what it is, two at the end are a check that the key pair makes needless.
        let seed = bytes.get(2..34).ok_or("its seed is too short")?;
        let key = Ed25519KeyPair::from_seed_unchecked(seed);
        Ok(Self {
            jwt: jwt.to_owned(),
            key: key.map_err(|_rejected| "its seed is no key")?,
        })
    }

    pub(super) fn options(self) -> ConnectOptions {
        let signer = Arc::new(self);
        ConnectOptions::with_auth_callback(move |nonce| {
            let signer = Arc::clone(&signer);
            async move {
                let mut auth = Auth::new();
                auth.jwt = Some(signer.jwt.clone());
                auth.signature = Some(signer.key.sign(&nonce).as_ref().to_vec());
                Ok::<_, AuthError>(auth)
            }
        })
    }
}

/// The line between a block's marks.
fn block<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let begin = format!("-----BEGIN {name}-----");
    let (_, rest) = text.split_once(&begin)?;
    rest.lines().map(str::trim).find(|line| !line.is_empty())
}

/// RFC 4648, upper case, without padding.
fn base32(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for sign in text.bytes() {
        let value = match sign {
            b'A'..=b'Z' => sign - b'A',
            b'2'..=b'7' => sign - b'2' + 26,
            _ => return None,
        };
        held = (held << 5 | u32::from(value)) & 0xffff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits).to_be_bytes()[3]);
        }
    }
    Some(bytes)
}
