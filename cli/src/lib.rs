//! The command line: parse, connect, render. Words of a person enter, an exit code leaves; everything between is other rooms'.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")
)]

/// Numbers a caller can tell apart.
pub mod exit;
/// The words.
mod args;
/// Defaults from `croft.toml`.
mod config;
/// This process's surroundings: home, variables, time.
mod surroundings;
/// `croft run`.
mod run;
/// From its words to a build's request.
mod plan;
/// What killed builds left.
mod sweep;
/// Values out of files.
mod files;
/// `croft lint`.
mod lint;
/// `croft agent`.
mod agent;
/// `croft doctor`.
mod doctor;
/// `croft cache`.
mod cache;
/// Being asked to end.
mod signals;
/// `croft cache serve`.
mod serve;
/// Which words a command takes, said with a mistake in them.
mod usage;
/// Asking a farm.
mod farm;
/// Tables, JSON, YAML, names.
mod output;
/// A build on a screen, in a pipe, as JSON.
pub mod render;

use std::ffi::OsString;
use std::io::IsTerminal as _;

use clap::{CommandFactory, FromArgMatches};

use args::{AgentAlone, Cli, Command};
use exit::Exit;
use farm::{client, roles};

/// Does what the words in `arguments` ask for.
///
/// **Shape.** The first is the program's own name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match agent_alone(&arguments).map_or_else(|| parsed(&arguments), Ok) {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    start_log(&cli.command);
    act(&cli).unwrap_or_else(|error| {
        if output::reader_went_away(&error) {
            return Exit::Succeeded;
        }
        output::complain(&error);
        if is_callers(&error) {
            Exit::Usage
        } else {
            Exit::Infrastructure
        }
    })
}

/// An agent's words, if they are that, and right, and no file has more to say: else all words there are have to be known.
fn agent_alone(arguments: &[OsString]) -> Option<Cli> {
    if arguments.get(1)? != "agent" || config::has_files() {
        return None;
    }
    let words = AgentAlone::command();
    let found = words.clone().try_get_matches_from(arguments).ok()?;
    usage::refuse_empty(&words, &found).ok()?;
    Some(AgentAlone::from_arg_matches(&found).ok()?.into())
}

/// The words; or what a mistake in them was answered with, or a question for help.
fn parsed(arguments: &[OsString]) -> Result<Cli, Exit> {
    let refused = |wrong: exit::Wrong| {
        output::complain(&wrong.into());
        Exit::Usage
    };
    let words = config::apply(Cli::command()).map_err(refused)?;
    let found = words.clone().try_get_matches_from(arguments);
    if let Ok(found) = &found {
        usage::refuse_empty(&words, found).map_err(refused)?;
    }
    let parsed = found.and_then(|found| Cli::from_arg_matches(&found));
    parsed.map_err(|error| {
        let error = usage::whole(error, words, arguments);
        // Nobody reads it when even this cannot be written.
        error.print().unwrap_or_default();
        if error.use_stderr() {
            Exit::Usage
        } else {
            Exit::Succeeded
        }
    })
}

fn act(cli: &Cli) -> anyhow::Result<Exit> {
    match &cli.command {
        Command::Run(words) => run::run(&cli.global, words),
        Command::Lint(words) => lint::lint(words),
        Command::Agent(words) => agent::agent(&cli.global, words),
        Command::Doctor(words) => doctor::doctor(&cli.global, words),
        Command::Cache(words) => cache::cache(&cli.global, words),
        Command::Submit(words) => client::submit(&cli.global, words),
        Command::Build(words) => client::build(&cli.global, words),
        Command::Project(words) => client::project(&cli.global, words),
        Command::Secret(words) => client::secret(&cli.global, words),
        Command::App(words) => client::app(&cli.global, words),
        Command::Group(words) => client::group(&cli.global, words),
        Command::DeploymentConfig(words) => client::deployment_config(&cli.global, words),
        Command::Deploy(words) => client::deploy(&cli.global, words),
        Command::Deployment(words) => client::deployment(&cli.global, words),
        Command::Host(words) => client::host(&cli.global, words),
        Command::Alarm(words) => client::alarm(&cli.global, words),
        Command::Worker(words) => match &words.command {
            Some(command) => client::worker(&cli.global, command),
            None => {
                let server = client::enrolment(&cli.global, &words.connect)?;
                roles::worker::run(&cli.global, &words.role, server)
            }
        },
        Command::Up(words) => roles::up::up(&cli.global, words),
        Command::Server(words) => roles::server::server(&cli.global, words),
        Command::Backup(words) => roles::backup::backup(&cli.global, words),
        Command::Restore(words) => roles::backup::restore(&cli.global, words),
        Command::Queue(words) => client::queue(&cli.global, words),
        Command::Token(words) => client::token(&cli.global, words),
        Command::Audit(words) => client::audit(&cli.global, words),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "croft", &mut script);
            output::text(&String::from_utf8_lossy(&script)).map(|()| Exit::Succeeded)
        }
        Command::Version(words) => output::version(words.output),
    }
}

/// True when whoever typed the words can mend it.
fn is_callers(error: &anyhow::Error) -> bool {
    error.downcast_ref::<exit::Wrong>().is_some()
        || error
            .downcast_ref::<client::Failure>()
            .is_some_and(client::Failure::is_callers)
}

/// Croft's own log: what roles of a farm do, as far as `CROFT_LOG` says; of other commands nothing, unless it does. One line of JSON
/// each with `CROFT_LOG_FORMAT=json`.
fn start_log(command: &Command) {
    let usual = if is_role(command) { "info" } else { "off" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("CROFT_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(usual));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        // It would be said where nothing can be written, and end the program: a server must outlive the disk of its log.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    if std::env::var_os("CROFT_LOG_FORMAT").is_some_and(|format| format == "json") {
        log.json().init();
    } else {
        log.init();
    }
}

const fn is_role(command: &Command) -> bool {
    match command {
        Command::Up(_) | Command::Server(_) => true,
        Command::Agent(words) => words.is_role(),
        Command::Worker(words) => words.command.is_none(),
        Command::Run(_)
        | Command::Lint(_)
        | Command::Doctor(_)
        | Command::Cache(_)
        | Command::Submit(_)
        | Command::Build(_)
        | Command::Project(_)
        | Command::Secret(_)
        | Command::App(_)
        | Command::Group(_)
        | Command::DeploymentConfig(_)
        | Command::Deploy(_)
        | Command::Deployment(_)
        | Command::Host(_)
        | Command::Alarm(_)
        | Command::Queue(_)
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::Token(_)
        | Command::Audit(_)
        | Command::Completion { .. }
        | Command::Version(_) => false,
    }
}
