//! The questions others ask of an AppSpec: is this one, what does it say, what is wrong with it. Receives the file's bytes
//! from whoever read them, hands back values; never fails and never panics.

use croft_proto::Diagnostic;

use super::document::{self, is_zero};
use super::{AppSpec, Around, Bundle, bundle, traps};
use crate::findings::Findings;
use crate::parse::{FILE_BYTES_MAX, examine, usable};
use crate::yaml::{self, Kind};

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// Present exactly when no diagnostic is an error.
    pub spec: Option<AppSpec>,
    /// Everything found, in the file's order.
    pub diagnostics: Vec<Diagnostic>,
}

/// The AppSpec in these bytes, or every mistake in them at once.
///
/// **Shape.** `file_name` is how the user knows the file; it appears in every place. `diagnostics` holds warnings about
/// the file's form too; those about what it would do come from [`lint`].
#[must_use]
pub fn parse(file_name: &str, bytes: &[u8]) -> Parsed {
    let (draft, diagnostics) = examine(file_name, bytes, document::read);
    Parsed {
        spec: draft
            .filter(|_| usable(&diagnostics))
            .map(|draft| draft.spec),
        diagnostics,
    }
}

/// Everything [`parse`] finds, and warnings for what a valid AppSpec may do other than was meant.
#[must_use]
pub fn lint(file_name: &str, bytes: &[u8]) -> Vec<Diagnostic> {
    let read = |findings: &mut Findings<'_>| {
        let draft = document::read(findings)?;
        traps::check(&draft, findings);
        Some(draft)
    };
    examine(file_name, bytes, read).1
}

/// Everything [`lint`] finds, and each file that the AppSpec names and that is not among the files around it.
#[must_use]
pub fn lint_in(
    file_name: &str,
    bytes: &[u8],
    bundle: &dyn Bundle,
    around: Around,
) -> Vec<Diagnostic> {
    let read = |findings: &mut Findings<'_>| {
        let draft = document::read(findings)?;
        traps::check(&draft, findings);
        bundle::check(&draft, bundle, around, findings);
        Some(draft)
    };
    examine(file_name, bytes, read).1
}

/// Whether a file is meant as an AppSpec rather than a buildspec: by its name when that says so, else by what is in it.
#[must_use]
pub fn is_appspec(file_name: &str, bytes: &[u8]) -> bool {
    let name = file_name
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let kinds = [".yml", ".yaml", ".json"];
    if name.starts_with("appspec") && kinds.iter().any(|kind| name.ends_with(kind)) {
        return true;
    }
    !name.starts_with("buildspec") && looks_like_one(bytes)
}

/// Whether the top level has what only an AppSpec has.
fn looks_like_one(bytes: &[u8]) -> bool {
    let Some(text) = std::str::from_utf8(bytes)
        .ok()
        .filter(|text| text.len() <= FILE_BYTES_MAX)
    else {
        return false;
    };
    let mut findings = Findings::new("", text);
    let Some(root) = yaml::read(&mut findings).root else {
        return false;
    };
    let Kind::Map(entries) = &root.kind else {
        return false;
    };
    let entry = |key: &str| {
        entries
            .iter()
            .find(|entry| entry.key.eq_ignore_ascii_case(key))
    };
    if entry("phases").is_some() {
        return false;
    }
    let version = entry("version").is_some_and(|entry| match &entry.value.kind {
        Kind::Scalar(scalar) => is_zero(scalar.text.trim()),
        Kind::List(_) | Kind::Map(_) => false,
    });
    let sections = entry("os").is_some() && (entry("files").is_some() || entry("hooks").is_some());
    // CloudFormation's is a map.
    let resources =
        entry("resources").is_some_and(|entry| matches!(entry.value.kind, Kind::List(_)));
    version || sections || resources
}
