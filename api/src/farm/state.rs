//! What all requests of a server share. Made when it starts to serve; dropped when the last connection is gone.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use croft_bus::Bus;
use croft_cache::Store;
use croft_keys::{AccessRecord, AccessTokens, MasterKey, TokenId, token_of_authorization};
use croft_ledger::{Clock, Ledger, Seq};
use croft_proto::farm::Lease;
use croft_scheduler::Handle;
use croft_views::{QueryError, Views};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::agents::HostsHeard;
use super::audit::Note;
use super::configured::Known;
use super::deploy::Untaken;
use super::held::Held;
use super::intake::Room;
use super::limits::{
    CONNECTIONS_MAX, EXPORTS_MAX, FILES_READ_MAX, FOLLOWERS_PER_TOKEN_MAX, HEAD_WAIT,
    NEWCOMERS_BURST, NEWCOMERS_PER_SECOND, NOTE_WAIT, PRINTED_BYTES_BURST,
    PRINTED_BYTES_PER_SECOND, READ_WAIT, REQUESTS_BURST, REQUESTS_PER_SECOND, ROOM_WAIT,
    STRANGERS_BURST, STRANGERS_PER_SECOND, UPLOADS_BYTES_MAX, UPLOADS_BYTES_PER_TOKEN_MAX,
    UPLOADS_MAX,
};
use super::metrics::Metrics;
use super::offers::Offers;
use super::pace::Paces;
use super::refusals::Refusals;

/// Who may read `/metrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetricsAccess {
    /// Holders of a token that sees the whole farm.
    #[default]
    Viewers,
    /// Everybody. For addresses that only this machine reaches.
    Everybody,
}

/// What the owner of a farm may choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// This server's name: its audit chain is `audit.<name>`, so no two servers may have the same at once.
    pub server: String,
    /// How long attempts may be silent; the same in all of a farm.
    pub lease: Lease,
    /// Who may read the metrics.
    pub metrics: MetricsAccess,
    /// How long requests may go on after the end was asked for.
    pub grace: std::time::Duration,
    /// How long the head of a request may take to come, and how long a connection may idle between two.
    pub head_wait: std::time::Duration,
    /// Requests of one token: so many a second, and so many at once.
    pub pace: (u32, u32),
    /// Calls in a host's name that may be refused to one address before none is looked at: the same.
    pub strangers: (u32, u32),
    /// Bytes that are taken of what one host prints: the same.
    pub printing: (u32, u32),
    /// How long a change waits for its note to be durable.
    pub note_wait: std::time::Duration,
    /// Connections at once. Calls that change something, those whose callers have hung up among them, are as many at once, so that who hangs
    /// up and asks again gains nothing.
    pub connections_max: usize,
}

impl Settings {
    /// The usual ones for a server of that name.
    #[must_use]
    pub fn of(server: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            lease: Lease::default(),
            metrics: MetricsAccess::default(),
            grace: std::time::Duration::from_secs(20),
            head_wait: HEAD_WAIT,
            pace: (REQUESTS_PER_SECOND, REQUESTS_BURST),
            strangers: (STRANGERS_PER_SECOND, STRANGERS_BURST),
            printing: (PRINTED_BYTES_PER_SECOND, PRINTED_BYTES_BURST),
            note_wait: NOTE_WAIT,
            connections_max: CONNECTIONS_MAX,
        }
    }
}

/// What a server's front stands on.
#[derive(Clone, Debug)]
pub struct Farm {
    /// The way to ask the scheduler.
    pub handle: Handle,
    /// The way to ask those who deploy.
    pub deploy: croft_deploy::server::Handle,
    /// What the ledger says, ready to be asked. Somebody else feeds it.
    pub views: Views,
    /// The truth.
    pub ledger: Arc<dyn Ledger>,
    /// What is on its way.
    pub bus: Arc<dyn Bus>,
    /// Sources, logs, artifacts.
    pub kept: Arc<Store>,
    /// The farm's master key.
    pub master: Arc<MasterKey>,
    /// What time it is.
    pub clock: Clock,
    /// What `/metrics` shows; other rooms register theirs.
    pub registry: prometheus::Registry,
    /// What the owner chose.
    pub settings: Settings,
}

/// The same, and what goes on.
#[derive(Debug)]
pub(super) struct State {
    pub(super) farm: Farm,
    pub(super) metrics: Metrics,
    pub(super) notes: mpsc::Sender<Note>,
    pub(super) paces: Paces<TokenId>,
    /// Refused calls without a token, by where they are from and the host that they name, if there is one.
    pub(super) strangers: Paces<(IpAddr, String)>,
    /// Bytes that hosts print.
    pub(super) printing: Paces<String>,
    /// What hosts printed and was refused.
    pub(super) untaken: Untaken,
    pub(super) refusals: Refusals,
    /// Whether notes wait for a ledger that does not take them.
    pub(super) is_stuck: watch::Sender<bool>,
    newcomers: Paces<()>,
    /// Up to where in the ledger somebody was told of builds that the view may not have yet.
    pub(super) told: AtomicU64,
    /// Projects that builds were started of.
    pub(super) configured: Known,
    /// Sources that the store was asked to keep.
    pub(super) held: Held,
    /// Uploads in the store's hands.
    pub(super) uploads: Arc<Semaphore>,
    /// Room for uploads on their way.
    pub(super) room: Room,
    pub(super) files: Arc<Semaphore>,
    /// Turns of hosts that fetch revisions.
    pub(super) exports: Arc<Semaphore>,
    /// The turn of calls that may be forged: their signatures are looked at one after the other.
    pub(super) suspects: Semaphore,
    /// Changes on their way: they outlive the connections that asked for them.
    pub(super) changes: Arc<Semaphore>,
    /// Changes with their notes, and blocking work that a request began; some of it outlives the request.
    pub(super) tasks: TaskTracker,
    /// Ends streams when the server stops.
    pub(super) draining: CancellationToken,
    tokens: RwLock<(Arc<AccessTokens>, Seq)>,
    followers: Arc<Mutex<HashMap<TokenId, usize>>>,
    /// When the view was seen to be as far as the ledger.
    pub(super) in_step: Mutex<Option<Instant>>,
    /// Hosts that were heard.
    pub(super) hosts: HostsHeard,
    /// Revisions that hosts are fetching.
    pub(super) offers: Arc<Offers>,
    /// This run's word, which hosts sign: what they said to another run, or another server, is not for this one.
    pub(super) run: String,
}

/// A place among a token's followers, for as long as it is held.
#[derive(Debug)]
pub(super) struct Following {
    followers: Arc<Mutex<HashMap<TokenId, usize>>>,
    token: TokenId,
}

impl State {
    pub(super) fn new(farm: Farm, metrics: Metrics, notes: mpsc::Sender<Note>) -> Self {
        let (per_second, burst) = farm.settings.pace;
        let (strangers, strangers_burst) = farm.settings.strangers;
        let (printing, printing_burst) = farm.settings.printing;
        Self {
            metrics,
            notes,
            paces: Paces::new(per_second, burst),
            strangers: Paces::new(strangers, strangers_burst),
            printing: Paces::new(printing, printing_burst),
            untaken: Untaken::default(),
            refusals: Refusals::default(),
            is_stuck: watch::Sender::new(false),
            newcomers: Paces::new(NEWCOMERS_PER_SECOND, NEWCOMERS_BURST),
            told: AtomicU64::default(),
            configured: Known::default(),
            held: Held::default(),
            hosts: HostsHeard::default(),
            offers: Arc::default(),
            run: uuid::Uuid::new_v4().simple().to_string(),
            uploads: Arc::new(Semaphore::new(UPLOADS_MAX)),
            room: Room::new(UPLOADS_BYTES_MAX, UPLOADS_BYTES_PER_TOKEN_MAX, ROOM_WAIT),
            files: Arc::new(Semaphore::new(FILES_READ_MAX)),
            exports: Arc::new(Semaphore::new(EXPORTS_MAX)),
            suspects: Semaphore::new(1),
            changes: Arc::new(Semaphore::new(farm.settings.connections_max)),
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            tokens: RwLock::default(),
            followers: Arc::default(),
            in_step: Mutex::new(None),
            farm,
        }
    }

    /// The store, to be taken along to another thread.
    pub(super) fn kept(&self) -> Store {
        Store::clone(&self.farm.kept)
    }

    /// The token in an `Authorization` header, if it is good now. One that is not known may have been issued a moment ago, by
    /// this server or another: then the truth is looked at, as often as that may be.
    pub(super) async fn admit(&self, authorization: Option<&str>) -> Option<Arc<AccessRecord>> {
        if let Some(known) = self.known(authorization) {
            return Some(known);
        }
        token_of_authorization(authorization?)?;
        self.newcomers.take((), Instant::now()).ok()?;
        let last = self.farm.ledger.last().await.ok()?;
        self.farm.views.reached(last, READ_WAIT).await;
        if let Err(error) = self.load_tokens().await {
            let error = crate::chain::chain(&error);
            tracing::warn!(%error, "the tokens cannot be read; those known stay good");
        }
        self.known(authorization)
    }

    fn known(&self, authorization: Option<&str>) -> Option<Arc<AccessRecord>> {
        let token = token_of_authorization(authorization?)?;
        let now_ms = self.farm.clock.now().millis();
        let record = self.tokens().find(&token, now_ms).cloned();
        record.map(Arc::new)
    }

    /// Whether a token that was good is so still.
    pub(super) fn is_still_good(&self, record: &AccessRecord) -> bool {
        let now_ms = self.farm.clock.now().millis();
        let tokens = self.tokens();
        let known = tokens.get(record.id);
        known.is_some_and(|known| known.hash == record.hash && known.is_good(now_ms))
    }

    pub(super) fn tokens(&self) -> Arc<AccessTokens> {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&tokens.0)
    }

    /// Loads the tokens when one has changed.
    pub(super) async fn load_tokens(&self) -> Result<(), QueryError> {
        let known = self.tokens.read().unwrap_or_else(PoisonError::into_inner).1;
        let loaded = self.farm.views.ask(move |read| {
            let is_same = known > Seq::ZERO && read.last_of_tokens()? == known;
            if is_same {
                return Ok(None);
            }
            read.access_tokens().map(Some)
        });
        if let Some((tokens, seq)) = loaded.await? {
            let mut known = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
            // Two loads may cross.
            if seq >= known.1 {
                *known = (Arc::new(tokens), seq);
            }
        }
        Ok(())
    }

    /// A place among the token's followers; none when it has too many.
    pub(super) fn follow(&self, token: TokenId) -> Option<Following> {
        let mut followers = self
            .followers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let count = followers.entry(token).or_default();
        if *count >= FOLLOWERS_PER_TOKEN_MAX {
            return None;
        }
        *count += 1;
        Some(Following {
            followers: Arc::clone(&self.followers),
            token,
        })
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut followers = self
            .followers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = followers.get_mut(&self.token) {
            *count -= 1;
            if *count == 0 {
                followers.remove(&self.token);
            }
        }
    }
}

/// A path as a person may name it within a stored tree: relative, without `..`.
pub(super) fn is_inside(path: &Path) -> bool {
    let mut parts = path.components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, std::path::Component::Normal(_)))
}
