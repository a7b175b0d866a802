use super::*;

fn shown(events: &[Value]) -> Value {
    let subject = format!("build.{ID}");
    let events: Vec<(String, Value)> = events
        .iter()
        .map(|event| (subject.clone(), event.clone()))
        .collect();
    let row = told(&events).ask_now(|read| read.build(ID.parse().unwrap()));
    row.unwrap().unwrap().build_json()
}

#[test]
fn a_build_is_shown_at_every_stage() {
    let submitted = || submitted("web", 1);
    let worker = |status: &str| settled(1, status, "worker", Some(finished(status, &[])));
    for (name, events) in [
        ("waiting", vec![submitted()]),
        ("running", vec![submitted(), started(1)]),
        ("stopping", vec![submitted(), started(1), stop()]),
        ("waiting-again", vec![submitted(), started(1), lost(1)]),
        ("over", vec![submitted(), started(1), worker("SUCCEEDED")]),
        (
            "stopped-in-queue",
            vec![submitted(), settled(0, "STOPPED", "stop", None)],
        ),
        (
            "timed-out-in-queue",
            vec![submitted(), settled(0, "TIMED_OUT", "queueTimeout", None)],
        ),
        (
            "quarantined",
            vec![
                submitted(),
                started(1),
                lost(1),
                settled(1, "FAULT", "quarantine", None),
            ],
        ),
    ] {
        insta::assert_json_snapshot!(name, shown(&events));
    }
}
