use std::fs;

use super::*;
use crate::records::SKEW_MS;
use crate::records::seen::Sight;

const HOUR: u64 = 3_600_000;

/// A bucket read by a machine that remembers.
fn remembering() -> (Bucket, tempfile::TempDir) {
    let local = tempfile::tempdir().unwrap();
    let seen = Some(Seen::in_folder(local.path()));
    (
        Bucket {
            seen,
            ..Bucket::new()
        },
        local,
    )
}

fn sight(created: u64) -> Sight {
    Sight {
        created: at(created),
        hash: Id::of(&created.to_le_bytes()),
    }
}

#[test]
fn an_older_record_replayed_over_a_newer_one_is_refused_where_the_newer_was_seen() {
    let (bucket, _local) = remembering();
    let other_space = |created| Record {
        space: "bazel/ac".parse().unwrap(),
        ..record("k", created)
    };
    for make in [without_key, other_space] {
        let name = bucket.put(&make(HOUR));
        assert!(bucket.read(&name).unwrap().is_some());
        bucket.put(&make(9 * HOUR));
        assert!(bucket.read(&name).unwrap().is_some());
        bucket.put(&make(HOUR));
        assert!(untrusted(bucket.read(&name)).contains("put it back"));
        bucket.put(&make(10 * HOUR));
        assert!(bucket.read(&name).unwrap().is_some());
    }
}

#[test]
fn a_record_that_was_seen_and_replaced_is_refused_however_young_it_is() {
    let (bucket, _local) = remembering();
    let name = without_key(0).name();
    for created in 1..=30 {
        bucket.put(&without_key(HOUR + created));
        assert!(bucket.read(&name).unwrap().is_some());
        assert!(bucket.read(&name).unwrap().is_some(), "again");
    }
    for created in 22..=29 {
        bucket.put(&without_key(HOUR + created));
        assert!(
            untrusted(bucket.read(&name)).contains("put it back"),
            "{created}"
        );
    }
    bucket.put(&without_key(HOUR + 30));
    assert!(bucket.read(&name).unwrap().is_some());
}

#[test]
fn a_replayed_record_is_a_miss_with_a_reason() {
    let (bucket, _local) = remembering();
    bucket.put(&without_key(9 * HOUR));
    assert_eq!(bucket.found(None, &[]).as_deref(), Some("-"));
    bucket.put(&without_key(HOUR));
    let looked = bucket.find(None, &[]);
    assert_eq!(looked.found, None);
    assert!(looked.skipped[0].reason.contains("put it back"));
    assert!(!looked.skipped[0].is_damaged);
}

#[test]
fn a_key_of_a_build_is_written_once_and_needs_no_memory() {
    let (bucket, local) = remembering();
    let name = bucket.put(&record("k", 9 * HOUR));
    assert!(bucket.read(&name).unwrap().is_some());
    bucket.put(&record("k", HOUR));
    assert!(bucket.read(&name).unwrap().is_some());
    assert!(!local.path().join("seen").exists());
}

#[test]
fn clocks_ten_minutes_apart_cost_nobody_a_record() {
    let (bucket, _local) = remembering();
    let name = bucket.put(&without_key(9 * HOUR));
    bucket.read(&name).unwrap();
    bucket.put(&without_key(9 * HOUR - SKEW_MS));
    assert!(bucket.read(&name).unwrap().is_some());
    bucket.put(&without_key(9 * HOUR - SKEW_MS - 1));
    assert!(untrusted(bucket.read(&name)).contains("older"));
}

#[test]
fn a_record_from_the_future_does_not_shut_out_those_of_today() {
    let (bucket, _local) = remembering();
    let now = bucket.reader().now.millis();
    let name = bucket.put(&without_key(now + HOUR));
    assert!(bucket.read(&name).unwrap().is_some());
    bucket.put(&without_key(now));
    assert!(bucket.read(&name).unwrap().is_some());
}

#[test]
fn a_lost_or_spoilt_note_unprotects_only_itself() {
    let local = tempfile::tempdir().unwrap();
    let seen = Seen::in_folder(local.path());
    let names = [without_key(1).name(), record("k", 1).name()];
    for name in &names {
        seen.admit(name, sight(9 * HOUR), at(9 * HOUR)).unwrap();
    }
    let spoil = |bytes: &[u8]| {
        let id = Id::of_name("croft cache 2026 seen", names[0].as_ref().as_bytes()).to_string();
        fs::write(local.path().join("seen").join(&id[..2]).join(id), bytes).unwrap();
    };
    for bytes in [&b""[..], b"\xff\n", b"12", b"99999999999999999999999 x\n"] {
        spoil(bytes);
        seen.admit(&names[0], sight(HOUR), at(9 * HOUR)).unwrap();
        untrusted(seen.admit(&names[1], sight(HOUR), at(9 * HOUR)));
    }
    // What was seen since counts again.
    seen.admit(&names[0], sight(8 * HOUR), at(9 * HOUR))
        .unwrap();
    untrusted(seen.admit(&names[0], sight(HOUR), at(9 * HOUR)));
}

#[test]
fn a_folder_that_cannot_be_written_refuses_nothing() {
    let local = tempfile::tempdir().unwrap();
    fs::write(local.path().join("seen"), "a file in the way").unwrap();
    let seen = Seen::in_folder(local.path());
    seen.admit(&record("k", 1).name(), sight(1), at(1)).unwrap();
}

#[test]
fn trimming_forgets_what_was_noted_longest_ago() {
    let local = tempfile::tempdir().unwrap();
    let seen = Seen::in_folder(local.path());
    for nth in 0..20 {
        seen.admit(
            &record(&nth.to_string(), 1).name(),
            sight(9 * HOUR),
            at(9 * HOUR),
        )
        .unwrap();
    }
    assert_eq!(seen.trim(20), 0);
    assert_eq!(seen.trim(5), 15);
    assert_eq!(seen.trim(0), 5);
}
