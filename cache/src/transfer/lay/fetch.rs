//! What no folder here has, asked for on two lines at once: while one waits for its answer, or for the disk, the other goes on. Receives
//! pieces, hands each chunk that comes to the hand of its thread.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::hand::Hand;
use super::pieces::{Pieces, key};
use super::{Supply, TRIES_MAX};
use crate::transfer::frames::read_batches;
use crate::transfer::{Offer, Refusal};
use crate::workers::{self, Queue};
use crate::{Error, Id};

/// Chunks that are asked for at once: their ids fit into a small request.
const WANTED_MAX: usize = 3_500;
/// Questions on their way at once: one waits while the other's answer is read. Each takes some megabytes.
const LINES: usize = 2;

/// What has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fetched {
    pub(super) chunks: u64,
    /// Before compression.
    pub(super) size_bytes: u64,
}

/// Brings every piece that is not done to its place.
pub(super) fn fetch<'a>(
    offer: &Offer,
    supply: &dyn Supply,
    pieces: &Pieces,
    hand: &(dyn Fn() -> Result<Hand<'a>, Error> + Sync),
) -> Result<Fetched, Error> {
    let next = Mutex::new(0);
    let claim = || {
        let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.lacking(offer, &mut next, WANTED_MAX)
    };
    let came = workers::run_as_many(&Queue::endless(), LINES, |queue| {
        let mut line = Line {
            supply,
            hand: hand()?,
            fetched: Fetched::default(),
        };
        while queue.take().is_some() {
            let wanted = claim();
            if wanted.is_empty() {
                break;
            }
            line.bring(wanted)?;
        }
        Ok(line.fetched)
    })?;
    if !pieces.are_all_done() {
        return Err(Refusal::malformed("some of it is not offered").into());
    }
    Ok(came.iter().fold(Fetched::default(), |sum, one| Fetched {
        chunks: sum.chunks + one.chunks,
        size_bytes: sum.size_bytes + one.size_bytes,
    }))
}

struct Line<'a> {
    supply: &'a dyn Supply,
    hand: Hand<'a>,
    fetched: Fetched,
}

impl Line<'_> {
    fn bring(&mut self, mut wanted: Vec<Id>) -> Result<(), Error> {
        let mut tries = 0;
        while !wanted.is_empty() {
            let before = wanted.len();
            let hand = &mut self.hand;
            let received = receive(self.supply, &wanted, &mut self.fetched, |id, raw| {
                hand.take(id, raw)
            });
            wanted.retain(|id| hand.pieces.is_lacking(key(id)));
            tries = if wanted.len() < before { 0 } else { tries + 1 };
            match received {
                Err(Error::Read { .. }) if tries < TRIES_MAX && !self.supply.is_over() => {}
                Err(error) => return Err(error),
                Ok(()) if tries >= TRIES_MAX => {
                    return Err(Refusal::malformed("some of what is wanted never comes").into());
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }
}

/// Reads what was asked for, and nothing beyond that.
pub(super) fn receive(
    supply: &dyn Supply,
    wanted: &[Id],
    fetched: &mut Fetched,
    mut each: impl FnMut(Id, &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let unreadable = |source| Error::Read {
        path: PathBuf::from("chunks that are being sent"),
        source,
    };
    if supply.is_over() {
        return Err(unreadable(std::io::Error::other("it was stopped")));
    }
    let mut batches = supply.chunks(wanted).map_err(unreadable)?;
    let mut came = 0;
    read_batches(&mut *batches, |id, raw| {
        came += 1;
        if came > wanted.len() {
            return Err(Refusal::malformed("more chunks come than were asked for").into());
        }
        fetched.chunks += 1;
        fetched.size_bytes += raw.len() as u64;
        each(id, raw)
    })
}
