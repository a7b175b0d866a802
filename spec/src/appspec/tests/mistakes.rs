//! Every mistake: its code, what it points at, and what it proposes.

use super::{FULL, around, is_error, only, pointed};
use crate::appspec::{lint, parse};

/// Lines, the finding's code, the text it points at, and a piece of its help.
type Row<'t> = (&'t str, &'t str, &'t str, &'t str);

fn check(rows: &[Row<'_>], file: impl Fn(&str) -> String) {
    for (lines, code, at, help) in rows {
        let text = file(lines);
        let found = only(&text, parse("appspec.yml", text.as_bytes()).diagnostics);
        assert_eq!(
            (found.code.as_str(), pointed(&text, &found)),
            (*code, *at),
            "{text}\n{found:#?}"
        );
        let given = found.help.unwrap_or_default();
        assert!(given.contains(help), "{text}\n{given}");
    }
}

#[rustfmt::skip]
const VERSION_OS_AND_SECTIONS: &[Row<'_>] = &[
    ("os: linux\n", "missing-key", "os", "version: 0.0"),
    ("version:\nos: linux\n", "missing-key", "version", "version: 0.0"),
    ("version: \"0.0\"\nos: linux\n", "bad-version", "\"0.0\"", "without quotes"),
    ("version: '0'\nos: linux\n", "bad-version", "'0'", "without quotes"),
    ("version: 0.2\nos: linux\n", "bad-version", "0.2", "version: 0.0"),
    ("version: 1\nos: linux\n", "bad-version", "1", "version: 0.0"),
    ("version: 0.\nos: linux\n", "bad-version", "0.", "version: 0.0"),
    ("version: [0.0]\nos: linux\n", "wrong-type", "[0.0]", "quote"),
    ("version: 0.0\n", "missing-key", "version", "os: linux"),
    ("version: 0.0\nos:\n", "missing-key", "os", "os: linux"),
    ("version: 0.0\nos: ''\n", "empty-text", "''", "os: linux"),
    ("version: 0.0\nos: Linux\n", "bad-os", "Linux", "did you mean `linux`?"),
    ("version: 0.0\nos: ubuntu\n", "bad-os", "ubuntu", "os: linux"),
    ("version: 0.0\nos: linux\nos: linux\n", "duplicate-key", "os", "keep one"),
    ("version: 0.0\nos: linux\nhook: {}\n", "unknown-key", "hook", "did you mean `hooks`?"),
    ("version: 0.0\nos: linux\nfileExistsBehavior: RETAIN\n", "unknown-key", "fileExistsBehavior", "did you mean `file_exists_behavior`?"),
    ("version: 0.0\nos: linux\nx-parked: {}\n", "unknown-top-level-key", "x-parked", "the sections are `version`, `os`"),
    ("version: 0.0\nos: linux\nfiles:\n", "empty-value", "files", "absent"),
    ("version: 0.0\nos: linux\nhooks:\n", "empty-value", "hooks", "absent"),
    ("version: 0.0\nos: linux\npermissions:\n", "empty-value", "permissions", "absent"),
    ("version: 0.0\nos: linux\nfiles: {source: /, destination: /x}\n", "wrong-type", "{source: /, destination: /x}", "`- `"),
    ("version: 0.0\nos: linux\nfiles: /\n", "wrong-type", "/", "`- `"),
    ("version: 0.0\nos: linux\nhooks: [x]\n", "wrong-type", "[x]", "key"),
    ("[a]\n", "wrong-type", "[a]", "version: 0.0"),
    ("version\n", "wrong-type", "version", "space after its `:`"),
];

#[test]
fn version_os_and_sections() {
    check(VERSION_OS_AND_SECTIONS, str::to_owned);
}

#[test]
fn a_file_that_says_nothing_is_told_how_to_begin() {
    for text in ["", "# nothing\n", "~\n"] {
        let found = only(text, parse("appspec.yml", text.as_bytes()).diagnostics);
        assert_eq!((found.code.as_str(), found.place.line), ("empty-file", 0));
        assert!(found.help.unwrap().contains("os: linux"));
    }
}

#[rustfmt::skip]
const BEHAVIORS: &[Row<'_>] = &[
    ("overwrite", "bad-file-exists-behavior", "overwrite", "did you mean `OVERWRITE`? it is written in capital letters"),
    ("RETIAN", "bad-file-exists-behavior", "RETIAN", "did you mean `RETAIN`?"),
    ("KEEP", "bad-file-exists-behavior", "KEEP", "`DISALLOW`, `OVERWRITE` and `RETAIN`"),
    ("[RETAIN]", "wrong-type", "[RETAIN]", "quote"),
    ("''", "empty-text", "''", "remove"),
    ("", "empty-value", "file_exists_behavior", "absent"),
];

#[test]
fn behaviors_for_files_that_exist() {
    check(BEHAVIORS, |value| {
        around(&format!("file_exists_behavior: {value}"))
    });
}

#[rustfmt::skip]
const FILES: &[Row<'_>] = &[
    ("{source: a}", "missing-key", "source", "`/srv/app`"),
    ("{destination: /x}", "missing-key", "destination", "`/` for all"),
    ("{source: , destination: /x}", "missing-key", "source", "`/` for all"),
    ("{source: '', destination: /x}", "empty-text", "''", "`/` for all"),
    ("{source: [a], destination: /x}", "wrong-type", "[a]", "quote"),
    ("{source: a, destination: x}", "not-absolute", "x", "from the root on"),
    ("{source: a, destination: ~/x}", "not-absolute", "~/x", "not replaced"),
    ("{source: a, destination: $HOME/x}", "not-absolute", "$HOME/x", "not replaced"),
    (r"{source: a, destination: 'C:\x'}", "not-absolute", r"'C:\x'", "a path of Windows, and `os` is `linux`"),
    ("{source: a, destination: /x/../y}", "climbing-path", "/x/../y", "the path it leads to"),
    ("{source: ../a, destination: /x}", "climbing-path", "../a", "into the bundle"),
    ("{source: /.., destination: /x}", "climbing-path", "/..", "into the bundle"),
    ("{source: a/../../b, destination: /x}", "climbing-path", "a/../../b", "into the bundle"),
    ("{source: \"a\\0\", destination: /x}", "nul-character", "\"a\\0\"", "remove"),
    ("{source: a, destination: \"/x\\0\"}", "nul-character", "\"/x\\0\"", "remove"),
    ("{sorce: a, source: a, destination: /x}", "unknown-key", "sorce", "did you mean `source`?"),
    ("{source: a, destination: /x, mode: 1}", "ignored-key", "mode", "`source`, `destination`"),
    ("{source: a, destination: /x, file_exists_behavior: RETAIN}", "misplaced-key", "file_exists_behavior", "top level"),
    ("a", "wrong-type", "a", "key"),
    ("", "empty-item", "-", "remove the `-`"),
];

#[test]
fn entries_of_files() {
    check(FILES, |entry| around(&format!("files:\n  - {entry}\n")));
}

#[rustfmt::skip]
const SAME_DESTINATIONS: &[Row<'_>] = &[
    ("[{source: a, destination: /x}, {source: a, destination: /x}]", "same-destination", "a", "keep one"),
    ("[{source: /a, destination: /x/}, {source: ./a, destination: //x}]", "same-destination", "./a", "keep one"),
    ("[{source: /, destination: /x}, {source: conf, destination: /x/conf}]", "same-destination", "conf", "keep one"),
    ("[{source: conf, destination: /x/conf}, {source: /, destination: /x}]", "same-destination", "/", "keep one"),
    ("[{source: a, destination: /x}, {source: a/b/c, destination: /x/b/c}]", "same-destination", "a/b/c", "keep one"),
];

#[test]
fn entries_that_meet_whatever_the_bundle_has() {
    check(SAME_DESTINATIONS, |files| {
        around(&format!("files: {files}"))
    });
}

#[test]
fn entries_that_may_well_stand_side_by_side() {
    for files in [
        "[{source: a, destination: /x}, {source: b, destination: /x}]",
        "[{source: a, destination: /x}, {source: a, destination: /y}]",
        "[{source: /, destination: /x}, {source: conf, destination: /etc/app}]",
        "[{source: conf, destination: /x}, {source: confs, destination: /x/s}]",
    ] {
        let text = around(&format!("files: {files}"));
        assert_eq!(
            parse("appspec.yml", text.as_bytes()).diagnostics,
            [],
            "{text}"
        );
    }
}

#[rustfmt::skip]
const PERMISSIONS: &[Row<'_>] = &[
    ("{mode: 1}", "missing-key", "mode", "`/srv/app`"),
    ("{object: , mode: 1}", "missing-key", "object", "`/srv/app`"),
    ("{object: ., mode: 1}", "not-absolute", ".", "from the root on"),
    ("{object: /x/.., mode: 1}", "climbing-path", "/x/..", "the path it leads to"),
    ("{object: /x, mode: u+x}", "bad-mode", "u+x", "\"0755\""),
    ("{object: /x, mode: 'rw-r--r--'}", "bad-mode", "'rw-r--r--'", "\"0755\""),
    ("{object: /x, mode: 888}", "bad-mode", "888", "\"0644\""),
    ("{object: /x, mode: 00755}", "bad-mode", "00755", "\"0644\""),
    ("{object: /x, mode: 0o644}", "bad-mode", "0o644", "\"0755\""),
    ("{object: /x, mode: -1}", "bad-mode", "-1", "\"0755\""),
    ("{object: /x, mode: [7]}", "wrong-type", "[7]", "quote"),
    ("{object: /x, mode: }", "empty-value", "mode", "absent"),
    ("{object: /x, owner: a b}", "bad-account", "a b", "user's name or number"),
    ("{object: /x, group: 'a:b'}", "bad-account", "'a:b'", "group's name or number"),
    ("{object: /x, owner: -R}", "bad-account", "-R", "user's"),
    ("{object: /x, owner: ' '}", "bad-account", "' '", "user's"),
    ("{object: /x, pattern: ''}", "empty-text", "''", "remove"),
    ("{object: /x, except: a}", "not-a-list", "a", "`- `"),
    ("{object: /x, except: [{a: b}]}", "wrong-type", "{a: b}", "quote"),
    ("{object: /x, type: [link]}", "bad-object-type", "link", "`type: [directory]`"),
    ("{object: /x, type: []}", "bad-object-type", "type", "`type: [directory]`"),
    ("{object: /x, type: }", "empty-value", "type", "absent"),
    ("{object: /x, type: file}", "not-a-list", "file", "`- `"),
    ("{object: /x, acls: ['u::rw']}", "bad-acl", "'u::rw'", "`mode`"),
    ("{object: /x, acls: []}", "empty-value", "acls", "absent"),
    ("{object: /x, acls: [x]}", "bad-acl", "x", "`u:NAME:rwx`"),
    ("{object: /x, type: [file], acls: ['d:u:bob:rw']}", "bad-acl", "'d:u:bob:rw'", "`type: [directory]`"),
    ("{object: /x, context: {user: u}}", "missing-key", "context", "`type: httpd_sys_content_t`"),
    ("{object: /x, context: {type: }}", "missing-key", "type", "`type: httpd_sys_content_t`"),
    ("{object: /x, context: {type: t, role: r}}", "ignored-key", "role", "remove"),
    ("{object: /x, context: {type: t, user: a, name: b}}", "bad-context", "name", "keep `user`"),
    ("{object: /x, context: {type: t, range: x}}", "bad-context", "x", "`s0-s3`"),
    ("{object: /x, context: {type: '-t x'}}", "bad-context", "'-t x'", "allowed"),
    ("{object: /x, context: {type: t, name: 'a b'}}", "bad-context", "'a b'", "allowed"),
    ("{object: /x, context: t}", "wrong-type", "t", "key"),
    ("{object: /x, modes: 1}", "unknown-key", "modes", "did you mean `mode`?"),
    ("/x", "wrong-type", "/x", "key"),
];

#[test]
fn entries_of_permissions() {
    check(PERMISSIONS, |entry| {
        around(&format!("permissions:\n  - {entry}\n"))
    });
}

#[rustfmt::skip]
const TWO_PERMISSIONS: &[Row<'_>] = &[
    ("[{object: /x, mode: 1}, {object: /x/, mode: 2}]", "permission-twice", "/x/", "join"),
    ("[{object: /x, type: [file], mode: 1}, {object: /x, mode: 2}]", "permission-twice", "/x", "join"),
    ("[{object: /x, pattern: '*.sh', mode: 1}, {object: /x, pattern: '*.sh', mode: 2}]", "permission-twice", "/x", "join"),
];

#[test]
fn two_permissions_for_the_same_paths() {
    check(TWO_PERMISSIONS, |list| {
        around(&format!("permissions: {list}"))
    });
    let apart = "permissions: [{object: /x, type: [file], mode: 1}, {object: /x, type: [directory], mode: 2}]";
    assert_eq!(parse("a", around(apart).as_bytes()).diagnostics, []);
}

#[rustfmt::skip]
const HOOKS: &[Row<'_>] = &[
    ("Install: [{location: x}]", "reserved-event", "Install", "`BeforeInstall` and `AfterInstall`"),
    ("DownloadBundle: [{location: x}]", "reserved-event", "DownloadBundle", "`ApplicationStop` and `BeforeInstall`"),
    ("BlockTraffic: [{location: x}]", "reserved-event", "BlockTraffic", "`BeforeBlockTraffic` and `AfterBlockTraffic`"),
    ("AllowTraffic: [{location: x}]", "reserved-event", "AllowTraffic", "`BeforeAllowTraffic` and `AfterAllowTraffic`"),
    ("BeforeInstal: [{location: x}]", "unknown-event", "BeforeInstal", "did you mean `BeforeInstall`?"),
    ("afterInstall: [{location: x}]", "unknown-event", "afterInstall", "did you mean `AfterInstall`?"),
    ("application_start: [{location: x}]", "unknown-event", "application_start", "did you mean `ApplicationStart`?"),
    ("AfterAllowTestTraffic: [{location: x}]", "ignored-key", "AfterAllowTestTraffic", "never run"),
    ("Deploy:", "ignored-key", "Deploy", "`ValidateService`"),
    ("AfterInstall: {location: x}", "wrong-type", "{location: x}", "`- `"),
    ("AfterInstall: x.sh", "wrong-type", "x.sh", "`- `"),
    ("AfterInstall: [x.sh]", "wrong-type", "x.sh", "write `- location: x.sh`"),
    ("AfterInstall: [{timeout: 5}]", "missing-key", "timeout", "`scripts/start.sh`"),
    ("AfterInstall: [{location: }]", "missing-key", "location", "`scripts/start.sh`"),
    ("AfterInstall: [{location: ''}]", "empty-text", "''", "`scripts/start.sh`"),
    ("AfterInstall: [{location: ../x.sh}]", "climbing-path", "../x.sh", "into the bundle"),
    ("AfterInstall: [~]", "empty-item", "~", "remove"),
    ("AfterInstall: [{location: x, timeout: 0}]", "bad-timeout", "0", "seconds"),
    ("AfterInstall: [{location: x, timeout: -5}]", "bad-timeout", "-5", "seconds"),
    ("AfterInstall: [{location: x, timeout: 5m}]", "bad-timeout", "5m", "`timeout: 300`"),
    ("AfterInstall: [{location: x, timeout: 1.5}]", "bad-timeout", "1.5", "seconds"),
    ("AfterInstall: [{location: x, timeout: 99999999999999999999}]", "bad-timeout", "99999999999999999999", "seconds"),
    ("AfterInstall: [{location: x, timeout: [5]}]", "wrong-type", "[5]", "quote"),
    ("AfterInstall: [{location: x, timeout: 3601}]", "long-timeouts", "AfterInstall", "lower"),
    ("AfterInstall: [{location: x, timeout: 1800}, {location: y, timeout: 1801}]", "long-timeouts", "AfterInstall", "another event"),
    ("AfterInstall: [{location: x, runas: -c}]", "bad-account", "-c", "user's"),
    ("AfterInstall: [{location: x, runas: ''}]", "empty-text", "''", "remove"),
    ("AfterInstall: [{location: x, runas: }]", "empty-value", "runas", "absent"),
    ("AfterInstall: [{location: x, sudo: maybe}]", "bad-boolean", "maybe", "`yes` or `no`"),
    ("AfterInstall: [{location: x, run_as: web}]", "unknown-key", "run_as", "did you mean `runas`?"),
    ("AfterInstall: [{location: x, args: y}]", "ignored-key", "args", "`location`, `timeout`, `runas` and `sudo`"),
];

#[test]
fn events_and_scripts() {
    check(HOOKS, |hook| around(&format!("hooks:\n  {hook}\n")));
}

#[test]
fn timeouts_that_just_fit_and_those_that_are_not_written_are_fine() {
    for scripts in [
        "[{location: x, timeout: 3600}]",
        "[{location: x, timeout: 1800}, {location: y, timeout: 1800}]",
        "[{location: x}, {location: y}, {location: z, timeout: 5}]",
    ] {
        let text = around(&format!("hooks: {{AfterInstall: {scripts}}}"));
        assert_eq!(parse("a", text.as_bytes()).diagnostics, [], "{text}");
    }
}

#[rustfmt::skip]
const WINDOWS: &[Row<'_>] = &[
    ("permissions: [{object: /x, mode: 1}]", "permissions-on-windows", "permissions", "icacls"),
    (r"files: [{source: C:\a, destination: C:\b}]", "climbing-path", r"C:\a", "into the bundle"),
    (r"files: [{source: '..\a', destination: C:\b}]", "climbing-path", r"'..\a'", "into the bundle"),
    (r"files: [{source: a, destination: C:\b\..\c}]", "climbing-path", r"C:\b\..\c", "the path it leads to"),
    (r"files: [{source: a, destination: b\c}]", "not-absolute", r"b\c", "from the root on"),
    (r"files: [{source: A, destination: C:\b}, {source: a, destination: c:/B/}]", "same-destination", "a", "keep one"),
    ("hooks: {AfterInstall: [{location: x, runas: web}]}", "ignored-on-windows", "runas", "remove"),
    ("hooks: {AfterInstall: [{location: x, sudo: yes}]}", "ignored-on-windows", "sudo", "remove"),
];

#[test]
fn what_windows_has_not() {
    check(WINDOWS, |lines| {
        format!("version: 0.0\nos: windows\n{lines}\n")
    });
}

#[rustfmt::skip]
const OTHER_PLATFORMS: &[Row<'_>] = &[
    ("version: 0.0\nResources:\n  - TargetService:\n      Type: AWS::ECS::Service\n      Properties:\n        TaskDefinition: arn\nHooks:\n  - BeforeInstall: fn\n", "not-for-servers", "AWS::ECS::Service", "for a container on your own hosts"),
    ("{\n\t\"version\": 0.0,\n\t\"Resources\": [{\"TargetService\": {\"Type\": \"AWS::ECS::Service\", \"Properties\": {}}}]\n}\n", "not-for-servers", "\"AWS::ECS::Service\"", "for a container on your own hosts"),
    ("version: 0.0\nResources:\n  - myFn:\n      Type: AWS::Lambda::Function\n      Properties: {Name: myFn, Alias: live}\n", "not-for-servers", "AWS::Lambda::Function", "AWS's own tools"),
    ("version: 0.0\nresources:\n  - myFn: {Type: AWS::Lambda::Function}\n", "not-for-servers", "AWS::Lambda::Function", "AWS's own tools"),
    ("version: 0.0\nResources: {}\n", "not-for-servers", "Resources", "`os: linux`"),
    ("version: 0.0\nHooks:\n  - BeforeAllowTraffic: fnA\n", "not-for-servers", "Hooks", "`os: linux`"),
    ("version: \"0.0\"\nhooks:\n  - AfterAllowTestTraffic: fnA\n", "not-for-servers", "hooks", "map from events to scripts"),
];

#[test]
fn appspecs_of_other_platforms_are_refused_by_name_and_nothing_more_is_said() {
    check(OTHER_PLATFORMS, str::to_owned);
    let said = |text: &str| only(text, parse("a", text.as_bytes()).diagnostics).message;
    assert!(said(OTHER_PLATFORMS[0].0).contains("Amazon ECS"));
    assert!(said(OTHER_PLATFORMS[2].0).contains("AWS Lambda"));
}

#[test]
fn every_mistake_is_told_at_once_also_after_a_broken_line() {
    let text = "version: '0.0'\nos: mac\nfiles:\n  - source: a: b: c\n    destination: x\nhooks:\n  Install:\n    - location: y\n  AfterInstall:\n    - location: z\n      timeout: x\n";
    let found = parse("appspec.yml", text.as_bytes());
    let lines: Vec<_> = found
        .diagnostics
        .iter()
        .map(|found| (found.place.line, found.place.column, found.code.as_str()))
        .collect();
    assert_eq!(
        lines,
        [
            (1, 10, "bad-version"),
            (2, 5, "bad-os"),
            (4, 13, "yaml-syntax"),
            (5, 18, "not-absolute"),
            (7, 3, "reserved-event"),
            (11, 16, "bad-timeout"),
        ]
    );
    assert_eq!(found.spec, None);
}

#[test]
fn every_mistake_of_one_entry_is_told_at_once() {
    let text = around(
        "files:\n  - {source: ../a, destination: b}\npermissions:\n  - {mode: 9, owner: -x, acls: [z], type: [q], context: {range: x}}\nhooks:\n  AfterInstall:\n    - {location: ../x, timeout: 0, runas: -c, sudo: perhaps}\n",
    );
    let found = parse("a", text.as_bytes()).diagnostics;
    let mut codes: Vec<_> = found.iter().map(|found| found.code.as_str()).collect();
    codes.sort_unstable();
    assert_eq!(
        codes,
        [
            "bad-account",
            "bad-account",
            "bad-acl",
            "bad-boolean",
            "bad-context",
            "bad-mode",
            "bad-object-type",
            "bad-timeout",
            "climbing-path",
            "climbing-path",
            "missing-key",
            "missing-key",
            "not-absolute",
        ]
    );
}

#[test]
fn a_key_that_may_stand_in_a_lost_line_is_not_missed() {
    let text = "version: 0.0\nos: linux\nfiles:\n  - source: a\n    destination \"/x\nhooks: {}\n";
    let found = parse("appspec.yml", text.as_bytes()).diagnostics;
    assert!(
        found.iter().all(|found| found.code == "yaml-syntax"),
        "{found:#?}"
    );
}

#[test]
fn files_that_cannot_be_read_at_all_are_said_to_be_so() {
    let large = vec![b'#'; crate::FILE_BYTES_MAX + 1];
    for (bytes, code) in [
        (large.as_slice(), "file-too-large"),
        (b"version: 0.0\n\xff".as_slice(), "not-utf8"),
        (
            b"version: 0.0\nos: linux\n---\nos: linux\n".as_slice(),
            "several-documents",
        ),
    ] {
        let found = parse("appspec.yml", bytes);
        assert_eq!(found.diagnostics[0].code, code);
        assert!(found.spec.is_none());
    }
}

#[test]
fn a_path_longer_than_any_system_takes_is_refused() {
    let entry = |path: &str| around(&format!("files: [{{source: {path}, destination: /x}}]"));
    assert!(
        parse("a", entry(&"a".repeat(4096)).as_bytes())
            .diagnostics
            .is_empty()
    );
    let long = entry(&"a".repeat(4097));
    let found = only(&long, parse("a", long.as_bytes()).diagnostics);
    assert_eq!(found.code, "long-path");
}

#[test]
fn a_file_of_very_many_entries_is_answered_within_seconds() {
    let entries = |line: &str| format!("{line}\n").repeat(15_000);
    for (section, line) in [
        ("files", "- {source: a, destination: /b}"),
        ("permissions", "- {object: /a, mode: 1}"),
        ("hooks", "- {location: a}"),
    ] {
        let lines = entries(line);
        let text = match section {
            "hooks" => around(&format!(
                "hooks:\n AfterInstall:\n{}",
                lines.replace("- ", " - ")
            )),
            _ => around(&format!("{section}:\n{lines}")),
        };
        // A comparison of each with each would take minutes.
        assert!(!lint("a", text.as_bytes()).is_empty(), "{section}");
    }
}

#[test]
fn the_first_five_hundred_entries_are_compared_with_each_other() {
    for (before, codes) in [(499, 1), (500, 0)] {
        let distinct: String = (0..before)
            .map(|nth| format!("  - {{source: a{nth}, destination: /x}}\n"))
            .collect();
        let again = "  - {source: a0, destination: /x}\n";
        let text = around(&format!("files:\n{distinct}{again}"));
        assert_eq!(
            parse("a", text.as_bytes()).diagnostics.len(),
            codes,
            "{before}"
        );
    }
}

#[test]
fn warnings_alone_leave_a_file_usable() {
    let parsed = parse(
        "a",
        around("x-parked: 1\nhooks: {Deploy: [{location: x}]}").as_bytes(),
    );
    assert_eq!(parsed.diagnostics.len(), 2);
    assert!(!parsed.diagnostics.iter().any(is_error));
    assert!(parsed.spec.unwrap().hooks.is_empty());
    assert!(parse("a", FULL.as_bytes()).diagnostics.is_empty());
}
