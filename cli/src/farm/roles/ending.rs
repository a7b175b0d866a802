//! The first signal asks a role to end in order, the second to end at once.

use std::time::Duration;

use croft_worker::farm::Standing;
use tokio::sync::watch;

use crate::output;
use crate::signals::Signals;

/// Tells a worker to drain at the first signal, and to leave after that time or at the second one.
pub(crate) async fn drain(
    signals: &mut Signals,
    standing: &watch::Sender<Standing>,
    limit: Duration,
) {
    signals.next().await;
    let seconds = limit.as_secs();
    output::say(&format!(
        "taking no more builds; running ones may go on for {seconds} s and are then given back (once more to give them back now)"
    ));
    standing.send_replace(Standing::Draining);
    tokio::select! {
        () = signals.next() => {}
        () = tokio::time::sleep(limit) => {}
    }
    standing.send_replace(Standing::Leaving);
}
