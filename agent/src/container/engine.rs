//! This machine's engine: reached anew for each event, since it may have been restarted meanwhile, and waited for on the thread that runs
//! the event. Handed to the steps, which ask it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bollard::API_DEFAULT_VERSION;
use bollard::models::{ContainerInspectResponse, ContainerSummary};
use bollard::query_parameters::{
    ListContainersOptions, LogsOptions, RemoveContainerOptions, RemoveImageOptions,
};
use futures_util::StreamExt as _;
use tokio::runtime::Handle;

/// Where an engine listens when nothing says otherwise.
const SOCKET: &str = "/var/run/docker.sock";
/// An event's own hour: an image is loaded in one request.
const ANSWER_S_MAX: u64 = 3_600;
/// How long an engine that does not answer is waited for: it is upgraded or started again within that.
const AWAY_MAX: Duration = Duration::from_secs(120);
/// How soon it is tried again.
const AWAY_LOOK: Duration = Duration::from_millis(500);
/// How soon it is seen that nobody wants the event any more.
const LOOK: Duration = Duration::from_millis(200);
/// What is shown of a container's own words.
const LINES_SHOWN: &str = "20";
/// The longest line of them that is shown, in bytes.
const LINE_BYTES_MAX: usize = 1_000;

/// Why the engine did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nobody answers.
    #[error(
        "no container engine answers at {}: start it (`systemctl start docker`), or install one (`apt-get install docker.io`)",
        socket.display()
    )]
    Away {
        socket: PathBuf,
        #[source]
        source: bollard::errors::Error,
    },
    /// It refuses.
    #[error("the container engine cannot {doing}: {}", words(source))]
    Refused {
        doing: String,
        source: bollard::errors::Error,
    },
    /// The caller wants no more.
    #[error("it was stopped")]
    Stopped,
}

impl Error {
    /// Whether the engine has not answered, rather than said no.
    pub(super) fn is_away(&self) -> bool {
        use bollard::errors::Error as Bollard;
        match self {
            Self::Away { .. } => true,
            Self::Stopped => false,
            Self::Refused { source, .. } => matches!(
                source,
                Bollard::HyperResponseError { .. }
                    | Bollard::HyperLegacyError { .. }
                    | Bollard::IOError { .. }
                    | Bollard::RequestTimeoutError
                    | Bollard::SocketNotFoundError(_)
            ),
        }
    }
}

/// How this host runs containers.
#[derive(Clone, Debug)]
pub struct Containers {
    runtime: Handle,
    socket: PathBuf,
    host: String,
    address: IpAddr,
    away_max: Duration,
}

impl Containers {
    /// Of the host of that name, published at that address of it. `docker_host` is what `DOCKER_HOST` says.
    ///
    /// # Errors
    /// When that names an engine on another machine: its ports would not be this host's.
    pub fn new(
        runtime: Handle,
        host: &str,
        address: IpAddr,
        docker_host: Option<&str>,
    ) -> Result<Self, String> {
        let socket = match docker_host.filter(|said| !said.is_empty()) {
            None => SOCKET,
            Some(said) => said
                .strip_prefix("unix://")
                .or_else(|| said.starts_with('/').then_some(said))
                .ok_or_else(|| {
                    format!(
                        "DOCKER_HOST names {said}, an engine on another machine: an agent runs the containers of its own; set DOCKER_HOST=unix://{SOCKET}"
                    )
                })?,
        };
        Ok(Self {
            runtime,
            socket: PathBuf::from(socket),
            host: host.to_string(),
            address,
            away_max: AWAY_MAX,
        })
    }

    /// One that waits so long for an engine that does not answer.
    #[cfg(test)]
    pub(super) fn waiting(self, away_max: Duration) -> Self {
        Self { away_max, ..self }
    }

    /// How long an engine that does not answer is waited for.
    pub(super) const fn away_max(&self) -> Duration {
        self.away_max
    }

    /// What this host is called.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Where its containers are published.
    pub(crate) const fn address(&self) -> IpAddr {
        self.address
    }

    /// The engine, once it answers; it is tried for so long.
    pub(crate) fn engine<'a>(
        &'a self,
        is_over: &'a AtomicBool,
        away_max: Duration,
    ) -> Result<Engine<'a>, Error> {
        let begun = Instant::now();
        loop {
            let docker = wait(&self.runtime, is_over, connect(&self.socket))?;
            match docker {
                Ok(docker) => {
                    return Ok(Engine {
                        docker,
                        runtime: &self.runtime,
                        is_over,
                    });
                }
                Err(source) if begun.elapsed() >= away_max => {
                    return Err(Error::Away {
                        socket: self.socket.clone(),
                        source,
                    });
                }
                Err(_away) => wait(&self.runtime, is_over, async {
                    tokio::time::sleep(AWAY_LOOK).await;
                })?,
            }
        }
    }
}

async fn connect(socket: &Path) -> Result<bollard::Docker, bollard::errors::Error> {
    let path = socket.to_string_lossy();
    let docker = bollard::Docker::connect_with_unix(&path, ANSWER_S_MAX, API_DEFAULT_VERSION)?;
    docker.negotiate_version().await
}

/// An engine that answers.
#[derive(Debug)]
pub(crate) struct Engine<'a> {
    pub(super) docker: bollard::Docker,
    runtime: &'a Handle,
    is_over: &'a AtomicBool,
}

impl Engine<'_> {
    /// What comes of it, unless the caller wants no more meanwhile.
    pub(super) fn wait<T>(&self, asked: impl Future<Output = T>) -> Result<T, Error> {
        wait(self.runtime, self.is_over, asked)
    }

    /// The same of what the engine may refuse.
    pub(super) fn ask<T>(
        &self,
        doing: &str,
        asked: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, Error> {
        self.wait(asked)?.map_err(refused(doing))
    }

    /// The container of that name; `None` when there is none.
    pub(super) fn find(&self, name: &str) -> Result<Option<ContainerInspectResponse>, Error> {
        match self.wait(self.docker.inspect_container(name, None))? {
            Ok(found) => Ok(Some(found)),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(refused(&format!("look at {name}"))(error)),
        }
    }

    /// Containers with all of these labels, those that do not run among them.
    pub(super) fn labelled(&self, labels: Vec<String>) -> Result<Vec<ContainerSummary>, Error> {
        let options = ListContainersOptions {
            all: true,
            filters: Some([("label".to_string(), labels)].into()),
            ..ListContainersOptions::default()
        };
        self.ask(
            "list containers",
            self.docker.list_containers(Some(options)),
        )
    }

    /// Ends a container in its own time, if it runs.
    pub(super) fn stop(&self, name: &str) -> Result<(), Error> {
        match self.wait(self.docker.stop_container(name, None))? {
            Ok(()) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            Err(error) => Err(refused(&format!("stop {name}"))(error)),
        }
    }

    /// Removes a container with its own volumes. One that is gone is no error.
    pub(super) fn remove(&self, name: &str) -> Result<(), Error> {
        let options = RemoveContainerOptions {
            force: true,
            v: true,
            link: false,
        };
        match self.wait(self.docker.remove_container(name, Some(options)))? {
            Ok(()) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            Err(error) => Err(refused(&format!("remove {name}"))(error)),
        }
    }

    /// Removes an image that nothing else uses or names.
    pub(super) fn remove_image(&self, id: &str) -> Result<(), Error> {
        let options = RemoveImageOptions {
            force: false,
            ..RemoveImageOptions::default()
        };
        let removed = self.docker.remove_image(id, Some(options), None);
        match self.wait(removed)? {
            Ok(_) => Ok(()),
            // It is in use, or it has another name: somebody's.
            Err(error) if matches!(status(&error), Some(404 | 409)) => Ok(()),
            Err(error) => Err(refused(&format!("remove the image {id}"))(error)),
        }
    }

    /// The last lines that a container printed.
    pub(super) fn last_lines(&self, name: &str) -> Result<Vec<String>, Error> {
        let options = LogsOptions {
            stdout: true,
            stderr: true,
            tail: LINES_SHOWN.to_string(),
            ..LogsOptions::default()
        };
        let mut printed = self.docker.logs(name, Some(options));
        self.wait(async {
            let mut lines = Vec::new();
            while let Some(Ok(some)) = printed.next().await {
                let text = String::from_utf8_lossy(some.as_ref()).into_owned();
                lines.extend(text.lines().map(|line| {
                    let end = line.floor_char_boundary(LINE_BYTES_MAX);
                    line[..end].to_string()
                }));
            }
            lines
        })
    }

    /// Waits, unless the caller wants no more.
    pub(super) fn pause(&self, lasts: Duration) -> Result<(), Error> {
        // Made where it is waited for: it needs the runtime's clock.
        self.wait(async move { tokio::time::sleep(lasts).await })
    }
}

fn wait<T>(
    runtime: &Handle,
    is_over: &AtomicBool,
    asked: impl Future<Output = T>,
) -> Result<T, Error> {
    runtime.block_on(async {
        let mut asked = std::pin::pin!(asked);
        loop {
            match tokio::time::timeout(LOOK, &mut asked).await {
                Ok(answer) => return Ok(answer),
                Err(_late) if is_over.load(Ordering::Relaxed) => return Err(Error::Stopped),
                Err(_late) => {}
            }
        }
    })
}

pub(super) fn refused(doing: &str) -> impl FnOnce(bollard::errors::Error) -> Error {
    let doing = doing.to_string();
    move |source| Error::Refused { doing, source }
}

/// The engine's answer as a number, when it was one.
pub(super) const fn status(error: &bollard::errors::Error) -> Option<u16> {
    if let bollard::errors::Error::DockerResponseServerError { status_code, .. } = error {
        return Some(*status_code);
    }
    None
}

/// The engine's own words, without the layers around them.
fn words(error: &bollard::errors::Error) -> String {
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
