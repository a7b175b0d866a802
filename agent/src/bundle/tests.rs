//! Revisions in every packing, and those that want out.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::{Bundle as _, BundleError, BundleKind, LocalBundle, Site};

fn bring(path: &Path) -> (tempfile::TempDir, Result<(), BundleError>) {
    let site = tempfile::tempdir().unwrap();
    let bundle = LocalBundle {
        path: path.to_path_buf(),
        kind: BundleKind::of(path).unwrap(),
    };
    let (into, notes) = (site.path().join("into"), site.path().join("notes"));
    let place = Site {
        into: &into,
        notes: &notes,
        earlier: &[],
    };
    let outcome = bundle.bring(&place, &AtomicBool::new(false));
    (site, outcome)
}

fn tar_of(folder: &Path, entries: &[(&str, &str)]) -> std::path::PathBuf {
    let path = folder.join("bundle.tar");
    let mut tar = tar::Builder::new(File::create(&path).unwrap());
    for (name, text) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o4755);
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, text.as_bytes()).unwrap();
    }
    tar.finish().unwrap();
    path
}

#[test]
fn the_only_folder_at_the_top_is_left_out_when_an_appspec_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    for (entries, expected) in [
        (
            vec![("app-1/AppSpec.yml", ""), ("app-1/app-1", "x")],
            "app-1",
        ),
        (vec![("app-1/other.yml", "")], "app-1/other.yml"),
        (
            vec![("appspec.yml", ""), ("app-1/appspec.yml", "")],
            "app-1/appspec.yml",
        ),
    ] {
        let (site, outcome) = bring(&tar_of(folder.path(), &entries));
        outcome.unwrap();
        assert!(
            site.path().join("into").join(expected).is_file(),
            "{expected}"
        );
        assert_eq!(std::fs::read_dir(site.path()).unwrap().count(), 1);
    }
}

#[test]
fn an_archive_that_wants_out_is_refused_by_the_entrys_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "/etc/croft-was-here",
        "../croft-was-here",
        "a/../../croft-was-here",
    ] {
        let (site, outcome) = bring(&tar_of(folder.path(), &[(name, "x")]));
        let error = crate::perform::chain(&outcome.unwrap_err());
        assert!(error.contains(name), "{error}");
        assert!(!site.path().join("croft-was-here").exists());
        let path = folder.path().join("bundle.zip");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        zip.start_file(name, zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(b"x").unwrap();
        zip.finish().unwrap();
        let (site, outcome) = bring(&path);
        assert!(outcome.is_err(), "{name}");
        assert!(!site.path().join("croft-was-here").exists());
    }
    assert!(!Path::new("/etc/croft-was-here").exists());
}

#[test]
fn a_folder_is_held_to_what_archives_are() {
    for (target, why) in [
        ("/etc/passwd", "leads out"),
        ("../x", "leads out"),
        ("a/../../x", "leads out"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        symlink(target, folder.path().join("link")).unwrap();
        let (_site, outcome) = bring(folder.path());
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("link") && error.contains(why), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let (_site, outcome) = bring(folder.path());
    let error = outcome.unwrap_err().to_string();
    assert!(
        error.contains("pipe") && error.contains("no file, folder or link"),
        "{error}"
    );
}

#[test]
fn modes_and_times_and_inner_links_come_along_from_a_folder() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("d")).unwrap();
    std::fs::write(folder.path().join("d/run"), "#!").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o750);
    std::fs::set_permissions(folder.path().join("d/run"), mode).unwrap();
    symlink("../d/run", folder.path().join("d/link")).unwrap();
    let (site, outcome) = bring(folder.path());
    outcome.unwrap();
    let came = site.path().join("into/d/run").metadata().unwrap();
    let was = folder.path().join("d/run").metadata().unwrap();
    assert_eq!(
        (came.mode(), came.mtime_nsec()),
        (was.mode(), was.mtime_nsec())
    );
    assert_eq!(
        std::fs::read(site.path().join("into/d/link")).unwrap(),
        b"#!"
    );
}
