//! What a build sees and may do.

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use croft_runner::protocol::Run;

use super::bench::{self, Build, Variant};
use crate::runtime::container::{Limits, Options};
use crate::runtime::{Ended, Slot, Source};

/// Runs a script in the primary source; how it ended. Its output stays in the pipe.
pub(super) async fn run(slot: &mut Slot, script: &str) -> std::io::Result<Ended> {
    let run = Run {
        script: script.as_bytes().to_vec(),
        shell: b"sh".to_vec(),
        user: None,
        directory: b"/codebuild/output/src1/src".to_vec(),
        environment: slot.environment.clone(),
        confine: slot.confine,
    };
    slot.link.run(run).await?;
    let (ended, _signals) = slot.link.split();
    ended.await
}

/// Runs a script, ends the place, and gives all that was printed.
pub(super) async fn printed(mut slot: Slot, script: &str) -> (i32, String) {
    let ended = run(&mut slot, script).await.unwrap();
    let Ended::Exited { status, .. } = ended else {
        panic!("{ended:?}")
    };
    let mut output = slot.output.try_clone().unwrap();
    slot.release().await.unwrap();
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    (status, text)
}

#[tokio::test]
async fn commands_run_as_root_in_the_images_environment_whatever_its_user_and_entrypoint() {
    if !bench::engine(
        "commands_run_as_root_in_the_images_environment_whatever_its_user_and_entrypoint",
    ) {
        return;
    }
    let image = Variant::new(&[
        "ENV MINE=theirs",
        "ENV HOME=/tmp",
        "USER builder",
        "WORKDIR /home",
        r#"ENTRYPOINT ["false"]"#,
    ]);
    let build = Build::new();
    let container = bench::container(Options {
        image: image.name.clone(),
        ..bench::options()
    });
    let slot = build.provision(&container).await.unwrap();
    assert_eq!(slot.image, image.name);
    let (status, text) = printed(
        slot,
        "id -u; echo $MINE $HOME; mount -t tmpfs x /mnt 2>/dev/null || echo fenced",
    )
    .await;
    assert_eq!((status, text.as_str()), (0, "0\ntheirs /tmp\nfenced\n"));
    build.assert_nothing_left();
}

#[tokio::test]
async fn an_entrypoint_that_is_kept_runs_before_the_first_command() {
    if !bench::engine("an_entrypoint_that_is_kept_runs_before_the_first_command") {
        return;
    }
    // As the entrypoints of AWS's images end.
    let image = Variant::new(&[
        r#"ENTRYPOINT ["sh", "-c", "echo ready > /tmp/engine; eval \"$0\" \"$@\"; exit"]"#,
    ]);
    let build = Build::new();
    let (engine, id, started) = bench::start_by_entrypoint(&build, &image.name).await;
    let mut started = started.unwrap();
    let run = Run {
        script: b"cat /tmp/engine; grep -q ' /var/lib/docker ' /proc/mounts && echo on a volume"
            .to_vec(),
        shell: b"sh".to_vec(),
        user: None,
        directory: b"/".to_vec(),
        environment: started.environment,
        confine: false,
    };
    started.link.run(run).await.unwrap();
    let (ended, _signals) = started.link.split();
    assert!(matches!(
        ended.await.unwrap(),
        Ended::Exited { status: 0, .. }
    ));
    drop(started.link);
    // The runner left, and so did the entrypoint that waited for it.
    assert_eq!(bench::docker(&["wait", &id]), "0");
    assert_eq!(
        std::io::read_to_string(started.output).unwrap(),
        "ready\non a volume\n"
    );
    engine.remove(&id).await.unwrap();
    build.assert_nothing_left();
}

#[tokio::test]
async fn a_privileged_container_may_mount_or_the_engine_that_makes_none_is_named() {
    let test = "a_privileged_container_may_mount_or_the_engine_that_makes_none_is_named";
    if !bench::engine(test) {
        return;
    }
    let build = Build::new();
    let container = bench::container(Options {
        privileged: true,
        ..bench::options()
    });
    if !bench::gives_privileges() {
        let refused = build.provision(&container).await.unwrap_err().to_string();
        let said = "this machine does not allow its engine everything";
        assert!(refused.contains(said), "{refused}");
        build.assert_nothing_left();
        return;
    }
    let slot = build.provision(&container).await.unwrap();
    let script = "mkdir /tmp/m; mount -t tmpfs x /tmp/m && echo mounted";
    assert_eq!(printed(slot, script).await, (0, "mounted\n".to_string()));
    build.assert_nothing_left();
}

#[tokio::test]
async fn sources_in_place_are_changed_and_others_are_not() {
    if !bench::engine("sources_in_place_are_changed_and_others_are_not") {
        return;
    }
    let mut build = Build::new();
    let (second, extra) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(extra.path().join("given"), "given\n").unwrap();
    build.request.sources.push(Source {
        directory: second.path().to_path_buf(),
        inside: PathBuf::from("/codebuild/output/src2/src"),
        in_place: true,
    });
    build.request.extra.push((
        extra.path().to_path_buf(),
        PathBuf::from("/codebuild/given"),
    ));
    let slot = build
        .provision(&bench::container(bench::options()))
        .await
        .unwrap();
    let script = "echo new > file; echo new > /codebuild/output/src2/src/made; cat /codebuild/given/given; \
                  echo x 2>/dev/null > /codebuild/given/given || echo read-only";
    assert_eq!(
        printed(slot, script).await,
        (0, "given\nread-only\n".to_string())
    );
    assert_eq!(
        fs::read_to_string(second.path().join("made")).unwrap(),
        "new\n"
    );
    assert_eq!(
        fs::read_to_string(build.source.path().join("file")).unwrap(),
        "original\n"
    );
    assert_eq!(
        fs::read_to_string(extra.path().join("given")).unwrap(),
        "given\n"
    );
    build.assert_nothing_left();
}

#[tokio::test]
async fn every_byte_of_output_arrives_in_order_however_it_is_opened() {
    if !bench::engine("every_byte_of_output_arrives_in_order_however_it_is_opened") {
        return;
    }
    let build = Build::new();
    let mut slot = build
        .provision(&bench::container(bench::options()))
        .await
        .unwrap();
    let mut output = slot.output.try_clone().unwrap();
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        output.read_to_end(&mut bytes).unwrap();
        bytes
    });
    run(
        &mut slot,
        "seq 1 500000; echo anew > /dev/stdout; echo err > /dev/stderr",
    )
    .await
    .unwrap();
    slot.release().await.unwrap();
    let mut expected: String = (1..=500_000).map(|number| format!("{number}\n")).collect();
    expected.push_str("anew\nerr\n");
    assert!(read.await.unwrap() == expected.as_bytes());
}

#[tokio::test]
async fn a_container_killed_from_outside_is_an_error_of_the_link() {
    if !bench::engine("a_container_killed_from_outside_is_an_error_of_the_link") {
        return;
    }
    let build = Build::new();
    let mut slot = build
        .provision(&bench::container(bench::options()))
        .await
        .unwrap();
    let id = build.containers().remove(0);
    let mut output = slot.output.try_clone().unwrap();
    let killed = tokio::task::spawn_blocking(move || {
        let mut word = [0; 8];
        output.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"running\n");
        bench::docker(&["kill", &id])
    });
    let error = run(&mut slot, "echo running; sleep 600").await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    killed.await.unwrap();
    slot.release().await.unwrap();
    build.assert_nothing_left();
}

#[tokio::test]
async fn a_command_beyond_the_memory_limit_is_killed_and_the_build_goes_on() {
    if !bench::engine("a_command_beyond_the_memory_limit_is_killed_and_the_build_goes_on") {
        return;
    }
    let build = Build::new();
    let limits = Limits {
        memory_bytes: Some(64 << 20),
        cpu_millis: Some(1500),
        ..Limits::default()
    };
    let mut slot = build
        .provision(&bench::container(Options {
            limits,
            ..bench::options()
        }))
        .await
        .unwrap();
    let ended = run(
        &mut slot,
        "exec dd if=/dev/zero of=/dev/null bs=200M count=1",
    )
    .await
    .unwrap();
    assert!(
        matches!(ended, Ended::Exited { status: 137, .. }),
        "{ended:?}"
    );
    assert_eq!(printed(slot, "echo still here").await.1, "still here\n");
    build.assert_nothing_left();
}

#[tokio::test]
async fn an_engine_that_does_not_see_our_mounts_gets_a_copy() {
    if !bench::engine("an_engine_that_does_not_see_our_mounts_gets_a_copy") {
        return;
    }
    // A thread in a mount namespace of its own, as under a service manager that gives private folders.
    let apart = std::thread::Builder::new().name("apart".to_string()).spawn(|| {
        #[expect(deprecated, reason = "its unsafe successor guards against shared descriptor tables, which is not asked for")]
        rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNS).unwrap();
        let private = rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let build = Build::new();
            let slot = build.provision(&bench::container(bench::options())).await.unwrap();
            assert_eq!(build.reported(), "the container engine does not see what is mounted here");
            assert_eq!(printed(slot, "cat file; echo new > file").await, (0, "original\n".to_string()));
            assert_eq!(fs::read_to_string(build.source.path().join("file")).unwrap(), "original\n");
            build.assert_nothing_left();
        });
    });
    apart.unwrap().join().unwrap();
}
