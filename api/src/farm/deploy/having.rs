//! What each host of a group has: the revision by the host's last report, and the deployment that put it there. Read from what the server has
//! folded and heard.

use std::collections::BTreeMap;

use croft_deploy::server::Seen;
use croft_deploy::{Group, GroupName, is_of_group};
use croft_proto::Timestamp;
use croft_proto::deploy::{DeploymentId, DeploymentType, RevisionHealth, Side, TargetStatus};
use serde_json::{Value, json};

/// Hosts that are named in a sentence; of more than these their number says enough.
const NAMES_MAX: usize = 10;
/// Letters of a digest in a sentence.
const DIGEST_CHARS: usize = 12;

/// A host of a group.
#[derive(Clone, Debug)]
pub(super) struct Having {
    pub(super) host: String,
    /// The digest of what it has; none when it has nothing, or nothing is known.
    revision: Option<String>,
    deployment: Option<DeploymentId>,
    since: Option<Timestamp>,
    /// Whether the last deployment to it went well; none when there was none.
    is_healthy: Option<bool>,
    is_target: bool,
    /// The deployment that changes it now.
    changing: Option<DeploymentId>,
}

/// The group's hosts, by name: those of the farm that it means, and not those that were revoked or have lost its tags.
pub(super) fn all(seen: Seen<'_>, name: &GroupName, group: &Group) -> Vec<Having> {
    let Some(settings) = &group.settings else {
        return Vec::new();
    };
    let is_blue_green = settings.deployment_style.deployment_type == DeploymentType::BlueGreen;
    let hosts = seen.state.hosts().filter(|(host, known)| {
        let standing = group.hosts.get(*host);
        // A side that was named beside the tags serves as well as the others.
        let serves = is_blue_green
            && standing.is_some_and(|standing| standing.revision == RevisionHealth::Current);
        known.is_enrolled && (serves || is_of_group(settings, &known.tags))
    });
    hosts
        .map(|(host, known)| {
            let (revision, deployment, since) = has(seen, group, host);
            let target = group.target();
            let is_target =
                target.is_some_and(|good| revision.as_ref() == Some(&good.asked.revision.digest));
            let taken = known.taken.as_ref();
            let changing = taken.filter(|id| {
                let one = seen.state.deployment(id);
                one.is_some_and(|one| one.group() == *name)
            });
            Having {
                host: host.clone(),
                revision,
                deployment,
                since,
                is_healthy: is_healthy(seen, group, host),
                is_target,
                changing: changing.cloned(),
            }
        })
        .collect()
}

type Has = (Option<String>, Option<DeploymentId>, Option<Timestamp>);

/// What a host has: what it installed last, unless it has said since that it has something else.
fn has(seen: Seen<'_>, group: &Group, host: &str) -> Has {
    let installed = group.installed.get(host);
    let id = group.id.as_deref();
    // Which of a host's containers serves is not the agent's to say.
    let reported = id
        .filter(|_| group.serves.is_none())
        .and_then(|id| seen.reported(host, id));
    if let Some((at, digest)) = reported
        && installed.is_none_or(|installed| installed.at < at)
        && installed.map(|installed| installed.digest.as_str()) != digest
    {
        let good = group.good.iter().rev();
        let mut of_it = good.filter(|good| Some(good.asked.revision.digest.as_str()) == digest);
        let by = of_it.next().map(|good| good.deployment.clone());
        return (digest.map(str::to_string), by, Some(at));
    }
    if let Some(installed) = installed {
        let digest = installed.digest.clone();
        return (
            Some(digest),
            Some(installed.deployment.clone()),
            Some(installed.at),
        );
    }
    // The record of it is purged, but that it is on the group's revision is known.
    let standing = group.hosts.get(host);
    let is_current = standing.is_some_and(|one| one.revision == RevisionHealth::Current);
    match group.target().filter(|_| is_current) {
        Some(good) => (
            Some(good.asked.revision.digest.clone()),
            Some(good.deployment.clone()),
            None,
        ),
        None => (None, None, None),
    }
}

/// What hosts of the farm have of a group, whatever its tags say: a revision and those that have it, each in a sentence's words.
pub(super) fn left(seen: Seen<'_>, group: &Group) -> Vec<String> {
    let mut left: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (host, _) in seen.state.hosts().filter(|(_, known)| known.is_enrolled) {
        if let (Some(digest), ..) = has(seen, group, host) {
            left.entry(digest).or_default().push(host);
        }
    }
    let left = left.into_iter();
    left.map(|(digest, hosts)| {
        let shown = hosts[..hosts.len().min(NAMES_MAX)].join(", ");
        let more = match hosts.len().saturating_sub(NAMES_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let short = digest.get(..DIGEST_CHARS).unwrap_or(&digest);
        format!("{shown}{more} with the revision {short}")
    })
    .collect()
}

fn is_healthy(seen: Seen<'_>, group: &Group, host: &str) -> Option<bool> {
    let active = group
        .active
        .as_ref()
        .and_then(|id| seen.state.deployment(id));
    let changed = active.and_then(|active| {
        let target = active.at(active.target(Side::New, host)?);
        let status = active.target_status(target);
        let is_well = matches!(status, TargetStatus::Succeeded | TargetStatus::Ready);
        target.is_attempted.then_some(is_well)
    });
    changed.or_else(|| group.hosts.get(host).map(|standing| standing.is_healthy))
}

/// How many of them there are, are well, have the group's revision, and have which.
pub(super) fn counted(hosts: &[Having], into: &mut Value) {
    let count = |is: fn(&&Having) -> bool| hosts.iter().filter(is).count();
    let mut revisions: BTreeMap<&str, usize> = BTreeMap::new();
    for digest in hosts.iter().filter_map(|host| host.revision.as_deref()) {
        *revisions.entry(digest).or_default() += 1;
    }
    let revisions = revisions.into_iter();
    let revisions: Vec<Value> = revisions
        .map(|(digest, hosts)| json!({"revision": digest, "hosts": hosts}))
        .collect();
    into["hosts"] = json!(hosts.len());
    into["hostsDeployedTo"] = json!(count(|one| one.is_healthy.is_some()));
    into["hostsHealthy"] = json!(count(|one| one.is_healthy == Some(true)));
    into["hostsOnTarget"] = json!(count(|one| one.is_target));
    into["revisions"] = json!(revisions);
}

/// Each of them.
pub(super) fn shown(hosts: &[Having], heard: impl Fn(&str) -> Option<Timestamp>) -> Value {
    let shown = hosts.iter().map(|one| {
        json!({
            "instanceName": one.host,
            "revision": one.revision,
            "deploymentId": one.deployment,
            "since": one.since,
            "onTarget": one.is_target,
            "healthy": one.is_healthy,
            "changedBy": one.changing,
            "lastHeard": heard(&one.host),
        })
    });
    shown.collect()
}
