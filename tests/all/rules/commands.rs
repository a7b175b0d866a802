//! The odd corners of what commands do: how they end, what they read, whom they run as.

use crate::harness::{At, Farm, each_place, each_place_and_shell};

fn a_command_that_is_not_found_is_127_and_says_line_4(farm: &Farm) {
    let ran = farm.run_commands(&["no-such-program-anywhere"]);
    ran.assert_code(1);
    let done = &ran.commands()[0];
    assert_eq!(done.exit, Some(127));
    let line = if farm.at().is_bash() {
        "/codebuild/output/tmp/script.sh: line 4: "
    } else {
        "/codebuild/output/tmp/script.sh: 4: "
    };
    assert!(done.output.contains(line), "{}", done.output);
}

fn an_exit_status_fails_the_phase_by_its_number(farm: &Farm) {
    let ran = farm.run_commands(&["exit 3", "echo never"]);
    ran.assert_code(1);
    assert_eq!(ran.commands()[0].exit, Some(3));
    assert_eq!(
        ran.context("BUILD").1,
        "Error while executing command: exit 3. Reason: exit status 3"
    );
    assert_eq!(ran.summary()["failedCommand"]["exitStatus"], 3);
}

fn a_command_that_kills_itself_has_128_and_the_signals_number(farm: &Farm) {
    let ran = farm.run_spec(
        "phases:\n  build:\n    commands: ['kill -9 $$']\n    finally: ['echo still here']\n",
    );
    ran.assert_code(1);
    let commands = ran.commands();
    assert_eq!(
        (commands[0].exit, commands[1].output.as_str()),
        (Some(137), "still here\n")
    );
}

fn standard_input_is_empty(farm: &Farm) {
    assert_eq!(
        farm.outputs(&["wc -c; read line; echo status $?"]),
        ["0\nstatus 1\n"]
    );
}

fn a_syntax_error_fails_only_its_own_command(farm: &Farm) {
    let ran = farm.run_spec("phases:\n  build:\n    commands: ['if true; then echo x']\n    finally: ['echo still here']\n");
    ran.assert_code(1);
    let commands = ran.commands();
    assert_ne!(commands[0].exit, Some(0));
    assert_eq!(commands[1].output, "still here\n");
}

fn a_comment_or_a_backslash_at_the_end_does_no_harm(farm: &Farm) {
    assert_eq!(
        farm.outputs(&["echo one # comment", "echo two \\", "cat <<X\nthree\nX"]),
        ["one\n", "two\n", "three\n"]
    );
}

fn a_daemon_that_holds_the_output_does_not_hold_the_build(farm: &Farm) {
    let outputs = farm.outputs(&["sleep 600 & echo started", "echo next"]);
    assert_eq!(outputs, ["started\n", "next\n"]);
}

fn bytes_that_are_not_text_do_no_harm_and_stay_in_the_log(farm: &Farm) {
    let ran = farm.run_commands(&[r"printf 'a\377\376b\000c\n'"]);
    ran.assert_code(0);
    assert_eq!(ran.output(), "a\u{fffd}\u{fffd}b\0c\n");
    assert!(
        ran.log()
            .windows(6)
            .any(|window| window == b"a\xff\xfeb\0c")
    );
}

each_place_and_shell!(
    a_command_that_is_not_found_is_127_and_says_line_4,
    an_exit_status_fails_the_phase_by_its_number,
    a_command_that_kills_itself_has_128_and_the_signals_number,
    standard_input_is_empty,
    a_syntax_error_fails_only_its_own_command,
    a_comment_or_a_backslash_at_the_end_does_no_harm,
    a_daemon_that_holds_the_output_does_not_hold_the_build,
    bytes_that_are_not_text_do_no_harm_and_stay_in_the_log,
);

fn a_directory_stays_where_commands_left_it_but_artifacts_come_from_the_source(farm: &Farm) {
    let out = farm.folder().join("out");
    farm.spec("phases:\n  build:\n    commands: ['mkdir sub; cd sub', 'echo made > ../made']\nartifacts:\n  files: [made]\n");
    farm.run(&["-a", out.to_str().unwrap()]).assert_code(0);
    assert_eq!(std::fs::read_to_string(out.join("made")).unwrap(), "made\n");
}

fn run_as_runs_as_that_user_and_the_phases_own_wins(farm: &Farm) {
    let user = farm.at().user();
    let ran = farm.run_spec(&format!(
        "run-as: {user}\nphases:\n  install:\n    run-as: root\n    commands: ['id -un']\n  build:\n    commands: ['id -un; echo $HOME; cat buildspec.yml >/dev/null; echo x > /tmp/mine', 'X=kept']\n    finally: ['id -un; echo [$X]']\n  post_build:\n    run-as: root\n    commands: ['echo $HOME; echo [$X]']\n"
    ));
    ran.assert_code(0);
    let outputs: Vec<String> = ran.commands().into_iter().map(|done| done.output).collect();
    assert_eq!(outputs[0], "root\n");
    assert!(
        outputs[1].starts_with(&format!("{user}\n")) && !outputs[1].contains("/root"),
        "{outputs:?}"
    );
    assert_eq!(outputs[3], format!("{user}\n[kept]\n"));
    assert_eq!(outputs[4], "/root\n[kept]\n");
}

fn a_user_that_is_missing_fails_the_phase_by_name(farm: &Farm) {
    let ran = farm.run_spec(
        "phases:\n  build:\n    run-as: nobody-of-that-name\n    commands: ['echo never']\n",
    );
    ran.assert_code(1);
    assert_eq!(ran.commands()[0].exit, Some(126));
    assert!(
        ran.output().contains("nobody-of-that-name"),
        "{}",
        ran.output()
    );
    assert!(!ran.output().contains("never\n"));
}

fn a_working_directory_that_is_gone_fails_the_next_command_and_is_said(farm: &Farm) {
    let ran = farm.run_commands(&[
        "mkdir sub; cd sub",
        "rmdir \"$PWD\"",
        "echo ran anyway in $PWD",
    ]);
    ran.assert_code(1);
    assert!(
        ran.output().contains("the working directory") && ran.output().contains("/sub is gone"),
        "{}",
        ran.output()
    );
    assert_eq!(ran.commands().last().unwrap().exit, Some(126));
}

fn bash_is_found_or_its_absence_is_said(farm: &Farm) {
    farm.file("buildspec.yml", "version: 0.2\nenv:\n  shell: bash\nphases:\n  build:\n    commands: ['echo $BASH_VERSION | cut -c1']\n");
    let ran = farm.run(&[]);
    ran.assert_code(0);
    assert_eq!(ran.output(), "5\n");
}

each_place!(
    a_directory_stays_where_commands_left_it_but_artifacts_come_from_the_source,
    run_as_runs_as_that_user_and_the_phases_own_wins,
    a_user_that_is_missing_fails_the_phase_by_name,
    a_working_directory_that_is_gone_fails_the_next_command_and_is_said,
    bash_is_found_or_its_absence_is_said,
);

#[test]
fn an_image_without_bash_says_so_when_the_buildspec_wants_it() {
    let busybox = At {
        image: Some("croft-test/busybox:1"),
        shell: "bash",
    };
    let Some(farm) = busybox.farm() else { return };
    let ran = farm.run_commands(&["echo never"]);
    ran.assert_code(1);
    assert_eq!(ran.commands()[0].exit, Some(127));
    assert!(ran.output().contains("bash"), "{}", ran.output());
}

#[test]
fn an_image_of_busybox_alone_builds() {
    let busybox = At {
        image: Some("croft-test/busybox:1"),
        shell: "sh",
    };
    let Some(farm) = busybox.farm() else { return };
    let outputs = farm.outputs(&[
        "X='a b'; mkdir sub; cd sub",
        "echo \"$X\" > file; cat file; pwd",
    ]);
    assert!(
        outputs[1].starts_with("a b\n") && outputs[1].ends_with("/src/sub\n"),
        "{outputs:?}"
    );
}

#[test]
fn a_command_that_outgrows_the_containers_memory_is_killed_and_the_build_fails() {
    let Some(farm) = At::CONTAINER.farm() else {
        return;
    };
    farm.spec(
        "phases:\n  build:\n    commands: ['tail /dev/zero']\n    finally: ['echo still here']\n",
    );
    let ran = farm.run(&["--memory", "64m"]);
    ran.assert_code(1);
    let commands = ran.commands();
    assert_eq!(commands[0].exit, Some(137), "{}", ran.story());
    assert_eq!(commands[1].output, "still here\n");
}
