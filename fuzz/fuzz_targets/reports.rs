//! Report readers meet any bytes: the first byte chooses the format, the rest is the file. Nothing may panic, and what is
//! handed back must keep its limits.

#![no_main]

use croft_collect::{read_one, summarise_failures};
use croft_spec::FileFormat;
use libfuzzer_sys::fuzz_target;

const CASES_MAX: usize = 500;
const NAME_CHARS_MAX: usize = 1_000;
const MESSAGE_CHARS_MAX: usize = 5_000;

fuzz_target!(|input: &[u8]| {
    let Some((choice, file)) = input.split_first() else {
        return;
    };
    let format = if choice % 2 == 0 {
        FileFormat::JunitXml
    } else {
        FileFormat::CoberturaXml
    };
    let report = read_one(format, "report.xml", file);
    assert!(report.test_cases.len() <= CASES_MAX);
    for case in &report.test_cases {
        assert!(case.name.chars().count() <= NAME_CHARS_MAX);
        assert!(case.prefix.chars().count() <= NAME_CHARS_MAX);
        assert!(case.message.chars().count() <= MESSAGE_CHARS_MAX);
    }
    if let Some(summary) = &report.test_summary {
        assert_eq!(summary.total, summary.status_counts.values().sum::<u64>());
    }
    if let Some(coverage) = &report.code_coverage_summary {
        assert!((0.0..=100.0).contains(&coverage.line_coverage_percentage));
        assert!((0.0..=100.0).contains(&coverage.branch_coverage_percentage));
    }
    assert!(summarise_failures(&report, 10).len() <= 11);
});
