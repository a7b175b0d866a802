//! Just enough HTTP for a client that measures: one connection, kept; answers with a length or in chunks; streams of events.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// A connection to a farm's front.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    token: String,
    host: String,
}

/// An answer's status and what came with it.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Client {
    pub(crate) fn connect(server: &str, token: &str) -> Result<Self, String> {
        let host = server.trim_start_matches("http://").trim_end_matches('/');
        let stream = TcpStream::connect(host).map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        let writer = stream.try_clone().map_err(text)?;
        Ok(Self {
            reader: BufReader::with_capacity(1 << 16, stream),
            writer,
            token: token.to_string(),
            host: host.to_string(),
        })
    }

    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<Answer, String> {
        self.send(method, path, body)?;
        let (status, length) = self.head()?;
        let mut body = Vec::new();
        match length {
            Some(length) => {
                body.resize(length, 0);
                self.reader.read_exact(&mut body).map_err(text)?;
            }
            None => while self.chunk(&mut body)? {},
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Answer { status, body })
    }

    /// The same, that must be granted; its JSON.
    pub(crate) fn granted(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<serde_json::Value, String> {
        let answer = self.ask(method, path, body)?;
        if !(200..300).contains(&answer.status) {
            return Err(format!(
                "{method} {path}: {}: {}",
                answer.status, answer.body
            ));
        }
        if answer.body.is_empty() {
            return Ok(serde_json::Value::Null);
        }
        serde_json::from_str(&answer.body).map_err(text)
    }

    /// Begins to follow; then [`Client::chunk`] gives the stream's lines.
    pub(crate) fn follow(&mut self, path: &str) -> Result<(), String> {
        self.send("GET", path, "")?;
        let (status, _) = self.head()?;
        if status == 200 {
            Ok(())
        } else {
            Err(format!("{path}: {status}"))
        }
    }

    /// The next piece of a stream, as it was sent; false at its end.
    pub(crate) fn chunk(&mut self, into: &mut Vec<u8>) -> Result<bool, String> {
        let mut size = String::new();
        self.reader.read_line(&mut size).map_err(text)?;
        let count = usize::from_str_radix(size.trim(), 16).map_err(text)?;
        let from = into.len();
        into.resize(from + count + 2, 0);
        self.reader.read_exact(&mut into[from..]).map_err(text)?;
        into.truncate(from + count);
        Ok(count > 0)
    }

    fn send(&mut self, method: &str, path: &str, body: &str) -> Result<(), String> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.host,
            self.token,
            body.len()
        );
        self.writer.write_all(request.as_bytes()).map_err(text)
    }

    fn head(&mut self) -> Result<(u16, Option<usize>), String> {
        let (mut status, mut length, mut is_chunked) = (0, None, false);
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).map_err(text)? == 0 {
                return Err("the server closed the connection".into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                return Ok((status, if is_chunked { None } else { length.or(Some(0)) }));
            }
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().map_err(text)?;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = Some(value.trim().parse().map_err(text)?);
            }
            is_chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
        }
    }
}

pub(crate) fn text(error: impl ToString) -> String {
    error.to_string()
}
