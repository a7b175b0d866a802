use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn act(nth: u64) -> AuditAct {
    AuditAct {
        at_ms: 1_700_000_000_000 + nth,
        request_id: format!("request-{nth}"),
        actor: "00ff00ff00ff".into(),
        role: "builder".into(),
        action: "StartBuild".into(),
        target: "project.web".into(),
        outcome: "ok".into(),
    }
}

fn entries(count: u64) -> Vec<AuditEntry> {
    let mut chain = Chain::new("server-a");
    (1..=count).map(|nth| chain.append(act(nth))).collect()
}

fn broken(number: u64, reason: Fault) -> Result<Verified, Broken> {
    Err(Broken { number, reason })
}

/// The hash was computed by another implementation of BLAKE3, from the description of the fields.
#[test]
fn an_entry_is_kept_as_this_json_with_this_hash() {
    let entry = entries(2).remove(1);
    let json = concat!(
        r#"{"chain":"server-a","number":2,"atMs":1700000000002,"requestId":"request-2","#,
        r#""actor":"00ff00ff00ff","role":"builder","action":"StartBuild","target":"project.web","#,
        r#""outcome":"ok","previous":"14ed79ce47c4955cd110c9b1ffd3eafc975b27d5e5b7aba9c98ad7432da75172","#,
        r#""hash":"2ae85a72740b9b341eed0e2da5c8a730960531f87fea8b09b97df90325c231f2"}"#
    );
    assert_eq!(serde_json::to_string(&entry).unwrap(), json);
    assert_eq!(serde_json::from_str::<AuditEntry>(json).unwrap(), entry);
}

#[test]
fn a_field_that_no_hash_covers_is_refused() {
    let mut json = serde_json::to_value(&entries(1)[0]).unwrap();
    json["note"] = "approved by nobody".into();
    let error = serde_json::from_value::<AuditEntry>(json).unwrap_err();
    assert!(
        error.to_string().contains("unknown field `note`"),
        "{error}"
    );
}

#[test]
fn a_chain_goes_on_where_it_ended() {
    let whole = entries(5);
    let mut chain = Chain::resume(&whole[2]).unwrap();
    assert_eq!(chain.head(), &whole[2].head());
    assert_eq!(chain.append(act(4)), whole[3]);
    assert_eq!(chain.append(act(5)), whole[4]);
    let mut changed = whole[2].clone();
    changed.outcome = "refused".into();
    let error = Chain::resume(&changed).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the audit chain is broken at entry 3: its hash is not that of its fields"
    );
}

#[test]
fn a_whole_chain_passes_with_and_without_what_was_expected() {
    let whole = entries(4);
    let head = whole[3].head();
    let verified = Ok(Verified {
        count: 4,
        head: Some(head.clone()),
    });
    assert_eq!(verify(&whole, None), verified);
    assert_eq!(verify(&whole, Some(&head)), verified);
    // The chain may have gone on since.
    assert_eq!(verify(&whole, Some(&whole[1].head())), verified);
    assert_eq!(
        verify(&whole, Some(Chain::new("server-a").head())),
        verified
    );
    let nothing = Verified {
        count: 0,
        head: None,
    };
    assert_eq!(verify(&[], None), Ok(nothing));
}

#[test]
fn what_is_missing_at_the_end_is_seen_by_who_knows_the_head() {
    let whole = entries(4);
    let head = whole[3].head();
    assert_eq!(verify(&whole[..3], None).unwrap().count, 3);
    assert_eq!(verify(&whole[..3], Some(&head)), broken(4, Fault::Missing));
    assert_eq!(verify(&[], Some(&head)), broken(1, Fault::Missing));
}

#[test]
fn a_chain_made_anew_is_seen_by_who_knows_the_head() {
    let head = entries(4)[2].head();
    let mut chain = Chain::new("server-a");
    let anew: Vec<AuditEntry> = (11..=14).map(|nth| chain.append(act(nth))).collect();
    assert_eq!(verify(&anew, None).unwrap().count, 4);
    assert_eq!(verify(&anew, Some(&head)), broken(3, Fault::NotTheHead));
    let mut other = head;
    other.chain = "server-b".into();
    assert_eq!(verify(&anew, Some(&other)), broken(1, Fault::OtherChain));
}

#[test]
fn later_entries_are_verified_after_the_head_of_the_archived_ones() {
    let whole = entries(5);
    let start = whole[1].head();
    let end = whole[4].head();
    let verified = verify_after(&start, &whole[2..], Some(&end)).unwrap();
    assert_eq!((verified.count, verified.head), (3, Some(end.clone())));
    let found = Fault::OutOfOrder { found: 4 };
    assert_eq!(verify_after(&start, &whole[3..], None), broken(3, found));
    let mut wrong = start;
    wrong.hash = end.hash;
    assert_eq!(
        verify_after(&wrong, &whole[2..], None),
        broken(3, Fault::Unlinked)
    );
}

#[test]
fn entries_that_are_not_where_they_were_are_named_by_their_place() {
    let whole = entries(4);
    let picked = |places: &[usize]| -> Vec<AuditEntry> {
        places.iter().map(|place| whole[*place].clone()).collect()
    };
    let rows: [(&[usize], u64, u64); 6] = [
        (&[1, 2, 3], 1, 2),
        (&[0, 2, 3], 2, 3),
        (&[0, 2, 1, 3], 2, 3),
        (&[0, 0, 1], 2, 1),
        (&[0, 1, 1], 3, 2),
        (&[3, 2, 1, 0], 1, 4),
    ];
    for (places, number, found) in rows {
        let reason = Fault::OutOfOrder { found };
        assert_eq!(
            verify(&picked(places), None),
            broken(number, reason),
            "{places:?}"
        );
    }
    let mut mixed = whole.clone();
    mixed[2] = Chain::new("server-b").append(act(3));
    assert_eq!(verify(&mixed, None), broken(3, Fault::OtherChain));
}

#[test]
fn an_entry_that_was_hashed_again_breaks_its_link() {
    let whole = entries(3);
    let mut chain = Chain::resume(&whole[0]).unwrap();
    let mut forged = act(2);
    forged.actor = "local".into();
    let forged = chain.append(forged);
    let changed = [whole[0].clone(), forged, whole[2].clone()];
    assert_eq!(verify(&changed, None), broken(3, Fault::Unlinked));
}

/// The JSON with one bit of one field changed, or none where that is no text of JSON or no entry.
fn with_a_change(entry: &AuditEntry, field: &str, flip: u8) -> Option<AuditEntry> {
    let mut json = serde_json::to_value(entry).unwrap();
    let changed = match &json[field] {
        Value::Number(number) => Value::from(number.as_u64()? ^ 1 << (flip % 64)),
        Value::String(text) => {
            let mut bytes = text.clone().into_bytes();
            let at = usize::from(flip) % bytes.len();
            bytes[at] ^= 1;
            Value::from(String::from_utf8(bytes).ok()?)
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None?,
    };
    json[field] = changed;
    let changed: AuditEntry = serde_json::from_value(json).ok()?;
    (changed != *entry).then_some(changed)
}

#[test]
fn a_change_of_any_field_of_any_entry_is_found() {
    let whole = entries(4);
    let json = serde_json::to_value(&whole[0]).unwrap();
    let fields: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(fields.len(), 11);
    for field in fields {
        for place in 0..whole.len() {
            let tried = (0..64).filter_map(|flip| with_a_change(&whole[place], field, flip));
            let mut count = 0;
            for changed in tried {
                let mut entries = whole.clone();
                entries[place] = changed;
                let found = verify(&entries, None).unwrap_err();
                let number = u64::try_from(place).unwrap() + 1;
                assert_eq!(found.number, number, "{field} of {number}: {found}");
                count += 1;
            }
            assert!(count > 0, "{field} was never changed");
        }
    }
}

proptest! {
    #[test]
    fn what_was_appended_verifies_and_no_part_passes_for_the_whole(
        acts in prop::collection::vec(
            (any::<u64>(), ".*", ".*", ".*").prop_map(|(at_ms, request_id, actor, target)| {
                AuditAct { at_ms, request_id, actor, target, ..act(0) }
            }),
            1..12,
        ),
        removed in any::<prop::sample::Index>(),
    ) {
        let mut chain = Chain::new("server-a");
        let whole: Vec<AuditEntry> = acts.into_iter().map(|act| chain.append(act)).collect();
        let head = chain.head().clone();
        prop_assert_eq!(verify(&whole, Some(&head)).unwrap().head, Some(head.clone()));
        let removed = removed.index(whole.len());
        let mut left = whole.clone();
        left.remove(removed);
        prop_assert!(verify(&left, Some(&head)).is_err());
        if removed + 1 < whole.len() {
            prop_assert!(verify(&left, None).is_err());
        }
    }

    #[test]
    fn bytes_moved_from_one_field_to_the_next_make_another_hash(text in ".{2,20}", cut in any::<prop::sample::Index>()) {
        let cuts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let cut = cuts[cut.index(cuts.len())];
        let entry = |target: &str, outcome: &str| {
            let act = AuditAct { target: target.into(), outcome: outcome.into(), ..act(1) };
            Chain::new("server-a").append(act).hash
        };
        prop_assert_ne!(entry(&text[..cut], &text[cut..]), entry(&text, ""));
    }
}
