//! Words for a person: which tests failed and what each said first. Receives a report, hands back lines that are safe to
//! print, whatever a test put into its message.

use croft_proto::{CaseStatus, Report, TestCase};

use super::text::cut;

/// How many characters of a name and of a message fit on a line that a person reads.
const SHOWN_CHARS_MAX: usize = 200;

/// One line for each of the first `lines_max` failed tests, `class::name: first line of its message`, and a last line that
/// counts those left out. Empty when none failed.
#[must_use]
pub fn summarise_failures(report: &Report, lines_max: usize) -> Vec<String> {
    let is_failed =
        |case: &&TestCase| matches!(case.status, CaseStatus::Failed | CaseStatus::Error);
    let mut lines: Vec<String> = report
        .test_cases
        .iter()
        .filter(is_failed)
        .take(lines_max)
        .map(line)
        .collect();
    let counts = report
        .test_summary
        .as_ref()
        .map(|summary| &summary.status_counts);
    let failed: u64 = [CaseStatus::Failed, CaseStatus::Error]
        .iter()
        .filter_map(|status| counts?.get(status))
        .sum();
    let left = failed.saturating_sub(u64::try_from(lines.len()).unwrap_or(u64::MAX));
    if left > 0 {
        lines.push(format!("and {left} more"));
    }
    lines
}

fn line(case: &TestCase) -> String {
    let group = if case.prefix.is_empty() {
        &case.test_suite_name
    } else {
        &case.prefix
    };
    let name = match (group.is_empty(), case.name.is_empty()) {
        (true, true) => "(a test without a name)".to_owned(),
        (true, false) => case.name.clone(),
        (false, true) => group.clone(),
        (false, false) if *group == case.name => case.name.clone(),
        (false, false) => format!("{group}::{}", case.name),
    };
    let said = case
        .message
        .lines()
        .map(plain)
        .find(|line| !line.is_empty());
    match said {
        Some(said) => format!("{}: {said}", plain(&name)),
        None => plain(&name),
    }
}

/// The text without colours and other control sequences, trimmed and cut.
fn plain(text: &str) -> String {
    let mut kept = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            if characters.next_if_eq(&'[').is_some() {
                // Parameters run up to the letter that ends the sequence.
                while characters
                    .next()
                    .is_some_and(|part| !('@'..='~').contains(&part))
                {}
            }
        } else if character == '\t' || character == '\n' || character == '\r' {
            kept.push(' ');
        } else if !character.is_control() {
            kept.push(character);
        }
    }
    let trimmed = kept.trim();
    let shown = cut(trimmed, SHOWN_CHARS_MAX);
    if shown.len() < trimmed.len() {
        format!("{shown}…")
    } else {
        shown.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use croft_spec::FileFormat;

    fn lines(xml: &str, lines_max: usize) -> Vec<String> {
        summarise_failures(
            &crate::read_one(FileFormat::JunitXml, "r.xml", xml.as_bytes()),
            lines_max,
        )
    }

    #[test]
    fn failed_tests_are_named_with_the_first_line_they_said() {
        let xml = "<testsuite name='suite'>\
            <testcase name='fine'/>\
            <testcase classname='pkg.Class' name='adds'><failure message='&#10;  1 != 2&#10;more'/></testcase>\
            <testcase name='breaks'><error/></testcase>\
            <testcase classname='same' name='same'><failure>&#x1b;[31mred&#x1b;[0m\ttext</failure></testcase>\
            </testsuite>";
        assert_eq!(
            lines(xml, 10),
            ["pkg.Class::adds: 1 != 2", "suite::breaks", "same: red text"]
        );
        assert_eq!(lines(xml, 1), ["pkg.Class::adds: 1 != 2", "and 2 more"]);
        assert!(lines("<testsuite><testcase name='a'/></testsuite>", 5).is_empty());
    }

    #[test]
    fn control_sequences_and_long_lines_do_not_reach_the_screen() {
        assert_eq!(plain("\u{1b}[1;31mred\u{1b}[0m\u{7}\u{8} x\u{1b}"), "red x");
        assert_eq!(plain(&"x".repeat(500)).chars().count(), SHOWN_CHARS_MAX + 1);
    }
}
