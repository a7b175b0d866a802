//! Answers against the document: each JSON answer of a test is checked by its route's schema. Knows what the document's schemas use.

use serde_json::Value;

use super::super::openapi::whole;
use super::super::table::ROUTES;
use super::rig::Answer;

/// Panics when a JSON answer is not what the document says.
pub(super) fn check(method: &str, path: &str, answer: &Answer) {
    let content_type = answer.headers.get("content-type");
    let content_type = content_type.map_or("", |value| value.to_str().unwrap());
    if content_type == "application/problem+json" {
        let problem = answer.json();
        let wrong = wrong(&reference("Problem"), &problem);
        assert_eq!(wrong, Vec::<String>::new(), "{method} {path} {problem}");
        assert_eq!(problem["status"], answer.status);
        return;
    }
    if content_type != "application/json" {
        return;
    }
    let route = ROUTES
        .iter()
        .find(|route| route.verb.word() == method && fits(route.path, path))
        .unwrap_or_else(|| panic!("{method} {path} is no route"));
    let template = route.path.replace("{*", "{");
    let answers = &whole()["paths"][template][method.to_ascii_lowercase()]["responses"];
    let schema = &answers[answer.status.to_string()]["content"]["application/json"]["schema"];
    assert!(
        schema.is_object(),
        "{method} {path}: the document knows no {}",
        answer.status
    );
    let wrong = wrong(schema, &answer.json());
    assert_eq!(
        wrong,
        Vec::<String>::new(),
        "{method} {path} {}",
        answer.json()
    );
}

fn fits(template: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let (mut parts, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (parts.next(), given.next()) {
            (None, None) => return true,
            (Some(part), Some(_)) if part.starts_with("{*") => return true,
            (Some(part), Some(_)) if part.starts_with('{') => {}
            (Some(part), Some(given)) if part == given => {}
            _ => return false,
        }
    }
}

fn reference(name: &str) -> Value {
    serde_json::json!({"$ref": format!("#/components/schemas/{name}")})
}

/// What of a value is not as the schema says.
pub(super) fn wrong(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    look(schema, value, "$", &mut found);
    found
}

fn look(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = whole().pointer(&reference[1..]);
        return look(target.expect("every reference resolves"), value, at, found);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let fits = any.iter().any(|schema| {
            let mut found = Vec::new();
            look(schema, value, at, &mut found);
            found.is_empty()
        });
        if !fits {
            found.push(format!("{at}: none of those it may be"));
        }
        return;
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        found.push(format!("{at}: {value} is none of {allowed:?}"));
    }
    if !is_of_type(&schema["type"], value) {
        found.push(format!("{at}: {value} is no {}", schema["type"]));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        if schema["items"].is_object() {
            look(&schema["items"], item, &format!("{at}[{index}]"), found);
        }
    }
    let Some(object) = value.as_object() else {
        return;
    };
    for name in schema["required"].as_array().into_iter().flatten() {
        if !object.contains_key(name.as_str().unwrap()) {
            found.push(format!("{at}: {name} is missing"));
        }
    }
    for (name, value) in object {
        match schema["properties"].get(name) {
            Some(schema) => look(schema, value, &format!("{at}.{name}"), found),
            None if schema["additionalProperties"] == false => {
                found.push(format!("{at}.{name}: the document does not know it"));
            }
            None => {}
        }
    }
}

fn is_of_type(wanted: &Value, value: &Value) -> bool {
    let is = |wanted: &Value| match wanted.as_str() {
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some("null") => value.is_null(),
        Some(_) | None => true,
    };
    match wanted.as_array() {
        Some(any) => any.iter().any(is),
        None => is(wanted),
    }
}

#[test]
fn what_is_missing_or_of_another_type_or_unknown_is_found() {
    let schema = reference("CreatedToken");
    let good = serde_json::json!({"id": "a", "token": "b"});
    assert_eq!(wrong(&schema, &good), Vec::<String>::new());
    for bad in [
        serde_json::json!({"id": "a"}),
        serde_json::json!({"id": 1, "token": "b"}),
        serde_json::json!({"id": "a", "token": "b", "hash": "c"}),
        serde_json::json!([]),
    ] {
        assert_ne!(wrong(&schema, &bad), Vec::<String>::new(), "{bad}");
    }
}

#[test]
fn the_document_has_every_route_and_nothing_else_and_every_reference_resolves() {
    let document = whole();
    let paths = document["paths"].as_object().unwrap();
    let told: usize = paths
        .values()
        .map(|verbs| verbs.as_object().unwrap().len())
        .sum();
    assert_eq!(told, ROUTES.len());
    let file: Value = serde_json::from_str(include_str!("../openapi.json")).unwrap();
    let operations = file["operations"].as_object().unwrap();
    for route in ROUTES {
        let told = &operations[route.operation];
        assert!(told["answers"].is_object(), "{}", route.operation);
    }
    for name in operations.keys() {
        assert!(
            ROUTES.iter().any(|route| route.operation == name),
            "{name} is no route's"
        );
    }
    let mut waiting = vec![document];
    let mut references = 0;
    while let Some(value) = waiting.pop() {
        if let Some(reference) = value.get("$ref") {
            let reference = reference.as_str().unwrap();
            assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
            references += 1;
        }
        match value {
            Value::Object(map) => waiting.extend(map.values()),
            Value::Array(list) => waiting.extend(list),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    assert!(references > ROUTES.len(), "{references}");
}
