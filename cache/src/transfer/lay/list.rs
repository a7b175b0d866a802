//! The list of files of a tree that is being laid, on the disk: read from its beginning, or one line by where it begins. Made when its
//! chunks have come; kept, so that a later tree finds what this one has.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::refused;
use crate::tree::{Entry, check_follows, next_line, parse_entry, parse_header};
use crate::{Error, Id};

/// What is read for one line at first: most are shorter.
const LINE_BYTES: usize = 512;
/// A line that is longer than this is none of a list that was checked.
const LINE_BYTES_MAX: usize = 64 << 20;

/// A list whose hash was checked.
#[derive(Debug)]
pub(super) struct List {
    file: File,
    path: PathBuf,
    /// The line that was read last: chunks of a file come one after the other.
    last: Option<(u32, Entry)>,
}

impl List {
    /// The list in that file, which has to be that tree's.
    pub(super) fn open(file: File, path: &Path, id: &Id) -> Result<Self, Error> {
        let list = Self::unchecked(file, path);
        let found = list.hash().map_err(|source| list.unreadable(source))?;
        if found != *id {
            return Err(
                super::Refusal::malformed("its list of files does not match its id").into(),
            );
        }
        Ok(list)
    }

    /// One that was checked when it was made: whoever uses it checks what it leads to.
    pub(super) fn unchecked(file: File, path: &Path) -> Self {
        Self {
            file,
            path: path.to_path_buf(),
            last: None,
        }
    }

    /// The same for another thread.
    pub(super) fn another(&self) -> Result<Self, Error> {
        let file = self.file.try_clone();
        let file = file.map_err(|source| self.unreadable(source))?;
        Ok(Self::unchecked(file, &self.path))
    }

    fn hash(&self) -> io::Result<Id> {
        let mut hasher = blake3::Hasher::new();
        let mut bytes = [0; 16 << 10];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        loop {
            match file.read(&mut bytes)? {
                0 => return Ok(Id::from_bytes(*hasher.finalize().as_bytes())),
                read => hasher.update(bytes.get(..read).unwrap_or_default()),
            };
        }
    }

    /// Its entries in order, each with where its line begins.
    pub(super) fn lines(&self) -> Result<Lines, Error> {
        let file = self.file.try_clone().and_then(|mut file| {
            file.seek(SeekFrom::Start(0))?;
            Ok(file)
        });
        let mut reader = BufReader::new(file.map_err(|source| self.unreadable(source))?);
        let mut text = Vec::new();
        next_line(&mut reader, &mut text, 1)?;
        let count = parse_header(&text).map_err(|reason| refused(1, reason))?;
        Ok(Lines {
            reader,
            at: text.len() as u64 + 1,
            text,
            number: 2,
            left: count,
            last: None,
        })
    }

    /// The entry whose line begins there.
    pub(super) fn entry(&mut self, at: u32) -> Result<&Entry, Error> {
        if self.last.as_ref().is_none_or(|last| last.0 != at) {
            let text = self
                .line(u64::from(at))
                .map_err(|source| self.unreadable(source))?;
            let entry = parse_entry(&text).map_err(|reason| refused(0, reason))?;
            self.last = Some((at, entry));
        }
        match &self.last {
            Some((_, entry)) => Ok(entry),
            None => unreachable!("it was just read"),
        }
    }

    fn line(&self, at: u64) -> io::Result<Vec<u8>> {
        let mut text = vec![0; LINE_BYTES];
        let mut filled = 0;
        loop {
            let read = self.file.read_at(
                text.get_mut(filled..).unwrap_or_default(),
                at + filled as u64,
            )?;
            let new = text.get(filled..filled + read).unwrap_or_default();
            if let Some(end) = new.iter().position(|byte| *byte == b'\n') {
                text.truncate(filled + end);
                return Ok(text);
            }
            filled += read;
            if read == 0 || filled > LINE_BYTES_MAX {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if filled == text.len() {
                text.resize(filled * 4, 0);
            }
        }
    }

    fn unreadable(&self, source: io::Error) -> Error {
        Error::Read {
            path: self.path.clone(),
            source,
        }
    }
}

/// A list, line by line, each of which may come after the one before.
#[derive(Debug)]
pub(super) struct Lines {
    reader: BufReader<File>,
    text: Vec<u8>,
    at: u64,
    number: u64,
    left: usize,
    last: Option<Entry>,
}

impl Lines {
    pub(super) fn next(&mut self) -> Result<Option<(u32, Entry)>, Error> {
        let number = self.number;
        if self.left == 0 {
            return Ok(None);
        }
        next_line(&mut self.reader, &mut self.text, number)?;
        let entry = parse_entry(&self.text)
            .and_then(|entry| check_follows(self.last.as_ref(), &entry).map(|()| entry))
            .map_err(|reason| refused(number, reason))?;
        let at = u32::try_from(self.at)
            .map_err(|_large| refused(number, "the list is longer than four GiB".into()))?;
        self.at += self.text.len() as u64 + 1;
        self.number += 1;
        self.left -= 1;
        self.last = Some(entry.clone());
        Ok(Some((at, entry)))
    }
}
