//! One host: commands enter, one at a time for each group; diagnostics leave. Takes the group's lock, asks the journal what a
//! command means, has the event done, and writes down that it began and how it ended.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use croft_proto::Timestamp;
use croft_proto::deploy::{Diagnostics, Has, HostCommand, ScriptErrorCode};
use rustix::fs::{FlockOperation, flock};

use crate::bundle::{Bundle, BundleError, Staged};
use crate::container::{Containers, scripts};
use crate::forecast::{self, Forecast, ForecastError};
use crate::hooks::leftover::Leftovers;
use crate::hooks::tree;
use crate::perform::{self, With};
use crate::state::durable::{self, Error as StateError};
use crate::state::journal::{Decision, Journal, Refusal, Settling, decide};
use crate::state::layout::{self, GroupFolder};
use crate::watch::{Unwatched, Watch};

/// Revisions of a group that are kept, as many as AWS's agent.
const REVISIONS_KEPT: usize = 5;
/// What scripts have to end in when their time is over.
const END: Duration = Duration::from_secs(10);
/// How long the output of a script that has ended is waited for. What it started and waited for has closed it by then.
const DRAIN: Duration = Duration::from_secs(2);

/// Revisions that are looked at first; no group's name begins with a dot.
const STAGED: &str = ".staged-";

/// What a host is told once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Revisions kept of each group, the current one among them.
    pub revisions_kept: usize,
    /// What scripts find in their environment beside AWS's variables.
    pub environment: Vec<(OsString, OsString)>,
    /// How containers are run here, or why none are: the words with which a container's event fails.
    pub containers: Result<Containers, String>,
    /// How long a script has after TERM.
    pub end: Duration,
    /// How long the output of a script that has ended is waited for.
    pub drain: Duration,
    /// What time it is.
    pub clock: fn() -> Timestamp,
}

impl Settings {
    /// The usual ones.
    #[must_use]
    pub fn new(environment: Vec<(OsString, OsString)>, clock: fn() -> Timestamp) -> Self {
        Self {
            revisions_kept: REVISIONS_KEPT,
            environment,
            containers: Err("this agent runs no containers".into()),
            end: END,
            drain: DRAIN,
            clock,
        }
    }
}

/// Why a command has no outcome. An event that fails has one.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The command is not for this host at this time.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What is remembered cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// This host, and what it remembers in its state directory.
#[derive(Debug)]
pub struct Host {
    state: PathBuf,
    settings: Settings,
    leftovers: Leftovers,
}

/// A group that nobody else does anything with.
struct Locked {
    folder: GroupFolder,
    /// The lock goes with it.
    _lock: File,
    journal: Journal,
}

impl Host {
    /// The host whose state is in that directory, which is made.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(state: &Path, settings: Settings) -> Result<Self, HostError> {
        layout::passed_through(state).map_err(StateError::io("make", state))?;
        Ok(Self {
            state: state.to_path_buf(),
            settings,
            leftovers: Leftovers::default(),
        })
    }

    /// Runs the command's event to its end, or says how it ended if it has been run; blocks meanwhile.
    ///
    /// **Cancel.** `is_over` ends it: its script is ended, its Install is undone, and it has failed.
    ///
    /// # Errors
    /// When the command is refused, or the host cannot remember.
    pub fn run(
        &self,
        command: &HostCommand,
        bundle: &dyn Bundle,
        watch: &dyn Watch,
        is_over: &AtomicBool,
    ) -> Result<Diagnostics, HostError> {
        self.run_watched(command, bundle, watch, is_over, &|| {})
    }

    pub(crate) fn run_watched(
        &self,
        command: &HostCommand,
        bundle: &dyn Bundle,
        watch: &dyn Watch,
        is_over: &AtomicBool,
        before_change: &(dyn Fn() + Sync),
    ) -> Result<Diagnostics, HostError> {
        let mut group = self.lock(&command.deployment_group_id)?;
        let with = With {
            settings: &self.settings,
            leftovers: &self.leftovers,
            watch,
            is_over,
            before_change,
        };
        loop {
            match decide(&group.journal, command) {
                Decision::Refuse(refusal) => return Err(refusal.into()),
                Decision::Recorded(diagnostics) => return Ok(diagnostics),
                Decision::Settle(running, settling) => {
                    self.settle(&mut group, &running, settling)?
                }
                Decision::Run => break,
            }
        }
        group.journal.begin(command);
        durable::write(&group.folder.journal(), &group.journal)?;
        let diagnostics = perform::perform(&group.folder, &group.journal, command, bundle, &with);
        group.end(command, &diagnostics, self.settings.clock)?;
        Ok(diagnostics)
    }

    /// What an agent that was killed has left: scripts are ended and have failed; the other events are handed back, to be run
    /// again with [`Host::run`]. For an agent that starts, before it asks for commands.
    ///
    /// # Errors
    /// When what is remembered cannot be read or written.
    pub fn interrupted(&self) -> Result<Vec<HostCommand>, HostError> {
        let mut again = Vec::new();
        let entries =
            std::fs::read_dir(&self.state).map_err(StateError::io("read", &self.state))?;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !entry.path().join("group.json").is_file() {
                continue;
            }
            let mut group = match self.lock(&name) {
                Err(HostError::Refused(_)) => continue,
                other => other?,
            };
            let Some(running) = group.journal.running.clone() else {
                continue;
            };
            match decide(&group.journal, &running) {
                Decision::Settle(running, settling) => {
                    self.settle(&mut group, &running, settling)?;
                }
                Decision::Run | Decision::Recorded(_) | Decision::Refuse(_) => again.push(running),
            }
        }
        Ok(again)
    }

    /// What is installed here, of every group: for an agent that starts, or was away from its farm.
    ///
    /// # Errors
    /// When what is remembered cannot be read: saying less than there is would have good revisions replaced.
    pub fn has(&self) -> Result<Vec<Has>, HostError> {
        let mut has = Vec::new();
        let entries =
            std::fs::read_dir(&self.state).map_err(StateError::io("read", &self.state))?;
        for entry in entries {
            let entry = entry.map_err(StateError::io("read", &self.state))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let folder = GroupFolder::of(&self.state, &name);
            // Beside the groups' folders are the host's own files.
            let Some(folder) = folder.filter(|folder| folder.path().is_dir()) else {
                continue;
            };
            let journal: Option<Journal> = durable::read(&folder.journal())?;
            let Some(last) = journal.and_then(|journal| journal.last_successful) else {
                continue;
            };
            let record: Option<HostCommand> = durable::read(&folder.deployment(&last).record())?;
            has.extend(record.map(|record| Has {
                application_name: record.application_name,
                deployment_group_name: record.deployment_group_name,
                deployment_group_id: record.deployment_group_id,
                digest: record.revision.digest,
            }));
        }
        Ok(has)
    }

    /// The bundle's files beside the deployments, to be looked at and then handed to DownloadBundle.
    ///
    /// # Errors
    /// As the bundle's own.
    pub fn stage(&self, bundle: &dyn Bundle, is_over: &AtomicBool) -> Result<Staged, BundleError> {
        self.sweep();
        let name = format!("{STAGED}{}", std::process::id());
        let path = self.state.join(name);
        crate::bundle::download::remove_tree(&path).map_err(|source| BundleError::Writing {
            path: path.clone(),
            source,
        })?;
        Staged::bring(bundle, path, is_over)
    }

    /// What the command's deployment of a staged revision would do. Changes nothing.
    ///
    /// # Errors
    /// When the AppSpec has mistakes, or the files do not fit the host.
    pub fn forecast(
        &self,
        command: &HostCommand,
        staged: &Staged,
    ) -> Result<Forecast, ForecastError> {
        let group = self.folder(&command.deployment_group_id)?;
        let journal = durable::read(&group.journal())?.unwrap_or_default();
        forecast::forecast(
            &group,
            &journal,
            command,
            staged.path(),
            &self.settings.environment,
        )
    }

    /// The generation after the last that this host has seen of the group: for deployments without a server.
    ///
    /// # Errors
    /// When the group cannot have that id, or what is remembered cannot be read.
    pub fn next_generation(&self, group_id: &str) -> Result<u64, HostError> {
        let journal = durable::read::<Journal>(&self.folder(group_id)?.journal())?;
        Ok(journal.unwrap_or_default().generation + 1)
    }

    /// Where the scripts of the command's deployment are logged.
    ///
    /// # Errors
    /// When the group cannot have that id.
    pub fn log_path(&self, command: &HostCommand) -> Result<PathBuf, HostError> {
        let group = self.folder(&command.deployment_group_id)?;
        Ok(group.deployment(&command.deployment_id).log())
    }

    /// Removes what agents that were killed have staged.
    fn sweep(&self) {
        for entry in std::fs::read_dir(&self.state)
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(pid) = name.strip_prefix(STAGED) else {
                continue;
            };
            let is_alive = Path::new("/proc").join(pid).exists();
            if !is_alive && let Err(error) = crate::bundle::download::remove_tree(&entry.path()) {
                tracing::warn!(%error, name, "cannot remove what was staged");
            }
        }
    }

    fn folder(&self, group_id: &str) -> Result<GroupFolder, Refusal> {
        GroupFolder::of(&self.state, group_id).ok_or_else(|| Refusal::GroupId(group_id.into()))
    }

    fn lock(&self, group_id: &str) -> Result<Locked, HostError> {
        let folder = self.folder(group_id)?;
        folder
            .make()
            .map_err(StateError::io("make", folder.path()))?;
        let path = folder.lock();
        let mut options = File::options();
        let lock = options
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(StateError::io("lock", &path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::AGAIN) => return Err(Refusal::Busy(group_id.into()).into()),
            Err(error) => return Err(StateError::io("lock", &path)(error.into()).into()),
        }
        let mut journal: Journal = durable::read(&folder.journal())?.unwrap_or_default();
        if let Some(running) = &journal.running {
            journal.scripts = scripts::progress(&folder, running)?;
        }
        Ok(Locked {
            folder,
            _lock: lock,
            journal,
        })
    }

    fn settle(
        &self,
        group: &mut Locked,
        running: &HostCommand,
        settling: Settling,
    ) -> Result<(), HostError> {
        let diagnostics = match settling {
            Settling::Fail => {
                let mut message = format!(
                    "the agent was stopped while {} ran: it has failed, since nobody knows how far it came, and it is not run again",
                    running.event
                );
                if tree::kill_left(&group.folder.script())? {
                    message.push_str("; its script was still running, and was killed");
                }
                perform::failed(ScriptErrorCode::UnknownError, message)
            }
            Settling::Undo => {
                let with = With {
                    settings: &self.settings,
                    leftovers: &self.leftovers,
                    watch: &Unwatched,
                    is_over: &AtomicBool::new(false),
                    before_change: &|| {},
                };
                perform::end_install(&group.folder, running, &with)?
            }
        };
        group.end(running, &diagnostics, self.settings.clock)
    }
}

impl Locked {
    fn end(
        &mut self,
        command: &HostCommand,
        diagnostics: &Diagnostics,
        clock: fn() -> Timestamp,
    ) -> Result<(), HostError> {
        self.journal.end(command, diagnostics, clock());
        self.journal.scripts = scripts::Progress::Before;
        Ok(durable::write(&self.folder.journal(), &self.journal)?)
    }
}

#[cfg(test)]
mod tests;
