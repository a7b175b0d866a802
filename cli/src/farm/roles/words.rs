//! The words of the commands that run roles.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;

use crate::args::Format;

/// More builds at once than any machine can run are a slip.
const SLOTS_MAX: i64 = 1024;

/// Where the farm's broker is, and as whom.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct NatsWords {
    /// A server of the NATS cluster, such as nats://10.0.0.1:4222; again for each of them
    #[arg(
        long = "nats",
        env = "CROFT_NATS",
        value_name = "URL",
        value_delimiter = ',',
        help_heading = "The broker"
    )]
    pub(crate) servers: Vec<String>,
    /// A credentials file, as nsc writes it
    #[arg(
        long = "nats-credentials",
        env = "CROFT_NATS_CREDENTIALS",
        value_name = "FILE",
        help_heading = "The broker"
    )]
    pub(crate) credentials: Option<PathBuf>,
    /// A file with user:password, or with a token
    #[arg(
        long = "nats-password-file",
        env = "CROFT_NATS_PASSWORD_FILE",
        value_name = "FILE",
        conflicts_with = "credentials",
        help_heading = "The broker"
    )]
    pub(crate) password: Option<PathBuf>,
    /// Certificates of the authorities to trust, in PEM
    #[arg(
        long = "nats-ca",
        env = "CROFT_NATS_CA",
        value_name = "FILE",
        help_heading = "The broker"
    )]
    pub(crate) authorities: Option<PathBuf>,
    /// This client's certificate, in PEM
    #[arg(
        long = "nats-cert",
        env = "CROFT_NATS_CERT",
        value_name = "FILE",
        requires = "key",
        help_heading = "The broker"
    )]
    pub(crate) certificate: Option<PathBuf>,
    /// Its key
    #[arg(
        id = "key",
        long = "nats-key",
        env = "CROFT_NATS_KEY",
        value_name = "FILE",
        requires = "certificate",
        help_heading = "The broker"
    )]
    pub(crate) key: Option<PathBuf>,
    /// The monitoring address of each of its servers, such as http://10.0.0.1:8222, to learn whether they wait for their disks
    #[arg(
        long = "nats-monitoring",
        env = "CROFT_NATS_MONITORING",
        value_name = "URL",
        value_delimiter = ',',
        help_heading = "The broker"
    )]
    pub(crate) monitoring: Vec<String>,
    /// Copies of the ledger in the cluster: 3, or 1 for a single server
    #[arg(
        long,
        env = "CROFT_NATS_REPLICAS",
        value_name = "N",
        default_value_t = 1,
        help_heading = "The broker"
    )]
    pub(crate) replicas: usize,
}

/// Where sources, logs and artifacts are kept, and how leases run.
#[derive(Clone, Debug, Args)]
pub(crate) struct FarmWords {
    /// Where sources, logs and artifacts are kept, such as s3://bucket/prefix [default: store in CROFT_HOME]
    #[arg(long, env = "CROFT_STORE", value_name = "PLACE")]
    pub(crate) store: Option<String>,
    /// How long an attempt may be silent before it is started elsewhere; the same in all of a farm
    #[arg(
        long,
        env = "CROFT_LEASE",
        value_name = "TIME",
        default_value = "15s",
        hide = true
    )]
    pub(crate) lease: String,
    /// How long running builds may go on once this process is told to end
    #[arg(long, env = "CROFT_DRAIN", value_name = "TIME", default_value = "60s")]
    pub(crate) drain: String,
}

/// The API's door.
#[derive(Clone, Debug, Args)]
pub(crate) struct DoorWords {
    /// Where to listen; port 0 takes a free one
    #[arg(
        long,
        env = "CROFT_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:9470"
    )]
    pub(crate) listen: SocketAddr,
    /// The certificate chain to show, in PEM; without one the port speaks plain HTTP
    #[arg(
        long,
        env = "CROFT_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its key
    #[arg(
        long,
        env = "CROFT_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub(crate) tls_key: Option<PathBuf>,
    /// The master key, which all secrets hang on [default: /etc/croft/master.key as root, else $XDG_CONFIG_HOME/croft/master.key]
    #[arg(long, env = "CROFT_MASTER_KEY_FILE", value_name = "FILE")]
    pub(crate) master_key_file: Option<PathBuf>,
    /// Let everybody on this machine read /metrics; only with a loopback address
    #[arg(long, env = "CROFT_OPEN_METRICS", value_parser = BoolishValueParser::new())]
    pub(crate) open_metrics: bool,
    /// Where Alertmanager is: its alarms end deployments, but for those that somebody has silenced
    #[arg(long, env = "CROFT_ALERTMANAGER", value_name = "URL")]
    pub(crate) alertmanager: Option<String>,
    /// Where Prometheus is: releases are judged by its metrics, and alarms are asked of it when there is no Alertmanager
    #[arg(long, env = "CROFT_PROMETHEUS", value_name = "URL")]
    pub(crate) prometheus: Option<String>,
}

/// What a worker offers.
#[derive(Clone, Debug, Args)]
pub(crate) struct SlotWords {
    /// Whose builds it takes
    #[arg(
        long,
        env = "CROFT_POOL",
        value_name = "NAME",
        default_value = "default",
        help_heading = "The worker"
    )]
    pub(crate) pool: String,
    /// Builds at once [default: one for each processor]
    #[arg(
        long,
        env = "CROFT_SLOTS",
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=SLOTS_MAX),
        help_heading = "The worker"
    )]
    pub(crate) slots: Option<u32>,
    /// Let builds ask for privileges, for a container engine of their own
    #[arg(long, env = "CROFT_PRIVILEGED", value_parser = BoolishValueParser::new(), help_heading = "The worker")]
    pub(crate) privileged: bool,
    /// The containers' network, as docker names it [default: the engine's]
    #[arg(
        long,
        env = "CROFT_NETWORK",
        value_name = "MODE",
        help_heading = "The worker"
    )]
    pub(crate) network: Option<String>,
    /// Containers of each kind that are started before their build is known; 0 for none
    #[arg(
        long,
        env = "CROFT_WARM",
        value_name = "N",
        default_value_t = 2,
        help_heading = "The worker"
    )]
    pub(crate) warm: usize,
    /// Take no builds while less is free on the disk of Croft's state
    #[arg(
        long,
        env = "CROFT_DISK_FREE",
        value_name = "SIZE",
        default_value = "1g",
        help_heading = "The worker"
    )]
    pub(crate) disk_free: String,
}

/// How long the ledger remembers.
#[derive(Clone, Debug, Args)]
pub(crate) struct KeepWords {
    /// How long builds stay in the ledger after their end, such as 90d; then they are archived beside the store, and still listed. 0
    /// is for ever
    #[arg(
        long,
        env = "CROFT_KEEP_BUILDS",
        value_name = "TIME",
        default_value = "90d"
    )]
    pub(crate) keep_builds: String,
    /// How often that is looked at
    #[arg(
        long,
        env = "CROFT_KEEP_EVERY",
        value_name = "TIME",
        default_value = "1h",
        hide = true
    )]
    pub(crate) keep_every: String,
    /// A copy of the read model is kept beside the store when the ledger has so many more entries than the last one: a server on an
    /// empty disk begins with it. 0 keeps none.
    #[arg(
        long,
        env = "CROFT_SNAPSHOT_ENTRIES",
        value_name = "COUNT",
        default_value_t = 100_000
    )]
    pub(crate) snapshot_entries: u64,
}

/// `croft backup`.
#[derive(Clone, Debug, Args)]
pub(crate) struct BackupWords {
    /// Where the backup goes: a folder, or a place such as s3://bucket/prefix; again to the same place, what is new goes there
    #[arg(long, env = "CROFT_BACKUP", value_name = "DIR|PLACE")]
    pub(crate) to: String,
    /// Where the farm keeps sources, logs and artifacts, and its archive beside them [default: store in CROFT_HOME]
    #[arg(long, env = "CROFT_STORE", value_name = "PLACE")]
    pub(crate) store: Option<String>,
    #[command(flatten)]
    pub(crate) nats: NatsWords,
    /// How what was done is printed
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// `croft restore`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RestoreWords {
    /// Where the backup is: a folder, or a place such as s3://bucket/prefix
    #[arg(long, env = "CROFT_BACKUP", value_name = "DIR|PLACE")]
    pub(crate) from: String,
    /// Where the farm will keep sources, logs and artifacts, and its archive beside them [default: store in CROFT_HOME]
    #[arg(long, env = "CROFT_STORE", value_name = "PLACE")]
    pub(crate) store: Option<String>,
    #[command(flatten)]
    pub(crate) nats: NatsWords,
    /// How what was done is printed
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// `croft up`.
#[derive(Clone, Debug, Args)]
pub(crate) struct UpWords {
    #[command(flatten)]
    pub(crate) door: DoorWords,
    #[command(flatten)]
    pub(crate) farm: FarmWords,
    #[command(flatten)]
    pub(crate) keep: KeepWords,
    #[command(flatten)]
    pub(crate) slots: SlotWords,
    /// Run builds in containers only, not with this machine's own tools
    #[arg(long, env = "CROFT_NO_SANDBOX", value_parser = BoolishValueParser::new(), help_heading = "The worker")]
    pub(crate) no_sandbox: bool,
}

/// `croft server`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServerWords {
    #[command(flatten)]
    pub(crate) door: DoorWords,
    #[command(flatten)]
    pub(crate) farm: FarmWords,
    #[command(flatten)]
    pub(crate) keep: KeepWords,
    #[command(flatten)]
    pub(crate) nats: NatsWords,
    /// This server's name in the audit log, unlike any other's [default: drawn at the first start and kept]
    #[arg(long, env = "CROFT_SERVER_NAME", value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// `croft worker`, without a subcommand.
#[derive(Clone, Debug, Args)]
pub(crate) struct RoleWords {
    #[command(flatten)]
    pub(crate) farm: FarmWords,
    #[command(flatten)]
    pub(crate) nats: NatsWords,
    #[command(flatten)]
    pub(crate) slots: SlotWords,
    /// Run builds without an image with this machine's own tools: for pools that build trusted sources only
    #[arg(long, env = "CROFT_SANDBOX", value_parser = BoolishValueParser::new(), help_heading = "The worker")]
    pub(crate) sandbox: bool,
    /// What its name begins with [default: this machine's]
    #[arg(
        long,
        env = "CROFT_WORKER_NAME",
        value_name = "NAME",
        help_heading = "The worker"
    )]
    pub(crate) name: Option<String>,
    /// Where to serve /metrics, /healthz and /readyz [default: nowhere]
    #[arg(
        long,
        env = "CROFT_WORKER_LISTEN",
        value_name = "ADDRESS:PORT",
        help_heading = "The worker"
    )]
    pub(crate) listen: Option<SocketAddr>,
}
