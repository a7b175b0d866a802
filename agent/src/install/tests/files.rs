//! What is where after an Install that succeeds.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use croft_proto::deploy::ScriptErrorCode::Success;

use crate::testing::Site;

const ALL: &str = "files:\n  - {source: /, destination: SRV/app}\n";

#[test]
fn a_file_a_folder_and_the_whole_bundle_go_where_they_belong() {
    let site = Site::new();
    let spec = "files:\n  - {source: web, destination: SRV/app}\n  - {source: conf/a.conf, destination: SRV/etc}\n";
    let files = [
        ("web/i.html", "i"),
        ("web/js/a.js", "a"),
        ("conf/a.conf", "c"),
        ("other", "o"),
    ];
    let bundle = site.bundle(1, spec, &files);
    symlink("i.html", bundle.path.join("web/link")).unwrap();
    symlink("js", bundle.path.join("web/folder-link")).unwrap();
    assert_eq!(site.install(1, &bundle).error_code, Success);
    assert_eq!(
        site.tree(),
        [
            "app 755 0 folder",
            "app/folder-link 755 0 folder",
            "app/folder-link/a.js 644 0 a",
            "app/i.html 644 0 i",
            "app/js 755 0 folder",
            "app/js/a.js 644 0 a",
            "app/link 0 0 -> i.html",
            "etc 755 0 folder",
            "etc/a.conf 644 0 c",
        ]
    );
}

#[test]
fn the_next_revision_takes_away_what_it_has_not_and_leaves_what_others_made() {
    let site = Site::new();
    site.install(
        1,
        &site.bundle(1, ALL, &[("a", "1"), ("sub/b", "1"), ("gone/c", "1")]),
    );
    site.write("app/gone/of-the-app", "data");
    site.write("app/sub/of-the-app", "data");
    let same = site.srv().join("app/a").metadata().unwrap().ino();
    let second = site.bundle(2, ALL, &[("a", "1"), ("sub", "now a file")]);
    let ended = site.install(2, &second);
    // The folder holds what the group has not made.
    assert_ne!(ended.error_code, Success, "{ended:?}");
    std::fs::remove_file(site.srv().join("app/sub/of-the-app")).unwrap();
    let third = site.bundle(3, ALL, &[("a", "1"), ("sub", "now a file")]);
    assert_eq!(site.install(3, &third).error_code, Success);
    assert_eq!(site.read("app/sub").as_deref(), Some("now a file"));
    assert_eq!(site.read("app/gone/c"), None);
    assert_eq!(site.read("app/gone/of-the-app").as_deref(), Some("data"));
    let unchanged = site.srv().join("app/a").metadata().unwrap().ino();
    assert_eq!(
        unchanged, same,
        "a file that is the same is not written again"
    );
    assert!(!site.group().join("install.json").exists());
    assert!(!site.group().join("kept").exists());
}

#[test]
fn permissions_hold_from_the_first_moment_and_for_folders_that_stay() {
    let site = Site::new();
    let spec = |mode: &str| {
        format!(
            "{ALL}permissions:\n  - {{object: SRV/app, pattern: '*.sh', mode: {mode}, owner: nobody, group: '1234', type: [file]}}\n  - {{object: SRV/app, mode: 2{mode}, type: [directory], owner: nobody}}\n"
        )
    };
    let files = [("run.sh", "#!"), ("other", "o"), ("sub/x", "x")];
    assert_eq!(
        site.install(1, &site.bundle(1, &spec("750"), &files))
            .error_code,
        Success
    );
    let run = site.srv().join("app/run.sh").metadata().unwrap();
    assert_eq!(
        (run.permissions().mode() & 0o7777, run.gid()),
        (0o750, 1234)
    );
    assert_ne!(run.uid(), 0);
    let sub = |site: &Site| site.srv().join("app/sub").metadata().unwrap();
    assert_eq!(
        (sub(&site).mode() & 0o7777, sub(&site).uid()),
        (0o2750, run.uid())
    );
    assert_eq!(site.srv().join("app/other").metadata().unwrap().uid(), 0);
    assert_eq!(
        site.install(2, &site.bundle(2, &spec("700"), &files))
            .error_code,
        Success
    );
    assert_eq!(sub(&site).mode() & 0o7777, 0o2700);
}

#[test]
fn access_lists_and_contexts_are_set_by_the_hosts_own_programs() {
    let site = Site::new();
    let programs = site.folder.path().join("programs");
    let said = site.folder.path().join("said");
    for name in ["setfacl", "semanage", "restorecon"] {
        let script = format!("#!/bin/sh\necho {name} \"$@\" >>{}\n", said.display());
        crate::testing::write(&programs.join(name), &script);
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(programs.join(name), executable).unwrap();
    }
    let spec = format!(
        "{ALL}permissions:\n  - {{object: SRV/app/a, mode: 640, acls: ['u:bob:rw'], context: {{user: system_u, type: web_t, range: s0}}}}\n"
    );
    let bundle = site.bundle(1, &spec, &[("a", "1")]);
    let refused = site.install(1, &bundle);
    assert!(refused.message.contains("needs setfacl"), "{refused:?}");
    assert!(refused.message.contains("needs semanage"), "{refused:?}");
    assert_eq!(site.tree(), Vec::<String>::new());
    let mut settings = crate::testing::settings();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    settings.environment = vec![("PATH".into(), path.into())];
    let site = Site {
        host: crate::Host::open(&site.folder.path().join("state"), settings).unwrap(),
        ..site
    };
    let again = site.bundle(2, &spec, &[("a", "1")]);
    let ended = site.install(2, &again);
    assert_eq!(ended.error_code, Success, "{ended:?}");
    assert_eq!(
        site.install(3, &site.bundle(3, ALL, &[("a", "1")]))
            .error_code,
        Success
    );
    let path = site.srv().join("app/a").display().to_string();
    let said = std::fs::read_to_string(said).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[0]
            .starts_with("setfacl --set user::rw-,group::r--,other::---,user:bob:rw- -- /proc/"),
        "{said}"
    );
    assert_eq!(
        lines[1..],
        [
            format!("semanage fcontext -a -t web_t -s system_u -r s0 {path}"),
            format!("restorecon {path}"),
            format!("semanage fcontext -d {path}"),
        ]
    );
}
