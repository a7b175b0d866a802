//! What a build leaves behind: reports, artifacts, cache, and the summary a person reads at the end.
//! Made by the worker's collectors; rendered by the command line, kept as JSON.

use serde::{Deserialize, Serialize};

use crate::{PhaseType, Place};

/// What kind of report it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReportType {
    /// Test cases.
    Test,
    /// Lines and branches covered.
    CodeCoverage,
}

/// How a report stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReportStatus {
    /// Read whole; no test failed.
    Succeeded,
    /// Read whole; at least one test failed or had an error.
    Failed,
    /// No file matched, or a file could not be read to its end.
    Incomplete,
}

/// How one test case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CaseStatus {
    /// Passed.
    Succeeded,
    /// An assertion did not hold.
    Failed,
    /// It broke before it could say.
    Error,
    /// Not run.
    Skipped,
    /// The report does not tell.
    Unknown,
}

/// One test case. Names are cut at 1,000 characters and messages at 5,000, as AWS does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestCase {
    /// The class or file the case belongs to; may be empty.
    pub prefix: String,
    /// The suite's name; may be empty.
    pub test_suite_name: String,
    /// The case's name.
    pub name: String,
    /// How it ended.
    pub status: CaseStatus,
    /// What it said; empty when it passed.
    pub message: String,
    /// Nanoseconds.
    pub duration_in_nano_seconds: u64,
    /// The report file it came from, relative to the source directory.
    pub test_raw_data_path: String,
}

/// All cases of a report counted, also those a truncated list leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestSummary {
    /// Every case.
    pub total: u64,
    /// By status.
    pub status_counts: std::collections::BTreeMap<CaseStatus, u64>,
    /// The sum of the cases' times, in nanoseconds.
    pub duration_in_nano_seconds: u64,
}

/// What was covered. Percentages are 0 to 100; 0 when there was nothing to cover.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CoverageSummary {
    /// Covered lines of all lines.
    pub line_coverage_percentage: f64,
    /// Lines run at least once.
    pub lines_covered: u64,
    /// Lines never run.
    pub lines_missed: u64,
    /// Covered branches of all branches.
    pub branch_coverage_percentage: f64,
    /// Branches taken.
    pub branches_covered: u64,
    /// Branches never taken.
    pub branches_missed: u64,
}

/// One report group's result in one build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// `<project>-<name>`, or the group's ARN as the buildspec gives it.
    pub name: String,
    /// What it holds.
    #[serde(rename = "type")]
    pub report_type: ReportType,
    /// How it stands.
    pub status: ReportStatus,
    /// The files read, relative to the source directory, sorted.
    pub files: Vec<String>,
    /// True when `test_cases` holds fewer cases than were read.
    pub truncated: bool,
    /// For tests.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub test_summary: Option<TestSummary>,
    /// For coverage.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code_coverage_summary: Option<CoverageSummary>,
    /// At most 500, failed ones first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub test_cases: Vec<TestCase>,
    /// Croft's own: what could not be read, one sentence each; empty when all was well.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub problems: Vec<String>,
}

/// One set of artifacts that was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactSummary {
    /// The secondary artifact's identifier; absent for the primary one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub artifact_identifier: Option<String>,
    /// Where it is: a folder, or a `.zip` file.
    pub location: String,
    /// Files stored.
    pub files: u64,
    /// Bytes of their contents.
    pub size_bytes: u64,
}

/// How the cache took part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CacheStatus {
    /// The exact key was found.
    Hit,
    /// A fallback key was found.
    Fallback,
    /// Nothing was found.
    Miss,
    /// The contents were stored.
    Saved,
    /// The same contents were there already.
    Unchanged,
    /// Not done, for the reason in `detail`.
    Skipped,
    /// It could not be read or written; the build went on without.
    Unusable,
}

/// How a restored cache came into the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CacheMethod {
    /// Its files lie beneath the build's, none was written.
    Mounted,
    /// Its files were written.
    Copied,
}

/// One restore or save.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheSummary {
    /// What happened.
    pub status: CacheStatus,
    /// The key, once expanded; absent when the buildspec names none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    /// Files restored or saved.
    pub files: u64,
    /// Bytes of their contents.
    pub size_bytes: u64,
    /// Bytes newly written to the store; 0 for a restore.
    pub stored_bytes: u64,
    /// Milliseconds it took.
    pub duration_ms: u64,
    /// How it was restored; absent for a save, and when nothing was restored.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub method: Option<CacheMethod>,
    /// Why, when it is not plain.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
}

/// One command that ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandSummary {
    /// Its phase.
    pub phase: PhaseType,
    /// Its text, masked.
    pub command: String,
    /// Milliseconds.
    pub duration_ms: u64,
}

/// The command that failed a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedCommand {
    /// Its phase.
    pub phase: PhaseType,
    /// Its text, masked.
    pub command: String,
    /// 0 to 255; 128 + the signal's number when a signal killed it.
    pub exit_status: i32,
    /// Where it stands in the buildspec.
    pub place: Place,
    /// The last lines of its output, masked, at most 20.
    pub last_lines: Vec<String>,
}

/// What a person wants to know when a build is over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The first command that failed and that no `on-failure: CONTINUE` forgave; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed_command: Option<FailedCommand>,
    /// What failed a build when no command did: the context's message of the first phase that failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure_message: Option<String>,
    /// In the buildspec's order.
    pub reports: Vec<Report>,
    /// The primary one first.
    pub artifacts: Vec<ArtifactSummary>,
    /// What was restored; absent when the buildspec has no cache.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cache_restored: Option<CacheSummary>,
    /// What was saved.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cache_saved: Option<CacheSummary>,
    /// At most five, the slowest first; commands under 100 ms are not worth a line.
    pub slowest_commands: Vec<CommandSummary>,
    /// Where the masked log is.
    pub log_path: String,
}
