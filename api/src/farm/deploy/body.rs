//! Bodies of what a path names: what AWS's tools print says the name again, what a person writes may not.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::call::{Call, not_json, short};
use super::super::limits::BODY_BYTES_MAX;
use super::super::problem::Problem;

/// The body, as it was written and as what it is, with the names that the path has: `(field, parameter)`.
pub(super) async fn named<T: DeserializeOwned>(
    call: &mut Call,
    names: &[(&str, &str)],
) -> Result<(Value, T), Problem> {
    let bytes = call.bytes(BODY_BYTES_MAX).await?;
    let mut given: Value = serde_json::from_slice(&bytes).map_err(|error| not_json(&error))?;
    let object = given
        .as_object_mut()
        .ok_or_else(|| Problem::invalid("the body has to be a JSON object"))?;
    let mut is_whole = true;
    for (field, param) in names {
        let name = call.param(param);
        match object.get(*field) {
            Some(Value::String(other)) if other != name => {
                return Err(Problem::invalid(format!(
                    "{field}: the body says `{}`, the path `{}`",
                    short(other),
                    short(name)
                )));
            }
            Some(_) => {}
            None => {
                object.insert((*field).into(), name.into());
                is_whole = false;
            }
        }
    }
    // From the text as it came where that is possible, so that a mistake is named with its line.
    let parsed = if is_whole {
        serde_json::from_slice(&bytes)
    } else {
        serde_json::from_value(given.clone())
    };
    let parsed = parsed.map_err(|error| not_json(&error))?;
    Ok((given, parsed))
}
