//! The record of one build as it goes: its phases with their times and contexts. Told by the engine, shown by the writer.

use std::sync::Arc;

use croft_exec::output::Writer;
use croft_proto::{Build, BuildPhase, EventKind, PhaseContext, PhaseType, Status, Timestamp};

use crate::request::Expected;

/// Why a phase ended as it did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Context {
    code: String,
    message: String,
}

impl Context {
    pub(crate) fn none() -> Self {
        Self::default()
    }

    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_string(),
            message: message.into(),
        }
    }
}

/// A build and the writer it is shown by.
#[derive(Debug)]
pub(crate) struct Timeline {
    pub(crate) build: Build,
    pub(crate) writer: Arc<Writer>,
    pub(crate) clock: fn() -> Timestamp,
    pub(crate) expected: Expected,
    /// The message of the first phase that did not succeed; one that `on-failure: CONTINUE` forgave is forgotten.
    pub(crate) failure: Option<String>,
}

impl Timeline {
    pub(crate) fn begin(&mut self, phase: PhaseType) {
        self.build.current_phase = phase;
        self.build.phases.push(BuildPhase {
            phase_type: phase,
            phase_status: None,
            start_time: (self.clock)(),
            end_time: None,
            duration_in_seconds: None,
            contexts: Vec::new(),
        });
        let expected_ms = self.expected.phases_ms.get(&phase).copied();
        self.writer
            .emit(EventKind::PhaseStarted { phase, expected_ms });
    }

    /// Ends the phase that runs.
    pub(crate) fn end(&mut self, status: Status, context: Context) {
        let now = (self.clock)();
        let unexplained = status == Status::TimedOut && context.message.is_empty();
        let context = if unexplained {
            Context::new("BUILD_TIMED_OUT", "the build's time limit was reached")
        } else {
            context
        };
        let Some(phase) = self.build.phases.last_mut() else {
            return;
        };
        if status != Status::Succeeded && self.failure.is_none() && !context.message.is_empty() {
            self.failure = Some(context.message.clone());
        }
        phase.phase_status = Some(status);
        phase.end_time = Some(now);
        phase.duration_in_seconds = Some(now.millis_since(phase.start_time) / 1000);
        phase.contexts = vec![PhaseContext {
            status_code: context.code,
            message: context.message,
        }];
        let phase = phase.clone();
        self.writer.emit(EventKind::PhaseCompleted { phase });
    }

    /// The message of the command phase that failed last; empty when none did.
    pub(crate) fn last_failure(&self) -> String {
        let mut phases = self.build.phases.iter().rev();
        let failed = phases.find(|phase| {
            PhaseType::COMMANDS.contains(&phase.phase_type)
                && phase.phase_status == Some(Status::Failed)
        });
        failed
            .and_then(|phase| phase.contexts.first())
            .map(|context| context.message.clone())
            .unwrap_or_default()
    }

    /// The phases before anything runs: accepted then, or now, and queued until now.
    pub(crate) fn waited(&mut self, submitted: Option<Timestamp>) {
        for phase in [PhaseType::Submitted, PhaseType::Queued] {
            self.begin(phase);
            if let (Some(since), Some(begun)) = (submitted, self.build.phases.last_mut()) {
                begun.start_time = since;
            }
            self.end(Status::Succeeded, Context::none());
        }
        // Being accepted takes no time; waiting does.
        if let (Some(since), Some(accepted)) = (submitted, self.build.phases.first_mut()) {
            accepted.end_time = Some(since);
            accepted.duration_in_seconds = Some(0);
        }
    }

    /// Forgets the phases of a try that will be repeated; the submission stays.
    pub(crate) fn start_over(&mut self) {
        self.build
            .phases
            .retain(|phase| phase.phase_type <= PhaseType::Queued);
        self.failure = None;
    }

    pub(crate) fn complete(&mut self, status: Status) {
        let now = (self.clock)();
        self.build.current_phase = PhaseType::Completed;
        self.build.build_status = status;
        self.build.build_complete = true;
        self.build.end_time = Some(now);
        self.build.phases.push(BuildPhase {
            phase_type: PhaseType::Completed,
            phase_status: None,
            start_time: now,
            end_time: None,
            duration_in_seconds: None,
            contexts: Vec::new(),
        });
    }
}
