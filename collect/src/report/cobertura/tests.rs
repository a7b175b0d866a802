//! Each sample is written after the shape that the named tool gives its files.

use croft_proto::{CoverageSummary, ReportStatus};
use croft_spec::FileFormat;

use crate::read_one;

fn read(xml: &str) -> CoverageSummary {
    let report = read_one(FileFormat::CoberturaXml, "coverage.xml", xml.as_bytes());
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(report.status, ReportStatus::Succeeded);
    report.code_coverage_summary.unwrap()
}

fn counts(summary: &CoverageSummary) -> [u64; 4] {
    [
        summary.lines_covered,
        summary.lines_missed,
        summary.branches_covered,
        summary.branches_missed,
    ]
}

#[test]
fn lines_and_conditions_are_counted() {
    // coverage.py
    let summary = read(
        r#"<?xml version="1.0" ?>
<!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">
<coverage version="7.6" timestamp="1" lines-valid="99" lines-covered="99" line-rate="1" branches-valid="2" branches-covered="1" branch-rate="0.5" complexity="0">
 <sources><source>/src</source></sources>
 <packages><package name="." line-rate="0.75"><classes><class name="a.py" filename="a.py"><methods/><lines>
  <line number="1" hits="1"/><line number="2" hits="0"/>
  <line number="3" hits="12" branch="true" condition-coverage="50% (1/2)" missing-branches="5"/><line number="4" hits="1"/>
 </lines></class></classes></package></packages></coverage>"#,
    );
    assert_eq!(counts(&summary), [3, 1, 1, 1]);
    assert!((summary.line_coverage_percentage - 75.0).abs() < 1e-9);
    assert!((summary.branch_coverage_percentage - 50.0).abs() < 1e-9);
}

#[test]
fn a_line_listed_for_its_method_and_its_class_counts_once() {
    // coverlet, PHPUnit
    let summary = read(
        r#"<coverage line-rate="0.5" version="1.9"><packages><package><classes>
<class name="A" filename="A.cs"><methods><method name="M"><lines><line number="1" hits="1" branch="False"/><line number="2" hits="0" branch="True" condition-coverage="0% (0/2)"/></lines></method></methods>
 <lines><line number="1" hits="1"/><line number="2" hits="0" branch="True" condition-coverage="0% (0/2)"/></lines></class>
<class name="B" filename="B.cs"><methods/><lines><line number="1" hits="3"/></lines></class>
</classes></package></packages></coverage>"#,
    );
    assert_eq!(counts(&summary), [2, 1, 0, 2]);
}

#[test]
fn totals_on_the_root_stand_in_for_lines_and_branches_that_are_not_listed() {
    let summary = read(
        "<coverage lines-valid='1,000' lines-covered='250' branches-valid='8' branches-covered='2'><packages/></coverage>",
    );
    assert_eq!(counts(&summary), [250, 750, 2, 6]);
    let summary = read(
        "<coverage lines-valid='9' lines-covered='9' branches-valid='8' branches-covered='2'><packages><package><classes><class>\
         <lines><line number='1' hits='1'/></lines></class></classes></package></packages></coverage>",
    );
    assert_eq!(counts(&summary), [1, 0, 2, 6]);
}

#[test]
fn nothing_to_cover_is_zero_percent() {
    let summary = read("<coverage/>");
    assert_eq!(counts(&summary), [0; 4]);
    assert!(summary.line_coverage_percentage.abs() < 1e-9);
}

#[test]
fn impossible_numbers_are_tamed() {
    let summary = read(
        "<coverage><class><lines><line number='1' hits='-1' condition-coverage='(9/2)'/><line hits='18446744073709551615'/>\
         <line number='x' hits='1' condition-coverage='100%'/></lines></class></coverage>",
    );
    assert_eq!(counts(&summary), [2, 1, 2, 0]);
}

#[test]
fn a_clover_file_is_not_taken_for_this_format() {
    let xml = "<coverage generated='1' clover='3.2.0'><project><line num='1' type='stmt' count='1'/></project></coverage>";
    let report = read_one(FileFormat::CoberturaXml, "clover.xml", xml.as_bytes());
    assert_eq!(report.status, ReportStatus::Incomplete);
    assert!(
        report.problems[0].contains("CLOVERXML"),
        "{:?}",
        report.problems
    );
}

#[test]
fn a_file_cut_short_keeps_its_lines() {
    let xml = "<coverage><class><lines><line number='1' hits='1'/><line number='2' hi";
    let report = read_one(FileFormat::CoberturaXml, "c.xml", xml.as_bytes());
    assert_eq!(report.status, ReportStatus::Incomplete);
    assert_eq!(counts(&report.code_coverage_summary.unwrap()), [1, 0, 0, 0]);
}
