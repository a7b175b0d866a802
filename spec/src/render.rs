//! Findings for people: the line, what is wrong with it, and what to do, as compilers show it. Receives diagnostics and
//! the text they are about, hands back lines for a terminal or a log.

use annotate_snippets::{AnnotationKind, Group, Level as Shown, Origin, Renderer, Snippet};
use croft_proto::{Diagnostic, Level};

use crate::lines::{Lines, floor};

/// Longest part of a source line that is drawn; a longer one is a generated file, and no terminal is that wide.
const LINE_BYTES_MAX: usize = 1000;

/// The diagnostics in order, each with the lines it is about, and an empty line after each. Empty for none.
///
/// **Shape.** `source` is the text the diagnostics were made from; places outside of it are shown without a snippet.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], source: &str, color: bool) -> String {
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let page = Page::new(source);
    diagnostics
        .iter()
        .map(|diagnostic| format!("{}\n\n", renderer.render(&[page.group(diagnostic)])))
        .collect()
}

/// The source as it is drawn: without a byte order mark and `\r`, which would shift what is drawn below them.
struct Page<'a> {
    lines: Lines<'a>,
}

impl<'a> Page<'a> {
    fn new(source: &'a str) -> Self {
        Self {
            lines: Lines::new(source),
        }
    }

    fn group<'d>(&self, diagnostic: &'d Diagnostic) -> Group<'d> {
        let level = match diagnostic.level {
            Level::Error => Shown::ERROR,
            Level::Warning => Shown::WARNING,
        };
        let title = level
            .primary_title(&diagnostic.message)
            .id(&diagnostic.code);
        let group = match self.snippet(diagnostic) {
            Some(snippet) => Group::with_title(title).element(snippet),
            None => Group::with_title(title).element(Origin::path(&diagnostic.place.file)),
        };
        match &diagnostic.help {
            Some(help) => group.element(Shown::HELP.message(help)),
            None => group,
        }
    }

    /// The lines the finding is about: one, or for a range over several the first and the last.
    fn snippet<'d>(
        &self,
        diagnostic: &'d Diagnostic,
    ) -> Option<Snippet<'d, annotate_snippets::Annotation<'d>>> {
        let place = &diagnostic.place;
        if place.line == 0 || place.line as usize > self.lines.count() {
            return None;
        }
        let given = diagnostic.start < diagnostic.end || diagnostic.start > 0;
        let start = if given {
            diagnostic.start
        } else {
            self.lines.offset(place.line, place.column)
        };
        let first = self.lines.line_of(start);
        let span = self.lines.span(first);
        let mark = if self.lines.text(first).starts_with('\u{feff}') {
            3
        } else {
            0
        };
        let text = self.lines.text(first);
        let shown = text
            .get(mark..floor(text, LINE_BYTES_MAX))
            .unwrap_or_default();
        let from = floor(shown, start.saturating_sub(span.start + mark));
        let to = floor(
            shown,
            diagnostic
                .end
                .clamp(start, span.end.max(start))
                .saturating_sub(span.start + mark),
        );
        let annotation = AnnotationKind::Primary.span(from..to.max(from));
        let line = first + 1;
        Some(
            Snippet::source(shown.to_owned())
                .path(place.file.as_str())
                .line_start(line)
                .annotation(annotation),
        )
    }
}
