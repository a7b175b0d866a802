//! The build's cache, seen from the build: what is restored before its commands and saved after them. A cache that cannot be
//! read or written is a warning and a miss, never a failed build: Promise C. Receives the buildspec's `cache`, hands back
//! what happened.

/// A restored entry that lies beneath the build.
mod mounted;
/// What a key was made of.
mod origin;

use std::path::PathBuf;
use std::sync::Arc;

use croft_beneath::Root;
use croft_cache::{Found, Hit, Input, Lookup, Origin, Restore, Restored, Save, SaveOutcome, Store};
use croft_exec::output::Writer;
use croft_proto::{CacheMethod, CacheStatus, CacheSummary, EventKind, NoticeLevel, Timestamp};
use croft_spec::{Cache, CacheAction};

use crate::commands::{Limit, Session};
use crate::expand::{self, expand, expand_noting};
use crate::runtime::Place;
pub(crate) use mounted::Mounted;
use mounted::NotMounted;

/// The buildspec's `cache` with everything expanded.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    project: String,
    key: Option<String>,
    key_template: Option<String>,
    made_of: Vec<Input>,
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
    /// When the build began to do what the cache may spare the next one.
    pub(crate) since: Timestamp,
}

/// Expands keys and paths. An expansion that fails is the caller's warning: the build goes on without a cache.
pub(crate) async fn plan(
    session: &mut Session,
    root: &Root,
    (project, base): (&str, PathBuf),
    cache: &Cache,
    secrets: &[String],
    limit: &mut Limit<'_>,
) -> Result<Plan, expand::Error> {
    let mut plan = Plan {
        project: project.to_string(),
        key: None,
        key_template: cache.key.clone(),
        made_of: Vec::new(),
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
        plan.made_of = origin::variables(key, &session.environment, secrets);
        let (expanded, hashed) = expand_noting(session, root, key, limit).await?;
        plan.key = Some(expanded);
        plan.made_of.extend(origin::files(hashed));
        for key in &cache.fallback_keys {
            plan.fallback_keys
                .push(expand(session, root, key, limit).await?);
        }
    }
    Ok(plan)
}

impl Plan {
    fn lookup(&self, now: Timestamp) -> Lookup<'_> {
        Lookup {
            project: &self.project,
            key: self.key.as_deref(),
            fallback_keys: &self.fallback_keys,
            paths: &self.paths,
            base: &self.base,
            now,
        }
    }
}

/// How what an earlier build saved came in.
enum Came {
    /// There is nothing.
    Not,
    Mounted(Box<Hit>, Mounted),
    Copied(Restored),
}

impl Cached {
    /// Brings in what an earlier build saved: mounted where the place allows it, copied otherwise. No summary when the
    /// buildspec's `action` says not to.
    pub(crate) async fn restore(
        &self,
        plan: &Plan,
        root: &Root,
        place: &Place,
    ) -> (Option<CacheSummary>, Option<Mounted>) {
        if !plan.restores {
            return (None, None);
        }
        let started = (self.clock)();
        let mut summary = empty(CacheStatus::Miss, plan);
        let mut mounted = None;
        match self.bring_in(plan, root, place, started).await {
            Ok(Came::Not) => {}
            Ok(Came::Mounted(hit, layers)) => {
                describe(&mut summary, hit.found, hit.key, CacheMethod::Mounted);
                (summary.files, summary.size_bytes) = (hit.files, hit.size_bytes);
                mounted = Some(layers);
            }
            Ok(Came::Copied(restored)) => {
                describe(
                    &mut summary,
                    restored.found,
                    restored.key,
                    CacheMethod::Copied,
                );
                (summary.files, summary.size_bytes) = (restored.files, restored.size_bytes);
                self.warn(&restored.warnings);
            }
            Err(reason) => self.unusable(&mut summary, "restored", &reason),
        }
        summary.duration_ms = (self.clock)().millis_since(started);
        self.say_why(plan, root, &mut summary, started).await;
        self.warn(&self.store.notices());
        self.writer.emit(EventKind::CacheRestored {
            cache: summary.clone(),
        });
        (Some(summary), mounted)
    }

    /// Says why the exact key was not found, and remembers the question for `croft cache explain`.
    async fn say_why(&self, plan: &Plan, root: &Root, summary: &mut CacheSummary, now: Timestamp) {
        let (store, plan) = (Arc::clone(&self.store), plan.clone());
        let is_hit = summary.status == CacheStatus::Hit;
        let explained = in_background(root, move |_| {
            if is_hit {
                store.note_found(&plan.lookup(now), &plan.made_of);
                return Ok(None);
            }
            let explained = store.explain_and_note(&plan.lookup(now), &plan.made_of);
            explained.map(Some)
        });
        let reason = match explained.await {
            Ok(Some(explanation)) => explanation.to_string(),
            Ok(None) => return,
            Err(reason) => {
                tracing::debug!(reason, "nobody knows why the cache missed");
                return;
            }
        };
        match summary.status {
            CacheStatus::Miss => summary.detail = Some(reason),
            CacheStatus::Fallback => {
                let from = summary.detail.take().unwrap_or_default();
                summary.detail = Some(format!("{from}; {reason}"));
            }
            CacheStatus::Hit
            | CacheStatus::Saved
            | CacheStatus::Unchanged
            | CacheStatus::Skipped
            | CacheStatus::Unusable => {}
        }
    }

    async fn bring_in(
        &self,
        plan: &Plan,
        root: &Root,
        place: &Place,
        now: Timestamp,
    ) -> Result<Came, String> {
        let (store, wanted) = (Arc::clone(&self.store), plan.clone());
        let sought = in_background(root, move |_| store.find(&wanted.lookup(now))).await?;
        self.warn(&sought.warnings);
        let Some(hit) = sought.hit else {
            return Ok(Came::Not);
        };
        match mounted::mount(&self.store, plan, root, place, &hit.tree, now).await {
            Ok(mounted) => return Ok(Came::Mounted(Box::new(hit), mounted)),
            Err(NotMounted::AsExpected) => {}
            Err(NotMounted::Failed(reason)) => self.writer.emit(EventKind::Notice {
                level: NoticeLevel::Info,
                message: format!("the cache's files are copied instead of mounted: {reason}"),
            }),
        }
        let (store, plan) = (Arc::clone(&self.store), plan.clone());
        let restored = in_background(root, move |root| {
            let request = Restore {
                lookup: plan.lookup(now),
                root: &root,
            };
            store.restore_hit(hit, &request)
        });
        restored.await.map(Came::Copied)
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
    pub(crate) async fn save(
        &self,
        plan: &Plan,
        root: &Root,
        mounted: Option<&Mounted>,
    ) -> Option<CacheSummary> {
        if !plan.saves {
            return None;
        }
        let started = (self.clock)();
        let mut summary = empty(CacheStatus::Saved, plan);
        let (store, plan) = (Arc::clone(&self.store), plan.clone());
        let (mounted, cost_ms) = (
            mounted.map(Mounted::parts),
            started.millis_since(self.since),
        );
        let result = in_background(root, move |root| {
            store.save(&Save {
                project: &plan.project,
                key: plan.key.as_deref(),
                paths: &plan.paths,
                root: &root,
                base: &plan.base,
                now: started,
                origin: Origin {
                    key_template: plan.key_template.as_deref(),
                    made_of: &plan.made_of,
                    cost_ms,
                },
                mounted: mounted.as_ref().map(mounted::Parts::borrowed).as_ref(),
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
        method: None,
        detail: None,
    }
}

fn describe(summary: &mut CacheSummary, found: Found, key: Option<String>, method: CacheMethod) {
    summary.status = match found {
        Found::Exact => CacheStatus::Hit,
        Found::Fallback => CacheStatus::Fallback,
        Found::Miss => CacheStatus::Miss,
    };
    summary.method = (found != Found::Miss).then_some(method);
    if found == Found::Fallback {
        summary.detail = key.map(|key| format!("restored from {key}"));
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
