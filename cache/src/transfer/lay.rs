//! A tree's files into a folder, for a host that keeps no store: what an earlier tree's folder has is copied from there, and only
//! the rest is asked for. Received from whoever was offered a tree; leaves its files, and notes by which the next tree finds them.
//!
//! Memory is what an offer takes, some fifty bytes for each chunk, and a frame for each of two lines: neither chunks nor the list of files
//! are held. So each chunk is written where it belongs when it comes, in whatever order. Every chunk's hash is checked before that, from
//! wherever it is. While one line waits for an answer, what comes on the other is checked and written.

/// The list of files, on the disk.
mod list;
/// Which chunk goes where.
mod pieces;
/// Bytes to files.
mod files;
/// What an earlier tree's folder has.
mod earlier;
/// What has none.
mod fetch;
/// A chunk to its places.
mod hand;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use croft_beneath::Root;

use super::{Offer, Refusal};
use crate::tree::{Anchor, Entry, Node, TreeError};
use crate::{Error, Id};
use fetch::{Fetched, fetch, receive};
use files::Files;
use hand::Hand;
use list::List;
use pieces::Pieces;

pub use earlier::Earlier;

/// How often in a row asking may fail, or bring nothing new.
const TRIES_MAX: usize = 4;

/// Where the chunks are that no folder here has. Asked by several threads at once.
pub trait Supply: Sync {
    /// Batches, as [`Store::export`](crate::Store::export) writes them, of these chunks. May block, and wait before it tries what has failed.
    ///
    /// # Errors
    /// When they cannot be had now. They are asked for again a few times.
    fn chunks(&self, wanted: &[Id]) -> io::Result<Box<dyn Read + '_>>;

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
pub fn lay(lay: &Lay<'_>, supply: &dyn Supply) -> Result<Laid, Error> {
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
    let mut hand = Hand {
        list,
        pieces: &pieces,
        files,
    };
    for earlier in lay.earlier {
        copy(&mut hand, earlier, supply)?;
    }
    let fetched = fetch(lay.offer, supply, &pieces, &|| hand.another())?;
    laid.fetched_chunks += fetched.chunks;
    laid.fetched_bytes += fetched.size_bytes;
    finish(&mut hand)?;
    pieces.save(&lay.notes.join(PIECES), lay.offer)?;
    Ok(laid)
}

/// Names of the notes.
const LIST: &str = "files.jsonl";
const PIECES: &str = "pieces";

fn copy(hand: &mut Hand<'_>, earlier: &Earlier, supply: &dyn Supply) -> Result<(), Error> {
    let Some(mut found) = earlier.open(hand.pieces) else {
        return Ok(());
    };
    while !supply.is_over()
        && let Some(bytes) = found.next()
    {
        // What was changed there since has another id, which nothing here needs.
        hand.take(Id::of(bytes), bytes)?;
    }
    Ok(())
}

/// What could not be done while chunks came: further names, links, modes and times.
fn finish(hand: &mut Hand<'_>) -> Result<(), Error> {
    let mut folders = Vec::new();
    let mut lines = hand.list.lines()?;
    while let Some((line, entry)) = lines.next()? {
        if entry.node == Node::Directory {
            folders.push(line);
        } else {
            hand.files.finish(&entry)?;
        }
    }
    // The deepest first, since making what is in them changed their times.
    for line in folders.into_iter().rev() {
        let entry = hand.list.entry(line)?;
        hand.files.finish_folder(entry)?;
    }
    Ok(())
}

/// Brings the list of files to the disk, and checks that it is the one.
fn bring_list(lay: &Lay<'_>, supply: &dyn Supply, laid: &mut Laid) -> Result<List, Error> {
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
        let mut fetched = Fetched::default();
        let received = receive(supply, &wanted, &mut fetched, |id, raw| {
            for (_, at) in places.iter().filter(|place| place.0 == id) {
                file.write_all_at(raw, *at).map_err(unwritable(&path))?;
            }
            places.retain(|place| place.0 != id);
            Ok(())
        });
        laid.fetched_chunks += fetched.chunks;
        laid.fetched_bytes += fetched.size_bytes;
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
