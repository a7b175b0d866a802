//! What hosts are to do, until they ask. Filled by the loop, emptied by hosts that poll. All of it may be lost: the decisions say again
//! what was not heard of.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use croft_proto::deploy::{DeploymentId, HostCommand};
use tokio::sync::Notify;
use tokio::time::Instant;

/// A host that has not asked for so long is not heard: an agent asks at least twice in it.
const HEARD_WITHIN: Duration = Duration::from_secs(60);

/// A host that was answered asks again at once, and one that was refused within seconds: after so long it is silent.
pub(super) const SILENT_AFTER: Duration = Duration::from_secs(15);

/// What waits for one host: the latest of each deployment, since a deployment runs one event after the other.
#[derive(Debug, Default)]
struct Slot {
    waiting: BTreeMap<DeploymentId, HostCommand>,
    filled: Arc<Notify>,
    /// When the host asked last.
    asked: Option<Instant>,
    /// When its last question was over, whether it waited for the answer or went away.
    left: Option<Instant>,
    /// Held by each question that waits.
    asking: Arc<()>,
    /// When another server last said that it hears the host.
    elsewhere: Option<Instant>,
}

impl Slot {
    /// Since when the host has not been at this server; none when it never was.
    fn away(&self) -> Option<Duration> {
        match Arc::strong_count(&self.asking) > 1 {
            true => Some(Duration::ZERO),
            false => Some(self.left?.elapsed()),
        }
    }

    fn ear(&self) -> Ear {
        let elsewhere = self.elsewhere.map(|heard| heard.elapsed());
        match self.away().into_iter().chain(elsewhere).min() {
            None => Ear::Never,
            // Long enough that it should have asked again.
            Some(silence) if silence >= SILENT_AFTER => Ear::Silent(silence),
            Some(_) => Ear::Heard,
        }
    }
}

/// A question that waits. Whoever asked may go away at any time.
struct Asking<'m> {
    mailbox: &'m Mailbox,
    host: &'m str,
    held: Arc<()>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut slots = self.mailbox.slots();
        let slot = slots.get_mut(self.host);
        // One that was forgotten meanwhile, and has come anew, is another one.
        if let Some(slot) = slot.filter(|slot| Arc::ptr_eq(&slot.asking, &self.held)) {
            slot.left = Some(Instant::now());
        }
    }
}

/// What is known of a host's silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ear {
    /// It is at one of the farm's servers, or was a moment ago.
    Heard,
    /// It has not been at any for so long.
    Silent(Duration),
    /// It has never been at any server, as far as this one knows.
    Never,
}

/// By host.
#[derive(Debug, Default)]
pub(super) struct Mailbox(Mutex<HashMap<String, Slot>>);

impl Mailbox {
    fn slots(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, host: &str, command: HostCommand) {
        let mut slots = self.slots();
        let slot = slots.entry(host.to_string()).or_default();
        slot.waiting.insert(command.deployment_id.clone(), command);
        slot.filled.notify_waiters();
    }

    /// Drops what is of no use any more: a host that comes back after hours must not run what is long over.
    pub(super) fn retain(&self, is_of_use: impl Fn(&str, &HostCommand) -> bool) {
        let mut slots = self.slots();
        for (host, slot) in slots.iter_mut() {
            slot.waiting.retain(|_, command| is_of_use(host, command));
        }
    }

    /// Whoever waits for a host that is none of the farm's any more waits no longer, and for nothing.
    pub(super) fn forget(&self, host: &str) {
        if let Some(slot) = self.slots().remove(host) {
            slot.filled.notify_waiters();
        }
    }

    /// Whether a host has lately asked this server.
    pub(super) fn is_heard(&self, host: &str) -> bool {
        let slots = self.slots();
        let asked = slots.get(host).and_then(|slot| slot.asked);
        asked.is_some_and(|asked| asked.elapsed() < HEARD_WITHIN)
    }

    /// Whether a host is at one of the farm's servers, as far as this one knows.
    pub(super) fn is_there(&self, host: &str) -> bool {
        let slots = self.slots();
        slots.get(host).is_some_and(|slot| slot.ear() == Ear::Heard)
    }

    /// Whether each of those hosts is there, in their order.
    pub(super) fn ears<'h>(
        &self,
        hosts: impl Iterator<Item = &'h String>,
    ) -> Vec<(&'h String, Ear)> {
        let slots = self.slots();
        let ear = |host: &String| slots.get(host).map_or(Ear::Never, Slot::ear);
        hosts.map(|host| (host, ear(host))).collect()
    }

    /// The hosts that are at this server, or have been within that time.
    pub(super) fn present(&self, within: Duration) -> Vec<String> {
        let slots = self.slots();
        let is_here = |slot: &Slot| slot.away().is_some_and(|away| away <= within);
        let here = slots.iter().filter(|(_, slot)| is_here(slot));
        here.map(|(host, _)| host.clone()).collect()
    }

    /// Another server hears those.
    pub(super) fn heard_elsewhere<'h>(&self, hosts: impl Iterator<Item = &'h str>) {
        let (mut slots, now) = (self.slots(), Instant::now());
        for host in hosts {
            match slots.get_mut(host) {
                Some(slot) => slot.elsewhere = Some(now),
                None => {
                    let slot = slots.entry(host.to_string()).or_default();
                    slot.elsewhere = Some(now);
                }
            }
        }
    }

    /// Everything that waits for a host, or nothing when nothing came in that time, or the host was forgotten.
    ///
    /// # Cancel
    /// Nothing is taken.
    pub(super) async fn take(&self, host: &str, wait: Duration) -> Vec<HostCommand> {
        let (filled, _asking) = {
            let mut slots = self.slots();
            let slot = slots.entry(host.to_string()).or_default();
            let now = Instant::now();
            (slot.asked, slot.left) = (Some(now), Some(now));
            if !slot.waiting.is_empty() {
                return taken(slot);
            }
            let held = Arc::clone(&slot.asking);
            let asking = Asking {
                mailbox: self,
                host,
                held,
            };
            // Made while nobody can fill it, so that what comes next is heard.
            (Arc::clone(&slot.filled).notified_owned(), asking)
        };
        let arrived = tokio::time::timeout(wait, filled).await.is_ok();
        let mut slots = self.slots();
        let slot = slots.get_mut(host).filter(|_| arrived);
        let commands = slot.map_or_else(Vec::new, taken);
        drop(slots);
        commands
    }
}

fn taken(slot: &mut Slot) -> Vec<HostCommand> {
    std::mem::take(&mut slot.waiting).into_values().collect()
}

#[cfg(test)]
mod tests {
    use croft_proto::deploy::{
        DeploymentType, FileExistsBehavior, LifecycleEvent, Revision, RevisionOrigin,
    };

    use super::*;

    fn command(event: LifecycleEvent) -> HostCommand {
        HostCommand {
            deployment_id: DeploymentId::drawn([1; 9]),
            generation: 1,
            event,
            application_name: "a".into(),
            deployment_group_name: "g".into(),
            deployment_group_id: "i".into(),
            revision: Revision {
                digest: "0".repeat(64),
                origin: RevisionOrigin::Local {
                    location: "/r".into(),
                },
            },
            app_spec_filename: None,
            file_exists_behavior: FileExistsBehavior::Disallow,
            creator: "user".into(),
            deployment_type: DeploymentType::InPlace,
            container: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_waits_gets_the_latest_command_at_once_and_only_its_own() {
        let mailbox = Arc::new(Mailbox::default());
        mailbox.put("a", command(LifecycleEvent::ApplicationStop));
        mailbox.put("a", command(LifecycleEvent::DownloadBundle));
        let took = mailbox.take("a", Duration::ZERO).await;
        assert_eq!(took, [command(LifecycleEvent::DownloadBundle)]);
        assert!(mailbox.take("a", Duration::from_secs(30)).await.is_empty());
        let (other, host) = (Arc::clone(&mailbox), Duration::from_secs(30));
        let filling = async {
            other.put("b", command(LifecycleEvent::Install));
            other.put("a", command(LifecycleEvent::Install));
        };
        let (took, ()) = tokio::join!(mailbox.take("a", host), filling);
        assert_eq!(took.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_is_forgotten_waits_no_longer_and_gets_nothing() {
        let mailbox = Mailbox::default();
        let begun = Instant::now();
        let forgetting = async { mailbox.forget("a") };
        let waiting = mailbox.take("a", Duration::from_secs(30));
        let (took, ()) = tokio::join!(waiting, forgetting);
        assert!(took.is_empty() && begun.elapsed() < Duration::from_secs(1));
        mailbox.put("a", command(LifecycleEvent::Install));
        mailbox.forget("a");
        assert!(mailbox.take("a", Duration::ZERO).await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_is_heard_for_a_minute_after_it_asked() {
        let mailbox = Mailbox::default();
        mailbox.put("a", command(LifecycleEvent::Install));
        assert!(!mailbox.is_heard("a"), "it was told nothing yet");
        mailbox.take("a", Duration::ZERO).await;
        assert!(mailbox.is_heard("a"));
        tokio::time::advance(HEARD_WITHIN).await;
        assert!(!mailbox.is_heard("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_is_silent_when_it_has_gone_away_and_does_not_ask_again() {
        let mailbox = Mailbox::default();
        let host = "a".to_string();
        let ear = || mailbox.ears(std::iter::once(&host))[0].1;
        assert_eq!(ear(), Ear::Never);
        let minute = Duration::from_secs(60);
        {
            let asking = mailbox.take("a", 2 * minute);
            let gone = tokio::time::timeout(minute, asking);
            let looking = async {
                tokio::time::sleep(minute / 2).await;
                assert_eq!(ear(), Ear::Heard, "it waits for an answer");
            };
            let (gone, ()) = tokio::join!(gone, looking);
            assert!(gone.is_err(), "it went away before there was one");
        }
        assert_eq!(ear(), Ear::Heard, "it may ask again");
        tokio::time::advance(SILENT_AFTER).await;
        assert_eq!(ear(), Ear::Silent(SILENT_AFTER));
        mailbox.take("a", Duration::ZERO).await;
        assert_eq!(ear(), Ear::Heard);
        mailbox.forget("a");
        assert_eq!(ear(), Ear::Never);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_asks_another_server_is_heard_and_not_counted_as_one_of_ours() {
        let mailbox = Mailbox::default();
        let host = "a".to_string();
        let ear = || mailbox.ears(std::iter::once(&host))[0].1;
        mailbox.heard_elsewhere(["a"].into_iter());
        assert_eq!(ear(), Ear::Heard);
        assert!(!mailbox.is_heard("a"), "each server counts its own");
        assert!(
            mailbox.present(SILENT_AFTER).is_empty(),
            "and tells of its own"
        );
        tokio::time::advance(SILENT_AFTER).await;
        assert_eq!(ear(), Ear::Silent(SILENT_AFTER));
        mailbox.take("a", Duration::ZERO).await;
        assert_eq!(ear(), Ear::Heard, "it has come here");
        tokio::time::advance(SILENT_AFTER).await;
        mailbox.heard_elsewhere(["a"].into_iter());
        assert_eq!(ear(), Ear::Heard, "and has gone back");
    }

    #[tokio::test(start_paused = true)]
    async fn present_is_who_waits_and_who_has_just_gone() {
        let mailbox = Mailbox::default();
        mailbox.put("never", command(LifecycleEvent::Install));
        mailbox.take("gone", Duration::ZERO).await;
        tokio::time::advance(Duration::from_secs(4)).await;
        let waiting = mailbox.take("waits", Duration::from_secs(60));
        let looking = async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            mailbox.take("just", Duration::ZERO).await;
            let mut here = mailbox.present(Duration::from_secs(3));
            here.sort();
            assert_eq!(here, ["just", "waits"]);
        };
        tokio::join!(waiting, looking);
    }
}
