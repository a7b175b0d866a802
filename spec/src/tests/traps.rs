//! Warnings about what commands do: each trap, and the harmless neighbour that must stay silent.

use croft_proto::Level;

use super::{MINIMAL, around, pointed};
use crate::{lint, parse};

/// A file whose phases are given as commands, one list a phase.
fn file(shell: &str, phase: &str, commands: &[&str]) -> String {
    let mut text =
        format!("version: 0.2\nenv:\n  shell: {shell}\nphases:\n  {phase}:\n    commands:\n");
    for command in commands {
        let block: String = command
            .lines()
            .map(|line| format!("          {line}\n"))
            .collect();
        text.push_str(&format!("      - |\n{block}"));
    }
    text
}

/// The code and the pointed text of each finding.
fn found(text: &str) -> Vec<(String, String)> {
    let found = lint("b.yml", text.as_bytes());
    assert!(
        found.iter().all(|found| found.level == Level::Warning),
        "{found:#?}"
    );
    found
        .iter()
        .map(|found| (found.code.clone(), pointed(text, found).to_owned()))
        .collect()
}

fn expect(text: &str, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(code, at)| ((*code).to_owned(), (*at).to_owned()))
        .collect();
    assert_eq!(found(text), expected, "{text}");
}

#[test]
fn a_failure_before_the_last_line_of_a_block_is_hidden() {
    for (command, at) in [
        ("npm ci\nnpm test", "npm ci"),
        ("make test\necho done", "make test"),
        ("cd sub\nmake", "cd sub"),
        ("a && b\nc", "a && b"),
        ("if [ -f x ]; then\n  npm ci\n  npm test\nfi", "npm ci"),
        ("if [ -f x ]; then\n  npm ci\nfi\necho done", "npm ci"),
        ("case x in\n  a) make ;;\nesac\ntrue", "make"),
        ("V=$(git describe)\necho $V", "V=$(git describe)"),
        (
            "for d in a b; do\n  make -C $d\n  echo $d\ndone",
            "make -C $d",
        ),
        ("(cd x; make)", "cd x"),
        ("npm ci; npm test", "npm ci"),
    ] {
        expect(
            &file("bash", "build", &[command]),
            &[("hidden-failure", at)],
        );
    }
}

#[test]
fn blocks_that_mind_their_failures_are_left_alone() {
    for command in [
        "set -e\nnpm ci\nnpm test",
        "set -euo pipefail\nnpm ci\nnpm test",
        "set -o errexit\na\nb",
        "trap 'exit 1' ERR\na\nb",
        "npm ci && \\\nnpm test",
        "npm ci &&\n  npm test",
        "npm ci || exit 1\nnpm test",
        "echo a\nnpm test",
        "export A=1\nB=2\nnpm test",
        "if [ -f x ]; then\n  npm ci\nelse\n  npm install\nfi",
        "if npm ci; then\n  npm test\nfi",
        "[ -f x ] && rm x\nnpm test",
        "for i in 1 2 3; do\n  curl x && break\n  sleep 1\ndone",
        "cat > f <<'E'\na\nb\nE",
        "f() {\n  a\n  b\n}\nf",
        "server &\ntest-it",
        "python - <<E\nimport x\nprint(x)\nE",
    ] {
        expect(&file("bash", "build", &[command]), &[]);
    }
}

#[test]
fn text_that_is_not_understood_draws_no_warning() {
    for command in ["if true; then a; b", "echo 'open\na", "a ) b\nc"] {
        expect(&file("sh", "build", &[command]), &[]);
    }
}

#[test]
fn tee_hides_the_failure_of_what_it_shows() {
    expect(
        &file("sh", "build", &["make test | tee log"]),
        &[("pipe-hides-failure", "make test | tee log")],
    );
    expect(
        &file("sh", "build", &["if x; then\n  make | tee log\nfi"]),
        &[("pipe-hides-failure", "make | tee log")],
    );
    expect(
        &file("bash", "build", &["set -o pipefail; make test | tee log"]),
        &[],
    );
    expect(&file("sh", "build", &["echo x | tee log"]), &[]);
    expect(&file("sh", "build", &["make | grep x"]), &[]);
}

#[test]
fn bash_features_are_named_under_sh_only() {
    for (command, at) in [
        ("[[ -f x ]] && y", "[["),
        ("source env.sh", "source"),
        ("[ a == b ]", "=="),
        ("set -o pipefail; a", "pipefail"),
        ("x=(a b)", "x=(a b)"),
        ("echo ${x//a/b}", "${x//a/b}"),
        ("echo \"${x:0:7}\"", "\"${x:0:7}\""),
        ("echo ${x[1]}", "${x[1]}"),
        ("echo ${x^^}", "${x^^}"),
        ("a <<< b", "<<<"),
        ("a &> log", "&>"),
        ("diff <(a) b", "<(a)"),
        ("((x > 1)) && y", "(("),
        ("echo -e 'a\\n'", "-e"),
        ("pushd x", "pushd"),
    ] {
        expect(&file("sh", "build", &[command]), &[("bashism", at)]);
        expect(&file("bash", "build", &[command]), &[]);
    }
    for command in [
        ". ./env.sh",
        "[ a = b ]",
        "echo ${x:-y} ${x%/*} ${x#a} ${x:+z}",
        "bash -c '[[ a == b ]]'",
        "echo '[[ x'",
        "x=$(a)",
        "a > log 2>&1",
    ] {
        expect(&file("sh", "build", &[command]), &[]);
    }
}

#[test]
fn what_ends_with_its_command_is_named_where_it_is_missed() {
    expect(
        &file("sh", "build", &["set -e", "a"]),
        &[("lost-option", "set -e\n".trim_end())],
    );
    expect(&file("sh", "build", &["a", "set -e"]), &[]);
    expect(
        &file("sh", "build", &["f() { a; }", "f x"]),
        &[("lost-function", "f")],
    );
    expect(
        &file("sh", "build", &["alias ll='ls -l'", "ll x"]),
        &[("lost-function", "ll")],
    );
    expect(&file("sh", "build", &["f() { a; }\nf", "g"]), &[]);
    expect(
        &file(
            "sh",
            "build",
            &["server & echo $! > pid", "wait $(cat pid)"],
        ),
        &[("lost-job", "wait")],
    );
    expect(&file("sh", "build", &["a & b & wait"]), &[]);
    expect(
        &file("sh", "build", &["if [ -f x ]; then exit 0; fi", "a"]),
        &[("exit-does-not-stop", "exit")],
    );
    expect(&file("sh", "build", &["a", "exit 0"]), &[]);
    expect(&file("sh", "build", &["exit 1", "a"]), &[]);
}

#[test]
fn deployments_after_a_failed_build_are_named() {
    for (command, at) in [
        ("docker push $IMAGE:latest", "docker push $IMAGE:latest"),
        ("aws s3 sync out s3://bucket", "aws s3 sync out s3://bucket"),
        (
            "aws s3 cp --recursive out \"s3://b/x\"",
            "aws s3 cp --recursive out \"s3://b/x\"",
        ),
        ("npx cdk deploy --all", "npx cdk deploy --all"),
        (
            "if [ \"$BRANCH\" = main ]; then terraform apply -auto-approve; fi",
            "terraform apply -auto-approve",
        ),
    ] {
        expect(
            &file("sh", "post_build", &["date", command]),
            &[("unguarded-deploy", at)],
        );
        expect(&file("sh", "build", &["date", command]), &[]);
    }
}

#[test]
fn guarded_deployments_are_left_alone() {
    for commands in [
        vec!["test \"$CODEBUILD_BUILD_SUCCEEDING\" = 1", "docker push x"],
        vec!["if [ \"$CODEBUILD_BUILD_SUCCEEDING\" = 1 ]; then docker push x; fi"],
        vec![
            "docker images",
            "aws s3 cp s3://b/x .",
            "echo docker push x",
        ],
    ] {
        expect(&file("sh", "post_build", &commands), &[]);
    }
    let text =
        format!("{MINIMAL}    on-failure: ABORT\n  post_build:\n    commands: [docker push x]\n");
    expect(&text, &[]);
    expect(
        &text.replace("ABORT", "CONTINUE"),
        &[("unguarded-deploy", "docker push x")],
    );
}

#[test]
fn literal_and_emptied_variables_are_named() {
    for (value, found) in [
        ("$PATH:/x", Some(("literal-value", "$PATH:/x"))),
        ("'${HOME}/x'", Some(("literal-value", "'${HOME}/x'"))),
        ("\"$(date)\"", Some(("literal-value", "\"$(date)\""))),
        ("costs 5$", None),
        ("$2a$10$x", Some(("literal-value", "$2a$10$x"))),
        ("$1 and ${1}", None),
        ("plain", None),
    ] {
        let expected: Vec<_> = found.into_iter().collect();
        expect(
            &around(&format!("env:\n  variables:\n    V: {value}")),
            &expected,
        );
    }
    expect(
        &around("env:\n  variables:\n    AWS_REGION: \"\"\n    X: \"\""),
        &[("emptied-variable", "\"\"")],
    );
}

#[test]
fn a_comment_that_cuts_a_quote_is_named() {
    let text = MINIMAL.replace("make", "echo \"build #5\"");
    expect(&text, &[("comment-in-command", "#5\"")]);
    expect(&MINIMAL.replace("make", "make # don't ask"), &[]);
    expect(&MINIMAL.replace("make", "'echo \"build #5\"'"), &[]);
}

#[test]
fn a_batch_is_named_by_lint_only() {
    let text = around("batch: {build-fanout: {parallelism: 2}}");
    expect(&text, &[("batch-ignored", "batch")]);
    assert_eq!(parse("b", text.as_bytes()).diagnostics, []);
}

#[test]
fn lint_says_everything_that_parse_says() {
    let text = "version: 0.2\nphases:\n  build:\n    commands:\n      - a: b\n      - set -e\n      - x\n  nope: 1\n";
    let parsed = parse("b", text.as_bytes()).diagnostics;
    let linted = lint("b", text.as_bytes());
    assert!(parsed.iter().all(|found| linted.contains(found)));
    let codes: Vec<_> = linted.iter().map(|found| found.code.as_str()).collect();
    assert_eq!(codes, ["command-not-text", "lost-option", "unknown-phase"]);
}
