//! What somebody's JSON sets that does nothing here. Asked by projects and deployment groups, which AWS's own tools print with more than
//! anybody uses.

use serde_json::Value;

/// A sentence for each of these names that is set, which is: there, and neither null, nor false, nor an empty list.
pub(crate) fn notes(json: &Value, idle: &[(&str, &str)]) -> Vec<String> {
    let is_set = |name: &str| match json.get(name) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Array(list)) => !list.is_empty(),
        Some(_) => true,
    };
    idle.iter()
        .filter(|(name, _)| is_set(name))
        .map(|(name, why)| format!("{name} is kept and does nothing: {why}"))
        .collect()
}
