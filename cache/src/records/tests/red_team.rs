use super::*;

/// The bytes of an envelope around that JSON, signed by `signer` and sealed rightly: what an enemy can make.
fn envelope(signer: &Signer, json: &str) -> Vec<u8> {
    let context = croft_keys::Context::new("croft cache 2026 record");
    let signature = signer.sign(context, json.as_bytes());
    resealed(
        &format!("croft-record 2 {} {signature}", signer.key_id()),
        json,
    )
}

fn resealed(envelope: &str, json: &str) -> Vec<u8> {
    let seal = Id::of_name(
        "croft cache 2026 record seal",
        format!("{envelope}\n{json}").as_bytes(),
    );
    format!("{envelope} {seal}\n{json}").into_bytes()
}

/// The envelope without its seal, and the JSON.
fn parts(bytes: &[u8]) -> (String, String) {
    let text = str::from_utf8(bytes).unwrap();
    let (line, json) = text.split_once('\n').unwrap();
    let (envelope, _seal) = line.rsplit_once(' ').unwrap();
    (envelope.into(), json.into())
}

fn json_of(record: &Record) -> String {
    serde_json::to_string(record).unwrap()
}

#[test]
fn a_forged_record_of_an_unknown_key_is_refused() {
    let bucket = Bucket::new();
    let name = bucket.put_as(&signer(), &record("k", 1));
    assert!(untrusted(bucket.read(&name)).contains("in no keyring"));
    assert_eq!(bucket.found(Some("k"), &["k"]), None);
}

#[test]
fn a_record_that_names_a_known_key_but_is_signed_by_another_is_refused() {
    let bucket = Bucket::new();
    let (forged, json) = parts(&sealed::seal(&record("k", 1), &signer()).unwrap());
    let signature = forged.rsplit_once(' ').unwrap().1;
    let envelope = format!("croft-record 2 {} {signature}", bucket.farm.key_id());
    let name = record("k", 1).name();
    bucket
        .objects
        .put(&name, resealed(&envelope, &json))
        .unwrap();
    assert!(untrusted(bucket.read(&name)).contains("signature is not that of"));
}

#[test]
fn json_that_was_tampered_with_and_sealed_again_is_refused() {
    let bucket = Bucket::new();
    let name = bucket.put(&record("k", 1));
    let (envelope, json) = parts(&sealed::seal(&record("k", 1), &bucket.farm).unwrap());
    let rows = [
        json.replace(&Id::of(b"k").to_string(), &Id::of(b"evil").to_string()),
        json.replace("\"files\":3", "\"files\":4"),
        json.replace("{\"croft", "{ \"croft"),
        format!("{json} "),
    ];
    for tampered in rows {
        bucket
            .objects
            .put(&name, resealed(&envelope, &tampered))
            .unwrap();
        assert!(
            untrusted(bucket.read(&name)).contains("signature"),
            "{tampered}"
        );
    }
}

#[test]
fn a_signature_made_for_another_purpose_is_refused() {
    let bucket = Bucket::new();
    let json = json_of(&record("k", 1));
    let purposes = [
        croft_keys::Context::new("croft cache 2026 lease"),
        croft_keys::Context::new(""),
    ];
    for purpose in purposes {
        let signature = bucket.farm.sign(purpose, json.as_bytes());
        let envelope = format!("croft-record 2 {} {signature}", bucket.farm.key_id());
        let opened = sealed::open(
            &record("k", 1).name(),
            &resealed(&envelope, &json),
            &bucket.keyring,
        );
        assert!(untrusted(opened).contains("signature"));
    }
}

#[test]
fn a_signed_record_replayed_onto_another_name_is_refused() {
    let bucket = Bucket::new();
    let good = record("k", 1);
    let bytes = sealed::seal(&good, &bucket.farm).unwrap();
    let paths = vec!["other".to_owned()];
    let elsewhere = [
        record("other-key", 1),
        Record {
            key: None,
            ..good.clone()
        },
        Record {
            project: "other".into(),
            ..good.clone()
        },
        Record {
            space: "ccache".parse().unwrap(),
            ..good.clone()
        },
        Record {
            version: version_of_paths(&paths),
            paths,
            ..good.clone()
        },
    ];
    for other in elsewhere {
        bucket.objects.put(&other.name(), bytes.clone()).unwrap();
        assert!(untrusted(bucket.read(&other.name())).contains("another name"));
    }
    assert_eq!(bucket.found(Some("other-key"), &["other"]), None);
}

#[test]
fn a_record_copied_into_another_scope_is_refused() {
    let bucket = Bucket::new();
    let made = in_scope("fork/1", record("k", 1));
    let bytes = sealed::seal(&made, &bucket.forks).unwrap();
    for target in ["trusted", "fork/2"] {
        let name = in_scope(target, made.clone()).name();
        bucket.objects.put(&name, bytes.clone()).unwrap();
        assert!(untrusted(bucket.read(&name)).contains("another name"));
    }
    assert_eq!(bucket.found(Some("k"), &["k"]), None);
}

#[test]
fn a_key_of_forks_that_signs_for_trusted_is_refused() {
    let bucket = Bucket::new();
    let name = bucket.put_as(&bucket.forks, &record("k", 1));
    assert!(untrusted(bucket.read(&name)).contains("may not sign for its scope"));
    let looked = bucket.find(Some("k"), &["k"]);
    assert_eq!(looked.found, None);
    assert_eq!(looked.skipped.len(), 1);
    assert!(!looked.skipped[0].is_damaged, "a reader must not remove it");
    let name = bucket.put_as(&bucket.farm, &in_scope("fork/1", record("k", 1)));
    assert!(untrusted(bucket.read(&name)).contains("may not sign for its scope"));
}

#[test]
fn a_fork_cannot_be_answered_by_another_fork() {
    let bucket = Bucket::new();
    bucket.put_as(&bucket.forks, &in_scope("fork/1", record("k", 1)));
    let look = |scopes: &Scopes| {
        bucket
            .find_if(scopes, Some("k"), &["k"], |_| Ok(true))
            .unwrap()
    };
    assert_eq!(look(&fork("fork/2")).found, None);
    assert_eq!(look(&fork("fork/1/x")).found, None);
    assert_eq!(key_of(&look(&fork("fork/1"))).as_deref(), Some("k"));
}

#[test]
fn fallback_keys_are_texts_and_never_paths() {
    let bucket = Bucket::new();
    for (key, created) in [("a/../b", 1), ("b", 2), ("/etc", 3), ("%2e%2e", 4)] {
        bucket.put(&record(key, created));
    }
    let rows = [
        ("a", Some("a/../b")),
        ("a/../b", Some("a/../b")),
        ("a/./../b", None),
        ("a/../../", None),
        ("b", Some("b")),
        ("./b", None),
        ("../", None),
        ("..", None),
        ("*", None),
        ("%", Some("%2e%2e")),
        ("/", Some("/etc")),
    ];
    for (prefix, found) in rows {
        assert_eq!(
            bucket.found(Some("none"), &[prefix]).as_deref(),
            found,
            "{prefix}"
        );
    }
}

#[test]
fn a_prefix_of_another_projects_key_finds_nothing() {
    let bucket = Bucket::new();
    let others = ["other", "app/", "app\0", "ap", "appa", "../app"];
    for project in others {
        let theirs = Record {
            project: project.into(),
            ..record("secret-1", 9)
        };
        bucket.put(&theirs);
    }
    assert_eq!(bucket.found(Some("secret-1"), &["secret-", "s"]), None);
}

#[test]
fn an_empty_prefix_is_skipped_and_no_key_means_no_fallback() {
    let bucket = Bucket::new();
    bucket.put(&record("k", 1));
    assert_eq!(bucket.found(Some("none"), &["", ""]), None);
    assert_eq!(bucket.found(None, &["k"]), None);
    assert_eq!(bucket.found(Some(""), &[""]), None);
}

#[test]
fn keys_with_newlines_and_nuls_are_just_other_keys() {
    let bucket = Bucket::new();
    let keys = [
        "k",
        "k\n",
        "k\0",
        "k\0x",
        "k\r\n",
        "\u{1b}[2J",
        "k\ntrusted",
    ];
    for (nth, key) in keys.iter().enumerate() {
        bucket.put(&record(key, nth as u64));
    }
    for key in keys {
        assert_eq!(bucket.found(Some(key), &[]).as_deref(), Some(key));
    }
    assert_eq!(
        bucket.found(Some("none"), &["k\0"]).as_deref(),
        Some("k\0x")
    );
    assert_eq!(bucket.found(Some("none"), &["\n"]), None);
}

#[test]
fn tricks_with_the_version_field_are_refused() {
    let bucket = Bucket::new();
    let name = record("k", 1).name();
    let json = json_of(&record("k", 1));
    let rows = [
        "2.0",
        "2e0",
        "\"2\"",
        "-2",
        "null",
        "[2]",
        "4294967298",
        "{}",
        "02",
    ];
    for version in rows {
        let json = json.replace("\"croftRecord\":2", &format!("\"croftRecord\":{version}"));
        let opened = sealed::open(&name, &envelope(&bucket.farm, &json), &bucket.keyring);
        assert!(untrusted(opened).contains("no record"), "{version}");
    }
    let missing = json.replace("\"croftRecord\":2,", "");
    let opened = sealed::open(&name, &envelope(&bucket.farm, &missing), &bucket.keyring);
    assert!(untrusted(opened).contains("croftRecord"));
}

#[test]
fn a_later_format_is_named_as_not_understood_and_never_as_damage() {
    let bucket = Bucket::new();
    let name = record("k", 1).name();
    let json =
        json_of(&record("k", 1)).replace("\"croftRecord\":2", "\"croftRecord\":3,\"new\":[]");
    let inner = envelope(&bucket.farm, &json);
    let (line, _) = parts(&inner);
    let outer = resealed(&line.replace("croft-record 2", "croft-record 3"), &json);
    for bytes in [inner, outer] {
        let error = sealed::open(&name, &bytes, &bucket.keyring).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("is not understood: it has format 3"),
            "{error}"
        );
        assert!(error.is_unusable() && !error.is_damage());
    }
    // Nor does an unknown signer get to say what formats there are.
    let json = json_of(&record("k", 1)).replace("\"croftRecord\":2", "\"croftRecord\":3");
    untrusted(sealed::open(
        &name,
        &envelope(&signer(), &json),
        &bucket.keyring,
    ));
}

#[test]
fn an_oversized_record_is_refused() {
    let bucket = Bucket::new();
    let long = Record {
        producer: "x".repeat(64 * 1024),
        ..record("k", 1)
    };
    let error = sealed::seal(&long, &bucket.farm).unwrap_err();
    assert!(
        error.to_string().contains("longer than 65536 bytes"),
        "{error}"
    );
    let signed = envelope(&bucket.farm, &json_of(&long));
    assert!(untrusted(sealed::open(&long.name(), &signed, &bucket.keyring)).contains("larger"));
    let huge = vec![b' '; (4 << 20) + 1];
    let name = record("k", 1).name();
    assert!(
        sealed::open(&name, &huge, &bucket.keyring)
            .unwrap_err()
            .is_damage()
    );
    bucket.objects.put(&name, huge).unwrap();
    assert!(bucket.read(&name).unwrap_err().is_damage());
    assert!(bucket.find(Some("k"), &[]).skipped[0].is_damaged);
}

#[test]
fn the_record_of_a_long_content_may_be_larger() {
    let bucket = Bucket::new();
    let content = |chunks: usize| Record {
        space: "bazel/cas".parse().unwrap(),
        outcome: Outcome::Content {
            size_bytes: (chunks as u64) << 20,
            chunks: vec![Id::of(b"chunk"); chunks],
        },
        ..record("k", 1)
    };
    let name = bucket.put(&content(60_000));
    assert_eq!(bucket.read(&name).unwrap(), Some(content(60_000)));
    assert!(sealed::seal(&content(70_000), &bucket.farm).is_err());
}

#[test]
fn fields_that_are_there_twice_or_unknown_are_refused() {
    let bucket = Bucket::new();
    let json = json_of(&record("k", 1));
    let rows = [
        (
            "{\"croftRecord\":2",
            "{\"croftRecord\":2,\"croftRecord\":2",
            "duplicate field",
        ),
        (
            "\"key\":\"k\"",
            "\"key\":\"k\",\"key\":\"other\"",
            "duplicate field",
        ),
        (
            "\"scope\":",
            "\"scope\":\"fork/1\",\"scope\":",
            "duplicate field",
        ),
        (
            "\"outcome\":{",
            "\"outcome\":{\"content\":{\"sizeBytes\":0,\"chunks\":[]},",
            "expected",
        ),
        ("{\"id\":", "{\"extra\":1,\"id\":", "unknown field"),
        ("\"files\":3", "\"files\":3,\"extra\":null", "unknown field"),
        ("\"trusted\"", "\"../trusted\"", "names no scope"),
        ("\"build\"", "\"Build\"", "a space is"),
    ];
    for (from, to, reason) in rows {
        assert!(json.contains(from), "{from}");
        let signed = envelope(&bucket.farm, &json.replacen(from, to, 1));
        let refused = untrusted(sealed::open(
            &record("k", 1).name(),
            &signed,
            &bucket.keyring,
        ));
        assert!(refused.contains(reason), "{to}: {refused}");
    }
}

#[test]
fn a_signed_record_whose_version_is_not_that_of_its_paths_is_refused() {
    let bucket = Bucket::new();
    let wrong = Record {
        paths: vec!["/etc".into()],
        ..record("k", 1)
    };
    let signed = envelope(&bucket.farm, &json_of(&wrong));
    assert!(untrusted(sealed::open(&wrong.name(), &signed, &bucket.keyring)).contains("paths"));
}

#[test]
fn a_sweeper_keeps_what_a_stranger_signed() {
    let strange = record("k", 1);
    let bytes = sealed::seal(&strange, &signer()).unwrap();
    assert_eq!(
        sealed::open_to_keep(&strange.name(), &bytes).unwrap(),
        strange
    );
}
