use std::cell::RefCell;

use super::*;
use crate::records::lookup::By;

#[test]
fn the_exact_key_is_preferred_to_newer_prefixes() {
    let bucket = Bucket::new();
    bucket.put(&record("npm-1", 1));
    bucket.put(&record("npm-1-newer", 9));
    let looked = bucket.find(Some("npm-1"), &["npm-"]);
    assert_eq!(looked.found.as_ref().unwrap().by, By::Key);
    assert_eq!(
        looked.found.as_ref().unwrap().name,
        record("npm-1", 1).name()
    );
    assert_eq!(key_of(&looked).as_deref(), Some("npm-1"));
    assert_eq!(
        bucket.find(Some("npm-2"), &["npm-"]).found.unwrap().by,
        By::FallbackKey
    );
}

#[test]
fn fallback_keys_are_asked_in_order_and_the_newest_of_one_wins() {
    let bucket = Bucket::new();
    for (key, created) in [
        ("npm-a-1", 10),
        ("npm-a-2", 30),
        ("npm-b-1", 50),
        ("old", 90),
        ("old-", 90),
    ] {
        bucket.put(&record(key, created));
    }
    let rows: [(&[&str], Option<&str>); 7] = [
        (&["npm-a-", "npm-"], Some("npm-a-2")),
        (&["npm-"], Some("npm-b-1")),
        (&["yarn-", "npm-a-1"], Some("npm-a-1")),
        (&["", "npm-a"], Some("npm-a-2")),
        (&["yarn-"], None),
        (&["old"], Some("old-")),
        (&[], None),
    ];
    for (prefixes, found) in rows {
        assert_eq!(
            bucket.found(Some("none"), prefixes).as_deref(),
            found,
            "{prefixes:?}"
        );
    }
}

#[test]
fn the_own_scope_is_asked_before_trusted_for_the_key_and_for_each_prefix() {
    let bucket = Bucket::new();
    let of_fork = |key, created| in_scope("fork/1", record(key, created));
    bucket.put_as(&bucket.forks, &of_fork("both", 1));
    bucket.put_as(&bucket.forks, &of_fork("a-fork", 1));
    bucket.put_as(&bucket.forks, &of_fork("b-fork", 9));
    for (key, created) in [("both", 9), ("a-trusted", 5), ("c-trusted", 9), ("only", 1)] {
        bucket.put(&record(key, created));
    }
    let rows: [(&str, &[&str], &str, &str); 6] = [
        ("both", &[], "both", "fork/1"),
        ("only", &["b-"], "only", "trusted"),
        ("none", &["a-"], "a-fork", "fork/1"),
        ("none", &["a-t", "b-"], "a-trusted", "trusted"),
        ("none", &["c-", "b-"], "c-trusted", "trusted"),
        ("none", &["x", "b"], "b-fork", "fork/1"),
    ];
    for (key, prefixes, found, of) in rows {
        let looked = bucket
            .find_if(&fork("fork/1"), Some(key), prefixes, |_| Ok(true))
            .unwrap();
        let record = looked.found.unwrap().record;
        assert_eq!(
            (record.key.as_deref(), record.scope.as_str()),
            (Some(found), of)
        );
    }
}

#[test]
fn no_key_and_a_key_are_no_answer_to_each_other() {
    let bucket = Bucket::new();
    bucket.put(&without_key(1));
    assert_eq!(bucket.found(Some("-"), &["-", "c"]), None);
    assert_eq!(bucket.found(None, &[]).as_deref(), Some("-"));
    let bucket = Bucket::new();
    bucket.put(&record("k", 1));
    assert_eq!(bucket.found(None, &["k"]), None);
}

#[test]
fn other_paths_other_projects_and_other_spaces_never_match() {
    let bucket = Bucket::new();
    let paths = vec!["other".to_owned()];
    bucket.put(&Record {
        version: version_of_paths(&paths),
        paths,
        ..record("k", 1)
    });
    bucket.put(&Record {
        project: "other".into(),
        ..record("k", 1)
    });
    bucket.put(&Record {
        space: "ccache".parse().unwrap(),
        ..record("k", 1)
    });
    assert_eq!(bucket.found(Some("k"), &["k"]), None);
}

#[test]
fn a_record_whose_contents_are_gone_gives_way_to_the_next() {
    let bucket = Bucket::new();
    for (key, created) in [("k", 9), ("k-1", 8), ("k-2", 7), ("k-3", 6)] {
        bucket.put(&record(key, created));
    }
    let asked = RefCell::new(Vec::new());
    let usable = |record: &Record| {
        asked.borrow_mut().push(record.key.clone().unwrap());
        match record.key.as_deref() {
            Some("k") => Ok(false),
            Some("k-1") => Err(Error::Damaged {
                object: "v2/trees/x".into(),
                reason: "torn".into(),
            }),
            _ => Ok(true),
        }
    };
    let looked = bucket
        .find_if(&Scopes::trusted(), Some("k"), &["k-", "k"], usable)
        .unwrap();
    assert_eq!(key_of(&looked).as_deref(), Some("k-2"));
    assert_eq!(
        *asked.borrow(),
        ["k", "k-1", "k-2"],
        "each is asked for once, best first"
    );
    let reasons: Vec<&str> = looked
        .skipped
        .iter()
        .map(|skipped| skipped.reason.as_str())
        .collect();
    assert!(
        reasons[0].contains("is gone") && reasons[1].contains("torn"),
        "{reasons:?}"
    );
    assert!(looked.skipped.iter().all(|skipped| skipped.is_damaged));
}

#[test]
fn damaged_and_distrusted_records_give_way_to_the_next_with_a_reason_each() {
    let bucket = Bucket::new();
    let damaged = bucket.put(&record("k", 9));
    bucket.objects.put(&damaged, b"torn".to_vec()).unwrap();
    let forged = bucket.put_as(&signer(), &record("k-forged", 8));
    bucket.put(&record("k-good", 1));
    let looked = bucket.find(Some("k"), &["k"]);
    assert_eq!(key_of(&looked).as_deref(), Some("k-good"));
    let mut skipped: Vec<_> = looked
        .skipped
        .iter()
        .map(|skipped| (skipped.object.clone(), skipped.is_damaged))
        .collect();
    skipped.sort();
    let mut expected = vec![(damaged.to_string(), true), (forged.to_string(), false)];
    expected.sort();
    assert_eq!(skipped, expected);
}

#[test]
fn an_answer_that_cannot_be_had_is_an_error_and_no_miss() {
    let bucket = Bucket::new();
    bucket.put(&record("k", 1));
    let failing = |_: &Record| Err(Error::Busy { waited_ms: 1 });
    let error = bucket
        .find_if(&Scopes::trusted(), Some("k"), &[], failing)
        .unwrap_err();
    assert!(matches!(error, Error::Busy { .. }));
}
