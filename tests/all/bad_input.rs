//! What is wrong with what a person gives: buildspecs, words, files. Each mistake ends with exit code 5, says where it is and
//! what to do, and runs nothing.

use std::fs;

use crate::harness::{At, Farm, Ran};

/// No build is started, so no runtime is needed: but `croft run` starts the one it would use.
fn farm() -> Farm {
    Farm::new(At::SANDBOX)
}

#[track_caller]
fn assert_says(ran: &Ran, code: i32, words: &[&str]) {
    ran.assert_code(code);
    let said = format!("{}{}", ran.text(), ran.stderr);
    for word in words {
        assert!(said.contains(word), "{word:?} is not in\n{said}");
    }
    for trouble in ["panicked", "RUST_BACKTRACE", "Os {"] {
        assert!(!said.contains(trouble), "{said}");
    }
}

/// The mistake is found by `lint` and by `run`, at that line and column, with those words; every command stays unrun.
fn check_spec(text: &[u8], place: &str, words: &[&str]) {
    let farm = farm();
    farm.file("buildspec.yml", text);
    let place = format!("buildspec.yml:{place}");
    let words: Vec<&str> = words.iter().copied().chain([place.as_str()]).collect();
    assert_says(&farm.end(farm.croft(&["lint"])), 5, &words);
    let ran = farm.end(farm.croft(&["run"]));
    assert_says(&ran, 5, &words);
    let ran = farm.end(farm.croft(&["run", "-o", "ndjson"]));
    ran.assert_code(5);
    assert_eq!(ran.status(), "FAILED");
    let (code, message) = ran.context("DOWNLOAD_SOURCE");
    assert_eq!(code, "YAML_FILE_ERROR");
    assert!(message.starts_with(&place), "{message}");
    assert!(ran.commands().is_empty());
}

/// One test for each: the document, the place, and words of the message and of what to do.
macro_rules! mistakes {
    ($($name:ident: $text:expr, $place:expr, [$($word:expr),+];)+) => {
        $(#[test]
        fn $name() {
            check_spec($text.as_bytes(), $place, &[$($word),+]);
        })+
    };
}

mistakes! {
    a_colon_and_space_in_an_unquoted_command: "version: 0.2\nphases:\n  build:\n    commands:\n      - echo fine\n      - echo Build: done\n", "6:9", ["- 'echo Build: done'"];
    a_command_that_became_a_map_with_braces: "version: 0.2\nphases:\n  build:\n    commands:\n      - { echo hi; }\n", "5:9", ["- '{ echo hi; }'"];
    a_command_that_is_no_yaml_at_all: "version: 0.2\nphases:\n  build:\n    commands:\n      - [ -f x ] && y\n", "5:9", ["- '[ -f x ] && y'"];
    an_empty_item: "version: 0.2\nphases:\n  build:\n    commands:\n      - echo fine\n      -\n", "6:7", ["remove the `-`"];
    an_unknown_phase: "version: 0.2\nphases:\n  postbuild:\n    commands: [x]\n", "3:3", ["postbuild", "did you mean `post_build`?"];
    a_misspelt_key: "version: 0.2\nphases:\n  build:\n    comands: [x]\n    commands: [y]\n", "4:5", ["comands", "did you mean `commands`?"];
    a_reserved_name: "version: 0.2\nenv:\n  variables:\n    CODEBUILD_MINE: x\nphases:\n  build:\n    commands: [x]\n", "4:5", ["CODEBUILD_"];
    a_map_as_a_variable: "version: 0.2\nenv:\n  variables:\n    A: {b: c}\nphases:\n  build:\n    commands: [x]\n", "4:8", ["quote"];
    a_duplicate_key: "version: 0.2\nphases:\n  build:\n    commands: [x]\n  build:\n    commands: [y]\n", "5:3", ["build", "already on line 3"];
    a_tab_as_indentation: "version: 0.2\nphases:\n  build:\n\tcommands: [x]\n", "4:2", ["spaces"];
    an_unknown_version: "version: 0.3\nphases:\n  build:\n    commands: [x]\n", "1:10", ["0.3", "0.2"];
    no_version: "phases:\n  build:\n    commands: [x]\n", "1:1", ["version: 0.2"];
    no_phases: "version: 0.2\n", "1:1", ["phases"];
    a_phase_without_commands: "version: 0.2\nphases:\n  build:\n    finally: [x]\n", "3:3", ["commands"];
    a_bad_on_failure: "version: 0.2\nphases:\n  build:\n    on-failure: STOP\n    commands: [x]\n", "4:17", ["STOP", "ABORT"];
    a_bad_retry_pattern: "version: 0.2\nphases:\n  build:\n    on-failure: RETRY-2-(\n    commands: [x]\n", "4:17", ["RETRY"];
    a_bad_boolean: "version: 0.2\nphases:\n  build:\n    commands: [x]\nartifacts:\n  files: [x]\n  discard-paths: maybe\n", "7:18", ["maybe", "yes"];
    a_shell_of_windows: "version: 0.2\nenv:\n  shell: powershell.exe\nphases:\n  build:\n    commands: [x]\n", "3:10", ["bash"];
    an_unknown_report_format: "version: 0.2\nphases:\n  build:\n    commands: [x]\nreports:\n  r:\n    files: [x]\n    file-format: JUNIT\n", "8:18", ["JUNITXML"];
    too_many_fallback_keys: "version: 0.2\nphases:\n  build:\n    commands: [x]\ncache:\n  paths: [x]\n  key: k\n  fallback-keys: [a, b, c, d, e, f]\n", "8:34", ["5"];
    a_bad_secret_reference: "version: 0.2\nenv:\n  secrets-manager:\n    A: ':key'\nphases:\n  build:\n    commands: [x]\n", "4:8", ["secret"];
    an_alias_without_its_anchor: "version: 0.2\nphases:\n  build:\n    commands: *list\n", "4:15", ["list"];
    two_documents: "version: 0.2\nphases:\n  build:\n    commands: [x]\n---\nversion: 0.2\n", "5:1", ["document"];
}

#[test]
fn bytes_that_are_not_text() {
    check_spec(
        b"version: 0.2\nphases:\n  build:\n    commands: ['echo \xff']\n",
        "4:22",
        &["UTF-8"],
    );
}

#[test]
fn aliases_that_would_fill_the_memory() {
    let mut text = "version: 0.2\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_string();
    for level in 1..10 {
        text += &format!(
            "a{level}: &a{level} [{}]\n",
            vec![format!("*a{}", level - 1); 10].join(", ")
        );
    }
    let farm = farm();
    farm.file("buildspec.yml", text + "phases: {build: {commands: [x]}}\n");
    assert_says(
        &farm.end(farm.croft(&["lint"])),
        5,
        &["buildspec.yml:", "alias"],
    );
}

#[test]
fn an_empty_file() {
    let farm = farm();
    farm.file("buildspec.yml", "");
    let words = ["buildspec.yml", "the file says nothing", "version: 0.2"];
    assert_says(&farm.end(farm.croft(&["lint"])), 5, &words);
    assert_says(&farm.end(farm.croft(&["run"])), 5, &words);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let farm = farm();
    farm.file("buildspec.yml", "version: 0.2\nphases:\n  build:\n    comands: [x]\n    commands:\n      - echo a: b\n      -\n  deploy:\n    commands: [x]\n");
    let words = [
        "buildspec.yml:4:5",
        "buildspec.yml:6:9",
        "buildspec.yml:7:7",
        "buildspec.yml:8:3",
    ];
    assert_says(&farm.end(farm.croft(&["lint"])), 5, &words);
    assert_says(&farm.end(farm.croft(&["run"])), 5, &words);
    let ran = farm.end(farm.croft(&["lint", "-o", "json"]));
    ran.assert_code(5);
    let found: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(found.as_array().unwrap().len(), 4);
    assert_eq!(
        (&found[0]["place"]["line"], &found[0]["level"]),
        (&4.into(), &"error".into())
    );
}

#[test]
fn traps_are_warnings_that_strict_makes_errors() {
    let farm = farm();
    farm.file("buildspec.yml", "version: 0.2\nphases:\n  build:\n    commands:\n      - |\n        make test\n        echo done\n  post_build:\n    commands:\n      - aws s3 sync dist s3://bucket\n");
    assert_says(
        &farm.end(farm.croft(&["lint"])),
        0,
        &["buildspec.yml:6:", "set -e", "CODEBUILD_BUILD_SUCCEEDING"],
    );
    assert_says(
        &farm.end(farm.croft(&["lint", "--strict"])),
        5,
        &["CODEBUILD_BUILD_SUCCEEDING"],
    );
}

/// An AppSpec with three mistakes and a trap.
const APPSPEC: &str = "version: \"0.0\"\nos: linux\nfiles:\n  - source: /\n    destination: app\nhooks:\n  Install:\n    - location: x.sh\n  AfterInstall:\n    - location: /y.sh\n";

#[test]
fn an_appspec_is_known_by_its_name_and_by_its_contents() {
    let farm = farm();
    farm.file("y.sh", "");
    farm.file("deploy/y.sh", "");
    for name in ["appspec.yml", "deploy/appspec.yaml", "deploy.yml"] {
        farm.file(name, APPSPEC);
        let places = ["1:10", "5:18", "7:3", "10:17"].map(|place| format!("{name}:{place}"));
        let words: Vec<&str> = places
            .iter()
            .map(String::as_str)
            .chain([
                "without quotes",
                "`/srv/app`",
                "`BeforeInstall` and `AfterInstall`",
                "3 error(s), 1 warning(s)",
            ])
            .collect();
        assert_says(&farm.end(farm.croft(&["lint", name])), 5, &words);
    }
    let ran = farm.end(farm.croft(&["lint", "appspec.yml", "-o", "json"]));
    ran.assert_code(5);
    let found: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    let codes: Vec<&str> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|found| found["code"].as_str().unwrap())
        .collect();
    assert_eq!(
        codes,
        [
            "bad-version",
            "not-absolute",
            "reserved-event",
            "absolute-script"
        ]
    );
}

#[test]
fn what_an_appspec_names_is_looked_for_in_its_folder() {
    let farm = farm();
    let names = "files:\n  - {source: conf/ap.ini, destination: /srv/app}\nhooks:\n  AfterInstall:\n    - location: start.sh\n";
    farm.file(
        "shop/appspec.yml",
        format!("version: 0.0\nos: linux\n{names}"),
    );
    farm.file("shop/conf/app.ini", "");
    farm.file("shop/scripts/start.sh", "");
    let words = [
        "shop/appspec.yml:4:14",
        "there is no `conf/ap.ini` in the revision",
        "did you mean `conf/app.ini`?",
        "shop/appspec.yml:7:17",
        "did you mean `scripts/start.sh`?",
        "2 error(s)",
    ];
    for lint in ["shop", "shop/appspec.yml"] {
        assert_says(&farm.end(farm.croft(&["lint", lint])), 5, &words);
    }
    let local = farm.croft(&["agent", "--local", "shop"]);
    assert_says(
        &farm.end(local),
        5,
        &[
            "appspec.yml:4:14",
            "appspec.yml:7:17",
            "nothing was deployed",
        ],
    );
    // A build may make them.
    farm.file(
        "shop/buildspec.yml",
        "version: 0.2\nphases:\n  build:\n    commands: ['true']\n",
    );
    let words = ["missing-file-of-source", "0 error(s), 2 warning(s)"];
    assert_says(&farm.end(farm.croft(&["lint", "shop"])), 0, &words);
}

#[test]
fn a_good_appspec_passes_and_its_traps_fail_it_only_under_strict() {
    let farm = farm();
    let good = "version: 0.0\nos: linux\nfiles:\n  - source: /\n    destination: /srv/app\n";
    farm.file("appspec.yml", good);
    assert_says(
        &farm.end(farm.croft(&["lint", "appspec.yml", "--strict"])),
        0,
        &["appspec.yml: no mistakes, no traps"],
    );
    farm.file("appspec.yml", format!("{good}hooks:\n  AfterInstall:\n"));
    let words = ["appspec.yml:7:3", "empty-value"];
    assert_says(&farm.end(farm.croft(&["lint", "appspec.yml"])), 0, &words);
    assert_says(
        &farm.end(farm.croft(&["lint", "appspec.yml", "--strict"])),
        5,
        &words,
    );
}

#[test]
fn an_appspec_for_ecs_or_lambda_is_refused_by_name() {
    let farm = farm();
    for (kind, name) in [
        ("AWS::ECS::Service", "Amazon ECS"),
        ("AWS::Lambda::Function", "AWS Lambda"),
    ] {
        farm.file(
            "deploy.yaml",
            format!("version: 0.0\nResources:\n  - Target:\n      Type: {kind}\n"),
        );
        assert_says(
            &farm.end(farm.croft(&["lint", "deploy.yaml"])),
            5,
            &["deploy.yaml:4:13", "not-for-servers", name],
        );
    }
}

#[test]
fn of_a_folder_what_builds_and_deployments_read_is_linted() {
    let farm = farm();
    // Of the one that one is in, without a word.
    let both = [&["lint"][..], &["lint", "."]];
    for lint in both {
        let words = ["neither a buildspec.yml nor an appspec.yml"];
        assert_says(&farm.end(farm.croft(lint)), 5, &words);
    }
    farm.file("appspec.yml", "version: 0.0\nos: mac\n");
    for lint in both {
        let words = ["appspec.yml:2:5", "bad-os"];
        assert_says(&farm.end(farm.croft(lint)), 5, &words);
    }
    farm.file(
        "buildspec.yml",
        "version: 0.2\nphases:\n  build:\n    comands: ['true']\n",
    );
    for lint in both {
        let words = ["buildspec.yml:4:5", "unknown-key", "appspec.yml:2:5"];
        assert_says(&farm.end(farm.croft(lint)), 5, &words);
    }
    let ran = farm.end(farm.croft(&["lint", ".", "-o", "name"]));
    assert_says(&ran, 5, &["buildspec.yml:4:5", "appspec.yml:2:5"]);
}

#[test]
fn no_buildspec_at_all() {
    let farm = farm();
    assert_says(&farm.end(farm.croft(&["run"])), 5, &["buildspec.yml", "-b"]);
    assert_says(&farm.end(farm.croft(&["lint"])), 5, &["buildspec.yml"]);
    assert_says(
        &farm.end(farm.croft(&["run", "-b", "ci/none.yml"])),
        5,
        &["ci/none.yml"],
    );
}

#[test]
fn a_buildspec_that_is_a_folder() {
    let farm = farm();
    fs::create_dir(farm.source().join("buildspec.yml")).unwrap();
    assert_says(&farm.end(farm.croft(&["run"])), 5, &["buildspec.yml"]);
    assert_says(&farm.end(farm.croft(&["lint"])), 5, &["buildspec.yml"]);
}

/// Words of the command line, what is said, and that nothing was made for a build.
fn check_words(words: &[&str], said: &[&str]) {
    let farm = farm();
    farm.spec("phases:\n  build:\n    commands: ['touch /tmp/never']\n");
    farm.file("notes.txt", "text");
    farm.file("bad.env", "A=1\nno equals sign\n");
    farm.file("digit.env", "A=1\n\n1A=x\n");
    farm.file("reserved.env", "CODEBUILD_X=1\n");
    farm.file("bad.json", "{\"a\": }");
    let ran = farm.end(farm.croft(words));
    assert_says(&ran, 5, said);
    assert!(ran.text().is_empty(), "{}", ran.story());
}

macro_rules! wrong_words {
    ($($name:ident: [$($word:expr),+], [$($said:expr),+];)+) => {
        $(#[test]
        fn $name() {
            check_words(&[$($word),+], &[$($said),+]);
        })+
    };
}

wrong_words! {
    an_unknown_flag: ["run", "--imgae", "x"], ["--imgae", "--image"];
    an_unknown_command: ["rnu"], ["rnu", "Usage: croft"];
    a_pull_policy_that_is_none: ["run", "--pull", "sometimes"], ["sometimes", "missing"];
    a_folder_that_is_not_there: ["run", "no-such-folder"], ["no-such-folder", "folder or a git URL"];
    a_file_instead_of_a_folder: ["run", "notes.txt"], ["notes.txt", "not a folder"];
    a_buildspec_instead_of_a_folder: ["run", "buildspec.yml"], ["buildspec.yml", "-b buildspec.yml"];
    a_second_source_without_a_name: ["run", "-s", ".", "-s", "../source"], ["ID:../source"];
    an_env_file_that_is_not_there: ["run", "-e", "none.env"], ["none.env"];
    an_env_file_with_a_line_that_is_no_variable: ["run", "-e", "bad.env"], ["bad.env:2", "NAME=VALUE"];
    an_env_file_with_a_name_that_begins_with_a_digit: ["run", "-e", "digit.env"], ["digit.env:3", "digit"];
    an_env_file_with_a_reserved_name: ["run", "-e", "reserved.env"], ["reserved.env:1", "CODEBUILD_"];
    a_variable_without_a_value: ["run", "--env", "NAME"], ["--env", "NAME=VALUE"];
    a_reserved_variable: ["run", "--env", "CODEBUILD_X=1"], ["--env", "CODEBUILD_"];
    a_secret_file_that_is_not_there: ["run", "--secret-file", "none"], ["none"];
    a_secret_file_that_is_no_json: ["run", "--secret-file", "bad.json"], ["bad.json", "line 1"];
    a_time_that_is_none: ["run", "--timeout", "soon"], ["--timeout", "soon", "30m"];
    a_time_that_is_too_long: ["run", "--timeout", "37h"], ["--timeout", "36 hours"];
    a_size_that_is_none: ["run", "--cache-size", "big"], ["--cache-size", "big", "20g"];
    memory_without_an_image: ["run", "--memory", "1g"], ["--image"];
    memory_that_is_none: ["run", "--image", "x", "--memory", "much"], ["--memory", "much"];
    a_project_name_with_a_slash: ["run", "--project", "a/b"], ["--project", "letters"];
    lint_of_a_file_that_is_not_there: ["lint", "none.yml"], ["none.yml"];
    removing_nothing_from_the_cache: ["cache", "rm"], ["PROJECT"];
}

#[test]
fn an_address_where_no_repository_answers() {
    let Some(farm) = At::SANDBOX.farm() else {
        return;
    };
    let ran = farm.run(&["file:///no/such/repository.git"]);
    ran.assert_code(1);
    let (code, message) = ran.context("DOWNLOAD_SOURCE");
    assert_eq!(code, "CLIENT_ERROR");
    assert!(message.contains("/no/such/repository.git"), "{message}");
}

#[test]
fn a_state_folder_that_cannot_be_used_is_named() {
    let farm = farm();
    farm.spec("phases:\n  build:\n    commands: ['true']\n");
    fs::write(farm.folder().join("in-the-way"), "").unwrap();
    let mut command = farm.croft(&["run"]);
    command.env("CROFT_HOME", farm.folder().join("in-the-way"));
    assert_says(&farm.end(command), 2, &["in-the-way", "--home"]);
}

#[test]
fn artifacts_over_the_source_are_refused_and_replace_nothing() {
    let farm = farm();
    farm.file(
        "buildspec.yml",
        "version: 0.2\nphases:\n  build:\n    commands: [echo new > file]\nartifacts:\n  files: [file]\n",
    );
    farm.file("file", "mine");
    let source = farm.source().display().to_string();
    for place in [".", "..", source.as_str()] {
        let words = ["would replace files of the source", "out"];
        assert_says(&farm.end(farm.croft(&["run", "-a", place])), 5, &words);
    }
    assert_eq!(
        fs::read_to_string(farm.source().join("file")).unwrap(),
        "mine"
    );
}

#[test]
fn a_cache_that_a_link_leads_into_the_source_is_refused() {
    let farm = farm();
    farm.file(
        "buildspec.yml",
        "version: 0.2\nphases:\n  build:\n    commands: ['true']\n",
    );
    fs::create_dir(farm.source().join("kept")).unwrap();
    let link = farm.folder().join("link");
    std::os::unix::fs::symlink(farm.source().join("kept"), &link).unwrap();
    for place in [link.clone(), link.join("new")] {
        let place = place.display().to_string();
        let ran = farm.end(farm.croft(&["run", "--cache-dir", &place]));
        assert_says(&ran, 5, &["lies in the source", "--cache-dir"]);
    }
}

#[test]
fn a_named_cache_that_is_not_there_is_neither_made_nor_found_healthy() {
    let farm = farm();
    let missing = farm.folder().join("nowhere");
    let place = missing.to_str().unwrap();
    for words in [
        ["cache", "ls", "--cache-dir", place],
        ["cache", "verify", "--cache-dir", place],
        ["cache", "gc", "--cache", place],
        ["cache", "du", "--cache", place],
    ] {
        let ran = farm.end(farm.croft(&words));
        assert_says(&ran, 5, &["there is no cache at", place]);
    }
    assert!(!missing.exists());
}

#[test]
fn a_span_without_a_unit_removes_nothing() {
    let farm = farm();
    let ran = farm.end(farm.croft(&["cache", "gc", "--max-idle", "30"]));
    assert_says(
        &ran,
        5,
        &["--max-idle", "'30' is not a span of time", "30d"],
    );
}
