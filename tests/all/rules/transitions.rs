//! What runs after a failure, for every phase and every `on-failure`; `finally`; what `CODEBUILD_BUILD_SUCCEEDING` says.

use crate::harness::{At, Farm, each_place};

const PHASES: [&str; 4] = ["install", "pre_build", "build", "post_build"];

/// A buildspec that fails in `failing`; every phase has a `finally`, and there is an artifact.
fn spec(failing: &str, on_failure: Option<&str>) -> String {
    let mut text = "phases:\n".to_string();
    for phase in PHASES {
        let (command, rule) = match on_failure.filter(|_| phase == failing) {
            Some(rule) => ("exit 3", format!("    on-failure: {rule}\n")),
            None => (
                if phase == failing { "exit 3" } else { "true" },
                String::new(),
            ),
        };
        text += &format!(
            "  {phase}:\n{rule}    commands: ['echo {phase} $CODEBUILD_BUILD_SUCCEEDING', '{command}', 'echo rest']\n    finally: ['echo {phase} finally $CODEBUILD_BUILD_SUCCEEDING']\n"
        );
    }
    text + "artifacts:\n  files: [buildspec.yml]\n"
}

/// What that build does: the command phases after the failing one, whether it uploads, and its exit code.
fn check(
    farm: &Farm,
    failing: &str,
    on_failure: Option<&str>,
    (then, uploads, code): (&[&str], bool, i32),
) {
    let artifacts = farm
        .folder()
        .join(format!("out-{failing}-{}", on_failure.unwrap_or("default")));
    farm.spec(&spec(failing, on_failure));
    let ran = farm.run(&["-a", artifacts.to_str().unwrap()]);
    ran.assert_code(code);
    let at = PHASES.iter().position(|phase| *phase == failing).unwrap();
    let mut expected: Vec<String> = ["SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE"]
        .map(|phase| format!("{phase} SUCCEEDED"))
        .into();
    expected.extend(
        PHASES[..at]
            .iter()
            .map(|phase| format!("{} SUCCEEDED", phase.to_uppercase())),
    );
    expected.push(format!("{} FAILED", failing.to_uppercase()));
    expected.extend(
        then.iter()
            .map(|phase| format!("{} SUCCEEDED", phase.to_uppercase())),
    );
    expected.extend(uploads.then(|| "UPLOAD_ARTIFACTS SUCCEEDED".to_string()));
    expected.extend(["FINALIZING SUCCEEDED".to_string(), "COMPLETED".to_string()]);
    assert_eq!(ran.phases(), expected, "{failing} {on_failure:?}");
    assert_eq!(
        artifacts.join("buildspec.yml").exists(),
        uploads,
        "{failing} {on_failure:?}"
    );
    let (context, message) = ran.context(&failing.to_uppercase());
    assert_eq!(context, "COMMAND_EXECUTION_ERROR");
    assert_eq!(
        message,
        "Error while executing command: exit 3. Reason: exit status 3"
    );
    check_commands(
        &ran.commands()
            .iter()
            .map(|done| done.output.clone())
            .collect::<Vec<_>>(),
        failing,
        then,
    );
    assert_eq!(ran.status(), if code == 0 { "SUCCEEDED" } else { "FAILED" });
}

/// Every phase's `finally` ran, the failed phase's other commands did not, and success is told truly.
fn check_commands(outputs: &[String], failing: &str, then: &[&str]) {
    let mut expected = Vec::new();
    let mut succeeding = 1;
    for phase in PHASES {
        let failed = phase == failing;
        if !failed && succeeding == 0 && !then.contains(&phase) {
            continue;
        }
        expected.extend([format!("{phase} {succeeding}\n"), String::new()]);
        if failed {
            succeeding = 0;
        } else {
            expected.push("rest\n".to_string());
        }
        expected.push(format!("{phase} finally {succeeding}\n"));
    }
    assert_eq!(outputs, expected, "{failing}");
}

fn a_failed_install_ends_the_build(farm: &Farm) {
    check(farm, "install", None, (&[], false, 1));
}

fn a_failed_pre_build_ends_the_build(farm: &Farm) {
    check(farm, "pre_build", None, (&[], false, 1));
}

fn a_failed_build_goes_on_to_post_build_and_uploads(farm: &Farm) {
    check(farm, "build", None, (&["post_build"], true, 1));
}

fn a_failed_post_build_uploads(farm: &Farm) {
    check(farm, "post_build", None, (&[], true, 1));
}

fn abort_ends_the_build_in_install(farm: &Farm) {
    check(farm, "install", Some("ABORT"), (&[], false, 1));
}

fn abort_ends_the_build_in_pre_build(farm: &Farm) {
    check(farm, "pre_build", Some("ABORT"), (&[], false, 1));
}

fn abort_in_build_skips_post_build_and_the_upload(farm: &Farm) {
    check(farm, "build", Some("ABORT"), (&[], false, 1));
}

fn abort_in_post_build_skips_the_upload(farm: &Farm) {
    check(farm, "post_build", Some("ABORT"), (&[], false, 1));
}

fn continue_in_install_runs_the_rest_and_the_build_succeeds(farm: &Farm) {
    check(
        farm,
        "install",
        Some("CONTINUE"),
        (&["pre_build", "build", "post_build"], true, 0),
    );
}

fn continue_in_pre_build_runs_the_rest_and_the_build_succeeds(farm: &Farm) {
    check(
        farm,
        "pre_build",
        Some("Continue"),
        (&["build", "post_build"], true, 0),
    );
}

fn continue_in_build_runs_the_rest_and_the_build_succeeds(farm: &Farm) {
    check(farm, "build", Some("continue"), (&["post_build"], true, 0));
}

fn continue_in_post_build_uploads_and_the_build_succeeds(farm: &Farm) {
    check(farm, "post_build", Some("CONTINUE"), (&[], true, 0));
}

fn a_failing_finally_fails_its_phase_after_commands_that_succeeded(farm: &Farm) {
    let ran = farm.run_spec("phases:\n  build:\n    commands: ['true']\n    finally: ['exit 4', 'echo never']\n  post_build:\n    commands: ['echo post']\n");
    ran.assert_code(1);
    assert_eq!(ran.command_texts(), ["true", "exit 4", "echo post"]);
    assert!(ran.phases().contains(&"BUILD FAILED".to_string()));
    assert_eq!(
        ran.context("BUILD").1,
        "Error while executing command: exit 4. Reason: exit status 4"
    );
}

fn a_failing_finally_in_install_ends_the_build(farm: &Farm) {
    let ran = farm.run_spec("phases:\n  install:\n    commands: ['true']\n    finally: ['false']\n  build:\n    commands: ['echo never']\n");
    ran.assert_code(1);
    assert_eq!(ran.command_texts(), ["true", "false"]);
}

fn a_build_that_failed_stays_failed_after_a_good_post_build(farm: &Farm) {
    let ran = farm.run_spec(
        "phases:\n  build:\n    commands: ['false']\n  post_build:\n    commands: ['true']\n",
    );
    ran.assert_code(1);
    assert_eq!(ran.status(), "FAILED");
}

fn a_source_that_cannot_be_prepared_goes_straight_to_finalizing(farm: &Farm) {
    let ran = farm.run_spec("env:\n  parameter-store:\n    TOKEN: /no/such\nphases:\n  build:\n    commands: ['echo never']\n");
    ran.assert_code(1);
    assert_eq!(
        ran.phases()[3..],
        [
            "DOWNLOAD_SOURCE FAILED",
            "FINALIZING SUCCEEDED",
            "COMPLETED"
        ]
    );
    assert!(ran.commands().is_empty());
}

fn artifacts_that_match_nothing_fail_the_upload_and_the_build(farm: &Farm) {
    let ran = farm.run_spec(
        "phases:\n  build:\n    commands: ['true']\nartifacts:\n  files: [nothing/here]\n",
    );
    ran.assert_code(1);
    let phases = ran.phases();
    assert_eq!(
        phases[phases.len() - 3..],
        [
            "UPLOAD_ARTIFACTS FAILED",
            "FINALIZING SUCCEEDED",
            "COMPLETED"
        ]
    );
    assert_eq!(ran.context("UPLOAD_ARTIFACTS").0, "CLIENT_ERROR");
}

fn phases_that_are_absent_are_shown_as_succeeded(farm: &Farm) {
    let ran = farm.run_spec("phases:\n  post_build:\n    commands: ['true']\n");
    ran.assert_code(0);
    let expected = [
        "SUBMITTED",
        "QUEUED",
        "PROVISIONING",
        "DOWNLOAD_SOURCE",
        "INSTALL",
        "PRE_BUILD",
        "BUILD",
        "POST_BUILD",
        "UPLOAD_ARTIFACTS",
        "FINALIZING",
    ];
    let mut expected: Vec<String> = expected
        .iter()
        .map(|phase| format!("{phase} SUCCEEDED"))
        .collect();
    expected.push("COMPLETED".to_string());
    assert_eq!(ran.phases(), expected);
    let build = ran.build();
    assert_eq!(
        (&build["buildComplete"], &build["currentPhase"]),
        (&true.into(), &"COMPLETED".into())
    );
    for phase in build["phases"].as_array().unwrap() {
        let over = phase["phaseType"] != "COMPLETED";
        assert_eq!(
            phase.get("endTime").is_some() && phase.get("durationInSeconds").is_some(),
            over,
            "{phase}"
        );
        assert_eq!(phase.get("contexts").is_some(), over, "{phase}");
    }
}

/// What was forgiven is not what failed the build.
fn a_failure_after_a_forgiven_one_is_the_one_that_is_shown(farm: &Farm) {
    let forgiven = "phases:\n  pre_build:\n    on-failure: CONTINUE\n    commands: ['exit 4']\n  build:\n    commands: ";
    let ran = farm.run_spec(&format!("{forgiven}['exit 9']\n"));
    ran.assert_code(1);
    assert_eq!(ran.summary()["failedCommand"]["command"], "exit 9");
    let ran = farm.run_spec(&format!(
        "{forgiven}['true']\nartifacts:\n  files: [missing]\n"
    ));
    ran.assert_code(1);
    assert!(ran.summary().get("failedCommand").is_none());
    let (_, message) = ran.context("UPLOAD_ARTIFACTS");
    assert_eq!(ran.summary()["failureMessage"], message.as_str());
    // A failure that counts stays, whatever is forgiven after it.
    let ran = farm.run_spec(
        "phases:\n  build:\n    commands: ['exit 9']\n  post_build:\n    on-failure: CONTINUE\n    commands: ['exit 4']\n",
    );
    ran.assert_code(1);
    assert_eq!(ran.summary()["failedCommand"]["command"], "exit 9");
}

each_place!(
    a_failed_install_ends_the_build,
    a_failed_pre_build_ends_the_build,
    a_failed_build_goes_on_to_post_build_and_uploads,
    a_failed_post_build_uploads,
    abort_ends_the_build_in_install,
    abort_ends_the_build_in_pre_build,
    abort_in_build_skips_post_build_and_the_upload,
    abort_in_post_build_skips_the_upload,
    continue_in_install_runs_the_rest_and_the_build_succeeds,
    continue_in_pre_build_runs_the_rest_and_the_build_succeeds,
    continue_in_build_runs_the_rest_and_the_build_succeeds,
    continue_in_post_build_uploads_and_the_build_succeeds,
    a_failing_finally_fails_its_phase_after_commands_that_succeeded,
    a_failing_finally_in_install_ends_the_build,
    a_build_that_failed_stays_failed_after_a_good_post_build,
    a_source_that_cannot_be_prepared_goes_straight_to_finalizing,
    artifacts_that_match_nothing_fail_the_upload_and_the_build,
    phases_that_are_absent_are_shown_as_succeeded,
    a_failure_after_a_forgiven_one_is_the_one_that_is_shown,
);

/// An image that is not there and may not be pulled fails PROVISIONING, and nothing else is reached.
#[test]
fn an_image_that_is_not_there_fails_provisioning() {
    let Some(farm) = At::CONTAINER.farm() else {
        return;
    };
    farm.spec("phases:\n  build:\n    commands: ['true']\n");
    let ran = farm.end(farm.croft(&[
        "run",
        "-o",
        "ndjson",
        "--image",
        "croft-test/no-such:1",
        "--pull",
        "never",
    ]));
    ran.assert_code(1);
    assert_eq!(ran.phases()[2..], ["PROVISIONING FAILED", "COMPLETED"]);
    let (code, message) = ran.context("PROVISIONING");
    assert_eq!(code, "BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE");
    assert!(message.contains("croft-test/no-such:1"), "{message}");
}
