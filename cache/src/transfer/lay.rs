//! A tree's files into a folder, for a host that keeps no store: what an earlier tree's folder has is copied from there, and only
//! the rest is asked for. Received from whoever was offered a tree; leaves its files, and notes by which the next tree finds them.
//!
//! Memory is what an offer takes, some fifty bytes for each chunk, and one frame: neither chunks nor the list of files are held. So each
//! chunk is written where it belongs when it comes, in whatever order. Every chunk's hash is checked before that, from
//! wherever it is.

/// The list of files, on the disk.
mod list;
/// Which chunk goes where.
mod pieces;
/// Bytes to files.
mod files;
/// What an earlier tree's folder has.
mod earlier;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use croft_beneath::Root;

use super::frames::read_batches;
use super::{Offer, Refusal};
use crate::tree::{Anchor, Entry, Node, TreeError};
use crate::{Error, Id};
use files::Files;
use list::List;
use pieces::{Piece, Pieces};

pub use earlier::Earlier;

/// Chunks that are asked for at once: their ids fit into a small request.
const WANTED_MAX: usize = 3_500;
/// How often in a row asking may fail, or bring nothing new.
const TRIES_MAX: usize = 4;

/// Where the chunks are that no folder here has.
pub trait Supply {
    /// Batches, as [`Store::export`](crate::Store::export) writes them, of these chunks. May block, and wait before it tries what has failed.
    ///
    /// # Errors
    /// When they cannot be had now. They are asked for again a few times.
    fn chunks(&mut self, wanted: &[Id]) -> io::Result<Box<dyn Read + '_>>;

    /// Whether to stop.
    fn is_over(&self) -> bool;
}

/// What is laid, and where.
#[derive(Clone, Copy, Debug)]
pub struct Lay<'a> {
    /// The tree. Its id is for the caller to check.
    pub offer: &'a Offer,
    /// The folder its files go into, empty or not there.
    pub into: &'a Path,
    /// A folder for notes about it, on the same disk. Made when it is missing; what is in it is replaced.
    pub notes: &'a Path,
    /// Trees laid before. Asked in order.
    pub earlier: &'a [Earlier],
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Laid {
    /// Files and links.
    pub files: u64,
    /// Bytes of the files.
    pub size_bytes: u64,
    /// Chunks that came from elsewhere, and their bytes before compression.
    pub fetched_chunks: u64,
    /// See there.
    pub fetched_bytes: u64,
}

/// Writes the tree's files. Nothing is synced: that is for whoever gives the folder its name.
///
/// Files belong to who writes them, whoever owned them where the tree was put.
///
/// # Errors
/// [`Error::Sent`] and [`Error::Refused`] when the other side sends what no croft does; [`Error::Read`] when it sends nothing, or was stopped;
/// [`Error::Write`]. Then what was written is left.
pub fn lay(lay: &Lay<'_>, supply: &mut dyn Supply) -> Result<Laid, Error> {
    for folder in [lay.into, lay.notes] {
        std::fs::create_dir_all(folder).map_err(unwritable(folder))?;
    }
    let root = Root::open(lay.into).map_err(unwritable(lay.into))?;
    let mut laid = Laid::default();
    let list = bring_list(lay, supply, &mut laid)?;
    let mut pieces = Pieces::default();
    let root = root.refusing_links();
    let mut files = Files::new(&root, lay.into);
    first_look(lay.offer, &list, &mut files, &mut pieces, &mut laid)?;
    pieces.sort();
    let mut laying = Laying {
        list,
        pieces,
        files,
    };
    for earlier in lay.earlier {
        laying.copy(earlier, supply)?;
    }
    laying.fetch(lay.offer, supply, &mut laid)?;
    laying.finish()?;
    laying.pieces.save(&lay.notes.join(PIECES), lay.offer)?;
    Ok(laid)
}

/// Names of the notes.
const LIST: &str = "files.jsonl";
const PIECES: &str = "pieces";

struct Laying<'a> {
    list: List,
    pieces: Pieces,
    files: Files<'a>,
}

impl Laying<'_> {
    fn copy(&mut self, earlier: &Earlier, supply: &dyn Supply) -> Result<(), Error> {
        let Some(mut found) = earlier.open(&self.pieces) else {
            return Ok(());
        };
        while !supply.is_over()
            && let Some(bytes) = found.next()
        {
            // What was changed there since has another id, which nothing here needs.
            self.take(Id::of(bytes), bytes)?;
        }
        Ok(())
    }

    fn fetch(
        &mut self,
        offer: &Offer,
        supply: &mut dyn Supply,
        laid: &mut Laid,
    ) -> Result<(), Error> {
        let mut tries = 0;
        loop {
            let wanted = self.pieces.lacking(offer, WANTED_MAX);
            if wanted.is_empty() {
                return match self.pieces.are_all_done() {
                    true => Ok(()),
                    false => Err(Refusal::malformed("some of it is not offered").into()),
                };
            }
            let before = self.pieces.done();
            let received = receive(supply, &wanted, laid, |id, raw| self.take(id, raw));
            tries = if self.pieces.done() > before {
                0
            } else {
                tries + 1
            };
            match received {
                Err(Error::Read { .. }) if tries < TRIES_MAX && !supply.is_over() => {}
                Err(error) => return Err(error),
                Ok(()) if tries >= TRIES_MAX => {
                    return Err(Refusal::malformed("some of what is wanted never comes").into());
                }
                Ok(()) => {}
            }
        }
    }

    /// Writes a chunk, whose hash was checked, wherever it is needed.
    fn take(&mut self, id: Id, raw: &[u8]) -> Result<(), Error> {
        for at in self.pieces.of(&id) {
            let Piece {
                line,
                ordinal,
                offset_bytes,
                is_done,
                ..
            } = self.pieces.at(at);
            if is_done {
                continue;
            }
            let entry = self.list.entry(line)?;
            // Pieces are found by a part of their id.
            if entry.node.chunks().get(ordinal as usize) == Some(&id) {
                self.files.write(line, entry, offset_bytes, raw)?;
                self.pieces.set_done(at);
            }
        }
        Ok(())
    }

    /// What could not be done while chunks came: further names, links, modes and times.
    fn finish(&mut self) -> Result<(), Error> {
        let mut folders = Vec::new();
        let mut lines = self.list.lines()?;
        while let Some((line, entry)) = lines.next()? {
            if entry.node == Node::Directory {
                folders.push(line);
            } else {
                self.files.finish(&entry)?;
            }
        }
        // The deepest first, since making what is in them changed their times.
        for line in folders.into_iter().rev() {
            let entry = self.list.entry(line)?;
            self.files.finish_folder(entry)?;
        }
        Ok(())
    }
}

/// Brings the list of files to the disk, and checks that it is the one.
fn bring_list(lay: &Lay<'_>, supply: &mut dyn Supply, laid: &mut Laid) -> Result<List, Error> {
    let path = lay.notes.join(LIST);
    let content = &lay.offer.tree().list;
    let mut at = 0;
    let mut places: Vec<(Id, u64)> = Vec::new();
    for id in &content.chunks {
        places.push((*id, at));
        let size_bytes = lay.offer.find(id).map_or(0, |chunk| chunk.size_bytes);
        at += u64::from(size_bytes);
    }
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .map_err(unwritable(&path))?;
    let mut tries = 0;
    while !places.is_empty() {
        let mut wanted: Vec<Id> = places.iter().map(|(id, _)| *id).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let received = receive(supply, &wanted, laid, |id, raw| {
            for (_, at) in places.iter().filter(|place| place.0 == id) {
                file.write_all_at(raw, *at).map_err(unwritable(&path))?;
            }
            places.retain(|place| place.0 != id);
            Ok(())
        });
        tries += 1;
        match received {
            Err(Error::Read { .. }) if tries < TRIES_MAX && !supply.is_over() => {}
            Err(error) => return Err(error),
            Ok(()) if tries < TRIES_MAX || places.is_empty() => {}
            Ok(()) => return Err(Refusal::malformed("its list of files never comes").into()),
        }
    }
    List::open(file, &path, &lay.offer.tree().id)
}

/// Reads what was asked for, and nothing beyond that.
fn receive(
    supply: &mut dyn Supply,
    wanted: &[Id],
    laid: &mut Laid,
    mut each: impl FnMut(Id, &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let unreadable = |source| Error::Read {
        path: PathBuf::from("chunks that are being sent"),
        source,
    };
    if supply.is_over() {
        return Err(unreadable(io::Error::other("it was stopped")));
    }
    let mut batches = supply.chunks(wanted).map_err(unreadable)?;
    let mut came = 0;
    read_batches(&mut *batches, |id, raw| {
        came += 1;
        if came > wanted.len() {
            return Err(Refusal::malformed("more chunks come than were asked for").into());
        }
        laid.fetched_chunks += 1;
        laid.fetched_bytes += raw.len() as u64;
        each(id, raw)
    })
}

/// Makes folders and empty files, and notes where each chunk goes.
fn first_look(
    offer: &Offer,
    list: &List,
    files: &mut Files<'_>,
    pieces: &mut Pieces,
    laid: &mut Laid,
) -> Result<(), Error> {
    let mut lines = list.lines()?;
    while let Some((line, entry)) = lines.next()? {
        laid.files += u64::from(entry.node != Node::Directory);
        match &entry.node {
            Node::Directory => files.make_folder(&entry)?,
            Node::File { size_bytes, chunks } => {
                laid.size_bytes += size_bytes;
                let added = pieces.add(offer, line, chunks);
                if added != Some(*size_bytes) {
                    return Err(wrong(&entry, "does not consist of what is offered"));
                }
                files.make_if_empty(&entry)?;
            }
            Node::Symlink(_) | Node::HardLink(_) => {}
        }
        if entry.anchor != Anchor::Source {
            return Err(wrong(&entry, "is outside of its source"));
        }
    }
    Ok(())
}

fn wrong(entry: &Entry, what: &str) -> Error {
    Refusal::malformed(format!("`{}` {what}", entry.path.display())).into()
}

fn refused(line: u64, reason: String) -> Error {
    Error::Refused(TreeError { line, reason })
}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Write { path, source }
}
