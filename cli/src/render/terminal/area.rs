//! The part of the screen that is drawn over: how to erase it, how to draw it, how much fits on a row.

use croft_exec::output::plain_text;

use super::super::Style;

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Characters on a row.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            columns: 80,
            rows: 24,
        }
    }
}

/// A row to be drawn.
#[derive(Debug)]
pub(super) enum Row {
    Plain(String),
    Dim(String),
}

/// What was drawn last.
#[derive(Debug, Default)]
pub(super) struct Area {
    rows: usize,
    /// The text drawn last, so that the same is not drawn again.
    drawn: String,
}

impl Area {
    pub(super) const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// What must be written so that the area is gone and the cursor stands where it began.
    pub(super) fn erase(&mut self) -> String {
        self.drawn.clear();
        match std::mem::take(&mut self.rows) {
            0 => String::new(),
            rows => format!("\r\u{1b}[{rows}A\u{1b}[J"),
        }
    }

    /// What must be written so that these rows stand in the area; empty when they do already.
    pub(super) fn draw(&mut self, rows: &[Row], size: Size, style: Style) -> String {
        let shown = &rows[..rows
            .len()
            .min(usize::from(size.rows).saturating_sub(1).max(1))];
        let mut text = String::new();
        for row in shown {
            text += &match row {
                Row::Plain(row) => fit(row, size.columns),
                Row::Dim(row) => style.dim(&fit(row, size.columns)),
            };
            text.push('\n');
        }
        if text == self.drawn {
            return String::new();
        }
        let erased = self.erase();
        self.rows = shown.len();
        self.drawn = text;
        if self.rows == 0 {
            return erased;
        }
        // A row that is wider than it looks must not wrap, or the next drawing would begin on the wrong row.
        format!("{erased}\u{1b}[?7l{}\u{1b}[?7h", self.drawn)
    }
}

/// As much of `text` as fits on a row of so many columns.
fn fit(text: &str, columns: u16) -> String {
    let columns = usize::from(columns.max(2)) - 1;
    let text = plain_text(text, columns * 2);
    if width(&text) <= columns {
        return text;
    }
    let mut fitting = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += char_width(character);
        if used > columns {
            break;
        }
        fitting.push(character);
    }
    fitting + "…"
}

fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// Columns a character takes: two for East Asian wide ones and most emoji, none for combining marks.
fn char_width(character: char) -> usize {
    match u32::from(character) {
        0x300..=0x36f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_never_fills_the_last_column() {
        assert_eq!(fit("short", 10), "short");
        assert_eq!(fit("123456789", 10), "123456789");
        assert_eq!(fit("1234567890", 10), "12345678…");
        assert_eq!(fit("日本語日本語", 10), "日本語日…");
        assert_eq!(
            fit("e\u{301}e\u{301}e\u{301}", 4),
            "e\u{301}e\u{301}e\u{301}"
        );
        assert_eq!(fit("anything", 0), "…");
    }

    #[test]
    fn the_same_rows_are_not_drawn_twice() {
        let mut area = Area::default();
        let rows = [Row::Plain("one".into()), Row::Dim("two".into())];
        let style = Style { color: false };
        assert_eq!(
            area.draw(&rows, Size::default(), style),
            "\u{1b}[?7lone\ntwo\n\u{1b}[?7h"
        );
        assert_eq!(area.draw(&rows, Size::default(), style), "");
        assert_eq!(area.erase(), "\r\u{1b}[2A\u{1b}[J");
        assert_eq!(area.erase(), "");
    }

    #[test]
    fn no_more_rows_are_drawn_than_the_screen_has() {
        let mut area = Area::default();
        let rows: Vec<Row> = (0..10)
            .map(|number| Row::Plain(number.to_string()))
            .collect();
        let text = area.draw(
            &rows,
            Size {
                columns: 80,
                rows: 4,
            },
            Style { color: false },
        );
        assert_eq!(text.lines().count(), 4, "{text:?}");
        assert_eq!(area.rows, 3);
    }
}
