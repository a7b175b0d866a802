//! `cache`.

use super::reader::{Fields, Reader};
use crate::buildspec::{Cache, CacheAction};
use crate::code::Code;

const KEYS: &[&str] = &["paths", "key", "fallback-keys", "action"];

/// The format's own limit.
const FALLBACK_KEYS_MAX: usize = 5;

impl Reader<'_, '_> {
    pub(super) fn cache(&mut self, top: &Fields<'_>) -> Option<Cache> {
        let entry = top.entry("cache")?;
        let fields = self.fields(entry, "`cache`", KEYS)?;
        let paths = self.required_texts(
            &fields,
            "paths",
            "add `paths` with the files or folders to keep",
        );
        let key = self.optional_text(&fields, "key");
        let fallback_keys = self.fallback_keys(&fields, key.is_some());
        Some(Cache {
            paths,
            key,
            fallback_keys,
            action: self.action(&fields),
        })
    }

    fn fallback_keys(&mut self, fields: &Fields<'_>, has_key: bool) -> Vec<String> {
        let texts = self.texts(fields, "fallback-keys");
        if let Some((_, span)) = texts.get(FALLBACK_KEYS_MAX) {
            let message = format!(
                "there are {} fallback keys, and at most {FALLBACK_KEYS_MAX} are allowed",
                texts.len()
            );
            self.add(
                Code::TooManyFallbackKeys,
                *span,
                message,
                "keep those most likely to match; each matches by prefix",
            );
        }
        if let Some(entry) = fields.entry("fallback-keys")
            && !has_key
            && !texts.is_empty()
        {
            let message = "`fallback-keys` are ignored without `key`";
            self.add(
                Code::FallbackWithoutKey,
                entry.key_span,
                message,
                "add a `key`, or remove the fallback keys",
            );
        }
        texts.into_iter().map(|(text, _)| text).collect()
    }

    fn action(&mut self, fields: &Fields<'_>) -> CacheAction {
        let Some(text) = self.optional_text(fields, "action") else {
            return CacheAction::Both;
        };
        match text.trim().to_ascii_lowercase().as_str() {
            "restore" => CacheAction::Restore,
            "save" => CacheAction::Save,
            _ => {
                let span = fields.get("action").map_or(fields.at, |node| node.span);
                let message = format!("`{text}` is not a cache action");
                self.add(
                    Code::BadCacheAction,
                    span,
                    message,
                    "write `restore` or `save`, or leave it out for both",
                );
                CacheAction::Both
            }
        }
    }
}
