//! Revisions that are needed still: what a group may be taken back to must be in the store years after it was uploaded. Asked for each
//! deployment that is started, and again and again for all that groups have.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use croft_cache::{HOLD_MS_MAX, Id};
use croft_proto::Timestamp;
use tokio::time::sleep;

use super::super::held::Need;
use super::super::problem::Problem;
use super::super::state::State;

/// Between two looks: the store keeps what it is asked to for a day, so that servers may be away for half of one.
const KEEP_EVERY: Duration = Duration::from_secs(60 * 60);
/// Between two looks while the server has not read all of the ledger yet.
const KEEP_AGAIN: Duration = Duration::from_secs(5);
/// What is kept for less than this is asked for anew.
const NEED_MS: u64 = 12 * 60 * 60 * 1000;

/// Has a revision kept; refuses one that is not there.
pub(super) async fn keep(state: &State, digest: &str) -> Result<(), Problem> {
    let gone = || {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "RevisionDoesNotExistException",
            format!("the revision `{digest}` is not here, or not any more: upload it (again)"),
        )
    };
    let id = Id::parse(digest).ok_or_else(gone)?;
    let now = state.farm.clock.now();
    let need = Need { now, ms: NEED_MS };
    if state.held.covers(&id, need) {
        return Ok(());
    }
    let (kept, until) = (
        state.kept(),
        Timestamp::from_millis(now.millis().saturating_add(HOLD_MS_MAX)),
    );
    let holding = state
        .tasks
        .spawn_blocking(move || kept.hold_tree(&id, until, now));
    match holding.await {
        Ok(Ok(until)) => {
            state.held.note(id, until, now);
            Ok(())
        }
        Ok(Err(croft_cache::Error::Missing { .. })) => Err(gone()),
        Ok(Err(error)) => Err(error.into()),
        Err(error) => Err(Problem::internal(&error)),
    }
}

/// Keeps all revisions that groups have, may go back to, or wait for; of one that was deleted those that its hosts have, since it takes them up
/// when it is made again.
pub(in super::super) async fn keep_revisions(state: Arc<State>) {
    loop {
        let pause = match keep_all(&state).await {
            true => KEEP_EVERY,
            false => KEEP_AGAIN,
        };
        sleep(pause).await;
    }
}

/// False when it is too early to know which there are.
pub(in super::super) async fn keep_all(state: &State) -> bool {
    if !state.farm.deploy.progress().is_caught_up {
        return false;
    }
    let now = state.farm.clock.now();
    let needed = state.farm.deploy.look(move |seen| {
        let groups = seen.state.groups();
        let groups = groups.filter(|(_, group)| group.may_go_back(now));
        let good = groups.flat_map(|(_, group)| group.good.iter());
        let open = seen.state.deployments().filter(|one| one.end.is_none());
        let mut digests: Vec<String> = good
            .map(|good| &good.asked)
            .chain(open.map(|one| &one.accepted.asked))
            .map(|asked| asked.revision.digest.clone())
            .collect();
        digests.sort_unstable();
        digests.dedup();
        digests
    });
    let Ok(digests) = needed.await else {
        return false;
    };
    for digest in digests {
        if let Err(problem) = keep(state, &digest).await {
            tracing::warn!(%digest, why = %problem.detail, "a revision that may be gone back to is not kept");
        }
    }
    true
}
