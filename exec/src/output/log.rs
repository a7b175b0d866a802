//! The log file: the masked record of a build, in the form CodeBuild's logs have. Written by the writer alone; read by people
//! and by whoever archives it.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use croft_proto::Timestamp;

use super::words::log_time;

/// The owner reads and writes, nobody else: masking is a net, not a wall.
const MODE: u32 = 0o600;

/// Small pieces are gathered to so many bytes; larger ones are written as they are.
const BUFFER_BYTES: usize = 16 * 1024;

/// A log file, open. After its first error it takes everything and writes nothing.
#[derive(Debug)]
pub(super) struct Log {
    file: Option<BufWriter<File>>,
    at_line_start: bool,
}

impl Log {
    /// Creates the file, or empties it.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let no_links = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(MODE)
            .custom_flags(no_links)
            .open(path)?;
        // A file that was there keeps its mode, and only a new one is subject to the umask.
        if file.metadata()?.is_file() {
            file.set_permissions(Permissions::from_mode(MODE))?;
        }
        Ok(Self {
            file: Some(BufWriter::with_capacity(BUFFER_BYTES, file)),
            at_line_start: true,
        })
    }

    /// Adds output as it is.
    pub(super) fn output(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at_line_start = bytes.last() == Some(&b'\n');
        self.write(bytes)
    }

    /// Adds the agent's lines, each at a line's start.
    pub(super) fn lines(&mut self, time: Timestamp, lines: &[String]) -> io::Result<()> {
        let mut text = String::new();
        for line in lines {
            text += &format!("[Container] {} {line}\n", log_time(time));
        }
        self.end_line()?;
        self.write(text.as_bytes())
    }

    /// Adds the empty line that follows a command's output.
    pub(super) fn gap(&mut self) -> io::Result<()> {
        self.end_line()?;
        self.write(b"\n")
    }

    /// Hands everything to the system, so that others can read it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let result = self.file.as_mut().map_or(Ok(()), io::Write::flush);
        self.stop_after(result)
    }

    fn end_line(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.at_line_start, true) {
            Ok(())
        } else {
            self.write(b"\n")
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let result = self
            .file
            .as_mut()
            .map_or(Ok(()), |file| file.write_all(bytes));
        self.stop_after(result)
    }

    fn stop_after(&mut self, result: io::Result<()>) -> io::Result<()> {
        if result.is_err()
            && let Some(file) = self.file.take()
        {
            // What is still in the buffer cannot be written: dropping it as it is would only try again.
            drop(file.into_parts());
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_for_its_owner_alone_even_if_the_file_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("build.log");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let mut log = Log::create(&path).unwrap();
        log.output(b"new").unwrap();
        log.flush().unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_link_in_the_log_s_place_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("build.log"), dir.path().join("other"));
        std::fs::write(&other, "precious").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        Log::create(&path).unwrap_err();
        assert_eq!(std::fs::read(&other).unwrap(), b"precious");
    }

    #[test]
    fn after_its_first_error_a_log_takes_everything_and_writes_nothing() {
        let mut log = Log::create(Path::new("/dev/full")).unwrap();
        log.output(&[b'x'; BUFFER_BYTES]).unwrap_err();
        log.output(b"more").unwrap();
        log.gap().unwrap();
        log.flush().unwrap();
    }
}
