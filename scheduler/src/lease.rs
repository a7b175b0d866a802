//! Which attempts are heard of. Received from renewals; asked on every tick.
//!
//! Judged by this server's own monotonic clock, and only while it has been connected: silence before that proves nothing. So
//! after its own reconnection it grants every attempt one whole lease, and a broker's change of leader kills no build.

use std::collections::BTreeMap;

use croft_proto::farm::{BuildId, Lease};

#[derive(Debug, Default)]
pub(crate) struct Leases {
    lease: Lease,
    /// When each was heard of last.
    heard: BTreeMap<BuildId, u64>,
    connected_since: Option<u64>,
}

impl Leases {
    pub(crate) fn of(lease: Lease) -> Self {
        Self {
            lease,
            ..Self::default()
        }
    }

    pub(crate) fn connected(&mut self, now_ms: u64) {
        self.connected_since.get_or_insert(now_ms);
    }

    pub(crate) fn disconnected(&mut self) {
        self.connected_since = None;
    }

    /// Renewals that came before this moment were not counted: everybody has a whole lease from here on.
    pub(crate) fn caught_up(&mut self, now_ms: u64) {
        self.connected_since = self.connected_since.map(|_| now_ms);
    }

    /// An attempt was claimed, or says that it goes on.
    pub(crate) fn hear(&mut self, build: BuildId, now_ms: u64) {
        self.heard.insert(build, now_ms);
    }

    pub(crate) fn forget(&mut self, build: BuildId) {
        self.heard.remove(&build);
    }

    /// Those that were silent for longer than a lease, and for how long. None while this server is not connected.
    pub(crate) fn silent(&self, now_ms: u64) -> Vec<(BuildId, u64)> {
        let Some(since) = self.connected_since else {
            return Vec::new();
        };
        let silent = |heard: u64| now_ms.saturating_sub(heard.max(since));
        let all = self
            .heard
            .iter()
            .map(|(build, heard)| (*build, silent(*heard)));
        all.filter(|(_, silent_ms)| *silent_ms > self.lease.ms())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILD: [u8; 16] = [1; 16];
    const LEASE_MS: u64 = 15_000;

    #[test]
    fn silence_counts_from_the_last_renewal() {
        let mut leases = Leases::default();
        leases.connected(0);
        leases.hear(BuildId::derived(BUILD), 1_000);
        assert_eq!(leases.silent(1_000 + LEASE_MS), []);
        let lost = leases.silent(1_001 + LEASE_MS);
        assert_eq!(lost, [(BuildId::derived(BUILD), LEASE_MS + 1)]);
        leases.hear(BuildId::derived(BUILD), 2_000);
        assert_eq!(leases.silent(1_001 + LEASE_MS), []);
    }

    #[test]
    fn a_server_that_took_long_to_catch_up_grants_everybody_a_lease() {
        let mut leases = Leases::default();
        leases.connected(0);
        leases.hear(BuildId::derived(BUILD), 0);
        leases.caught_up(2 * LEASE_MS);
        assert_eq!(leases.silent(3 * LEASE_MS), []);
        assert_eq!(leases.silent(3 * LEASE_MS + 1).len(), 1);
        leases.disconnected();
        leases.caught_up(4 * LEASE_MS);
        assert_eq!(leases.silent(9 * LEASE_MS), [], "it is not connected");
    }

    #[test]
    fn a_server_that_was_away_grants_everybody_a_lease() {
        let mut leases = Leases::default();
        leases.hear(BuildId::derived(BUILD), 0);
        assert_eq!(leases.silent(10 * LEASE_MS), [], "it was never connected");
        leases.connected(10 * LEASE_MS);
        assert_eq!(leases.silent(11 * LEASE_MS), []);
        leases.disconnected();
        assert_eq!(leases.silent(20 * LEASE_MS), []);
        leases.connected(20 * LEASE_MS);
        leases.connected(20 * LEASE_MS + 5);
        assert_eq!(leases.silent(21 * LEASE_MS + 1).len(), 1);
    }
}
