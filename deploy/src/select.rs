//! Which hosts a group means. Asked with a group, or the new side that a deployment names, and a host's tags.

use croft_proto::deploy::{DeploymentGroup, Tag, TagFilter, TargetInstances};

/// Whether a host of those tags is the group's: one of the flat filters means it, or of each list of a set one does. What is said of
/// AWS's hosts and of others is united; a group that says nothing has no hosts.
///
/// **Source.** CodeDeploy's user guide, "Tagging instances for deployment groups".
#[must_use]
pub fn is_of_group(group: &DeploymentGroup, tags: &[Tag]) -> bool {
    let ec2 = group.ec2_tag_set.as_ref().map(|set| &set.ec2_tag_set_list);
    let others = group.on_premises_tag_set.as_ref();
    is_any(&group.ec2_tag_filters, tags)
        || is_any(&group.on_premises_instance_tag_filters, tags)
        || ec2.is_some_and(|lists| is_of_each(lists, tags))
        || others.is_some_and(|set| is_of_each(&set.on_premises_tag_set_list, tags))
}

/// Whether a host of those tags is on the new side.
#[must_use]
pub fn is_of_targets(targets: &TargetInstances, tags: &[Tag]) -> bool {
    let set = targets.ec2_tag_set.as_ref();
    is_any(&targets.tag_filters, tags)
        || set.is_some_and(|set| is_of_each(&set.ec2_tag_set_list, tags))
}

fn is_any(filters: &[TagFilter], tags: &[Tag]) -> bool {
    filters
        .iter()
        .any(|filter| tags.iter().any(|tag| filter.means(tag)))
}

fn is_of_each(lists: &[Vec<TagFilter>], tags: &[Tag]) -> bool {
    !lists.is_empty() && lists.iter().all(|list| is_any(list, tags))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(of: &[(&str, &str)]) -> Vec<Tag> {
        of.iter()
            .map(|(key, value)| Tag {
                key: (*key).into(),
                value: (*value).into(),
            })
            .collect()
    }

    fn group(more: serde_json::Value) -> DeploymentGroup {
        let mut json = serde_json::json!({"applicationName": "a", "deploymentGroupName": "g"});
        json.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn flat_filters_are_one_or_another() {
        let group = group(serde_json::json!({
            "ec2TagFilters": [{"Key": "role", "Value": "web", "Type": "KEY_AND_VALUE"}, {"Key": "canary", "Type": "KEY_ONLY"}],
            "onPremisesInstanceTagFilters": [{"Value": "rack7", "Type": "VALUE_ONLY"}]
        }));
        for (of, is_of) in [
            (tags(&[("role", "web")]), true),
            (tags(&[("role", "db")]), false),
            (tags(&[("role", "db"), ("canary", "x")]), true),
            (tags(&[("where", "rack7")]), true),
            (tags(&[]), false),
        ] {
            assert_eq!(is_of_group(&group, &of), is_of, "{of:?}");
        }
    }

    #[test]
    fn a_set_wants_a_tag_of_each_list() {
        let group = group(serde_json::json!({"ec2TagSet": {"ec2TagSetList": [
            [{"Key": "role", "Value": "web"}, {"Key": "role", "Value": "api"}],
            [{"Key": "env", "Value": "prod"}]
        ]}}));
        for (of, is_of) in [
            (tags(&[("role", "api"), ("env", "prod")]), true),
            (tags(&[("role", "api"), ("env", "test")]), false),
            (tags(&[("env", "prod")]), false),
        ] {
            assert_eq!(is_of_group(&group, &of), is_of, "{of:?}");
        }
        assert!(!is_of_group(
            &self::group(serde_json::json!({"ec2TagSet": {"ec2TagSetList": []}})),
            &tags(&[("a", "b")])
        ));
    }
}
