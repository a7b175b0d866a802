//! What the parser's complaints mean to someone who wrote a shell command or a key, and what to write instead.

use granit_parser::ErrorKind;

use super::compose::Stopped;
use crate::code::Code;
use crate::findings::Findings;
use crate::lines::Span;

/// A complaint in our words.
#[derive(Debug)]
pub(super) struct Complaint {
    pub(super) code: Code,
    pub(super) span: Span,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// One line of a file as far as it can be told without YAML: `indent`, `- ` marks, perhaps `key: `, and the rest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// Everything before the value.
    pub(super) lead: &'a str,
    /// The value, to the line's end.
    pub(super) rest: &'a str,
}

impl<'a> Line<'a> {
    /// Takes a line apart.
    pub(super) fn of(text: &'a str) -> Self {
        let mut at = text.len() - text.trim_start().len();
        while text.get(at..).is_some_and(|rest| rest.starts_with("- ")) {
            at += 2;
            at += text[at..].len() - text[at..].trim_start().len();
        }
        let list = text[..at].contains('-');
        if let Some(key) = key_length(&text[at..])
            && (!list || begins_item(&text[at..]))
        {
            at += key;
        }
        Self {
            lead: &text[..at],
            rest: text[at..].trim_end(),
        }
    }

    /// The line with its value quoted so that YAML takes it as it stands.
    pub(super) fn quoted(&self) -> String {
        format!("`{}{}`", self.lead.trim_start(), quote(self.rest))
    }
}

/// Whether a text after `- ` begins with a key of an AppSpec's items. Other lists hold commands, in which `: ` is text.
fn begins_item(text: &str) -> bool {
    const KEYS: &[&str] = &["source", "destination", "object", "location", "timeout"];
    KEYS.iter().any(|key| {
        text.strip_prefix(key)
            .is_some_and(|rest| rest.starts_with(':'))
    })
}

/// The bytes of `key: ` at the text's start, when a value follows.
fn key_length(text: &str) -> Option<usize> {
    let colon = text.find(':')?;
    let is_key = colon > 0
        && text[..colon]
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.<".contains(&byte));
    let value = text[colon + 1..].trim_start();
    let space = text.len() - colon - 1 - value.len();
    (is_key && space > 0 && !value.is_empty()).then_some(colon + 1 + space)
}

/// The text as one YAML scalar on one line; a text with both kinds of quotes is shown as a block.
pub(crate) fn quote(text: &str) -> String {
    if !text.contains('\'') {
        format!("'{text}'")
    } else if !text.contains(['"', '\\']) {
        format!("\"{text}\"")
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// The complaint about the byte where the parser's trouble began.
pub(super) fn explain(kind: &ErrorKind, at: usize, findings: &Findings<'_>) -> Complaint {
    let line = findings.lines.line_of(at);
    let full = findings.lines.span(line);
    let text = Line::of(findings.lines.text(line));
    let value = full.start + text.lead.len();
    let code = if matches!(kind, ErrorKind::RecursionLimitExceeded) {
        Code::TooDeep
    } else {
        Code::YamlSyntax
    };
    let in_value = at >= value;
    if let Some((start, (message, help))) = unclosed(kind, line, findings) {
        let end = findings.lines.span(findings.lines.line_of(start)).end;
        return Complaint {
            code,
            span: Span::new(start, end),
            message,
            help: Some(help),
        };
    }
    let (start, (message, help)) = if let Some(found) = quoting(kind, text, in_value) {
        (value, found)
    } else if let Some(found) = layout(kind, text, in_value) {
        (
            full.start + findings.lines.text(line).len()
                - findings.lines.text(line).trim_start().len(),
            found,
        )
    } else {
        (
            at.clamp(full.start, full.end),
            contents(kind, at, findings).unwrap_or_else(|| otherwise(kind)),
        )
    };
    Complaint {
        code,
        span: Span::new(start, full.end),
        message,
        help: Some(help),
    }
}

/// Lines above the trouble in which a bracket may stand that nothing ends: the parser goes on to the next thing that cannot be in it.
const LINES_ABOVE_MAX: usize = 50;

/// A list or a map in brackets that nothing ends, and where it begins.
fn unclosed(
    kind: &ErrorKind,
    line: usize,
    findings: &Findings<'_>,
) -> Option<(usize, (String, String))> {
    let is_broken_off = matches!(
        kind,
        ErrorKind::ExpectedFlowSequenceSeparator
            | ErrorKind::ExpectedFlowMappingSeparator
            | ErrorKind::UnclosedFlowCollection { .. }
            | ErrorKind::SimpleKeyExpected
            | ErrorKind::InvalidSimpleKey
            | ErrorKind::UnexpectedEofFlowSequence
            | ErrorKind::UnexpectedEofFlowMapping
            | ErrorKind::UnexpectedEofImplicitFlowMapping
            | ErrorKind::BlockEntryInFlowCollection
            | ErrorKind::InvalidColonPlacement
            | ErrorKind::MappingValueNotAllowed
    );
    if !is_broken_off {
        return None;
    }
    let lines = (line.saturating_sub(LINES_ABOVE_MAX)..=line).rev();
    lines.filter_map(|line| opened(line, findings)).next()
}

/// The bracket that a line's value begins with, when nothing ends it on that line or below.
fn opened(line: usize, findings: &Findings<'_>) -> Option<(usize, (String, String))> {
    let text = Line::of(findings.lines.text(line));
    let (opening, closing, what) = match text.rest.chars().next()? {
        '[' => ('[', ']', "a list"),
        '{' => ('{', '}', "a map"),
        _ => return None,
    };
    let start = findings.lines.span(line).start + text.lead.len();
    let below = findings.source().get(start..).unwrap_or_default();
    let is_closed = |text: &str| text.matches(closing).count() >= text.matches(opening).count();
    if is_closed(text.rest) || is_closed(below) {
        return None;
    }
    let message = format!("`{opening}` begins {what} here, and nothing ends it");
    let help = format!(
        "end it with `{closing}`; if it is a text, quote it: {}",
        text.quoted()
    );
    Some((start, (message, help)))
}

fn otherwise(kind: &ErrorKind) -> (String, String) {
    if matches!(kind, ErrorKind::MisplacedFlowCollectionEnd) {
        return (
            "this bracket closes nothing".to_owned(),
            "remove it, or open it before; a text with brackets stands in quotes".to_owned(),
        );
    }
    (
        format!("this is not YAML: {kind}"),
        "check the quotes and the indentation here".to_owned(),
    )
}

/// The byte to point at: for a quoted text without an end, its opening quote rather than where the parser lost patience.
///
/// `text` is what the parser read, which begins `shift` bytes into the file.
pub(super) fn culprit(stopped: &Stopped, text: &str, shift: usize) -> usize {
    let unclosed = matches!(
        stopped.error.kind(),
        ErrorKind::UnclosedQuotedScalar
            | ErrorKind::InvalidQuotedScalarIndent
            | ErrorKind::DocumentIndicatorInQuotedScalar
            | ErrorKind::InvalidTrailingSingleQuotedScalar
            | ErrorKind::InvalidTrailingDoubleQuotedScalar
    );
    let (after, at) = (stopped.after - shift, stopped.at - shift);
    if matches!(stopped.error.kind(), ErrorKind::TabInPlainScalar) {
        return tabbed_line(text, at).map_or(stopped.at, |line| line + shift);
    }
    let unread = text.get(after..at).unwrap_or_default();
    let opens = |quote: usize| {
        let before = text.get(..after + quote).unwrap_or_default();
        let on_line = before.rsplit('\n').next().unwrap_or_default().trim_end();
        on_line.is_empty() || on_line.ends_with(['-', ':', ',', '[', '{'])
    };
    let opening = unread
        .match_indices(['"', '\''])
        .map(|(quote, _)| quote)
        .find(|quote| opens(*quote));
    opening
        .filter(|_| unclosed)
        .map_or(stopped.at, |quote| stopped.after + quote)
}

/// The first line after `at` that is indented with a tab: the parser names the text that this line would continue.
fn tabbed_line(text: &str, at: usize) -> Option<usize> {
    let first = at + text.get(at..)?.find('\n')? + 1;
    let mut start = first;
    for line in text.get(first..)?.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        if line[..indent].contains('\t') {
            return Some(start);
        }
        start += line.len();
    }
    None
}

/// Values that need quotes.
fn quoting(kind: &ErrorKind, line: Line<'_>, in_value: bool) -> Option<(String, String)> {
    let list = line.lead.contains('-');
    let what = if list { "item" } else { "value" };
    let quote_it = || format!("quote the whole {what}: {}", line.quoted());
    let first = line.rest.chars().next()?;
    let colon = matches!(kind, ErrorKind::MappingValueNotAllowed);
    if colon && in_value && (list || line.rest.contains(": ")) {
        return Some((
            format!("a `: ` inside an unquoted {what} makes YAML look for a map here"),
            quote_it(),
        ));
    }
    if matches!(
        kind,
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar
    ) {
        return Some((
            format!("the quoted text ends, but the {what} goes on"),
            quote_it(),
        ));
    }
    if let ErrorKind::UnexpectedCharacter { character } = kind
        && "@`%".contains(*character)
    {
        return Some((
            format!("an unquoted {what} cannot begin with `{character}`"),
            quote_it(),
        ));
    }
    let broken_off = matches!(
        kind,
        ErrorKind::ExpectedBlockSequenceEntry
            | ErrorKind::ExpectedBlockMappingKey
            | ErrorKind::ExpectedFlowSequenceSeparator
            | ErrorKind::ExpectedFlowMappingSeparator
            | ErrorKind::UnclosedFlowCollection { .. }
            | ErrorKind::MismatchedFlowCollectionEnd { .. }
            | ErrorKind::FlowMappingValueAdjacentCollection
            | ErrorKind::MissingAnchorOrAliasName
            | ErrorKind::InvalidTagTerminator
            | ErrorKind::BlockEntryInFlowCollection
            | ErrorKind::InvalidBlockScalarHeader
            | ErrorKind::SimpleKeyExpected
            | ErrorKind::InvalidSimpleKey
    );
    let meaning = match first {
        '[' => "a list",
        '{' => "a map",
        '*' => "an alias",
        '&' => "an anchor",
        '!' => "a tag",
        _ => return None,
    };
    broken_off.then(|| {
        (
            format!("YAML reads `{first}` at the start of an unquoted {what} as {meaning}"),
            quote_it(),
        )
    })
}

/// Lines that stand in the wrong column or have the wrong shape.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the parser knows a hundred complaints; these are the slips people make"
)]
fn layout(kind: &ErrorKind, line: Line<'_>, in_value: bool) -> Option<(String, String)> {
    let found = match kind {
        ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabNotAllowed
        | ErrorKind::TabInPlainScalar
        | ErrorKind::TabAtBlockScalarStart => (
            "a tab is used for indentation",
            "indent with spaces: YAML does not allow tabs there",
        ),
        ErrorKind::MappingValueNotAllowed => (
            "this line is indented below a value that is already complete",
            "give it the indentation of its neighbours, or quote the value above",
        ),
        ErrorKind::ExpectedBlockMappingKey
            if !in_value || line.rest.is_empty() || line.lead.trim().is_empty() =>
        {
            (
                "this line does not line up with the lines around it",
                "give every key of one map, and every `-` of one list, the same indentation",
            )
        }
        ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry => (
            "this line does not fit the lines before it",
            "check its indentation, and the quotes and `-` marks around it",
        ),
        ErrorKind::BlockSequenceEntryNotAllowed | ErrorKind::InvalidBlockEntryWhitespace => (
            "a list cannot begin here",
            "put the first `- ` on a line of its own below the key",
        ),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => (
            "this line is neither `key: value` nor `- item`",
            "add the `: ` after the key, the `- ` before the item, or indent the line to continue the one above",
        ),
        ErrorKind::InvalidBlockScalarIndent => (
            "this line of the block is indented less than its first",
            "give every line of the block at least that indentation",
        ),
        _ => return None,
    };
    Some((found.0.to_owned(), found.1.to_owned()))
}

/// Quotes, brackets and characters.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the parser knows a hundred complaints; these are the slips people make"
)]
fn contents(kind: &ErrorKind, at: usize, findings: &Findings<'_>) -> Option<(String, String)> {
    let found = match kind {
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::DocumentIndicatorInQuotedScalar => {
            let quote = findings
                .source()
                .get(at..)
                .and_then(|rest| rest.chars().next())
                .unwrap_or('"');
            (
                format!("the quote `{quote}` that opens here is never closed"),
                "close it at the end of the text",
            )
        }
        ErrorKind::InvalidBlockScalarHeader | ErrorKind::ZeroBlockScalarIndent => (
            "text follows the block mark on the same line".to_owned(),
            "begin the text on the next line, two spaces deeper",
        ),
        ErrorKind::UnclosedFlowCollection { open } => (
            format!("the `{open}` that opens here is never closed"),
            "close it, or quote the whole text",
        ),
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidUnicodeEscape => (
            "a `\\` in this double-quoted text begins an escape YAML does not know".to_owned(),
            "write `\\\\` for a backslash, or use single quotes, where a backslash is just a backslash",
        ),
        ErrorKind::UnexpectedCharacter { character } if character.is_control() => (
            format!(
                "the control character U+{:04X} is not allowed in YAML",
                u32::from(*character)
            ),
            "remove it, or write it as an escape in double quotes",
        ),
        ErrorKind::RecursionLimitExceeded => (
            format!(
                "more than {} levels stand inside each other here",
                super::DEPTH_MAX
            ),
            "seven are enough: look for brackets that are not meant as YAML and quote them",
        ),
        _ => return None,
    };
    Some((found.0, found.1.to_owned()))
}
