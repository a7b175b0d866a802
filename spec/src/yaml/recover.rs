//! Reading on after a syntax error, so that one broken line does not hide the mistakes after it. Receives the file's text,
//! hands out the tree of everything that could be understood.
//!
//! The parser stops at its first complaint. The line it complains of is then replaced, byte for byte so that no place
//! moves, by something harmless, and the text is read again. Whatever is later said about a replaced line is void.

use std::rc::Rc;

use super::compose::{Stopped, compose, first_complaint};
use super::explain::{Complaint, Line, culprit, explain};
use super::node::Node;
use crate::findings::Findings;
use crate::lines::Span;

/// Broken lines that are read past. Each costs at most five readings of the file; a file with more is not a slip.
const REPAIRS_MAX: usize = 20;

/// What could be read of a file.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The document; `None` when it is empty, or nothing could be read.
    pub(crate) root: Option<Rc<Node>>,
    /// What of the file is not in it.
    pub(crate) gaps: Gaps,
}

/// Which parts of a file a tree lacks, so that an absent key there proves nothing.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    /// Whether it ends early.
    pub(crate) open_end: bool,
    /// Lines (from 0) that were left out.
    pub(crate) lines: Vec<usize>,
}

/// Reads the file the findings are about, and reports every syntax error and misuse of YAML in it.
pub(crate) fn read(findings: &mut Findings<'_>) -> Tree {
    let source = findings.source();
    let text = source.strip_prefix('\u{feff}').unwrap_or(source);
    let shift = source.len() - text.len();
    let mut text = text.to_owned();
    let mut complaints: Vec<Complaint> = Vec::new();
    let mut damaged: Vec<usize> = Vec::new();
    let mut gaps = Gaps::default();
    loop {
        let mark = findings.count();
        findings.set_damaged(damaged.clone());
        let composed = compose(&text, shift, findings);
        let Some(stopped) = composed.stopped else {
            gaps.open_end = !composed.complete;
            break report(findings, complaints, composed.root, gaps);
        };
        let culprit = culprit(&stopped, &text, shift);
        let line = findings.lines.line_of(culprit);
        if !continues(line, &damaged, findings) {
            complaints.push(explain(stopped.error.kind(), culprit, findings));
        }
        let more = damaged.len() < REPAIRS_MAX;
        let repair = more.then(|| repair(&text, shift, line, &stopped, findings));
        let Some(repair) = repair.flatten() else {
            gaps.open_end = true;
            break report(findings, complaints, composed.root, gaps);
        };
        findings.forget_after(mark);
        text = repair.text;
        damaged.push(repair.line);
        if !repair.value {
            gaps.lines.push(repair.line);
        }
    }
}

fn report(
    findings: &mut Findings<'_>,
    complaints: Vec<Complaint>,
    root: Option<Rc<Node>>,
    gaps: Gaps,
) -> Tree {
    for Complaint {
        code,
        span,
        message,
        help,
    } in complaints
    {
        findings.add_syntax(code, span, message, help);
    }
    Tree { root, gaps }
}

/// Whether a line only continues a broken one: what is wrong with it was said there.
fn continues(line: usize, damaged: &[usize], findings: &Findings<'_>) -> bool {
    let indent = |line: usize| {
        let text = findings.lines.text(line);
        if text.trim().is_empty() {
            usize::MAX
        } else {
            text.len() - text.trim_start().len()
        }
    };
    damaged.iter().any(|broken| {
        *broken == line
            || (*broken < line && (broken + 1..=line).all(|below| indent(below) > indent(*broken)))
    })
}

/// A text that the parser reads further than the one before.
struct Repair {
    text: String,
    /// The line that was replaced.
    line: usize,
    /// Whether only its value was: the key or item is still there.
    value: bool,
}

fn repair(
    text: &str,
    shift: usize,
    line: usize,
    stopped: &Stopped,
    findings: &Findings<'_>,
) -> Option<Repair> {
    let above = line.checked_sub(1);
    let candidates = [
        (Some(line), true),
        (Some(line), false),
        (above, true),
        (above, false),
    ];
    candidates.into_iter().find_map(|(line, value)| {
        let line = line?;
        let span = findings.lines.span(line);
        let from = if value {
            span.start + Line::of(findings.lines.text(line)).lead.len()
        } else {
            span.start
        };
        let replaced = replace(text, Span::new(from.max(shift), span.end), shift, value)?;
        let further = first_complaint(&replaced, shift).is_none_or(|at| at > stopped.at);
        further.then_some(Repair {
            text: replaced,
            line,
            value,
        })
    })
}

/// The same number of bytes: spaces, after an `x` when a value must be there.
fn replace(text: &str, span: Span, shift: usize, value: bool) -> Option<String> {
    let (start, end) = (span.start - shift, span.end.checked_sub(shift)?);
    if start >= end {
        return None;
    }
    let blank = " ".repeat(end - start - usize::from(value));
    let mut replaced = String::with_capacity(text.len());
    replaced.push_str(text.get(..start)?);
    replaced.push_str(if value { "x" } else { "" });
    replaced.push_str(&blank);
    replaced.push_str(text.get(end..)?);
    (replaced != text).then_some(replaced)
}
