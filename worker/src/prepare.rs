//! DOWNLOAD_SOURCE: source, buildspec, parameters, runtimes and cache are brought into a place.
//! Receives an empty place from the try, hands it back [`Prepared`], or says why not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use croft_beneath::Root;
use croft_proto::{EventKind, NoticeLevel, Status, Summary};
use croft_spec::Buildspec;

use crate::attempt::{Attempt, inside};
use crate::cached::{self, Cached};
use crate::commands::{Limit, Session};
use crate::environment::{self, Environment, Facts};
use crate::request::{PrimarySource, Repository};
use crate::run;
use crate::runtime::Place;
use crate::timeline::{Context, Timeline};
use crate::{address, expand, runtimes, secrets, source};

/// A place with the source in it, ready for the phases.
pub(crate) struct Prepared {
    pub(crate) spec: Buildspec,
    pub(crate) session: Session,
    pub(crate) root: Root,
    pub(crate) cached: Option<(Cached, cached::Plan)>,
    /// Commands that switch runtimes, before the user's own.
    pub(crate) runtimes: Vec<croft_spec::Command>,
    /// Names whose values came from a store.
    pub(crate) secret_names: Vec<String>,
}

/// Why a source could not be brought in.
pub(crate) enum Unprepared {
    /// The user's to mend.
    Failed(Context),
    /// This machine's fault, or its network's.
    Fault(Context),
    /// Stopped meanwhile.
    Interrupted(Status),
}

impl Attempt<'_> {
    /// Source, buildspec, parameters, runtimes, cache.
    pub(crate) async fn prepare(
        &mut self,
        mut session: Session,
        root: Root,
        (place, image_runtimes): (&Place, Option<&[u8]>),
        timeline: &mut Timeline,
        summary: &mut Summary,
    ) -> Result<Prepared, (Unprepared, Session, Root)> {
        let outcome = self.bring_in(&mut session, image_runtimes, timeline).await;
        let (spec, runtimes, secret_names) = match outcome {
            Ok(parts) => parts,
            Err(unprepared) => return Err((unprepared, session, root)),
        };
        let restored = self
            .restore_cache(&mut session, (&root, place), &spec, &secret_names, summary)
            .await;
        let cached = match (restored, self.interrupts.happened()) {
            (Ok(cached), None) => cached,
            (Err(status), _) | (Ok(_), Some(status)) => {
                return Err((Unprepared::Interrupted(status), session, root));
            }
        };
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
        let repository_url = self.checkout(session, timeline).await?;
        let read = self.read.get_or_insert_with(|| {
            run::read_in(
                &self.request.directory.join(source::PRIMARY_FOLDER),
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
            let message = format!("{}: {}", found.place, found.message);
            session.writer.emit(EventKind::Notice {
                level: NoticeLevel::Warning,
                message,
            });
        }
        let resolved = tokio::select! {
            resolved = secrets::resolve(&spec.env, &self.request.secrets) => resolved,
            status = self.interrupts.any() => return Err(Unprepared::Interrupted(status)),
        };
        let resolved = resolved.map_err(|error| {
            let message = crate::chain(&error);
            match error.is_the_machines() {
                true => Unprepared::Fault(Context::new("INTERNAL_ERROR", message)),
                false => client(message),
            }
        })?;
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

    /// Brings the repositories in; the primary one's address.
    async fn checkout(
        &mut self,
        session: &Session,
        timeline: &mut Timeline,
    ) -> Result<Option<String>, Unprepared> {
        let request = self.request;
        let mut address = None;
        match &request.source {
            PrimarySource::Git(repository) => {
                let into = request.directory.join(source::PRIMARY_FOLDER);
                let commit = self.fetch(session, repository, &into).await?;
                timeline.build.resolved_source_version = Some(commit);
                address = Some(address::without_sign_in(&repository.url));
            }
            PrimarySource::Folder(folder) => {
                if source::is_checkout(folder) {
                    // A folder without a commit yet is built all the same.
                    timeline.build.resolved_source_version = source::head(folder).await.ok();
                }
            }
        }
        for (identifier, repository) in &request.secondary_repositories {
            let into = request.directory.join(source::secondary_folder(identifier));
            self.fetch(session, repository, &into).await?;
        }
        Ok(address)
    }

    async fn fetch(
        &mut self,
        session: &Session,
        repository: &Repository,
        into: &Path,
    ) -> Result<String, Unprepared> {
        let sign_in = repository.sign_in.iter();
        for secret in sign_in.map(|sign_in| sign_in.password.clone()) {
            session.writer.add_secret(&secret);
        }
        for secret in address::secrets(&repository.url) {
            session.writer.add_secret(&secret);
        }
        let commit = tokio::select! {
            commit = source::fetch(repository, into) => commit,
            status = self.interrupts.any() => return Err(Unprepared::Interrupted(status)),
        };
        commit.map_err(|error| {
            let message = crate::chain(&error);
            // A person at their own machine mends their own network; a farm tries another of its machines.
            if error.is_the_machines() && !self.request.is_local {
                return Unprepared::Fault(Context::new("INTERNAL_ERROR", message));
            }
            Unprepared::Failed(Context::new("CLIENT_ERROR", message))
        })
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
                .secondary_identifiers()
                .map(|identifier| {
                    (
                        identifier.to_string(),
                        text(inside(&self.request.project, identifier)),
                    )
                })
                .collect(),
            repository_url,
            region: self.request.region.clone(),
            local: self.request.is_local,
        };
        environment::describe(environment, &timeline.build, &facts);
    }

    /// The interruption is the error: a cache that cannot be used is only a warning.
    async fn restore_cache(
        &mut self,
        session: &mut Session,
        (root, place): (&Root, &Place),
        spec: &Buildspec,
        secrets: &[String],
        summary: &mut Summary,
    ) -> Result<Option<(Cached, cached::Plan)>, Status> {
        let (Some(cache), Some(store)) = (&spec.cache, &self.engine.cache) else {
            return Ok(None);
        };
        let whose = (
            self.request.cache_scope.as_str(),
            inside(&self.request.project, ""),
        );
        let mut limit = Limit::Build(&mut self.interrupts);
        let plan = match cached::plan(session, root, whose, cache, secrets, &mut limit).await {
            Ok(plan) => plan,
            Err(expand::Error::Interrupted { status, .. }) => return Err(status),
            Err(error) => {
                let message = format!("no cache in this build: {}", crate::chain(&error));
                session.writer.emit(EventKind::Notice {
                    level: NoticeLevel::Warning,
                    message,
                });
                return Ok(None);
            }
        };
        let cached = Cached {
            store: Arc::clone(store),
            writer: Arc::clone(&session.writer),
            clock: self.engine.clock,
            since: (self.engine.clock)(),
        };
        if self.request.in_place {
            summary.cache_restored = cached.leave_alone(&plan);
        } else {
            (summary.cache_restored, self.mounted) = cached.restore(&plan, root, place).await;
        }
        Ok(Some((cached, plan)))
    }
}
