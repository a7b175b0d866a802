//! With which master key the farm's data is sealed: recorded once, by the first server that there is, and asked at each start of each of
//! them. Only the key's name is recorded. A farm that was begun before it was says it by what was wrapped last.

use croft_keys::{MasterKey, PoolKey, Wrapped};
use croft_ledger::{Append, AppendError, Body, Entry, Expected, Ledger, ReadError, Seq, Subject};
use croft_proto::farm::{PoolEvent, SecretEvent};
use serde::{Deserialize, Serialize};

use super::limits::{CLAIM_PAUSE, CLAIM_TRIES_MAX, SUBJECT_PAGE};
use crate::chain::chain;

/// Why a key is not taken for the farm's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRefused {
    /// It is another farm's, or was made anew: the owner of its file can name the right one.
    #[error("the key `{named}` is not the one that this farm's data was sealed with{}", of_known(known.as_deref()))]
    Another {
        /// What this key is called.
        named: String,
        /// What the farm's is called, where that was recorded.
        known: Option<String>,
    },
    /// What the farm says of its key is not understood.
    #[error("failed to understand what the ledger says of the farm's master key")]
    Entry(#[from] serde_json::Error),
    /// The ledger cannot be read.
    #[error("failed to read which master key is the farm's")]
    Read(#[from] ReadError),
    /// The ledger cannot be written.
    #[error("failed to record which master key is the farm's")]
    Append(#[from] AppendError),
}

fn of_known(known: Option<&str>) -> String {
    known.map_or_else(String::new, |known| format!(", `{known}`"))
}

/// What is recorded. Subject `farm.master-key`.
#[derive(Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
enum Sealed {
    /// The farm's data is sealed with the key of that name.
    SealedWith { key: String },
}

/// Passes when this is the key of the farm's data. A farm without any takes it. Where the ledger can be read and not written, a key that opens
/// what there is passes unrecorded: the next start records it.
///
/// # Errors
/// [`KeyRefused::Another`] when it is another one; else when that cannot be known.
pub async fn claim_master_key(ledger: &dyn Ledger, key: &MasterKey) -> Result<(), KeyRefused> {
    let subject = Subject::of("farm", "master-key").expect("it is a word with a hyphen");
    if let Some(known) = recorded(ledger, &subject).await? {
        return is_known(key, known);
    }
    let opens = opens_what_there_is(ledger, key).await?;
    if opens == Some(false) {
        let named = key.id();
        return Err(KeyRefused::Another { named, known: None });
    }
    let event = Sealed::SealedWith { key: key.id() };
    let event = serde_json::to_vec(&event)?;
    let mut tries = 1;
    loop {
        let append = Append {
            subject: subject.clone(),
            expected: Expected::NEW,
            event: event.clone().into(),
        };
        match ledger.append(vec![append]).await {
            Ok(_) => return Ok(()),
            // A farm whose disk is full starts all the same, and whoever looks after it makes room.
            Err(error @ AppendError::Unavailable { .. }) if opens == Some(true) => {
                tracing::warn!(error = %chain(&error), "the master key opens the farm's data, but that it is the farm's was not recorded");
                return Ok(());
            }
            // Another server was faster, or sight was lost of it: what is there decides.
            Err(AppendError::Conflict { .. } | AppendError::Unknown { .. })
                if tries < CLAIM_TRIES_MAX => {}
            Err(error) => return Err(error.into()),
        }
        tries += 1;
        tokio::time::sleep(CLAIM_PAUSE).await;
        if let Some(known) = recorded(ledger, &subject).await? {
            return is_known(key, known);
        }
    }
}

/// Passes when the key is the one that was recorded.
fn is_known(key: &MasterKey, known: String) -> Result<(), KeyRefused> {
    let named = key.id();
    if known == named {
        return Ok(());
    }
    let known = Some(known);
    Err(KeyRefused::Another { named, known })
}

async fn recorded(ledger: &dyn Ledger, subject: &Subject) -> Result<Option<String>, KeyRefused> {
    let page = ledger
        .read_subject(subject, Seq::ZERO, SUBJECT_PAGE)
        .await?;
    let Some(event) = page.iter().find_map(Entry::event) else {
        return Ok(None);
    };
    let Sealed::SealedWith { key } = serde_json::from_slice(event)?;
    Ok(Some(key))
}

/// Whether the key opens what was wrapped last; none when nothing was. Where a farm went on with another key before keys were recorded, what
/// came before opens with none that there is any more. Read from the beginning, since finished builds leave wide gaps behind: that is once in
/// a farm's life, when its key is recorded.
async fn opens_what_there_is(
    ledger: &dyn Ledger,
    key: &MasterKey,
) -> Result<Option<bool>, KeyRefused> {
    let (mut after, mut newest) = (Seq::ZERO, None);
    loop {
        let page = ledger.read(after, SUBJECT_PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(newest);
        };
        after = last.seq;
        for entry in &page {
            newest = opens(entry, key)?.or(newest);
        }
    }
}

/// Whether the key opens what an entry holds; none when it holds nothing that is wrapped.
fn opens(entry: &Entry, key: &MasterKey) -> Result<Option<bool>, KeyRefused> {
    let Body::Event(event) = &entry.body else {
        return Ok(None);
    };
    let name = entry.subject.parts().nth(1).unwrap_or_default();
    let opens = match entry.subject.kind() {
        "pool" => {
            let PoolEvent::Keyed {
                generation,
                wrapped,
                ..
            } = serde_json::from_slice(event)?;
            let place = ["pool", &name, &generation.to_string()];
            let wrapped = wrapped.parse::<Wrapped>();
            wrapped.is_ok_and(|wrapped| PoolKey::unwrapped(key, &place, &wrapped).is_ok())
        }
        "secret" => {
            let SecretEvent::Set {
                version, wrapped, ..
            } = serde_json::from_slice(event)?
            else {
                return Ok(None);
            };
            let place = ["secret", &name, &version.to_string()];
            let wrapped = wrapped.parse::<Wrapped>();
            wrapped.is_ok_and(|wrapped| key.unwrapped(&place, &wrapped).is_ok())
        }
        _ => return Ok(None),
    };
    Ok(Some(opens))
}

#[cfg(test)]
mod tests {
    use croft_ledger::{Appended, Clock, Memory, Through};
    use futures_util::FutureExt as _;
    use futures_util::future::BoxFuture;

    use super::*;

    /// A ledger that can be read, and takes nothing.
    #[derive(Debug)]
    struct Refusing {
        inner: Memory,
        with: fn() -> AppendError,
    }

    impl Through for Refusing {
        fn inner(&self) -> &dyn Ledger {
            &self.inner
        }

        fn append(&self, _batch: Vec<Append>) -> BoxFuture<'_, Result<Appended, AppendError>> {
            async move { Err((self.with)()) }.boxed()
        }
    }

    fn full() -> AppendError {
        let source = std::io::Error::from(std::io::ErrorKind::StorageFull).into();
        AppendError::Unavailable { source }
    }

    fn others_are_faster() -> AppendError {
        AppendError::Conflict {
            subject: Subject::of("farm", "master-key").unwrap(),
            expected: Seq::ZERO,
            actual: None,
        }
    }

    fn key() -> MasterKey {
        let folder = tempfile::tempdir().unwrap();
        MasterKey::create(&folder.path().join("key")).unwrap()
    }

    async fn keyed(ledger: &Memory, master: &MasterKey, pool: &str) {
        let made = PoolKey::generate().unwrap();
        let event = PoolEvent::Keyed {
            generation: 1,
            public: made.public().to_string(),
            wrapped: made.wrap(master, &["pool", pool, "1"]).unwrap().to_string(),
        };
        let append = Append {
            subject: Subject::of("pool", pool).unwrap(),
            expected: Expected::NEW,
            event: serde_json::to_vec(&event).unwrap().into(),
        };
        ledger.append(vec![append]).await.unwrap();
    }

    #[tokio::test]
    async fn a_farm_has_the_key_that_came_first_and_no_other() {
        let ledger = Memory::new(Clock::system());
        let (first, other) = (key(), key());
        claim_master_key(&ledger, &first).await.unwrap();
        claim_master_key(&ledger, &first).await.unwrap();
        let refused = claim_master_key(&ledger, &other).await.unwrap_err();
        let said = refused.to_string();
        assert!(
            said.contains(&first.id()) && said.contains(&other.id()),
            "{said}"
        );
        assert_eq!(ledger.last().await.unwrap(), Seq::new(1));
    }

    #[tokio::test]
    async fn a_farm_that_was_begun_before_keys_were_recorded_is_asked_what_its_own_opens() {
        let ledger = Memory::new(Clock::system());
        let (first, other) = (key(), key());
        keyed(&ledger, &first, "gpu").await;
        let refused = claim_master_key(&ledger, &other).await.unwrap_err();
        assert!(
            matches!(refused, KeyRefused::Another { known: None, .. }),
            "{refused}"
        );
        assert_eq!(
            ledger.last().await.unwrap(),
            Seq::new(1),
            "nothing is recorded"
        );
        claim_master_key(&ledger, &first).await.unwrap();
        let refused = claim_master_key(&ledger, &other).await.unwrap_err();
        assert!(
            matches!(refused, KeyRefused::Another { known: Some(_), .. }),
            "{refused}"
        );
    }

    #[tokio::test]
    async fn a_farm_that_went_on_with_another_key_is_asked_what_was_wrapped_last() {
        let ledger = Memory::new(Clock::system());
        let (first, later) = (key(), key());
        keyed(&ledger, &first, "gpu").await;
        keyed(&ledger, &later, "cpu").await;
        let refused = claim_master_key(&ledger, &first).await.unwrap_err();
        assert!(
            matches!(refused, KeyRefused::Another { known: None, .. }),
            "{refused}"
        );
        claim_master_key(&ledger, &later).await.unwrap();
    }

    #[tokio::test]
    async fn where_nothing_can_be_recorded_the_key_that_opens_what_there_is_passes() {
        let inner = Memory::new(Clock::system());
        let (first, other) = (key(), key());
        keyed(&inner, &first, "gpu").await;
        let ledger = Refusing { inner, with: full };
        claim_master_key(&ledger, &first).await.unwrap();
        let refused = claim_master_key(&ledger, &other).await.unwrap_err();
        assert!(matches!(refused, KeyRefused::Another { .. }), "{refused}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_others_are_always_faster_with_ends() {
        let ledger = Refusing {
            inner: Memory::new(Clock::system()),
            with: others_are_faster,
        };
        let refused = claim_master_key(&ledger, &key()).await.unwrap_err();
        assert!(matches!(refused, KeyRefused::Append(_)), "{refused}");
    }
}
