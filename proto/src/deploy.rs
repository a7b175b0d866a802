//! What a deployment is made of: the life cycle of a revision on a host, where deployments, targets and events stand, and what a
//! script left behind. Names and values are AWS's (CodeDeploy).

/// Which deployment.
mod id;
/// The steps of a revision's life on one host.
mod lifecycle;
/// Where a deployment, a target or an event stands.
mod status;
/// What is said of a script that ran.
mod script;
/// What a host is told to do.
mod command;
/// What hosts and servers say to each other.
mod host;
/// What scripts print.
mod output;
/// What names may be.
mod name;
/// Tags of hosts, and filters of them.
mod tags;
/// How many hosts must stay, and how traffic moves.
mod config;
/// Applications and their revisions.
mod application;
/// The balancer.
mod router;
/// Two containers of a host.
mod container;
/// Which hosts, how, and when back.
mod group;
/// What is asked for.
mod request;
/// Which keys all these may have.
mod shapes;
/// What is done.
mod plan;
/// How a deployment is shown.
mod info;
/// How its detectors stand.
mod watched;
/// What it waits for.
mod waits;
/// What it has left.
mod left;
/// What is recorded.
mod journal;

pub use application::{Application, RevisionRegistration};
pub use command::{DeploymentType, HostCommand, Revision, RevisionOrigin};
pub use config::{
    ComputePlatform, DEFAULT_CONFIG, DeploymentConfig, HostCanary, MinimumHealthyHosts,
    MinimumHealthyHostsType, OwnOfConfig, RESERVED_PREFIX, TimeBasedCanary, TimeBasedLinear,
    TrafficRoutingConfig, TrafficRoutingType, TrafficStep, ZonalConfig,
};
pub use container::{Colour, ContainerOrder, ContainerPorts, ContainerSettings, PlannedContainers};
pub use group::{
    ALARMS_MAX, ActionOnTimeout, AlarmConfiguration, AlarmName, AutoRollbackConfiguration,
    AutoRollbackEvent, BAKE_MINUTES, BlueGreenDeploymentConfiguration, Busy, DeploymentGroup,
    DeploymentOption, DeploymentReadyOption, DeploymentStyle, GreenFleetProvisioningOption,
    OutdatedInstancesStrategy, OwnOfGroup, TerminateBlueInstances, VerdictSettings,
};
pub use host::{
    Commands, Enrolling, HOST_REVOKED, Has, Heard, HostReport, Invitation, Poll, ReportAnswer,
    Reported,
};
pub use id::DeploymentId;
pub use info::{
    Continued, DeploymentInfo, DeploymentInfoError, DeploymentOverview, ErrorCode, FirstFailure,
    OwnOfDeploymentInfo, RollbackInfo, config_named,
};
pub use journal::{
    AppEvent, ConfigEvent, DeploymentEvent, Finding, GroupEvent, HostEvent, PART_BYTES_MAX,
    RevisionHealth, Standing, TargetEvent, parts,
};
pub use left::Left;
pub use lifecycle::{LifecycleEvent, ScriptsFrom};
pub use name::{NAME_CHARS_MAX, is_deploy_name};
pub use output::{
    HostOutput, OUTPUT_BYTES_MAX, OutputAnswer, OutputLine, OutputStream, PrintedOutput,
    PrintedUntil,
};
pub use plan::{Fleet, HealthRule, Pace, Plan, PlannedTarget, Side, Span, Step, TargetKind, Was};
pub use request::{Accepted, Creator, OwnOfDeployment, StartDeployment, TargetInstances};
pub use router::Router;
pub use script::{Diagnostics, FileExistsBehavior, ScriptErrorCode};
pub use status::{DeploymentStatus, EventStatus, TargetStatus};
pub use tags::{Ec2TagSet, OnPremisesTagSet, Tag, TagFilter, TagFilterType};
pub use waits::{WAIT_NAMES_MAX, Wait, WaitKind};
pub use watched::{Watched, WatchedCounts, WatchedMetric, WatchedPoint, WatchedQuery};
