//! Frames on a stream: four bytes of length, little endian, then one bincode message. Blocking; used by both ends.

use std::io::{self, Read, Write};

use serde::{Serialize, de::DeserializeOwned};

use crate::protocol::MESSAGE_BYTES_MAX;

/// Writes one message.
///
/// # Errors
/// When the stream is broken, or the message is longer than [`MESSAGE_BYTES_MAX`].
pub fn write<T: Serialize>(stream: &mut impl Write, message: &T) -> io::Result<()> {
    stream.write_all(&encode(message)?)
}

/// One message with its length in front, for writers of other kinds.
///
/// # Errors
/// When the message is longer than [`MESSAGE_BYTES_MAX`].
pub fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    let configuration = bincode::config::standard().with_limit::<MESSAGE_BYTES_MAX>();
    let body = bincode::serde::encode_to_vec(message, configuration).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    if body.len() > MESSAGE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "message too long",
        ));
    }
    bytes.copy_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// Reads one message; `None` at the stream's orderly end.
///
/// # Errors
/// When the stream breaks inside a message, or the bytes are not a message.
pub fn read<T: DeserializeOwned>(stream: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    let mut filled = 0;
    while filled < length.len() {
        match stream.read(&mut length[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let length = body_length(length)?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    decode(&body).map(Some)
}

/// The body's length in bytes, out of its four-byte header.
///
/// # Errors
/// When it is longer than [`MESSAGE_BYTES_MAX`].
pub fn body_length(header: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_le_bytes(header) as usize;
    if length > MESSAGE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "message too long",
        ));
    }
    Ok(length)
}

/// The message in a body.
///
/// # Errors
/// When the bytes are not a message of that type, or something follows it.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    let configuration = bincode::config::standard().with_limit::<MESSAGE_BYTES_MAX>();
    let (message, used) = bincode::serde::decode_from_slice(body, configuration)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    if used != body.len() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "bytes after the message",
        ));
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Request;

    #[test]
    fn a_message_comes_back_and_the_end_is_told_apart_from_a_cut() {
        let mut bytes = Vec::new();
        write(&mut bytes, &Request::Signal(15)).unwrap();
        let mut stream = bytes.as_slice();
        assert!(matches!(
            read::<Request>(&mut stream).unwrap(),
            Some(Request::Signal(15))
        ));
        assert!(read::<Request>(&mut stream).unwrap().is_none());
        let mut cut = &bytes[..bytes.len() - 1];
        assert!(read::<Request>(&mut cut).is_err());
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_memory_is_taken() {
        let mut stream: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0];
        assert_eq!(
            read::<Request>(&mut stream).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }

    #[test]
    fn the_bytes_of_a_request_are_golden() {
        assert_eq!(encode(&Request::Signal(15)).unwrap(), [2, 0, 0, 0, 1, 30]);
    }
}
