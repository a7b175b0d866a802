use std::path::PathBuf;

use croft_keys::{Keyring, Signer};

use super::transfer::{LIMITS, NOW, batches, put, receive, send};
use super::{Site, at, files_of, in_memory, noise};
use crate::content::Content;
use crate::layout::folder;
use crate::tree::{Anchor, Entry, Node, Tree};
use crate::{Adoption, Error, Id, Offer, ReceiveLimits, Refusal, Scopes, Store, TreeRef, Trust};

/// A batch as the format says, written by hand: frames of these chunks, nothing compressed.
fn batch(frames: &[&[&[u8]]]) -> Vec<u8> {
    let mut bytes = b"croftch\x01".to_vec();
    for chunks in frames {
        frame(&mut bytes, chunks);
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes
}

fn frame(bytes: &mut Vec<u8>, chunks: &[&[u8]]) {
    let number = |count: usize| u32::try_from(count).unwrap().to_le_bytes();
    let contents = chunks.concat();
    for count in [chunks.len(), contents.len(), contents.len()] {
        bytes.extend_from_slice(&number(count));
    }
    for chunk in chunks {
        bytes.extend_from_slice(Id::of(chunk).bytes());
        bytes.extend_from_slice(&number(chunk.len()));
    }
    bytes.extend_from_slice(&contents);
}

fn is_refused<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Sent(_)))
}

fn packs(store: &Store) -> usize {
    store.objects.list(&folder("packs")).unwrap().len()
}

#[test]
fn what_is_written_by_hand_as_the_format_says_is_taken_in() {
    let store = in_memory();
    let sent = batch(&[&[b"one", b"two"], &[b"three"]]);
    let received = receive(&store, &sent).unwrap();
    assert_eq!((received.chunks, received.bytes), (3, 11));
    assert_eq!(
        store.wanting(&[Id::of(b"three"), Id::of(b"four")]).unwrap(),
        [Id::of(b"four")]
    );
}

#[test]
fn what_is_sent_is_written_as_the_format_says() {
    let contents = noise(1, 5_000);
    let site = Site::with(&[("a", &contents)]);
    let store = in_memory();
    let offer = store.offer(&put(&store, &site.path(""))).unwrap();
    let sent = batches(&store, &offer, &[Id::of(&contents)]);
    assert_eq!(sent, batch(&[&[&contents]]));
    assert_eq!(batches(&store, &offer, &[]), b"");
}

#[test]
fn any_flipped_byte_is_refused_and_nothing_is_stored() {
    let store = in_memory();
    let sent = batch(&[&[&noise(1, 50), &noise(2, 60)], &[&noise(3, 70)]]);
    for at in 0..sent.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut flipped = sent.clone();
            flipped[at] ^= flip;
            let refused = receive(&store, &flipped);
            assert!(is_refused(refused), "byte {at} with {flip:x}");
        }
    }
    assert_eq!(packs(&store), 0);
}

#[test]
fn a_flipped_byte_of_a_compressed_frame_never_becomes_a_chunk() {
    let site = Site::with(&[("text", "some words, again\n".repeat(5_000).as_bytes())]);
    let (from, to) = (in_memory(), in_memory());
    let offer = from.offer(&put(&from, &site.path(""))).unwrap();
    let sent = batches(&from, &offer, &offer.ids());
    let mut refused = 0;
    for at in 0..sent.len() {
        let mut flipped = sent.clone();
        flipped[at] ^= 0x10;
        // Bits that the decompressor ignores change nothing: then the chunks are what they should be.
        match receive(&to, &flipped) {
            Ok(_) => {}
            Err(Error::Sent(_)) => refused += 1,
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    assert!(refused * 10 > sent.len() * 9, "{refused} of {}", sent.len());
    assert_eq!(to.verify(crate::Repair::No, at(NOW)).unwrap().damaged, []);
}

#[test]
fn bytes_that_end_early_are_refused_wherever_they_end() {
    let store = in_memory();
    let sent = batch(&[&[b"one", b"two"], &[b"three"]]);
    for end in 1..sent.len() {
        assert!(is_refused(receive(&store, &sent[..end])), "{end}");
    }
    assert_eq!(receive(&store, &[]).unwrap().chunks, 0);
    assert_eq!(packs(&store), 0);
    assert!(is_refused(receive(&store, &[&sent[..], b"x"].concat())));
}

#[test]
fn frames_that_come_twice_are_stored_once() {
    let store = in_memory();
    let sent = batch(&[&[b"one", b"one"], &[b"one", b"two"]]);
    let received = receive(&store, &[&sent[..], &sent[..]].concat()).unwrap();
    assert_eq!((received.chunks, received.new_chunks), (8, 2));
    let again = receive(&store, &sent).unwrap();
    assert_eq!((again.new_chunks, again.stored_bytes), (0, 0));
}

/// A frame's head, and nothing after it.
fn head(count: u32, raw_bytes: u32, stored_bytes: u32) -> Vec<u8> {
    let mut bytes = b"croftch\x01".to_vec();
    for number in [count, raw_bytes, stored_bytes] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes
}

#[test]
fn frames_and_chunks_larger_than_any_are_refused_by_their_heads() {
    let store = in_memory();
    let mut too_long = head(1, 600_000, 600_000);
    too_long.extend_from_slice(Id::of(b"x").bytes());
    too_long.extend_from_slice(&600_000_u32.to_le_bytes());
    for sent in [
        head(u32::MAX, 1, 1),
        head(4097, 5000, 5000),
        head(1, u32::MAX, 1),
        head(1, 10, u32::MAX),
        head(1, 10, 11),
        too_long,
    ] {
        // Were any of these believed, it would be the end of the bytes that is complained about.
        let Err(Error::Sent(Refusal::Malformed(reason))) = receive(&store, &sent) else {
            panic!("it was not refused");
        };
        assert!(!reason.contains("ends"), "{reason}");
    }
}

#[test]
fn a_frame_that_decompresses_to_more_than_it_says_is_refused() {
    let store = in_memory();
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
    let mut sent = head(1, 20_000, u32::try_from(bomb.len()).unwrap());
    sent.extend_from_slice(Id::of(b"x").bytes());
    sent.extend_from_slice(&20_000_u32.to_le_bytes());
    sent.extend_from_slice(&bomb);
    sent.extend_from_slice(&[0; 4]);
    assert!(bomb.len() < 20_000 && is_refused(receive(&store, &sent)));
}

#[test]
fn more_than_the_limits_is_refused() {
    let store = in_memory();
    let sent = batch(&[&[b"one", b"two", b"three"]]);
    for (bytes_max, chunks_max, is_taken) in [(10, 3, false), (11, 2, false), (11, 3, true)] {
        let limits = ReceiveLimits {
            bytes_max,
            chunks_max,
        };
        let received = store.receive(&mut sent.as_slice(), &limits, &|| at(NOW));
        assert_eq!(received.is_ok(), is_taken, "{bytes_max} {chunks_max}");
        assert!(is_taken || matches!(received, Err(Error::Sent(Refusal::TooMuch { .. }))));
    }
}

#[test]
fn a_reader_that_fails_is_told_from_bytes_that_are_wrong() {
    struct Failing;
    impl std::io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::ConnectionReset.into())
        }
    }
    let failed = in_memory().receive(&mut Failing, &LIMITS, &|| at(NOW));
    assert!(matches!(failed, Err(Error::Read { .. })));
}

fn entry(anchor: Anchor, path: &str, size_bytes: u64, chunks: Vec<Id>) -> Entry {
    Entry {
        anchor,
        path: PathBuf::from(path),
        mode: 0o644,
        modified: (0, 0),
        owner: (0, 0),
        node: Node::File { size_bytes, chunks },
    }
}

/// An offer, with that list and its only chunk and those of files; all of it but what is not sent is in the store.
fn crafted(store: &Store, id: Id, list: &[u8], sent: &[&[u8]]) -> Offer {
    let mut all = sent.to_vec();
    all.push(list);
    receive(store, &batch(&[&all])).unwrap();
    let list = Content {
        size_bytes: list.len() as u64,
        chunks: vec![Id::of(list)],
    };
    let tree = TreeRef { id, list };
    let mut bytes = b"croftof\x01".to_vec();
    bytes.extend_from_slice(tree.id.bytes());
    bytes.extend_from_slice(&tree.list.size_bytes.to_le_bytes());
    bytes.extend_from_slice(&1_u32.to_le_bytes());
    let mut chunks: Vec<(Id, usize)> = all.iter().map(|raw| (Id::of(raw), raw.len())).collect();
    chunks.sort();
    bytes.extend_from_slice(&u32::try_from(chunks.len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(tree.list.chunks[0].bytes());
    for (id, size_bytes) in chunks {
        bytes.extend_from_slice(id.bytes());
        bytes.extend_from_slice(&u32::try_from(size_bytes).unwrap().to_le_bytes());
    }
    Offer::decode(&bytes).unwrap()
}

#[test]
fn a_tree_that_no_put_makes_is_not_adopted() {
    let store = in_memory();
    let file = Id::of(b"file");
    let list = |entries| Tree::new(entries).encode().unwrap();
    let good = list(vec![entry(Anchor::Source, "a", 4, vec![file])]);
    let outside = list(vec![entry(Anchor::Root, "etc/passwd", 4, vec![file])]);
    let longer = list(vec![entry(Anchor::Source, "a", 5, vec![file])]);
    let climbing = list(vec![entry(Anchor::Source, "../a", 4, vec![file])]);
    let nonsense = b"no list".to_vec();
    for (id, list) in [
        (Id::of(b"another tree"), &good),
        (Id::of(&outside), &outside),
        (Id::of(&longer), &longer),
        (Id::of(&climbing), &climbing),
        (Id::of(&nonsense), &nonsense),
    ] {
        let offer = crafted(&store, id, list, &[b"file"]);
        let adopted = store.adopt(&offer, at(NOW));
        let text = String::from_utf8_lossy(list);
        assert!(is_refused(adopted), "{text}");
        assert!(store.tree(&id, at(NOW)).unwrap().is_none());
    }
    assert_eq!(store.usage().unwrap().entries, 0);
    let offer = crafted(&store, Id::of(&good), &good, &[b"file"]);
    let adopted = store.adopt(&offer, at(NOW)).unwrap();
    assert!(matches!(adopted, Adoption::Visible { files: 1, .. }));
}

#[test]
fn chunks_that_an_offer_kept_quiet_about_are_missing_all_the_same() {
    let store = in_memory();
    let hidden = Id::of(b"hidden");
    let files = vec![entry(Anchor::Source, "a", 6, vec![hidden])];
    let list = Tree::new(files).encode().unwrap();
    let offer = crafted(&store, Id::of(&list), &list, &[]);
    assert_eq!(
        store.adopt(&offer, at(NOW)).unwrap(),
        Adoption::Missing(vec![hidden])
    );
}

#[test]
fn a_list_that_rotted_here_is_asked_for_again() {
    let place = tempfile::tempdir().unwrap();
    let site = Site::with(&[("a", &noise(1, 1_000))]);
    let (from, to) = (
        in_memory(),
        Store::open(place.path(), super::ROOMY).unwrap(),
    );
    let tree = put(&from, &site.path(""));
    let offer = from.offer(&tree).unwrap();
    receive(&to, &batches(&from, &offer, &offer.ids())).unwrap();
    let packs = files_of(place.path());
    let pack = packs
        .iter()
        .find(|path| path.components().any(|part| part.as_os_str() == "packs"));
    let pack = pack.unwrap();
    let mut bytes = std::fs::read(pack).unwrap();
    // All but its index: the ends of a frame with two chunks, and the trailer.
    let contents = bytes.len() - 12 - 2 * 36 - 64;
    for byte in &mut bytes[..contents] {
        *byte ^= 0xff;
    }
    std::fs::write(pack, bytes).unwrap();
    let Adoption::Missing(missing) = to.adopt(&offer, at(NOW)).unwrap() else {
        panic!("it is damaged");
    };
    assert!(missing.contains(&tree.id));
    send(&from, &to, &tree);
    let into = tempfile::tempdir().unwrap();
    to.get(&tree, into.path()).unwrap();
}

#[test]
fn an_adopted_tree_is_visible_in_the_scope_of_its_receiver_alone() {
    let in_scope = |store: &Store, scope: &str| {
        let granted = "*".parse().unwrap();
        let scopes = Scopes::within(&granted, scope.parse().unwrap()).unwrap();
        let signer = Signer::of_this_process().unwrap();
        store
            .clone()
            .trusting(Trust::new(signer, Keyring::default(), scopes))
    };
    let site = Site::with(&[("a", b"bytes")]);
    let (from, shared) = (in_memory(), in_memory());
    let (fork, other) = (in_scope(&shared, "fork/1"), in_scope(&shared, "fork/2"));
    let tree = put(&from, &site.path(""));
    send(&from, &fork, &tree);
    let is_seen = |store: &Store| store.tree(&tree.id, at(NOW)).unwrap().is_some();
    assert!(is_seen(&fork) && !is_seen(&other) && !is_seen(&shared));
    // The chunks are there for everybody: the second client sends nothing.
    assert_eq!(send(&from, &other, &tree).0.chunks, 0);
    assert!(is_seen(&other));
}
