//! A record as bytes, sealed and signed. Received from saves and look-ups; handed to the object store and back.
//!
//! **Shape.** One line, `croft-record 2 <key id> <signature> <seal>`, and the record's JSON. The signature is over the JSON.
//! The seal is the BLAKE3 hash of all the rest: anybody can make it, so it proves nothing about who wrote a record, but it
//! tells bytes that a disk or a power cut spoilt (remove them) from a record that was forged (leave it, and say so).
//!
//! What is checked, in this order, each before the next looks at anything: size, seal, a signer this machine knows, the
//! signature, JSON, format, that the signer may sign for the record's scope, and that the record belongs under the name it
//! was found at.

use croft_keys::{Context, KeyId, Keyring, Signature, Signer};
use object_store::path::Path;
use serde::Deserialize;

use super::record::{FORMAT, Outcome, Record};
use crate::pack::damaged;
use crate::{Error, Id};

/// Bytes of a record: names, paths and inputs beyond that are not what a build has.
pub(crate) const RECORD_BYTES_MAX: u64 = 64 * 1024;

/// Bytes of a record that lists the chunks of one content, 67 bytes each: with chunks of 1 MiB that is 60 GiB, far more
/// than any tool uploads in one piece.
pub(crate) const CONTENT_RECORD_BYTES_MAX: u64 = 4 << 20;

/// Bytes of the first line: far more than its five words take, far less than would cost anything to search.
const LINE_BYTES_MAX: usize = 512;

/// What the signature of a record is about.
const PURPOSE: Context = Context::new("croft cache 2026 record");

/// What the seal is about.
const SEAL: &str = "croft cache 2026 record seal";

/// The first word.
const MAGIC: &str = "croft-record";

/// The record's bytes, vouched for by `signer`.
///
/// # Errors
/// [`Error::Name`] when the record contradicts itself or is too long to store.
pub(crate) fn seal(record: &Record, signer: &Signer) -> Result<Vec<u8>, Error> {
    if let Some(fault) = record.fault() {
        return Err(Error::Name(fault.into()));
    }
    let json = serde_json::to_vec(record).map_err(|error| Error::Name(error.to_string()))?;
    let signature = signer.sign(PURPOSE, &json);
    let envelope = format!("{MAGIC} {FORMAT} {} {signature}", signer.key_id());
    let seal = sealed_as(&envelope, &json);
    let bytes = [format!("{envelope} {seal}\n").as_bytes(), &json].concat();
    let bytes_max = bytes_max(record);
    if bytes.len() as u64 > bytes_max {
        return Err(Error::Name(format!(
            "its project, key, paths, inputs and chunks together are longer than {bytes_max} bytes"
        )));
    }
    Ok(bytes)
}

/// The record those bytes are, when they were found under that name and a key of the keyring vouches for it there.
///
/// # Errors
/// [`Error::Damaged`] when the bytes are not those that were written; [`Error::Untrusted`] when they are, but by nobody
/// who counts, or for another name; [`Error::NotUnderstood`] for a later format.
pub(crate) fn open(name: &Path, bytes: &[u8], keyring: &Keyring) -> Result<Record, Error> {
    let untrusted = |reason: String| Error::Untrusted {
        object: name.to_string(),
        reason,
    };
    let envelope = unwrap(name, bytes)?;
    keyring
        .verify(PURPOSE, envelope.json, &envelope.signature, &envelope.key)
        .map_err(|distrust| untrusted(distrust.to_string()))?;
    let record = parse(name, envelope.json)?;
    if !keyring.allows(&envelope.key, &record.scope) {
        let distrust = croft_keys::Distrust::NotAllowed(envelope.key);
        return Err(untrusted(distrust.to_string()));
    }
    check_form(name, bytes, &record)?;
    Ok(record)
}

/// The record those bytes are, whoever signed it, when they are whole. Only for deciding what to *keep*: a sweeper that
/// does not know every signer must not take away what their records name. Never answer a build from it.
///
/// # Errors
/// As [`open`]; [`Error::Untrusted`] for what no croft writes, whoever sealed it: it may neither keep anything nor stand in
/// the way.
pub(crate) fn open_to_keep(name: &Path, bytes: &[u8]) -> Result<Record, Error> {
    let record = parse(name, unwrap(name, bytes)?.json)?;
    check_form(name, bytes, &record)?;
    Ok(record)
}

/// What is asked of a record whoever signed it.
fn check_form(name: &Path, bytes: &[u8], record: &Record) -> Result<(), Error> {
    let reason = if bytes.len() as u64 > bytes_max(record) {
        "it is larger than such a record may be"
    } else if let Some(fault) = record.fault() {
        fault
    } else if record.name() != *name {
        "it belongs under another name"
    } else {
        return Ok(());
    };
    Err(Error::Untrusted {
        object: name.to_string(),
        reason: reason.into(),
    })
}

/// The first line, understood, and the rest.
struct Envelope<'a> {
    key: KeyId,
    signature: Signature,
    json: &'a [u8],
}

fn unwrap<'a>(name: &Path, bytes: &'a [u8]) -> Result<Envelope<'a>, Error> {
    if bytes.len() as u64 > CONTENT_RECORD_BYTES_MAX {
        return Err(damaged(name, "it is larger than any record"));
    }
    let torn = || damaged(name, "it does not start like a record");
    let start = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let end = start.iter().position(|byte| *byte == b'\n');
    let (line, json) = bytes.split_at(end.ok_or_else(torn)?);
    let json = &json[1..];
    let line = str::from_utf8(line).ok().ok_or_else(torn)?;
    let (envelope, seal) = line.rsplit_once(' ').ok_or_else(torn)?;
    if Id::parse(seal) != Some(sealed_as(envelope, json)) {
        return Err(damaged(name, "it does not match its seal"));
    }
    let words: Vec<&str> = envelope.split(' ').collect();
    let [MAGIC, format, key, signature] = words[..] else {
        return Err(torn());
    };
    if format != FORMAT.to_string() {
        return Err(not_understood(name, format.escape_debug().to_string()));
    }
    Ok(Envelope {
        key: KeyId::parse(key).ok_or_else(torn)?,
        signature: Signature::parse(signature).ok_or_else(torn)?,
        json,
    })
}

/// A record, its format asked for first: a later one has fields that are unknown here.
fn parse(name: &Path, json: &[u8]) -> Result<Record, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Head {
        croft_record: u32,
    }
    let failed = |error: serde_json::Error| Error::Untrusted {
        object: name.to_string(),
        reason: format!("it is no record: {error}"),
    };
    let head: Head = serde_json::from_slice(json).map_err(failed)?;
    if head.croft_record != FORMAT {
        return Err(not_understood(name, head.croft_record.to_string()));
    }
    serde_json::from_slice(json).map_err(failed)
}

fn not_understood(name: &Path, format: String) -> Error {
    Error::NotUnderstood {
        object: name.to_string(),
        format,
    }
}

pub(crate) fn sealed_as(envelope: &str, json: &[u8]) -> Id {
    // The newline ends the envelope, which has none: no two pairs run together to the same bytes.
    Id::of_name(SEAL, &[envelope.as_bytes(), b"\n", json].concat())
}

fn bytes_max(record: &Record) -> u64 {
    match record.outcome {
        Outcome::Tree { .. } => RECORD_BYTES_MAX,
        Outcome::Content { .. } => CONTENT_RECORD_BYTES_MAX,
    }
}
