//! What a deployment would do on this host, before it does: its files, and its scripts in their order. Asked by whoever wants to
//! see first; changes nothing.

use std::ffi::OsString;
use std::path::Path;

use croft_proto::deploy::{DeploymentId, HostCommand, LifecycleEvent};
use croft_spec::appspec::{AppSpec, Script};
use serde::Serialize;

use crate::hooks::choose::scripts_of;
use crate::install::event::installed;
use crate::install::planning::{self, Given};
use crate::install::{PlanError, Preview};
use crate::perform::spec_of;
use crate::revision::{self, NoSpec};
use crate::state::durable::Error as StateError;
use crate::state::journal::{Journal, Refusal};
use crate::state::layout::GroupFolder;

/// Why nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum ForecastError {
    /// The AppSpec cannot be used.
    #[error(transparent)]
    Spec(#[from] NoSpec),
    /// The files do not fit the host.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The group's id.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What is remembered cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What a deployment would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// Files, folders, permissions.
    pub files: Preview,
    /// Every event with scripts, in order.
    pub hooks: Vec<Hook>,
}

/// The scripts of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// Which.
    pub event: LifecycleEvent,
    /// The earlier deployment whose revision brought them; `None` for the new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_deployment: Option<DeploymentId>,
    /// In their order.
    pub scripts: Vec<HookScript>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HookScript {
    /// As its AppSpec names it.
    pub location: String,
    /// Seconds.
    pub timeout: u64,
    /// As whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runas: Option<String>,
    /// By `sudo`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sudo: bool,
}

impl From<&Script> for HookScript {
    fn from(script: &Script) -> Self {
        Self {
            location: script.location.clone(),
            timeout: script.timeout_s,
            runas: script.runas.clone(),
            sudo: script.sudo,
        }
    }
}

pub(crate) fn forecast(
    group: &GroupFolder,
    journal: &Journal,
    command: &HostCommand,
    archive: &Path,
    environment: &[(OsString, OsString)],
) -> Result<Forecast, ForecastError> {
    let spec = revision::whole(archive, command.app_spec_filename.as_deref())?;
    let plan = planning::plan(&Given {
        deployment: &command.deployment_id,
        archive,
        spec: &spec,
        behavior: command.file_exists_behavior,
        installed: &installed(group)?,
        environment,
        is_shown: true,
    })?;
    Ok(Forecast {
        files: plan.preview,
        hooks: hooks(group, journal, command, &spec),
    })
}

fn hooks(
    group: &GroupFolder,
    journal: &Journal,
    command: &HostCommand,
    spec: &AppSpec,
) -> Vec<Hook> {
    let hook = |event: LifecycleEvent| {
        let command = HostCommand {
            event,
            ..command.clone()
        };
        let from = scripts_of(journal, &command)?;
        let is_new = from == command.deployment_id;
        // What an earlier revision's event would say by itself is said when it runs.
        let earlier = (!is_new).then(|| spec_of(group, &from).ok());
        let spec = match &earlier {
            None => spec,
            Some(earlier) => earlier.as_ref()?,
        };
        let scripts = spec.hooks.get(&event)?.iter().map(HookScript::from);
        Some(Hook {
            event,
            from_deployment: (!is_new).then_some(from),
            scripts: scripts.collect(),
        })
    };
    LifecycleEvent::ALL.into_iter().filter_map(hook).collect()
}
