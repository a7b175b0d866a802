//! A deployment that a path names: one that is not over, one that the server remembers, or one that is folded anew from the ledger.
//! Looked up by the front, which asks whose it is; handed to a route's function.

use std::collections::{BTreeMap, HashMap};

use croft_deploy::{Deployment, deployment_subject, target_subject};
use croft_ledger::{Entry, Ledger, Seq, Subject};
use croft_proto::deploy::{DeploymentId, DeploymentInfo, Wait, WaitKind};
use serde_json::{Value, json};

use super::super::limits::{READ_WAIT, SUBJECT_PAGE};
use super::super::problem::Problem;
use super::super::state::State;

/// A deployment, as it is shown.
#[derive(Clone, Debug)]
pub(in super::super) struct Known {
    pub(in super::super) info: DeploymentInfo,
    /// Its targets, in AWS's shape.
    pub(in super::super) targets: Vec<Value>,
    /// The last entry of all that is its.
    pub(in super::super) last: Seq,
}

impl Known {
    fn of(deployment: &Deployment) -> Self {
        let targets = deployment.targets.iter().map(|target| target.last);
        Self {
            info: deployment.info(),
            targets: deployment.targets_shown(),
            last: targets.fold(deployment.last, Seq::max),
        }
    }

    /// What it waits for, of the whole and of each host.
    fn wait_for(&mut self, waits: Vec<Wait>) {
        let mut by_host: HashMap<&str, Vec<&Wait>> = HashMap::new();
        for wait in &waits {
            let is_of_hosts = matches!(
                wait.kind,
                WaitKind::Host | WaitKind::Event | WaitKind::OtherDeployment
            );
            for host in wait.names.iter().filter(|_| is_of_hosts) {
                by_host.entry(host).or_default().push(wait);
            }
        }
        for target in &mut self.targets {
            let host = target["targetId"].as_str().unwrap_or_default();
            if let Some(waits) = by_host.get(host) {
                target["x-croft"]["waits"] = json!(waits);
            }
        }
        self.info.own.waits = waits;
    }

    /// As AWS's `GetDeployment` answers, with its place in the ledger.
    pub(super) fn shown(&self) -> Value {
        json!({
            "deploymentId": self.info.deployment_id,
            "deploymentInfo": self.info,
            "lastSeq": self.last,
        })
    }
}

/// A deployment, also one that this server hears of in a moment.
pub(in super::super) async fn known(state: &State, id: &DeploymentId) -> Result<Known, Problem> {
    if let Some(known) = folded(state, id).await? {
        return Ok(known);
    }
    let last = state.farm.ledger.last().await?;
    state.farm.deploy.folded(last, READ_WAIT).await;
    if let Some(known) = folded(state, id).await? {
        return Ok(known);
    }
    let found = anew(&*state.farm.ledger, id).await?;
    found.ok_or_else(|| {
        Problem::new(
            axum::http::StatusCode::NOT_FOUND,
            "DeploymentDoesNotExistException",
            format!("there is no deployment `{id}`"),
        )
    })
}

/// What the server has of it.
pub(super) async fn folded(state: &State, id: &DeploymentId) -> Result<Option<Known>, Problem> {
    let id = id.clone();
    let look = state.farm.deploy.look(move |seen| {
        if let Some(deployment) = seen.state.deployment(&id) {
            let mut known = Known::of(deployment);
            let watch = known.info.own.watch.take();
            known.info.own.watch = seen.watched(&id).or(watch);
            known.wait_for(seen.waits(&id));
            return Some(known);
        }
        let over = seen.book.find(&id)?;
        Some(Known {
            info: over.info.clone(),
            targets: over.targets.clone(),
            last: Seq::ZERO,
        })
    });
    Ok(look.await?)
}

/// One that this server has forgotten: its own entries and its targets', in the order in which they came.
pub(in super::super) async fn anew(
    ledger: &dyn Ledger,
    id: &DeploymentId,
) -> Result<Option<Known>, Problem> {
    let own = all_of(ledger, &deployment_subject(id)).await?;
    let alone = Deployment::of(id, &own).map_err(|error| Problem::internal(&error))?;
    let Some(alone) = alone else {
        return Ok(None);
    };
    let mut entries: BTreeMap<Seq, Entry> =
        own.into_iter().map(|entry| (entry.seq, entry)).collect();
    for target in &alone.targets {
        let subject = target_subject(id, target.planned.side, &target.planned.host)?;
        let of_target = all_of(ledger, &subject).await?;
        entries.extend(of_target.into_iter().map(|entry| (entry.seq, entry)));
    }
    let whole = Deployment::of(id, entries.values()).map_err(|error| Problem::internal(&error))?;
    Ok(whole.as_ref().map(Known::of))
}

/// The targets of one host of a deployment, as far as its own entries tell: also of very many, of which not all are shown.
pub(super) async fn of_host(
    state: &State,
    id: &DeploymentId,
    host: &str,
) -> Result<Vec<Value>, Problem> {
    let (asked, name) = (id.clone(), host.to_string());
    let look = state.farm.deploy.look(move |seen| {
        let deployment = seen.state.deployment(&asked);
        deployment.map(|deployment| deployment.host_shown(&name))
    });
    if let Some(found) = look.await? {
        return Ok(found);
    }
    let own = all_of(&*state.farm.ledger, &deployment_subject(id)).await?;
    let alone = Deployment::of(id, &own).map_err(|error| Problem::internal(&error))?;
    Ok(alone.map_or_else(Vec::new, |alone| alone.host_shown(host)))
}

/// All entries of a subject.
pub(super) async fn all_of(ledger: &dyn Ledger, subject: &Subject) -> Result<Vec<Entry>, Problem> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = entries.last().map_or(Seq::ZERO, |entry| entry.seq);
        let page = ledger.read_subject(subject, after, SUBJECT_PAGE).await?;
        if page.is_empty() {
            return Ok(entries);
        }
        entries.extend(page);
    }
}
