//! `croft up`: a server and a worker in one process, over a ledger in a file and a bus in memory. Nothing has to be configured: the
//! address and a token for this machine's own commands lie in a file that only its owner can read.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context;
use croft_worker::farm::Standing;
use tokio::sync::watch;

use super::ending;
use super::server::{self, Running};
use super::words::UpWords;
use super::{enrolment, master, observed, substrates, worker};
use crate::args::Global;
use crate::exit::Exit;
use crate::farm::client::connection::{UP_FILE, Up};
use crate::signals::Signals;
use crate::surroundings::Surroundings;
use crate::{output, sweep};

/// What its token is called.
const TOKEN_NAME: &str = "this machine's croft up";

/// `croft up`.
pub(crate) fn up(global: &Global, words: &UpWords) -> anyhow::Result<Exit> {
    let surroundings = Surroundings::read(global)?;
    let home = surroundings.home.path().to_path_buf();
    super::run(async move {
        let mut signals = Signals::new().context("cannot wait for signals")?;
        sweep::sweep(&surroundings.home).await;
        let limit = worker::drain_limit(&words.farm)?;
        let lease = substrates::lease(&words.farm)?;
        let path = master::path(words.door.master_key_file.as_deref());
        let key = master::read_or_create(&path, &home, home.join("ledger.db").exists())?;
        let broker = substrates::embedded(&surroundings.home)?;
        master::claim(&key, &path, &*broker.ledger).await?;
        let kept = substrates::kept(&words.farm, &home, None)?;
        let registry = observed::registry()?;
        let ground = server::Ground {
            broker: broker.clone(),
            kept: std::sync::Arc::clone(&kept),
            archive: substrates::Archive::of(&words.farm, &words.keep, &home)?,
            lease,
            name: server::name(None, &home)?,
            registry: registry.clone(),
        };
        let mut running = Running::start(ground, &words.door, &home, key).await?;
        let keys = enrolment::within(&running.farm, &words.slots.pool).await?;
        let ground = worker::Ground {
            broker,
            kept,
            keys,
            lease,
            name: worker::host(),
            has_sandbox: !words.no_sandbox,
            registry,
        };
        let (worker, warm, _vitals) = worker::worker(ground, &words.slots, &surroundings)?;
        let token = token(&running, &home).await?;
        write_up(&home, &running.url, &token)?;
        output::text(&format!(
            "listening on {url}\ntry: croft submit DIR; croft build list\n",
            url = running.url
        ))?;
        let (standing, told) = watch::channel(Standing::Working);
        let mut working = std::pin::pin!(worker::beside_warm(worker, warm, told));
        tokio::select! {
            ended = &mut working => ended?,
            error = running.failed() => return Err(error),
            () = ending::drain(&mut signals, &standing, limit) => working.await?,
        }
        running.stop().await?;
        Ok(Exit::Succeeded)
    })
}

/// The token of the last start, if it is good still; else a new one.
async fn token(running: &Running, home: &Path) -> anyhow::Result<String> {
    let known = Up::read(home).ok().flatten().map(|(up, _)| up.token);
    let farm = &running.farm;
    croft_api::farm::token_of_this_machine(farm, TOKEN_NAME, known)
        .await
        .context("cannot make a token for this machine's commands")
}

fn write_up(home: &Path, url: &str, token: &str) -> anyhow::Result<()> {
    let path = home.join(UP_FILE);
    let failed = || format!("cannot write {}", path.display());
    let fresh = home.join(format!("{UP_FILE}.new"));
    std::fs::remove_file(&fresh).unwrap_or_default();
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)
        .with_context(failed)?;
    let json = serde_json::json!({"server": url, "token": token});
    file.write_all(json.to_string().as_bytes())
        .with_context(failed)?;
    std::fs::rename(&fresh, &path).with_context(failed)
}
