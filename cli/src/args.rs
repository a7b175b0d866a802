//! The words of the command line. Parsed here once; the commands read typed values.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::agent::AgentWords;
use crate::cache::CacheWords;
use crate::farm::roles::words::NatsWords;
use crate::farm::words::{
    AlarmWords, AppWords, AuditWords, BuildWords, ConfigWords, DeployWords, DeploymentWords,
    GroupWords, HostWords, ProjectWords, QueueWords, SecretWords, SubmitWords, TokenWords,
    WorkerWords,
};

/// Runs buildspec.yml, appspec.yml and pipelines on your own machines.
#[derive(Debug, Parser)]
#[command(
    name = "croft",
    version,
    about,
    disable_help_subcommand = true,
    max_term_width = 110
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The same for `croft agent` alone. An agent stays on a host that is there for something else, and all that it has ever touched stays in
/// memory with it: the words of thirty other commands are a tenth of what it has.
#[derive(Debug, Parser)]
#[command(name = "croft", version, disable_help_subcommand = true)]
pub(crate) struct AgentAlone {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: OnlyAgent,
}

#[derive(Debug, Subcommand)]
enum OnlyAgent {
    Agent(Box<AgentWords>),
}

impl From<AgentAlone> for Cli {
    fn from(alone: AgentAlone) -> Self {
        let OnlyAgent::Agent(words) = alone.command;
        Self {
            global: alone.global,
            command: Command::Agent(words),
        }
    }
}

/// Above the options of every command, which stand below a command's own.
const EVERYWHERE: &str = "Everywhere";

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Where Croft keeps its state [default: /var/lib/croft as root, else $XDG_DATA_HOME/croft]
    #[arg(
        long,
        env = "CROFT_HOME",
        global = true,
        help_heading = EVERYWHERE,
        value_name = "DIR",
        hide_env_values = true
    )]
    pub(crate) home: Option<PathBuf>,
    /// Where the cache is [default: cache in CROFT_HOME]
    #[arg(
        long,
        env = "CROFT_CACHE_DIR",
        global = true,
        help_heading = EVERYWHERE,
        value_name = "DIR",
        hide_env_values = true
    )]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Where the cache's objects are, such as s3://bucket/prefix; --cache-dir is then what this machine keeps of them
    #[arg(
        long,
        env = "CROFT_CACHE",
        global = true,
        help_heading = EVERYWHERE,
        value_name = "PLACE",
        hide_env_values = true
    )]
    pub(crate) cache: Option<String>,
    /// The scope whose entries are written; those of `trusted` are read as well
    #[arg(
        long,
        env = "CROFT_CACHE_SCOPE",
        global = true,
        help_heading = EVERYWHERE,
        value_name = "SCOPE",
        default_value = "trusted",
        hide_env_values = true
    )]
    pub(crate) cache_scope: String,
    /// How large the cache may grow, such as 20g
    #[arg(
        long,
        env = "CROFT_CACHE_SIZE",
        global = true,
        help_heading = EVERYWHERE,
        value_name = "SIZE",
        default_value = "20g",
        hide_env_values = true
    )]
    pub(crate) cache_size: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a build from its buildspec
    Run(Box<RunWords>),
    /// Check a buildspec or an AppSpec and explain its mistakes and traps
    Lint(LintWords),
    /// Tell what this machine can do and what is missing
    Doctor(Box<DoctorWords>),
    /// Look at the cache and act on it
    Cache(CacheWords),
    /// Build a folder on a farm
    Submit(Box<SubmitWords>),
    /// Look at a farm's builds and act on them
    Build(BuildWords),
    /// Configure what a farm builds
    Project(ProjectWords),
    /// Give a farm's builds values that nobody sees
    Secret(SecretWords),
    /// Configure what a farm deploys
    App(AppWords),
    /// Configure where a farm deploys to, and how
    Group(GroupWords),
    /// Configure how fast a farm deploys, and how many hosts stay
    DeploymentConfig(ConfigWords),
    /// Deploy a revision (a folder, what a build made, ...) to a group's hosts
    Deploy(Box<DeployWords>),
    /// Look at a farm's deployments and act on them
    Deployment(DeploymentWords),
    /// Look at the hosts that a farm deploys to and act on them
    Host(HostWords),
    /// What a group's releases are judged by, and what each query of it gives now
    Alarm(AlarmWords),
    /// Run a farm on this machine: server and worker in one process
    Up(Box<crate::farm::roles::words::UpWords>),
    /// Run a farm's server over NATS: API, scheduler, read model
    Server(Box<crate::farm::roles::words::ServerWords>),
    /// Look at a farm's workers and act on them
    Worker(Box<WorkerWords>),
    /// Carry out a farm's deployments on this host, or one revision's without a farm
    Agent(Box<AgentWords>),
    /// Tell what waits in a farm's pools
    Queue(QueueWords),
    /// Say who may ask a farm for what
    Token(TokenWords),
    /// Show who asked a farm for what
    Audit(AuditWords),
    /// Write down a farm's ledger elsewhere
    Backup(Box<crate::farm::roles::words::BackupWords>),
    /// Begin a farm's ledger from a backup
    Restore(Box<crate::farm::roles::words::RestoreWords>),
    /// Print the completions for a shell
    Completion {
        /// Which shell
        shell: Shell,
    },
    /// Print the version
    Version(OutputWords),
}

#[derive(Debug, Args)]
pub(crate) struct RunWords {
    /// A folder, or a git URL with an optional @REVISION [default: the current folder]
    #[arg(value_name = "DIR|GIT_URL[@REV]", conflicts_with = "sources")]
    pub(crate) source: Option<String>,
    /// Run in a container of this image instead of the sandbox
    #[arg(
        short,
        long,
        env = "CROFT_IMAGE",
        value_name = "REF",
        help_heading = "Where it runs"
    )]
    pub(crate) image: Option<String>,
    /// When to pull the image
    #[arg(long, env = "CROFT_PULL", value_enum, default_value_t = Pull::Missing, help_heading = "Where it runs")]
    pub(crate) pull: Pull,
    /// Give the container all privileges, so that docker works inside an image that brings its own
    #[arg(
        short = 'd',
        long,
        env = "CROFT_PRIVILEGED", value_parser = BoolishValueParser::new(),
        help_heading = "Where it runs"
    )]
    pub(crate) privileged: bool,
    /// The container's network, as docker names it [default: the engine's]
    #[arg(
        long,
        env = "CROFT_NETWORK",
        value_name = "MODE",
        help_heading = "Where it runs"
    )]
    pub(crate) network: Option<String>,
    /// Memory the container may use, such as 2g
    #[arg(
        long,
        env = "CROFT_MEMORY",
        value_name = "SIZE",
        help_heading = "Where it runs"
    )]
    pub(crate) memory: Option<String>,
    /// Processors the container may use, such as 1.5
    #[arg(
        long,
        env = "CROFT_CPUS",
        value_name = "N",
        help_heading = "Where it runs"
    )]
    pub(crate) cpus: Option<String>,
    /// Processes and threads the container may have
    #[arg(
        long,
        env = "CROFT_PIDS",
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Where it runs"
    )]
    pub(crate) pids: Option<u32>,
    /// The primary source folder; again as ID:DIR for each secondary one
    #[arg(
        short = 's',
        long = "source",
        value_name = "[ID:]DIR",
        help_heading = "What it builds"
    )]
    pub(crate) sources: Vec<String>,
    /// The buildspec [default: buildspec.yml in the source]
    #[arg(
        short,
        long,
        env = "CROFT_BUILDSPEC",
        value_name = "FILE",
        help_heading = "What it builds"
    )]
    pub(crate) buildspec: Option<PathBuf>,
    /// Work on the source folder itself instead of a copy-on-write view
    #[arg(
        short = 'm',
        long,
        env = "CROFT_IN_PLACE", value_parser = BoolishValueParser::new(),
        help_heading = "What it builds"
    )]
    pub(crate) in_place: bool,
    /// The project's name [default: the source's]
    #[arg(
        long,
        env = "CROFT_PROJECT",
        value_name = "NAME",
        help_heading = "What it builds"
    )]
    pub(crate) project: Option<String>,
    /// A file of NAME=VALUE lines; they win over the buildspec's variables
    #[arg(
        short,
        long,
        env = "CROFT_ENV_FILE",
        value_name = "FILE",
        help_heading = "Variables and secrets"
    )]
    pub(crate) env_file: Option<PathBuf>,
    /// One variable; wins over the file's
    #[arg(
        long = "env",
        value_name = "NAME=VALUE",
        help_heading = "Variables and secrets"
    )]
    pub(crate) env: Vec<String>,
    /// Values for parameter-store and secrets-manager: JSON, or NAME=VALUE lines
    #[arg(
        long,
        env = "CROFT_SECRET_FILE",
        value_name = "FILE",
        help_heading = "Variables and secrets"
    )]
    pub(crate) secret_file: Option<PathBuf>,
    /// Use this machine's AWS settings and credentials: for secrets, and inside the build
    #[arg(
        short = 'c',
        long,
        env = "CROFT_AWS", value_parser = BoolishValueParser::new(),
        help_heading = "Variables and secrets"
    )]
    pub(crate) aws: bool,
    /// The AWS profile to use; implies -c
    #[arg(
        short,
        long,
        env = "CROFT_PROFILE",
        value_name = "NAME",
        help_heading = "Variables and secrets"
    )]
    pub(crate) profile: Option<String>,
    /// Where artifacts go [default: kept with the build's log]
    #[arg(
        short,
        long,
        env = "CROFT_ARTIFACTS",
        value_name = "DIR",
        help_heading = "What it leaves"
    )]
    pub(crate) artifacts: Option<PathBuf>,
    /// How artifacts are packed
    #[arg(long, env = "CROFT_PACKAGING", value_enum, default_value_t = Packing::None, help_heading = "What it leaves")]
    pub(crate) packaging: Packing,
    /// Where reports go [default: kept with the build's log]
    #[arg(
        short,
        long,
        env = "CROFT_REPORTS",
        value_name = "DIR",
        help_heading = "What it leaves"
    )]
    pub(crate) reports: Option<PathBuf>,
    /// Neither restore nor save the cache
    #[arg(long, env = "CROFT_NO_CACHE", value_parser = BoolishValueParser::new(), help_heading = "What it leaves")]
    pub(crate) no_cache: bool,
    /// Longest time for the build, such as 90s, 30m or 2h; a bare number is minutes
    #[arg(
        long,
        env = "CROFT_TIMEOUT",
        value_name = "TIME",
        default_value = "60m"
    )]
    pub(crate) timeout: String,
    /// How the build is shown
    #[arg(short, long, env = "CROFT_OUTPUT", value_enum, default_value_t = Show::Auto)]
    pub(crate) output: Show,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pull {
    /// Before every build.
    Always,
    /// When it is not there.
    Missing,
    /// Not at all.
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Packing {
    /// A folder of files.
    None,
    /// One ZIP file.
    Zip,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Show {
    /// Live on a terminal, plain otherwise.
    Auto,
    /// Lines with their phase in front.
    Plain,
    /// One JSON event a line.
    Ndjson,
    /// The finished build as JSON.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct LintWords {
    /// The buildspec, or the AppSpec: told apart by name, else by contents; or a folder, for its buildspec.yml and its appspec.yml [default: this folder]
    #[arg(value_name = "FILE|DIR")]
    pub(crate) file: Option<PathBuf>,
    /// Fail on warnings too
    #[arg(long)]
    pub(crate) strict: bool,
    /// How findings are printed
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorWords {
    /// The farm's store to look at, such as s3://bucket/prefix [default: the one in CROFT_HOME]
    #[arg(long, env = "CROFT_STORE", value_name = "PLACE")]
    pub(crate) store: Option<String>,
    #[command(flatten)]
    pub(crate) nats: NatsWords,
    #[command(flatten)]
    pub(crate) output: OutputWords,
}

#[derive(Debug, Args)]
pub(crate) struct OutputWords {
    /// How it is printed
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For people with wide screens.
    Wide,
    /// One JSON value.
    Json,
    /// The same as YAML.
    Yaml,
    /// Names only, one a line.
    Name,
    /// One JSON value a line.
    Ndjson,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_words_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_local_agents_flags_mean_the_same() {
        let line = "croft run -i img -a out -s . -s lib:../lib -b spec.yml -e vars -m -d -r reports -c -p prod";
        let Command::Run(words) = Cli::try_parse_from(line.split(' ')).unwrap().command else {
            panic!("run")
        };
        assert_eq!(words.image.as_deref(), Some("img"));
        assert_eq!(words.sources, [".", "lib:../lib"]);
        assert!(words.in_place && words.privileged && words.aws);
        assert_eq!(words.profile.as_deref(), Some("prod"));
        assert_eq!(
            words.reports.as_deref(),
            Some(std::path::Path::new("reports"))
        );
    }

    #[test]
    fn an_agents_own_words_are_those_it_has_among_all() {
        let mut all = Cli::command();
        let mut alone = AgentAlone::command();
        all.build();
        alone.build();
        let words = |command: &clap::Command| {
            let agent = command.find_subcommand("agent").unwrap();
            let arguments = agent.get_arguments();
            let mut ids: Vec<_> = arguments.map(|argument| format!("{argument:?}")).collect();
            ids.sort();
            ids
        };
        assert_eq!(words(&all), words(&alone));
    }
}
