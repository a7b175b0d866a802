//! Removing what killed processes left: their builds' folders, mounts and containers. Called by the command line at each
//! start; touches nothing that a living process holds.

use std::io;
use std::path::Path;

use crate::record::Home;

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Folders of dead builds.
    pub folders: usize,
}

/// Removes every abandoned build's mounts and folder. A build's containers have to be gone before.
///
/// # Errors
/// The first thing that cannot be removed; the rest is tried at the next start.
pub fn sweep(home: &Home) -> io::Result<Swept> {
    let mut swept = Swept::default();
    for (_, folder) in home.abandoned()? {
        remove(&folder)?;
        swept.folders += 1;
    }
    Ok(swept)
}

/// Removes one build's folder with everything that is mounted in it.
///
/// # Errors
/// When a mount is in use or a file cannot be removed. What is mounted is never emptied: a folder with a mount in it stays.
pub fn remove(folder: &Path) -> io::Result<()> {
    for place in mounted_in(folder)?.iter().rev() {
        rustix::mount::unmount(place, rustix::mount::UnmountFlags::DETACH)?;
    }
    if let Some(place) = mounted_in(folder)?.first() {
        return Err(io::Error::other(format!(
            "{} is still mounted",
            place.display()
        )));
    }
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn mounted_in(folder: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    let table = std::fs::read("/proc/self/mountinfo")?;
    Ok(crate::runtime::mounted_below(&table, folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abandoned_folder_goes_with_its_mounts_and_a_held_one_stays() {
        if !rustix::process::geteuid().is_root() {
            eprintln!(
                "SKIPPED an_abandoned_folder_goes_with_its_mounts_and_a_held_one_stays: not root"
            );
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        let held = home.scratch("held").unwrap();
        let dead = home.scratch("dead").unwrap().path;
        let (precious, mounted) = (tempfile::tempdir().unwrap(), dead.join("a mount"));
        std::fs::write(precious.path().join("file"), "precious").unwrap();
        std::fs::create_dir(&mounted).unwrap();
        rustix::mount::mount_bind(precious.path(), &mounted).unwrap();
        assert_eq!(sweep(&home).unwrap(), Swept { folders: 1 });
        assert!(!dead.exists() && held.path.exists());
        assert!(precious.path().join("file").exists());
    }
}
