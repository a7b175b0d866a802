//! `artifacts` and its `secondary-artifacts`.

use super::reader::{Fields, Reader};
use crate::buildspec::Artifacts;
use crate::code::Code;
use crate::yaml::Entry;

const KEYS: &[&str] = &[
    "files",
    "name",
    "discard-paths",
    "base-directory",
    "exclude-paths",
    "enable-symlinks",
    "s3-prefix",
    "secondary-artifacts",
    "type",
];

/// A secondary artifact has no secondary artifacts.
const SECONDARY_KEYS: &[&str] = &[
    "files",
    "name",
    "discard-paths",
    "base-directory",
    "exclude-paths",
    "enable-symlinks",
    "s3-prefix",
];

const FILES_HELP: &str = "add `files`, such as `- '**/*'` for everything";

impl Reader<'_, '_> {
    pub(super) fn artifacts(&mut self, top: &Fields<'_>) -> Option<Artifacts> {
        let entry = top.entry("artifacts")?;
        let fields = self.fields(entry, "`artifacts`", KEYS)?;
        if let Some(old) = fields.entry("type") {
            let message = "`type` in `artifacts` has had no meaning since version 0.1";
            self.add(Code::DeprecatedKey, old.key_span, message, "remove it");
        }
        let secondary = self.secondary(&fields);
        // With secondary artifacts alone, `files` would be collected by nobody: see docs/compatibility.md.
        let files = if fields.entry("files").is_none() && !secondary.is_empty() {
            Vec::new()
        } else {
            self.required_texts(&fields, "files", FILES_HELP)
        };
        Some(Artifacts {
            files,
            secondary,
            ..self.common(&fields)
        })
    }

    /// Everything but `files` and `secondary-artifacts`.
    fn common(&mut self, fields: &Fields<'_>) -> Artifacts {
        Artifacts {
            files: Vec::new(),
            name: self.optional_text(fields, "name"),
            discard_paths: self.boolean(fields, "discard-paths"),
            base_directory: self.optional_text(fields, "base-directory"),
            exclude_paths: self
                .texts(fields, "exclude-paths")
                .into_iter()
                .map(|(text, _)| text)
                .collect(),
            enable_symlinks: self.boolean(fields, "enable-symlinks"),
            s3_prefix: self.optional_text(fields, "s3-prefix"),
            secondary: Vec::new(),
            place: self.place(fields.at),
        }
    }

    fn secondary(&mut self, fields: &Fields<'_>) -> Vec<(String, Artifacts)> {
        let Some(entry) = fields.entry("secondary-artifacts") else {
            return Vec::new();
        };
        if entry.value.is_null() {
            self.empty(entry, "`secondary-artifacts`");
            return Vec::new();
        }
        let Some(entries) = self.map(&entry.value, "`secondary-artifacts`") else {
            return Vec::new();
        };
        entries
            .iter()
            .filter_map(|entry| self.secondary_artifact(entry))
            .collect()
    }

    fn secondary_artifact(&mut self, entry: &Entry) -> Option<(String, Artifacts)> {
        let identifier = entry.key.as_str();
        if identifier.is_empty()
            || !identifier
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            let message = format!("`{identifier}` cannot identify an artifact");
            self.add(
                Code::BadIdentifier,
                entry.key_span,
                message,
                "use letters, digits and `_` only",
            );
        }
        let what = format!("the secondary artifact `{identifier}`");
        if entry.value.is_null() {
            self.add_missing(entry, format!("{what} needs `files`"), FILES_HELP);
            return None;
        }
        let fields = self.fields(entry, &what, SECONDARY_KEYS)?;
        let files = self.required_texts(&fields, "files", FILES_HELP);
        Some((
            identifier.to_owned(),
            Artifacts {
                files,
                ..self.common(&fields)
            },
        ))
    }
}
