//! Server-sent events, taken apart. Receives bytes as they come, cut anywhere; hands over whole messages. Follows the WHATWG's
//! event stream format, but for `retry`, which has no say in how this client reconnects.

use memchr::memchr2;

/// Bytes of one message. An end with five hundred failed tests in it is the largest that is known of; more is no farm's.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// Its own id; `None` when it bears none.
    pub(crate) id: Option<&'a str>,
    /// What kind it is; empty when it does not say.
    pub(crate) event: &'a str,
    /// Its lines, without the end of the last one.
    pub(crate) data: &'a str,
}

/// The server sent more than a message may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of more than {MESSAGE_BYTES_MAX} bytes came")]
pub(crate) struct TooLong;

/// What of a stream has come and was not handed over yet.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed after it is of the same line's end.
    after_return: bool,
    /// Something has come, so that no byte order mark is looked for.
    begun: bool,
    id: Option<Vec<u8>>,
    event: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
}

impl Parser {
    /// Takes in bytes and hands each message that is whole now to `each`, until that says that it has enough.
    ///
    /// # Errors
    /// When a message is too long; what comes after it cannot be understood.
    pub(crate) fn push(
        &mut self,
        mut bytes: &[u8],
        each: &mut dyn FnMut(&Message<'_>),
    ) -> Result<(), TooLong> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_return)
                && let Some(rest) = bytes.strip_prefix(b"\n")
            {
                bytes = rest;
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', bytes) else {
                self.line.extend_from_slice(bytes);
                return self.check();
            };
            self.after_return = bytes[end] == b'\r';
            if self.line.is_empty() {
                self.take_line(&bytes[..end], each);
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(&bytes[..end]);
                self.take_line(&line, each);
                // Its memory serves the next one.
                line.clear();
                self.line = line;
            }
            self.check()?;
            bytes = &bytes[end + 1..];
        }
        Ok(())
    }

    fn check(&self) -> Result<(), TooLong> {
        if self.line.len() + self.data.len() > MESSAGE_BYTES_MAX {
            return Err(TooLong);
        }
        Ok(())
    }

    fn take_line(&mut self, line: &[u8], each: &mut dyn FnMut(&Message<'_>)) {
        let line = if std::mem::replace(&mut self.begun, true) {
            line
        } else {
            line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
        };
        if line.is_empty() {
            self.dispatch(each);
            return;
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
            }
            b"event" => {
                self.event.clear();
                self.event.extend_from_slice(value);
            }
            b"id" if !value.contains(&0) => self.id = Some(value.to_vec()),
            // A comment has no name; whatever else there may be is not for us.
            _ => {}
        }
    }

    fn dispatch(&mut self, each: &mut dyn FnMut(&Message<'_>)) {
        let id = self.id.take();
        if std::mem::take(&mut self.has_data) {
            let id = id.map(|id| String::from_utf8_lossy(&id).into_owned());
            each(&Message {
                id: id.as_deref(),
                event: &String::from_utf8_lossy(&self.event),
                data: &String::from_utf8_lossy(&self.data),
            });
        }
        self.event.clear();
        self.data.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Owned = (Option<String>, String, String);

    fn parse(pieces: &[&[u8]]) -> Vec<Owned> {
        let mut parser = Parser::default();
        let mut found = Vec::new();
        for piece in pieces {
            parser
                .push(piece, &mut |message| {
                    found.push((
                        message.id.map(str::to_string),
                        message.event.to_string(),
                        message.data.to_string(),
                    ));
                })
                .unwrap();
        }
        found
    }

    fn message(id: Option<&str>, event: &str, data: &str) -> Owned {
        (id.map(str::to_string), event.into(), data.into())
    }

    const STREAM: &[u8] =
        "\u{feff}: hello\r\n\r\nid: 1.1\r\nevent: build\r\ndata: {\"a\":\r\ndata: \"ü\"}\r\n\r\n\
        retry: 5\n:\nevent:end\ndata:x\n\nevent: lost\n\ndata\n\nid: 2\rdata: y\r\rdata: half"
            .as_bytes();

    fn expected() -> Vec<Owned> {
        vec![
            message(Some("1.1"), "build", "{\"a\":\n\"ü\"}"),
            message(None, "end", "x"),
            message(None, "", ""),
            message(Some("2"), "", "y"),
        ]
    }

    #[test]
    fn lines_comments_and_fields_are_read_as_the_format_says() {
        assert_eq!(parse(&[STREAM]), expected());
    }

    #[test]
    fn it_does_not_matter_where_the_bytes_are_cut() {
        for at in 0..=STREAM.len() {
            let (first, second) = STREAM.split_at(at);
            assert_eq!(parse(&[first, second]), expected(), "{at}");
        }
        let single: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(parse(&single), expected());
    }

    #[test]
    fn a_message_without_end_takes_no_endless_memory() {
        let mut parser = Parser::default();
        let line = [&b"data: "[..], &[b'x'; 1 << 20], b"\n"].concat();
        let too_long = (0..20).any(|_| parser.push(&line, &mut |_| {}).is_err());
        assert!(too_long);
        let mut parser = Parser::default();
        let too_long = (0..20).any(|_| parser.push(&line[..1 << 20], &mut |_| {}).is_err());
        assert!(too_long);
    }

    #[test]
    fn large_streams_are_read_whole() {
        let one = format!(
            "id: 1.2\nevent: build\ndata: {}\ndata: {}\n\n",
            "a".repeat(200),
            "b".repeat(3000)
        );
        let stream = one.repeat(2000);
        let mut parser = Parser::default();
        let mut bytes = 0;
        for piece in stream.as_bytes().chunks(16_411) {
            parser
                .push(piece, &mut |message| bytes += message.data.len())
                .unwrap();
        }
        assert_eq!(bytes, 2000 * 3201);
    }
}
