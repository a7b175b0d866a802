//! JUnit's format, in the dialects of the tools that write it: suites inside suites, one suite or none around them,
//! messages in attributes or texts, skipping told by a child, a status or a result. Receives elements, hands each test
//! case to the tally. Elements it does not know are passed over.

use croft_proto::{CaseStatus, TestCase};

use super::number::nanos;
use super::tally::{MESSAGE_CHARS_MAX, Tally};
use super::text::cut;
use super::xml::{Element, Visit};

/// Texts are gathered up to so many bytes: what the longest message can hold, in the widest characters.
const TEXT_BYTES_MAX: usize = MESSAGE_CHARS_MAX * 4;

/// An element that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Open {
    Suites,
    Suite {
        name: String,
    },
    Case,
    /// `failure`, `error` or `skipped`.
    Said,
    Other,
}

/// A test case being read.
#[derive(Debug)]
struct Pending {
    case: TestCase,
    /// What its children said; the case's own attributes count only when none did.
    said: Option<CaseStatus>,
}

/// The reader of one file.
#[derive(Debug)]
pub(crate) struct Junit<'t> {
    path: String,
    tally: &'t mut Tally,
    open: Vec<Open>,
    pending: Option<Pending>,
    /// The message attribute and the text of the `failure`, `error` or `skipped` that is open.
    message: String,
    text: String,
    /// Whether anything of the format was seen.
    pub(crate) is_junit: bool,
}

impl<'t> Junit<'t> {
    /// A reader that adds the cases of the file `path` to `tally`.
    pub(crate) fn new(path: &str, tally: &'t mut Tally) -> Self {
        Self {
            path: path.to_owned(),
            tally,
            open: Vec::new(),
            pending: None,
            message: String::new(),
            text: String::new(),
            is_junit: false,
        }
    }

    fn suite(&self) -> &str {
        let innermost = self.open.iter().rev().find_map(|open| match open {
            Open::Suite { name } if !name.is_empty() => Some(name.as_str()),
            Open::Suites | Open::Suite { .. } | Open::Case | Open::Said | Open::Other => None,
        });
        innermost.unwrap_or_default()
    }

    fn begin_case(&mut self, element: &Element<'_>) {
        self.end_case();
        let attribute = |name: &str| element.attribute(name).unwrap_or_default();
        let named = |names: [&str; 3]| {
            names
                .iter()
                .map(|name| attribute(name))
                .find(|value| !value.is_empty())
                .unwrap_or_default()
        };
        let case = TestCase {
            prefix: named(["classname", "class", "file"]),
            test_suite_name: self.suite().to_owned(),
            name: attribute("name"),
            status: own_status(&attribute("status"), &attribute("result")),
            message: String::new(),
            duration_in_nano_seconds: nanos(&attribute("time")).unwrap_or_default(),
            test_raw_data_path: self.path.clone(),
        };
        self.pending = Some(Pending { case, said: None });
    }

    /// A failure or error outside any case: a suite that broke before or after its tests.
    fn begin_broken_suite(&mut self) {
        let suite = self.suite().to_owned();
        let case = TestCase {
            prefix: String::new(),
            test_suite_name: suite.clone(),
            name: suite,
            status: CaseStatus::Error,
            message: String::new(),
            duration_in_nano_seconds: 0,
            test_raw_data_path: self.path.clone(),
        };
        self.pending = Some(Pending { case, said: None });
    }

    fn begin_saying(&mut self, element: &Element<'_>, status: CaseStatus) {
        self.message = element.attribute("message").unwrap_or_default();
        self.text.clear();
        if let Some(pending) = &mut self.pending {
            // Several children may speak; the worst of them counts.
            pending.said = Some(worse(pending.said, status));
        }
    }

    fn end_saying(&mut self) {
        let whole = put_together(&self.message, self.text.trim());
        if let Some(pending) = &mut self.pending {
            let message = &mut pending.case.message;
            if !message.is_empty() && !whole.is_empty() {
                message.push('\n');
            }
            message.push_str(cut(&whole, MESSAGE_CHARS_MAX));
            let length = cut(message, MESSAGE_CHARS_MAX).len();
            message.truncate(length);
        }
        self.message.clear();
        self.text.clear();
    }

    fn end_case(&mut self) {
        if let Some(Pending { mut case, said }) = self.pending.take() {
            case.status = said.unwrap_or(case.status);
            self.tally.add(case);
        }
    }
}

impl Visit for Junit<'_> {
    fn begin(&mut self, element: &Element<'_>) {
        let parent = self.open.last();
        let in_case = parent == Some(&Open::Case);
        let in_suite = matches!(parent, Some(Open::Suites | Open::Suite { .. }));
        let open = match (element.name, said(element.name)) {
            ("testsuites", _) => Open::Suites,
            ("testsuite", _) => Open::Suite {
                name: element.attribute("name").unwrap_or_default(),
            },
            ("testcase", _) => {
                self.begin_case(element);
                Open::Case
            }
            (_, Some(status)) if in_case => {
                self.begin_saying(element, status);
                Open::Said
            }
            (_, Some(status)) if in_suite && status != CaseStatus::Skipped => {
                self.begin_broken_suite();
                self.begin_saying(element, status);
                Open::Said
            }
            _ => Open::Other,
        };
        self.is_junit |= matches!(open, Open::Suites | Open::Suite { .. } | Open::Case);
        self.open.push(open);
    }

    fn text(&mut self, text: &str) {
        if self.open.last() == Some(&Open::Said) && self.text.len() < TEXT_BYTES_MAX {
            self.text.push_str(cut(text, TEXT_BYTES_MAX));
        }
    }

    fn end(&mut self) {
        match self.open.pop() {
            Some(Open::Case) => self.end_case(),
            Some(Open::Said) => {
                self.end_saying();
                if self.open.last() != Some(&Open::Case) {
                    self.end_case();
                }
            }
            Some(Open::Suites | Open::Suite { .. } | Open::Other) | None => {}
        }
    }
}

/// The status that a child element of that name gives. Reruns and flaky failures give none: the case's last run counts.
fn said(name: &str) -> Option<CaseStatus> {
    match name {
        "failure" => Some(CaseStatus::Failed),
        "error" => Some(CaseStatus::Error),
        "skipped" => Some(CaseStatus::Skipped),
        _ => None,
    }
}

/// The status that a case's own attributes give: `GoogleTest` and `CTest` say there that a test did not run.
fn own_status(status: &str, result: &str) -> CaseStatus {
    match (
        status.to_ascii_lowercase().as_str(),
        result.to_ascii_lowercase().as_str(),
    ) {
        ("notrun" | "disabled" | "skipped" | "ignored" | "pending", _)
        | (_, "skipped" | "suppressed") => CaseStatus::Skipped,
        ("fail" | "failed" | "failure", _) => CaseStatus::Failed,
        ("error", _) => CaseStatus::Error,
        _ => CaseStatus::Succeeded,
    }
}

/// Message and text as one, neither said twice.
fn put_together(message: &str, text: &str) -> String {
    let message = message.trim();
    let first_line = text.lines().next().unwrap_or_default();
    if message.is_empty() || first_line.contains(message) || text.starts_with(message) {
        return text.to_owned();
    }
    if text.is_empty() {
        return message.to_owned();
    }
    format!("{message}\n{text}")
}

/// The worse of what was said before and what is said now.
fn worse(before: Option<CaseStatus>, now: CaseStatus) -> CaseStatus {
    let weight = |status| match status {
        CaseStatus::Error => 3,
        CaseStatus::Failed => 2,
        CaseStatus::Skipped => 1,
        CaseStatus::Succeeded | CaseStatus::Unknown => 0,
    };
    before
        .filter(|before| weight(*before) >= weight(now))
        .unwrap_or(now)
}

#[cfg(test)]
mod tests;
