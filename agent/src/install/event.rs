//! The Install event: plan, write the plan down, carry it out, say what is the group's now; or undo. Receives a revision that
//! DownloadBundle has brought. Called again after the agent was killed, it goes on where the plan stands.

use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use croft_beneath::Root;
use croft_proto::deploy::HostCommand;
use croft_spec::appspec::AppSpec;

use super::apply::{self, With, apply};
use super::plan::{Installed, Plan};
use super::planning::{self, Given, PlanError};
use super::step::Hands;
use super::undo::undo;
use crate::bundle::download::remove_tree;
use crate::state::layout::GroupFolder;
use crate::state::{ahead, durable};

/// Why nothing is installed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("{}", said(.left))]
    Undone {
        /// What could not be put back.
        left: Vec<String>,
        #[source]
        source: apply::Error,
    },
    #[error("the Install before was interrupted, and was undone{}", but(.0))]
    Interrupted(Vec<String>),
    #[error(transparent)]
    State(#[from] durable::Error),
}

fn said(left: &[String]) -> String {
    let but = but(left);
    format!("files were put back as they were{but}, since the Install failed")
}

fn but(left: &[String]) -> String {
    match left {
        [] => String::new(),
        left => format!(", but for {}", left.join("; ")),
    }
}

/// What the event needs.
pub(crate) struct Install<'a> {
    pub(crate) group: &'a GroupFolder,
    pub(crate) archive: &'a Path,
    pub(crate) environment: &'a [(OsString, OsString)],
    pub(crate) is_over: &'a AtomicBool,
    /// Told before every change.
    pub(crate) before_change: &'a (dyn Fn() + Sync),
}

impl Install<'_> {
    /// Installs the revision, or leaves everything as it was.
    pub(crate) fn run(&self, command: &HostCommand, spec: &AppSpec) -> Result<(), Error> {
        let group = self.group;
        if group.undoing().exists() {
            return Err(Error::Interrupted(self.undo_interrupted()?));
        }
        let begun: Option<Plan> = durable::read(&group.plan())?;
        let last = installed(group)?.deployment;
        if last.as_ref() == Some(&command.deployment_id) {
            return self.forget();
        }
        let (plan, is_resumed) = match begun {
            Some(plan) if plan.deployment == command.deployment_id => (plan, true),
            Some(_) => {
                self.undo_interrupted()?;
                (self.plan(command, spec)?, false)
            }
            None => (self.plan(command, spec)?, false),
        };
        match self.carry_out(&plan, is_resumed) {
            Ok(()) => {
                let now = Installed {
                    deployment: Some(plan.deployment),
                    bases: plan.bases,
                    owned: plan.owned,
                    contexts: plan.contexts,
                };
                (self.before_change)();
                // From here on the Install has happened, whatever happens.
                durable::write(&group.installed(), &now)?;
                (self.before_change)();
                self.forget()
            }
            Err(source) => {
                let left = self.undo(&plan)?;
                Err(Error::Undone { left, source })
            }
        }
    }

    fn plan(&self, command: &HostCommand, spec: &AppSpec) -> Result<Plan, Error> {
        let plan = planning::plan(&Given {
            deployment: &command.deployment_id,
            archive: self.archive,
            spec,
            behavior: command.file_exists_behavior,
            installed: &installed(self.group)?,
            environment: self.environment,
            is_shown: false,
        })?;
        let kept = self.group.kept();
        remove_tree(&kept).map_err(durable::Error::io("remove", &kept))?;
        let made = std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
            .create(&kept);
        made.map_err(durable::Error::io("make", &kept))?;
        (self.before_change)();
        durable::write(&self.group.plan(), &plan)?;
        Ok(plan)
    }

    fn carry_out(&self, plan: &Plan, is_resumed: bool) -> Result<(), apply::Error> {
        let failed = |doing, path: &Path| {
            let path = path.display().to_string();
            move |source| apply::Error::Step {
                doing,
                path,
                source,
            }
        };
        let archive = Root::open(self.archive).map_err(failed("read", self.archive))?;
        ahead::written(
            &|| apply::sync(plan),
            failed("write to the disk of", Path::new("/")),
            || apply(plan, &self.with(&archive, is_resumed)),
        )
    }

    fn with<'w>(&'w self, archive: &'w Root, is_resumed: bool) -> With<'w> {
        With {
            hands: Hands {
                archive,
                kept: self.group.kept(),
                is_resumed,
                before_change: self.before_change,
            },
            environment: self.environment,
            is_over: self.is_over,
        }
    }

    /// Undoes what an agent that was killed has left; the rest of the event is then as if it had never begun.
    pub(crate) fn undo_interrupted(&self) -> Result<Vec<String>, Error> {
        let installed = installed(self.group)?.deployment;
        match durable::read::<Plan>(&self.group.plan())? {
            Some(plan) if installed.as_ref() == Some(&plan.deployment) => {
                self.forget()?;
                Ok(Vec::new())
            }
            Some(plan) => self.undo(&plan),
            None => {
                durable::remove(&self.group.undoing())?;
                Ok(Vec::new())
            }
        }
    }

    fn undo(&self, plan: &Plan) -> Result<Vec<String>, Error> {
        durable::write(&self.group.undoing(), &plan.deployment)?;
        // The revision is not needed to take it back, and may not be there.
        let root =
            Root::open(Path::new("/")).map_err(durable::Error::io("read", Path::new("/")))?;
        let mut left = undo(plan, &self.with(&root, true));
        apply::sync(plan).unwrap_or_else(|error| tracing::warn!(%error, "cannot sync"));
        if !left.is_empty() {
            let kept = self.group.kept_of(&plan.deployment);
            let kept_on = std::fs::rename(self.group.kept(), &kept);
            kept_on.map_err(durable::Error::io("keep", &kept))?;
            left.push(format!("what is missing of these is in {}", kept.display()));
        }
        self.forget()?;
        durable::remove(&self.group.undoing())?;
        Ok(left)
    }

    /// The plan is over. What was kept is not needed any more.
    fn forget(&self) -> Result<(), Error> {
        durable::remove(&self.group.plan())?;
        (self.before_change)();
        let kept = self.group.kept();
        remove_tree(&kept).map_err(durable::Error::io("remove", &kept))?;
        Ok(())
    }
}

/// What the group has on this host.
pub(crate) fn installed(group: &GroupFolder) -> Result<Installed, durable::Error> {
    Ok(durable::read(&group.installed())?.unwrap_or_default())
}
