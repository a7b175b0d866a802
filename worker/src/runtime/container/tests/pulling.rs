//! Images that are not here.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::bench::{self, Build, PASSWORD, Registry, USER};
use crate::SignIn;
use crate::runtime::Error;
use crate::runtime::container::{Options, Pull};

fn pulling(image: &str, pull: Pull) -> Options {
    Options {
        image: image.to_string(),
        pull,
        ..bench::options()
    }
}

async fn refusal(options: Options, folder: &std::path::Path) -> Error {
    let build = Build::new();
    let refused = build
        .provision(&bench::container_of(options, bench::docker_in(folder)))
        .await
        .unwrap_err();
    build.assert_nothing_left();
    refused
}

#[tokio::test]
async fn an_image_that_is_not_here_and_may_not_be_pulled_is_the_users_to_fetch() {
    if !bench::engine("an_image_that_is_not_here_and_may_not_be_pulled_is_the_users_to_fetch") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let refused = refusal(pulling("croft-test/nowhere:1", Pull::Never), folder.path()).await;
    let Error::User { code, message } = refused else {
        panic!("{refused}")
    };
    assert_eq!(code, "BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE");
    assert!(
        message.contains("`docker pull croft-test/nowhere:1`"),
        "{message}"
    );
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_nobodys_fault_here() {
    if !bench::engine("a_registry_that_does_not_answer_is_nobodys_fault_here") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let refused = refusal(
        pulling("127.0.0.1:1/nothing:1", Pull::Missing),
        folder.path(),
    )
    .await;
    assert!(
        matches!(&refused, Error::Registry { doing, .. } if doing.contains("does not answer")),
        "{refused}"
    );
}

#[tokio::test]
async fn a_private_image_is_pulled_with_the_users_login_and_only_with_it() {
    let test = "a_private_image_is_pulled_with_the_users_login_and_only_with_it";
    if !bench::engine(test) {
        return;
    }
    let Some(registry) = Registry::start(test) else {
        return;
    };
    let (image, folder) = (
        registry.publish("private/one:1"),
        tempfile::tempdir().unwrap(),
    );
    let refused = refusal(pulling(&image, Pull::Missing), folder.path()).await;
    assert!(
        matches!(&refused, Error::User { message, .. } if message.contains("docker login")),
        "{refused}"
    );
    fs::write(
        folder.path().join("config.json"),
        registry.login().replace(PASSWORD, "wrong"),
    )
    .unwrap();
    let refused = refusal(pulling(&image, Pull::Missing), folder.path()).await;
    assert!(
        matches!(&refused, Error::User { message, .. } if message.contains("still good")),
        "{refused}"
    );

    fs::write(folder.path().join("config.json"), registry.login()).unwrap();
    for pull in [Pull::Missing, Pull::Always, Pull::Never] {
        let build = Build::new();
        let container = bench::container_of(pulling(&image, pull), bench::docker_in(folder.path()));
        build
            .provision(&container)
            .await
            .unwrap()
            .release()
            .await
            .unwrap();
        let pulled = build.reported().contains(&format!("pulled {image}: "));
        assert_eq!(
            pulled,
            pull != Pull::Never,
            "{pull:?}: {}",
            build.reported()
        );
        build.assert_nothing_left();
    }
    let missing = format!("{}/private/one:9", registry.address);
    let refused = refusal(pulling(&missing, Pull::Always), folder.path()).await;
    assert!(
        matches!(&refused, Error::User { message, .. } if message.contains("the name and the tag")),
        "{refused}"
    );
    bench::docker(&["rmi", &image]);
}

#[tokio::test]
async fn a_credential_helper_is_asked_and_its_failure_is_told() {
    let test = "a_credential_helper_is_asked_and_its_failure_is_told";
    if !bench::engine(test) {
        return;
    }
    let Some(registry) = Registry::start(test) else {
        return;
    };
    let (image, folder) = (
        registry.publish("private/two:1"),
        tempfile::tempdir().unwrap(),
    );
    let config = format!(
        r#"{{"credHelpers": {{"{}": "croft-test"}}}}"#,
        registry.address
    );
    fs::write(folder.path().join("config.json"), config).unwrap();
    let helper = folder.path().join("docker-credential-croft-test");
    fs::write(&helper, "#!/bin/sh\necho locked\nexit 1\n").unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let build = Build::new();
    let container = bench::container_of(
        pulling(&image, Pull::Missing),
        bench::docker_in(folder.path()),
    );
    build.provision(&container).await.unwrap_err();
    assert!(
        build
            .reported()
            .contains("without credentials: docker-credential-croft-test failed: locked")
    );

    fs::write(
        &helper,
        format!(
            "#!/bin/sh\nread server\necho '{{\"Username\":\"{USER}\",\"Secret\":\"{PASSWORD}\"}}'\n"
        ),
    )
    .unwrap();
    build
        .provision(&container)
        .await
        .unwrap()
        .release()
        .await
        .unwrap();
    build.assert_nothing_left();
    bench::docker(&["rmi", &image]);
}

#[tokio::test]
async fn a_private_image_is_pulled_as_whom_the_build_says_and_not_as_the_machines_user() {
    let test = "a_private_image_is_pulled_as_whom_the_build_says_and_not_as_the_machines_user";
    if !bench::engine(test) {
        return;
    }
    let Some(registry) = Registry::start(test) else {
        return;
    };
    let (image, folder) = (
        registry.publish("private/three:1"),
        tempfile::tempdir().unwrap(),
    );
    let as_whom = |password: &str| Options {
        login: Some(SignIn {
            user: USER.into(),
            password: password.into(),
        }),
        ..pulling(&image, Pull::Missing)
    };
    // The machine's own login would let in, and is not asked.
    fs::write(folder.path().join("config.json"), registry.login()).unwrap();
    let refused = refusal(as_whom("wrong"), folder.path()).await;
    assert!(
        matches!(&refused, Error::User { message, .. } if message.contains("registryCredential")),
        "{refused}"
    );
    fs::remove_file(folder.path().join("config.json")).unwrap();
    let build = Build::new();
    let container = bench::container_of(as_whom(PASSWORD), bench::docker_in(folder.path()));
    let slot = build.provision(&container).await.unwrap();
    slot.release().await.unwrap();
    let reported = build.reported();
    assert!(
        reported.contains(&format!("pulled {image}: ")) && !reported.contains(PASSWORD),
        "{reported}"
    );
    build.assert_nothing_left();
    bench::docker(&["rmi", &image]);
}
