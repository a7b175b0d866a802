//! A buildspec against what its project declares. Asked by whoever knows both; a file alone cannot tell.

use croft_proto::{Diagnostic, Level, nearest};

use crate::buildspec::Buildspec;
use crate::code::Code;

/// An error for each secondary artifact whose identifier the project does not declare; empty when all match.
///
/// **Shape.** The places have line and column and no byte offsets.
#[must_use]
pub fn unmatched_secondary(spec: &Buildspec, declared: &[&str]) -> Vec<Diagnostic> {
    let secondary = spec
        .artifacts
        .iter()
        .flat_map(|artifacts| &artifacts.secondary);
    secondary
        .filter(|(identifier, _)| !declared.contains(&identifier.as_str()))
        .map(|(identifier, artifact)| Diagnostic {
            code: Code::UnmatchedSecondary.name().to_owned(),
            level: Level::Error,
            message: format!("the project declares no secondary artifact `{identifier}`"),
            place: artifact.place.clone(),
            start: 0,
            end: 0,
            help: Some(match nearest(identifier, declared) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "add it to the project's secondary artifacts, or remove it here".to_owned(),
            }),
        })
        .collect()
}
