//! One attempt at a build, from the claim to its recorded end. Each step takes what the last one gave: a claim is prepared, run,
//! kept and settled, and all the while its lease is kept beside it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use croft_bus::Renewal;
use croft_exec::output::{Options, Writer};
use croft_proto::farm::{GivenBackFor, LossReason, Requested};
use croft_proto::{EventKind, NoticeLevel, Status};
use tokio::sync::watch;
use tokio::time::Instant;

use super::claim::Claimed;
use super::keep::{self, Kept};
use super::lease::{self, Hold};
use super::live::{self, Lines, Live};
use super::metrics::Metrics;
use super::parts::Parts;
use super::request::{self, Accepted, Folders};
use super::settle::{self, End, Recorded};
use super::source::{self, Bringing, NoSource, Sources};
use super::story::Story;
use super::vault::{Opened, Unserved};
use super::{places, registry};
use crate::runtime::{self, Runtime};
use crate::{Engine, NoValue, Outcome, Scratch, Stop, chain};

/// How long a build that was given back is tried to be recorded as such. Servers notice without it, a lease later.
const GIVING_BACK: Duration = Duration::from_secs(30);

/// Of a build that was asked to stop while its source and secrets were fetched.
const HALTED: &str = "it was stopped before anything of it ran";

/// How an attempt went, for whoever keeps account of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Went {
    /// Nothing was the machine's fault.
    Well,
    /// The machine failed it.
    Fault,
    /// It lacked a key or an answer of the farm's, or of its image's registry: nothing is known of the machine.
    Unserved,
}

/// Runs it to its end. `leave` says that this worker leaves: gracefully means that the build may end, now that it must be given
/// back.
///
/// # Cancel
/// Not safe; ask through `leave`.
pub(crate) async fn run(claimed: Claimed, parts: Parts, leave: watch::Receiver<Stop>) -> Went {
    if claimed.since.elapsed() >= Duration::from_millis(parts.settings.lease.kill_ms()) {
        tracing::warn!(build = %claimed.build, attempt = claimed.attempt, "its claim took a lease to be answered: it is not begun");
        if given_back(&claimed, &parts).await != Some(Recorded::Counts) {
            parts.metrics.fenced();
        }
        return Went::Well;
    }
    let (ask, stop) = watch::channel(Stop::No);
    let Ok(bus_build) = claimed.build.to_string().parse::<croft_bus::Build>() else {
        return Went::Well;
    };
    let renewal = Renewal {
        build: bus_build,
        attempt: claimed.attempt,
        worker: parts.settings.name.clone(),
    };
    let bus = Arc::clone(&parts.bus);
    let mut keeping = pin!(lease::keep(
        bus,
        renewal,
        parts.settings.lease,
        claimed.since,
        ask.clone()
    ));
    let mut leaving = pin!(told_to_leave(leave, ask));
    let (mut hold, mut leaves) = (Hold::Held, false);
    let mut made = pin!(Made::make(&claimed, &parts, stop));
    let made = loop {
        tokio::select! {
            biased;
            made = &mut made => break made,
            gone = &mut keeping, if hold != Hold::Gone => hold = gone,
            () = &mut leaving, if !leaves => leaves = true,
        }
    };
    let went = made.went();
    let recorded = if hold == Hold::Gone {
        given_back(&claimed, &parts).await
    } else {
        tokio::select! {
            recorded = made.record(&claimed, &parts, leaves) => Some(recorded),
            _ = &mut keeping => given_back(&claimed, &parts).await,
        }
    };
    if recorded != Some(Recorded::Counts) {
        parts.metrics.fenced();
        tracing::info!(build = %claimed.build, attempt = claimed.attempt, "the attempt's end counts for nothing");
    }
    made.remove(&parts.metrics).await;
    went
}

async fn told_to_leave(mut leave: watch::Receiver<Stop>, ask: watch::Sender<Stop>) {
    // A worker whose owner is gone goes on until its lease is.
    if leave.wait_for(|stop| *stop == Stop::Now).await.is_err() {
        std::future::pending::<()>().await;
    }
    lease::ask(&ask, Stop::Now);
}

/// A build whose lease is gone: others shall have it, the sooner the better.
async fn given_back(claimed: &Claimed, parts: &Parts) -> Option<Recorded> {
    let end = End::GivenBack {
        cause: GivenBackFor::Lease,
        message: "no server had answered its worker for almost a lease".into(),
        at: (parts.now)(),
    };
    let settled = settle::settle(parts.ledger.as_ref(), claimed.build, claimed.attempt, &end);
    tokio::time::timeout(GIVING_BACK, settled).await.ok()
}

/// What was made of a claim.
struct Made {
    folders: Option<Folders>,
    scratch: Option<Scratch>,
    result: Result<Outcome, Unmade>,
    unserved: Unserved,
}

/// Why a build did not run.
enum Unmade {
    /// The user's to mend.
    User(String),
    /// The machine's fault.
    Machine(String),
    /// It was asked to stop before there was anything to run.
    Halted,
}

impl Unmade {
    fn of(why: NoValue) -> Self {
        match why {
            NoValue::User(message) => Self::User(message),
            NoValue::Machine(message) => Self::Machine(message),
        }
    }
}

impl Made {
    async fn make(claimed: &Claimed, parts: &Parts, stop: watch::Receiver<Stop>) -> Self {
        let unserved = Unserved::default();
        let name = format!("{}-{}", claimed.build, claimed.attempt);
        let home = &parts.home;
        let folders = home.scratch(&name).and_then(|scratch| {
            let kept = home.kept(&name)?;
            let folders = Folders {
                name,
                kept,
                scratch: scratch.path.clone(),
            };
            Ok((scratch, folders))
        });
        let (scratch, folders) = match folders {
            Ok(folders) => folders,
            Err(error) => {
                return Self {
                    folders: None,
                    scratch: None,
                    result: Err(Unmade::Machine(format!(
                        "cannot make the build's folders: {error}"
                    ))),
                    unserved,
                };
            }
        };
        let result = Box::pin(produce(claimed, parts, &folders, &unserved, stop)).await;
        Self {
            folders: Some(folders),
            scratch: Some(scratch),
            result,
            unserved,
        }
    }

    fn went(&self) -> Went {
        match (
            self.is_fault(),
            self.unserved.happened() || self.lacks_image(),
        ) {
            (false, _) => Went::Well,
            (true, false) => Went::Fault,
            (true, true) => Went::Unserved,
        }
    }

    fn is_fault(&self) -> bool {
        match &self.result {
            Ok(outcome) => outcome.build.build_status == Status::Fault,
            Err(Unmade::User(_) | Unmade::Halted) => false,
            Err(Unmade::Machine(_)) => true,
        }
    }

    /// Its image's registry did not give it: the next build's image may be here, or come from elsewhere.
    fn lacks_image(&self) -> bool {
        self.result.as_ref().is_ok_and(|outcome| {
            let contexts = outcome
                .build
                .phases
                .iter()
                .flat_map(|phase| &phase.contexts);
            let mut codes = contexts.map(|context| context.status_code.as_str());
            codes.any(|code| code == runtime::UNABLE_TO_PULL)
        })
    }

    async fn record(&self, claimed: &Claimed, parts: &Parts, leaves: bool) -> Recorded {
        let end = self.end(claimed, parts, leaves).await;
        settle::settle(parts.ledger.as_ref(), claimed.build, claimed.attempt, &end).await
    }

    /// How the attempt ends. What it leaves is in the store before that is said.
    async fn end(&self, claimed: &Claimed, parts: &Parts, leaves: bool) -> End {
        if let Some((cause, message)) = self.given_back_for(&claimed.story, leaves) {
            return End::GivenBack {
                cause,
                message,
                at: (parts.now)(),
            };
        }
        let kept = match &self.folders {
            Some(folders) => Some(keep::keep(&parts.kept, &folders.kept, parts.now).await),
            None => None,
        };
        let (kept, unkept) = match kept {
            Some(Ok(kept)) => (Some(kept), None),
            Some(Err(why)) => (
                None,
                Some(format!("what the build left could not be stored: {why}")),
            ),
            None => (None, None),
        };
        let at = (parts.now)();
        match &self.result {
            Ok(outcome) => {
                let has_artifacts = !outcome.summary.artifacts.is_empty();
                let status = outcome.build.build_status;
                let is_robbed = status == Status::Succeeded && has_artifacts && unkept.is_some();
                let status = if is_robbed { Status::Fault } else { status };
                End::Settled {
                    status,
                    message: unkept,
                    build: Some(Box::new(settle::record(outcome, kept.as_ref()))),
                    at,
                }
            }
            Err(Unmade::User(message)) => settled(Status::Failed, message, kept, at),
            Err(Unmade::Machine(message)) => settled(Status::Fault, message, kept, at),
            Err(Unmade::Halted) => settled(Status::Stopped, HALTED, kept, at),
        }
    }

    /// Why others shall have it, if they shall. A machine's fault that is the last that the build may have is its outcome.
    fn given_back_for(&self, story: &Story, leaves: bool) -> Option<(GivenBackFor, String)> {
        if leaves {
            let message = "its worker was told to leave".to_string();
            return Some((GivenBackFor::Leaving, message));
        }
        if matches!(self.result, Err(Unmade::Halted)) {
            return Some((GivenBackFor::Unsaid, self.fault()));
        }
        let message = self.is_fault().then(|| self.fault())?;
        let cause = GivenBackFor::Machine;
        let submitted = story.submitted.as_ref();
        let attempts_max = submitted.map_or(1, |submitted| submitted.attempts_max);
        let with_this = story.losses.and(&LossReason::GivenBack {
            message: String::new(),
            cause,
        });
        (!with_this.is_last(attempts_max)).then_some((cause, message))
    }

    fn fault(&self) -> String {
        match &self.result {
            Ok(outcome) => outcome
                .summary
                .failure_message
                .clone()
                .unwrap_or_else(|| "its worker's machine failed it".into()),
            Err(Unmade::User(message) | Unmade::Machine(message)) => message.clone(),
            Err(Unmade::Halted) => HALTED.to_string(),
        }
    }

    /// Takes away what was made.
    async fn remove(self, metrics: &Metrics) {
        let counting = metrics.clone();
        let removed = tokio::task::spawn_blocking(move || {
            let kept = self.folders.map(|folders| folders.kept);
            for folder in kept
                .iter()
                .chain(self.scratch.iter().map(|scratch| &scratch.path))
            {
                if let Err(error) = crate::sweep::remove(folder) {
                    counting.leaked();
                    tracing::warn!(%error, folder = %folder.display(), "left for the next start's sweep");
                }
            }
        });
        if let Err(error) = removed.await {
            metrics.leaked();
            tracing::warn!(%error, "a build's folders are left for the next start's sweep");
        }
    }
}

fn settled(status: Status, message: &str, kept: Option<Kept>, at: croft_proto::Timestamp) -> End {
    let kept = kept.map(|kept| Box::new(serde_json::json!({"kept": kept})));
    End::Settled {
        status,
        message: Some(message.to_string()),
        build: kept,
        at,
    }
}

/// Runs the build with the engine.
async fn produce(
    claimed: &Claimed,
    parts: &Parts,
    folders: &Folders,
    unserved: &Unserved,
    stop: watch::Receiver<Stop>,
) -> Result<Outcome, Unmade> {
    let lines = Arc::new(Lines::default());
    let build = claimed.build.to_string().parse();
    let build: croft_bus::Build =
        build.map_err(|error: croft_bus::NameError| Unmade::Machine(error.to_string()))?;
    let writer = writer(parts, folders, &lines).map_err(Unmade::Machine)?;
    let sending = live::send(
        Arc::clone(&lines),
        Arc::clone(&parts.bus),
        build,
        claimed.attempt,
        parts.metrics.clone(),
    );
    let running = async {
        let outcome = execute(claimed, parts, folders, (&writer, unserved), stop).await;
        if let Err(unmade) = &outcome {
            let message = match unmade {
                Unmade::User(message) | Unmade::Machine(message) => message.as_str(),
                Unmade::Halted => HALTED,
            };
            writer.emit(EventKind::Notice {
                level: NoticeLevel::Error,
                message: message.to_string(),
            });
            writer.finish();
        }
        outcome
    };
    let (outcome, ()) = tokio::join!(running, sending);
    outcome
}

fn writer(parts: &Parts, folders: &Folders, lines: &Arc<Lines>) -> Result<Arc<Writer>, String> {
    let file = std::fs::File::create(folders.events())
        .map_err(|error| format!("cannot record the build's events: {error}"))?;
    let now = parts.now;
    let made = Writer::create(Options {
        log_path: folders.log(),
        sink: Box::new(Live::new(Arc::clone(lines), file)),
        clock: Box::new(now),
        secrets: Vec::new(),
    });
    let writer = made.map_err(|error| chain(&error))?;
    Ok(Arc::new(writer.paced_by(lines.pace())))
}

/// Waits until the build is asked to stop. Whoever is gone asks no more.
async fn halted(stop: &mut watch::Receiver<Stop>) {
    if stop.wait_for(|stop| *stop > Stop::No).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Where it runs; its image's registry is asked as whom the project says.
async fn runtime(
    requested: &Requested,
    parts: &Parts,
    (vault, writer): (&Opened, &Writer),
    mut halt: watch::Receiver<Stop>,
) -> Result<Arc<dyn Runtime>, Unmade> {
    let environment = &requested.environment;
    let login = tokio::select! {
        login = registry::login(environment, vault) => login.map_err(Unmade::of)?,
        () = halted(&mut halt) => return Err(Unmade::Halted),
    };
    if let Some(login) = &login {
        writer.add_secret(&login.password);
    }
    let place = parts.places.of(environment, login);
    place.map_err(|places::Unplaced { message }| Unmade::User(message))
}

async fn execute(
    claimed: &Claimed,
    parts: &Parts,
    folders: &Folders,
    (writer, unserved): (&Arc<Writer>, &Unserved),
    stop: watch::Receiver<Stop>,
) -> Result<Outcome, Unmade> {
    let Some(submitted) = claimed.story.submitted.as_deref() else {
        return Err(Unmade::Machine("the build's submission is gone".into()));
    };
    let requested: Requested = serde_json::from_value((*submitted.request).clone())
        .map_err(|error| Unmade::User(format!("what was submitted cannot be read: {error}")))?;
    let vault = Arc::new(Opened {
        ledger: Arc::clone(&parts.ledger),
        keys: parts.keys.clone(),
        pool: submitted.pool.clone(),
        project: submitted.project.clone(),
        unserved: unserved.clone(),
    });
    let runtime = runtime(&requested, parts, (vault.as_ref(), writer), stop.clone()).await?;
    let bringing = Bringing {
        kept: &parts.kept,
        home: &parts.home,
        own: &parts.own,
        folders,
        vault: vault.as_ref(),
        now: (parts.now)(),
    };
    let begun = Instant::now();
    let mut halt = stop.clone();
    let sources = tokio::select! {
        sources = source::bring(&requested, &bringing) => sources,
        // The engine sees the same stop before it looks at any source.
        () = halted(&mut halt) => Sources::none(folders),
    };
    parts.metrics.brought(&submitted.pool, begun.elapsed());
    let sources = sources.map_err(|none| match none {
        NoSource::User(message) => Unmade::User(message),
        NoSource::Machine(message) => Unmade::Machine(message),
    })?;
    let accepted = Accepted {
        uuid: claimed.build.to_string(),
        submitted,
        at: claimed.story.submitted_at,
        requested: &requested,
    };
    let request = request::request(&accepted, parts, folders, &sources, vault);
    let mut halt = stop.clone();
    let (request, secrets) = tokio::select! {
        request = request => request.map_err(Unmade::of)?,
        // A key of the pool's may be waited for, or a secret that is to be sealed for it.
        () = halted(&mut halt) => {
            return Err(Unmade::Halted);
        }
    };
    for secret in &secrets {
        writer.add_secret(secret);
    }
    let engine = Engine {
        runtime,
        cache: parts.cache.clone(),
        writer: Arc::clone(writer),
        clock: parts.now,
    };
    let outcome = crate::run(&request, &engine, stop).await;
    parts
        .metrics
        .ended(&submitted.project, &submitted.pool, &outcome);
    // Until now its files were mounted.
    drop(sources);
    Ok(outcome)
}

#[cfg(test)]
mod tests;
