//! Collects what is wrong with one file. The YAML layer, the reader and the linter report here; the caller gets the list
//! sorted by place, without repetitions and of bounded length.

use croft_proto::{Diagnostic, Level, Place};

use crate::code::Code;
use crate::lines::{Lines, Span};

/// Findings listed for one file; nobody reads more, and a hostile file could make one per byte.
pub(crate) const FINDINGS_MAX: usize = 200;

/// Findings held before the list is cut; bounds memory for a file that is wrong at every byte.
const HELD_MAX: usize = 5000;

/// One file's findings so far.
#[derive(Debug)]
pub(crate) struct Findings<'a> {
    file: &'a str,
    source: &'a str,
    /// Where the lines are.
    pub(crate) lines: Lines<'a>,
    /// Lines (from 0) whose contents were replaced to read on after a syntax error: what else is said of them is void.
    damaged: Vec<usize>,
    list: Vec<Diagnostic>,
    /// How many were not held.
    dropped: usize,
}

impl<'a> Findings<'a> {
    /// None yet.
    pub(crate) fn new(file: &'a str, source: &'a str) -> Self {
        Self {
            file,
            source,
            lines: Lines::new(source),
            damaged: Vec::new(),
            list: Vec::new(),
            dropped: 0,
        }
    }

    /// The file's text.
    pub(crate) fn source(&self) -> &'a str {
        self.source
    }

    /// The text of a range; empty when there is none.
    pub(crate) fn slice(&self, span: Span) -> &'a str {
        self.source.get(span.start..span.end).unwrap_or_default()
    }

    /// Where a byte is, for people.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let (line, column) = self.lines.place(offset);
        Place {
            file: self.file.to_owned(),
            line,
            column,
        }
    }

    /// From now on nothing more is said about these lines.
    pub(crate) fn set_damaged(&mut self, lines: Vec<usize>) {
        self.damaged = lines;
    }

    /// Adds a finding, with what to do where the message does not say it.
    pub(crate) fn add<'h>(
        &mut self,
        code: Code,
        span: Span,
        message: impl Into<String>,
        help: impl Into<Option<&'h str>>,
    ) {
        if self.damaged.contains(&self.lines.line_of(span.start)) {
            return;
        }
        // An error is kept in any case: it decides whether the file is usable.
        let needed = code.level() == Level::Error
            && !self
                .list
                .iter()
                .rev()
                .any(|found| found.level == Level::Error);
        if self.list.len() >= HELD_MAX && !needed {
            self.dropped += 1;
            return;
        }
        // The parser skips byte order marks in the middle of a text without counting them: what it says may point into a character.
        let span = Span::new(
            self.source.floor_char_boundary(span.start),
            self.source.ceil_char_boundary(span.end),
        );
        self.list.push(Diagnostic {
            code: code.name().to_owned(),
            level: code.level(),
            message: tidy(&message.into()),
            place: self.place(span.start),
            start: span.start,
            end: span.end,
            help: help.into().map(tidy),
        });
    }

    /// Adds what is wrong with the damaged lines themselves.
    pub(crate) fn add_syntax(
        &mut self,
        code: Code,
        span: Span,
        message: String,
        help: Option<String>,
    ) {
        let damaged = std::mem::take(&mut self.damaged);
        self.add(code, span, message, help.as_deref());
        self.damaged = damaged;
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.list.len()
    }

    /// Drops those added since there were `count`.
    pub(crate) fn forget_after(&mut self, count: usize) {
        self.list.truncate(count);
        self.dropped = 0;
    }

    /// Adds a finding about the file as a whole.
    pub(crate) fn add_for_file(&mut self, code: Code, message: impl Into<String>, help: &str) {
        self.list.push(Diagnostic {
            code: code.name().to_owned(),
            level: code.level(),
            message: message.into(),
            place: Place {
                file: self.file.to_owned(),
                line: 0,
                column: 0,
            },
            start: 0,
            end: 0,
            help: Some(help.to_owned()),
        });
    }

    /// The list: by place, errors first, each once, at most [`FINDINGS_MAX`] and a last one that counts the rest.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        // An aliased value is read once per use, and would say the same thing each time.
        self.list.sort_by(|a, b| {
            (a.start, a.level, a.end, &a.message).cmp(&(b.start, b.level, b.end, &b.message))
        });
        self.list.dedup_by(|a, b| {
            a.start == b.start && a.end == b.end && a.code == b.code && a.message == b.message
        });
        let more = self.list.len().saturating_sub(FINDINGS_MAX) + self.dropped;
        if more > 0 {
            // Which of them are kept must not decide whether the file is usable.
            self.list.sort_by_key(|finding| finding.level);
            self.list.truncate(FINDINGS_MAX);
            self.list.sort_by_key(|finding| finding.start);
            let message = format!("{more} more findings are not listed");
            self.add_for_file(
                Code::TooManyFindings,
                message,
                "correct these first, then look again",
            );
        }
        self.list
    }
}

/// One line of bounded length whatever the file's own words in it are; they may hold control characters that a terminal
/// would obey.
fn tidy(text: &str) -> String {
    /// Room for a long command; more of it stands in the file.
    const CHARS_MAX: usize = 400;
    let mut tidy = String::with_capacity(text.len().min(CHARS_MAX));
    for character in text.chars().take(CHARS_MAX) {
        if character.is_control() {
            tidy.extend(character.escape_default())
        } else {
            tidy.push(character)
        }
    }
    if text.chars().nth(CHARS_MAX).is_some() {
        tidy.push_str("...");
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::tidy;

    #[test]
    fn the_files_own_words_stay_on_one_line_of_bounded_length() {
        assert_eq!(tidy("a `b\n\u{1b}[31m` é"), "a `b\\n\\u{1b}[31m` é");
        assert_eq!(tidy(&"é".repeat(500)).chars().count(), 403);
    }
}
