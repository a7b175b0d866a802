//! `commands` and `finally`. A command must be a text; where YAML made something else of it, the finding shows what was
//! written and how to write it.

use croft_proto::PhaseType;

use super::reader::{Fields, Reader};
use crate::buildspec::Command;
use crate::code::Code;
use crate::lines::Span;
use crate::yaml::{Kind, Node, Scalar, quote};

/// Which of a phase's two lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    /// `commands`.
    Commands,
    /// `finally`.
    Finally,
}

impl List {
    fn key(self) -> &'static str {
        match self {
            Self::Commands => "commands",
            Self::Finally => "finally",
        }
    }
}

/// A command and where every byte of it stands, for the linter.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// Its phase.
    pub(crate) phase: PhaseType,
    /// The shell text.
    pub(crate) text: String,
    /// The YAML scalar, quotes included.
    pub(crate) span: Span,
    /// Whether the scalar stands without quotes or block mark.
    pub(crate) plain: bool,
    /// Whether it is a `|` block, each line of which is a line of the file.
    pub(crate) literal: bool,
}

impl Reader<'_, '_> {
    pub(super) fn commands(
        &mut self,
        fields: &Fields<'_>,
        phase: PhaseType,
        list: List,
    ) -> Vec<Command> {
        let key = list.key();
        let Some(entry) = fields.entry(key) else {
            return Vec::new();
        };
        let items = self.items(entry, &format!("`{key}` in {}", fields.what));
        let what = format!("{}.{key}", fields.what.trim_matches('`'));
        let commands = items.into_iter().enumerate();
        commands
            .filter_map(|(index, item)| self.command(item, index, &what, phase))
            .collect()
    }

    fn command(
        &mut self,
        item: &Node,
        index: usize,
        what: &str,
        phase: PhaseType,
    ) -> Option<Command> {
        let name = format!("`{what}[{index}]`");
        match &item.kind {
            Kind::Scalar(_) if item.is_null() => {
                let span = self.item_span(item);
                let message = format!("{name} is empty");
                self.add(
                    Code::EmptyItem,
                    span,
                    message,
                    "remove the `-`, or quote the word if `null` or `~` is the command",
                );
                None
            }
            Kind::Scalar(scalar) => self.text_command(scalar, item, &name, phase),
            Kind::List(_) | Kind::Map(_) => {
                self.not_a_text(item, &name);
                None
            }
        }
    }

    fn text_command(
        &mut self,
        scalar: &Scalar,
        item: &Node,
        name: &str,
        phase: PhaseType,
    ) -> Option<Command> {
        if scalar.text.trim().is_empty() {
            self.add(
                Code::EmptyItem,
                item.span,
                format!("{name} is empty"),
                "write a command, or remove the item",
            );
            return None;
        }
        if !self.has_no_nul(&scalar.text, item, name) {
            return None;
        }
        self.sites.push(Site {
            phase,
            text: scalar.text.clone(),
            span: item.span,
            plain: scalar.plain,
            literal: scalar.literal,
        });
        Some(Command {
            text: scalar.text.clone(),
            place: self.place(item.span),
        })
    }

    fn not_a_text(&mut self, item: &Node, name: &str) {
        let span = self.written(item);
        let written = self.findings.slice(span).trim_end();
        let (kind, cause) = match &item.kind {
            Kind::Map(_) if written.starts_with('{') => ("a map", "the `{` it begins with"),
            Kind::Map(_) => ("a map", "the `: ` in it"),
            Kind::List(_) | Kind::Scalar(_) if written.starts_with("- ") => {
                ("a list", "its second `- `")
            }
            Kind::List(_) | Kind::Scalar(_) => ("a list", "the `[` it begins with"),
        };
        let message = format!("{name} must be a command, but YAML reads {kind} because of {cause}");
        let help = if written.contains('\n') {
            "begin the item with `- |` and put the command on the next lines, two spaces deeper"
                .to_owned()
        } else {
            format!(
                "quote the whole command: `- {}`, or put it below `- |`",
                quote(written)
            )
        };
        self.add(Code::CommandNotText, span, message, help.as_str());
    }

    /// What was written for an item, to the end of the line for one that fits on a line.
    fn written(&self, item: &Node) -> Span {
        let lines = &self.findings.lines;
        let line = lines.line_of(item.span.start);
        let end = if lines.line_of(item.span.end) == line {
            lines.span(line).end
        } else {
            item.span.end
        };
        let text = self.findings.slice(Span::new(item.span.start, end));
        Span::new(item.span.start, item.span.start + text.trim_end().len())
    }
}
