//! How far the scripts of a container's event are: noted on the disk before the first begins and after the last has ended well. What an
//! event does with its container may be done again after a kill; what its scripts did may not.

use croft_proto::deploy::{DeploymentId, HostCommand, LifecycleEvent};
use serde::{Deserialize, Serialize};

use crate::state::durable::{self, Error as StateError};
use crate::state::layout::GroupFolder;

/// Which event's scripts, and how far they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Noted {
    deployment: DeploymentId,
    event: LifecycleEvent,
    have_ended: bool,
}

/// How far they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Progress {
    /// None has begun.
    #[default]
    Before,
    /// Some may have.
    Within,
    /// All have ended well.
    After,
}

impl Noted {
    fn new(command: &HostCommand, have_ended: bool) -> Self {
        Self {
            deployment: command.deployment_id.clone(),
            event: command.event,
            have_ended,
        }
    }
}

/// How far the scripts of a command's event are.
pub(crate) fn progress(group: &GroupFolder, command: &HostCommand) -> Result<Progress, StateError> {
    let noted: Option<Noted> = durable::read(&group.scripts())?;
    let of_it = noted
        .filter(|noted| noted.deployment == command.deployment_id && noted.event == command.event);
    Ok(match of_it {
        None => Progress::Before,
        Some(noted) if noted.have_ended => Progress::After,
        Some(_) => Progress::Within,
    })
}

/// They begin.
pub(crate) fn begin(group: &GroupFolder, command: &HostCommand) -> Result<(), StateError> {
    durable::write(&group.scripts(), &Noted::new(command, false))
}

/// They have ended well.
pub(crate) fn end(group: &GroupFolder, command: &HostCommand) -> Result<(), StateError> {
    durable::write(&group.scripts(), &Noted::new(command, true))
}
