//! The top level: which sections there are, and which version they follow.

use croft_proto::{listed, nearest};

use super::commands::Site;
use super::reader::{Fields, Reader};
use crate::buildspec::{Buildspec, Proxy, Version};
use crate::code::Code;
use crate::findings::Findings;
use crate::lines::Span;
use crate::yaml::{self, Entry, Kind};

const KEYS: &[&str] = &[
    "version",
    "run-as",
    "env",
    "proxy",
    "batch",
    "phases",
    "reports",
    "artifacts",
    "cache",
    "x-croft",
];

/// The key of 0.1 that became `env`.
const OLD_ENV: &str = "environment_variables";

/// A file as far as it could be read. It is a buildspec only if nothing among the findings is an error.
#[derive(Debug)]
pub(crate) struct Draft {
    /// The sections, with defaults where one could not be read.
    pub(crate) spec: Buildspec,
    /// Every command with its exact place, in the file's order of phases.
    pub(crate) sites: Vec<Site>,
    /// Where `batch` stands.
    pub(crate) batch: Option<Span>,
    /// Each variable of `env.variables`: name, value, and where the value stands.
    pub(crate) variables: Vec<(String, String, Span)>,
}

/// Reads the file; `None` when there is no map to read.
pub(crate) fn document(findings: &mut Findings<'_>) -> Option<Draft> {
    let tree = yaml::read(findings);
    let Some(root) = tree.root else {
        if !tree.gaps.open_end && tree.gaps.lines.is_empty() {
            let help = "a buildspec begins with `version: 0.2` and has `phases`";
            findings.add_for_file(Code::EmptyFile, "the file says nothing", help);
        }
        return None;
    };
    let Kind::Map(entries) = &root.kind else {
        if root.is_null() {
            findings.add_for_file(
                Code::EmptyFile,
                "the file says nothing",
                "a buildspec begins with `version: 0.2` and has `phases`",
            );
        } else {
            let message = format!(
                "a buildspec is a map of sections such as `version` and `phases`, and this is {}",
                root.kind_name()
            );
            findings.add(
                Code::WrongType,
                root.span,
                message,
                "begin with `version: 0.2`; a key needs a space after its `:`",
            );
        }
        return None;
    };
    Some(Reader::new(findings, tree.gaps).sections(entries))
}

impl Reader<'_, '_> {
    fn sections(&mut self, entries: &[Entry]) -> Draft {
        let top = self.top(entries, "the buildspec");
        self.check_top_keys(entries);
        let version = self.version(&top);
        self.x_croft(&top);
        let env = self.read_env(&top, version);
        let spec = Buildspec {
            version,
            run_as: self.optional_text(&top, "run-as"),
            env: env.env,
            proxy: self.proxy(&top),
            phases: self.phases(&top),
            reports: self.reports(&top),
            artifacts: self.artifacts(&top),
            cache: self.cache(&top),
            has_batch: self.batch(&top),
        };
        let batch = top.entry("batch").map(|entry| entry.key_span);
        Draft {
            spec,
            sites: std::mem::take(&mut self.sites),
            batch,
            variables: env.spans,
        }
    }

    fn check_top_keys(&mut self, entries: &[Entry]) {
        for entry in entries
            .iter()
            .filter(|entry| !KEYS.contains(&entry.key.as_str()) && entry.key != OLD_ENV)
        {
            let message = format!(
                "`{}` is not a section of a buildspec and is not used",
                entry.key
            );
            let help = match nearest(&entry.key, KEYS) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!(
                    "fine for parking anchors; the sections are {}",
                    listed(KEYS)
                ),
            };
            self.add(
                Code::UnknownTopLevelKey,
                entry.key_span,
                message,
                help.as_str(),
            );
        }
    }

    fn version(&mut self, top: &Fields<'_>) -> Version {
        let Some(node) = top.get("version") else {
            self.missing(top, "version", "add `version: 0.2` as the first line");
            return Version::V0_2;
        };
        match self.text(node, "`version`").as_deref().map(str::trim) {
            Some("0.1") => Version::V0_1,
            Some("0.2") | None => Version::V0_2,
            Some(other) => {
                let message = format!("`{other}` is not a buildspec version");
                self.add(
                    Code::BadVersion,
                    node.span,
                    message,
                    "write `version: 0.2`; the only other version is 0.1",
                );
                Version::V0_2
            }
        }
    }

    fn x_croft(&mut self, top: &Fields<'_>) {
        if let Some(node) = top.get("x-croft") {
            self.map(node, "`x-croft`");
        }
    }

    fn proxy(&mut self, top: &Fields<'_>) -> Proxy {
        let Some(entry) = top.entry("proxy") else {
            return Proxy::default();
        };
        let Some(fields) = self.fields(entry, "`proxy`", &["upload-artifacts", "logs"]) else {
            return Proxy::default();
        };
        Proxy {
            upload_artifacts: self.boolean(&fields, "upload-artifacts"),
            logs: self.boolean(&fields, "logs"),
        }
    }
}
