//! `croft agent`: a farm's deployments as they come (`farm/roles/agent`), or, with `--local`, one revision deployed to this machine without a
//! server. From its words to commands for the host, which
//! does the work on a thread of its own while this one listens for signals.

/// What it shows.
mod shown;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use croft_agent::{
    BundleError, BundleKind, Forecast, ForecastError, Host, HostError, LocalBundle, NoSpec,
    Settings, Staged, local,
};
use croft_proto::deploy::{
    DeploymentId, DeploymentType, FileExistsBehavior, HostCommand, LifecycleEvent, Revision,
    RevisionOrigin, ScriptErrorCode,
};

use crate::args::{Format, Global};
use crate::exit::{Exit, Wrong};
use crate::farm::words::Connect;
use crate::farm::{client, roles};
use crate::signals::Signals;
use crate::{output, surroundings};
use shown::{Ended, EventStatus, Progress, Summary};

#[derive(Clone, Debug, Args)]
pub(crate) struct AgentWords {
    /// Deploy this revision here, without a farm: a folder with an appspec.yml, or a tar, tgz or zip archive of one
    #[arg(long, value_name = "DIR|ARCHIVE")]
    local: Option<PathBuf>,
    /// Let this host into a farm, once: the token that `croft host invite` printed
    #[arg(
        long,
        value_name = "TOKEN",
        env = "CROFT_INVITATION",
        hide_env_values = true,
        conflicts_with = "local"
    )]
    invitation: Option<String>,
    /// The address of this host at which its containers' ports are published, where the balancer reaches them
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "CROFT_PUBLISH",
        default_value = "127.0.0.1",
        conflicts_with = "local"
    )]
    publish: IpAddr,
    #[command(flatten)]
    connect: Connect,
    /// How the revision is packed [default: what is there, or its name says]
    #[arg(short = 't', long, env = "CROFT_BUNDLE_TYPE", value_enum)]
    bundle_type: Option<BundleType>,
    /// The events to run, with commas between them; DownloadBundle and Install always do [default: all but a balancer's]
    #[arg(
        short,
        long,
        env = "CROFT_EVENTS",
        value_delimiter = ',',
        value_name = "EVENT"
    )]
    events: Vec<LifecycleEvent>,
    /// What happens to files that are there already, unless the AppSpec says it
    #[arg(short = 'b', long, env = "CROFT_FILE_EXISTS_BEHAVIOR", value_enum, ignore_case = true, default_value_t = Behavior::Disallow)]
    file_exists_behavior: Behavior,
    /// The id of the deployment group: what is installed is kept under it
    #[arg(short = 'g', long, env = "CROFT_DEPLOYMENT_GROUP", value_name = "ID", default_value = local::GROUP_ID)]
    deployment_group: String,
    /// The group's name, for scripts
    #[arg(short = 'd', long, env = "CROFT_DEPLOYMENT_GROUP_NAME", value_name = "NAME", default_value = local::GROUP_NAME)]
    deployment_group_name: String,
    /// The application's name, for scripts [default: the revision's]
    #[arg(short, long, env = "CROFT_APPLICATION_NAME", value_name = "NAME")]
    application_name: Option<String>,
    /// The AppSpec file in the revision [default: appspec.yml]
    #[arg(short = 'A', long, env = "CROFT_APPSPEC_FILENAME", value_name = "FILE")]
    appspec_filename: Option<String>,
    /// Only show what would be done
    #[arg(long, env = "CROFT_DRY_RUN", value_parser = BoolishValueParser::new())]
    dry_run: bool,
    /// How it is printed
    #[arg(short, long, env = "CROFT_OUTPUT", value_enum, default_value_t = Format::Table)]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BundleType {
    /// A folder.
    Directory,
    /// A tar archive.
    Tar,
    /// A tar archive, compressed with gzip.
    Tgz,
    /// A zip archive.
    Zip,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Behavior {
    /// The deployment fails before anything is changed.
    Disallow,
    /// They are replaced.
    Overwrite,
    /// They stay, and are not the deployment's.
    Retain,
}

impl From<Behavior> for FileExistsBehavior {
    fn from(word: Behavior) -> Self {
        match word {
            Behavior::Disallow => Self::Disallow,
            Behavior::Overwrite => Self::Overwrite,
            Behavior::Retain => Self::Retain,
        }
    }
}

impl AgentWords {
    /// Whether it runs until it is told to end.
    pub(crate) const fn is_role(&self) -> bool {
        self.local.is_none()
    }
}

/// One deployment here, or a farm's as they come.
pub(crate) fn agent(global: &Global, words: &AgentWords) -> anyhow::Result<Exit> {
    match &words.local {
        Some(local) => deploy_here(global, words, local),
        None => {
            let farm = client::enrolment(global, &words.connect)?;
            roles::agent::run(
                global,
                farm,
                words.invitation.as_deref(),
                words.connect.insecure_http,
                words.publish,
            )
        }
    }
}

fn deploy_here(global: &Global, words: &AgentWords, local: &Path) -> anyhow::Result<Exit> {
    let state = surroundings::absolute(&surroundings::home_path(global)?)?.join("agent");
    let bundle = bundle(words, local)?;
    let words = words.clone();
    let is_over = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    runtime.block_on(async {
        let mut signals = Signals::new().context("cannot listen for signals")?;
        let over = Arc::clone(&is_over);
        let mut work = tokio::task::spawn_blocking(move || deploy(&state, &bundle, &words, &over));
        loop {
            tokio::select! {
                done = &mut work => return done.context("the deployment's thread ended")?,
                () = signals.next() => is_over.store(true, Ordering::Relaxed),
            }
        }
    })
}

fn bundle(words: &AgentWords, local: &Path) -> anyhow::Result<LocalBundle> {
    let path = surroundings::absolute(local)?;
    let shown = local.display();
    if !path.exists() {
        return Err(Wrong(format!("--local {shown}: there is no such folder or file")).into());
    }
    let kind = match words.bundle_type {
        Some(BundleType::Directory) => Some(BundleKind::Directory),
        Some(BundleType::Tar) => Some(BundleKind::Tar),
        Some(BundleType::Tgz) => Some(BundleKind::Tgz),
        Some(BundleType::Zip) => Some(BundleKind::Zip),
        None => BundleKind::of(&path),
    };
    let kind = kind.ok_or_else(|| {
        Wrong(format!(
            "--local {shown}: neither a folder nor a .tar, .tgz, .tar.gz or .zip; say which with --bundle-type"
        ))
    })?;
    Ok(LocalBundle { path, kind })
}

/// Does it all; what it hands back is how the program ends.
fn deploy(
    state: &Path,
    bundle: &LocalBundle,
    words: &AgentWords,
    is_over: &AtomicBool,
) -> anyhow::Result<Exit> {
    let environment = std::env::vars_os()
        .filter(|(name, _)| !name.to_string_lossy().starts_with("CROFT_"))
        .collect();
    let host = Host::open(state, Settings::new(environment, surroundings::now))?;
    let staged = host.stage(bundle, is_over).map_err(whose)?;
    let command = command(&host, bundle, words)?;
    let forecast = match host.forecast(&command, &staged) {
        // What its scripts do before Install may make room.
        Err(ForecastError::Plan(_)) if !words.dry_run => None,
        Ok(forecast) => Some(forecast),
        Err(error) => return refused(error, words.output),
    };
    match forecast {
        Some(forecast) if words.dry_run => dry_run(&forecast, words.output),
        Some(_) | None => run(&host, &staged, &command, words, is_over),
    }
}

fn command(
    host: &Host,
    bundle: &LocalBundle,
    words: &AgentWords,
) -> Result<HostCommand, anyhow::Error> {
    let generation = host
        .next_generation(&words.deployment_group)
        .map_err(refused_command)?;
    let bytes = uuid::Uuid::new_v4().into_bytes();
    let drawn: [u8; 9] = std::array::from_fn(|at| bytes[at]);
    let name = bundle.path.file_stem().map(|name| name.to_string_lossy());
    let application = words
        .application_name
        .clone()
        .or(name.map(|name| name.into_owned()));
    Ok(HostCommand {
        deployment_id: DeploymentId::drawn(drawn).local(),
        generation,
        event: LifecycleEvent::DownloadBundle,
        application_name: application.unwrap_or_default(),
        deployment_group_name: words.deployment_group_name.clone(),
        deployment_group_id: words.deployment_group.clone(),
        revision: Revision {
            digest: String::new(),
            origin: RevisionOrigin::Local {
                location: bundle.path.display().to_string(),
            },
        },
        app_spec_filename: words.appspec_filename.clone(),
        file_exists_behavior: words.file_exists_behavior.into(),
        creator: "user".into(),
        deployment_type: DeploymentType::InPlace,
        container: None,
    })
}

fn run(
    host: &Host,
    staged: &Staged,
    command: &HostCommand,
    words: &AgentWords,
    is_over: &AtomicBool,
) -> anyhow::Result<Exit> {
    let progress = Progress::new(words.output);
    let mut summary = Summary::new(&command.deployment_id, host.log_path(command)?);
    for event in local::events(&words.events) {
        if summary.has_failed() || is_over.load(Ordering::Relaxed) {
            summary.events.push(Ended::skipped(event));
            continue;
        }
        let command = HostCommand {
            event,
            ..command.clone()
        };
        let diagnostics = host
            .run(&command, staged, &progress, is_over)
            .map_err(refused_command)?;
        let status = match diagnostics.error_code {
            ScriptErrorCode::Success => EventStatus::Succeeded,
            ScriptErrorCode::ScriptMissing
            | ScriptErrorCode::ScriptNotExecutable
            | ScriptErrorCode::ScriptTimedOut
            | ScriptErrorCode::ScriptFailed
            | ScriptErrorCode::UnknownError => EventStatus::Failed,
        };
        progress.ended(event, status, &diagnostics);
        summary.events.push(Ended {
            event,
            status,
            diagnostics: Some(diagnostics),
        });
    }
    summary.settle(is_over.load(Ordering::Relaxed));
    summary.print(words.output)?;
    Ok(summary.exit())
}

fn dry_run(forecast: &Forecast, format: Format) -> anyhow::Result<Exit> {
    match format {
        Format::Json | Format::Yaml | Format::Ndjson => output::value(forecast, format)?,
        Format::Table | Format::Wide | Format::Name => {
            output::rows(&shown::steps(forecast), format)?;
        }
    }
    Ok(Exit::Succeeded)
}

/// What is wrong with the revision, as `croft lint` says it.
fn refused(error: ForecastError, format: Format) -> anyhow::Result<Exit> {
    match error {
        ForecastError::Spec(NoSpec::Mistakes { name, found, text }) => {
            if format == Format::Table {
                let color = output::style(&std::io::stdout()).color;
                output::text(&croft_spec::render(&found, &text, color))?;
                output::text(&format!("{name}: nothing was deployed\n"))?;
            } else {
                output::rows(&found, format)?;
            }
            Ok(Exit::Usage)
        }
        ForecastError::Spec(error @ (NoSpec::Missing(_) | NoSpec::ForWindows(_))) => {
            Err(Wrong(error.to_string()).into())
        }
        ForecastError::Spec(error @ NoSpec::Unreadable { .. }) => Err(error.into()),
        ForecastError::Plan(error) => {
            output::complain(&error.into());
            Ok(Exit::BuildFailed)
        }
        ForecastError::Refused(error) => Err(Wrong(error.to_string()).into()),
        ForecastError::State(error) => Err(error.into()),
    }
}

fn refused_command(error: HostError) -> anyhow::Error {
    match error {
        HostError::Refused(refusal) => Wrong(refusal.to_string()).into(),
        HostError::State(error) => error.into(),
    }
}

/// A revision that cannot be used is for whoever typed its name to mend.
fn whose(error: BundleError) -> anyhow::Error {
    let is_machines = matches!(error, BundleError::Writing { .. } | BundleError::Stopped);
    let error = anyhow::Error::from(error);
    if is_machines {
        return error;
    }
    Wrong(format!("{error:#}")).into()
}
