//! Calls that a machine signs with its own key, and the words it is let in by once. Made by agents, checked by servers.
//!
//! A call says who makes it, has a number of its own, and is signed with all that it asks; one that was listened to cannot be changed, and a
//! server that remembers the numbers it has heard takes it once. The counter goes by the caller's clock, so that it goes on after a restart without being written down.

use std::fmt;

use crate::{Context, KeyId, Signature, Signer, hex};

/// The scheme of the `Authorization` header.
const SCHEME: &str = "Croft-Host";

const CALL: Context = Context::new("croft 2026 call of a host");
const INVITATION: Context = Context::new("croft 2026 invitation of a host");
/// What invitations begin with, so that people and scanners know one.
const WORD: &str = "croft-host-";

/// Characters of a host's name.
const HOST_CHARS_MAX: usize = 128;

/// All that is signed of a call.
#[derive(Clone, Copy, Debug)]
pub struct Signable<'c> {
    /// `GET`, `POST`.
    pub method: &'c str,
    /// The path, with what is behind the question mark.
    pub path: &'c str,
    /// The body.
    pub body: &'c [u8],
}

/// Who makes a call, and its proof: the text of an `Authorization` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostCall {
    /// The host.
    pub host: String,
    /// Another one than that of every call of this host before, and near the time in microseconds since 1970.
    pub counter: u64,
    signature: Signature,
}

impl HostCall {
    /// A signed call.
    #[must_use]
    pub fn sign(signer: &Signer, host: &str, counter: u64, call: Signable<'_>) -> Self {
        Self {
            host: host.to_string(),
            counter,
            signature: signer.sign(CALL, &message(host, counter, call)),
        }
    }

    /// What such a header says; none when it is something else.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let mut words = header.split(' ');
        let (scheme, host, counter, signature) =
            (words.next()?, words.next()?, words.next()?, words.next()?);
        let is_name = |name: &str| {
            (1..=HOST_CHARS_MAX).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if scheme != SCHEME || !is_name(host) || words.next().is_some() {
            return None;
        }
        Some(Self {
            host: host.to_string(),
            counter: counter.parse().ok()?,
            signature: Signature::parse(signature)?,
        })
    }

    /// Whether that key signed exactly this call.
    #[must_use]
    pub fn is_by(&self, key: &KeyId, call: Signable<'_>) -> bool {
        let message = message(&self.host, self.counter, call);
        key.verify(CALL, &message, &self.signature).is_ok()
    }
}

impl fmt::Display for HostCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{SCHEME} {} {} {}",
            self.host, self.counter, self.signature
        )
    }
}

/// No two different calls are the same bytes: each part but the last is followed by a byte that it cannot have.
fn message(host: &str, counter: u64, call: Signable<'_>) -> Vec<u8> {
    let body = blake3::hash(call.body);
    let text = format!("{host}\n{counter}\n{}\n{}\n{body}", call.method, call.path);
    text.into_bytes()
}

/// An invitation: those words, signed by a farm. One token that is shown once.
#[must_use]
pub fn invite(farm: &Signer, words: &[u8]) -> String {
    let signature = farm.sign(INVITATION, words);
    format!("{WORD}{}.{signature}", hex::encode(words))
}

/// The words of an invitation of this farm; none when it is not one, or was changed.
#[must_use]
pub fn invited(farm: &KeyId, token: &str) -> Option<Vec<u8>> {
    let (words, signature) = token.trim().strip_prefix(WORD)?.split_once('.')?;
    let words = hex::decode_all(words)?;
    let signature = Signature::parse(signature)?;
    let is_ours = farm.verify(INVITATION, &words, &signature).is_ok();
    is_ours.then_some(words)
}

/// The words of an invitation, whoever wrote it: for the host, which does not know the farm's key.
#[must_use]
pub fn words_of_invitation(token: &str) -> Option<Vec<u8>> {
    let (words, _signature) = token.trim().strip_prefix(WORD)?.split_once('.')?;
    hex::decode_all(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_good_for_exactly_what_it_says_by_exactly_its_signer() {
        let (host, other) = (
            Signer::of_this_process().unwrap(),
            Signer::of_this_process().unwrap(),
        );
        let call = Signable {
            method: "POST",
            path: "/v1/agent/poll?wait=1",
            body: b"{}",
        };
        let header = HostCall::sign(&host, "web-1", 7, call).to_string();
        let read = HostCall::parse(&header).unwrap();
        assert_eq!((read.host.as_str(), read.counter), ("web-1", 7));
        assert!(read.is_by(&host.key_id(), call));
        assert!(!read.is_by(&other.key_id(), call));
        let changed = [
            Signable {
                method: "GET",
                ..call
            },
            Signable {
                path: "/v1/agent/poll?wait=2",
                ..call
            },
            Signable {
                body: b"{} ",
                ..call
            },
        ];
        for other in changed {
            assert!(!read.is_by(&host.key_id(), other), "{other:?}");
        }
        let counted = header.replace(" 7 ", " 8 ");
        assert!(
            !HostCall::parse(&counted)
                .unwrap()
                .is_by(&host.key_id(), call)
        );
        for wrong in [
            "Bearer x",
            "Croft-Host a 1",
            "Croft-Host  1 2",
            &format!("{header} x"),
        ] {
            assert!(HostCall::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn an_invitation_is_its_farms_and_cannot_be_changed() {
        let (farm, other) = (
            Signer::of_this_process().unwrap(),
            Signer::of_this_process().unwrap(),
        );
        let token = invite(&farm, b"{\"host\":\"a\"}");
        assert_eq!(
            invited(&farm.key_id(), &token).unwrap(),
            b"{\"host\":\"a\"}"
        );
        assert_eq!(words_of_invitation(&token), invited(&farm.key_id(), &token));
        assert!(invited(&other.key_id(), &token).is_none());
        let changed = token.replacen("22", "23", 1);
        assert!(invited(&farm.key_id(), &changed).is_none());
        assert!(invited(&farm.key_id(), "croft-host-zz.00").is_none());
    }
}
