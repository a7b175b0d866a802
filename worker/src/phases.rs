//! INSTALL to POST_BUILD: each phase's commands, then its `finally`; what follows what is the journey's word.
//! Receives a prepared place from the try, hands back what comes after the last phase.

use croft_proto::{PhaseType, Status, Summary};
use croft_spec::OnFailure;

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
            let known = (summary.failed_command.clone(), timeline.failure.clone());
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
            if matches!(
                (&ended, &on_failure),
                (Ended::Failed { .. }, OnFailure::Continue)
            ) {
                // Not what fails the build: should that still come, it is what a person must be shown.
                (summary.failed_command, timeline.failure) = known;
            }
            match self.journey.after(phase, &ended, &on_failure) {
                Next::Phase(next) => phase = next,
                end @ (Next::Upload | Next::Finish | Next::Retry { .. }) => break end,
            }
        };
        self.export(prepared, timeline);
        if matches!(next, Next::Retry { .. }) {
            return next;
        }
        let reachable = self.journey.status() != Status::Fault;
        if phase >= PhaseType::Build && reachable {
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
            let cut = match end {
                ListEnd::Interrupted(status) => Some(status),
                ListEnd::Succeeded | ListEnd::Failed(_) | ListEnd::Lost(_) => None,
            };
            let mut limit = self.interrupts.of_finally(cut);
            let finally = session
                .run_list(of, &contents.finally, Limit::Finally(&mut limit))
                .await;
            end = after_finally(end, finally, limit.happened(), summary);
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

/// A phase's end after its `finally`: a lost place before all, then an interruption, which ends the build whatever failed
/// before it, then the first failure.
fn after_finally(
    commands: ListEnd,
    finally: ListEnd,
    interrupted: Option<Status>,
    summary: &mut Summary,
) -> ListEnd {
    match (commands, finally, interrupted) {
        (_, lost @ ListEnd::Lost(_), _) => lost,
        (ListEnd::Failed(failed), _, Some(status)) => {
            // A person still wants to know what had failed.
            summary.failed_command.get_or_insert(failed);
            ListEnd::Interrupted(status)
        }
        (_, _, Some(status)) => ListEnd::Interrupted(status),
        (ListEnd::Succeeded, finally, None) => finally,
        (commands, _, None) => commands,
    }
}

/// What a list's end means for its phase. The first failed command of the build is the one a person is shown.
fn ended(end: ListEnd, summary: &mut Summary) -> (Ended, Option<Context>) {
    match end {
        ListEnd::Succeeded => (Ended::Succeeded, None),
        ListEnd::Interrupted(status) => (Ended::Interrupted(status), None),
        ListEnd::Lost(error) => {
            let message = if error.kind() == std::io::ErrorKind::TimedOut {
                format!("a command cannot be ended: {error}")
            } else {
                format!("the build's place was taken away while a command ran: {error}")
            };
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
