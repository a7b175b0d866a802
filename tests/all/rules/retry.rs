//! `on-failure: RETRY`: how often, on which message, and what a new try begins with.

use crate::harness::{Farm, each_place};

/// Runs a build whose `command` fails under the rule; how many tries it had.
fn tries(farm: &Farm, rule: &str, command: &str) -> usize {
    let rule = serde_json::to_string(rule).unwrap();
    let command = serde_json::to_string(command).unwrap();
    let ran = farm.run_spec(&format!(
        "phases:\n  build:\n    on-failure: {rule}\n    commands: [{command}]\n  post_build:\n    commands: [echo post]\n"
    ));
    ran.assert_code(1);
    let texts = ran.command_texts();
    // Only the last try goes on as without a rule.
    assert_eq!(
        texts.iter().filter(|text| *text == "echo post").count(),
        1,
        "{rule}"
    );
    assert_eq!(texts.last().unwrap(), "echo post");
    let tries = texts.len() - 1;
    assert_eq!(ran.events_of("retrying").len(), tries - 1, "{rule}");
    tries
}

fn retry_alone_tries_three_times_more(farm: &Farm) {
    assert_eq!(tries(farm, "RETRY", "exit 9"), 4);
}

fn retry_with_a_count_tries_that_often_more(farm: &Farm) {
    assert_eq!(tries(farm, "RETRY-1", "exit 9"), 2);
    assert_eq!(tries(farm, "retry-0", "exit 9"), 1);
}

fn retry_with_a_pattern_tries_again_only_when_the_message_matches(farm: &Farm) {
    assert_eq!(tries(farm, "Retry-exit status 9", "exit 9"), 4);
    assert_eq!(tries(farm, "RETRY-exit status [1-8]", "exit 9"), 1);
    assert_eq!(
        tries(
            farm,
            "RETRY-1-connection (reset|refused)",
            "echo connection reset by peer >&2; exit 9"
        ),
        2
    );
}

fn the_reason_of_a_new_try_is_what_failed_in_its_phase(farm: &Farm) {
    for forgiving in ["pre_build:\n    on-failure: CONTINUE", "build:"] {
        let ran = farm.run_spec(&format!(
            "phases:\n  {forgiving}\n    commands: ['exit 4']\n  post_build:\n    on-failure: RETRY-1\n    commands: ['exit 9']\n"
        ));
        ran.assert_code(1);
        let retrying = ran.events_of("retrying");
        assert_eq!(retrying.len(), 1, "{forgiving}");
        let reason = retrying[0]["reason"].as_str().unwrap();
        assert!(reason.contains("exit 9"), "{forgiving}: {reason}");
    }
}

fn a_try_that_succeeds_ends_the_trying(farm: &Farm) {
    farm.spec("phases:\n  build:\n    on-failure: RETRY-5\n    commands:\n      - echo x >> count\n      - test $(wc -l < count) -ge 3\n");
    let ran = farm.run(&["--in-place"]);
    ran.assert_code(0);
    let retrying: Vec<_> = ran
        .events_of("retrying")
        .iter()
        .map(|event| (event["attempt"].as_u64(), event["attemptsMax"].as_u64()))
        .collect();
    assert_eq!(retrying, [(Some(2), Some(6)), (Some(3), Some(6))]);
    assert!(ran.phases().contains(&"BUILD SUCCEEDED".to_string()));
    assert!(ran.summary().get("failedCommand").is_none());
}

fn each_try_begins_with_the_source_as_it_was(farm: &Farm) {
    farm.file("given", "given");
    farm.spec(
        "phases:\n  install:\n    commands: ['cat given; test ! -e left', 'echo [${X-}]']\n  build:\n    on-failure: RETRY-2\n    commands: ['X=1; echo changed > given; touch left; touch /tmp/left; false']\n",
    );
    let ran = farm.run(&[]);
    ran.assert_code(1);
    let outputs: Vec<_> = ran
        .commands()
        .into_iter()
        .filter(|done| done.phase == "INSTALL")
        .map(|done| done.output)
        .collect();
    assert_eq!(outputs, ["given", "[]\n"].repeat(3));
}

each_place!(
    retry_alone_tries_three_times_more,
    retry_with_a_count_tries_that_often_more,
    retry_with_a_pattern_tries_again_only_when_the_message_matches,
    the_reason_of_a_new_try_is_what_failed_in_its_phase,
    a_try_that_succeeds_ends_the_trying,
    each_try_begins_with_the_source_as_it_was,
);
