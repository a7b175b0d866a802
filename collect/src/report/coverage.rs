//! Coverage counted over any number of files. Receives totals file by file, hands back the summary.

use croft_proto::CoverageSummary;

/// Things that can be covered: lines or branches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Covered {
    pub(crate) covered: u64,
    pub(crate) missed: u64,
}

impl Covered {
    /// So many covered of so many in all.
    pub(crate) fn of(covered: u64, total: u64) -> Self {
        Self {
            covered: covered.min(total),
            missed: total.saturating_sub(covered),
        }
    }

    /// Adds another count.
    pub(crate) fn add(&mut self, other: Self) {
        self.covered = self.covered.saturating_add(other.covered);
        self.missed = self.missed.saturating_add(other.missed);
    }

    /// Whether there is nothing to cover.
    pub(crate) fn is_empty(self) -> bool {
        self.covered == 0 && self.missed == 0
    }

    /// 0 to 100; 0 when there is nothing to cover.
    fn percentage(self) -> f64 {
        if self.is_empty() {
            return 0.0;
        }
        let (covered, missed) = (float(self.covered), float(self.missed));
        covered * 100.0 / (covered + missed)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a percentage needs no more than 52 bits of its counts"
)]
fn float(count: u64) -> f64 {
    count as f64
}

/// The coverage of one report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    pub(crate) lines: Covered,
    pub(crate) branches: Covered,
}

impl Coverage {
    /// The percentages and counts.
    pub(crate) fn finish(self) -> CoverageSummary {
        CoverageSummary {
            line_coverage_percentage: self.lines.percentage(),
            lines_covered: self.lines.covered,
            lines_missed: self.lines.missed,
            branch_coverage_percentage: self.branches.percentage(),
            branches_covered: self.branches.covered,
            branches_missed: self.branches.missed,
        }
    }
}
