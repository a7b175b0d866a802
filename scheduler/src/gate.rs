//! Limits on builds at once that make others wait: a project's own, or one that several projects share. Asked by a pool's
//! line before a build is taken; told when one is taken and when it is over.
//!
//! A gate counts what this server has taken and what it has seen claimed. Two servers that take at the same moment can pass it
//! together by as many builds as there are other servers; a limit that must never be passed is `REJECT`, which the ledger
//! holds.

use std::collections::HashMap;

use croft_proto::farm::{Concurrency, ConcurrencyMode};

/// Whose limit it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Whose {
    Project(u32),
    Group(String),
}

#[derive(Debug, Default)]
struct Gate {
    limits: HashMap<u32, u32>,
    taken: u32,
}

impl Gate {
    fn is_open(&self) -> bool {
        let limit = self.limits.values().copied().min().unwrap_or(u32::MAX);
        self.taken < limit.max(1)
    }
}

/// All gates.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    gates: HashMap<Whose, Gate>,
    /// The gate of each project that has one.
    of: HashMap<u32, Whose>,
}

impl Gates {
    /// The project's rules are these from now on; to be followed by a recount.
    pub(crate) fn set(&mut self, project: u32, rules: Option<&Concurrency>) {
        if let Some(whose) = self.of.remove(&project)
            && let Some(gate) = self.gates.get_mut(&whose)
        {
            gate.limits.remove(&project);
        }
        let Some(rules) = rules else {
            return;
        };
        let whose = match (&rules.group, rules.mode) {
            (Some(group), _) => Whose::Group(group.clone()),
            (None, ConcurrencyMode::Queue) => Whose::Project(project),
            // Whoever is over such a limit is not in the line.
            (None, ConcurrencyMode::Reject) => return,
        };
        let gate = self.gates.entry(whose.clone()).or_default();
        gate.limits.insert(project, rules.limit);
        self.of.insert(project, whose);
    }

    /// Counts anew: the project of each build that counts.
    pub(crate) fn recount(&mut self, projects: impl Iterator<Item = u32>) {
        for gate in self.gates.values_mut() {
            gate.taken = 0;
        }
        projects.for_each(|project| self.take(project));
    }

    pub(crate) fn is_open(&self, project: u32) -> bool {
        self.gate(project).is_none_or(Gate::is_open)
    }

    fn gate(&self, project: u32) -> Option<&Gate> {
        self.gates.get(self.of.get(&project)?)
    }

    pub(crate) fn take(&mut self, project: u32) {
        if let Some(gate) = self.of.get(&project).and_then(|of| self.gates.get_mut(of)) {
            gate.taken += 1;
        }
    }

    /// One of its builds does not count any more; the projects that may have waited for that.
    pub(crate) fn give(&mut self, project: u32) -> Vec<u32> {
        let gate = self.of.get(&project).and_then(|of| self.gates.get_mut(of));
        gate.map_or_else(Vec::new, |gate| {
            gate.taken = gate.taken.saturating_sub(1);
            let mut projects: Vec<u32> = gate.limits.keys().copied().collect();
            projects.sort_unstable();
            projects
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(limit: u32, mode: ConcurrencyMode, group: Option<&str>) -> Concurrency {
        Concurrency {
            limit,
            mode,
            group: group.map(str::to_string),
        }
    }

    #[test]
    fn a_project_waits_at_its_own_limit_and_no_other_does() {
        let mut gates = Gates::default();
        gates.set(1, Some(&rules(2, ConcurrencyMode::Queue, None)));
        gates.take(1);
        assert!(gates.is_open(1));
        gates.take(1);
        assert!(!gates.is_open(1) && gates.is_open(2));
        assert_eq!(gates.give(1), [1]);
        assert!(gates.is_open(1));
    }

    #[test]
    fn a_group_shares_the_smallest_of_its_limits() {
        let mut gates = Gates::default();
        gates.set(1, Some(&rules(5, ConcurrencyMode::Queue, Some("deploy"))));
        gates.set(2, Some(&rules(1, ConcurrencyMode::Queue, Some("deploy"))));
        gates.take(1);
        assert!(!gates.is_open(1) && !gates.is_open(2));
        assert_eq!(gates.give(1), [1, 2]);
        gates.set(2, None);
        gates.recount([1].into_iter());
        assert!(gates.is_open(1) && gates.is_open(2));
    }

    #[test]
    fn a_limit_that_refuses_makes_nobody_wait() {
        let mut gates = Gates::default();
        gates.set(1, Some(&rules(1, ConcurrencyMode::Reject, None)));
        gates.take(1);
        assert!(gates.is_open(1));
        assert_eq!(gates.give(1), Vec::<u32>::new());
    }
}
