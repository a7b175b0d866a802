//! A chunk to wherever it is needed. Each thread that lays has one: the list is read, and files are opened, by each for itself.

use super::files::Files;
use super::list::List;
use super::pieces::{Piece, Pieces};
use crate::{Error, Id};

#[derive(Debug)]
pub(super) struct Hand<'a> {
    pub(super) list: List,
    pub(super) pieces: &'a Pieces,
    pub(super) files: Files<'a>,
}

impl<'a> Hand<'a> {
    /// One for another thread.
    pub(super) fn another(&self) -> Result<Self, Error> {
        Ok(Self {
            list: self.list.another()?,
            pieces: self.pieces,
            files: self.files.another(),
        })
    }

    /// Writes a chunk, whose hash was checked, wherever it is needed.
    pub(super) fn take(&mut self, id: Id, raw: &[u8]) -> Result<(), Error> {
        for at in self.pieces.of(&id) {
            if self.pieces.is_done(at) {
                continue;
            }
            let Piece {
                line,
                ordinal,
                offset_bytes,
                ..
            } = self.pieces.at(at);
            let entry = self.list.entry(line)?;
            // Pieces are found by a part of their id.
            if entry.node.chunks().get(ordinal as usize) == Some(&id) {
                self.files.write(line, entry, offset_bytes, raw)?;
                self.pieces.set_done(at);
            }
        }
        Ok(())
    }
}
