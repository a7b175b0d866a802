//! The build's cache, seen from the build: what is restored before its commands and saved after them. A cache that cannot be
//! read or written is a warning and a miss, never a failed build: Promise C. Receives the buildspec's `cache`, hands back
//! what happened.

use std::path::PathBuf;
use std::sync::Arc;

use croft_beneath::Root;
use croft_cache::{Found, Restore, Save, SaveOutcome, Store};
use croft_exec::output::Writer;
use croft_proto::{CacheStatus, CacheSummary, EventKind, NoticeLevel, Timestamp};
use croft_spec::{Cache, CacheAction};

use crate::commands::{Limit, Session};
use crate::expand::{self, expand};

/// The buildspec's `cache` with everything expanded.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    project: String,
    key: Option<String>,
    fallback_keys: Vec<String>,
    paths: Vec<String>,
    base: PathBuf,
    restores: bool,
    saves: bool,
}

/// One project's store.
#[derive(Clone, Debug)]
pub(crate) struct Cached {
    pub(crate) store: Arc<Store>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) clock: fn() -> Timestamp,
}

/// Expands keys and paths. An expansion that fails is the caller's warning: the build goes on without a cache.
pub(crate) async fn plan(
    session: &mut Session,
    root: &Root,
    (project, base): (&str, PathBuf),
    cache: &Cache,
    limit: &mut Limit<'_>,
) -> Result<Plan, expand::Error> {
    let mut plan = Plan {
        project: project.to_string(),
        key: None,
        fallback_keys: Vec::new(),
        paths: Vec::new(),
        base,
        restores: cache.action != CacheAction::Save,
        saves: cache.action != CacheAction::Restore,
    };
    for path in &cache.paths {
        let path = expand(session, root, path, limit).await?;
        plan.paths.push(
            path.strip_prefix("~/")
                .map_or(path.clone(), |rest| format!("/root/{rest}")),
        );
    }
    if let Some(key) = &cache.key {
        plan.key = Some(expand(session, root, key, limit).await?);
        for key in &cache.fallback_keys {
            plan.fallback_keys
                .push(expand(session, root, key, limit).await?);
        }
    }
    Ok(plan)
}

impl Cached {
    /// Brings in what an earlier build saved; `None` when the buildspec's `action` says not to.
    pub(crate) async fn restore(&self, plan: &Plan, root: &Root) -> Option<CacheSummary> {
        if !plan.restores {
            return None;
        }
        let started = (self.clock)();
        let mut summary = empty(CacheStatus::Miss, plan);
        let (store, plan) = (Arc::clone(&self.store), plan.clone());
        let result = in_background(root, move |root| {
            store.restore(&Restore {
                project: &plan.project,
                key: plan.key.as_deref(),
                fallback_keys: &plan.fallback_keys,
                paths: &plan.paths,
                root: &root,
                base: &plan.base,
                now: started,
            })
        })
        .await;
        match result {
            Ok(restored) => {
                summary.status = match restored.found {
                    Found::Exact => CacheStatus::Hit,
                    Found::Fallback => CacheStatus::Fallback,
                    Found::Miss => CacheStatus::Miss,
                };
                if restored.found == Found::Fallback {
                    summary.detail = restored.key.map(|key| format!("restored from {key}"));
                }
                (summary.files, summary.size_bytes) = (restored.files, restored.size_bytes);
                self.warn(&restored.warnings);
            }
            Err(reason) => self.unusable(&mut summary, "restored", &reason),
        }
        summary.duration_ms = (self.clock)().millis_since(started);
        self.writer.emit(EventKind::CacheRestored {
            cache: summary.clone(),
        });
        Some(summary)
    }

    /// Restores nothing, and says so: in place, the files in the way are the person's own, with what they changed since.
    pub(crate) fn leave_alone(&self, plan: &Plan) -> Option<CacheSummary> {
        if !plan.restores {
            return None;
        }
        let mut summary = empty(CacheStatus::Skipped, plan);
        let reason = "a build in place keeps the files that are there";
        summary.detail = Some(reason.to_string());
        self.writer.emit(EventKind::CacheRestored {
            cache: summary.clone(),
        });
        Some(summary)
    }

    /// Stores what the build leaves; `None` when the buildspec's `action` says not to.
    pub(crate) async fn save(&self, plan: &Plan, root: &Root) -> Option<CacheSummary> {
        if !plan.saves {
            return None;
        }
        let started = (self.clock)();
        let mut summary = empty(CacheStatus::Saved, plan);
        let (store, plan) = (Arc::clone(&self.store), plan.clone());
        let result = in_background(root, move |root| {
            store.save(&Save {
                project: &plan.project,
                key: plan.key.as_deref(),
                paths: &plan.paths,
                root: &root,
                base: &plan.base,
                now: started,
            })
        })
        .await;
        match result {
            Ok(saved) => {
                summary.status = match saved.outcome {
                    SaveOutcome::Saved => CacheStatus::Saved,
                    SaveOutcome::Unchanged => CacheStatus::Unchanged,
                    SaveOutcome::NothingFound => CacheStatus::Skipped,
                };
                if saved.outcome == SaveOutcome::NothingFound {
                    summary.detail = Some("no file matches the cache's paths".to_string());
                }
                (summary.files, summary.size_bytes) = (saved.files, saved.size_bytes);
                summary.stored_bytes = saved.stored_bytes;
                self.warn(&saved.warnings);
            }
            Err(reason) => self.unusable(&mut summary, "saved", &reason),
        }
        summary.duration_ms = (self.clock)().millis_since(started);
        self.writer.emit(EventKind::CacheSaved {
            cache: summary.clone(),
        });
        Some(summary)
    }

    fn unusable(&self, summary: &mut CacheSummary, what: &str, reason: &str) {
        summary.status = CacheStatus::Unusable;
        summary.detail = Some(reason.to_string());
        self.warn(&[format!(
            "the cache could not be {what}, the build goes on without: {reason}"
        )]);
    }

    fn warn(&self, messages: &[String]) {
        for message in messages {
            self.writer.emit(EventKind::Notice {
                level: NoticeLevel::Warning,
                message: message.clone(),
            });
        }
    }
}

fn empty(status: CacheStatus, plan: &Plan) -> CacheSummary {
    CacheSummary {
        status,
        key: plan.key.clone(),
        files: 0,
        size_bytes: 0,
        stored_bytes: 0,
        duration_ms: 0,
        detail: None,
    }
}

/// Runs a blocking step of the store's; its error as one chain of sentences.
async fn in_background<T: Send + 'static>(
    root: &Root,
    step: impl FnOnce(Root) -> Result<T, croft_cache::Error> + Send + 'static,
) -> Result<T, String> {
    let root = root.try_clone().map_err(|error| error.to_string())?;
    let joined = tokio::task::spawn_blocking(move || step(root)).await;
    joined
        .map_err(|error| error.to_string())?
        .map_err(|error| crate::chain(&error))
}
