//! One command of the file, its shell text understood as far as possible, and where each byte of that text stands in the
//! file. Made once per command, read by every rule.

use std::ops::Range;

use super::script::{Block, parse};
use crate::findings::Findings;
use crate::lines::Span;
use crate::read::Site;

/// Shell text the rules look at; a longer command is a program of its own.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// A command for the rules.
#[derive(Debug)]
pub(super) struct Scene<'s> {
    /// The command.
    pub(super) site: &'s Site,
    /// Its statements; `None` where the text is not understood.
    pub(super) block: Option<Block>,
    /// For each line of the text, its first byte there and in the file; empty when the two cannot be matched.
    starts: Vec<(usize, usize)>,
}

impl<'s> Scene<'s> {
    pub(super) fn of(site: &'s Site, findings: &Findings<'_>) -> Self {
        let block = (site.text.len() <= TEXT_BYTES_MAX)
            .then(|| parse(&site.text))
            .flatten();
        Self {
            site,
            block,
            starts: starts(site, findings).unwrap_or_default(),
        }
    }

    /// Where a range of the text stands, cut at its line's end; the whole command when that is unknown.
    pub(super) fn span(&self, range: &Range<usize>) -> Span {
        let line = self
            .starts
            .partition_point(|(text, _)| *text <= range.start);
        let Some((text, file)) = line.checked_sub(1).and_then(|line| self.starts.get(line)) else {
            return self.site.span;
        };
        let inside = self.site.text.get(range.clone()).unwrap_or_default();
        let length = inside
            .lines()
            .next()
            .map_or(0, |line| line.trim_end().len());
        let start = file + (range.start - text);
        Span::new(start, start + length)
    }
}

/// Matches the lines of a block, or the one line of another scalar, to the file.
fn starts(site: &Site, findings: &Findings<'_>) -> Option<Vec<(usize, usize)>> {
    let written = findings.slice(site.span);
    if !site.literal {
        let quote = usize::from(!site.plain);
        let inner = written.get(quote..written.len().checked_sub(quote)?)?;
        return (inner == site.text).then(|| vec![(0, site.span.start + quote)]);
    }
    let mut found = Vec::new();
    let (mut text_at, mut file_at) = (0, site.span.start);
    let mut lines = written.split_inclusive('\n');
    for line in site.text.trim_end().split_inclusive('\n') {
        let file_line = lines.next()?;
        let (content, file_content) = (line.trim_end(), file_line.trim_end());
        let indent = file_content.strip_suffix(content)?.len();
        found.push((text_at, file_at + indent));
        text_at += line.len();
        file_at += file_line.len();
    }
    Some(found)
}
