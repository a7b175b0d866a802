//! The words the log has for each event: CodeBuild's own where it has some, so that people and scripts that read its logs
//! read ours.

use std::fmt::Write as _;

use croft_proto::{
    BuildPhase, CacheMethod, CacheStatus, CacheSummary, CaseStatus, EventKind, NoticeLevel,
    PhaseContext, Report, Timestamp,
};

/// The lines an event adds to the log, without their prefix; none for output.
///
/// `command` is the command that ran last.
pub(super) fn lines(kind: &EventKind, command: &str) -> Vec<String> {
    match kind {
        EventKind::BuildStarted { build, .. } => {
            vec![
                format!("Build {} number {}", build.id, build.build_number),
                format!("Running on {}", build.image),
            ]
        }
        EventKind::PhaseStarted { phase, .. } => vec![format!("Entering phase {phase}")],
        EventKind::PhaseCompleted { phase } => phase_lines(phase),
        EventKind::CommandStarted { command, .. } => vec![format!("Running command {command}")],
        EventKind::CommandCompleted { exit_status: 0, .. } | EventKind::Output { .. } => Vec::new(),
        EventKind::CommandCompleted { exit_status, .. } => {
            vec![format!(
                "Command did not exit successfully {command} exit status {exit_status}"
            )]
        }
        EventKind::Notice { level, message } => vec![notice_line(*level, message)],
        EventKind::CacheRestored { cache } => vec![cache_line("restore", cache)],
        EventKind::CacheSaved { cache } => vec![cache_line("save", cache)],
        EventKind::ReportReady { report } => report_lines(report),
        EventKind::Retrying {
            attempt,
            attempts_max,
            reason,
        } => {
            vec![format!(
                "Retrying the build, attempt {attempt} of {attempts_max}: {reason}"
            )]
        }
        EventKind::BuildCompleted { build, .. } => {
            vec![format!("Build complete State: {}", build.build_status)]
        }
    }
}

fn phase_lines(phase: &BuildPhase) -> Vec<String> {
    let Some(status) = phase.phase_status else {
        return Vec::new();
    };
    let silent = [PhaseContext::default()];
    let contexts = if phase.contexts.is_empty() {
        &silent
    } else {
        phase.contexts.as_slice()
    };
    let complete = format!("Phase complete: {} State: {status}", phase.phase_type);
    let context_line = |context: &PhaseContext| {
        format!(
            "Phase context status code: {} Message: {}",
            context.status_code, context.message
        )
    };
    std::iter::once(complete)
        .chain(contexts.iter().map(context_line))
        .collect()
}

fn notice_line(level: NoticeLevel, message: &str) -> String {
    match level {
        NoticeLevel::Info => message.to_owned(),
        NoticeLevel::Warning => format!("Warning: {message}"),
        NoticeLevel::Error => format!("Error: {message}"),
    }
}

fn cache_line(what: &str, cache: &CacheSummary) -> String {
    let status = match cache.status {
        CacheStatus::Hit => "hit",
        CacheStatus::Fallback => "fallback",
        CacheStatus::Miss => "miss",
        CacheStatus::Saved => "saved",
        CacheStatus::Unchanged => "unchanged",
        CacheStatus::Skipped => "skipped",
        CacheStatus::Unusable => "unusable",
    };
    let mut line = format!(
        "Cache {what}: {status}, {} files, {} bytes, {} ms",
        cache.files, cache.size_bytes, cache.duration_ms
    );
    match cache.method {
        Some(CacheMethod::Mounted) => line += ", mounted",
        Some(CacheMethod::Copied) => line += ", copied",
        None => {}
    }
    for (name, value) in [("key", &cache.key), ("because", &cache.detail)] {
        if let Some(value) = value {
            write!(line, ", {name} {value}").expect("a String takes whatever is written to it");
        }
    }
    line
}

fn report_lines(report: &Report) -> Vec<String> {
    let mut line = format!("Report {}:", report.name);
    if let Some(tests) = &report.test_summary {
        let count = |status| tests.status_counts.get(&status).copied().unwrap_or(0);
        let failed = count(CaseStatus::Failed) + count(CaseStatus::Error);
        write!(line, " {} tests, {failed} failed", tests.total)
            .expect("a String takes whatever is written to it");
    }
    if let Some(coverage) = &report.code_coverage_summary {
        write!(
            line,
            " {:.1} % of lines covered",
            coverage.line_coverage_percentage
        )
        .expect("a String takes whatever is written to it");
    }
    std::iter::once(line)
        .chain(
            report
                .problems
                .iter()
                .map(|problem| format!("Report {}: {problem}", report.name)),
        )
        .collect()
}

/// A moment as CodeBuild's log writes it, in UTC: `2026/01/02 15:04:05.123000`.
#[must_use]
pub fn log_time(time: Timestamp) -> String {
    let (days, millis) = (time.millis() / 86_400_000, time.millis() % 86_400_000);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60);
    format!(
        "{year}/{month:02}/{day:02} {hour:02}:{minute:02}:{second:02}.{:03}000",
        millis % 1000
    )
}

/// Year, month and day of the day so many days after 1970-01-01.
///
/// Years are counted from March, so that the day a leap year adds is the last; four hundred of them have 146,097 days.
const fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_dates() {
        let cases = [
            (0, "1970/01/01 00:00:00.000000"),
            (951_782_399_999, "2000/02/28 23:59:59.999000"),
            (951_782_400_000, "2000/02/29 00:00:00.000000"),
            (1_767_366_245_123, "2026/01/02 15:04:05.123000"),
            (4_107_542_400_000, "2100/03/01 00:00:00.000000"),
        ];
        for (millis, text) in cases {
            assert_eq!(log_time(Timestamp::from_millis(millis)), text);
        }
    }

    #[test]
    fn a_cache_line_says_what_happened_and_why() {
        let cache = CacheSummary {
            status: CacheStatus::Unusable,
            key: Some("cargo-1".into()),
            files: 0,
            size_bytes: 0,
            stored_bytes: 0,
            duration_ms: 4,
            method: None,
            detail: Some("the disk is full".into()),
        };
        let line = cache_line("save", &cache);
        assert_eq!(
            line,
            "Cache save: unusable, 0 files, 0 bytes, 4 ms, key cargo-1, because the disk is full"
        );
    }
}
