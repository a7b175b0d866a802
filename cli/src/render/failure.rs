//! The end of a build that did not succeed: the command, its exit status, where it stands, what it said last. These are the
//! last lines a person sees.

use croft_exec::output::plain_text;
use croft_proto::{FailedCommand, Place, Status, Summary};

use super::Style;

/// Characters of a command's line that are shown.
const COMMAND_CHARS_MAX: usize = 200;

/// Lines of a command that are shown.
const COMMAND_LINES_MAX: usize = 10;

/// Lines about the failure; empty when there is nothing to tell.
pub(super) fn lines(style: Style, status: Status, summary: &Summary) -> Vec<String> {
    if let Some(failed) = &summary.failed_command {
        return command_lines(style, status, failed);
    }
    let message = summary
        .failure_message
        .iter()
        .filter(|_| status != Status::Succeeded);
    message
        .flat_map(|message| message.lines())
        .map(|line| format!("  {}", plain_text(line, usize::MAX)))
        .collect()
}

fn command_lines(style: Style, status: Status, failed: &FailedCommand) -> Vec<String> {
    let mut lines = Vec::new();
    let shown = failed.command.lines().take(COMMAND_LINES_MAX);
    for (index, line) in shown.enumerate() {
        let mark = if index == 0 {
            "command     "
        } else {
            "            "
        };
        lines.push(format!(
            "  {mark} {}",
            style.bold(&plain_text(line, COMMAND_CHARS_MAX))
        ));
    }
    let more = failed
        .command
        .lines()
        .count()
        .saturating_sub(COMMAND_LINES_MAX);
    if more > 0 {
        lines.push(format!("               … {more} more lines"));
    }
    lines.push(format!(
        "  exit status  {}",
        style.red(&exit_words(failed.exit_status))
    ));
    lines.push(format!(
        "  in           {} at {}",
        failed.phase,
        place_words(&failed.place)
    ));
    if status == Status::Succeeded {
        lines.push("  the build went on, as its buildspec asks".to_owned());
    }
    if failed.last_lines.is_empty() {
        lines.push("  it wrote nothing".to_owned());
    } else {
        lines.push("  last lines".to_owned());
        lines.extend(
            failed
                .last_lines
                .iter()
                .map(|line| format!("  {} {}", style.dim("│"), plain_text(line, usize::MAX))),
        );
    }
    lines
}

/// The status, and what it commonly means.
fn exit_words(exit_status: i32) -> String {
    let meaning = match exit_status {
        126 => " (found, but cannot be executed)",
        127 => " (command not found)",
        137 => " (killed: SIGKILL, often for want of memory)",
        139 => " (crashed: SIGSEGV)",
        143 => " (terminated: SIGTERM)",
        _ => "",
    };
    format!("{exit_status}{meaning}")
}

/// `file:line:column`, as far as known.
fn place_words(place: &Place) -> String {
    let Place { file, line, column } = place;
    match (line, column) {
        (0, _) => file.clone(),
        (_, 0) => format!("{file}:{line}"),
        _ => format!("{file}:{line}:{column}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_as_exact_as_they_are_known() {
        let place = |line, column| {
            place_words(&Place {
                file: "b.yml".into(),
                line,
                column,
            })
        };
        assert_eq!(place(0, 0), "b.yml");
        assert_eq!(place(3, 0), "b.yml:3");
        assert_eq!(place(3, 7), "b.yml:3:7");
    }

    #[test]
    fn well_known_exit_statuses_are_explained() {
        assert_eq!(exit_words(2), "2");
        assert_eq!(exit_words(127), "127 (command not found)");
    }
}
