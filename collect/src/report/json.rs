//! Reports as JSON, in the shape of AWS's `BatchGetReports`. Receives the reports of a build, writes one document.

use std::collections::BTreeMap;
use std::io::{self, Write};

use croft_proto::Report;

/// Writes `{"reports": [...]}`, indented, with a line break at the end.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_json(reports: &[Report], mut out: impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut out, &BTreeMap::from([("reports", reports)]))?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use croft_spec::FileFormat;

    #[test]
    fn reports_have_the_published_names() {
        let xml = "<testsuite name='s'><testcase classname='c' name='n' time='0.5'/></testsuite>";
        let report = crate::read_one(FileFormat::JunitXml, "r.xml", xml.as_bytes());
        let mut out = Vec::new();
        write_json(&[report], &mut out).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let report = &value["reports"][0];
        assert_eq!(report["type"], "TEST");
        assert_eq!(report["status"], "SUCCEEDED");
        assert_eq!(report["testSummary"]["statusCounts"]["SUCCEEDED"], 1);
        assert_eq!(report["testCases"][0]["durationInNanoSeconds"], 500_000_000);
        assert_eq!(report["testCases"][0]["testSuiteName"], "s");
        assert!(out.ends_with(b"\n"));
    }
}
