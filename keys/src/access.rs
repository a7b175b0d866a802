//! Tokens of the farm's API: who may ask it for what. Made when an administrator grants one; kept, by their hashes, in the
//! records the ledger holds; asked on every request by the HTTP front.
//!
//! These are other tokens than the cache's ([`crate::Tokens`]), which are lines of a file and know scopes. A token is 256
//! random bits after a name that may be shown. Only the BLAKE3 hash of its whole text is kept, which hides it as it is:
//! there is nothing to guess it from. What was sent is hashed before it is looked up, so that the time a look-up takes
//! tells nothing about the tokens there are: comparing in constant time is inherent.

/// What a role includes.
mod role;
/// Which projects a token is for.
mod projects;
/// The text of a token, its name and its hash.
mod text;
/// The tokens there are.
mod table;

pub use projects::{BadPattern, ProjectPattern};
pub use role::{AccessRole, UnknownRole};
pub use table::{AccessRecord, AccessTokens};
pub use text::{BadTokenText, NewAccessToken, TokenHash, TokenId, new_access_token};

use serde::{Deserialize, Serialize};

/// What the holder of a token may do, and with which projects.
///
/// **Shape.** `{"role": "builder", "projects": ["web", "shop-*"]}`; no projects mean every project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// What may be done.
    pub role: AccessRole,
    /// With which projects; every one if it is empty.
    #[serde(default)]
    pub projects: Vec<ProjectPattern>,
}

impl Access {
    /// That role, with every project.
    #[must_use]
    pub const fn everywhere(role: AccessRole) -> Self {
        Self {
            role,
            projects: Vec::new(),
        }
    }

    /// True when something that needs that role may be done with that project.
    ///
    /// No project means the farm as a whole (its workers, its tokens, a list over all projects): only a token of every
    /// project may do that. A list may be had by asking for each project in it.
    #[must_use]
    pub fn may(&self, needed: AccessRole, project: Option<&str>) -> bool {
        self.role.allows(needed) && self.includes(project)
    }

    fn includes(&self, project: Option<&str>) -> bool {
        let Some(project) = project else {
            return self.projects.is_empty()
                || self.projects.iter().any(ProjectPattern::is_everything);
        };
        self.projects.is_empty() || self.projects.iter().any(|pattern| pattern.admits(project))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(role: AccessRole, projects: &[&str]) -> Access {
        Access {
            role,
            projects: projects.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn a_token_is_for_its_projects_and_only_one_of_every_project_is_for_the_farm() {
        let rows: [(&[&str], Option<&str>, bool); 12] = [
            (&[], Some("web"), true),
            (&[], None, true),
            (&["*"], Some("web"), true),
            (&["*"], None, true),
            (&["web", "*"], None, true),
            (&["web"], Some("web"), true),
            (&["web"], Some("web-2"), false),
            (&["web"], Some("Web"), false),
            (&["web"], None, false),
            (&["shop-*", "web"], Some("shop-api"), true),
            (&["shop-*", "web"], Some("shop"), false),
            (&["shop-*"], None, false),
        ];
        for (projects, project, expected) in rows {
            let access = access(AccessRole::Builder, projects);
            assert_eq!(
                access.may(AccessRole::Viewer, project),
                expected,
                "{projects:?} {project:?}"
            );
            // The right project helps nobody whose role is too low.
            assert!(!access.may(AccessRole::Admin, project));
        }
    }

    #[test]
    fn access_is_written_with_the_words_people_type() {
        let json = r#"{"role":"deployer","projects":["web","shop-*"]}"#;
        let read: Access = serde_json::from_str(json).unwrap();
        assert_eq!(read, access(AccessRole::Deployer, &["web", "shop-*"]));
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
        let read: Access = serde_json::from_str(r#"{"role":"worker"}"#).unwrap();
        assert_eq!(read, Access::everywhere(AccessRole::Worker));
        for wrong in [
            r#"{"role":"root","projects":[]}"#,
            r#"{"role":"admin","projects":["a*b"]}"#,
            r#"{"projects":[]}"#,
        ] {
            assert!(serde_json::from_str::<Access>(wrong).is_err(), "{wrong}");
        }
    }
}
