use serde_json::json;

use super::*;

const TAG: Shape = Shape::Map(&[Key::read("Key"), Key::read("Value")]);
const SHAPE: Shape = Shape::Map(&[
    Key::text("name").needed(),
    Key::of("tags", Shape::List(&TAG)),
    Key::idle("role", "there are none"),
    Key::told("made"),
]);

#[test]
fn keys_that_nobody_knows_are_found_where_they_stand() {
    let json = json!({"nam": 1, "tags": [{"Key": "a"}, {"key": "b"}], "made": 5, "name": {"free": 1}, "rule": 1, "x": 1});
    let strays = Strays::of(&json, &SHAPE);
    let said: Vec<String> = strays.unknown.iter().map(Mistake::to_string).collect();
    assert_eq!(
        said,
        [
            "nam: there is no such key; did you mean `name`?",
            "rule: there is no such key; did you mean `role`?",
            "tags[1].key: there is no such key; did you mean `Key`?",
            "x: there is no such key; the keys are `name` and `tags`",
        ]
    );
    assert!(strays.idle.is_empty());
}

#[test]
fn what_does_nothing_is_said_only_where_something_is_meant() {
    for (role, said) in [
        (json!(null), 0),
        (json!(false), 0),
        (json!(""), 0),
        (json!({"type": "NO_CACHE"}), 0),
        (json!([]), 0),
        (json!({"enabled": false}), 0),
        (json!({"enabled": true}), 1),
        (json!("arn"), 1),
        (json!(0), 1),
    ] {
        let strays = Strays::of(&json!({"role": role}), &SHAPE);
        assert_eq!(strays.idle.len(), said, "{strays:?}");
    }
}

#[derive(Debug, serde::Deserialize)]
struct Named {
    name: String,
}

impl Written for Named {
    const SHAPE: Shape = SHAPE;

    fn wrong(&self) -> Vec<String> {
        let is_short = self.name.len() < 2;
        is_short
            .then(|| "name: 2 letters".to_string())
            .into_iter()
            .collect()
    }
}

#[test]
fn all_that_is_wrong_with_a_document_is_said_at_once() {
    for (json, said) in [
        (json!({"name": "abc"}), vec![]),
        (
            json!({"name": "a", "nam": 1}),
            vec!["nam: there is", "name: 2 letters"],
        ),
        (
            json!({"name": 1, "role": "x"}),
            vec!["name: expected a text, found the number 1; put"],
        ),
        (
            json!({"nam": "a"}),
            vec!["nam: there is", "`name` is missing, a text"],
        ),
    ] {
        let mistakes = read::<Named>(&json).err().unwrap_or_default();
        assert_eq!(mistakes.len(), said.len(), "{mistakes:?}");
        for (mistake, said) in mistakes.iter().zip(said) {
            assert!(mistake.to_string().starts_with(said), "{mistake}");
        }
    }
}

const LIMITS: Shape = Shape::Map(&[
    Key::count("least"),
    Key::count("most"),
    Key::word("by", &["HOST", "ZONE"]),
    Key::of("names", Shape::Named(&Shape::Text)),
    Key::of("ports", Shape::List(&Shape::Whole(1, 9))),
]);

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Limits {
    least: u32,
    most: Option<u32>,
}

impl Written for Limits {
    const SHAPE: Shape = LIMITS;

    fn wrong(&self) -> Vec<String> {
        let most = self.most.unwrap_or(u32::MAX);
        let crossed = (self.least > most).then(|| format!("least: above most, {most}"));
        let odd = (self.least % 2 == 1).then(|| "least: odd".to_string());
        crossed.into_iter().chain(odd).collect()
    }
}

#[test]
fn values_that_do_not_fit_are_all_told_beside_what_is_wrong_with_the_rest() {
    for (json, said) in [
        (json!({"least": 2, "most": 4, "names": null}), vec![]),
        (
            json!({"least": 5, "most": "4", "by": "HOTS", "names": {"a": 1}, "ports": [1, 0, 9.5, "2"]}),
            vec![
                "by: expected one of `HOST` and `ZONE`, found the text `HOTS`; did you mean `HOST`?",
                "least: odd",
                "most: expected a whole number, found the text `4`; write it without quotes",
                "names.a: expected a text, found the number 1; put",
                "ports[1]: expected a whole number from 1 to 9, found the number 0",
                "ports[2]: expected a whole number from 1 to 9, found the number 9.5",
                "ports[3]: expected a whole number from 1 to 9, found the text `2`; write",
            ],
        ),
        // What is said of a setting that cannot be read, or in its name, is not known.
        (
            json!({"least": [], "most": 3}),
            vec!["least: expected a whole number, found a list"],
        ),
        (
            json!({"least": -1, "most": 3}),
            vec!["least: expected a whole number, found the number -1; it cannot be less than 0"],
        ),
        (
            json!({"least": 4, "most": {}}),
            vec!["most: expected a whole number, found a map"],
        ),
    ] {
        let mistakes = read::<Limits>(&json).err().unwrap_or_default();
        let mut told: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
        told.sort();
        assert_eq!(told.len(), said.len(), "{told:#?}");
        for (told, said) in told.iter().zip(said) {
            assert!(told.starts_with(said), "{told}");
        }
    }
}

#[test]
fn keys_without_a_value_are_found() {
    let json = json!({"name": null, "tags": [{"Key": null}], "role": null, "made": null});
    let strays = Strays::of(&json, &SHAPE);
    let told = |found: &[Mistake]| found.iter().map(Mistake::to_string).collect::<Vec<_>>();
    assert_eq!(
        told(&strays.empty),
        ["tags[0].Key: expected a value, found nothing; write one, or leave the key out"]
    );
    assert_eq!(
        told(&strays.unfit),
        ["name: expected a text, found nothing; write one"]
    );
}

#[test]
fn a_path_leads_as_far_as_there_is_something() {
    let json = json!({"a": [{"b": 1}], "servers": {"h": {}, "h.example": {}}, "x/y": 1, "ab": 1});
    for (path, pointed) in [
        ("a[0].b: wrong", "/a/0/b"),
        ("a[0].c: missing", "/a/0"),
        ("a[7].c", "/a"),
        ("a, ab: one of them", "/a"),
        ("ab `x`: no", "/ab"),
        ("servers.h.example `x`: no", "/servers/h.example"),
        ("servers.h `x`: no", "/servers/h"),
        ("x/y: no", "/x~1y"),
        ("none of these", ""),
    ] {
        assert_eq!(pointer(&json, path), pointed, "{path}");
    }
}
