//! Which version of its interface an engine speaks. One request of our own, since the library would ask for the versions of
//! everything the engine is made of, and engines run programs to find out: milliseconds before every container.

use std::io;
use std::path::Path;

use bollard::ClientVersion;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// An answer has some hundred bytes; what sends more than this is no engine.
const ANSWER_BYTES_MAX: u64 = 16 << 10;
/// In every version of the interface, and without one.
const REQUEST: &[u8] = b"GET /_ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// The newest version that the engine at `socket` speaks.
///
/// # Errors
/// When nothing listens there, or what does is no engine.
pub(crate) async fn version(socket: &Path) -> io::Result<ClientVersion> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(REQUEST).await?;
    let mut answer = Vec::new();
    stream
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut answer)
        .await?;
    parse(&String::from_utf8_lossy(&answer))
        .ok_or_else(|| io::Error::other("what listens there is no container engine"))
}

fn parse(answer: &str) -> Option<ClientVersion> {
    let mut lines = answer.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?;
    if !status.contains(" 200") {
        return None;
    }
    let headers = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':'));
    let version = headers
        .filter(|(name, _)| name.eq_ignore_ascii_case("api-version"))
        .map(|(_, value)| value.trim())
        .next()?;
    let (major, minor) = version.split_once('.')?;
    Some(ClientVersion {
        major_version: major.parse().ok()?,
        minor_version: minor.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_a_good_answer_only() {
        let answer =
            "HTTP/1.1 200 OK\r\nServer: Docker\r\nApi-Version: 1.41\r\nOstype: linux\r\n\r\nOK";
        assert_eq!(
            parse(answer),
            Some(ClientVersion {
                major_version: 1,
                minor_version: 41
            })
        );
        for wrong in [
            "",
            "SSH-2.0-OpenSSH",
            "HTTP/1.1 200 OK\r\n\r\nApi-Version: 1.41",
            "HTTP/1.1 500 Oh\r\nApi-Version: 1.41\r\n\r\n",
            "HTTP/1.1 200 OK\r\nApi-Version: new\r\n\r\n",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_listener_that_is_no_engine_is_told_from_none_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        assert_eq!(
            version(&socket).await.unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let (answer, _) = tokio::join!(version(&socket), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; REQUEST.len()];
            stream.read_exact(&mut request).await.unwrap();
            stream.write_all(b"hello").await.unwrap();
        });
        assert!(
            answer
                .unwrap_err()
                .to_string()
                .contains("no container engine")
        );
    }
}
