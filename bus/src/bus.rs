//! The trait. Implemented by the two buses; used as `Arc<dyn Bus>` by everybody else.

use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::{
    Announcement, Build, Chunk, Deployment, FollowError, Health, Heard, Hint, Host, Item, Mark,
    Place, Pool, Presence, PublishError, PutError, RenewError, Renewal, RenewalRequest, TakeError,
    Taken, Unavailable, Verdict,
};

/// What is on its way. Anything of it may be lost, repeated or late.
pub trait Bus: Debug + Send + Sync + 'static {
    /// Lets one of the pool's takers have the hint. Published again within the window, it is the same one, and nothing happens:
    /// mostly, since this saves work and guards nothing.
    ///
    /// **Errors.** See [`PublishError`].
    fn publish(&self, pool: &Pool, hint: Hint) -> BoxFuture<'_, Result<(), PublishError>>;

    /// The oldest hint that nobody holds; waits that long for one, and gives none when none came.
    ///
    /// **Errors.** See [`TakeError`].
    /// **Cancel.** A hint that was just on its way to the caller comes back after `ack_wait`.
    fn take(&self, pool: &Pool, wait: Duration) -> BoxFuture<'_, Result<Option<Taken>, TakeError>>;

    /// How many of the pool's hints are not done, those that are held among them.
    ///
    /// **Errors.** Not known now.
    fn waiting(&self, pool: &Pool) -> BoxFuture<'_, Result<u64, Unavailable>>;

    /// Removes all of the pool's hints, held or not, and forgets that they were published: what this handle publishes after it is
    /// new. For whoever rebuilds the queue from the ledger; hints that another publishes may be repeated by it.
    ///
    /// **Errors.** Some or all may be there still.
    fn drop_all(&self, pool: &Pool) -> BoxFuture<'_, Result<(), Unavailable>>;

    /// Says that a worker still runs an attempt, and gives what a server says to it: so a request to stop, or the news that
    /// the attempt is lost, comes with the answer and needs no way of its own.
    ///
    /// Every server hears every renewal, since each keeps its own clock for every lease and may be the one to call an attempt
    /// lost; were renewals shared out among them, each would miss most. The first answer counts. Servers that have folded the same
    /// events say the same; one that has not folded the attempt's start yet must not answer.
    ///
    /// **Errors.** See [`RenewError`].
    fn renew(&self, renewal: Renewal) -> BoxFuture<'_, Result<Verdict, RenewError>>;

    /// Every renewal from now on. One that reads too slowly misses some.
    ///
    /// **Errors.** Not listening; try again. Once it listens, the stream waits for a broker that is away, and does not end.
    fn renewals(&self) -> BoxFuture<'_, Result<BoxStream<'static, RenewalRequest>, Unavailable>>;

    /// Gives a chunk of output to those who follow the build, now or soon. Waits for followers who have not taken what would have
    /// to go for it, but no longer than [`crate::Output::patience`].
    ///
    /// **Shape.** One writer per attempt, numbers ascending; a number that was there before changes nothing, a gap is shown to
    /// followers. A chunk of an earlier attempt than the last one heard of reaches nobody; the first of a later one
    /// replaces all that is kept.
    /// **Errors.** See [`PutError`].
    /// **Cancel.** It may have been put.
    fn put(&self, build: &Build, attempt: u32, chunk: Chunk)
    -> BoxFuture<'_, Result<(), PutError>>;

    /// Says that the build writes no more. `number` is the one that the next chunk would have.
    ///
    /// **Errors.** Those of [`Bus::put`].
    fn end(&self, build: &Build, attempt: u32, number: u64) -> BoxFuture<'_, Result<(), PutError>>;

    /// What is still kept of a build's output from that place on, then what comes, in order and each once, until the end. Of a build
    /// that was never heard of, what comes.
    ///
    /// **Shape.** See [`Item`].
    /// **Errors.** See [`FollowError`]; the stream ends with one. A broker that is away is none: the stream waits for it.
    fn follow(&self, build: &Build, from: Place) -> BoxStream<'static, Result<Item, FollowError>>;

    /// Gives a piece of what a host prints to those who listen to its deployment, now or soon. Waits for none of them. Any number of
    /// servers may put what one host prints; who puts says in the piece which it is.
    ///
    /// **Errors.** See [`PutError`]; a piece has the largest size of a [`Chunk`].
    /// **Cancel.** It may have been put.
    fn print(
        &self,
        deployment: &Deployment,
        host: &Host,
        piece: Bytes,
    ) -> BoxFuture<'_, Result<(), PutError>>;

    /// What is still kept of what all hosts of a deployment have printed, or one of them, then what comes. Who was there before begins after
    /// what it has; when that was of a memory that is lost, with all that is kept.
    ///
    /// **Shape.** See [`Heard`]. Without an end; of pieces that are not kept any more nothing is said here.
    /// **Errors.** See [`FollowError`]; the stream ends with one. A broker that is away is none: the stream waits for it.
    fn listen(
        &self,
        deployment: &Deployment,
        host: Option<&Host>,
        after: Option<Mark>,
    ) -> BoxStream<'static, Result<Heard, FollowError>>;

    /// Tells all who listen now that a worker is there.
    ///
    /// **Errors.** It did not leave; say it again in a few seconds, as always.
    fn announce(&self, announcement: Announcement) -> BoxFuture<'_, Result<(), Unavailable>>;

    /// Every announcement from now on. One that reads too slowly misses some.
    ///
    /// **Errors.** Not listening; try again. Once it listens, the stream does not end.
    fn announcements(&self)
    -> BoxFuture<'_, Result<BoxStream<'static, Announcement>, Unavailable>>;

    /// Tells all servers that listen now, the caller among them, which hosts ask one.
    ///
    /// **Errors.** It did not leave; say it again in a few seconds, as always.
    fn tell_presence(&self, presence: Presence) -> BoxFuture<'_, Result<(), Unavailable>>;

    /// What every server says of its hosts from now on. One that reads too slowly misses some.
    ///
    /// **Errors.** Not listening; try again. Once it listens, the stream does not end.
    fn presences(&self) -> BoxFuture<'_, Result<BoxStream<'static, Presence>, Unavailable>>;

    /// Whether all is well, in words. Streams that a broker has lost are made again by the question. Nothing of a bus is
    /// durable, and nothing has to be.
    fn health(&self) -> BoxFuture<'_, Health>;
}
