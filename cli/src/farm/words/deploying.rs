//! The words of the commands that deploy. Parsed by `args`; read by `client::deploying`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::Connect;
use crate::args::{Format, OutputWords};
use crate::exit::Wrong;

#[derive(Debug, Args)]
pub(crate) struct AppWords {
    #[command(subcommand)]
    pub(crate) command: AppCommand,
    #[command(flatten)]
    pub(crate) connect: Connect,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AppCommand {
    /// Make applications, with their groups and configurations if the file has some
    Apply(ApplyWords),
    /// List applications
    List(OutputWords),
    /// Print an application
    Get {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        output: OutputWords,
    },
    /// Remove an application without groups; its deployments stay on record
    Delete {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// A file of what is to be.
#[derive(Debug, Args)]
pub(crate) struct ApplyWords {
    /// JSON or YAML, as AWS's tools take and print it; - reads standard input
    #[arg(value_name = "FILE|-", required_unless_present = "named")]
    pub(crate) file: Option<PathBuf>,
    /// The same
    #[arg(
        short = 'f',
        long = "file",
        value_name = "FILE|-",
        conflicts_with = "file",
        id = "named"
    )]
    pub(crate) named: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputWords,
}

impl ApplyWords {
    /// The file, in whichever way it was named.
    ///
    /// # Errors
    /// When none was, which the parser refuses before.
    pub(crate) fn path(&self) -> Result<&Path, Wrong> {
        let file = self.named.as_deref().or(self.file.as_deref());
        file.ok_or_else(|| Wrong("name a file, or - for standard input".into()))
    }
}

#[derive(Debug, Args)]
pub(crate) struct GroupWords {
    #[command(subcommand)]
    pub(crate) command: GroupCommand,
    #[command(flatten)]
    pub(crate) connect: Connect,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigWords {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
    #[command(flatten)]
    pub(crate) connect: Connect,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Make deployment configurations; one that is there never changes
    Apply(ApplyWords),
    /// List deployment configurations, the predefined ones first
    List(OutputWords),
    /// Print a deployment configuration
    Get {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        output: OutputWords,
    },
    /// Remove a deployment configuration that nothing uses
    Delete {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// Which group.
#[derive(Debug, Args)]
pub(crate) struct GroupName {
    /// Its application
    #[arg(value_name = "APP")]
    pub(crate) application: String,
    /// Its name
    #[arg(value_name = "GROUP")]
    pub(crate) group: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Make or configure deployment groups, with their configurations if the file has some
    Apply(ApplyWords),
    /// List an application's groups
    List {
        /// The application
        #[arg(value_name = "APP")]
        application: String,
        #[command(flatten)]
        output: OutputWords,
    },
    /// Print a group, and what it has
    Get {
        #[command(flatten)]
        name: GroupName,
        #[command(flatten)]
        output: OutputWords,
    },
    /// Remove a group; its hosts keep what they have
    Delete {
        #[command(flatten)]
        name: GroupName,
    },
}

/// `croft deploy`.
#[derive(Debug, Args)]
pub(crate) struct DeployWords {
    #[command(flatten)]
    pub(crate) group: GroupName,
    /// The revision, with an AppSpec at its top: a folder, an archive, `build:ID` (its artifacts), a git address (`@REV` at its end), `s3://bucket/key.zip`, or the
    /// digest of one that is on the farm
    #[arg(
        long,
        value_name = "WHAT",
        default_value = ".",
        help_heading = "What is deployed"
    )]
    pub(crate) revision: String,
    /// The AppSpec, from the revision's top [default: appspec.yml, else appspec.yaml]
    #[arg(long, value_name = "FILE", help_heading = "What is deployed")]
    pub(crate) app_spec_filename: Option<String>,
    /// For people
    #[arg(long, value_name = "TEXT", help_heading = "What is deployed")]
    pub(crate) description: Option<String>,
    /// The configuration [default: the group's]
    #[arg(long, value_name = "NAME", help_heading = "How")]
    pub(crate) config: Option<String>,
    /// What happens to files that are there already and are not of an earlier deployment
    #[arg(long, value_enum, default_value_t = FileExistsWord::Disallow, value_name = "WHAT", ignore_case = true, help_heading = "How")]
    pub(crate) file_exists_behavior: FileExistsWord,
    /// Go on on a host where a script of the revision that it had fails
    #[arg(long, help_heading = "How")]
    pub(crate) ignore_application_stop_failures: bool,
    /// What happens when the group has another deployment [default: the group's, else refuse]
    #[arg(
        long,
        value_enum,
        value_name = "WHAT",
        ignore_case = true,
        help_heading = "How"
    )]
    pub(crate) busy: Option<BusyWord>,
    /// Asked twice with the same one, there is one deployment [default: one that is drawn]
    #[arg(long, value_name = "TEXT")]
    pub(crate) idempotency_token: Option<String>,
    /// Follow the deployment to its end, and end as it does: what is done on a terminal
    #[arg(long, conflicts_with = "detach")]
    pub(crate) watch: bool,
    /// Only print the deployment's id, and do not follow it
    #[arg(long)]
    pub(crate) detach: bool,
    /// How it is printed
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
    #[command(flatten)]
    pub(crate) connect: Connect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum FileExistsWord {
    /// The deployment fails on that host.
    Disallow,
    /// They are replaced.
    Overwrite,
    /// They stay.
    Retain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum BusyWord {
    /// This one is refused.
    Refuse,
    /// It waits its turn.
    Queue,
    /// It takes the place of those that wait.
    Supersede,
}

impl FileExistsWord {
    /// The word as the API spells it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Disallow => "DISALLOW",
            Self::Overwrite => "OVERWRITE",
            Self::Retain => "RETAIN",
        }
    }
}

impl BusyWord {
    /// The word as the API spells it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Refuse => "REFUSE",
            Self::Queue => "QUEUE",
            Self::Supersede => "SUPERSEDE",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct DeploymentWords {
    #[command(subcommand)]
    pub(crate) command: DeploymentCommand,
    #[command(flatten)]
    pub(crate) connect: Connect,
}

/// Which deployment.
#[derive(Debug, Args)]
pub(crate) struct DeploymentName {
    /// Such as d-A1B2C3D4E
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeploymentCommand {
    /// List deployments, the newest first
    List {
        /// Only of this application
        #[arg(long, value_name = "NAME")]
        application: Option<String>,
        /// Only of the group of this name
        #[arg(long, value_name = "NAME")]
        group: Option<String>,
        /// Only those that stand so, such as InProgress
        #[arg(long, value_name = "STATUS")]
        status: Option<String>,
        /// So many at most
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
        #[command(flatten)]
        output: OutputWords,
    },
    /// Tell how a deployment stands
    Get {
        #[command(flatten)]
        name: DeploymentName,
        #[command(flatten)]
        output: OutputWords,
    },
    /// List a deployment's hosts, or what happened on one of them, event by event
    Targets {
        #[command(flatten)]
        name: DeploymentName,
        /// One of them
        #[arg(value_name = "HOST")]
        host: Option<String>,
        #[command(flatten)]
        output: OutputWords,
    },
    /// Follow a deployment to its end; ends as it does
    Watch {
        #[command(flatten)]
        name: DeploymentName,
        #[command(flatten)]
        output: OutputWords,
    },
    /// Print what the scripts of a deployment print on its hosts, as far as the farm has it: `host event | line`
    Output(PrintedWords),
    /// Stop a deployment: each host ends the event that it is in
    Stop {
        #[command(flatten)]
        name: DeploymentName,
        /// Take it back, whatever its group says
        #[arg(long)]
        rollback: bool,
        #[command(flatten)]
        output: OutputWords,
    },
    /// End a deployment's wait: traffic moves, or what is watched is well
    Continue {
        #[command(flatten)]
        name: DeploymentName,
        #[command(flatten)]
        output: OutputWords,
    },
    /// Take a group back: stop what is on its way, or deploy the revision before; prints the deployment that does
    Rollback(RollbackWords),
    /// Tell how a deployment goes, what it waits for and what is next; of one that is over why it ended so, and what took it back
    Explain {
        #[command(flatten)]
        name: DeploymentName,
        #[command(flatten)]
        output: OutputWords,
    },
}

/// What of a deployment's output is printed.
#[derive(Debug, Args)]
pub(crate) struct PrintedWords {
    #[command(flatten)]
    pub(crate) name: DeploymentName,
    /// Only on this host
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// Go on until the deployment is over
    #[arg(short, long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) output: OutputWords,
}

/// `croft deployment rollback`.
#[derive(Debug, Args)]
pub(crate) struct RollbackWords {
    #[command(flatten)]
    pub(crate) group: GroupName,
    /// Follow what takes it back to its end, and end as it does
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) output: OutputWords,
}

#[derive(Debug, Args)]
pub(crate) struct AlarmWords {
    #[command(subcommand)]
    pub(crate) command: AlarmCommand,
    #[command(flatten)]
    pub(crate) connect: Connect,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AlarmCommand {
    /// List the alarms, thresholds, metrics and guard rails of a group
    List {
        #[command(flatten)]
        name: GroupName,
        #[command(flatten)]
        output: OutputWords,
    },
    /// Ask each query of a group once, and say what it gives; ends with 1 when one is a mistake
    Test {
        #[command(flatten)]
        name: GroupName,
        #[command(flatten)]
        output: OutputWords,
    },
}

#[derive(Debug, Args)]
pub(crate) struct HostWords {
    #[command(subcommand)]
    pub(crate) command: HostCommand,
    #[command(flatten)]
    pub(crate) connect: Connect,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HostCommand {
    /// Let a host enrol: prints a token, once, for `croft agent --invitation` on that host
    #[command(visible_alias = "enroll")]
    Invite {
        /// What the host is called
        #[arg(value_name = "NAME")]
        name: String,
        /// Its tags; KEY= for one that says nothing
        #[arg(value_name = "KEY=VALUE")]
        tags: Vec<String>,
        /// Its zone
        #[arg(long, value_name = "ZONE")]
        zone: Option<String>,
        /// How long the token is good [default: 60]
        #[arg(long, value_name = "MINUTES")]
        expires: Option<u64>,
    },
    /// List the hosts that are deployed to
    List(OutputWords),
    /// Print a host, and the groups that mean it
    Get {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        output: OutputWords,
    },
    /// Take a host out of the farm: nothing that it says counts any more
    Revoke {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Give a host these tags, and no others
    Tag {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// Each of them; KEY= for one that says nothing
        #[arg(value_name = "KEY=VALUE")]
        tags: Vec<String>,
        #[command(flatten)]
        output: OutputWords,
    },
}
