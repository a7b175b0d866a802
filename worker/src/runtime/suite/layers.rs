//! What holds for layers mounted late, in every runtime.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Bench, INSIDE};
use crate::runtime::{Cover, Layered, Runtime};

/// Files as a cache has them on this machine: what a former build of that user left in its source and in its home.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn of_user(uid: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("source/target/kept", "kept\n"),
            ("source/target/deep/down", "down\n"),
            ("source/folder/private", "cached\n"),
            ("root/root/.m2/jar", "jar\n"),
        ] {
            let file = folder.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, text).unwrap();
            let file = fs::File::options().write(true).open(&file).unwrap();
            file.set_modified(long_ago()).unwrap();
        }
        let all = [
            "source/target",
            "source/target/deep",
            "source/target/deep/down",
            "source/target/kept",
            "source/folder/private",
            "root/root/.m2",
            "root/root/.m2/jar",
        ];
        for path in all {
            std::os::unix::fs::chown(folder.path().join(path), Some(uid), Some(uid)).unwrap();
        }
        Self { folder }
    }

    fn source(&self) -> Cover {
        Cover {
            target: INSIDE.into(),
            files: self.folder.path().join("source"),
            ways: vec!["folder".into()],
        }
    }

    fn home(&self) -> Cover {
        Cover {
            target: "/root".into(),
            files: self.folder.path().join("root/root"),
            ways: Vec::new(),
        }
    }

    /// Every name with its contents and time.
    fn listing(&self) -> Vec<(PathBuf, String, SystemTime)> {
        let mut found = Vec::new();
        let mut waiting = vec![self.folder.path().to_path_buf()];
        while let Some(folder) = waiting.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let modified = entry.metadata().unwrap().modified().unwrap();
                if entry.file_type().unwrap().is_dir() {
                    waiting.push(entry.path());
                    found.push((entry.path(), String::new(), modified));
                } else {
                    let text = fs::read_to_string(entry.path()).unwrap();
                    found.push((entry.path(), text, modified));
                }
            }
        }
        found.sort();
        found
    }
}

fn long_ago() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789)
}

async fn layer(bench: &Bench, covers: &[Cover]) -> Vec<Layered> {
    bench.slot.layer(covers).await.unwrap()
}

/// The device of what a build sees at a path, as `/proc/self/mountinfo` writes it.
fn device(bench: &Bench, path: &str) -> String {
    let found = bench.slot.root.metadata(Path::new(path)).unwrap();
    let device = found.identity.0;
    format!(
        " {}:{} ",
        rustix::fs::major(device),
        rustix::fs::minor(device)
    )
}

fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap()
}

pub(crate) async fn a_layers_files_are_seen_and_changes_stay_out_of_them(runtime: &dyn Runtime) {
    let mut bench = Bench::new(runtime).await;
    let files = Files::of_user(0);
    let before = files.listing();
    // What was there before stays below.
    bench.sh("echo early > early").await;
    let layered = layer(&bench, &[files.source()]).await;
    let script =
        "cat target/kept target/deep/down folder/private file early; stat -c %y target/kept";
    let (status, printed) = bench.sh(script).await;
    assert_eq!(status, 0, "{printed}");
    assert!(
        printed.starts_with("kept\ndown\ncached\noriginal\nearly\n2001-09-09 "),
        "{printed}"
    );
    assert!(printed.contains(":46:40.123456789 "), "{printed}");
    let script =
        "echo more >> target/kept; rm target/deep/down; echo new > target/new; echo x > file";
    assert_eq!(bench.sh(script).await.0, 0);
    let upper = &layered[0].upper;
    assert_eq!(
        fs::read_to_string(upper.join("target/kept")).unwrap(),
        "kept\nmore\n"
    );
    assert_eq!(
        fs::symlink_metadata(upper.join("target/deep/down"))
            .unwrap()
            .rdev(),
        0
    );
    assert!(upper.join("target/new").exists() && upper.join("file").exists());
    let below = layered[0].below();
    assert_eq!(fs::read_to_string(below.join("early")).unwrap(), "early\n");
    assert!(!below.join("target").exists());
    drop(layered);
    bench.release().await;
    assert_eq!(files.listing(), before);
}

pub(crate) async fn a_layers_directories_can_be_removed_renamed_and_made_again(
    runtime: &dyn Runtime,
) {
    let mut bench = Bench::new(runtime).await;
    let files = Files::of_user(0);
    let before = files.listing();
    let layered = layer(&bench, &[files.source(), files.home()]).await;
    let script = "rm -rf target /root/.m2 && mkdir target /root/.m2 && ls -A target /root/.m2 && \
                  echo again > target/kept && mv target other && mv other target && \
                  mkdir /root/fresh && mv /root/fresh /root/.m2/fresh && cat target/kept";
    let (status, printed) = bench.sh(script).await;
    assert_eq!(
        (status, printed.as_str()),
        (0, "/root/.m2:\n\ntarget:\nagain\n")
    );
    assert!(layered[1].upper.join(".m2/fresh").is_dir());
    drop(layered);
    bench.release().await;
    assert_eq!(files.listing(), before);
}

pub(crate) async fn what_is_mounted_below_a_layer_stays_there(runtime: &dyn Runtime) {
    let mut bench = Bench::new(runtime).await;
    let files = Files::of_user(0);
    let list =
        "awk '$5 ~ \"^/root/\" {print $5}' /proc/self/mountinfo | sort -u; ls -A /root | sort";
    let (_, before) = bench.sh(list).await;
    let layered = layer(&bench, &[files.home()]).await;
    let (_, after) = bench.sh(list).await;
    assert_eq!(after.replace(".m2\n", ""), before);
    assert_eq!(
        bench.sh("cat /root/.m2/jar").await,
        (0, "jar\n".to_string())
    );
    drop(layered);
    bench.release().await;
}

pub(crate) async fn a_layer_is_the_places_alone_and_goes_with_it(runtime: &dyn Runtime) {
    let bench = Bench::new(runtime).await;
    let files = Files::of_user(0);
    let layered = layer(&bench, &[files.source(), files.home()]).await;
    let devices = [device(&bench, INSIDE), device(&bench, "/root")];
    for device in &devices {
        assert!(!mounts().contains(device), "{device}");
    }
    let place = bench.slot.place.clone();
    drop(layered);
    bench.release().await;
    for device in &devices {
        assert!(!mounts().contains(device), "{device}");
    }
    // A place that is gone, whoever has its first process's number now.
    let nowhere = croft_beneath::Root::open(Path::new("/")).unwrap();
    let refused = place.layer(&nowhere, &[]).await;
    assert!(refused.is_err());
}

pub(crate) async fn an_ordinary_users_layer_is_the_builds_own(runtime: &dyn Runtime) {
    let mut bench = Bench::of_user(runtime, 4242).await;
    let files = Files::of_user(4242);
    let layered = layer(&bench, &[files.source()]).await;
    let script = "cat folder/private && echo more >> target/kept && rm -r target/deep && \
                  touch folder/new beside && mkdir target/new && stat -c %a folder";
    let (status, printed) = bench.sh(script).await;
    assert_eq!(status, 0, "{printed}");
    assert!(printed.starts_with("cached\n7"), "{printed}");
    drop(layered);
    bench.release().await;
}

pub(crate) async fn all_directories_are_covered_or_none(runtime: &dyn Runtime) {
    let mut bench = Bench::new(runtime).await;
    let files = Files::of_user(0);
    bench
        .sh("ln -s folder link; mkdir -p /tmp/there; ln -s there /tmp/link")
        .await;
    let at = |target: &str| Cover {
        target: target.into(),
        ..files.home()
    };
    for (target, expected) in [
        ("/", false),
        ("/codebuild/other", false),
        ("/usr", false),
        ("/tmp/link", true),
    ] {
        let refused = bench.slot.layer(&[files.source(), at(target)]).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.expected, expected, "{target}: {refused}");
        let (status, _) = bench.sh("test -e target").await;
        assert_eq!(status, 1, "{target}");
    }
    bench.release().await;
}

/// A mount of the place's that is in the way of a layer: below the directory covered, where the files have something of
/// another kind. Where there is none, there is nothing to test.
async fn in_the_way(bench: &mut Bench) -> Option<(&'static str, PathBuf, bool)> {
    let (_, printed) = bench.sh("awk '{print $5}' /proc/self/mountinfo").await;
    let below = |folder: &str| {
        let mut places = printed
            .lines()
            .filter_map(|place| place.strip_prefix(folder));
        places.next().map(PathBuf::from)
    };
    below("/root/")
        .map(|name| ("/root", name, false))
        .or_else(|| below("/etc/").map(|name| ("/etc", name, true)))
}

pub(crate) async fn what_was_covered_before_a_failure_is_uncovered_again(runtime: &dyn Runtime) {
    let mut bench = Bench::new(runtime).await;
    let Some((target, name, as_directory)) = in_the_way(&mut bench).await else {
        return bench.release().await;
    };
    let files = Files::of_user(0);
    let home = files.folder.path().join("root/root");
    if as_directory {
        fs::create_dir_all(home.join(&name)).unwrap();
    } else {
        // The first part of its name is a file, so that the mount has no place to go.
        let first = name.components().next().unwrap();
        fs::write(home.join(first), "a file").unwrap();
    }
    let cover = Cover {
        target: target.into(),
        ..files.home()
    };
    let refused = bench.slot.layer(&[files.source(), cover]).await;
    let refused = refused.unwrap_err();
    assert!(refused.expected, "{refused}");
    let script = format!("test -e target || test -e {target}/.m2 || echo as before");
    assert_eq!(bench.sh(&script).await.1, "as before\n", "{refused}");
    // And it can be tried again.
    drop(layer(&bench, &[files.source()]).await);
    assert_eq!(bench.sh("cat target/kept").await.1, "kept\n");
    bench.release().await;
}
