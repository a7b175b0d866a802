//! What is left behind, and what is not.

use super::bench::{self, Build, Variant};
use crate::runtime::container::{Container, Options, sweep};
use crate::runtime::install_runner;

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
    let runner = install_runner(home.path()).unwrap();
    let own = Container::new(
        runner,
        home.path().to_path_buf(),
        bench::plain_docker(),
        bench::options(),
    );
    // Dropped, not released: the socket closes, as it does when the process dies.
    drop(build.provision(&own).await.unwrap());
    let other_slot = other
        .provision(&bench::container(bench::options()))
        .await
        .unwrap();
    let docker = bench::plain_docker();
    let alive = sweep(&docker, home.path(), |id| id == build.request.build_id)
        .await
        .unwrap();
    assert_eq!((alive.builds.len(), build.containers().len()), (0, 1));
    let swept = sweep(&docker, home.path(), |_| false).await.unwrap();
    assert_eq!(swept.builds, std::slice::from_ref(&build.request.build_id));
    assert_eq!(build.containers(), Vec::<String>::new());
    assert_eq!(other.containers().len(), 1);
    other_slot.release().await.unwrap();
    other.assert_nothing_left();
    let layers = build.directory.path().join("source-0");
    croft_runner::overlay::unmount(&layers, &layers.join("merged")).unwrap();
}

#[tokio::test]
async fn a_container_whose_worker_is_gone_ends_by_itself() {
    if !bench::engine("a_container_whose_worker_is_gone_ends_by_itself") {
        return;
    }
    let build = Build::new();
    let slot = build
        .provision(&bench::container(bench::options()))
        .await
        .unwrap();
    let id = build.containers().remove(0);
    drop((slot.link, slot.output, slot.root));
    assert_eq!(bench::docker(&["wait", &id]), "0");
    slot.hold.release().await.unwrap();
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
