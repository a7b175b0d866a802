//! To whom warm containers are handed, and what is left of them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::super::bench::{self, Build, Variant};
use super::super::running::{printed, run};
use super::pool::{Pool, until};
use crate::runtime::Source;
use crate::runtime::container::{Limits, Options};

#[tokio::test]
async fn one_serves_one_build_and_the_next_gets_another() {
    if !bench::engine("one_serves_one_build_and_the_next_gets_another") {
        return;
    }
    let options = bench::options();
    let pool = Pool::with_ready(&options, 1).await;
    let mut names = Vec::new();
    for _ in 0..2 {
        pool.until(|counts| counts.ready == 1).await;
        let build = Build::new();
        let slot = pool.provision(&build, &options).await;
        let script = "hostname; test -e /trace && echo used; touch /trace";
        let (status, name) = printed(slot, script).await;
        assert!(status == 0 && !name.contains("used"), "{name}");
        names.push(name);
        build.assert_nothing_left();
    }
    assert_ne!(names[0], names[1]);
    let counts = pool.close().await;
    assert_eq!((counts.warm_hits, counts.cold_starts), (2, 0));
    assert_eq!((counts.died, counts.not_removed), (0, 0));
}

#[tokio::test]
async fn a_tag_that_moved_is_not_served_by_what_it_meant_before() {
    if !bench::engine("a_tag_that_moved_is_not_served_by_what_it_meant_before") {
        return;
    }
    let (old, new) = (
        Variant::new(&["ENV WHICH=old"]),
        Variant::new(&["ENV WHICH=new"]),
    );
    let tag = Variant::tag_of(&old);
    let options = Options {
        image: tag.name.clone(),
        ..bench::options()
    };
    let pool = Pool::with_ready(&options, 1).await;
    bench::docker(&["tag", &new.name, &tag.name]);
    let build = Build::new();
    let slot = pool.provision(&build, &options).await;
    assert_eq!(printed(slot, "echo $WHICH").await, (0, "new\n".to_string()));
    let counts = pool
        .until(|counts| counts.ready == 1 && counts.unused == 1)
        .await;
    assert_eq!((counts.warm_hits, counts.cold_starts), (0, 1));
    let slot = pool.provision(&build, &options).await;
    assert_eq!(printed(slot, "echo $WHICH").await, (0, "new\n".to_string()));
    assert_eq!(pool.close().await.warm_hits, 1);
}

#[tokio::test]
async fn another_kind_of_container_is_not_served_by_one_that_stands() {
    if !bench::engine("another_kind_of_container_is_not_served_by_one_that_stands") {
        return;
    }
    let pool = Pool::with_ready(&bench::options(), 1).await;
    let limits = Limits {
        memory_bytes: Some(64 << 20),
        ..Limits::default()
    };
    let (build, small) = (Build::new(), bench::options());
    let small = Options { limits, ..small };
    let mut slot = pool.provision(&build, &small).await;
    assert_eq!(pool.warm.counts().warm_hits, 0);
    let killed = run(
        &mut slot,
        "exec dd if=/dev/zero of=/dev/null bs=200M count=1",
    );
    let killed = format!("{:?}", killed.await.unwrap());
    assert!(killed.contains("137"), "{killed}");
    slot.release().await.unwrap();
    pool.close().await;
}

#[tokio::test]
async fn sources_and_folders_are_as_in_a_cold_one() {
    if !bench::engine("sources_and_folders_are_as_in_a_cold_one") {
        return;
    }
    let options = bench::options();
    let (mut build, pool) = (Build::new(), Pool::with_ready(&options, 1).await);
    let (second, extra) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(extra.path().join("given"), "given\n").unwrap();
    build.request.sources.push(Source {
        directory: second.path().to_path_buf(),
        inside: PathBuf::from("/codebuild/output/src2/src"),
        in_place: true,
    });
    let inside = PathBuf::from("/codebuild/given");
    build
        .request
        .extra
        .push((extra.path().to_path_buf(), inside));
    let slot = pool.provision(&build, &options).await;
    let script = "echo new > file; echo new > /codebuild/output/src2/src/made; cat /codebuild/given/given; \
                  echo x 2>/dev/null > /codebuild/given/given || echo read-only";
    let expected = (0, "given\nread-only\n".to_string());
    assert_eq!(printed(slot, script).await, expected);
    let read = |folder: &tempfile::TempDir, name| fs::read_to_string(folder.path().join(name));
    assert_eq!(read(&second, "made").unwrap(), "new\n");
    assert_eq!(read(&build.source, "file").unwrap(), "original\n");
    assert_eq!(read(&extra, "given").unwrap(), "given\n");
    assert_eq!(pool.close().await.warm_hits, 1);
}

#[tokio::test]
async fn what_cannot_be_mounted_late_starts_cold_and_is_said_once() {
    if !bench::engine("what_cannot_be_mounted_late_starts_cold_and_is_said_once") {
        return;
    }
    let options = bench::options();
    let pool = Pool::with_ready(&options, 1).await;
    let extra = tempfile::tempdir().unwrap();
    fs::write(extra.path().join("given"), "given\n").unwrap();
    for said in [true, false] {
        pool.until(|counts| counts.ready == 1).await;
        let mut build = Build::new();
        // Inside the source: an engine knows how to sort that out.
        let inside = PathBuf::from("/codebuild/output/src1/src/folder");
        build
            .request
            .extra
            .push((extra.path().to_path_buf(), inside));
        let slot = pool.provision(&build, &options).await;
        let script = "cat file folder/given; echo new > file";
        let expected = (0, "original\ngiven\n".to_string());
        assert_eq!(printed(slot, script).await, expected);
        assert_eq!(build.reported().contains("starting a new container"), said);
        build.assert_nothing_left();
    }
    let counts = pool.close().await;
    assert_eq!((counts.not_furnished, counts.cold_starts), (2, 2));
}

#[tokio::test]
async fn one_that_died_is_noticed_when_it_is_handed_over() {
    if !bench::engine("one_that_died_is_noticed_when_it_is_handed_over") {
        return;
    }
    let options = bench::options();
    let pool = Pool::with_ready(&options, 2).await;
    let victim = pool.containers().remove(0);
    bench::docker(&["kill", &victim]);
    until("the end of the one that was killed", || {
        (!pool.containers().contains(&victim)).then_some(())
    })
    .await;
    for _ in 0..2 {
        let build = Build::new();
        let slot = pool.provision(&build, &options).await;
        assert_eq!(
            printed(slot, "cat file").await,
            (0, "original\n".to_string())
        );
    }
    let counts = pool.close().await;
    assert_eq!((counts.died, counts.not_removed), (1, 0));
    assert!(counts.warm_hits >= 1);
}

#[tokio::test]
async fn release_returns_when_every_process_has_ended() {
    if !bench::engine("release_returns_when_every_process_has_ended") {
        return;
    }
    let options = bench::options();
    let pool = Pool::with_ready(&options, 1).await;
    let build = Build::new();
    let mut slot = pool.provision(&build, &options).await;
    let script = "trap '' TERM HUP; (setsid sleep 3600 &) ; sleep 3600 & sleep 3600 & setsid sh -c 'trap \"\" TERM; sleep 3600' &";
    run(&mut slot, script).await.unwrap();
    let process = format!("/proc/{}/ns/pid", slot.place.process());
    let namespace = fs::metadata(process).unwrap().ino();
    until("five processes", || (members(namespace) >= 5).then_some(())).await;
    slot.release().await.unwrap();
    assert_eq!(members(namespace), 0);
    pool.close().await;
}

/// How many processes of this machine are in that process namespace and have not ended. One that has is there until the engine
/// takes note of it.
fn members(namespace: u64) -> usize {
    let entries = fs::read_dir("/proc").unwrap().map(Result::unwrap);
    let is_member = |process: &fs::DirEntry| {
        let found = fs::metadata(process.path().join("ns/pid"));
        found.is_ok_and(|found| found.ino() == namespace)
    };
    let runs = |process: &fs::DirEntry| {
        let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ")
            .is_some_and(|(_, state)| !state.starts_with('Z'))
    };
    entries
        .filter(|process| is_member(process) && runs(process))
        .count()
}

#[tokio::test]
async fn a_frozen_one_is_killed_at_release_and_a_forgotten_one_is_removed() {
    if !bench::engine("a_frozen_one_is_killed_at_release_and_a_forgotten_one_is_removed") {
        return;
    }
    let options = bench::options();
    let pool = Pool::with_ready(&options, 1).await;
    let (frozen, forgotten) = (Build::new(), Build::new());
    let ids = pool.containers();
    let slot = pool.provision(&frozen, &options).await;
    bench::docker(&["pause", &ids[0]]);
    slot.release().await.unwrap();
    assert!(!pool.containers().contains(&ids[0]));
    pool.until(|counts| counts.ready == 1).await;
    let ids = pool.containers();
    drop(pool.provision(&forgotten, &options).await);
    until("the end of the forgotten one", || {
        (!pool.containers().contains(&ids[0])).then_some(())
    })
    .await;
    assert_eq!(pool.close().await.warm_hits, 2);
}
