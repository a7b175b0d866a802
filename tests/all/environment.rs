//! What a build finds in its environment, who wins, and what it hands on.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::{At, Farm, Ran, TestImage, each_place};
use crate::sources::Repository;

/// Runs a build that prints its environment; what it saw.
fn seen(farm: &Farm, words: &[&str]) -> (Ran, BTreeMap<String, String>) {
    farm.spec("phases:\n  build:\n    commands: [env]\n");
    let ran = farm.run(words);
    ran.assert_code(0);
    let pairs = ran
        .output()
        .lines()
        .filter_map(|line| {
            line.split_once('=')
                .map(|(name, value)| (name.to_string(), value.to_string()))
        })
        .collect();
    (ran, pairs)
}

/// Not given to a local build of a plain folder.
const ABSENT: [&str; 8] = [
    "CI",
    "CODEBUILD_BATCH_BUILD_IDENTIFIER",
    "CODEBUILD_PUBLIC_BUILD_URL",
    "CODEBUILD_RESOLVED_SOURCE_VERSION",
    "CODEBUILD_SOURCE_REPO_URL",
    "CODEBUILD_SOURCE_VERSION",
    "CODEBUILD_WEBHOOK_EVENT",
    "CROFT_HOME",
];

fn every_variable_that_aws_gives_is_there(farm: &Farm) {
    let (ran, seen) = seen(farm, &["--project", "demo"]);
    let build = ran.build();
    let text = |field: &str| build[field].as_str().unwrap().to_string();
    let id = text("id");
    let millis = (build["startTime"].as_f64().unwrap() * 1000.0).round();
    let expected = [
        ("AWS_DEFAULT_REGION", "us-east-1".to_string()),
        ("AWS_REGION", "us-east-1".to_string()),
        (
            "CODEBUILD_BUILD_ARN",
            format!("arn:aws:codebuild:us-east-1:000000000000:build/{id}"),
        ),
        ("CODEBUILD_BUILD_ID", id.clone()),
        (
            "CODEBUILD_BUILD_IMAGE",
            farm.at().image.unwrap_or("sandbox").to_string(),
        ),
        ("CODEBUILD_BUILD_NUMBER", "1".to_string()),
        ("CODEBUILD_BUILD_SUCCEEDING", "1".to_string()),
        ("CODEBUILD_CI", "true".to_string()),
        ("CODEBUILD_INITIATOR", text("initiator")),
        (
            "CODEBUILD_KMS_KEY_ID",
            "arn:aws:kms:us-east-1:000000000000:alias/aws/s3".to_string(),
        ),
        ("CODEBUILD_LOCAL_BUILD", "true".to_string()),
        (
            "CODEBUILD_LOG_PATH",
            id.strip_prefix("demo:").unwrap().to_string(),
        ),
        (
            "CODEBUILD_PROJECT_ARN",
            "arn:aws:codebuild:us-east-1:000000000000:project/demo".to_string(),
        ),
        ("CODEBUILD_START_TIME", millis.to_string()),
        ("HOME", "/root".to_string()),
    ];
    for (name, value) in expected {
        assert_eq!(seen.get(name), Some(&value), "{name}");
    }
    for absent in ABSENT {
        assert!(
            !seen.contains_key(absent),
            "{absent} is {:?}",
            seen.get(absent)
        );
    }
    assert!(
        seen["PATH"]
            .split(':')
            .any(|place| place == "/codebuild/user/bin"),
        "{}",
        seen["PATH"]
    );
}

fn the_source_directory_has_the_shape_that_aws_gives_it(farm: &Farm) {
    let directory = seen(farm, &[]).1["CODEBUILD_SRC_DIR"].clone();
    let digits = directory
        .strip_prefix("/codebuild/output/src")
        .and_then(|rest| rest.strip_suffix("/src"));
    let is_number =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    assert!(digits.is_some_and(is_number), "{directory}");
}

fn numbers_count_each_projects_builds(farm: &Farm) {
    let number = |words: &[&str]| seen(farm, words).1["CODEBUILD_BUILD_NUMBER"].clone();
    assert_eq!(
        (number(&[]), number(&[]), number(&["--project", "other"])),
        ("1".into(), "2".into(), "1".into())
    );
}

fn a_folder_with_a_commit_tells_it_and_secondary_sources_have_their_place(farm: &Farm) {
    farm.spec("phases:\n  build:\n    commands: [env]\n");
    let commit = Repository::at(&farm.source()).commit("first");
    fs::create_dir(farm.folder().join("lib")).unwrap();
    fs::write(farm.folder().join("lib/file"), "from lib\n").unwrap();
    farm.spec("phases:\n  build:\n    commands: [env, 'cat $CODEBUILD_SRC_DIR_lib/file']\n");
    let ran = farm.run(&["-s", ".", "-s", "lib:../lib"]);
    ran.assert_code(0);
    assert!(
        ran.output()
            .contains(&format!("CODEBUILD_RESOLVED_SOURCE_VERSION={commit}\n")),
        "{}",
        ran.output()
    );
    assert!(
        ran.output()
            .contains("CODEBUILD_SRC_DIR_lib=/codebuild/output/src"),
        "{}",
        ran.output()
    );
    assert!(ran.output().ends_with("from lib\n"));
    assert_eq!(ran.build()["resolvedSourceVersion"], commit.as_str());
}

fn single_variables_win_over_the_file_and_the_file_over_the_buildspec(farm: &Farm) {
    farm.file("vars", "# a comment\nB=file\nC=file\n\nQ=\"quoted\"\nE=\n");
    let ran = {
        farm.spec("env:\n  variables: {A: spec, B: spec, C: spec}\nphases:\n  build:\n    commands: ['echo \"$A $B $C $Q [${E-unset}] $D\"']\n");
        farm.run(&["-e", "vars", "--env", "C=flag", "--env", "D=a=b"])
    };
    ran.assert_code(0);
    assert_eq!(ran.output(), "spec file flag \"quoted\" [] a=b\n");
}

fn a_given_variable_wins_over_a_stores(farm: &Farm) {
    farm.file("secrets", "/app/token=from-the-store\n");
    farm.spec("env:\n  variables: {TOKEN: plain}\n  parameter-store: {TOKEN: /app/token, OTHER: /app/token}\nphases:\n  build:\n    commands: ['echo $TOKEN', 'test $OTHER = from-the-\"\"store']\n");
    let ran = farm.run(&["--secret-file", "secrets", "--env", "TOKEN=given"]);
    ran.assert_code(0);
    assert_eq!(ran.output(), "given\n");
}

fn exported_variables_are_read_after_post_build(farm: &Farm) {
    let ran = farm.run_spec(
        "env:\n  variables: {GIVEN: as given, CHANGED: before}\n  exported-variables: [GIVEN, CHANGED, LINES, NEVER_SET, IN_A_SUBSHELL, BY_EXIT, IN_FINALLY, EMPTY]\nphases:\n  install:\n    commands: ['CHANGED=installed']\n  build:\n    commands:\n      - LINES=$(printf 'one\\ntwo\\n\\nfour')\n      - (IN_A_SUBSHELL=1)\n      - BY_EXIT=1; exit 0\n  post_build:\n    commands: ['CHANGED=after; EMPTY=']\n    finally: ['IN_FINALLY=yes']\n",
    );
    ran.assert_code(0);
    let expected = [
        ("GIVEN", "as given"),
        ("CHANGED", "after"),
        ("LINES", "one\ntwo\n\nfour"),
        ("IN_FINALLY", "yes"),
        ("EMPTY", ""),
    ];
    assert_eq!(
        ran.exported(),
        expected.map(|(name, value)| (name.to_string(), value.to_string()))
    );
}

fn exported_variables_are_read_though_the_build_failed(farm: &Farm) {
    let ran = farm.run_spec("env:\n  exported-variables: [WHY]\nphases:\n  build:\n    commands: ['WHY=\"no luck\"; false']\n");
    ran.assert_code(1);
    assert_eq!(ran.exported(), [("WHY".to_string(), "no luck".to_string())]);
}

fn credentials_and_stored_values_are_not_exported(farm: &Farm) {
    farm.file(
        "secrets",
        r#"{"/app/token": "a-long-secret", "db": "another-secret"}"#,
    );
    farm.spec(
        "env:\n  parameter-store: {TOKEN: /app/token}\n  secrets-manager: {PASSWORD: db}\n  exported-variables: [TOKEN, PASSWORD, AWS_SECRET_ACCESS_KEY, PLAIN]\nphases:\n  build:\n    commands: ['AWS_SECRET_ACCESS_KEY=x; PLAIN=fine']\n",
    );
    let ran = farm.run(&["--secret-file", "secrets"]);
    ran.assert_code(0);
    assert_eq!(ran.exported(), [("PLAIN".to_string(), "fine".to_string())]);
}

each_place!(
    every_variable_that_aws_gives_is_there,
    the_source_directory_has_the_shape_that_aws_gives_it,
    numbers_count_each_projects_builds,
    a_folder_with_a_commit_tells_it_and_secondary_sources_have_their_place,
    single_variables_win_over_the_file_and_the_file_over_the_buildspec,
    a_given_variable_wins_over_a_stores,
    exported_variables_are_read_after_post_build,
    exported_variables_are_read_though_the_build_failed,
    credentials_and_stored_values_are_not_exported,
);

#[test]
fn everything_wins_over_the_images_own_variables() {
    let Some(farm) = At::CONTAINER.farm() else {
        return;
    };
    let image = TestImage::make(None, &["ENV A=image B=image C=image D=image"]);
    farm.file("vars", "C=file\nD=file\n");
    farm.spec("env:\n  variables: {B: spec, C: spec, D: spec}\nphases:\n  build:\n    commands: ['echo $A $B $C $D']\n");
    let ran = farm.end(farm.croft(&[
        "run",
        "-o",
        "ndjson",
        "-i",
        image.name(),
        "--pull",
        "never",
        "-e",
        "vars",
        "--env",
        "D=flag",
    ]));
    ran.assert_code(0);
    assert_eq!(ran.output(), "image spec file flag\n");
}

/// A sandbox has the machine's tools, and nothing else of the caller's environment.
#[test]
fn a_sandbox_gets_no_other_variable_of_the_caller() {
    let Some(farm) = At::SANDBOX.farm() else {
        return;
    };
    farm.spec("phases:\n  build:\n    commands: [env]\n");
    let mut command = farm.croft_run(&["-o", "ndjson"]);
    let private = [
        "GITHUB_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_PROFILE",
        "SSH_AUTH_SOCK",
        "DBUS_SESSION_BUS_ADDRESS",
        "KUBECONFIG",
    ];
    command.envs(private.map(|name| (name, "croft-private-value")));
    let ran = farm.end(command);
    ran.assert_code(0);
    assert!(
        !ran.output().contains("croft-private-value"),
        "{}",
        ran.output()
    );
}

/// Under sudo a person's settings of AWS are in their own home, not in root's.
#[test]
fn the_aws_program_is_asked_with_the_home_of_whoever_calls_sudo() {
    let Some(farm) = At::SANDBOX.farm() else {
        return;
    };
    let aws = farm.person().join("aws");
    let said = farm.folder().join("home-of-aws");
    let script = format!(
        "#!/bin/sh\necho \"$HOME\" > {}\necho '{{\"Parameters\":[{{\"Name\":\"/x\",\"Value\":\"value-of-x\"}}]}}'\n",
        said.display()
    );
    fs::write(&aws, script).unwrap();
    fs::set_permissions(&aws, fs::Permissions::from_mode(0o755)).unwrap();
    farm.spec(
        "env:\n  parameter-store:\n    X: /x\nphases:\n  build:\n    commands: ['echo ${#X}']\n",
    );
    let mut command = farm.croft_run(&["-c", "-o", "ndjson"]);
    let path = std::env::var("PATH").unwrap();
    command
        .env("PATH", format!("{}:{path}", farm.person().display()))
        .env("SUDO_USER", "nobody");
    let ran = farm.end(command);
    ran.assert_code(0);
    assert_eq!(ran.output(), "10\n");
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let nobody = users.lines().find(|line| line.starts_with("nobody:"));
    let home = nobody.unwrap().split(':').nth(5).unwrap();
    assert_eq!(fs::read_to_string(said).unwrap().trim(), home);
}
