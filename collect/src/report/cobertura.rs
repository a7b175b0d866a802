//! Cobertura's format, as coverage.py, gcovr, llvm-cov exporters, Istanbul, coverlet and PHPUnit write it. Receives
//! elements, hands back the lines and branches of one file.
//!
//! Lines are listed once for their class and, by some tools, again for their method: within a class a line counts once,
//! by its number. Where no line is listed at all the totals on the root element stand in.

use std::collections::BTreeMap;

use super::coverage::{Coverage, Covered};
use super::number::count;
use super::xml::{Element, Visit};

/// How many lines of one class are told apart; further ones are counted as they come. No source file is longer, and the
/// table stays below 100 MB.
const CLASS_LINES_MAX: usize = 1_000_000;

/// A line of a class.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    is_hit: bool,
    branches_covered: u64,
    branches: u64,
}

/// The reader of one file.
#[derive(Debug, Default)]
pub(crate) struct Cobertura {
    depth: usize,
    /// The depth of the class that is open.
    class_depth: Option<usize>,
    class: BTreeMap<u64, Line>,
    listed: Coverage,
    declared: Coverage,
    /// Whether the root element is the format's.
    pub(crate) is_cobertura: bool,
}

impl Cobertura {
    /// What the file covers.
    pub(crate) fn finish(mut self) -> Coverage {
        self.end_class();
        let or_declared =
            |listed: Covered, declared| if listed.is_empty() { declared } else { listed };
        Coverage {
            lines: or_declared(self.listed.lines, self.declared.lines),
            branches: or_declared(self.listed.branches, self.declared.branches),
        }
    }

    fn root(&mut self, element: &Element<'_>) {
        // Clover's files have the same root element, and lines that mean something else.
        let is_clover =
            element.attribute("clover").is_some() || element.attribute("generated").is_some();
        self.is_cobertura = !is_clover;
        let number = |name: &str| {
            element
                .attribute(name)
                .as_deref()
                .and_then(count)
                .unwrap_or_default()
        };
        self.declared
            .lines
            .add(Covered::of(number("lines-covered"), number("lines-valid")));
        self.declared.branches.add(Covered::of(
            number("branches-covered"),
            number("branches-valid"),
        ));
    }

    fn line(&mut self, element: &Element<'_>) {
        let hits = element
            .attribute("hits")
            .as_deref()
            .and_then(count)
            .unwrap_or_default();
        let conditions = element.attribute("condition-coverage");
        let (branches_covered, branches) = conditions
            .as_deref()
            .and_then(of_conditions)
            .unwrap_or_default();
        let line = Line {
            is_hit: hits > 0,
            branches_covered,
            branches,
        };
        match element.attribute("number").as_deref().and_then(count) {
            Some(number)
                if self.class.len() < CLASS_LINES_MAX || self.class.contains_key(&number) =>
            {
                let known = self.class.entry(number).or_default();
                known.is_hit |= line.is_hit;
                known.branches_covered = known.branches_covered.max(branches_covered);
                known.branches = known.branches.max(branches);
            }
            Some(_) | None => self.add(line),
        }
    }

    fn end_class(&mut self) {
        for line in std::mem::take(&mut self.class).into_values() {
            self.add(line);
        }
    }

    fn add(&mut self, line: Line) {
        self.listed
            .lines
            .add(Covered::of(u64::from(line.is_hit), 1));
        self.listed
            .branches
            .add(Covered::of(line.branches_covered, line.branches));
    }
}

impl Visit for Cobertura {
    fn begin(&mut self, element: &Element<'_>) {
        self.depth += 1;
        match element.name {
            "coverage" if self.depth == 1 => self.root(element),
            "class" => {
                self.end_class();
                self.class_depth = Some(self.depth);
            }
            "line" if self.is_cobertura => self.line(element),
            _ => {}
        }
    }

    fn text(&mut self, _: &str) {}

    fn end(&mut self) {
        if self.class_depth == Some(self.depth) {
            self.end_class();
            self.class_depth = None;
        }
        self.depth = self.depth.saturating_sub(1);
    }
}

/// The numbers in `50% (1/2)`.
fn of_conditions(text: &str) -> Option<(u64, u64)> {
    let (_, inside) = text.split_once('(')?;
    let (covered, total) = inside.trim_end().trim_end_matches(')').split_once('/')?;
    Some((count(covered)?, count(total)?))
}

#[cfg(test)]
mod tests;
