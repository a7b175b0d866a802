use super::{Site, Use, at, in_memory};
use crate::{Found, SaveOutcome};

#[test]
fn a_key_is_never_written_twice() {
    let store = in_memory();
    Use::key("k")
        .save(&store, &Site::with(&[("target/a", b"first")]))
        .unwrap();
    let again = Use::key("k")
        .save(&store, &Site::with(&[("target/a", b"second")]))
        .unwrap();
    assert_eq!(again.outcome, SaveOutcome::Unchanged);
    let to = Site::new();
    Use::key("k").restore(&store, &to).unwrap();
    assert_eq!(to.read("target/a"), b"first");
}

#[test]
fn the_entry_without_a_key_is_replaced_when_it_differs() {
    let store = in_memory();
    let site = Site::with(&[("target/a", b"first")]);
    let using = Use::new(None);
    assert_eq!(
        using.save(&store, &site).unwrap().outcome,
        SaveOutcome::Saved
    );
    assert_eq!(
        using.save(&store, &site).unwrap().outcome,
        SaveOutcome::Unchanged
    );
    site.write("target/a", b"second");
    assert_eq!(
        using.save(&store, &site).unwrap().outcome,
        SaveOutcome::Saved
    );
    let to = Site::new();
    assert_eq!(using.restore(&store, &to).unwrap().found, Found::Exact);
    assert_eq!(to.read("target/a"), b"second");
    assert_eq!(store.list(at(90)).unwrap().len(), 1);
}

#[test]
fn an_entry_without_a_key_is_no_answer_to_a_key_nor_the_other_way() {
    let store = in_memory();
    Use::new(None)
        .save(&store, &Site::with(&[("target/a", b"x")]))
        .unwrap();
    let keyed = Use::key("k").falling_back(&["k", ""]);
    assert_eq!(
        keyed.restore(&store, &Site::new()).unwrap().found,
        Found::Miss
    );
    let store = in_memory();
    Use::key("k")
        .save(&store, &Site::with(&[("target/a", b"x")]))
        .unwrap();
    assert_eq!(
        Use::new(None).restore(&store, &Site::new()).unwrap().found,
        Found::Miss
    );
}

#[test]
fn fallback_keys_are_prefixes_in_order_and_the_newest_match_wins() {
    let store = in_memory();
    for (key, now_ms) in [
        ("npm-a-1", 10),
        ("npm-a-2", 30),
        ("npm-b-1", 50),
        ("old", 90),
    ] {
        let site = Site::with(&[("target/key", key.as_bytes())]);
        Use::key(key).at(now_ms).save(&store, &site).unwrap();
    }
    let rows: [(&[&str], Option<&str>); 6] = [
        (&["npm-a-", "npm-"], Some("npm-a-2")),
        (&["npm-"], Some("npm-b-1")),
        (&["yarn-", "npm-a-1"], Some("npm-a-1")),
        (&["yarn-"], None),
        (&[""], None),
        (&["", "old"], Some("old")),
    ];
    for (fallback_keys, expected) in rows {
        let to = Site::new();
        let using = Use::key("npm-c").falling_back(fallback_keys);
        let restored = using.restore(&store, &to).unwrap();
        assert_eq!(restored.key.as_deref(), expected, "{fallback_keys:?}");
        match expected {
            Some(key) => assert_eq!(to.read("target/key"), key.as_bytes()),
            None => assert_eq!(restored.found, Found::Miss),
        }
    }
    let exact = Use::key("npm-a-1").falling_back(&["npm-"]);
    assert_eq!(
        exact.restore(&store, &Site::new()).unwrap().found,
        Found::Exact
    );
}

#[test]
fn other_paths_never_match() {
    let store = in_memory();
    let site = Site::with(&[("target/a", b"x")]);
    Use::key("k").save(&store, &site).unwrap();
    let other = Use::key("k")
        .falling_back(&["k"])
        .paths(&["target", "more"]);
    assert_eq!(
        other.restore(&store, &Site::new()).unwrap().found,
        Found::Miss
    );
    assert_eq!(
        other.save(&store, &site).unwrap().outcome,
        SaveOutcome::Saved
    );
}

#[test]
fn an_absolute_path_into_the_source_follows_the_source() {
    let store = in_memory();
    let using = Use::key("k").paths(&["/src/target/**/*"]);
    using
        .save(&store, &Site::with(&[("target/a", b"x")]))
        .unwrap();
    let moved = Site::with(&[("elsewhere/.keep", b"")]);
    let restored = store
        .restore(&crate::Restore {
            lookup: crate::Lookup {
                project: "project",
                key: Some("k"),
                fallback_keys: &[],
                paths: &["/src/elsewhere/target/**/*".to_string()],
                base: std::path::Path::new("/src/elsewhere"),
                now: at(5),
            },
            root: &moved.root,
        })
        .unwrap();
    assert_eq!(restored.found, Found::Exact);
    assert_eq!(moved.read("elsewhere/target/a"), b"x");
}

#[test]
fn an_empty_key_or_project_is_refused() {
    let error = Use::key("").save(&in_memory(), &Site::new()).unwrap_err();
    assert!(error.to_string().contains("may not be empty"), "{error}");
}

#[test]
fn the_list_shows_what_was_saved_and_when_it_was_used() {
    let store = in_memory();
    let site = Site::with(&[("target/a", b"12345"), ("target/b", b"123")]);
    Use::key("k").at(10).save(&store, &site).unwrap();
    Use::key("k").at(70).restore(&store, &Site::new()).unwrap();
    let entries = store.list(at(90)).unwrap();
    let [entry] = entries.as_slice() else {
        panic!("{entries:?}")
    };
    assert_eq!(
        (entry.project.as_str(), entry.key.as_deref()),
        ("project", Some("k"))
    );
    assert_eq!((entry.files, entry.logical_bytes), (2, 8));
    assert_eq!((entry.created.millis(), entry.last_used.millis()), (10, 70));
    assert_eq!(entry.paths, ["target"]);
    assert!(entry.stored_bytes > 8);
}
