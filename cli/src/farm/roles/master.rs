//! The master key: read from its file, made there at the first start of `croft up`. Never beside the ledger: who copies the one must
//! not have the other.

use std::path::{Path, PathBuf};

use anyhow::Context;
use croft_api::farm::KeyRefused;
use croft_keys::MasterKey;
use croft_ledger::Ledger;

use crate::exit::Wrong;
use crate::surroundings::person_home;

/// The file, as named or where it is by default.
pub(crate) fn path(named: Option<&Path>) -> PathBuf {
    if let Some(named) = named {
        return named.to_path_buf();
    }
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/etc/croft/master.key");
    }
    let configuration = std::env::var_os("XDG_CONFIG_HOME")
        .filter(|folder| !folder.is_empty())
        .map_or_else(|| person_home().join(".config"), PathBuf::from);
    configuration.join("croft/master.key")
}

/// The key of a file that must be there.
pub(crate) fn read(path: &Path, home: &Path) -> anyhow::Result<MasterKey> {
    refuse_beside_ledger(path, home)?;
    MasterKey::read(path).with_context(|| format!("cannot use the master key {}", path.display()))
}

/// The key of a file that is made when it is not there, and says so. A farm that has a past has a key: another one opens nothing of it.
pub(crate) fn read_or_create(
    path: &Path,
    home: &Path,
    has_past: bool,
) -> anyhow::Result<MasterKey> {
    refuse_beside_ledger(path, home)?;
    if path.exists() {
        return read(path, home);
    }
    if has_past {
        return Err(Wrong(format!(
            "--master-key-file {}: there is no such file, and the farm was begun with a master key; name its file, or bring back the copy of it",
            path.display()
        ))
        .into());
    }
    let key = MasterKey::create(path)
        .with_context(|| format!("cannot make the master key {}", path.display()))?;
    eprintln!(
        "croft: made the master key {}: without it no secret can be read again, so keep a copy elsewhere",
        path.display()
    );
    Ok(key)
}

/// Passes when it is the key of what is in the ledger. A farm that is begun takes it.
pub(crate) async fn claim(key: &MasterKey, path: &Path, ledger: &dyn Ledger) -> anyhow::Result<()> {
    let claimed = croft_api::farm::claim_master_key(ledger, key).await;
    claimed.map_err(|refused| {
        if !matches!(refused, KeyRefused::Another { .. }) {
            return anyhow::Error::from(refused);
        }
        Wrong(format!(
            "--master-key-file {}: {refused}; name the file of the key that the farm was begun with, or put the copy of it there",
            path.display()
        ))
        .into()
    })
}

fn refuse_beside_ledger(path: &Path, home: &Path) -> Result<(), Wrong> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let real = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    if real.starts_with(home) {
        return Err(Wrong(format!(
            "--master-key-file {}: it must not lie in Croft's state {}, whose backups would carry it along",
            path.display(),
            home.display()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_farm_that_has_a_past_is_given_no_other_key() {
        let folder = tempfile::tempdir().unwrap();
        let (home, path) = (folder.path().join("home"), folder.path().join("key"));
        std::fs::create_dir(&home).unwrap();
        let refused = read_or_create(&path, &home, true).unwrap_err();
        let said = refused.to_string();
        assert!(said.contains("there is no such file"), "{said}");
        assert!(!path.exists());
        read_or_create(&path, &home, false).unwrap();
        read_or_create(&path, &home, true).unwrap();
    }
}
