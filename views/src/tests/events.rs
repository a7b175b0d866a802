use croft_keys::AccessRole;
use croft_keys::new_access_token;
use croft_ledger::{Body, Entry, Seq};
use croft_proto::CaseStatus;
use croft_proto::farm::{LossReason, SecretKind, SettledBy};

use super::*;
use crate::{ApplyError, BuildRow, Stage};

fn build(views: &Views) -> BuildRow {
    let found = views.ask_now(|read| read.build(ID.parse().unwrap()));
    found.unwrap().unwrap()
}

fn of_build(events: &[Value]) -> Views {
    let subject = format!("build.{ID}");
    let events: Vec<(String, Value)> = events
        .iter()
        .map(|event| (subject.clone(), event.clone()))
        .collect();
    told(&events)
}

#[test]
fn every_event_of_a_build_moves_it_to_its_stage() {
    let over = |status| Stage::Over(status);
    let rows: Vec<(Vec<Value>, Stage)> = vec![
        (vec![], Stage::Waiting),
        (vec![started(1)], Stage::Running),
        (vec![stop()], Stage::Waiting),
        (vec![started(1), stop()], Stage::Stopping),
        (vec![started(1), lost(1)], Stage::Waiting),
        (vec![started(1), stop(), lost(1)], Stage::Waiting),
        (vec![started(1), lost(1), started(2)], Stage::Running),
        (
            vec![started(1), settled(1, "FAILED", "worker", None)],
            over(croft_proto::Status::Failed),
        ),
        (
            vec![settled(0, "STOPPED", "stop", None)],
            over(croft_proto::Status::Stopped),
        ),
        (
            vec![settled(0, "TIMED_OUT", "queueTimeout", None)],
            over(croft_proto::Status::TimedOut),
        ),
        (
            vec![started(1), lost(1), settled(1, "FAULT", "quarantine", None)],
            over(croft_proto::Status::Fault),
        ),
    ];
    for (after, stage) in rows {
        let mut events = vec![submitted("web", 7)];
        events.extend(after);
        let row = build(&of_build(&events));
        assert_eq!(row.stage, stage, "{events:?}");
        assert_eq!(row.last, Seq::new(events.len() as u64));
        assert_eq!(row.timeline().len(), events.len());
        assert_eq!((row.submitted, row.number), (Seq::new(1), 7));
    }
}

#[test]
fn a_build_has_its_attempts_its_stop_and_its_outcome() {
    let row = build(&of_build(&[
        submitted("web", 1),
        started(1),
        lost(1),
        started(2),
        stop(),
        settled(2, "STOPPED", "worker", Some(finished("STOPPED", &[]))),
    ]));
    let workers: Vec<&str> = row.attempts.iter().map(|it| it.worker.as_str()).collect();
    assert_eq!(workers, ["w1", "w2"]);
    let first = row.attempts[0].lost.clone().unwrap();
    assert_eq!(first.reason, LossReason::Unheard { silent_ms: 15_000 });
    assert_eq!(row.queued_at(), first.at);
    assert_eq!(row.current_attempt(), Some(&row.attempts[1]));
    assert_eq!(row.stop_requested.as_ref().unwrap().by, "someone");
    let settled = row.settled.as_ref().unwrap();
    assert_eq!((settled.by, settled.attempt), (SettledBy::Worker, 2));
    assert_eq!(settled.at.millis(), 1_700_000_009_500);
    assert_eq!(row.phase_millis(), [(croft_proto::PhaseType::Build, 2_250)]);
    assert_eq!(row.request["sourceVersion"], "main");
}

#[test]
fn what_is_not_understood_or_cannot_be_stops_the_fold_and_what_came_before_stands() {
    let subject = format!("build.{ID}");
    let over = settled(0, "STOPPED", "stop", None);
    let known = [submitted("web", 1), over];
    for (count, subject, event, is_understood) in [
        (1, subject.as_str(), json!({"type": "renamed"}), false),
        (1, &subject, json!({"type": "attemptStarted"}), false),
        (0, &subject, started(1), true),
        (1, &subject, submitted("web", 1), true),
        (2, &subject, started(1), true),
        (1, &subject, settled(0, "IN_PROGRESS", "stop", None), true),
        (0, "build.web", submitted("web", 1), true),
        (0, "project.web", json!({"type": "painted"}), false),
        (0, "secret.a", json!({"type": "told"}), false),
        (0, "pool.a", json!({"type": "drained"}), false),
        (0, "token.a", json!({"type": "lent"}), false),
        (
            0,
            "token.a",
            json!({"type": "issued", "name": "n", "role": "king", "projects": [], "hash": "0"}),
            false,
        ),
        (0, "worker.a", json!({"type": "fired"}), false),
        (0, "audit.a", json!({"type": "forgotten"}), false),
    ] {
        let views = Views::in_memory().unwrap();
        let mut entries: Vec<Entry> = (1..)
            .zip(&known[..count])
            .map(|(seq, event)| entry(seq, &format!("build.{ID}"), event.clone()))
            .collect();
        entries.push(entry(9, subject, event));
        let error = views.apply(&entries).unwrap_err();
        match &error {
            ApplyError::NotUnderstood {
                seq,
                subject: about,
                ..
            } => {
                assert!(!is_understood, "{error}");
                assert_eq!((seq.get(), about.as_str()), (9, subject));
            }
            ApplyError::Impossible {
                seq,
                subject: about,
                ..
            } => {
                assert!(is_understood, "{error}");
                assert_eq!((seq.get(), about.as_str()), (9, subject));
            }
            ApplyError::Database(_) => panic!("{error}"),
        }
        assert_eq!(views.position(), Seq::new(count as u64));
        let there = views
            .ask_now(|read| read.build(ID.parse().unwrap()))
            .unwrap();
        assert_eq!(there.is_some(), count > 0);
    }
}

#[test]
fn subjects_of_rooms_that_are_not_known_are_skipped() {
    let views = told(&[("deployment.1".into(), json!({"type": "anything"}))]);
    assert_eq!(views.position(), Seq::new(1));
}

#[test]
fn a_project_is_applied_counted_deleted_and_made_anew() {
    let admitted = json!({"type": "admitted", "build": ID, "number": 4});
    let mut events = vec![
        ("project.web".to_string(), applied()),
        ("project.web".to_string(), admitted),
        ("project.web".to_string(), applied()),
    ];
    let asked = |views: &Views| views.ask_now(|read| read.project("web")).unwrap();
    let row = asked(&told(&events)).unwrap();
    assert_eq!((row.number, row.last), (4, Seq::new(3)));
    assert_eq!(row.created.millis(), 1_700_000_001_000);
    assert_eq!(row.last_modified.millis(), 1_700_000_003_000);
    assert_eq!(row.rules.pool, "default");
    assert_eq!(row.project["source"]["type"], "NO_SOURCE");
    events.push(("project.web".into(), json!({"type": "deleted"})));
    let views = told(&events);
    assert_eq!(asked(&views), None);
    let subject = "project.web".parse().unwrap();
    let last = views.ask_now(|read| read.last(&subject)).unwrap();
    assert_eq!(last, Seq::new(4));
    events.push(("project.web".into(), applied()));
    let row = asked(&told(&events)).unwrap();
    assert_eq!(row.number, 4);
    assert_eq!(row.created.millis(), 1_700_000_005_000);
}

fn set(version: u32, wrapped: &str) -> (String, Value) {
    let event = json!({"type": "set", "version": version, "kind": "PARAMETER_STORE", "projects": ["web"],
        "wrapped": wrapped, "sealed": [{"pool": "default", "generation": 1, "sealed": "s"}]});
    ("secret.a=2Eb".into(), event)
}

#[test]
fn a_secret_is_set_resealed_removed_and_its_versions_go_on() {
    let resealed = |version: u32| {
        let event = json!({"type": "resealed", "version": version, "sealed": []});
        ("secret.a=2Eb".to_string(), event)
    };
    let secret = |views: &Views| views.ask_now(|read| read.secret("a.b")).unwrap();
    let mut events = vec![set(1, "x"), set(2, "y"), resealed(1)];
    let row = secret(&told(&events)).unwrap();
    assert_eq!((row.version, row.wrapped.as_str()), (2, "y"));
    assert_eq!(
        (row.kind, row.sealed.len()),
        (SecretKind::ParameterStore, 1)
    );
    assert_eq!(row.created.millis(), 1_700_000_001_000);
    events.push(resealed(2));
    assert_eq!(secret(&told(&events)).unwrap().sealed, []);
    events.push(("secret.a=2Eb".into(), json!({"type": "removed"})));
    let views = told(&events);
    let row = secret(&views).unwrap();
    assert_eq!(
        (row.version, row.is_there, row.last),
        (2, false, Seq::new(5))
    );
    assert_eq!((row.wrapped.as_str(), row.sealed.len()), ("", 0));
    assert_eq!(
        views.ask_now(|read| read.secrets(None, 9)).unwrap().rows,
        []
    );
    events.push(set(3, "z"));
    let page = told(&events).ask_now(|read| read.secrets(None, 9)).unwrap();
    assert_eq!(page.rows[0].created.millis(), 1_700_000_006_000);
    assert!(!format!("{:?}", page.rows).contains("\"z\""));
}

#[test]
fn pools_keys_and_workers_are_as_last_told() {
    let key = |pool: &str, generation: u32| {
        let event =
            json!({"type": "keyed", "generation": generation, "public": "p", "wrapped": "w"});
        (format!("pool.{pool}"), event)
    };
    let worker = |what: &str| ("worker.w".to_string(), json!({"type": what, "by": "me"}));
    let views = told(&[
        key("a", 1),
        key("a", 2),
        key("b", 1),
        worker("draining"),
        worker("resumed"),
        worker("draining"),
    ]);
    views
        .ask_now(|read| {
            let generations = |keys: Vec<crate::PoolKeyRow>| -> Vec<(String, u32)> {
                keys.into_iter()
                    .map(|key| (key.pool, key.generation))
                    .collect()
            };
            let all = generations(read.pool_keys("a")?);
            assert_eq!(all, [("a".into(), 1), ("a".into(), 2)]);
            let newest = generations(read.newest_pool_keys()?);
            assert_eq!(newest, [("a".into(), 2), ("b".into(), 1)]);
            let worker = read.worker("w")?.unwrap();
            assert!(worker.is_draining);
            assert_eq!(read.workers()?, [worker]);
            assert_eq!(read.last(&"worker.w".parse().unwrap())?, Seq::new(6));
            assert_eq!(read.last(&"worker.x".parse().unwrap())?, Seq::ZERO);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_token_lets_in_until_it_is_taken_back() {
    let made = new_access_token().unwrap();
    let subject = format!("token.{}", made.id);
    let issued = json!({"type": "issued", "name": "ci", "role": "builder", "projects": ["web-*"],
        "hash": made.hash.to_string(), "expires": 1_800_000_000.0});
    let mut events = vec![(subject.clone(), issued)];
    let views = told(&events);
    let (tokens, at) = views.ask_now(|read| read.access_tokens()).unwrap();
    let record = tokens.find(&made.token, 0).unwrap();
    assert!(record.may(AccessRole::Viewer, Some("web-a")));
    assert!(!record.may(AccessRole::Viewer, Some("shop")));
    assert_eq!(record.expires, Some(1_800_000_000_000));
    assert_eq!(at, Seq::new(1));
    events.push((subject, json!({"type": "revoked"})));
    let views = told(&events);
    let (tokens, _) = views.ask_now(|read| read.access_tokens()).unwrap();
    assert!(tokens.is_empty());
    assert_eq!(
        views.ask_now(|read| read.last_of_tokens()).unwrap(),
        Seq::new(2)
    );
}

#[test]
fn audit_entries_are_listed_by_chain_and_a_chain_can_be_gone_on_with() {
    let noted = |chain: &str, number: u64| {
        let event = json!({"type": "noted", "entry": {"chain": chain, "number": number}});
        (format!("audit.{chain}"), event)
    };
    let views = told(&[noted("a", 1), noted("b", 1), noted("a", 2), noted("a", 3)]);
    views
        .ask_now(|read| {
            assert_eq!(read.audit_last("a")?.unwrap().entry["number"], 3);
            assert_eq!(read.audit_last("c")?, None);
            assert_eq!(read.audit_chains()?, ["a", "b"]);
            let page = read.audit(Some("a"), None, 2)?;
            let seqs: Vec<u64> = page.rows.iter().map(|row| row.seq.get()).collect();
            assert_eq!((seqs, page.next), (vec![4, 3], Some(Seq::new(3))));
            assert_eq!(read.audit(None, Some(Seq::new(3)), 9)?.rows.len(), 2);
            let oldest = read.audit_chain("a", Seq::ZERO, 1)?;
            assert_eq!(oldest.next, Some(Seq::new(1)));
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_test_case_is_as_it_was_last_and_is_forgotten_when_builds_no_longer_have_it() {
    let mut events = Vec::new();
    let mut run = |number: u64, cases: &[(&str, &str)]| {
        let subject = format!("build.{}", id(number));
        events.push((subject.clone(), submitted("web", number)));
        let build = Some(finished("SUCCEEDED", cases));
        events.push((subject, settled(1, "SUCCEEDED", "worker", build)));
    };
    run(1, &[("old", "SUCCEEDED"), ("new", "FAILED")]);
    run(2, &[("new", "SUCCEEDED")]);
    let short = events.clone();
    let mut run = |number: u64| {
        let subject = format!("build.{}", id(number));
        events.push((subject.clone(), submitted("web", number)));
        let build = Some(finished("SUCCEEDED", &[("new", "SUCCEEDED")]));
        events.push((subject, settled(1, "SUCCEEDED", "worker", build)));
    };
    (3..=101).for_each(&mut run);
    let cases = |events: &[(String, Value)]| {
        let cases = told(events).ask_now(|read| read.cases("web", "web-r"));
        let cases = cases.unwrap().into_iter();
        cases
            .map(|case| (case.name, case.status, case.build.to_string()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        cases(&short),
        [
            ("new".into(), CaseStatus::Succeeded, id(2)),
            ("old".into(), CaseStatus::Succeeded, id(1)),
        ]
    );
    assert_eq!(
        cases(&events),
        [("new".into(), CaseStatus::Succeeded, id(101))]
    );
}

#[test]
fn a_purged_build_keeps_its_row_and_an_unknown_one_gets_none() {
    let views = of_build(&[submitted("web", 1), settled(0, "STOPPED", "stop", None)]);
    let tombstone = |seq: u64, id: &str| Entry {
        body: Body::Tombstone { last: Seq::new(2) },
        ..entry(seq, &format!("build.{id}"), json!({}))
    };
    views
        .apply(&[tombstone(3, ID), tombstone(4, &id(2))])
        .unwrap();
    assert_eq!(build(&views).last, Seq::new(3));
    assert!(build(&views).settled.is_some());
    let other = views.ask_now(|read| read.build(id(2).parse().unwrap()));
    assert_eq!(other.unwrap(), None);
}

#[test]
fn what_is_skimmed_is_what_the_vocabulary_says() {
    use croft_proto::farm::BuildEvent;
    for event in [
        submitted("we\"b", 1),
        started(1),
        lost(1),
        stop(),
        settled(1, "FAILED", "worker", Some(finished("FAILED", &[]))),
    ] {
        let known: BuildEvent = serde_json::from_value(event).unwrap();
        let written = serde_json::to_vec(&known).unwrap();
        let skimmed = crate::event::BuildEvent::read(&written).unwrap();
        match (known, skimmed) {
            (BuildEvent::Submitted(known), crate::event::BuildEvent::Submitted(skimmed)) => {
                assert_eq!(known.project, skimmed.project.0);
                assert_eq!(
                    *known.request,
                    serde_json::from_str::<Value>(skimmed.request.get()).unwrap()
                );
            }
            (
                BuildEvent::Settled { build, at, .. },
                crate::event::BuildEvent::Settled {
                    build: skimmed,
                    at: skimmed_at,
                    ..
                },
            ) => {
                let skimmed: Value = serde_json::from_str(skimmed.unwrap().get()).unwrap();
                assert_eq!((*build.unwrap(), at), (skimmed, skimmed_at));
            }
            (known, skimmed) => {
                let word = serde_json::to_value(&known).unwrap()["type"].clone();
                let skimmed = format!("{skimmed:?}").to_lowercase();
                assert!(
                    skimmed.starts_with(&word.as_str().unwrap().to_lowercase()),
                    "{skimmed}"
                );
            }
        }
    }
}
