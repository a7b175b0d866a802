//! Why a deployment ended as it did: the error with the first host that failed, the finding that ended it, and what took it back. Of one that
//! goes on: what happened so far, what it does and waits for, and what would come next.

use serde_json::{Value, json};

use super::super::call::{Call, Farm};
use super::super::rows::text;
use super::{evidence, going, waits, well};
use crate::args::Format;
use crate::exit::Exit;
use crate::output;
use crate::surroundings::now;

/// `croft deployment explain`.
pub(super) async fn explain(farm: &Farm, id: &str, format: Format) -> anyhow::Result<Exit> {
    let info = info(farm, id).await?;
    let back = match rollback_of(&info) {
        Some(back) => Some(self::info(farm, back).await?),
        None => None,
    };
    match format {
        Format::Table | Format::Wide => {
            let mut said = heading(&info) + "\n";
            let mut lines = Vec::new();
            if info["status"] == "Succeeded" {
                lines.extend(well(farm, id, &info).await?);
            }
            lines.extend(match info["completeTime"].is_number() {
                true => over(&info, back.as_ref()),
                false => going::lines(&info, now()),
            });
            for line in lines {
                said += &format!("  {line}\n");
            }
            output::text(&said)?;
        }
        Format::Name => output::text(&format!("{id}\n"))?,
        Format::Json | Format::Yaml | Format::Ndjson => {
            let all = json!({"deploymentInfo": info, "rollback": back});
            output::value(&all, format)?;
        }
    }
    Ok(Exit::Succeeded)
}

/// What one did that went well.
async fn well(farm: &Farm, id: &str, info: &Value) -> anyhow::Result<Vec<String>> {
    let targets = targets(farm, &["v1", "deployments", id, "targets"]).await?;
    let slowest = well::slowest(&targets);
    let events = match slowest.and_then(|target| target["targetId"].as_str()) {
        Some(host) => targets_of(farm, id, host).await?,
        None => Vec::new(),
    };
    let label = slowest.map(|target| &target["instanceLabel"]);
    let mut events = events.iter();
    let events = events.find(|target| Some(&target["instanceLabel"]) == label);
    Ok(well::lines(info, &targets, events, now()))
}

async fn targets_of(farm: &Farm, id: &str, host: &str) -> anyhow::Result<Vec<Value>> {
    targets(farm, &["v1", "deployments", id, "targets", host]).await
}

async fn targets(farm: &Farm, path: &[&str]) -> anyhow::Result<Vec<Value>> {
    let answer: Value = farm.json(&Call::get(path)).await?;
    let found = answer["deploymentTargets"].as_array().into_iter().flatten();
    Ok(found
        .map(|target| target["instanceTarget"].clone())
        .collect())
}

async fn info(farm: &Farm, id: &str) -> anyhow::Result<Value> {
    let mut answer: Value = farm.json(&Call::get(&["v1", "deployments", id])).await?;
    Ok(answer["deploymentInfo"].take())
}

fn rollback_of(info: &Value) -> Option<&str> {
    info.pointer("/rollbackInfo/rollbackDeploymentId")?.as_str()
}

fn heading(info: &Value) -> String {
    let mut heading = format!(
        "Deployment {} of {}/{}: {}",
        text(info, "/deploymentId"),
        text(info, "/applicationName"),
        text(info, "/deploymentGroupName"),
        text(info, "/status"),
    );
    if let Some(why) = waits::why(info) {
        heading += &format!(", {why}");
    }
    heading
}

/// Of one that is over: why, what it has left, and what followed.
fn over(info: &Value, back: Option<&Value>) -> Vec<String> {
    let mut lines = reasons(info);
    lines.extend(continued(info));
    lines.extend(waits::left(info).map(|left| row("left", &left)));
    lines.extend(after(info, back));
    let waiting = waits::waits(&info["x-croft"]["waits"], now());
    lines.extend(waiting.iter().map(|wait| row("waits", wait)));
    lines
}

/// Who said that it may go on.
pub(super) fn continued(info: &Value) -> impl Iterator<Item = String> {
    let all = info["x-croft"]["continued"]
        .as_array()
        .into_iter()
        .flatten();
    all.map(|one| row("went on", &waits::continued(one, now())))
}

pub(super) fn row(title: &str, said: &str) -> String {
    format!("{title:<9} {said}")
}

/// Why it did not go well, in lines; none when it did.
pub(super) fn reasons(info: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let error = &info["errorInformation"];
    if error["message"].is_string() {
        lines.push(row("why", &text(error, "/message")));
    }
    lines.extend(first_failure(&error["x-croft-firstFailure"]));
    let finding = &info["x-croft"]["finding"];
    if finding.is_object() {
        let said = format!("{}: {}", text(finding, "/by"), text(finding, "/message"));
        // The error says the same, unless a host failed as well.
        if !text(error, "/message").starts_with(&said) {
            lines.push(row("found", &said));
        }
        for (title, said) in evidence::lines(&finding["evidence"]) {
            lines.push(row(title, &said));
        }
    }
    lines
}

/// The first host that failed, its script, and what that said last.
pub(super) fn first_failure(failure: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    if failure.is_object() {
        let said = format!(
            "{}, in {}: {}",
            text(failure, "/host"),
            text(failure, "/event"),
            text(failure, "/errorCode")
        );
        lines.push(row("host", &said));
        for (title, pointer) in [("script", "/scriptName"), ("said", "/message")] {
            let said = text(failure, pointer);
            if said != "-" {
                lines.push(row(title, &said));
            }
        }
        let tail = failure["logTail"].as_str().unwrap_or_default();
        for (number, line) in tail.lines().enumerate() {
            let title = if number == 0 { "output" } else { "" };
            let line = croft_exec::output::plain_text(line, usize::MAX);
            lines.push(row(title, &format!("| {line}")));
        }
    }
    lines
}

/// What followed it, and what it followed.
fn after(info: &Value, back: Option<&Value>) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(back) = back {
        let said = format!(
            "by {}, {}",
            text(back, "/deploymentId"),
            text(back, "/status")
        );
        lines.push(row("back", &said));
    }
    let rollback = &info["rollbackInfo"];
    if rollback["rollbackTriggeringDeploymentId"].is_string() {
        let said = format!("{} back", text(rollback, "/rollbackTriggeringDeploymentId"));
        lines.push(row("takes", &said));
    }
    if rollback["rollbackMessage"].is_string() {
        lines.push(row("rollback", &text(rollback, "/rollbackMessage")));
    }
    let notes = info["x-croft"]["notes"].as_array().into_iter().flatten();
    for (number, note) in notes.filter_map(Value::as_str).enumerate() {
        let title = if number == 0 { "before" } else { "" };
        lines.push(row(title, note));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_host_its_script_and_its_last_lines_are_told() {
        let info = json!({
            "deploymentId": "d-A", "applicationName": "shop", "deploymentGroupName": "prod", "status": "Failed",
            "errorInformation": {"code": "HEALTH_CONSTRAINTS", "message": "too few hosts went well",
                "x-croft-firstFailure": {"host": "h1", "event": "ApplicationStart", "errorCode": "ScriptFailed",
                    "scriptName": "start.sh", "message": "it ended with exit code 3", "logTail": "one\n\u{1b}[2Jtwo\n"}},
            "rollbackInfo": {"rollbackDeploymentId": "d-B", "rollbackMessage": "back to d-0"},
            "x-croft": {"finding": {"by": "errors", "message": "5 of 100", "evidence": {"value": 5}}},
        });
        let back = json!({"deploymentId": "d-B", "status": "Succeeded"});
        assert_eq!(
            heading(&info),
            "Deployment d-A of shop/prod: Failed, HEALTH_CONSTRAINTS"
        );
        let mut said = reasons(&info);
        said.extend(after(&info, Some(&back)));
        assert_eq!(
            said,
            [
                "why       too few hosts went well",
                "host      h1, in ApplicationStart: ScriptFailed",
                "script    start.sh",
                "said      it ended with exit code 3",
                "output    | one",
                "          | two",
                "found     errors: 5 of 100",
                "value     5",
                "back      by d-B, Succeeded",
                "rollback  back to d-0",
            ]
        );
        assert!(reasons(&json!({"status": "Succeeded"})).is_empty());
    }

    #[test]
    fn what_was_found_is_said_once_with_its_evidence_and_what_is_left_with_what_to_do() {
        let info = json!({
            "errorInformation": {"code": "ALARM_ACTIVE", "message": "alarm A: it began to fire"},
            "x-croft": {"finding": {"by": "alarm A", "message": "it began to fire",
                    "evidence": {"labels": {"alertname": "A", "job": "shop"}}},
                "left": {"message": "web-1 has the new revision", "advice": "croft deployment rollback shop prod"}},
        });
        assert_eq!(
            over(&info, None),
            [
                "why       alarm A: it began to fire",
                "labels    alertname=A job=shop",
                "left      web-1 has the new revision: croft deployment rollback shop prod",
            ]
        );
    }
}
