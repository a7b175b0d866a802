use super::*;
use croft_proto::{CaseStatus, ReportType};
use std::os::unix::fs::symlink;

const GOOD: &str = "<testsuite name='s'><testcase name='good' time='1'/></testsuite>";
const BAD: &str =
    "<testsuite name='s'><testcase name='bad' time='2'><failure/></testcase></testsuite>";

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("src")).unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn group(files: &[&str], base: Option<&str>, format: FileFormat) -> ReportGroup {
    ReportGroup {
        name: "tests".to_owned(),
        files: files.iter().map(ToString::to_string).collect(),
        file_format: format,
        base_directory: base.map(str::to_owned),
        discard_paths: false,
        place: croft_proto::Place::default(),
    }
}

fn read(folder: &Path, group: &ReportGroup) -> Report {
    read_report(
        group,
        "project-tests",
        &Root::open(folder).unwrap(),
        Path::new("/src"),
    )
}

#[test]
fn the_files_of_a_group_make_one_report() {
    let tree = tree(&[
        ("src/out/b.xml", BAD),
        ("src/out/a.xml", GOOD),
        ("src/out/log.txt", "x"),
        ("src/c.xml", GOOD),
    ]);
    let report = read(
        tree.path(),
        &group(&["out/**/*.xml", "*.xml"], None, FileFormat::JunitXml),
    );
    assert_eq!(report.name, "project-tests");
    assert_eq!(report.files, ["c.xml", "out/a.xml", "out/b.xml"]);
    assert_eq!(
        (report.status, report.report_type),
        (ReportStatus::Failed, ReportType::Test)
    );
    let summary = report.test_summary.unwrap();
    assert_eq!(
        (summary.total, summary.duration_in_nano_seconds),
        (3, 4_000_000_000)
    );
    assert_eq!(summary.status_counts[&CaseStatus::Succeeded], 2);
    assert_eq!(report.test_cases[0].test_raw_data_path, "out/b.xml");
    assert!(!report.truncated);
}

#[test]
fn a_base_directory_may_be_several() {
    let tree = tree(&[
        ("src/m1/r/a.xml", GOOD),
        ("src/m2/r/a.xml", GOOD),
        ("src/other/r/a.xml", BAD),
    ]);
    let report = read(
        tree.path(),
        &group(&["r/*.xml"], Some("m*"), FileFormat::JunitXml),
    );
    assert_eq!(report.files, ["m1/r/a.xml", "m2/r/a.xml"]);
    assert_eq!(report.status, ReportStatus::Succeeded);
}

#[test]
fn files_outside_the_source_directory_have_absolute_names() {
    let tree = tree(&[("tmp/r.xml", GOOD)]);
    let report = read(
        tree.path(),
        &group(&["/tmp/*.xml"], None, FileFormat::JunitXml),
    );
    assert_eq!(report.files, ["/tmp/r.xml"]);
}

#[test]
fn a_file_reached_twice_is_read_once() {
    let tree = tree(&[("src/runs/1/r.xml", GOOD)]);
    symlink("1", tree.path().join("src/runs/latest")).unwrap();
    symlink("runs/1/r.xml", tree.path().join("src/r.xml")).unwrap();
    let report = read(
        tree.path(),
        &group(&["**/*.xml", "/src/runs/**/*"], None, FileFormat::JunitXml),
    );
    assert_eq!(report.files.len(), 1);
    assert_eq!(report.test_summary.unwrap().total, 1);
}

#[test]
fn nothing_found_is_incomplete_and_says_what_is_there() {
    let tree = tree(&[("src/build/reports/junit.xml", GOOD)]);
    let report = read(
        tree.path(),
        &group(&["reports/junit.xml"], None, FileFormat::JunitXml),
    );
    assert_eq!(report.status, ReportStatus::Incomplete);
    assert!(
        report.problems[0].starts_with(
            "no report file found: nothing in the source directory matches `reports/junit.xml`; the nearest that \
             exist: `build/reports/junit.xml`"
        ),
        "{:?}",
        report.problems
    );
    let report = read(
        tree.path(),
        &group(&["*.xml"], Some("bulid"), FileFormat::JunitXml),
    );
    assert!(
        report.problems[0].contains("`base-directory: bulid` does not exist"),
        "{:?}",
        report.problems
    );
    assert!(
        report.problems[0].contains("`build`"),
        "{:?}",
        report.problems
    );
}

#[test]
fn a_format_that_is_not_read_yet_is_refused_by_name() {
    let tree = tree(&[("src/r.json", "[]")]);
    for (format, report_type) in [
        (FileFormat::CucumberJson, ReportType::Test),
        (FileFormat::NunitXml, ReportType::Test),
        (FileFormat::Nunit3Xml, ReportType::Test),
        (FileFormat::TestngXml, ReportType::Test),
        (FileFormat::VisualStudioTrx, ReportType::Test),
        (FileFormat::JacocoXml, ReportType::CodeCoverage),
        (FileFormat::CloverXml, ReportType::CodeCoverage),
        (FileFormat::Simplecov, ReportType::CodeCoverage),
    ] {
        let report = read(tree.path(), &group(&["r.json"], None, format));
        assert_eq!(
            (report.status, report.report_type),
            (ReportStatus::Incomplete, report_type)
        );
        let problem = format!("report format {} is not supported yet", format.name());
        assert!(
            report.problems[0].starts_with(&problem),
            "{:?}",
            report.problems
        );
        assert!(report.test_summary.is_none() && report.code_coverage_summary.is_none());
    }
}

#[test]
fn one_broken_file_leaves_the_others_read() {
    let tree = tree(&[
        ("src/a.xml", "<testsuite><testcase name='x'/>"),
        ("src/b.xml", BAD),
        ("src/c.xml", ""),
    ]);
    let report = read(tree.path(), &group(&["*.xml"], None, FileFormat::JunitXml));
    assert_eq!(report.status, ReportStatus::Incomplete);
    assert_eq!(report.test_summary.unwrap().total, 2);
    assert_eq!(report.problems.len(), 2);
    assert!(report.problems[0].contains("`a.xml`") && report.problems[1].contains("`c.xml`"));
}

#[test]
fn many_broken_files_are_counted() {
    let folder = tree(&[]);
    for index in 0..50 {
        std::fs::write(folder.path().join(format!("src/{index:02}.xml")), "<x").unwrap();
    }
    let report = read(
        folder.path(),
        &group(&["*.xml"], None, FileFormat::JunitXml),
    );
    assert_eq!(report.problems.len(), PROBLEMS_MAX + 1);
    assert_eq!(report.problems[PROBLEMS_MAX], "30 more files have problems");
}

#[test]
fn a_link_out_of_the_root_reads_nothing_there() {
    let outside = tree(&[("secret.xml", GOOD)]);
    let tree = tree(&[]);
    symlink(
        outside.path().join("secret.xml"),
        tree.path().join("src/r.xml"),
    )
    .unwrap();
    symlink("/proc/self/environ", tree.path().join("src/e.xml")).unwrap();
    let report = read(tree.path(), &group(&["*.xml"], None, FileFormat::JunitXml));
    assert_eq!(report.status, ReportStatus::Incomplete);
    assert!(report.files.is_empty());
}

#[test]
fn a_pattern_that_cannot_be_read_is_a_problem() {
    let tree = tree(&[]);
    let report = read(tree.path(), &group(&["[x"], None, FileFormat::JunitXml));
    assert!(
        report.problems[0].contains("the pattern `[x` cannot be read"),
        "{:?}",
        report.problems
    );
}

#[test]
fn coverage_of_several_files_adds_up() {
    let xml = "<coverage><class><lines><line number='1' hits='1'/><line number='2' hits='0'/></lines></class></coverage>";
    let tree = tree(&[("src/a.xml", xml), ("src/b.xml", xml)]);
    let report = read(
        tree.path(),
        &group(&["*.xml"], None, FileFormat::CoberturaXml),
    );
    let summary = report.code_coverage_summary.unwrap();
    assert_eq!((summary.lines_covered, summary.lines_missed), (2, 2));
    assert_eq!(
        (report.status, report.report_type),
        (ReportStatus::Succeeded, ReportType::CodeCoverage)
    );
    assert!((summary.line_coverage_percentage - 50.0).abs() < 1e-9);
}
