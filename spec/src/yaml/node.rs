//! The tree of one YAML document. Made by `compose`, walked by the readers.

use std::rc::Rc;

use crate::lines::Span;

/// A value and where it stands.
#[derive(Debug)]
pub(crate) struct Node {
    /// From its first byte to the last byte of its contents. A block scalar's begins at its first line of text.
    pub(crate) span: Span,
    /// What it is.
    pub(crate) kind: Kind,
    /// Values in it, itself and aliases' contents included; never more than [`super::NODES_MAX`] in a tree that is walked.
    pub(crate) weight: usize,
}

/// What a value is.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Text.
    Scalar(Scalar),
    /// Values in order.
    List(Vec<Rc<Node>>),
    /// Keys and values in the file's order; no key twice.
    Map(Vec<Entry>),
}

/// Text as YAML gives it, before anyone says what it means.
#[derive(Debug)]
pub(crate) struct Scalar {
    /// Escapes and folds done.
    pub(crate) text: String,
    /// Without quotes or a block marker.
    pub(crate) plain: bool,
    /// After `|`: each line of the text is a line of the file.
    pub(crate) literal: bool,
}

/// One key with its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The key's text.
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) key_span: Span,
    /// Its value.
    pub(crate) value: Rc<Node>,
}

impl Node {
    /// Whether the value is absent, `~` or `null` without quotes.
    pub(crate) fn is_null(&self) -> bool {
        match &self.kind {
            Kind::Scalar(scalar) => scalar.is_null(self.span),
            Kind::List(_) | Kind::Map(_) => false,
        }
    }

    /// The kind in words.
    pub(crate) fn kind_name(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar(scalar) if scalar.is_null(self.span) => "nothing",
            Kind::Scalar(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }
}

impl Scalar {
    fn is_null(&self, span: Span) -> bool {
        self.plain
            && (span.start == span.end
                || matches!(self.text.as_str(), "~" | "null" | "Null" | "NULL"))
    }
}
