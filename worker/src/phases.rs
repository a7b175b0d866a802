//! INSTALL to POST_BUILD: each phase's commands, then its `finally`; what follows what is the journey's word.
//! Receives a prepared place from the try, hands back what comes after the last phase.

use croft_proto::{PhaseType, Status, Summary};

use crate::attempt::Attempt;
use crate::commands::{Limit, ListEnd, ListOf, Session};
use crate::journey::{Ended, Next};
use crate::prepare::Prepared;
use crate::timeline::{Context, Timeline};

impl Attempt<'_> {
    /// Walks the phases to the last one that runs, then collects what the build leaves.
    pub(crate) async fn phases(
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
