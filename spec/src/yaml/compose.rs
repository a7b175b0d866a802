//! Parser events to the tree. Receives one text, hands back what could be read of it and the first complaint, if any:
//! the parser stops there, and what stood before it is still worth checking.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;

use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Tag};

use super::entries;
use super::explain::Line;
use super::node::{Entry, Kind, Node, Scalar};
use super::{DEPTH_MAX, NODES_MAX, TEXT_BYTES_PER_VALUE};
use crate::code::Code;
use crate::findings::Findings;
use crate::lines::Span;

/// What one pass over a text gives.
#[derive(Debug, Default)]
pub(super) struct Composed {
    /// The document's value; incomplete after a complaint.
    pub(super) root: Option<Rc<Node>>,
    /// Where the parser gave up, and why.
    pub(super) stopped: Option<Stopped>,
    /// False when values are missing that a limit or a complaint kept out.
    pub(super) complete: bool,
}

/// The parser's complaint.
#[derive(Debug)]
pub(super) struct Stopped {
    /// Why.
    pub(super) error: ScanError,
    /// The byte it complains of.
    pub(super) at: usize,
    /// One past the last byte it had understood.
    pub(super) after: usize,
}

/// Reads `text` (the file's own, or the same with damaged lines replaced byte for byte) and reports what is not allowed.
///
/// `shift` is where `text` begins in the file.
pub(super) fn compose(text: &str, shift: usize, findings: &mut Findings<'_>) -> Composed {
    let mut composer = Composer::new(shift, findings);
    let mut after = shift;
    for event in Parser::new_from_str_with_options(text, options()) {
        match event {
            Ok((event, span)) => {
                after = composer.span(&span).end;
                if composer.take(event, span).is_break() {
                    break;
                }
            }
            Err(error) => {
                let at = composer.at(*error.marker());
                composer.done.stopped = Some(Stopped { error, at, after });
                composer.done.complete = false;
                break;
            }
        }
    }
    composer.close_all();
    composer.done
}

/// What a text counts as.
fn weight(text: &str) -> usize {
    1 + text.len() / TEXT_BYTES_PER_VALUE
}

/// The byte the parser first complains of; `None` when the text is YAML.
pub(super) fn first_complaint(text: &str, shift: usize) -> Option<usize> {
    let error = Parser::new_from_str_with_options(text, options()).find_map(Result::err)?;
    Some(error.marker().byte_offset().unwrap_or_default() + shift)
}

fn options() -> Options {
    let mut options = granit_parser::options! { emit_unresolved_aliases: true, flow_nesting_limit: DEPTH_MAX, block_nesting_limit: DEPTH_MAX };
    options.set_emit_comments(false);
    options
}

/// A list or map whose end has not come yet.
#[derive(Debug)]
struct Open {
    start: usize,
    anchor: usize,
    contents: Contents,
}

#[derive(Debug)]
enum Contents {
    List(Vec<Rc<Node>>),
    /// Finished entries, and a key that waits for its value.
    Map(Vec<Entry>, Option<Rc<Node>>),
}

struct Composer<'f, 'a> {
    shift: usize,
    findings: &'f mut Findings<'a>,
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    /// Values so far, each alias counted as what it stands for.
    values: usize,
    done: Composed,
}

impl<'f, 'a> Composer<'f, 'a> {
    fn new(shift: usize, findings: &'f mut Findings<'a>) -> Self {
        let done = Composed {
            complete: true,
            ..Composed::default()
        };
        Self {
            shift,
            findings,
            open: Vec::new(),
            anchors: HashMap::new(),
            values: 0,
            done,
        }
    }

    fn take(&mut self, event: Event<'_>, span: granit_parser::Span) -> ControlFlow<()> {
        let tag_span = span.tag_span().map(|span| self.span(&span));
        let span = self.span(&span);
        match event {
            Event::DocumentStart(..) if self.done.root.is_some() => {
                return self.second_document(span);
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.check_tag(tag.as_deref(), tag_span);
                let scalar = Scalar {
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain,
                    literal: style == ScalarStyle::Literal,
                };
                let span = if scalar.plain || span.start == span.end {
                    span
                } else {
                    self.trimmed(span)
                };
                let weight = weight(&scalar.text);
                let kind = Kind::Scalar(scalar);
                self.add(anchor, Node { span, kind, weight });
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), tag_span);
                self.open.push(Open {
                    start: span.start,
                    anchor,
                    contents: Contents::List(Vec::new()),
                });
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), tag_span);
                self.open.push(Open {
                    start: span.start,
                    anchor,
                    contents: Contents::Map(Vec::new(), None),
                });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(id) => self.alias(id, span),
            Event::UnresolvedAlias(name) => self.unresolved(&name, span),
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::Anchor(..)
            | _ => {}
        }
        self.check_size(span)
    }

    fn second_document(&mut self, span: Span) -> ControlFlow<()> {
        let help = "keep one document: remove the `---` and everything after it, or move it to a file of its own";
        self.findings.add(
            Code::SeveralDocuments,
            span,
            "a second YAML document starts here",
            help,
        );
        ControlFlow::Break(())
    }

    fn unresolved(&mut self, name: &str, span: Span) {
        let message = format!("`*{name}` refers to an anchor that is not defined before this line");
        let named = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let help = if named {
            format!("define `&{name}` earlier")
        } else {
            self.quote_line(span)
        };
        self.findings
            .add(Code::UnknownAlias, span, message, help.as_str());
        self.add(0, self.as_written(span));
    }

    /// Breaks off when aliases, written out, make the document too large: what follows would multiply it again.
    fn check_size(&mut self, span: Span) -> ControlFlow<()> {
        if self.values <= NODES_MAX {
            return ControlFlow::Continue(());
        }
        let message = format!(
            "from here on the file holds more than {NODES_MAX} values, aliases written out and long texts counted as several"
        );
        self.findings.add(
            Code::TooManyNodes,
            span,
            message,
            "use fewer values, or fewer aliases of aliases",
        );
        self.done.complete = false;
        ControlFlow::Break(())
    }

    fn at(&self, marker: granit_parser::Marker) -> usize {
        marker.byte_offset().unwrap_or_default() + self.shift
    }

    fn span(&self, span: &granit_parser::Span) -> Span {
        Span::new(self.at(span.start), self.at(span.end))
    }

    /// Without the line ends a block scalar's span includes.
    fn trimmed(&self, span: Span) -> Span {
        Span::new(
            span.start,
            span.start + self.findings.slice(span).trim_end().len(),
        )
    }

    /// Stands for an alias that cannot be resolved: its own text.
    fn as_written(&self, span: Span) -> Node {
        let text = self.findings.slice(span).to_owned();
        Node {
            span,
            kind: Kind::Scalar(Scalar {
                text,
                plain: false,
                literal: false,
            }),
            weight: 1,
        }
    }

    fn check_tag(&mut self, tag: Option<&Tag>, span: Option<Span>) {
        let (Some(tag), Some(span)) = (tag, span) else {
            return;
        };
        if tag.is_yaml_core_schema() {
            return;
        }
        let message = format!(
            "YAML reads `{}` as a tag and drops it from the value",
            self.findings.slice(span)
        );
        let help = self.quote_line(span);
        self.findings
            .add(Code::YamlTag, span, message, help.as_str());
    }

    fn quote_line(&self, span: Span) -> String {
        let line = self
            .findings
            .lines
            .text(self.findings.lines.line_of(span.start));
        format!(
            "quote the text if it should begin so: {}",
            Line::of(line).quoted()
        )
    }

    fn alias(&mut self, id: usize, span: Span) {
        if let Some(target) = self.anchors.get(&id).map(Rc::clone) {
            self.values = self.values.saturating_add(target.weight);
            return self.attach(target);
        }
        let message = format!(
            "`{}` stands inside the very value it refers to",
            self.findings.slice(span)
        );
        self.findings.add(
            Code::UnknownAlias,
            span,
            message,
            "write the value out where it is needed",
        );
        self.add(0, self.as_written(span));
    }

    fn add(&mut self, anchor: usize, node: Node) {
        // The contents of a list or map were counted as they came.
        let own = match &node.kind {
            Kind::Scalar(_) => node.weight,
            Kind::List(_) | Kind::Map(_) => 1,
        };
        self.values = self.values.saturating_add(own);
        let node = Rc::new(node);
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.attach(node);
    }

    fn attach(&mut self, node: Rc<Node>) {
        match self.open.last_mut().map(|open| &mut open.contents) {
            None => self.done.root = Some(node),
            Some(Contents::List(items)) => items.push(node),
            Some(Contents::Map(_, key @ None)) => *key = Some(node),
            Some(Contents::Map(entries, key)) => {
                let key = key.take();
                if let Some(entry) = key.and_then(|key| entries::entry(&key, node, self.findings)) {
                    entries.push(entry);
                }
            }
        }
    }

    /// Ends the innermost list or map.
    fn close(&mut self, end: Span) {
        if let Some(open) = self.open.pop() {
            let node = finish(open.start, end, open.contents, self.findings);
            self.add(open.anchor, node);
        }
    }

    /// Ends whatever a complaint or a limit left open, so that what came before it can be checked.
    fn close_all(&mut self) {
        while let Some(open) = self.open.last() {
            self.close(Span::point(open.start));
        }
    }
}

fn finish(start: usize, end: Span, contents: Contents, findings: &mut Findings<'_>) -> Node {
    // Flow collections end at their bracket; block collections with their last value, not where the next one starts.
    let bracket = if findings.slice(end).is_empty() {
        start
    } else {
        end.end
    };
    match contents {
        Contents::List(items) => {
            let weight = items
                .iter()
                .fold(1_usize, |sum, item| sum.saturating_add(item.weight));
            let last = items
                .iter()
                .map(|item| item.span.end)
                .max()
                .unwrap_or(start);
            let span = Span::new(start, bracket.max(last));
            Node {
                span,
                kind: Kind::List(items),
                weight,
            }
        }
        Contents::Map(entries, waiting) => {
            let last = entries
                .iter()
                .map(|entry| entry.key_span.end.max(entry.value.span.end))
                .max()
                .unwrap_or(start);
            let last = last.max(waiting.map_or(start, |key| key.span.end));
            let entries = entries::resolve(entries, findings);
            let weight = entries.iter().fold(1_usize, |sum, entry| {
                sum.saturating_add(entry.value.weight + weight(&entry.key))
            });
            Node {
                span: Span::new(start, bracket.max(last)),
                kind: Kind::Map(entries),
                weight,
            }
        }
    }
}
