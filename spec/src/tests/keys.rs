//! Every key of the format, its default and its forms.

use super::{MINIMAL, codes, good, with};
use crate::{
    Artifacts, Buildspec, Cache, CacheAction, Env, FileFormat, OnFailure, Phase, Proxy, Shell,
    Version,
};

fn texts(commands: &[crate::Command]) -> Vec<&str> {
    commands
        .iter()
        .map(|command| command.text.as_str())
        .collect()
}

#[test]
fn a_minimal_file_has_every_default() {
    let Buildspec {
        version,
        run_as,
        env,
        proxy,
        phases,
        reports,
        artifacts,
        cache,
        has_batch,
    } = good(MINIMAL);
    assert_eq!(
        (version, run_as, env, proxy),
        (Version::V0_2, None, Env::default(), Proxy::default())
    );
    assert_eq!(texts(&phases.build.commands), ["make"]);
    assert_eq!(phases.build.commands[0].place.line, 5);
    assert_eq!(phases.build.commands[0].place.column, 9);
    assert_eq!(phases.install, Phase::default());
    assert_eq!(
        (reports.len(), artifacts, cache, has_batch),
        (0, None, None, false)
    );
}

#[test]
fn both_versions_are_read_quoted_or_not() {
    for (text, version) in [
        ("0.2", Version::V0_2),
        ("\"0.2\"", Version::V0_2),
        ("'0.1'", Version::V0_1),
        ("0.1", Version::V0_1),
    ] {
        assert_eq!(
            good(&MINIMAL.replace("0.2", text)).version,
            version,
            "{text}"
        );
    }
}

#[test]
fn every_word_of_yaml_1_1_is_a_boolean_quoted_or_not() {
    for (word, expected) in [
        ("yes", true),
        ("true", true),
        ("on", true),
        ("no", false),
        ("false", false),
        ("off", false),
    ] {
        let upper = word.to_uppercase();
        let title = format!("{}{}", &upper[..1], &word[1..]);
        for text in [
            word.to_owned(),
            upper,
            title,
            format!("'{word}'"),
            format!("\"{word}\""),
        ] {
            let spec = with(&format!(
                "env: {{git-credential-helper: {text}}}\nproxy: {{logs: {text}}}"
            ));
            assert_eq!(
                (spec.env.git_credential_helper, spec.proxy.logs),
                (expected, expected),
                "{text}"
            );
            assert!(!spec.proxy.upload_artifacts);
        }
    }
}

#[test]
fn values_of_variables_are_the_text_as_written() {
    for (written, value) in [
        ("8080", "8080"),
        ("010", "010"),
        ("1.10", "1.10"),
        ("1.20", "1.20"),
        ("1e3", "1e3"),
        ("0x1F", "0x1F"),
        ("2024-01-01", "2024-01-01"),
        ("true", "true"),
        ("Yes", "Yes"),
        ("", ""),
        ("~", ""),
        ("null", ""),
        ("\"null\"", "null"),
        ("\"\"", ""),
        ("' a b '", " a b "),
        ("\"a\\nb\\t$x\"", "a\nb\t$x"),
        ("'it''s'", "it's"),
        ("$PATH:/x", "$PATH:/x"),
        ("|\n      a\n       b", "a\n b\n"),
        ("é ü # comment", "é ü"),
    ] {
        let spec = with(&format!("env:\n  variables:\n    V: {written}"));
        assert_eq!(
            spec.env.variables,
            [("V".to_owned(), value.to_owned())],
            "{written}"
        );
    }
}

#[test]
fn variables_keep_the_order_of_the_file() {
    let spec = with("env:\n  variables:\n    Z: 1\n    A: 2\n    M: 3");
    let names: Vec<_> = spec
        .env
        .variables
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["Z", "A", "M"]);
}

#[test]
fn shells_have_a_name_or_a_path() {
    for (text, shell) in [
        ("sh", Shell::Sh),
        ("/bin/sh", Shell::Sh),
        ("bash", Shell::Bash),
        ("/bin/bash", Shell::Bash),
    ] {
        assert_eq!(with(&format!("env:\n  shell: {text}")).env.shell, shell);
    }
}

#[test]
fn parameters_and_secrets_carry_their_place() {
    let spec =
        with("env:\n  parameter-store:\n    P: /app/p\n  secrets-manager:\n    S: db:password");
    let (name, parameter, place) = &spec.env.parameter_store[0];
    assert_eq!(
        (name.as_str(), parameter.as_str(), place.line, place.column),
        ("P", "/app/p", 8, 8)
    );
    let (name, reference, place) = &spec.env.secrets_manager[0];
    assert_eq!(
        (name.as_str(), reference.secret_id.as_str(), place.line),
        ("S", "db", 10)
    );
    assert_eq!(reference.json_key.as_deref(), Some("password"));
}

#[test]
fn exported_variables_are_a_list_of_names() {
    assert_eq!(
        with("env:\n  exported-variables: [A, B]")
            .env
            .exported_variables,
        ["A", "B"]
    );
}

#[test]
fn phases_hold_commands_finally_user_and_failure_rule() {
    let spec = good(
        "version: 0.2\nrun-as: one\nphases:\n  install:\n    runtime-versions:\n      python: 3.10\n      golang: 1.20\n      nodejs: 18.x\n      java: $JAVA\n  \
         pre_build:\n    run-as: two\n    on-failure: retry-2-.*timeout\n    commands: [a, b]\n    finally:\n      - c\n",
    );
    assert_eq!(spec.run_as.as_deref(), Some("one"));
    let runtimes: Vec<_> = spec
        .phases
        .install
        .runtime_versions
        .iter()
        .map(|(name, version)| format!("{name}={version}"))
        .collect();
    assert_eq!(
        runtimes,
        ["python=3.10", "golang=1.20", "nodejs=18.x", "java=$JAVA"]
    );
    let phase = &spec.phases.pre_build;
    assert_eq!(phase.run_as.as_deref(), Some("two"));
    assert_eq!(
        phase.on_failure,
        OnFailure::Retry {
            count: 2,
            pattern: Some(".*timeout".to_owned())
        }
    );
    assert_eq!(
        (texts(&phase.commands), texts(&phase.finally)),
        (vec!["a", "b"], vec!["c"])
    );
}

#[test]
fn commands_are_the_text_as_written() {
    for (written, command) in [
        ("42", "42"),
        ("true", "true"),
        ("1.10", "1.10"),
        ("echo a:b", "echo a:b"),
        ("echo \"a\" # why", "echo \"a\""),
        ("'echo a: b'", "echo a: b"),
        ("\"echo \\\"a: b\\\"\"", "echo \"a: b\""),
        ("|\n          a\n          b", "a\nb\n"),
        ("|-\n          a\n\n          b", "a\n\nb"),
        (">\n          a\n          b", "a b\n"),
        ("one\n        two", "one two"),
        ("a\tb", "a\tb"),
    ] {
        let spec = good(&MINIMAL.replace("make", written));
        assert_eq!(texts(&spec.phases.build.commands), [command], "{written}");
    }
}

#[test]
fn windows_line_ends_become_line_feeds_inside_commands() {
    let text = MINIMAL
        .replace("make", "|\n          a\n          b")
        .replace('\n', "\r\n");
    let spec = good(&text);
    assert_eq!(texts(&spec.phases.build.commands), ["a\nb\n"]);
    assert_eq!(spec.phases.build.commands[0].place.line, 6);
}

#[test]
fn an_empty_install_phase_is_fine() {
    for install in [
        "install:",
        "install: {}",
        "install:\n    run-as: x",
        "install:\n    finally: [a]",
    ] {
        assert_eq!(
            good(&MINIMAL.replace("  build:", &format!("  {install}\n  build:")))
                .phases
                .install
                .commands,
            []
        );
    }
}

#[test]
fn every_report_format_is_known_in_any_case() {
    for format in FileFormat::ALL {
        for name in [format.name().to_owned(), format.name().to_lowercase()] {
            let spec = with(&format!(
                "reports:\n  $GROUP:\n    files: ['**/*.xml']\n    file-format: {name}"
            ));
            assert_eq!(
                (spec.reports[0].file_format, spec.reports[0].name.as_str()),
                (*format, "$GROUP")
            );
        }
    }
    let spec = with(
        "reports:\n  a:\n    files: x.xml\n    base-directory: out\n    discard-paths: yes\n  b:\n    files: [y]",
    );
    assert_eq!(spec.reports[0].base_directory.as_deref(), Some("out"));
    assert!(spec.reports[0].discard_paths && !spec.reports[1].discard_paths);
    assert_eq!(spec.reports[1].file_format, FileFormat::JunitXml);
    assert_eq!(
        (spec.reports[1].place.line, spec.reports[1].place.column),
        (11, 3)
    );
}

#[test]
fn artifacts_hold_every_key_and_secondary_artifacts_the_same() {
    let keys = "files: ['**/*', b]\n{i}name: app-$(date)\n{i}discard-paths: yes\n{i}base-directory: out*\n{i}exclude-paths: ['**/.*']\n{i}\
                enable-symlinks: on\n{i}s3-prefix: p\n";
    let text = format!(
        "artifacts:\n  {}  secondary-artifacts:\n    second_1:\n      {}",
        keys.replace("{i}", "  "),
        keys.replace("{i}", "      ")
    );
    let artifacts = with(&text).artifacts.unwrap();
    let plain = |artifacts: &Artifacts| Artifacts {
        secondary: Vec::new(),
        place: <_>::default(),
        ..artifacts.clone()
    };
    let expected = Artifacts {
        files: vec!["**/*".to_owned(), "b".to_owned()],
        name: Some("app-$(date)".to_owned()),
        discard_paths: true,
        base_directory: Some("out*".to_owned()),
        exclude_paths: vec!["**/.*".to_owned()],
        enable_symlinks: true,
        s3_prefix: Some("p".to_owned()),
        ..Artifacts::default()
    };
    assert_eq!(plain(&artifacts), expected);
    assert_eq!(artifacts.secondary.len(), 1);
    assert_eq!(artifacts.secondary[0].0, "second_1");
    assert_eq!(plain(&artifacts.secondary[0].1), expected);
    assert_eq!(artifacts.secondary[0].1.place.line, 15);
}

#[test]
fn secondary_artifacts_alone_need_no_files_of_the_primary() {
    let spec = with("artifacts:\n  secondary-artifacts:\n    a: {files: [x]}");
    assert_eq!(spec.artifacts.unwrap().files, Vec::<String>::new());
}

#[test]
fn cache_holds_every_key() {
    for (action, expected) in [
        ("", CacheAction::Both),
        ("\n  action: restore", CacheAction::Restore),
        ("\n  action: SAVE", CacheAction::Save),
    ] {
        let text = format!(
            "cache:\n  paths: ['/root/.m2/**/*']\n  key: k-$(codebuild-hash-files a)\n  fallback-keys: [k-, x]{action}"
        );
        let expected = Cache {
            paths: vec!["/root/.m2/**/*".to_owned()],
            key: Some("k-$(codebuild-hash-files a)".to_owned()),
            fallback_keys: vec!["k-".to_owned(), "x".to_owned()],
            action: expected,
        };
        assert_eq!(with(&text).cache, Some(expected));
    }
}

#[test]
fn a_batch_is_recognised_and_not_used() {
    for batch in [
        "fast-fail: yes\n  build-list:\n    - identifier: a\n      env: {image: x}\n      ignore-failure: true",
        "build-graph:\n    - {identifier: a, buildspec: b.yml, depend-on: [c], debug-session: no}",
        "build-matrix:\n    static: {ignore-failure: no}\n    dynamic: {env: {image: [a, b]}}",
        "build-fanout:\n    parallelism: 5\n    ignore-failure: false",
    ] {
        let text = format!("{MINIMAL}batch:\n  {batch}\n");
        assert!(good(&text).has_batch);
        assert_eq!(codes(&text), [""; 0], "{text}");
    }
}

#[test]
fn the_forms_of_version_0_1_are_read() {
    let text = "version: 0.1\nenvironment_variables:\n  plaintext:\n    A: 1\nphases:\n  build:\n    commands: [make]\n\
                artifacts:\n  type: zip\n  files: [x]\n";
    assert_eq!(good(text).env.variables, [("A".to_owned(), "1".to_owned())]);
    assert_eq!(codes(text), ["deprecated-key"]);
}

#[test]
fn our_own_section_is_a_map_and_draws_no_warning() {
    assert_eq!(
        codes(&super::around("x-croft:\n  anything: [1, {a: b}]")),
        [""; 0]
    );
}
