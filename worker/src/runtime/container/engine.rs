//! The engine on this machine: reached, spoken to in its own version, its refusals told apart from its failures.
//! Made from a socket's path; used by every step that needs the engine.

use std::io;
use std::path::Path;
use std::time::Duration;

use bollard::API_DEFAULT_VERSION;
use bollard::models::{ContainerState, ContainerStateStatusEnum};
use bollard::query_parameters::{RemoveContainerOptions, WaitContainerOptions};
use futures_util::StreamExt;

use super::super::Error;
use super::docker::Docker;
use super::ping;

/// No answer to one request takes longer than this; pulling answers at once and goes on.
const ANSWER_SECONDS_MAX: u64 = 120;
/// How long a runner may take to leave once it was told to; the kernel ends all it started.
const LEAVE_MAX: Duration = Duration::from_secs(5);
/// How often a removal that somebody else began is looked at, and for how long.
const REMOVAL_LOOKS_MAX: u32 = 200;
const REMOVAL_LOOK_EVERY: Duration = Duration::from_millis(50);

/// A connection to the engine; requests may run side by side.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    pub(crate) docker: bollard::Docker,
}

impl Engine {
    /// # Errors
    /// [`Error::Infrastructure`] when no engine answers there, saying what to do.
    pub(crate) async fn connect(socket: &Path) -> Result<Self, Error> {
        let absent = |source: io::Error| {
            let what_to_do = if source.kind() == io::ErrorKind::PermissionDenied {
                "run croft as a user who may use it"
            } else {
                "start one (`systemctl start docker`), install one (`apt-get install docker.io`), or leave --image out to \
                 build with this machine's own tools"
            };
            Error::Infrastructure {
                doing: format!(
                    "no container engine answers at {}: {what_to_do}",
                    socket.display()
                ),
                source,
            }
        };
        let path = socket
            .to_str()
            .ok_or_else(|| absent(io::Error::other("the path is not UTF-8")))?;
        let theirs = ping::version(socket).await.map_err(absent)?;
        let version = if theirs < *API_DEFAULT_VERSION {
            &theirs
        } else {
            API_DEFAULT_VERSION
        };
        let docker = bollard::Docker::connect_with_unix(path, ANSWER_SECONDS_MAX, version)
            .map_err(|error| absent(io_error(&error)))?
            .with_request_modifier(url_safe_credentials);
        Ok(Self { docker })
    }

    /// How the container is doing; `None` when it is gone.
    ///
    /// # Errors
    /// When the engine does not say.
    pub(crate) async fn state(&self, id: &str) -> Result<Option<ContainerState>, Error> {
        match self.docker.inspect_container(id, None).await {
            Ok(found) => Ok(found.state),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(failed("look at the container")(&error)),
        }
    }

    /// Waits until a container that is leaving by itself, and that the engine removes then, is gone; kills and removes it
    /// when it does not leave. That costs less than killing at once: an engine runs a program to kill.
    ///
    /// # Errors
    /// When it is still there afterwards.
    pub(crate) async fn leave(&self, id: &str) -> Result<(), Error> {
        let options = WaitContainerOptions {
            condition: "removed".to_string(),
        };
        let mut waiting = self.docker.wait_container(id, Some(options));
        match tokio::time::timeout(LEAVE_MAX, waiting.next()).await {
            Ok(Some(Ok(_))) => Ok(()),
            // Its status, whatever that was.
            Ok(Some(Err(bollard::errors::Error::DockerContainerWaitError { error, .. })))
                if error.is_empty() =>
            {
                Ok(())
            }
            Ok(Some(Err(error))) if status(&error) == Some(404) => Ok(()),
            Ok(Some(Err(_)) | None) | Err(_) => self.remove(id).await,
        }
    }

    /// Kills and removes the container with its anonymous volumes. One that is gone already is no error.
    ///
    /// # Errors
    /// When it is still there afterwards.
    pub(crate) async fn remove(&self, id: &str) -> Result<(), Error> {
        let doing = format!("remove container {id}: `docker rm -f {id}` may tell why");
        for _ in 0..REMOVAL_LOOKS_MAX {
            let options = RemoveContainerOptions {
                force: true,
                v: true,
                link: false,
            };
            match self.docker.remove_container(id, Some(options)).await {
                Ok(()) => return Ok(()),
                Err(error) => match status(&error) {
                    Some(404) => return Ok(()),
                    // Somebody else is removing it.
                    Some(409) => tokio::time::sleep(REMOVAL_LOOK_EVERY).await,
                    _ => return Err(failed(&doing)(&error)),
                },
            }
        }
        Err(Error::at(format!("the container engine cannot {doing}"))(
            io::ErrorKind::TimedOut.into(),
        ))
    }
}

/// What the engine of the user's docker calls itself and where it listens, in one line; for `croft doctor`.
///
/// # Errors
/// When no engine answers, or the one that is set up cannot be used.
pub async fn engine_version(docker: &Docker) -> Result<String, Error> {
    let socket = docker.socket()?;
    let engine = Engine::connect(&socket).await?;
    let found = engine
        .docker
        .version()
        .await
        .map_err(|error| failed("tell its version")(&error))?;
    let name = found
        .platform
        .map(|platform| platform.name)
        .filter(|name| !name.is_empty());
    let (name, version) = (
        name.unwrap_or_else(|| "engine".to_string()),
        found.version.unwrap_or_default(),
    );
    Ok(format!("{name} {version} at {}", socket.display()))
}

/// Engines read credentials in base64's alphabet for addresses and take anything else for no credentials at all; bollard
/// writes the standard alphabet.
fn url_safe_credentials(mut request: bollard::BollardRequest) -> bollard::BollardRequest {
    let value = request
        .headers()
        .get("X-Registry-Auth")
        .and_then(|value| value.to_str().ok());
    if let Some(safe) = value.map(|value| value.replace('+', "-").replace('/', "_"))
        && let Ok(safe) = safe.parse()
    {
        request.headers_mut().insert("X-Registry-Auth", safe);
    }
    request
}

/// Whether the container's first process is gone, or never came to be and never will.
pub(crate) fn is_over(state: &ContainerState) -> bool {
    matches!(
        state.status,
        Some(ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD)
    )
}

/// The engine's answer as a number, when it was one.
pub(crate) fn status(error: &bollard::errors::Error) -> Option<u16> {
    if let bollard::errors::Error::DockerResponseServerError { status_code, .. } = error {
        return Some(*status_code);
    }
    None
}

/// The engine's own words, without the layers around them.
pub(crate) fn words(error: &bollard::errors::Error) -> String {
    if let bollard::errors::Error::DockerResponseServerError { message, .. } = error {
        return message.trim().to_string();
    }
    if let bollard::errors::Error::DockerStreamError { error } = error {
        return error.trim().to_string();
    }
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// An engine's failure as ours.
pub(crate) fn failed(doing: &str) -> impl FnOnce(&bollard::errors::Error) -> Error {
    let doing = format!("the container engine cannot {doing}");
    move |error| Error::Infrastructure {
        doing,
        source: io_error(error),
    }
}

fn io_error(error: &bollard::errors::Error) -> io::Error {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(here) = source {
        if let Some(found) = here.downcast_ref::<io::Error>() {
            return io::Error::new(found.kind(), words(error));
        }
        source = here.source();
    }
    if matches!(error, bollard::errors::Error::SocketNotFoundError(_)) {
        return io::Error::new(io::ErrorKind::NotFound, "there is no such socket");
    }
    io::Error::other(words(error))
}
