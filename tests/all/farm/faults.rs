//! Whatever dies while builds are on their way, each that was accepted ends once, its attempts are as many as it took, and nothing of
//! them stays on the machine. Leases are short here, so that a loss is noticed soon.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::rig::{Rig, Size, commands, each_size, in_size};
use crate::harness::{At, eventually};

each_size!(small large |plan| plan.soon();
    a_killed_builders_build_starts_again,
    a_killed_builders_container_goes_and_its_build_starts_again,
    a_frozen_builders_attempt_changes_nothing_and_runs_on_nowhere,
    a_build_outlives_its_servers,
    kills_at_any_moment_lose_no_build,
);

each_size!(patient_small patient_large |plan| plan.soon();
    a_builder_that_is_told_to_leave_ends_its_build,
);

each_size!(hasty_small hasty_large |plan| plan.soon().drain("0s");
    a_builder_without_patience_gives_its_build_back,
);

in_size!(broker LARGE, |plan| plan.lease("6s");
    a_build_outlives_its_broker,
);

/// Seconds that builds here sleep.
const NAP: u32 = 3;

/// A build that is in the middle of it; its id.
fn asleep(rig: &Rig) -> String {
    let nap = format!("echo begun; sleep {}; echo done", rig.seconds(NAP));
    let source = rig.source("sleeper", &commands(&[&nap]));
    let id = rig.detach(&source, &[]);
    rig.until_sleeping(NAP, 1);
    id
}

/// Which of those that run builds has this one.
fn builder_of(rig: &mut Rig, id: &str) -> usize {
    if rig.plan.size == Size::Small {
        return 0;
    }
    let build = rig.build(id);
    let worker = build["x-croft"]["worker"].as_str().unwrap().to_string();
    let mut names = (0..rig.workers.len()).map(|number| format!("worker-{number}-"));
    names.position(|name| worker.starts_with(&name)).unwrap()
}

fn a_killed_builders_build_starts_again(rig: &mut Rig) {
    let id = asleep(rig);
    let builder = builder_of(rig, &id);
    let killed = Instant::now();
    rig.builders()[builder].kill();
    if rig.plan.size == Size::Small {
        rig.restart_builder(builder);
    }
    eventually("it is lost", || {
        rig.timeline(&id).contains(&"attemptLost".to_string())
    });
    let noticed = killed.elapsed();
    assert!(
        noticed < Duration::from_secs(10),
        "noticed after {noticed:?}"
    );
    rig.over_as(&id, "SUCCEEDED", 2);
    assert_eq!(
        rig.timeline(&id),
        [
            "submitted",
            "attemptStarted",
            "attemptLost",
            "attemptStarted",
            "settled"
        ]
    );
    let log = rig.log(&id);
    assert_eq!(log.matches("\ndone\n").count(), 1, "{log}");
    if rig.plan.size == Size::Large {
        rig.restart_builder(builder);
    }
    rig.assert_nothing_left();
}

fn a_killed_builders_container_goes_and_its_build_starts_again(rig: &mut Rig) {
    let Some(image) = At::CONTAINER.farm().and_then(|farm| farm.at().image) else {
        return;
    };
    let nap = format!("cat /etc/os-release; sleep {}", rig.seconds(NAP));
    let source = rig.source("contained", &commands(&[&nap]));
    let id = rig.detach(&source, &["--image", image]);
    rig.until_sleeping(NAP, 1);
    assert_eq!(rig.containers().len(), 1);
    let builder = builder_of(rig, &id);
    rig.builders()[builder].kill();
    rig.restart_builder(builder);
    rig.over_as(&id, "SUCCEEDED", 2);
    assert!(rig.log(&id).contains("Debian"), "{}", rig.log(&id));
    eventually("no container is left", || rig.containers().is_empty());
    rig.assert_nothing_left();
}

fn a_frozen_builders_attempt_changes_nothing_and_runs_on_nowhere(rig: &mut Rig) {
    let sleep = format!("sleep {}", rig.seconds(900));
    let source = rig.source("endless", &commands(&[&sleep]));
    let id = rig.detach(&source, &[]);
    rig.until_sleeping(900, 1);
    let before = rig.sleeping(900);
    let builder = builder_of(rig, &id);
    rig.builders()[builder].signal(Signal::STOP);
    // Nobody but what stands in the sandbox itself can do that.
    eventually("a frozen worker's commands end", || {
        rig.sleeping(900)
            .iter()
            .all(|process| !before.contains(process))
    });
    if rig.plan.size == Size::Large {
        eventually("it runs elsewhere", || !rig.sleeping(900).is_empty());
    }
    rig.builders()[builder].signal(Signal::CONT);
    rig.until_sleeping(900, 1);
    eventually("the second attempt is known", || {
        rig.build(&id)["x-croft"]["attempts"] == 2
    });
    let running = rig.sleeping(900);
    assert_eq!(running.len(), 1, "one of them only: {running:?}");
    rig.told(&["build", "stop", &id]);
    rig.over_as(&id, "STOPPED", 2);
    assert_eq!(
        rig.timeline(&id),
        [
            "submitted",
            "attemptStarted",
            "attemptLost",
            "attemptStarted",
            "stopRequested",
            "settled"
        ]
    );
    rig.assert_nothing_left();
}

fn a_builder_that_is_told_to_leave_ends_its_build(rig: &mut Rig) {
    let id = asleep(rig);
    let builder = builder_of(rig, &id);
    rig.builders()[builder].signal(Signal::TERM);
    assert!(rig.builders()[builder].ended().success());
    rig.restart_builder(builder);
    rig.over_as(&id, "SUCCEEDED", 1);
    rig.assert_nothing_left();
}

fn a_builder_without_patience_gives_its_build_back(rig: &mut Rig) {
    let id = asleep(rig);
    let builder = builder_of(rig, &id);
    rig.builders()[builder].signal(Signal::TERM);
    assert!(rig.builders()[builder].ended().success());
    rig.restart_builder(builder);
    rig.over_as(&id, "SUCCEEDED", 2);
    let told = rig.told(&["build", "explain", &id]);
    assert!(told.contains("given back"), "{told}");
    rig.assert_nothing_left();
}

fn a_build_outlives_its_servers(rig: &mut Rig) {
    let id = asleep(rig);
    for server in 0..rig.servers.len() {
        rig.servers[server].kill();
        rig.restart_server(server);
    }
    // On one machine the worker dies with its server; in a farm nobody notices.
    let attempts = if rig.plan.size == Size::Small { 2 } else { 1 };
    rig.over_as(&id, "SUCCEEDED", attempts);
    rig.assert_nothing_left();
}

fn a_build_outlives_its_broker(rig: &mut Rig) {
    let id = asleep(rig);
    let waiting = (0..4).map(|_| rig.detach(&rig.source("quick", &commands(&["true"])), &[]));
    let waiting: Vec<String> = waiting.collect();
    let nats = rig.nats.as_mut().unwrap();
    nats.kill();
    nats.restart();
    rig.over_as(&id, "SUCCEEDED", 1);
    for id in waiting {
        // A claim whose answer died with the broker may be in doubt for longer than this farm's lease, and is then lost. What
        // had not begun begins once more, and ends once.
        let attempts = rig.over(&id)["x-croft"]["attempts"].as_u64().unwrap();
        assert!((1..=2).contains(&attempts), "{id}: {attempts}");
        rig.over_as(&id, "SUCCEEDED", attempts);
    }
    rig.assert_nothing_left();
}

/// Where a build is when whoever runs it is killed is drawn anew each time; `CROFT_SEED` draws it again.
fn kills_at_any_moment_lose_no_build(rig: &mut Rig) {
    let mut chance = Chance::of_environment();
    let nap = format!("sleep {}", rig.seconds(1));
    let source = rig.source("any", &commands(&["true", &nap]));
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.extend((0..2).map(|_| rig.detach(&source, &[])));
        std::thread::sleep(Duration::from_millis(chance.below(1_500)));
        let builder = usize::try_from(chance.below(rig.builders().len() as u64)).unwrap();
        rig.builders()[builder].kill();
        rig.restart_builder(builder);
    }
    for id in &ids {
        let build = rig.over(id);
        let attempts = build["x-croft"]["attempts"].as_u64().unwrap();
        // Three deaths are the build's own doing, as far as anybody can tell.
        let status = if attempts == 3 && build["buildStatus"] == "FAULT" {
            "FAULT"
        } else {
            "SUCCEEDED"
        };
        rig.over_as(id, status, attempts);
    }
    rig.assert_nothing_left();
}

/// Numbers from a seed that is printed.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn of_environment() -> Self {
        let drawn = || u64::from(std::process::id());
        let seed =
            std::env::var("CROFT_SEED").map_or_else(|_| drawn(), |text| text.parse().unwrap());
        eprintln!("CROFT_SEED={seed}");
        Self(seed)
    }

    /// SplitMix64.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % limit
    }
}
