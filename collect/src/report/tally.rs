//! Test cases, all counted and the most telling ones kept. Receives each case as it is read, so that a report of any size
//! needs the memory of a thousand cases.

use std::collections::BTreeMap;

use croft_proto::{CaseStatus, TestCase, TestSummary};

use super::text::cut;

/// How many cases a report keeps, as on AWS.
pub(crate) const CASES_MAX: usize = 500;

/// How many characters of a name are kept, as on AWS.
pub(crate) const NAME_CHARS_MAX: usize = 1_000;

/// How many characters of a message are kept, as on AWS.
pub(crate) const MESSAGE_CHARS_MAX: usize = 5_000;

/// The cases of one report.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    counts: BTreeMap<CaseStatus, u64>,
    duration_nanos: u64,
    /// The first that failed or broke.
    unwell: Vec<TestCase>,
    /// The first of all others.
    well: Vec<TestCase>,
}

impl Tally {
    /// Counts a case, and keeps it if there is room; its texts are cut.
    pub(crate) fn add(&mut self, mut case: TestCase) {
        *self.counts.entry(case.status).or_default() += 1;
        self.duration_nanos = self
            .duration_nanos
            .saturating_add(case.duration_in_nano_seconds);
        let list = match case.status {
            CaseStatus::Failed | CaseStatus::Error => &mut self.unwell,
            CaseStatus::Succeeded | CaseStatus::Skipped | CaseStatus::Unknown => &mut self.well,
        };
        if list.len() < CASES_MAX {
            for name in [&mut case.prefix, &mut case.test_suite_name, &mut case.name] {
                *name = cut(name, NAME_CHARS_MAX).to_owned();
            }
            case.message = cut(&case.message, MESSAGE_CHARS_MAX).to_owned();
            list.push(case);
        }
    }

    /// Whether any case failed or broke.
    pub(crate) fn has_failures(&self) -> bool {
        !self.unwell.is_empty()
    }

    /// What was counted, and the cases kept: failed ones first, each group in the order of the files.
    pub(crate) fn finish(self) -> (TestSummary, Vec<TestCase>) {
        let summary = TestSummary {
            total: self.counts.values().sum(),
            status_counts: self.counts,
            duration_in_nano_seconds: self.duration_nanos,
        };
        let mut cases = self.unwell;
        cases.extend(self.well);
        cases.truncate(CASES_MAX);
        (summary, cases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(name: &str, status: CaseStatus) -> TestCase {
        TestCase {
            prefix: String::new(),
            test_suite_name: String::new(),
            name: name.to_owned(),
            status,
            message: "m".repeat(6_000),
            duration_in_nano_seconds: 2,
            test_raw_data_path: String::new(),
        }
    }

    #[test]
    fn failed_cases_are_kept_first_and_all_are_counted() {
        let mut tally = Tally::default();
        for index in 0..2_000 {
            let status = if index % 10 == 9 {
                CaseStatus::Failed
            } else {
                CaseStatus::Succeeded
            };
            tally.add(case(&format!("{index}{}", "n".repeat(2_000)), status));
        }
        let (summary, cases) = tally.finish();
        assert_eq!(
            (summary.total, summary.duration_in_nano_seconds),
            (2_000, 4_000)
        );
        assert_eq!(summary.status_counts[&CaseStatus::Failed], 200);
        assert_eq!(cases.len(), CASES_MAX);
        assert!(
            cases[..200]
                .iter()
                .all(|case| case.status == CaseStatus::Failed)
        );
        assert!(cases[200].name.starts_with("0n"));
        assert_eq!(cases[0].name.chars().count(), NAME_CHARS_MAX);
        assert_eq!(cases[0].message.chars().count(), MESSAGE_CHARS_MAX);
    }
}
