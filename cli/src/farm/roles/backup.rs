//! `croft backup` and `croft restore`: a ledger to a place, and a place to an empty ledger. Neither asks a server: the one reads the
//! file or the stream beside whoever writes it, the other makes it before anybody does.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use croft_archive::{About, BackedUp, BackupError, History, Log, Restored};
use croft_cache::Depot;
use croft_ledger::{Embedded, Ledger, Restoring};
use serde_json::json;

use super::server::NAME_FILE;
use super::words::{BackupWords, NatsWords, RestoreWords};
use super::{master, substrates};
use crate::args::{Format, Global};
use crate::exit::{Exit, Wrong};
use crate::output;
use crate::surroundings::{Surroundings, now};

/// What a home's ledger is called.
const LEDGER: &str = "ledger.db";

/// `croft backup`.
pub(crate) fn backup(global: &Global, words: &BackupWords) -> anyhow::Result<Exit> {
    let surroundings = Surroundings::read(global)?;
    let home = surroundings.home.path().to_path_buf();
    super::run(async move {
        let to = depot("--to", &words.to)?;
        let log = log(&words.nats, &home).await?;
        let history = History::new(log, substrates::archive(words.store.as_deref(), &home)?);
        let about = About {
            server: known_name(&words.nats, &home),
            at: now(),
            croft: env!("CARGO_PKG_VERSION").into(),
        };
        let done = croft_archive::backup(&history, &to, about).await;
        let done = done.map_err(|error| {
            let is_callers = matches!(
                error,
                BackupError::Empty | BackupError::OtherFarm | BackupError::OtherPast { .. }
            );
            if is_callers {
                return anyhow::Error::from(Wrong(format!("--to {}: {error}", words.to)));
            }
            anyhow::Error::from(error)
        })?;
        say_backed_up(&done, words)?;
        Ok(Exit::Succeeded)
    })
}

fn say_backed_up(done: &BackedUp, words: &BackupWords) -> anyhow::Result<()> {
    let manifest = &done.manifest;
    if words.output != Format::Table && words.output != Format::Wide {
        let value = json!({
            "to": words.to, "lineage": manifest.lineage, "last": manifest.last, "entries": manifest.entries,
            "segments": manifest.segments.len(), "entriesNew": done.entries_new,
            "segmentsNew": done.segments_new, "bytesNew": done.bytes_new,
        });
        return output::value(&value, words.output);
    }
    output::text(&format!(
        "backed up {} entries to {}, {} of them new\n",
        manifest.entries, words.to, done.entries_new
    ))?;
    eprintln!(
        "croft: not in the backup: the master key (the server's --master-key-file; {} if it was given none), without which no \
         secret in it can be read again, and the store of sources, logs and artifacts ({}); keep copies of both elsewhere",
        master::path(None).display(),
        words.store.as_deref().unwrap_or("store in CROFT_HOME")
    );
    Ok(())
}

/// `croft restore`.
pub(crate) fn restore(global: &Global, words: &RestoreWords) -> anyhow::Result<Exit> {
    let surroundings = Surroundings::read(global)?;
    let home = surroundings.home.path().to_path_buf();
    super::run(async move {
        let from = depot("--from", &words.from)?;
        // Before all that is read: whoever is at the wrong home should not wait for it.
        let restoring = restoring(&words.nats, &home).await?;
        let checked = croft_archive::check(&from)
            .await
            .with_context(|| format!("nothing was restored from {}", words.from))?;
        let archive = substrates::archive(words.store.as_deref(), &home)?;
        let done = checked.write(restoring, &archive).await.context(
            "the ledger is not restored; remove what there is of a stream before the next try",
        )?;
        if words.nats.servers.is_empty() {
            complete_home(&home, done.manifest.server.as_deref())?;
        }
        say_restored(&done, words)?;
        Ok(Exit::Succeeded)
    })
}

/// What of a home belongs to its ledger. The read model is of whatever was here before, and made anew from the ledger.
fn complete_home(home: &Path, server: Option<&str>) -> anyhow::Result<()> {
    for name in ["views.db", "views.db-wal", "views.db-shm"] {
        let path = home.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            Ok(()) | Err(_) => {}
        }
    }
    // The same audit chain goes on.
    if let Some(server) = server {
        let path = home.join(NAME_FILE);
        std::fs::write(&path, server)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn say_restored(done: &Restored, words: &RestoreWords) -> anyhow::Result<()> {
    let manifest = &done.manifest;
    if words.output != Format::Table && words.output != Format::Wide {
        let value = json!({
            "from": words.from, "lineage": manifest.lineage, "last": manifest.last, "at": manifest.at,
            "entries": done.live, "archived": done.archived,
        });
        return output::value(&value, words.output);
    }
    output::text(&format!(
        "restored {} entries from {}, and {} into the archive\n",
        done.live, words.from, done.archived
    ))?;
    let each = if words.nats.servers.is_empty() {
        ""
    } else {
        "; remove views.db from the home of each server before it is started"
    };
    eprintln!(
        "croft: secrets can be read only with the master key of the farm that was backed up{each}"
    );
    Ok(())
}

async fn log(nats: &NatsWords, home: &Path) -> anyhow::Result<Arc<dyn Log>> {
    if nats.servers.is_empty() {
        let path = home.join(LEDGER);
        let looking = Embedded::look(&path).with_context(|| {
            format!(
                "no ledger of `croft up` can be read in {}; name another home with --home, or a farm's broker with --nats",
                home.display()
            )
        })?;
        return Ok(Arc::new(looking));
    }
    let ledger: Arc<dyn Ledger> = Arc::new(substrates::jetstream(nats).await?);
    Ok(Arc::new(ledger))
}

async fn restoring(nats: &NatsWords, home: &Path) -> anyhow::Result<Box<dyn Restoring>> {
    let refused = |error: croft_ledger::RestoreError, instead: String| {
        if matches!(error, croft_ledger::RestoreError::NotEmpty { .. }) {
            return anyhow::Error::from(Wrong(format!("{error}; {instead}")));
        }
        anyhow::Error::from(error)
    };
    if nats.servers.is_empty() {
        let path = home.join(LEDGER);
        let restoring = Embedded::restore(&path).map_err(|error| {
            let instead = format!(
                "name an empty home with --home, or move {} away if it is not needed",
                path.display()
            );
            refused(error, instead)
        })?;
        return Ok(Box::new(restoring));
    }
    let stream = substrates::jetstream(nats).await?;
    let restoring = stream.restore().await.map_err(|error| {
        let instead =
            "stop the farm and remove the stream with `nats stream rm` if it is not needed".into();
        refused(error, instead)
    })?;
    Ok(Box::new(restoring))
}

fn depot(flag: &str, text: &str) -> anyhow::Result<Depot> {
    let place = substrates::place(flag, text)?;
    Depot::open(&place).with_context(|| format!("cannot use {flag} {text}"))
}

/// The server's name where there is only one.
fn known_name(nats: &NatsWords, home: &Path) -> Option<String> {
    if !nats.servers.is_empty() {
        return None;
    }
    let name = std::fs::read_to_string(home.join(NAME_FILE)).ok()?;
    Some(name.trim().to_owned())
}
