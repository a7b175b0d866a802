//! What is asked of a repository: from a source version in one of AWS's forms to what git is to fetch and check out.
//! Receives a [`Repository`], hands [`Asked`] to whoever fetches. Pure.

use super::Error;
use crate::address;
use crate::request::Repository;

/// AWS's largest `gitCloneDepth` that is not all of the history.
const DEPTH_MAX: u32 = 25;
/// The fewest digits that git takes for a commit.
const COMMIT_DIGITS_MIN: usize = 7;

/// What is fetched, and what of it is checked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Without who signs in.
    pub(super) address: String,
    pub(super) wanted: Wanted,
    /// The commit in it that is checked out; its end when absent.
    pub(super) exact: Option<String>,
    pub(super) depth: Option<u32>,
}

/// What is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// What the server calls so: a branch, tag, commit, or full name.
    Name(String),
    /// All branches.
    Branches,
}

impl Asked {
    pub(super) fn of(repository: &Repository) -> Result<Self, Error> {
        let revision = repository
            .revision
            .as_deref()
            .filter(|text| !text.is_empty());
        for word in [Some(repository.url.as_str()), revision]
            .into_iter()
            .flatten()
        {
            // Git would take it for an option, some of which name programs to run.
            if word.starts_with('-') {
                return Err(Error::Option(word.to_string()));
            }
        }
        let (name, exact) = split(revision.unwrap_or("HEAD"))?;
        let depth = repository
            .depth
            .filter(|depth| (1..=DEPTH_MAX).contains(depth));
        Ok(Self {
            address: address::without_sign_in(&repository.url),
            wanted: Wanted::Name(full(name)),
            // Only with its history is it sure to be in what is fetched.
            depth: depth.filter(|_| exact.is_none()),
            exact,
        })
    }

    /// Whether it is a commit's number, whole or its beginning, and not a name.
    pub(super) fn is_commit(&self) -> bool {
        match &self.wanted {
            Wanted::Name(name) => is_commit(name),
            Wanted::Branches => false,
        }
    }

    /// The same commit, to be found in everything the server has.
    pub(super) fn with_all_branches(&self) -> Self {
        let exact = match &self.wanted {
            Wanted::Name(name) => Some(name.clone()),
            Wanted::Branches => self.exact.clone(),
        };
        Self {
            address: self.address.clone(),
            wanted: Wanted::Branches,
            exact,
            depth: None,
        }
    }

    /// The name of its mirror: one for each address, and others for a part of the history.
    pub(super) fn mirror_name(&self) -> String {
        let digest = blake3::hash(self.address.as_bytes()).to_hex();
        match self.depth {
            Some(depth) => format!("{digest}-{depth}"),
            None => digest.to_string(),
        }
    }
}

/// `pr/N` is short for what GitHub calls a pull request's branch.
fn full(name: &str) -> String {
    let number = name.strip_prefix("pr/");
    let number = number
        .filter(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
    number.map_or_else(
        || name.to_string(),
        |number| format!("refs/pull/{number}/head"),
    )
}

/// A name, and the commit that `^{...}` behind it asks for.
fn split(revision: &str) -> Result<(&str, Option<String>), Error> {
    let refused = |why: &str| Error::Asked(format!("source version {revision:?}: {why}"));
    let Some((name, rest)) = revision.split_once("^{") else {
        // Git would take a colon for the end of the name, and a star for all that match.
        if revision.contains([':', '*', '^', '~', ' ', '\n']) {
            return Err(refused(
                "a branch, tag, commit, pr/N, refs/..., or refs/...^{commit}",
            ));
        }
        return Ok((revision, None));
    };
    let commit = rest.strip_suffix('}').unwrap_or_default();
    if !matches!(commit.len(), 40 | 64) || !is_commit(commit) {
        return Err(refused("between ^{ and } stands a whole commit"));
    }
    if name.is_empty() || name.contains([':', '*', '^', '~', ' ', '\n']) {
        return Err(refused("before ^{ stands a branch's or tag's name"));
    }
    Ok((name, Some(commit.to_string())))
}

fn is_commit(text: &str) -> bool {
    (COMMIT_DIGITS_MIN..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(revision: Option<&str>, depth: Option<u32>) -> Result<Asked, Error> {
        Asked::of(&Repository {
            depth,
            ..Repository::new("https://me:pw@host/x".into(), revision.map(str::to_string))
        })
    }

    #[test]
    fn each_form_of_a_source_version_is_fetched_by_its_name() {
        let commit = "0123456789012345678901234567890123456789";
        let exact = format!("refs/heads/b^{{{commit}}}");
        for (revision, name, wanted_exact) in [
            (None, "HEAD", None),
            (Some(""), "HEAD", None),
            (Some("main"), "main", None),
            (Some("feature/x"), "feature/x", None),
            (Some("pr/12"), "refs/pull/12/head", None),
            (Some("pr/x"), "pr/x", None),
            (Some("refs/pull/3/head"), "refs/pull/3/head", None),
            (Some(exact.as_str()), "refs/heads/b", Some(commit)),
            (Some(commit), commit, None),
        ] {
            let asked = asked(revision, None).unwrap();
            assert_eq!(asked.wanted, Wanted::Name(name.into()), "{revision:?}");
            assert_eq!(asked.exact.as_deref(), wanted_exact, "{revision:?}");
            assert_eq!(asked.address, "https://host/x");
        }
        for wrong in [
            "-x",
            "a:b",
            "refs/heads/*",
            "main^{abc}",
            "^{0123456789012345678901234567890123456789}",
            "main~1",
            "main^{commit}",
        ] {
            assert!(asked(Some(wrong), None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_depth_of_1_to_25_is_a_part_of_the_history_and_has_its_own_mirror() {
        let of = |depth| asked(Some("main"), depth).unwrap();
        for (depth, kept) in [
            (None, None),
            (Some(0), None),
            (Some(1), Some(1)),
            (Some(25), Some(25)),
            (Some(26), None),
        ] {
            assert_eq!(of(depth).depth, kept);
        }
        assert_eq!(of(None).mirror_name(), of(Some(26)).mirror_name());
        assert_ne!(of(None).mirror_name(), of(Some(1)).mirror_name());
        let exact = asked(
            Some("main^{0123456789012345678901234567890123456789}"),
            Some(1),
        );
        assert_eq!(exact.unwrap().depth, None);
    }
}
