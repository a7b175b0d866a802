//! The programs that AWS's build containers have: they are on the path in both runtimes and do what they say.

use crate::harness::{Farm, each_place};

fn hash_files_follows_contents(farm: &Farm) {
    farm.file("a/x.lock", "one");
    farm.file("b.txt", "other");
    let outputs = farm.outputs(&[
        "codebuild-hash-files '**/*.lock'",
        "cd a && codebuild-hash-files 'a/*.lock' b.txt",
        "echo two > x.lock; codebuild-hash-files '**/*.lock'",
        "codebuild-hash-files no-such-file; echo status $?",
    ]);
    let hashes: Vec<&str> = outputs[..3].iter().map(|output| output.trim()).collect();
    for hash in &hashes {
        assert!(
            hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{outputs:?}"
        );
    }
    assert!(
        hashes[0] != hashes[1] && hashes[0] != hashes[2] && hashes[1] != hashes[2],
        "{outputs:?}"
    );
    assert!(outputs[3].ends_with("status 1\n"), "{outputs:?}");
}

fn glob_search_lists_what_matches_below_the_source(farm: &Farm) {
    for name in ["t/one_test.py", "t/deep/two_test.py", "t/deep/other.py"] {
        farm.file(name, "");
    }
    let outputs = farm.outputs(&["cd t", "codebuild-glob-search '**/*_test.py'"]);
    assert_eq!(outputs[1], "t/deep/two_test.py\nt/one_test.py\n");
}

fn tests_run_runs_the_command_with_the_files(farm: &Farm) {
    for name in ["t/a_test", "t/b_test"] {
        farm.file(name, "");
    }
    let ran = farm.run_commands(&[
        "codebuild-tests-run --test-command 'echo $CODEBUILD_CURRENT_SHARD_FILES' --files-search \"codebuild-glob-search 't/*_test'\" --sharding-strategy equal-distribution",
        "codebuild-tests-run --test-command 'exit 5' --files-search 'echo x'",
    ]);
    ran.assert_code(1);
    let commands = ran.commands();
    assert_eq!(
        (commands[0].exit, commands[0].output.as_str()),
        (Some(0), "t/a_test t/b_test\n")
    );
    assert_eq!(commands[1].exit, Some(5));
}

fn a_breakpoint_does_not_hold_a_build_that_is_not_debugged(farm: &Farm) {
    let outputs = farm.outputs(&[
        "codebuild-breakpoint",
        "codebuild-resume",
        "command -v codebuild-breakpoint",
    ]);
    assert!(outputs[0].contains("codebuild-breakpoint"), "{outputs:?}");
    assert_eq!(outputs[2], "/codebuild/user/bin/codebuild-breakpoint\n");
}

fn helpers_work_for_other_users(farm: &Farm) {
    farm.file("x.lock", "one");
    let ran = farm.run_spec(&format!(
        "run-as: {}\nphases:\n  build:\n    commands: ['codebuild-hash-files x.lock | wc -c']\n",
        farm.at().user()
    ));
    ran.assert_code(0);
    assert_eq!(ran.output(), "65\n");
}

each_place!(
    hash_files_follows_contents,
    glob_search_lists_what_matches_below_the_source,
    tests_run_runs_the_command_with_the_files,
    a_breakpoint_does_not_hold_a_build_that_is_not_debugged,
    helpers_work_for_other_users,
);
