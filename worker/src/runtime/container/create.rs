//! What the engine is asked to make: pure, from options, image and views to the request's body.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType,
};
use croft_runner::protocol::{HOME, RUNNER, TMP};

use super::super::{Request, View};
use super::Options;
use super::image::Image;
use super::sources;

/// Which build a container serves.
pub(crate) const LABEL_BUILD: &str = "croft.build";
/// The process that made it.
pub(crate) const LABEL_PID: &str = "croft.pid";
/// The folder in `run` of a container that was started before its build was known; the build's id is in that folder.
pub(crate) const LABEL_WARM: &str = "croft.warm";
/// Of one that holds a network which others join, and serves no build itself.
pub(crate) const LABEL_NETWORK: &str = "croft.network";
/// The state directory of the croft that made it: whoever uses the same sweeps it.
pub(crate) const LABEL_HOME: &str = "croft.home";

/// Scripts and state of commands live in memory, so that no variable's value rests on a disk.
const TMP_OPTIONS: &str = "rw,exec,nosuid,nodev,mode=1777,size=268435456";
/// Where an image that starts its own engine keeps images: on a volume, since engines cannot stack their layers.
const INNER_ENGINE: &str = "/var/lib/docker";
/// Room for an entrypoint's last words.
const LOG_BYTES: &str = "256k";

/// The body of the request for a container.
pub(crate) fn body(
    options: &Options,
    image: &Image,
    home: &Path,
    runner: &Path,
    request: &Request,
    views: &[View],
) -> ContainerCreateBody {
    let mut serve = vec![RUNNER.to_string(), "serve".to_string()];
    serve.extend(options.lease.map(|lease| lease.as_millis().to_string()));
    let (entrypoint, cmd) = match kept_entrypoint(options, image) {
        true => (None, Some(serve)),
        false => (Some(serve), None),
    };
    ContainerCreateBody {
        image: Some(image.id.clone()),
        entrypoint,
        cmd,
        // As on AWS, whatever the image's own user is.
        user: Some("0".to_string()),
        working_dir: Some("/".to_string()),
        labels: Some(labels(home, request)),
        volumes: options.privileged.then(|| vec![INNER_ENGINE.to_string()]),
        // A check of the image's service, every few seconds, is not part of a build.
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_string()]),
            ..HealthConfig::default()
        }),
        host_config: Some(host(options, image, mounts(runner, request, views))),
        ..ContainerCreateBody::default()
    }
}

/// Whether the image's entrypoint runs and starts the runner: where it may start an engine of its own.
pub(crate) fn kept_entrypoint(options: &Options, image: &Image) -> bool {
    options.privileged && !image.entrypoint.is_empty()
}

/// Whether the container is gone once its runner has left. One whose entrypoint is not ours is kept, to tell why it failed,
/// and need not end with its command.
pub(crate) fn leaves_by_itself(options: &Options, image: &Image) -> bool {
    !kept_entrypoint(options, image)
}

fn host(options: &Options, image: &Image, mounts: Vec<Mount>) -> HostConfig {
    let limits = &options.limits;
    let memory = limits
        .memory_bytes
        .and_then(|bytes| i64::try_from(bytes).ok());
    HostConfig {
        mounts: Some(mounts),
        tmpfs: Some(HashMap::from([(TMP.to_string(), TMP_OPTIONS.to_string())])),
        network_mode: options.network.clone(),
        privileged: Some(options.privileged),
        memory,
        // Equal to memory: no swap on top, or the limit would be twice what was asked for.
        memory_swap: memory,
        nano_cpus: limits
            .cpu_millis
            .map(|millis| i64::from(millis) * 1_000_000),
        // Whatever the engine's own habit is: the runner is the first process, with which all others end.
        init: leaves_by_itself(options, image).then_some(false),
        pids_limit: Some(i64::from(limits.processes_max)),
        shm_size: i64::try_from(limits.shared_memory_bytes).ok(),
        log_config: Some(log(options, image)),
        // Also when croft is killed: then the runner leaves, and nobody else is there to remove anything.
        auto_remove: Some(leaves_by_itself(options, image)),
        ..HostConfig::default()
    }
}

/// Commands print into the build's own pipe. Only an entrypoint that fails before the runner stands has anything to say.
fn log(options: &Options, image: &Image) -> HostConfigLogConfig {
    if kept_entrypoint(options, image) {
        let config = HashMap::from([("max-size".to_string(), LOG_BYTES.to_string())]);
        return HostConfigLogConfig {
            typ: Some("json-file".to_string()),
            config: Some(config),
        };
    }
    HostConfigLogConfig {
        typ: Some("none".to_string()),
        config: None,
    }
}

fn labels(home: &Path, request: &Request) -> HashMap<String, String> {
    HashMap::from([
        (LABEL_BUILD.to_string(), request.build_id.clone()),
        (LABEL_PID.to_string(), std::process::id().to_string()),
        (LABEL_HOME.to_string(), home.to_string_lossy().into_owned()),
    ])
}

fn mounts(runner: &Path, request: &Request, views: &[View]) -> Vec<Mount> {
    let own = [
        (runner.to_path_buf(), PathBuf::from(format!("{HOME}/bin"))),
        (
            request.directory.join("slot"),
            PathBuf::from(format!("{HOME}/slot")),
        ),
    ];
    let read_only = own
        .iter()
        .chain(&request.extra)
        .map(|(source, target)| bind(source, target, Access::Read));
    let sources = request.sources.iter().zip(views);
    read_only
        .chain(
            sources.map(|(source, view)| bind(&sources::seen(view), &source.inside, Access::Write)),
        )
        .collect()
}

#[derive(PartialEq)]
enum Access {
    Read,
    Write,
}

fn bind(source: &Path, target: &Path, access: Access) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_string_lossy().into_owned()),
        target: Some(target.to_string_lossy().into_owned()),
        read_only: Some(access == Access::Read),
        ..Mount::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(privileged: bool, entrypoint: &[&str]) -> ContainerCreateBody {
        let options = Options {
            privileged,
            ..Options::new("x".to_string())
        };
        body(
            &options,
            &image(entrypoint),
            Path::new("/home"),
            Path::new("/runner"),
            &request(),
            &[],
        )
    }

    fn image(entrypoint: &[&str]) -> Image {
        Image {
            id: "sha256:1".to_string(),
            entrypoint: entrypoint.iter().map(ToString::to_string).collect(),
        }
    }

    fn request() -> Request {
        Request {
            build_id: "p:1".to_string(),
            directory: "/builds/1".into(),
            sources: Vec::new(),
            hidden: Vec::new(),
            extra: Vec::new(),
        }
    }

    #[test]
    fn the_entrypoint_is_overridden_except_where_it_may_start_an_engine() {
        let serve = Some(vec![RUNNER.to_string(), "serve".to_string()]);
        for (privileged, entrypoint, kept) in [
            (false, &["/start"][..], false),
            (false, &[], false),
            (true, &[], false),
            (true, &["/start"], true),
        ] {
            let body = made(privileged, entrypoint);
            let expected = if kept {
                (None, serve.clone())
            } else {
                (serve.clone(), None)
            };
            assert_eq!((body.entrypoint, body.cmd), expected);
            let log = body.host_config.unwrap().log_config.unwrap().typ.unwrap();
            assert_eq!(log, if kept { "json-file" } else { "none" });
        }
    }

    #[test]
    fn a_runner_is_told_its_lease() {
        let options = Options {
            lease: Some(std::time::Duration::from_secs(15)),
            ..Options::new("x".to_string())
        };
        let (home, runner) = (Path::new("/home"), Path::new("/runner"));
        let body = body(&options, &image(&[]), home, runner, &request(), &[]);
        assert_eq!(body.entrypoint.unwrap(), [RUNNER, "serve", "15000"]);
    }

    #[test]
    fn only_a_privileged_container_gets_a_volume_for_an_engine_of_its_own() {
        assert_eq!(
            made(true, &[]).volumes,
            Some(vec![INNER_ENGINE.to_string()])
        );
        assert_eq!(made(false, &[]).volumes, None);
        assert_eq!(
            made(false, &[]).host_config.unwrap().privileged,
            Some(false)
        );
    }
}
