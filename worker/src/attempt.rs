//! One try of a build: a place is made, the source brought in, the phases run, results collected, the place removed.
//! Built by [`crate::run`], which tries again when the buildspec asks for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use croft_beneath::Root;
use croft_proto::{EventKind, NoticeLevel, PhaseType, Status, Summary};

use crate::cached::Mounted;
use crate::commands::Session;
use crate::environment::Environment;
use crate::interrupt::Interrupts;
use crate::journey::{Journey, Next};
use crate::prepare::Unprepared;
use crate::pump::Pump;
use crate::request::{BuildRequest, PrimarySource};
use crate::run::{self, Engine, Read};
use crate::runtime::{self, Slot, Source};
use crate::source;
use crate::timeline::{Context, Timeline};

/// Commands quicker than this are not worth a line of the summary.
const SLOW_MS_MIN: u64 = 100;
/// How many of the slowest commands are named.
const SLOWEST_MAX: usize = 5;

/// How a try ended.
pub(crate) enum AttemptEnd {
    /// The build is over.
    Over(Status, Option<Box<Read>>),
    /// The build starts again.
    Again {
        /// The next try's number.
        attempt: u32,
        /// The last try's number.
        attempts_max: u32,
        /// The message that was matched.
        reason: String,
        /// The buildspec as this try read it.
        read: Option<Box<Read>>,
    },
}

/// One try.
pub(crate) struct Attempt<'a> {
    pub(crate) request: &'a BuildRequest,
    pub(crate) engine: &'a Engine,
    pub(crate) interrupts: Interrupts,
    pub(crate) read: Option<Read>,
    pub(crate) journey: Journey,
    /// What of the cache lies beneath the build.
    pub(crate) mounted: Option<Mounted>,
}

impl<'a> Attempt<'a> {
    pub(crate) fn new(
        request: &'a BuildRequest,
        engine: &'a Engine,
        interrupts: Interrupts,
        read: Option<Read>,
        number: u32,
    ) -> Self {
        Self {
            request,
            engine,
            interrupts,
            read,
            journey: Journey::new(number),
            mounted: None,
        }
    }

    pub(crate) async fn run(
        mut self,
        timeline: &mut Timeline,
        summary: &mut Summary,
    ) -> AttemptEnd {
        timeline.begin(PhaseType::Provisioning);
        let slot = match self.provision().await {
            Ok(slot) => slot,
            Err((status, context)) => {
                timeline.end(status, context);
                return AttemptEnd::Over(status, self.read.map(Box::new));
            }
        };
        timeline.build.image.clone_from(&slot.image);
        timeline.end(Status::Succeeded, Context::none());
        let end = self.occupy(slot, timeline, summary).await;
        match end {
            Next::Retry {
                attempt,
                attempts_max,
            } => {
                let reason = timeline.last_failure();
                AttemptEnd::Again {
                    attempt,
                    attempts_max,
                    reason,
                    read: self.read.map(Box::new),
                }
            }
            Next::Phase(_) | Next::Upload | Next::Finish => {
                AttemptEnd::Over(self.journey_status(timeline), self.read.map(Box::new))
            }
        }
    }

    /// The worst of what the journey says and what the phases around it say; an interruption is worse than a failure.
    fn journey_status(&self, timeline: &Timeline) -> Status {
        let around = timeline
            .build
            .phases
            .iter()
            .filter(|phase| !PhaseType::COMMANDS.contains(&phase.phase_type));
        let worst = around
            .filter_map(|phase| phase.phase_status)
            .find(|status| *status != Status::Succeeded);
        match (self.journey.status(), worst) {
            (Status::Succeeded, Some(status)) => status,
            (Status::Failed, Some(status @ (Status::Stopped | Status::TimedOut))) => status,
            (status, _) => status,
        }
    }

    async fn provision(&mut self) -> Result<Slot, (Status, Context)> {
        if let Some(status) = self.interrupts.happened() {
            return Err((status, Context::none()));
        }
        let request = self.runtime_request().map_err(|error| {
            (
                Status::Fault,
                Context::new("INTERNAL_ERROR", error.to_string()),
            )
        })?;
        let writer = Arc::clone(&self.engine.writer);
        let report = move |progress| run::tell(&writer, progress);
        tokio::select! {
            made = self.engine.runtime.provision(&request, &report) => made.map_err(|error| match error {
                runtime::Error::User { code, message } => (Status::Failed, Context::new(code, message)),
                runtime::Error::Registry { .. } => {
                    (Status::Fault, Context::new(runtime::UNABLE_TO_PULL, crate::chain(&error)))
                }
                runtime::Error::Infrastructure { .. } => {
                    (Status::Fault, Context::new("INTERNAL_ERROR", crate::chain(&error)))
                }
            }),
            status = self.interrupts.any() => Err((status, Context::none())),
        }
    }

    fn runtime_request(&self) -> std::io::Result<runtime::Request> {
        let request = self.request;
        let (directory, in_place) = match &request.source {
            PrimarySource::Folder(folder) => {
                (folder.clone(), request.in_place || request.source_is_own)
            }
            PrimarySource::Git(_) => {
                let checkout = request.directory.join(source::PRIMARY_FOLDER);
                std::fs::create_dir_all(&checkout)?;
                (checkout, true)
            }
        };
        let mut sources = vec![Source {
            directory,
            inside: inside(&request.project, ""),
            in_place,
        }];
        for (identifier, folder) in &request.secondary_sources {
            sources.push(Source {
                directory: folder.clone(),
                inside: inside(&request.project, identifier),
                in_place: request.in_place,
            });
        }
        for (identifier, _) in &request.secondary_repositories {
            let directory = request.directory.join(source::secondary_folder(identifier));
            std::fs::create_dir_all(&directory)?;
            sources.push(Source {
                directory,
                inside: inside(&request.project, identifier),
                in_place: true,
            });
        }
        Ok(runtime::Request {
            build_id: format!("{}:{}", request.project, request.folder_name),
            directory: request.directory.clone(),
            sources,
            hidden: request.hidden.clone(),
            extra: request.extra_folders.clone(),
        })
    }

    /// From a place to its release.
    async fn occupy(
        &mut self,
        mut slot: Slot,
        timeline: &mut Timeline,
        summary: &mut Summary,
    ) -> Next {
        timeline.begin(PhaseType::DownloadSource);
        let (runtimes, place) = (slot.runtimes.take(), slot.place.clone());
        let (session, root, hold) = match self.session(slot) {
            Ok(parts) => parts,
            Err(error) => {
                timeline.end(
                    Status::Fault,
                    Context::new("INTERNAL_ERROR", error.to_string()),
                );
                return Next::Finish;
            }
        };
        let (next, session, root) = match self
            .prepare(
                session,
                root,
                (&place, runtimes.as_deref()),
                timeline,
                summary,
            )
            .await
        {
            Ok(mut prepared) => {
                timeline.end(Status::Succeeded, Context::none());
                let next = self.phases(&mut prepared, timeline, summary).await;
                (next, prepared.session, prepared.root)
            }
            Err((unprepared, session, root)) => {
                match unprepared {
                    Unprepared::Failed(context) => timeline.end(Status::Failed, context),
                    Unprepared::Fault(context) => timeline.end(Status::Fault, context),
                    Unprepared::Interrupted(status) => timeline.end(status, Context::none()),
                }
                (Next::Finish, session, root)
            }
        };
        summary.slowest_commands = slowest(&session);
        let live = self.mounted.take().map(Mounted::into_live);
        self.finalize(session, root, hold, timeline).await;
        // Until now the place may have used it.
        if let Some(live) = live {
            live.let_go().await;
        }
        next
    }

    fn session(&self, slot: Slot) -> std::io::Result<(Session, Root, Box<dyn runtime::Hold>)> {
        let Slot {
            link,
            output,
            root,
            environment,
            confine,
            hold,
            ..
        } = slot;
        let source_directory = inside(&self.request.project, "")
            .into_os_string()
            .into_encoded_bytes();
        let session = Session {
            link,
            pump: Pump::start(output, Arc::clone(&self.engine.writer))?,
            writer: Arc::clone(&self.engine.writer),
            clock: self.engine.clock,
            confine,
            version: croft_spec::Version::V0_2,
            shell: croft_spec::Shell::Sh,
            directory: source_directory.clone(),
            source_directory,
            environment: Environment::new(environment),
            summaries: Vec::new(),
        };
        Ok((session, root, hold))
    }
    async fn finalize(
        &self,
        session: Session,
        root: Root,
        hold: Box<dyn runtime::Hold>,
        timeline: &mut Timeline,
    ) {
        timeline.begin(PhaseType::Finalizing);
        let Session { mut link, pump, .. } = session;
        pump.finish().await;
        link.quit().await;
        // Open descriptors would keep mounts busy.
        drop((link, root));
        match hold.release().await {
            Ok(()) => timeline.end(Status::Succeeded, Context::none()),
            Err(error) => {
                // The build's outcome stands; what is left is swept at the next start.
                let message = format!(
                    "something of the build could not be removed: {}",
                    crate::chain(&error)
                );
                self.engine.writer.emit(EventKind::Notice {
                    level: NoticeLevel::Warning,
                    message,
                });
                timeline.end(Status::Succeeded, Context::none());
            }
        }
    }
}

fn slowest(session: &Session) -> Vec<croft_proto::CommandSummary> {
    let mut slow: Vec<_> = session
        .summaries
        .iter()
        .filter(|command| command.duration_ms >= SLOW_MS_MIN)
        .cloned()
        .collect();
    slow.sort_by_key(|command| std::cmp::Reverse(command.duration_ms));
    slow.truncate(SLOWEST_MAX);
    slow
}

/// Where a source stands in the build. The digits come from the project's name, not from chance: tools that remember
/// absolute paths (cargo, ccache, virtual environments) find the same ones in the next build's cache.
pub(crate) fn inside(project: &str, identifier: &str) -> PathBuf {
    let mut digits: u32 = 2_166_136_261;
    for byte in project.bytes().chain([0]).chain(identifier.bytes()) {
        digits = (digits ^ u32::from(byte)).wrapping_mul(16_777_619);
    }
    Path::new("/codebuild/output")
        .join(format!("src{digits}"))
        .join("src")
}
