//! What each key means.

use croft_proto::deploy::{FileExistsBehavior, LifecycleEvent};

use super::{FULL, around, found, good, with};
use crate::appspec::{Acl, AclWhom, Kinds, Os, Permission, is_appspec, parse};

/// The one permission of a file in which everything goes to `/srv/app`.
fn permission(more: &str) -> Permission {
    let text = format!(
        "files: [{{source: /, destination: /srv/app}}]\npermissions:\n  - object: /srv/app\n{more}"
    );
    with(&text).permissions.remove(0)
}

#[test]
fn the_full_file_is_read_without_a_word() {
    let parsed = parse("appspec.yml", FULL.as_bytes());
    assert_eq!(parsed.diagnostics, []);
    let spec = parsed.spec.unwrap();
    assert_eq!(spec.os, Os::Linux);
    assert_eq!(
        spec.file_exists_behavior,
        Some(FileExistsBehavior::Overwrite)
    );
    let files: Vec<_> = spec
        .files
        .iter()
        .map(|file| {
            (
                file.source.as_str(),
                file.destination.as_str(),
                file.place.line,
            )
        })
        .collect();
    assert_eq!(
        files,
        [
            ("/", "/srv/app", 4),
            ("conf/app.service", "/etc/systemd/system", 6)
        ]
    );
    let [all, run] = spec.permissions.as_slice() else {
        panic!("{:?}", spec.permissions)
    };
    assert_eq!((all.pattern.as_str(), all.mode), ("**", Some(0o640)));
    assert_eq!(all.except, ["run.sh", "data"]);
    assert_eq!(
        (all.owner.as_deref(), all.group.as_deref(), all.kinds),
        (Some("web"), Some("www-data"), Kinds::Files)
    );
    let shown: Vec<_> = all.acls.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["user:bob:rw-", "mask::rw-"]);
    assert_eq!((run.mode, run.kinds), (Some(0o4755), Kinds::Both));
    let context = run.context.as_ref().unwrap();
    assert_eq!(
        (
            context.user.as_deref(),
            context.kind.as_str(),
            context.range.as_deref()
        ),
        (
            Some("unconfined_u"),
            "httpd_sys_content_t",
            Some("s0:c1.c3,c5")
        )
    );
}

#[test]
fn hooks_come_in_the_order_of_the_events_and_empty_ones_not_at_all() {
    let hooks = good(FULL).hooks;
    let events: Vec<_> = hooks
        .iter()
        .map(|(event, scripts)| (event.name(), scripts.len()))
        .collect();
    assert_eq!(
        events,
        [
            ("ApplicationStop", 1),
            ("BeforeInstall", 1),
            ("AfterInstall", 1),
            ("ValidateService", 2)
        ]
    );
    let prepare = &hooks[&LifecycleEvent::BeforeInstall][0];
    assert_eq!(
        (prepare.timeout_s, prepare.runas.as_deref(), prepare.sudo),
        (300, Some("root"), true)
    );
    let again = &hooks[&LifecycleEvent::ValidateService][1];
    assert_eq!(
        (again.timeout_s, again.runas.as_deref(), again.sudo),
        (3600, None, false)
    );
    assert_eq!(again.location, "./scripts/again.sh");
    assert_eq!(again.location_in_bundle().unwrap(), "scripts/again.sh");
    assert_eq!(again.place.line, 41);
}

#[test]
fn every_event_that_has_scripts_takes_some() {
    let events = [
        "BeforeBlockTraffic",
        "AfterBlockTraffic",
        "ApplicationStop",
        "BeforeInstall",
        "AfterInstall",
        "ApplicationStart",
        "ValidateService",
        "BeforeAllowTraffic",
        "AfterAllowTraffic",
    ];
    let lines: String = events
        .iter()
        .rev()
        .map(|event| format!("  {event}: [{{location: {event}.sh}}]\n"))
        .collect();
    let hooks = with(&format!("hooks:\n{lines}")).hooks;
    let read: Vec<_> = hooks
        .iter()
        .map(|(event, scripts)| (event.name(), scripts[0].location.clone()))
        .collect();
    let expected: Vec<_> = events
        .iter()
        .map(|event| (*event, format!("{event}.sh")))
        .collect();
    assert_eq!(read, expected);
}

#[test]
fn the_version_is_zero_in_any_spelling_of_the_number() {
    for version in ["0.0", "0", "0.00"] {
        good(&format!("version: {version}\nos: linux\n"));
    }
}

#[test]
fn a_source_is_a_path_of_the_bundle_however_it_is_written() {
    for (source, path) in [
        ("/", ""),
        (".", ""),
        ("./", ""),
        ("/index.html", "index.html"),
        ("index.html", "index.html"),
        ("./conf/", "conf"),
        ("a/../b", "b"),
        ("'a b'", "a b"),
    ] {
        let spec = with(&format!("files: [{{source: {source}, destination: /x}}]"));
        assert_eq!(
            spec.files[0].source_in_bundle().as_deref(),
            Some(path),
            "{source}"
        );
    }
}

#[test]
fn what_a_permission_does_not_say_has_its_default() {
    let read = permission("    mode: 1");
    assert_eq!(
        (read.pattern.as_str(), read.except.len(), read.kinds),
        ("**", 0, Kinds::Both)
    );
    assert_eq!((read.owner, read.group, read.context), (None, None, None));
    assert!(read.acls.is_empty());
}

#[test]
fn a_mode_is_octal_with_and_without_quotes_and_zeros() {
    for (mode, bits) in [
        ("0", 0),
        ("7", 0o7),
        ("44", 0o44),
        ("644", 0o644),
        ("0644", 0o644),
        ("\"0644\"", 0o644),
        ("'755'", 0o755),
        ("1777", 0o1777),
        ("7777", 0o7777),
    ] {
        assert_eq!(
            permission(&format!("    mode: {mode}")).mode,
            Some(bits),
            "{mode}"
        );
    }
}

#[test]
fn a_type_is_one_kind_or_both_in_any_order() {
    for (kinds, expected) in [
        ("[file]", Kinds::Files),
        ("[directory]", Kinds::Directories),
        ("[file, directory]", Kinds::Both),
        ("[directory, file]", Kinds::Both),
        ("[file, file]", Kinds::Files),
    ] {
        assert_eq!(
            permission(&format!("    type: {kinds}")).kinds,
            expected,
            "{kinds}"
        );
    }
}

#[test]
fn the_user_of_a_context_goes_by_both_of_its_names() {
    for key in ["user", "name"] {
        let context = permission(&format!("    context: {{{key}: system_u, type: t}}"))
            .context
            .unwrap();
        assert_eq!(context.user.as_deref(), Some("system_u"));
    }
}

#[test]
fn default_entries_are_for_folders() {
    let read = permission("    type: [directory]\n    acls: ['d:g:ops:rx', 'd:o::-']");
    let expected = [
        Acl {
            default: true,
            whom: AclWhom::Group("ops".into()),
            read: true,
            write: false,
            execute: true,
        },
        Acl {
            default: true,
            whom: AclWhom::Other,
            read: false,
            write: false,
            execute: false,
        },
    ];
    assert_eq!(read.acls, expected);
    assert_eq!(read.acls[0].to_string(), "default:group:ops:r-x");
    assert_eq!(read.acls[1].to_string(), "default:other::---");
}

#[test]
fn a_pattern_matches_below_the_object_as_far_as_it_says() {
    let all = permission("    pattern: '**'\n    except: ['*.log', data]");
    let direct = permission("    pattern: '*.sh'\n    except: [start*]");
    for (below, by_all, by_direct) in [
        ("", false, false),
        ("run.sh", true, true),
        ("start.sh", true, false),
        ("a.log", false, false),
        ("deep/a.log", true, false),
        ("deep/run.sh", true, false),
        ("data", false, false),
        ("data/x", true, false),
        ("x.txt", true, false),
    ] {
        assert_eq!(all.matches(below), by_all, "{below}");
        assert_eq!(direct.matches(below), by_direct, "{below}");
    }
}

#[test]
fn windows_paths_are_read_for_windows() {
    let text = "version: 0.0\nos: windows\nfiles:\n  - source: \\app\\bin\n    destination: C:\\app\nhooks:\n  AfterInstall:\n    - location: \\scripts\\x.bat\n      timeout: '900'\n";
    let spec = good(text);
    assert_eq!(
        (spec.os, spec.files[0].destination.as_str()),
        (Os::Windows, r"C:\app")
    );
    assert_eq!(spec.hooks[&LifecycleEvent::AfterInstall][0].timeout_s, 900);
    assert_eq!(found(text), []);
}

#[test]
fn the_same_in_json_is_the_same() {
    let json = "{\n\t\"version\": 0.0,\n\t\"os\": \"linux\",\n\t\"files\": [{\"source\": \"/\", \"destination\": \"/srv/app\"}],\n\t\"hooks\": {\"AfterInstall\": [{\"location\": \"x.sh\", \"timeout\": 5}]}\n}\n";
    let spec = good(json);
    assert_eq!((spec.files.len(), spec.hooks.len()), (1, 1));
}

#[test]
fn the_guides_example_is_read_without_a_word() {
    let guide = include_str!("../../../../docs/appspec.md");
    let (_, rest) = guide.split_once("```yaml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    assert_eq!(found(example), []);
    let spec = good(example);
    assert_eq!(
        (spec.files.len(), spec.permissions.len(), spec.hooks.len()),
        (2, 2, 4)
    );
}

#[test]
fn sections_may_be_absent() {
    let spec = good(&around(""));
    assert!(spec.files.is_empty() && spec.permissions.is_empty() && spec.hooks.is_empty());
    assert_eq!(spec.file_exists_behavior, None);
}

#[test]
fn a_file_is_told_from_a_buildspec_by_its_name_or_else_by_its_contents() {
    let build = "version: 0.2\nphases: {build: {commands: [x]}}\n";
    let ecs = "version: 0.0\nResources:\n  - S: {Type: AWS::ECS::Service}\n";
    let template = "Resources:\n  S: {Type: AWS::ECS::Service}\n";
    for (name, text, expected) in [
        ("appspec.yml", build, true),
        ("deploy/appspec.yaml", "", true),
        (r"deploy\AppSpec.yml", "", true),
        ("appspec-production.yml", "", true),
        ("appspec.json", "", true),
        ("appspec.sh", "", false),
        ("buildspec.yml", FULL, false),
        ("ci/buildspec-test.yml", FULL, false),
        ("deploy.yml", FULL, true),
        ("deploy.yml", "version: 0.0\n", true),
        ("deploy.yml", "version: '0.0'\n", true),
        ("deploy.yml", "version: 0\n", true),
        ("deploy.yml", "version: 1.0\n", false),
        ("deploy.yml", "os: linux\nhooks:\n", true),
        ("deploy.yml", "os: linux\n", false),
        ("deploy.yml", "version: 0.0\nphases:\n", false),
        ("deploy.yml", build, false),
        ("deploy.yml", ecs, true),
        ("deploy.yml", template, false),
        ("deploy.yml", "- version: 0.0\n", false),
        ("deploy.yml", "", false),
    ] {
        assert_eq!(
            is_appspec(name, text.as_bytes()),
            expected,
            "{name}\n{text}"
        );
    }
    assert!(!is_appspec("deploy.yml", b"version: 0.0\n\xff"));
}
