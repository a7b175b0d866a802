//! One try of a build: a place is made, the source brought in, the phases run, results collected, the place removed.
//! Built by [`crate::run`], which tries again when the buildspec asks for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use croft_beneath::Root;
use croft_proto::{EnvironmentVariable, EventKind, NoticeLevel, PhaseType, Status, Summary};
use croft_spec::Buildspec;

use crate::cached::{self, Cached};
use crate::commands::{Limit, ListEnd, ListOf, Session};
use crate::deliver::{self, Delivery};
use crate::environment::{self, Environment, Facts};
use crate::interrupt::Interrupts;
use crate::journey::{Ended, Journey, Next};
use crate::pump::Pump;
use crate::request::{BuildRequest, PrimarySource};
use crate::run::{self, Engine, Read};
use crate::runtime::{self, Slot, Source};
use crate::timeline::{Context, Timeline};
use crate::{runtimes, secrets, source};

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
    },
}

/// One try.
pub(crate) struct Attempt<'a> {
    request: &'a BuildRequest,
    engine: &'a Engine,
    interrupts: Interrupts,
    read: Option<Read>,
    journey: Journey,
}

/// A place with the source in it, ready for the phases.
struct Prepared {
    spec: Buildspec,
    session: Session,
    root: Root,
    cached: Option<(Cached, cached::Plan)>,
    /// Commands that switch runtimes, before the user's own.
    runtimes: Vec<croft_spec::Command>,
    /// Names whose values came from a store.
    secret_names: Vec<String>,
}

/// Why a source could not be brought in.
enum Unprepared {
    /// The user's to mend.
    Failed(Context),
    /// Stopped meanwhile.
    Interrupted(Status),
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
                let reason = timeline.failure.take().unwrap_or_default();
                AttemptEnd::Again {
                    attempt,
                    attempts_max,
                    reason,
                }
            }
            Next::Phase(_) | Next::Upload | Next::Finish => {
                AttemptEnd::Over(self.journey_status(timeline), self.read.map(Box::new))
            }
        }
    }

    /// The worst of what the journey says and what the phases around it say.
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
            PrimarySource::Folder(folder) => (folder.clone(), request.in_place),
            PrimarySource::Git { .. } => {
                let checkout = request.directory.join("checkout");
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
        Ok(runtime::Request {
            build_id: format!("{}:{}", request.project, request.uuid),
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
        let runtimes = slot.runtimes.take();
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
            .prepare(session, root, runtimes.as_deref(), timeline, summary)
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
                    Unprepared::Interrupted(status) => timeline.end(status, Context::none()),
                }
                (Next::Finish, session, root)
            }
        };
        summary.slowest_commands = slowest(&session);
        self.finalize(session, root, hold, timeline).await;
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

    /// Source, buildspec, parameters, runtimes, cache.
    async fn prepare(
        &mut self,
        mut session: Session,
        root: Root,
        image_runtimes: Option<&[u8]>,
        timeline: &mut Timeline,
        summary: &mut Summary,
    ) -> Result<Prepared, (Unprepared, Session, Root)> {
        let outcome = self.bring_in(&mut session, image_runtimes, timeline).await;
        let (spec, runtimes, secret_names) = match outcome {
            Ok(parts) => parts,
            Err(unprepared) => return Err((unprepared, session, root)),
        };
        let cached = self
            .restore_cache(&mut session, &root, &spec, summary)
            .await;
        Ok(Prepared {
            spec,
            session,
            root,
            cached,
            runtimes,
            secret_names,
        })
    }

    async fn bring_in(
        &mut self,
        session: &mut Session,
        image_runtimes: Option<&[u8]>,
        timeline: &mut Timeline,
    ) -> Result<(Buildspec, Vec<croft_spec::Command>, Vec<String>), Unprepared> {
        let client = |message: String| Unprepared::Failed(Context::new("CLIENT_ERROR", message));
        let repository_url = self.checkout(timeline).await?;
        let read = self.read.get_or_insert_with(|| {
            run::read_in(
                &self.request.directory.join("checkout"),
                &self.request.buildspec,
            )
        });
        let Some(spec) = read.spec.clone() else {
            return Err(Unprepared::Failed(Context::new(
                "YAML_FILE_ERROR",
                run::yaml_error(&read.diagnostics),
            )));
        };
        for found in &read.diagnostics {
            let place = &found.place;
            let message = format!(
                "{}:{}:{}: {}",
                place.file, place.line, place.column, found.message
            );
            session.writer.emit(EventKind::Notice {
                level: NoticeLevel::Warning,
                message,
            });
        }
        let resolved = secrets::resolve(&spec.env, &self.request.secrets)
            .await
            .map_err(|error| client(crate::chain(&error)))?;
        for (_, value) in &resolved {
            session.writer.add_secret(value);
        }
        session.version = spec.version;
        session.shell = spec.env.shell;
        self.fill_environment(
            &mut session.environment,
            &spec,
            &resolved,
            timeline,
            repository_url,
        );
        let chosen = runtimes::choose(
            &spec.phases.install.runtime_versions,
            image_runtimes,
            &session.environment,
        );
        let chosen = chosen.map_err(|error| client(error.to_string()))?;
        for message in chosen.warnings {
            session.writer.emit(EventKind::Notice {
                level: NoticeLevel::Warning,
                message,
            });
        }
        Ok((
            spec,
            chosen.commands,
            resolved.into_iter().map(|(name, _)| name).collect(),
        ))
    }

    /// Brings a repository in; its address.
    async fn checkout(&mut self, timeline: &mut Timeline) -> Result<Option<String>, Unprepared> {
        match &self.request.source {
            PrimarySource::Git { url, revision } => {
                let into = self.request.directory.join("checkout");
                let commit = tokio::select! {
                    commit = source::fetch(url, revision.as_deref(), &into) => commit,
                    status = self.interrupts.any() => return Err(Unprepared::Interrupted(status)),
                };
                match commit {
                    Ok(commit) => timeline.build.resolved_source_version = Some(commit),
                    Err(error) => {
                        return Err(Unprepared::Failed(Context::new(
                            "CLIENT_ERROR",
                            crate::chain(&error),
                        )));
                    }
                }
                Ok(Some(url.clone()))
            }
            PrimarySource::Folder(folder) => {
                if source::is_checkout(folder) {
                    // A folder without a commit yet is built all the same.
                    timeline.build.resolved_source_version = source::head(folder).await.ok();
                }
                Ok(None)
            }
        }
    }

    fn fill_environment(
        &self,
        environment: &mut Environment,
        spec: &Buildspec,
        resolved: &[(String, String)],
        timeline: &Timeline,
        repository_url: Option<String>,
    ) {
        environment::add_helpers(environment);
        let own = &self.request.credentials;
        for (name, value) in own
            .iter()
            .chain(&spec.env.variables)
            .chain(resolved)
            .chain(&self.request.overrides)
        {
            environment.set(name, value);
        }
        let text = |path: PathBuf| path.display().to_string();
        let facts = Facts {
            source_directory: text(inside(&self.request.project, "")),
            secondary_directories: self
                .request
                .secondary_sources
                .iter()
                .map(|(identifier, _)| {
                    (
                        identifier.clone(),
                        text(inside(&self.request.project, identifier)),
                    )
                })
                .collect(),
            repository_url,
            region: self.request.region.clone(),
            local: true,
        };
        environment::describe(environment, &timeline.build, &facts);
    }

    async fn restore_cache(
        &mut self,
        session: &mut Session,
        root: &Root,
        spec: &Buildspec,
        summary: &mut Summary,
    ) -> Option<(Cached, cached::Plan)> {
        let (cache, store) = (spec.cache.as_ref()?, self.engine.cache.as_ref()?);
        let place = (
            self.request.project.as_str(),
            inside(&self.request.project, ""),
        );
        let mut limit = Limit::Build(&mut self.interrupts);
        let plan = match cached::plan(session, root, place, cache, &mut limit).await {
            Ok(plan) => plan,
            Err(error) => {
                let message = format!("no cache in this build: {}", crate::chain(&error));
                session.writer.emit(EventKind::Notice {
                    level: NoticeLevel::Warning,
                    message,
                });
                return None;
            }
        };
        let cached = Cached {
            store: Arc::clone(store),
            writer: Arc::clone(&session.writer),
            clock: self.engine.clock,
        };
        summary.cache_restored = cached.restore(&plan, root).await;
        Some((cached, plan))
    }

    async fn phases(
        &mut self,
        prepared: &mut Prepared,
        timeline: &mut Timeline,
        summary: &mut Summary,
    ) -> Next {
        let mut phase = PhaseType::Install;
        let next = loop {
            timeline.begin(phase);
            let (ended, context) = self.phase(phase, prepared, summary).await;
            let status = match (&ended, &context) {
                (Ended::Succeeded, _) => Status::Succeeded,
                (Ended::Failed { .. }, Some(_)) => Status::Failed,
                (Ended::Failed { .. }, None) => Status::Fault,
                (Ended::Interrupted(status), _) => *status,
            };
            timeline.end(status, context.unwrap_or_else(Context::none));
            let on_failure = prepared
                .spec
                .phases
                .get(phase)
                .map(|phase| phase.on_failure.clone())
                .unwrap_or_default();
            match self.journey.after(phase, &ended, &on_failure) {
                Next::Phase(next) => phase = next,
                end @ (Next::Upload | Next::Finish | Next::Retry { .. }) => break end,
            }
        };
        self.export(prepared, timeline);
        if matches!(next, Next::Retry { .. }) {
            return next;
        }
        if phase >= PhaseType::Build {
            self.read_reports(prepared, summary).await;
        }
        if next == Next::Upload {
            self.upload(prepared, timeline, summary).await;
        }
        next
    }

    /// Runs a phase's commands, then its `finally`.
    async fn phase(
        &mut self,
        phase: PhaseType,
        prepared: &mut Prepared,
        summary: &mut Summary,
    ) -> (Ended, Option<Context>) {
        let Some(contents) = prepared.spec.phases.get(phase) else {
            return (Ended::Succeeded, None);
        };
        let user = contents
            .run_as
            .as_deref()
            .or(prepared.spec.run_as.as_deref());
        let session = &mut prepared.session;
        set_succeeding(session, self.journey.succeeding());
        let mut end = ListEnd::Succeeded;
        if phase == PhaseType::Install {
            let of = ListOf {
                phase,
                finally: false,
                user: None,
            };
            end = session
                .run_list(of, &prepared.runtimes, Limit::Build(&mut self.interrupts))
                .await;
        }
        if matches!(end, ListEnd::Succeeded) {
            let of = ListOf {
                phase,
                finally: false,
                user,
            };
            end = session
                .run_list(of, &contents.commands, Limit::Build(&mut self.interrupts))
                .await;
        }
        if !matches!(end, ListEnd::Succeeded) {
            self.journey.note_failure();
            set_succeeding(session, false);
        }
        if !matches!(end, ListEnd::Lost(_)) {
            let of = ListOf {
                phase,
                finally: true,
                user,
            };
            let mut grace = self.interrupts.during_grace();
            let limit = match end {
                ListEnd::Interrupted(_) => Limit::Grace(&mut grace),
                ListEnd::Succeeded | ListEnd::Failed(_) | ListEnd::Lost(_) => {
                    Limit::Build(&mut self.interrupts)
                }
            };
            let finally = session.run_list(of, &contents.finally, limit).await;
            if matches!(end, ListEnd::Succeeded) {
                end = finally;
            }
        }
        ended(end, summary)
    }

    /// The exported variables as they stand now.
    fn export(&self, prepared: &Prepared, timeline: &mut Timeline) {
        let names = prepared.spec.env.exported_variables.iter();
        let allowed = names.filter(|name| {
            !environment::is_never_exported(name) && !prepared.secret_names.contains(name)
        });
        timeline.build.exported_environment_variables = allowed
            .filter_map(|name| {
                let value = prepared.session.environment.text(name)?;
                Some(EnvironmentVariable {
                    name: name.clone(),
                    value,
                })
            })
            .collect();
    }

    async fn read_reports(&mut self, prepared: &mut Prepared, summary: &mut Summary) {
        let source = inside(&self.request.project, "");
        let place = (self.request.project.as_str(), source.as_path());
        let mut limit = Limit::Build(&mut self.interrupts);
        summary.reports = deliver::reports(
            &mut prepared.session,
            &prepared.root,
            place,
            &prepared.spec.reports,
            &self.request.reports_directory,
            &mut limit,
        )
        .await;
    }

    async fn upload(
        &mut self,
        prepared: &mut Prepared,
        timeline: &mut Timeline,
        summary: &mut Summary,
    ) {
        timeline.begin(PhaseType::UploadArtifacts);
        if let (true, Some((cached, plan))) = (
            self.journey.status() == Status::Succeeded && self.journey.succeeding(),
            &prepared.cached,
        ) {
            summary.cache_saved = cached.save(plan, &prepared.root).await;
        }
        let Some(artifacts) = prepared
            .spec
            .artifacts
            .as_ref()
            .filter(|entry| !entry.files.is_empty() || !entry.secondary.is_empty())
        else {
            timeline.end(Status::Succeeded, Context::none());
            return;
        };
        let delivery = Delivery {
            folder: self.request.artifacts_directory.clone(),
            packaging: self.request.packaging,
            source: inside(&self.request.project, ""),
        };
        let mut limit = Limit::Build(&mut self.interrupts);
        let stored = deliver::artifacts(
            &mut prepared.session,
            &prepared.root,
            artifacts,
            &delivery,
            &mut limit,
        )
        .await;
        match stored {
            Ok(stored) => {
                summary.artifacts = stored;
                timeline.end(Status::Succeeded, Context::none());
            }
            Err(message) => timeline.end(Status::Failed, Context::new("CLIENT_ERROR", message)),
        }
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

fn set_succeeding(session: &mut Session, succeeding: bool) {
    session.environment.set(
        "CODEBUILD_BUILD_SUCCEEDING",
        if succeeding { "1" } else { "0" },
    );
}

/// What a list's end means for its phase. The first failed command of the build is the one a person is shown.
fn ended(end: ListEnd, summary: &mut Summary) -> (Ended, Option<Context>) {
    match end {
        ListEnd::Succeeded => (Ended::Succeeded, None),
        ListEnd::Interrupted(status) => (Ended::Interrupted(status), None),
        ListEnd::Lost(error) => {
            let message = format!("the build's place was taken away while a command ran: {error}");
            (
                Ended::Interrupted(Status::Fault),
                Some(Context::new("INTERNAL_ERROR", message)),
            )
        }
        ListEnd::Failed(failed) => {
            let status = failed.exit_status;
            let message = format!(
                "Error while executing command: {}. Reason: exit status {status}",
                failed.command
            );
            let matched = format!("{message}\n{}", failed.last_lines.join("\n"));
            summary.failed_command.get_or_insert(failed);
            (
                Ended::Failed { message: matched },
                Some(Context::new("COMMAND_EXECUTION_ERROR", message)),
            )
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
