//! A store that misbehaves on purpose, by a seed: what networks, disks and servers do on bad days. Wrapped around any store
//! by the tests of this crate.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};

/// What goes wrong. The default is nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// Every call fails.
    pub(crate) down: bool,
    /// Every call takes this long first; needs a reactor.
    pub(crate) latency: Duration,
    /// Calls in a thousand that fail and do nothing.
    pub(crate) errors: u32,
    /// Puts in a thousand that store a beginning and fail.
    pub(crate) torn: u32,
    /// Puts in a thousand that store a beginning and say that all is well.
    pub(crate) cut: u32,
    /// Puts in a thousand that store nothing and say that all is well.
    pub(crate) lost: u32,
    /// Reads in a thousand with one bit that is not the one stored.
    pub(crate) flips: u32,
    /// A listing is that of this many changes ago.
    pub(crate) stale_by: usize,
    /// Puts fail once this many bytes were put.
    pub(crate) full_after: Option<u64>,
}

/// A store with faults, which can be changed while it is used.
#[derive(Clone, Debug)]
pub(crate) struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    faults: Faults,
    random: u64,
    put_bytes: u64,
    /// Complete listings after each change, the newest last.
    listings: VecDeque<Vec<ObjectMeta>>,
    /// Every put and delete that was asked for, in order.
    asked: Vec<String>,
    calls: u64,
}

/// What becomes of a put.
enum Fate {
    Whole,
    Torn,
    Cut,
    Lost,
}

/// Listings kept for `stale_by`.
const LISTINGS_MAX: usize = 64;

impl FaultyStore {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, seed: u64, faults: Faults) -> Self {
        let state = State {
            faults,
            random: seed,
            put_bytes: 0,
            listings: VecDeque::from([Vec::new()]),
            asked: Vec::new(),
            calls: 0,
        };
        Self {
            inner,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// From now on these go wrong.
    pub(crate) fn set(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// Puts and deletes asked for so far, such as `put v2/packs/p`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    /// Calls of every kind so far, those that failed too.
    pub(crate) fn calls(&self) -> u64 {
        self.state().calls
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Waits and fails as the faults say.
    async fn suffer(&self) -> Result<()> {
        let (latency, fails) = {
            let mut state = self.state();
            state.calls += 1;
            let fails = state.faults.down || state.happens(|faults| faults.errors);
            (state.faults.latency, fails)
        };
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        if fails {
            return Err(failure("connection refused"));
        }
        Ok(())
    }

    fn fate(&self, size: u64) -> Result<Fate> {
        let mut state = self.state();
        state.put_bytes += size;
        if state
            .faults
            .full_after
            .is_some_and(|full| state.put_bytes > full)
        {
            return Err(failure("no space left on device"));
        }
        Ok(if state.happens(|faults| faults.lost) {
            Fate::Lost
        } else if state.happens(|faults| faults.torn) {
            Fate::Torn
        } else if state.happens(|faults| faults.cut) {
            Fate::Cut
        } else {
            Fate::Whole
        })
    }

    /// Remembers what a listing looks like now.
    async fn changed(&self) -> Result<()> {
        let listing: Vec<ObjectMeta> = self.inner.list(None).try_collect().await?;
        let mut state = self.state();
        state.listings.push_back(listing);
        if state.listings.len() > LISTINGS_MAX {
            state.listings.pop_front();
        }
        Ok(())
    }

    fn flipped(&self, bytes: Bytes) -> Bytes {
        let mut state = self.state();
        if bytes.is_empty() || !state.happens(|faults| faults.flips) {
            return bytes;
        }
        let bit = state.next() % (bytes.len() as u64 * 8);
        let mut bytes = bytes.to_vec();
        bytes[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);
        Bytes::from(bytes)
    }

    async fn listed(&self, prefix: Option<Path>) -> Result<Vec<ObjectMeta>> {
        self.suffer().await?;
        let stale_by = self.state().faults.stale_by;
        if stale_by == 0 {
            return self.inner.list(prefix.as_ref()).try_collect().await;
        }
        let state = self.state();
        let index = state.listings.len().saturating_sub(stale_by + 1);
        let mut listing = state.listings[index].clone();
        drop(state);
        if let Some(prefix) = prefix {
            listing.retain(|meta| {
                meta.location
                    .prefix_match(&prefix)
                    .is_some_and(|mut rest| rest.next().is_some())
            });
        }
        Ok(listing)
    }
}

impl State {
    /// SplitMix64: small, and the same everywhere.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn happens(&mut self, in_a_thousand: impl Fn(&Faults) -> u32) -> bool {
        let bound = u64::from(in_a_thousand(&self.faults));
        bound > 0 && self.next() % 1_000 < bound
    }
}

fn failure(reason: &'static str) -> Error {
    Error::Generic {
        store: "faulty",
        source: reason.into(),
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}

impl ObjectStore for FaultyStore {
    fn put_opts<'a, 'b, 'c>(
        &'a self,
        location: &'b Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> BoxFuture<'c, Result<PutResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(async move {
            self.state().asked.push(format!("put {location}"));
            self.suffer().await?;
            let nothing = PutResult {
                e_tag: None,
                version: None,
                extensions: Default::default(),
            };
            let beginning = || {
                let bytes = Bytes::from(payload.clone());
                PutPayload::from(bytes.slice(..bytes.len() / 2))
            };
            let outcome = match self.fate(payload.content_length() as u64)? {
                Fate::Lost => return Ok(nothing),
                Fate::Whole => self.inner.put_opts(location, payload, opts).await?,
                Fate::Cut => self.inner.put_opts(location, beginning(), opts).await?,
                Fate::Torn => {
                    self.inner.put_opts(location, beginning(), opts).await?;
                    self.changed().await?;
                    return Err(failure("connection reset"));
                }
            };
            self.changed().await?;
            Ok(outcome)
        })
    }

    fn put_multipart_opts<'a, 'b, 'c>(
        &'a self,
        location: &'b Path,
        opts: PutMultipartOptions,
    ) -> BoxFuture<'c, Result<Box<dyn MultipartUpload>>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.inner.put_multipart_opts(location, opts)
    }

    fn get_opts<'a, 'b, 'c>(
        &'a self,
        location: &'b Path,
        options: GetOptions,
    ) -> BoxFuture<'c, Result<GetResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(async move {
            self.suffer().await?;
            let head = options.head;
            let found = self.inner.get_opts(location, options).await?;
            if head {
                return Ok(found);
            }
            let (meta, range) = (found.meta.clone(), found.range.clone());
            let (attributes, extensions) = (found.attributes.clone(), found.extensions.clone());
            let bytes = self.flipped(found.bytes().await?);
            Ok(GetResult {
                payload: GetResultPayload::Stream(stream::iter([Ok(bytes)]).boxed()),
                meta,
                range,
                attributes,
                extensions,
            })
        })
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        locations
            .then(move |location| {
                let store = store.clone();
                async move {
                    let location = location?;
                    store.state().asked.push(format!("delete {location}"));
                    store.suffer().await?;
                    store.inner.delete(&location).await?;
                    store.changed().await?;
                    Ok(location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix) = (self.clone(), prefix.cloned());
        let listing = async move { store.listed(prefix).await };
        stream::once(listing)
            .map_ok(|listing| stream::iter(listing.into_iter().map(Ok)))
            .try_flatten()
            .boxed()
    }

    fn list_with_delimiter<'a, 'b, 'c>(
        &'a self,
        prefix: Option<&'b Path>,
    ) -> BoxFuture<'c, Result<ListResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.inner.list_with_delimiter(prefix)
    }

    fn copy_opts<'a, 'b, 'c, 'd>(
        &'a self,
        from: &'b Path,
        to: &'c Path,
        options: CopyOptions,
    ) -> BoxFuture<'d, Result<()>>
    where
        'a: 'd,
        'b: 'd,
        'c: 'd,
        Self: 'd,
    {
        self.inner.copy_opts(from, to, options)
    }
}
