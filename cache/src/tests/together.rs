use std::thread;

use super::{ROOMY, Site, Use, at, noise};
use crate::{Error, Found, Repair, SaveOutcome, Selector, Store};

fn site(seed: u64) -> Site {
    let site = Site::new();
    for number in 0..20 {
        // Neighbouring seeds share most of their files.
        site.write(&format!("target/{number}"), &noise(seed + number, 30_000));
    }
    site
}

const KEYS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

#[test]
fn saves_restores_and_prunes_of_several_processes_never_damage_an_entry() {
    let folder = tempfile::tempdir().unwrap();
    // A store of its own each: between them there is only the folder, as between processes.
    let open = || Store::open(folder.path(), ROOMY).unwrap();
    thread::scope(|scope| {
        for writer in 0..2_usize {
            scope.spawn(move || {
                let store = open();
                for round in 0..12_usize {
                    let nth = (writer * 3 + round) % KEYS.len();
                    let now_ms = round as u64;
                    Use::key(KEYS[nth])
                        .at(now_ms)
                        .save(&store, &site(nth as u64))
                        .unwrap();
                    match Use::key(KEYS[nth]).at(now_ms).restore(&store, &Site::new()) {
                        Ok(restored) => {
                            assert!(matches!(restored.found, Found::Exact | Found::Miss))
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
        scope.spawn(move || {
            let store = open();
            for round in 0..15_u64 {
                let done = if round % 5 == 4 {
                    store.remove(&Selector::Project("project".into()), at(round))
                } else {
                    store.prune(1_500_000, at(round))
                };
                assert!(matches!(done, Ok(_) | Err(Error::Busy { .. })), "{done:?}");
            }
        });
    });
    let store = open();
    assert_eq!(store.verify(Repair::No, at(99)).unwrap().damaged, []);
}

#[test]
fn of_two_saves_of_one_key_one_wins_whole_and_both_go_on() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let outcomes: Vec<SaveOutcome> = thread::scope(|scope| {
            let threads: Vec<_> = [100, 200]
                .map(|seed| {
                    let store = Store::open(folder.path(), ROOMY).unwrap();
                    scope.spawn(move || Use::key("k").save(&store, &site(seed)).unwrap().outcome)
                })
                .into_iter()
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let saved = outcomes
            .iter()
            .filter(|outcome| **outcome == SaveOutcome::Saved)
            .count();
        assert!(saved >= 1, "{outcomes:?}");
        let store = Store::open(folder.path(), ROOMY).unwrap();
        let to = Site::new();
        Use::key("k").restore(&store, &to).unwrap();
        let first = to.read("target/0");
        let seed = if first == noise(100, 30_000) {
            100
        } else {
            200
        };
        assert_eq!(to.read("target/19"), noise(seed + 19, 30_000));
    }
}

#[test]
fn it_works_inside_a_tokio_runtime_too() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let found = runtime.block_on(async {
        let work = tokio::task::spawn_blocking(|| {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path(), ROOMY).unwrap();
            Use::key("k").save(&store, &site(1)).unwrap();
            Use::key("k").restore(&store, &Site::new()).unwrap().found
        });
        work.await.unwrap()
    });
    assert_eq!(found, Found::Exact);
}
