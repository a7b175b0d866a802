//! How a deployment goes that is not over: what happened so far, what it does now and waits for, what is next, and what would take it back.

use croft_proto::Timestamp;
use serde_json::Value;

use super::super::rows::text;
use super::explain::{continued, first_failure, row};
use super::{evidence, waits};
use crate::render::{clock, duration};

/// All of it, a titled line each.
pub(super) fn lines(info: &Value, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    let id = text(info, "/deploymentId");
    let place = waits::place(info);
    lines.extend(begun(info, now));
    if let Some((step, steps)) = place {
        let overview = &info["deploymentOverview"];
        let counts = [
            ("Succeeded", "went well"),
            ("Ready", "ready for traffic"),
            ("Failed", "failed"),
            ("InProgress", "being changed"),
            ("Pending", "not begun"),
        ];
        let counts = counts.map(|(word, said)| (overview[word].as_u64().unwrap_or(0), said));
        let said = counts.iter().filter(|(count, _)| *count > 0);
        let said: Vec<String> = said
            .map(|(count, said)| format!("{count} {said}"))
            .collect();
        lines.push(row("so far", &format!("of its hosts {}", said.join(", "))));
        let percent = text(info, "/x-croft/trafficPercent");
        if percent != "-" {
            let said = format!("{percent} of 100 go to the new revision");
            lines.push(row("traffic", &said));
        }
        lines.extend(first_failure(&info["x-croft"]["firstFailure"]));
        let notes = info["x-croft"]["notes"].as_array().into_iter().flatten();
        for (number, note) in notes.filter_map(Value::as_str).enumerate() {
            lines.push(row(if number == 0 { "before" } else { "" }, note));
        }
        if let Some(what) = steps.get(step).and_then(|step| waits::step(step, &id)) {
            let said = format!("step {} of {}: {what}", step + 1, steps.len());
            lines.push(row("now", &said));
        }
    }
    lines.extend(continued(info));
    for (_, _, said) in evidence::stands(&info["x-croft"]["watch"]) {
        lines.push(row("judged", &said));
    }
    for wait in waits::waits(&info["x-croft"]["waits"], now) {
        lines.push(row("waits", &wait));
    }
    lines.push(row("next", &next(place, &id)));
    lines.push(row("back", &back(info)));
    lines
}

fn begun(info: &Value, now: Timestamp) -> Vec<String> {
    let at = |pointer: &str| -> Option<Timestamp> {
        serde_json::from_value(info.pointer(pointer)?.clone()).ok()
    };
    [("accepted", "/createTime"), ("began", "/startTime")]
        .into_iter()
        .filter_map(|(title, pointer)| {
            let at = at(pointer)?;
            let ago = duration(now.millis_since(at));
            Some(row(title, &format!("{} ({ago} ago)", clock(at, now))))
        })
        .collect()
}

fn next(place: Option<(usize, &[Value])>, id: &str) -> String {
    let Some((step, steps)) = place else {
        return "its hosts and steps are planned when its turn comes".to_string();
    };
    match steps.get(step + 1).and_then(|step| waits::step(step, id)) {
        Some(what) => format!("step {} of {}: {what}", step + 2, steps.len()),
        None => "it has succeeded when this step is over".to_string(),
    }
}

/// What takes it back, and to what.
fn back(info: &Value) -> String {
    let (application, group) = (
        text(info, "/applicationName"),
        text(info, "/deploymentGroupName"),
    );
    let taken = text(info, "/rollbackInfo/rollbackTriggeringDeploymentId");
    if taken != "-" && info["creator"] == "codeDeployRollback" {
        return format!(
            "it takes {taken} back, and is not taken back itself: when it fails it is Halted, and says what stands where"
        );
    }
    let digest = text(info, "/previousRevision/digest");
    if digest == "-" && info["startTime"].is_number() {
        return "there is nothing to go back to: no deployment of the group has gone well before"
            .to_string();
    }
    let to: String = digest.chars().take(12).collect();
    let to = match info["startTime"].is_number() {
        true => format!("to the revision {to}"),
        false => "to the revision that went well last".to_string(),
    };
    let events = info["x-croft"]["rollbackOn"]
        .as_array()
        .into_iter()
        .flatten();
    let when: Vec<&str> = events
        .filter_map(|event| match event.as_str()? {
            "DEPLOYMENT_FAILURE" => Some("too few hosts go well or it takes too long"),
            "DEPLOYMENT_STOP_ON_ALARM" => Some("an alarm or another detector speaks against it"),
            "DEPLOYMENT_STOP_ON_REQUEST" => Some("somebody stops it"),
            _ => None,
        })
        .collect();
    let by_hand = format!("croft deployment rollback {application} {group}");
    match when.as_slice() {
        [] if !info["startTime"].is_number() => format!("{to}, as its group says when it begins"),
        [] => format!("{to}, by hand alone: {by_hand}"),
        when => format!(
            "{to}, when {}; or by hand: {by_hand}",
            when.join(", or when ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_what_is_and_what_would_be_are_told() {
        let now = Timestamp::from_millis(1_800_000_060_000);
        let info = json!({
            "deploymentId": "d-A", "applicationName": "shop", "deploymentGroupName": "prod", "status": "InProgress",
            "createTime": 1_800_000_000.0, "startTime": 1_800_000_000.0, "creator": "user",
            "deploymentOverview": {"Pending": 1, "InProgress": 1, "Succeeded": 1, "Failed": 0, "Skipped": 0, "Ready": 0},
            "previousRevision": {"digest": "0123456789abcdef"},
            "x-croft": {"step": 0, "steps": [{"type": "run", "events": ["Install"]}, {"type": "bake", "waitMs": 60000}],
                "waits": [{"kind": "host", "message": "web-2 is not heard"}],
                "rollbackOn": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"]},
        });
        let said = lines(&info, now);
        let began = clock(Timestamp::from_millis(1_800_000_000_000), now);
        assert_eq!(
            said,
            [
                &format!("accepted  {began} (1m 00s ago)"),
                &format!("began     {began} (1m 00s ago)"),
                "so far    of its hosts 1 went well, 1 being changed, 1 not begun",
                "now       step 1 of 2: hosts run Install",
                "waits     web-2 is not heard",
                "next      step 2 of 2: all is done, and is watched for 1m 00s",
                "back      to the revision 0123456789ab, when too few hosts go well or it takes too long, or when an alarm or another \
                 detector speaks against it; or by hand: croft deployment rollback shop prod",
            ]
        );
    }

    #[test]
    fn one_that_waits_for_its_turn_and_one_that_takes_back_say_so() {
        let now = Timestamp::from_millis(1_800_000_060_000);
        let waiting = json!({"deploymentId": "d-B", "createTime": 1_800_000_000.0, "x-croft": {}});
        let said = lines(&waiting, now);
        assert!(
            said[1].starts_with("next      its hosts and steps are planned"),
            "{said:?}"
        );
        let back = json!({"creator": "codeDeployRollback", "startTime": 1.0,
            "rollbackInfo": {"rollbackTriggeringDeploymentId": "d-A"}});
        assert!(super::back(&back).contains("Halted"));
    }
}
