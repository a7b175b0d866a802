//! One question over HTTP, as a balancer asks it: a GET on a connection of its own, of which only the first line of the answer counts.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A status line has some twenty bytes.
const LINE_BYTES_MAX: usize = 1 << 10;

/// Whether it is well; if not, what was answered instead.
pub(super) fn get(
    address: IpAddr,
    port: u16,
    path: &str,
    lasts_max: Duration,
) -> Result<(), String> {
    let at = SocketAddr::new(reached(address), port);
    let status = ask(at, path, lasts_max)
        .map_err(|error| format!("GET {path} at {at} is not answered: {}", said(&error)))?;
    if (200..400).contains(&status) {
        Ok(())
    } else {
        Err(format!("GET {path} at {at} answers {status}"))
    }
}

/// What is published everywhere is reached here.
const fn reached(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V4(_) | IpAddr::V6(_) => address,
    }
}

fn said(error: &io::Error) -> String {
    let kind = error.kind();
    if matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
        return "it takes too long".to_string();
    }
    if kind == io::ErrorKind::UnexpectedEof {
        return "the connection is closed without an answer".to_string();
    }
    error.to_string()
}

fn ask(at: SocketAddr, path: &str, lasts_max: Duration) -> io::Result<u16> {
    let deadline = Instant::now() + lasts_max;
    let left = || {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        Ok(left)
    };
    let mut stream = TcpStream::connect_timeout(&at, left()?)?;
    stream.set_write_timeout(Some(left()?))?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {at}\r\nUser-Agent: croft-agent\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut line = Vec::new();
    let mut some = [0; 256];
    while !line.contains(&b'\n') && line.len() < LINE_BYTES_MAX {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut some)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => line.extend_from_slice(&some[..read]),
        }
    }
    status(&line).ok_or_else(|| io::Error::other("the answer is not HTTP"))
}

/// The number in `HTTP/1.1 200 OK`.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_ascii_whitespace();
    words.next().filter(|word| word.starts_with("HTTP/"))?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use super::*;

    /// Somebody who answers one question so.
    fn answers(with: &'static str) -> (u16, JoinHandle<String>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::Builder::new().spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut some = [0; 1024];
            let read = stream.read(&mut some).unwrap();
            stream.write_all(with.as_bytes()).unwrap();
            String::from_utf8_lossy(&some[..read]).into_owned()
        });
        (port, thread.unwrap())
    }

    #[test]
    fn what_is_well_is_told_from_what_is_not() {
        let everywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let limit = Duration::from_secs(10);
        for (with, said) in [
            ("HTTP/1.1 200 OK\r\n\r\n", None),
            ("HTTP/1.0 302 Found\r\n\r\n", None),
            ("HTTP/1.1 503 Down\r\n\r\n", Some("answers 503")),
            ("HTTP/1.1 404 None\r\n\r\n", Some("answers 404")),
            ("SSH-2.0-x\r\n", Some("not HTTP")),
            ("", Some("without an answer")),
        ] {
            let (port, asked) = answers(with);
            let got = get(everywhere, port, "/up", limit);
            match said {
                None => assert_eq!(got, Ok(()), "{with}"),
                Some(part) => assert!(got.clone().unwrap_err().contains(part), "{got:?}"),
            }
            let asked = asked.join().unwrap();
            assert!(
                asked.starts_with("GET /up HTTP/1.1\r\nHost: 127.0.0.1:"),
                "{asked}"
            );
        }
    }

    #[test]
    fn nobody_and_somebody_who_says_nothing_are_named() {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let silent = get(here, port, "/", Duration::from_millis(100)).unwrap_err();
        assert!(silent.contains("too long"), "{silent}");
        drop(listener);
        let nobody = get(here, port, "/", Duration::from_secs(5)).unwrap_err();
        assert!(nobody.contains("is not answered"), "{nobody}");
    }
}
