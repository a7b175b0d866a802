//! How much of everything the farm's front takes on, each with its reason.

use std::time::Duration;

/// Bytes of a body: twice what an event of the ledger may have, so that whoever sends too much is told so by the rule it broke.
pub(super) const BODY_BYTES_MAX: usize = 128 << 10;
/// Bytes of a body that carries chunks of a tree, or says what a tree is made of: two batches of the transfer.
pub(super) const CHUNKS_BYTES_MAX: usize = 8 << 20;
/// Bytes of an offer of a tree: what the transfer takes at most.
pub(super) const OFFER_BODY_BYTES_MAX: usize = croft_cache::OFFER_BYTES_MAX;
/// Uploads that the store is asked to take at once, over all callers: it has a thread for each, and disks gain nothing from more.
pub(super) const UPLOADS_MAX: usize = 8;
/// Bytes of uploads in memory at once, over all callers, those among them that are still coming: sixteen whole bodies of chunks.
pub(super) const UPLOADS_BYTES_MAX: usize = 128 << 20;
/// The same of one token: four whole bodies, so that nobody keeps all others from uploading.
pub(super) const UPLOADS_BYTES_PER_TOKEN_MAX: usize = UPLOADS_BYTES_MAX / 4;
const _: () = assert!(
    CHUNKS_BYTES_MAX <= UPLOADS_BYTES_PER_TOKEN_MAX
        && OFFER_BODY_BYTES_MAX <= UPLOADS_BYTES_PER_TOKEN_MAX,
    "any body has room in a token's share"
);
/// How long an upload waits for others' bytes to go before its caller is told to come back: a store's thread has long made room.
pub(super) const ROOM_WAIT: Duration = Duration::from_secs(5);
/// How far an upload may be behind its pace, at its beginning or whenever it stops.
pub(super) const UPLOAD_GRACE: Duration = Duration::from_secs(10);
/// Bytes that earn an upload another second, up to [`BODY_WAIT`]: a line of 1 Mbit/s.
pub(super) const UPLOAD_BYTES_PER_SECOND_MIN: u64 = 128 << 10;
/// How long a body may take to come: 8 MiB over a line of 2 Mbit/s, and some.
pub(super) const BODY_WAIT: Duration = Duration::from_secs(60);
/// How long the head of a request may take to come, and how long a connection may idle between two.
pub(super) const HEAD_WAIT: Duration = Duration::from_secs(30);
/// How long a client may take nothing of an answer that waits for it.
pub(super) const STALL_MAX: Duration = Duration::from_secs(60);
/// What is read into at most, per connection: also the most a request's head may have.
pub(super) const READ_BUFFER_BYTES_MAX: usize = 64 << 10;
/// Connections at once where nobody says otherwise: a process may often have only 1024 files open, and needs some itself.
pub(super) const CONNECTIONS_MAX: usize = 768;
/// How long a TLS handshake may take.
pub(super) const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);
/// Rows of a list when the caller does not say.
pub(super) const ROWS_DEFAULT: usize = 100;
/// Pages of the view that are looked through for one page of a caller who may see only some projects: 20,000 builds.
pub(super) const PAGES_LOOKED_MAX: usize = 20;
/// How long a read waits for the view to have what the caller has seen already, or asks for by its id.
pub(super) const READ_WAIT: Duration = Duration::from_secs(1);
/// The longest a caller may wait for a build to be over in one request: proxies cut what is silent for a minute.
pub(super) const COMPLETE_WAIT_MAX: Duration = Duration::from_secs(50);
/// How often a stream of events says that it is still there.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Streams of events at once, of one token: a person's terminals and a dashboard's tiles.
pub(super) const FOLLOWERS_PER_TOKEN_MAX: usize = 64;
/// How long the end of a build's output is waited for when the build is over already.
pub(super) const TAIL_WAIT: Duration = Duration::from_secs(2);
/// Tries to read a build's archived events for a client, which then has its build's end without them.
pub(super) const REPLAY_TRIES_MAX: u32 = 3;
/// How long after one of them the next one begins.
pub(super) const REPLAY_AGAIN: Duration = Duration::from_millis(500);
/// How long a running build's log is collected for: what the bus keeps comes at once.
pub(super) const LIVE_LOG_WAIT: Duration = Duration::from_millis(250);
/// Bytes of a running build's log that are collected: what the bus keeps of one build at most, and some.
pub(super) const LIVE_LOG_BYTES_MAX: usize = 16 << 20;
/// Requests of one token a second, on average. A dashboard of a hundred tiles asks less often.
pub(super) const REQUESTS_PER_SECOND: u32 = 100;
/// Requests of one token at once: a script that starts a thousand builds.
pub(super) const REQUESTS_BURST: u32 = 1_000;
/// Calls a second that are refused to who speaks for one host at one address, on average, before none is looked at: an agent whose server was
/// started anew has one of them refused, and a server checks thousands of signatures a second.
pub(super) const STRANGERS_PER_SECOND: u32 = 20;
/// The same, at once.
pub(super) const STRANGERS_BURST: u32 = 200;
/// Bytes a second, on average, that are taken of what one host prints: four times what an agent sends.
pub(super) const PRINTED_BYTES_PER_SECOND: u32 = 1 << 20;
/// The same, at once.
pub(super) const PRINTED_BYTES_BURST: u32 = 4 << 20;
/// Tokens whose pace is remembered. One that is forgotten starts with a full bucket.
pub(super) const PACES_MAX: usize = 10_000;
/// How long refusals of one kind are gathered after the first, to be put on record as one note with their number: a person who
/// looks sees them soon, and a program that asks in vain without end adds two entries a minute.
pub(super) const REFUSALS_WINDOW: Duration = Duration::from_secs(60);
/// How often it is looked whose window has ended.
pub(super) const REFUSALS_EVERY: Duration = Duration::from_secs(5);
/// Kinds of refusals gathered at once: those of a hundred tokens that try everything, in some megabytes, each text
/// cut to [`NOTE_CHARS_MAX`]. More are counted together.
pub(super) const REFUSALS_MAX: usize = 4_096;
/// How often a second the truth is asked about a token that is not known, over all callers: a person waits for a token that was
/// just made, a guesser must not keep the ledger busy.
pub(super) const NEWCOMERS_PER_SECOND: u32 = 5;
/// The same, at once.
pub(super) const NEWCOMERS_BURST: u32 = 20;
/// Notes that wait for the audit chain's writer: as many as there are connections, and some.
pub(super) const NOTES_MAX: usize = 1_024;
/// How long a change waits for its note to be durable.
pub(super) const NOTE_WAIT: Duration = Duration::from_secs(15);
/// Between two tries to write notes while the ledger does not take them.
pub(super) const NOTE_AGAIN: Duration = Duration::from_millis(500);
/// Characters of each text of a note. Seven of them, escaped six times over, fit into an event.
pub(super) const NOTE_CHARS_MAX: usize = 512;
/// How often the tokens are looked at, when the view has moved.
pub(super) const TOKENS_EVERY: Duration = Duration::from_millis(200);
/// How often secrets and pools' keys are compared, beside when one changes here: another server may have stopped in between.
pub(super) const RESEAL_EVERY: Duration = Duration::from_secs(30);
/// Tries of an append that others were faster with.
pub(super) const TRIES_MAX: usize = 8;
/// Tries to record the farm's master key: ten seconds of them, since a broker's election takes seven.
pub(super) const CLAIM_TRIES_MAX: u32 = 20;
/// How long after one of them the next one begins.
pub(super) const CLAIM_PAUSE: Duration = Duration::from_millis(500);
/// Entries of one subject read at once.
pub(super) const SUBJECT_PAGE: usize = 256;
/// How far the view may be behind the ledger for a server to be ready.
pub(super) const VIEW_BEHIND_MAX: Duration = Duration::from_secs(5);
/// Pieces of a stored file read ahead of the client.
pub(super) const PIECES_WAITING_MAX: usize = 2;
/// Offers of revisions that are remembered: those of a few groups that are deployed to at once, a megabyte each for twenty thousand files and
/// never more than nineteen.
pub(super) const OFFERS_MAX: usize = 4;
/// Stored files read at once, logs and replays among them; each has a thread and some megabytes, for as long as its client takes.
pub(super) const FILES_READ_MAX: usize = 64;
/// Answers with parts of revisions that are read at once; each has a thread and some megabytes, for as long as its host takes.
pub(super) const EXPORTS_MAX: usize = 64;
/// How long a host waits for its turn among them before it is asked to come again.
pub(super) const EXPORT_WAIT: Duration = Duration::from_secs(10);
/// Patterns of projects of one token or secret: an event has room for them.
pub(super) const PATTERNS_MAX: usize = 50;
/// Characters of the names of tokens, secrets and workers.
pub(super) const NAME_CHARS_MAX: usize = 150;
/// What a caller is told to wait, in seconds, when something is not there for now.
pub(super) const RETRY_AFTER_SECONDS: u64 = 2;
