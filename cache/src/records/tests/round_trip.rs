use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::{Input, InputKind};

fn id() -> impl Strategy<Value = Id> {
    any::<[u8; 32]>().prop_map(Id::from_bytes)
}

fn content() -> impl Strategy<Value = Content> {
    (any::<u64>(), vec(id(), 0..20)).prop_map(|(size_bytes, chunks)| Content { size_bytes, chunks })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        (id(), content()).prop_map(|(id, list)| Outcome::Tree { id, list }),
        (any::<u64>(), vec(id(), 0..20))
            .prop_map(|(size_bytes, chunks)| Outcome::Content { size_bytes, chunks }),
    ]
}

fn input() -> impl Strategy<Value = Input> {
    let kind = prop::sample::select(vec![
        InputKind::File,
        InputKind::Variable,
        InputKind::Image,
        InputKind::Other,
    ]);
    (kind, any::<String>(), any::<String>()).prop_map(|(kind, name, digest)| Input {
        kind,
        name,
        digest,
    })
}

prop_compose! {
    fn any_record()(
        scope in "[A-Za-z0-9_-]{1,20}(/[a-z0-9.]{0,9}[a-z]){0,3}",
        space in "[a-z0-9._/-]{1,64}",
        project in "(?s).{1,40}",
        key in option::of("(?s).{1,40}"),
        paths in vec(any::<String>(), 0..5),
        outcome in outcome(),
        numbers in any::<[u64; 4]>(),
        // Later than the year 10000 a JSON number of seconds no longer tells milliseconds apart for ever.
        created in 0_u64..1 << 48,
        key_template in option::of(any::<String>()),
        made_of in vec(input(), 0..5),
        producer in any::<String>(),
    ) -> Record {
        Record {
            format: Format,
            scope: scope.parse().unwrap(),
            space: space.parse().unwrap(),
            project,
            key,
            version: version_of_paths(&paths),
            paths,
            outcome,
            files: numbers[0],
            logical_bytes: numbers[1],
            stored_bytes: numbers[2],
            created: at(created),
            cost_ms: numbers[3],
            key_template,
            made_of,
            producer,
        }
    }
}

proptest! {
    #[test]
    fn any_record_is_read_back_as_it_was_written(record in any_record()) {
        let signer = signer();
        let bytes = sealed::seal(&record, &signer).unwrap();
        let keyring = keyring(&[(&signer, "*")]);
        prop_assert_eq!(&sealed::open(&record.name(), &bytes, &keyring).unwrap(), &record);
        prop_assert_eq!(sealed::open_to_keep(&record.name(), &bytes).unwrap(), record);
    }
}

#[test]
fn a_record_that_contradicts_itself_is_not_written() {
    let good = record("k", 1);
    let rows = [
        Record {
            project: String::new(),
            ..good.clone()
        },
        Record {
            key: Some(String::new()),
            ..good.clone()
        },
        Record {
            version: Id::of(b"other"),
            ..good.clone()
        },
        Record {
            paths: vec!["other".into()],
            ..good
        },
    ];
    for record in rows {
        let error = sealed::seal(&record, &signer()).unwrap_err();
        assert!(matches!(error, Error::Name(_)), "{error:?}");
    }
}

#[test]
fn the_format_on_disk_is_the_one_documented() {
    let signer = signer();
    let bytes = sealed::seal(&record("k", 1_500), &signer).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (line, json) = text.split_once('\n').unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!(
        words[..3],
        ["croft-record", "2", &signer.key_id().to_string()]
    );
    assert_eq!((words[3].len(), words[4].len(), words.len()), (128, 64, 5));
    let version = version_of_paths(&["target".into()]);
    let (tree, list) = (Id::of(b"k"), Id::of(b"list"));
    let expected = format!(
        "{{\"croftRecord\":2,\"scope\":\"trusted\",\"space\":\"build\",\"project\":\"app\",\"key\":\"k\",\
         \"paths\":[\"target\"],\"version\":\"{version}\",\"outcome\":{{\"tree\":{{\"id\":\"{tree}\",\
         \"list\":{{\"sizeBytes\":1,\"chunks\":[\"{list}\"]}}}}}},\"files\":3,\
         \"logicalBytes\":300,\"storedBytes\":100,\"created\":1.5,\"costMs\":60000,\"keyTemplate\":null,\
         \"madeOf\":[],\"producer\":\"croft\"}}"
    );
    assert_eq!(json, expected);
}
