//! Deployment groups: listed, shown, applied, deleted. A group that asks for what nobody here can do yet is refused, so that no deployment
//! waits for a watcher that never comes.

use axum::http::StatusCode;
use croft_deploy::server::{Refused, Seen, check_all};
use croft_deploy::{Group, GroupName, Refusal, State, host_of, is_of_group, verdict};
use croft_ledger::Expected;
use croft_proto::deploy::{DeploymentGroup, GroupEvent, Router};
use croft_proto::shape::Mistake;
use serde_json::{Value, json};

use super::super::body::named_with;
use super::super::call::{Answer, Call, changed, json as answer_json};
use super::super::limits::READ_WAIT;
use super::super::problem::Problem;
use super::applications::is_there;
use super::checks;
use super::having::{self, Having};

/// Keys of a group's document that name what is elsewhere.
const APPLICATION: &str = "applicationName";
const CONFIG: &str = "deploymentConfigName";
/// What is wrong with what the application runs on, or with the configuration that there is, names its own keys.
const PLATFORM: &str = "computePlatform";
const PACE: &str = "minimumHealthyHosts";

pub(super) fn name_of(call: &Call) -> GroupName {
    GroupName {
        application: call.param("name").to_string(),
        group: call.param("group").to_string(),
    }
}

pub(super) fn none(name: &GroupName) -> Refusal {
    Refusal::NoGroup(name.application.clone(), name.group.clone())
}

/// `GET /v1/applications/{name}/groups`
pub(in super::super) async fn list(call: Call) -> Answer {
    call.catch_up_deployments().await?;
    let application = call.param("name").to_string();
    let asked = application.clone();
    let deploy = &call.state.farm.deploy;
    let groups = deploy.look(move |seen| {
        let mine = seen
            .state
            .groups()
            .filter(|(name, _)| name.application == asked);
        let shown: Vec<Value> = mine
            .filter_map(|(name, group)| Some(shown(seen, name, group)?.0))
            .collect();
        is_there(seen.state, &asked).then_some(shown)
    });
    let groups = groups
        .await?
        .ok_or_else(|| Problem::from(Refusal::NoApplication(application.clone())))?;
    let body = json!({"applicationName": application, "deploymentGroups": groups});
    answer_json(StatusCode::OK, &body)
}

/// `GET /v1/applications/{name}/groups/{group}`
pub(in super::super) async fn get(call: Call) -> Answer {
    call.catch_up_deployments().await?;
    let name = name_of(&call);
    let asked = name.clone();
    let deploy = &call.state.farm.deploy;
    let found = deploy.look(move |seen| shown(seen, &asked, seen.state.group(&asked)?));
    let found = found.await?.ok_or_else(|| Problem::from(none(&name)))?;
    let (mut group, hosts) = found;
    group["x-croft-state"]["instances"] = having::shown(&hosts, |host| call.state.hosts.last(host));
    answer_json(StatusCode::OK, &json!({"deploymentGroupInfo": group}))
}

/// The group that a call's body is, as it is written and as what it is.
async fn read(call: &mut Call) -> Result<(Value, DeploymentGroup), Problem> {
    let names = [
        ("applicationName", "name"),
        ("deploymentGroupName", "group"),
    ];
    let measures = call.state.farm.deploy.metrics().is_some();
    named_with(call, &names, |settings| beyond_us(settings, measures)).await
}

/// `POST /v1/applications/{name}/groups/{group}/check`
pub(in super::super) async fn check(mut call: Call) -> Answer {
    call.catch_up_deployments().await?;
    let (given, wanted) = read(&mut call).await?;
    // Whoever applies it is told what could not be asked.
    queries(&call, &given, &wanted).await?;
    let name = name_of(&call);
    let comes = checks::Coming::of(&call);
    let comes_asked = comes.clone();
    let refusals = call.state.farm.deploy.look(move |seen| {
        let is_new = comes_asked.has(APPLICATION) && !is_there(seen.state, &name.application);
        let mut refusals = refusals(seen.state, &name, &wanted);
        // What an application runs on that is not there yet is known to whoever makes it.
        refusals.retain(|(key, _)| !(is_new && *key == PLATFORM));
        refusals
    });
    checks::answer(&given, refusals.await?, &comes)
}

/// `PUT /v1/applications/{name}/groups/{group}`
pub(in super::super) async fn put(mut call: Call) -> Answer {
    let (given, mut settings) = read(&mut call).await?;
    let name = name_of(&call);
    let deploy = &call.state.farm.deploy;
    let mut notes = DeploymentGroup::notes(&given);
    notes.extend(queries(&call, &given, &settings).await?);
    if settings.alarms().is_some() && !deploy.asks_for_alarms() {
        notes.push(
            "alarmConfiguration: nobody is asked for alarms, since this server runs without --alertmanager URL and --prometheus URL: only those that an Alertmanager pushes to it (/v1/alerts) end a deployment, and if none does none will"
                .to_string(),
        );
    }
    let wanted = settings.clone();
    let strangers = deploy.look(move |seen| strangers(seen.state, &wanted));
    notes.extend(strangers.await?);
    let asked = name.clone();
    let known = deploy.look(move |seen| {
        let group = seen.state.group(&asked);
        let is_there = group.is_some_and(|group| group.settings.is_some());
        let id = seen.state.id_of(&asked).map(str::to_string);
        let gone = group.filter(|_| id.is_some() && !is_there);
        let left = gone.map(|group| having::left(seen, group));
        (is_there, id, left.unwrap_or_default())
    });
    let (is_there, id, left) = known.await?;
    let status = match is_there {
        true => StatusCode::OK,
        false => StatusCode::CREATED,
    };
    let took = left.into_iter();
    notes.extend(took.map(|left| {
        format!("the group was there before, and finds {left}: the next deployment takes that up")
    }));
    settings.deployment_group_id = id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let check = may_be(name.clone(), settings.clone());
    let event = GroupEvent::Applied(Box::new(settings));
    let done = deploy.record(name.subject()?, event.into(), check).await;
    let done = done.map_err(|refused| {
        let key = match refused {
            Refused::Rule(Refusal::NoConfig(_)) => CONFIG,
            Refused::Rule(Refusal::NoApplication(_)) => APPLICATION,
            Refused::Rule(_) | Refused::Failed(_) => "deploymentGroupName",
        };
        Problem::refused_for(&given, key, refused)
    })?;
    deploy.folded(done.seq, READ_WAIT).await;
    let asked = name.clone();
    let found = deploy.look(move |seen| shown(seen, &asked, seen.state.group(&asked)?));
    let body = json!({
        "deploymentGroupInfo": found.await?.map(|(group, _)| group),
        "notes": notes,
    });
    changed(status, &body, Some(done.seq))
}

/// What stands against a group as it is wanted, with the key of its document that each is about.
fn refusals(
    state: &State,
    name: &GroupName,
    wanted: &DeploymentGroup,
) -> Vec<(&'static str, Refusal)> {
    let mut refusals = Vec::new();
    if !is_there(state, &name.application) {
        let none = Refusal::NoApplication(name.application.clone());
        refusals.push((APPLICATION, none));
    }
    let application = state.app(&name.application);
    let application = application.and_then(|app| app.application.as_ref());
    let platform = application.map(|application| application.compute_platform);
    if let Err(wrong) = wanted.check_platform(platform.unwrap_or_default()) {
        refusals.push((PLATFORM, Refusal::Wrong(wrong)));
    }
    if let Some(config) = &wanted.deployment_config_name {
        match state.config(config) {
            None => refusals.push((CONFIG, Refusal::NoConfig(config.clone()))),
            Some(config) => {
                let unfit = wanted.check_config(&config).err();
                refusals.extend(unfit.map(|wrong| (PACE, Refusal::Wrong(vec![wrong]))));
            }
        }
    }
    refusals
}

/// Whether a group may be as it is wanted.
fn may_be(
    name: GroupName,
    wanted: DeploymentGroup,
) -> impl Fn(&State) -> Result<Expected, Refusal> + Send + Sync + 'static {
    move |state| {
        let refusal = refusals(state, &name, &wanted).into_iter().next();
        if let Some((_, refusal)) = refusal {
            return Err(refusal);
        }
        let Some(group) = state.group(&name) else {
            return Ok(Expected::NEW);
        };
        // What hosts keep is kept under the id: it must not change because two made the group at once.
        let id = state.id_of(&name);
        if id.is_some_and(|id| id != wanted.deployment_group_id) {
            return Err(Refusal::Exists(format!(
                "the group `{}/{}` was made by somebody else just now: ask again",
                name.application, name.group
            )));
        }
        Ok(Expected::Last(group.last))
    }
}

/// `DELETE /v1/applications/{name}/groups/{group}`
pub(in super::super) async fn delete(call: Call) -> Answer {
    let name = name_of(&call);
    let asked = name.clone();
    let check = move |state: &State| {
        let there = state.group(&asked).filter(|group| group.settings.is_some());
        let group = there.ok_or_else(|| none(&asked))?;
        match group.active.as_ref().or(group.queue.front()) {
            Some(id) => Err(Refusal::InUse(format!(
                "the deployment `{id}` of the group is not over: stop it, or wait for its end"
            ))),
            None => Ok(Expected::Last(group.last)),
        }
    };
    let deploy = &call.state.farm.deploy;
    let asked = name.clone();
    let left = deploy.look(move |seen| {
        let group = seen.state.group(&asked);
        group.map(|group| having::left(seen, group))
    });
    let left = left.await?.unwrap_or_default().into_iter();
    let notes = left.map(|left| {
        format!("it leaves {left}: nothing stops or removes that, and the group takes it up when it is made again under its name")
    });
    let notes: Vec<String> = notes.collect();
    let done = deploy
        .record(name.subject()?, GroupEvent::Deleted.into(), check)
        .await?;
    deploy.folded(done.seq, READ_WAIT).await;
    changed(
        StatusCode::OK,
        &json!({"deleted": name.group, "notes": notes}),
        Some(done.seq),
    )
}

/// What there is to say of what the group's releases are judged by.
///
/// # Errors
/// Queries that are none.
async fn queries(
    call: &Call,
    given: &Value,
    settings: &DeploymentGroup,
) -> Result<Vec<String>, Problem> {
    let own = settings.own.as_ref();
    let Some(written) = own.and_then(|own| own.verdicts.as_ref()) else {
        return Ok(Vec::new());
    };
    let mut notes = verdict::Settings::notes(written);
    let farm = &call.state.farm;
    // They were read just before, and a server without a source refuses them.
    if let (Ok(read), Some(source)) = (verdict::Settings::read(written), farm.deploy.metrics()) {
        let checked = check_all(&**source, &read, farm.clock.now()).await;
        if !checked.wrong.is_empty() {
            return Err(Problem::no_queries(given, checked.wrong));
        }
        notes.extend(checked.notes);
    }
    Ok(notes)
}

/// What a group asks for and nobody here does yet.
fn beyond_us(settings: &DeploymentGroup, measures: bool) -> Vec<Mistake> {
    let mut wrong = Vec::new();
    let own = settings.own.as_ref();
    if let Some(written) = own.and_then(|own| own.verdicts.as_ref()) {
        wrong.extend(
            verdict::Settings::applied(written)
                .err()
                .unwrap_or_default(),
        );
        if !measures {
            wrong.push(Mistake::of_value(
                "x-croft.verdicts: this server has no Prometheus to ask, so nothing would be measured: start it with --prometheus URL"
                    .to_string(),
            ));
        }
    }
    let host = match settings.router() {
        Some(Router::Haproxy { host, .. } | Router::Script { host, .. }) => host.as_deref(),
        Some(Router::None) | None => None,
    };
    if let Some(host) = host {
        wrong.push(Mistake::of_value(format!(
            "x-croft.router.host `{host}`: balancers beside agents are not told yet; only those that the server itself reaches"
        )));
    }
    wrong
}

/// Hosts that the group's balancer or its detectors are told of by name, and that are none of its hosts now, each in a sentence: they may
/// come still, and may be misspelt.
fn strangers(state: &State, settings: &DeploymentGroup) -> Vec<String> {
    let own = settings.own.as_ref();
    let of_containers = own.is_some_and(|own| own.containers.is_some());
    let router = settings.router();
    let of_router = router.map(|router| router.named_hosts(of_containers));
    let verdicts = own.and_then(|own| own.verdicts.as_ref());
    let verdicts = verdicts.and_then(|written| verdict::Settings::read(written).ok());
    let of_verdicts = verdicts
        .iter()
        .flat_map(|verdicts| verdicts.hosts.map.keys())
        .map(|name| match of_containers {
            true => host_of(name),
            false => name.as_str(),
        });
    let named = [
        ("x-croft.router.servers", of_router.unwrap_or_default()),
        ("x-croft.verdicts.hosts.map", of_verdicts.collect()),
    ];
    let mut notes = Vec::new();
    for (path, mut hosts) in named {
        hosts.sort_unstable();
        hosts.dedup();
        for host in hosts {
            let there = state.host(host).filter(|there| there.is_enrolled);
            let why = match there {
                None => "belongs to the farm now",
                Some(there) if !is_of_group(settings, &there.tags) => "has the group's tags",
                Some(_) => continue,
            };
            notes.push(format!("{path}.{host}: no host of that name {why}"));
        }
    }
    notes
}

/// A group as it was applied, with what the farm knows of it, and its hosts.
fn shown(seen: Seen<'_>, name: &GroupName, group: &Group) -> Option<(Value, Vec<Having>)> {
    let settings = group.settings.as_ref()?;
    // It was read from JSON.
    let mut shown = serde_json::to_value(settings).ok()?;
    let good = group.target();
    if let Some(good) = good {
        shown["targetRevision"] = json!(good.asked.revision);
        shown["lastSuccessfulDeployment"] = json!({"deploymentId": good.deployment});
    }
    if let Some(ended) = &group.ended {
        shown["lastAttemptedDeployment"] = json!({"deploymentId": ended});
    }
    let hosts = having::all(seen, name, group);
    shown["x-croft-state"] = json!({
        "activeDeploymentId": group.active,
        "waitingDeploymentIds": group.queue,
        "generation": group.generation,
    });
    having::counted(&hosts, &mut shown["x-croft-state"]);
    Some((shown, hosts))
}
