//! How the invoking user's docker is set up: which engine it talks to, where its configuration lies. Croft reads what the
//! `docker` program reads, so that what works there works here. Made from variables once, by the command line.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;

use super::super::Error;

/// Where an engine listens when nothing says otherwise.
const SOCKET: &str = "/var/run/docker.sock";

/// The user's docker.
#[derive(Clone, Debug)]
pub struct Docker {
    host: Option<String>,
    context: Option<String>,
    /// The folder of `config.json`.
    folder: PathBuf,
    /// Where credential helpers are looked for.
    pub(crate) path: Option<OsString>,
    /// Given to credential helpers.
    pub(crate) home: PathBuf,
    /// Shared by clones.
    pulls: Arc<PullCounts>,
}

/// What was asked of registries so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulls {
    /// Images that are here now; those that were here already among them.
    pub succeeded: u64,
    /// Images that could not be had.
    pub failed: u64,
}

#[derive(Debug, Default)]
struct PullCounts {
    succeeded: AtomicU64,
    failed: AtomicU64,
}

/// `config.json`, as far as it matters here. What is missing is empty.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Configuration {
    pub(crate) auths: HashMap<String, Login>,
    pub(crate) creds_store: Option<String>,
    pub(crate) cred_helpers: HashMap<String, String>,
    current_context: Option<String>,
}

/// A login that `docker login` wrote into the file. No `Debug`: it is a secret.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Login {
    pub(crate) auth: String,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) identitytoken: String,
    pub(crate) registrytoken: String,
}

#[derive(Deserialize)]
struct Context {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Endpoints", default)]
    endpoints: HashMap<String, ContextEndpoint>,
}

#[derive(Deserialize)]
struct ContextEndpoint {
    #[serde(rename = "Host", default)]
    host: String,
}

impl Docker {
    /// What was asked of registries through this and its clones.
    #[must_use]
    pub fn pulls(&self) -> Pulls {
        Pulls {
            succeeded: self.pulls.succeeded.load(Ordering::Relaxed),
            failed: self.pulls.failed.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn pulled(&self, is_there: bool) {
        let counter = match is_there {
            true => &self.pulls.succeeded,
            false => &self.pulls.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The docker of a user with that home and those variables (`DOCKER_HOST`, `DOCKER_CONTEXT`, `DOCKER_CONFIG`, `PATH`).
    #[must_use]
    pub fn new(home: &Path, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name| {
            variable(name)
                .map(|value| value.to_string_lossy().into_owned())
                .filter(|value| !value.is_empty())
        };
        let folder = variable("DOCKER_CONFIG").filter(|value| !value.is_empty());
        Self {
            host: text("DOCKER_HOST"),
            context: text("DOCKER_CONTEXT"),
            folder: folder.map_or_else(|| home.join(".docker"), PathBuf::from),
            path: variable("PATH"),
            home: home.to_path_buf(),
            pulls: Arc::default(),
        }
    }

    /// The engine's socket on this machine.
    ///
    /// # Errors
    /// [`Error::User`] when the engine is on another machine, or a context is named that does not exist.
    pub(crate) fn socket(&self) -> Result<PathBuf, Error> {
        if let Some(host) = &self.host {
            return local(host, "DOCKER_HOST");
        }
        let context = self
            .context
            .clone()
            .or_else(|| self.configuration().ok()?.current_context);
        match context.as_deref() {
            None | Some("" | "default") => Ok(PathBuf::from(SOCKET)),
            Some(name) => {
                let host = self.context_host(name).ok_or_else(|| refuse(format!(
                    "the docker context '{name}' does not exist below {}: choose another with `docker context use`",
                    self.folder.join("contexts").display()
                )))?;
                local(&host, &format!("the docker context '{name}'"))
            }
        }
    }

    /// The user's `config.json`; empty when there is none.
    ///
    /// # Errors
    /// When it cannot be read or is not what `docker` writes.
    pub(crate) fn configuration(&self) -> io::Result<Configuration> {
        match fs::read(self.folder.join("config.json")) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Configuration::default()),
            Err(error) => Err(error),
        }
    }

    /// The file that logins are read from, for messages.
    pub(crate) fn configuration_path(&self) -> PathBuf {
        self.folder.join("config.json")
    }

    /// Contexts lie in folders named by a hash of their name; there are few, and each says its name.
    fn context_host(&self, name: &str) -> Option<String> {
        let folders = fs::read_dir(self.folder.join("contexts/meta")).ok()?;
        folders
            .flatten()
            .filter_map(|folder| {
                serde_json::from_slice::<Context>(&fs::read(folder.path().join("meta.json")).ok()?)
                    .ok()
            })
            .find(|context| context.name == name)
            .and_then(|context| {
                context
                    .endpoints
                    .get("docker")
                    .map(|endpoint| endpoint.host.clone())
            })
    }
}

fn local(host: &str, said_by: &str) -> Result<PathBuf, Error> {
    let path = host
        .strip_prefix("unix://")
        .or_else(|| host.starts_with('/').then_some(host));
    match path {
        Some("") => Ok(PathBuf::from(SOCKET)),
        Some(path) => Ok(PathBuf::from(path)),
        None => Err(refuse(format!(
            "{said_by} names {host}, an engine on another machine, which is not supported yet: a build's files must be on \
             the engine's machine. Run croft there, or set DOCKER_HOST=unix://{SOCKET} to use this machine's engine"
        ))),
    }
}

fn refuse(message: String) -> Error {
    Error::User {
        code: "CLIENT_ERROR",
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn docker(folder: &Path, variables: &[(&str, &str)]) -> Docker {
        Docker::new(folder, |name| {
            variables
                .iter()
                .find(|(other, _)| *other == name)
                .map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_engine_is_the_one_the_docker_program_would_use() {
        let home = tempfile::tempdir().unwrap();
        let plain = docker(home.path(), &[]);
        assert_eq!(plain.socket().unwrap(), Path::new(SOCKET));
        let host = docker(
            home.path(),
            &[
                ("DOCKER_HOST", "unix:///run/x.sock"),
                ("DOCKER_CONTEXT", "none"),
            ],
        );
        assert_eq!(host.socket().unwrap(), Path::new("/run/x.sock"));
        let meta = home.path().join(".docker/contexts/meta/0123");
        fs::create_dir_all(&meta).unwrap();
        let context = r#"{"Name":"mine","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///run/mine.sock"}}}"#;
        fs::write(meta.join("meta.json"), context).unwrap();
        fs::write(
            home.path().join(".docker/config.json"),
            r#"{"currentContext":"mine"}"#,
        )
        .unwrap();
        assert_eq!(plain.socket().unwrap(), Path::new("/run/mine.sock"));
        let default = docker(home.path(), &[("DOCKER_CONTEXT", "default")]);
        assert_eq!(default.socket().unwrap(), Path::new(SOCKET));
    }

    #[test]
    fn an_engine_on_another_machine_is_refused_with_the_way_out() {
        let home = tempfile::tempdir().unwrap();
        for host in [
            "tcp://10.0.0.1:2375",
            "ssh://build@host",
            "npipe:////./pipe/docker_engine",
        ] {
            let Err(Error::User { message, .. }) =
                docker(home.path(), &[("DOCKER_HOST", host)]).socket()
            else {
                panic!("{host} passed")
            };
            assert!(
                message.contains(host) && message.contains("not supported yet"),
                "{message}"
            );
        }
        let missing = docker(home.path(), &[("DOCKER_CONTEXT", "gone")])
            .socket()
            .unwrap_err()
            .to_string();
        assert!(missing.contains("'gone' does not exist"), "{missing}");
    }
}
