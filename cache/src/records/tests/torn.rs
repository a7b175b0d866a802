use super::*;

#[test]
fn a_record_torn_anywhere_is_damaged() {
    let bucket = Bucket::new();
    let good = record("k", 1);
    let bytes = sealed::seal(&good, &bucket.farm).unwrap();
    for length in 0..bytes.len() {
        let error = sealed::open(&good.name(), &bytes[..length], &bucket.keyring).unwrap_err();
        assert!(error.is_damage(), "{length}: {error}");
    }
    let longer = [bytes.as_slice(), b"\0"].concat();
    assert!(
        sealed::open(&good.name(), &longer, &bucket.keyring)
            .unwrap_err()
            .is_damage()
    );
}

#[test]
fn a_bit_flipped_anywhere_is_damage() {
    let bucket = Bucket::new();
    let good = record("k", 1);
    let bytes = sealed::seal(&good, &bucket.farm).unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let error = sealed::open(&good.name(), &flipped, &bucket.keyring).unwrap_err();
            assert!(error.is_damage(), "byte {at}, bit {bit}: {error}");
        }
    }
}

#[test]
fn what_is_no_record_at_all_is_damaged() {
    let rows: [&[u8]; 5] = [b"", b"\n", b"\n\n\n", b"croft-record 2\n{}", &[0xff; 2000]];
    for bytes in rows {
        let error = sealed::open(&record("k", 1).name(), bytes, &Keyring::default()).unwrap_err();
        assert!(error.is_damage(), "{error}");
    }
}

#[test]
fn another_spelling_of_the_first_line_is_no_record() {
    let bucket = Bucket::new();
    let good = record("k", 1);
    let text = String::from_utf8(sealed::seal(&good, &bucket.farm).unwrap()).unwrap();
    let (line, json) = text.split_once('\n').unwrap();
    let (envelope, _) = line.rsplit_once(' ').unwrap();
    let key = bucket.farm.key_id().to_string();
    let rows = [
        envelope.replace(" 2 ", "  2 "),
        envelope.replace(" 2 ", "\t2 "),
        format!(" {envelope}"),
        format!("{envelope} more"),
        format!("{envelope}\r"),
        envelope.replace("croft", "Croft"),
        envelope.replace(&key, &key.to_uppercase()),
        envelope.replace(&key, &key[1..]),
    ];
    for envelope in rows {
        let seal = Id::of_name(
            "croft cache 2026 record seal",
            format!("{envelope}\n{json}").as_bytes(),
        );
        let bytes = format!("{envelope} {seal}\n{json}").into_bytes();
        let error = sealed::open(&good.name(), &bytes, &bucket.keyring).unwrap_err();
        assert!(
            error.is_unusable() && error.to_string().contains("does not start"),
            "{envelope}: {error}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(
        start in proptest::sample::select(vec!["", "\n", "croft-record 2 ", "croft-record 2 a b c\n{"]),
        rest in proptest::collection::vec(proptest::num::u8::ANY, 0..600),
    ) {
        let bytes = [start.as_bytes(), &rest].concat();
        proptest::prop_assert!(sealed::open(&record("k", 1).name(), &bytes, &Keyring::default()).is_err());
    }
}
