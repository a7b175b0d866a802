//! An event done, whichever it is. Receives it from `host`, which has the group's lock; whatever goes wrong is a value that says
//! so.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use croft_proto::deploy::{
    ContainerOrder, DeploymentId, Diagnostics, HostCommand, LifecycleEvent, ScriptErrorCode,
};
use croft_spec::appspec::{AppSpec, Container, Script};

use crate::bundle::{Bundle, download};
use crate::container::event::Ordered;
use crate::container::scripts::{self, Progress};
use crate::hooks::choose::scripts_of;
use crate::hooks::event::{self as hooks, Surroundings};
use crate::hooks::leftover::Leftovers;
use crate::hooks::log::ScriptLog;
use crate::host::Settings;
use crate::install::event::{Install, installed};
use crate::revision;
use crate::state::durable::{self, Error as StateError};
use crate::state::journal::Journal;
use crate::state::layout::{DeploymentFolder, GroupFolder};
use crate::watch::{Stream, Watch};

/// What events are done with.
pub(crate) struct With<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) leftovers: &'a Leftovers,
    pub(crate) watch: &'a dyn Watch,
    pub(crate) is_over: &'a AtomicBool,
    /// Told before every change that an Install makes.
    pub(crate) before_change: &'a (dyn Fn() + Sync),
}

type Done = Result<Diagnostics, Box<dyn std::error::Error>>;

/// Does the event of the command.
pub(crate) fn perform(
    group: &GroupFolder,
    journal: &Journal,
    command: &HostCommand,
    bundle: &dyn Bundle,
    with: &With<'_>,
) -> Diagnostics {
    let doing = Doing {
        group,
        journal,
        command,
        with,
        folder: group.deployment(&command.deployment_id),
    };
    let done = doing.logged().and_then(|mut log| {
        log.event(command.event);
        let done = doing.event(bundle, &mut log);
        if let Err(error) = &done {
            log.note(&chain(error.as_ref()));
        }
        done
    });
    done.unwrap_or_else(|error| failed(ScriptErrorCode::UnknownError, chain(error.as_ref())))
}

/// Ends the Install that an agent which was killed has left: it is taken back, unless all but its last word was done.
pub(crate) fn end_install(
    group: &GroupFolder,
    running: &HostCommand,
    with: &With<'_>,
) -> Result<Diagnostics, StateError> {
    let is_done = installed(group)?.deployment.as_ref() == Some(&running.deployment_id);
    // The plan says all; the revision is not asked.
    let install = install(group, Path::new("/"), with);
    let begin = "the agent was stopped while Install ran, and another command came";
    let message = match install.undo_interrupted() {
        Ok(_) if is_done => return Ok(succeeded("Succeeded")),
        Ok(left) if left.is_empty() => format!("{begin}: files were put back as they were"),
        Ok(left) => {
            let left = left.join("; ");
            format!("{begin}: files were put back as they were, but for {left}")
        }
        Err(crate::install::event::Error::State(error)) => return Err(error),
        Err(error) => format!("{begin}: {}", chain(&error)),
    };
    Ok(failed(ScriptErrorCode::UnknownError, message))
}

/// An event that has failed outside of its scripts.
pub(crate) fn failed(error_code: ScriptErrorCode, message: String) -> Diagnostics {
    Diagnostics {
        error_code,
        script_name: String::new(),
        message,
        log_tail: String::new(),
        script_from_deployment: None,
        printed: None,
    }
}

fn succeeded(message: &str) -> Diagnostics {
    failed(ScriptErrorCode::Success, message.to_string())
}

/// An error with what is behind it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

fn install<'a>(group: &'a GroupFolder, archive: &'a Path, with: &With<'a>) -> Install<'a> {
    Install {
        group,
        archive,
        environment: &with.settings.environment,
        is_over: with.is_over,
        before_change: with.before_change,
    }
}

fn is_well(ended: &Diagnostics) -> bool {
    ended.error_code == ScriptErrorCode::Success
}

/// What a container failed of, with its last words.
fn unwell(
    ordered: &Ordered<'_>,
    error: &crate::container::event::Error,
    log: &mut ScriptLog<'_>,
) -> Diagnostics {
    use crate::container::event::Error;
    for line in ordered.last_lines() {
        log.line(Stream::Stdout, &line);
    }
    let code = match error {
        Error::Ended { .. } => ScriptErrorCode::ScriptFailed,
        Error::Unwell { .. } => ScriptErrorCode::ScriptTimedOut,
        Error::Engine(_) | Error::Image(_) | Error::Missing(_) => ScriptErrorCode::UnknownError,
    };
    let message = chain(error);
    log.note(&message);
    Diagnostics {
        log_tail: log.tail(),
        ..failed(code, message)
    }
}

struct Doing<'a> {
    group: &'a GroupFolder,
    journal: &'a Journal,
    command: &'a HostCommand,
    with: &'a With<'a>,
    folder: DeploymentFolder,
}

impl Doing<'_> {
    fn logged(&self) -> Result<ScriptLog<'_>, Box<dyn std::error::Error>> {
        let making = StateError::io("make", self.folder.path());
        self.folder.make().map_err(making)?;
        let path = self.folder.log();
        let log = ScriptLog::open(&path, self.with.watch, self.with.settings.clock);
        Ok(log.map_err(StateError::io("write", &path))?)
    }

    fn event(&self, bundle: &dyn Bundle, log: &mut ScriptLog<'_>) -> Done {
        if let Some(order) = self.command.container {
            return self.container(order, bundle, log);
        }
        match self.command.event {
            LifecycleEvent::DownloadBundle => self.download(bundle),
            LifecycleEvent::Install => self.install(),
            LifecycleEvent::BeforeBlockTraffic
            | LifecycleEvent::BlockTraffic
            | LifecycleEvent::AfterBlockTraffic
            | LifecycleEvent::ApplicationStop
            | LifecycleEvent::BeforeInstall
            | LifecycleEvent::AfterInstall
            | LifecycleEvent::ApplicationStart
            | LifecycleEvent::ValidateService
            | LifecycleEvent::BeforeAllowTraffic
            | LifecycleEvent::AllowTraffic
            | LifecycleEvent::AfterAllowTraffic => self.scripts(log),
        }
    }

    fn download(&self, bundle: &dyn Bundle) -> Done {
        download::prune(
            self.group,
            &self.command.deployment_id,
            self.journal.last_successful.as_ref(),
            &self.journal.containers,
            self.with.settings.revisions_kept,
        );
        download::download(
            self.group,
            &self.folder,
            self.command,
            bundle,
            self.with.is_over,
        )?;
        // Mistakes are said before anything of the host is touched.
        self.spec()?;
        Ok(succeeded("Succeeded"))
    }

    fn install(&self) -> Done {
        let spec = self.spec()?;
        let archive = self.folder.archive();
        install(self.group, &archive, self.with).run(self.command, &spec)?;
        Ok(succeeded("Succeeded"))
    }

    fn spec(&self) -> Result<AppSpec, Box<dyn std::error::Error>> {
        let archive = self.folder.archive();
        if !archive.is_dir() {
            let id = &self.command.deployment_id;
            return Err(format!(
                "the revision of {id} is not on this host: DownloadBundle comes first"
            )
            .into());
        }
        let name = self.command.app_spec_filename.as_deref();
        let spec = revision::spec(&archive, name)?;
        match (&self.command.container, &spec.container) {
            (Some(_), Some(_)) | (None, None) => Ok(spec),
            (Some(_), None) => Err(format!(
                "the application {} runs in containers (its computePlatform is ECS), and the AppSpec has no x-croft.container",
                self.command.application_name
            )
            .into()),
            (None, Some(_)) => Err(format!(
                "the AppSpec is for a container (x-croft.container), which a farm deploys for an application whose computePlatform is ECS; {} is none",
                self.command.application_name
            )
            .into()),
        }
    }

    /// An event of a container: its own part, and the scripts beside it, which run once whatever is killed.
    fn container(
        &self,
        order: ContainerOrder,
        bundle: &dyn Bundle,
        log: &mut ScriptLog<'_>,
    ) -> Done {
        if self.command.event == LifecycleEvent::DownloadBundle {
            return self.download(bundle);
        }
        let containers = self.with.settings.containers.as_ref();
        let containers = containers.map_err(Clone::clone)?;
        let ordered = Ordered::new(containers, self.with.is_over, self.command, order);
        let is_new =
            self.journal.containers.get(&order.colour) == Some(&self.command.deployment_id);
        let done = match self.command.event {
            LifecycleEvent::Install => return self.made(&ordered),
            LifecycleEvent::ApplicationStart => ordered.start(),
            LifecycleEvent::ValidateService => ordered.validate(&self.its_container()?),
            LifecycleEvent::AfterAllowTraffic if is_new => ordered.stayed_up(),
            LifecycleEvent::ApplicationStop => {
                let ended = self.scripts_once(log)?;
                if is_well(&ended) {
                    ordered.remove()?;
                }
                return Ok(ended);
            }
            LifecycleEvent::BeforeBlockTraffic
            | LifecycleEvent::BlockTraffic
            | LifecycleEvent::AfterBlockTraffic
            | LifecycleEvent::DownloadBundle
            | LifecycleEvent::BeforeInstall
            | LifecycleEvent::AfterInstall
            | LifecycleEvent::BeforeAllowTraffic
            | LifecycleEvent::AllowTraffic
            | LifecycleEvent::AfterAllowTraffic => Ok(()),
        };
        let ended = match done {
            Ok(()) => self.scripts_once(log)?,
            Err(error) => unwell(&ordered, &error, log),
        };
        let has_no_traffic = matches!(
            self.command.event,
            LifecycleEvent::AfterInstall
                | LifecycleEvent::ApplicationStart
                | LifecycleEvent::ValidateService
        );
        if has_no_traffic && !is_well(&ended) {
            // It serves nobody and never will: it is kept, stopped, until the next one takes its place.
            if let Err(error) = ordered.set_aside() {
                log.note(&chain(&error));
            }
        }
        Ok(ended)
    }

    fn its_container(&self) -> Result<Container, Box<dyn std::error::Error>> {
        let container = self.spec()?.container;
        Ok(container.ok_or("the AppSpec has no x-croft.container")?)
    }

    fn made(&self, ordered: &Ordered<'_>) -> Done {
        ordered.install(&self.folder.archive(), &self.its_container()?)?;
        Ok(succeeded(&format!(
            "the {} container is made",
            ordered.colour()
        )))
    }

    /// The event's scripts, unless they have ended already: the agent was killed after them.
    fn scripts_once(&self, log: &mut ScriptLog<'_>) -> Done {
        if self.journal.scripts == Progress::After {
            return Ok(succeeded(
                "its scripts had ended when the agent was stopped",
            ));
        }
        let from = scripts_of(self.journal, self.command);
        let none = match &from {
            Some(from) => self.scripts_from(from)?.is_empty(),
            None => true,
        };
        if none {
            return Ok(succeeded("Succeeded"));
        }
        scripts::begin(self.group, self.command)?;
        let ended = self.scripts(log)?;
        if is_well(&ended) {
            scripts::end(self.group, self.command)?;
        }
        Ok(ended)
    }

    fn scripts(&self, log: &mut ScriptLog<'_>) -> Done {
        let Some(from) = scripts_of(self.journal, self.command) else {
            return Ok(succeeded(
                "no revision was installed before: nothing to run",
            ));
        };
        let scripts = self.scripts_from(&from)?;
        if scripts.is_empty() {
            return Ok(succeeded("the revision has no scripts for this event"));
        }
        let archive = self.group.deployment(&from).archive();
        let settings = self.with.settings;
        let surroundings = Surroundings {
            command: self.command,
            from: &from,
            archive: &archive,
            note: self.group.script(),
            environment: &settings.environment,
            end: settings.end,
            drain: settings.drain,
            leftovers: self.with.leftovers,
            is_over: self.with.is_over,
        };
        Ok(hooks::run(&surroundings, &scripts, log))
    }

    fn scripts_from(&self, from: &DeploymentId) -> Result<Vec<Script>, Box<dyn std::error::Error>> {
        let spec = if *from == self.command.deployment_id {
            self.spec()?
        } else {
            spec_of(self.group, from)?
        };
        let scripts = spec.hooks.get(&self.command.event);
        Ok(scripts.cloned().unwrap_or_default())
    }
}

/// The AppSpec of an earlier deployment, by the name it had then.
pub(crate) fn spec_of(
    group: &GroupFolder,
    from: &DeploymentId,
) -> Result<AppSpec, Box<dyn std::error::Error>> {
    let folder = group.deployment(from);
    let archive = folder.archive();
    if !archive.is_dir() {
        return Err(format!(
            "the scripts of this event are those of {from}, whose revision is gone from {}",
            archive.display()
        )
        .into());
    }
    let record: Option<HostCommand> = durable::read(&folder.record())?;
    let name = record.and_then(|record| record.app_spec_filename);
    revision::spec(&archive, name.as_deref())
        .map_err(|error| format!("the revision of {from}: {}", chain(&error)).into())
}
