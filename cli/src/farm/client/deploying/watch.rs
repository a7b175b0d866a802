//! Following a deployment to its end, and then what takes it back. A signal ends only the following.

use std::cell::RefCell;
use std::time::Duration;

use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::super::call::Farm;
use super::explain::reasons;
use super::follow::{self, Look};
use super::order::{Order, Shown};
use super::output::{Line, Wanted, lines};
use super::story::Story;
use super::waits;
use crate::args::Format;
use crate::exit::Exit;
use crate::output;

/// How long the last lines of hosts are waited for when a deployment is over.
const LAST_LINES: Duration = Duration::from_secs(5);
/// How often it is looked what may be shown: faster than anybody reads.
const LOOK: Duration = Duration::from_millis(50);

/// Follows the deployment to its end, and ends as it does.
pub(in super::super) async fn watch(farm: &Farm, id: &str, format: Format) -> anyhow::Result<Exit> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    tokio::select! {
        exit = to_the_end(farm, id, format) => exit,
        _ = interrupts.recv() => Ok(detached(id)),
        _ = terminations.recv() => Ok(detached(id)),
    }
}

fn detached(id: &str) -> Exit {
    eprintln!(
        "croft: the deployment goes on. Follow it: croft deployment watch {id}; stop it: croft deployment stop {id}"
    );
    Exit::Interrupted
}

async fn to_the_end(farm: &Farm, id: &str, format: Format) -> anyhow::Result<Exit> {
    let info = follow(farm, id, format).await?;
    if is_for_people(format) {
        for reason in reasons(&info) {
            output::text(&format!("  {reason}\n"))?;
        }
        if let Some(left) = waits::left(&info) {
            output::text(&format!("  left      {left}\n"))?;
        }
    }
    let back = info
        .pointer("/rollbackInfo/rollbackDeploymentId")
        .and_then(Value::as_str);
    let (exit, last) = match back {
        None => (exit_of(&info), info),
        Some(back) => {
            if is_for_people(format) {
                output::text(&format!("{id} is taken back by {back}\n"))?;
            }
            let back = follow(farm, back, format).await?;
            let exit = match back["status"].as_str() {
                Some("Succeeded") => Exit::RolledBack,
                _ => Exit::BuildFailed,
            };
            if is_for_people(format) {
                for reason in reasons(&back) {
                    output::text(&format!("  {reason}\n"))?;
                }
            }
            (exit, info)
        }
    };
    if matches!(format, Format::Json | Format::Yaml) {
        output::value(&last, format)?;
    }
    Ok(exit)
}

const fn is_for_people(format: Format) -> bool {
    matches!(format, Format::Table | Format::Wide)
}

/// Tells what happens in a deployment and what its hosts print, until it is over.
async fn follow(farm: &Farm, id: &str, format: Format) -> anyhow::Result<Value> {
    let mut story = Story::of(id);
    let order = RefCell::new(Order::default());
    let mut tell = |look: &Look| -> anyhow::Result<()> {
        let told = story.next(&look.info, &look.targets);
        // Of one that is over what hosts printed comes before how it ended.
        order.borrow_mut().told(told, Instant::now());
        Ok(())
    };
    let mut hear = |line: &Line| -> anyhow::Result<()> {
        order.borrow_mut().printed(line.clone(), Instant::now());
        Ok(())
    };
    let info = {
        let mut following = std::pin::pin!(follow::follow(farm, id, &mut tell));
        let mut printing = std::pin::pin!(printed(farm, id, format, &mut hear));
        let mut look = tokio::time::interval(LOOK);
        let mut is_printing = true;
        loop {
            tokio::select! {
                info = &mut following => {
                    if is_printing {
                        let rest = tokio::time::timeout(LAST_LINES, printing.as_mut()).await;
                        rest.unwrap_or_default();
                    }
                    break info;
                }
                () = &mut printing, if is_printing => is_printing = false,
                _ = look.tick() => {
                    let due = order.borrow_mut().due(Instant::now());
                    due.iter().try_for_each(|shown| show(shown, format))?;
                }
            }
        }
    };
    let rest = order.borrow_mut().rest();
    rest.iter().try_for_each(|shown| show(shown, format))?;
    info
}

fn show(shown: &Shown, format: Format) -> anyhow::Result<()> {
    match (shown, format) {
        (Shown::Told(told), Format::Table | Format::Wide) => {
            output::text(&format!("{}\n", told.text))
        }
        (Shown::Printed(line), Format::Table | Format::Wide) => {
            output::text(&format!("    {}\n", line.shown()))
        }
        (Shown::Told(told), Format::Ndjson) => output::value(told, format),
        (Shown::Printed(line), Format::Ndjson) => output::value(line, format),
        (_, Format::Json | Format::Yaml | Format::Name) => Ok(()),
    }
}

/// Hears what hosts print. A deployment can be followed without: an older server does not know of it.
async fn printed(
    farm: &Farm,
    id: &str,
    format: Format,
    hear: &mut dyn FnMut(&Line) -> anyhow::Result<()>,
) {
    let wanted = Wanted {
        id,
        host: None,
        follow: true,
    };
    if matches!(format, Format::Table | Format::Wide | Format::Ndjson)
        && let Err(error) = lines(farm, wanted, hear).await
    {
        tracing::warn!(
            error = format!("{error:#}"),
            "what hosts print is not shown"
        );
    }
}

/// As a deployment ended that nothing takes back.
fn exit_of(info: &Value) -> Exit {
    let code = info
        .pointer("/errorInformation/code")
        .and_then(Value::as_str);
    match info["status"].as_str() {
        Some("Succeeded") => Exit::Succeeded,
        // What an alarm ended did not go well; what a person ended is as wished.
        Some("Stopped") if code != Some("ALARM_ACTIVE") => Exit::Stopped,
        _ => Exit::BuildFailed,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_number_says_how_it_ended() {
        for (status, code, exit) in [
            ("Succeeded", None, Exit::Succeeded),
            ("Failed", Some("NO_INSTANCES"), Exit::BuildFailed),
            ("Stopped", Some("MANUAL_STOP"), Exit::Stopped),
            ("Stopped", Some("ALARM_ACTIVE"), Exit::BuildFailed),
            ("Halted", Some("HEALTH_CONSTRAINTS"), Exit::BuildFailed),
        ] {
            let mut info = json!({"status": status});
            if let Some(code) = code {
                info["errorInformation"] = json!({"code": code});
            }
            assert_eq!(exit_of(&info), exit, "{status} {code:?}");
        }
    }
}
