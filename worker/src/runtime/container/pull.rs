//! Fetching an image from its registry, with the user's login and with progress; when it fails, whose fault that is.
//! Receives a [`Reference`]; afterwards the engine has the image.

use std::io;
use std::time::Instant;

use bollard::query_parameters::CreateImageOptions;
use futures_util::StreamExt;

use super::super::{Error, Progress, Report, UNABLE_TO_PULL};
use super::credentials;
use super::docker::Docker;
use super::engine::{self, Engine};
use super::pull_progress::PullProgress;
use super::reference::Reference;
use crate::request::SignIn;

/// Registries refuse in these words, whether the image exists or not.
const DENIED: [&str; 5] = [
    "denied",
    "unauthorized",
    "authentication required",
    "no basic auth",
    "forbidden",
];
/// There is such an image, but not for this kind of machine.
const OTHER_MACHINE: [&str; 2] = [
    "no matching manifest",
    "does not match the specified platform",
];
/// Registries that cannot be reached or do not work: nothing the user wrote is wrong.
const UNREACHABLE: [&str; 12] = [
    "dial tcp",
    "no such host",
    "timeout",
    "connection refused",
    "connection reset",
    "eof",
    "tls handshake",
    "unexpected http status",
    "service unavailable",
    "bad gateway",
    "toomanyrequests",
    "x509:",
];
/// The engine lacks what it is made of, which is on this machine, whatever else its words resemble.
const NOT_A_REGISTRY: [&str; 1] = ["dial unix"];
/// There is no such image.
const MISSING: [&str; 3] = ["not found", "manifest unknown", "does not exist"];

/// Fetches it.
///
/// # Errors
/// [`Error::User`] when it does not exist or may not be had, [`Error::Registry`] when its registry cannot be reached,
/// [`Error::Infrastructure`] when the engine does not answer or cannot keep it.
pub(crate) async fn pull(
    engine: &Engine,
    docker: &Docker,
    reference: &Reference,
    login: Option<&SignIn>,
    report: Report<'_>,
) -> Result<(), Error> {
    let name = reference.pulled();
    report(Progress::Line(format!("pulling {name}")));
    let credentials = match login {
        Some(login) => Some(credentials::given(login, &reference.registry)),
        None => credentials::find(docker, &reference.registry)
            .await
            .unwrap_or_else(|error| {
                report(Progress::Line(format!(
                    "pulling {name} without credentials: {error}"
                )));
                None
            }),
    };
    let asks = match (login, &credentials) {
        (Some(_), _) => Asks::Given,
        (None, Some(_)) => Asks::Saved,
        (None, None) => Asks::Nobody,
    };
    let options = CreateImageOptions {
        from_image: Some(name.clone()),
        ..CreateImageOptions::default()
    };
    let mut messages = engine.docker.create_image(Some(options), None, credentials);
    let (start, mut progress) = (Instant::now(), PullProgress::default());
    while let Some(message) = messages.next().await {
        let message = message.map_err(|error| {
            docker.pulled(false);
            refused(&name, &error, asks)
        })?;
        if let Some(line) = progress.step(&message, start.elapsed()) {
            report(Progress::Line(format!("pulling {name}: {line}")));
        }
    }
    docker.pulled(true);
    report(Progress::Line(format!(
        "pulled {name}: {}",
        progress.summary(start.elapsed())
    )));
    Ok(())
}

/// Who asks a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    /// Nobody in particular.
    Nobody,
    /// Whoever has logged in with `docker login`.
    Saved,
    /// Whoever the build says.
    Given,
}

/// Whose fault a failed pull is. The engine's status says little: a registry's refusal comes as 404 or as 500.
fn refused(name: &str, error: &bollard::errors::Error, asks: Asks) -> Error {
    let words = engine::words(error);
    let is_answer = matches!(
        error,
        bollard::errors::Error::DockerResponseServerError { .. }
            | bollard::errors::Error::DockerStreamError { .. }
    );
    if !is_answer {
        let doing =
            format!("cannot pull {name}: the container engine does not answer as it should");
        return Error::at(doing)(io::Error::other(words));
    }
    let lower = words.to_lowercase();
    let says = |some: &[&str]| some.iter().any(|word| lower.contains(word));
    let what_to_do = if says(&DENIED) {
        match asks {
            Asks::Nobody => "check the name; if it is private, log in with `docker login` first",
            Asks::Saved => {
                "check the name, and that the login `docker login` saved is still good and may read it"
            }
            Asks::Given => {
                "check the name, and that the registryCredential's username and password are still good and may read it"
            }
        }
    } else if says(&OTHER_MACHINE) {
        "it was not built for this kind of machine: choose another image or tag"
    } else if says(&UNREACHABLE) && !says(&NOT_A_REGISTRY) {
        let doing = format!(
            "cannot pull {name}: its registry does not answer as it should; try again, or use an image that is here with \
             the pull policy missing"
        );
        return Error::Registry {
            doing,
            source: io::Error::other(words),
        };
    } else if says(&MISSING) || engine::status(error).is_some_and(|status| status < 500) {
        "check the name and the tag"
    } else {
        return Error::at(format!("cannot pull {name}"))(io::Error::other(words));
    };
    unable(format!("cannot pull {name}: {words}; {what_to_do}"))
}

/// An image that cannot be had, by the user's fault.
pub(crate) fn unable(message: String) -> Error {
    Error::User {
        code: UNABLE_TO_PULL,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::errors::Error as Refusal;

    fn answer(status_code: u16, message: &str) -> Refusal {
        Refusal::DockerResponseServerError {
            status_code,
            message: message.to_string(),
        }
    }

    #[test]
    fn a_refused_pull_is_the_users_to_mend_and_says_how() {
        let denied = "pull access denied for x, repository does not exist or may require 'docker login': denied";
        let manifest = "no matching manifest for linux/amd64 in the manifest list entries";
        for (error, asks, say) in [
            (
                answer(404, "manifest for x:9 not found: manifest unknown"),
                Asks::Nobody,
                "check the name and the tag",
            ),
            (
                answer(404, denied),
                Asks::Nobody,
                "log in with `docker login`",
            ),
            (answer(404, denied), Asks::Given, "registryCredential"),
            (
                answer(
                    500,
                    "Get \"https://r/v2/x\": unauthorized: authentication required",
                ),
                Asks::Saved,
                "still good",
            ),
            (
                answer(500, "Head \"http://r/v2/x\": no basic auth credentials"),
                Asks::Nobody,
                "docker login",
            ),
            (
                Refusal::DockerStreamError {
                    error: manifest.into(),
                },
                Asks::Nobody,
                "kind of machine",
            ),
            (
                answer(400, "invalid reference format"),
                Asks::Nobody,
                "check the name",
            ),
        ] {
            let refused = refused("x", &error, asks);
            assert!(
                matches!(
                    refused,
                    Error::User {
                        code: UNABLE_TO_PULL,
                        ..
                    }
                ),
                "{refused}"
            );
            assert!(refused.to_string().contains(say), "{refused}");
        }
    }

    #[test]
    fn a_registry_that_fails_is_neither_the_users_fault_nor_the_machines() {
        for error in [
            answer(
                500,
                "Get \"https://r/v2/\": dial tcp: lookup r: no such host",
            ),
            answer(500, "Get \"https://r/v2/\": x509: unknown authority"),
            answer(
                500,
                "toomanyrequests: you have reached your pull rate limit",
            ),
        ] {
            let refused = refused("x", &error, Asks::Nobody);
            assert!(matches!(refused, Error::Registry { .. }), "{refused}");
            assert!(refused.to_string().contains("does not answer"), "{refused}");
        }
    }

    #[test]
    fn an_engine_that_is_silent_or_broken_and_a_full_disk_are_the_machines_fault() {
        let full = "write /var/lib/docker/tmp/x: no space left on device";
        let broken = "dial unix /run/containerd/containerd.sock: connect: connection refused";
        let refusal = io::ErrorKind::ConnectionRefused;
        for error in [
            Refusal::DockerStreamError { error: full.into() },
            answer(500, broken),
            Refusal::IOError {
                err: io::Error::new(refusal, "connection refused"),
            },
            Refusal::RequestTimeoutError,
        ] {
            let refused = refused("x", &error, Asks::Nobody);
            assert!(matches!(refused, Error::Infrastructure { .. }), "{refused}");
            assert!(refused.to_string().contains("cannot pull x"), "{refused}");
        }
    }
}
