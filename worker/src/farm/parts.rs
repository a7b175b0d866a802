//! What a worker is made of. Put together by the composition root.

use std::sync::Arc;

use croft_bus::{Bus, Pool, Worker};
use croft_cache::{Place, Store};
use croft_ledger::Ledger;
use croft_proto::farm::Lease;

use super::metrics::Metrics;
use super::places::Places;
use super::pool_keys::PoolKeys;
use super::vitals::Vitals;
use crate::Home;

/// How a worker works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name, unlike any other's: a worker that starts again is another one.
    pub name: Worker,
    /// Whose builds it takes.
    pub pool: Pool,
    /// Builds at once.
    pub slots: u32,
    /// Its croft.
    pub version: String,
    /// How long attempts may be silent.
    pub lease: Lease,
    /// Bytes that must be free on the disk of its home before it takes a build.
    pub disk_free_bytes_min: u64,
    /// The region that builds' tools are told.
    pub region: String,
}

/// What a worker is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The truth.
    pub ledger: Arc<dyn Ledger>,
    /// What is on its way.
    pub bus: Arc<dyn Bus>,
    /// Sources, logs and artifacts.
    pub kept: Arc<Store>,
    /// The builds' caches; none when it could not be opened, which was said.
    pub cache: Option<Arc<Store>>,
    /// Where both are kept, also when one could not be opened: no build's source.
    pub own: Vec<Place>,
    /// This machine's folders.
    pub home: Home,
    /// Where builds run.
    pub places: Arc<dyn Places>,
    /// For opening secrets.
    pub keys: PoolKeys,
    /// What time it is.
    pub now: fn() -> croft_proto::Timestamp,
    /// What it counts.
    pub metrics: Metrics,
    /// How it is, for who asks.
    pub vitals: Vitals,
    /// How it works.
    pub settings: Settings,
}
