//! How much and how long. Given by the composition root; all of a farm must have the same.

use std::time::Duration;

use crate::CHUNK_BYTES_MAX;

/// Most hints that are out in all pools together. A farm publishes what its free slots can take and a few more; this many
/// is a publisher gone mad, and costs a broker some 10 MiB.
pub const HINTS_MAX: usize = 65_536;

/// How long things may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A hint that was taken and not acknowledged is given to another after this long. Claiming takes one append; a broker's
    /// election takes 7 s.
    pub ack_wait: Duration,
    /// A hint published again within this long is the same one. One that was lost with a broker's leader is out again after it, so it is
    /// no longer than a build may wait for that; one that nobody has taken is there twice then, and the second claim is refused.
    pub dedupe_window: Duration,
    /// A renewal not answered within this long is unheard. Workers renew every 3 s: the next one must not wait for the last.
    pub renew_wait: Duration,
    /// How much of builds' output is kept, for followers who come late.
    pub output: Output,
    /// The same of what hosts print in deployments.
    pub printed: Printing,
}

/// How much of builds' output is kept. The oldest goes first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Chunks of one build.
    pub chunks_max: usize,
    /// Bytes of one build. A broker counts chunks only; who puts them counts for it, and lets a quarter go at once.
    pub bytes_max: usize,
    /// Bytes of all builds.
    pub bytes_max_in_all: usize,
    /// How long putting waits, in all, for followers who have not taken what would have to go. Those who have not by then
    /// are not waited for until they have caught up.
    pub patience: Duration,
}

/// How much is kept of what hosts print. The oldest goes first, and nobody waits for who reads it. It is kept apart from builds' output, so
/// that neither pushes out the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printing {
    /// Pieces of one host in one deployment: however much it prints, those of other hosts stay.
    pub pieces_max: usize,
    /// Bytes of all deployments.
    pub bytes_max_in_all: usize,
}

/// Pieces kept of one host: at four a second half a minute.
const PIECES_MAX: usize = 128;
/// Bytes kept of all hosts: eight that print as much as they can.
const PRINTED_BYTES_MAX: usize = 64 << 20;

/// Chunks kept of one build: at twenty a second (output is held back 50 ms at most) three minutes.
const CHUNKS_MAX: usize = 4096;
/// Bytes kept of one build: more than a terminal shows.
const OUTPUT_BYTES_MAX_PER_BUILD: usize = 8 << 20;
/// Bytes kept of all builds: some thirty that write as much as they can.
const OUTPUT_BYTES_MAX: usize = 256 << 20;

impl Default for Settings {
    fn default() -> Self {
        Self {
            ack_wait: Duration::from_secs(10),
            dedupe_window: Duration::from_secs(20),
            renew_wait: Duration::from_secs(2),
            output: Output {
                chunks_max: CHUNKS_MAX,
                bytes_max: OUTPUT_BYTES_MAX_PER_BUILD,
                bytes_max_in_all: OUTPUT_BYTES_MAX,
                patience: Duration::from_secs(2),
            },
            printed: Printing {
                pieces_max: PIECES_MAX,
                bytes_max_in_all: PRINTED_BYTES_MAX,
            },
        }
    }
}

const _: () = assert!(OUTPUT_BYTES_MAX_PER_BUILD >= CHUNK_BYTES_MAX);
