//! The same over the cache's own store.

use std::sync::Arc;

use croft_cache::{Scopes, Store, Trust};
use croft_keys::{Keyring, Signer};

use super::super::StorePool;
use super::super::result::message;
use super::served::{FORK, READER, Served, WRITER, body, cas, noise, result};

const AC: &str = "/ac/0000000000000000000000000000000000000000000000000000000000000001";
const CCACHE: &str = "/ccache/0a/1fvu7o2qn5hd3g9k8b4c6e1l0m2p3s4";
const CAP_BYTES: u64 = 1 << 30;
const BODY_BYTES_MAX: u64 = 10 << 20;

/// A path of its own for each number.
fn entry(number: usize) -> String {
    CCACHE.replace("0a", &format!("{number:02}"))
}

fn over(store: &Store) -> Served {
    let pool = StorePool::open(store.clone(), BODY_BYTES_MAX).unwrap();
    Served::over(Arc::new(pool))
}

/// A store that believes its own key for every scope, as a server's does.
fn store() -> Store {
    let signer = Signer::of_this_process().unwrap();
    let keyring = Keyring::default().and(signer.key_id(), "*".parse().unwrap());
    let store = Store::in_memory(CAP_BYTES).unwrap();
    store.trusting(Trust::new(signer, keyring, Scopes::trusted()))
}

#[test]
fn an_entry_of_any_size_comes_back_byte_for_byte_also_after_a_restart() {
    let store = store();
    let served = over(&store);
    let lengths = [0, 1, 4096, 1 << 20, (1 << 20) + 1, 9 << 20];
    for (number, length) in lengths.into_iter().enumerate() {
        let blob = noise(length);
        for path in [cas(&blob), entry(number)] {
            assert_eq!(served.put(&path, &blob).status, 201, "{path} {length}");
        }
    }
    served.end();
    let served = over(&store);
    for (number, length) in lengths.into_iter().enumerate() {
        let blob = noise(length);
        for path in [cas(&blob), entry(number)] {
            let head = served.ask(WRITER, &format!("HEAD {path}"), b"");
            assert_eq!(head.headers["content-length"], length.to_string());
            assert!(served.get(&path).body == blob, "{path} {length}");
        }
    }
}

#[test]
fn a_result_can_change() {
    let served = over(&store());
    for path in [AC, CCACHE] {
        assert_eq!(served.get(path).status, 404);
        for bytes in [b"first", b"other"] {
            let body = body(path, bytes);
            assert_eq!(served.put(path, &body).status, 201);
            assert_eq!(served.get(path).body, body);
        }
    }
}

#[test]
fn what_is_refused_is_not_stored() {
    let served = over(&store());
    for wrong in [noise(100), noise(3 << 20)] {
        let path = cas(b"other bytes");
        assert_eq!(served.put(&path, &wrong).status, 400);
        assert_eq!(served.get(&path).status, 404);
        assert_eq!(served.get(&cas(&wrong)).status, 404);
    }
    assert_eq!(served.ask(READER, &format!("PUT {AC}"), b"x").status, 403);
    assert_eq!(served.get(AC).status, 404);
}

#[test]
fn a_fork_reads_what_is_trusted_and_writes_only_its_own() {
    let served = over(&store());
    let (trusted, forged) = (result(b"trusted"), result(b"forged"));
    served.put(AC, &trusted);
    let fork = |line: &str, body: &[u8]| served.ask(FORK, line, body);
    assert_eq!(fork(&format!("GET {AC}"), b"").body, trusted);
    assert_eq!(fork(&format!("PUT {AC}"), &forged).status, 201);
    assert_eq!(fork(&format!("GET {AC}"), b"").body, forged);
    assert_eq!(served.get(AC).body, trusted);
    fork(&format!("PUT {CCACHE}"), b"forged");
    assert_eq!(served.get(CCACHE).status, 404);
}

#[test]
fn many_small_uploads_at_once_are_all_stored() {
    let served = over(&store());
    std::thread::scope(|scope| {
        for client in 0..8 {
            let served = &served;
            scope.spawn(move || {
                for number in 0..10 {
                    let blob = format!("{client} {number}").into_bytes();
                    assert_eq!(served.put(&cas(&blob), &blob).status, 201);
                    assert_eq!(served.get(&cas(&blob)).body, blob);
                }
            });
        }
    });
}

#[test]
fn a_result_is_answered_only_while_the_blobs_it_names_are_there() {
    let store = store();
    let served = over(&store);
    let blob = b"output";
    let path = cas(blob);
    let digits = path.rsplit('/').next().unwrap();
    let file = message(2, &message(1, digits.as_bytes()));
    served.put(AC, &message(2, &file));
    assert_eq!(served.get(AC).status, 404);
    served.put(&path, blob);
    assert_eq!(served.get(AC).status, 200);
    assert_eq!(over(&store).get(AC).status, 200);
}
