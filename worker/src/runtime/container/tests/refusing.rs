//! Places that are refused or fail to come up: said clearly, with nothing left behind.

use std::ffi::OsString;
use std::path::Path;

use super::bench::{self, Build, Variant};
use crate::runtime::Error;
use crate::runtime::container::{Docker, Limits, Options, sweep};

async fn refusal(options: Options) -> Error {
    let build = Build::new();
    let refused = build
        .provision(&bench::container(options))
        .await
        .unwrap_err();
    build.assert_nothing_left();
    refused
}

#[tokio::test]
async fn without_an_engine_the_error_says_what_to_do_and_sweeping_is_no_error() {
    if !rustix::process::geteuid().is_root() {
        let test = "without_an_engine_the_error_says_what_to_do_and_sweeping_is_no_error";
        crate::skip::skip(test, "not root");
        return;
    }
    let host = |name: &str| {
        (name == "DOCKER_HOST").then(|| OsString::from("unix:///nonexistent/docker.sock"))
    };
    let docker = Docker::new(Path::new("/nonexistent"), host);
    let build = Build::new();
    let refused = build
        .provision(&bench::container_of(bench::options(), docker.clone()))
        .await
        .unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, Error::Infrastructure { .. }));
    assert!(
        text.contains("/nonexistent/docker.sock") && text.contains("apt-get install docker.io"),
        "{text}"
    );
    assert_eq!(build.mounts(), 0);
    let swept = sweep(&docker, &bench::home(), |_| false).await.unwrap();
    assert!(swept.builds.is_empty() && !swept.answered);
}

#[tokio::test]
async fn limits_and_networks_that_cannot_be_are_the_users_to_mend() {
    if !bench::engine("limits_and_networks_that_cannot_be_are_the_users_to_mend") {
        return;
    }
    let limits = Limits {
        cpu_millis: Some(10_000_000),
        ..Limits::default()
    };
    for options in [
        Options {
            limits,
            ..bench::options()
        },
        Options {
            network: Some("croft-no-such-network".to_string()),
            ..bench::options()
        },
    ] {
        let refused = refusal(options).await;
        assert!(
            matches!(&refused, Error::User { message, .. } if message.contains("refuses")),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn an_entrypoint_that_does_not_start_its_command_is_quoted() {
    if !bench::engine("an_entrypoint_that_does_not_start_its_command_is_quoted") {
        return;
    }
    let image =
        Variant::new(&[r#"ENTRYPOINT ["sh", "-c", "echo cannot start the engine >&2; exit 7"]"#]);
    let build = Build::new();
    let (engine, id, started) = bench::start_by_entrypoint(&build, &image.name).await;
    engine.remove(&id).await.unwrap();
    let Err(Error::User { message, .. }) = started else {
        panic!("{started:?}")
    };
    assert!(
        message.contains("status 7 ") && message.contains("; it said: cannot start the engine; "),
        "{message}"
    );
    build.assert_nothing_left();
}
