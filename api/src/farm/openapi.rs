//! The document of all this: paths made from the table of routes, with schemas from the file beside. Shown to whoever has a token.

use std::sync::LazyLock;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::call::{Answer, Call, json as answer_json};
use super::table::{ROUTES, Route, Whose};

/// Schemas, and what each operation takes and gives.
const SCHEMAS: &str = include_str!("openapi.json");

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let file = serde_json::from_str(SCHEMAS).expect("the file beside is JSON, which a test checks");
    document(&file)
});

/// `GET /v1/openapi.json`
pub(super) async fn show(_call: Call) -> Answer {
    answer_json(StatusCode::OK, &*DOCUMENT)
}

/// The whole of it.
#[cfg(test)]
pub(super) fn whole() -> &'static Value {
    &DOCUMENT
}

fn document(file: &Value) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        // OpenAPI knows no parameter of several parts.
        let path = route.path.replace("{*", "{");
        let verbs = paths.entry(path).or_insert_with(|| json!({}));
        let told = &file["operations"][route.operation];
        verbs[route.verb.word().to_ascii_lowercase()] = operation(route, told);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Croft",
            "version": env!("CARGO_PKG_VERSION"),
            "description": file["description"],
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": file["schemas"],
        },
    })
}

fn operation(route: &Route, told: &Value) -> Value {
    let mut parameters: Vec<Value> = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| name.trim_start_matches('*'))
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    for (kind, names) in [("query", &told["query"]), ("header", &told["headers"])] {
        for name in names.as_array().into_iter().flatten() {
            parameters.push(json!({"name": name, "in": kind, "schema": {"type": "string"}}));
        }
    }
    let mut answers = Map::new();
    for (status, schema) in told["answers"].as_object().into_iter().flatten() {
        answers.insert(status.clone(), content("What was asked for.", schema));
    }
    answers.insert(
        "default".into(),
        json!({
            "description": "Why there is none.",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }),
    );
    let mut operation = json!({
        "operationId": route.operation,
        "summary": route.summary,
        "parameters": parameters,
        "responses": answers,
        "x-croft-role": match route.whose {
            Whose::Open | Whose::Host => Value::Null,
            Whose::Role | Whose::Farm | Whose::Listed | Whose::Project | Whose::Build | Whose::Deployment | Whose::Body | Whose::Pool => {
                json!(route.role)
            }
        },
        "x-croft-scope": whose(route.whose),
    });
    if matches!(route.whose, Whose::Open | Whose::Host) {
        operation["security"] = json!([]);
    }
    if let Some(body) = told.get("body") {
        let mut body = content("", body);
        body["required"] = true.into();
        operation["requestBody"] = body;
    }
    operation
}

/// A schema's name stands for JSON of it; anything else is a media type.
fn content(description: &str, schema: &Value) -> Value {
    let text = schema.as_str().unwrap_or_default();
    let content = match text.contains('/') {
        true => json!({ text: {} }),
        false => {
            let reference = format!("#/components/schemas/{text}");
            json!({"application/json": {"schema": {"$ref": reference}}})
        }
    };
    json!({"description": description, "content": content})
}

const fn whose(whose: Whose) -> &'static str {
    match whose {
        Whose::Open => "open",
        Whose::Host => "host",
        Whose::Role => "role",
        Whose::Farm => "farm",
        Whose::Listed => "listed",
        Whose::Project | Whose::Body => "project",
        Whose::Build => "build",
        Whose::Deployment => "deployment",
        Whose::Pool => "pool",
    }
}
