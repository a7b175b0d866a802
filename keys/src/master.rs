//! The one key of a farm that is kept outside of it: in a file that is never in the database's folder. Made once, by whoever
//! sets up the farm; read by every server at its start; used to wrap the keys of pools.
//!
//! Who has this file and the ledger has every secret, so nobody but its owner may read it. Who loses it has lost the secrets,
//! and nothing else: they can be set again.
//!
//! The key is overwritten when it is dropped. That is a habit, not a wall: a compiler may have left copies on a stack, and
//! whoever reads this process's memory reads it there.

/// Wrapping what only this key's holder may have.
mod wrap;

pub use wrap::Wrapped;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::{Zeroize as _, Zeroizing};

use crate::key_file::{self, FileFault, Made};
use crate::{NoRandom, Secret, hex, random_bytes};

/// What the file starts with.
const WORD: &str = "croft-master-key-v1 ";

/// For what a key's name is derived, and nothing else.
const ID_CONTEXT: &str = "croft 2026-11-29 master key id v1";

/// Bytes of a key's name: too many for two keys to have one by chance.
const ID_BYTES: usize = 8;

/// What is derived for signing is derived for nothing else.
const SEED_WORD: &[u8] = b"croft 2026 signing seed\0";

/// A farm's master key.
///
/// **Shape of its file.** `croft-master-key-v1 <64 lower-case hexadecimal digits>` and a line's end; mode 0600.
pub struct MasterKey([u8; 32]);

/// Why a master key cannot be had. The owner of the file can mend each.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MasterKeyError {
    /// The file cannot be read or made.
    #[error("failed to {action} the master key file {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Others on this machine may read or write the file.
    #[error(
        "the master key file {} is open to others (mode {mode:04o}); run `chmod 600` on it if nobody has read it, else \
         set all secrets again under a new key",
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds no master key. It is left as it is.
    #[error("the file {} is no master key: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is a file, which may be the only copy of a key. It is left as it is.
    #[error("there is a file {} already, and a master key is never overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The operating system gave no random bytes.
    #[error("the system gives no random bytes to make a master key from")]
    NoRandom,
}

impl MasterKey {
    /// The key in that file.
    ///
    /// # Errors
    /// [`MasterKeyError::File`] when there is no such file or it cannot be read, [`MasterKeyError::Open`] when others may
    /// read it, [`MasterKeyError::Malformed`] when it is something else.
    pub fn read(path: &Path) -> Result<Self, MasterKeyError> {
        let failed = |fault| MasterKeyError::of_file(path, fault);
        let text = key_file::read(path).map_err(failed)?;
        let text =
            text.ok_or_else(|| failed(FileFault::System("find", io::ErrorKind::NotFound.into())))?;
        Self::parse(&text).ok_or_else(|| {
            failed(FileFault::Malformed(
                "it has to be `croft-master-key-v1`, a space, 64 lower-case hexadecimal digits and a line's end",
            ))
        })
    }

    /// A new key, in a file (mode 0600) that is there, flushed and whole, before the key is; its folder (mode 0700) is made
    /// too. Of several processes that make it at once, one does.
    ///
    /// # Errors
    /// [`MasterKeyError::Exists`] when there is such a file, [`MasterKeyError::File`] when it cannot be made,
    /// [`MasterKeyError::NoRandom`] when there are no random bytes.
    pub fn create(path: &Path) -> Result<Self, MasterKeyError> {
        let key = Self(random_bytes().map_err(|NoRandom| MasterKeyError::NoRandom)?);
        match key_file::make(path, &key.text()) {
            Ok(Made::Now) => Ok(key),
            Ok(Made::Before) => Err(MasterKeyError::Exists { path: path.into() }),
            Err(fault) => Err(MasterKeyError::of_file(path, fault)),
        }
    }

    /// The seed of a signing key that all who have this key have without asking each other, another one for each purpose.
    #[must_use]
    pub fn signing_seed(&self, purpose: &str) -> Secret {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &self.0);
        let message = [SEED_WORD, purpose.as_bytes()].concat();
        Secret::new(ring::hmac::sign(&key, &message).as_ref().to_vec())
    }

    /// What the key is called: the same for the same key, and nobody learns the key from it. 16 lower-case hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> String {
        let derived = Zeroizing::new(blake3::derive_key(ID_CONTEXT, &self.0));
        hex::encode(&derived[..ID_BYTES])
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let digits = text.strip_prefix(WORD.as_bytes())?.strip_suffix(b"\n")?;
        hex::decode(str::from_utf8(digits).ok()?).map(Self)
    }

    fn text(&self) -> Zeroizing<Vec<u8>> {
        let digits = Zeroizing::new(hex::encode(&self.0));
        Zeroizing::new([WORD.as_bytes(), digits.as_bytes(), b"\n"].concat())
    }
}

impl MasterKeyError {
    fn of_file(path: &Path, fault: FileFault) -> Self {
        let path = path.into();
        match fault {
            FileFault::System(action, source) => Self::File {
                action,
                path,
                source,
            },
            FileFault::Open(mode) => Self::Open { path, mode },
            FileFault::Malformed(reason) => Self::Malformed { path, reason },
            FileFault::NoRandom => Self::NoRandom,
        }
    }
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::thread;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_master_key_is_made_for_its_owner_alone_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("etc/croft/master.key");
        let made = MasterKey::create(&path).unwrap();
        let folder = mode(path.parent().unwrap());
        // As far as the umask lets it.
        assert_eq!((mode(&path), folder & 0o700), (0o600, 0o700));
        assert_eq!(folder & 0o022, 0, "nobody else puts a key there");
        let text = fs::read_to_string(&path).unwrap();
        let digits = text.strip_prefix("croft-master-key-v1 ").unwrap();
        assert_eq!(digits.strip_suffix('\n').unwrap(), hex::encode(&made.0));
        assert_eq!(MasterKey::read(&path).unwrap().0, made.0);
        let left = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "nothing is left beside the key");
        assert!(!format!("{made:?}").contains(digits.trim_end()));
    }

    #[test]
    fn whoever_has_the_key_signs_as_the_others_and_for_each_purpose_apart() {
        let (one, other) = (MasterKey([1; 32]), MasterKey([2; 32]));
        let id = |key: &MasterKey, purpose| {
            let signer = crate::Signer::of_seed(&key.signing_seed(purpose)).unwrap();
            signer.key_id().to_string()
        };
        assert_eq!(id(&one, "a"), id(&MasterKey([1; 32]), "a"));
        assert_ne!(id(&one, "a"), id(&one, "b"));
        assert_ne!(id(&one, "a"), id(&other, "a"));
        assert!(crate::Signer::of_seed(&Secret::new(vec![1; 31])).is_none());
    }

    #[test]
    fn a_key_is_called_the_same_and_no_two_are() {
        let (one, other) = (MasterKey([1; 32]), MasterKey([2; 32]));
        assert_eq!(one.id(), MasterKey([1; 32]).id());
        assert_ne!(one.id(), other.id());
        assert_eq!(one.id().len(), 16);
        assert!(!hex::encode(&one.0).contains(&one.id()));
    }

    #[test]
    fn a_file_that_is_there_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "mine").unwrap();
        let error = MasterKey::create(&path).unwrap_err();
        assert!(matches!(error, MasterKeyError::Exists { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    fn of_processes_that_make_a_key_at_once_one_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let made: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| MasterKey::create(&path)))
                .collect();
            let made = threads.into_iter().map(|thread| thread.join().unwrap());
            made.filter_map(Result::ok).collect()
        });
        assert_eq!(made.len(), 1);
        assert_eq!(MasterKey::read(&path).unwrap().0, made[0].0);
    }

    #[test]
    fn a_key_file_others_may_read_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        MasterKey::create(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601, 0o666] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = MasterKey::read(&path).unwrap_err();
            assert!(matches!(error, MasterKeyError::Open { .. }), "{error}");
            assert!(error.to_string().contains("`chmod 600`"), "{error}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        MasterKey::read(&path).unwrap();
    }

    #[test]
    fn a_file_that_is_no_master_key_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let error = MasterKey::read(&path).unwrap_err();
        assert!(matches!(error, MasterKeyError::File { .. }), "{error}");
        MasterKey::create(&path).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        let rows = [
            String::new(),
            whole.trim_end().into(),
            whole.replace("v1", "v2"),
            whole.to_uppercase(),
            whole[20..].into(),
            format!("{whole}\n"),
            whole.replace(' ', "  "),
            "é".repeat(42),
            "x".repeat(5000),
        ];
        for text in rows {
            fs::write(&path, &text).unwrap();
            let error = MasterKey::read(&path).unwrap_err();
            assert!(matches!(error, MasterKeyError::Malformed { .. }), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let error = MasterKey::read(folder.path()).unwrap_err();
        assert!(error.to_string().contains("not a file"), "{error}");
    }
}
