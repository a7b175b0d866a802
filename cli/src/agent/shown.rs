//! A deployment to this machine, for people and programs: lines as they come, what became of each event, and what would be done.

use std::io::{self, Write as _};
use std::path::PathBuf;

use croft_agent::{Forecast, Permitted, Said, Watch};
use croft_proto::deploy::{DeploymentId, Diagnostics, LifecycleEvent};
use serde::Serialize;

use crate::args::Format;
use crate::exit::Exit;
use crate::output::{self, Rows};

/// What happens, as it happens: on standard output for people, on the other where a program reads that.
pub(super) struct Progress {
    format: Format,
}

impl Progress {
    pub(super) const fn new(format: Format) -> Self {
        Self { format }
    }

    pub(super) fn ended(
        &self,
        event: LifecycleEvent,
        status: EventStatus,
        diagnostics: &Diagnostics,
    ) {
        let said = match status {
            EventStatus::Succeeded => "succeeded".to_string(),
            EventStatus::Failed => format!("failed: {}", diagnostics.message),
            EventStatus::Skipped => "skipped".to_string(),
        };
        self.line(&format!("[{event}] {said}"));
    }

    /// A reader that is gone ends the showing, and not the deployment.
    fn line(&self, line: &str) {
        match self.format {
            Format::Table | Format::Wide | Format::Name => {
                writeln!(io::stdout(), "{line}").unwrap_or_default();
            }
            Format::Json | Format::Yaml | Format::Ndjson => {
                writeln!(io::stderr(), "{line}").unwrap_or_default();
            }
        }
    }
}

impl Watch for Progress {
    fn said(&self, said: &Said<'_>) {
        match said {
            Said::Event(event) => self.line(&format!("[{event}]")),
            Said::Script { location, from } => self.line(&format!("{location} (of {from})")),
            Said::Line { stream, text } => self.line(&format!("{}{text}", stream.prefix())),
            Said::Note(_) => {}
        }
    }
}

/// How an event ended, in AWS's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum EventStatus {
    Succeeded,
    Failed,
    Skipped,
}

/// An event and how it ended.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ended {
    #[serde(rename = "lifecycleEventName")]
    pub(super) event: LifecycleEvent,
    pub(super) status: EventStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) diagnostics: Option<Diagnostics>,
}

impl Ended {
    pub(super) const fn skipped(event: LifecycleEvent) -> Self {
        Self {
            event,
            status: EventStatus::Skipped,
            diagnostics: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Status {
    Succeeded,
    Failed,
    Stopped,
}

/// The whole deployment.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    deployment_id: DeploymentId,
    status: Status,
    /// Where its scripts are logged.
    log: PathBuf,
    #[serde(rename = "lifecycleEvents")]
    pub(super) events: Vec<Ended>,
}

impl Summary {
    pub(super) fn new(id: &DeploymentId, log: PathBuf) -> Self {
        Self {
            deployment_id: id.clone(),
            status: Status::Succeeded,
            log,
            events: Vec::new(),
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.events
            .iter()
            .any(|ended| ended.status == EventStatus::Failed)
    }

    /// Says how it ended, once every event has.
    pub(super) fn settle(&mut self, is_stopped: bool) {
        let is_whole = self
            .events
            .iter()
            .all(|ended| ended.status == EventStatus::Succeeded);
        self.status = match (is_whole, is_stopped) {
            (true, _) => Status::Succeeded,
            (false, true) => Status::Stopped,
            (false, false) => Status::Failed,
        };
    }

    pub(super) fn print(&self, format: Format) -> anyhow::Result<()> {
        let id = &self.deployment_id;
        match format {
            Format::Json | Format::Yaml | Format::Ndjson => output::value(self, format),
            Format::Name => output::text(&format!("{id}\n")),
            Format::Table | Format::Wide => {
                let log = self.log.display();
                output::text(&match self.status {
                    Status::Succeeded => format!("{id} succeeded\n"),
                    Status::Failed => format!("{id} failed; its log is {log}\n"),
                    Status::Stopped => format!("{id} was stopped; its log is {log}\n"),
                })
            }
        }
    }

    pub(super) const fn exit(&self) -> Exit {
        match self.status {
            Status::Succeeded => Exit::Succeeded,
            Status::Failed => Exit::BuildFailed,
            Status::Stopped => Exit::Stopped,
        }
    }
}

/// One thing that would be done.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    action: &'static str,
    path: String,
    detail: String,
}

impl Rows for Step {
    fn titles() -> (Vec<&'static str>, usize) {
        (vec!["ACTION", "PATH", "DETAIL"], 3)
    }

    fn cells(&self) -> Vec<String> {
        vec![self.action.into(), self.path.clone(), self.detail.clone()]
    }

    fn name(&self) -> String {
        self.path.clone()
    }
}

/// Everything that would be done: files, whose they are, scripts.
pub(super) fn steps(forecast: &Forecast) -> Vec<Step> {
    let files = &forecast.files;
    let lists = [
        ("remove", &files.removes),
        ("create", &files.creates),
        ("overwrite", &files.overwrites),
        ("keep", &files.unchanged),
        ("retain", &files.retained),
    ];
    let mut steps: Vec<Step> = Vec::new();
    for (action, paths) in lists {
        steps.extend(paths.iter().map(|path| Step {
            action,
            path: path.clone(),
            detail: String::new(),
        }));
    }
    steps.extend(files.permissions.iter().map(|permitted| Step {
        action: "permit",
        path: permitted.path.clone(),
        detail: permissions(permitted),
    }));
    for hook in &forecast.hooks {
        let from = hook.from_deployment.as_ref();
        let from = from.map(|id| format!(" of {id}")).unwrap_or_default();
        steps.extend(hook.scripts.iter().map(|script| {
            let whom = script.runas.as_ref();
            let whom = whom.map(|user| format!(" as {user}")).unwrap_or_default();
            let sudo = if script.sudo { " by sudo" } else { "" };
            Step {
                action: "run",
                path: format!("{}{from}", script.location),
                detail: format!("{}, {} s{whom}{sudo}", hook.event, script.timeout),
            }
        }));
    }
    steps
}

fn permissions(permitted: &Permitted) -> String {
    let parts = [
        ("mode", permitted.mode.clone()),
        ("owner", permitted.owner.clone()),
        ("group", permitted.group.clone()),
        (
            "acls",
            Some(permitted.acls.join(",")).filter(|acls| !acls.is_empty()),
        ),
        ("context", permitted.context.clone()),
    ];
    let said = parts
        .into_iter()
        .filter_map(|(what, value)| Some(format!("{what} {}", value?)));
    said.collect::<Vec<_>>().join(", ")
}
