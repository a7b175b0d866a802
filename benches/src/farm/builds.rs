//! Builds that do nothing, as many at once as there are processors, until all are over and their places are gone. Against the
//! engine's own interface making, starting, awaiting and removing the same containers.

use std::time::{Duration, Instant};

use super::http::text;
use super::running::Farm;
use crate::sample::{Verdict, median};
use crate::subject::{IMAGE, Subject};

const BUILDS: usize = 40;
const ROUNDS: usize = 3;
/// At least nine tenths of the engine's own rate.
const SHARE_OF_ENGINE: f64 = 1.0 / 0.9;

pub(super) fn per_second(subject: &Subject) -> Result<Vec<Verdict>, String> {
    let farm = Farm::up(subject, &["--slots", "2"])?;
    farm.project("boxed", IMAGE, &["true"], "")?;
    farm.project("bare", "sandbox", &["true"], "")?;
    let (mut boxed, mut bare, mut engine) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let first = builds(&farm, "boxed")?;
        let second = builds(&farm, "bare")?;
        let third = containers()?;
        if round > 0 {
            boxed.push(first);
            bare.push(second);
            engine.push(third);
        }
    }
    let each = |times: Vec<Duration>| median(times) / u32::try_from(BUILDS).unwrap_or(1);
    println!(
        "farm builds: sandbox {:.1} a second",
        1.0 / each(bare).as_secs_f64()
    );
    Ok(vec![Verdict::times(
        "a build that does nothing, in a container, two at once; the engine's interface alone",
        each(boxed),
        each(engine),
        SHARE_OF_ENGINE,
    )])
}

/// Submits all, then waits for each to be over.
fn builds(farm: &Farm, project: &str) -> Result<Duration, String> {
    let mut client = farm.client()?;
    let body = serde_json::json!({"projectName": project}).to_string();
    let begun = Instant::now();
    let mut ids = Vec::new();
    for _ in 0..BUILDS {
        let started = client.granted("POST", "/v1/builds", &body)?;
        ids.push(started["build"]["id"].as_str().ok_or("no id")?.to_string());
    }
    for id in ids {
        let build = client.granted(
            "GET",
            &format!("/v1/builds/{id}?wait=complete&timeout=30"),
            "",
        )?;
        if build["build"]["buildStatus"] != "SUCCEEDED" {
            return Err(format!("{id} has not succeeded: {build}"));
        }
    }
    Ok(begun.elapsed())
}

/// The same containers by the engine's interface, two at once.
fn containers() -> Result<Duration, String> {
    let docker = bollard::Docker::connect_with_unix_defaults().map_err(text)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(text)?;
    let begun = Instant::now();
    runtime.block_on(async {
        let half = |count: usize| {
            let docker = docker.clone();
            async move {
                for _ in 0..count {
                    container(&docker).await?;
                }
                Ok::<(), String>(())
            }
        };
        let (first, second) = tokio::join!(half(BUILDS / 2), half(BUILDS - BUILDS / 2));
        first.and(second)
    })?;
    Ok(begun.elapsed())
}

async fn container(docker: &bollard::Docker) -> Result<(), String> {
    use futures_util::StreamExt;
    let body = bollard::models::ContainerCreateBody {
        image: Some(IMAGE.into()),
        cmd: Some(vec!["true".into()]),
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
