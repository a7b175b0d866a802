//! Each sample is written after the shape that the named tool gives its files.

use croft_proto::{CaseStatus, Report, ReportStatus};
use croft_spec::FileFormat;

use crate::read_one;

fn read(xml: &str) -> Report {
    read_one(FileFormat::JunitXml, "report.xml", xml.as_bytes())
}

/// Suite, prefix, name, status and first line of the message of each case, in the order kept.
fn cases(report: &Report) -> Vec<String> {
    let line = |case: &croft_proto::TestCase| {
        format!(
            "{}|{}|{}|{:?}|{}",
            case.test_suite_name,
            case.prefix,
            case.name,
            case.status,
            case.message.lines().next().unwrap_or_default()
        )
    };
    report.test_cases.iter().map(line).collect()
}

fn whole(xml: &str) -> Report {
    let report = read(xml);
    assert_eq!(report.problems, Vec::<String>::new());
    report
}

#[test]
fn pytest_files_are_read() {
    let report = whole(
        r#"<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="4" time="0.105" hostname="h">
        <testcase classname="tests.test_sum" name="test_add[1-2]" time="0.001" />
        <testcase classname="tests.test_sum" name="test_sub" time="0.002"><failure message="assert (2 - 1) == 0">def test_sub():
&gt;       assert sub(2, 1) == 0
E       assert (2 - 1) == 0</failure></testcase>
        <testcase classname="tests.test_sum" name="test_db" time="0.1"><error message="failed on setup with &quot;OSError: no&quot;">OSError: no</error></testcase>
        <testcase classname="tests.test_sum" name="test_win" time="0.000"><skipped type="pytest.skip" message="only there">/t.py:9: only there</skipped></testcase>
        </testsuite></testsuites>"#,
    );
    assert_eq!(
        cases(&report),
        [
            "pytest|tests.test_sum|test_sub|Failed|assert (2 - 1) == 0",
            "pytest|tests.test_sum|test_db|Error|failed on setup with \"OSError: no\"",
            "pytest|tests.test_sum|test_add[1-2]|Succeeded|",
            "pytest|tests.test_sum|test_win|Skipped|/t.py:9: only there",
        ]
    );
    assert!(
        report.test_cases[0]
            .message
            .ends_with("E       assert (2 - 1) == 0")
    );
    assert_eq!(report.status, ReportStatus::Failed);
    let summary = report.test_summary.unwrap();
    assert_eq!(
        (summary.total, summary.duration_in_nano_seconds),
        (4, 103_000_000)
    );
}

#[test]
fn surefire_files_are_read_with_their_flaky_and_rerun_elements() {
    let report = whole(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" name="org.acme.SumTest" time="1,234.5" tests="4">
  <properties><property name="os" value="&lt;x&gt;"/></properties>
  <testcase name="adds" classname="org.acme.SumTest" time="1,234.5"/>
  <testcase name="subtracts" classname="org.acme.SumTest" time="0.1">
    <failure message="expected: &lt;1&gt; but was: &lt;2&gt;" type="org.opentest4j.AssertionFailedError"><![CDATA[org.opentest4j.AssertionFailedError: expected: <1> but was: <2>
	at org.acme.SumTest.subtracts(SumTest.java:9)]]></failure>
    <rerunFailure message="again" type="x"><stackTrace>s</stackTrace></rerunFailure>
    <system-out><![CDATA[<failure message="not one"/>]]></system-out>
  </testcase>
  <testcase name="sometimes" classname="org.acme.SumTest" time="0.1"><flakyFailure message="once" type="x">t</flakyFailure></testcase>
  <testcase name="later" classname="org.acme.SumTest" time="0"><skipped/></testcase>
</testsuite>"#,
    );
    assert_eq!(
        cases(&report),
        [
            "org.acme.SumTest|org.acme.SumTest|subtracts|Failed|org.opentest4j.AssertionFailedError: expected: <1> but was: <2>",
            "org.acme.SumTest|org.acme.SumTest|adds|Succeeded|",
            "org.acme.SumTest|org.acme.SumTest|sometimes|Succeeded|",
            "org.acme.SumTest|org.acme.SumTest|later|Skipped|",
        ]
    );
    assert_eq!(
        report.test_cases[1].duration_in_nano_seconds,
        1_234_500_000_000
    );
}

#[test]
fn nextest_files_are_read() {
    let report = whole(
        r#"<testsuites name="nextest-run" tests="2" failures="1" uuid="0" timestamp="2025-01-01T00:00:00.000+00:00" time="0.016">
    <testsuite name="acme" tests="2" disabled="0" errors="0" failures="1">
        <testcase name="tests::adds" classname="acme" timestamp="2025-01-01T00:00:00.000+00:00" time="0.004"></testcase>
        <testcase name="tests::panics" classname="acme" time="0.005">
            <failure message="thread &apos;tests::panics&apos; panicked at src/lib.rs:9:5" type="test failure with exit code 101">thread &apos;tests::panics&apos; panicked at src/lib.rs:9:5:
left != right</failure>
            <system-err>noise</system-err>
        </testcase>
    </testsuite>
</testsuites>"#,
    );
    assert_eq!(
        cases(&report),
        [
            "acme|acme|tests::panics|Failed|thread 'tests::panics' panicked at src/lib.rs:9:5:",
            "acme|acme|tests::adds|Succeeded|",
        ]
    );
}

#[test]
fn googletest_files_are_read_with_several_failures_and_tests_not_run() {
    let report = whole(
        r#"<testsuites tests="3" failures="1" disabled="1" name="AllTests">
  <testsuite name="SumTest" tests="3">
    <testcase name="Adds" file="sum_test.cc" line="5" status="run" result="completed" time="0." classname="SumTest">
      <failure message="sum_test.cc:7&#x0A;Expected: 1" type=""><![CDATA[sum_test.cc:7
Expected: 1]]></failure>
      <failure message="sum_test.cc:8" type=""><![CDATA[sum_test.cc:8]]></failure>
    </testcase>
    <testcase name="DISABLED_Later" status="notrun" result="suppressed" time="0." classname="SumTest" />
    <testcase name="Skips" status="run" result="skipped" time="0." classname="SumTest"><skipped message="why"/></testcase>
  </testsuite>
</testsuites>"#,
    );
    assert_eq!(
        cases(&report),
        [
            "SumTest|SumTest|Adds|Failed|sum_test.cc:7",
            "SumTest|SumTest|DISABLED_Later|Skipped|",
            "SumTest|SumTest|Skips|Skipped|why",
        ]
    );
    assert_eq!(
        report.test_cases[0].message,
        "sum_test.cc:7\nExpected: 1\nsum_test.cc:8"
    );
}

#[test]
fn files_of_jest_mocha_ctest_and_go_are_read() {
    for (tool, xml, expected) in [
        (
            "jest-junit",
            r#"<testsuites name="jest tests"><testsuite name="sum" errors="0"><testcase classname="sum adds" name="sum adds" time="0.003"><failure>Error: expect(received).toBe(expected)
    at Object.&lt;anonymous&gt; (sum.test.js:4:5)</failure></testcase></testsuite></testsuites>"#,
            "sum|sum adds|sum adds|Failed|Error: expect(received).toBe(expected)",
        ),
        (
            "mocha-junit-reporter",
            r#"<testsuites name="Mocha Tests" time="0.0"><testsuite name="Root Suite" tests="0"></testsuite><testsuite name="Sum" file="/t/sum.js"><testcase name="Sum adds" time="0.0" classname="adds"><failure message="expected 1 to equal 2" type="AssertionError"><![CDATA[AssertionError: expected 1 to equal 2
    at Context.<anonymous> (t/sum.js:5:9)]]></failure></testcase></testsuite></testsuites>"#,
            "Sum|adds|Sum adds|Failed|AssertionError: expected 1 to equal 2",
        ),
        (
            "ctest",
            r#"<testsuite name="Linux-c++" tests="1" failures="1" disabled="0" skipped="0" hostname="" time="0"><testcase name="sum" classname="sum" time="0.01" status="fail"><failure message=""/><properties/><system-out>out</system-out></testcase></testsuite>"#,
            "Linux-c++|sum|sum|Failed|",
        ),
        (
            "ctest, not run",
            r#"<testsuite name="x"><testcase name="sum" classname="sum" time="0" status="disabled"><skipped message="Disabled"/></testcase></testsuite>"#,
            "x|sum|sum|Skipped|Disabled",
        ),
        (
            "go-junit-report",
            r#"<testsuites tests="1"><testsuite name="acme/sum" tests="1" failures="1" errors="0" id="0" hostname="h" time="0.001"><properties><property name="go.version" value="go1.24"></property></properties><testcase name="TestAdd" classname="acme/sum" time="0.000"><failure message="Failed"><![CDATA[    sum_test.go:8: 1 != 2]]></failure></testcase></testsuite></testsuites>"#,
            "acme/sum|acme/sum|TestAdd|Failed|Failed",
        ),
        (
            "a suite that broke outside its tests",
            r#"<testsuite name="db"><error message="no server">trace</error></testsuite>"#,
            "db||db|Error|no server",
        ),
    ] {
        assert_eq!(cases(&whole(xml)), [expected], "{tool}");
    }
}

#[test]
fn loose_files_are_read() {
    for (what, xml, expected) in [
        (
            "suites inside suites, the innermost name that is not empty",
            r#"<testsuites><testsuite name="a"><testsuite name="b"><testsuite name=""><testcase name="n"/></testsuite></testsuite></testsuite></testsuites>"#,
            "b||n|Succeeded|",
        ),
        (
            "no suite at all",
            r#"<testcase name="n" class="c"/>"#,
            "|c|n|Succeeded|",
        ),
        (
            "a suite and nothing said",
            "<testsuite><testcase/></testsuite>",
            "|||Succeeded|",
        ),
        (
            "failure and error together",
            "<testsuite><testcase name='n'><failure>f</failure><error>e</error><skipped/></testcase></testsuite>",
            "||n|Error|f",
        ),
        (
            "a namespace",
            r#"<j:testsuite xmlns:j="u" name="s"><j:testcase name="n"/></j:testsuite>"#,
            "s||n|Succeeded|",
        ),
        (
            "unquoted values",
            "<testsuite name=s><testcase name=n time=x></testcase></testsuite>",
            "s||n|Succeeded|",
        ),
        (
            "several roots",
            "<testsuite name='s'/><testsuite name='t'><testcase name='n'/></testsuite>",
            "t||n|Succeeded|",
        ),
        (
            "a status in words",
            "<testsuite><testcase name='n' status='FAILED'/></testsuite>",
            "||n|Failed|",
        ),
    ] {
        assert_eq!(cases(&whole(xml)), [expected], "{what}");
    }
}

#[test]
fn an_empty_report_is_a_good_one() {
    for xml in [
        "<testsuites/>",
        "<testsuites tests='0'></testsuites>",
        "<testsuite name='none'/>",
    ] {
        let report = whole(xml);
        assert_eq!(report.status, ReportStatus::Succeeded);
        assert_eq!(report.test_summary.unwrap().total, 0);
    }
}

#[test]
fn a_file_cut_short_keeps_its_cases_and_is_incomplete() {
    let xml = "<testsuite name='s'>\n<testcase name='one'/>\n<testcase name='two'><failure message='no'>half a sto";
    let report = read(xml);
    assert_eq!(cases(&report), ["s||two|Failed|no", "s||one|Succeeded|"]);
    assert_eq!(report.status, ReportStatus::Incomplete);
    assert_eq!(
        report.problems,
        [
            "`report.xml` could not be read to its end: it ends after line 3 with 3 elements still open: cut short?"
        ]
    );
}

#[test]
fn a_file_of_another_kind_is_named_for_what_it_is() {
    for (xml, expected) in [
        ("", "it is empty, or holds no XML"),
        ("not xml", "it is empty, or holds no XML"),
        ("<html></html>", "its first element is `html`"),
        (
            "<coverage line-rate='1'/>",
            "it looks like COBERTURAXML or CLOVERXML",
        ),
        ("<test-run/>", "it looks like NUNIT3XML"),
    ] {
        let report = read(xml);
        assert_eq!(report.status, ReportStatus::Incomplete, "{xml}");
        assert!(
            report.problems[0].contains(expected),
            "{:?}",
            report.problems
        );
    }
    let utf16: Vec<u8> = "\u{feff}<testsuite/>"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let report = read_one(FileFormat::JunitXml, "r.xml", utf16.as_slice());
    assert!(
        report.problems[0].contains("UTF-16"),
        "{:?}",
        report.problems
    );
}

#[test]
fn a_long_report_is_cut_to_its_failures_and_counted_whole() {
    let mut xml = String::from("<testsuite name='s'>");
    for index in 0..1_000 {
        let said = if index % 2 == 0 { "" } else { "<failure/>" };
        xml.push_str(&format!("<testcase name='{index}'>{said}</testcase>"));
    }
    xml.push_str("</testsuite>");
    let report = whole(&xml);
    assert!(report.truncated);
    assert_eq!(report.test_cases.len(), 500);
    assert!(
        report
            .test_cases
            .iter()
            .all(|case| case.status == CaseStatus::Failed)
    );
    assert_eq!(report.test_summary.unwrap().total, 1_000);
}

/// Cases with a log of a megabyte each, made while they are read.
struct Endless {
    cases_left: usize,
    piece: Vec<u8>,
    position: usize,
}

impl std::io::Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.position == self.piece.len() {
            if self.cases_left == 0 {
                return Ok(0);
            }
            self.cases_left -= 1;
            self.position = 0;
        }
        let length = buffer.len().min(self.piece.len() - self.position);
        buffer[..length].copy_from_slice(&self.piece[self.position..self.position + length]);
        self.position += length;
        Ok(length)
    }
}

#[test]
fn twenty_megabytes_of_logs_inside_messages_need_the_memory_of_their_tokens() {
    let log = "line of a log &amp; more\n".repeat(40_000);
    let piece = format!(
        "<testsuite name='s'><testcase name='n' time='1'><failure message='{log}'><![CDATA[{log}]]></failure><system-out>{log}</system-out></testcase></testsuite>\n"
    );
    assert!(piece.len() > 2_000_000);
    let endless = Endless {
        cases_left: 10,
        position: piece.len(),
        piece: piece.into_bytes(),
    };
    let mut longest = 0;
    let mut bounded = crate::report::bounded::Bounded::new(std::io::BufReader::new(endless));
    let mut token = Vec::new();
    while std::io::BufRead::read_until(&mut bounded, b'<', &mut token).unwrap() > 0 {
        longest = longest.max(token.len());
        token.clear();
    }
    assert!(
        longest <= 2 * crate::report::bounded::TOKEN_BYTES_MAX,
        "{longest}"
    );

    let log = "x".repeat(700_000);
    let piece = format!(
        "<testcase name='n' time='1'><failure message='{log}'>{log}</failure><system-out>{log}</system-out></testcase>\n"
    );
    let endless = Endless {
        cases_left: 10,
        position: piece.len(),
        piece: piece.into_bytes(),
    };
    let report = read_one(
        FileFormat::JunitXml,
        "r.xml",
        std::io::BufReader::new(endless),
    );
    assert_eq!(report.problems, Vec::<String>::new());
    let summary = report.test_summary.unwrap();
    assert_eq!(
        (summary.total, summary.status_counts[&CaseStatus::Failed]),
        (10, 10)
    );
    assert_eq!(report.test_cases[0].message.len(), 5_000);
}

proptest::proptest! {
    #[test]
    fn any_elements_are_answered_and_every_case_is_counted_once(
        parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "<testsuites>", "</testsuites>", "<testsuite name='s'>", "</testsuite>", "<testcase name='c'>",
                "</testcase>", "<testcase/>", "<failure message='&amp;&#10;'>", "</failure>", "<error/>", "<skipped/>",
                "text & ]]>", "<![CDATA[x]]>", "<!-- -->", "<", ">", "'", "\"", "&#x0;",
            ]),
            0..40,
        )
    ) {
        let xml = parts.concat();
        let report = read(&xml);
        let summary = report.test_summary.unwrap();
        proptest::prop_assert_eq!(summary.total, summary.status_counts.values().sum::<u64>());
        proptest::prop_assert!(summary.total <= parts.len() as u64);
        proptest::prop_assert_eq!(report.test_cases.len() as u64, summary.total);
    }

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        for format in [FileFormat::JunitXml, FileFormat::CoberturaXml] {
            let report = read_one(format, "r.xml", bytes.as_slice());
            proptest::prop_assert_eq!(report.files.len(), 1);
        }
    }
}
