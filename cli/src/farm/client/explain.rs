//! `croft build explain`: why a build waits, what happened to it when, and what the cache had for it.

use croft_proto::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::call::{Call, Farm};
use super::rows::text;
use crate::args::Format;
use crate::exit::Exit;
use crate::output::{self, Rows};
use crate::render::{date, duration};

/// One thing that happened.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Moment {
    value: Value,
    #[serde(skip)]
    since_first_ms: Option<u64>,
}

impl Rows for Moment {
    fn titles() -> (Vec<&'static str>, usize) {
        (vec!["EVENT", "AT", "AFTER", "TOOK", "DETAIL"], 5)
    }

    fn cells(&self) -> Vec<String> {
        // What happens in a moment takes no time; its milliseconds count from the beginning.
        let is_phase = text(&self.value, "/event").starts_with("phase ");
        let took = self.value["millis"].as_u64().filter(|_| is_phase);
        vec![
            text(&self.value, "/event"),
            at(&self.value).map_or_else(|| "-".into(), date),
            self.since_first_ms.map_or_else(|| "-".into(), duration),
            took.map_or_else(|| "-".into(), duration),
            text(&self.value, "/detail"),
        ]
    }

    fn name(&self) -> String {
        text(&self.value, "/event")
    }
}

fn at(value: &Value) -> Option<Timestamp> {
    serde_json::from_value(value["at"].clone()).ok()
}

/// Prints what the server knows of the build's way.
pub(super) async fn explain(farm: &Farm, id: &str, format: Format) -> anyhow::Result<Exit> {
    let answer: Value = farm
        .json(&Call::get(&["v1", "builds", id, "explain"]))
        .await?;
    let build = &answer["build"];
    match format {
        Format::Table | Format::Wide => {}
        Format::Name => {
            output::text(&format!("{}\n", text(build, "/id")))?;
            return Ok(Exit::Succeeded);
        }
        Format::Json | Format::Yaml | Format::Ndjson => {
            output::value(&answer, format)?;
            return Ok(Exit::Succeeded);
        }
    }
    output::text(&format!("{}\n", heading(build)))?;
    for (title, pointer) in [
        ("waits", "/why/text"),
        ("message", "/build/x-croft/message"),
    ] {
        if let Some(said) = answer.pointer(pointer).and_then(Value::as_str) {
            output::text(&format!("  {title:<9} {said}\n"))?;
        }
    }
    let moments = moments(&answer);
    if !moments.is_empty() {
        output::text("\n")?;
        output::rows(&moments, format)?;
    }
    if answer["cache"]
        .as_object()
        .is_some_and(|cache| !cache.is_empty())
    {
        output::text("\nCACHE\n")?;
        output::value(&answer["cache"], Format::Yaml)?;
    }
    Ok(Exit::Succeeded)
}

fn heading(build: &Value) -> String {
    format!(
        "Build {} of {}, {}: {}, {}",
        text(build, "/buildNumber"),
        text(build, "/projectName"),
        text(build, "/id"),
        text(build, "/buildStatus"),
        text(build, "/currentPhase"),
    )
}

fn moments(answer: &Value) -> Vec<Moment> {
    let timeline = answer["timeline"].as_array().cloned().unwrap_or_default();
    let first = timeline.first().and_then(at);
    let of = |value: Value| {
        let since = at(&value).zip(first);
        Moment {
            since_first_ms: since.map(|(at, first)| at.millis_since(first)),
            value,
        }
    };
    timeline.into_iter().map(of).collect()
}
