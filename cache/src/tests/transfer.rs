use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use object_store::memory::InMemory;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::trees::{Made, made, make, make_removable, seen};
use super::{ROOMY, Site, at, in_memory, noise};
use crate::backend::Objects;
use crate::backend::guard::Limits;
use crate::backend::ticks::Ticks;
use crate::{
    Adoption, Anchor, Error, Id, Offer, Put, ReceiveLimits, Received, Refusal, Store, TreeRef,
    Trust, decode_ids, encode_ids,
};

pub(super) const NOW: u64 = 1_800_000_000_000;

/// Room for every test.
pub(super) const LIMITS: ReceiveLimits = ReceiveLimits {
    bytes_max: ROOMY,
    chunks_max: 1 << 20,
};

pub(super) fn put(store: &Store, directory: &Path) -> TreeRef {
    let now = at(NOW);
    store.put(&Put { directory, now }).unwrap().tree
}

pub(super) fn receive(store: &Store, batches: &[u8]) -> Result<Received, Error> {
    store.receive(&mut { batches }, &LIMITS, &|| at(NOW))
}

/// All batches of what is wanted, one after the other.
pub(super) fn batches(from: &Store, offer: &Offer, wanted: &[Id]) -> Vec<u8> {
    let mut all = Vec::new();
    for batch in from.export(offer, wanted).unwrap() {
        let batch = batch.unwrap();
        assert!(batch.len() <= crate::BATCH_BYTES_MAX);
        all.extend_from_slice(&batch);
    }
    all
}

/// Sends a tree as a client and a server do, everything as bytes in between; what came, and the tree over there.
pub(super) fn send(from: &Store, to: &Store, tree: &TreeRef) -> (Received, TreeRef) {
    let offer = Offer::decode(&from.offer(tree).unwrap().encode()).unwrap();
    let wanted = to.wanting(&offer.ids()).unwrap();
    let wanted = decode_ids(&encode_ids(&wanted)).unwrap();
    let received = receive(to, &batches(from, &offer, &wanted)).unwrap();
    let Adoption::Visible { tree, .. } = to.adopt(&offer, at(NOW)).unwrap() else {
        panic!("all of it was sent");
    };
    (received, tree)
}

/// That a tree is found by its id, and that its files are those of the folder.
fn check_is_there(store: &Store, id: &Id, files: &Path) {
    let tree = store.tree(id, at(NOW)).unwrap().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let into = copy.path().join("copy");
    store.get(&tree, &into).unwrap();
    assert_eq!(seen(&into), seen(files));
    make_removable(&into);
}

/// Some files of every size there is, and then some.
fn many_files() -> Site {
    let site = Site::with(&[
        ("empty", b""),
        ("small", b"a line\n"),
        ("zeros", &vec![0; 3_000_000]),
        ("noise", &noise(9_000, 5_000_000)),
    ]);
    for number in 0..200 {
        site.write(&format!("dir/{number}"), &noise(number, 3_000));
    }
    site
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        rng_seed: RngSeed::Fixed(2027),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_tree_is_the_same_in_the_store_it_was_sent_to(all in prop::collection::vec(made(), 0..16)) {
        carry(&all);
    }
}

fn carry(all: &[Made]) {
    let files = tempfile::tempdir().unwrap();
    make(files.path(), all);
    let (from, to) = (in_memory(), in_memory());
    let tree = put(&from, files.path());
    let (_, there) = send(&from, &to, &tree);
    assert_eq!(there, tree);
    check_is_there(&to, &tree.id, files.path());
    make_removable(files.path());
}

#[test]
fn a_tree_travels_between_stores_of_every_kind() {
    let site = many_files();
    let files = site.path("");
    let (near, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let trust = || Trust::of_folder(near.path()).unwrap();
    let far = || Arc::new(InMemory::new());
    let limits = Limits::default;
    let tiers = Objects::tiers_of(near.path(), ROOMY, far(), limits(), Ticks::real());
    let stores = [
        in_memory(),
        Store::open(folder.path(), ROOMY).unwrap(),
        Store::over(
            Objects::far_of(far(), limits(), Ticks::real()),
            &near.path().join("far"),
            trust(),
        ),
        Store::over(tiers, &near.path().join("tiers"), trust()),
    ];
    let source = in_memory();
    let tree = put(&source, &files);
    // From each to the next, so that each both takes in and hands out.
    let mut from = &source;
    for to in &stores {
        send(from, to, &tree);
        check_is_there(to, &tree.id, &files);
        from = to;
    }
}

#[test]
fn a_tree_that_was_sent_is_mounted_as_it_was() {
    let site = many_files();
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (in_memory(), Store::open(folder.path(), ROOMY).unwrap());
    let tree = put(&from, &site.path(""));
    send(&from, &to, &tree);
    let found = to.tree(&tree.id, at(NOW)).unwrap().unwrap();
    let live = to.materialise(&found, at(NOW)).unwrap();
    let (mounted, files) = (live.folder(Anchor::Source), site.path(""));
    assert_eq!(seen(&mounted), seen(&files));
}

#[test]
fn only_what_changed_travels_the_second_time() {
    let site = many_files();
    let (from, to) = (in_memory(), in_memory());
    let first = put(&from, &site.path(""));
    let offer = from.offer(&first).unwrap();
    let (received, _) = send(&from, &to, &first);
    assert_eq!(received.chunks, offer.chunks().len() as u64);
    assert_eq!(received.new_chunks, received.chunks);
    assert_eq!(received.bytes, offer.size_bytes());

    site.write("dir/7", b"changed");
    let second = put(&from, &site.path(""));
    let (received, _) = send(&from, &to, &second);
    // The file, and the list of files, which is short enough to be one chunk.
    assert_eq!(second.list.chunks.len(), 1);
    assert_eq!((received.chunks, received.new_chunks), (2, 2));
    assert_eq!(received.bytes, 7 + second.list.size_bytes);
    check_is_there(&to, &second.id, &site.path(""));

    let (received, _) = send(&from, &to, &second);
    assert_eq!(received, Received::default());
}

#[test]
fn an_offer_has_every_chunk_once_however_often_it_is_used() {
    let same = noise(1, 10_000);
    let site = Site::with(&[("a", &same), ("b", &same), ("c", b"other")]);
    let store = in_memory();
    let tree = put(&store, &site.path(""));
    let offer = store.offer(&tree).unwrap();
    let ids: BTreeSet<Id> = offer.ids().into_iter().collect();
    let expected = [Id::of(&same), Id::of(b"other"), tree.id];
    assert_eq!(ids, BTreeSet::from(expected));
    assert_eq!(offer.chunks().len(), 3);
}

#[test]
fn much_is_sent_in_batches_of_bounded_size() {
    let site = Site::with(&[("large", &noise(1, 9_000_000))]);
    let (from, to) = (in_memory(), in_memory());
    let tree = put(&from, &site.path(""));
    let offer = from.offer(&tree).unwrap();
    let mut count = 0;
    for batch in from.export(&offer, &offer.ids()).unwrap() {
        let batch = batch.unwrap();
        assert!(batch.len() <= 4 << 20, "{}", batch.len());
        receive(&to, &batch).unwrap();
        count += 1;
    }
    assert_eq!(count, 3);
    assert!(matches!(
        to.adopt(&offer, at(NOW)).unwrap(),
        Adoption::Visible {
            files: 1,
            size_bytes: 9_000_000,
            ..
        }
    ));
}

#[test]
fn what_compresses_travels_compressed() {
    let text = "the same words again and again\n".repeat(100_000);
    let site = Site::with(&[("text", text.as_bytes())]);
    let from = in_memory();
    let offer = from.offer(&put(&from, &site.path(""))).unwrap();
    let sent = batches(&from, &offer, &offer.ids()).len() as u64;
    assert!(sent * 20 < offer.size_bytes(), "{sent}");
}

#[test]
fn adopting_says_which_chunks_are_missing() {
    let site = many_files();
    let (from, to) = (in_memory(), in_memory());
    let tree = put(&from, &site.path(""));
    let offer = from.offer(&tree).unwrap();
    let ids = offer.ids();
    assert_eq!(
        to.adopt(&offer, at(NOW)).unwrap(),
        Adoption::Missing(ids.clone())
    );
    let (some, rest) = ids.split_at(17);
    receive(&to, &batches(&from, &offer, some)).unwrap();
    assert_eq!(to.wanting(&ids).unwrap(), rest);
    assert_eq!(
        to.adopt(&offer, at(NOW)).unwrap(),
        Adoption::Missing(rest.to_vec())
    );
    assert!(to.tree(&tree.id, at(NOW)).unwrap().is_none());
    receive(&to, &batches(&from, &offer, rest)).unwrap();
    assert!(matches!(
        to.adopt(&offer, at(NOW)).unwrap(),
        Adoption::Visible { .. }
    ));
}

#[test]
fn a_sender_hands_out_only_what_it_offered() {
    let (site, other) = (
        Site::with(&[("a", b"public")]),
        Site::with(&[("b", b"mine alone")]),
    );
    let store = in_memory();
    let offer = store.offer(&put(&store, &site.path(""))).unwrap();
    put(&store, &other.path(""));
    let refused = store.export(&offer, &[Id::of(b"mine alone")]);
    assert!(matches!(refused, Err(Error::Sent(Refusal::Malformed(_)))));
}

#[test]
fn what_is_wanted_twice_is_sent_once() {
    let site = Site::with(&[("a", b"one"), ("b", b"two")]);
    let (from, to) = (in_memory(), in_memory());
    let offer = from.offer(&put(&from, &site.path(""))).unwrap();
    let twice = [offer.ids(), offer.ids()].concat();
    assert_eq!(to.wanting(&twice).unwrap(), offer.ids());
    let received = receive(&to, &batches(&from, &offer, &twice)).unwrap();
    assert_eq!(received.chunks, 3);
}

#[test]
fn of_a_thousand_files_only_the_changed_one_is_sent_again() {
    let site = Site::new();
    for number in 0..1_000 {
        site.write(
            &format!("{}/{number}", number % 10),
            &noise(number, 10 << 10),
        );
    }
    let (from, to) = (in_memory(), in_memory());
    let (first, _) = send(&from, &to, &put(&from, &site.path("")));
    site.write("3/3", b"changed");
    let (second, _) = send(&from, &to, &put(&from, &site.path("")));
    assert_eq!((first.chunks, second.chunks), (1_001, 2));
}
