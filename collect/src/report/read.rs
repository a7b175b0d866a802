//! One report group of the buildspec, read. Receives the group and the finished build's tree, finds the files, reads each
//! and puts them together; whatever goes wrong is told in the report itself.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use croft_beneath::Root;
use croft_proto::{Report, ReportStatus};
use croft_spec::{FileFormat, ReportGroup};

use super::format::{Contents, report_type};
use crate::glob::{
    Error as GlobError, Exclude, Links, NoMatch, Pattern, Walk, base_directories, nearest, shown,
};

/// How many problems are told; a report with more of them has one cause.
const PROBLEMS_MAX: usize = 20;

/// How many bytes of a file are read at once.
const READ_BYTES: usize = 64 * 1024;

/// The report of `group`, named `name`, from the files in a build's tree. `docs/reports.md` lists the rules.
///
/// `source_dir` is the source directory inside `root`, with or without a leading `/`. Variables in the group's
/// `base-directory` and patterns must be expanded already.
///
/// A file that is missing, damaged or of another format makes the report `INCOMPLETE` and is told in `problems`; what
/// could be read is in it all the same.
#[must_use]
pub fn read_report(group: &ReportGroup, name: &str, root: &Root, source_dir: &Path) -> Report {
    let source_dir = source_dir.strip_prefix("/").unwrap_or(source_dir);
    let mut draft = Draft::new(group.file_format, name);
    if draft.contents.is_none() {
        return draft.finish();
    }
    match find(group, root, source_dir) {
        Ok(found) if found.is_empty() => match no_match(group, root, source_dir) {
            Ok(words) => draft
                .problems
                .push(format!("no report file found: {words}")),
            Err(error) => draft.problems.push(told(&error)),
        },
        Ok(found) => found
            .iter()
            .for_each(|(path, location)| draft.read(root, path, location)),
        Err(error) => draft.problems.push(told(&error)),
    }
    draft.finish()
}

/// The report that a single stream holds, as if it were a file called `path`.
#[must_use]
pub fn read_one(format: FileFormat, path: &str, input: impl BufRead) -> Report {
    let mut draft = Draft::new(format, path);
    draft.add(path, input);
    draft.finish()
}

/// A report being put together.
struct Draft {
    format: FileFormat,
    name: String,
    /// Absent when the format cannot be read.
    contents: Option<Contents>,
    files: Vec<String>,
    problems: Vec<String>,
}

impl Draft {
    fn new(format: FileFormat, name: &str) -> Self {
        let contents = Contents::empty(format);
        let mut problems = Vec::new();
        if contents.is_none() {
            problems.push(format!(
                "report format {} is not supported yet: nothing was read; JUNITXML and COBERTURAXML are",
                format.name()
            ));
        }
        Self {
            format,
            name: name.to_owned(),
            contents,
            files: Vec::new(),
            problems,
        }
    }

    fn read(&mut self, root: &Root, path: &str, location: &Path) {
        match root.open_stored_file(location) {
            Ok(file) => self.add(path, BufReader::with_capacity(READ_BYTES, file)),
            Err(error) => self
                .problems
                .push(format!("`{path}` cannot be read: {error}")),
        }
    }

    fn add(&mut self, path: &str, mut input: impl BufRead) {
        let Some(contents) = &mut self.contents else {
            return;
        };
        self.files.push(path.to_owned());
        let begins_in_utf16 = input
            .fill_buf()
            .is_ok_and(|start| start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff"));
        if begins_in_utf16 {
            self.problems
                .push(format!("`{path}` is written in UTF-16; write it in UTF-8"));
        } else {
            self.problems.extend(contents.add(path, input));
        }
    }

    fn finish(mut self) -> Report {
        let hidden = self.problems.len().saturating_sub(PROBLEMS_MAX);
        if hidden > 0 {
            self.problems.truncate(PROBLEMS_MAX);
            self.problems
                .push(format!("{hidden} more files have problems"));
        }
        let failed = matches!(&self.contents, Some(Contents::Tests(tally)) if tally.has_failures());
        let status = match (self.problems.is_empty(), failed) {
            (false, _) => ReportStatus::Incomplete,
            (true, true) => ReportStatus::Failed,
            (true, false) => ReportStatus::Succeeded,
        };
        let mut report = Report {
            name: self.name,
            report_type: report_type(self.format),
            status,
            files: self.files,
            truncated: false,
            test_summary: None,
            code_coverage_summary: None,
            test_cases: Vec::new(),
            problems: self.problems,
        };
        match self.contents {
            Some(Contents::Tests(tally)) => {
                let (summary, cases) = tally.finish();
                report.truncated = summary.total > u64::try_from(cases.len()).unwrap_or(u64::MAX);
                report.test_summary = Some(summary);
                report.test_cases = cases;
            }
            Some(Contents::Coverage(coverage)) => {
                report.code_coverage_summary = Some(coverage.finish())
            }
            None => {}
        }
        report
    }
}

/// The group's files: paths relative to the source directory with their places, each file once whatever links lead to it.
fn find(
    group: &ReportGroup,
    root: &Root,
    source_dir: &Path,
) -> Result<BTreeMap<String, PathBuf>, GlobError> {
    let mut walk = Walk::new(root, source_dir, Links::Follow);
    let mut found = BTreeMap::new();
    let mut seen = std::collections::BTreeSet::new();
    for base in base_directories(root, source_dir, group.base_directory.as_deref())? {
        let mut files = BTreeMap::new();
        for text in &group.files {
            let pattern = Pattern::parse(text, &base.location)?;
            walk.search(&pattern, &base, &Exclude::default(), &mut files)?;
        }
        for file in files.into_values() {
            let same = root
                .metadata(&file.location)
                .map(|metadata| metadata.identity);
            if same.map_or(true, |identity| seen.insert(identity)) {
                let path = crate::glob::pattern::folded(&file.location);
                let below = path.strip_prefix(crate::glob::pattern::folded(source_dir));
                let name = below.map_or_else(|_| format!("/{}", path.display()), shown);
                found.insert(name, file.location);
            }
        }
    }
    Ok(found)
}

fn no_match(group: &ReportGroup, root: &Root, source_dir: &Path) -> Result<NoMatch, GlobError> {
    let base_text = group
        .base_directory
        .as_deref()
        .filter(|text| !text.is_empty());
    let bases = base_directories(root, source_dir, base_text)?;
    let first = bases
        .first()
        .map_or(source_dir, |base| base.location.as_path());
    let patterns = group
        .files
        .iter()
        .map(|text| Pattern::parse(text, first))
        .collect::<Result<Vec<_>, _>>()?;
    let near = nearest(root, source_dir, base_text, &bases, &patterns);
    Ok(NoMatch {
        patterns: group.files.clone(),
        base_directory: base_text.map(str::to_owned),
        base_exists: !bases.is_empty(),
        nearest: near.paths,
        hint: near.hint,
    })
}

/// An error and what caused it, as one sentence.
fn told(error: &GlobError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
