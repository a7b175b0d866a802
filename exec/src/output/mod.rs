//! Output: receives a build's events from the engine and its commands' bytes from the runtime, gives both to the log file
//! and to one rendering, in one order, numbered and without secrets.

/// What a rendering implements.
mod sink;
/// Secrets out of events.
mod hide;
/// Characters kept whole over the borders of chunks.
mod characters;
/// The last lines of a command.
mod tail;
/// The log file.
mod log;
/// The words the log has for each event.
mod words;
/// The writer itself.
mod writer;

pub use sink::{Chunk, Sink};
pub use tail::{LINE_CHARS_MAX, Tail, plain_text};
pub use words::log_time;
pub use writer::{
    CHUNK_BYTES_MAX, Clock, Error, HOLD_MS_MAX, LAST_LINES_MAX, Options, Pace, Writer,
};
