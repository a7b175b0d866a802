//! Every route there is, once: the router, who may ask, and the paths of the OpenAPI document are made from this table, so that
//! none can be forgotten in one of them.

use croft_keys::AccessRole;
use futures_util::future::BoxFuture;

use super::call::{Answer, Call};
use super::deploy::events as happenings;
use super::deploy::{
    alarms, applications, ask, configs, deployments, groups, hosts, output, printed, targets,
};
use super::{
    agents, alerts, audit, builds, events, explain, files, metrics, openapi, pools, projects,
    ready, secrets, sources, start, tokens, workers,
};

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

/// Whose affair it is, beside the role that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Nobody's: no token is asked for.
    Open,
    /// A host's that is deployed to, which signs the call itself; the route's function looks.
    Host,
    /// Anybody's who has the role.
    Role,
    /// The whole farm's.
    Farm,
    /// Those projects' that the caller may see: the list is cut to them.
    Listed,
    /// The project's that the path names, or the application's: a token's projects are its applications, too.
    Project,
    /// The project's whose build the path names.
    Build,
    /// The application's whose deployment the path names.
    Deployment,
    /// The project's that the body names: the route's function asks.
    Body,
    /// The pool's that the path names.
    Pool,
}

/// Whether it changes something, and so is put on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Reads,
    Changes,
}

/// What answers.
pub(super) type Function = fn(Call) -> BoxFuture<'static, Answer>;

/// A route.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) verb: Verb,
    pub(super) path: &'static str,
    pub(super) role: AccessRole,
    pub(super) whose: Whose,
    pub(super) effect: Effect,
    /// As in the OpenAPI document and in the audit chain.
    pub(super) operation: &'static str,
    pub(super) summary: &'static str,
    pub(super) function: Function,
}

impl Verb {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

macro_rules! routes {
    ($($verb:ident $path:literal $role:ident $whose:ident $effect:ident $operation:literal $summary:literal => $function:path;)*) => {
        /// All of them.
        pub(super) const ROUTES: &[Route] = &[$(Route {
            verb: Verb::$verb,
            path: $path,
            role: AccessRole::$role,
            whose: Whose::$whose,
            effect: Effect::$effect,
            operation: $operation,
            summary: $summary,
            function: |call| Box::pin($function(call)),
        }),*];
    };
}

routes! {
    Get "/healthz" Viewer Open Reads "GetHealth" "Whether this server answers." => ready::healthz;
    Get "/readyz" Viewer Open Reads "GetReadiness" "Whether this server is caught up and connected." => ready::readyz;
    Get "/metrics" Viewer Farm Reads "GetMetrics" "What is measured, in Prometheus' text format." => metrics::show;
    Get "/v1/openapi.json" Viewer Role Reads "GetApi" "This document." => openapi::show;
    Get "/v1/projects" Viewer Listed Reads "ListProjects" "Projects by name." => projects::list;
    Put "/v1/projects/{name}" Builder Project Changes "PutProject" "Makes a project, or configures it anew." => projects::put;
    Post "/v1/projects/{name}/check" Builder Project Reads "CheckProject" "Whether a project would be taken; changes nothing." => projects::check;
    Get "/v1/projects/{name}" Viewer Project Reads "GetProject" "A project." => projects::get;
    Delete "/v1/projects/{name}" Builder Project Changes "DeleteProject" "Deletes a project; its builds stay." => projects::delete;
    Post "/v1/builds" Builder Body Changes "StartBuild" "Starts a build." => start::start;
    Get "/v1/builds" Viewer Listed Reads "ListBuilds" "Builds, the newest first." => builds::list;
    Get "/v1/builds/{id}" Viewer Build Reads "GetBuild" "A build." => builds::get;
    Post "/v1/builds/{id}/stop" Builder Build Changes "StopBuild" "Ends a build." => start::stop;
    Post "/v1/builds/{id}/retry" Builder Build Changes "RetryBuild" "Starts a build once more." => start::retry;
    Get "/v1/builds/{id}/explain" Viewer Build Reads "ExplainBuild" "Why a build waits, and what happened to it." => explain::explain;
    Get "/v1/builds/{id}/log" Viewer Build Reads "GetBuildLog" "What a build printed." => files::log;
    Get "/v1/builds/{id}/events" Viewer Build Reads "FollowBuild" "What happens in a build, as it happens." => events::follow;
    Get "/v1/builds/{id}/artifacts" Viewer Build Reads "ListArtifacts" "Files a build left." => files::artifacts;
    Get "/v1/builds/{id}/artifacts/{*path}" Viewer Build Reads "GetArtifact" "A file a build left." => files::artifact;
    Get "/v1/builds/{id}/reports" Viewer Build Reads "ListReports" "A build's test reports." => builds::reports;
    Post "/v1/sources/wanting" Builder Role Reads "ListWantedChunks" "Which chunks of a source are not here yet." => sources::wanting;
    Post "/v1/sources/chunks" Builder Role Reads "PutChunks" "Stores chunks of a source." => sources::chunks;
    Post "/v1/sources/trees" Builder Role Changes "PutTree" "Makes a source of chunks that are here." => sources::trees;
    Get "/v1/workers" Viewer Farm Reads "ListWorkers" "Workers that were heard of lately." => workers::list;
    Post "/v1/workers/{name}/drain" Admin Farm Changes "DrainWorker" "Lets a worker take no more builds." => workers::drain;
    Post "/v1/workers/{name}/resume" Admin Farm Changes "ResumeWorker" "Lets a worker take builds again." => workers::resume;
    Get "/v1/queue" Viewer Farm Reads "GetQueue" "Who waits, by pool." => workers::queue;
    Get "/v1/secrets" Builder Farm Reads "ListSecrets" "Names of secrets; never a value." => secrets::list;
    Put "/v1/secrets/{name}" Admin Farm Changes "PutSecret" "Sets a secret." => secrets::put;
    Delete "/v1/secrets/{name}" Admin Farm Changes "DeleteSecret" "Removes a secret." => secrets::delete;
    Get "/v1/tokens" Admin Farm Reads "ListTokens" "Tokens, without what makes them good." => tokens::list;
    Post "/v1/tokens" Admin Farm Changes "CreateToken" "Issues a token, shown once." => tokens::create;
    Delete "/v1/tokens/{id}" Admin Farm Changes "RevokeToken" "Takes a token back." => tokens::revoke;
    Post "/v1/pools/{pool}/enrolments" Worker Pool Changes "EnrolWorker" "Gives a worker its pool's keys." => pools::enrol;
    Post "/v1/revisions/wanting" Deployer Role Reads "ListWantedRevisionChunks" "Which chunks of a revision are not here yet." => sources::wanting;
    Post "/v1/revisions/chunks" Deployer Role Reads "PutRevisionChunks" "Stores chunks of a revision." => sources::chunks;
    Post "/v1/revisions/trees" Deployer Role Changes "PutRevision" "Makes a revision of chunks that are here." => sources::trees;
    Get "/v1/applications" Viewer Listed Reads "ListApplications" "Applications by name." => applications::list;
    Put "/v1/applications/{name}" Deployer Project Changes "PutApplication" "Makes an application." => applications::put;
    Post "/v1/applications/{name}/check" Deployer Project Reads "CheckApplication" "Whether an application would be taken; changes nothing." => applications::check;
    Get "/v1/applications/{name}" Viewer Project Reads "GetApplication" "An application." => applications::get;
    Delete "/v1/applications/{name}" Deployer Project Changes "DeleteApplication" "Deletes an application without groups; its deployments stay." => applications::delete;
    Get "/v1/applications/{name}/groups" Viewer Project Reads "ListDeploymentGroups" "An application's deployment groups." => groups::list;
    Put "/v1/applications/{name}/groups/{group}" Deployer Project Changes "PutDeploymentGroup" "Makes a deployment group, or configures it anew." => groups::put;
    Post "/v1/applications/{name}/groups/{group}/check" Deployer Project Reads "CheckDeploymentGroup" "Whether a deployment group would be taken; changes nothing." => groups::check;
    Get "/v1/applications/{name}/groups/{group}" Viewer Project Reads "GetDeploymentGroup" "A deployment group." => groups::get;
    Delete "/v1/applications/{name}/groups/{group}" Deployer Project Changes "DeleteDeploymentGroup" "Deletes a deployment group; its hosts keep what they have." => groups::delete;
    Post "/v1/applications/{name}/groups/{group}/rollback" Deployer Project Changes "RollBack" "Takes a group back to the revision before." => ask::roll_back;
    Get "/v1/applications/{name}/groups/{group}/alarms" Viewer Project Reads "ListAlarms" "What a group's releases are judged by." => alarms::list;
    Post "/v1/applications/{name}/groups/{group}/alarms/test" Deployer Project Reads "TestAlarms" "Asks each query of a group once, and says what it gives." => alarms::test;
    Get "/v1/deployment-configs" Viewer Role Reads "ListDeploymentConfigs" "Deployment configurations, the predefined ones first." => configs::list;
    Put "/v1/deployment-configs/{name}" Deployer Farm Changes "PutDeploymentConfig" "Makes a deployment configuration, which never changes." => configs::put;
    Post "/v1/deployment-configs/{name}/check" Deployer Farm Reads "CheckDeploymentConfig" "Whether a deployment configuration would be taken; changes nothing." => configs::check;
    Get "/v1/deployment-configs/{name}" Viewer Role Reads "GetDeploymentConfig" "A deployment configuration." => configs::get;
    Delete "/v1/deployment-configs/{name}" Deployer Farm Changes "DeleteDeploymentConfig" "Deletes a deployment configuration that nothing uses." => configs::delete;
    Post "/v1/deployments" Deployer Body Changes "CreateDeployment" "Starts a deployment." => ask::start;
    Get "/v1/deployments" Viewer Listed Reads "ListDeployments" "Deployments, the newest first." => deployments::list;
    Get "/v1/deployments/{id}" Viewer Deployment Reads "GetDeployment" "A deployment." => deployments::get;
    Get "/v1/deployments/{id}/events" Viewer Deployment Reads "FollowDeployment" "What happens in a deployment, as it happens: server-sent events." => happenings::follow;
    Get "/v1/deployments/{id}/output" Viewer Deployment Reads "FollowDeploymentOutput" "What the hosts of a deployment print, as they print it: server-sent events." => output::follow;
    Get "/v1/deployments/{id}/targets" Viewer Deployment Reads "ListDeploymentTargets" "A deployment's hosts, at most a thousand." => targets::list;
    Get "/v1/deployments/{id}/targets/{host}" Viewer Deployment Reads "GetDeploymentTarget" "What happened on a host." => targets::get;
    Post "/v1/deployments/{id}/stop" Deployer Deployment Changes "StopDeployment" "Ends a deployment." => ask::stop;
    Post "/v1/deployments/{id}/continue" Deployer Deployment Changes "ContinueDeployment" "Ends a deployment's wait." => ask::go_on;
    Get "/v1/hosts/{name}" Viewer Farm Reads "GetHost" "A host, and the groups that mean it." => hosts::get;
    Put "/v1/hosts/{name}/tags" Admin Farm Changes "TagHost" "Gives a host other tags." => hosts::tag;
    Post "/v1/alerts" Deployer Farm Changes "PushAlerts" "What Alertmanager's webhook says; its alarms end deployments." => alerts::pushed;
    Get "/v1/hosts" Viewer Farm Reads "ListHosts" "Hosts that are deployed to." => hosts::list;
    Delete "/v1/hosts/{name}" Admin Farm Changes "RevokeHost" "Takes a host out of the farm." => hosts::revoke;
    Post "/v1/hosts/invitations" Admin Farm Changes "InviteHost" "Lets a host enrol: a token, shown once." => agents::invitation;
    Post "/v1/agent/enrolments" Viewer Open Changes "EnrolHost" "Makes an invited host one of the farm's." => agents::enrol;
    Post "/v1/agent/poll" Viewer Host Reads "PollHost" "What a host is to do. Signed by the host, as all of /v1/agent is." => agents::poll;
    Post "/v1/agent/reports" Viewer Host Reads "ReportEvent" "What a host says of an event." => agents::report;
    Post "/v1/agent/output" Viewer Host Reads "TakeHostOutput" "What a host's scripts print." => printed::take;
    Get "/v1/agent/revisions/{digest}" Viewer Host Reads "OfferRevision" "What a revision is made of." => agents::offer;
    Post "/v1/agent/revisions/{digest}/chunks" Viewer Host Reads "GetRevisionChunks" "Parts of a revision." => agents::chunks;
    Get "/v1/audit" Admin Farm Reads "ListAudit" "Who did what." => audit::list;
}
