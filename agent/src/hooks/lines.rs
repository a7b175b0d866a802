//! Bytes of a pipe into lines of text. Receives what `process` reads, hands lines to the log.

/// A longer line is cut into several: one that never ends must not be held.
const LINE_BYTES_MAX: usize = 8 << 10;

/// What has been read of a line that is not over.
#[derive(Debug, Default)]
pub(super) struct Lines {
    open: Vec<u8>,
}

impl Lines {
    /// Hands on every line that these bytes end.
    pub(super) fn push(&mut self, bytes: &[u8], line: &mut dyn FnMut(&str)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.open.extend_from_slice(piece);
            let is_over = piece.ends_with(b"\n");
            if is_over {
                self.open.pop();
            }
            while self.open.len() > LINE_BYTES_MAX {
                let rest = self.open.split_off(LINE_BYTES_MAX);
                self.end(line);
                self.open = rest;
            }
            if is_over {
                self.end(line);
            }
        }
    }

    /// Hands on what is left, when there is something.
    pub(super) fn finish(&mut self, line: &mut dyn FnMut(&str)) {
        if !self.open.is_empty() {
            self.end(line);
        }
    }

    fn end(&mut self, line: &mut dyn FnMut(&str)) {
        let text = String::from_utf8_lossy(&self.open);
        line(text.strip_suffix('\r').unwrap_or(&text));
        self.open.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_they_come_and_endless_ones_are_cut() {
        let long = "x".repeat(LINE_BYTES_MAX * 2 + 1);
        let text = format!("a\r\n\nb\u{e9}\n{long}\nend");
        for size in [1, 3, 100_000] {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for piece in text.as_bytes().chunks(size) {
                lines.push(piece, &mut |line| found.push(line.to_string()));
            }
            lines.finish(&mut |line| found.push(line.to_string()));
            let cut = &long[..LINE_BYTES_MAX];
            assert_eq!(found, ["a", "", "b\u{e9}", cut, cut, "x", "end"], "{size}");
        }
    }
}
