//! Which hosts a group means, by their tags, in AWS's shape. Written in groups; answered by the room that deploys.

use serde::{Deserialize, Serialize};

/// AWS's largest number of lists in a set.
const LISTS_MAX: usize = 3;
/// AWS's largest number of tags in a list.
const TAGS_MAX: usize = 10;

/// A tag of a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    /// Its name.
    pub key: String,
    /// What it says; may be empty.
    #[serde(default)]
    pub value: String,
}

/// What of a tag must agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TagFilterType {
    /// Its name.
    KeyOnly,
    /// What it says.
    ValueOnly,
    /// Both.
    #[default]
    KeyAndValue,
}

/// A tag that a host may have.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagFilter {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    /// What it says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<String>,
    /// What of it must agree.
    #[serde(rename = "Type", default)]
    pub by: TagFilterType,
}

/// Lists of tags: a host has one of each list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ec2TagSet {
    /// The lists.
    #[serde(default)]
    pub ec2_tag_set_list: Vec<Vec<TagFilter>>,
}

/// The same of hosts that are not AWS's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OnPremisesTagSet {
    /// The lists.
    #[serde(default)]
    pub on_premises_tag_set_list: Vec<Vec<TagFilter>>,
}

impl TagFilter {
    /// What cannot be of it.
    pub(crate) fn wrong(&self, at: &str) -> Option<String> {
        let needs_key = self.by != TagFilterType::ValueOnly && self.key.is_none();
        needs_key.then(|| format!("{at}.Key: only VALUE_ONLY goes without one"))
    }

    /// Whether that tag is meant.
    #[must_use]
    pub fn means(&self, tag: &Tag) -> bool {
        let key = self.key.as_deref() == Some(tag.key.as_str());
        let value = self.value.as_deref().unwrap_or_default() == tag.value;
        match self.by {
            TagFilterType::KeyOnly => key,
            TagFilterType::ValueOnly => value,
            TagFilterType::KeyAndValue => key && value,
        }
    }
}

/// What cannot be of a set of lists.
pub(crate) fn wrong_set(at: &str, lists: &[Vec<TagFilter>]) -> Vec<String> {
    let mut wrong = Vec::new();
    if lists.len() > LISTS_MAX {
        wrong.push(format!("{at}: at most {LISTS_MAX} lists"));
    }
    for (number, list) in lists.iter().enumerate() {
        if list.is_empty() || list.len() > TAGS_MAX {
            wrong.push(format!("{at}[{number}]: 1 to {TAGS_MAX} tags"));
        }
        wrong.extend(wrong_list(&format!("{at}[{number}]"), list));
    }
    wrong
}

/// What cannot be of one list.
pub(crate) fn wrong_list(at: &str, list: &[TagFilter]) -> Vec<String> {
    let numbered = list.iter().enumerate();
    numbered
        .filter_map(|(number, filter)| filter.wrong(&format!("{at}[{number}]")))
        .collect()
}
