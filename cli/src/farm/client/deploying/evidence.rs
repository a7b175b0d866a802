//! What detectors found, and how they stand, in words for people. Made from the server's answers; a curve becomes a line of bars.

use serde_json::Value;

use super::super::rows::text;
use crate::render::clock;
use crate::surroundings::now;

/// Bars of a curve: as wide as a line of text.
const BARS_MAX: usize = 60;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Whole numbers where they are whole.
fn number(value: &Value) -> String {
    value.as_f64().map_or_else(
        || "-".to_string(),
        |number| {
            let rounded = format!("{number:.3}");
            rounded
                .trim_end_matches('0')
                .trim_end_matches('.')
                .to_string()
        },
    )
}

fn counts(counts: &Value) -> String {
    format!(
        "{} of {} bad",
        number(&counts["bad"]),
        number(&counts["requests"])
    )
}

/// Evidence as titled lines.
pub(super) fn lines(evidence: &Value) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let Some(query) = evidence["query"].as_str() {
        lines.push(("query", query.to_string()));
    }
    if evidence["value"].is_number() {
        lines.push(("value", number(&evidence["value"])));
    }
    for (title, field) in [("new", "canary"), ("old", "baseline")] {
        if evidence[field].is_object() {
            lines.push((title, counts(&evidence[field])));
        }
    }
    if evidence["historical"] == true {
        lines.push((
            "against",
            "the hour before: no old instance served".to_string(),
        ));
    }
    if let Some(curve) = curve(&evidence["curve"]) {
        lines.push(("curve", curve));
    }
    lines.extend(alert(evidence));
    if lines.is_empty() && !evidence.is_null() {
        lines.push(("evidence", evidence.to_string()));
    }
    lines
}

/// An alert that fires: what it is about, and since when.
fn alert(evidence: &Value) -> Vec<(&'static str, String)> {
    let Some(labels) = evidence["labels"].as_object() else {
        return Vec::new();
    };
    let labels: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={}", text(value, "")))
        .collect();
    let mut lines = vec![("labels", labels.join(" "))];
    for (title, field) in [("began", "startsAt"), ("heard", "heard")] {
        if let Ok(at) = serde_json::from_value(evidence[field].clone()) {
            lines.push((title, clock(at, now())));
        }
    }
    lines
}

/// Bars, each a step of time; their height is the logarithm of the value, since evidence multiplies.
fn curve(points: &Value) -> Option<String> {
    let points: Vec<(f64, f64)> = points
        .as_array()?
        .iter()
        .filter_map(|point| Some((point["at"].as_f64()?, point["wealth"].as_f64()?)))
        .collect();
    let ((first, _), (last, end)) = (*points.first()?, *points.last()?);
    let seconds = last - first;
    let height = |value: f64| (1.0 + value.max(0.0)).ln();
    let top = points
        .iter()
        .map(|(_, value)| height(*value))
        .fold(f64::MIN_POSITIVE, f64::max);
    let wide = points.len().min(BARS_MAX);
    let bar = |place: usize| {
        // The highest of those that share a bar.
        let from = place * points.len() / wide;
        let to = ((place + 1) * points.len() / wide).max(from + 1);
        let high = points[from..to]
            .iter()
            .map(|(_, value)| height(*value))
            .fold(0.0, f64::max);
        let steps = (0..BARS.len()).filter(|step| {
            let share = u32::try_from(*step).unwrap_or(0);
            high / top * 7.0 >= f64::from(share)
        });
        BARS[steps.max().unwrap_or(0)]
    };
    let bars: String = (0..wide).map(bar).collect();
    Some(format!("{bars} {end:.3} after {seconds:.0} s"))
}

/// How each detector stands: its kind and name, a word that changes when there is news, and the news.
pub(super) fn stands(watch: &Value) -> Vec<(String, String, String)> {
    let metrics = watch["metrics"].as_array().into_iter().flatten();
    let metrics = metrics.map(|metric| {
        let (name, wealth) = (
            text(metric, "/name"),
            metric["wealth"].as_f64().unwrap_or(1.0),
        );
        // Each tenfold is news; below that evidence comes and goes.
        let tens = [10.0, 100.0, 1_000.0, 10_000.0]
            .iter()
            .filter(|step| wealth >= **step)
            .count();
        let against = text(metric, "/against");
        let other = match against.as_str() {
            "history" => "against the hour before".to_string(),
            _ => format!(
                "before {} of {}",
                number(&metric["baseline"]["bad"]),
                number(&metric["baseline"]["requests"])
            ),
        };
        let said = format!(
            "{name}: evidence {wealth:.0} of {}; {}, {other}",
            number(&metric["decidesAt"]),
            counts(&metric["canary"]),
        );
        (format!("metric {name} {against}"), tens.to_string(), said)
    });
    let queries = watch["queries"].as_array().into_iter().flatten();
    let queries = queries.map(|query| {
        let (kind, name) = (text(query, "/kind"), text(query, "/name"));
        let state = text(query, "/state");
        let said = format!("{kind} {name}: {state} ({})", number(&query["value"]));
        (format!("{kind} {name}"), state, said)
    });
    metrics.chain(queries).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn evidence_is_told_line_by_line_with_its_curve() {
        let points: Vec<Value> = (0..100)
            .map(|second| json!({"at": 1000.0 + f64::from(second), "wealth": f64::from(second * second)}))
            .collect();
        let evidence = json!({"trigger": "sequential", "query": "errors", "value": 9801.0,
            "canary": {"requests": 300.0, "bad": 31.0}, "baseline": {"requests": 2700.0, "bad": 2.5},
            "historical": false, "curve": points});
        let lines = lines(&evidence);
        let titles: Vec<&str> = lines.iter().map(|(title, _)| *title).collect();
        assert_eq!(titles, ["query", "value", "new", "old", "curve"]);
        assert_eq!(lines[2].1, "31 of 300 bad");
        let curve = &lines[4].1;
        assert!(curve.starts_with('▁') && curve.contains('█'), "{curve}");
        assert!(curve.ends_with("9801.000 after 99 s"), "{curve}");
    }

    #[test]
    fn what_is_no_detectors_evidence_is_told_as_it_is() {
        let other = json!({"note": "b"});
        assert_eq!(lines(&other), [("evidence", other.to_string())]);
        let alert = json!({"alarm": "a", "labels": {"a": "b", "c": "d"}});
        assert_eq!(lines(&alert), [("labels", "a=b c=d".to_string())]);
        assert!(lines(&Value::Null).is_empty());
    }
}
