//! `env`, and `environment_variables: plaintext:`, its name in 0.1.

use croft_proto::Place;

use super::reader::{Fields, Reader};
use crate::buildspec::{Env, Shell, Version};
use crate::code::Code;
use crate::lines::Span;
use crate::yaml::{Entry, Node};

const KEYS: &[&str] = &[
    "shell",
    "variables",
    "parameter-store",
    "secrets-manager",
    "exported-variables",
    "git-credential-helper",
];

/// The prefix of the variables that every build sets itself.
const RESERVED: &str = "CODEBUILD_";

/// `env`, and for the linter where each literal value stands.
#[derive(Debug, Default)]
pub(super) struct ReadEnv {
    pub(super) env: Env,
    pub(super) spans: Vec<(String, String, Span)>,
}

impl Reader<'_, '_> {
    pub(super) fn read_env(&mut self, top: &Fields<'_>, version: Version) -> ReadEnv {
        let mut read = ReadEnv::default();
        self.old_environment(top, version, &mut read);
        if let Some(entry) = top.entry("env")
            && let Some(fields) = self.fields(entry, "`env`", KEYS)
        {
            self.env_fields(&fields, &mut read);
        }
        self.check_shadows(top, &read.env);
        read
    }

    fn env_fields(&mut self, fields: &Fields<'_>, read: &mut ReadEnv) {
        read.env.shell = self.shell(fields);
        self.variables(fields, "variables", read);
        for (name, text, place, _) in self.references(fields, "parameter-store") {
            read.env.parameter_store.push((name, text, place));
        }
        for (name, text, place, span) in self.references(fields, "secrets-manager") {
            if let Some(reference) = self.secret(&text, span) {
                read.env.secrets_manager.push((name, reference, place));
            }
        }
        read.env.exported_variables = self.exported(fields);
        read.env.git_credential_helper = self.boolean(fields, "git-credential-helper");
    }

    fn shell(&mut self, fields: &Fields<'_>) -> Shell {
        let Some(text) = self.optional_text(fields, "shell") else {
            return Shell::Sh;
        };
        let span = fields.get("shell").map_or(fields.at, |node| node.span);
        match text.trim() {
            "sh" | "/bin/sh" => Shell::Sh,
            "bash" | "/bin/bash" => Shell::Bash,
            "powershell.exe" | "cmd.exe" => {
                let message =
                    format!("the shell `{text}` runs on Windows only, and builds run on Linux");
                self.add(
                    Code::BadShell,
                    span,
                    message,
                    "write `shell: bash`, or leave it out for `sh`",
                );
                Shell::Sh
            }
            _ => {
                let message = format!("`{text}` is not a shell that builds can use");
                self.add(
                    Code::BadShell,
                    span,
                    message,
                    "write `shell: bash`, or leave it out for `sh`",
                );
                Shell::Sh
            }
        }
    }

    fn variables(&mut self, fields: &Fields<'_>, key: &str, read: &mut ReadEnv) {
        for entry in self.section(fields, key) {
            let what = format!("the variable `{}`", entry.key);
            let Some(value) = self.text(&entry.value, &what) else {
                continue;
            };
            if self.name_is_good(entry) && self.has_no_nul(&value, &entry.value, &what) {
                read.spans
                    .push((entry.key.clone(), value.clone(), entry.value.span));
                read.env.variables.push((entry.key.clone(), value));
            }
        }
    }

    /// Names and non-empty texts of `parameter-store` or `secrets-manager`.
    fn references(&mut self, fields: &Fields<'_>, key: &str) -> Vec<(String, String, Place, Span)> {
        let mut found = Vec::new();
        for entry in self.section(fields, key) {
            let what = format!("`{}` in `{key}`", entry.key);
            let Some(text) = self.text(&entry.value, &what) else {
                continue;
            };
            if text.trim().is_empty() {
                let help = "write the name of the parameter or secret after the `:`";
                self.add(
                    Code::EmptyText,
                    entry.key_span,
                    format!("{what} names nothing"),
                    help,
                );
            } else if self.name_is_good(entry) {
                let place = self.place(entry.value.span);
                found.push((
                    entry.key.clone(),
                    text.trim().to_owned(),
                    place,
                    entry.value.span,
                ));
            }
        }
        found
    }

    /// The entries of a map whose keys are names of the user's; none when it is absent or empty.
    fn section<'n>(&mut self, fields: &Fields<'n>, key: &str) -> &'n [Entry] {
        let Some(entry) = fields.entry(key) else {
            return &[];
        };
        if entry.value.is_null() {
            self.empty(entry, &format!("`{key}` in {}", fields.what));
            return &[];
        }
        self.map(&entry.value, &format!("`{key}` in {}", fields.what))
            .unwrap_or_default()
    }

    fn name_is_good(&mut self, entry: &Entry) -> bool {
        let name = entry.key.as_str();
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("`{}` cannot be the name of a variable", name.escape_debug());
            self.add(
                Code::BadVariableName,
                entry.key_span,
                message,
                "use letters, digits and `_`",
            );
            return false;
        }
        if name.starts_with(RESERVED) {
            let message = format!(
                "`{name}` begins with `{RESERVED}`, which is reserved for what a build says of itself"
            );
            self.add(
                Code::ReservedName,
                entry.key_span,
                message,
                "give the variable another name",
            );
            return false;
        }
        let readable = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !readable || name.starts_with(|first: char| first.is_ascii_digit()) {
            let message = format!("no shell can read a variable named `{name}`");
            self.add(
                Code::UnreadableVariableName,
                entry.key_span,
                message,
                "use letters, digits and `_`, no digit first",
            );
        }
        true
    }

    pub(super) fn has_no_nul(&mut self, text: &str, node: &Node, what: &str) -> bool {
        let found = text.contains('\0');
        if found {
            let message = format!("{what} contains a NUL character, which no program can receive");
            self.add(Code::NulCharacter, node.span, message, "remove the `\\0`");
        }
        !found
    }

    fn exported(&mut self, fields: &Fields<'_>) -> Vec<String> {
        let texts = self.texts(fields, "exported-variables");
        for (name, span) in &texts {
            if name.starts_with("AWS_") {
                let message = format!(
                    "`{name}` is never exported: names that begin with `AWS_` are held back"
                );
                self.add(
                    Code::NeverExported,
                    *span,
                    message,
                    "copy the value to a variable of another name",
                );
            }
        }
        texts.into_iter().map(|(name, _)| name).collect()
    }

    fn old_environment(&mut self, top: &Fields<'_>, version: Version, read: &mut ReadEnv) {
        let Some(entry) = top.entry("environment_variables") else {
            return;
        };
        if version == Version::V0_2 {
            let message = "`environment_variables` belongs to version 0.1 and is not used in 0.2";
            self.add(
                Code::DeprecatedKey,
                entry.key_span,
                message,
                "move the variables to `env`, `variables`",
            );
            return;
        }
        if let Some(fields) = self.fields(entry, "`environment_variables`", &["plaintext"]) {
            self.variables(&fields, "plaintext", read);
        }
    }

    /// Warns of a name that more than one kind of variable defines.
    fn check_shadows(&mut self, top: &Fields<'_>, env: &Env) {
        let at = top.entry("env").map_or(top.at, |entry| entry.key_span);
        let literal = env.variables.iter().map(|(name, _)| (name, "variables"));
        let parameters = env
            .parameter_store
            .iter()
            .map(|(name, ..)| (name, "parameter-store"));
        let secrets: Vec<_> = env.secrets_manager.iter().map(|(name, ..)| name).collect();
        for (name, kind) in literal.chain(parameters) {
            let winner = if secrets.contains(&name) {
                "secrets-manager"
            } else if kind == "variables"
                && env.parameter_store.iter().any(|(other, ..)| other == name)
            {
                "parameter-store"
            } else {
                continue;
            };
            let message = format!(
                "`{name}` is in `{kind}` and in `{winner}`; the value of `{winner}` is used"
            );
            self.add(Code::ShadowedVariable, at, message, "keep one of the two");
        }
    }
}
