//! What a deployment did that went well: what went where, by whom and when, how long each part took, and what those saw who watched it. Made
//! from the server's answers about the deployment, its targets, and the one of them that took longest.

use std::collections::BTreeMap;

use croft_proto::Timestamp;
use serde_json::Value;

use super::super::rows::text;
use super::explain::row;
use super::story::named;
use super::{evidence, waits};
use crate::render::{clock, duration};

/// Batches of one step that are told one by one.
const BATCHES_MAX: usize = 6;
/// Events shorter than that say nothing of why a host took long.
const SHORT_MS: u64 = 100;

fn moment(value: &Value, pointer: &str) -> Option<Timestamp> {
    serde_json::from_value(value.pointer(pointer)?.clone()).ok()
}

/// All of it, a titled line each. `events` are those of the slowest host.
pub(super) fn lines(
    info: &Value,
    targets: &[Value],
    events: Option<&Value>,
    now: Timestamp,
) -> Vec<String> {
    let mut lines = vec![row("what", &what(info)), row("by", &by(info, now))];
    lines.push(row("where", &place(info, targets)));
    lines.push(row("replaced", &replaced(info)));
    lines.extend(steps(info, targets));
    if let (Some(slowest), Some(events)) = (slowest(targets), events) {
        lines.push(row("slowest", &of_events(slowest, events)));
    }
    for (number, said) in judged(info).iter().enumerate() {
        lines.push(row(if number == 0 { "judged" } else { "" }, said));
    }
    lines
}

fn what(info: &Value) -> String {
    let mut said = format!("revision {}", digest(info, "/revision/digest"));
    if let Some(from) = origin(&info["revision"]["origin"]) {
        said += &format!(" of {from}");
    }
    let description = text(info, "/description");
    if description != "-" {
        said += &format!(": {description}");
    }
    said
}

fn digest(info: &Value, pointer: &str) -> String {
    text(info, pointer).chars().take(12).collect()
}

fn origin(origin: &Value) -> Option<String> {
    let of = |pointer: &str| text(origin, pointer);
    let said = match origin["revisionType"].as_str()? {
        "S3" => format!("s3://{}/{}", of("/bucket"), of("/key")),
        "GitHub" => format!("{} at {}", of("/repository"), of("/commitId")),
        "Build" => format!("the build {}", of("/buildId")),
        _ => of("/location"),
    };
    (said != "-").then_some(said)
}

fn by(info: &Value, now: Timestamp) -> String {
    let who = match text(info, "/x-croft/by").as_str() {
        "-" => text(info, "/creator"),
        who => who.to_string(),
    };
    let [created, began, ended] =
        ["/createTime", "/startTime", "/completeTime"].map(|pointer| moment(info, pointer));
    let mut said = who;
    if let Some(created) = created {
        let ago = duration(now.millis_since(created));
        said += &format!(" at {} ({ago} ago)", clock(created, now));
    }
    if let (Some(created), Some(began)) = (created, began)
        && began.millis_since(created) >= 1_000
    {
        let waited = duration(began.millis_since(created));
        said += &format!(", began {waited} later");
    }
    if let (Some(began), Some(ended)) = (began, ended) {
        said += &format!(", took {}", duration(ended.millis_since(began)));
    }
    said
}

fn place(info: &Value, targets: &[Value]) -> String {
    let mut hosts: Vec<String> = targets
        .iter()
        .filter(|target| target["status"] != "Skipped")
        .map(|target| text(target, "/targetId"))
        .collect();
    // In containers the old side and the new one are on the same hosts.
    hosts.sort_unstable();
    hosts.dedup();
    let how = match info["deploymentStyle"]["deploymentType"].as_str() {
        Some("BLUE_GREEN") if info["computePlatform"] == "ECS" => "containers, blue/green",
        Some("BLUE_GREEN") => "blue/green",
        _ => "in place",
    };
    let count = match hosts.len() {
        1 => "1 host".to_string(),
        count => format!("{count} hosts"),
    };
    let config = text(info, "/deploymentConfigName");
    format!("{count}, {how}, {config}: {}", named(&hosts))
}

fn replaced(info: &Value) -> String {
    match digest(info, "/previousRevision/digest").as_str() {
        "-" => "nothing: it is the first that went well here".to_string(),
        before if *before == digest(info, "/revision/digest") => {
            format!("revision {before}: the same was deployed again")
        }
        before => format!("revision {before}"),
    }
}

/// How long a host was changed.
fn took_ms(target: &Value) -> Option<u64> {
    let began = moment(target, "/x-croft/beganAt")?;
    Some(moment(target, "/x-croft/doneAt")?.millis_since(began))
}

/// The host that took longest.
pub(super) fn slowest(targets: &[Value]) -> Option<&Value> {
    let timed = targets.iter().filter(|target| took_ms(target).is_some());
    timed.max_by_key(|target| took_ms(target))
}

/// How long each step took, and each batch of hosts in it.
fn steps(info: &Value, targets: &[Value]) -> Vec<String> {
    let id = text(info, "/deploymentId");
    let own = &info["x-croft"];
    let steps = own["steps"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let times = own["stepTimes"].as_array().into_iter().flatten();
    let mut times: Vec<Timestamp> = times.filter_map(|at| moment(at, "")).collect();
    times.extend(moment(info, "/completeTime"));
    let mut lines = Vec::new();
    for (number, (step, span)) in steps.iter().zip(times.windows(2)).enumerate() {
        let [from, to] = [span[0], span[1]];
        let Some(what) = waits::step(step, &id) else {
            continue;
        };
        let took = duration(to.millis_since(from));
        lines.push(row(
            &format!("step {}", number + 1),
            &format!("{took}: {what}"),
        ));
        if step["type"] == "run" {
            let is_last = number + 1 == steps.len();
            let is_of_step = |at: Timestamp| at >= from && (at < to || is_last);
            lines.extend(batches(targets, is_of_step).map(|said| row("", &said)));
        }
    }
    lines
}

/// Hosts that began together, and how long the slowest of them took; none where all did.
fn batches(targets: &[Value], is_of_step: impl Fn(Timestamp) -> bool) -> Option<String> {
    let mut all: BTreeMap<Timestamp, (Vec<String>, u64)> = BTreeMap::new();
    for target in targets {
        let began = moment(target, "/x-croft/beganAt").filter(|at| is_of_step(*at));
        if let (Some(began), Some(ms)) = (began, took_ms(target)) {
            let (hosts, longest_ms) = all.entry(began).or_default();
            hosts.push(text(target, "/targetId"));
            *longest_ms = ms.max(*longest_ms);
        }
    }
    let told = |(hosts, ms): &(Vec<String>, u64)| format!("{} {}", named(hosts), duration(*ms));
    match all.len() {
        0 | 1 => None,
        count if count <= BATCHES_MAX => {
            let all: Vec<String> = all.values().map(told).collect();
            Some(format!("{count} batches: {}", all.join("; ")))
        }
        count => {
            let longest = all.values().max_by_key(|(_, ms)| *ms).map(told)?;
            Some(format!("{count} batches; the longest: {longest}"))
        }
    }
}

/// A host's events with the time that each took.
fn of_events(target: &Value, events: &Value) -> String {
    let all = events["lifecycleEvents"].as_array().into_iter().flatten();
    let timed = all.filter_map(|event| {
        let start = moment(event, "/startTime")?;
        let ms = moment(event, "/endTime")?.millis_since(start);
        let name = text(event, "/lifecycleEventName");
        (ms >= SHORT_MS).then(|| format!("{name} {}", duration(ms)))
    });
    let timed: Vec<String> = timed.collect();
    let host = text(target, "/targetId");
    let took = duration(took_ms(target).unwrap_or_default());
    match timed.is_empty() {
        true => format!("{host}, {took}"),
        false => format!("{host}, {took}: {}", timed.join(", ")),
    }
}

/// What those saw who watched it.
fn judged(info: &Value) -> Vec<String> {
    let own = &info["x-croft"];
    let mut seen: Vec<String> = evidence::stands(&own["watch"])
        .into_iter()
        .map(|(_, _, said)| said)
        .collect();
    let alarms = own["alarms"].as_array().into_iter().flatten();
    let alarms = alarms.filter_map(Value::as_str);
    seen.extend(alarms.map(|name| format!("alarm {name} did not begin to fire")));
    let continued = own["continued"].as_array().into_iter().flatten();
    let continued = continued.filter_map(Value::as_object).count();
    let mut lines = match (seen.is_empty(), own["watch"].is_object()) {
        (true, false) => vec!["by its hosts' scripts alone".to_string()],
        (true, true) => vec!["its guard rails found nothing against it".to_string()],
        (false, _) => vec!["nothing was found against it".to_string()],
    };
    if continued > 0 && !seen.is_empty() {
        lines[0] += ", as far as it was watched: somebody ended a wait";
    }
    lines.extend(seen);
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const AT: f64 = 1_800_000_000.0;

    fn target(host: &str, began: f64, took: f64) -> Value {
        json!({"targetId": host, "status": "Succeeded", "x-croft": {"beganAt": AT + began, "doneAt": AT + began + took}})
    }

    fn info() -> Value {
        json!({
            "deploymentId": "d-A", "applicationName": "shop", "deploymentGroupName": "prod", "status": "Succeeded",
            "createTime": AT, "startTime": AT + 2.0, "completeTime": AT + 120.0, "creator": "user",
            "description": "the new basket", "deploymentConfigName": "CodeDeployDefault.HalfAtATime",
            "deploymentStyle": {"deploymentType": "IN_PLACE"}, "computePlatform": "Server",
            "revision": {"digest": "0123456789abcdef", "origin": {"revisionType": "Local Directory", "location": "dist"}},
            "previousRevision": {"digest": "fedcba9876543210"},
            "x-croft": {"by": "alice", "step": 1,
                "steps": [{"type": "run", "events": ["Install", "ValidateService"]}, {"type": "bake", "waitMs": 60_000}],
                "stepTimes": [AT + 2.0, AT + 50.0]},
        })
    }

    #[test]
    fn what_went_where_how_long_it_took_and_what_was_seen_are_told() {
        let now = Timestamp::from_millis(1_800_000_180_000);
        let mut info = info();
        info["x-croft"]["watch"] = json!({"holds": [], "metrics": [{"name": "errors", "against": "concurrent", "wealth": 0.4,
            "decidesAt": 1000.0, "canary": {"requests": 900.0, "bad": 1.0}, "baseline": {"requests": 1100.0, "bad": 2.0}}],
            "queries": [{"name": "p99", "kind": "threshold", "state": "OK", "value": 0.2}]});
        info["x-croft"]["alarms"] = json!(["TooManyErrors"]);
        let targets = [
            target("web-1", 2.0, 18.0),
            target("web-2", 2.0, 20.0),
            target("web-3", 22.0, 28.0),
        ];
        let events = json!({"lifecycleEvents": [
            {"lifecycleEventName": "Install", "status": "Succeeded", "startTime": AT + 22.0, "endTime": AT + 22.05},
            {"lifecycleEventName": "ValidateService", "status": "Succeeded", "startTime": AT + 23.0, "endTime": AT + 49.5},
        ]});
        let when = clock(Timestamp::from_millis(1_800_000_000_000), now);
        assert_eq!(
            lines(&info, &targets, Some(&events), now),
            [
                "what      revision 0123456789ab of dist: the new basket",
                &format!("by        alice at {when} (3m 00s ago), began 2.0s later, took 1m 58s"),
                "where     3 hosts, in place, CodeDeployDefault.HalfAtATime: web-1, web-2, web-3",
                "replaced  revision fedcba987654",
                "step 1    48.0s: hosts run Install ValidateService",
                "          2 batches: web-1, web-2 20.0s; web-3 28.0s",
                "step 2    1m 10s: all is done, and is watched for 1m 00s",
                "slowest   web-3, 28.0s: ValidateService 26.5s",
                "judged    nothing was found against it",
                "          errors: evidence 0 of 1000; 1 of 900 bad, before 2 of 1100",
                "          threshold p99: OK (0.2)",
                "          alarm TooManyErrors did not begin to fire",
            ]
        );
    }

    #[test]
    fn what_nobody_watched_and_nothing_was_before_says_so() {
        let now = Timestamp::from_millis(1_800_000_180_000);
        let mut info = info();
        info["previousRevision"].take();
        let said = lines(&info, &[target("web-1", 2.0, 18.0)], None, now);
        assert!(
            said.contains(&"replaced  nothing: it is the first that went well here".to_string())
        );
        assert!(said.contains(&"judged    by its hosts' scripts alone".to_string()));
        // A hundred hosts, one after the other.
        let many: Vec<Value> = (0..100)
            .map(|host| {
                target(
                    &format!("h{host}"),
                    2.0 + f64::from(host) / 4.0,
                    f64::from(host),
                )
            })
            .collect();
        let said = lines(&info, &many, None, now);
        assert!(
            said.contains(&"          100 batches; the longest: h99 1m 39s".to_string()),
            "{said:#?}"
        );
    }
}
