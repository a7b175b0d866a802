//! Renewals that come while the ledger is still being folded: judged by the build's own entries, read for it, so that a server which
//! starts over a long history ends nothing that runs. Asked by the loop until it has caught up.

use std::sync::Arc;

use croft_ledger::{Ledger, Seq};
use croft_proto::farm::BuildEvent;

use crate::{Renewed, Verdict, build_subject};

/// Entries of one build: far more than its attempts make.
const ENTRIES_MAX: usize = 1_024;

/// What the worker is told; none when the ledger cannot say now, and the worker asks again.
pub(crate) async fn judge(ledger: Arc<dyn Ledger>, renewed: Renewed) -> Option<Verdict> {
    let read = ledger
        .read_subject(&build_subject(renewed.build), Seq::ZERO, ENTRIES_MAX)
        .await;
    let mut events = Vec::new();
    for entry in read.ok()? {
        match entry.event() {
            Some(event) => events.push(serde_json::from_slice(event).ok()?),
            // Purged: it was over.
            None => return Some(Verdict::Lost),
        }
    }
    verdict(&events, renewed.attempt)
}

/// None for a build that nobody has submitted, or whose claim is not there yet.
fn verdict(events: &[BuildEvent], renewed: u32) -> Option<Verdict> {
    let (mut current, mut is_running, mut is_stopping) = (0, false, false);
    for event in events {
        match event {
            BuildEvent::Submitted(_) => {}
            BuildEvent::AttemptStarted { attempt, .. } => {
                (current, is_running, is_stopping) = (*attempt, true, false);
            }
            BuildEvent::AttemptLost { .. } => is_running = false,
            BuildEvent::StopRequested { .. } => is_stopping = is_running,
            BuildEvent::Settled { .. } => return Some(Verdict::Lost),
        }
    }
    // What is read may be older than the claim: a replica that is behind, or a leader that was. Nobody loses a build by that.
    if events.is_empty() || renewed > current {
        return None;
    }
    Some(if !is_running || current != renewed {
        Verdict::Lost
    } else if is_stopping {
        Verdict::Stop
    } else {
        Verdict::Go
    })
}
