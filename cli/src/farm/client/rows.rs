//! What the commands that ask a farm print, row by row. A row is the server's own JSON, so that tools get all of it, also what a
//! later server adds.

use croft_proto::Timestamp;
use croft_proto::deploy::{DeploymentConfig, TrafficStep};
use serde::Serialize;
use serde_json::Value;

use crate::output::Rows;
use crate::render::{date, date_and_seconds, duration, size};
use crate::surroundings::now;

/// What stands at that place of the JSON, for a table's cell.
pub(super) fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) if text.is_empty() => "-".into(),
        // What repositories and people have named must not move the cursor.
        Some(Value::String(text)) => croft_exec::output::plain_text(text, usize::MAX),
        Some(Value::Array(list)) => {
            let words: Vec<String> = list.iter().map(text_of).collect();
            if words.is_empty() {
                "-".into()
            } else {
                words.join(" ")
            }
        }
        Some(other @ (Value::Bool(_) | Value::Number(_) | Value::Object(_))) => other.to_string(),
    }
}

fn text_of(value: &Value) -> String {
    text(value, "")
}

fn moment(value: &Value, pointer: &str) -> Option<Timestamp> {
    let found = value.pointer(pointer)?;
    serde_json::from_value(found.clone()).ok()
}

fn when(value: &Value, pointer: &str) -> String {
    moment(value, pointer).map_or_else(|| "-".into(), date)
}

/// The same to the second: of what takes seconds.
fn to_the_second(value: &Value, pointer: &str) -> String {
    moment(value, pointer).map_or_else(|| "-".into(), date_and_seconds)
}

/// A build.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct BuildRow(pub(super) Value);

impl BuildRow {
    fn took(&self) -> String {
        let Some(start) = moment(&self.0, "/startTime") else {
            return "-".into();
        };
        let end = moment(&self.0, "/endTime").unwrap_or_else(now);
        duration(end.millis_since(start))
    }
}

impl Rows for BuildRow {
    fn titles() -> (Vec<&'static str>, usize) {
        (
            vec![
                "ID", "NUMBER", "STATUS", "PHASE", "STARTED", "TOOK", "BY", "POOL", "PRIORITY",
                "WORKER", "ATTEMPTS", "IMAGE", "MESSAGE",
            ],
            7,
        )
    }

    fn cells(&self) -> Vec<String> {
        let build = &self.0;
        vec![
            text(build, "/id"),
            text(build, "/buildNumber"),
            text(build, "/buildStatus"),
            text(build, "/currentPhase"),
            when(build, "/startTime"),
            self.took(),
            text(build, "/initiator"),
            text(build, "/x-croft/pool"),
            text(build, "/x-croft/priority"),
            text(build, "/x-croft/worker"),
            text(build, "/x-croft/attempts"),
            text(build, "/image"),
            text(build, "/x-croft/message"),
        ]
    }

    fn name(&self) -> String {
        text(&self.0, "/id")
    }
}

/// A file of a build's.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct ArtifactRow(pub(super) Value);

impl Rows for ArtifactRow {
    fn titles() -> (Vec<&'static str>, usize) {
        (vec!["PATH", "SIZE"], 2)
    }

    fn cells(&self) -> Vec<String> {
        let bytes = self.0["sizeBytes"].as_u64().map(size);
        vec![text(&self.0, "/path"), bytes.unwrap_or_else(|| "-".into())]
    }

    fn name(&self) -> String {
        text(&self.0, "/path")
    }
}

/// A project, and what became of it.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct ProjectRow {
    pub(super) project: Value,
    /// Empty where nothing was done.
    #[serde(skip)]
    pub(super) how: &'static str,
}

impl ProjectRow {
    pub(super) const fn plain(project: Value) -> Self {
        Self { project, how: "-" }
    }
}

impl Rows for ProjectRow {
    fn titles() -> (Vec<&'static str>, usize) {
        (
            vec![
                "NAME",
                "DONE",
                "SOURCE",
                "LOCATION",
                "IMAGE",
                "POOL",
                "LIMIT",
                "TIMEOUT",
                "BUILDSPEC",
            ],
            6,
        )
    }

    fn cells(&self) -> Vec<String> {
        let project = &self.project;
        vec![
            text(project, "/name"),
            self.how.into(),
            text(project, "/source/type"),
            text(project, "/source/location"),
            text(project, "/environment/image"),
            text(project, "/x-croft/pool"),
            text(project, "/concurrentBuildLimit"),
            text(project, "/timeoutInMinutes"),
            text(project, "/source/buildspec"),
        ]
    }

    fn name(&self) -> String {
        text(&self.project, "/name")
    }
}

/// A table of the server's JSON.
macro_rules! rows {
    ($(#[$doc:meta])* $row:ident, $name:literal, $narrow:literal, [$(($title:literal, $cell:expr)),+ $(,)?]) => {
        $(#[$doc])*
        #[derive(Debug, Serialize)]
        #[serde(transparent)]
        pub(super) struct $row(pub(super) Value);

        impl Rows for $row {
            fn titles() -> (Vec<&'static str>, usize) {
                (vec![$($title),+], $narrow)
            }

            fn cells(&self) -> Vec<String> {
                let cells: Vec<fn(&Value) -> String> = vec![$($cell),+];
                cells.into_iter().map(|cell| cell(&self.0)).collect()
            }

            fn name(&self) -> String {
                text(&self.0, $name)
            }
        }
    };
}

rows!(
    /// A secret, without its value.
    SecretRow, "/name", 5, [
        ("NAME", |row| text(row, "/name")),
        ("VERSION", |row| text(row, "/version")),
        ("KIND", |row| text(row, "/kind")),
        ("PROJECTS", |row| every(text(row, "/projects"))),
        ("SET", |row| when(row, "/lastChanged")),
    ]
);

rows!(
    /// A token, without what it is.
    TokenRow, "/id", 6, [
        ("ID", |row| text(row, "/id")),
        ("NAME", |row| text(row, "/name")),
        ("ROLE", |row| text(row, "/role")),
        ("PROJECTS", |row| every(text(row, "/projects"))),
        ("ENDS", |row| when(row, "/expires")),
        ("MADE", |row| when(row, "/created")),
    ]
);

rows!(
    /// A worker.
    WorkerRow, "/name", 6, [
        ("NAME", |row| text(row, "/name")),
        ("POOL", |row| text(row, "/pool")),
        ("STATE", |row| text(row, "/state")),
        ("SLOTS", |row| text(row, "/slots")),
        ("FREE", |row| text(row, "/slotsFree")),
        ("HEARD", |row| when(row, "/lastHeard")),
        ("BUILDS", |row| text(row, "/builds")),
        ("VERSION", |row| text(row, "/version")),
    ]
);

rows!(
    /// A pool, and what waits there.
    PoolRow, "/pool", 8, [
        ("POOL", |row| text(row, "/pool")),
        ("WAITING", |row| text(row, "/waiting")),
        ("RUNNING", |row| text(row, "/running")),
        ("OFFERED", |row| text(row, "/offered")),
        ("WORKERS", |row| text(row, "/workers")),
        ("SLOTS", |row| text(row, "/slots")),
        ("FREE", |row| text(row, "/slotsFree")),
        ("OLDEST", oldest),
    ]
);

rows!(
    /// Who did what.
    AuditRow, "/requestId", 6, [
        ("WHEN", noted),
        ("WHO", |row| text(row, "/actor")),
        ("ROLE", |row| text(row, "/role")),
        ("WHAT", |row| text(row, "/action")),
        ("WITH", |row| text(row, "/target")),
        ("CAME OF IT", |row| text(row, "/outcome")),
        ("REQUEST", |row| text(row, "/requestId")),
        ("CHAIN", |row| text(row, "/chain")),
        ("ENTRY", |row| text(row, "/number")),
    ]
);

/// What was applied, and what became of it.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct AppliedRow {
    pub(super) json: Value,
    #[serde(skip)]
    pub(super) name: String,
    #[serde(skip)]
    pub(super) how: &'static str,
}

impl Rows for AppliedRow {
    fn titles() -> (Vec<&'static str>, usize) {
        (vec!["NAME", "DONE"], 2)
    }

    fn cells(&self) -> Vec<String> {
        vec![self.name(), self.how.into()]
    }

    fn name(&self) -> String {
        croft_exec::output::plain_text(&self.name, usize::MAX)
    }
}

rows!(
    /// An application.
    AppRow, "/applicationName", 2, [
        ("NAME", |row| text(row, "/applicationName")),
        ("PLATFORM", |row| text(row, "/computePlatform")),
    ]
);

rows!(
    /// A deployment configuration.
    ConfigRow, "/deploymentConfigName", 6, [
        ("NAME", |row| text(row, "/deploymentConfigName")),
        ("PLATFORM", |row| text(row, "/computePlatform")),
        ("HEALTHY HOSTS", |row| healthy_hosts(row, "/minimumHealthyHosts")),
        ("TRAFFIC", traffic),
        ("FIRST HOSTS", first_hosts),
        ("ZONES", zones),
    ]
);

rows!(
    /// A deployment group.
    GroupRow, "/deploymentGroupName", 6, [
        ("NAME", |row| text(row, "/deploymentGroupName")),
        ("CONFIG", |row| text(row, "/deploymentConfigName")),
        ("HOSTS", |row| text(row, "/x-croft-state/hosts")),
        ("HEALTHY", |row| text(row, "/x-croft-state/hostsHealthy")),
        ("HAS", revisions),
        ("DEPLOYING", |row| text(row, "/x-croft-state/activeDeploymentId")),
        ("TYPE", |row| text(row, "/deploymentStyle/deploymentType")),
        ("TAKES BACK ON", |row| text(row, "/autoRollbackConfiguration/events")),
        ("GENERATION", |row| text(row, "/x-croft-state/generation")),
        ("SHOULD HAVE", |row| digest(row, "/targetRevision/digest")),
        ("LAST GOOD", |row| text(row, "/lastSuccessfulDeployment/deploymentId")),
    ]
);

rows!(
    /// A host of a group, and what it has.
    InstanceRow, "/instanceName", 6, [
        ("HOST", |row| text(row, "/instanceName")),
        ("HAS", |row| digest(row, "/revision")),
        ("BY", |row| text(row, "/deploymentId")),
        ("SINCE", |row| when(row, "/since")),
        ("AS IT SHOULD", |row| yes(&row["onTarget"])),
        ("HEALTHY", |row| yes(&row["healthy"])),
        ("CHANGED BY", |row| text(row, "/changedBy")),
        ("HEARD", |row| when(row, "/lastHeard")),
    ]
);

rows!(
    /// A deployment.
    DeploymentRow, "/deploymentId", 7, [
        ("ID", |row| text(row, "/deploymentId")),
        ("APP", |row| text(row, "/applicationName")),
        ("GROUP", |row| text(row, "/deploymentGroupName")),
        ("STATUS", |row| text(row, "/status")),
        ("REVISION", |row| digest(row, "/revision/digest")),
        ("STARTED", |row| when(row, "/createTime")),
        ("ERROR", why),
        ("ENDED", |row| when(row, "/completeTime")),
        ("BY", |row| text(row, "/creator")),
        ("CONFIG", |row| text(row, "/deploymentConfigName")),
        ("WELL", |row| text(row, "/deploymentOverview/Succeeded")),
        ("FAILED", |row| text(row, "/deploymentOverview/Failed")),
        ("BACK BY", |row| text(row, "/rollbackInfo/rollbackDeploymentId")),
        ("DESCRIPTION", |row| text(row, "/description")),
    ]
);

rows!(
    /// A host of a deployment.
    TargetRow, "/targetId", 5, [
        ("HOST", |row| text(row, "/targetId")),
        ("STATUS", |row| text(row, "/status")),
        ("EVENT", |row| last_event(row, "/lifecycleEventName")),
        ("EVENT STATUS", |row| last_event(row, "/status")),
        ("WAITS FOR", waits_for),
        ("SIDE", |row| text(row, "/instanceLabel")),
        ("ZONE", |row| text(row, "/zone")),
    ]
);

rows!(
    /// What happened on a host.
    TargetEventRow, "/lifecycleEventName", 6, [
        ("EVENT", |row| text(row, "/lifecycleEventName")),
        ("STATUS", |row| text(row, "/status")),
        ("BEGAN", |row| to_the_second(row, "/startTime")),
        ("TOOK", event_took),
        ("SCRIPT", |row| text(row, "/diagnostics/scriptName")),
        ("SAID", |row| text(row, "/diagnostics/message")),
        ("CODE", |row| text(row, "/diagnostics/errorCode")),
        ("LAST LINES", |row| text(row, "/diagnostics/logTail")),
    ]
);

/// Why a deployment did not go well, or that a newer one took its place.
fn why(row: &Value) -> String {
    match text(row, "/x-croft/supersededBy").as_str() {
        "-" => text(row, "/errorInformation/code"),
        newer => format!("{newer} TOOK ITS PLACE"),
    }
}

fn last_event(row: &Value, pointer: &str) -> String {
    let events = row["lifecycleEvents"].as_array();
    let last = events.and_then(|events| events.last());
    last.map_or_else(|| "-".into(), |event| text(event, pointer))
}

/// What keeps a host from going on, in few words; how long, and what then, is told below the table.
fn waits_for(row: &Value) -> String {
    let kinds = row["x-croft"]["waits"].as_array().into_iter().flatten();
    let mut words = kinds.filter_map(|wait| match wait["kind"].as_str()? {
        "host" => Some("it is not heard".to_string()),
        "otherDeployment" => Some("another deployment".to_string()),
        _ => None,
    });
    words.next().unwrap_or_else(|| "-".into())
}

fn event_took(row: &Value) -> String {
    let both = moment(row, "/startTime").zip(moment(row, "/endTime"));
    both.map_or_else(
        || "-".into(),
        |(start, end)| duration(end.millis_since(start)),
    )
}

rows!(
    /// A host that is deployed to.
    HostRow, "/instanceName", 5, [
        ("NAME", |row| text(row, "/instanceName")),
        ("TAGS", tags),
        ("ZONE", |row| text(row, "/zone")),
        ("DEPLOYING", |row| text(row, "/deploymentId")),
        ("HEARD", |row| when(row, "/lastHeard")),
    ]
);

/// How many hosts stay healthy, as people say it.
fn healthy_hosts(row: &Value, pointer: &str) -> String {
    let value = text(row, &format!("{pointer}/value"));
    match text(row, &format!("{pointer}/type")).as_str() {
        "FLEET_PERCENT" => format!("{value}%"),
        "MOST_CONCURRENCY" => format!("all but {value}"),
        _ => value,
    }
}

fn seconds(row: &Value, pointer: &str) -> Option<String> {
    let seconds = row.pointer(pointer)?.as_u64()?;
    Some(duration(seconds.saturating_mul(1000)))
}

/// In which steps traffic moves: `10% 1m, 50% 1m, all`. Nothing of a configuration for hosts that says nothing of it.
fn traffic(row: &Value) -> String {
    let Ok(config) = serde_json::from_value::<DeploymentConfig>(row.clone()) else {
        return text(row, "/trafficRoutingConfig/type");
    };
    let own = config.own.as_ref();
    let is_said = config.traffic_routing_config.is_some()
        || own.is_some_and(|own| !own.traffic_steps.is_empty());
    if !is_said {
        return "-".into();
    }
    let steps = config.traffic_steps();
    let step = |step: &TrafficStep| match step.percent {
        100 => "all".to_string(),
        percent => format!(
            "{percent}% {}",
            duration(step.wait_seconds.saturating_mul(1000))
        ),
    };
    match steps.as_slice() {
        // As slopes are named: ten lines of the same would say no more.
        [first, second, .., last] if steps.len() > 5 => {
            format!("{}, {}, ... {}", step(first), step(second), step(last))
        }
        steps => steps.iter().map(step).collect::<Vec<_>>().join(", "),
    }
}

/// The hosts that go first, and how long they are watched.
fn first_hosts(row: &Value) -> String {
    match seconds(row, "/x-croft/canary/waitSeconds") {
        Some(wait) => format!("{}, {wait}", text(row, "/x-croft/canary/hosts")),
        None => "-".into(),
    }
}

/// What the hosts of a group have: one revision, or each with how many have it.
fn revisions(row: &Value) -> String {
    let all = row["x-croft-state"]["revisions"].as_array();
    let all = all.map(Vec::as_slice).unwrap_or_default();
    match all {
        [] => "-".into(),
        [one] => digest(one, "/revision"),
        several => {
            let each = several.iter().map(|one| {
                let (digest, hosts) = (digest(one, "/revision"), text(one, "/hosts"));
                format!("{digest} on {hosts}")
            });
            each.collect::<Vec<_>>().join(", ")
        }
    }
}

fn yes(value: &Value) -> String {
    match value.as_bool() {
        Some(true) => "yes".into(),
        Some(false) => "no".into(),
        None => "-".into(),
    }
}

/// How long each zone is watched, the first one first, and what stays healthy in it.
fn zones(row: &Value) -> String {
    if row["zonalConfig"].is_null() {
        return "-".into();
    }
    let each = seconds(row, "/zonalConfig/monitorDurationInSeconds");
    let first = seconds(row, "/zonalConfig/firstZoneMonitorDurationInSeconds");
    let mut words = Vec::new();
    words.extend(first.map(|first| format!("first {first}")));
    words.push(each.map_or_else(|| "one by one".to_string(), |each| format!("each {each}")));
    let healthy = healthy_hosts(row, "/zonalConfig/minimumHealthyHostsPerZone");
    if healthy != "-" {
        words.push(format!("{healthy} healthy"));
    }
    words.join(", ")
}

/// Enough of a digest to tell revisions apart.
fn digest(row: &Value, pointer: &str) -> String {
    text(row, pointer).chars().take(12).collect()
}

fn tags(row: &Value) -> String {
    let tags = row["tags"].as_array().into_iter().flatten();
    let words: Vec<String> = tags
        .map(|tag| match text(tag, "/Value").as_str() {
            "-" => text(tag, "/Key"),
            value => format!("{}={value}", text(tag, "/Key")),
        })
        .collect();
    if words.is_empty() {
        "-".into()
    } else {
        words.join(" ")
    }
}

/// An empty list of projects leaves none out.
fn every(projects: String) -> String {
    if projects == "-" {
        "all".into()
    } else {
        projects
    }
}

fn oldest(row: &Value) -> String {
    let seconds = row["oldestSeconds"].as_f64();
    let Some(seconds) = seconds.filter(|seconds| *seconds >= 0.0) else {
        return "-".into();
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "float casts saturate, and it is not negative"
    )]
    duration((seconds * 1000.0) as u64)
}

/// Entries of the chain count milliseconds.
fn noted(row: &Value) -> String {
    let millis = row["atMs"].as_u64().map(Timestamp::from_millis);
    millis.map_or_else(|| when(row, "/at"), date)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_target_shows_where_it_is_and_an_event_how_long_it_took() {
        let target = TargetRow(
            json!({"targetId": "h1", "status": "Failed", "instanceLabel": "Green", "zone": null,
            "lifecycleEvents": [{"lifecycleEventName": "Install", "status": "Succeeded"},
                {"lifecycleEventName": "AfterInstall", "status": "Failed"}]}),
        );
        assert_eq!(
            target.cells(),
            ["h1", "Failed", "AfterInstall", "Failed", "-", "Green", "-"]
        );
        let event = TargetEventRow(
            json!({"lifecycleEventName": "AfterInstall", "status": "Failed",
            "startTime": 10.0, "endTime": 11.5, "diagnostics": {"errorCode": "ScriptFailed",
                "scriptName": "a.sh", "message": "exit code 3", "logTail": "\u{1b}[2Jno port"}}),
        );
        let cells = event.cells();
        assert_eq!(cells[3], duration(1500));
        assert_eq!(
            cells[4..],
            ["a.sh", "exit code 3", "ScriptFailed", "no port"]
        );
        let waiting = TargetEventRow(json!({"lifecycleEventName": "Install", "status": "Pending"}));
        assert_eq!(waiting.cells()[2..4], ["-", "-"]);
    }

    #[test]
    fn a_configuration_shows_its_steps_its_first_hosts_and_its_zones() {
        let cells = |json: Value| ConfigRow(json).cells()[2..].to_vec();
        let hosts = json!({"deploymentConfigName": "c", "computePlatform": "Server",
            "minimumHealthyHosts": {"type": "FLEET_PERCENT", "value": 75},
            "zonalConfig": {"firstZoneMonitorDurationInSeconds": 300, "monitorDurationInSeconds": 60,
                "minimumHealthyHostsPerZone": {"type": "HOST_COUNT", "value": 2}}});
        assert_eq!(
            cells(hosts),
            [
                "75%",
                "-",
                "-",
                &format!(
                    "first {}, each {}, 2 healthy",
                    duration(300_000),
                    duration(60_000)
                )
            ]
        );
        let canary = json!({"deploymentConfigName": "c", "computePlatform": "Server",
            "minimumHealthyHosts": {"type": "HOST_COUNT", "value": 1},
            "x-croft": {"canary": {"hosts": 2, "waitSeconds": 300}}});
        assert_eq!(
            cells(canary),
            ["1", "-", &format!("2, {}", duration(300_000)), "-"]
        );
        let steps = json!({"deploymentConfigName": "c", "computePlatform": "ECS",
            "x-croft": {"trafficSteps": [{"percent": 10, "waitSeconds": 60}, {"percent": 50, "waitSeconds": 90}]}});
        let minute = duration(60_000);
        assert_eq!(
            cells(steps)[1],
            format!("10% {minute}, 50% {}, all", duration(90_000))
        );
        for (name, shown) in [
            (
                "ECSCanary10Percent5Minutes",
                format!("10% {}, all", duration(300_000)),
            ),
            (
                "ECSLinear10PercentEvery1Minutes",
                format!("10% {minute}, 20% {minute}, ... all"),
            ),
            ("ECSAllAtOnce", "all".to_string()),
        ] {
            let config = DeploymentConfig::predefined(&format!("CodeDeployDefault.{name}"));
            let config = serde_json::to_value(config.unwrap()).unwrap();
            assert_eq!(cells(config)[1], shown, "{name}");
        }
    }

    #[test]
    fn a_host_shows_its_tags_as_they_are_typed() {
        let host = HostRow(json!({"instanceName": "h1",
            "tags": [{"Key": "role", "Value": "web"}, {"Key": "spare", "Value": ""}]}));
        assert_eq!(host.cells()[..2], ["h1", "role=web spare"]);
        assert_eq!(HostRow(json!({"tags": []})).cells()[1], "-");
    }
}
