//! Hosts, for people: listed, shown, tagged, revoked. Who invites them is beside the agents' own calls.

use axum::http::StatusCode;
use croft_deploy::server::Seen;
use croft_deploy::{Refusal, State, host_subject, is_of_group};
use croft_ledger::Expected;
use croft_proto::deploy::{HostEvent, Tag};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::call::{Answer, Call, changed, json as answer_json, short};
use super::super::limits::READ_WAIT;
use super::super::problem::Problem;

/// Tags of a host: AWS takes ten of an instance on premises; a group's filters can name thirty.
const TAGS_MAX: usize = 50;
/// Characters of a tag's name, and of what it says: AWS's.
const KEY_CHARS_MAX: usize = 128;
const VALUE_CHARS_MAX: usize = 256;

/// `GET /v1/hosts`
pub(in super::super) async fn list(call: Call) -> Answer {
    let hosts = call.state.farm.deploy.look(|seen| {
        let hosts = seen.state.hosts();
        hosts
            .filter(|(_, host)| host.is_enrolled)
            .map(|(name, host)| (name.clone(), host.clone()))
            .collect::<Vec<_>>()
    });
    let shown = hosts.await?.into_iter().map(|(name, host)| {
        json!({
            "instanceName": name,
            "tags": host.tags,
            "zone": host.zone,
            "deploymentId": host.taken,
            "lastHeard": call.state.hosts.last(&name),
        })
    });
    answer_json(StatusCode::OK, &json!({"hosts": shown.collect::<Vec<_>>()}))
}

/// `DELETE /v1/hosts/{name}`
pub(in super::super) async fn revoke(call: Call) -> Answer {
    let name = call.param("name").to_string();
    let (host, check) = (host_subject(&name)?, enrolled(name.clone()));
    let deploy = &call.state.farm.deploy;
    let done = deploy
        .record(host, HostEvent::Revoked.into(), check)
        .await?;
    deploy.folded(done.seq, READ_WAIT).await;
    changed(StatusCode::OK, &json!({"host": name}), Some(done.seq))
}

/// The last entry of a host that belongs to the farm.
fn enrolled(name: String) -> impl Fn(&State) -> Result<Expected, Refusal> + Send + Sync + 'static {
    move |state| {
        let host = state.host(&name).filter(|host| host.is_enrolled);
        let host = host.ok_or_else(|| Refusal::NoHost(short(&name)))?;
        Ok(Expected::Last(host.last))
    }
}

/// `GET /v1/hosts/{name}`
pub(in super::super) async fn get(call: Call) -> Answer {
    call.catch_up_deployments().await?;
    let name = call.param("name").to_string();
    let asked = name.clone();
    let deploy = &call.state.farm.deploy;
    let found = deploy.look(move |seen| shown(seen, &asked)).await?;
    let mut host = found.ok_or_else(|| Problem::from(Refusal::NoHost(short(&name))))?;
    host["lastHeard"] = json!(call.state.hosts.last(&name));
    answer_json(StatusCode::OK, &json!({"host": host}))
}

/// A host of the farm, and the groups that mean it.
fn shown(seen: Seen<'_>, name: &str) -> Option<Value> {
    let host = seen.state.host(name).filter(|host| host.is_enrolled)?;
    let groups = seen.state.groups().filter_map(|(group, known)| {
        let settings = known.settings.as_ref()?;
        let standing = known.hosts.get(name);
        if !is_of_group(settings, &host.tags) {
            return None;
        }
        Some(json!({
            "applicationName": group.application,
            "deploymentGroupName": group.group,
            "healthy": standing.map(|standing| standing.is_healthy),
            "revision": standing.map(|standing| standing.revision),
        }))
    });
    Some(json!({
        "instanceName": name,
        "tags": host.tags,
        "zone": host.zone,
        "deploymentId": host.taken,
        "deploymentGroups": groups.collect::<Vec<_>>(),
    }))
}

/// A host's tags.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tagging {
    tags: Vec<Tag>,
}

/// `PUT /v1/hosts/{name}/tags`
pub(in super::super) async fn tag(mut call: Call) -> Answer {
    let name = call.param("name").to_string();
    let Tagging { tags } = call.json().await?;
    let wrong = wrong(&tags);
    if !wrong.is_empty() {
        return Err(Problem::all_invalid(wrong));
    }
    let (subject, check) = (host_subject(&name)?, enrolled(name.clone()));
    let deploy = &call.state.farm.deploy;
    let event = HostEvent::Tagged { tags };
    let done = deploy.record(subject, event.into(), check).await?;
    deploy.folded(done.seq, READ_WAIT).await;
    let asked = name.clone();
    let found = deploy.look(move |seen| shown(seen, &asked)).await?;
    let mut host = found.ok_or_else(|| Problem::from(Refusal::NoHost(short(&name))))?;
    host["lastHeard"] = json!(call.state.hosts.last(&name));
    changed(StatusCode::OK, &json!({"host": host}), Some(done.seq))
}

fn wrong(tags: &[Tag]) -> Vec<String> {
    let mut wrong = Vec::new();
    if tags.len() > TAGS_MAX {
        wrong.push(format!("tags: at most {TAGS_MAX}"));
    }
    for (number, tag) in tags.iter().enumerate() {
        let at = format!("tags[{number}]");
        if !(1..=KEY_CHARS_MAX).contains(&tag.key.chars().count()) {
            wrong.push(format!("{at}.Key: 1 to {KEY_CHARS_MAX} characters"));
        }
        if tag.value.chars().count() > VALUE_CHARS_MAX {
            wrong.push(format!("{at}.Value: at most {VALUE_CHARS_MAX} characters"));
        }
        if tags[..number].iter().any(|before| before.key == tag.key) {
            wrong.push(format!("{at}.Key `{}`: it is there twice", short(&tag.key)));
        }
    }
    wrong
}
