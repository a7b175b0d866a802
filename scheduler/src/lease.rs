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
    /// When it was last looked at.
    looked_ms: Option<u64>,
}

/// Who has not looked for so long was frozen, or had no processor: what it has not heard meanwhile proves nothing, and may lie before
/// it unread. Of shorter leases it is less: a worker renews five times in each, so that three quarters of one are no silence yet.
const LOOK_MS_MAX: u64 = 5_000;

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

    /// Those that were silent for longer than a lease, and for how long. None while this server is not connected, and everybody has a
    /// whole lease from here on when this was not asked for long.
    pub(crate) fn silent(&mut self, now_ms: u64) -> Vec<(BuildId, u64)> {
        let looked_ms = self.looked_ms.replace(now_ms).unwrap_or(now_ms);
        let most = LOOK_MS_MAX.min(self.lease.ms() / 4 * 3);
        if now_ms.saturating_sub(looked_ms) > most {
            self.caught_up(now_ms);
        }
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

    /// What is found at the end, when it is looked at each second until then.
    fn looked(leases: &mut Leases, from_ms: u64, to_ms: u64) -> Vec<(BuildId, u64)> {
        for ms in (from_ms..to_ms).step_by(1_000) {
            assert_eq!(leases.silent(ms), []);
        }
        leases.silent(to_ms)
    }

    #[test]
    fn silence_counts_from_the_last_renewal() {
        let mut leases = Leases::default();
        leases.connected(0);
        leases.hear(BuildId::derived(BUILD), 1_000);
        assert_eq!(looked(&mut leases, 0, 1_000 + LEASE_MS), []);
        let lost = leases.silent(1_001 + LEASE_MS);
        assert_eq!(lost, [(BuildId::derived(BUILD), LEASE_MS + 1)]);
        leases.hear(BuildId::derived(BUILD), 2_000);
        assert_eq!(leases.silent(1_001 + LEASE_MS), []);
    }

    #[test]
    fn a_server_that_was_frozen_grants_everybody_a_lease() {
        let mut leases = Leases::default();
        leases.connected(0);
        leases.hear(BuildId::derived(BUILD), 0);
        assert_eq!(leases.silent(1_000), []);
        let back_ms = 1_000 + 2 * LEASE_MS;
        assert_eq!(looked(&mut leases, back_ms, back_ms + LEASE_MS), []);
        assert_eq!(leases.silent(back_ms + LEASE_MS + 1).len(), 1);
    }

    #[test]
    fn a_server_that_took_long_to_catch_up_grants_everybody_a_lease() {
        let mut leases = Leases::default();
        leases.connected(0);
        leases.hear(BuildId::derived(BUILD), 0);
        leases.caught_up(2 * LEASE_MS);
        assert_eq!(looked(&mut leases, 2 * LEASE_MS, 3 * LEASE_MS), []);
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
        assert_eq!(looked(&mut leases, 10 * LEASE_MS, 11 * LEASE_MS), []);
        leases.disconnected();
        assert_eq!(looked(&mut leases, 11 * LEASE_MS, 20 * LEASE_MS), []);
        leases.connected(20 * LEASE_MS);
        leases.connected(20 * LEASE_MS + 5);
        assert_eq!(looked(&mut leases, 20 * LEASE_MS, 21 * LEASE_MS), []);
        assert_eq!(leases.silent(21 * LEASE_MS + 1).len(), 1);
    }
}
