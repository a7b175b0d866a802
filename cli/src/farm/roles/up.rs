//! `croft up`: a server and a worker in one process, over a ledger in a file and a bus in memory. Nothing has to be configured: the
//! address and a token for this machine's own commands lie in a file that only its owner can read.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use croft_ledger::{OpenError, Seq};
use croft_worker::Home;
use croft_worker::farm::Standing;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::ending;
use super::server::{self, Front, Running};
use super::substrates::Broker;
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
        worker::check(&words.slots)?;
        // Whatever can fail comes before the key: a farm that did not start was not begun.
        let front = Front::open(&words.door).await?;
        let broker = tokio::select! {
            broker = broker(&surroundings.home, &front) => broker?,
            () = signals.next() => return Ok(Exit::Succeeded),
        };
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
        let last = broker.ledger.last().await;
        let has_past = last.context("cannot read the ledger")? > Seq::ZERO;
        let path = master::path(words.door.master_key_file.as_deref());
        let key = master::read_or_create(&path, &home, has_past)?;
        master::claim(&key, &path, &*broker.ledger).await?;
        let mut running = Running::start(ground, front, &words.door, &home, key).await?;
        let keys = enrolment::within(&running.farm, &words.slots.pool).await?;
        let ground = worker::Ground {
            broker,
            kept,
            store: substrates::store(&words.farm)?,
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
        if !rustix::process::geteuid().is_root() {
            output::say(
                "builds need root for now: none can run here until croft up is started as root",
            );
        }
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

/// How long one that is ending may take after it has stopped listening.
const ENDING_MAX: Duration = Duration::from_secs(20);
/// The same of one that listens still: it has just been told to end, or is to stay.
const DRAINING_MAX: Duration = Duration::from_secs(5);
/// How often it is looked whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Of an address of this machine, to be answered.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// The ledger of this home. One `croft up` that is ending holds it for a few seconds after it has stopped listening: it is waited for.
async fn broker(home: &Home, front: &Front) -> anyhow::Result<Broker> {
    let begun = Instant::now();
    let mut is_said = false;
    loop {
        let refused = match substrates::embedded(home) {
            Err(refused) if is_in_use(&refused) => refused,
            opened => return opened,
        };
        let listens = listens(home.path(), &front.url()?).await;
        let most = if listens { DRAINING_MAX } else { ENDING_MAX };
        if begun.elapsed() >= most {
            let do_what = "another croft up of this home runs still: end it, or name another home with --home";
            return Err(refused.context(do_what));
        }
        if !is_said {
            output::say(match listens {
                true => {
                    "another croft up of this home runs; waiting a moment, in case it is ending"
                }
                false => "another croft up is still ending; waiting for it",
            });
            is_said = true;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn is_in_use(refused: &anyhow::Error) -> bool {
    let open = refused.downcast_ref::<OpenError>();
    matches!(open, Some(OpenError::InUse { .. }))
}

/// Whether the `croft up` that this home was last used by still listens. Where this one listens now, it does not.
async fn listens(home: &Path, ours: &str) -> bool {
    let Some((up, _)) = Up::read(home).ok().flatten() else {
        return false;
    };
    if up.server == ours {
        return false;
    }
    let url = reqwest::Url::parse(&up.server).ok();
    let addresses = url.and_then(|url| url.socket_addrs(|| None).ok());
    let Some(address) = addresses.unwrap_or_default().into_iter().next() else {
        return false;
    };
    let connected = tokio::time::timeout(CONNECT_MAX, TcpStream::connect(address)).await;
    matches!(connected, Ok(Ok(_)))
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
