//! What each lifecycle event does with a container: made in Install, started in ApplicationStart, asked in ValidateService, looked at once
//! more when it has all the traffic, stopped and removed in ApplicationStop. Receives a command and an AppSpec; whatever is done twice is
//! done once.

use std::cell::{Cell, OnceCell};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use bollard::models::{ContainerInspectResponse, ExecConfig};
use bollard::query_parameters::CreateContainerOptions;
use croft_proto::deploy::{Colour, ContainerOrder, HostCommand};
use croft_spec::appspec::{Ask, Container, HealthCheck};
use futures_util::StreamExt as _;

use super::engine::{self, Containers, Engine};
use super::health::{Rule, STAYS_UP, Seen, Verdict, verdict};
use super::made::{LABEL_BROUGHT, LABEL_COLOUR, body, labels_of_group, name};
use super::{http, image};

/// How often a container that nobody can ask is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How long it may take to be up at all, where nobody can ask.
const UP_WITHIN: Duration = Duration::from_secs(30);
/// What is shown of what a check printed.
const SAID_CHARS_MAX: usize = 200;

/// Why an event of a container failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error(transparent)]
    Image(#[from] image::Error),
    #[error("there is no container {0}: Install comes first")]
    Missing(String),
    #[error("the container {name} has ended{}{}", with(*exit_code), again(*restarts))]
    Ended {
        name: String,
        /// None when it runs again: the engine has forgotten it then.
        exit_code: Option<i64>,
        restarts: i64,
    },
    #[error("the container {name} is not well after {seconds} s: {last}")]
    Unwell {
        name: String,
        seconds: u64,
        last: String,
    },
}

fn with(exit_code: Option<i64>) -> String {
    exit_code.map_or_else(String::new, |code| format!(" with exit code {code}"))
}

fn again(restarts: i64) -> String {
    match restarts {
        0 => String::new(),
        1 => ", and was started again once".to_string(),
        times => format!(", and was started again {times} times"),
    }
}

/// A command about one of this host's containers.
#[derive(Debug)]
pub(crate) struct Ordered<'a> {
    containers: &'a Containers,
    is_over: &'a AtomicBool,
    /// Reached when it is first needed: an event that only runs scripts needs none.
    engine: OnceCell<Engine<'a>>,
    was_waited_for: Cell<bool>,
    command: &'a HostCommand,
    order: ContainerOrder,
    name: String,
}

impl<'a> Ordered<'a> {
    pub(crate) fn new(
        containers: &'a Containers,
        is_over: &'a AtomicBool,
        command: &'a HostCommand,
        order: ContainerOrder,
    ) -> Self {
        Self {
            containers,
            is_over,
            engine: OnceCell::new(),
            was_waited_for: Cell::new(false),
            command,
            order,
            name: name(command, order.colour, containers.host()),
        }
    }

    /// The engine. One that does not answer is waited for, once.
    fn engine(&self) -> Result<&Engine<'a>, engine::Error> {
        if let Some(engine) = self.engine.get() {
            return Ok(engine);
        }
        let away_max = match self.was_waited_for.replace(true) {
            false => self.containers.away_max(),
            true => Duration::ZERO,
        };
        let engine = self.containers.engine(self.is_over, away_max)?;
        Ok(self.engine.get_or_init(|| engine))
    }

    /// Brings the image and makes the container beside the one that serves. Whatever else is there of the group goes.
    pub(crate) fn install(&self, archive: &Path, container: &Container) -> Result<(), Error> {
        let image = image::brought(self.engine()?, archive, &container.image)?;
        self.sweep(&image.id)?;
        let body = body(
            self.command,
            self.order,
            self.containers.host(),
            self.containers.address(),
            container,
            &image,
        );
        let options = CreateContainerOptions {
            name: Some(self.name.clone()),
            ..CreateContainerOptions::default()
        };
        let doing = format!("make the container {}", self.name);
        let making = self.engine()?.docker.create_container(Some(options), body);
        self.engine()?.ask(&doing, making)?;
        Ok(())
    }

    /// Removes all of the group's containers on this host but the other one: what a killed agent, or a group's other name, left. The image
    /// that the next one is made of stays, whichever of them it came with.
    fn sweep(&self, next_image: &str) -> Result<(), Error> {
        let kept = self.order.colour.other().name();
        let there = self
            .engine()?
            .labelled(labels_of_group(self.command, self.containers.host()))?;
        for found in there {
            let labels = found.labels.unwrap_or_default();
            let Some(id) = found
                .id
                .filter(|_| labels.get(LABEL_COLOUR).is_none_or(|colour| colour != kept))
            else {
                continue;
            };
            let image = found
                .image_id
                .filter(|image| image != next_image && is_brought(labels.get(LABEL_BROUGHT)));
            self.removed(&id, image.as_deref())?;
        }
        // One of that name without our labels is somebody's, and the engine says so.
        Ok(())
    }

    /// Removes a container, and the image that came with it.
    fn removed(&self, id: &str, image: Option<&str>) -> Result<(), Error> {
        self.engine()?.remove(id)?;
        if let Some(image) = image
            && let Err(error) = self.engine()?.remove_image(image)
        {
            tracing::warn!(%error, "an old image stays");
        }
        Ok(())
    }

    /// Starts it. One that runs is left alone.
    pub(crate) fn start(&self) -> Result<(), Error> {
        self.there()?;
        let doing = format!("start the container {}", self.name);
        let starting = self.engine()?.docker.start_container(&self.name, None);
        self.engine()?.ask(&doing, starting)?;
        Ok(())
    }

    fn there(&self) -> Result<ContainerInspectResponse, Error> {
        let found = self.engine()?.find(&self.name)?;
        found.ok_or_else(|| Error::Missing(self.name.clone()))
    }

    fn seen(&self) -> Result<Seen, Error> {
        let found = self.there()?;
        let state = found.state.unwrap_or_default();
        Ok(Seen {
            is_running: state.running.unwrap_or_default() && !state.restarting.unwrap_or_default(),
            restarts: found.restart_count.unwrap_or_default(),
            exit_code: state.exit_code.unwrap_or_default(),
        })
    }

    /// The same, while an engine that has answered before is waited for.
    fn seen_at_last(&self) -> Result<Seen, Error> {
        let begun = Instant::now();
        loop {
            match self.seen() {
                Err(Error::Engine(error))
                    if error.is_away() && begun.elapsed() < self.containers.away_max() =>
                {
                    self.engine()?.pause(LOOK)?;
                }
                seen => return seen,
            }
        }
    }

    /// Waits until it is well.
    pub(crate) fn validate(&self, container: &Container) -> Result<(), Error> {
        let check = container.health_check.as_ref();
        let rule = Rule {
            healthy_count: check.map(|check| check.healthy_count),
            within: check.map_or(UP_WITHIN.max(STAYS_UP), |check| {
                Duration::from_secs(check.within_s.into())
            }),
        };
        let pause = check.map_or(LOOK, |check| Duration::from_secs(check.interval_s.into()));
        let mut begun = Instant::now();
        let (mut good, mut last) = (0, "nobody has asked it".to_string());
        loop {
            if let Some(check) = check {
                match self.ask(check) {
                    Ok(()) => good += 1,
                    Err(Asked::Unwell(said)) => (good, last) = (0, said),
                    Err(Asked::Failed(error)) => return Err(error),
                }
            }
            let looked = Instant::now();
            let seen = self.seen_at_last()?;
            // What the engine takes to answer is not the container's time.
            begun += looked.elapsed();
            match verdict(rule, seen, good, begun.elapsed()) {
                Verdict::Well => return Ok(()),
                Verdict::Ended => return Err(self.ended(seen)),
                Verdict::Late => {
                    return Err(Error::Unwell {
                        name: self.name.clone(),
                        seconds: rule.within.as_secs(),
                        last,
                    });
                }
                Verdict::Wait => self.engine()?.pause(pause)?,
            }
        }
    }

    fn ended(&self, seen: Seen) -> Error {
        Error::Ended {
            name: self.name.clone(),
            exit_code: (!seen.is_running).then_some(seen.exit_code),
            restarts: seen.restarts,
        }
    }

    fn ask(&self, check: &HealthCheck) -> Result<(), Asked> {
        let lasts_max = Duration::from_secs(check.timeout_s.into());
        match &check.ask {
            Ask::Http(path) => {
                http::get(self.containers.address(), self.order.port, path, lasts_max)
                    .map_err(Asked::Unwell)
            }
            Ask::Command(words) => self.run(words, lasts_max),
        }
    }

    /// A command in the container.
    fn run(&self, words: &[String], lasts_max: Duration) -> Result<(), Asked> {
        let shown = words.join(" ");
        let engine = self.engine().map_err(|error| Asked::Failed(error.into()))?;
        let docker = &engine.docker;
        let running = async {
            let config = ExecConfig {
                attach_stdout: Some(true),
                attach_stderr: Some(true),
                cmd: Some(words.to_vec()),
                ..ExecConfig::default()
            };
            let made = docker.create_exec(&self.name, config).await?;
            let mut said = String::new();
            if let bollard::exec::StartExecResults::Attached { mut output, .. } =
                docker.start_exec(&made.id, None).await?
            {
                while let Some(some) = output.next().await {
                    let some = some?;
                    if said.chars().count() < SAID_CHARS_MAX {
                        said.push_str(&String::from_utf8_lossy(some.as_ref()));
                    }
                }
            }
            let ended = docker.inspect_exec(&made.id).await?;
            Ok::<_, bollard::errors::Error>((ended.exit_code.unwrap_or_default(), said))
        };
        let ran = engine
            .wait(async { tokio::time::timeout(lasts_max, running).await })
            .map_err(|error| Asked::Failed(error.into()))?;
        match ran {
            Ok(Ok((0, _))) => Ok(()),
            Ok(Ok((code, said))) => {
                let said: String = said.trim().chars().take(SAID_CHARS_MAX).collect();
                Err(Asked::Unwell(format!(
                    "{shown} ends with exit code {code}: {said}"
                )))
            }
            // As one that has ended is told; the next look at it says so.
            Ok(Err(error)) => Err(Asked::Unwell(format!("{shown} cannot be run: {error}"))),
            Err(_late) => Err(Asked::Unwell(format!(
                "{shown} has not ended after {} s",
                lasts_max.as_secs()
            ))),
        }
    }

    /// Looks whether it has stayed up.
    pub(crate) fn stayed_up(&self) -> Result<(), Error> {
        let seen = self.seen_at_last()?;
        if !seen.is_running || seen.restarts > 0 {
            return Err(self.ended(seen));
        }
        Ok(())
    }

    /// Ends it and keeps it, for people to look at.
    pub(crate) fn set_aside(&self) -> Result<(), Error> {
        Ok(self.engine()?.stop(&self.name)?)
    }

    /// Ends and removes it, with the image that came with it. One that is gone is no error.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        let Some(found) = self.engine()?.find(&self.name)? else {
            return Ok(());
        };
        self.engine()?.stop(&self.name)?;
        let labels = found.config.and_then(|config| config.labels);
        let brought = labels.as_ref().and_then(|labels| labels.get(LABEL_BROUGHT));
        let image = found.image.filter(|_| is_brought(brought));
        self.removed(&self.name, image.as_deref())
    }

    /// The last lines that it printed.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        let engine = self.engine().ok();
        let lines = engine.and_then(|engine| engine.last_lines(&self.name).ok());
        lines.unwrap_or_default()
    }

    pub(crate) const fn colour(&self) -> Colour {
        self.order.colour
    }
}

/// Why a container is not known to be well.
enum Asked {
    Unwell(String),
    Failed(Error),
}

fn is_brought(label: Option<&String>) -> bool {
    label.is_some_and(|label| label == "true")
}
