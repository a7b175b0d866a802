//! For pipes and logs: every line of output with its phase in front, and a line for each thing that happens. Bytes that are
//! no text pass as they are.

use std::io::Write;

use croft_exec::output::{Chunk, Sink};
use croft_proto::{BuildPhase, Event, EventKind, NoticeLevel, PhaseType, Status};

use super::out::Out;
use super::{Style, summary, units};

/// Writes lines.
#[derive(Debug)]
pub struct Plain<W> {
    out: Out<W>,
    style: Style,
    /// The last line of output has no end yet.
    in_line: bool,
}

impl<W: Write + Send> Plain<W> {
    /// A rendering to `writer`.
    pub const fn new(writer: W, style: Style) -> Self {
        Self {
            out: Out::new(writer),
            style,
            in_line: false,
        }
    }

    /// Writes lines of ours, at a line's start.
    fn say(&mut self, text: &str) {
        self.end_line();
        self.out.text(text);
        self.out.text("\n");
    }

    fn say_in(&mut self, phase: PhaseType, text: &str) {
        for line in text.lines() {
            self.say(&format!("[{phase}] {line}"));
        }
    }

    fn end_line(&mut self) {
        if std::mem::replace(&mut self.in_line, false) {
            self.out.text("\n");
        }
    }

    fn phase_completed(&mut self, phase: &BuildPhase) {
        let Some(status) = phase.phase_status else {
            return;
        };
        if status == Status::Succeeded && !is_shown(phase.phase_type) {
            return;
        }
        let word = summary::status_word(
            self.style,
            status,
            &status.name().to_lowercase().replace('_', " "),
        );
        let took = phase
            .millis()
            .map(|millis| format!(" in {}", units::duration(millis)))
            .unwrap_or_default();
        self.say_in(phase.phase_type, &format!("{word}{took}"));
    }

    fn show(&mut self, kind: &EventKind) {
        let style = self.style;
        match kind {
            EventKind::BuildStarted { build, expected_ms } => {
                self.say(&summary::opening(build, *expected_ms))
            }
            EventKind::PhaseStarted { phase, expected_ms } if is_shown(*phase) => {
                self.say_in(
                    *phase,
                    &format!("started{}", summary::usually(*expected_ms)),
                );
            }
            EventKind::PhaseCompleted { phase } => self.phase_completed(phase),
            EventKind::CommandStarted { phase, command, .. } => {
                let marked = command
                    .lines()
                    .map(|line| style.bold(&format!("$ {line}")))
                    .collect::<Vec<_>>();
                self.say_in(*phase, &marked.join("\n"));
            }
            EventKind::CommandCompleted {
                phase,
                exit_status,
                duration_ms,
                ..
            } if *exit_status != 0 => {
                let text = format!(
                    "exit status {exit_status} after {}",
                    units::duration(*duration_ms)
                );
                self.say_in(*phase, &style.red(&text));
            }
            EventKind::Notice { level, message } => {
                self.say(&summary::notice(style, *level, message))
            }
            EventKind::Retrying {
                attempt,
                attempts_max,
                reason,
            } => {
                let text = summary::retrying(*attempt, *attempts_max, reason);
                self.say(&summary::notice(style, NoticeLevel::Warning, &text));
            }
            EventKind::BuildCompleted { build, summary } => {
                self.say(&summary::closing(style, build, summary))
            }
            // Output comes by its own road; reports and cache are told in the summary.
            EventKind::Output { .. }
            | EventKind::PhaseStarted { .. }
            | EventKind::CommandCompleted { .. }
            | EventKind::CacheRestored { .. }
            | EventKind::CacheSaved { .. }
            | EventKind::ReportReady { .. } => {}
        }
    }
}

/// False for phases that are over at once in a local build; they are told only when they do not succeed.
pub(super) fn is_shown(phase: PhaseType) -> bool {
    !matches!(
        phase,
        PhaseType::Submitted | PhaseType::Queued | PhaseType::Finalizing | PhaseType::Completed
    )
}

impl<W: Write + Send> Sink for Plain<W> {
    fn event(&mut self, event: &Event) {
        self.show(&event.kind);
        self.out.flush();
    }

    fn output(&mut self, chunk: &Chunk<'_>) {
        let prefix = format!("[{}] ", chunk.phase);
        let mut rest = chunk.bytes;
        while !rest.is_empty() {
            if !self.in_line {
                self.out.text(&prefix);
            }
            rest = self.out.first_line(rest);
            self.in_line = true;
            if !rest.is_empty() || chunk.bytes.ends_with(b"\n") {
                self.in_line = false;
            }
        }
        self.out.flush();
    }

    fn finish(&mut self) {
        self.end_line();
        self.out.flush();
    }
}

#[cfg(test)]
mod tests;
