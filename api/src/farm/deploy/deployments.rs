//! Deployments: listed, shown, waited for. Read from what the server has folded.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use croft_deploy::server::{Remembered, Seen};
use croft_ledger::Seq;
use croft_proto::Timestamp;
use croft_proto::deploy::{DeploymentId, DeploymentInfo, DeploymentStatus};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::super::call::{Answer, Call, json as answer_json, short};
use super::super::limits::COMPLETE_WAIT_MAX;
use super::super::problem::Problem;
use super::super::state::State;
use super::known::{Known, folded};

/// Between two looks at a deployment that is waited for: entries of others come more often than anybody can read.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

const STATUSES: [DeploymentStatus; 9] = [
    DeploymentStatus::Created,
    DeploymentStatus::Queued,
    DeploymentStatus::InProgress,
    DeploymentStatus::Baking,
    DeploymentStatus::Ready,
    DeploymentStatus::Succeeded,
    DeploymentStatus::Failed,
    DeploymentStatus::Stopped,
    DeploymentStatus::Halted,
];

/// Which deployments are wanted.
#[derive(Clone, Debug, Default)]
struct Filter {
    application: Option<String>,
    group: Option<String>,
    status: Option<DeploymentStatus>,
}

impl Filter {
    fn of(call: &Call) -> Result<Self, Problem> {
        let status = match call.asked("status") {
            None => None,
            Some(word) => Some(
                STATUSES
                    .into_iter()
                    .find(|status| status.name().eq_ignore_ascii_case(word))
                    .ok_or_else(|| {
                        let words = STATUSES.map(DeploymentStatus::name).join(", ");
                        Problem::invalid(format!("status=`{}`: {words}", short(word)))
                    })?,
            ),
        };
        Ok(Self {
            application: call.asked("application").map(str::to_string),
            group: call.asked("group").map(str::to_string),
            status,
        })
    }

    fn admits(&self, info: &DeploymentInfo) -> bool {
        let is = |wanted: &Option<String>, name: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == name)
        };
        is(&self.application, &info.application_name)
            && is(&self.group, &info.deployment_group_name)
            && self.status.is_none_or(|status| status == info.status)
    }
}

/// A place in the list: the newest first.
type Place = (Timestamp, DeploymentId);

/// `GET /v1/deployments`
pub(in super::super) async fn list(call: Call) -> Answer {
    call.catch_up_deployments().await?;
    let (limit, filter) = (call.limit()?, Filter::of(&call)?);
    if let Some(application) = &filter.application {
        call.allow(croft_keys::AccessRole::Viewer, Some(application))?;
    }
    let before = match call.asked("cursor") {
        Some(cursor) => Some(place(cursor)?),
        None => None,
    };
    let found = call
        .state
        .farm
        .deploy
        .look(move |seen| found(seen, &filter));
    let mut found = found.await?;
    found.retain(|(at, row)| {
        call.sees(&row.info().application_name) && before.as_ref().is_none_or(|before| at < before)
    });
    found.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
    let is_more = found.len() > limit;
    found.truncate(limit);
    let next = found
        .last()
        .filter(|_| is_more)
        .map(|((at, id), _)| format!("{}.{id}", at.millis()));
    let rows: Vec<&DeploymentInfo> = found.iter().map(|(_, row)| row.info()).collect();
    answer_json(
        StatusCode::OK,
        &json!({"deployments": rows, "nextToken": next}),
    )
}

/// One of the list: what is remembered is not copied.
enum Row {
    Open(Box<DeploymentInfo>),
    Over(Arc<Remembered>),
}

impl Row {
    fn info(&self) -> &DeploymentInfo {
        match self {
            Self::Open(info) => info,
            Self::Over(over) => &over.info,
        }
    }
}

/// All that are wanted, in no order.
fn found(seen: Seen<'_>, filter: &Filter) -> Vec<(Place, Row)> {
    let open = seen.state.deployments().filter(|one| one.end.is_none());
    let open = open.map(|one| Row::Open(Box::new(one.info())));
    let over = seen.book.newest().map(|over| Row::Over(Arc::clone(over)));
    open.chain(over)
        .filter(|row| filter.admits(row.info()))
        .map(|row| {
            let info = row.info();
            ((info.create_time, info.deployment_id.clone()), row)
        })
        .collect()
}

fn place(cursor: &str) -> Result<Place, Problem> {
    let parts = cursor.split_once('.').and_then(|(at, id)| {
        let at = at.parse().ok().map(Timestamp::from_millis)?;
        Some((at, id.parse().ok()?))
    });
    parts.ok_or_else(|| {
        Problem::invalid(format!(
            "cursor=`{}`: not a nextToken of this list",
            short(cursor)
        ))
    })
}

/// `GET /v1/deployments/{id}`
pub(in super::super) async fn get(mut call: Call) -> Answer {
    let mut known = *call.deployment()?;
    if let Some(word) = call.asked("wait") {
        let seconds = call.parsed::<u64>("timeout")?.unwrap_or(30);
        let wait = Duration::from_secs(seconds).min(COMPLETE_WAIT_MAX);
        let until = match word {
            "complete" => Until::Over,
            "change" => {
                let seq = call.parsed::<u64>("seq")?.map(Seq::new);
                Until::After(seq.unwrap_or(known.last))
            }
            _ => {
                return Err(Problem::invalid(
                    "wait: one may wait for `complete`, or for a `change` after seq",
                ));
            }
        };
        known = wait_for(&call.state, known, until, wait).await?;
    }
    answer_json(StatusCode::OK, &known.shown())
}

/// What is waited for.
#[derive(Clone, Copy, Debug)]
enum Until {
    Over,
    /// Something of it that is recorded after that, or its end.
    After(Seq),
}

impl Until {
    fn is_met(self, known: &Known) -> bool {
        let is_over = known.info.status.is_final();
        match self {
            Self::Over => is_over,
            Self::After(seq) => is_over || known.last > seq,
        }
    }
}

/// The deployment once that is so, or as it is after that time.
async fn wait_for(
    state: &State,
    mut known: Known,
    until: Until,
    wait: Duration,
) -> Result<Known, Problem> {
    let deadline = Instant::now() + wait;
    let deploy = &state.farm.deploy;
    while !until.is_met(&known) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        // Before looking: what is folded between the two is not missed.
        let next = Seq::new(deploy.progress().folded.get() + 1);
        if let Some(later) = folded(state, &known.info.deployment_id).await? {
            known = later;
        }
        if until.is_met(&known) {
            break;
        }
        tokio::select! {
            () = state.draining.cancelled() => break,
            _is_there = deploy.folded(next, left) => {}
        }
        sleep(LOOK_AGAIN.min(left)).await;
    }
    Ok(known)
}
