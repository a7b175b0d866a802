//! Messages as bytes: one byte of version, then bincode. Used by the implementation that leaves the process.
//!
//! A version is raised when the meaning of any message changes; readers then accept the one before it as well. Whoever gets a
//! newer one leaves it to newer receivers.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::NotUnderstood;
use crate::message::{CHUNK_BYTES_MAX, Record};

/// The version that is written.
pub(crate) const VERSION: u8 = 1;

/// Longest message but output: three names, a reason, numbers, or the names of hosts that are there.
const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// What reading a message may take, whatever its lengths say: of a list of short names each counts with what holds it, a dozen times its bytes.
const READ_BYTES_MAX: usize = 12 * MESSAGE_BYTES_MAX;

/// What stands before a chunk's bytes.
#[derive(Serialize, Deserialize)]
struct Header {
    attempt: u32,
    number: u64,
    is_end: bool,
}

fn limits() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<READ_BYTES_MAX>()
}

/// A message in bytes.
pub(crate) fn encode<T: Serialize>(message: &T) -> Bytes {
    let mut bytes = vec![VERSION];
    let body = bincode::serde::encode_to_vec(message, limits());
    bytes.extend(
        body.expect("names, reasons and lists of names are bounded, and the rest are numbers"),
    );
    bytes.into()
}

/// The message in those bytes.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, NotUnderstood> {
    let body = body(bytes)?;
    let (message, used) = begin(&body)?;
    if used == body.len() {
        return Ok(message);
    }
    Err(damaged("there are bytes after the message"))
}

/// A record of output in bytes: its bytes stand behind the header as they are.
pub(crate) fn encode_record(record: &Record) -> Bytes {
    let header = encode(&Header {
        attempt: record.attempt,
        number: record.number,
        is_end: record.bytes.is_none(),
    });
    let mut bytes = BytesMut::with_capacity(header.len() + record.size_bytes());
    bytes.extend_from_slice(&header);
    bytes.extend_from_slice(record.bytes.as_deref().unwrap_or_default());
    bytes.freeze()
}

/// The record in those bytes, sharing them.
pub(crate) fn decode_record(bytes: &Bytes) -> Result<Record, NotUnderstood> {
    let body = body(bytes)?;
    let (header, used) = begin::<Header>(&body)?;
    let rest = body.slice(used..);
    if rest.len() > CHUNK_BYTES_MAX {
        return Err(damaged("the chunk is too long"));
    }
    Ok(Record {
        attempt: header.attempt,
        number: header.number,
        bytes: (!header.is_end).then_some(rest),
    })
}

/// A piece of what a host printed, in bytes.
pub(crate) fn encode_piece(piece: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(piece.len() + 1);
    bytes.extend_from_slice(&[VERSION]);
    bytes.extend_from_slice(piece);
    bytes.freeze()
}

/// The piece in those bytes, sharing them.
pub(crate) fn decode_piece(bytes: &Bytes) -> Result<Bytes, NotUnderstood> {
    let piece = body(bytes)?;
    match piece.len() > CHUNK_BYTES_MAX {
        true => Err(damaged("the piece is too long")),
        false => Ok(piece),
    }
}

fn begin<T: DeserializeOwned>(body: &Bytes) -> Result<(T, usize), NotUnderstood> {
    bincode::serde::decode_from_slice(body, limits()).map_err(|error| damaged(error.to_string()))
}

fn body(bytes: &Bytes) -> Result<Bytes, NotUnderstood> {
    match bytes.first() {
        Some(&VERSION) => Ok(bytes.slice(1..)),
        Some(&version) if version > VERSION => Err(NotUnderstood::Newer { version }),
        Some(_) => Err(damaged("its version is none")),
        None => Err(damaged("it is empty")),
    }
}

fn damaged(reason: impl Into<String>) -> NotUnderstood {
    let reason = reason.into();
    NotUnderstood::Damaged { reason }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;
    use crate::message::Took;
    use crate::{Announcement, Hint, Presence, Renewal, Verdict};

    #[track_caller]
    fn golden<T: Serialize + DeserializeOwned + PartialEq + Debug>(message: &T, bytes: &[u8]) {
        let encoded = encode(message);
        assert_eq!(
            encoded.escape_ascii().to_string(),
            bytes.escape_ascii().to_string()
        );
        assert_eq!(decode::<T>(&encoded).as_ref(), Ok(message));
    }

    #[test]
    fn the_bytes_of_a_hint_are_golden() {
        let hint = Hint {
            build: "app:1".parse().unwrap(),
            attempt: 2,
            seq: 300,
        };
        golden(&hint, b"\x01\x05app:1\x02\xfb\x2c\x01");
    }

    #[test]
    fn the_bytes_of_a_renewal_and_its_verdicts_are_golden() {
        let renewal = Renewal {
            build: "app:1".parse().unwrap(),
            attempt: 2,
            worker: "w-1".parse().unwrap(),
        };
        golden(&renewal, b"\x01\x05app:1\x02\x03w-1");
        golden(&Verdict::Go, b"\x01\x00");
        let reason = "asked to".to_owned();
        golden(&Verdict::Stop { reason }, b"\x01\x01\x08asked to");
        golden(&Verdict::Lost, b"\x01\x02");
    }

    #[test]
    fn the_bytes_of_an_announcement_are_golden() {
        let announcement = Announcement {
            worker: "w-1".parse().unwrap(),
            pool: "linux".parse().unwrap(),
            slots_free: 1,
            slots: 4,
            version: "0.1.0".into(),
        };
        golden(&announcement, b"\x01\x03w-1\x05linux\x01\x04\x050.1.0");
    }

    #[test]
    fn the_bytes_of_a_presence_are_golden() {
        let hosts = ["web-1", "h"].map(|host| host.parse().unwrap());
        let presence = Presence::of(300, hosts);
        golden(&presence[0], b"\x01\xfb\x2c\x01\x02\x05web-1\x01h");
    }

    #[test]
    fn any_number_of_hosts_is_said_in_messages_that_are_not_too_long() {
        let short = (0..10_000).map(|number| format!("{number}"));
        let long = (0..100).map(|number| format!("{number:0>255}"));
        let hosts: Vec<crate::Host> = short
            .chain(long)
            .map(|host| host.parse().unwrap())
            .collect();
        let said = Presence::of(u64::MAX, hosts.clone());
        let heard = said
            .iter()
            .map(|one| decode::<Presence>(&encode(one)).unwrap());
        let named: Vec<_> = heard.flat_map(|one| one.hosts().to_vec()).collect();
        assert_eq!(named, hosts);
        let is_short = |one| encode(one).len() <= MESSAGE_BYTES_MAX;
        assert!(said.iter().all(is_short));
        assert_eq!(Presence::of(1, []).len(), 1, "who hears nobody says so");
    }

    #[test]
    fn the_bytes_of_a_followers_progress_are_golden() {
        let took = Took {
            follower: "f".into(),
            attempt: 1,
            chunk: 7,
        };
        golden(&took, b"\x01\x01f\x01\x07");
    }

    #[test]
    fn the_bytes_of_output_are_golden() {
        let mut record = Record {
            attempt: 1,
            number: 7,
            bytes: Some(Bytes::from_static(b"hello\n")),
        };
        let bytes = encode_record(&record);
        assert_eq!(&bytes[..], b"\x01\x01\x07\x00hello\n");
        assert_eq!(decode_record(&bytes), Ok(record.clone()));
        record.bytes = None;
        let bytes = encode_record(&record);
        assert_eq!(&bytes[..], b"\x01\x01\x07\x01");
        assert_eq!(decode_record(&bytes), Ok(record));
    }

    #[test]
    fn the_bytes_of_what_a_host_printed_are_golden() {
        let bytes = encode_piece(b"{}");
        assert_eq!(&bytes[..], b"\x01{}");
        assert_eq!(decode_piece(&bytes), Ok(Bytes::from_static(b"{}")));
        let long = encode_piece(&vec![b'x'; CHUNK_BYTES_MAX + 1]);
        assert!(decode_piece(&long).is_err());
    }

    #[test]
    fn a_newer_version_is_told_from_what_is_damaged() {
        let newer = Bytes::from_static(b"\x02whatever");
        let error = NotUnderstood::Newer { version: 2 };
        assert_eq!(decode::<Hint>(&newer), Err(error.clone()));
        assert_eq!(decode_record(&newer), Err(error));
        for bytes in [&b""[..], b"\x00\x00", b"\x01\x07", b"\x01\x00\x00"] {
            let error = decode::<Verdict>(&Bytes::copy_from_slice(bytes)).unwrap_err();
            assert!(matches!(error, NotUnderstood::Damaged { .. }), "{error}");
        }
        // A length that promises more than there can be.
        let error = decode::<Hint>(&Bytes::from_static(b"\x01\xfc\xff\xff\xff\xff")).unwrap_err();
        assert!(matches!(error, NotUnderstood::Damaged { .. }), "{error}");
        let mut long = encode_record(&Record {
            attempt: 1,
            number: 7,
            bytes: Some(vec![0; CHUNK_BYTES_MAX].into()),
        })
        .to_vec();
        long.push(0);
        assert!(decode_record(&long.into()).is_err());
    }
}
