//! Names as labels of metrics: so many different ones, and one word for all others, so that whoever makes up names cannot fill the
//! memory of those who count. Asked by every room's metrics.

use std::collections::HashSet;

/// Projects that metrics tell apart: a large farm's. Each costs a few hundred series.
pub const PROJECTS_SHOWN_MAX: usize = 1_000;
/// Pools that metrics tell apart: far more than kinds of machines.
pub const POOLS_SHOWN_MAX: usize = 100;
/// What all others are called.
const OTHERS: &str = "other";

/// Names that are shown as they are.
#[derive(Clone, Debug)]
pub struct Names {
    known: HashSet<String>,
    count_max: usize,
}

impl Names {
    /// None yet, and at most so many.
    #[must_use]
    pub fn at_most(count_max: usize) -> Self {
        Self {
            known: HashSet::new(),
            count_max,
        }
    }

    /// The name itself if it was among the first; else `other`.
    pub fn shown<'n>(&mut self, name: &'n str) -> &'n str {
        if self.known.contains(name) {
            return name;
        }
        if self.known.len() >= self.count_max {
            return OTHERS;
        }
        self.known.insert(name.to_string());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_names_are_shown_and_all_later_ones_are_others() {
        let mut names = Names::at_most(2);
        assert_eq!([names.shown("a"), names.shown("b")], ["a", "b"]);
        assert_eq!([names.shown("c"), names.shown("a")], ["other", "a"]);
    }
}
