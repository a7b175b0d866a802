//! How balancers are, as far as this server has told them: for its counters, and for people.

use std::collections::BTreeMap;

use croft_proto::deploy::{Wait, WaitKind};

use super::{Balancers, Reached};
use crate::intent::GroupName;

impl Balancers {
    /// How groups' balancers were the last time: whether they did as they were told, and what else is wrong with them, in number.
    pub(in super::super) fn standings(&self) -> impl Iterator<Item = (&GroupName, bool, usize)> {
        self.reached.iter().map(|(group, reached)| {
            let is_reached = matches!(reached, Reached::Well);
            let notes = self.troubled.get(group).map_or(0, BTreeMap::len);
            let notes = if is_reached { notes } else { 0 };
            (group, is_reached, notes)
        })
    }

    /// What is wrong with a group's balancer, which is called that.
    pub(in super::super) fn waits(&self, group: &GroupName, which: &str) -> Vec<Wait> {
        let wait = |message: String| Wait::new(WaitKind::Balancer, message);
        if let Some(Reached::NotSince(since, error)) = self.reached.get(group) {
            let message = format!("the balancer ({which}) does not do as it is told: {error}");
            let wait = wait(message).since(*since);
            return vec![wait.then("it is told again every two seconds")];
        }
        let notes = self.troubled.get(group).into_iter().flatten();
        notes
            .map(|(note, since)| wait(format!("the balancer ({which}): {note}")).since(*since))
            .collect()
    }
}
