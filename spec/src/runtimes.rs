//! `runtimes.yml`: which runtimes an image can switch to, and with which commands. AWS's images carry one; so can any other.
//! Receives the file's bytes from the worker, hands back versions with their raw text: `3.10` is not `3.1`.

use crate::findings::Findings;
use crate::yaml::{self, Entry, Kind, Node};

/// What an image offers, in the file's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runtimes {
    /// Name and versions.
    pub runtimes: Vec<(String, Vec<RuntimeVersion>)>,
}

/// One version of a runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeVersion {
    /// Raw text; `default` stands for every version that is not listed.
    pub version: String,
    /// Shell commands that switch to it.
    pub commands: Vec<String>,
    /// Other runtimes it needs, each with the versions that will do.
    pub requires: Vec<(String, Vec<String>)>,
}

impl Runtimes {
    /// What the file says; parts that are not as expected are left out, since the file is the image's and not the user's.
    /// `None` when it is no YAML at all.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let node = yaml::read(&mut Findings::new("runtimes.yml", text)).root?;
        let runtimes = find(&node, "runtimes")?;
        let runtimes = entries(runtimes).map(|runtime| {
            let versions = find(&runtime.value, "versions")
                .into_iter()
                .flat_map(entries)
                .map(version)
                .collect();
            (runtime.key.clone(), versions)
        });
        Some(Self {
            runtimes: runtimes.collect(),
        })
    }
}

fn version(entry: &Entry) -> RuntimeVersion {
    RuntimeVersion {
        version: entry.key.clone(),
        commands: find(&entry.value, "commands")
            .map(texts)
            .unwrap_or_default(),
        requires: find(&entry.value, "requires")
            .into_iter()
            .flat_map(entries)
            .map(|needed| (needed.key.clone(), texts(&needed.value)))
            .collect(),
    }
}

fn find<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    entries(node)
        .find(|entry| entry.key == key)
        .map(|entry| &*entry.value)
}

fn entries(node: &Node) -> impl Iterator<Item = &Entry> {
    match &node.kind {
        Kind::Map(entries) => entries.as_slice(),
        Kind::List(_) | Kind::Scalar(_) => &[],
    }
    .iter()
}

fn texts(node: &Node) -> Vec<String> {
    match &node.kind {
        Kind::List(items) => items.iter().flat_map(|item| texts(item)).collect(),
        Kind::Scalar(scalar) => vec![scalar.text.clone()],
        Kind::Map(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] = b"version: 0.1\nruntimes:\n  python:\n    versions:\n      3.10:\n        commands: [pyenv global $PYTHON_310_VERSION]\n      3.9:\n        commands:\n          - echo 3.9\n        requires:\n          java: [corretto17]\n      default:\n        commands: ['pyenv install $VERSION']\n  odd: 7\n";

    #[test]
    fn versions_keep_their_text_and_odd_parts_are_left_out() {
        let runtimes = Runtimes::parse(FILE).unwrap().runtimes;
        let (name, versions) = &runtimes[0];
        assert_eq!(name, "python");
        let names: Vec<&str> = versions
            .iter()
            .map(|version| version.version.as_str())
            .collect();
        assert_eq!(names, ["3.10", "3.9", "default"]);
        assert_eq!(
            versions[1].requires,
            [("java".to_string(), vec!["corretto17".to_string()])]
        );
        assert_eq!(runtimes[1], ("odd".to_string(), vec![]));
        assert_eq!(Runtimes::parse(b"\xff"), None);
    }
}
