//! What is left behind, and what is not.

use std::path::Path;

use super::super::engine::Engine;
use super::bench::{self, Build, Variant};
use crate::runtime::container::{Options, sweep};

#[tokio::test]
async fn a_released_place_leaves_no_container_mount_or_volume() {
    if !bench::engine("a_released_place_leaves_no_container_mount_or_volume") {
        return;
    }
    let (image, build) = (Variant::new(&["VOLUME /data"]), Build::new());
    let container = bench::container(Options {
        image: image.name.clone(),
        ..bench::options()
    });
    let slot = build.provision(&container).await.unwrap();
    let ids = build.containers();
    assert_eq!(ids.len(), 1);
    let labels = bench::docker(&["inspect", "--format", "{{json .Config.Labels}}", &ids[0]]);
    assert!(
        labels.contains(&format!("\"croft.pid\":\"{}\"", std::process::id())),
        "{labels}"
    );
    assert!(
        labels.contains(&format!("\"croft.home\":\"{}\"", bench::home().display())),
        "{labels}"
    );
    let volume = bench::docker(&[
        "inspect",
        "--format",
        "{{range .Mounts}}{{.Name}}{{end}}",
        &ids[0],
    ]);
    assert_eq!(
        bench::docker(&[
            "volume",
            "ls",
            "--quiet",
            "--filter",
            &format!("name={volume}")
        ]),
        volume
    );
    assert!(build.mounts() > 0);
    slot.release().await.unwrap();
    build.assert_nothing_left();
    assert_eq!(
        bench::docker(&[
            "volume",
            "ls",
            "--quiet",
            "--filter",
            &format!("name={volume}")
        ]),
        ""
    );
}

#[tokio::test]
async fn what_a_killed_croft_left_is_swept_by_the_next_of_the_same_home() {
    if !bench::engine("what_a_killed_croft_left_is_swept_by_the_next_of_the_same_home") {
        return;
    }
    let (build, other, home) = (Build::new(), Build::new(), tempfile::tempdir().unwrap());
    for (build, home) in [(&build, home.path()), (&other, &bench::home())] {
        // As it stands when the process dies between asking for the container and starting it.
        let labels = [
            format!("croft.build={}", build.request.build_id),
            format!("croft.home={}", home.display()),
        ];
        bench::docker(&[
            "create",
            "--label",
            &labels[0],
            "--label",
            &labels[1],
            bench::IMAGE,
        ]);
    }
    let docker = bench::plain_docker();
    let alive = sweep(&docker, home.path(), |id| id == build.request.build_id)
        .await
        .unwrap();
    assert!(alive.answered);
    assert_eq!((alive.builds.len(), build.containers().len()), (0, 1));
    let swept = sweep(&docker, home.path(), |_| false).await.unwrap();
    assert_eq!(swept.builds, std::slice::from_ref(&build.request.build_id));
    build.assert_nothing_left();
    bench::docker(&["rm", &other.containers().remove(0)]);
}

#[tokio::test]
async fn a_container_whose_worker_is_gone_goes_by_itself_with_its_volumes() {
    if !bench::engine("a_container_whose_worker_is_gone_goes_by_itself_with_its_volumes") {
        return;
    }
    let (image, build) = (Variant::new(&["VOLUME /data"]), Build::new());
    let container = bench::container(Options {
        image: image.name.clone(),
        ..bench::options()
    });
    let slot = build.provision(&container).await.unwrap();
    let id = build.containers().remove(0);
    let volume = bench::docker(&[
        "inspect",
        "--format",
        "{{range .Mounts}}{{.Name}}{{end}}",
        &id,
    ]);
    let engine = Engine::connect(Path::new("/var/run/docker.sock"))
        .await
        .unwrap();
    // Dropped, not released: the socket closes, as it does when the process dies.
    drop(slot);
    engine.leave(&id).await.unwrap();
    assert_eq!(build.containers(), Vec::<String>::new());
    assert_eq!(
        bench::docker(&[
            "volume",
            "ls",
            "--quiet",
            "--filter",
            &format!("name={volume}")
        ]),
        ""
    );
    let layers = build.directory.path().join("source-0");
    croft_runner::overlay::unmount(&layers, &layers.join("merged")).unwrap();
}

#[tokio::test]
async fn a_container_that_does_not_leave_is_killed() {
    if !bench::engine("a_container_that_does_not_leave_is_killed") {
        return;
    }
    let build = Build::new();
    let slot = build
        .provision(&bench::container(bench::options()))
        .await
        .unwrap();
    bench::docker(&["pause", &build.containers().remove(0)]);
    slot.release().await.unwrap();
    build.assert_nothing_left();
}

#[tokio::test]
async fn a_container_that_somebody_else_removed_is_no_error_at_release() {
    if !bench::engine("a_container_that_somebody_else_removed_is_no_error_at_release") {
        return;
    }
    let build = Build::new();
    let slot = build
        .provision(&bench::container(bench::options()))
        .await
        .unwrap();
    bench::docker(&["rm", "--force", "--volumes", &build.containers().remove(0)]);
    slot.release().await.unwrap();
    build.assert_nothing_left();
}
