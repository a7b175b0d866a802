//! Which names are labels as they are: so many of each kind, all later ones are `other`.

use croft_proto::farm::{Names, PROJECTS_SHOWN_MAX};

use crate::intent::GroupName;

/// Groups that metrics tell apart.
const GROUPS_SHOWN_MAX: usize = 1_000;
/// Alarms, and metrics that are tested: far more than those of one application, of which only those under watch have values.
const WATCHED_SHOWN_MAX: usize = 500;
/// What all others are called.
const OTHERS: &str = "other";

/// Names that are shown.
#[derive(Debug)]
pub(super) struct Shown {
    applications: Names,
    groups: Names,
    alarms: Names,
    metrics: Names,
}

impl Default for Shown {
    fn default() -> Self {
        Self {
            applications: Names::at_most(PROJECTS_SHOWN_MAX),
            groups: Names::at_most(GROUPS_SHOWN_MAX),
            alarms: Names::at_most(WATCHED_SHOWN_MAX),
            metrics: Names::at_most(WATCHED_SHOWN_MAX),
        }
    }
}

impl Shown {
    pub(super) fn application<'n>(&mut self, name: &'n str) -> &'n str {
        self.applications.shown(name)
    }

    /// A group's application and its name.
    pub(super) fn group<'n>(&mut self, name: &'n GroupName) -> [&'n str; 2] {
        // No name has a line break.
        let both = format!("{}\n{}", name.application, name.group);
        if self.groups.shown(&both) == both {
            [&name.application, &name.group]
        } else {
            [OTHERS, OTHERS]
        }
    }

    pub(super) fn alarm<'n>(&mut self, name: &'n str) -> &'n str {
        self.alarms.shown(name)
    }

    pub(super) fn metric<'n>(&mut self, name: &'n str) -> &'n str {
        self.metrics.shown(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_beyond_the_thousandth_share_one_name_and_none_of_two_applications_is_taken_for_another()
     {
        let mut shown = Shown::default();
        let name = |application: &str, group: String| GroupName {
            application: application.into(),
            group,
        };
        for number in 0..GROUPS_SHOWN_MAX {
            let group = name("shop", number.to_string());
            assert_eq!(shown.group(&group), ["shop", &group.group]);
        }
        let known = name("shop", "7".into());
        assert_eq!(shown.group(&known), ["shop", "7"]);
        let late = name("other shop", "7".into());
        assert_eq!(shown.group(&late), [OTHERS, OTHERS]);
    }
}
