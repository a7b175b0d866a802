use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::{DAY, HALF_AN_HOUR, ROOMY, Site, Use, at, noise};
use crate::backend::Objects;
use crate::{Found, Repair, Store};

/// A store that dies: every write and removal from the `alive`-th on fails.
#[derive(Clone, Debug)]
struct Dying {
    inner: Arc<InMemory>,
    alive: Arc<AtomicU64>,
}

impl Dying {
    fn new(inner: &Arc<InMemory>, alive: u64) -> Self {
        Self {
            inner: Arc::clone(inner),
            alive: Arc::new(AtomicU64::new(alive)),
        }
    }

    fn step(&self) -> Result<()> {
        let lived = self
            .alive
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        lived.map(drop).map_err(|_zero| Error::Generic {
            store: "dying",
            source: "no space left on device".into(),
        })
    }

    fn died(&self) -> bool {
        self.alive.load(Ordering::SeqCst) == 0
    }
}

impl fmt::Display for Dying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dying")
    }
}

impl ObjectStore for Dying {
    fn put_opts<'a, 'b, 'c>(
        &'a self,
        location: &'b Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> BoxFuture<'c, Result<PutResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(async move {
            self.step()?;
            self.inner.put_opts(location, payload, opts).await
        })
    }

    fn put_multipart_opts<'a, 'b, 'c>(
        &'a self,
        location: &'b Path,
        opts: PutMultipartOptions,
    ) -> BoxFuture<'c, Result<Box<dyn MultipartUpload>>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.inner.put_multipart_opts(location, opts)
    }

    fn get_opts<'a, 'b, 'c>(
        &'a self,
        location: &'b Path,
        options: GetOptions,
    ) -> BoxFuture<'c, Result<GetResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.inner.get_opts(location, options)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let dying = self.clone();
        let alive =
            locations.map(move |location| location.and_then(|path| dying.step().map(|()| path)));
        self.inner.delete_stream(alive.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_delimiter<'a, 'b, 'c>(
        &'a self,
        prefix: Option<&'b Path>,
    ) -> BoxFuture<'c, Result<ListResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.inner.list_with_delimiter(prefix)
    }

    fn copy_opts<'a, 'b, 'c, 'd>(
        &'a self,
        from: &'b Path,
        to: &'c Path,
        options: CopyOptions,
    ) -> BoxFuture<'d, Result<()>>
    where
        'a: 'd,
        'b: 'd,
        'c: 'd,
        Self: 'd,
    {
        self.inner.copy_opts(from, to, options)
    }
}

/// The same store, its objects behind something that dies.
fn on(store: &Store, dying: Dying) -> Store {
    let mut store = store.clone();
    store.objects = Objects::new(Arc::new(dying));
    store
}

fn site(seed: u64) -> Site {
    let site = Site::new();
    for number in 0..12 {
        site.write(&format!("target/{number}"), &noise(seed + number, 100_000));
    }
    site.write("target/seed", &seed.to_le_bytes());
    site
}

/// Which site a store gives back, if any.
fn restored(store: &Store, using: &Use) -> Option<u64> {
    let to = Site::new();
    if using.restore(store, &to).unwrap().found == Found::Miss {
        return None;
    }
    let seed = u64::from_le_bytes(to.read("target/seed").try_into().unwrap());
    for number in 0..12 {
        assert_eq!(
            to.read(&format!("target/{number}")),
            noise(seed + number, 100_000)
        );
    }
    Some(seed)
}

/// Saves over an older entry in a store that dies at the n-th write, for every n.
fn die_at_every_write(using: &Use, expected_old: Option<u64>) {
    let (old, new) = (site(1000), site(2000));
    for alive in 0.. {
        let inner = Arc::new(InMemory::new());
        let whole = Store::new(Arc::clone(&inner) as Arc<dyn ObjectStore>, ROOMY).unwrap();
        Use::new(None).save(&whole, &old).unwrap();
        let dying = Dying::new(&inner, alive);
        let saved = using.save(&on(&whole, dying.clone()), &new);
        let expected = if saved.is_ok() {
            Some(2000)
        } else {
            expected_old
        };
        assert_eq!(restored(&whole, using), expected, "died at write {alive}");
        assert_eq!(
            whole.verify(Repair::No, at(11 * DAY)).unwrap().damaged,
            [],
            "died at write {alive}"
        );
        assert!(restored(&whole, &Use::new(None)).is_some());
        // What was left behind is no obstacle, and goes.
        assert!(using.save(&whole, &new).is_ok());
        whole.prune(ROOMY, at(11 * DAY)).unwrap();
        assert_eq!(restored(&whole, using), Some(2000));
        if !dying.died() {
            assert!(alive >= 4, "a save has several writes");
            return;
        }
        if let Err(error) = saved {
            let text = error.to_string();
            assert!(
                text.starts_with("failed to ") && text.contains("v2/"),
                "{text}"
            );
        }
    }
}

#[test]
fn a_crash_at_any_write_of_a_keyed_save_leaves_the_old_or_the_new_state() {
    die_at_every_write(&Use::key("k"), None);
}

#[test]
fn a_crash_at_any_write_of_a_keyless_save_leaves_the_old_or_the_new_state() {
    die_at_every_write(&Use::new(None), Some(1000));
}

/// Once to condemn, once to sweep.
fn prune_twice(store: &Store) -> Result<crate::Pruned, crate::Error> {
    store.prune(1_400_000, at(10 * DAY))?;
    store.prune(1_400_000, at(10 * DAY + HALF_AN_HOUR))
}

#[test]
fn a_crash_at_any_step_of_a_prune_damages_no_entry() {
    for alive in 0.. {
        let inner = Arc::new(InMemory::new());
        let whole = Store::new(Arc::clone(&inner) as Arc<dyn ObjectStore>, ROOMY).unwrap();
        let sites: Vec<Site> = (0..4).map(|number| site(1000 + number * 4)).collect();
        for (key, (site, now_ms)) in ["a", "b", "c", "d"].into_iter().zip(sites.iter().zip(1..)) {
            Use::key(key).at(now_ms * DAY).save(&whole, site).unwrap();
        }
        let dying = Dying::new(&inner, alive);
        let pruned = prune_twice(&on(&whole, dying.clone()));
        for entry in whole.list(at(11 * DAY)).unwrap() {
            let key = ["a", "b", "c", "d"]
                .into_iter()
                .find(|key| Some(*key) == entry.key.as_deref());
            assert!(
                restored(&whole, &Use::new(key)).is_some(),
                "step {alive}: {entry:?}"
            );
        }
        assert_eq!(
            whole.verify(Repair::No, at(11 * DAY)).unwrap().damaged,
            [],
            "step {alive}"
        );
        if pruned.is_ok() {
            assert!(alive > 6, "a prune has several steps");
            assert_eq!(
                whole.list(at(11 * DAY)).unwrap()[0].key.as_deref(),
                Some("d")
            );
            return;
        }
    }
}

#[test]
fn a_store_that_cannot_be_written_still_restores_and_says_why_it_does_not_save() {
    use std::error::Error as _;
    let inner = Arc::new(InMemory::new());
    let whole = Store::new(Arc::clone(&inner) as Arc<dyn ObjectStore>, ROOMY).unwrap();
    Use::key("a").save(&whole, &site(1000)).unwrap();
    let read_only = on(&whole, Dying::new(&inner, 0));
    assert_eq!(restored(&read_only, &Use::key("a")), Some(1000));
    let error = Use::key("b").save(&read_only, &site(2000)).unwrap_err();
    assert!(!error.is_damage());
    assert!(
        error
            .to_string()
            .starts_with("failed to write the cache object v2/leases/"),
        "{error}"
    );
    assert!(
        error
            .source()
            .unwrap()
            .to_string()
            .contains("no space left on device")
    );
    assert!(
        read_only.list(at(11 * DAY)).unwrap().len() == 1
            && read_only.prune(0, at(11 * DAY)).is_err()
    );
}

#[test]
fn temporary_files_of_a_crashed_run_are_swept_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), ROOMY).unwrap();
    Use::key("k").save(&store, &site(1000)).unwrap();
    let left = folder.path().join("v2/packs/0123#4");
    std::fs::write(&left, "half").unwrap();
    let held = store.lock.shared(0).unwrap();
    Store::open(folder.path(), ROOMY).unwrap();
    assert!(left.exists(), "somebody may be writing it");
    drop(held);
    let store = Store::open(folder.path(), ROOMY).unwrap();
    assert!(!left.exists());
    assert_eq!(restored(&store, &Use::key("k")), Some(1000));
}
