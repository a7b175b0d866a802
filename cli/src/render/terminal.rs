//! For a person at a terminal: finished phases are a line each; below them stands what runs, with its time and its last
//! lines, drawn over itself.

use std::fmt;
use std::io::Write;

use croft_exec::output::{Chunk, Sink, Tail};
use croft_proto::{BuildPhase, Event, EventKind, NoticeLevel, PhaseType, Status, Timestamp};

use super::out::Out;
use super::plain::is_shown;
use super::{Style, summary, units};

mod area;

pub use area::Size;

use area::{Area, Row};

/// The status is drawn at most so often: ten times a second looks live, and more only costs.
const DRAW_INTERVAL_MS: u64 = 100;

/// Lines of the running command that are shown where there is room.
const OUTPUT_LINES_MAX: usize = 6;

/// Phases that succeed in less time and ran no command are not worth a line.
const PHASE_WORTH_MS: u64 = 100;

/// Draws a build.
pub struct Terminal<W> {
    out: Out<W>,
    style: Style,
    size: Box<dyn Fn() -> Size + Send>,
    area: Area,
    /// What runs; `None` between phases.
    running: Option<Running>,
    tail: Tail,
    drawn_at: Timestamp,
}

/// The phase that runs.
struct Running {
    phase: PhaseType,
    since: Timestamp,
    expected_ms: Option<u64>,
    command: Option<Command>,
}

struct Command {
    index: u32,
    count: u32,
    finally: bool,
    /// Its first line.
    text: String,
}

impl<W: Write + Send> Terminal<W> {
    /// A rendering to `writer`, a terminal whose size `size` tells each time it is drawn.
    pub fn new(writer: W, style: Style, size: impl Fn() -> Size + Send + 'static) -> Self {
        Self {
            out: Out::new(writer),
            style,
            size: Box::new(size),
            area: Area::default(),
            running: None,
            tail: Tail::new(OUTPUT_LINES_MAX),
            drawn_at: Timestamp::default(),
        }
    }

    /// Writes lines that stay.
    fn say(&mut self, text: &str) {
        let erased = self.area.erase();
        self.out.text(&format!("{erased}{text}\n"));
    }

    fn show(&mut self, time: Timestamp, kind: &EventKind) {
        let style = self.style;
        match kind {
            EventKind::BuildStarted { build, expected_ms } => {
                self.say(&summary::opening(build, *expected_ms))
            }
            EventKind::PhaseStarted { phase, expected_ms } => {
                self.tail.clear();
                self.running = Some(Running {
                    phase: *phase,
                    since: time,
                    expected_ms: *expected_ms,
                    command: None,
                });
            }
            EventKind::PhaseCompleted { phase } => self.phase_completed(phase),
            EventKind::CommandStarted {
                index,
                count,
                finally,
                command,
                ..
            } => {
                self.tail.clear();
                let text = command.lines().next().unwrap_or_default().to_owned();
                let command = Command {
                    index: *index,
                    count: *count,
                    finally: *finally,
                    text,
                };
                if let Some(running) = &mut self.running {
                    running.command = Some(command);
                }
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
                self.running = None;
                self.say(&summary::closing(style, build, summary));
            }
            // Output comes by its own road; a command's end shows in the next one's start; the rest is in the summary.
            EventKind::Output { .. }
            | EventKind::CommandCompleted { .. }
            | EventKind::CacheRestored { .. }
            | EventKind::CacheSaved { .. }
            | EventKind::ReportReady { .. } => {}
        }
    }

    fn phase_completed(&mut self, phase: &BuildPhase) {
        let ran_commands = self
            .running
            .take()
            .is_some_and(|running| running.command.is_some());
        let Some(status) = phase.phase_status else {
            return;
        };
        let millis = phase.millis().unwrap_or(0);
        let worth_a_line = is_shown(phase.phase_type) && (ran_commands || millis >= PHASE_WORTH_MS);
        if status == Status::Succeeded && !worth_a_line {
            return;
        }
        let (mark, word) = match status {
            Status::Succeeded => ("✓", String::new()),
            Status::Failed
            | Status::Fault
            | Status::TimedOut
            | Status::Stopped
            | Status::InProgress => (
                "✗",
                format!("  {}", status.name().to_lowercase().replace('_', " ")),
            ),
        };
        let mark = summary::status_word(self.style, status, mark);
        let took = self.style.dim(&format!("{:>8}", units::duration(millis)));
        self.say(&format!("{mark} {:<16} {took}{word}", phase.phase_type));
    }

    /// Draws what runs over what was drawn last.
    fn draw(&mut self, now: Timestamp) {
        self.drawn_at = now;
        let size = (self.size)();
        let rows = self
            .running
            .as_ref()
            .map(|running| self.rows(running, now, size))
            .unwrap_or_default();
        let text = self.area.draw(&rows, size, self.style);
        self.out.text(&text);
        self.out.flush();
    }

    fn draw_if_due(&mut self, now: Timestamp) {
        // A clock that was set back must not stop the drawing.
        let due = now < self.drawn_at || now.millis_since(self.drawn_at) >= DRAW_INTERVAL_MS;
        if self.running.is_some() && due {
            self.draw(now);
        }
    }

    fn rows(&self, running: &Running, now: Timestamp, size: Size) -> Vec<Row> {
        let elapsed = units::seconds(now.millis_since(running.since));
        let expected = running
            .expected_ms
            .map(|millis| format!(" of about {}", units::seconds(millis)));
        let step = running.command.as_ref().map(|command| {
            let list = if command.finally { "finally " } else { "" };
            format!("  {list}{}/{}", command.index, command.count)
        });
        let status = format!(
            "● {:<16} {elapsed:>8}{}{}",
            running.phase,
            expected.unwrap_or_default(),
            step.unwrap_or_default()
        );
        let mut rows = vec![Row::Plain(status)];
        rows.extend(
            running
                .command
                .as_ref()
                .map(|command| Row::Plain(format!("  $ {}", command.text))),
        );
        let room = usize::from(size.rows).saturating_sub(rows.len() + 2);
        let lines = self.tail.lines(OUTPUT_LINES_MAX.min(room));
        rows.extend(lines.iter().map(|line| Row::Dim(format!("  │ {line}"))));
        rows
    }
}

impl<W: Write + Send> Sink for Terminal<W> {
    fn event(&mut self, event: &Event) {
        self.show(event.time, &event.kind);
        if self.running.is_none() || self.area.is_empty() {
            self.draw(event.time);
        } else {
            self.draw_if_due(event.time);
        }
    }

    fn output(&mut self, chunk: &Chunk<'_>) {
        self.tail.push(chunk.bytes);
        self.draw_if_due(chunk.time);
    }

    fn tick(&mut self, now: Timestamp) {
        self.draw_if_due(now);
    }

    fn finish(&mut self) {
        let erased = self.area.erase();
        self.out.text(&erased);
        self.out.flush();
    }
}

impl<W> fmt::Debug for Terminal<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal")
            .field("style", &self.style)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
