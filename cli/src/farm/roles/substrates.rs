//! The ledger, the bus and the stores, as the words say: embedded in this process, or a broker's and object storage's.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use croft_archive::Retention;
use croft_bus::{Bus, Settings};
use croft_cache::{Depot, Place, Scopes, Store, Trust};
use croft_keys::{Keyring, Signer};
use croft_ledger::{Clock, Embedded, JetStream, Ledger};
use croft_nats::Credentials;
use croft_proto::farm::Lease;
use croft_views::Views;
use croft_worker::Home;

use super::words::{FarmWords, KeepWords, NatsWords};
use crate::exit::Wrong;

/// Truth and messages.
#[derive(Clone, Debug)]
pub(crate) struct Broker {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) bus: Arc<dyn Bus>,
}

/// Those of this process alone.
pub(crate) fn embedded(home: &Home) -> anyhow::Result<Broker> {
    let path = home.path().join("ledger.db");
    let ledger = Embedded::open(&path, Clock::system())
        .with_context(|| format!("cannot use the ledger {}", path.display()))?;
    Ok(Broker {
        ledger: Arc::new(ledger),
        bus: Arc::new(croft_bus::Memory::new(&Settings::default())),
    })
}

/// Those of a broker.
pub(crate) async fn nats(words: &NatsWords) -> anyhow::Result<Broker> {
    if words.servers.is_empty() {
        return Err(Wrong(
            "--nats URL is missing: a farm's servers and workers meet at a NATS server; on one machine, `croft up` needs none".into(),
        )
        .into());
    }
    let broker = broker(words)?;
    let client = broker
        .connect()
        .await
        .context("cannot connect to the farm's broker")?;
    let mut config = croft_ledger::Config::new(String::new());
    config.broker = broker.clone();
    config.replicas = words.replicas;
    let ledger = JetStream::open(client.clone(), config)
        .await
        .context("cannot use NATS as the ledger")?;
    let mut config = croft_bus::Config::new(String::new());
    config.broker = broker;
    config.replicas = words.replicas;
    let bus = croft_bus::Nats::open(client, config)
        .await
        .context("cannot use NATS as the bus")?;
    Ok(Broker {
        ledger: Arc::new(ledger),
        bus: Arc::new(bus),
    })
}

/// The ledger of a broker alone, over a connection of its own.
pub(crate) async fn jetstream(words: &NatsWords) -> anyhow::Result<JetStream> {
    let mut config = croft_ledger::Config::new(String::new());
    config.broker = broker(words)?;
    config.replicas = words.replicas;
    JetStream::connect(config)
        .await
        .context("cannot use NATS as the ledger")
}

/// Where those words say that it is.
pub(crate) fn broker(words: &NatsWords) -> anyhow::Result<croft_nats::Broker> {
    let credentials = match (&words.credentials, &words.password) {
        (Some(path), _) => Credentials::File(path.clone()),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Wrong(format!("--nats-password-file {}: {error}", path.display()))
            })?;
            match text.trim().split_once(':') {
                Some((user, password)) => Credentials::Password {
                    user: user.to_string(),
                    password: password.to_string(),
                },
                None => Credentials::Token(text.trim().to_string()),
            }
        }
        (None, None) => Credentials::None,
    };
    Ok(croft_nats::Broker {
        servers: words.servers.clone(),
        credentials,
        authorities: words.authorities.clone(),
        certificate: words.certificate.clone().zip(words.key.clone()),
        monitoring: words.monitoring.clone(),
        ..croft_nats::Broker::new(String::new())
    })
}

/// How long attempts may be silent.
pub(crate) fn lease(words: &FarmWords) -> anyhow::Result<Lease> {
    let ms = crate::files::parse_span_ms(&words.lease)
        .map_err(|reason| Wrong(format!("--lease: {reason}")))?;
    Lease::new(ms).map_err(|reason| Wrong(format!("--lease: {reason}")).into())
}

/// A ledger's past, and how long it is not past yet.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) depot: Depot,
    /// None is for ever.
    keep_ms: Option<u64>,
    pub(super) every: Duration,
    /// How many entries copies of the read model are apart; none when none are kept.
    pub(super) apart: Option<u64>,
}

impl Archive {
    pub(crate) fn of(words: &FarmWords, keep: &KeepWords, home: &Path) -> anyhow::Result<Self> {
        let span = |flag: &str, text: &str| {
            crate::files::parse_span_ms(text)
                .map_err(|reason| Wrong(format!("{flag}: {reason}; 0 keeps them for ever")))
        };
        let keep_ms = match keep.keep_builds.as_str() {
            "0" => None,
            text => Some(span("--keep-builds", text)?),
        };
        let every = Duration::from_millis(span("--keep-every", &keep.keep_every)?);
        if every.is_zero() {
            return Err(Wrong("--keep-every: it takes some time".into()).into());
        }
        Ok(Self {
            depot: archive(words.store.as_deref(), home)?,
            keep_ms,
            every,
            apart: Some(keep.snapshot_entries).filter(|apart| *apart > 0),
        })
    }

    /// The loop that keeps the ledger small; none when it need not be.
    pub(crate) fn retention(&self, ledger: Arc<dyn Ledger>, views: Views) -> Option<Retention> {
        let keep_ms = self.keep_ms.filter(|keep_ms| *keep_ms > 0)?;
        Some(Retention {
            ledger,
            views,
            archive: self.depot.clone(),
            clock: Clock::system(),
            keep_ms,
            every: self.every,
        })
    }
}

/// What is archived of the ledger: beside what the store holds, wherever that is.
pub(crate) fn archive(store: Option<&str>, home: &Path) -> anyhow::Result<Depot> {
    let store = match store {
        None => Place::from(home.join("store")),
        Some(place) => self::place("--store", place)?,
    };
    Depot::open(&store.below("archive")).context("cannot open the ledger's archive")
}

/// A place as a person writes it.
pub(crate) fn place(flag: &str, text: &str) -> Result<Place, Wrong> {
    text.parse()
        .map_err(|error| Wrong(format!("{flag} {text}: {error}")))
}

/// Where sources, logs and artifacts are, when they are not in the home.
pub(crate) fn store(words: &FarmWords) -> Result<Option<Place>, Wrong> {
    let store = words.store.as_deref();
    store.map(|text| place("--store", text)).transpose()
}

/// The store of sources, logs and artifacts. Nothing in it is evicted. Its members sign as one, by the farm's key; where there is
/// none, by this home's own, which nobody else believes.
pub(crate) fn kept(
    words: &FarmWords,
    home: &Path,
    signer: Option<Signer>,
) -> anyhow::Result<Arc<Store>> {
    let store = kept_at(words.store.as_deref(), home)?;
    let folder = store
        .trust_folder()
        .context("the store has no folder here")?;
    let trust = match signer {
        Some(signer) => Trust::new(signer, Keyring::default(), Scopes::trusted()),
        None => Trust::in_scopes_of_folder(folder, Scopes::trusted())?,
    };
    let host = rustix::system::uname();
    let producer = format!(
        "croft {} on {}",
        env!("CARGO_PKG_VERSION"),
        host.nodename().to_string_lossy()
    );
    Ok(Arc::new(store.trusting(trust.producing_as(producer))))
}

/// The store itself, there or in this home.
pub(crate) fn kept_at(place: Option<&str>, home: &Path) -> anyhow::Result<Store> {
    let near = home.join("store");
    let store = match place {
        None => Store::open(&near, u64::MAX),
        Some(place) => {
            let place: Place = place
                .parse()
                .map_err(|error| Wrong(format!("--store {place}: {error}")))?;
            // An outcome names what is in there: it must not be recorded before others can find that.
            Store::open_at(&place, &near, NEAR_BYTES_MAX).map(Store::prompt)
        }
    };
    store.context("cannot open the store of sources, logs and artifacts")
}

/// What of a far store is kept near: sources that builds have in common.
const NEAR_BYTES_MAX: u64 = 20 << 30;
