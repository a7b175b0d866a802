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

use super::{ROOMY, Site, Use, noise};
use crate::{Found, Store};

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

fn site(seed: u64) -> Site {
    let site = Site::new();
    for number in 0..12 {
        site.write(&format!("target/{number}"), &noise(seed + number, 700_000));
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
            noise(seed + number, 700_000)
        );
    }
    Some(seed)
}

/// Saves over an older entry in a store that dies at the n-th write, for every n.
fn die_at_every_write(using: &Use, expected_old: Option<u64>) {
    let (old, new) = (site(1000), site(2000));
    for alive in 0.. {
        let inner = Arc::new(InMemory::new());
        let whole = Store::new(Arc::clone(&inner) as Arc<dyn ObjectStore>, ROOMY);
        Use::new(None).save(&whole, &old).unwrap();
        let dying = Dying::new(&inner, alive);
        let saved = using.save(&Store::new(Arc::new(dying.clone()), ROOMY), &new);
        let expected = if saved.is_ok() {
            Some(2000)
        } else {
            expected_old
        };
        assert_eq!(restored(&whole, using), expected, "died at write {alive}");
        assert_eq!(whole.verify().unwrap().damaged, [], "died at write {alive}");
        assert!(restored(&whole, &Use::new(None)).is_some());
        // What was left behind is no obstacle, and goes.
        assert!(using.save(&whole, &new).is_ok());
        whole.prune(ROOMY).unwrap();
        assert_eq!(restored(&whole, using), Some(2000));
        if !dying.died() {
            assert!(alive >= 4, "a save has several writes");
            return;
        }
        if let Err(error) = saved {
            let text = error.to_string();
            assert!(
                text.starts_with("failed to ") && text.contains("v1/"),
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

#[test]
fn a_crash_at_any_step_of_a_prune_damages_no_entry() {
    for alive in 0.. {
        let inner = Arc::new(InMemory::new());
        let whole = Store::new(Arc::clone(&inner) as Arc<dyn ObjectStore>, ROOMY);
        let sites: Vec<Site> = (0..4).map(|number| site(1000 + number * 4)).collect();
        for (key, (site, now_ms)) in ["a", "b", "c", "d"].into_iter().zip(sites.iter().zip(1..)) {
            Use::key(key).at(now_ms).save(&whole, site).unwrap();
        }
        let dying = Dying::new(&inner, alive);
        let pruned = Store::new(Arc::new(dying.clone()), ROOMY).prune(9_500_000);
        for entry in whole.list().unwrap() {
            let key = ["a", "b", "c", "d"]
                .into_iter()
                .find(|key| Some(*key) == entry.key.as_deref());
            assert!(
                restored(&whole, &Use::new(key)).is_some(),
                "step {alive}: {entry:?}"
            );
        }
        assert_eq!(whole.verify().unwrap().damaged, [], "step {alive}");
        if pruned.is_ok() {
            assert!(alive > 4, "a prune has several steps");
            assert_eq!(whole.list().unwrap()[0].key.as_deref(), Some("d"));
            return;
        }
    }
}

#[test]
fn a_store_that_cannot_be_written_still_restores_and_says_why_it_does_not_save() {
    use std::error::Error as _;
    let inner = Arc::new(InMemory::new());
    let whole = Store::new(Arc::clone(&inner) as Arc<dyn ObjectStore>, ROOMY);
    Use::key("a").save(&whole, &site(1000)).unwrap();
    let read_only = Store::new(Arc::new(Dying::new(&inner, 0)), ROOMY);
    assert_eq!(restored(&read_only, &Use::key("a")), Some(1000));
    let error = Use::key("b").save(&read_only, &site(2000)).unwrap_err();
    assert!(!error.is_damage());
    assert!(
        error
            .to_string()
            .starts_with("failed to write the cache object v1/packs/"),
        "{error}"
    );
    assert!(
        error
            .source()
            .unwrap()
            .to_string()
            .contains("no space left on device")
    );
    assert!(read_only.list().unwrap().len() == 1 && read_only.prune(0).is_err());
}

#[test]
fn temporary_files_of_a_crashed_run_are_swept_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), ROOMY).unwrap();
    Use::key("k").save(&store, &site(1000)).unwrap();
    let left = folder.path().join("v1/packs/0123#4");
    std::fs::write(&left, "half").unwrap();
    let held = store.lock.shared(0).unwrap();
    Store::open(folder.path(), ROOMY).unwrap();
    assert!(left.exists(), "somebody may be writing it");
    drop(held);
    let store = Store::open(folder.path(), ROOMY).unwrap();
    assert!(!left.exists());
    assert_eq!(restored(&store, &Use::key("k")), Some(1000));
}
