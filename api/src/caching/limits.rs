//! How much of everything one service takes on. Constants have their reason beside them; what depends on the machine is in
//! [`Limits`].

use std::time::Duration;

/// What the owner of a service may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one entry. Linked programs with debug information reach a gigabyte; more is rather a mistake.
    pub body_bytes_max: u64,
    /// Bytes of the hot set; 0 keeps nothing in memory.
    pub hot_bytes_max: usize,
    /// How long requests may go on after the end was asked for: an upload of a large entry over a slow line.
    pub grace: Duration,
    /// How long a client that has something to send or to take may do neither. A lost packet is sent again within seconds.
    pub silence_max: Duration,
    /// How far an upload may be behind a pace of 16 KiB a second: time to begin, and for a line that stalls.
    pub upload_grace: Duration,
    /// Connections at once. A Bazel keeps up to a hundred, and a process may often have only 1024 files open.
    pub connections_max: usize,
    /// Uploads at once; each has a thread and about a megabyte of its body in memory, a result of an action all of it (4 MiB).
    pub uploads_max: usize,
    /// Answers from the pool at once; each has a thread and at most three pieces (12 MiB) in memory. One that is read whole
    /// ends when it is read, as long as the memory for those that clients have not taken yet (192 MiB) has room.
    pub reads_max: usize,
    /// How long a request waits for its turn; tools give up on a cache after about as long.
    pub turn_wait_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 2 << 30,
            hot_bytes_max: 64 << 20,
            grace: Duration::from_secs(20),
            silence_max: Duration::from_secs(60),
            upload_grace: Duration::from_secs(60),
            connections_max: 512,
            uploads_max: 16,
            reads_max: 16,
            turn_wait_max: Duration::from_secs(10),
        }
    }
}

/// What an upload brings at least, the grace apart: else it would hold one of a few places for as long as it likes. A line of
/// 2 Mbit/s that sixteen uploads share brings as much.
pub(super) const UPLOAD_BYTES_PER_SECOND_MIN: u64 = 16 << 10;
/// No upload is waited for any longer, however much it brings: what a store has of it is safe from collections for two hours.
pub(super) const UPLOAD_MAX: Duration = Duration::from_secs(100 * 60);
/// Blobs up to this size may be hot: what is larger is better read from the system's own file cache.
pub(super) const HOT_BLOB_BYTES_MAX: u64 = 8 << 20;
/// Results of actions up to this size are taken and answered: whole in memory, to see what they name. It is what a gRPC
/// message of the same protocol may have at most, and has room for thirty thousand outputs.
pub(super) const RESULT_BYTES_MAX: u64 = 4 << 20;
/// How long is looked for what a result names: object storage answers a few hundred questions meanwhile.
pub(super) const RESULT_LOOK_MAX: Duration = Duration::from_secs(10);
/// Lists of directories' files that are read to answer with one result: as much again as the result itself. Of longer ones
/// only the list is known to be there.
pub(super) const TREES_BYTES_MAX: u64 = 4 << 20;
/// Pieces of a body on their way between a connection and a thread: enough that neither waits for each single one.
pub(super) const UPLOAD_PIECES_WAITING_MAX: usize = 16;
/// Bytes of whole blobs that wait for clients to take them, beside those that keep a turn at the pool meanwhile: a build
/// tool asks for a hundred blobs at once over a line that takes seconds for them, and none of them should be turned away.
pub(super) const UNTAKEN_BYTES_MAX: usize = 192 << 20;
/// What those are counted in.
pub(super) const UNTAKEN_UNIT_BYTES: usize = 64 << 10;
/// Pieces of a blob read ahead of the client.
pub(super) const READ_PIECES_WAITING_MAX: usize = 1;
/// What is read into at most, per connection: the size of an upload's pieces, and of a request's head, which nobody has
/// been asked for a token before.
pub(super) const READ_BUFFER_BYTES_MAX: usize = 64 << 10;
/// A refused body is read up to here, so that the client sees the answer rather than a reset connection.
pub(super) const REFUSED_BYTES_MAX: u64 = 1 << 20;
/// What a refused client is told to wait, in seconds, before it asks again.
pub(super) const RETRY_AFTER_SECONDS: &str = "5";
