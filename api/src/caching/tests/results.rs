//! Results of actions are answered only while every blob they name is there.

use std::sync::Arc;

use super::super::MemoryPool;
use super::super::result::{message, varint};
use super::served::{Answer, FORK, Served, WRITER, cas, noise};

const AC: &str = "/ac/0000000000000000000000000000000000000000000000000000000000000001";

fn served() -> (Served, Arc<MemoryPool>) {
    let pool = Arc::new(MemoryPool::default());
    (Served::over(Arc::<MemoryPool>::clone(&pool)), pool)
}

fn digest(blob: &[u8]) -> Vec<u8> {
    let path = cas(blob);
    let digits = path.rsplit('/').next().unwrap();
    [message(1, digits.as_bytes()), varint(2, blob.len() as u64)].concat()
}

/// An `OutputFile`, or a `FileNode`: the fields are the same.
fn file(blob: &[u8]) -> Vec<u8> {
    [message(1, b"out"), message(2, &digest(blob)), varint(4, 1)].concat()
}

/// A `Tree` with one file at its root and one below.
fn tree(above: &[u8], below: &[u8]) -> Vec<u8> {
    let directory = |blob| message(1, &file(blob));
    [message(1, &directory(above)), message(2, &directory(below))].concat()
}

fn directory(tree: &[u8]) -> Vec<u8> {
    [message(1, b"out"), message(3, &digest(tree))].concat()
}

fn get_and_head(served: &Served) -> (u16, u16) {
    let head: Answer = served.ask(WRITER, &format!("HEAD {AC}"), b"");
    (served.get(AC).status, head.status)
}

#[test]
fn a_result_is_answered_when_all_it_names_is_there_and_not_before() {
    let (served, pool) = served();
    let list = tree(b"above", b"below");
    let result = [
        message(2, &file(b"output")),
        message(2, &file(b"")),
        message(3, &directory(&list)),
        message(6, &digest(b"printed")),
        message(8, &digest(b"complained")),
    ]
    .concat();
    let all: [&[u8]; 6] = [
        b"output",
        &list,
        b"above",
        b"below",
        b"printed",
        b"complained",
    ];
    for gone in all {
        pool.clear();
        for blob in all.iter().filter(|blob| **blob != gone) {
            served.put(&cas(blob), blob);
        }
        assert_eq!(served.put(AC, &result).status, 201);
        assert_eq!(get_and_head(&served), (404, 404), "{gone:?}");
        served.put(&cas(gone), gone);
        assert_eq!(get_and_head(&served), (200, 200), "{gone:?}");
        assert_eq!(served.get(AC).body, result);
    }
}

#[test]
fn a_blob_of_another_scope_is_not_there() {
    let (served, _) = served();
    served.put(&cas(b"output"), b"output");
    let result = message(2, &file(b"output"));
    let line = |method: &str| format!("{method} {AC}");
    assert_eq!(served.ask(FORK, &line("PUT"), &result).status, 201);
    assert_eq!(served.ask(FORK, &line("GET"), b"").status, 404);
}

#[test]
fn of_a_long_list_only_the_list_is_asked_for() {
    let (served, _) = served();
    let names = noise(TREE_BYTES);
    let list = [tree(b"above", b"below"), message(9, &names)].concat();
    served.put(&cas(&list), &list);
    served.put(AC, &message(3, &directory(&list)));
    assert_eq!(get_and_head(&served), (200, 200));
}

/// More than is read of lists.
const TREE_BYTES: usize = 4 << 20;

#[test]
fn what_is_no_result_is_refused_with_a_reason_and_not_stored() {
    let (served, pool) = served();
    for odd in [
        &b"any text"[..],
        &message(2, b""),
        &message(6, &message(1, b"ff")),
    ] {
        let refused = served.put(AC, odd);
        assert_eq!(refused.status, 400);
        assert!(refused.text().contains("ActionResult"));
    }
    let large = served.put(AC, &message(5, &noise(4 << 20)));
    assert_eq!(large.status, 413);
    assert!(
        large.text().contains("no action's result"),
        "{}",
        large.text()
    );
    assert!(pool.is_empty());
    assert_eq!(served.end().fronts["bazel"].refused, 4);
}

#[test]
fn a_list_that_is_none_makes_a_miss() {
    let (served, _) = served();
    served.put(&cas(b"any text"), b"any text");
    served.put(AC, &message(3, &directory(b"any text")));
    assert_eq!(get_and_head(&served), (404, 404));
}
