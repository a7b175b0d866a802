//! A project's configuration in AWS's shape: what `croft project apply` takes, what is recorded, and what each of its builds is
//! made from. Our own settings are under `x-croft`. What AWS's tools print of a project is taken as it is, and [`Project::notes`] says what
//! of it does nothing here. The type is read leniently, since projects of earlier versions are recorded; what people write is checked
//! against its shape first.

use serde::{Deserialize, Serialize};

use super::{Concurrency, ConcurrencyMode, Priority, ProjectRules, Weight};
use crate::shape::{Strays, Written as _};

/// Lists whose entries have names.
mod several;

/// The pool of a project that names none.
pub const DEFAULT_POOL: &str = "default";
/// AWS's time limit of a build that has none, in minutes.
pub const TIMEOUT_MINUTES: u32 = 60;
/// AWS's `queuedTimeoutInMinutes` of a project that has none.
pub const QUEUED_TIMEOUT_MINUTES: u32 = 480;
/// A build is started at most so often whose workers were lost, unless its project says otherwise: one that kills its
/// machine must not go through the farm.
pub const ATTEMPTS_MAX: u32 = 3;
/// AWS's longest name of a project, in characters.
const NAME_CHARS_MAX: usize = 150;
/// AWS's largest number of secondary sources, and of secondary artifacts.
const SECONDARY_MAX: usize = 12;

/// What kind of place a source is in. AWS's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SourceType {
    /// A git repository.
    Codecommit,
    /// Handed over by a pipeline.
    Codepipeline,
    /// A git repository.
    Github,
    /// A git repository.
    GithubEnterprise,
    /// A git repository.
    Gitlab,
    /// A git repository.
    GitlabSelfManaged,
    /// A git repository.
    Bitbucket,
    /// An archive in object storage.
    S3,
    /// None, or an uploaded tree.
    #[default]
    NoSource,
}

impl SourceType {
    /// True for those that `git fetch` can reach.
    #[must_use]
    pub const fn is_git(self) -> bool {
        match self {
            Self::Codecommit
            | Self::Github
            | Self::GithubEnterprise
            | Self::Gitlab
            | Self::GitlabSelfManaged
            | Self::Bitbucket => true,
            Self::Codepipeline | Self::S3 | Self::NoSource => false,
        }
    }
}

/// A git source's submodules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitSubmodules {
    /// Whether they are fetched.
    #[serde(default)]
    pub fetch_submodules: bool,
}

/// Who one is to a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceAuth {
    /// AWS's `OAUTH`, `CODECONNECTIONS`, `SECRETS_MANAGER`.
    #[serde(rename = "type")]
    pub auth_type: String,
    /// For `SECRETS_MANAGER`: the secret that holds a token, or `user:password`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resource: Option<String>,
}

/// Ours of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnOfSource {
    /// The digest of a tree in the farm's store: the working directory somebody uploaded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tree: Option<String>,
}

/// Where a source comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// What kind.
    #[serde(rename = "type", default)]
    pub source_type: SourceType,
    /// An address for git, `bucket/path` for object storage.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub location: Option<String>,
    /// 1 to 25 for so many commits; everything else is all of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub git_clone_depth: Option<u32>,
    /// Its submodules.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub git_submodules_config: Option<GitSubmodules>,
    /// A path in the source, or the text of a buildspec; absent for `buildspec.yml`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub buildspec: Option<String>,
    /// Who one is there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub auth: Option<SourceAuth>,
    /// Of a secondary source.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_identifier: Option<String>,
    /// Ours.
    #[serde(rename = "x-croft", skip_serializing_if = "Option::is_none", default)]
    pub own: Option<OwnOfSource>,
}

impl Source {
    /// The uploaded tree it is, if it is one.
    #[must_use]
    pub fn tree(&self) -> Option<&str> {
        self.own.as_ref()?.tree.as_deref()
    }
}

/// Which version of which secondary source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceVersion {
    /// Which source.
    pub source_identifier: String,
    /// Which version of it.
    pub source_version: String,
}

/// Where a variable's value comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VariableType {
    /// It stands there.
    #[default]
    Plaintext,
    /// It names a parameter.
    ParameterStore,
    /// It names a secret.
    SecretsManager,
}

/// A variable of a build's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value, or where that is.
    pub value: String,
    /// Which of the two.
    #[serde(rename = "type", default)]
    pub variable_type: VariableType,
}

/// Who one is to an image's registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistryCredential {
    /// The secret: JSON with `username` and `password`.
    pub credential: String,
    /// `SECRETS_MANAGER`.
    #[serde(default)]
    pub credential_provider: String,
}

impl RegistryCredential {
    /// Whether it can name anybody.
    ///
    /// # Errors
    /// What is wrong with it, for whoever wrote it.
    pub fn check(&self) -> Result<(), String> {
        if !matches!(self.credential_provider.as_str(), "" | "SECRETS_MANAGER") {
            return Err(format!(
                "credentialProvider {}: only SECRETS_MANAGER is known",
                self.credential_provider
            ));
        }
        if self.credential.is_empty() {
            return Err("credential is missing: the name of a secret".to_string());
        }
        Ok(())
    }
}

/// Where builds run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// AWS's `LINUX_CONTAINER` and the like.
    #[serde(rename = "type", default)]
    pub environment_type: String,
    /// The image; `sandbox` for the worker's own tools, in pools that allow it.
    #[serde(default)]
    pub image: String,
    /// AWS's `BUILD_GENERAL1_SMALL` and the like.
    #[serde(default)]
    pub compute_type: String,
    /// In every build.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub environment_variables: Vec<Variable>,
    /// Whether it may start a container engine of its own.
    #[serde(default)]
    pub privileged_mode: bool,
    /// Who one is to the image's registry.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub registry_credential: Option<RegistryCredential>,
}

/// What becomes of what a build makes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifacts {
    /// AWS's `NO_ARTIFACTS`, `S3`, `CODEPIPELINE`. Artifacts are kept in the farm's store whatever it says.
    #[serde(rename = "type", default)]
    pub artifacts_type: String,
    /// A bucket.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub location: Option<String>,
    /// `NONE` or `ZIP`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub packaging: Option<String>,
    /// The file's or folder's name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Of a secondary one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub artifact_identifier: Option<String>,
}

/// Ours of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OwnOfProject {
    /// Which pool's workers run its builds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pool: Option<String>,
    /// Its builds before others'.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub priority: Option<Priority>,
    /// Its share beside other projects.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weight: Option<Weight>,
    /// Whether builds beyond `concurrentBuildLimit` are refused, as AWS does, or wait.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub concurrency_mode: Option<ConcurrencyMode>,
    /// Projects of one group share the limit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub concurrency_group: Option<String>,
    /// How often a build is started whose worker was lost.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub attempts_max: Option<u32>,
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    /// 2 to 150 of `[A-Za-z0-9_-]`, a letter or digit first.
    pub name: String,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
    /// What is built.
    #[serde(default)]
    pub source: Source,
    /// More of it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub secondary_sources: Vec<Source>,
    /// Which version; absent for the default branch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_version: Option<String>,
    /// Which versions of the secondary sources.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub secondary_source_versions: Vec<SourceVersion>,
    /// What becomes of what it makes.
    #[serde(default)]
    pub artifacts: Artifacts,
    /// And of its secondary ones.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub secondary_artifacts: Vec<Artifacts>,
    /// Where it runs.
    #[serde(default)]
    pub environment: Environment,
    /// The longest a build may take.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timeout_in_minutes: Option<u32>,
    /// The longest it may wait.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub queued_timeout_in_minutes: Option<u32>,
    /// How many there may be at once.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub concurrent_build_limit: Option<u32>,
    /// How often a failed build is started again by itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub auto_retry_limit: Option<u32>,
    /// Ours.
    #[serde(rename = "x-croft", skip_serializing_if = "Option::is_none", default)]
    pub own: Option<OwnOfProject>,
}

impl Project {
    /// When and where its builds run.
    ///
    /// # Errors
    /// Every setting that cannot be, in words that name it.
    pub fn rules(&self) -> Result<ProjectRules, Vec<String>> {
        let own = self.own.clone().unwrap_or_default();
        let mut wrong = self.wrong();
        let pool = own.pool.unwrap_or_else(|| DEFAULT_POOL.to_string());
        if !is_word(&pool, 64) {
            wrong.push(format!("x-croft.pool `{pool}`: 1 to 64 of [A-Za-z0-9_-]"));
        }
        if self.concurrent_build_limit == Some(0) {
            wrong.push("concurrentBuildLimit 0: the smallest is 1".to_string());
        }
        if own.concurrency_group.is_some() && self.concurrent_build_limit.is_none() {
            wrong.push("x-croft.concurrencyGroup needs a concurrentBuildLimit".to_string());
        }
        if own.concurrency_group.is_some() && own.concurrency_mode == Some(ConcurrencyMode::Reject)
        {
            wrong.push("x-croft.concurrencyMode REJECT: a group only queues".to_string());
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let concurrency = self.concurrent_build_limit.map(|limit| Concurrency {
            limit,
            mode: match own.concurrency_group {
                Some(_) => ConcurrencyMode::Queue,
                None => own.concurrency_mode.unwrap_or_default(),
            },
            group: own.concurrency_group,
        });
        Ok(ProjectRules {
            pool,
            priority: own.priority.unwrap_or_default(),
            weight: own.weight.unwrap_or_default(),
            concurrency,
            queued_timeout_in_minutes: self
                .queued_timeout_in_minutes
                .unwrap_or(QUEUED_TIMEOUT_MINUTES),
            auto_retry_limit: self.auto_retry_limit.unwrap_or_default(),
            attempts_max: own.attempts_max.unwrap_or(ATTEMPTS_MAX).max(1),
        })
    }

    fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if !is_project_name(&self.name) {
            wrong.push(format!(
                "name `{}`: 2 to {NAME_CHARS_MAX} of [A-Za-z0-9_-], a letter or digit first",
                self.name
            ));
        }
        for (setting, minutes, most) in [
            ("timeoutInMinutes", self.timeout_in_minutes, 2160),
            (
                "queuedTimeoutInMinutes",
                self.queued_timeout_in_minutes,
                480,
            ),
        ] {
            if minutes.is_some_and(|minutes| !(5..=most).contains(&minutes)) {
                wrong.push(format!("{setting}: 5 to {most}"));
            }
        }
        for (setting, count) in [
            ("secondarySources", self.secondary_sources.len()),
            ("secondaryArtifacts", self.secondary_artifacts.len()),
        ] {
            if count > SECONDARY_MAX {
                wrong.push(format!("{setting}: at most {SECONDARY_MAX}"));
            }
        }
        let unnamed = self
            .secondary_sources
            .iter()
            .any(|source| source.source_identifier.is_none());
        if unnamed {
            wrong.push("secondarySources: each needs a sourceIdentifier".to_string());
        }
        wrong.extend(several::wrong(self));
        if let Some(credential) = &self.environment.registry_credential
            && let Err(why) = credential.check()
        {
            wrong.push(format!("environment.registryCredential: {why}"));
        }
        let needs_location =
            |source: &Source| source.source_type.is_git() || source.source_type == SourceType::S3;
        let secondary = self.secondary_sources.iter().enumerate();
        let secondary = secondary.map(|(at, source)| (format!("secondarySources[{at}]"), source));
        let all = std::iter::once(("source".to_string(), &self.source)).chain(secondary);
        for (at, source) in all {
            if needs_location(source) && source.location.is_none() {
                wrong.push(format!(
                    "{at}: one of a git type, or of S3, needs a location"
                ));
            }
            if source.source_type == SourceType::Codepipeline {
                wrong.push(format!(
                    "{at}.type CODEPIPELINE: there are no pipelines yet"
                ));
            }
        }
        wrong
    }

    /// What of a project's JSON does nothing here, each in a sentence.
    #[must_use]
    pub fn notes(json: &serde_json::Value) -> Vec<String> {
        Strays::of(json, &Self::SHAPE).idle
    }
}

/// True for a name that AWS takes for a project.
#[must_use]
pub fn is_project_name(name: &str) -> bool {
    name.chars().count() >= 2
        && is_word(name, NAME_CHARS_MAX)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
}

fn is_word(text: &str, chars_max: usize) -> bool {
    let is_part = |part: char| part.is_ascii_alphanumeric() || part == '-' || part == '_';
    (1..=chars_max).contains(&text.len()) && text.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(json: serde_json::Value) -> Project {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_aws_prints_of_a_project_is_taken_and_what_does_nothing_is_said() {
        let json = serde_json::json!({
            "name": "web", "arn": "arn:aws:codebuild:eu-west-1:1:project/web",
            "source": {"type": "GITHUB", "location": "https://git.example/web.git", "gitCloneDepth": 1,
                "gitSubmodulesConfig": {"fetchSubmodules": true}, "reportBuildStatus": false, "insecureSsl": false},
            "artifacts": {"type": "NO_ARTIFACTS"}, "cache": {"type": "NO_CACHE"},
            "environment": {"type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0",
                "computeType": "BUILD_GENERAL1_SMALL", "environmentVariables":
                [{"name": "A", "value": "1", "type": "PLAINTEXT"}], "privilegedMode": false},
            "serviceRole": "arn:aws:iam::1:role/x", "timeoutInMinutes": 60, "queuedTimeoutInMinutes": 480,
            "encryptionKey": "arn:aws:kms:eu-west-1:1:alias/aws/s3", "tags": [], "created": 1.5,
            "badge": {"badgeEnabled": false}, "concurrentBuildLimit": 2
        });
        let notes = Project::notes(&json);
        assert!(notes.iter().any(|note| note.starts_with("encryptionKey")));
        assert!(!notes.iter().any(|note| note.starts_with("tags")));
        let rules = project(json).rules().unwrap();
        assert_eq!((rules.pool.as_str(), rules.attempts_max), (DEFAULT_POOL, 3));
        assert_eq!(rules.concurrency.unwrap().limit, 2);
    }

    #[test]
    fn every_setting_that_cannot_be_is_named_at_once() {
        let wrong = project(serde_json::json!({
            "name": "-", "timeoutInMinutes": 4, "queuedTimeoutInMinutes": 481, "concurrentBuildLimit": 0,
            "source": {"type": "GITHUB"}, "secondarySources": [{"type": "NO_SOURCE"}],
            "environment": {"registryCredential": {"credential": "a", "credentialProvider": "VAULT"}},
            "x-croft": {"pool": "a b", "concurrencyGroup": "g", "concurrencyMode": "REJECT"}
        }))
        .rules()
        .unwrap_err();
        for part in [
            "name `-`",
            "timeoutInMinutes",
            "queuedTimeoutInMinutes",
            "concurrentBuildLimit 0",
            "needs a location",
            "sourceIdentifier",
            "credentialProvider VAULT",
            "x-croft.pool",
            "a group only queues",
        ] {
            assert!(
                wrong.iter().any(|line| line.contains(part)),
                "{part}: {wrong:?}"
            );
        }
    }
}
