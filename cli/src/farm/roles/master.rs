//! The master key: read from its file, made there at the first start of `croft up`. Never beside the ledger: who copies the one must
//! not have the other.

use std::path::{Path, PathBuf};

use anyhow::Context;
use croft_keys::MasterKey;

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

/// The key of a file that is made when it is not there; says so.
pub(crate) fn read_or_create(path: &Path, home: &Path) -> anyhow::Result<MasterKey> {
    refuse_beside_ledger(path, home)?;
    if path.exists() {
        return read(path, home);
    }
    let key = MasterKey::create(path)
        .with_context(|| format!("cannot make the master key {}", path.display()))?;
    eprintln!(
        "croft: made the master key {}: without it no secret can be read again, so keep a copy elsewhere",
        path.display()
    );
    Ok(key)
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
