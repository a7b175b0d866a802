//! `reports`: report groups by name or ARN.

use croft_proto::{listed, nearest};

use super::reader::{Fields, Reader};
use crate::buildspec::{FileFormat, ReportGroup};
use crate::code::Code;
use crate::yaml::Entry;

const KEYS: &[&str] = &["files", "file-format", "base-directory", "discard-paths"];

impl Reader<'_, '_> {
    pub(super) fn reports(&mut self, top: &Fields<'_>) -> Vec<ReportGroup> {
        let Some(entry) = top.entry("reports") else {
            return Vec::new();
        };
        if entry.value.is_null() {
            self.empty(entry, "`reports`");
            return Vec::new();
        }
        let Some(groups) = self.map(&entry.value, "`reports`") else {
            return Vec::new();
        };
        groups
            .iter()
            .filter_map(|group| self.report(group))
            .collect()
    }

    fn report(&mut self, group: &Entry) -> Option<ReportGroup> {
        let what = format!("the report `{}`", group.key);
        if group.key.trim().is_empty() {
            self.add(
                Code::EmptyText,
                group.key_span,
                "a report group has no name",
                "write its name before the `:`",
            );
            return None;
        }
        let help = "add `files` with the paths of the report files";
        if group.value.is_null() {
            self.add_missing(group, format!("{what} needs `files`"), help);
            return None;
        }
        let fields = self.fields(group, &what, KEYS)?;
        Some(ReportGroup {
            name: group.key.clone(),
            files: self.required_texts(&fields, "files", help),
            file_format: self.file_format(&fields),
            base_directory: self.optional_text(&fields, "base-directory"),
            discard_paths: self.boolean(&fields, "discard-paths"),
            place: self.place(group.key_span),
        })
    }

    fn file_format(&mut self, fields: &Fields<'_>) -> FileFormat {
        let Some(text) = self.optional_text(fields, "file-format") else {
            return FileFormat::default();
        };
        let known = FileFormat::ALL
            .iter()
            .find(|format| format.name().eq_ignore_ascii_case(text.trim()));
        if let Some(format) = known {
            return *format;
        }
        let names: Vec<_> = FileFormat::ALL.iter().map(|format| format.name()).collect();
        let help = match nearest(&text, &names) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the formats are {}", listed(&names)),
        };
        let span = fields
            .get("file-format")
            .map_or(fields.at, |node| node.span);
        self.add(
            Code::BadFileFormat,
            span,
            format!("`{text}` is not a report format"),
            help.as_str(),
        );
        FileFormat::default()
    }
}
