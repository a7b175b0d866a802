//! Where renderings write. A reader that has gone away ends the showing, not the build: after the first error nothing more
//! is written.

use std::fmt;
use std::io::{BufRead as _, Write};

/// Text is gathered to so many bytes before it is written, or until it is flushed.
const BUFFER_BYTES: usize = 64 * 1024;

pub(super) struct Out<W> {
    writer: Option<W>,
    buffer: Vec<u8>,
}

impl<W: Write> Out<W> {
    pub(super) const fn new(writer: W) -> Self {
        Self {
            writer: Some(writer),
            buffer: Vec::new(),
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
        self.write_when_full();
    }

    /// Adds the first line of `bytes` with its end, or all of them when there is no end, and gives what is left.
    pub(super) fn first_line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let mut rest = bytes;
        rest.read_until(b'\n', &mut self.buffer)
            .expect("reading from memory does not fail");
        self.write_when_full();
        rest
    }

    pub(super) fn flush(&mut self) {
        self.write();
        if let Some(writer) = &mut self.writer
            && writer.flush().is_err()
        {
            self.writer = None;
        }
    }

    fn write_when_full(&mut self) {
        if self.buffer.len() >= BUFFER_BYTES {
            self.write();
        }
    }

    fn write(&mut self) {
        if let Some(writer) = &mut self.writer
            && writer.write_all(&self.buffer).is_err()
        {
            self.writer = None;
        }
        self.buffer.clear();
    }
}

impl<W> fmt::Debug for Out<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Out")
            .field("open", &self.writer.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// A pipe whose reader goes away after so many writes.
    struct Closing {
        writes_left: usize,
        tries: usize,
    }

    impl Write for &mut Closing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.tries += 1;
            self.writes_left = self
                .writes_left
                .checked_sub(1)
                .ok_or(io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn after_its_reader_has_gone_nothing_is_written_or_kept() {
        let mut pipe = Closing {
            writes_left: 1,
            tries: 0,
        };
        let mut out = Out::new(&mut pipe);
        for _ in 0..5 {
            out.text("line\n");
            out.flush();
        }
        assert!(out.buffer.is_empty());
        assert_eq!(pipe.tries, 2);
    }
}
