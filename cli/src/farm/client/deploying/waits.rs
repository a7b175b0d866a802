//! What a deployment waits for, what it does step by step, and what it has left behind, in words for people. Made from the server's answers.

use croft_proto::Timestamp;
use serde_json::Value;

use super::super::rows::text;
use crate::render::{clock, duration};

fn moment(value: &Value) -> Option<Timestamp> {
    serde_json::from_value(value.clone()).ok()
}

/// Everything that a deployment, or one of its hosts, waits for, a line each.
pub(super) fn waits(of: &Value, now: Timestamp) -> Vec<String> {
    let all = of.as_array().into_iter().flatten();
    all.map(|wait| told(wait, now)).collect()
}

/// One of them.
pub(super) fn told(wait: &Value, now: Timestamp) -> String {
    let mut said = text(wait, "/message");
    if let Some(since) = moment(&wait["since"]) {
        said += &format!(
            "; since {} ({})",
            clock(since, now),
            duration(now.millis_since(since))
        );
    }
    if let Some(until) = moment(&wait["until"]) {
        said += &match until.millis_since(now) {
            0 => format!("; until {}", clock(until, now)),
            left => format!("; until {} (in {})", clock(until, now), duration(left)),
        };
    }
    if let Some(left) = wait["remainingMs"].as_u64() {
        said += &format!("; {} are left once it is not held", duration(left));
    }
    let then = text(wait, "/then");
    if then != "-" {
        said += &format!("; {then}");
    }
    said
}

/// What is done in a step, and how it is told.
pub(super) fn step(step: &Value, id: &str) -> Option<String> {
    let wait_ms = step["waitMs"].as_u64().unwrap_or_default();
    let wait = duration(wait_ms);
    let watched = match wait_ms {
        0 => String::new(),
        _ => format!(", watched for {wait}"),
    };
    Some(match step["type"].as_str()? {
        "shift" => format!(
            "{} of 100 of the traffic go to the new revision{watched}",
            text(step, "/percent")
        ),
        "bake" if wait_ms == 0 => "all is done".to_string(),
        "bake" => format!("all is done, and is watched for {wait}"),
        "watch" => format!("what is done is watched for {wait}"),
        "ready" if step["onTimeout"] == "CONTINUE_DEPLOYMENT" => "traffic may move".to_string(),
        "ready" => format!("traffic may move: croft deployment continue {id}, within {wait}"),
        _ => format!("hosts run {}", text(step, "/events")),
    })
}

/// Who said that it may go on.
pub(super) fn continued(one: &Value, now: Timestamp) -> String {
    let step = one["step"].as_u64().unwrap_or_default() + 1;
    let said = format!("continued by {} in step {step}", text(one, "/by"));
    match moment(&one["at"]) {
        Some(at) => format!("{said} at {}", clock(at, now)),
        None => said,
    }
}

/// Why it did not go well, in a word, or which newer one took its place; none when it did.
pub(super) fn why(info: &Value) -> Option<String> {
    let newer = text(info, "/x-croft/supersededBy");
    if newer != "-" {
        return Some(format!("the newer {newer} took its place"));
    }
    let code = text(info, "/errorInformation/code");
    (code != "-").then_some(code)
}

/// Where one is that goes on: its step, and how many there are.
pub(super) fn place(info: &Value) -> Option<(usize, &[Value])> {
    let own = &info["x-croft"];
    let step = usize::try_from(own["step"].as_u64()?).ok()?;
    let steps = own["steps"].as_array()?;
    (step < steps.len()).then_some((step, steps))
}

/// What a deployment that is over, and that nothing takes back, has left on its hosts, and what to do; none when that is nothing.
pub(super) fn left(info: &Value) -> Option<String> {
    let left = &info["x-croft"]["left"];
    left.is_object()
        .then(|| format!("{}: {}", text(left, "/message"), text(left, "/advice")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wait_says_since_when_until_when_and_what_then() {
        let now = Timestamp::from_millis(1_800_000_300_000);
        let at = |seconds: f64| 1_800_000_000.0 + seconds;
        let said = told(
            &json!({"kind": "host", "names": ["h1"], "message": "h1 is not heard", "since": at(0.0), "until": at(420.0),
                "then": "the event has failed then"}),
            now,
        );
        let from = clock(Timestamp::from_millis(1_800_000_000_000), now);
        let to = clock(Timestamp::from_millis(1_800_000_420_000), now);
        assert_eq!(
            said,
            format!(
                "h1 is not heard; since {from} (5m 00s); until {to} (in 2m 00s); the event has failed then"
            )
        );
        let held = told(&json!({"message": "the bake", "remainingMs": 90_000}), now);
        assert_eq!(held, "the bake; 1m 30s are left once it is not held");
    }
}
