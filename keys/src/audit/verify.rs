//! Finding the first place where a chain is broken. Received as the entries somebody kept, in their order.

use std::fmt;

use super::{AuditEntry, Head};

/// An unbroken chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many entries were looked at.
    pub count: u64,
    /// Where the chain ends; none when there are no entries and nothing was expected of them. Keep it elsewhere, and ask
    /// for it the next time.
    pub head: Option<Head>,
}

/// The first place where a chain is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit chain is broken at entry {number}: {reason}")]
pub struct Broken {
    /// The number the entry there has to have.
    pub number: u64,
    /// What is wrong with it.
    pub reason: Fault,
}

/// What is wrong at one place of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The entry is of another chain.
    OtherChain,
    /// The entry has another number: entries were removed, inserted, repeated or moved.
    OutOfOrder {
        /// The number that is there.
        found: u64,
    },
    /// A field of the entry was changed: its hash is that of other fields.
    Changed,
    /// The entry was written after another one than what stands before it here.
    Unlinked,
    /// The entry is not the one that the expected head names.
    NotTheHead,
    /// The chain ends before the expected head.
    Missing,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherChain => f.write_str("it is of another chain"),
            Self::OutOfOrder { found } => write!(f, "the entry there is numbered {found}"),
            Self::Changed => f.write_str("its hash is not that of its fields"),
            Self::Unlinked => f.write_str("it follows another entry than the one before it"),
            Self::NotTheHead => f.write_str("it is not the entry that was expected there"),
            Self::Missing => f.write_str("it is missing, and was there"),
        }
    }
}

/// Passes when those are all entries of one chain from its first, unchanged and in order. With an expected head, they have
/// to reach it; they may go on after it. Without one, entries missing at the end are not seen.
///
/// # Errors
/// The first place where anything differs.
pub fn verify<'a>(
    entries: impl IntoIterator<Item = &'a AuditEntry>,
    expected: Option<&Head>,
) -> Result<Verified, Broken> {
    let mut entries = entries.into_iter().peekable();
    let named = expected.map(|head| &head.chain);
    let named = named.or_else(|| entries.peek().map(|first| &first.chain));
    match named.map(Head::start) {
        Some(start) => verify_after(&start, entries, expected),
        None => Ok(Verified {
            count: 0,
            head: None,
        }),
    }
}

/// Passes when those are the entries after that head, unchanged and in order: the earlier ones were verified when they were
/// archived. Otherwise like [`verify`].
///
/// # Errors
/// The first place where anything differs.
pub fn verify_after<'a>(
    start: &Head,
    entries: impl IntoIterator<Item = &'a AuditEntry>,
    expected: Option<&Head>,
) -> Result<Verified, Broken> {
    let mut head = start.clone();
    let mut count = 0;
    check_expected(&head, expected)?;
    for entry in entries {
        check(&head, entry)?;
        head = entry.head();
        count += 1;
        check_expected(&head, expected)?;
    }
    match expected {
        Some(expected) if expected.number > head.number => Err(Broken {
            number: head.number + 1,
            reason: Fault::Missing,
        }),
        Some(_) | None => Ok(Verified {
            count,
            head: Some(head),
        }),
    }
}

/// Passes when the entry is the one after that head.
fn check(head: &Head, entry: &AuditEntry) -> Result<(), Broken> {
    let number = head.number + 1;
    let reason = if entry.chain != head.chain {
        Fault::OtherChain
    } else if entry.number != number {
        Fault::OutOfOrder {
            found: entry.number,
        }
    } else if entry.hash != entry.expected_hash() {
        Fault::Changed
    } else if entry.previous != head.hash {
        Fault::Unlinked
    } else {
        return Ok(());
    };
    Err(Broken { number, reason })
}

/// Passes when the chain is not at the expected head's place, or is what is expected there.
fn check_expected(head: &Head, expected: Option<&Head>) -> Result<(), Broken> {
    match expected {
        Some(expected) if expected.number == head.number && expected != head => Err(Broken {
            number: head.number,
            reason: Fault::NotTheHead,
        }),
        Some(_) | None => Ok(()),
    }
}
