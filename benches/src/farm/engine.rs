//! The container engine, asked by its interface: which containers a farm has, and the same containers made without one.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{ListContainersOptions, RemoveContainerOptions};
use tokio::runtime::Runtime;

use super::http::text;
use crate::subject::IMAGE;

/// The state directory of the croft that made a container.
const LABEL_HOME: &str = "croft.home";
/// Of one that holds a network which others join.
const LABEL_NETWORK: &str = "croft.network";
/// What the engine gives containers of which nothing is said.
const DEFAULT: &str = "default";
/// How many containers are made at once.
const LANES: usize = 2;

/// Which network containers get.
#[derive(Clone, Copy, Debug)]
pub(super) enum Network {
    /// Each one of its own.
    Own,
    /// Those of a lane, one after the other, that of a container which stands: as a farm's.
    Joined,
}

pub(super) struct Engine {
    docker: Docker,
    runtime: Runtime,
}

/// The containers of a farm that serve builds, running or not.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) count: usize,
    /// How many of them have joined a network.
    pub(super) joined: usize,
}

impl Engine {
    pub(super) fn connect() -> Result<Self, String> {
        Ok(Self {
            docker: Docker::connect_with_unix_defaults().map_err(text)?,
            runtime: tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .map_err(text)?,
        })
    }

    /// Everything that bears the label of that home and is for builds.
    pub(super) fn standing(&self, home: &Path) -> Result<Standing, String> {
        let label = format!("{LABEL_HOME}={}", home.display());
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([("label".to_string(), vec![label])])),
            ..ListContainersOptions::default()
        };
        let listed = self.docker.list_containers(Some(options));
        let listed = self.runtime.block_on(listed).map_err(text)?;
        let holds_network = |labels: &HashMap<String, String>| labels.contains_key(LABEL_NETWORK);
        let for_builds = listed
            .iter()
            .filter(|one| !one.labels.as_ref().is_some_and(holds_network));
        let modes: Vec<&str> = for_builds
            .map(|one| {
                let host = one.host_config.as_ref();
                host.and_then(|host| host.network_mode.as_deref())
                    .unwrap_or_default()
            })
            .collect();
        Ok(Standing {
            count: modes.len(),
            joined: modes
                .iter()
                .filter(|mode| mode.starts_with("container:"))
                .count(),
        })
    }

    /// So many containers made, started, awaited and removed, [`LANES`] at once. What they join stands before the clock runs.
    pub(super) fn containers(&self, count: usize, network: Network) -> Result<Duration, String> {
        let mut holders = Vec::new();
        if let Network::Joined = network {
            for _ in 0..LANES {
                holders.push(self.runtime.block_on(holder(&self.docker))?);
            }
        }
        let modes = holders.iter().map(|id| format!("container:{id}"));
        let modes: Vec<String> = match network {
            Network::Joined => modes.collect(),
            Network::Own => vec![DEFAULT.to_string(); LANES],
        };
        let begun = Instant::now();
        let lanes = modes.iter().map(|mode| async move {
            for _ in 0..count / LANES {
                container(&self.docker, mode).await?;
            }
            Ok::<(), String>(())
        });
        let ran = self.runtime.block_on(futures_util::future::join_all(lanes));
        let took = begun.elapsed();
        for id in holders {
            self.runtime.block_on(remove(&self.docker, &id))?;
        }
        ran.into_iter().collect::<Result<Vec<()>, String>>()?;
        Ok(took)
    }
}

/// A container that does nothing but have a network.
async fn holder(docker: &Docker) -> Result<String, String> {
    let body = ContainerCreateBody {
        image: Some(IMAGE.into()),
        cmd: Some(vec!["sleep".into(), "600".into()]),
        ..Default::default()
    };
    let made = docker.create_container(None, body).await.map_err(text)?;
    docker.start_container(&made.id, None).await.map_err(text)?;
    Ok(made.id)
}

async fn remove(docker: &Docker, id: &str) -> Result<(), String> {
    let options = RemoveContainerOptions {
        force: true,
        ..RemoveContainerOptions::default()
    };
    docker
        .remove_container(id, Some(options))
        .await
        .map_err(text)
}

async fn container(docker: &Docker, network: &str) -> Result<(), String> {
    use futures_util::StreamExt;
    let body = ContainerCreateBody {
        image: Some(IMAGE.into()),
        cmd: Some(vec!["true".into()]),
        host_config: Some(HostConfig {
            network_mode: Some(network.into()),
            ..HostConfig::default()
        }),
        ..Default::default()
    };
    let made = docker.create_container(None, body).await.map_err(text)?;
    docker.start_container(&made.id, None).await.map_err(text)?;
    let mut ended = docker.wait_container(&made.id, None);
    while let Some(status) = ended.next().await {
        status.map_err(text)?;
    }
    docker.remove_container(&made.id, None).await.map_err(text)
}
