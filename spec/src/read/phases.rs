//! `phases`: the four, what each may hold, and what each must.

use croft_proto::{PhaseType, listed, nearest};

use super::commands::List;
use super::reader::{Fields, Reader};
use crate::buildspec::{OnFailure, Phase, Phases};
use crate::code::Code;
use crate::yaml::Entry;

const PHASES: &[&str] = &["install", "pre_build", "build", "post_build"];

/// What any phase may hold; `install` has one key more.
const KEYS: &[&str] = &[
    "run-as",
    "on-failure",
    "commands",
    "finally",
    "runtime-versions",
];

impl Reader<'_, '_> {
    pub(super) fn phases(&mut self, top: &Fields<'_>) -> Phases {
        let mut phases = Phases::default();
        let Some(node) = top.get("phases") else {
            self.missing(
                top,
                "phases",
                "add `phases` with at least `build` and its `commands`",
            );
            return phases;
        };
        let Some(entries) = self.map(node, "`phases`") else {
            return phases;
        };
        let said = self.findings.count();
        for entry in entries {
            match entry.key.as_str() {
                "install" => phases.install = self.phase(entry, PhaseType::Install),
                "pre_build" => phases.pre_build = self.phase(entry, PhaseType::PreBuild),
                "build" => phases.build = self.phase(entry, PhaseType::Build),
                "post_build" => phases.post_build = self.phase(entry, PhaseType::PostBuild),
                _ => self.unknown_phase(entry),
            }
        }
        if self.sites.is_empty() && said == self.findings.count() && self.is_sure(top) {
            let at = top.entry("phases").map_or(top.at, |entry| entry.key_span);
            self.add(
                Code::NoCommands,
                at,
                "no phase has a command, so the build does nothing",
                "add `commands` to `build`",
            );
        }
        phases
    }

    fn unknown_phase(&mut self, entry: &Entry) {
        let message = format!("`{}` is not a phase", entry.key);
        let help = match nearest(&entry.key, PHASES) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the phases are {}", listed(PHASES)),
        };
        self.add(Code::UnknownPhase, entry.key_span, message, help.as_str());
    }

    fn phase(&mut self, entry: &Entry, phase: PhaseType) -> Phase {
        let what = format!("`{}`", entry.key);
        let install = phase == PhaseType::Install;
        if entry.value.is_null() && !install {
            let help = "add `commands` below it, or remove the phase";
            self.add_missing(entry, format!("{what} needs `commands`"), help);
            return Phase::default();
        }
        let Some(fields) = self.fields(entry, &what, KEYS) else {
            return Phase::default();
        };
        if !install && fields.get("commands").is_none() {
            self.missing(
                &fields,
                "commands",
                "add the phase's `commands`, or remove the phase",
            );
        }
        Phase {
            run_as: self.optional_text(&fields, "run-as"),
            on_failure: self.on_failure_key(&fields),
            runtime_versions: self.runtime_versions(&fields, phase),
            commands: self.commands(&fields, phase, List::Commands),
            finally: self.commands(&fields, phase, List::Finally),
        }
    }

    fn on_failure_key(&mut self, fields: &Fields<'_>) -> OnFailure {
        let Some(text) = self.optional_text(fields, "on-failure") else {
            return OnFailure::Unset;
        };
        let span = fields.get("on-failure").map_or(fields.at, |node| node.span);
        self.on_failure(&text, span)
    }

    fn runtime_versions(&mut self, fields: &Fields<'_>, phase: PhaseType) -> Vec<(String, String)> {
        let Some(entry) = fields.entry("runtime-versions") else {
            return Vec::new();
        };
        if phase != PhaseType::Install {
            let message = format!(
                "{} has no `runtime-versions`: only `install` has",
                fields.what
            );
            self.add(
                Code::UnknownKey,
                entry.key_span,
                message,
                "move it to the `install` phase",
            );
            return Vec::new();
        }
        let help = "name a runtime and its version, such as `python: 3.12`, or remove the key";
        let Some(node) = fields.get("runtime-versions") else {
            self.missing(fields, "runtime-versions", help);
            return Vec::new();
        };
        let Some(entries) = self.map(node, "`runtime-versions`") else {
            return Vec::new();
        };
        if entries.is_empty() {
            self.add(
                Code::MissingKey,
                entry.key_span,
                "`runtime-versions` names no runtime",
                help,
            );
        }
        entries
            .iter()
            .filter_map(|runtime| self.runtime(runtime))
            .collect()
    }

    fn runtime(&mut self, runtime: &Entry) -> Option<(String, String)> {
        let what = format!("the version of `{}`", runtime.key);
        let version = self.text(&runtime.value, &what)?;
        if version.trim().is_empty() {
            let help = "write a version, such as `3.12`, `18.x` or `latest`";
            self.add(
                Code::EmptyText,
                runtime.key_span,
                format!("{what} is missing"),
                help,
            );
            return None;
        }
        Some((runtime.key.clone(), version.trim().to_owned()))
    }
}
