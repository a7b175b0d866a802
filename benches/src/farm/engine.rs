//! The container engine, asked by its interface: which containers a farm has, and the same containers made without one.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::ListContainersOptions;
use tokio::runtime::Runtime;

use super::http::text;
use crate::subject::IMAGE;

/// The state directory of the croft that made a container.
const LABEL_HOME: &str = "croft.home";

pub(super) struct Engine {
    docker: Docker,
    runtime: Runtime,
}

/// The containers of a farm, running or not.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) count: usize,
    /// The network mode of one of them, as the engine has it.
    pub(super) network: Option<String>,
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

    /// Everything that bears the label of that home.
    pub(super) fn standing(&self, home: &Path) -> Result<Standing, String> {
        let label = format!("{LABEL_HOME}={}", home.display());
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([("label".to_string(), vec![label])])),
            ..ListContainersOptions::default()
        };
        let listed = self.docker.list_containers(Some(options));
        let listed = self.runtime.block_on(listed).map_err(text)?;
        let network = listed.first().and_then(|one| one.host_config.clone());
        Ok(Standing {
            count: listed.len(),
            network: network.and_then(|config| config.network_mode),
        })
    }

    /// So many containers with that network made, started, awaited and removed, two at once.
    pub(super) fn containers(&self, count: usize, network: &str) -> Result<Duration, String> {
        let begun = Instant::now();
        let one_half = |count: usize| async move {
            for _ in 0..count {
                container(&self.docker, network).await?;
            }
            Ok::<(), String>(())
        };
        self.runtime.block_on(async {
            let (first, second) = tokio::join!(one_half(count / 2), one_half(count - count / 2));
            first.and(second)
        })?;
        Ok(begun.elapsed())
    }
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
