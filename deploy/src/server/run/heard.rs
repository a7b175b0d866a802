//! Which hosts this server does not hear, and since when. Asked of the mailbox once a second; told to the decisions, which begin such hosts
//! last, and shown to people.
//!
//! Of a farm's servers each hears the hosts that ask it and not those that ask another, so none of them says who is not heard: only one
//! that every host asks does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use croft_proto::Timestamp;
use tokio::time::Instant;

use super::Loop;
use crate::server::mailbox::Ear;
use crate::state::FoldError;
use crate::step::Input;

/// A host that has never asked this server is not missed before it has been here for so long.
const STRANGE_AFTER: Duration = Duration::from_secs(60);

/// Hosts that are not heard.
#[derive(Debug, Default)]
pub(in super::super) struct Silences {
    /// When each was heard last; none when it has never asked this server.
    hosts: BTreeMap<String, Option<Timestamp>>,
    /// Since when this server can be asked.
    begun: Option<Instant>,
}

impl Silences {
    /// A host that is not heard: when it was last, and none when it has never asked this server.
    pub(in super::super) fn of(&self, host: &str) -> Option<Option<Timestamp>> {
        self.hosts.get(host).copied()
    }
}

impl Loop {
    /// Notes who is not there, and tells the decisions when that has changed.
    pub(super) fn listen(&mut self) -> Result<(), FoldError> {
        if !self.progress.is_caught_up || !self.parts.hears_all {
            return Ok(());
        }
        let now = self.parts.clock.now();
        let silences = &mut self.silences;
        let begun = *silences.begun.get_or_insert_with(Instant::now);
        let is_long_here = begun.elapsed() >= STRANGE_AFTER;
        let hosts = self.engine.state().hosts();
        let hosts = hosts.filter(|(_, host)| host.is_enrolled);
        let mut silent = BTreeMap::new();
        for (host, ear) in self.mailbox.ears(hosts.map(|(name, _)| name)) {
            let since = match ear {
                Ear::Heard => continue,
                Ear::Never if !is_long_here => continue,
                Ear::Never => None,
                Ear::Silent(silence) => {
                    let ms = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
                    Some(Timestamp::from_millis(now.millis().saturating_sub(ms)))
                }
            };
            // What was said of it stays: a clock that is set does not change when it was heard.
            let known = silences.hosts.get(host).copied().flatten();
            silent.insert(host.clone(), known.or(since));
        }
        let is_news = !silent.keys().eq(silences.hosts.keys());
        silences.hosts = silent;
        if is_news {
            let hosts: BTreeSet<String> = self.silences.hosts.keys().cloned().collect();
            self.step(Input::Silent(hosts))?;
        }
        Ok(())
    }
}
