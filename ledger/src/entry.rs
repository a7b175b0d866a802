//! What goes into the log and what comes out of it.

use bytes::Bytes;
use croft_proto::Timestamp;

use crate::{Seq, Subject};

/// What must be true of a subject for an event to be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Its last entry is the one with this sequence; there must be none when it is [`Seq::ZERO`].
    Last(Seq),
    /// The last entry is the one that this same batch appends before it: for the second and later events of a subject in one
    /// batch, whose sequence nobody can know yet. Such an event must say this, and no other may.
    Previous,
}

impl Expected {
    /// The subject must be new.
    pub const NEW: Self = Self::Last(Seq::ZERO);
}

/// One event to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// What it is about.
    pub subject: Subject,
    /// What must be true of that subject.
    pub expected: Expected,
    /// The event.
    ///
    /// **Shape.** JSON; not empty. **Units.** At most [`crate::EVENT_BYTES_MAX`] bytes; what is larger goes to the cache
    /// first, and the event names it.
    pub event: Bytes,
}

/// Where a batch is now, durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Of the batch's first event.
    pub first: Seq,
    /// Of its last one; those between follow each other without a gap.
    pub last: Seq,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// What happened, as it was appended.
    Event(Bytes),
    /// All earlier entries of the subject are gone: it was finished, and is archived elsewhere. Nothing follows.
    Tombstone {
        /// The last of those that are gone.
        last: Seq,
    },
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub seq: Seq,
    /// What it is about.
    pub subject: Subject,
    /// When it was appended, by the ledger's clock.
    pub at: Timestamp,
    /// What it says.
    pub body: Body,
}

impl Entry {
    /// The event, unless the entry is a tombstone.
    #[must_use]
    pub fn event(&self) -> Option<&Bytes> {
        match &self.body {
            Body::Event(event) => Some(event),
            Body::Tombstone { .. } => None,
        }
    }
}
