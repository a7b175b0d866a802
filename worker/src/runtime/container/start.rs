//! From a container that is asked for to a runner that stands in it. Receives the request's body and the doors, hands the
//! runtime what a slot is made of.

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use bollard::container::LogOutput;
use bollard::models::{ContainerCreateBody, ContainerState};
use bollard::query_parameters::LogsOptions;
use croft_beneath::Root;
use croft_runner::protocol::Variable;
use futures_util::StreamExt;
use tokio::net::UnixStream;

use super::super::Error;
use super::super::link::{Greeting, Link};
use super::doors::Doors;
use super::engine::{self, Engine};

/// A runner stands within a tenth of a second; a machine that needs longer than this is not answering.
const RUNNER_MAX: Duration = Duration::from_secs(30);
/// An entrypoint that starts an engine of its own waits up to a minute for it.
const ENTRYPOINT_MAX: Duration = Duration::from_secs(120);
/// How often a container whose runner has not called is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The home of every build, as on AWS, where the image and its users' list name none.
const BUILD_HOME: &[u8] = b"/root";
/// How much of an entrypoint's last words is shown.
const LAST_LINES: &str = "5";

/// A runner that stands.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) link: Link,
    pub(crate) output: File,
    /// The runner, as this machine numbers it.
    pub(crate) process: u32,
    pub(crate) root: Root,
    pub(crate) environment: Vec<Variable>,
    pub(crate) runtimes: Option<Vec<u8>>,
}

/// How long a runner may take to call.
pub(crate) fn patience(kept_entrypoint: bool) -> Duration {
    if kept_entrypoint {
        ENTRYPOINT_MAX
    } else {
        RUNNER_MAX
    }
}

/// The new container's id.
///
/// # Errors
/// [`Error::User`] when the engine refuses what the user asked for.
pub(crate) async fn create(engine: &Engine, body: ContainerCreateBody) -> Result<String, Error> {
    let made = engine.docker.create_container(None, body).await;
    made.map(|made| made.id)
        .map_err(|error| refused("make the container", &error))
}

/// Starts it and waits until its runner stands.
///
/// # Errors
/// [`Error::User`] when the image or the options are at fault.
pub(crate) async fn start(
    engine: &Engine,
    id: &str,
    doors: Doors,
    patience: Duration,
) -> Result<Started, Error> {
    let starting = async {
        let started = engine.docker.start_container(id, None).await;
        started.map_err(|error| refused("start the container", &error))
    };
    // The runner may call before the engine says that it has started.
    let ((), stream) = tokio::try_join!(starting, meet(engine, id, &doors, patience))?;
    let (process, root) = doors
        .process_behind(&stream)
        .ok_or_else(|| elsewhere("the container is not one of this machine's"))?;
    let mut link = Link::new(stream);
    match link.greet(patience).await {
        Ok(Greeting::Ready {
            environment,
            runtimes,
        }) => {
            let environment = with_home(environment);
            Ok(Started {
                link,
                output: doors.into_output(),
                process,
                root,
                environment,
                runtimes,
            })
        }
        Ok(Greeting::Broken { reason, .. }) => Err(Error::at("cannot start the container")(
            io::Error::other(reason),
        )),
        Err(error) => Err(Error::at(
            "the container's runner left before the first command",
        )(error)),
    }
}

/// The runner's call; an error as soon as the container is seen to have ended without one.
async fn meet(
    engine: &Engine,
    id: &str,
    doors: &Doors,
    patience: Duration,
) -> Result<UnixStream, Error> {
    let begun = Instant::now();
    loop {
        if let Ok(stream) = tokio::time::timeout(LOOK_EVERY, doors.accept()).await {
            return stream.map_err(Error::at("cannot hear the container's runner"));
        }
        match engine.state(id).await? {
            // It ended and was removed: its runner stood and could not come here.
            None => {
                return Err(elsewhere(
                    "the runner in it cannot reach this machine's socket",
                ));
            }
            Some(state) if engine::is_over(&state) => return Err(ended(engine, id, &state).await),
            Some(_) if begun.elapsed() > patience => {
                return Err(elsewhere(&format!(
                    "nothing called within {} s",
                    patience.as_secs()
                )));
            }
            Some(_) => {}
        }
    }
}

/// Why a container that ended before its runner stood did so.
async fn ended(engine: &Engine, id: &str, state: &ContainerState) -> Error {
    let status = state.exit_code.unwrap_or(-1);
    let words = last_words(engine, id).await;
    let said = if words.is_empty() {
        String::new()
    } else {
        format!("; it said: {words}")
    };
    if state.oom_killed == Some(true) {
        let message =
            "the container ran out of memory before the first command: raise the memory limit"
                .to_string();
        return Error::User {
            code: "CLIENT_ERROR",
            message,
        };
    }
    Error::User {
        code: "CLIENT_ERROR",
        message: format!(
            "the container ended with status {status} before the first command{said}; check the image's entrypoint, which \
             must run the command it is given"
        ),
    }
}

/// What an entrypoint printed before it ended; nothing for containers that keep no log.
async fn last_words(engine: &Engine, id: &str) -> String {
    let options = LogsOptions {
        stdout: true,
        stderr: true,
        tail: LAST_LINES.to_string(),
        ..LogsOptions::default()
    };
    let log = engine.docker.logs(id, Some(options));
    let parts: Vec<LogOutput> = log
        .filter_map(|part| std::future::ready(part.ok()))
        .collect()
        .await;
    let text: String = parts.iter().map(ToString::to_string).collect();
    text.trim().replace('\n', " | ")
}

/// Refusals are the user's to mend, failures are not.
fn refused(doing: &str, error: &bollard::errors::Error) -> Error {
    let words = engine::words(error);
    if words.contains("bind source path does not exist") {
        return elsewhere(&words);
    }
    if words.contains("unable to apply caps") {
        return Error::at(
            "cannot start a privileged container: this machine does not allow its engine everything",
        )(io::Error::other(words));
    }
    match engine::status(error) {
        Some(400..500) => Error::User {
            code: "CLIENT_ERROR",
            message: format!("the container engine refuses to {doing}: {words}"),
        },
        _ => engine::failed(doing)(error),
    }
}

/// An engine in a container or a virtual machine of its own: it does not see this machine's files.
fn elsewhere(why: &str) -> Error {
    Error::Infrastructure {
        doing: "cannot use this container engine: it must run on this machine itself and see its files, not in another \
                container or a virtual machine"
            .to_string(),
        source: io::Error::other(why.to_string()),
    }
}

fn with_home(mut environment: Vec<Variable>) -> Vec<Variable> {
    if environment.iter().all(|(name, _)| name != b"HOME") {
        environment.push((b"HOME".to_vec(), BUILD_HOME.to_vec()));
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::errors::Error as Refusal;

    #[test]
    fn refusals_are_the_users_and_failures_are_the_engines() {
        let answer = |status_code, message: &str| {
            refused(
                "make the container",
                &Refusal::DockerResponseServerError {
                    status_code,
                    message: message.into(),
                },
            )
        };
        assert!(matches!(
            answer(400, "Minimum memory limit allowed is 6MB"),
            Error::User { .. }
        ));
        assert!(matches!(
            answer(404, "network nowhere not found"),
            Error::User { .. }
        ));
        assert!(matches!(
            answer(500, "OCI runtime create failed"),
            Error::Infrastructure { .. }
        ));
        let blind = answer(
            400,
            "invalid mount config for type \"bind\": bind source path does not exist: /x",
        );
        assert!(
            matches!(&blind, Error::Infrastructure { doing, .. } if doing.contains("must run on this machine"))
        );
    }

    #[test]
    fn only_a_missing_home_is_replaced() {
        let variable =
            |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        let own = vec![variable("HOME", "/own")];
        assert_eq!(with_home(own.clone()), own);
        assert_eq!(with_home(Vec::new()), [variable("HOME", "/root")]);
    }
}
