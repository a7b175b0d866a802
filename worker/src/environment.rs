//! What a build's commands find in their environment: who wins, and everything Croft says of the build itself. Pure.

use croft_proto::Build;
use croft_runner::protocol::{USER_BIN, Variable};

/// A build's variables in the order in which they were set; setting one again replaces it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment(Vec<Variable>);

impl Environment {
    pub(crate) fn new(variables: Vec<Variable>) -> Self {
        Self(variables)
    }

    pub(crate) fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let value = value.as_ref().to_vec();
        match self
            .0
            .iter_mut()
            .find(|(other, _)| other == name.as_bytes())
        {
            Some((_, old)) => *old = value,
            None => self.0.push((name.as_bytes().to_vec(), value)),
        }
    }

    pub(crate) fn set_default(&mut self, name: &str, value: impl AsRef<[u8]>) {
        if self.get(name).is_none() {
            self.set(name, value);
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.0
            .iter()
            .find(|(other, _)| other == name.as_bytes())
            .map(|(_, value)| value.as_slice())
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.get(name)
            .map(|value| String::from_utf8_lossy(value).into_owned())
    }

    pub(crate) fn variables(&self) -> &[Variable] {
        &self.0
    }

    pub(crate) fn replace(&mut self, variables: Vec<Variable>) {
        self.0 = variables;
    }
}

/// What Croft knows of a build besides its [`Build`] record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Where the primary source stands in the build.
    pub(crate) source_directory: String,
    /// Identifier and place of each secondary source.
    pub(crate) secondary_directories: Vec<(String, String)>,
    /// Where the source came from; `None` for a folder.
    pub(crate) repository_url: Option<String>,
    /// The region that AWS's tools are told.
    pub(crate) region: String,
    /// True for `croft run`, as AWS's local agent says it.
    pub(crate) local: bool,
}

/// The variables AWS gives to every build. They cannot be overridden, but for the region, which a user may set.
pub(crate) fn describe(environment: &mut Environment, build: &Build, facts: &Facts) {
    for name in ["AWS_DEFAULT_REGION", "AWS_REGION"] {
        environment.set_default(name, &facts.region);
    }
    let uuid = build.id.rsplit(':').next().unwrap_or_default();
    let project_arn = build.arn.replace(":build/", ":project/");
    let project_arn = project_arn.trim_end_matches(uuid).trim_end_matches(':');
    let said = [
        ("CODEBUILD_BUILD_ARN", build.arn.clone()),
        ("CODEBUILD_BUILD_ID", build.id.clone()),
        ("CODEBUILD_BUILD_IMAGE", build.image.clone()),
        ("CODEBUILD_BUILD_NUMBER", build.build_number.to_string()),
        ("CODEBUILD_BUILD_SUCCEEDING", "1".to_string()),
        ("CODEBUILD_CI", "true".to_string()),
        ("CODEBUILD_INITIATOR", build.initiator.clone()),
        ("CODEBUILD_KMS_KEY_ID", default_key(project_arn)),
        ("CODEBUILD_LOG_PATH", uuid.to_string()),
        ("CODEBUILD_PROJECT_ARN", project_arn.to_string()),
        ("CODEBUILD_SRC_DIR", facts.source_directory.clone()),
        (
            "CODEBUILD_START_TIME",
            build.start_time.millis().to_string(),
        ),
    ];
    for (name, value) in said {
        environment.set(name, value);
    }
    if facts.local {
        environment.set("CODEBUILD_LOCAL_BUILD", "true");
    }
    let known = [
        (
            "CODEBUILD_RESOLVED_SOURCE_VERSION",
            &build.resolved_source_version,
        ),
        ("CODEBUILD_SOURCE_VERSION", &build.source_version),
        ("CODEBUILD_SOURCE_REPO_URL", &facts.repository_url),
    ];
    for (name, value) in known {
        if let Some(value) = value {
            environment.set(name, value);
        }
    }
    for (identifier, directory) in &facts.secondary_directories {
        environment.set(&format!("CODEBUILD_SRC_DIR_{identifier}"), directory);
    }
}

/// AWS's name for the key that artifacts are sealed with when a project names none.
fn default_key(project_arn: &str) -> String {
    let owner = project_arn.split(":project/").next().unwrap_or_default();
    format!("{}:alias/aws/s3", owner.replace(":codebuild:", ":kms:"))
}

/// Puts the in-build helpers on the path that the image or host gave, before anything of the user's is set.
pub(crate) fn add_helpers(environment: &mut Environment) {
    let path = environment.text("PATH").filter(|path| !path.is_empty());
    let path = path.unwrap_or_else(|| {
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_string()
    });
    environment.set("PATH", format!("{path}:{USER_BIN}"));
    environment.set("HOME", "/root");
}

/// True for names a user may neither set nor override.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    name.starts_with("CODEBUILD_")
}

/// True when a variable of that name is never exported: AWS's credentials.
pub(crate) fn is_never_exported(name: &str) -> bool {
    name.starts_with("AWS_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use croft_proto::{PhaseType, Status, Timestamp};

    fn build() -> Build {
        Build {
            id: "demo:00000000-0000-4000-8000-000000000001".into(),
            arn: "arn:aws:codebuild:us-east-1:000000000000:build/demo:00000000-0000-4000-8000-000000000001".into(),
            build_number: 7,
            project_name: "demo".into(),
            start_time: Timestamp::from_millis(1_700_000_000_123),
            end_time: None,
            current_phase: PhaseType::Submitted,
            build_status: Status::InProgress,
            build_complete: false,
            source_version: None,
            resolved_source_version: Some("0123456789abcdef".into()),
            phases: Vec::new(),
            exported_environment_variables: Vec::new(),
            initiator: "someone".into(),
            timeout_in_minutes: 60,
            image: "sandbox".into(),
        }
    }

    #[test]
    fn a_build_is_told_what_aws_tells_it() {
        let mut environment = Environment::new(vec![(b"AWS_REGION".to_vec(), b"".to_vec())]);
        let facts = Facts {
            source_directory: "/codebuild/output/src1/src".into(),
            secondary_directories: vec![("lib".into(), "/codebuild/output/src2/src".into())],
            repository_url: None,
            region: "eu-central-1".into(),
            local: true,
        };
        describe(&mut environment, &build(), &facts);
        let expected = [
            ("AWS_REGION", ""),
            ("AWS_DEFAULT_REGION", "eu-central-1"),
            ("CODEBUILD_BUILD_NUMBER", "7"),
            ("CODEBUILD_START_TIME", "1700000000123"),
            (
                "CODEBUILD_PROJECT_ARN",
                "arn:aws:codebuild:us-east-1:000000000000:project/demo",
            ),
            (
                "CODEBUILD_KMS_KEY_ID",
                "arn:aws:kms:us-east-1:000000000000:alias/aws/s3",
            ),
            ("CODEBUILD_SRC_DIR_lib", "/codebuild/output/src2/src"),
            ("CODEBUILD_LOG_PATH", "00000000-0000-4000-8000-000000000001"),
            ("CODEBUILD_LOCAL_BUILD", "true"),
            ("CODEBUILD_RESOLVED_SOURCE_VERSION", "0123456789abcdef"),
        ];
        for (name, value) in expected {
            assert_eq!(environment.text(name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(environment.get("CODEBUILD_SOURCE_VERSION"), None);
    }

    #[test]
    fn helpers_come_last_on_the_path() {
        let mut environment = Environment::new(vec![(b"PATH".to_vec(), b"/a:/b".to_vec())]);
        add_helpers(&mut environment);
        assert_eq!(
            environment.text("PATH").unwrap(),
            "/a:/b:/codebuild/user/bin"
        );
    }
}
