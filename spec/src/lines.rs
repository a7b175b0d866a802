//! From byte offsets to lines and columns. The findings ask it; it knows the text only as bytes between line ends.

/// A range of bytes in the file as it is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// First byte.
    pub(crate) start: usize,
    /// One past the last.
    pub(crate) end: usize,
}

impl Span {
    /// The range; an end before the start makes a point.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self {
            start,
            end: end.max(start),
        }
    }

    /// A point.
    pub(crate) fn point(at: usize) -> Self {
        Self { start: at, end: at }
    }
}

/// Bytes between two remembered counts, so that a place on a line of a megabyte is found without reading the line.
const STEP_BYTES: usize = 1 << 10;

/// Where each line of a text begins.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
    /// Characters that begin before each multiple of [`STEP_BYTES`].
    counts: Vec<usize>,
}

impl<'a> Lines<'a> {
    /// The index. Lines end at `\n`; the `\r` before it belongs to the line's end.
    pub(crate) fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        let steps = text.as_bytes().chunks(STEP_BYTES).scan(0, |sum, step| {
            *sum += beginnings(step);
            Some(*sum)
        });
        Self {
            text,
            starts,
            counts: std::iter::once(0).chain(steps).collect(),
        }
    }

    /// How many lines there are; at least one.
    pub(crate) fn count(&self) -> usize {
        self.starts.len()
    }

    /// The line a byte is on, from 0.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.starts
            .partition_point(|start| *start <= offset)
            .saturating_sub(1)
    }

    /// The line's bytes without its end; empty past the last.
    pub(crate) fn span(&self, line: usize) -> Span {
        let Some(start) = self.starts.get(line).copied() else {
            return Span::point(self.text.len());
        };
        let end = self
            .starts
            .get(line + 1)
            .map_or(self.text.len(), |next| next - 1);
        let content = self.text.get(start..end).unwrap_or_default();
        Span::new(
            start,
            start + content.strip_suffix('\r').unwrap_or(content).len(),
        )
    }

    /// The line's text without its end; empty past the last.
    pub(crate) fn text(&self, line: usize) -> &'a str {
        let Span { start, end } = self.span(line);
        self.text.get(start..end).unwrap_or_default()
    }

    /// Line and column in characters, both from 1.
    pub(crate) fn place(&self, offset: usize) -> (u32, u32) {
        let line = self.line_of(offset);
        let start = self.starts.get(line).copied().unwrap_or_default();
        let before = self
            .text
            .get(start..floor(self.text, offset))
            .unwrap_or_default();
        let mark = usize::from(before.starts_with('\u{feff}'));
        let column = self.characters(start + before.len()) - self.characters(start) - mark + 1;
        (number(line + 1), number(column))
    }

    /// Characters that begin before a byte.
    fn characters(&self, offset: usize) -> usize {
        let step = offset / STEP_BYTES;
        let counted = self.counts.get(step).copied().unwrap_or_default();
        counted
            + beginnings(
                self.text
                    .as_bytes()
                    .get(step * STEP_BYTES..offset)
                    .unwrap_or_default(),
            )
    }

    /// The byte at a line and column, both from 1; the line's start for column 0.
    pub(crate) fn offset(&self, line: u32, column: u32) -> usize {
        let Span { start, .. } = self.span((line as usize).saturating_sub(1));
        let text = self.text((line as usize).saturating_sub(1));
        let mark = if text.starts_with('\u{feff}') {
            '\u{feff}'.len_utf8()
        } else {
            0
        };
        let nth = (column as usize).saturating_sub(1);
        let within = text.get(mark..).unwrap_or_default();
        start
            + mark
            + within
                .char_indices()
                .nth(nth)
                .map_or(within.len(), |(at, _)| at)
    }
}

/// Bytes that begin a character.
fn beginnings(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

/// The largest character boundary at or below the offset.
pub(crate) fn floor(text: &str, offset: usize) -> usize {
    let mut at = offset.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn columns_count_characters_and_not_bytes() {
        let lines = Lines::new("é: ü\r\n  x");
        assert_eq!(lines.place(0), (1, 1));
        assert_eq!(lines.place(4), (1, 4));
        assert_eq!(lines.place(9), (2, 2));
        assert_eq!(lines.text(0), "é: ü");
        assert_eq!(lines.place(999), (2, 4));
    }

    #[test]
    fn a_byte_order_mark_takes_no_column() {
        let lines = Lines::new("\u{feff}a: b");
        assert_eq!(lines.place(3), (1, 1));
        assert_eq!(lines.place(6), (1, 4));
        assert_eq!(lines.offset(1, 4), 6);
    }

    #[test]
    fn offset_is_the_inverse_of_place() {
        let text = "a: é\nbü: x\n\nlast";
        let lines = Lines::new(text);
        for (at, _) in text
            .char_indices()
            .filter(|(_, character)| *character != '\n')
        {
            let (line, column) = lines.place(at);
            assert_eq!(lines.offset(line, column), at);
        }
    }

    #[test]
    fn columns_are_right_far_into_a_long_line() {
        let text = format!("x\n{}", "aé😀".repeat(2000));
        let lines = Lines::new(&text);
        for (nth, (at, _)) in text.char_indices().enumerate().skip(2) {
            assert_eq!(lines.place(at), (2, u32::try_from(nth - 1).unwrap()));
        }
    }

    #[test]
    fn the_inside_of_a_character_belongs_to_it() {
        assert_eq!(Lines::new("é").place(1), (1, 1));
    }
}
