//! Builds that do nothing, two at once, until all are over and their places are gone. Against the engine's own interface making,
//! starting, awaiting and removing containers that join a network as the farm's do, or have each their own, and against Buildbot
//! without any container, in turn.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::buildbot::{self, Buildbot};
use super::engine::{Engine, Network, Standing};
use super::http::{Client, text};
use super::running::Farm;
use crate::sample::{Verdict, median};
use crate::subject::{IMAGE, Subject};

/// Of one round.
const BUILDS: usize = 40;
/// A round in the sandbox shall take two seconds and more.
const BUILDS_IN_SANDBOX: usize = 400;
const ROUNDS: usize = 3;
/// Each with a token: two requests for each build are more than a farm lets one token ask.
const CLIENTS: usize = 8;
/// Containers of a kind that a farm has ready for the next builds.
const WARM: usize = 2;
/// At least nine tenths of the engine's own rate.
const SHARE_OF_ENGINE: f64 = 1.0 / 0.9;
/// Three times Buildbot's rate with a container for each build, and twenty times with a sandbox.
const SHARE_OF_BUILDBOT: f64 = 1.0 / 3.0;
const SHARE_OF_BUILDBOT_IN_SANDBOX: f64 = 1.0 / 20.0;
const GONE_MAX: Duration = Duration::from_secs(60);
/// Asked seldom enough that the engine has time for its work.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// What takes turns.
struct Turns {
    farm: Farm,
    home: PathBuf,
    tokens: Vec<String>,
    engine: Engine,
    buildbot: Buildbot,
}

/// Times of one build.
#[derive(Default)]
struct Times {
    boxed: Vec<Duration>,
    bare: Vec<Duration>,
    engine: Vec<Duration>,
    engine_own: Vec<Duration>,
    /// Containers that stood ready after a round, and how many of them had joined a network.
    ready: usize,
    joined: usize,
    buildbot: Vec<Duration>,
}

pub(super) fn per_second(subject: &Subject) -> Result<Vec<Verdict>, String> {
    let mut turns = Turns::begin(subject)?;
    let mut times = Times::default();
    for round in 0..=ROUNDS {
        let boxed = turns.builds("boxed", BUILDS)? / count(BUILDS);
        let bare = turns.builds("bare", BUILDS_IN_SANDBOX)? / count(BUILDS_IN_SANDBOX);
        let standing = turns.standing()?;
        let engine = turns.engine.containers(BUILDS, Network::Joined)? / count(BUILDS);
        let engine_own = turns.engine.containers(BUILDS, Network::Own)? / count(BUILDS);
        let buildbot = turns.buildbot.builds(BUILDS)? / count(BUILDS);
        // The first one warms up.
        if round > 0 {
            times.boxed.push(boxed);
            times.bare.push(bare);
            times.engine.push(engine);
            times.engine_own.push(engine_own);
            times.ready += standing.count;
            times.joined += standing.joined;
            times.buildbot.push(buildbot);
        }
    }
    let version = subject.croft(&["--version"]).output().map_err(text)?;
    println!(
        "farm builds: {}; {}",
        String::from_utf8_lossy(&version.stdout).trim(),
        buildbot::version()?
    );
    Ok(verdicts(times))
}

fn verdicts(times: Times) -> Vec<Verdict> {
    let (boxed, bare) = (median(times.boxed), median(times.bare));
    let (engine, buildbot) = (median(times.engine), median(times.buildbot));
    let engine_own = median(times.engine_own);
    let rate = |each: Duration| 1.0 / each.as_secs_f64();
    println!(
        "farm builds: a second in containers {:.1} ({} of {} that stood ready had joined a network), in the sandbox {:.1}, the engine \
         alone {:.1} joined and {:.1} each with a network of its own, Buildbot {:.1}",
        rate(boxed),
        times.joined,
        times.ready,
        rate(bare),
        rate(engine),
        rate(engine_own),
        rate(buildbot)
    );
    vec![
        Verdict::times(
            "a build that does nothing, in a container, two at once; the engine's interface alone, joined networks",
            boxed,
            engine,
            SHARE_OF_ENGINE,
        ),
        Verdict::times(
            "a build that does nothing, in a container; Buildbot's without one",
            boxed,
            buildbot,
            SHARE_OF_BUILDBOT,
        ),
        Verdict::times(
            "a build that does nothing, in the sandbox; Buildbot's without one",
            bare,
            buildbot,
            SHARE_OF_BUILDBOT_IN_SANDBOX,
        ),
    ]
}

impl Turns {
    fn begin(subject: &Subject) -> Result<Self, String> {
        let buildbot = Buildbot::start()?;
        let warm = WARM.to_string();
        let farm = Farm::up(subject, &["--slots", "2", "--warm", &warm])?;
        farm.project("boxed", IMAGE, &["true"], "")?;
        farm.project("bare", "sandbox", &["true"], "")?;
        Ok(Self {
            home: farm.home(),
            tokens: farm.builders(CLIENTS)?,
            farm,
            engine: Engine::connect()?,
            buildbot,
        })
    }

    fn standing(&self) -> Result<Standing, String> {
        self.engine.standing(&self.home)
    }

    /// Submits all, waits for each to be over, and until no container is there but those that stand ready for the next builds: as
    /// many as before, so that a round has made and removed one for each of its builds.
    fn builds(&self, project: &str, count: usize) -> Result<Duration, String> {
        let body = serde_json::json!({"projectName": project}).to_string();
        let share = count / CLIENTS;
        let clients = self.farm.connected(&self.tokens)?;
        let begun = Instant::now();
        std::thread::scope(|threads| {
            let asking: Vec<_> = clients
                .into_iter()
                .map(|client| threads.spawn(|| builds_of(client, &body, share)))
                .collect();
            for thread in asking {
                thread
                    .join()
                    .map_err(|_panic| "a client ended".to_string())??;
            }
            Ok::<(), String>(())
        })?;
        self.gone()?;
        Ok(begun.elapsed())
    }

    fn gone(&self) -> Result<(), String> {
        let begun = Instant::now();
        let mut seen = (0, 0);
        while begun.elapsed() < GONE_MAX {
            let standing = self.standing()?.count;
            seen = (standing, self.ready()?);
            if seen == (WARM, WARM) {
                return Ok(());
            }
            std::thread::sleep(LOOK_AGAIN_AFTER);
        }
        let (standing, ready) = seen;
        Err(format!(
            "{standing} containers are there still, of which {ready} stand ready"
        ))
    }

    /// Containers that stand ready, as the farm says.
    fn ready(&self) -> Result<usize, String> {
        let shown = self.farm.client()?.ask("GET", "/metrics", "")?.body;
        let line = shown
            .lines()
            .find_map(|line| line.strip_prefix("croft_containers_ready "));
        let ready = line.ok_or("no croft_containers_ready in /metrics")?;
        ready.trim().parse().map_err(text)
    }
}

fn count(builds: usize) -> u32 {
    u32::try_from(builds).unwrap_or(u32::MAX)
}

fn builds_of(mut client: Client, body: &str, count: usize) -> Result<(), String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let started = client.granted("POST", "/v1/builds", body)?;
        ids.push(started["build"]["id"].as_str().ok_or("no id")?.to_string());
    }
    for id in ids {
        let path = format!("/v1/builds/{id}?wait=complete&timeout=30");
        let build = client.granted("GET", &path, "")?;
        if build["build"]["buildStatus"] != "SUCCEEDED" {
            return Err(format!("{id} has not succeeded: {build}"));
        }
    }
    Ok(())
}
