//! Who vouches for what is written here, and whom to believe. Made when a store is opened; asked by every look-up and save.

use std::path::Path;

use croft_keys::{Keyring, ScopePattern, Signer};

use crate::Error;
use crate::records::scope::Scopes;

/// The file with this machine's own key, beside what it remembers.
const KEY_FILE: &str = "signing-key";

/// The file that says whose records count here besides one's own.
const KEYRING_FILE: &str = "keyring";

/// Who signs, who is believed, and which scopes are written and read.
#[derive(Debug)]
pub struct Trust {
    pub(crate) signer: Signer,
    pub(crate) keyring: Keyring,
    pub(crate) scopes: Scopes,
    pub(crate) producer: String,
}

impl Trust {
    /// Signs with `signer`, believes it for the scope it writes, and everybody in `keyring` for theirs.
    #[must_use]
    pub fn new(signer: Signer, keyring: Keyring, scopes: Scopes) -> Self {
        let own = ScopePattern::exactly(scopes.write().clone());
        let keyring = keyring.and(signer.key_id(), own);
        Self {
            keyring,
            signer,
            scopes,
            producer: format!("croft {}", env!("CARGO_PKG_VERSION")),
        }
    }

    /// The key in that folder, made on first use, and the keyring beside it; scope `trusted`. In a folder that may not be
    /// written a key of this process's own signs.
    pub(crate) fn of_folder(folder: &Path) -> Result<Self, Error> {
        Self::in_scopes_of_folder(folder, Scopes::trusted())
    }

    /// The same for other scopes. The machine's own key is believed for whatever this machine may read.
    ///
    /// # Errors
    /// When the key or the keyring is there and cannot be used.
    pub fn in_scopes_of_folder(folder: &Path, scopes: Scopes) -> Result<Self, Error> {
        let signer = match std::fs::create_dir_all(folder) {
            Ok(()) => Signer::open_or_make(&folder.join(KEY_FILE)),
            Err(_) => Signer::of_this_process(),
        };
        let signer = signer.map_err(|error| Error::Trust(error.to_string()))?;
        let file = folder.join(KEYRING_FILE);
        let mut keyring = match std::fs::read_to_string(&file) {
            Ok(text) => Keyring::parse(&text)
                .map_err(|error| Error::Trust(format!("{}: {error}", file.display())))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Keyring::default(),
            Err(error) => return Err(Error::Trust(format!("{}: {error}", file.display()))),
        };
        for scope in scopes.reads() {
            keyring = keyring.and(signer.key_id(), ScopePattern::exactly(scope.clone()));
        }
        Ok(Self::new(signer, keyring, scopes))
    }

    /// A key that is gone with this process.
    pub(crate) fn of_this_process() -> Result<Self, Error> {
        let signer = Signer::of_this_process().map_err(|error| Error::Trust(error.to_string()))?;
        Ok(Self::new(signer, Keyring::default(), Scopes::trusted()))
    }

    /// The same, believing its own key for every scope: a server signs for whichever scope its clients' tokens name.
    #[must_use]
    pub fn of_a_server(self) -> Self {
        let keyring = self
            .keyring
            .and(self.signer.key_id(), ScopePattern::everything());
        Self { keyring, ..self }
    }

    /// This machine's public key, for other machines' keyrings.
    #[must_use]
    pub fn key_id(&self) -> String {
        self.signer.key_id().to_string()
    }

    /// Who is named as the producer in records, for people.
    #[must_use]
    pub fn producing_as(self, producer: String) -> Self {
        Self { producer, ..self }
    }
}
