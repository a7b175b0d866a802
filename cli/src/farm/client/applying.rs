//! A file's documents, applied one after the other. Each is its own change, so all of them are asked about before the first is made: a file
//! with one mistake that only the farm knows changes nothing. Received from those who know what the documents are.

use croft_spec::Diagnostic;
use reqwest::Method;
use serde_json::Value;

use super::call::{Call, Failure, Farm};
use super::written::Source;

/// A document to be applied.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// For people.
    pub(super) name: String,
    /// Its JSON pointer in the file.
    pub(super) at: String,
    /// Where it goes.
    pub(super) path: Vec<String>,
    pub(super) json: Value,
    /// Keys of it that name what the file makes before it.
    pub(super) coming: Vec<&'static str>,
}

/// A change that was made.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) name: String,
    /// `made` or `configured`.
    pub(super) how: &'static str,
    pub(super) answer: Value,
}

/// Makes all of the changes, or none when the farm would refuse one.
///
/// # Errors
/// What stands against any of them, before the first is made. What fails later all the same, with what is made by then and what is not.
pub(super) async fn apply(
    farm: &Farm,
    source: &Source,
    changes: &[Change],
) -> anyhow::Result<Vec<Applied>> {
    check(farm, source, changes).await?;
    let mut applied = Vec::new();
    for (number, change) in changes.iter().enumerate() {
        match apply_one(farm, change).await {
            Ok(one) => applied.push(one),
            Err(wrong) => {
                let problem = if let Some(Failure::Refused(problem)) = wrong.downcast_ref() {
                    Some(problem)
                } else {
                    None
                };
                let placed = problem.and_then(|problem| source.refused(&change.at, problem));
                let rest = &changes[number + 1..];
                tell_what_stays(change, problem.is_some(), &applied, rest);
                return Err(placed.map_or(wrong, anyhow::Error::from));
            }
        }
    }
    Ok(applied)
}

/// Asks the farm of each change whether it would be taken.
async fn check(farm: &Farm, source: &Source, changes: &[Change]) -> anyhow::Result<()> {
    let mut found: Vec<Diagnostic> = Vec::new();
    for change in changes {
        let path = path_of(change).chain(["check"]).collect::<Vec<_>>();
        let coming = change.coming.join(",");
        let mut call = Call::new(Method::POST, &path).json(&change.json);
        if !coming.is_empty() {
            call = call.query("coming", &coming);
        }
        match farm.bytes(&call).await {
            Ok(_) => {}
            // A server of before there were checks refuses what it refuses when it is asked for the change.
            Err(Failure::Refused(problem)) if problem.is_no_route() => break,
            Err(Failure::Refused(problem)) if problem.is_of_what_was_sent() => {
                found.extend(source.places_of(&change.at, &problem));
            }
            Err(failure) => return Err(failure.into()),
        }
    }
    match found.is_empty() {
        true => Ok(()),
        false => Err(source.refused_whole(found).into()),
    }
}

fn path_of(change: &Change) -> impl Iterator<Item = &str> {
    change.path.iter().map(String::as_str)
}

async fn apply_one(farm: &Farm, change: &Change) -> anyhow::Result<Applied> {
    let path: Vec<&str> = path_of(change).collect();
    let call = Call::new(Method::PUT, &path).json(&change.json);
    let answer = farm.open(&call).await?;
    let how = match answer.status().as_u16() {
        201 => "made",
        _ => "configured",
    };
    let answer: Value = farm.understood(&farm.whole(answer).await?)?;
    for note in answer["notes"].as_array().into_iter().flatten() {
        let note = note.as_str().unwrap_or_default();
        eprintln!("croft: warning: {}: {note}", change.name);
    }
    Ok(Applied {
        name: change.name.clone(),
        how,
        answer,
    })
}

/// Says what of a file that failed in its middle is applied, and what is not.
fn tell_what_stays(change: &Change, is_refused: bool, applied: &[Applied], rest: &[Change]) {
    if is_refused && applied.is_empty() && rest.is_empty() {
        return;
    }
    let names = applied.iter().map(|one| one.name.as_str());
    let rest = rest.iter().map(|one| one.name.as_str());
    eprintln!(
        "croft: {}",
        stays(&change.name, is_refused, &listed(names), &listed(rest))
    );
}

fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

fn stays(name: &str, is_refused: bool, applied: &str, rest: &str) -> String {
    let what = match is_refused {
        true => "was refused",
        false => "may be applied or not",
    };
    let applied = match applied {
        "" => "; nothing else of the file is applied".to_string(),
        names => format!("; applied: {names}"),
    };
    let rest = match rest {
        "" => String::new(),
        names => format!("; not applied: {names}"),
    };
    format!("{name} {what}{applied}{rest}. Apply the whole file again once that is mended")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_applied_and_what_is_not_is_said_by_name() {
        assert_eq!(
            stays("shop/prod", true, "careful, shop", "shop/test"),
            "shop/prod was refused; applied: careful, shop; not applied: shop/test. Apply the whole file again once that is mended"
        );
        assert_eq!(
            stays("shop", false, "", ""),
            "shop may be applied or not; nothing else of the file is applied. Apply the whole file again once that is mended"
        );
    }
}
