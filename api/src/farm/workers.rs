//! Who runs builds, and who waits for it. What workers say of themselves comes from the scheduler; what somebody told them is in the
//! ledger.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use croft_ledger::Subject;
use croft_proto::Timestamp;
use croft_proto::farm::WorkerEvent;
use croft_scheduler::WORKER_GONE_MS;
use croft_views::Stage;
use serde_json::{Value, json};

use super::call::{Answer, Call, changed, json as answer_json};
use super::limits::READ_WAIT;
use super::problem::Problem;
use super::record::record;
use super::tokens::is_name;

/// `GET /v1/workers`
pub(super) async fn list(call: Call) -> Answer {
    call.catch_up_with_caller().await?;
    let seen = call.state.farm.handle.workers().await?;
    let told = call.state.farm.views.ask(|read| read.workers()).await?;
    let is_draining = |name: &str| told.iter().any(|row| row.name == name && row.is_draining);
    let now = call.state.farm.clock.now().millis();
    let state = |name: &str, silent_ms: u64| match (is_draining(name), silent_ms) {
        (true, _) => "draining",
        (false, ms) if ms > WORKER_GONE_MS => "gone",
        (false, _) => "ready",
    };
    let mut workers: Vec<Value> = seen
        .iter()
        .map(|worker| {
            json!({
                "name": worker.worker,
                "pool": worker.pool,
                "slots": worker.slots,
                "slotsFree": worker.slots_free,
                "version": worker.version,
                "builds": worker.slots.saturating_sub(worker.slots_free),
                "state": state(&worker.worker, worker.silent_ms),
                "draining": is_draining(&worker.worker),
                "lastHeard": Timestamp::from_millis(now.saturating_sub(worker.silent_ms)),
            })
        })
        .collect();
    // One that was told to drain and has gone is worth knowing of.
    let gone = told.iter().filter(|row| row.is_draining);
    let gone = gone.filter(|row| !seen.iter().any(|worker| worker.worker == row.name));
    workers.extend(gone.map(|row| json!({"name": row.name, "state": "gone", "draining": true})));
    answer_json(StatusCode::OK, &json!({"workers": workers}))
}

/// `POST /v1/workers/{name}/drain`
pub(super) async fn drain(call: Call) -> Answer {
    let by = call.actor();
    tell(&call, &WorkerEvent::Draining { by }).await
}

/// `POST /v1/workers/{name}/resume`
pub(super) async fn resume(call: Call) -> Answer {
    let by = call.actor();
    tell(&call, &WorkerEvent::Resumed { by }).await
}

async fn tell(call: &Call, wanted: &WorkerEvent) -> Answer {
    let name = call.param("name").to_string();
    if !is_name(&name) {
        return Err(Problem::invalid("a worker's name has printable characters"));
    }
    let subject = Subject::of("worker", &name)?;
    let drains = |event: Option<&WorkerEvent>| matches!(event, Some(WorkerEvent::Draining { .. }));
    let ledger = &call.state.farm.ledger;
    let seq = record::<WorkerEvent, _>(&**ledger, &subject, |there| {
        let is_so = drains(there.last()) == drains(Some(wanted));
        Ok((!is_so).then(|| wanted.clone()))
    })
    .await?;
    if let Some(seq) = seq {
        call.state.farm.views.reached(seq, READ_WAIT).await;
    }
    let worker = json!({"name": name, "draining": drains(Some(wanted))});
    changed(StatusCode::OK, &json!({"worker": worker}), seq)
}

#[derive(Default)]
struct Pool {
    waiting: u64,
    running: u64,
    offered: usize,
    workers: usize,
    slots: u64,
    slots_free: u64,
    oldest_seconds: Option<u64>,
}

/// `GET /v1/queue`
pub(super) async fn queue(call: Call) -> Answer {
    call.catch_up_with_builds().await?;
    let (handle, now) = (&call.state.farm.handle, call.state.farm.clock.now());
    let mut pools: BTreeMap<String, Pool> = BTreeMap::new();
    for line in handle.lines().await? {
        pools.entry(line.pool).or_default().offered = line.offered;
    }
    for worker in handle.workers().await? {
        let pool = pools.entry(worker.pool).or_default();
        pool.workers += 1;
        pool.slots += u64::from(worker.slots);
        pool.slots_free += u64::from(worker.slots_free);
    }
    for line in call.state.farm.views.ask(|read| read.lines()).await? {
        let pool = pools.entry(line.pool).or_default();
        match line.stage {
            Stage::Waiting => {
                pool.waiting += line.count;
                pool.oldest_seconds = Some(now.millis_since(line.oldest_at) / 1000);
            }
            Stage::Running | Stage::Stopping => pool.running += line.count,
            Stage::Over(_) => {}
        }
    }
    let pools: Vec<Value> = pools
        .into_iter()
        .map(|(name, pool)| {
            json!({
                "pool": name,
                "waiting": pool.waiting,
                "running": pool.running,
                "offered": pool.offered,
                "workers": pool.workers,
                "slots": pool.slots,
                "slotsFree": pool.slots_free,
                "oldestSeconds": pool.oldest_seconds,
            })
        })
        .collect();
    answer_json(StatusCode::OK, &json!({"pools": pools}))
}
