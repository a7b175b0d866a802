//! What running work keeps alive. Taken by a save before it counts on anything that is stored, and by a build for its inputs
//! and outputs; listed by the sweeper, which takes away nothing that work under a living lease may name.
//!
//! **Shape.** `v2/leases/<created>-<random>`: 12 hexadecimal digits of milliseconds and 32 random ones. The object is the
//! BLAKE3 hash of the rest, a newline, and JSON. The time is in the name, so that a lease whose bytes cannot be read still
//! ends one day.
//!
//! A lease is judged by two clocks: its holder's says when it must stop relying on it, the sweeper's when it may stop
//! respecting it. Ten minutes lie between, for clocks that differ.

use std::collections::HashSet;

use croft_proto::Timestamp;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::SKEW_MS;
use super::name::leases_folder;
use super::record::Outcome;
use crate::backend::Objects;
use crate::{Error, Id};

/// The longest a lease holds without being renewed. What a crashed machine left behind is in the way no longer than this.
pub(crate) const TTL_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// Bytes of a lease: 15,000 roots. A build names a few.
const LEASE_BYTES_MAX: u64 = 1 << 20;

/// The format of this version.
const FORMAT: u32 = 2;

/// Whose lease it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum LeaseKind {
    /// A save: it counts on chunks that are stored already, which ones nobody knows yet.
    Save,
    /// A build: it uses the trees it names.
    Build,
}

/// What a lease is to be.
#[derive(Clone, Debug)]
pub(crate) struct Taking {
    pub(crate) now: Timestamp,
    /// At most [`TTL_MS_MAX`].
    pub(crate) ttl_ms: u64,
    pub(crate) kind: LeaseKind,
    /// Trees and chunks that stay.
    pub(crate) roots: Vec<Outcome>,
    /// Random: nobody else's lease may have the same.
    pub(crate) unique: [u8; 16],
}

/// A lease, by its holder. Dropping it does not end it: it is released, or it expires.
#[derive(Debug)]
pub(crate) struct Lease {
    objects: Objects,
    name: Path,
    ttl_ms: u64,
    body: Body,
}

/// A lease's JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body {
    croft_lease: u32,
    kind: LeaseKind,
    renewed: Timestamp,
    expires: Timestamp,
    roots: Vec<Outcome>,
}

impl Lease {
    /// A lease that holds from when this returns.
    ///
    /// # Errors
    /// [`Error::Lease`] when it is to hold for longer, or to name more, than a lease may; else when the store cannot be
    /// written. Then nothing is protected.
    pub(crate) fn take(objects: &Objects, taking: Taking) -> Result<Self, Error> {
        let created = taking.now.millis();
        let unique: String = taking
            .unique
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let name = leases_folder().join(format!("{created:012x}-{unique}"));
        if taking.ttl_ms > TTL_MS_MAX {
            return Err(refused(&name, "no lease holds for more than 24 hours"));
        }
        let lease = Self {
            objects: objects.clone(),
            ttl_ms: taking.ttl_ms,
            body: Body {
                croft_lease: FORMAT,
                kind: taking.kind,
                renewed: taking.now,
                expires: after(taking.now, taking.ttl_ms),
                roots: taking.roots,
            },
            name,
        };
        lease.write(&lease.body)?;
        Ok(lease)
    }

    /// Its object's name.
    #[cfg(test)]
    pub(crate) fn name(&self) -> &Path {
        &self.name
    }

    /// True while its holder may rely on it, by the clock it was taken by. A clock that was set back by more than what the
    /// sweeper allows for would make it hold too long, so it then holds no more.
    pub(crate) fn is_valid(&self, now: Timestamp) -> bool {
        self.body.renewed <= after(now, SKEW_MS) && now <= self.body.expires
    }

    /// Makes it hold for its ttl from now.
    ///
    /// # Errors
    /// [`Error::Lease`] when it has expired: what it protected may be gone, and its holder must look again. Else when the
    /// store cannot be written; the lease then holds as long as before.
    pub(crate) fn renew(&mut self, now: Timestamp) -> Result<(), Error> {
        self.renew_with(now, &[])
    }

    /// The same, with more roots.
    ///
    /// # Errors
    /// As [`Lease::renew`].
    pub(crate) fn renew_with(&mut self, now: Timestamp, roots: &[Outcome]) -> Result<(), Error> {
        if !self.is_valid(now) {
            return Err(refused(&self.name, "it expired before it was renewed"));
        }
        let mut body = self.body.clone();
        body.renewed = now;
        body.expires = after(now, self.ttl_ms);
        body.roots.extend_from_slice(roots);
        self.write(&body)?;
        self.body = body;
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// When the store cannot be written; the lease then ends when it expires.
    pub(crate) fn release(self) -> Result<(), Error> {
        self.objects.delete(&self.name)
    }

    fn write(&self, body: &Body) -> Result<(), Error> {
        let json =
            serde_json::to_vec(body).map_err(|error| refused(&self.name, error.to_string()))?;
        let bytes = [Id::of(&json).to_string().as_bytes(), b"\n", &json].concat();
        if bytes.len() as u64 > LEASE_BYTES_MAX {
            return Err(refused(&self.name, "it names too much"));
        }
        self.objects.put(&self.name, bytes)
    }
}

/// The leases there are, by the sweeper.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Leases {
    /// Those to respect.
    pub(crate) live: Vec<Live>,
    /// Those whose time is over, with the skew of clocks: they may be deleted.
    pub(crate) ended: Vec<Path>,
    /// Objects in the leases' folder that no croft named. They protect nothing and never end; a person should look.
    pub(crate) strange: Vec<Path>,
    /// Those of `live` that are from the future by more than clocks may differ. They are respected, since it may be this
    /// machine's clock that is wrong; a person should look.
    pub(crate) ahead: Vec<Path>,
}

/// A lease to respect.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) name: Path,
    /// None when its bytes cannot be read: then nobody knows what it protects, and everything must stay.
    pub(crate) terms: Option<Terms>,
}

/// What a lease says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) kind: LeaseKind,
    pub(crate) renewed: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) roots: Vec<Outcome>,
}

impl Leases {
    /// Every tree that they name.
    pub(crate) fn trees(&self) -> HashSet<Id> {
        let terms = self.live.iter().filter_map(|lease| lease.terms.as_ref());
        terms
            .flat_map(|terms| &terms.roots)
            .filter_map(|root| root.tree().copied())
            .collect()
    }

    /// What a person should look at, a sentence each. May be empty.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let ahead = self.ahead.iter().map(|name| {
            format!(
                "the lease {name} is dated in the future, and what was removed since waits for its end: is a machine's clock wrong? If no build runs, delete it"
            )
        });
        let unreadable = self.live.iter().filter(|lease| lease.terms.is_none());
        let unreadable = unreadable.map(|lease| {
            format!(
                "the lease {} cannot be read, so that nothing is removed until it ends, a day after it was taken",
                lease.name
            )
        });
        let strange = self.strange.iter().map(|name| {
            format!("{name} is no lease of Croft's and protects nothing: who put it there?")
        });
        ahead.chain(unreadable).chain(strange).collect()
    }
}

/// Every lease, judged at `now`.
///
/// # Errors
/// When the store cannot be read: then nobody may sweep.
pub(crate) fn live_leases(objects: &Objects, now: Timestamp) -> Result<Leases, Error> {
    let mut leases = Leases::default();
    for listed in objects.list(&leases_folder())? {
        let name = listed.name;
        let Some(created) = name.filename().and_then(created) else {
            leases.strange.push(name);
            continue;
        };
        let terms = match objects.get(&name, LEASE_BYTES_MAX) {
            Ok(bytes) => parse(&bytes),
            // Released since it was listed.
            Err(Error::Missing { .. }) => continue,
            Err(error) if error.is_damage() => None,
            Err(error) => return Err(error),
        };
        let written = terms.as_ref().map_or(created, |terms| terms.renewed);
        if created.max(written) > after(now, SKEW_MS) {
            leases.ahead.push(name.clone());
        }
        let until = terms
            .as_ref()
            .map_or(after(created, TTL_MS_MAX), |terms| terms.expires);
        if now <= after(until, SKEW_MS) {
            leases.live.push(Live { name, terms });
        } else {
            leases.ended.push(name);
        }
    }
    Ok(leases)
}

fn parse(bytes: &[u8]) -> Option<Terms> {
    let (seal, rest) = bytes.split_at_checked(64)?;
    let json = rest.strip_prefix(b"\n")?;
    if Id::parse(str::from_utf8(seal).ok()?)? != Id::of(json) {
        return None;
    }
    let body: Body = serde_json::from_slice(json).ok()?;
    let is_lawful = body.croft_lease == FORMAT
        && body.expires >= body.renewed
        && body.expires.millis_since(body.renewed) <= TTL_MS_MAX;
    is_lawful.then_some(Terms {
        kind: body.kind,
        renewed: body.renewed,
        expires: body.expires,
        roots: body.roots,
    })
}

/// The time in a lease's name.
fn created(name: &str) -> Option<Timestamp> {
    let (created, unique) = name.split_once('-')?;
    let is_hex = |text: &str| {
        text.bytes()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    };
    if created.len() != 12 || unique.len() != 32 || !is_hex(created) || !is_hex(unique) {
        return None;
    }
    u64::from_str_radix(created, 16)
        .ok()
        .map(Timestamp::from_millis)
}

fn after(moment: Timestamp, millis: u64) -> Timestamp {
    Timestamp::from_millis(moment.millis().saturating_add(millis))
}

fn refused(name: &Path, reason: impl Into<String>) -> Error {
    Error::Lease {
        object: name.to_string(),
        reason: reason.into(),
    }
}
