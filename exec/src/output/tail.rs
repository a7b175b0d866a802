//! The last lines of a command: what a person wants to see beside a failure. Receives output in pieces, keeps a bounded part
//! of it, gives lines of plain text.

use std::collections::VecDeque;

/// Characters kept of a line. More would fill the screen and say no more.
pub const LINE_CHARS_MAX: usize = 512;

/// Bytes kept of a line: enough for so many characters, and for colours among them.
const LINE_BYTES_MAX: usize = LINE_CHARS_MAX * 4;

/// The last lines of a stream, in memory that does not grow with it.
#[derive(Debug)]
pub struct Tail {
    lines_max: usize,
    /// Finished lines, the oldest first.
    lines: VecDeque<Vec<u8>>,
    /// The line that has no end yet.
    line: Line,
}

impl Tail {
    /// Keeps the last `lines_max` lines.
    #[must_use]
    pub const fn new(lines_max: usize) -> Self {
        Self {
            lines_max,
            lines: VecDeque::new(),
            line: Line {
                bytes: Vec::new(),
                returned: false,
            },
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.line.take();
    }

    /// Takes a piece of the stream. The work is bounded by the lines kept, not by the piece.
    pub fn push(&mut self, mut bytes: &[u8]) {
        // The end of the line before the last ones: what stands before it will not be kept.
        if let Some(end) = memchr::memrchr_iter(b'\n', bytes).nth(self.lines_max) {
            self.clear();
            bytes = &bytes[end + 1..];
        }
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.line.push(&bytes[..end]);
            if self.lines.len() >= self.lines_max {
                self.lines.pop_front();
            }
            let line = self.line.take();
            self.lines.push_back(line);
            bytes = &bytes[end + 1..];
        }
        self.line.push(bytes);
    }

    /// At most `count` lines, the oldest first, the unfinished one last; without colours and control characters, each at most
    /// [`LINE_CHARS_MAX`] characters and, where it was longer, an ellipsis.
    #[must_use]
    pub fn lines(&self, count: usize) -> Vec<String> {
        let unfinished = Some(&self.line.bytes).filter(|bytes| !bytes.is_empty());
        let all = self.lines.iter().chain(unfinished);
        let skipped = (self.lines.len() + usize::from(unfinished.is_some()))
            .saturating_sub(count.min(self.lines_max));
        all.skip(skipped).map(|bytes| line_text(bytes)).collect()
    }
}

/// A line while it comes: its beginning, or what a carriage return put over it.
#[derive(Debug)]
struct Line {
    bytes: Vec<u8>,
    /// The last byte was a carriage return: what follows begins the line anew.
    returned: bool,
}

impl Line {
    fn push(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        if self.returned && bytes.iter().any(|&byte| byte != b'\r') {
            self.bytes.clear();
        }
        self.returned = *last == b'\r';
        let trailing = bytes
            .iter()
            .rev()
            .take_while(|&&byte| byte == b'\r')
            .count();
        let shown = &bytes[..bytes.len() - trailing];
        let shown = match memchr::memrchr(b'\r', shown) {
            Some(at) => {
                self.bytes.clear();
                &shown[at + 1..]
            }
            None => shown,
        };
        // One byte more than is shown, so that it is known that there was more.
        let room = (LINE_BYTES_MAX + 1).saturating_sub(self.bytes.len());
        self.bytes
            .extend_from_slice(&shown[..shown.len().min(room)]);
    }

    fn take(&mut self) -> Vec<u8> {
        self.returned = false;
        std::mem::take(&mut self.bytes)
    }
}

fn line_text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LINE_BYTES_MAX)]);
    let mut line = plain_text(&text, LINE_CHARS_MAX);
    if bytes.len() > LINE_BYTES_MAX && !line.ends_with('…') {
        line.push('…');
    }
    line
}

/// What a person would read of `text` on one line: no escape sequences, no control characters; at most `chars_max`
/// characters and, when there were more, an ellipsis.
#[must_use]
pub fn plain_text(text: &str, chars_max: usize) -> String {
    let mut line = String::new();
    let mut shown = 0;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => {
                skip_escape(&mut characters);
                continue;
            }
            _ if shown == chars_max => return line + "…",
            '\t' => line.push_str("    "),
            _ if character.is_control() => continue,
            _ => line.push(character),
        }
        shown += 1;
    }
    line
}

/// Skips the rest of an escape sequence: `[` to a letter, `]` to a bell or a string terminator, or one character.
fn skip_escape(characters: &mut std::str::Chars<'_>) {
    match characters.next() {
        Some('[') => {
            characters.find(|character| ('@'..='~').contains(character));
        }
        Some(']') => {
            characters.find(|character| matches!(character, '\u{7}' | '\\'));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail_of(pieces: &[&str]) -> Tail {
        let mut tail = Tail::new(3);
        for piece in pieces {
            tail.push(piece.as_bytes());
        }
        tail
    }

    #[test]
    fn the_last_lines_are_kept_however_they_come() {
        assert_eq!(
            tail_of(&["one\ntwo\nthree\nfour\nfi"]).lines(3),
            ["three", "four", "fi"]
        );
        assert_eq!(
            tail_of(&["one\ntw", "o\nthree\nf", "our\n"]).lines(3),
            ["two", "three", "four"]
        );
        assert_eq!(tail_of(&["one\ntwo\n"]).lines(20), ["one", "two"]);
        assert_eq!(tail_of(&["one\n\ntwo\n"]).lines(2), ["", "two"]);
        assert_eq!(tail_of(&[]).lines(3), Vec::<String>::new());
    }

    #[test]
    fn a_line_drawn_over_itself_is_kept_as_it_looks_last() {
        assert_eq!(
            tail_of(&["10%\r20%\r30%\nnext\r\n"]).lines(3),
            ["30%", "next"]
        );
        assert_eq!(tail_of(&["10%\r", "20%\r", "\n"]).lines(3), ["20%"]);
        assert_eq!(tail_of(&["10%\r", "2"]).lines(3), ["2"]);
    }

    #[test]
    fn colours_and_control_characters_are_left_out() {
        let line = "\u{1b}[1;31merror\u{1b}[0m: \u{1b}]8;;http://x\u{7}a\tb\u{8}\u{1b}]8;;\u{1b}\\";
        assert_eq!(tail_of(&[line]).lines(1), ["error: a    b"]);
    }

    #[test]
    fn a_long_line_costs_bounded_memory_and_says_that_it_was_cut() {
        let mut tail = Tail::new(3);
        for _ in 0..160 {
            tail.push(&[b'x'; 65536]);
        }
        assert!(tail.line.bytes.capacity() <= 2 * LINE_BYTES_MAX + 2);
        let lines = tail.lines(1);
        assert_eq!(lines[0].chars().count(), LINE_CHARS_MAX + 1);
        assert!(lines[0].ends_with("x…"));
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let mut tail = Tail::new(3);
        tail.push(b"a\xffb\n");
        assert_eq!(tail.lines(1), ["a\u{fffd}b"]);
    }
}
