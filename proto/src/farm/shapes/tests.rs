use serde_json::json;

use super::*;
use crate::shape::{Strays, assert_in_step, read};

#[test]
fn projects_read_all_that_they_say_they_read() {
    let source = json!({
        "type": "GITHUB", "location": "https://git.example/x.git", "gitCloneDepth": 1,
        "gitSubmodulesConfig": {"fetchSubmodules": true}, "buildspec": "b.yml",
        "auth": {"type": "SECRETS_MANAGER", "resource": "r"}, "sourceIdentifier": "s", "x-croft": {"tree": "t"}
    });
    let artifacts = json!({"type": "S3", "packaging": "ZIP", "artifactIdentifier": "a"});
    assert_in_step::<Project>(&[json!({
        "name": "web", "description": "d", "source": source, "secondarySources": [source], "sourceVersion": "v",
        "secondarySourceVersions": [{"sourceIdentifier": "s", "sourceVersion": "v"}],
        "artifacts": artifacts, "secondaryArtifacts": [artifacts],
        "environment": {"type": "LINUX_CONTAINER", "image": "i", "computeType": "BUILD_GENERAL1_SMALL",
            "environmentVariables": [{"name": "A", "value": "1", "type": "PLAINTEXT"}], "privilegedMode": false,
            "registryCredential": {"credential": "c", "credentialProvider": "SECRETS_MANAGER"}},
        "timeoutInMinutes": 5, "queuedTimeoutInMinutes": 5, "concurrentBuildLimit": 1, "autoRetryLimit": 1,
        "x-croft": {"pool": "p", "priority": 1, "weight": 1, "concurrencyMode": "QUEUE", "concurrencyGroup": "g",
            "attemptsMax": 1}
    })]);
}

#[test]
fn words_and_names_that_cannot_be_are_all_told() {
    let wrong = read::<Project>(&json!({
        "name": "web", "artifacts": {"type": "NO_ARTIFACT"}, "cache": {"type": "LOCALE", "modes": ["LOCAL_SOURCE"]},
        "secondarySources": [{"sourceIdentifier": "a"}, {"sourceIdentifier": "a"}],
        "secondarySourceVersions": [{"sourceIdentifier": "b", "sourceVersion": "v"}],
        "environment": {"computeType": "BUILD_GENERAL1_HUGE", "type": "LINUX", "environmentVariables": [
            {"name": "A", "value": "1"}, {"name": "", "value": "2"}, {"name": "A", "value": "3"}]}
    }))
    .unwrap_err();
    let told: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    for part in [
        "artifacts.type: expected one of `NO_ARTIFACTS`, `S3` and `CODEPIPELINE`, found the text `NO_ARTIFACT`; did you mean `NO_ARTIFACTS`?",
        "cache.modes[0]: expected one of",
        "cache.type: expected one of `NO_CACHE`, `S3` and `LOCAL`, found the text `LOCALE`; did you mean `LOCAL`?",
        "environment.computeType: expected one of `BUILD_GENERAL1_SMALL`",
        "environment.type: expected one of `LINUX_CONTAINER`",
        "environment.environmentVariables[2].name: `A` is the name of environment.environmentVariables[0] already",
        "environment.environmentVariables[1].name: no variable can be called ``",
        "secondarySources[1].sourceIdentifier: `a` is",
        "secondarySourceVersions[0].sourceIdentifier: no secondary source is called `b`; did you mean `a`?",
    ] {
        let is_it = |said: &&String| said.starts_with(part);
        assert!(told.iter().any(|said| is_it(&said)), "{part}: {told:#?}");
    }
    assert_eq!(told.len(), 9, "{told:#?}");
}

#[test]
fn what_aws_has_and_nobody_looks_at_is_said_wherever_it_stands() {
    let json = json!({
        "name": "web", "source": {"reportBuildStatus": true, "insecureSsl": false},
        "artifacts": {"type": "S3", "location": "bucket", "namespaceType": "NONE", "path": ""},
        "environment": {"imagePullCredentialsType": "CODEBUILD", "certificate": "b/c.pem"},
        "cache": {"type": "NO_CACHE"}, "projectVisibility": "PRIVATE", "badge": {"badgeEnabled": false}
    });
    let idle = Strays::of(&json, &Project::SHAPE).idle;
    let paths: Vec<&str> = idle
        .iter()
        .filter_map(|said| said.split(' ').next())
        .collect();
    assert_eq!(
        paths,
        [
            "artifacts.location",
            "environment.certificate",
            "source.reportBuildStatus"
        ]
    );
    let mistakes =
        read::<Project>(&json!({"name": "web", "environment": {"imag": "x"}})).unwrap_err();
    assert_eq!(
        mistakes[0].to_string(),
        "environment.imag: there is no such key; did you mean `image`?"
    );
}
