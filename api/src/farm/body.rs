//! Bodies of what a path names: what AWS's tools print says the name again, what a person writes may not.

use croft_proto::shape::{self, Mistake, Written};
use serde_json::Value;

use super::call::{Call, not_json, short};
use super::limits::BODY_BYTES_MAX;
use super::problem::Problem;

/// The body, as it was written and as what it is, with the names that the path has: `(field, parameter)`. Every mistake in it is told at
/// once, with its place.
pub(super) async fn named<W: Written>(
    call: &mut Call,
    names: &[(&str, &str)],
) -> Result<(Value, W), Problem> {
    named_with(call, names, |_| Vec::new()).await
}

/// The same, with rules of this server's own.
pub(super) async fn named_with<W: Written>(
    call: &mut Call,
    names: &[(&str, &str)],
    more: impl FnOnce(&W) -> Vec<Mistake>,
) -> Result<(Value, W), Problem> {
    let bytes = call.bytes(BODY_BYTES_MAX).await?;
    let mut given: Value = serde_json::from_slice(&bytes).map_err(|error| not_json(&error))?;
    let object = given
        .as_object_mut()
        .ok_or_else(|| Problem::invalid("the body has to be a JSON object"))?;
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
            }
        }
    }
    match shape::read_with(&given, more) {
        Ok(read) => Ok((given, read)),
        Err(mistakes) => Err(Problem::mistaken(&given, &mistakes)),
    }
}
