//! Shell text to words and operators, as far as the rules need it: quotes, substitutions, comments and here-documents are
//! stepped over. Text that cannot be followed gives `None`, never a guess.

use std::ops::Range;

/// Substitutions inside each other; deeper text is generated, and not for these rules.
const NESTING_MAX: usize = 32;

/// A piece of shell text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// Bytes in the text.
    pub(super) range: Range<usize>,
}

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A word, quotes and substitutions included.
    Word,
    /// An operator.
    Operator(&'static str),
    /// The end of a line.
    Newline,
}

/// Longest first.
const OPERATORS: &[&str] = &[
    "&>>", "<<<", "<<-", ";;&", "&&", "||", ";;", ";&", "|&", "&>", ">>", "<<", ">&", "<&", ">|",
    "<>", "|", "&", ";", "(", ")", "<", ">",
];

/// The pieces of a text; `None` when a quote or bracket never closes.
pub(super) fn lex(text: &str) -> Option<Vec<Token>> {
    let mut lexer = Lexer {
        text,
        at: 0,
        tokens: Vec::new(),
        heredocs: Vec::new(),
    };
    while lexer.at < text.len() {
        lexer.next()?;
    }
    lexer.heredocs.is_empty().then_some(lexer.tokens)
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    tokens: Vec<Token>,
    /// Delimiters of here-documents whose text begins at the next line, and whether tabs before it count.
    heredocs: Vec<(String, bool)>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn push(&mut self, kind: TokenKind, length: usize) {
        self.tokens.push(Token {
            kind,
            range: self.at..self.at + length,
        });
        self.at += length;
    }

    fn next(&mut self) -> Option<()> {
        let rest = self.rest();
        let first = rest.chars().next()?;
        match first {
            ' ' | '\t' | '\r' => self.at += 1,
            '\\' if rest.starts_with("\\\n") => self.at += 2,
            '#' => self.at += rest.find('\n').unwrap_or(rest.len()),
            '\n' => {
                self.push(TokenKind::Newline, 1);
                self.skip_heredocs()?;
            }
            _ => match OPERATORS
                .iter()
                .find(|operator| rest.starts_with(**operator))
            {
                Some(operator) if !is_process_substitution(rest) => {
                    self.push(TokenKind::Operator(operator), operator.len())
                }
                Some(_) | None => self.word()?,
            },
        }
        Some(())
    }

    fn word(&mut self) -> Option<()> {
        let length = word_length(self.rest(), 0)?;
        let text = self.rest().get(..length)?;
        let number = text.bytes().all(|byte| byte.is_ascii_digit());
        let redirected = self.rest()[length..].starts_with(['<', '>']);
        if number && redirected {
            self.at += length;
            return Some(());
        }
        let delimiter = match self.tokens.last().map(|token| token.kind) {
            Some(TokenKind::Operator("<<")) => Some(false),
            Some(TokenKind::Operator("<<-")) => Some(true),
            Some(TokenKind::Operator(_) | TokenKind::Word | TokenKind::Newline) | None => None,
        };
        if let Some(tabs) = delimiter {
            self.heredocs
                .push((text.replace(['\'', '"', '\\'], ""), tabs));
        }
        self.push(TokenKind::Word, length);
        Some(())
    }

    fn skip_heredocs(&mut self) -> Option<()> {
        for (delimiter, tabs) in std::mem::take(&mut self.heredocs) {
            loop {
                let rest = self.rest();
                if rest.is_empty() {
                    return None;
                }
                let line = rest.split_inclusive('\n').next()?;
                let content = line.strip_suffix('\n').unwrap_or(line);
                let content = if tabs {
                    content.trim_start_matches('\t')
                } else {
                    content
                };
                let done = content == delimiter;
                self.at += line.len();
                if done {
                    break;
                }
            }
        }
        Some(())
    }
}

fn is_process_substitution(rest: &str) -> bool {
    rest.starts_with("<(") || rest.starts_with(">(")
}

/// The bytes of the word at the text's start.
fn word_length(text: &str, depth: usize) -> Option<usize> {
    let mut at = 0;
    while let Some(character) = text.get(at..)?.chars().next() {
        let rest = &text[at..];
        at += match character {
            ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | ')' => break,
            '(' if at > 0 && text[..at].ends_with('=') => bracketed(rest, 1, ')', depth)?,
            '<' | '>' if is_process_substitution(rest) => bracketed(rest, 2, ')', depth)?,
            '(' | '<' | '>' => break,
            _ => piece_length(rest, depth)?,
        };
    }
    (at > 0).then_some(at)
}

/// The bytes of one character, or of the quotation or substitution it begins.
fn piece_length(text: &str, depth: usize) -> Option<usize> {
    if depth > NESTING_MAX {
        return None;
    }
    if text.starts_with("$(") {
        return bracketed(text, 2, ')', depth);
    }
    if text.starts_with("${") {
        return bracketed(text, 2, '}', depth);
    }
    let first = text.chars().next()?;
    match first {
        '\\' => Some(1 + text[1..].chars().next().map_or(0, char::len_utf8)),
        '\'' => Some(text[1..].find('\'')? + 2),
        '"' => double_quoted(text, depth),
        '`' => until(text, '`'),
        _ => Some(first.len_utf8()),
    }
}

/// To the next unescaped `end` after the first character.
fn until(text: &str, end: char) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        if character == end && !escaped {
            return Some(at + character.len_utf8());
        }
        escaped = character == '\\' && !escaped;
    }
    None
}

fn double_quoted(text: &str, depth: usize) -> Option<usize> {
    let mut at = 1;
    loop {
        let rest = text.get(at..)?;
        match rest.chars().next()? {
            '"' => return Some(at + 1),
            '\'' => at += 1,
            _ => at += piece_length(rest, depth + 1)?,
        }
    }
}

/// From an opening of `open` bytes to its closing bracket, quotations and substitutions stepped over.
fn bracketed(text: &str, open: usize, close: char, depth: usize) -> Option<usize> {
    let mut at = open;
    let mut level = 1;
    while level > 0 {
        let rest = text.get(at..)?;
        let next = rest.chars().next()?;
        if next == close {
            level -= 1;
        } else if next == '(' && close == ')' {
            level += 1;
        }
        // An apostrophe inside `${..}` is a character of the text, not a quotation, when the whole is quoted.
        at += if next == close || (next == '\'' && close == '}') {
            next.len_utf8()
        } else {
            piece_length(rest, depth + 1)?
        };
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::{TokenKind, lex};

    fn pieces(text: &str) -> Vec<&str> {
        lex(text)
            .unwrap()
            .into_iter()
            .filter(|token| token.kind != TokenKind::Newline)
            .map(|token| &text[token.range])
            .collect()
    }

    #[test]
    fn words_keep_their_quotations_and_substitutions() {
        for (text, expected) in [
            ("a  b\tc", vec!["a", "b", "c"]),
            (
                "echo 'a b' \"c $(d \"e f\") g\" # h",
                vec!["echo", "'a b'", "\"c $(d \"e f\") g\""],
            ),
            (
                "a&&b||c|d;e&",
                vec!["a", "&&", "b", "||", "c", "|", "d", ";", "e", "&"],
            ),
            ("x=$(a | b) y", vec!["x=$(a | b)", "y"]),
            ("x=(a 'b c')", vec!["x=(a 'b c')"]),
            ("a 2>&1 >f", vec!["a", ">&", "1", ">", "f"]),
            ("diff <(a b) c", vec!["diff", "<(a b)", "c"]),
            ("a \\\n  b", vec!["a", "b"]),
            ("cat <<'E'\nx ' y\nE\nz", vec!["cat", "<<", "'E'", "z"]),
            ("echo ${a:-b c} `d e`", vec!["echo", "${a:-b c}", "`d e`"]),
            ("é \"ü'\"", vec!["é", "\"ü'\""]),
        ] {
            assert_eq!(pieces(text), expected, "{text}");
        }
    }

    #[test]
    fn text_that_never_closes_is_not_followed() {
        for text in [
            "echo 'a",
            "echo \"a",
            "echo $(a",
            "echo ${a",
            "cat <<E\nx",
            "a \\",
        ] {
            let lexed = lex(text);
            assert!(lexed.is_none() || text == "a \\", "{text}: {lexed:?}");
        }
    }
}
