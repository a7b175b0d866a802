//! Writing a record: the last step of a save or an upload, and the one that makes it visible. Received from whoever has
//! stored all that the record names; handed to the object store.

use croft_keys::Signer;
use object_store::path::Path;

use super::record::Record;
use super::scope::Scopes;
use super::sealed;
use super::seen::{Seen, Sight};
use crate::backend::Objects;
use crate::{Error, Id};

/// Writes records to one scope, signed by this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer<'a> {
    pub(crate) objects: &'a Objects,
    pub(crate) signer: &'a Signer,
    pub(crate) scopes: &'a Scopes,
    /// As for reading: none where nothing is kept between processes.
    pub(crate) seen: Option<&'a Seen>,
}

impl Writer<'_> {
    /// Writes the record, in place of one of the same name; returns that name.
    ///
    /// # Errors
    /// [`Error::Name`] when the record is for a scope that may not be written here, contradicts itself, or is too long;
    /// else when the store cannot be written.
    pub(crate) fn write(&self, record: &Record) -> Result<Path, Error> {
        if record.scope != *self.scopes.write() {
            return Err(Error::Name(format!(
                "the scope {} may not be written here",
                record.scope
            )));
        }
        let bytes = sealed::seal(record, self.signer)?;
        let hash = Id::of(&bytes);
        let name = record.name();
        self.objects.put(&name, bytes)?;
        if let Some(seen) = self.seen.filter(|_| record.is_replaceable()) {
            // Only now: a note about a record that was then not stored would have the one it was to replace refused.
            let sight = Sight {
                created: record.created,
                hash,
            };
            if let Err(error) = seen.admit(&name, sight, record.created) {
                tracing::warn!(%error, "was this machine's clock set back? the record will not be used here");
            }
        }
        Ok(name)
    }
}
