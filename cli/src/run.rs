//! `croft run`: one build, on this machine, without a server. Words become a request, the engine runs it, a rendering shows
//! it, signals stop it; afterwards its result is kept and everything it used is removed.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use croft_cache::Store;
use croft_exec::output::{Options, Sink, Writer};
use croft_proto::{Build, Event, EventKind, Level, NoticeLevel, PhaseType, Status};
use croft_worker::runtime::container::{self, Container};
use croft_worker::runtime::sandbox::Sandbox;
use croft_worker::runtime::{Runtime, install_runner};
use croft_worker::{
    BuildRequest, Engine, Home, Outcome, Packaging, PrimarySource, Scratch, Stop, address,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::args::{Global, Packing, Pull, RunWords, Show};
use crate::exit::{Exit, Wrong};
use crate::output;
use crate::plan::{self, Sources};
use crate::render::{Ndjson, Plain, Size, Terminal};
use crate::surroundings::{Surroundings, absolute, now, person, person_home, real};
use crate::sweep;

/// How often a live rendering is told that time passes.
const TICK: Duration = Duration::from_millis(100);
/// After a second signal, how long what runs may take to notice.
const AT_ONCE: Duration = Duration::from_secs(3);

pub(crate) fn run(global: &Global, words: &RunWords) -> anyhow::Result<Exit> {
    plan::check(words)?;
    let sources = plan::sources(words)?;
    let surroundings = Surroundings::read(global)?;
    refuse_state_in_source(&sources, &surroundings)?;
    refuse_artifacts_over_source(words, &sources)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let end = runtime.block_on(build(words, sources, &surroundings));
    // A thread that hangs in a mount must not hold up who has his answer.
    runtime.shutdown_timeout(AT_ONCE);
    end
}

/// A source that holds Croft's own state would be built with it, and could not be overlaid.
fn refuse_state_in_source(sources: &Sources, surroundings: &Surroundings) -> anyhow::Result<()> {
    sources
        .folders()
        .try_for_each(|folder| refuse_state_in(folder, surroundings))
}

/// The same of one folder.
pub(crate) fn refuse_state_in(folder: &Path, surroundings: &Surroundings) -> anyhow::Result<()> {
    let own = [surroundings.home.path(), surroundings.cache_dir.as_path()];
    match own.into_iter().find(|own| own.starts_with(folder)) {
        Some(inside) => Err(Wrong(format!(
            "Croft's state {} lies in the source {}: move it with --home or --cache-dir",
            inside.display(),
            folder.display()
        ))
        .into()),
        None => Ok(()),
    }
}

/// Artifacts bear the names of a source's files, and would replace them.
fn refuse_artifacts_over_source(words: &RunWords, sources: &Sources) -> anyhow::Result<()> {
    let Some(named) = &words.artifacts else {
        return Ok(());
    };
    let artifacts = real(named)?;
    match sources
        .folders()
        .find(|folder| folder.starts_with(&artifacts))
    {
        Some(folder) => Err(Wrong(format!(
            "artifacts in {} would replace files of the source {}: name a folder of their own, such as -a {}",
            artifacts.display(),
            folder.display(),
            named.join("out").display()
        ))
        .into()),
        None => Ok(()),
    }
}

async fn build(
    words: &RunWords,
    sources: Sources,
    surroundings: &Surroundings,
) -> anyhow::Result<Exit> {
    let home = &surroundings.home;
    let swept = sweep::sweep(home).await;
    let uuid = uuid::Uuid::new_v4().to_string();
    let scratch = home
        .scratch(&uuid)
        .context("cannot make the build's folder")?;
    let prepared = prepare(words, sources, surroundings, &uuid, &scratch);
    let (request, engine) = prepared.inspect_err(|_| {
        // Nothing was started, so the next start need not look for what is left.
        croft_worker::sweep::remove(&scratch.path).unwrap_or_default();
    })?;
    let end = watched(&request, &engine).await?;
    let exit = finish(words, home, &request, scratch, end).await;
    if swept {
        // An engine may have gone on making what a killed croft had asked it for.
        sweep::containers(home).await;
    }
    exit
}

/// All that a build needs, out of the words.
fn prepare(
    words: &RunWords,
    sources: Sources,
    surroundings: &Surroundings,
    uuid: &str,
    scratch: &Scratch,
) -> anyhow::Result<(BuildRequest, Engine)> {
    let request = request(words, sources, surroundings, uuid, scratch)?;
    let cache = open_cache(words, surroundings);
    let runtime = place(words, &surroundings.home)?;
    let (writer, cache) = start_writer(words, &request, cache)?;
    let engine = Engine {
        runtime,
        cache,
        writer,
        clock: now,
    };
    Ok((request, engine))
}

fn request(
    words: &RunWords,
    sources: Sources,
    surroundings: &Surroundings,
    uuid: &str,
    scratch: &Scratch,
) -> anyhow::Result<BuildRequest> {
    let home = &surroundings.home;
    let buildspec = plan::buildspec(words.buildspec.as_deref(), &sources.primary)?;
    let overrides = plan::variables(words.env_file.as_deref(), &words.env)?;
    let secrets = plan::secrets(words)?;
    let (credentials, extra_folders) = plan::credentials(words);
    let timeout = crate::files::parse_time(&words.timeout)
        .map_err(|reason| Wrong(format!("--timeout: {reason}")))?;
    let kept = home
        .kept(uuid)
        .context("cannot make the folder for the build's log")?;
    let (build_number, expected) = home
        .next_build(&sources.project)
        .context("cannot count the project's builds")?;
    let folder = |named: &Option<std::path::PathBuf>, name: &str| match named {
        Some(path) => absolute(path),
        None => Ok(kept.join(name)),
    };
    let region = ["AWS_REGION", "AWS_DEFAULT_REGION"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok());
    Ok(BuildRequest {
        project: sources.project,
        cache_scope: sources.cache_scope,
        uuid: uuid.to_string(),
        folder_name: uuid.to_string(),
        build_number,
        submitted: None,
        is_local: true,
        initiator: person(),
        image: words.image.clone().unwrap_or_else(|| "sandbox".to_string()),
        source: kept_in(home, sources.primary),
        secondary_sources: sources.secondary,
        secondary_repositories: Vec::new(),
        in_place: words.in_place,
        source_is_own: false,
        buildspec,
        overrides,
        secrets,
        credentials,
        extra_folders,
        region: region.unwrap_or_else(|| "us-east-1".to_string()),
        timeout,
        artifacts_directory: folder(&words.artifacts, "artifacts")?,
        packaging: match words.packaging {
            Packing::None => Packaging::None,
            Packing::Zip => Packaging::Zip,
        },
        reports_directory: folder(&words.reports, "reports")?,
        expected,
        directory: scratch.path.clone(),
        hidden: vec![home.path().to_path_buf(), surroundings.cache_dir.clone()],
        log_path: kept.join("build.log"),
    })
}

/// What is fetched of a repository is kept for the next build of it.
fn kept_in(home: &Home, mut source: PrimarySource) -> PrimarySource {
    if let PrimarySource::Git(repository) = &mut source {
        repository.mirrors = Some(home.mirrors());
    }
    source
}

/// A cache that cannot be opened is said and done without.
fn open_cache(words: &RunWords, surroundings: &Surroundings) -> Result<Option<Store>, String> {
    if words.no_cache {
        return Ok(None);
    }
    surroundings
        .open_cache()
        .map(Some)
        .map_err(|error| format!("{:#}", anyhow::Error::from(error)))
}

fn place(words: &RunWords, home: &Home) -> anyhow::Result<Arc<dyn Runtime>> {
    let runner = install_runner(home.path())?;
    let Some(image) = &words.image else {
        let environment = std::env::vars_os()
            .map(|(name, value)| (name.into_encoded_bytes(), value.into_encoded_bytes()))
            .collect();
        return Ok(Arc::new(Sandbox::new(runner, person_home(), environment)));
    };
    let mut options = container::Options::new(image.clone());
    options.pull = match words.pull {
        Pull::Always => container::Pull::Always,
        Pull::Missing => container::Pull::Missing,
        Pull::Never => container::Pull::Never,
    };
    options.privileged = words.privileged;
    options.network.clone_from(&words.network);
    if let Some(text) = &words.memory {
        let bytes = container::parse_memory_bytes(text);
        options.limits.memory_bytes =
            Some(bytes.map_err(|reason| Wrong(format!("--memory: {reason}")))?);
    }
    if let Some(text) = &words.cpus {
        let millis = container::parse_cpu_millis(text);
        options.limits.cpu_millis =
            Some(millis.map_err(|reason| Wrong(format!("--cpus: {reason}")))?);
    }
    if let Some(count) = words.pids {
        options.limits.processes_max = count;
    }
    Ok(Arc::new(Container::new(
        runner,
        home.path().to_path_buf(),
        sweep::docker(),
        options,
    )))
}

fn start_writer(
    words: &RunWords,
    request: &BuildRequest,
    cache: Result<Option<Store>, String>,
) -> anyhow::Result<(Arc<Writer>, Option<Arc<Store>>)> {
    // Whatever the caller's AWS settings hold may be a credential.
    let is_secret = |name: &str| ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"].contains(&name);
    let credentials = request
        .credentials
        .iter()
        .filter(|(name, _)| is_secret(name))
        .map(|(_, value)| value.clone());
    let address = match &request.source {
        PrimarySource::Git(repository) => address::secrets(&repository.url),
        PrimarySource::Folder(_) => Vec::new(),
    };
    let secrets = credentials
        .chain(request.secrets.values.values().cloned())
        .chain(address)
        .chain(secrets_of_ways())
        .collect();
    let options = Options {
        log_path: request.log_path.clone(),
        sink: sink(words.output),
        clock: Box::new(now),
        secrets,
    };
    let writer = Arc::new(Writer::create(options)?);
    let cache = match cache {
        Ok(store) => store.map(Arc::new),
        Err(reason) => {
            let message = format!("the cache cannot be used, the build goes on without: {reason}");
            writer.emit(EventKind::Notice {
                level: NoticeLevel::Warning,
                message,
            });
            None
        }
    };
    Ok((writer, cache))
}

/// Passwords in the addresses by which a build's tools find their way out: proxies, and indexes of packages.
fn secrets_of_ways() -> Vec<String> {
    let is_way = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.ends_with("_proxy") || name == "goproxy" || name.starts_with("pip_")
    };
    let ways = std::env::vars_os()
        .filter(|(name, _)| is_way(&name.to_string_lossy()))
        .map(|(_, value)| value.to_string_lossy().into_owned());
    ways.flat_map(|value| {
        let addresses = value.split([' ', ',', '|']);
        addresses.flat_map(address::secrets).collect::<Vec<_>>()
    })
    .collect()
}

/// The rendering that was asked for, on standard output.
pub(crate) fn sink(show: Show) -> Box<dyn Sink> {
    let out = io::stdout();
    let style = output::style(&out);
    let live = show == Show::Auto
        && out.is_terminal()
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    let direct = standard_output();
    match show {
        Show::Ndjson => Box::new(Ndjson::new(direct)),
        Show::Json => Box::new(LastEvent),
        Show::Auto if live => Box::new(Terminal::new(direct, style, terminal_size)),
        Show::Auto | Show::Plain => Box::new(Plain::new(direct, style)),
    }
}

/// Standard output for whoever writes whole pieces: the standard library's line buffer would only cut them up again.
pub(crate) fn standard_output() -> Box<dyn Write + Send> {
    let out = io::stdout();
    match out.as_fd().try_clone_to_owned() {
        Ok(descriptor) => Box::new(std::fs::File::from(descriptor)),
        Err(_) => Box::new(out),
    }
}

fn terminal_size() -> Size {
    let size = rustix::termios::tcgetwinsize(io::stdout());
    size.map_or(
        Size {
            columns: 80,
            rows: 24,
        },
        |size| Size {
            columns: size.ws_col,
            rows: size.ws_row,
        },
    )
}

/// Prints the finished build and nothing else.
struct LastEvent;

impl Sink for LastEvent {
    fn event(&mut self, event: &Event) {
        if matches!(event.kind, EventKind::BuildCompleted { .. }) {
            let json = serde_json::to_string_pretty(event).unwrap_or_default();
            // A reader that went away does not change the build's outcome.
            output::text(&format!("{json}\n")).unwrap_or_default();
        }
    }

    fn output(&mut self, _chunk: &croft_exec::output::Chunk<'_>) {}
}

/// How the engine's run ended.
struct End {
    /// `None` when it did not end by itself in time.
    outcome: Option<Box<Outcome>>,
    /// Told twice to stop.
    at_once: bool,
}

/// Runs the build while time passes and signals come.
async fn watched(request: &BuildRequest, engine: &Engine) -> anyhow::Result<End> {
    let (ask, stop) = watch::channel(Stop::No);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let running = croft_worker::run(request, engine, stop);
    tokio::pin!(running);
    let mut limit = None;
    loop {
        let told = tokio::select! {
            biased;
            outcome = &mut running => {
                return Ok(End {
                    outcome: Some(Box::new(outcome)),
                    at_once: *ask.borrow() == Stop::Now,
                });
            }
            _ = interrupt.recv() => true,
            _ = terminate.recv() => true,
            _ = hang_up.recv() => true,
            _ = tick.tick() => false,
        };
        if limit.is_some_and(|limit| tokio::time::Instant::now() >= limit) {
            return Ok(End {
                outcome: None,
                at_once: true,
            });
        }
        if !told {
            engine.writer.tick();
            continue;
        }
        let again = *ask.borrow() != Stop::No;
        ask.send_replace(if again { Stop::Now } else { Stop::Gracefully });
        if again {
            limit.get_or_insert(tokio::time::Instant::now() + AT_ONCE);
        } else {
            let message = "stopping: the running command is told to end, `finally` still runs; once more to end at once";
            engine.writer.emit(EventKind::Notice {
                level: NoticeLevel::Warning,
                message: message.into(),
            });
        }
    }
}

async fn finish(
    words: &RunWords,
    home: &Home,
    request: &BuildRequest,
    scratch: Scratch,
    end: End,
) -> anyhow::Result<Exit> {
    let outcome = end.outcome.as_ref();
    let cut_short = outcome.is_none_or(|outcome| was_cut_short_in_provisioning(&outcome.build));
    if cut_short && words.image.is_some() {
        // The engine may still be making a container that was asked for. What is there goes now; the folder stays, by which
        // the next start finds what comes later.
        home.expect_containers()
            .unwrap_or_else(|error| sweep::not_removed(error.into()));
        let is_alive = |id: &str| !id.ends_with(request.uuid.as_str()) && home.is_running(id);
        let swept = container::sweep(&sweep::docker(), home.path(), is_alive).await;
        swept.map_or_else(|error| sweep::not_removed(error.into()), drop);
    } else if let Err(error) = croft_worker::sweep::remove(&scratch.path) {
        output::complain(
            &anyhow::Error::from(error).context("something of the build could not be removed"),
        );
    }
    let mut exit = Exit::Interrupted;
    if let Some(outcome) = end.outcome {
        show_mistakes(words, &outcome);
        home.keep(&outcome.build, &outcome.summary)
            .context("cannot keep the build's result")?;
        if !end.at_once {
            exit = exit_of(&outcome);
        }
    }
    Ok(exit)
}

fn was_cut_short_in_provisioning(build: &Build) -> bool {
    let provisioning = build
        .phases
        .iter()
        .find(|phase| phase.phase_type == PhaseType::Provisioning);
    provisioning
        .is_some_and(|phase| matches!(phase.phase_status, Some(Status::Stopped | Status::TimedOut)))
}

/// The findings that ended a build, with the lines they are about.
fn show_mistakes(words: &RunWords, outcome: &Outcome) {
    let fatal = outcome
        .diagnostics
        .iter()
        .any(|found| found.level == Level::Error);
    if fatal && matches!(words.output, Show::Auto | Show::Plain) {
        let style = output::style(&io::stderr());
        let shown = croft_spec::render(&outcome.diagnostics, &outcome.buildspec, style.color);
        io::stderr().write_all(shown.as_bytes()).unwrap_or_default();
    }
}

fn exit_of(outcome: &Outcome) -> Exit {
    let lint = outcome
        .diagnostics
        .iter()
        .any(|found| found.level == Level::Error);
    if lint && outcome.build.build_status == Status::Failed {
        return Exit::Usage;
    }
    Exit::of(outcome.build.build_status)
}
