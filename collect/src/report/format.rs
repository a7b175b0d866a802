//! What one file gives, by its format. Receives the file's bytes and what earlier files of the group gave, adds to it,
//! and hands back what went wrong.

use std::io::BufRead;

use croft_proto::ReportType;
use croft_spec::FileFormat;

use super::cobertura::Cobertura;
use super::coverage::Coverage;
use super::junit::Junit;
use super::tally::Tally;
use super::xml::{Ending, visit};

/// What is read so far.
#[derive(Clone, Debug)]
pub(crate) enum Contents {
    /// Test cases.
    Tests(Tally),
    /// Coverage.
    Coverage(Coverage),
}

impl Contents {
    /// Nothing yet, or `None` when the format cannot be read.
    pub(crate) fn empty(format: FileFormat) -> Option<Self> {
        match format {
            FileFormat::JunitXml => Some(Self::Tests(Tally::default())),
            FileFormat::CoberturaXml => Some(Self::Coverage(Coverage::default())),
            FileFormat::CucumberJson
            | FileFormat::NunitXml
            | FileFormat::Nunit3Xml
            | FileFormat::TestngXml
            | FileFormat::VisualStudioTrx
            | FileFormat::JacocoXml
            | FileFormat::CloverXml
            | FileFormat::Simplecov => None,
        }
    }

    /// Adds what the file `path` holds; what is wrong with it, one sentence, if anything is.
    pub(crate) fn add(&mut self, path: &str, input: impl BufRead) -> Option<String> {
        let (ending, is_right, format) = match self {
            Self::Tests(tally) => {
                let mut reader = Junit::new(path, tally);
                let ending = visit(input, &mut reader);
                (ending, reader.is_junit, FileFormat::JunitXml)
            }
            Self::Coverage(coverage) => {
                let mut reader = Cobertura::default();
                let ending = visit(input, &mut reader);
                let is_right = reader.is_cobertura;
                let read = reader.finish();
                coverage.lines.add(read.lines);
                coverage.branches.add(read.branches);
                (ending, is_right, FileFormat::CoberturaXml)
            }
        };
        problem(path, format, ending, is_right)
    }
}

/// The type of the reports of a format, also of one that cannot be read.
pub(crate) fn report_type(format: FileFormat) -> ReportType {
    match format {
        FileFormat::JunitXml
        | FileFormat::CucumberJson
        | FileFormat::NunitXml
        | FileFormat::Nunit3Xml
        | FileFormat::TestngXml
        | FileFormat::VisualStudioTrx => ReportType::Test,
        FileFormat::JacocoXml
        | FileFormat::CoberturaXml
        | FileFormat::CloverXml
        | FileFormat::Simplecov => ReportType::CodeCoverage,
    }
}

fn problem(path: &str, format: FileFormat, ending: Ending, is_right: bool) -> Option<String> {
    let format = format.name();
    if let Some(problem) = ending.problem {
        return Some(format!("`{path}` could not be read to its end: {problem}"));
    }
    if is_right {
        return None;
    }
    let Some(root) = ending.root else {
        return Some(format!(
            "`{path}` is no {format} report: it is empty, or holds no XML"
        ));
    };
    let instead = match root.as_str() {
        "testsuites" | "testsuite" => "; it looks like JUNITXML",
        "coverage" => "; it looks like COBERTURAXML or CLOVERXML",
        "testng-results" => "; it looks like TESTNGXML",
        "TestRun" => "; it looks like VISUALSTUDIOTRX",
        "test-results" => "; it looks like NUNITXML",
        "test-run" => "; it looks like NUNIT3XML",
        "report" => "; it looks like JACOCOXML",
        _ => "",
    };
    let root = super::text::cut(&root, 40).escape_debug().to_string();
    Some(format!(
        "`{path}` is no {format} report: its first element is `{root}`{instead}"
    ))
}
