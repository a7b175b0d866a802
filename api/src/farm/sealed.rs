//! With which master key the farm's data is sealed: recorded once, by the first server that there is, and asked at each start of each of
//! them. Only the key's name is recorded. A farm that was begun before it was says it by what was wrapped first.

use croft_keys::{MasterKey, PoolKey, Wrapped};
use croft_ledger::{Append, AppendError, Body, Entry, Expected, Ledger, ReadError, Seq, Subject};
use croft_proto::farm::{PoolEvent, SecretEvent};
use serde::{Deserialize, Serialize};

use super::limits::SUBJECT_PAGE;

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

/// Passes when this is the key of the farm's data. A farm without any takes it.
///
/// # Errors
/// [`KeyRefused::Another`] when it is another one; else when that cannot be known.
pub async fn claim_master_key(ledger: &dyn Ledger, key: &MasterKey) -> Result<(), KeyRefused> {
    let subject = Subject::of("farm", "master-key").expect("it is a word with a hyphen");
    loop {
        if let Some(known) = recorded(ledger, &subject).await? {
            let named = key.id();
            return match known == named {
                true => Ok(()),
                false => Err(KeyRefused::Another {
                    named,
                    known: Some(known),
                }),
            };
        }
        if opens_what_there_is(ledger, key).await? == Some(false) {
            let named = key.id();
            return Err(KeyRefused::Another { named, known: None });
        }
        let event = Sealed::SealedWith { key: key.id() };
        let append = Append {
            subject: subject.clone(),
            expected: Expected::NEW,
            event: serde_json::to_vec(&event)?.into(),
        };
        match ledger.append(vec![append]).await {
            Ok(_) => return Ok(()),
            // Another server was faster, or sight was lost of it: what is there decides.
            Err(AppendError::Conflict { .. } | AppendError::Unknown { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
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

/// Whether the key opens the first thing that was wrapped; none when nothing was. Pools have their keys before anything else of theirs, so
/// that is found soon, and it is looked for once.
async fn opens_what_there_is(
    ledger: &dyn Ledger,
    key: &MasterKey,
) -> Result<Option<bool>, KeyRefused> {
    let mut after = Seq::ZERO;
    loop {
        let page = ledger.read(after, SUBJECT_PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(None);
        };
        after = last.seq;
        for entry in &page {
            if let Some(opens) = opens(entry, key)? {
                return Ok(Some(opens));
            }
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
    use croft_ledger::{Clock, Memory};

    use super::*;

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
}
