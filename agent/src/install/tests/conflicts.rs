//! What stands in the way, and that nothing was changed.

use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use croft_proto::deploy::FileExistsBehavior;
use croft_proto::deploy::ScriptErrorCode::{Success, UnknownError};

use crate::testing::Site;

const ALL: &str = "files:\n  - {source: /, destination: SRV/app}\n";

#[test]
fn a_file_that_is_there_already_is_found_before_anything_is_deleted() {
    let site = Site::new();
    site.install(1, &site.bundle(1, ALL, &[("a", "1"), ("old", "1")]));
    site.write("app/new", "somebody's");
    site.write("app/newer", "somebody's");
    let before = site.tree();
    let files = [("a", "2"), ("new", "2"), ("newer", "2")];
    let ended = site.install(2, &site.bundle(2, ALL, &files));
    assert_eq!(ended.error_code, UnknownError);
    for name in [
        "app/new exists already",
        "app/newer exists already",
        "nothing was changed",
    ] {
        assert!(ended.message.contains(name), "{}", ended.message);
    }
    assert_eq!(site.tree(), before);
}

#[test]
fn overwrite_and_retain_do_what_they_say_and_the_appspec_goes_before_the_deployment() {
    for (said, of_deployment, text, after_next) in [
        ("OVERWRITE", FileExistsBehavior::Disallow, "1", None),
        (
            "RETAIN",
            FileExistsBehavior::Overwrite,
            "mine",
            Some("mine"),
        ),
        ("", FileExistsBehavior::Overwrite, "1", None),
        ("", FileExistsBehavior::Retain, "mine", Some("mine")),
    ] {
        let mut site = Site::new();
        site.behavior = of_deployment;
        site.write("app/a", "mine");
        let key = match said {
            "" => String::new(),
            said => format!("file_exists_behavior: {said}\n"),
        };
        let bundle = site.bundle(1, &format!("{key}{ALL}"), &[("a", "1"), ("b", "1")]);
        assert_eq!(site.install(1, &bundle).error_code, Success);
        assert_eq!(site.read("app/a").as_deref(), Some(text), "{said}");
        // A retained file is not the group's to take away.
        site.install(2, &site.bundle(2, ALL, &[("c", "1")]));
        assert_eq!(site.read("app/a").as_deref(), after_next, "{said}");
    }
}

#[test]
fn a_revision_that_contradicts_itself_or_the_host_is_refused_by_name() {
    let twice = "files:\n  - {source: a, destination: SRV}\n  - {source: sub, destination: SRV}\n";
    let folder =
        "files:\n  - {source: f, destination: SRV}\n  - {source: sub, destination: SRV/f}\n";
    let missing = "files:\n  - {source: nowhere, destination: SRV}\n";
    let stranger = "files:\n  - {source: a, destination: SRV}\npermissions:\n  - {object: SRV/a, owner: no-such-user}\n";
    let files = [("a", "1"), ("sub/a", "2"), ("f", "3")];
    for (spec, why) in [
        (twice, "put in place twice"),
        (
            folder,
            "a file by one entry of `files` and a folder by another",
        ),
        (missing, "the revision has no nowhere"),
        (stranger, "this host has no user no-such-user"),
    ] {
        let site = Site::new();
        let ended = site.install(1, &site.bundle(1, spec, &files));
        assert!(ended.message.contains(why), "{}", ended.message);
        assert_eq!(site.tree(), Vec::<String>::new(), "{why}");
    }
}

#[test]
fn nothing_is_installed_through_a_link_of_somebody_who_is_not_the_administrator() {
    let site = Site::new();
    let target = site.folder.path().join("target");
    std::fs::create_dir(&target).unwrap();
    site.write("app/keep", "");
    symlink(&target, site.srv().join("app/sub")).unwrap();
    std::os::unix::fs::lchown(site.srv().join("app/sub"), Some(1234), None).unwrap();
    let ended = site.install(1, &site.bundle(1, ALL, &[("sub/a", "1")]));
    assert!(
        ended.message.contains("is a link that user 1234"),
        "{}",
        ended.message
    );
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 0);
    // One of root's, in a folder of root's, is this host's own way.
    std::os::unix::fs::lchown(site.srv().join("app/sub"), Some(0), None).unwrap();
    assert_eq!(
        site.install(2, &site.bundle(2, ALL, &[("sub/a", "1")]))
            .error_code,
        Success
    );
    assert_eq!(std::fs::read_to_string(target.join("a")).unwrap(), "1");
    // And none in a folder whose owner can put another in its place.
    chown(site.srv().join("app"), Some(1234), None).unwrap();
    let ended = site.install(3, &site.bundle(3, ALL, &[("sub/b", "1")]));
    assert!(
        ended.message.contains("is a link that user 1234"),
        "{}",
        ended.message
    );
}

#[test]
fn a_link_that_comes_after_the_plan_is_not_followed() {
    let site = Site::new();
    let target = site.folder.path().join("target");
    std::fs::create_dir(&target).unwrap();
    let bundle = site.bundle(1, ALL, &[("sub/a", "1")]);
    let brought = site.run(
        1,
        croft_proto::deploy::LifecycleEvent::DownloadBundle,
        &bundle,
    );
    assert_eq!(brought.unwrap().error_code, Success);
    let sub = site.srv().join("app/sub");
    // Whoever owns the folder swaps it as soon as it is there.
    let swap = || {
        if sub.is_dir() && !sub.is_symlink() && std::fs::remove_dir(&sub).is_ok() {
            symlink(&target, &sub).unwrap();
        }
    };
    let command = site.command(1, croft_proto::deploy::LifecycleEvent::Install);
    let over = std::sync::atomic::AtomicBool::new(false);
    let ended = site
        .host
        .run_watched(&command, &bundle, &site.heard, &over, &swap);
    assert_eq!(ended.unwrap().error_code, UnknownError);
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 0);
}

#[test]
fn an_install_that_fails_puts_everything_back() {
    let site = Site::new();
    let spec =
        format!("{ALL}permissions:\n  - {{object: SRV/app, mode: 750, type: [directory]}}\n");
    let files = [
        ("a", "1"),
        ("sub/b", "1"),
        ("gone/deep/c", "1"),
        ("same", "1"),
    ];
    site.install(1, &site.bundle(1, &spec, &files));
    symlink("a", site.srv().join("app/link")).unwrap();
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(site.srv().join("app/a"), private).unwrap();
    let before = site.tree();
    let spec = spec.replace("750", "700");
    let files = [
        ("a", "2"),
        ("sub/b", "2"),
        ("new/x", "2"),
        ("same", "1"),
        ("z-last", "2"),
    ];
    let bundle = site.bundle(2, &spec, &files);
    let brought = site.run(
        2,
        croft_proto::deploy::LifecycleEvent::DownloadBundle,
        &bundle,
    );
    assert_eq!(brought.unwrap().error_code, Success);
    // The last file of the plan cannot be read when its turn comes.
    let last = site.group().join(format!(
        "{}/deployment-archive/z-last",
        crate::testing::id(2)
    ));
    let spoil = || drop(std::fs::remove_file(&last));
    let command = site.command(2, croft_proto::deploy::LifecycleEvent::Install);
    let over = std::sync::atomic::AtomicBool::new(false);
    let ended = site
        .host
        .run_watched(&command, &bundle, &site.heard, &over, &spoil)
        .unwrap();
    assert_eq!(ended.error_code, UnknownError);
    assert!(
        ended.message.contains("files were put back as they were"),
        "{}",
        ended.message
    );
    assert!(ended.message.contains("z-last"), "{}", ended.message);
    assert_eq!(site.tree(), before);
    assert!(!site.group().join("install.json").exists());
}
