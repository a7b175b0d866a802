//! Every mistake: its code, what it points at, and what it proposes.

use super::{MINIMAL, around, codes, is_error, only, pointed};
use crate::parse;

/// A file, the finding's code, the text it points at, and a piece of its help.
type Row<'t> = (&'t str, &'t str, &'t str, &'t str);

fn check(rows: &[Row<'_>], file: impl Fn(&str) -> String) {
    for (text, code, at, help) in rows {
        let text = file(text);
        let found = only(&text);
        assert_eq!(
            (found.code.as_str(), pointed(&text, &found)),
            (*code, *at),
            "{text}"
        );
        let given = found.help.unwrap_or_default();
        assert!(given.contains(help), "{text}\n{given}");
    }
}

fn in_commands(command: &str) -> String {
    format!(
        "version: 0.2\nphases:\n  build:\n    commands:\n      - first\n      - {command}\n      - last\n"
    )
}

#[rustfmt::skip]
const COMMANDS_THAT_YAML_READS_AS_SOMETHING_ELSE: &[Row<'_>] = &[
    ("echo Build: done", "command-not-text", "echo Build: done", "`- 'echo Build: done'`"),
    ("echo \"Build: done\" && x", "command-not-text", "echo \"Build: done\" && x", "`- 'echo \"Build: done\" && x'`"),
    ("echo 'it is: so'", "command-not-text", "echo 'it is: so'", "`- \"echo 'it is: so'\"`"),
    ("echo '\"a\": b'", "command-not-text", "echo '\"a\": b'", "`- 'echo ''\"a\": b'''`"),
    ("echo x:", "command-not-text", "echo x:", "`- 'echo x:'`"),
    ("{ echo hi; }", "command-not-text", "{ echo hi; }", "`- '{ echo hi; }'`"),
    ("[ -f x ]", "command-not-text", "[ -f x ]", "`- '[ -f x ]'`"),
    ("- nested", "command-not-text", "- nested", "- |"),
    ("a: b\n        c: d", "command-not-text", "a: b\n        c: d", "`- |`"),
    ("", "empty-item", "-", "remove the `-`"),
    ("# nothing", "empty-item", "-", "remove the `-`"),
    ("~", "empty-item", "~", "remove the `-`"),
    ("''", "empty-item", "''", "write a command"),
    ("\"a\\0b\"", "nul-character", "\"a\\0b\"", "remove"),
    ("*.txt", "unknown-alias", "*.txt", "quote"),
    ("!x y", "yaml-tag", "!x", "`- '!x y'`"),
];

#[test]
fn commands_that_yaml_reads_as_something_else() {
    check(COMMANDS_THAT_YAML_READS_AS_SOMETHING_ELSE, in_commands);
}

#[rustfmt::skip]
const COMMANDS_THAT_ARE_NO_YAML_AT_ALL: &[Row<'_>] = &[
    ("echo a: b: c", "yaml-syntax", "echo a: b: c", "`- 'echo a: b: c'`"),
    ("[ -f x ] && y", "yaml-syntax", "[ -f x ] && y", "`- '[ -f x ] && y'`"),
    ("{ a; } || b", "yaml-syntax", "{ a; } || b", "`- '{ a; } || b'`"),
    ("\"a\" b", "yaml-syntax", "\"a\" b", "`- '\"a\" b'`"),
    ("'a' && b", "yaml-syntax", "'a' && b", "`- \"'a' && b\"`"),
    ("@x", "yaml-syntax", "@x", "`- '@x'`"),
    ("`date`", "yaml-syntax", "`date`", "`- '`date`'`"),
    ("%x", "yaml-syntax", "%x", "`- '%x'`"),
    ("*x y", "yaml-syntax", "*x y", "`- '*x y'`"),
    ("\"open", "yaml-syntax", "\"open", "close it"),
    ("'open", "yaml-syntax", "'open", "close it"),
    ("\"a\\qb\"", "yaml-syntax", "\"a\\qb\"", "single quotes"),
    ("| text\n          more", "yaml-syntax", "| text", "next line"),
];

#[test]
fn commands_that_are_no_yaml_at_all() {
    check(COMMANDS_THAT_ARE_NO_YAML_AT_ALL, in_commands);
}

#[rustfmt::skip]
const LINES_THAT_DO_NOT_LINE_UP: &[Row<'_>] = &[
    ("version: 0.2\nphases:\n  build:\n    commands:\n      - a\n   finally:\n      - b\n", "yaml-syntax", "finally:", "same indentation"),
    ("version: 0.2\nphases:\n  build:\n    commands:\n      - a\n     - b\n", "yaml-syntax", "- b", "indentation"),
    ("version: 0.2\nphases:\n  build:\n    commands:\n\t- a\n", "yaml-syntax", "- a", "spaces"),
    ("version: 0.2\nphases:\n  build:\n    commands:\n      - a\n\tfinally: [b]\n", "yaml-syntax", "finally: [b]", "spaces"),
    ("version: 0.2\nphases:\n  build:\n    commands: - a\n", "yaml-syntax", "commands: - a", "line of its own"),
    ("version: 0.2\nenv\nphases:\n  build:\n    commands: [a]\n", "yaml-syntax", "env", "`: `"),
];

#[test]
fn lines_that_do_not_line_up() {
    check(LINES_THAT_DO_NOT_LINE_UP, str::to_owned);
}

#[rustfmt::skip]
const VERSIONS_PHASES_AND_KEYS: &[Row<'_>] = &[
    ("phases: {build: {commands: [a]}}\n", "missing-key", "phases", "version: 0.2"),
    ("version:\nphases: {build: {commands: [a]}}\n", "missing-key", "version", "version: 0.2"),
    ("version: 0.20\nphases: {build: {commands: [a]}}\n", "bad-version", "0.20", "0.2"),
    ("version: [0.2]\nphases: {build: {commands: [a]}}\n", "wrong-type", "[0.2]", "quote"),
    ("version: 0.2\n", "missing-key", "version", "phases"),
    ("version: 0.2\nphases:\n", "missing-key", "phases", "commands"),
    ("version: 0.2\nphases: [a]\n", "wrong-type", "[a]", "key"),
    ("version: 0.2\nphases: {}\n", "no-commands", "phases", "commands"),
    ("version: 0.2\nphases: {build: {commands: []}}\n", "no-commands", "phases", "commands"),
    ("version: 0.2\nphases: {deploy: {commands: [a]}}\n", "unknown-phase", "deploy", "`install`, `pre_build`, `build` and `post_build`"),
    ("version: 0.2\nphases: {postbuild: {commands: [a]}}\n", "unknown-phase", "postbuild", "did you mean `post_build`?"),
    ("version: 0.2\nphases: {pre-build: {commands: [a]}}\n", "unknown-phase", "pre-build", "did you mean `pre_build`?"),
    ("version: 0.2\nphases: {build: {comands: [a], commands: [b]}}\n", "unknown-key", "comands", "did you mean `commands`?"),
    ("version: 0.2\nphases: {build: {commands: [b], timeout: 5}}\n", "ignored-key", "timeout", "`on-failure`"),
    ("version: 0.2\nphases: {install: {commands: [b]}, build: }\n", "missing-key", "build", "commands"),
    ("version: 0.2\nphases: {build: {finally: [b]}}\n", "missing-key", "build", "commands"),
    ("version: 0.2\nphases: {install: {commands: [a]}, build: {commands: }}\n", "missing-key", "commands", "commands"),
    ("version: 0.2\nphases: {build: {commands: a}}\n", "not-a-list", "a", "`- `"),
    ("version: 0.2\nphases:\n  build:\n    commands:\n      -a\n      -b\n", "not-a-list", "-a\n      -b", "space after each `-`"),
    ("version: 0.2\nphases: {build: {commands: {a: b}}}\n", "wrong-type", "{a: b}", "`- `"),
    ("version: 0.2\nphases: {build: {commands: [a], on-failure: STOP}}\n", "bad-on-failure", "STOP", "ABORT"),
    ("version: 0.2\nphases: {build: {commands: [a], run-as: }}\n", "empty-value", "run-as", "remove"),
    ("version: 0.2\nphases: {build: {commands: [a], run-as: ''}}\n", "empty-text", "''", "remove"),
    ("version: 0.2\nphases: {build: {commands: [a], runtime-versions: {a: 1}}}\n", "unknown-key", "runtime-versions", "install"),
    ("version: 0.2\nphases: {install: {commands: [a], runtime-versions: }}\n", "missing-key", "runtime-versions", "python"),
    ("version: 0.2\nphases: {install: {commands: [a], runtime-versions: {}}}\n", "missing-key", "runtime-versions", "python"),
    ("version: 0.2\nphases: {install: {commands: [a], runtime-versions: {x: }}}\n", "empty-text", "x", "version"),
    ("version: 0.2\nphases: {install: {commands: [a], runtime-versions: [x]}}\n", "wrong-type", "[x]", "key"),
];

#[test]
fn versions_phases_and_keys() {
    check(VERSIONS_PHASES_AND_KEYS, str::to_owned);
}

#[rustfmt::skip]
const SECTIONS_AND_THEIR_VALUES: &[Row<'_>] = &[
    ("artifact:\n  files: [a]", "unknown-top-level-key", "artifact", "did you mean `artifacts`?"),
    ("anything: 1", "unknown-top-level-key", "anything", "anchors"),
    ("environment_variables: {plaintext: {A: 1}}", "deprecated-key", "environment_variables", "`env`"),
    ("x-croft: 1", "wrong-type", "1", "key"),
    ("run-as: [a]", "wrong-type", "[a]", "quote"),
    ("proxy: {logs: maybe}", "bad-boolean", "maybe", "yes"),
    ("proxy: {log: yes}", "unknown-key", "log", "`logs`"),
    ("proxy: yes", "wrong-type", "yes", "key"),
    ("env:", "empty-value", "env", "remove"),
    ("env: {variables: }", "empty-value", "variables", "remove"),
    ("env: {variable: {A: 1}}", "unknown-key", "variable", "`variables`"),
    ("env: {parameter_store: {A: b}}", "unknown-key", "parameter_store", "`parameter-store`"),
    ("env: {variables: {A: [1]}}", "wrong-type", "[1]", "quote"),
    ("env: {variables: {CODEBUILD_X: 1}}", "reserved-name", "CODEBUILD_X", "another name"),
    ("env: {parameter-store: {CODEBUILD_X: 1}}", "reserved-name", "CODEBUILD_X", "another name"),
    ("env: {secrets-manager: {CODEBUILD_X: 1}}", "reserved-name", "CODEBUILD_X", "another name"),
    ("env: {variables: {A=B: 1}}", "bad-variable-name", "A=B", "letters"),
    ("env: {variables: {'': 1}}", "bad-variable-name", "''", "letters"),
    ("env: {variables: {a-b: 1}}", "unreadable-variable-name", "a-b", "letters"),
    ("env: {variables: {1a: 1}}", "unreadable-variable-name", "1a", "digit"),
    ("env: {variables: {A: \"a\\0\"}}", "nul-character", "\"a\\0\"", "remove"),
    ("env: {variables: [A]}", "wrong-type", "[A]", "key"),
    ("env: {shell: zsh}", "bad-shell", "zsh", "bash"),
    ("env: {shell: powershell.exe}", "bad-shell", "powershell.exe", "bash"),
    ("env: {parameter-store: {A: }}", "empty-text", "A", "name"),
    ("env: {secrets-manager: {A: 'x:y:z:w'}}", "bad-secret-reference", "'x:y:z:w'", "secret-id"),
    ("env: {exported-variables: [AWS_X]}", "never-exported", "AWS_X", "another name"),
    ("env: {exported-variables: A}", "not-a-list", "A", "`- `"),
    ("env: {variables: {A: 1}, parameter-store: {A: p}}", "shadowed-variable", "env", "keep one"),
    ("env: {git-credential-helper: 1}", "bad-boolean", "1", "yes"),
];

#[test]
fn sections_and_their_values() {
    check(SECTIONS_AND_THEIR_VALUES, around);
}

#[rustfmt::skip]
const REPORTS_ARTIFACTS_AND_CACHE: &[Row<'_>] = &[
    ("reports:", "empty-value", "reports", "remove"),
    ("reports: {a: }", "missing-key", "a", "files"),
    ("reports: {a: {file-format: JUNITXML}}", "missing-key", "a", "files"),
    ("reports: {a: {files: []}}", "missing-key", "files", "files"),
    ("reports: {a: {files: [x], file-format: JUNIT}}", "bad-file-format", "JUNIT", "`JUNITXML`, `CUCUMBERJSON`"),
    ("reports: {a: {files: [x], file-format: JUNITXM}}", "bad-file-format", "JUNITXM", "did you mean `JUNITXML`?"),
    ("reports: {a: {files: [x], format: y}}", "ignored-key", "format", "`file-format`"),
    ("artifacts:", "empty-value", "artifacts", "remove"),
    ("artifacts: {name: x}", "missing-key", "artifacts", "files"),
    ("artifacts: {files: }", "missing-key", "files", "files"),
    ("artifacts: {files: '**/*'}", "not-a-list", "'**/*'", "`- `"),
    ("artifacts:\n  files:\n    - a\n    -\n    - b", "empty-item", "-", "remove the `-`"),
    ("artifacts:\n  files:\n    - **/*", "unknown-alias", "**/*", "`- '**/*'`"),
    ("artifacts: {fils: [a], files: [b]}", "unknown-key", "fils", "`files`"),
    ("artifacts: {files: [a], discard-paths: 2}", "bad-boolean", "2", "yes"),
    ("artifacts: {files: [a], type: zip}", "deprecated-key", "type", "remove"),
    ("artifacts: {files: [a], secondary-artifacts: {a-b: {files: [x]}}}", "bad-identifier", "a-b", "letters"),
    ("artifacts: {files: [a], secondary-artifacts: {a: {name: x}}}", "missing-key", "a", "files"),
    ("artifacts: {files: [a], secondary-artifacts: {a: }}", "missing-key", "a", "files"),
    ("artifacts: {files: [a], secondary-artifacts: }", "empty-value", "secondary-artifacts", "remove"),
    ("cache: {key: a}", "missing-key", "cache", "paths"),
    ("cache: {paths: [a], action: both}", "bad-cache-action", "both", "`restore`"),
    ("cache: {paths: [a], fallback-keys: [b]}", "fallback-without-key", "fallback-keys", "key"),
    ("cache: {paths: [a], key: k, fallback-keys: [a, b, c, d, e, f]}", "too-many-fallback-keys", "f", "prefix"),
    ("cache: {path: [a], paths: [b]}", "unknown-key", "path", "`paths`"),
];

#[test]
fn reports_artifacts_and_cache() {
    check(REPORTS_ARTIFACTS_AND_CACHE, around);
}

#[rustfmt::skip]
const SLIPS_IN_A_BATCH: &[Row<'_>] = &[
    ("batch: 1", "batch-unclear", "batch", "build-list"),
    ("batch: {}", "batch-unclear", "batch", "keep one"),
    ("batch: {build-list: [{identifier: a}], build-graph: [{identifier: a}]}", "batch-unclear", "batch", "keep one"),
    ("batch: {build-list: {a: b}}", "batch-unclear", "build-list", "identifier"),
    ("batch: {build-list: [a]}", "batch-unclear", "a", "identifier"),
    ("batch: {build-list: [{identifer: a, identifier: b}]}", "batch-unclear", "identifer", "`identifier`"),
    ("batch: {build-list: [{ignore-failure: yes}]}", "batch-unclear", "{ignore-failure: yes}", "identifier"),
    ("batch: {build-matrix: {dynamik: {}}}", "batch-unclear", "dynamik", "`dynamic`"),
    ("batch: {build-fanout: {parallelism: 1, x: 2}}", "batch-unclear", "x", "`ignore-failure`"),
    ("batch: {other: 1, build-fanout: {parallelism: 1}}", "batch-unclear", "other", "`fast-fail`"),
];

#[test]
fn slips_in_a_batch_are_warnings() {
    check(SLIPS_IN_A_BATCH, around);
    assert!(parse("b", around("batch: 1").as_bytes()).spec.is_some());
}

#[test]
fn a_file_is_usable_exactly_when_no_finding_is_an_error() {
    for text in [
        "artifact: 1",
        "cache: {paths: [a], fallback-keys: [b]}",
        "cache: {key: a}",
        "env: {shell: zsh}",
    ] {
        let parsed = parse("b", around(text).as_bytes());
        assert_eq!(
            parsed.spec.is_some(),
            !parsed.diagnostics.iter().any(is_error),
            "{text}"
        );
    }
}

#[test]
fn all_mistakes_are_found_at_once() {
    let text = "version: 0.3\nenv:\n  variables:\n    CODEBUILD_X: 1\n    A: b: c\nphases:\n  instal:\n    commands: [a]\n  build:\n    \
                comands: [a]\n    commands:\n      - echo a: b\n      - [ x ] && y\n      -\n      - 'open\n      - @x\n   finally:\n      - x\n\
                reports:\n  r:\n    file-format: X\nartifacts:\n  secondary-artifacts:\n    a-b: {files: [x]}\ncache: {action: no}\n";
    let expected = [
        "bad-version",
        "reserved-name",
        "yaml-syntax",
        "unknown-phase",
        "unknown-key",
        "command-not-text",
        "yaml-syntax",
        "empty-item",
        "yaml-syntax",
        "yaml-syntax",
        "yaml-syntax",
        "missing-key",
        "bad-file-format",
        "bad-identifier",
        "missing-key",
        "bad-cache-action",
    ];
    assert_eq!(codes(text), expected);
}

#[test]
fn many_broken_lines_are_given_up_on_without_false_alarms() {
    let broken = "      - @x\n".repeat(60);
    let found = codes(&MINIMAL.replace("      - make\n", &broken));
    assert!(
        found.len() > 20 && found.iter().all(|code| code == "yaml-syntax"),
        "{found:?}"
    );
}

#[test]
fn secondary_artifacts_are_matched_against_the_project() {
    let text = around(
        "artifacts:\n  files: [a]\n  secondary-artifacts:\n    docs: {files: [x]}\n    bin: {files: [y]}\n",
    );
    let spec = parse("b.yml", text.as_bytes()).spec.unwrap();
    assert_eq!(
        crate::unmatched_secondary(&spec, &["docs", "bin", "other"]),
        []
    );
    let found = crate::unmatched_secondary(&spec, &["docs", "bins"]);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (
            found[0].code.as_str(),
            found[0].place.line,
            found[0].place.column
        ),
        ("unmatched-secondary", 10, 5)
    );
    assert_eq!(found[0].help.as_deref(), Some("did you mean `bins`?"));
    assert!(crate::render(&found, &text, false).contains("bin: {files: [y]}"));
}

#[test]
fn a_bracket_that_nothing_closes_is_told_where_it_opens() {
    for (text, line, message) in [
        (
            "version: 0.2\nenv: {variables: {A: b}\nphases:\n  build:\n    commands: [x]\n",
            2,
            "`{` begins a map here, and nothing ends it",
        ),
        (
            "version: 0.2\nphases:\n  build:\n    commands: [x, y\n    finally: [z]\n",
            4,
            "`[` begins a list here, and nothing ends it",
        ),
        (
            "version: 0.2\nphases:\n  build:\n    commands: [x]}\n",
            4,
            "this bracket closes nothing",
        ),
    ] {
        let found = parse("buildspec.yml", text.as_bytes()).diagnostics;
        let told = |found: &&croft_proto::Diagnostic| {
            found.code == "yaml-syntax" && found.place.line == line && found.message == message
        };
        assert!(found.iter().any(|found| told(&found)), "{text}\n{found:#?}");
    }
}
