//! Finding and removing containers whose croft was killed. Called at a later start; labels tell which are whose.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bollard::query_parameters::ListContainersOptions;

use super::super::Error;
use super::create::{LABEL_BUILD, LABEL_HOME};
use super::docker::Docker;
use super::engine::{self, Engine};

/// A start must not wait for an engine that hangs.
const ENGINE_MAX: Duration = Duration::from_secs(5);

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// The builds whose containers were left behind, in the order of their ids.
    pub builds: Vec<String>,
    /// False when no engine could be asked, so that nobody knows what is left.
    pub answered: bool,
}

/// Removes every container of a croft with that `home` whose build is not alive any more. Where no engine answers,
/// that is no error: it may not be installed at all.
///
/// # Errors
/// When the engine cannot list containers, or one of them cannot be removed; the others are removed all the same.
pub async fn sweep(
    docker: &Docker,
    home: &Path,
    is_alive: impl Fn(&str) -> bool + Send,
) -> Result<Swept, Error> {
    let Ok(socket) = docker.socket() else {
        return Ok(Swept::default());
    };
    let Ok(Ok(engine)) = tokio::time::timeout(ENGINE_MAX, Engine::connect(&socket)).await else {
        return Ok(Swept::default());
    };
    let mut left = left_behind(&engine, home).await?;
    left.retain(|(build, _)| !is_alive(build));
    left.sort();
    let mut outcome = Ok(());
    let mut swept = Swept {
        builds: Vec::new(),
        answered: true,
    };
    for (build, id) in left {
        match engine.remove(&id).await {
            Ok(()) => swept.builds.push(build),
            Err(error) => outcome = Err(error),
        }
    }
    outcome.map(|()| swept)
}

/// Build and container id of everything that bears the label of `home`, running or not.
async fn left_behind(engine: &Engine, home: &Path) -> Result<Vec<(String, String)>, Error> {
    let label = format!("{LABEL_HOME}={}", home.to_string_lossy());
    let options = ListContainersOptions {
        all: true,
        filters: Some(HashMap::from([("label".to_string(), vec![label])])),
        ..ListContainersOptions::default()
    };
    let found = engine.docker.list_containers(Some(options)).await;
    let found = found.map_err(|error| engine::failed("list containers")(&error))?;
    let named = found.into_iter().filter_map(|container| {
        let build = container
            .labels
            .unwrap_or_default()
            .remove(LABEL_BUILD)
            .unwrap_or_default();
        container.id.map(|id| (build, id))
    });
    Ok(named.collect())
}
