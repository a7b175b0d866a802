//! What workers say of themselves, as one server has heard it. For lists and metrics; nothing is decided on it here.

use std::collections::BTreeMap;

use croft_bus::Announcement;

use crate::pool::WORKER_GONE_MS;

/// Workers that are remembered: ten times what a large farm has. Names of those that restart differ each time.
const WORKERS_MAX: usize = 10_000;

/// A worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSeen {
    /// Its name.
    pub worker: String,
    /// Whose builds it takes.
    pub pool: String,
    /// Builds it could start now.
    pub slots_free: u32,
    /// Builds it runs at once.
    pub slots: u32,
    /// Its croft.
    pub version: String,
    /// Milliseconds since it was heard.
    pub silent_ms: u64,
}

#[derive(Debug, Default)]
pub(super) struct Seen(BTreeMap<String, (Announcement, u64)>);

impl Seen {
    pub(super) fn hear(&mut self, announcement: Announcement, now_ms: u64) {
        let name = announcement.worker.as_str();
        if self.0.len() < WORKERS_MAX || self.0.contains_key(name) {
            self.0.insert(name.to_string(), (announcement, now_ms));
        }
    }

    pub(super) fn tick(&mut self, now_ms: u64) {
        self.0
            .retain(|_, (_, heard)| now_ms.saturating_sub(*heard) <= 4 * WORKER_GONE_MS);
    }

    pub(super) fn all(&self, now_ms: u64) -> Vec<WorkerSeen> {
        let seen = self.0.values().map(|(said, heard)| WorkerSeen {
            worker: said.worker.to_string(),
            pool: said.pool.to_string(),
            slots_free: said.slots_free,
            slots: said.slots,
            version: said.version.clone(),
            silent_ms: now_ms.saturating_sub(*heard),
        });
        seen.collect()
    }
}
