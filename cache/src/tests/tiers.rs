use croft_proto::Timestamp;

use super::backend_tier::Tiers;
use super::{Site, Use, noise};
use crate::backend::faults::Faults;
use crate::{Found, Mode, Policy, Repair, Store, Trust};

fn store(tiers: &Tiers) -> Store {
    let here = tiers.near.path().join("here");
    Store::over(tiers.reopened(), &here, Trust::of_folder(&here).unwrap())
}

fn site(seed: u64) -> Site {
    Site::with(&[
        ("target/a", &noise(seed, 700_000)),
        ("target/b", &noise(seed + 1, 3_000)),
    ])
}

fn gone() -> Faults {
    Faults {
        down: true,
        ..Faults::default()
    }
}

#[test]
fn a_build_saves_and_restores_while_the_far_store_is_gone_and_others_have_it_afterwards() {
    let tiers = Tiers::new();
    tiers.far_is(gone());
    let alone = store(&tiers);
    Use::key("k").save(&alone, &site(1)).unwrap();
    let to = Site::new();
    assert_eq!(
        Use::key("k").restore(&alone, &to).unwrap().found,
        Found::Exact
    );
    assert_eq!(to.read("target/a"), noise(1, 700_000));
    assert!(alone.notices().iter().any(|said| said.contains("wait")));
    tiers.far_is_well();
    tiers.pass(3_600_000);
    alone.send_pending();
    assert_eq!(alone.objects.waiting().unwrap(), 0);
    let here = tiers.near.path().join("here");
    let elsewhere = Store::over(
        tiers.beyond.clone(),
        &here,
        Trust::of_folder(&here).unwrap(),
    );
    let there = Site::new();
    assert_eq!(
        Use::key("k").restore(&elsewhere, &there).unwrap().found,
        Found::Exact
    );
    assert_eq!(there.read("target/b"), noise(2, 3_000));
}

#[test]
fn a_collection_takes_nothing_away_on_the_word_of_a_near_folder() {
    let tiers = Tiers::new();
    let one = store(&tiers);
    Use::key("k").save(&one, &site(1)).unwrap();
    tiers.far_is(gone());
    let later = Timestamp::from_millis(400 * 24 * 3_600_000);
    let policy = Policy {
        idle_ms_max: Some(1),
        ..Policy::default()
    };
    assert!(one.collect(&policy, Mode::Act, later).is_err());
    tiers.far_is_well();
    tiers.pass(3_600_000);
    let to = Site::new();
    assert_eq!(
        Use::key("k").restore(&one, &to).unwrap().found,
        Found::Exact
    );
    assert_eq!(one.verify(Repair::No, later).unwrap().damaged, []);
}

#[test]
fn a_damaged_copy_on_this_machine_is_fetched_anew() {
    let tiers = Tiers::new();
    let one = store(&tiers);
    Use::key("k").save(&one, &site(1)).unwrap();
    let mut spoilt = 0;
    for pack in std::fs::read_dir(tiers.near_path("v2/packs")).unwrap() {
        let path = pack.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[40] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        spoilt += 1;
    }
    assert!(spoilt > 0, "a save leaves its packs near");
    let to = Site::new();
    assert_eq!(
        Use::key("k").restore(&one, &to).unwrap().found,
        Found::Exact
    );
    assert_eq!(to.read("target/a"), noise(1, 700_000));
}
