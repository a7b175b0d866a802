//! What is asked for when a build is started, in the shape of AWS's `StartBuild`; and what is to be built once the project's
//! settings and the caller's are one. Made by the API, recorded in the build's first event, read by the worker that claims it.

use serde::{Deserialize, Serialize};

use super::settings::{
    Artifacts, Environment, Project, RegistryCredential, Source, SourceType, SourceVersion,
    TIMEOUT_MINUTES, Variable,
};
use super::{BuildId, Priority};

/// Ours of a start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OwnOfStart {
    /// The digest of an uploaded tree, in place of the project's source.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tree: Option<String>,
    /// In place of the project's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub priority: Option<Priority>,
}

/// AWS's `StartBuild`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartBuild {
    /// Whose build.
    #[serde(default)]
    pub project_name: String,
    /// In place of the project's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_version: Option<String>,
    /// The same of secondary sources.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub secondary_sources_version_override: Vec<SourceVersion>,
    /// In place of the project's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_type_override: Option<SourceType>,
    /// In place of the project's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_location_override: Option<String>,
    /// In place of the project's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub git_clone_depth_override: Option<u32>,
    /// In place of the project's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub buildspec_override: Option<String>,
    /// Before the project's of the same name.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub environment_variables_override: Vec<Variable>,
    /// In place of the project's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub image_override: Option<String>,
    /// In place of the project's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub compute_type_override: Option<String>,
    /// In place of the project's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub privileged_mode_override: Option<bool>,
    /// In place of the project's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub registry_credential_override: Option<RegistryCredential>,
    /// In place of the project's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub artifacts_override: Option<Artifacts>,
    /// In place of the project's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timeout_in_minutes_override: Option<u32>,
    /// In place of the project's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub queued_timeout_in_minutes_override: Option<u32>,
    /// In place of the project's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub auto_retry_limit_override: Option<u32>,
    /// Asked twice with the same token, there is one build.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub idempotency_token: Option<String>,
    /// Ours.
    #[serde(rename = "x-croft", skip_serializing_if = "Option::is_none", default)]
    pub own: Option<OwnOfStart>,
}

/// What is to be built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Requested {
    /// What is built.
    pub source: Source,
    /// Which version of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_version: Option<String>,
    /// More of it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub secondary_sources: Vec<Source>,
    /// Which versions of that.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub secondary_source_versions: Vec<SourceVersion>,
    /// Where it runs.
    pub environment: Environment,
    /// What becomes of what it makes.
    pub artifacts: Artifacts,
    /// And of its secondary ones.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub secondary_artifacts: Vec<Artifacts>,
    /// The longest it may take.
    pub timeout_in_minutes: u32,
    /// The build that this is a retry of, by somebody's hand.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry_of: Option<BuildId>,
}

impl Requested {
    /// A project's build as the caller wants it.
    ///
    /// # Errors
    /// Every setting that cannot be, in words that name it.
    pub fn of(project: &Project, start: &StartBuild) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        let mut environment = project.environment.clone();
        replace(&mut environment.image, start.image_override.as_ref());
        replace(
            &mut environment.compute_type,
            start.compute_type_override.as_ref(),
        );
        replace(
            &mut environment.privileged_mode,
            start.privileged_mode_override.as_ref(),
        );
        if start.registry_credential_override.is_some() {
            environment
                .registry_credential
                .clone_from(&start.registry_credential_override);
        }
        for variable in &start.environment_variables_override {
            let known = &mut environment.environment_variables;
            known.retain(|known| known.name != variable.name);
            known.push(variable.clone());
        }
        let timeout_in_minutes = start
            .timeout_in_minutes_override
            .or(project.timeout_in_minutes)
            .unwrap_or(TIMEOUT_MINUTES);
        if !(5..=2160).contains(&timeout_in_minutes) {
            wrong.push("timeoutInMinutesOverride: 5 to 2160".to_string());
        }
        if environment.image.is_empty() {
            wrong.push(
                "environment.image is missing: name an image, or `sandbox` in a pool that allows it".to_string(),
            );
        }
        if let Some(credential) = &environment.registry_credential
            && let Err(why) = credential.check()
        {
            wrong.push(format!("environment.registryCredential: {why}"));
        }
        let source = source(project, start, &mut wrong);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let mut versions = project.secondary_source_versions.clone();
        for version in &start.secondary_sources_version_override {
            versions.retain(|known| known.source_identifier != version.source_identifier);
            versions.push(version.clone());
        }
        Ok(Self {
            source,
            source_version: start
                .source_version
                .clone()
                .or_else(|| project.source_version.clone()),
            secondary_sources: project.secondary_sources.clone(),
            secondary_source_versions: versions,
            environment,
            artifacts: start
                .artifacts_override
                .clone()
                .unwrap_or_else(|| project.artifacts.clone()),
            secondary_artifacts: project.secondary_artifacts.clone(),
            timeout_in_minutes,
            retry_of: None,
        })
    }
}

fn source(project: &Project, start: &StartBuild, wrong: &mut Vec<String>) -> Source {
    let mut source = project.source.clone();
    if let Some(tree) = start.own.as_ref().and_then(|own| own.tree.clone()) {
        let is_digest = tree.len() == 64 && tree.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_digest {
            wrong.push(format!("x-croft.tree `{tree}`: 64 hexadecimal digits"));
        }
        source = Source {
            buildspec: source.buildspec,
            own: Some(super::settings::OwnOfSource { tree: Some(tree) }),
            ..Source::default()
        };
    }
    replace(&mut source.source_type, start.source_type_override.as_ref());
    if start.source_location_override.is_some() {
        source.location.clone_from(&start.source_location_override);
    }
    if start.git_clone_depth_override.is_some() {
        source.git_clone_depth = start.git_clone_depth_override;
    }
    if start.buildspec_override.is_some() {
        source.buildspec.clone_from(&start.buildspec_override);
    }
    let has_place = source.source_type.is_git() || source.source_type == SourceType::S3;
    if has_place && source.location.is_none() {
        wrong.push("the source needs a location".to_string());
    }
    if source.source_type == SourceType::Codepipeline {
        wrong.push("source type CODEPIPELINE: there are no pipelines yet".to_string());
    }
    source
}

fn replace<T: Clone>(setting: &mut T, with: Option<&T>) {
    if let Some(with) = with {
        setting.clone_from(with);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> Project {
        serde_json::from_value(serde_json::json!({
            "name": "web",
            "source": {"type": "GITHUB", "location": "https://git.example/web.git", "buildspec": "ci/build.yml"},
            "environment": {"image": "alpine", "environmentVariables": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}
        }))
        .unwrap()
    }

    #[test]
    fn overrides_win_and_everything_else_is_the_projects() {
        let start: StartBuild = serde_json::from_value(serde_json::json!({
            "projectName": "web", "sourceVersion": "main", "imageOverride": "debian",
            "environmentVariablesOverride": [{"name": "A", "value": "3", "type": "PLAINTEXT"}]
        }))
        .unwrap();
        let requested = Requested::of(&project(), &start).unwrap();
        assert_eq!(requested.environment.image, "debian");
        assert_eq!(requested.source.buildspec.as_deref(), Some("ci/build.yml"));
        assert_eq!(requested.source_version.as_deref(), Some("main"));
        assert_eq!(requested.timeout_in_minutes, TIMEOUT_MINUTES);
        let variables: Vec<_> = requested
            .environment
            .environment_variables
            .iter()
            .map(|variable| (variable.name.as_str(), variable.value.as_str()))
            .collect();
        assert_eq!(variables, [("B", "2"), ("A", "3")]);
    }

    #[test]
    fn an_uploaded_tree_takes_the_place_of_the_projects_source_but_not_of_its_buildspec() {
        let digest = "ab".repeat(32);
        let start: StartBuild = serde_json::from_value(serde_json::json!({
            "projectName": "web", "x-croft": {"tree": digest}
        }))
        .unwrap();
        let requested = Requested::of(&project(), &start).unwrap();
        assert_eq!(requested.source.tree(), Some(digest.as_str()));
        assert_eq!(requested.source.location, None);
        assert_eq!(requested.source.buildspec.as_deref(), Some("ci/build.yml"));
    }

    #[test]
    fn an_unknown_override_is_refused_and_not_dropped() {
        let json = serde_json::json!({"projectName": "web", "imageOverrride": "x"});
        assert!(serde_json::from_value::<StartBuild>(json).is_err());
    }

    #[test]
    fn what_cannot_be_built_is_said_before_it_waits() {
        let start: StartBuild = serde_json::from_value(serde_json::json!({
            "projectName": "web", "imageOverride": "", "timeoutInMinutesOverride": 1, "x-croft": {"tree": "no"}
        }))
        .unwrap();
        let wrong = Requested::of(&project(), &start).unwrap_err();
        assert_eq!(wrong.len(), 3, "{wrong:?}");
    }
}
