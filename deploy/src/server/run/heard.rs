//! Which hosts no server of the farm hears, and since when. A server knows who asks it from its mailbox, and who asks another from what
//! that one says on the bus; it looks once a second, tells the decisions, which begin such hosts last, and people.
//!
//! What is said on the bus may be lost: a server counts on it while it hears itself there, and has done so for long enough that every
//! host would have been named.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use croft_bus::{Host, Presence};
use croft_proto::Timestamp;
use futures_util::stream::BoxStream;
use tokio::time::Instant;

use super::{Arrived, Loop, TICK};
use crate::server::mailbox::{Ear, SILENT_AFTER};
use crate::state::FoldError;
use crate::step::Input;

/// Who is there is said each so many ticks: a host is missed after five times that.
pub(super) const TELL_TICKS: u64 = 3;

/// Who has not heard itself on the bus for so long, two times in a row, may miss what others say.
const ECHO_WITHIN: Duration = Duration::from_secs(8);

/// A host that has never asked anybody is not missed before this server has listened for so long.
const STRANGE_AFTER: Duration = Duration::from_secs(60);

/// Hosts that are not heard.
#[derive(Debug, Default)]
pub(in super::super) struct Silences {
    /// When each was heard last; none when it has never been since this server listens.
    hosts: BTreeMap<String, Option<Timestamp>>,
    /// When this server last heard itself on the bus.
    echo: Option<Instant>,
    /// Since when it has heard itself without a gap.
    begun: Option<Instant>,
    /// When it last said which hosts it hears.
    told: Option<Instant>,
    is_telling: bool,
}

impl Silences {
    /// A host that is not heard: when it was last, and none when it has never been.
    pub(in super::super) fn of(&self, host: &str) -> Option<Option<Timestamp>> {
        self.hosts.get(host).copied()
    }

    fn heard_itself(&mut self) {
        let now = Instant::now();
        // A process that was stopped has missed what was said meanwhile, whatever it finds of its own word.
        if !self.hears_itself() {
            self.begun = None;
        }
        self.echo = Some(now);
        self.begun.get_or_insert(now);
    }

    fn hears_itself(&self) -> bool {
        self.echo.is_some_and(|echo| echo.elapsed() <= ECHO_WITHIN)
    }

    /// For how long this server has known all that is said on the bus.
    fn listened(&mut self) -> Duration {
        if !self.hears_itself() {
            self.begun = None;
        }
        self.begun.map_or(Duration::ZERO, |begun| begun.elapsed())
    }
}

impl Loop {
    /// Begins to hear what the farm's servers say of their hosts.
    pub(super) fn listen_to_presences(&self) {
        let bus = Arc::clone(&self.parts.bus);
        self.on_their_way.push(Box::pin(async move {
            let presences = bus.presences().await;
            if presences.is_err() {
                tokio::time::sleep(TICK).await;
            }
            Arrived::Presences(presences.ok())
        }));
    }

    pub(super) fn listening_to_presences(&mut self, came: Option<BoxStream<'static, Presence>>) {
        match came {
            Some(stream) => self.presences = stream,
            None => self.listen_to_presences(),
        }
    }

    /// What a server says of its hosts.
    pub(super) fn heard(&mut self, presence: &Presence) {
        if presence.by() == self.parts.nonce {
            return self.silences.heard_itself();
        }
        let state = self.engine.state();
        let is_ours = |host: &&str| state.host(host).is_some_and(|host| host.is_enrolled);
        let hosts = presence.hosts().iter().map(Host::as_str);
        self.mailbox.heard_elsewhere(hosts.filter(is_ours));
    }

    /// Says which hosts have asked this server since it last said so; the next time only when all of it has left.
    pub(super) fn tell_presence(&mut self) {
        if std::mem::replace(&mut self.silences.is_telling, true) {
            return;
        }
        let told = self.silences.told.replace(Instant::now());
        let here = self
            .mailbox
            .present(told.map_or(Duration::ZERO, |told| told.elapsed()));
        // A name that the bus does not take is none that a host can have.
        let here = here.into_iter().filter_map(|host| host.try_into().ok());
        let (bus, said) = (
            Arc::clone(&self.parts.bus),
            Presence::of(self.parts.nonce, here),
        );
        self.on_their_way.push(Box::pin(async move {
            for presence in said {
                if let Err(error) = bus.tell_presence(presence).await {
                    tracing::debug!(%error, "other servers do not know which hosts are here");
                    break;
                }
            }
            Arrived::ToldPresence
        }));
    }

    pub(super) fn told_presence(&mut self) {
        self.silences.is_telling = false;
    }

    /// Notes who is not there, and tells the decisions when that has changed.
    pub(super) fn listen(&mut self) -> Result<(), FoldError> {
        if !self.progress.is_caught_up {
            return Ok(());
        }
        let silent = self.silent();
        let is_news = !silent.keys().eq(self.silences.hosts.keys());
        self.silences.hosts = silent;
        if is_news {
            let hosts: BTreeSet<String> = self.silences.hosts.keys().cloned().collect();
            self.step(Input::Silent(hosts))?;
        }
        Ok(())
    }

    /// Nobody, while this server has not listened for long enough.
    fn silent(&mut self) -> BTreeMap<String, Option<Timestamp>> {
        let mut silent = BTreeMap::new();
        let listened = self.silences.listened();
        if listened < SILENT_AFTER {
            return silent;
        }
        let now = self.parts.clock.now();
        let hosts = self.engine.state().hosts();
        let hosts = hosts.filter(|(_, host)| host.is_enrolled);
        for (host, ear) in self.mailbox.ears(hosts.map(|(name, _)| name)) {
            let since = match ear {
                Ear::Heard => continue,
                Ear::Never if listened < STRANGE_AFTER => continue,
                Ear::Never => None,
                Ear::Silent(silence) => {
                    let ms = u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
                    Some(Timestamp::from_millis(now.millis().saturating_sub(ms)))
                }
            };
            // What was said of it stays: a clock that is set does not change when it was heard.
            let known = self.silences.hosts.get(host).copied().flatten();
            silent.insert(host.clone(), known.or(since));
        }
        silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_does_not_hear_itself_has_not_listened() {
        let mut silences = Silences::default();
        assert_eq!(silences.listened(), Duration::ZERO);
        let round = Duration::from_secs(3);
        for _ in 0..4 {
            silences.heard_itself();
            tokio::time::advance(round).await;
        }
        assert_eq!(silences.listened(), 4 * round);
        tokio::time::advance(round).await;
        assert_eq!(silences.listened(), 5 * round, "one message may be lost");
        tokio::time::advance(round).await;
        assert_eq!(silences.listened(), Duration::ZERO, "and not two");
        silences.heard_itself();
        tokio::time::advance(round).await;
        assert_eq!(silences.listened(), round, "it begins anew");
    }
}
