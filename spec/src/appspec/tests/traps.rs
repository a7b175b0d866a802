//! Warnings about what would happen: each trap, and the harmless neighbour that must stay silent.

use croft_proto::Level;

use super::{FULL, around, found, is_error};
use crate::appspec::{lint, parse};

/// Lines, and the code and pointed text of what is found.
type Row<'t> = (&'t str, &'t [(&'t str, &'t str)]);

fn check(rows: &[Row<'_>], file: impl Fn(&str) -> String) {
    for (lines, expected) in rows {
        let text = file(lines);
        let warnings = lint("appspec.yml", text.as_bytes());
        assert!(
            warnings.iter().all(|found| found.level == Level::Warning),
            "{warnings:#?}"
        );
        let expected: Vec<_> = expected
            .iter()
            .map(|(code, at)| ((*code).to_owned(), (*at).to_owned()))
            .collect();
        assert_eq!(found(&text), expected, "{text}");
    }
}

#[test]
fn the_full_file_has_no_trap_but_an_empty_event() {
    let found = lint("appspec.yml", FULL.as_bytes());
    let codes: Vec<_> = found
        .iter()
        .map(|found| (found.code.as_str(), found.place.line))
        .collect();
    assert_eq!(codes, [("empty-value", 37)]);
}

#[test]
fn a_deployment_that_would_do_nothing_is_named() {
    assert_eq!(
        found(&around("")),
        [("empty-deployment".to_owned(), "version".to_owned())]
    );
}

#[rustfmt::skip]
const FILES: &[Row<'_>] = &[
    ("[{source: /, destination: /x}, {source: app.ini, destination: /x}]", &[("overlapping-destinations", "app.ini")]),
    ("[{source: /, destination: /x}, {source: conf/app.ini, destination: /x/conf}]", &[("overlapping-destinations", "conf/app.ini")]),
    ("[{source: conf/app.ini, destination: /x/conf}, {source: /, destination: /x}]", &[("overlapping-destinations", "/")]),
    ("[{source: a/app.ini, destination: /x}, {source: b/app.ini, destination: /x/}]", &[("overlapping-destinations", "b/app.ini")]),
    ("[{source: a/app.ini, destination: /x}, {source: b/app.ini, destination: /y}]", &[]),
    ("[{source: /, destination: /x}, {source: conf/app.ini, destination: /etc}]", &[]),
    ("[{source: /, destination: /x}, {source: html, destination: /x/public}]", &[]),
    ("[{source: a, destination: /x}, {source: b, destination: /x}]", &[]),
    ("[{source: 'dist/*', destination: /x}]", &[("glob-in-source", "'dist/*'")]),
    ("[{source: 'dist/app-?.js', destination: /x}]", &[("glob-in-source", "'dist/app-?.js'")]),
    ("[{source: a, destination: /srv/$APP}]", &[("literal-value", "/srv/$APP")]),
    ("[{source: 'a-${V}', destination: /x}]", &[("literal-value", "'a-${V}'")]),
    ("[{source: 'a$1', destination: '/x/cost$'}]", &[]),
];

#[test]
fn entries_of_files() {
    check(FILES, |files| around(&format!("files: {files}")));
}

#[rustfmt::skip]
const PERMISSIONS: &[Row<'_>] = &[
    ("[{object: /x, mode: 1}]", &[]),
    ("[{object: /, mode: 1}]", &[]),
    ("[{object: /x/bin/run, mode: 1}]", &[]),
    ("[{object: /y, mode: 1}]", &[("unmatched-object", "/y")]),
    ("[{object: /xy, mode: 1}]", &[("unmatched-object", "/xy")]),
    ("[{object: /x}]", &[("permission-sets-nothing", "/x")]),
    ("[{object: /x, owner: root}]", &[]),
    ("[{object: /x, context: {type: t}}]", &[]),
    ("[{object: /x, pattern: 'bin/*.sh', mode: 1}]", &[("pattern-matches-nothing", "'bin/*.sh'")]),
    ("[{object: /x, pattern: '**/*.sh', mode: 1}]", &[("pattern-matches-nothing", "'**/*.sh'")]),
    ("[{object: /x, pattern: '*.sh', mode: 1}]", &[]),
    ("[{object: /x, except: [bin/run], mode: 1}]", &[("pattern-matches-nothing", "bin/run")]),
    ("[{object: /x, except: ['*.sh'], mode: 1}]", &[("shallow-except", "'*.sh'")]),
    ("[{object: /x, pattern: '*', except: ['*.sh'], mode: 1}]", &[]),
    ("[{object: /x, except: [data], mode: 1}]", &[]),
    ("[{object: /etc/app.ini, pattern: '*', mode: 1}]", &[("pattern-on-file", "'*'")]),
    ("[{object: /etc/app.ini, except: [a], mode: 1}]", &[("pattern-on-file", "a")]),
    ("[{object: /etc/app.ini, type: [directory], pattern: '*', mode: 1}]", &[]),
    ("[{object: /etc/app.ini, pattern: '**', mode: 1}]", &[]),
    ("[{object: /x, acls: ['d:u:bob:rw']}]", &[("default-acl-on-files", "'d:u:bob:rw'")]),
    ("[{object: /x, type: [directory], acls: ['d:u:bob:rw']}]", &[]),
    ("[{object: /$A, mode: 1}]", &[("literal-value", "/$A"), ("unmatched-object", "/$A")]),
];

#[test]
fn entries_of_permissions() {
    check(PERMISSIONS, |list| {
        around(&format!(
            "files: [{{source: /, destination: /x}}, {{source: conf/app.ini, destination: /etc}}]\npermissions: {list}"
        ))
    });
}

#[rustfmt::skip]
const TWO_PERMISSIONS: &[Row<'_>] = &[
    ("[{object: /x, mode: 1}, {object: /x/bin, mode: 2}]", &[("permissions-overlap", "/x/bin")]),
    ("[{object: /x/bin, mode: 1}, {object: /x, mode: 2}]", &[("permissions-overlap", "/x")]),
    ("[{object: /x, mode: 1}, {object: /x, pattern: '*.sh', mode: 2}]", &[("permissions-overlap", "/x")]),
    ("[{object: /x, except: ['*.sh'], mode: 1}, {object: /x, pattern: '*.sh', mode: 2}]", &[("shallow-except", "'*.sh'")]),
    ("[{object: /x, mode: 1}, {object: /x, pattern: 'a/b', mode: 2}]", &[("pattern-matches-nothing", "'a/b'")]),
    ("[{object: /x, except: [run], mode: 1}, {object: /x, mode: 2}]", &[("permissions-overlap", "/x")]),
    ("[{object: /x, except: [run], mode: 1}, {object: /x/run, mode: 2}]", &[]),
    ("[{object: /x, except: [run], mode: 1}, {object: /x/bin/run, mode: 2}]", &[("permissions-overlap", "/x/bin/run")]),
    ("[{object: /x, type: [file], mode: 1}, {object: /x, type: [directory], mode: 2}]", &[]),
    ("[{object: /x, type: [file], mode: 1}, {object: /x/bin, type: [directory], mode: 2}]", &[]),
    ("[{object: /x/a, mode: 1}, {object: /x/b, mode: 2}]", &[]),
    ("[{object: /x, pattern: '*.sh', mode: 1}, {object: /x, pattern: '*.txt', mode: 2}]", &[]),
    ("[{object: /x, pattern: '*', mode: 1}, {object: /x/bin, mode: 2}]", &[]),
];

#[test]
fn permissions_that_meet() {
    check(TWO_PERMISSIONS, |list| {
        around(&format!(
            "files: [{{source: /, destination: /x}}]\npermissions: {list}"
        ))
    });
}

#[rustfmt::skip]
const SCRIPTS: &[Row<'_>] = &[
    ("AfterInstall:", &[("empty-value", "AfterInstall")]),
    ("AfterInstall: []", &[("empty-value", "AfterInstall")]),
    ("Install:", &[("empty-value", "Install")]),
    ("AfterInstall: [{location: a.sh}, {location: ./a.sh}]", &[("script-twice", "./a.sh")]),
    ("AfterInstall: [{location: a.sh}, {location: a.sh, runas: web}]", &[]),
    ("AfterInstall: [{location: a.sh}, {location: b.sh}]", &[]),
    ("AfterInstall: [{location: /scripts/a.sh}]", &[("absolute-script", "/scripts/a.sh")]),
    ("AfterInstall: [{location: a.sh --now}]", &[("script-arguments", "a.sh --now")]),
    ("AfterInstall: [{location: $DIR/a.sh}]", &[("literal-value", "$DIR/a.sh")]),
];

#[test]
fn scripts() {
    check(SCRIPTS, |hook| around(&format!("hooks:\n  {hook}\n")));
}

#[test]
fn one_script_in_two_events_is_fine() {
    let text =
        around("hooks:\n  BeforeInstall: [{location: a.sh}]\n  AfterInstall: [{location: a.sh}]\n");
    assert_eq!(found(&text), []);
}

#[test]
fn lint_says_everything_that_parse_says() {
    let text = "version: 0.1\nos: linux\nfiles: [{source: ../a, destination: /x}]\nhooks: {AfterInstall: [{location: /a}]}\n";
    let parsed = parse("a", text.as_bytes()).diagnostics;
    let linted = lint("a", text.as_bytes());
    assert!(parsed.iter().all(|found| linted.contains(found)));
    assert_eq!(linted.len(), parsed.len() + 1);
    assert!(parsed.iter().all(is_error));
}
