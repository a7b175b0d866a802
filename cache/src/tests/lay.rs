//! A tree's files laid into a folder without a store.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::transfer::{batches, put};
use super::trees::{make_removable, seen};
use super::{Site, in_memory, noise};
use crate::{Earlier, Error, Id, Laid, Lay, Offer, Store, Supply, lay};

/// Another store, which may fail at first, or send what it likes.
struct From<'a> {
    store: &'a Store,
    offer: &'a Offer,
    failures: AtomicUsize,
    change: fn(Vec<u8>) -> Vec<u8>,
    asked: Mutex<Vec<Id>>,
}

impl<'a> From<'a> {
    fn new(store: &'a Store, offer: &'a Offer) -> Self {
        Self {
            store,
            offer,
            failures: AtomicUsize::new(0),
            change: |bytes| bytes,
            asked: Mutex::default(),
        }
    }
}

impl Supply for From<'_> {
    fn chunks(&self, wanted: &[Id]) -> io::Result<Box<dyn Read + '_>> {
        self.asked.lock().unwrap().extend_from_slice(wanted);
        let bytes = (self.change)(batches(self.store, self.offer, wanted));
        let fewer = |left: usize| left.checked_sub(1);
        let fails = self
            .failures
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
        if fails.is_ok() {
            let half = bytes.len() / 2;
            let broken = io::Cursor::new(bytes[..half].to_vec()).chain(Broken);
            return Ok(Box::new(broken));
        }
        Ok(Box::new(io::Cursor::new(bytes)))
    }

    fn is_over(&self) -> bool {
        false
    }
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

/// A folder to lay into, and its notes.
fn place(site: &Path, name: &str) -> Earlier {
    Earlier {
        folder: site.join(name),
        notes: site.join(format!("{name}.notes")),
    }
}

fn laid(from: &From<'_>, to: &Earlier, earlier: &[Earlier]) -> Result<Laid, Error> {
    let wanted = Lay {
        offer: from.offer,
        into: &to.folder,
        notes: &to.notes,
        earlier,
    };
    lay(&wanted, from)
}

/// Files of every size there is, twins, further names and links.
fn files() -> Site {
    let site = Site::with(&[
        ("empty", b""),
        ("small", b"a line\n"),
        ("zeros", &vec![0; 3_000_000]),
        ("noise", &noise(9_000, 5_000_000)),
        ("twin of noise", &noise(9_000, 5_000_000)),
    ]);
    for number in 0..200 {
        site.write(&format!("dir/{number}"), &noise(number, 3_000));
    }
    let folder = site.path("");
    fs::create_dir(folder.join("nobody")).unwrap();
    fs::hard_link(folder.join("small"), folder.join("dir/small too")).unwrap();
    symlink("../small", folder.join("dir/link")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o750);
    fs::set_permissions(folder.join("small"), mode).unwrap();
    site
}

fn offer(store: &Store, folder: &Path) -> Offer {
    let tree = put(store, folder);
    Offer::decode(&store.offer(&tree).unwrap().encode()).unwrap()
}

#[test]
fn a_tree_is_laid_as_it_was_put() {
    let (site, store, to) = (files(), in_memory(), tempfile::tempdir().unwrap());
    let offer = offer(&store, &site.path(""));
    let place = place(to.path(), "one");
    let done = laid(&From::new(&store, &offer), &place, &[]).unwrap();
    assert_eq!(seen(&place.folder), seen(&site.path("")));
    assert_eq!(done.fetched_chunks, offer.chunks().len() as u64);
    assert_eq!(done.fetched_bytes, offer.size_bytes());
    make_removable(&place.folder);
}

#[test]
fn what_an_earlier_tree_has_is_not_asked_for_again() {
    let (site, store, to) = (files(), in_memory(), tempfile::tempdir().unwrap());
    let first = offer(&store, &site.path(""));
    let (one, two) = (place(to.path(), "one"), place(to.path(), "two"));
    laid(&From::new(&store, &first), &one, &[]).unwrap();
    site.write("dir/7", &noise(70_000, 3_000));
    fs::rename(site.path("").join("dir/8"), site.path("").join("elsewhere")).unwrap();
    let second = offer(&store, &site.path(""));
    // What was changed where it was laid is not what it was: that is fetched again.
    fs::write(one.folder.join("dir/9"), noise(90_000, 3_000)).unwrap();
    fs::remove_file(one.folder.join("dir/10")).unwrap();
    let from = From::new(&store, &second);
    laid(&from, &two, std::slice::from_ref(&one)).unwrap();
    assert_eq!(seen(&two.folder), seen(&site.path("")));
    let asked: BTreeSet<Id> = from.asked.into_inner().unwrap().into_iter().collect();
    let expected: BTreeSet<Id> = [70_000, 9, 10]
        .iter()
        .map(|seed| Id::of(&noise(*seed, 3_000)))
        .chain(second.tree().list.chunks.iter().copied())
        .collect();
    assert_eq!(asked, expected);
    for place in [one, two] {
        make_removable(&place.folder);
    }
}

#[test]
fn a_line_that_breaks_is_taken_up_where_it_broke() {
    let (site, store, to) = (files(), in_memory(), tempfile::tempdir().unwrap());
    let offer = offer(&store, &site.path(""));
    let one = place(to.path(), "one");
    let mut from = From::new(&store, &offer);
    from.failures = AtomicUsize::new(2);
    laid(&from, &one, &[]).unwrap();
    assert_eq!(seen(&one.folder), seen(&site.path("")));
    make_removable(&one.folder);
    from.failures = AtomicUsize::new(usize::MAX);
    let refused = laid(&from, &place(to.path(), "two"), &[]);
    assert!(matches!(refused, Err(Error::Read { .. })), "{refused:?}");
}

#[test]
fn chunks_that_are_not_what_was_asked_for_are_refused() {
    let (site, store, to) = (files(), in_memory(), tempfile::tempdir().unwrap());
    let offer = offer(&store, &site.path(""));
    let cases: [fn(Vec<u8>) -> Vec<u8>; 3] = [
        // One byte of the last frame differs.
        |mut bytes| {
            let at = bytes.len() - 40;
            bytes[at] ^= 1;
            bytes
        },
        |bytes| [&bytes[..], &bytes[..]].concat(),
        |mut bytes| {
            bytes.truncate(bytes.len() - 1);
            bytes
        },
    ];
    for (number, change) in cases.into_iter().enumerate() {
        let one = place(to.path(), &format!("{number}"));
        let mut from = From::new(&store, &offer);
        from.change = change;
        let refused = laid(&from, &one, &[]);
        assert!(
            matches!(refused, Err(Error::Sent(_))),
            "{number}: {refused:?}"
        );
        assert!(!one.notes.join("pieces").exists());
    }
}

#[test]
fn a_sender_that_never_sends_is_given_up() {
    let (site, store, to) = (files(), in_memory(), tempfile::tempdir().unwrap());
    let offer = offer(&store, &site.path(""));
    let mut from = From::new(&store, &offer);
    from.change = |_| Vec::new();
    let refused = laid(&from, &place(to.path(), "one"), &[]);
    assert!(matches!(refused, Err(Error::Sent(_))), "{refused:?}");
}

#[test]
fn notes_that_are_damaged_cost_no_more_than_the_way() {
    let (site, store, to) = (files(), in_memory(), tempfile::tempdir().unwrap());
    let offer = offer(&store, &site.path(""));
    let one = place(to.path(), "one");
    laid(&From::new(&store, &offer), &one, &[]).unwrap();
    for name in ["pieces", "files.jsonl"] {
        let path = one.notes.join(name);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..].rotate_left(5);
        fs::write(&path, bytes).unwrap();
        let two = place(to.path(), name);
        laid(&From::new(&store, &offer), &two, std::slice::from_ref(&one)).unwrap();
        assert_eq!(seen(&two.folder), seen(&site.path("")));
        make_removable(&two.folder);
    }
    make_removable(&one.folder);
}

/// Another store, whose answers wait until a second question is on its way.
struct Together<'a> {
    from: From<'a>,
    questions: Mutex<usize>,
    second: Condvar,
}

impl Supply for Together<'_> {
    fn chunks(&self, wanted: &[Id]) -> io::Result<Box<dyn Read + '_>> {
        // The list of files comes alone.
        let list = &self.from.offer.tree().list.chunks;
        let is_list = wanted.iter().all(|id| list.contains(id));
        if !is_list {
            let mut questions = self.questions.lock().unwrap();
            *questions += 1;
            self.second.notify_all();
            let waited = self
                .second
                .wait_timeout_while(questions, PATIENCE, |questions| *questions < 2);
            assert!(!waited.unwrap().1.timed_out(), "nothing else is asked for");
        }
        self.from.chunks(wanted)
    }

    fn is_over(&self) -> bool {
        false
    }
}

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn more_is_asked_for_while_an_answer_is_waited_for() {
    let (store, to) = (in_memory(), tempfile::tempdir().unwrap());
    let site = Site::with(&[]);
    // More chunks than are asked for at once.
    for number in 0..4_000 {
        let path = format!("{}/{number}", number / 500);
        site.write(&path, format!("the file {number}").as_bytes());
    }
    let offer = offer(&store, &site.path(""));
    let place = place(to.path(), "one");
    let together = Together {
        from: From::new(&store, &offer),
        questions: Mutex::new(0),
        second: Condvar::new(),
    };
    let wanted = Lay {
        offer: &offer,
        into: &place.folder,
        notes: &place.notes,
        earlier: &[],
    };
    let done = lay(&wanted, &together).unwrap();
    assert_eq!(done.fetched_chunks, offer.chunks().len() as u64);
    assert_eq!(seen(&place.folder), seen(&site.path("")));
    make_removable(&place.folder);
}
