//! The words of the commands that ask a farm. Parsed by `args`; read by `client`, which hands nothing back to here.

/// Of the commands that deploy.
mod deploying;

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Subcommand, ValueEnum};

use crate::args::{OutputWords, Show};
pub(crate) use deploying::{
    AlarmCommand, AlarmWords, AppCommand, AppWords, ApplyWords, ConfigCommand, ConfigWords,
    DeployWords, DeploymentCommand, DeploymentWords, GroupCommand, GroupName, GroupWords,
    HostCommand, HostWords, PrintedWords, RollbackWords,
};

/// Which farm is asked, and as whom.
#[derive(Clone, Debug, Args)]
pub(crate) struct Connect {
    /// The server's address [default: of [farm] in croft.toml, else of this machine's `croft up`]
    #[arg(
        long,
        env = "CROFT_SERVER",
        global = true,
        value_name = "URL",
        hide_env_values = true,
        help_heading = "Which farm"
    )]
    pub(crate) server: Option<String>,
    /// A file that holds the token and nothing else; or set CROFT_TOKEN
    #[arg(
        long,
        env = "CROFT_TOKEN_FILE",
        global = true,
        value_name = "FILE",
        hide_env_values = true,
        help_heading = "Which farm"
    )]
    pub(crate) token_file: Option<PathBuf>,
    /// Certificates (PEM) that the server's has to be signed by, in place of this machine's
    #[arg(
        long,
        env = "CROFT_CA_FILE",
        global = true,
        value_name = "FILE",
        hide_env_values = true,
        help_heading = "Which farm"
    )]
    pub(crate) ca_file: Option<PathBuf>,
    /// Send the token to another machine over plain HTTP, where everybody on the way can read it
    #[arg(
        long,
        env = "CROFT_INSECURE_HTTP", value_parser = BoolishValueParser::new(),
        global = true,
        hide_env_values = true,
        help_heading = "Which farm"
    )]
    pub(crate) insecure_http: bool,
    /// How long a server that does not answer is asked again [default: 30s]
    #[arg(
        long,
        env = "CROFT_RETRY",
        global = true,
        value_name = "TIME",
        hide_env_values = true,
        help_heading = "Which farm"
    )]
    pub(crate) retry: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SubmitWords {
    /// The folder to build
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) directory: PathBuf,
    /// The project, which has to be there [default: the folder's name, made if it is missing]
    #[arg(
        long,
        env = "CROFT_PROJECT",
        value_name = "NAME",
        help_heading = "What it builds"
    )]
    pub(crate) project: Option<String>,
    /// The buildspec [default: the project's, else buildspec.yml in the source]
    #[arg(
        short,
        long,
        env = "CROFT_BUILDSPEC",
        value_name = "FILE",
        help_heading = "What it builds"
    )]
    pub(crate) buildspec: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) start: StartWords,
    #[command(flatten)]
    pub(crate) connect: Connect,
}

/// How a build is started, whatever its source.
#[derive(Debug, Args)]
pub(crate) struct StartWords {
    /// The image to run in [default: the project's; of a new project the sandbox]
    #[arg(
        short,
        long,
        env = "CROFT_IMAGE",
        value_name = "REF",
        help_heading = "Where it runs"
    )]
    pub(crate) image: Option<String>,
    /// From 0 to 4; higher ones go first [default: the project's, else 2]
    #[arg(long, env = "CROFT_PRIORITY", value_name = "N", value_parser = clap::value_parser!(u8).range(0..=4), help_heading = "Where it runs")]
    pub(crate) priority: Option<u8>,
    /// A file of NAME=VALUE lines; they win over the project's variables
    #[arg(
        short,
        long,
        env = "CROFT_ENV_FILE",
        value_name = "FILE",
        help_heading = "Variables"
    )]
    pub(crate) env_file: Option<PathBuf>,
    /// One variable; wins over the file's
    #[arg(long = "env", value_name = "NAME=VALUE", help_heading = "Variables")]
    pub(crate) env: Vec<String>,
    /// Started twice with the same one, there is one build [default: one that is drawn]
    #[arg(long, visible_alias = "token-idempotency", value_name = "TEXT")]
    pub(crate) idempotency_token: Option<String>,
    /// Only print the build's id, and do not follow it
    #[arg(long)]
    pub(crate) detach: bool,
    /// How the build is shown
    #[arg(short, long, env = "CROFT_OUTPUT", value_enum, default_value_t = Show::Auto)]
    pub(crate) output: Show,
}

#[derive(Debug, Args)]
pub(crate) struct BuildWords {
    #[command(subcommand)]
    pub(crate) command: BuildCommand,
    #[command(flatten)]
    pub(crate) connect: Connect,
}

/// Which build.
#[derive(Debug, Args)]
pub(crate) struct BuildName {
    /// PROJECT:UUID, the UUID alone, or the ARN
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BuildCommand {
    /// Start a build of a project from the project's own source (git, a bucket), and follow it
    Start {
        /// The project
        #[arg(value_name = "PROJECT")]
        project: String,
        /// A branch, tag or commit; of a bucket the object's version [default: the project's]
        #[arg(long, value_name = "VERSION", help_heading = "What it builds")]
        source_version: Option<String>,
        #[command(flatten)]
        start: Box<StartWords>,
    },
    /// List builds, the newest first
    List {
        /// Only of this project
        #[arg(long, value_name = "NAME")]
        project: Option<String>,
        /// Only those that stand so
        #[arg(long, value_enum, ignore_case = true, value_name = "STATUS")]
        status: Option<StatusWord>,
        /// So many at most
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
        #[command(flatten)]
        output: OutputWords,
    },
    /// Tell how a build stands
    Get {
        #[command(flatten)]
        build: BuildName,
        #[command(flatten)]
        output: OutputWords,
    },
    /// Print what a build's commands printed
    Logs {
        #[command(flatten)]
        build: BuildName,
        /// Go on while the build runs
        #[arg(short, long)]
        follow: bool,
    },
    /// Stop a build: its command is told to end, `finally` still runs
    Stop {
        #[command(flatten)]
        build: BuildName,
        #[command(flatten)]
        output: OutputWords,
    },
    /// Start a build anew, with the same source, settings and variables
    Retry {
        #[command(flatten)]
        build: BuildName,
        #[command(flatten)]
        output: OutputWords,
    },
    /// Tell why a build waits, and what happened to it when
    Explain {
        #[command(flatten)]
        build: BuildName,
        #[command(flatten)]
        output: OutputWords,
    },
    /// Follow a build to its end; ends as the build does
    Watch {
        #[command(flatten)]
        build: BuildName,
        /// How the build is shown
        #[arg(short, long, env = "CROFT_OUTPUT", value_enum, default_value_t = Show::Auto)]
        output: Show,
    },
    /// List a build's artifacts, or write them into a folder
    Artifacts {
        #[command(flatten)]
        build: BuildName,
        /// The folder, made if it is missing
        #[arg(long, value_name = "DIR")]
        into: Option<PathBuf>,
        #[command(flatten)]
        output: OutputWords,
    },
}

/// AWS's words for how a build stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum StatusWord {
    /// Waits or runs.
    InProgress,
    /// Everything worked.
    Succeeded,
    /// Its commands or files failed.
    Failed,
    /// The farm failed.
    Fault,
    /// It ran out of time.
    TimedOut,
    /// Somebody stopped it.
    Stopped,
}

impl StatusWord {
    /// The status as the API spells it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Fault => "FAULT",
            Self::TimedOut => "TIMED_OUT",
            Self::Stopped => "STOPPED",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ProjectWords {
    #[command(subcommand)]
    pub(crate) command: ProjectCommand,
    #[command(flatten)]
    pub(crate) connect: Connect,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectCommand {
    /// Make or configure projects, as AWS's `create-project` takes and `batch-get-projects` prints them
    Apply(ApplyWords),
    /// Print a project
    Get {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        output: OutputWords,
    },
    /// List projects
    List(OutputWords),
    /// Remove a project; its builds stay, those that run go on
    Delete {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SecretWords {
    #[command(subcommand)]
    pub(crate) command: SecretCommand,
    #[command(flatten)]
    pub(crate) connect: Connect,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Give a secret a value, read from standard input or a file and never from the command line
    Set {
        /// Its name, as buildspecs use it
        #[arg(value_name = "NAME")]
        name: String,
        /// Where its value is, but for one line end; - reads standard input
        #[arg(long, value_name = "FILE|-", default_value = "-")]
        value_file: PathBuf,
        /// What buildspecs use it as
        #[arg(long, value_enum, default_value_t = KindWord::SecretsManager, value_name = "KIND")]
        kind: KindWord,
        /// A project whose builds may have it, or a beginning of names such as shop-*; may be repeated [default: all]
        #[arg(long = "project", value_name = "NAME")]
        projects: Vec<String>,
    },
    /// List secrets, without their values
    List(OutputWords),
    /// Remove a secret
    Rm {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindWord {
    /// `env.secrets-manager`.
    SecretsManager,
    /// `env.parameter-store`.
    ParameterStore,
}

/// `croft worker`: the role when it has no command.
///
/// The role's own flags are flattened into here; none of them may be together with a command.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct WorkerWords {
    #[command(subcommand)]
    pub(crate) command: Option<WorkerCommand>,
    #[command(flatten)]
    pub(crate) role: crate::farm::roles::words::RoleWords,
    #[command(flatten)]
    pub(crate) connect: Connect,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkerCommand {
    /// List the farm's workers
    List {
        #[command(flatten)]
        output: OutputWords,
        #[command(flatten)]
        connect: Connect,
    },
    /// Let a worker take no more builds; those that run go on
    Drain {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        connect: Connect,
    },
    /// Let a drained worker take builds again
    Resume {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        connect: Connect,
    },
}

#[derive(Debug, Args)]
pub(crate) struct QueueWords {
    #[command(flatten)]
    pub(crate) output: OutputWords,
    #[command(flatten)]
    pub(crate) connect: Connect,
}

#[derive(Debug, Args)]
pub(crate) struct TokenWords {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
    #[command(flatten)]
    pub(crate) connect: Connect,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; prints it once
    Create {
        /// For whom or what it is
        #[arg(value_name = "NAME")]
        name: String,
        /// What its holder may do
        #[arg(long, value_enum)]
        role: RoleWord,
        /// A project it is for, or a beginning of names such as shop-*; of a worker's token, a pool; may be repeated [default: all]
        #[arg(long = "project", visible_alias = "pool", value_name = "NAME")]
        projects: Vec<String>,
        /// Days until it ends [default: never]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
        expires_in_days: Option<u32>,
        #[command(flatten)]
        output: OutputWords,
    },
    /// List tokens; they themselves are kept nowhere
    List(OutputWords),
    /// Make a token invalid at once
    Revoke {
        /// As `list` shows it
        #[arg(value_name = "ID")]
        id: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleWord {
    /// Sees everything that is no secret.
    Viewer,
    /// Starts and stops builds, too.
    Builder,
    /// Sees and deploys.
    Deployer,
    /// May do everything a person may.
    Admin,
    /// Is a machine that runs builds.
    Worker,
}

impl RoleWord {
    /// The role as the API spells it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Builder => "builder",
            Self::Deployer => "deployer",
            Self::Admin => "admin",
            Self::Worker => "worker",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct AuditWords {
    /// Check that nothing in the record was changed, removed or inserted
    #[arg(long)]
    pub(crate) verify: bool,
    /// So many entries at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: u64,
    #[command(flatten)]
    pub(crate) output: OutputWords,
    #[command(flatten)]
    pub(crate) connect: Connect,
}

#[cfg(test)]
mod tests;
