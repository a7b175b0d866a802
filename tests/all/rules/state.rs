//! What persists from one command to the next and what does not, in both runtimes, with both shells.

use crate::harness::{Farm, each_place_and_shell};

fn the_working_directory_persists(farm: &Farm) {
    let outputs = farm.outputs(&[
        "mkdir -p sub/deep && cd sub/deep",
        "pwd",
        "cd ..",
        "echo ${PWD#$CODEBUILD_SRC_DIR}",
    ]);
    assert!(outputs[1].ends_with("/src/sub/deep\n"), "{outputs:?}");
    assert_eq!(outputs[3], "/sub\n");
}

fn a_directory_reached_by_a_link_keeps_its_name(farm: &Farm) {
    let outputs = farm.outputs(&["mkdir real && ln -s real named && cd named", "pwd; pwd -P"]);
    let lines: Vec<&str> = outputs[1].lines().collect();
    assert!(
        lines[0].ends_with("/named") && lines[1].ends_with("/real"),
        "{outputs:?}"
    );
}

fn a_variable_persists_without_export_and_reaches_programs(farm: &Farm) {
    let outputs = farm.outputs(&["X=1", "echo \"[$X]\"; sh -c 'echo \"[$X]\"'"]);
    assert_eq!(outputs[1], "[1]\n[1]\n");
}

fn an_exported_variable_persists_with_all_its_lines(farm: &Farm) {
    let outputs = farm.outputs(&["export M='one\n  two\n\nthree'", "printf '%s' \"$M\""]);
    assert_eq!(outputs[1], "one\n  two\n\nthree");
}

fn an_unset_variable_stays_unset(farm: &Farm) {
    let outputs = farm.outputs(&["A=1; B=2", "unset A", "echo \"${A-none} ${B-none}\""]);
    assert_eq!(outputs[2], "none 2\n");
}

fn values_pass_through_unchanged_whatever_bytes_they_hold(farm: &Farm) {
    let outputs = farm.outputs(&[
        r#"A='$HOME `id` "q" \ back'; B="it's"; C='  both ends  '; D='*'; E='a=b'; F='-n'; G=''; H='é☃'"#,
        r#"printf '[%s]' "$A" "$B" "$C" "$D" "$E" "$F" "${G-unset}" "$H""#,
        r"I=$(printf '\377\001'); J='trailing\'",
        r#"printf '%s' "$I" | od -An -tx1; printf '[%s]' "$J""#,
    ]);
    assert_eq!(
        outputs[1],
        r#"[$HOME `id` "q" \ back][it's][  both ends  ][*][a=b][-n][][é☃]"#
    );
    assert_eq!(outputs[3], " ff 01\n[trailing\\]");
}

fn files_persist(farm: &Farm) {
    let outputs = farm.outputs(&[
        "echo kept > file; echo there > /tmp/other",
        "cat file /tmp/other",
    ]);
    assert_eq!(outputs[1], "kept\nthere\n");
}

fn a_background_daemon_persists(farm: &Farm) {
    let outputs = farm.outputs(&[
        "nohup sleep 600 >/dev/null 2>&1 & echo $! > pid",
        "kill -0 $(cat pid) && echo alive",
    ]);
    assert_eq!(outputs[1], "alive\n");
}

fn waiting_for_a_process_of_an_earlier_command_fails_with_127(farm: &Farm) {
    let outputs = farm.outputs(&[
        "sleep 600 >/dev/null 2>&1 & echo $! > pid",
        "wait $(cat pid); echo status $?",
    ]);
    assert!(outputs[1].ends_with("status 127\n"), "{outputs:?}");
}

fn functions_do_not_persist(farm: &Farm) {
    let outputs = farm.outputs(&[
        "croft_f() { echo here; }; croft_f",
        "croft_f 2>/dev/null; echo status $?",
    ]);
    assert_eq!(outputs, ["here\n", "status 127\n"]);
}

fn exported_functions_do_not_persist(farm: &Farm) {
    if farm.at().is_bash() {
        let outputs = farm.outputs(&[
            "croft_f() { echo here; }; export -f croft_f; bash -c croft_f",
            "croft_f 2>/dev/null; echo status $?",
        ]);
        assert_eq!(outputs, ["here\n", "status 127\n"]);
    } else {
        let outputs = farm.outputs(&[
            "croft_f() { echo here; }; croft_f",
            "sh -c croft_f 2>/dev/null; echo status $?",
        ]);
        assert_eq!(outputs, ["here\n", "status 127\n"]);
    }
}

fn aliases_do_not_persist(farm: &Farm) {
    let outputs = farm.outputs(&[
        "alias croft_a='echo x'; alias croft_a",
        "alias croft_a >/dev/null 2>&1 && echo kept || echo gone",
    ]);
    assert!(outputs[0].contains("echo x"), "{outputs:?}");
    assert_eq!(outputs[1], "gone\n");
}

fn traps_do_not_persist(farm: &Farm) {
    let outputs = farm.outputs(&["trap 'echo trapped' EXIT; echo first", "echo second"]);
    assert_eq!(outputs, ["first\ntrapped\n", "second\n"]);
}

fn set_e_does_not_persist(farm: &Farm) {
    let outputs = farm.outputs(&["set -e; true", "false; echo went on"]);
    assert_eq!(outputs[1], "went on\n");
}

fn set_x_does_not_persist_and_does_not_trace_crofts_own_work(farm: &Farm) {
    let outputs = farm.outputs(&["set -x; echo loud", "echo quiet"]);
    assert_eq!(outputs, ["+ echo loud\nloud\n", "quiet\n"]);
}

fn set_u_does_not_persist(farm: &Farm) {
    let outputs = farm.outputs(&["set -u", "echo \"[$never_set_anywhere]\""]);
    assert_eq!(outputs[1], "[]\n");
}

fn shell_options_of_bash_do_not_persist(farm: &Farm) {
    if farm.at().is_bash() {
        let outputs = farm.outputs(&[
            "shopt -s nullglob; set -o pipefail",
            "shopt -q nullglob && echo kept || echo gone; set -o | grep pipefail",
        ]);
        assert!(
            outputs[1].starts_with("gone\n") && outputs[1].trim_end().ends_with("off"),
            "{outputs:?}"
        );
    } else {
        let outputs = farm.outputs(&["set -f", "case $- in *f*) echo kept;; *) echo gone;; esac"]);
        assert_eq!(outputs[1], "gone\n");
    }
}

fn arrays_of_bash_do_not_persist(farm: &Farm) {
    if farm.at().is_bash() {
        let outputs = farm.outputs(&[
            "A=(1 2 3); declare -A M=([k]=v); echo ${#A[@]} ${M[k]}",
            "echo \"${#A[@]} [${M[k]-}]\"",
        ]);
        assert_eq!(outputs, ["3 v\n", "0 []\n"]);
    } else {
        // A shell without arrays has its positional words instead.
        let outputs = farm.outputs(&["set -- a b c; echo $#", "echo $#"]);
        assert_eq!(outputs, ["3\n", "0\n"]);
    }
}

fn exit_0_ends_only_its_command_and_loses_what_it_set(farm: &Farm) {
    let ran = farm.run_commands(&[
        "mkdir sub; X=1; cd sub; exit 0; echo not reached",
        "echo \"[${X-}]\"; pwd",
    ]);
    ran.assert_code(0);
    let commands = ran.commands();
    assert_eq!(
        (commands[0].exit, commands[0].output.as_str()),
        (Some(0), "")
    );
    assert!(
        commands[1].output.starts_with("[]\n") && commands[1].output.ends_with("/src\n"),
        "{commands:?}"
    );
}

fn a_blocks_status_is_its_last_commands(farm: &Farm) {
    let ran = farm.run_commands(&["false\ntrue", "true\nfalse", "echo never"]);
    ran.assert_code(1);
    let exits: Vec<_> = ran.commands().iter().map(|done| done.exit).collect();
    assert_eq!(exits, [Some(0), Some(1)]);
}

fn what_a_failed_command_set_is_kept_for_finally(farm: &Farm) {
    let ran = farm.run_spec(
        "phases:\n  build:\n    commands: ['X=left; false']\n    finally: ['echo [$X]']\n",
    );
    ran.assert_code(1);
    assert_eq!(ran.commands()[1].output, "[left]\n");
}

fn state_carries_across_phases(farm: &Farm) {
    let ran = farm.run_spec(
        "phases:\n  install:\n    commands: ['X=1; mkdir sub; cd sub']\n  build:\n    commands: ['echo [$X]; pwd']\n  post_build:\n    commands: ['echo [$X]; pwd']\n",
    );
    ran.assert_code(0);
    for done in &ran.commands()[1..] {
        assert!(
            done.output.starts_with("[1]\n") && done.output.ends_with("/src/sub\n"),
            "{done:?}"
        );
    }
}

fn the_last_exit_status_is_told(farm: &Farm) {
    let ran = farm.run_spec("phases:\n  build:\n    commands: ['(exit 7)']\n    finally: ['echo $CODEBUILD_LAST_EXIT']\n");
    ran.assert_code(1);
    assert_eq!(ran.commands()[1].output, "7\n");
}

fn a_large_environment_carries_over(farm: &Farm) {
    let outputs = farm.outputs(&["B=$(head -c 100000 /dev/zero | tr '\\0' b)", "echo ${#B}"]);
    assert_eq!(outputs[1], "100000\n");
}

fn version_0_1_starts_every_command_afresh(farm: &Farm) {
    farm.file(
        "buildspec.yml",
        "version: 0.1\nenvironment_variables:\n  plaintext:\n    GIVEN: yes\nphases:\n  build:\n    commands:\n      - mkdir sub; cd sub; X=1; export Y=2; GIVEN=no\n      - echo \"[${X-}${Y-}] $GIVEN\"; pwd\n",
    );
    let ran = farm.run(&[]);
    ran.assert_code(0);
    let output = &ran.commands()[1].output;
    assert!(
        output.starts_with("[] yes\n") && output.ends_with("/src\n"),
        "{output}"
    );
}

each_place_and_shell!(
    the_working_directory_persists,
    a_directory_reached_by_a_link_keeps_its_name,
    a_variable_persists_without_export_and_reaches_programs,
    an_exported_variable_persists_with_all_its_lines,
    an_unset_variable_stays_unset,
    values_pass_through_unchanged_whatever_bytes_they_hold,
    files_persist,
    a_background_daemon_persists,
    waiting_for_a_process_of_an_earlier_command_fails_with_127,
    functions_do_not_persist,
    exported_functions_do_not_persist,
    aliases_do_not_persist,
    traps_do_not_persist,
    set_e_does_not_persist,
    set_x_does_not_persist_and_does_not_trace_crofts_own_work,
    set_u_does_not_persist,
    shell_options_of_bash_do_not_persist,
    arrays_of_bash_do_not_persist,
    exit_0_ends_only_its_command_and_loses_what_it_set,
    a_blocks_status_is_its_last_commands,
    what_a_failed_command_set_is_kept_for_finally,
    state_carries_across_phases,
    the_last_exit_status_is_told,
    a_large_environment_carries_over,
    version_0_1_starts_every_command_afresh,
);
