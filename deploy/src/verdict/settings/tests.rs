use super::*;

fn read(json: Value) -> Result<Settings, Vec<String>> {
    let written = VerdictSettings(json.as_object().unwrap().clone());
    let told = |mistakes: Vec<Mistake>| mistakes.iter().map(Mistake::to_string).collect();
    Settings::applied(&written).map_err(told)
}

#[test]
fn what_is_written_is_read_with_its_defaults() {
    let settings = read(serde_json::json!({
        "hosts": {"map": {"web-1": "10.0.0.1:8080"}},
        "metrics": [
            {"name": "slow", "histogram": "seconds_bucket{job=\"a-b(c)\"}", "slowerThan": 0.5},
            {"name": "errors", "requests": "requests_total", "bad": "requests_total{code=~\"5..\"}"}],
        "guards": {"up": "up{job=\"shop\"}", "rules": {"restartsMin": 4}},
        "thresholds": [{"name": "p99", "query": "p99(x)", "max": 1, "kind": "other"}],
        "alarms": [{"AlarmName": "a", "Query": "up", "Period": 60, "EvaluationPeriods": 3,
            "Threshold": 1, "ComparisonOperator": "LessThanThreshold"}]
    }))
    .unwrap();
    assert_eq!(settings.hosts.label, "instance");
    assert_eq!(settings.baseline, Baseline::Auto);
    assert_eq!(settings.errors(), Some(1));
    assert_eq!(settings.guards.rules.restarts_min, 4);
    assert_eq!(settings.guards.rules.failures_min, 3);
    let limit = &settings.thresholds[0];
    assert_eq!((limit.failure_limit, limit.window), (2, 6));
    assert_eq!(read(serde_json::json!({})), Ok(Settings::default()));
}

#[test]
fn every_mistake_is_told_with_its_path() {
    let wrong = read(serde_json::json!({
        "prometheus": "http://x", "baseline": "yesterday", "hosts": {"label": 3},
        "metrics": [
            {"name": "a", "requests": "x"},
            {"name": "a", "requests": "rate(x[1m])", "bad": "x[5m]"},
            {"name": "", "histogram": "x_bucket", "slowerThan": -1},
            {"nam": "c"}],
        "guards": {"errors": "nobody", "rules": {"fraction": 2.0}},
        "thresholds": [{"name": "t", "query": " ", "failureLimit": 9, "intervalSeconds": 0},
            {"name": "u", "query": "q", "min": 2, "max": 1}],
        "alarms": [{"AlarmName": "a", "Query": "", "Period": 45, "EvaluationPeriods": 3,
            "Threshold": 1, "ComparisonOperator": "LessThanThreshold"}],
        "missing": {"onTimeout": "explode"}
    }))
    .unwrap_err();
    for part in [
        "verdicts.prometheus: there is no such key; the keys are",
        "verdicts.baseline: expected one of `auto`, `concurrent` and `history`, found the text",
        "verdicts.hosts.label: expected a text, found the number",
        "metrics[0]: `requests` and `bad`, or",
        "metrics[1].name: `a` is there twice",
        "metrics[1].requests: `rate(x[1m])`",
        "metrics[1].bad: `x[5m]`",
        "metrics[2].name: empty",
        "metrics[2].slowerThan: seconds",
        "metrics[3].nam: there is no such key; did you mean `name`?",
        "guards.errors: there is no metric `nobody`",
        "guards.rules.fraction: 2",
        "thresholds[0].query: empty",
        "thresholds[0]: `min`, `max`",
        "thresholds[0].intervalSeconds: 1 to",
        "thresholds[0].failureLimit: 9 of the last 6",
        "thresholds[1].min: 2 is above `max` 1",
        "alarms[0]: alarm `a`: Period is 45",
        "alarms[0].Query: empty",
        "alarms[0].AlarmName: `a` is there twice",
        "missing.onTimeout: expected one of `promote`, `rollback` and `pause`, found the text `explode`",
        "metrics[3]: `name` is missing, a text",
    ] {
        assert!(
            wrong.iter().any(|line| line.contains(part)),
            "{part}: {wrong:#?}"
        );
    }
}

#[test]
fn the_shape_says_what_the_settings_are_read_from() {
    let missing = serde_json::json!({"maxHoldMs": 1, "onTimeout": "pause", "required": true, "graceLooks": 1,
        "maxBlindMs": 1, "ignorePollAlarmFailure": true});
    let written = VerdictSettings(
        serde_json::json!({
            "hosts": {"label": "pod", "map": {"a": "b"}}, "baseline": "history",
            "metrics": [{"name": "m", "requests": "x", "bad": "y", "missing": missing},
                {"name": "n", "histogram": "x_bucket", "slowerThan": 1.5, "missing": missing}],
            "guards": {"up": "up", "started": "started", "errors": "m", "rules": {"failuresMin": 1, "restartsMin": 1,
                "fraction": 0.5, "ratioMax": 0.5, "requestsMin": 1.0, "slicesMin": 1}},
            "thresholds": [{"name": "t", "query": "q", "min": 1.0, "max": 2.0, "intervalSeconds": 1, "failureLimit": 1,
                "window": 2, "kind": "other", "missing": missing}],
            "alarms": [{"AlarmName": "a", "Query": "up", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 3,
                "DatapointsToAlarm": 2, "Threshold": 1.0, "ComparisonOperator": "LessThanThreshold",
                "TreatMissingData": "ignore"}],
            "missing": missing
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    let settings = Settings::applied(&written).unwrap();
    assert_eq!(Settings::notes(&written), Vec::<String>::new());
    // Whatever a part is written from again is what the shape allows.
    let again = serde_json::json!({"hosts": settings.hosts, "metrics": settings.metrics, "guards": settings.guards,
        "thresholds": settings.thresholds, "alarms": settings.alarms, "missing": settings.missing});
    let again = Strays::of(&again, &SHAPE);
    assert_eq!(again, Strays::default());
}

#[test]
fn what_cloudwatch_has_beside_an_alarm_is_taken_and_a_misspelt_key_of_one_is_not() {
    let alarm = |more: Value| {
        let mut alarm = serde_json::json!({"AlarmName": "a", "Query": "up", "Period": 60, "EvaluationPeriods": 3,
            "Threshold": 1, "ComparisonOperator": "LessThanThreshold"});
        let more = more.as_object().unwrap().clone();
        alarm.as_object_mut().unwrap().extend(more);
        VerdictSettings(
            serde_json::json!({"alarms": [alarm]})
                .as_object()
                .unwrap()
                .clone(),
        )
    };
    let of_aws =
        alarm(serde_json::json!({"AlarmArn": "arn", "ActionsEnabled": true, "OKActions": []}));
    Settings::applied(&of_aws).unwrap();
    let notes = Settings::notes(&of_aws);
    assert_eq!(notes.len(), 1);
    assert!(notes[0].starts_with("x-croft.verdicts.alarms[0].ActionsEnabled does nothing"));
    let misspelt = alarm(serde_json::json!({"TreatMisingData": "breaching"}));
    assert_eq!(
        read(Value::Object(misspelt.0.clone())).unwrap_err(),
        [
            "x-croft.verdicts.alarms[0].TreatMisingData: there is no such key; did you mean `TreatMissingData`?"
        ]
    );
    // A group that was applied before keys were looked at is deployed to as before.
    Settings::read(&misspelt).unwrap();
}

#[test]
fn what_could_never_have_a_value_is_refused_before_the_first_deployment() {
    let histogram = |selector: &str| serde_json::json!({"metrics": [{"name": "slow", "histogram": selector, "slowerThan": 0.5}]});
    for (selector, why) in [
        ("request_seconds", Some("`request_seconds` has no buckets")),
        (
            "request_seconds_sum{job=\"a\"}",
            Some("`request_seconds_sum` has no"),
        ),
        (
            "{__name__=\"request_seconds\", job=\"a\"}",
            Some("`request_seconds` has no"),
        ),
        (
            "request_seconds_bucket{le=\"0.5\"}",
            Some("bucket `le=\"0.5\"` alone"),
        ),
        ("request_seconds_bucket", None),
        ("request_seconds_bucket{job=\"a\",level=\"x\"}", None),
        ("{__name__=~\"request.*\"}", None),
        ("request_seconds_bucket{le!=\"7\"}", None),
    ] {
        let wrong = read(histogram(selector)).err().unwrap_or_default();
        assert_eq!(
            wrong.len(),
            usize::from(why.is_some()),
            "{selector}: {wrong:?}"
        );
        for (said, why) in wrong.iter().zip(why) {
            assert!(
                said.starts_with("x-croft.verdicts.metrics[0].histogram: "),
                "{said}"
            );
            assert!(said.contains(why), "{said}");
        }
        // A group of an earlier version is watched as it was.
        let written = histogram(selector).as_object().unwrap().clone();
        Settings::read(&VerdictSettings(written)).unwrap();
    }
    let map =
        serde_json::json!({"a": "10.0.0.1:80", "b": "10.0.0.1:80", "10.0.0.3/24": "x", "c": ""});
    let wrong = read(serde_json::json!({"hosts": {"map": map}})).unwrap_err();
    for part in [
        "hosts.map.b: `10.0.0.1:80` is of `a` already",
        "hosts.map.10.0.0.3/24: no host can be called so",
        "hosts.map.c: empty",
    ] {
        assert!(
            wrong.iter().any(|said| said.contains(part)),
            "{part}: {wrong:?}"
        );
    }
    assert_eq!(wrong.len(), 3);
}

#[test]
fn parentheses_within_quotes_are_no_function() {
    for fine in [
        r#"x{path=~"/a(b|c)-.*"}"#,
        r#"{__name__="x",a='\'('}"#,
        "a:b:c",
    ] {
        let mut reader = Reader {
            map: &Map::new(),
            wrong: Vec::new(),
            kept: BTreeMap::new(),
        };
        wrong_selector(&mut reader, "p", Some(fine));
        assert_eq!(reader.wrong, Vec::<String>::new(), "{fine}");
    }
}
