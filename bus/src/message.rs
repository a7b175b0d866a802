//! What is said over the bus. Made by the roles; put into bytes by `wire`.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Build, Host, Pool, PutError, Worker};

/// Most bytes of a chunk of output. A pipe's own size on Linux: a reader rarely has more at once, and a broker's default of
/// 1 MiB a message is far.
pub const CHUNK_BYTES_MAX: usize = 64 << 10;

/// Longest reason of a stop in bytes; a longer one is cut. A sentence or two for a person.
pub const REASON_BYTES_MAX: usize = 1 << 10;

/// Longest version of a worker's croft in bytes; a longer one is cut.
pub const VERSION_BYTES_MAX: usize = 64;

/// Most bytes of names in one message of who is there, each with its length: some two hundred names as people give them.
pub const PRESENCE_BYTES_MAX: usize = 3 << 10;

/// Most bytes of a name's length before it.
const LENGTH_BYTES_MAX: usize = 3;

/// A build waits to be claimed. Who takes it folds the build's subject up to the sequence at least, and appends the claim:
/// the claim is the truth, and a hint that is lost, repeated or outdated changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hint {
    /// Which one.
    pub build: Build,
    /// The attempt that would be started, from 1.
    pub attempt: u32,
    /// The ledger's sequence of the event that made it wait.
    pub seq: u64,
}

/// A worker still runs an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Renewal {
    /// The build.
    pub build: Build,
    /// The attempt.
    pub attempt: u32,
    /// Who runs it.
    pub worker: Worker,
}

/// What a server says to a renewal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// The lease holds for as long as it always does, from when the renewal was sent.
    Go,
    /// It holds, and the build is to be stopped.
    Stop {
        /// For the build's record; at most [`REASON_BYTES_MAX`] bytes.
        reason: String,
    },
    /// The attempt is not the current one any more: nothing that it still does counts.
    Lost,
}

/// A worker is there. Said every few seconds; whoever has not been heard for a few of them is not counted on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Announcement {
    /// Who.
    pub worker: Worker,
    /// Whose hints it takes.
    pub pool: Pool,
    /// Builds that it could start now.
    pub slots_free: u32,
    /// Builds that it runs at once at most.
    pub slots: u32,
    /// Its croft; at most [`VERSION_BYTES_MAX`] bytes.
    pub version: String,
}

/// Hosts that ask a server. Said every few seconds by each server, in as many messages as it takes and in one at least: a server that
/// hears its own hears those of the others, too.
///
/// **Shape.** At most [`PRESENCE_BYTES_MAX`] bytes of names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Presence {
    by: u64,
    hosts: Vec<Host>,
}

impl Presence {
    /// What a server says that is told from others by that number: one message or more, which name all of those hosts.
    #[must_use]
    pub fn of(by: u64, hosts: impl IntoIterator<Item = Host>) -> Vec<Self> {
        let mut all = vec![Self {
            by,
            hosts: Vec::new(),
        }];
        let mut left = PRESENCE_BYTES_MAX;
        for host in hosts {
            let size_bytes = host.as_str().len() + LENGTH_BYTES_MAX;
            if left < size_bytes {
                left = PRESENCE_BYTES_MAX;
                all.push(Self {
                    by,
                    hosts: Vec::new(),
                });
            }
            left -= size_bytes;
            all.last_mut().expect("there is one").hosts.push(host);
        }
        all
    }

    /// Whose word it is.
    #[must_use]
    pub fn by(&self) -> u64 {
        self.by
    }

    /// Who is there.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }
}

/// Cuts a text that is too long, between two characters.
pub(crate) fn cut(text: &mut String, bytes_max: usize) {
    text.truncate(text.floor_char_boundary(bytes_max));
}

/// A piece of a build's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its number: an attempt's chunks are numbered from 0 without gaps.
    pub first: u64,
    /// Masked output; at most [`CHUNK_BYTES_MAX`] bytes, cut anywhere.
    pub bytes: Bytes,
}

/// Where in a build's output: the next chunk that a follower wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Of which attempt; output of earlier ones is passed over, and a later one is wanted from its beginning.
    pub attempt: u32,
    /// Its number.
    pub chunk: u64,
}

impl Place {
    /// Before everything that is kept.
    pub const START: Self = Self {
        attempt: 0,
        chunk: 0,
    };

    /// The one after it.
    pub(crate) fn next(self) -> Self {
        let chunk = self.chunk.saturating_add(1);
        Self { chunk, ..self }
    }
}

/// What a follower of a build's output is given.
///
/// **Shape.** `Began`, then chunks in ascending order, each once; a gap between two only where a `Skipped` stands. `Began`
/// again when a later attempt takes over, whose chunks count from 0. `End` is the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// What follows is output of this attempt.
    Began {
        /// Which one.
        attempt: u32,
    },
    /// Chunks are not kept any more, or never came: the next one is `to`. The archive has them when the build has ended.
    Skipped {
        /// The number of the next chunk.
        to: u64,
    },
    /// The next chunk.
    Chunk(Chunk),
    /// The build writes no more, in this attempt or another.
    End,
}

/// Where in what hosts have printed: a piece that a listener has.
///
/// **Shape.** As text `<epoch>.<seq>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    /// Which memory it is of. One that was lost and made anew counts from the beginning.
    pub epoch: u64,
    /// The piece's number; those of one deployment ascend, with gaps.
    pub seq: u64,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}

impl FromStr for Mark {
    type Err = NoMark;

    fn from_str(text: &str) -> Result<Self, NoMark> {
        let (epoch, seq) = text.split_once('.').ok_or(NoMark)?;
        let number = |text: &str| text.parse().map_err(|_no_number: ParseIntError| NoMark);
        let (epoch, seq) = (number(epoch)?, number(seq)?);
        Ok(Self { epoch, seq })
    }
}

/// A text is no [`Mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a place in what hosts print is `<epoch>.<seq>`, two numbers")]
pub struct NoMark;

/// What a listener to a deployment is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A piece, as it was put; those of one host come in their order.
    Piece {
        /// Where it is.
        mark: Mark,
        /// What was put.
        bytes: Bytes,
    },
    /// All that there was when the listening began has been given. Said once.
    CaughtUp,
}

/// What is kept of output: a chunk, or the end, numbered as the chunk that would be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) attempt: u32,
    pub(crate) number: u64,
    /// None is the end.
    pub(crate) bytes: Option<Bytes>,
}

impl Record {
    /// A chunk, when it is not too large.
    pub(crate) fn of(attempt: u32, chunk: Chunk) -> Result<Self, PutError> {
        let size_bytes = chunk.bytes.len();
        if size_bytes > CHUNK_BYTES_MAX {
            return Err(PutError::TooLarge { size_bytes });
        }
        Ok(Self {
            attempt,
            number: chunk.first,
            bytes: Some(chunk.bytes),
        })
    }

    pub(crate) fn end(attempt: u32, number: u64) -> Self {
        Self {
            attempt,
            number,
            bytes: None,
        }
    }

    pub(crate) fn place(&self) -> Place {
        Place {
            attempt: self.attempt,
            chunk: self.number,
        }
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes.as_ref().map_or(0, Bytes::len)
    }
}

/// A piece of what a host printed, when it is not too large.
pub(crate) fn piece(bytes: Bytes) -> Result<Bytes, PutError> {
    let size_bytes = bytes.len();
    if size_bytes > CHUNK_BYTES_MAX {
        return Err(PutError::TooLarge { size_bytes });
    }
    Ok(bytes)
}

/// A follower says how far it is. Between followers and those who put, over a broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Took {
    pub(crate) follower: String,
    pub(crate) attempt: u32,
    pub(crate) chunk: u64,
}
