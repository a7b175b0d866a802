//! AppSpecs that are not for servers. Receives the top level, says by name what Croft does not do and what does it.

use crate::code::Code;
use crate::findings::Findings;
use crate::lines::Span;
use crate::yaml::{Entry, Kind, Node};

/// Levels between a document's top and the `Type` of a resource, and one more.
const LEVELS: usize = 5;

const ECS: &str = "AWS::ECS::Service";
const LAMBDA: &str = "AWS::Lambda::Function";

const INSTEAD_OF_ECS: &str = "for a container on your own hosts, write `os: linux` and `x-croft: {container: {image: ..., port: ...}}`; for files on hosts, `files` and `hooks`";
const INSTEAD_OF_LAMBDA: &str = "go on deploying the function with AWS's own tools, or run the program as a service on a host, with `os: linux`, `files` and `hooks`";
const INSTEAD: &str = "write `os: linux` with `files`, and `hooks` as a map from events to scripts";

/// Whether the document is for another platform; then that is all that is said of it.
pub(super) fn refuse(entries: &[Entry], findings: &mut Findings<'_>) -> bool {
    let has = |key: &str| entries.iter().any(|entry| entry.key == key);
    let Some(resources) = entries.iter().find(|entry| is_of_a_service(entry)) else {
        return false;
    };
    if has("os") || has("files") {
        return false;
    }
    let ecs = find(&resources.value, ECS, LEVELS);
    let lambda = find(&resources.value, LAMBDA, LEVELS);
    let (span, message, help) = match (ecs, lambda) {
        (Some(span), _) => (
            span,
            "this AppSpec is for a service of Amazon ECS, and Croft drives no ECS: it deploys files, scripts and containers to your own hosts".to_owned(),
            INSTEAD_OF_ECS,
        ),
        (None, Some(span)) => (
            span,
            "this AppSpec is for a function of AWS Lambda, and Croft runs no functions: it deploys files and scripts to hosts".to_owned(),
            INSTEAD_OF_LAMBDA,
        ),
        (None, None) => (
            resources.key_span,
            format!(
                "`{}` like this is in an AppSpec for Amazon ECS or AWS Lambda, and Croft reads those for servers",
                resources.key
            ),
            INSTEAD,
        ),
    };
    findings.add(Code::NotForServers, span, message, help);
    true
}

/// `Resources`, in any case, or `Hooks` that are a list of events and functions.
fn is_of_a_service(entry: &Entry) -> bool {
    let list = matches!(entry.value.kind, Kind::List(_));
    entry.key.eq_ignore_ascii_case("resources") || (entry.key.eq_ignore_ascii_case("hooks") && list)
}

/// Where a text stands in a value.
fn find(node: &Node, text: &str, levels: usize) -> Option<Span> {
    let deeper = levels.checked_sub(1)?;
    match &node.kind {
        Kind::Scalar(scalar) => (scalar.text.trim() == text).then_some(node.span),
        Kind::List(items) => items.iter().find_map(|item| find(item, text, deeper)),
        Kind::Map(entries) => entries
            .iter()
            .find_map(|entry| find(&entry.value, text, deeper)),
    }
}
