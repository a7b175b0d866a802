//! What a rendering implements. Received by the writer when it is made; called with its lock held, so one call at a time.

use croft_proto::{Event, PhaseType, Timestamp};

/// A piece of the commands' output, masked.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// From 1, without gaps, over events and chunks together.
    pub seq: u64,
    /// When it was passed on.
    pub time: Timestamp,
    /// The phase it was written in.
    pub phase: PhaseType,
    /// At least one byte, at most [`super::CHUNK_BYTES_MAX`] and the few that were held before. It need not end at a line's
    /// end, but does not end inside of a character unless the output paused there.
    pub bytes: &'a [u8],
}

/// Someone who shows a build to somebody.
///
/// A rendering that can no longer write (its reader has gone) keeps quiet: the build goes on and its log is written.
pub trait Sink: Send {
    /// Something happened.
    fn event(&mut self, event: &Event);

    /// Commands wrote something.
    fn output(&mut self, chunk: &Chunk<'_>);

    /// Time passed; for renderings that show it.
    fn tick(&mut self, _now: Timestamp) {}

    /// Nothing more comes.
    fn finish(&mut self) {}
}
