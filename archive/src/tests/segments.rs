use bytes::Bytes;
use croft_ledger::{Body, Entry, Seq};
use croft_proto::Timestamp;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::subject;
use crate::segment::{Name, NotOne, decode, encode};

pub(super) fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let body = prop_oneof![
        vec(any::<u8>(), 1..200).prop_map(|event| Body::Event(event.into())),
        (1_u64..1_000_000).prop_map(|last| Body::Tombstone {
            last: Seq::new(last)
        }),
    ];
    let entry = (1_u64..50, 0_u64..1 << 50, 0_u8..9, body);
    vec(entry, 1..40).prop_map(|drawn| {
        let mut seq = 0;
        let entries = drawn.into_iter().map(|(step, at, on, body)| {
            seq += step;
            Entry {
                seq: Seq::new(seq),
                subject: subject(&format!("build.{on}=20x")),
                at: Timestamp::from_millis(at),
                body,
            }
        });
        entries.collect()
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(entries in entries()) {
        let (name, bytes) = encode(entries.iter().rev().cloned().collect()).unwrap();
        prop_assert_eq!(Name::parse(&name.to_string()), Some(name.clone()));
        prop_assert_eq!(decode(&name, &bytes), Ok(entries));
    }

    #[test]
    fn a_changed_or_cut_segment_is_refused(entries in entries(), at in any::<usize>(), bit in 0_u8..8) {
        let (name, bytes) = encode(entries).unwrap();
        let mut changed = bytes.to_vec();
        let at = at % changed.len();
        changed[at] ^= 1 << bit;
        prop_assert!(matches!(decode(&name, &changed), Err(NotOne::Damaged(_))));
        prop_assert!(matches!(decode(&name, &bytes[..at]), Err(NotOne::Damaged(_))));
    }
}

#[test]
fn a_segment_under_another_name_is_refused() {
    let one = |event: &'static [u8]| Entry {
        seq: Seq::new(1),
        subject: subject("a"),
        at: Timestamp::default(),
        body: Body::Event(Bytes::from_static(event)),
    };
    let (name, _) = encode(vec![one(b"1")]).unwrap();
    let (_, other) = encode(vec![one(b"2")]).unwrap();
    let refused = decode(&name, &other).unwrap_err();
    assert!(matches!(refused, NotOne::Damaged(reason) if reason.contains("another segment")));
}

#[test]
fn no_segment_has_no_entries_and_other_names_are_none() {
    assert!(encode(Vec::new()).is_err());
    for text in [
        "",
        "manifest.json",
        "1-2.seg",
        "2-1-x.seg",
        "1-2-x-y.seg",
        "a-2-x.seg",
    ] {
        assert_eq!(Name::parse(text), None, "{text}");
    }
}
