//! Ending a build before it has ended. Received from whoever was asked to; the answer is appended to the ledger.

use croft_ledger::Expected;
use croft_proto::farm::{BuildEvent, BuildId, SettledBy};
use croft_proto::{Status, Timestamp};

use crate::farm::{Farm, Stage, Unfinished};
use crate::intent::Intent;

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Stopping {
    /// It did not run: once these are appended it is over.
    Over(Vec<Intent>),
    /// It runs: once these are appended its worker is told, and settles it.
    Told(Vec<Intent>),
    /// Its worker has been told before.
    TwiceTold,
    /// It is over, or was never there.
    NotRunning,
}

/// Decides how to stop a build. When the append is refused, the build has moved on: fold and ask again.
#[must_use]
pub fn stop(farm: &Farm, id: BuildId, by: &str, now: Timestamp) -> Stopping {
    let Some(build) = farm.build(id) else {
        return Stopping::NotRunning;
    };
    let requested = Intent::build(
        id,
        Expected::Last(build.last),
        BuildEvent::StopRequested { by: by.to_string() },
    );
    match build.stage {
        Stage::Running { stopping: true } => Stopping::TwiceTold,
        Stage::Running { stopping: false } => Stopping::Told(vec![requested]),
        Stage::Waiting => {
            let settled = settled(
                build,
                Ending {
                    status: Status::Stopped,
                    by: SettledBy::Stop,
                    message: format!("stopped by {by} while it waited"),
                },
                now,
            );
            Stopping::Over(vec![
                requested,
                Intent::build(id, Expected::Previous, settled),
            ])
        }
    }
}

/// How a build ends that no worker ran to its end.
pub(crate) struct Ending {
    pub(crate) status: Status,
    pub(crate) by: SettledBy,
    pub(crate) message: String,
}

pub(crate) fn settled(build: &Unfinished, ending: Ending, now: Timestamp) -> BuildEvent {
    BuildEvent::Settled {
        attempt: build.attempts,
        status: ending.status,
        by: ending.by,
        message: Some(ending.message),
        build: None,
        at: now,
    }
}
