//! A stream of XML in which no token is long, so that a parser which holds one token at a time needs little memory.
//! Receives a report file's bytes, hands them to the XML parser.
//!
//! Test tools put whole logs into one element. Nothing of a report beyond the first thousands of characters of a text is
//! ever kept, so the rest of a long text, attribute value, CDATA section or comment is dropped here, before the parser
//! sees it; what begins and ends the token stays.

use std::io::{self, BufRead, Read};

/// How many bytes of one text, CDATA section, comment or all values of one tag pass, and how many of a tag without them. Messages are cut at
/// 5,000 characters (20 KB at most); the rest is room for entities.
pub(crate) const TOKEN_BYTES_MAX: usize = 256 * 1024;

/// How many bytes of one attribute value pass: 5,000 characters, each written as an entity.
const VALUE_BYTES_MAX: usize = 32 * 1024;

/// How many bytes of one file are read. A million test cases with a kilobyte each fit.
pub(crate) const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// How many bytes of the token at hand have passed.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    /// Of its contents.
    droppable: usize,
    /// Of the value at hand.
    value: usize,
    /// Of what the grammar needs.
    needed: usize,
}

/// Where in the grammar the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Text,
    /// After `<`.
    Open,
    /// Inside a start or end tag, perhaps inside a quoted value.
    Tag {
        quote: Option<u8>,
    },
    /// After `<!` and so many bytes of `--` or `[CDATA[`.
    Bang {
        matched: usize,
        cdata: bool,
    },
    /// Inside `<!DOCTYPE`, perhaps inside its brackets.
    Doctype {
        brackets: bool,
    },
    /// Inside a comment, CDATA section or processing instruction, with how much of its end was seen.
    Until {
        end: &'static [u8],
        seen: usize,
    },
}

const CDATA: &[u8] = b"[CDATA[";

/// The stream.
#[derive(Debug)]
pub(crate) struct Bounded<R> {
    input: R,
    state: State,
    spent: Spent,
    bytes_left: u64,
    out: Vec<u8>,
    position: usize,
    /// Why the stream ends after `out`.
    failed: Option<io::Error>,
}

impl<R: BufRead> Bounded<R> {
    /// The bounded form of `input`.
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            state: State::Text,
            spent: Spent::default(),
            bytes_left: FILE_BYTES_MAX,
            out: Vec::new(),
            position: 0,
            failed: None,
        }
    }

    fn refill(&mut self) -> io::Result<()> {
        self.out.clear();
        self.position = 0;
        while self.out.is_empty() {
            if let Some(failed) = self.failed.take() {
                return Err(failed);
            }
            let chunk = self.input.fill_buf()?;
            if chunk.is_empty() {
                return Ok(());
            }
            let length = chunk.len();
            let mut machine = Machine {
                state: self.state,
                spent: self.spent,
                out: &mut self.out,
            };
            self.failed = machine.pass(chunk).err();
            (self.state, self.spent) = (machine.state, machine.spent);
            self.input.consume(length);
            let left = self
                .bytes_left
                .checked_sub(u64::try_from(length).unwrap_or(u64::MAX));
            self.bytes_left = left.unwrap_or_default();
            if left.is_none() && self.failed.is_none() {
                let problem = format!("it is larger than {FILE_BYTES_MAX} bytes");
                self.failed = Some(io::Error::other(problem));
            }
        }
        Ok(())
    }
}

/// The part of the stream that sees each byte.
struct Machine<'m> {
    state: State,
    spent: Spent,
    out: &'m mut Vec<u8>,
}

impl Machine<'_> {
    fn pass(&mut self, chunk: &[u8]) -> io::Result<()> {
        let mut rest = chunk;
        while let Some(&byte) = rest.first() {
            if self.state == State::Text {
                let length = rest
                    .iter()
                    .position(|byte| *byte == b'<')
                    .unwrap_or(rest.len());
                let (text, after) = rest.split_at(length);
                self.keep(text);
                rest = after;
                if let Some((_, after)) = rest.split_first() {
                    self.turn(State::Open);
                    self.keep(b"<");
                    rest = after;
                }
                continue;
            }
            self.step(byte)?;
            rest = &rest[1..];
        }
        Ok(())
    }

    fn step(&mut self, byte: u8) -> io::Result<()> {
        match self.state {
            State::Text => {}
            State::Open => self.open(byte)?,
            State::Tag { quote } => self.tag(byte, quote)?,
            State::Bang { matched, cdata } => self.bang(byte, matched, cdata)?,
            State::Doctype { brackets } => self.doctype(byte, brackets)?,
            State::Until { end, seen } => self.until(byte, end, seen),
        }
        Ok(())
    }

    fn open(&mut self, byte: u8) -> io::Result<()> {
        match byte {
            b'!' => {
                self.state = State::Bang {
                    matched: 0,
                    cdata: false,
                };
                self.must_keep(byte)
            }
            b'?' => {
                self.state = State::Until {
                    end: b"?>",
                    seen: 0,
                };
                self.must_keep(byte)
            }
            _ => {
                self.state = State::Tag { quote: None };
                self.tag(byte, None)
            }
        }
    }

    fn tag(&mut self, byte: u8, quote: Option<u8>) -> io::Result<()> {
        match (byte, quote) {
            (_, Some(open)) if byte != open => {
                if self.spent.value < VALUE_BYTES_MAX {
                    self.keep(&[byte]);
                    self.spent.value += 1;
                }
                return Ok(());
            }
            (b'>', None) => self.turn(State::Text),
            (_, Some(_)) => self.state = State::Tag { quote: None },
            (b'"' | b'\'', None) => {
                self.state = State::Tag { quote: Some(byte) };
                self.spent.value = 0;
            }
            (_, None) => {}
        }
        self.must_keep(byte)
    }

    fn bang(&mut self, byte: u8, matched: usize, cdata: bool) -> io::Result<()> {
        self.must_keep(byte)?;
        self.state = match (matched, byte) {
            (0, b'-') => State::Bang {
                matched: 1,
                cdata: false,
            },
            (1, b'-') if !cdata => State::Until {
                end: b"-->",
                seen: 0,
            },
            (_, _) if byte == CDATA[matched.min(CDATA.len() - 1)] && (cdata || matched == 0) => {
                if matched + 1 == CDATA.len() {
                    State::Until {
                        end: b"]]>",
                        seen: 0,
                    }
                } else {
                    State::Bang {
                        matched: matched + 1,
                        cdata: true,
                    }
                }
            }
            (_, b'>') => State::Text,
            (_, _) => State::Doctype {
                brackets: byte == b'[',
            },
        };
        if !matches!(self.state, State::Bang { .. }) {
            self.spent = Spent::default();
        }
        Ok(())
    }

    fn doctype(&mut self, byte: u8, brackets: bool) -> io::Result<()> {
        self.must_keep(byte)?;
        match (byte, brackets) {
            (b'[', false) => self.state = State::Doctype { brackets: true },
            (b']', true) => self.state = State::Doctype { brackets: false },
            (b'>', false) => self.turn(State::Text),
            _ => {}
        }
        Ok(())
    }

    fn until(&mut self, byte: u8, end: &'static [u8], seen: usize) {
        let last = end.len() - 1;
        let seen = if byte == end[seen] {
            seen + 1
        } else if byte == end[0] {
            // `--->` and `]]]>` end too: a repeated first byte moves the end along.
            if seen == last && last > 1 { last } else { 1 }
        } else {
            0
        };
        if seen <= last {
            self.keep(&[byte]);
            self.state = State::Until { end, seen };
            return;
        }
        if self.spent.droppable >= TOKEN_BYTES_MAX {
            self.out.extend_from_slice(end);
        } else {
            self.out.push(byte);
        }
        self.turn(State::Text);
    }

    fn turn(&mut self, state: State) {
        self.state = state;
        self.spent = Spent::default();
    }

    /// Passes bytes on while the token is short enough.
    fn keep(&mut self, bytes: &[u8]) {
        let room = TOKEN_BYTES_MAX.saturating_sub(self.spent.droppable);
        let kept = bytes.len().min(room);
        self.out.extend_from_slice(&bytes[..kept]);
        self.spent.droppable += kept;
    }

    /// Passes a byte on that the grammar needs.
    fn must_keep(&mut self, byte: u8) -> io::Result<()> {
        self.spent.needed += 1;
        if self.spent.needed > TOKEN_BYTES_MAX {
            let problem = format!("a tag in it is longer than {TOKEN_BYTES_MAX} bytes");
            return Err(io::Error::other(problem));
        }
        self.out.push(byte);
        Ok(())
    }
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ready = self.fill_buf()?;
        let length = ready.len().min(buffer.len());
        buffer[..length].copy_from_slice(&ready[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position == self.out.len() {
            self.refill()?;
        }
        Ok(&self.out[self.position..])
    }

    fn consume(&mut self, amount: usize) {
        self.position = (self.position + amount).min(self.out.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounded(text: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Bounded::new(io::BufReader::with_capacity(7, text)).read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn short_tokens_pass_as_they_are() {
        for text in [
            "<?xml version='1.0'?><!DOCTYPE a [ <!ENTITY b \"<>\"> ]><a b=\"<!--'>\" c='\"'>x &amp; y</a>",
            "<!-- a - b -- c ---><a/><![CDATA[ ]] ]>]]]></a>",
            "<a><b></b></a>",
            "text < text <",
            "<!><!-><!x><![CDA>",
            "",
        ] {
            assert_eq!(
                String::from_utf8(bounded(text.as_bytes()).unwrap()).unwrap(),
                text
            );
        }
    }

    #[test]
    fn long_tokens_lose_their_middle_and_keep_their_ends() {
        let long = "x".repeat(TOKEN_BYTES_MAX * 2);
        for (before, after) in [
            ("<a>", "</a>"),
            ("<a><![CDATA[", "]]></a>"),
            ("<a><!--", "--></a>"),
            ("<?p ", "?><a/>"),
            ("<a b=\"", "\" c='d'>y</a>"),
        ] {
            let passed = bounded(format!("{before}{long}{after}").as_bytes()).unwrap();
            let passed = String::from_utf8(passed).unwrap();
            assert!(
                passed.starts_with(before) && passed.ends_with(after),
                "{before}"
            );
            assert!(passed.len() < TOKEN_BYTES_MAX + 100, "{before}");
        }
    }

    #[test]
    fn a_tag_that_is_too_long_without_its_values_is_an_error() {
        let long = "x".repeat(TOKEN_BYTES_MAX + 1);
        for text in [
            format!("<{long}>"),
            format!("<!DOCTYPE {long}>"),
            format!("<a {long}=''>"),
        ] {
            let error = bounded(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("longer than"), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_short_bytes_pass_unchanged(text in proptest::collection::vec("[<>!?a\\[\\]CDAT\"'&/-]", 0..60)) {
            let text = text.concat();
            proptest::prop_assert_eq!(bounded(text.as_bytes()).unwrap(), text.as_bytes());
        }
    }
}
