//! What the engine is asked to make: pure, from a command and an AppSpec's container to the request's body, with the labels by which
//! everything of a group is found again.

use std::collections::HashMap;
use std::net::IpAddr;

use bollard::models::{
    ContainerCreateBody, HostConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use croft_proto::deploy::{Colour, ContainerOrder, HostCommand};
use croft_spec::appspec::Container;

/// Which host's: several agents may share a machine.
pub(super) const LABEL_HOST: &str = "croft.deploy.host";
/// Which group's, by its id.
pub(super) const LABEL_GROUP: &str = "croft.deploy.group";
/// Which of the two.
pub(super) const LABEL_COLOUR: &str = "croft.deploy.colour";
/// Whether its image came with it, and goes with it.
pub(super) const LABEL_BROUGHT: &str = "croft.deploy.image-brought";
/// For people.
const LABEL_APPLICATION: &str = "croft.deploy.application";
const LABEL_GROUP_NAME: &str = "croft.deploy.group-name";
const LABEL_DEPLOYMENT: &str = "croft.deploy.deployment";
const LABEL_GENERATION: &str = "croft.deploy.generation";

/// Of each part of a name: what people can read.
const PART_CHARS_MAX: usize = 40;
/// Of a group's id: enough to tell groups of one name apart.
const ID_CHARS: usize = 8;

/// What a host's container of a group is called.
pub(super) fn name(command: &HostCommand, colour: Colour, host: &str) -> String {
    let part = |text: &str| -> String {
        let plain = |letter: char| {
            if letter.is_ascii_alphanumeric() || letter == '-' {
                letter
            } else {
                '_'
            }
        };
        text.chars().take(PART_CHARS_MAX).map(plain).collect()
    };
    let id: String = part(&command.deployment_group_id);
    format!(
        "croft-{}-{}-{}-{colour}-{}",
        part(&command.application_name),
        part(&command.deployment_group_name),
        part(host),
        &id[..id.len().min(ID_CHARS)]
    )
}

/// The labels of all of a group's containers on a host.
pub(super) fn labels_of_group(command: &HostCommand, host: &str) -> Vec<String> {
    vec![
        format!("{LABEL_HOST}={host}"),
        format!("{LABEL_GROUP}={}", command.deployment_group_id),
    ]
}

/// An image that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) id: String,
    /// Whether it came with this container, or with an earlier one of Croft's.
    pub(super) is_brought: bool,
}

/// The request for a container.
pub(super) fn body(
    command: &HostCommand,
    order: ContainerOrder,
    host: &str,
    address: IpAddr,
    container: &Container,
    image: &Image,
) -> ContainerCreateBody {
    let inside = format!("{}/tcp", container.port);
    let binding = PortBinding {
        host_ip: Some(address.to_string()),
        host_port: Some(order.port.to_string()),
    };
    let environment = container.environment.iter();
    let memory = container
        .memory_mib
        .map(|mebibytes| i64::from(mebibytes) << 20);
    ContainerCreateBody {
        image: Some(image.id.clone()),
        cmd: (!container.command.is_empty()).then(|| container.command.clone()),
        env: Some(
            environment
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
        ),
        user: container.user.clone(),
        exposed_ports: Some(vec![inside.clone()]),
        stop_timeout: Some(i64::from(container.stop_s)),
        labels: Some(labels(command, order.colour, host, image)),
        host_config: Some(HostConfig {
            binds: Some(container.volumes.clone()),
            port_bindings: Some(HashMap::from([(inside, Some(vec![binding]))])),
            memory,
            // Equal to memory: no swap on top, or the limit would be twice what was asked for.
            memory_swap: memory,
            // A host that is restarted serves again; how often one was started again tells of a crash.
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                maximum_retry_count: None,
            }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

fn labels(
    command: &HostCommand,
    colour: Colour,
    host: &str,
    image: &Image,
) -> HashMap<String, String> {
    let label = |key: &str, value: String| (key.to_string(), value);
    HashMap::from([
        label(LABEL_HOST, host.to_string()),
        label(LABEL_GROUP, command.deployment_group_id.clone()),
        label(LABEL_COLOUR, colour.to_string()),
        label(LABEL_BROUGHT, image.is_brought.to_string()),
        label(LABEL_APPLICATION, command.application_name.clone()),
        label(LABEL_GROUP_NAME, command.deployment_group_name.clone()),
        label(LABEL_DEPLOYMENT, command.deployment_id.to_string()),
        label(LABEL_GENERATION, command.generation.to_string()),
    ])
}
