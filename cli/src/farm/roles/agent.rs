//! `croft agent` beside a server: a host that is deployed to asks its farm what to do, has `croft-agent` do it, and says how that went.
//! It only ever calls; nobody calls it.

/// Calls that the host signs.
mod calls;
/// What scripts print.
mod output;
/// A revision from the farm's store.
mod revision;

use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use croft_agent::{Containers, Host, Settings, Spool};
use croft_keys::{Signer, words_of_invitation};
use croft_proto::deploy::{
    Commands, DeploymentId, Diagnostics, Enrolling, HOST_REVOKED, Has, Heard, HostCommand,
    HostReport, Invitation, LifecycleEvent, Poll, ReportAnswer, Reported, ScriptErrorCode,
};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::args::Global;
use crate::exit::{Exit, Wrong};
use crate::farm::client::connection::Connection;
use crate::farm::client::problem::Problem;
use crate::farm::client::{Failure, Farm};
use crate::output::{say, text};
use crate::signals::Signals;
use crate::surroundings::{self, Surroundings};
use calls::Calls;
use revision::FromFarm;

/// How long one poll waits at the server.
const POLL_SECONDS: u64 = 25;
/// The pause after a call that failed, doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// The same where the farm is there and does not know the host: a clock is to be set, or a person to come.
const PAUSE_REFUSED_MAX: Duration = Duration::from_secs(60);
/// For how long the farm says that this host was revoked before that is believed: of several servers one may be a moment behind, and does
/// not know yet that the host was let in again.
const REVOKED_FOR: Duration = Duration::from_secs(3);
/// How long an agent that ends may take, until the next one says that there is another.
const ENDING_MAX: Duration = Duration::from_secs(3);
const ENDING_LOOK: Duration = Duration::from_millis(100);

/// Which farm this host belongs to, in a file of its state.
#[derive(Debug, Serialize, Deserialize)]
struct Membership {
    server: String,
    host: String,
}

impl Membership {
    /// # Errors
    /// When the file is not there, or cannot be understood: an invitation mends both.
    fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Wrong(format!(
                    "this host belongs to no farm: ask an administrator for an invitation (`croft host invite NAME`), then start `croft agent --server URL --invitation TOKEN`; {shown} says so once it does"
                ))
                .into());
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
        };
        serde_json::from_slice(&bytes)
            .with_context(|| format!("{shown} is damaged: enrol again, with --invitation"))
    }
}

/// A host of a farm.
struct Member {
    calls: Arc<Calls>,
    host: Arc<Host>,
    /// What scripts print.
    spool: Arc<Spool>,
    /// Events that run, so that one that is told again is not begun again.
    running: Mutex<HashSet<(DeploymentId, LifecycleEvent)>>,
    /// Ends what runs.
    is_over: AtomicBool,
}

/// Runs until a signal.
///
/// # Errors
/// When this host belongs to no farm, or to none any more, or its state cannot be used.
pub(crate) fn run(
    global: &Global,
    farm: Option<Farm>,
    invitation: Option<&str>,
    insecure_http: bool,
    publish: IpAddr,
) -> anyhow::Result<Exit> {
    let surroundings = Surroundings::read(global)?;
    let state = surroundings.home.path().join("agent");
    std::fs::create_dir_all(&state).with_context(|| format!("cannot make {}", state.display()))?;
    let _only = alone(&state)?;
    super::run_lean(async move {
        let mut signals = Signals::new().context("cannot wait for signals")?;
        let calls = member_of(&state, farm, invitation, insecure_http).await?;
        text(&format!("host {} of {}\n", calls.host(), calls.server()))?;
        let environment = std::env::vars_os()
            .filter(|(name, _)| !name.to_string_lossy().starts_with("CROFT_"))
            .collect();
        let docker_host = std::env::var("DOCKER_HOST").ok();
        let runtime = tokio::runtime::Handle::current();
        // Files are deployed without an engine: a container's event says what is wrong with it.
        let containers = Containers::new(runtime, calls.host(), publish, docker_host.as_deref())
            .inspect_err(|why| tracing::warn!(why, "this host runs no containers"));
        let settings = Settings {
            containers,
            ..Settings::new(environment, surroundings::now)
        };
        let host = Host::open(&state, settings)?;
        let member = Arc::new(Member {
            calls: Arc::new(calls),
            host: Arc::new(host),
            spool: Arc::default(),
            running: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let mut tasks = JoinSet::new();
        let printing = Arc::clone(&member);
        tasks.spawn(async move { output::send(&*printing.calls, &printing.spool).await });
        let begun = Arc::clone(&member);
        let left = tokio::task::spawn_blocking(move || begun.host.interrupted()).await??;
        for command in left {
            tracing::info!(deployment = %command.deployment_id, event = %command.event, "it goes on");
            member.begin(command, &mut tasks);
        }
        tokio::select! {
            () = signals.next() => {
                say("ending; what runs is ended");
                member.is_over.store(true, Ordering::Relaxed);
                tasks.shutdown().await;
                Ok(Exit::Succeeded)
            }
            out = serve(&member) => {
                member.is_over.store(true, Ordering::Relaxed);
                tasks.shutdown().await;
                Err(out)
            }
        }
    })
}

/// Asks, does and says, until the host is none of the farm's any more: then there is nothing that asking again could change.
/// A state is one agent's: two would share a host's events, and each know half of what was done. One that is just ending is waited for.
fn alone(state: &Path) -> anyhow::Result<File> {
    let path = state.join("agent.lock");
    let cannot = || format!("cannot lock {}", path.display());
    let lock = File::create(&path).with_context(cannot)?;
    let begun = std::time::Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if begun.elapsed() < ENDING_MAX => {
                std::thread::sleep(ENDING_LOOK);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(Wrong(format!(
                    "another croft agent works with {}: end it, or give this one a CROFT_HOME of its own",
                    state.display()
                ))
                .into());
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
        }
    }
}

async fn serve(member: &Arc<Member>) -> anyhow::Error {
    let mut tasks = JoinSet::new();
    let mut pause = PAUSE_MIN;
    let (mut fresh, mut was_away) = (true, true);
    let mut revoked = None;
    loop {
        // What has ended has said so.
        while tasks.try_join_next().is_some() {}
        let has = if was_away { member.has().await } else { None };
        let poll = Poll {
            has,
            fresh,
            wait_seconds: POLL_SECONDS,
        };
        match member.calls.json::<Commands>("poll", &poll).await {
            Ok(told) => {
                revoked = None;
                (pause, fresh, was_away) = (PAUSE_MIN, false, poll.has.is_none() && was_away);
                for command in told.commands {
                    member.begin(command, &mut tasks);
                }
            }
            Err(error) => {
                let refusal = refusal(&error);
                let is_revoked = refusal.filter(|refusal| refusal.code == HOST_REVOKED);
                revoked = is_revoked.and(revoked.or_else(|| Some(Instant::now())));
                if let (Some(refusal), Some(since)) = (is_revoked, revoked)
                    && since.elapsed() >= REVOKED_FOR
                {
                    return Wrong(format!(
                        "{refusal}. Start `croft agent --server {} --invitation TOKEN` with what that prints; this agent ends, and what runs is ended",
                        member.calls.server()
                    ))
                    .into();
                }
                // Of what is not believed yet nobody has to hear.
                if revoked.is_none() {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "the farm does not say what to do"
                    );
                }
                was_away = true;
                tokio::time::sleep(pause).await;
                let is_refused = refusal.is_some_and(Problem::is_callers);
                let longest = if is_refused && revoked.is_none() {
                    PAUSE_REFUSED_MAX
                } else {
                    PAUSE_MAX
                };
                pause = (pause * 2).min(longest);
            }
        }
    }
}

/// What the farm says of a call that it refused.
fn refusal(error: &anyhow::Error) -> Option<&Problem> {
    match error.downcast_ref::<Failure>()? {
        Failure::Refused(problem) => Some(problem),
        Failure::Nobody { .. }
        | Failure::Unreachable { .. }
        | Failure::Broken { .. }
        | Failure::Silent { .. }
        | Failure::Strange { .. } => None,
    }
}

impl Member {
    /// What this host has of every group; none when that cannot be read now, and is said later.
    async fn has(self: &Arc<Self>) -> Option<Vec<Has>> {
        let member = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || member.host.has()).await;
        let error = match read {
            Ok(Ok(has)) => return Some(has),
            Ok(Err(error)) => format!("{:#}", anyhow::Error::from(error)),
            Err(error) => error.to_string(),
        };
        tracing::warn!(error, "it cannot be said what this host has");
        None
    }

    /// Has a command's event done beside everything else, unless it is being done.
    fn begin(self: &Arc<Self>, command: HostCommand, tasks: &mut JoinSet<()>) {
        let key = (command.deployment_id.clone(), command.event);
        if !self.running().insert(key.clone()) {
            return;
        }
        let member = Arc::clone(self);
        tasks.spawn(async move {
            member.done(command).await;
            member.running().remove(&key);
        });
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashSet<(DeploymentId, LifecycleEvent)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn done(self: &Arc<Self>, command: HostCommand) {
        tracing::info!(deployment = %command.deployment_id, event = %command.event, "begun");
        let begun = report(&command, Reported::InProgress, None);
        let mut performing = std::pin::pin!(self.performed(command.clone()));
        // Until it is heard: an event that nobody knows to have begun is taken for one of a host that is gone.
        let diagnostics = tokio::select! {
            diagnostics = &mut performing => diagnostics,
            () = self.say(&begun) => performing.await,
        };
        let status = match diagnostics.error_code {
            ScriptErrorCode::Success => Reported::Succeeded,
            ScriptErrorCode::ScriptMissing
            | ScriptErrorCode::ScriptNotExecutable
            | ScriptErrorCode::ScriptTimedOut
            | ScriptErrorCode::ScriptFailed
            | ScriptErrorCode::UnknownError => Reported::Failed,
        };
        tracing::info!(
            deployment = %command.deployment_id, event = %command.event, message = diagnostics.message, ?status, "over"
        );
        self.say(&report(&command, status, Some(Box::new(diagnostics))))
            .await;
    }

    /// The event, done.
    async fn performed(self: &Arc<Self>, command: HostCommand) -> Diagnostics {
        let member = Arc::clone(self);
        let runtime = tokio::runtime::Handle::current();
        let printed = Arc::new(self.spool.watch(&command, surroundings::now()));
        let printing = Arc::clone(&printed);
        let performing = tokio::task::spawn_blocking(move || {
            let bundle = FromFarm {
                calls: Arc::clone(&member.calls),
                runtime,
                digest: command.revision.digest.clone(),
            };
            member
                .host
                .run(&command, &bundle, &*printing, &member.is_over)
        });
        let performed = performing.await;
        // Who follows has the last lines before the end.
        printed.handed_over(output::LAST_LINES).await;
        let diagnostics = match performed {
            Ok(Ok(diagnostics)) => diagnostics,
            Ok(Err(error)) => failed(format!("{:#}", anyhow::Error::from(error))),
            Err(error) => failed(error.to_string()),
        };
        // What comes later is taken, and what never comes is said to be missing.
        Diagnostics {
            printed: printed.unsent(),
            ..diagnostics
        }
    }

    /// Until it is heard: what is done must be known.
    async fn say(&self, report: &HostReport) {
        let mut pause = PAUSE_MIN;
        loop {
            match self.say_once(report).await {
                Ok(Heard::Recorded | Heard::Stale) => return,
                Ok(Heard::Later) => pause = PAUSE_MIN,
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "the farm does not hear how an event ended"
                    );
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn say_once(&self, report: &HostReport) -> anyhow::Result<Heard> {
        let answer: ReportAnswer = self.calls.json("reports", report).await?;
        Ok(answer.answer)
    }
}

fn report(
    command: &HostCommand,
    status: Reported,
    diagnostics: Option<Box<Diagnostics>>,
) -> HostReport {
    HostReport {
        deployment_id: command.deployment_id.clone(),
        generation: command.generation,
        event: command.event,
        status,
        diagnostics,
    }
}

fn failed(message: String) -> Diagnostics {
    Diagnostics {
        error_code: ScriptErrorCode::UnknownError,
        script_name: String::new(),
        message,
        log_tail: String::new(),
        script_from_deployment: None,
        printed: None,
    }
}

/// This host's farm: the one that the invitation is of, or the one that it belongs to.
async fn member_of(
    state: &Path,
    farm: Option<Farm>,
    invitation: Option<&str>,
    insecure_http: bool,
) -> anyhow::Result<Calls> {
    let signer = Signer::open_or_make(&state.join("host.key"))?;
    let path = state.join("farm.json");
    let Some(token) = invitation else {
        let known = Membership::read(&path)?;
        let farm = match farm {
            Some(farm) => farm,
            None => Farm::new(Connection::to(&known.server)?)?,
        };
        check_way(&farm, insecure_http)?;
        return Ok(Calls::new(farm, signer, known.host));
    };
    let farm =
        farm.ok_or_else(|| Wrong("--invitation: say at which server, with --server".into()))?;
    check_way(&farm, insecure_http)?;
    let words = words_of_invitation(token).ok_or_else(|| {
        Wrong("--invitation: that is none; `croft host invite NAME` prints one".into())
    })?;
    let words: Invitation =
        serde_json::from_slice(&words).context("the invitation cannot be read")?;
    let enrolling = Enrolling {
        token: token.to_string(),
        public_key: signer.key_id().to_string(),
    };
    let membership = Membership {
        server: farm.connection.server.to_string(),
        host: words.host,
    };
    calls::enrol(&farm, &enrolling).await?;
    write(&path, &membership)?;
    Ok(Calls::new(farm, signer, membership.host))
}

/// What a server says is run as root: nobody on the way may say it in its place.
fn check_way(farm: &Farm, insecure_http: bool) -> Result<(), Wrong> {
    let connection = &farm.connection;
    if connection.server.scheme() != "http" || connection.is_loopback() || insecure_http {
        return Ok(());
    }
    Err(Wrong(format!(
        "{} is plain HTTP to another machine: whoever is on the way could have this host run anything as root. Use https://, or --insecure-http where the network is your own",
        connection.server
    )))
}

fn write(path: &Path, membership: &Membership) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(membership)?;
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
