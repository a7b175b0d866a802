//! What a build leaves, taken while its place still stands: exported variables, reports, cache, artifacts.
//! Called by the phases' walk when it is over.

use croft_proto::{EnvironmentVariable, PhaseType, Status, Summary};

use crate::attempt::{Attempt, inside};
use crate::commands::Limit;
use crate::deliver::{self, Delivery, Undelivered};
use crate::environment;
use crate::prepare::Prepared;
use crate::timeline::{Context, Timeline};

impl Attempt<'_> {
    /// The exported variables as they stand now.
    pub(crate) fn export(&self, prepared: &Prepared, timeline: &mut Timeline) {
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

    pub(crate) async fn read_reports(&mut self, prepared: &mut Prepared, summary: &mut Summary) {
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

    pub(crate) async fn upload(
        &mut self,
        prepared: &mut Prepared,
        timeline: &mut Timeline,
        summary: &mut Summary,
    ) {
        timeline.begin(PhaseType::UploadArtifacts);
        let (status, context) = match self.collect(prepared, summary).await {
            Ok(()) => (Status::Succeeded, Context::none()),
            Err(Undelivered::Failed(message)) => {
                (Status::Failed, Context::new("CLIENT_ERROR", message))
            }
            Err(Undelivered::Interrupted(status)) => (status, Context::none()),
        };
        timeline.end(status, context);
    }

    /// Cache and artifacts. A step that has begun is ended; none begins in a build that was interrupted.
    async fn collect(
        &mut self,
        prepared: &mut Prepared,
        summary: &mut Summary,
    ) -> Result<(), Undelivered> {
        self.go_on()?;
        if let (true, Some((cached, plan))) = (
            self.journey.status() == Status::Succeeded && self.journey.succeeding(),
            &prepared.cached,
        ) {
            summary.cache_saved = cached
                .save(plan, &prepared.root, self.mounted.as_ref())
                .await;
            self.go_on()?;
        }
        let Some(artifacts) = prepared
            .spec
            .artifacts
            .as_ref()
            .filter(|entry| !entry.files.is_empty() || !entry.secondary.is_empty())
        else {
            return Ok(());
        };
        let delivery = Delivery {
            folder: self.request.artifacts_directory.clone(),
            packaging: self.request.packaging,
            source: inside(&self.request.project, ""),
        };
        let mut limit = Limit::Build(&mut self.interrupts);
        summary.artifacts = deliver::artifacts(
            &mut prepared.session,
            &prepared.root,
            artifacts,
            &delivery,
            &mut limit,
        )
        .await?;
        self.go_on()
    }

    fn go_on(&self) -> Result<(), Undelivered> {
        let happened = self.interrupts.happened();
        happened.map_or(Ok(()), |status| Err(Undelivered::Interrupted(status)))
    }
}
