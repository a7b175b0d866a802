use bytes::Bytes;
use croft_ledger::{Body, Entry, Expected, Seq};
use croft_proto::farm::{
    BuildEvent, BuildId, Concurrency, ConcurrencyMode, GivenBackFor, LEAVING_MAX, Lease,
    LossReason, Priority, ProjectEvent, ProjectRules, SettledBy, Weight,
};
use croft_proto::{Status, Timestamp};

use crate::intent::Recorded;
use crate::*;

pub(super) const LEASE_MS: u64 = 15_000;

/// A ledger in a vector and one scheduler, which folds whatever it wants appended.
pub(super) struct Bench {
    pub(super) scheduler: Scheduler,
    pub(super) now: Now,
    pub(super) seq: u64,
    pub(super) entries: Vec<Entry>,
}

pub(super) fn rules() -> ProjectRules {
    ProjectRules {
        pool: "default".into(),
        priority: Priority::NORMAL,
        weight: Weight::default(),
        concurrency: None,
        queued_timeout_in_minutes: 480,
        auto_retry_limit: 0,
        attempts_max: 2,
    }
}

pub(super) fn applied(rules: ProjectRules) -> ProjectEvent {
    ProjectEvent::Applied {
        rules: Box::new(rules),
        project: Box::default(),
    }
}

pub(super) fn id(number: u8) -> BuildId {
    BuildId::derived([number; 16])
}

pub(super) fn asked(number: u8) -> Asked {
    Asked {
        project: "app".into(),
        build: id(number),
        priority: None,
        auto_retry_limit: None,
        queued_timeout_in_minutes: None,
        token: None,
        initiator: "a test".into(),
        request: serde_json::json!({"projectName": "app"}),
    }
}

pub(super) fn started(attempt: u32, worker: &str) -> BuildEvent {
    BuildEvent::AttemptStarted {
        attempt,
        worker: worker.into(),
    }
}

pub(super) fn settled(attempt: u32, status: Status, at: Timestamp) -> BuildEvent {
    BuildEvent::Settled {
        attempt,
        status,
        by: SettledBy::Worker,
        message: None,
        build: None,
        at,
    }
}

impl Bench {
    /// A farm with the project `app` and a worker with one slot, whose server has caught up.
    pub(super) fn new(rules: ProjectRules) -> Self {
        let mut bench = Self {
            scheduler: Scheduler::default(),
            now: Now {
                steady_ms: 0,
                wall: Timestamp::from_millis(1_800_000_000_000),
            },
            seq: 0,
            entries: Vec::new(),
        };
        bench.input(Input::Connected);
        bench.input(Input::CaughtUp);
        bench.project(&applied(rules));
        bench.announce(1);
        bench
    }

    fn input(&mut self, input: Input<'_>) -> Vec<Action> {
        self.scheduler.step(input, self.now).unwrap()
    }

    /// Looked at once a second, as a server does.
    pub(super) fn pass(&mut self, millis: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut left = millis;
        while left > 0 {
            let step = left.min(1_000);
            left -= step;
            actions.extend(self.sleep(step));
        }
        actions
    }

    /// Not looked at before the end.
    pub(super) fn sleep(&mut self, millis: u64) -> Vec<Action> {
        self.now.steady_ms += millis;
        self.now.wall = Timestamp::from_millis(self.now.wall.millis() + millis);
        self.input(Input::Tick)
    }

    fn announce(&mut self, slots_free: u32) -> Vec<Action> {
        self.input(Input::Announced(Announced {
            worker: "w".into(),
            pool: "default".into(),
            slots_free,
        }))
    }

    fn entry(&mut self, subject: croft_ledger::Subject, event: Vec<u8>) -> Vec<Action> {
        self.seq += 1;
        let entry = Entry {
            seq: Seq::new(self.seq),
            subject,
            at: self.now.wall,
            body: Body::Event(Bytes::from(event)),
        };
        self.entries.push(entry.clone());
        self.input(Input::Entry(&entry))
    }

    pub(super) fn project(&mut self, event: &ProjectEvent) -> Vec<Action> {
        let subject = project_subject("app").unwrap();
        self.entry(subject, serde_json::to_vec(event).unwrap())
    }

    pub(super) fn build(&mut self, number: u8, event: &BuildEvent) -> Vec<Action> {
        let subject = build_subject(id(number));
        self.entry(subject, serde_json::to_vec(event).unwrap())
    }

    fn append(&mut self, intents: &[Intent]) -> Vec<Action> {
        let all = intents.iter().flat_map(|intent| {
            let append = intent.append().unwrap();
            self.entry(append.subject, append.event.to_vec())
        });
        all.collect()
    }

    pub(super) fn submit(&mut self, asked: Asked) -> Vec<Action> {
        let admitted = admit(self.scheduler.farm(), asked, self.now.wall).unwrap();
        let Admission::New { intents, .. } = admitted else {
            panic!("{admitted:?}");
        };
        self.append(&intents)
    }

    fn settle(&mut self, number: u8, status: Status) -> Vec<Action> {
        let attempt = self.scheduler.farm().build(id(number)).unwrap().attempts;
        self.build(number, &settled(attempt, status, self.now.wall))
    }
}

fn published(actions: &[Action]) -> Vec<(BuildId, u32)> {
    let hints = actions.iter().filter_map(|action| match action {
        Action::Publish(hint) => Some((hint.build, hint.attempt)),
        Action::Append(_) | Action::Answer(_) | Action::Retry(_) => None,
    });
    hints.collect()
}

/// The events of a single append, each of a build.
pub(super) fn appended(actions: &[Action]) -> Vec<BuildEvent> {
    let appends: Vec<_> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Append(intents) => Some(intents),
            Action::Publish(_) | Action::Answer(_) | Action::Retry(_) => None,
        })
        .collect();
    assert!(appends.len() < 2, "{appends:?}");
    let events = appends.into_iter().flatten().map(|intent| {
        let Recorded::Build(event) = &intent.event else {
            panic!("{intent:?}");
        };
        (**event).clone()
    });
    events.collect()
}

fn verdict(bench: &mut Bench, number: u8, attempt: u32) -> Vec<Action> {
    bench.input(Input::Renewed(Renewed {
        build: id(number),
        attempt,
    }))
}

fn limited(mode: ConcurrencyMode) -> ProjectRules {
    ProjectRules {
        concurrency: Some(Concurrency {
            limit: 1,
            mode,
            group: None,
        }),
        ..rules()
    }
}

#[test]
fn hints_go_out_for_a_free_slot_and_two_more_and_the_rest_wait() {
    let mut bench = Bench::new(rules());
    let out: Vec<usize> = (1..=5)
        .map(|number| published(&bench.submit(asked(number))).len())
        .collect();
    assert_eq!(out, [1, 1, 1, 0, 0]);
    assert_eq!(bench.scheduler.pool("default"), (2, 1));
    assert_eq!(bench.scheduler.position(id(5)), Some(2));
    // The slot is taken and the worker says so: nothing more goes out until it is free again.
    assert_eq!(published(&bench.build(1, &started(1, "w"))), []);
    assert_eq!(published(&bench.announce(1)), [(id(4), 1)]);
}

#[test]
fn nothing_goes_out_before_everything_is_folded() {
    let mut bench = Bench::new(rules());
    bench.scheduler = Scheduler::default();
    bench.seq = 0;
    bench.announce(1);
    bench.project(&applied(rules()));
    assert_eq!(bench.submit(asked(1)), []);
    assert_eq!(bench.pass(1_000), []);
    assert_eq!(published(&bench.input(Input::CaughtUp)), [(id(1), 1)]);
}

#[test]
fn a_hint_that_nobody_claims_goes_out_again() {
    let mut bench = Bench::new(rules());
    bench.submit(asked(1));
    bench.announce(1);
    assert_eq!(published(&bench.pass(9_999)), []);
    assert_eq!(published(&bench.pass(1)), [(id(1), 1)]);
    bench.build(1, &started(1, "w"));
    bench.announce(0);
    assert_eq!(published(&bench.pass(10_000)), []);
}

#[test]
fn a_silent_attempt_is_lost_once_and_the_build_goes_out_again() {
    let mut bench = Bench::new(rules());
    bench.submit(asked(1));
    bench.build(1, &started(1, "w"));
    bench.pass(LEASE_MS);
    let lost = bench.pass(1);
    assert!(
        matches!(
            &appended(&lost)[..],
            [BuildEvent::AttemptLost { attempt: 1, .. }]
        ),
        "{lost:?}"
    );
    assert_eq!(
        appended(&bench.pass(1_000)),
        [],
        "it was asked for a second ago"
    );
    bench.announce(1);
    let Action::Append(intents) = &lost[0] else {
        panic!("{lost:?}");
    };
    assert_eq!(published(&bench.append(intents)), [(id(1), 2)]);
    assert_eq!(verdict(&mut bench, 1, 1), [Action::Answer(Verdict::Lost)]);
}

#[test]
fn the_last_loss_ends_the_build_with_its_evidence() {
    let mut bench = Bench::new(rules());
    bench.submit(asked(1));
    for attempt in 1..=2 {
        bench.build(1, &started(attempt, "w"));
        let lost = bench.pass(LEASE_MS + 1);
        let events = appended(&lost);
        assert_eq!(events.len(), attempt as usize, "{events:?}");
        let Action::Append(intents) = lost
            .iter()
            .find(|action| matches!(action, Action::Append(_)))
            .unwrap()
        else {
            panic!("{lost:?}");
        };
        bench.append(intents);
        if attempt == 2 {
            assert!(matches!(
                &events[1],
                BuildEvent::Settled {
                    status: Status::Fault,
                    by: SettledBy::Quarantine,
                    ..
                }
            ));
        }
    }
    assert!(bench.scheduler.farm().has_ended(id(1)));
}

fn given_back(attempt: u32, cause: GivenBackFor) -> BuildEvent {
    BuildEvent::AttemptLost {
        attempt,
        reason: LossReason::GivenBack {
            message: "no space left".into(),
            cause,
        },
    }
}

/// Why a build was given up, in a tick's actions.
fn given_up(actions: &[Action]) -> Option<String> {
    match &appended(actions)[..] {
        [
            BuildEvent::Settled {
                status: Status::Fault,
                by: SettledBy::Quarantine,
                message,
                ..
            },
        ] => message.clone(),
        _ => None,
    }
}

#[test]
fn what_leaving_workers_give_back_does_not_count_until_there_were_too_many() {
    let mut bench = Bench::new(rules());
    bench.submit(asked(1));
    let most = LEAVING_MAX + 2;
    for attempt in 1..=most {
        bench.build(1, &started(attempt, "w"));
        let mut actions = bench.build(1, &given_back(attempt, GivenBackFor::Leaving));
        actions.extend(bench.announce(1));
        let next = published(&actions);
        if attempt < most {
            assert_eq!(next, [(id(1), attempt + 1)]);
            assert_eq!(given_up(&bench.pass(1_000)), None);
        } else {
            assert_eq!(next, [], "nothing goes round for ever");
        }
    }
    let told = given_up(&bench.pass(1_000)).unwrap();
    assert!(told.contains("since its worker left"), "{told}");
}

#[test]
fn what_machines_fail_counts_and_the_evidence_says_how_each_attempt_ended() {
    let mut bench = Bench::new(rules());
    bench.submit(asked(1));
    bench.build(1, &started(1, "w"));
    let lost = bench.pass(LEASE_MS + 1);
    let Action::Append(intents) = &lost[0] else {
        panic!("{lost:?}");
    };
    bench.append(intents);
    bench.build(1, &started(2, "w"));
    bench.build(1, &given_back(2, GivenBackFor::Leaving));
    bench.build(1, &started(3, "w"));
    assert_eq!(
        published(&bench.build(1, &given_back(3, GivenBackFor::Machine))),
        []
    );
    assert_eq!(bench.scheduler.pool("default").0, 0, "it stands in no line");
    let actions = bench.pass(1_000);
    let told = given_up(&actions).unwrap();
    for part in [
        "started 3 times",
        "attempt 1 was lost with its worker",
        "attempt 2 was given back, since its worker left",
        "attempt 3 was given back, since its worker's machine failed it: no space left",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(given_up(&bench.pass(1_000)), None, "it was asked for");
    assert!(given_up(&bench.pass(5_000)).is_some(), "it was not heard");
    let Action::Append(intents) = &actions[0] else {
        panic!("{actions:?}");
    };
    bench.append(intents);
    assert!(bench.scheduler.farm().has_ended(id(1)));
    assert_eq!(bench.pass(10_000), []);
}

/// An attempt that a worker of the version before gave back, whose events had no cause.
fn given_back_of_old(attempt: u32, message: &str) -> BuildEvent {
    let event = serde_json::json!({"type": "attemptLost", "attempt": attempt,
        "reason": {"why": "givenBack", "message": message}});
    serde_json::from_value(event).unwrap()
}

#[test]
fn a_new_server_gives_up_no_build_for_what_old_workers_gave_back() {
    for message in ["its worker was told to leave", "no space left"] {
        for attempts_max in [1, 2] {
            let rules = ProjectRules {
                attempts_max,
                ..rules()
            };
            let mut bench = Bench::new(rules.clone());
            bench.scheduler = Scheduler::new(Lease::default());
            bench.project(&applied(rules));
            bench.submit(asked(1));
            for attempt in 1..=LEAVING_MAX {
                bench.build(1, &started(attempt, "old"));
                bench.build(1, &given_back_of_old(attempt, message));
            }
            bench.input(Input::Connected);
            bench.input(Input::CaughtUp);
            assert_eq!(given_up(&bench.pass(1_000)), None, "{message}");
            let next = LEAVING_MAX + 1;
            assert_eq!(published(&bench.announce(1)), [(id(1), next)]);
            bench.build(1, &started(next, "old"));
            bench.build(1, &given_back_of_old(next, message));
            let is_given_up = given_up(&bench.pass(1_000)).is_some();
            assert_eq!(is_given_up, attempts_max == 1, "there is a bound");
        }
    }
}

#[test]
fn an_old_worker_that_drains_takes_no_attempt_from_a_build_that_was_lost_before() {
    let mut bench = Bench::new(rules());
    bench.submit(asked(1));
    bench.build(1, &started(1, "w"));
    bench.build(1, &given_back(1, GivenBackFor::Machine));
    bench.build(1, &started(2, "old"));
    let left = given_back_of_old(2, "its worker was told to leave");
    let mut actions = bench.build(1, &left);
    actions.extend(bench.announce(1));
    assert_eq!(published(&actions), [(id(1), 3)]);
    assert_eq!(given_up(&bench.pass(1_000)), None);
    bench.build(1, &started(3, "w"));
    bench.build(1, &given_back(3, GivenBackFor::Machine));
    let told = given_up(&bench.pass(1_000)).unwrap();
    assert!(
        told.contains("attempt 2 was given back: its worker was told to leave"),
        "{told}"
    );
}

#[test]
fn a_server_that_lost_its_broker_blames_no_worker() {
    let mut bench = Bench::new(rules());
    bench.submit(asked(1));
    bench.build(1, &started(1, "w"));
    bench.input(Input::Disconnected);
    assert_eq!(appended(&bench.pass(10 * LEASE_MS)), []);
    bench.input(Input::Connected);
    assert_eq!(appended(&bench.pass(LEASE_MS)), []);
    assert_eq!(appended(&bench.pass(1)).len(), 1);
}

#[test]
fn renewals_are_answered_by_what_has_become_of_the_attempt() {
    let mut bench = Bench::new(rules());
    assert_eq!(
        verdict(&mut bench, 1, 1),
        [],
        "unknown: another server may know"
    );
    bench.submit(asked(1));
    assert_eq!(
        verdict(&mut bench, 1, 1),
        [Action::Answer(Verdict::Go)],
        "not folded yet"
    );
    bench.build(1, &started(1, "w"));
    assert_eq!(verdict(&mut bench, 1, 1), [Action::Answer(Verdict::Go)]);
    let Stopping::Told(intents) = stop(bench.scheduler.farm(), id(1), "me", bench.now.wall) else {
        panic!("it runs");
    };
    bench.append(&intents);
    assert_eq!(verdict(&mut bench, 1, 1), [Action::Answer(Verdict::Stop)]);
    assert_eq!(
        stop(bench.scheduler.farm(), id(1), "me", bench.now.wall),
        Stopping::TwiceTold
    );
    bench.settle(1, Status::Stopped);
    assert_eq!(verdict(&mut bench, 1, 1), [Action::Answer(Verdict::Lost)]);
    assert_eq!(
        stop(bench.scheduler.farm(), id(1), "me", bench.now.wall),
        Stopping::NotRunning
    );
}

#[test]
fn a_waiting_build_is_stopped_at_once() {
    let mut bench = Bench::new(rules());
    bench.submit(asked(1));
    let Stopping::Over(intents) = stop(bench.scheduler.farm(), id(1), "me", bench.now.wall) else {
        panic!("it waits");
    };
    assert_eq!(intents[1].expected, Expected::Previous);
    bench.append(&intents);
    assert!(bench.scheduler.farm().has_ended(id(1)));
    assert_eq!(bench.scheduler.farm().unfinished().count(), 0);
}

#[test]
fn a_build_that_waits_too_long_is_given_up() {
    let mut bench = Bench::new(rules());
    let mut asked = asked(1);
    asked.queued_timeout_in_minutes = Some(5);
    bench.submit(asked);
    bench.announce(0);
    assert_eq!(appended(&bench.pass(5 * 60_000 - 1)), []);
    let events = appended(&bench.pass(1));
    assert!(
        matches!(
            &events[..],
            [BuildEvent::Settled {
                status: Status::TimedOut,
                by: SettledBy::QueueTimeout,
                attempt: 0,
                ..
            }]
        ),
        "{events:?}"
    );
}

#[test]
fn a_limit_refuses_as_aws_does() {
    let mut bench = Bench::new(limited(ConcurrencyMode::Reject));
    bench.submit(asked(1));
    let refused = admit(bench.scheduler.farm(), asked(2), bench.now.wall).unwrap_err();
    assert!(
        matches!(
            refused,
            Refusal::Limit {
                limit: 1,
                unfinished: 1,
                ..
            }
        ),
        "{refused}"
    );
    bench.build(1, &started(1, "w"));
    bench.settle(1, Status::Succeeded);
    bench.submit(asked(2));
}

#[test]
fn a_limit_that_queues_holds_builds_back_until_there_is_room() {
    let mut bench = Bench::new(limited(ConcurrencyMode::Queue));
    assert_eq!(published(&bench.submit(asked(1))), [(id(1), 1)]);
    assert_eq!(published(&bench.submit(asked(2))), []);
    bench.build(1, &started(1, "w"));
    assert_eq!(published(&bench.announce(3)), []);
    assert_eq!(published(&bench.settle(1, Status::Failed)), [(id(2), 1)]);
    // Without a limit everybody goes.
    assert_eq!(published(&bench.submit(asked(3))), []);
    bench.project(&applied(rules()));
    assert_eq!(published(&bench.announce(3)), [(id(3), 1)]);
}

#[test]
fn a_failed_build_is_retried_as_often_as_it_may_and_by_the_same_id_everywhere() {
    let mut bench = Bench::new(ProjectRules {
        auto_retry_limit: 1,
        ..rules()
    });
    bench.submit(asked(1));
    let submitted = admit(bench.scheduler.farm(), asked(1), bench.now.wall).unwrap();
    let Admission::New { intents, .. } = submitted else {
        panic!("it is new");
    };
    let Recorded::Build(event) = &intents[1].event else {
        panic!("a build follows its project");
    };
    let BuildEvent::Submitted(before) = &**event else {
        panic!("{event:?}");
    };
    bench.build(1, &started(1, "w"));
    bench.settle(1, Status::Failed);
    assert_eq!(bench.pass(1_000), [Action::Retry(id(1))]);
    let again = bench.input(Input::Before(id(1), before));
    let [Action::Append(intents)] = &again[..] else {
        panic!("{again:?}");
    };
    bench.append(intents);
    let next = retry_id(id(1));
    let build = *bench.scheduler.farm().build(next).unwrap();
    assert_eq!((build.retries_left, build.attempts), (0, 0));
    assert_eq!(
        bench
            .pass(60_000)
            .iter()
            .filter(|action| matches!(action, Action::Retry(_)))
            .count(),
        0
    );
}

#[test]
fn an_automatic_retry_waits_for_room_under_a_limit_that_refuses() {
    let limited = ProjectRules {
        auto_retry_limit: 1,
        concurrency: Some(Concurrency {
            limit: 1,
            mode: ConcurrencyMode::Reject,
            group: None,
        }),
        ..rules()
    };
    let mut bench = Bench::new(limited);
    bench.submit(asked(1));
    bench.build(1, &started(1, "w"));
    bench.settle(1, Status::Failed);
    bench.submit(asked(2));
    assert_eq!(bench.pass(1_000), [Action::Retry(id(1))]);
    let before = submitted_as(1);
    assert_eq!(bench.input(Input::Before(id(1), &before)), []);
    bench.build(2, &started(1, "w"));
    bench.settle(2, Status::Succeeded);
    assert!(bench.pass(6_000).contains(&Action::Retry(id(1))));
    let again = bench.input(Input::Before(id(1), &before));
    assert!(matches!(again[..], [Action::Append(_)]), "{again:?}");
}

#[test]
fn a_token_that_was_used_anew_outlives_its_first_use() {
    let mut bench = Bench::new(rules());
    let with_token = |number: u8| Asked {
        token: Some("t".into()),
        ..asked(number)
    };
    bench.submit(with_token(1));
    bench.pass(5 * 60_000);
    bench.submit(with_token(2));
    // Remembering another forgets what is older than five minutes.
    bench.submit(Asked {
        token: Some("other".into()),
        ..asked(3)
    });
    let again = admit(bench.scheduler.farm(), with_token(4), bench.now.wall);
    assert_eq!(again, Ok(Admission::Same(id(2))));
    bench.pass(1_000);
    let again = admit(bench.scheduler.farm(), with_token(4), bench.now.wall);
    assert_eq!(again, Ok(Admission::Same(id(2))));
}

#[test]
fn a_token_gives_the_same_build_for_five_minutes_and_refuses_another() {
    let mut bench = Bench::new(rules());
    let with_token = |number: u8, token: &str| Asked {
        token: Some(token.into()),
        ..asked(number)
    };
    bench.submit(with_token(1, "t"));
    let again = admit(bench.scheduler.farm(), with_token(2, "t"), bench.now.wall);
    assert_eq!(again, Ok(Admission::Same(id(1))));
    let other = Asked {
        request: serde_json::json!({"sourceVersion": "x"}),
        ..with_token(3, "t")
    };
    let refused = admit(bench.scheduler.farm(), other, bench.now.wall);
    assert_eq!(refused, Err(Refusal::TokenUsed(id(1))));
    bench.pass(5 * 60_000);
    bench.submit(with_token(4, "t"));
    for (token, form) in [
        ("", false),
        (&"x".repeat(64), true),
        (&"x".repeat(65), false),
    ] {
        let answer = admit(bench.scheduler.farm(), with_token(9, token), bench.now.wall);
        assert_eq!(answer != Err(Refusal::TokenForm), form, "{token}");
    }
}

#[test]
fn what_cannot_be_folded_stops_the_server_and_says_where() {
    let mut bench = Bench::new(rules());
    let entry = |bench: &mut Bench, body: &str| Entry {
        seq: Seq::new(bench.seq + 1),
        subject: build_subject(id(1)),
        at: bench.now.wall,
        body: Body::Event(Bytes::copy_from_slice(body.as_bytes())),
    };
    let later = entry(&mut bench, r#"{"type":"teleported"}"#);
    let error = bench
        .scheduler
        .step(Input::Entry(&later), bench.now)
        .unwrap_err();
    assert!(matches!(error, FoldError::NotUnderstood { .. }), "{error}");
    let lost = entry(&mut bench, r#"{"type":"stopRequested","by":"me"}"#);
    let error = bench
        .scheduler
        .step(Input::Entry(&lost), bench.now)
        .unwrap_err();
    assert!(matches!(error, FoldError::Impossible { .. }), "{error}");
}

#[test]
fn a_build_whose_end_was_purged_before_it_was_folded_is_over() {
    let mut bench = Bench::new(rules());
    let submitted = BuildEvent::Submitted(Box::new(submitted_as(1)));
    bench.entry(
        build_subject(id(1)),
        serde_json::to_vec(&submitted).unwrap(),
    );
    assert!(bench.scheduler.farm().build(id(1)).is_some());
    bench.seq += 1;
    let tombstone = Entry {
        seq: Seq::new(bench.seq),
        subject: build_subject(id(1)),
        at: bench.now.wall,
        body: Body::Tombstone {
            last: Seq::new(bench.seq - 1),
        },
    };
    bench.input(Input::Entry(&tombstone));
    assert!(bench.scheduler.farm().has_ended(id(1)));
    assert_eq!(bench.scheduler.pool("default").0, 0);
    assert_eq!(bench.scheduler.lines().map(|line| line.2).sum::<usize>(), 0);
}

pub(super) fn submitted_as(number: u64) -> croft_proto::farm::Submitted {
    croft_proto::farm::Submitted {
        project: "app".into(),
        number,
        pool: "default".into(),
        priority: Priority::NORMAL,
        queued_ms_max: 60_000,
        attempts_max: 3,
        auto_retry: croft_proto::farm::AutoRetry {
            auto_retry_limit: 0,
            auto_retry_number: 0,
            previous_auto_retry: None,
        },
        initiator: "test".into(),
        request: Box::default(),
    }
}

#[test]
fn a_groups_limit_that_is_raised_by_one_project_lets_those_of_the_others_go() {
    let grouped = |limit| {
        let concurrency = Concurrency {
            limit,
            mode: ConcurrencyMode::Queue,
            group: Some("g".into()),
        };
        ProjectRules {
            concurrency: Some(concurrency),
            ..rules()
        }
    };
    let mut bench = Bench::new(grouped(1));
    let other = project_subject("other").unwrap();
    let rules_of = |limit| serde_json::to_vec(&applied(grouped(limit))).unwrap();
    bench.entry(other.clone(), rules_of(1));
    bench.announce(4);
    bench.submit(asked(1));
    bench.submit(asked(2));
    assert_eq!(published(&bench.pass(1_000)), []);
    bench.project(&applied(grouped(2)));
    bench.entry(other, rules_of(2));
    let offered = published(&bench.pass(1_000));
    assert_eq!(offered, [(id(2), 1)]);
}
