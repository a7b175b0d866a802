//! `croft worker list`, `drain` and `resume`, and `croft queue`: who runs builds, and what waits for them.

use reqwest::Method;
use serde_json::Value;

use super::call::{Call, Failure, Farm};
use super::rows::{PoolRow, WorkerRow};
use super::{block_on, farm, pages};
use crate::args::{Format, Global};
use crate::exit::Exit;
use crate::farm::words::{QueueWords, WorkerCommand};
use crate::output;

pub(crate) fn worker(global: &Global, command: &WorkerCommand) -> anyhow::Result<Exit> {
    match command {
        WorkerCommand::List { output, connect } => {
            let farm = farm(global, connect)?;
            block_on(list(&farm, output.output))
        }
        WorkerCommand::Drain { name, connect } => {
            let farm = farm(global, connect)?;
            let said = "takes no more builds; those that run go on";
            block_on(tell(&farm, name, "drain", said))
        }
        WorkerCommand::Resume { name, connect } => {
            let farm = farm(global, connect)?;
            block_on(tell(&farm, name, "resume", "takes builds again"))
        }
    }
}

async fn list(farm: &Farm, format: Format) -> anyhow::Result<Exit> {
    let found = pages::all(farm, &["v1", "workers"], &[], "workers", pages::ROWS_MAX).await?;
    let rows: Vec<WorkerRow> = found.into_iter().map(WorkerRow).collect();
    output::rows(&rows, format)?;
    Ok(Exit::Succeeded)
}

pub(super) async fn tell(farm: &Farm, name: &str, what: &str, said: &str) -> anyhow::Result<Exit> {
    let call = Call::new(Method::POST, &["v1", "workers", name, what]);
    farm.bytes(&call).await?;
    output::text(&format!("{name} {said}\n"))?;
    Ok(Exit::Succeeded)
}

pub(crate) fn queue(global: &Global, words: &QueueWords) -> anyhow::Result<Exit> {
    let farm = farm(global, &words.connect)?;
    block_on(async {
        let rows: Vec<PoolRow> = pools(&farm).await?.into_iter().map(PoolRow).collect();
        output::rows(&rows, words.output.output)?;
        Ok(Exit::Succeeded)
    })
}

async fn pools(farm: &Farm) -> Result<Vec<Value>, Failure> {
    let mut answer: Value = farm.json(&Call::get(&["v1", "queue"])).await?;
    Ok(match answer["pools"].take() {
        Value::Array(pools) => pools,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Vec::new()
        }
    })
}
