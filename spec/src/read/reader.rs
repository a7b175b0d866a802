//! The questions every section asks of a node, each with one way to complain. The sections' readers ask, those of the
//! buildspec and those of the AppSpec; findings and, for the linter, the commands' exact places are collected here.

use std::rc::Rc;

use croft_proto::{Place, listed, nearest};

use super::commands::Site;
use crate::code::Code;
use crate::findings::Findings;
use crate::lines::Span;
use crate::yaml::{Entry, Gaps, Kind, Node};

/// One file being read.
#[derive(Debug)]
pub(crate) struct Reader<'f, 'a> {
    /// Where mistakes go.
    pub(crate) findings: &'f mut Findings<'a>,
    /// Which parts of the file the tree lacks.
    pub(crate) gaps: Gaps,
    /// Every command of a buildspec, for the linter.
    pub(crate) sites: Vec<Site>,
}

/// The entries of one section, each under a key the section knows.
#[derive(Debug)]
pub(crate) struct Fields<'n> {
    entries: &'n [Entry],
    /// The section's name for messages, such as `phases.build`.
    pub(crate) what: String,
    /// Where to say that something is missing.
    pub(crate) at: Span,
    /// One past the section's last byte.
    end: usize,
}

impl<'n> Fields<'n> {
    /// The value, unless it is absent or null.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Rc<Node>> {
        self.entry(key)
            .map(|entry| &entry.value)
            .filter(|value| !value.is_null())
    }

    /// Key and value, also when the value is null.
    pub(crate) fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl<'f, 'a> Reader<'f, 'a> {
    /// Nothing is read yet.
    pub(crate) fn new(findings: &'f mut Findings<'a>, gaps: Gaps) -> Self {
        Self {
            findings,
            gaps,
            sites: Vec::new(),
        }
    }
}

impl Reader<'_, '_> {
    pub(crate) fn add<'h>(
        &mut self,
        code: Code,
        span: Span,
        message: impl Into<String>,
        help: impl Into<Option<&'h str>>,
    ) {
        self.findings.add(code, span, message, help);
    }

    pub(crate) fn place(&self, span: Span) -> Place {
        self.findings.place(span.start)
    }

    /// The entries of a map; a complaint and `None` for anything else, null included.
    pub(crate) fn map<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Entry]> {
        match &node.kind {
            Kind::Map(entries) => Some(entries),
            Kind::List(_) | Kind::Scalar(_) => {
                let message = format!(
                    "{what} must be a map of `key: value` lines, and this is {}",
                    node.kind_name()
                );
                self.add(
                    Code::WrongType,
                    node.span,
                    message,
                    "write each key on its own line, indented below its section",
                );
                None
            }
        }
    }

    /// A section's known keys; unknown ones are reported. A section with nothing in it is reported and counts as absent.
    pub(crate) fn fields<'n>(
        &mut self,
        entry: &'n Entry,
        what: &str,
        known: &[&str],
    ) -> Option<Fields<'n>> {
        let fields = self.opened(entry, what)?;
        self.check_keys(fields.entries, what, known);
        Some(fields)
    }

    /// A section, whatever its keys are.
    fn opened<'n>(&mut self, entry: &'n Entry, what: &str) -> Option<Fields<'n>> {
        if entry.value.is_null() {
            self.empty(entry, what);
            return None;
        }
        let entries = self.map(&entry.value, what)?;
        Some(Fields {
            entries,
            what: what.to_owned(),
            at: entry.key_span,
            end: entry.value.span.end,
        })
    }

    /// Like `fields` below `x-croft`, whose keys are ours alone: an unknown one is an error.
    pub(crate) fn own_fields<'n>(
        &mut self,
        entry: &'n Entry,
        what: &str,
        known: &[&str],
    ) -> Option<Fields<'n>> {
        let fields = self.opened(entry, what)?;
        for entry in fields
            .entries
            .iter()
            .filter(|entry| !known.contains(&entry.key.as_str()))
        {
            let message = format!("{what} has no key `{}`", entry.key);
            let help = match nearest(&entry.key, known) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the keys are {}", listed(known)),
            };
            self.add(Code::UnknownKey, entry.key_span, message, help.as_str());
        }
        Some(fields)
    }

    /// Like `fields` for the document itself, whose unknown keys are judged by the caller.
    pub(crate) fn top<'n>(&mut self, entries: &'n [Entry], what: &str) -> Fields<'n> {
        Fields {
            entries,
            what: what.to_owned(),
            at: entries
                .first()
                .map_or(Span::point(0), |entry| entry.key_span),
            end: self.findings.source().len(),
        }
    }

    /// Like `fields` for an item of a list; one with nothing in it is an error.
    pub(crate) fn item_fields<'n>(
        &mut self,
        item: &'n Node,
        what: &str,
        known: &[&str],
    ) -> Option<Fields<'n>> {
        if item.is_null() {
            let span = self.item_span(item);
            self.add(
                Code::EmptyItem,
                span,
                format!("{what} has nothing in it"),
                "remove the `-` or write a value after it",
            );
            return None;
        }
        let entries = self.map(item, what)?;
        self.check_keys(entries, what, known);
        Some(Fields {
            entries,
            what: what.to_owned(),
            at: entries.first().map_or(item.span, |entry| entry.key_span),
            end: item.span.end,
        })
    }

    /// The items of a list of maps; a complaint and none for a single value. Null is none.
    pub(crate) fn list<'n>(&mut self, entry: &'n Entry, what: &str) -> &'n [Rc<Node>] {
        match &entry.value.kind {
            Kind::List(items) => items,
            Kind::Scalar(_) if entry.value.is_null() => &[],
            Kind::Scalar(_) | Kind::Map(_) => {
                let message = format!(
                    "{what} must be a list, and this is {}",
                    entry.value.kind_name()
                );
                self.add(
                    Code::WrongType,
                    entry.value.span,
                    message,
                    "begin each item with `- `, also when there is only one",
                );
                &[]
            }
        }
    }

    fn check_keys(&mut self, entries: &[Entry], what: &str, known: &[&str]) {
        for entry in entries
            .iter()
            .filter(|entry| !known.contains(&entry.key.as_str()))
        {
            let message = format!("{what} has no key `{}`", entry.key);
            if let Some(meant) = nearest(&entry.key, known) {
                self.add(
                    Code::UnknownKey,
                    entry.key_span,
                    message,
                    format!("did you mean `{meant}`?").as_str(),
                );
            } else {
                let help = format!("it is ignored; the keys are {}", listed(known));
                self.add(Code::IgnoredKey, entry.key_span, message, help.as_str());
            }
        }
    }

    /// Says that a key has nothing in it.
    pub(crate) fn empty(&mut self, entry: &Entry, what: &str) {
        let message = format!("{what} has nothing in it");
        self.add(
            Code::EmptyValue,
            entry.key_span,
            message,
            "it counts as absent; remove the key or fill it",
        );
    }

    /// Says what an entry without a value lacks, when it can be known.
    pub(crate) fn add_missing(&mut self, entry: &Entry, message: String, help: &str) {
        if self.is_whole(entry.key_span.start, entry.key_span.end) {
            self.add(Code::MissingKey, entry.key_span, message, help);
        }
    }

    /// Whether what a section lacks is really absent from the file.
    pub(crate) fn is_sure(&self, fields: &Fields<'_>) -> bool {
        self.is_whole(fields.at.start, fields.end)
    }

    /// Whether no line in a range or just after it, where more of the section would stand, was left out.
    fn is_whole(&self, start: usize, end: usize) -> bool {
        let lines = self.findings.lines.line_of(start)..=self.findings.lines.line_of(end) + 1;
        !self.gaps.open_end && !self.gaps.lines.iter().any(|gap| lines.contains(gap))
    }

    /// Says that a required key is absent, when it can be known.
    pub(crate) fn missing(&mut self, fields: &Fields<'_>, key: &str, help: &str) {
        if !self.is_sure(fields) {
            return;
        }
        let (span, message) = match fields.entry(key) {
            Some(entry) => (
                entry.key_span,
                format!("`{key}` in {} has nothing in it", fields.what),
            ),
            None => (fields.at, format!("{} needs `{key}`", fields.what)),
        };
        self.add(Code::MissingKey, span, message, help);
    }

    /// An optional text; reported and absent when it is empty, a map or a list.
    pub(crate) fn optional_text(&mut self, fields: &Fields<'_>, key: &str) -> Option<String> {
        let entry = fields.entry(key)?;
        let what = format!("`{key}` in {}", fields.what);
        if entry.value.is_null() {
            self.empty(entry, &what);
            return None;
        }
        let text = self.text(&entry.value, &what)?;
        if text.is_empty() {
            self.add(
                Code::EmptyText,
                entry.value.span,
                format!("{what} is an empty text"),
                "give it a value or remove the key",
            );
            return None;
        }
        Some(text)
    }

    /// A text that must be there, without spaces around it, and where it stands.
    pub(crate) fn required_text(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        help: &str,
    ) -> Option<(String, Span)> {
        let Some(node) = fields.get(key) else {
            self.missing(fields, key, help);
            return None;
        };
        let what = format!("`{key}` in {}", fields.what);
        let text = self.text(node, &what)?.trim().to_owned();
        if text.is_empty() {
            let message = format!("{what} is an empty text");
            self.add(Code::EmptyText, node.span, message, help);
            return None;
        }
        Some((text, node.span))
    }

    /// A scalar's text as written; a complaint and `None` for a map or a list. Null is the empty text.
    pub(crate) fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.kind {
            Kind::Scalar(_) if node.is_null() => Some(String::new()),
            Kind::Scalar(scalar) => Some(scalar.text.clone()),
            Kind::List(_) | Kind::Map(_) => {
                let message = format!(
                    "{what} must be a text, and YAML reads {} here",
                    node.kind_name()
                );
                let help = "quote the value if its brackets, braces or `: ` are meant as text";
                self.add(Code::WrongType, node.span, message, help);
                None
            }
        }
    }

    /// `yes` or `no` in any of YAML 1.1's words, quoted or not; `false` when absent.
    pub(crate) fn boolean(&mut self, fields: &Fields<'_>, key: &str) -> bool {
        let Some(entry) = fields.entry(key) else {
            return false;
        };
        let what = format!("`{key}` in {}", fields.what);
        if entry.value.is_null() {
            self.empty(entry, &what);
            return false;
        }
        let Some(text) = self.text(&entry.value, &what) else {
            return false;
        };
        match text.to_ascii_lowercase().as_str() {
            "yes" | "true" | "on" => true,
            "no" | "false" | "off" => false,
            _ => {
                let message = format!("{what} is `{text}`, which is neither yes nor no");
                self.add(
                    Code::BadBoolean,
                    entry.value.span,
                    message,
                    "write `yes` or `no`",
                );
                false
            }
        }
    }

    /// The items of a list; a single scalar is taken as its only item, with a warning.
    pub(crate) fn items<'n>(&mut self, entry: &'n Entry, what: &str) -> Vec<&'n Rc<Node>> {
        match &entry.value.kind {
            Kind::List(items) => items.iter().collect(),
            Kind::Scalar(_) if entry.value.is_null() => Vec::new(),
            Kind::Scalar(scalar) => {
                let mut help = "put it on a line of its own below the key, after `- `".to_owned();
                if scalar.plain && scalar.text.starts_with('-') {
                    help = "put a space after each `-`: without it, YAML reads one long text"
                        .to_owned();
                }
                let message =
                    format!("{what} should be a list; the text is taken as its only item");
                self.add(Code::NotAList, entry.value.span, message, help.as_str());
                vec![&entry.value]
            }
            Kind::Map(_) => {
                let message = format!("{what} must be a list, and this is a map");
                self.add(
                    Code::WrongType,
                    entry.value.span,
                    message,
                    "begin each item with `- `",
                );
                Vec::new()
            }
        }
    }

    /// The texts of a list that may be absent; empty items are errors.
    pub(crate) fn texts(&mut self, fields: &Fields<'_>, key: &str) -> Vec<(String, Span)> {
        let Some(entry) = fields.entry(key) else {
            return Vec::new();
        };
        let what = format!("`{key}` in {}", fields.what);
        let items = self.items(entry, &what);
        if items.is_empty() && entry.value.is_null() {
            self.empty(entry, &what);
        }
        items
            .into_iter()
            .filter_map(|item| self.item_text(item, &what))
            .collect()
    }

    /// Like `texts`, and at least one is required.
    pub(crate) fn required_texts(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        help: &str,
    ) -> Vec<String> {
        let some = fields.get(key).is_some_and(|node| match &node.kind {
            Kind::List(items) => !items.is_empty(),
            Kind::Scalar(_) | Kind::Map(_) => true,
        });
        if !some {
            self.missing(fields, key, help);
            return Vec::new();
        }
        self.texts(fields, key)
            .into_iter()
            .map(|(text, _)| text)
            .collect()
    }

    fn item_text(&mut self, item: &Node, what: &str) -> Option<(String, Span)> {
        let text = self.text(item, &format!("an item of {what}"))?;
        if text.is_empty() {
            let span = self.item_span(item);
            self.add(
                Code::EmptyItem,
                span,
                format!("an item of {what} is empty"),
                "remove the `-` or write a value after it",
            );
            return None;
        }
        Some((text, item.span))
    }

    /// Where an item stands, for an empty one the `-` it should follow.
    pub(crate) fn item_span(&self, item: &Node) -> Span {
        if item.span.start < item.span.end {
            return item.span;
        }
        let lines = &self.findings.lines;
        let last = lines.line_of(item.span.start);
        for line in (0..=last).rev() {
            let whole = lines.span(line);
            let end = if line == last {
                item.span.start.min(whole.end)
            } else {
                whole.end
            };
            let text = self.findings.slice(Span::new(whole.start, end));
            let content = text.split(" #").next().unwrap_or_default().trim_end();
            if content.trim_start().starts_with('-') && content.ends_with('-') {
                let dash = whole.start + content.len() - 1;
                return Span::new(dash, dash + 1);
            }
            let skip = content.trim().is_empty() || content.trim_start().starts_with('#');
            if !skip {
                break;
            }
        }
        item.span
    }
}
