//! What is told at a build's beginning and end, the same for a terminal and for a pipe.

use croft_exec::output::plain_text;
use croft_proto::{
    ArtifactSummary, Build, CacheMethod, CacheStatus, CacheSummary, CaseStatus, CommandSummary,
    NoticeLevel, Report, Status, Summary, TestCase, TestSummary,
};

use super::{Style, failure, units};

/// Failing tests named for each report; the rest are counted.
const FAILED_CASES_MAX: usize = 10;

/// Lines shown of what a failing test said.
const MESSAGE_LINES_MAX: usize = 5;

/// Characters shown of a line that has a place of its own.
const LINE_CHARS_MAX: usize = 160;

/// The first line.
pub(super) fn opening(build: &Build, expected_ms: Option<u64>) -> String {
    let Build {
        id,
        build_number,
        image,
        ..
    } = build;
    format!(
        "Build {build_number} of {}, {id}, on {image}{}",
        build.project_name,
        usually(expected_ms)
    )
}

/// `, usually 1m 05s`, when that is known.
pub(super) fn usually(expected_ms: Option<u64>) -> String {
    expected_ms
        .map(|millis| format!(", usually {}", units::duration(millis)))
        .unwrap_or_default()
}

/// A notice, with its level when it is more than good to know.
pub(super) fn notice(style: Style, level: NoticeLevel, message: &str) -> String {
    let lines: Vec<String> = message.lines().map(clean).collect();
    let message = lines.join("\n");
    match level {
        NoticeLevel::Info => message,
        NoticeLevel::Warning => format!("{}: {message}", style.yellow("warning")),
        NoticeLevel::Error => format!("{}: {message}", style.red("error")),
    }
}

/// Text that a repository had a hand in, without what could move a terminal's cursor.
fn clean(text: &str) -> String {
    plain_text(text, usize::MAX)
}

/// What is said before another try.
pub(super) fn retrying(attempt: u32, attempts_max: u32, reason: &str) -> String {
    format!("trying again, {attempt} of {attempts_max}, because of: {reason}")
}

/// `text` in the colour of the status.
pub(super) fn status_word(style: Style, status: Status, text: &str) -> String {
    match status {
        Status::Succeeded => style.green(text),
        Status::Failed | Status::Fault | Status::TimedOut => style.red(text),
        Status::Stopped | Status::InProgress => style.yellow(text),
    }
}

/// The last lines: what came of the build, and, when it did not succeed, why.
pub(super) fn closing(style: Style, build: &Build, summary: &Summary) -> String {
    let mut lines = vec![String::new()];
    for report in &summary.reports {
        report_lines(style, report, &mut lines);
    }
    for artifact in &summary.artifacts {
        lines.push(row("Artifacts", &artifact_words(artifact)));
    }
    for cache in summary.cache_restored.iter().chain(&summary.cache_saved) {
        lines.push(row("Cache", &cache_words(style, cache)));
    }
    for (index, slow) in summary.slowest_commands.iter().enumerate() {
        lines.push(row(
            if index == 0 { "Slowest" } else { "" },
            &slow_words(slow),
        ));
    }
    if !summary.log_path.is_empty() {
        lines.push(row("Log", &summary.log_path));
    }
    lines.push(String::new());
    lines.push(result_line(style, build));
    lines.extend(failure::lines(style, build.build_status, summary));
    lines.join("\n")
}

fn result_line(style: Style, build: &Build) -> String {
    let status = build.build_status;
    let took = build.end_time.map(|end| {
        format!(
            " in {}",
            units::duration(end.millis_since(build.start_time))
        )
    });
    let phase = build.phases.iter().find(|phase| {
        phase
            .phase_status
            .is_some_and(|phase_status| phase_status != Status::Succeeded)
            && status != Status::Succeeded
    });
    let at = phase
        .map(|phase| format!(" at {}", phase.phase_type))
        .unwrap_or_default();
    format!(
        "{}{at}{}",
        style.bold(&status_word(style, status, status.name())),
        took.unwrap_or_default()
    )
}

fn row(name: &str, text: &str) -> String {
    format!("{name:<10} {text}")
}

fn report_lines(style: Style, report: &Report, lines: &mut Vec<String>) {
    if let Some(tests) = &report.test_summary {
        lines.push(row("Tests", &tests_words(style, report, tests)));
        failed_case_lines(style, report, tests, lines);
    }
    if let Some(coverage) = &report.code_coverage_summary {
        let mut text = format!("{:.1}% of lines", coverage.line_coverage_percentage);
        if coverage.branches_covered + coverage.branches_missed > 0 {
            text += &format!(", {:.1}% of branches", coverage.branch_coverage_percentage);
        }
        lines.push(row(
            "Coverage",
            &format!("{text} ({})", clean(&report.name)),
        ));
    }
    if report.test_summary.is_none() && report.code_coverage_summary.is_none() {
        lines.push(row(
            "Report",
            &format!("{} holds nothing", clean(&report.name)),
        ));
    }
    for problem in &report.problems {
        lines.push(row("", &style.yellow(&plain_text(problem, LINE_CHARS_MAX))));
    }
}

fn tests_words(style: Style, report: &Report, tests: &TestSummary) -> String {
    let count = |status| tests.status_counts.get(&status).copied().unwrap_or(0);
    let failed = count(CaseStatus::Failed) + count(CaseStatus::Error);
    let mut words = vec![style.green(&format!(
        "{} passed",
        units::count(count(CaseStatus::Succeeded))
    ))];
    if failed > 0 {
        words.push(style.red(&format!("{} failed", units::count(failed))));
    }
    for (status, word) in [
        (CaseStatus::Skipped, "skipped"),
        (CaseStatus::Unknown, "unknown"),
    ] {
        if count(status) > 0 {
            words.push(format!("{} {word}", units::count(count(status))));
        }
    }
    let took = units::duration(tests.duration_in_nano_seconds / 1_000_000);
    format!(
        "{} of {} in {took} ({})",
        words.join(", "),
        units::count(tests.total),
        report.name
    )
}

fn failed_case_lines(style: Style, report: &Report, tests: &TestSummary, lines: &mut Vec<String>) {
    let is_failed =
        |case: &&TestCase| matches!(case.status, CaseStatus::Failed | CaseStatus::Error);
    for case in report
        .test_cases
        .iter()
        .filter(is_failed)
        .take(FAILED_CASES_MAX)
    {
        lines.push(row(
            "",
            &format!("{} {}", style.red("✗"), style.bold(&case_name(case))),
        ));
        let said = case
            .message
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty());
        for line in said.take(MESSAGE_LINES_MAX) {
            lines.push(row("", &format!("  {}", plain_text(line, LINE_CHARS_MAX))));
        }
    }
    let count = |status| tests.status_counts.get(&status).copied().unwrap_or(0);
    let failed = count(CaseStatus::Failed) + count(CaseStatus::Error);
    let more = failed.saturating_sub(FAILED_CASES_MAX as u64);
    if more > 0 {
        lines.push(row(
            "",
            &format!("… and {} more failed", units::count(more)),
        ));
    }
}

/// The suite, the class or file, and the case, as far as they differ.
fn case_name(case: &TestCase) -> String {
    let mut parts: Vec<&str> = [&case.test_suite_name, &case.prefix, &case.name]
        .map(String::as_str)
        .to_vec();
    parts.retain(|part| !part.is_empty());
    parts.dedup();
    plain_text(&parts.join(" › "), LINE_CHARS_MAX)
}

fn artifact_words(artifact: &ArtifactSummary) -> String {
    let name = artifact
        .artifact_identifier
        .iter()
        .map(|name| format!("{}: ", clean(name)))
        .collect::<String>();
    let (files, size) = (
        units::counted(artifact.files, "file"),
        units::size(artifact.size_bytes),
    );
    format!("{name}{}, {files}, {size}", clean(&artifact.location))
}

fn cache_words(style: Style, cache: &CacheSummary) -> String {
    let contents = format!(
        "{}, {} in {}",
        units::counted(cache.files, "file"),
        units::size(cache.size_bytes),
        units::duration(cache.duration_ms)
    );
    let contents = match cache.method {
        Some(CacheMethod::Mounted) => format!("{contents}, mounted"),
        Some(CacheMethod::Copied) => format!("{contents}, copied"),
        None => contents,
    };
    let mut text = match cache.status {
        CacheStatus::Hit => format!("{}: {contents}", style.green("hit")),
        CacheStatus::Fallback => format!("{}: {contents}", style.green("hit by a fallback key")),
        CacheStatus::Miss => style.yellow("miss"),
        CacheStatus::Saved => format!("saved: {contents}, {} new", units::size(cache.stored_bytes)),
        CacheStatus::Unchanged => format!("unchanged: {contents}"),
        CacheStatus::Skipped => "skipped".to_owned(),
        CacheStatus::Unusable => style.yellow("unusable"),
    };
    if let Some(key) = &cache.key {
        text += &format!(" ({})", clean(key));
    }
    if let Some(detail) = &cache.detail {
        text += &format!(": {}", clean(detail));
    }
    text
}

fn slow_words(slow: &CommandSummary) -> String {
    let mut lines = slow.command.lines();
    let first = plain_text(lines.next().unwrap_or_default(), LINE_CHARS_MAX);
    let more = if lines.next().is_some() { " …" } else { "" };
    format!(
        "{:>7} {:<10} {first}{more}",
        units::duration(slow.duration_ms),
        slow.phase
    )
}
