//! Where in a file a part of a text stands, whose lines YAML may have folded and whose letters quotes may have hidden. Receives a text as it is
//! written and as it is meant; hands back a range of what is written.
//!
//! Both have the same letters in the same order once escapes are undone and white space is left out, and so one is found by the other.

use crate::lines::Span;

/// The byte at a line and byte of the text, both from 1; its end for what is past it.
pub(super) fn byte(text: &str, line: usize, column: usize) -> Option<usize> {
    let mut start = 0;
    for _ in 1..line {
        start += text.get(start..)?.find('\n')? + 1;
    }
    Some((start + column.checked_sub(1)?).min(text.len()))
}

/// The word of `written` that says what stands at that byte of `text`. A point behind the last letter, where the text is over there.
pub(super) fn find(written: &str, text: &str, at: usize) -> Option<Span> {
    let before = text.get(..at)?.chars().filter(|c| !c.is_whitespace());
    let after = text.get(at..)?.trim_start();
    let mut letters = Letters::of(written);
    for letter in before {
        letters.expect(letter)?;
    }
    let Some(first) = after.chars().next() else {
        return Some(Span::point(letters.at));
    };
    let start = letters.expect(first)?;
    if is_word(first) {
        for letter in after.chars().skip(1).take_while(|c| is_word(*c)) {
            letters.expect(letter)?;
        }
    }
    Some(Span::new(start, letters.at))
}

const fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | ':')
}

/// How a text is written.
#[derive(Clone, Copy)]
enum Style {
    /// As it is, in one line, several, or a block.
    Plain,
    Single,
    Double,
}

/// Letters as they are written, without white space.
struct Letters<'w> {
    written: &'w str,
    style: Style,
    /// Behind the last one that was expected.
    at: usize,
}

impl<'w> Letters<'w> {
    fn of(written: &'w str) -> Self {
        let (style, at) = match written.chars().next() {
            Some('\'') => (Style::Single, 1),
            Some('"') => (Style::Double, 1),
            // What stands behind it on its line says how the block is folded.
            Some('|' | '>') => (Style::Plain, written.find('\n').unwrap_or(written.len())),
            Some(_) | None => (Style::Plain, 0),
        };
        Self { written, style, at }
    }

    /// Where that letter begins, if it is the next one.
    fn expect(&mut self, letter: char) -> Option<usize> {
        loop {
            let start = self.at;
            let (next, size_bytes) = self.next()?;
            self.at += size_bytes;
            match next {
                // A line that goes on, or an escape for white space.
                None => {}
                Some(found) if found.is_whitespace() => {}
                Some(found) => return (found == letter).then_some(start),
            }
        }
    }

    /// What is meant by the next letter, and how long it is as it is written.
    fn next(&self) -> Option<(Option<char>, usize)> {
        let rest = self.written.get(self.at..)?;
        let first = rest.chars().next()?;
        match (self.style, first) {
            (Style::Single, '\'') => rest.starts_with("''").then_some((Some('\''), 2)),
            (Style::Double, '"') => None,
            (Style::Double, '\\') => escape(rest),
            (Style::Plain | Style::Single | Style::Double, first) => {
                Some((Some(first), first.len_utf8()))
            }
        }
    }
}

/// **Source.** YAML 1.2.2, 5.7, which has all of JSON's; a surrogate pair of JSON is not looked for.
fn escape(rest: &str) -> Option<(Option<char>, usize)> {
    let letter = rest.get(1..)?.chars().next()?;
    let digits = match letter {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => 0,
    };
    if digits > 0 {
        let code = u32::from_str_radix(rest.get(2..2 + digits)?, 16).ok()?;
        return Some((Some(char::from_u32(code)?), 2 + digits));
    }
    let meant = match letter {
        '"' | '\\' | '/' => Some(letter),
        '0' => Some('\0'),
        'a' => Some('\u{7}'),
        'b' => Some('\u{8}'),
        'e' => Some('\u{1b}'),
        // All others are white space, or the end of a line.
        _ => None,
    };
    Some((meant, 1 + letter.len_utf8()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'w>(written: &'w str, text: &str, line: usize, column: usize) -> Option<&'w str> {
        let span = find(written, text, byte(text, line, column)?)?;
        written.get(span.start..span.end)
    }

    #[test]
    fn a_word_is_found_however_its_text_is_written() {
        let text = "sum(x{a=\"b\"}) andd y";
        for written in [
            "sum(x{a=\"b\"}) andd y",
            "'sum(x{a=\"b\"}) andd y'",
            "\"sum(x{a=\\\"b\\\"}) andd y\"",
            "\"sum(x{a=\\u0022b\\x22})\\tandd \\\n   y\"",
            "sum(x{a=\"b\"})\n    andd\n    y",
            "|-\n    sum(x{a=\"b\"}) andd y",
            ">- # folded\n    sum(x{a=\"b\"})\n    andd y\n",
        ] {
            assert_eq!(found(written, text, 1, 15), Some("andd"), "{written}");
            assert_eq!(found(written, text, 1, 4), Some("("), "{written}");
        }
    }

    #[test]
    fn the_end_of_a_text_is_behind_its_last_letter() {
        let end = |written, text: &str| find(written, text, byte(text, 1, 99)?);
        assert_eq!(end("sum(", "sum("), Some(Span::point(4)));
        assert_eq!(end("'sum('", "sum("), Some(Span::point(5)));
        assert_eq!(end("|\n  sum(\n", "sum(\n"), Some(Span::point(8)));
    }

    #[test]
    fn lines_are_counted_and_what_is_not_there_is_not_found() {
        let text = "sum(\n  x\n) byy (a)\n";
        let written = "|\n      sum(\n        x\n      ) byy (a)\n";
        assert_eq!(found(written, text, 3, 3), Some("byy"));
        assert_eq!(found(written, text, 9, 1), None);
        assert_eq!(found(written, text, 1, 0), None);
        assert_eq!(found("other", text, 3, 3), None);
        assert_eq!(found("'it''s é x'", "it's é x", 1, 9), Some("x"));
    }
}
