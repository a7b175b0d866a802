use super::*;
use crate::artifact::select;
use croft_spec::Artifacts;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

fn build() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("d")).unwrap();
    std::fs::write(folder.path().join("d/tool"), "#!/bin/sh\n").unwrap();
    std::fs::write(folder.path().join("text"), "text ".repeat(1000)).unwrap();
    for (name, mode) in [("d/tool", 0o4755), ("text", 0o640)] {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.path().join(name), permissions).unwrap();
    }
    symlink("d/tool", folder.path().join("link")).unwrap();
    folder
}

fn selected(folder: &Path, packaging: Packaging) -> (Root, Selection) {
    let artifacts = Artifacts {
        files: vec!["**/*".to_owned()],
        enable_symlinks: true,
        ..Artifacts::default()
    };
    let root = Root::open(folder).unwrap();
    let selection = select(&artifacts, packaging, &root, Path::new("")).unwrap();
    (root, selection)
}

fn to(folder: &Path) -> Destination<'_> {
    Destination {
        folder,
        identifier: None,
        name: None,
    }
}

#[test]
fn files_keep_their_modes_and_times_but_no_set_user_bit() {
    let build = build();
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("new/folder");
    let (root, selection) = selected(build.path(), Packaging::None);
    let summary = store(&selection, &root, &to(&folder)).unwrap();
    assert_eq!((summary.files, summary.size_bytes), (3, 5020));
    assert_eq!(summary.location, folder.display().to_string());
    for (name, mode) in [("d/tool", 0o755), ("link", 0o755), ("text", 0o640)] {
        let stored = std::fs::symlink_metadata(folder.join(name)).unwrap();
        assert!(stored.is_file(), "{name}");
        assert_eq!(stored.mode() & 0o7777, mode, "{name}");
        let original = std::fs::metadata(build.path().join(name)).unwrap();
        assert_eq!(
            (stored.mtime(), stored.mtime_nsec()),
            (original.mtime(), original.mtime_nsec())
        );
    }
    assert_eq!(
        std::fs::read_dir(&folder).unwrap().count(),
        3,
        "no part file stays"
    );
}

#[test]
fn what_stands_in_the_way_is_replaced_and_never_written_through() {
    let build = build();
    let out = tempfile::tempdir().unwrap();
    std::fs::write(out.path().join("victim"), "precious").unwrap();
    let folder = out.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    symlink(out.path().join("victim"), folder.join("text")).unwrap();
    symlink(out.path(), folder.join("d")).unwrap();
    std::fs::write(folder.join("other"), "kept").unwrap();
    let (root, selection) = selected(build.path(), Packaging::None);
    // `d` leads out of the folder: resolved inside it, it leads nowhere.
    assert!(store(&selection, &root, &to(&folder)).is_err());
    assert!(!out.path().join("tool").exists());
    std::fs::remove_file(folder.join("d")).unwrap();
    store(&selection, &root, &to(&folder)).unwrap();
    assert_eq!(
        std::fs::read_to_string(out.path().join("victim")).unwrap(),
        "precious"
    );
    assert!(
        std::fs::symlink_metadata(folder.join("text"))
            .unwrap()
            .is_file()
    );
    assert_eq!(
        std::fs::read_to_string(folder.join("other")).unwrap(),
        "kept"
    );
}

#[test]
fn a_file_that_cannot_be_stored_leaves_no_part_of_it() {
    let build = build();
    let out = tempfile::tempdir().unwrap();
    std::fs::create_dir(out.path().join("text")).unwrap();
    let (root, selection) = selected(build.path(), Packaging::None);
    let error = store(&selection, &root, &to(out.path())).unwrap_err();
    assert!(matches!(error, StoreError::Copy { .. }), "{error}");
    let mut left: Vec<_> = std::fs::read_dir(out.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["d", "link", "text"]);
}

#[test]
fn the_same_files_make_the_same_zip() {
    let out = tempfile::tempdir().unwrap();
    let mut archives = Vec::new();
    for name in ["one", "two"] {
        let build = build();
        let (root, selection) = selected(build.path(), Packaging::Zip);
        let to = Destination {
            name: Some(name),
            ..to(out.path())
        };
        let summary = store(&selection, &root, &to).unwrap();
        assert_eq!(
            summary.location,
            out.path().join(format!("{name}.zip")).display().to_string()
        );
        assert_eq!((summary.files, summary.size_bytes), (3, 5010));
        archives.push(std::fs::read(summary.location).unwrap());
    }
    assert_eq!(archives[0], archives[1]);
}

#[test]
fn a_zip_keeps_modes_links_and_contents() {
    let build = build();
    let out = tempfile::tempdir().unwrap();
    let (root, selection) = selected(build.path(), Packaging::Zip);
    let summary = store(&selection, &root, &to(out.path())).unwrap();
    let mut archive = zip::ZipArchive::new(std::fs::File::open(summary.location).unwrap()).unwrap();
    let names: Vec<String> = archive.file_names().map(str::to_owned).collect();
    assert_eq!(names, ["d/tool", "link", "text"]);
    let mut content = String::new();
    for (name, mode, expected) in [
        ("d/tool", 0o100_755, "#!/bin/sh\n"),
        ("link", 0o120_777, "d/tool"),
        ("text", 0o100_640, "text "),
    ] {
        let mut entry = archive.by_name(name).unwrap();
        assert_eq!(entry.unix_mode(), Some(mode), "{name}");
        content.clear();
        entry.read_to_string(&mut content).unwrap();
        assert!(content.starts_with(expected), "{name}");
    }
}

#[test]
fn names_and_identifiers_decide_where_artifacts_go() {
    let build = build();
    for (packaging, identifier, name, expected) in [
        (Packaging::None, None, None, ""),
        (Packaging::None, None, Some("app/1"), "app/1"),
        (Packaging::None, None, Some("/"), ""),
        (Packaging::None, Some("docs"), None, "docs"),
        (Packaging::None, Some("docs"), Some("v1"), "docs/v1"),
        (Packaging::Zip, None, None, "artifacts.zip"),
        (Packaging::Zip, None, Some("/"), "artifacts.zip"),
        (Packaging::Zip, None, Some("a/b-1.2"), "a/b-1.2.zip"),
        (Packaging::Zip, None, Some("app.zip"), "app.zip"),
        (Packaging::Zip, Some("docs"), None, "docs/artifacts.zip"),
        (Packaging::Zip, Some("docs"), Some("v1"), "docs/v1.zip"),
    ] {
        let out = tempfile::tempdir().unwrap();
        let (root, selection) = selected(build.path(), packaging);
        let to = Destination {
            folder: out.path(),
            identifier,
            name,
        };
        let summary = store(&selection, &root, &to).unwrap();
        let expected = if expected.is_empty() {
            out.path().to_path_buf()
        } else {
            out.path().join(expected)
        };
        assert_eq!(summary.location, expected.display().to_string());
        assert!(expected.exists());
        assert_eq!(summary.artifact_identifier.as_deref(), identifier);
    }
}

#[test]
fn a_name_that_leads_out_is_refused_before_anything_is_written() {
    let build = build();
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("folder");
    let (root, selection) = selected(build.path(), Packaging::Zip);
    for (identifier, name) in [
        (None, Some("../x")),
        (None, Some("/etc/x")),
        (Some(".."), None),
    ] {
        let to = Destination {
            folder: &folder,
            identifier,
            name,
        };
        let error = store(&selection, &root, &to).unwrap_err();
        assert!(matches!(error, StoreError::Name { .. }), "{error}");
    }
    assert!(!folder.exists());
}

#[test]
fn a_file_of_the_kernel_is_not_stored() {
    let root = Root::open(Path::new("/")).unwrap();
    let artifacts = Artifacts {
        files: vec!["/proc/version".to_owned()],
        ..Artifacts::default()
    };
    let selection = select(&artifacts, Packaging::None, &root, Path::new("tmp")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let error = store(&selection, &root, &to(out.path())).unwrap_err();
    assert!(matches!(error, StoreError::Read { .. }), "{error}");
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
}
