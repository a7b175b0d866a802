//! `croft cache`: look at the cache and act on it.

/// A bar for what takes long.
mod progress;
/// What is printed.
mod rows;
/// The words.
mod words;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use croft_cache::{Answer, Id, Lookup, Mode, Policy, Put, Repair, Selector, Store, TreeRef, Trust};
use croft_keys::{Role, ScopeName};

use crate::args::{Format, Global};
use crate::exit::{Exit, Wrong};
use crate::files::parse_size;
use crate::output;
use crate::render::{count, size};
use crate::serve;
use crate::surroundings::{Surroundings, now};
pub(crate) use progress::with_bar;
use rows::{Asked, Damaged, Differs, Entry, Going, Room};
pub(crate) use words::CacheWords;
use words::{CacheCommand, DiffWords, GcWords};

pub(crate) fn cache(global: &Global, words: &CacheWords) -> anyhow::Result<Exit> {
    if let CacheCommand::Token { role, file } = &words.command {
        return token(&global.cache_scope, role, file);
    }
    let surroundings = Surroundings::read(global)?;
    if !words.command.may_be_first() {
        refuse_missing(global, &surroundings)?;
    }
    let store = surroundings.open_cache()?;
    let exit = act(&surroundings, store.clone(), words);
    for notice in store.notices() {
        eprintln!("croft: {notice}");
    }
    exit
}

/// A place that somebody named and that is not there is a slip of the hand: nothing is made there, and nothing found healthy.
fn refuse_missing(global: &Global, surroundings: &Surroundings) -> anyhow::Result<()> {
    let named = match &surroundings.cache_place {
        Some(place) => place.folder(),
        None => global.cache_dir.as_deref(),
    };
    match named {
        Some(folder) if !folder.exists() => Err(Wrong(format!(
            "there is no cache at {}: the first `croft cache put`, or the first build that saves, makes one",
            folder.display()
        ))
        .into()),
        _ => Ok(()),
    }
}

fn act(surroundings: &Surroundings, store: Store, words: &CacheWords) -> anyhow::Result<Exit> {
    match &words.command {
        CacheCommand::Ls(words) => list(&store, words.output),
        CacheCommand::Du(words) => {
            let room = Room::from(store.space(now())?);
            output::rows(&[room], words.output).map(|()| Exit::Succeeded)
        }
        CacheCommand::Put { directory } => put(&store, directory),
        CacheCommand::Get { tree, into } => get(&store, tree, into),
        CacheCommand::Diff(words) => diff(&store, words),
        CacheCommand::Explain { project, output } => {
            explain(&store, project.as_deref(), output.output)
        }
        CacheCommand::Rm { project, key, .. } => remove(&store, project.as_deref(), key.as_deref()),
        CacheCommand::Gc(words) => collect(surroundings, &store, words),
        CacheCommand::Verify { repair, output } => verify(&store, *repair, output.output),
        CacheCommand::Serve(words) => {
            let folder = store
                .trust_folder()
                .context("the cache has no folder here")?;
            let trust = Trust::in_scopes_of_folder(folder, croft_cache::Scopes::trusted())?;
            serve::serve(store.clone().trusting(trust.of_a_server()), words)
        }
        CacheCommand::Key => {
            let folder = store
                .trust_folder()
                .context("the cache has no folder here")?;
            let trust = Trust::in_scopes_of_folder(folder, croft_cache::Scopes::trusted())?;
            output::text(&format!("{}\n", trust.key_id())).map(|()| Exit::Succeeded)
        }
        CacheCommand::Token { .. } => Ok(Exit::Succeeded),
    }
}

fn list(store: &Store, format: Format) -> anyhow::Result<Exit> {
    let rows: Vec<Entry> = store.list(now())?.into_iter().map(Entry::from).collect();
    output::rows(&rows, format)?;
    if matches!(format, Format::Table | Format::Wide) {
        let usage = store.usage()?;
        let of = match usage.cap_bytes {
            u64::MAX => String::new(),
            cap_bytes => format!(" of {}", size(cap_bytes)),
        };
        output::text(&format!(
            "{}{of} used by {} entries\n",
            size(usage.stored_bytes),
            count(usage.entries)
        ))?;
    }
    Ok(Exit::Succeeded)
}

/// The digest, and nothing else, goes to standard output.
fn put(store: &Store, directory: &Path) -> anyhow::Result<Exit> {
    let request = Put {
        directory,
        now: now(),
    };
    let stored = with_bar(store, "storing", || store.put(&request))?;
    for warning in &stored.warnings {
        eprintln!("croft: {warning}");
    }
    eprintln!(
        "croft: {} files, {}; read {}, stored {}",
        count(stored.files),
        size(stored.size_bytes),
        size(stored.read_bytes),
        size(stored.stored_bytes)
    );
    output::text(&format!("{}\n", stored.tree.id))?;
    Ok(Exit::Succeeded)
}

fn get(store: &Store, tree: &str, into: &Path) -> anyhow::Result<Exit> {
    let found = tree_of(store, tree)?;
    let written = with_bar(store, "writing", || store.get(&found, into))?;
    for warning in &written.warnings {
        eprintln!("croft: {warning}");
    }
    output::text(&format!(
        "{} files, {}, in {}\n",
        count(written.files),
        size(written.size_bytes),
        into.display()
    ))?;
    Ok(Exit::Succeeded)
}

fn tree_of(store: &Store, text: &str) -> anyhow::Result<TreeRef> {
    let id = Id::parse(text).ok_or_else(|| {
        Wrong(format!(
            "{text} is no digest: 64 hexadecimal digits, as `croft cache put` prints them"
        ))
    })?;
    let found = store.tree(&id, now())?;
    found
        .ok_or_else(|| {
            Wrong(format!(
                "there is no tree {text} here: `croft cache ls -o wide` lists what there is"
            ))
        })
        .map_err(anyhow::Error::from)
}

fn diff(store: &Store, words: &DiffWords) -> anyhow::Result<Exit> {
    let (from, to) = (tree_of(store, &words.from)?, tree_of(store, &words.to)?);
    let rows: Vec<Differs> = store
        .diff(&from, &to)?
        .into_iter()
        .map(Differs::from)
        .collect();
    output::rows(&rows, words.output.output)?;
    Ok(Exit::Succeeded)
}

fn explain(store: &Store, project: Option<&str>, format: Format) -> anyhow::Result<Exit> {
    let mut asked = store.all_asked();
    if let Some(project) = project {
        asked.retain(|asked| is_of(&asked.project, project));
        if asked.is_empty() {
            return Err(Wrong(format!(
                "no build of {project} has asked the cache for anything on this machine: `croft cache explain` lists who has"
            ))
            .into());
        }
    }
    for asked in &mut asked {
        // As it was then says what the build saw; what has changed since helps the next one.
        let lookup = Lookup {
            project: &asked.project,
            key: asked.key.as_deref(),
            fallback_keys: &asked.fallback_keys,
            paths: &asked.paths,
            base: &asked.base,
            now: now(),
        };
        let explanation = store.explain(&lookup, &asked.made_of)?;
        let is_there = matches!(explanation.answer, Answer::Hit { .. });
        let today = explanation.to_string();
        if today != asked.answer && !(is_there && asked.was_found) {
            asked.answer = format!("{} (now: {today})", asked.answer);
        }
    }
    let rows: Vec<Asked> = asked.into_iter().map(Asked::from).collect();
    output::rows(&rows, format)?;
    Ok(Exit::Succeeded)
}

/// Which entries the words mean; without a project, all.
fn selector(project: Option<&str>, key: Option<&str>) -> Selector {
    match (project, key) {
        (None, _) => Selector::All,
        (Some(project), None) => Selector::Project(project.to_string()),
        (Some(project), Some(key)) => Selector::Entry {
            project: project.to_string(),
            key: Some(key.to_string()),
        },
    }
}

/// True for a project's own entries and for those of every source that is called like it: `app@/home/me/app`.
fn is_of(entry: &str, project: &str) -> bool {
    entry
        .strip_prefix(project)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
}

fn remove(store: &Store, project: Option<&str>, key: Option<&str>) -> anyhow::Result<Exit> {
    let selectors = match project {
        None => vec![Selector::All],
        Some(project) => {
            let names = store.list(now())?.into_iter().map(|entry| entry.project);
            let names: BTreeSet<String> = names.filter(|name| is_of(name, project)).collect();
            names.iter().map(|name| selector(Some(name), key)).collect()
        }
    };
    let (mut entries, mut freed_bytes) = (0, 0);
    for selector in &selectors {
        let removed = store.remove(selector, now())?;
        entries += removed.entries;
        freed_bytes += removed.freed_bytes;
    }
    if entries == 0 && project.is_some() {
        return Err(Wrong(
            "nothing in the cache is called that: `croft cache ls` lists what there is".into(),
        )
        .into());
    }
    output::text(&format!(
        "removed {} {}, {} freed\n",
        count(entries),
        if entries == 1 { "entry" } else { "entries" },
        size(freed_bytes)
    ))?;
    Ok(Exit::Succeeded)
}

fn collect(surroundings: &Surroundings, store: &Store, words: &GcWords) -> anyhow::Result<Exit> {
    let wrong = |flag: &str, reason: String| Wrong(format!("--{flag}: {reason}"));
    let idle = words.max_idle.as_deref().map(crate::files::parse_span_ms);
    let bytes = words.max_size.as_deref().map(parse_size);
    let policy = Policy {
        idle_ms_max: idle
            .transpose()
            .map_err(|reason| wrong("max-idle", reason))?,
        bytes_max: bytes
            .transpose()
            .map_err(|reason| wrong("max-size", reason))?,
        entries_max: words.keep,
        live_bytes_max: Some(surroundings.cache_bytes_max),
        asked: None,
    };
    let mode = if words.dry_run {
        Mode::DryRun
    } else {
        Mode::Act
    };
    let collected = with_bar(store, "collecting", || store.collect(&policy, mode, now()))?;
    for warning in &collected.warnings {
        eprintln!("croft: {warning}");
    }
    let going: Vec<Going> = collected.departures.into_iter().map(Going::from).collect();
    let format = words.output.output;
    let is_table = matches!(format, Format::Table | Format::Wide);
    if !going.is_empty() || !is_table {
        output::rows(&going, format)?;
    }
    if is_table {
        let verb = if words.dry_run { "would go" } else { "gone" };
        let mut line = format!("{} entries {verb}", count(going.len() as u64));
        if words.dry_run {
            line += &format!(
                "; {} of objects nothing uses",
                size(collected.condemned_bytes)
            );
        } else {
            line += &format!(
                "; {} freed, {} left",
                size(collected.freed_bytes),
                size(collected.stored_bytes)
            );
            if collected.condemned_bytes > 0 {
                line += &format!(
                    "; {} more go half an hour from now, with the next collection, since somebody may be saving",
                    size(collected.condemned_bytes)
                );
            }
        }
        output::text(&format!("{line}\n"))?;
    }
    Ok(Exit::Succeeded)
}

/// Damage found and not mended is an infrastructure failure: exit code 2.
fn verify(store: &Store, repair: bool, format: Format) -> anyhow::Result<Exit> {
    let asked = if repair { Repair::Yes } else { Repair::No };
    let verified = with_bar(store, "checking", || store.verify(asked, now()))?;
    let is_mended = verified
        .damaged
        .iter()
        .all(|damage| damage.repair.is_some());
    let rows: Vec<Damaged> = verified.damaged.into_iter().map(Damaged::from).collect();
    if matches!(format, Format::Table | Format::Wide) {
        output::text(&format!(
            "{} objects, {}: {} damaged\n",
            count(verified.objects),
            size(verified.bytes),
            count(rows.len() as u64)
        ))?;
    }
    if !rows.is_empty() || !matches!(format, Format::Table | Format::Wide) {
        output::rows(&rows, format)?;
    }
    Ok(if is_mended {
        Exit::Succeeded
    } else {
        Exit::Infrastructure
    })
}

/// Prints the token, which is kept nowhere, and appends what lets it in to the file.
fn token(scope: &str, role: &str, file: &Path) -> anyhow::Result<Exit> {
    let role = match role {
        "reader" => Role::Reader,
        "writer" => Role::Writer,
        other => return Err(Wrong(format!("--role {other}: reader or writer")).into()),
    };
    let name: ScopeName = scope
        .parse()
        .map_err(|error| Wrong(format!("--cache-scope {scope}: {error}")))?;
    let made = croft_keys::new_token(role, &name)?;
    let mut out = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("cannot write {}", file.display()))?;
    writeln!(out, "{}", made.line).with_context(|| format!("cannot write {}", file.display()))?;
    output::text(&format!("{}\n", made.token))?;
    Ok(Exit::Succeeded)
}
