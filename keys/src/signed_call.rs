//! Calls that a machine signs with its own key, and the words it is let in by once. Made by agents, checked by servers.
//!
//! A call says who makes it and which run of which server it is for, has a number of its own, and is signed with all that it asks; one that was
//! listened to cannot be changed. A server draws a word when it starts, hands it out with each answer, and remembers the numbers it has heard
//! since: it takes a call once, and no other server, nor itself after a restart, takes it at all. The counter goes by the caller's clock, so
//! that it goes on after a restart without being written down.

use std::fmt;

use crate::{Context, KeyId, Signature, Signer, hex};

/// The scheme of the `Authorization` header.
const SCHEME: &str = "Croft-Host";

const CALL: Context = Context::new("croft 2026 call of a host");
const INVITATION: Context = Context::new("croft 2026 invitation of a host");
/// What invitations begin with, so that people and scanners know one.
const WORD: &str = "croft-host-";

/// What stands for a server's word that is not known yet: such a call is answered with the word, and made again.
pub const UNKNOWN_RUN: &str = "-";

/// Characters of a host's name, or of a server's word.
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

/// Who makes a call, and to whom.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'c> {
    /// The host.
    pub host: &'c str,
    /// As in [`HostCall`].
    pub counter: u64,
    /// As in [`HostCall`].
    pub run: &'c str,
}

/// Who makes a call, and its proof: the text of an `Authorization` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostCall {
    /// The host.
    pub host: String,
    /// Another one than that of every call of this host before, and near the time in microseconds since 1970.
    pub counter: u64,
    /// The word of the server's run that it is for; [`UNKNOWN_RUN`] when its caller has not heard one yet.
    pub run: String,
    signature: Signature,
}

impl HostCall {
    /// A signed call.
    #[must_use]
    pub fn sign(signer: &Signer, from: Caller<'_>, call: Signable<'_>) -> Self {
        Self {
            host: from.host.to_string(),
            counter: from.counter,
            run: from.run.to_string(),
            signature: signer.sign(CALL, &message(from, call)),
        }
    }

    /// What such a header says; none when it is something else.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let mut words = header.split(' ');
        let (scheme, host, counter) = (words.next()?, words.next()?, words.next()?);
        let (run, signature) = (words.next()?, words.next()?);
        let is_name = |name: &str| {
            (1..=HOST_CHARS_MAX).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if scheme != SCHEME || !is_name(host) || !is_name(run) || words.next().is_some() {
            return None;
        }
        Some(Self {
            host: host.to_string(),
            counter: counter.parse().ok()?,
            run: run.to_string(),
            signature: Signature::parse(signature)?,
        })
    }

    /// Whether that key signed exactly this call.
    #[must_use]
    pub fn is_by(&self, key: &KeyId, call: Signable<'_>) -> bool {
        let from = Caller {
            host: &self.host,
            counter: self.counter,
            run: &self.run,
        };
        let message = message(from, call);
        key.verify(CALL, &message, &self.signature).is_ok()
    }
}

impl fmt::Display for HostCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{SCHEME} {} {} {} {}",
            self.host, self.counter, self.run, self.signature
        )
    }
}

/// No two different calls are the same bytes: each part but the last is followed by a byte that it cannot have.
fn message(from: Caller<'_>, call: Signable<'_>) -> Vec<u8> {
    let body = blake3::hash(call.body);
    let Caller { host, counter, run } = from;
    let text = format!(
        "{host}\n{counter}\n{run}\n{}\n{}\n{body}",
        call.method, call.path
    );
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
        let from = Caller {
            host: "web-1",
            counter: 7,
            run: "r1",
        };
        let header = HostCall::sign(&host, from, call).to_string();
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
        let elsewhere = header.replace(" r1 ", " r2 ");
        let elsewhere = HostCall::parse(&elsewhere).unwrap();
        assert!(!elsewhere.is_by(&host.key_id(), call), "another server's");
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
