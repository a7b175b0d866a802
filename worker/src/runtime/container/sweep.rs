//! Finding and removing containers whose croft was killed. Called at a later start; labels tell which are whose.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use bollard::query_parameters::ListContainersOptions;

use super::super::Error;
use super::create::{LABEL_BUILD, LABEL_HOME, LABEL_NETWORK, LABEL_WARM};
use super::docker::Docker;
use super::engine::{self, Engine};
use super::warm::BUILD_FILE;

/// A start must not wait for an engine that hangs.
const ENGINE_MAX: Duration = Duration::from_secs(5);

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// The builds whose containers were left behind, in the order of their ids.
    pub builds: Vec<String>,
    /// How many containers were left behind that stood ready for a build.
    pub warm: usize,
    /// False when no engine could be asked, so that nobody knows what is left.
    pub answered: bool,
}

/// Removes every container of a croft with that `home` whose build is not alive any more. Where no engine answers,
/// that is no error: it may not be installed at all. A container that was started before its build was known is asked for
/// by the name of its folder in `run`, in the shape of a build's id; that folder is left to [`crate::sweep::sweep`].
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
    left.retain(|left| !is_alive(&left.label));
    let mut outcome = Ok(());
    let mut swept = Swept {
        answered: true,
        ..Swept::default()
    };
    for left in left {
        // Read before anybody removes the folder.
        let build = left.build(home);
        match engine.remove(&left.id).await {
            Ok(()) => match build {
                Some(build) => swept.builds.push(build),
                None if left.holds_network => {}
                None => swept.warm += 1,
            },
            Err(error) => outcome = Err(error),
        }
    }
    swept.builds.sort();
    outcome.map(|()| swept)
}

/// A container that may be left behind.
struct Left {
    id: String,
    /// The build's id, or what stands in its place.
    label: String,
    /// The folder in `run` of one that was started before its build was known.
    warm: Option<String>,
    /// Whether it only held a network for others.
    holds_network: bool,
}

impl Left {
    /// The build it served, if it came to that.
    fn build(&self, home: &Path) -> Option<String> {
        let Some(folder) = &self.warm else {
            return Some(self.label.clone());
        };
        // A label is anybody's words; only a name that is ours becomes a path.
        let folder = uuid::Uuid::try_parse(folder).ok()?.to_string();
        fs::read_to_string(home.join("run").join(folder).join(BUILD_FILE)).ok()
    }
}

/// Everything that bears the label of `home`, running or not.
async fn left_behind(engine: &Engine, home: &Path) -> Result<Vec<Left>, Error> {
    let label = format!("{LABEL_HOME}={}", home.to_string_lossy());
    let options = ListContainersOptions {
        all: true,
        filters: Some(HashMap::from([("label".to_string(), vec![label])])),
        ..ListContainersOptions::default()
    };
    let found = engine.docker.list_containers(Some(options)).await;
    let found = found.map_err(|error| engine::failed("list containers")(&error))?;
    let named = found.into_iter().filter_map(|container| {
        let mut labels = container.labels.unwrap_or_default();
        Some(Left {
            id: container.id?,
            label: labels.remove(LABEL_BUILD).unwrap_or_default(),
            warm: labels.remove(LABEL_WARM),
            holds_network: labels.contains_key(LABEL_NETWORK),
        })
    });
    Ok(named.collect())
}
