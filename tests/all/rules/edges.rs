//! The odd corners of a buildspec as a document: how its text becomes commands and values.

use crate::harness::{At, Farm, TestImage, each_place, each_place_and_shell};

fn a_block_is_one_command_shown_whole(farm: &Farm) {
    let ran = farm.run_spec(
        "phases:\n  build:\n    commands:\n      - |\n        echo one\n        echo two\n",
    );
    ran.assert_code(0);
    assert_eq!(ran.commands().len(), 1);
    assert_eq!(ran.command_texts()[0].trim_end(), "echo one\necho two");
    let log = String::from_utf8(ran.log()).unwrap();
    assert!(
        log.contains("Running command echo one\necho two\n"),
        "{log}"
    );
}

fn a_block_with_set_e_stops_at_its_first_failure(farm: &Farm) {
    let ran = farm.run_commands(&["set -e\necho before\nfalse\necho after"]);
    ran.assert_code(1);
    assert_eq!(ran.output(), "before\n");
}

fn a_pipeline_has_the_status_of_its_last_program(farm: &Farm) {
    farm.outputs(&["false | true"]);
    let ran = farm.run_commands(&["set -o pipefail; false | true"]);
    // A shell without the option ends at it.
    assert_ne!(ran.code, Some(0));
}

fn special_characters_in_values_pass_unchanged(farm: &Farm) {
    farm.spec(
        "env:\n  variables:\n    A: '$HOME `id` \"q\" \\ back'\n    B: \"it's\\n two \"\n    C: '  both ends  '\n    P: $PATH:/x\nphases:\n  build:\n    commands:\n      - printf '[%s]' \"$A\" \"$B\" \"$C\" \"$P\"\n",
    );
    let ran = farm.run(&[]);
    ran.assert_code(0);
    assert_eq!(
        ran.output(),
        "[$HOME `id` \"q\" \\ back][it's\n two ][  both ends  ][$PATH:/x]"
    );
}

each_place_and_shell!(
    a_block_is_one_command_shown_whole,
    a_block_with_set_e_stops_at_its_first_failure,
    a_pipeline_has_the_status_of_its_last_program,
    special_characters_in_values_pass_unchanged,
);

fn values_keep_their_text(farm: &Farm) {
    let ran = farm.run_spec(
        "env:\n  variables:\n    PORT: 8080\n    DEBUG: true\n    V: 1.10\n    N: 010\n    D: 2024-01-01\n    E: 1e3\n    X: 0x1F\n    Z:\n    Q: ~\nphases:\n  build:\n    commands:\n      - echo \"$PORT $DEBUG $V $N $D $E $X [${Z-unset}] [${Q-unset}]\"\n",
    );
    ran.assert_code(0);
    assert_eq!(
        ran.output(),
        "8080 true 1.10 010 2024-01-01 1e3 0x1F [] []\n"
    );
}

fn numbers_and_booleans_are_commands_as_written(farm: &Farm) {
    let ran = farm.run_spec("phases:\n  build:\n    commands:\n      - true\n      - 0042\n");
    ran.assert_code(1);
    let commands = ran.commands();
    assert_eq!(
        (commands[0].command.as_str(), commands[0].exit),
        ("true", Some(0))
    );
    assert_eq!(
        (commands[1].command.as_str(), commands[1].exit),
        ("0042", Some(127))
    );
}

fn the_version_may_be_a_number_or_a_text(farm: &Farm) {
    for version in ["0.2", "\"0.2\"", "'0.2'"] {
        farm.file(
            "buildspec.yml",
            format!("version: {version}\nphases:\n  build:\n    commands: ['echo fine']\n"),
        );
        farm.run(&[]).assert_code(0);
    }
}

fn anchors_aliases_and_merge_keys_work_and_may_be_parked_at_the_top(farm: &Farm) {
    let ran = farm.run_spec(
        "parked: &parked\n  on-failure: CONTINUE\n  commands: &list ['echo shared']\nphases:\n  install:\n    commands: *list\n  build:\n    <<: *parked\n    finally: ['false']\n",
    );
    ran.assert_code(0);
    assert_eq!(ran.command_texts(), ["echo shared", "echo shared", "false"]);
    assert!(ran.notices().contains("parked"), "{}", ran.notices());
}

fn windows_line_ends_and_a_byte_order_mark_are_accepted(farm: &Farm) {
    farm.file(
        "buildspec.yml",
        "\u{feff}version: 0.2\r\nphases:\r\n  build:\r\n    commands:\r\n      - echo one\r\n      - |\r\n        echo two\r\n        echo three\r\n",
    );
    let ran = farm.run(&[]);
    ran.assert_code(0);
    assert_eq!(ran.output(), "one\ntwo\nthree\n");
}

fn a_single_text_is_a_list_of_one_command(farm: &Farm) {
    let ran = farm.run_spec("phases:\n  build:\n    commands: echo alone\n");
    ran.assert_code(0);
    assert_eq!(ran.output(), "alone\n");
    assert!(ran.notices().contains("warning"), "{}", ran.notices());
}

fn another_buildspec_can_be_named(farm: &Farm) {
    farm.file(
        "ci/other.yml",
        "version: 0.2\nphases:\n  build:\n    commands: ['echo other']\n",
    );
    let ran = farm.run(&["-b", "ci/other.yml"]);
    ran.assert_code(0);
    assert_eq!(ran.output(), "other\n");
}

fn runtime_versions_without_support_in_the_image_are_a_warning(farm: &Farm) {
    let ran = farm.run_spec("phases:\n  install:\n    runtime-versions:\n      python: 3.10\n  build:\n    commands: ['echo built']\n");
    ran.assert_code(0);
    assert!(
        ran.notices().contains("warning: runtime-versions") && ran.notices().contains("python"),
        "{}",
        ran.notices()
    );
}

fn a_region_that_the_user_sets_wins_even_when_empty(farm: &Farm) {
    let ran = farm.run_spec("env:\n  variables:\n    AWS_REGION: ''\nphases:\n  build:\n    commands: ['echo \"[$AWS_REGION] [$AWS_DEFAULT_REGION]\"']\n");
    ran.assert_code(0);
    assert_eq!(ran.output(), "[] [us-east-1]\n");
}

each_place!(
    values_keep_their_text,
    numbers_and_booleans_are_commands_as_written,
    the_version_may_be_a_number_or_a_text,
    anchors_aliases_and_merge_keys_work_and_may_be_parked_at_the_top,
    windows_line_ends_and_a_byte_order_mark_are_accepted,
    a_single_text_is_a_list_of_one_command,
    another_buildspec_can_be_named,
    runtime_versions_without_support_in_the_image_are_a_warning,
    a_region_that_the_user_sets_wins_even_when_empty,
);

/// Edge case 12: an image's unquoted `3.10` is not `3.1`.
#[test]
fn runtime_versions_are_taken_from_the_images_own_file_as_written() {
    let Some(farm) = At::CONTAINER.farm() else {
        return;
    };
    let folder = farm.folder().join("image/codebuild");
    std::fs::create_dir_all(folder.join("image/config")).unwrap();
    std::fs::write(
        folder.join("image/config/runtimes.yml"),
        "runtimes:\n  python:\n    versions:\n      3.1:\n        commands: ['echo old', 'PY=3.1']\n      3.10:\n        commands: ['echo switching', 'PY=3.10']\n",
    )
    .unwrap();
    let image = TestImage::make(Some(&folder), &[]);
    farm.spec("phases:\n  install:\n    runtime-versions:\n      python: 3.10\n  build:\n    commands: ['echo using $PY']\n");
    let ran = farm.end(farm.croft(&["run", "-o", "ndjson", "-i", image.name(), "--pull", "never"]));
    ran.assert_code(0);
    assert_eq!(ran.output(), "switching\nusing 3.10\n");
    farm.spec("phases:\n  install:\n    runtime-versions:\n      python: 2.7\n");
    let ran = farm.end(farm.croft(&["run", "-o", "ndjson", "-i", image.name(), "--pull", "never"]));
    ran.assert_code(1);
    let (_, message) = ran.context("DOWNLOAD_SOURCE");
    assert!(
        message.contains("2.7") && message.contains("3.10"),
        "{message}"
    );
}
