//! Removing what killed processes left: their builds' folders, mounts and containers. Called by the command line at each
//! start; touches nothing that a living process holds.

use std::io;
use std::path::Path;

use rustix::io::Errno;

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
    for (name, folder) in home.abandoned()? {
        if is_attempt(&name) {
            remove(&home.path().join("builds").join(&name))?;
        }
        remove(&folder)?;
        swept.folders += 1;
    }
    Ok(swept)
}

/// A farm's attempt is called by its build's uuid and its number. What it leaves lies in the home only until it is in the farm's
/// store; of one whose worker is gone nobody takes it there any more. A build of `croft run` has its results there for good.
fn is_attempt(name: &str) -> bool {
    const UUID_CHARS: usize = 36;
    let number = name
        .get(UUID_CHARS..)
        .and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(|number| number.parse::<u32>().is_ok())
}

/// Removes one build's folder with everything that is mounted in it.
///
/// # Errors
/// When a mount is in use or a file cannot be removed. What is mounted is never emptied: a folder with a mount in it stays.
pub fn remove(folder: &Path) -> io::Result<()> {
    unmount_all(folder)?;
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes the folders in one build's folder with everything that is mounted in them; its files stay.
///
/// # Errors
/// As [`remove`].
pub(crate) fn empty(folder: &Path) -> io::Result<()> {
    unmount_all(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn unmount_all(folder: &Path) -> io::Result<()> {
    let mounted = mounted_in(folder)?;
    if mounted.is_empty() {
        return Ok(());
    }
    for place in mounted.iter().rev() {
        match rustix::mount::unmount(place, rustix::mount::UnmountFlags::DETACH) {
            // Whoever sweeps at the same time was faster.
            Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match mounted_in(folder)?.first() {
        Some(place) => Err(io::Error::other(format!(
            "{} is still mounted",
            place.display()
        ))),
        None => Ok(()),
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
    fn an_emptied_folder_keeps_its_files_and_what_was_mounted_in_it() {
        if !rustix::process::geteuid().is_root() {
            let test = "an_emptied_folder_keeps_its_files_and_what_was_mounted_in_it";
            crate::skip::skip(test, "not root");
            return;
        }
        let (folder, precious) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("owner"), "1").unwrap();
        std::fs::write(precious.path().join("file"), "precious").unwrap();
        for mounted in ["source-0/lower", "directly"] {
            let mounted = folder.path().join(mounted);
            std::fs::create_dir_all(&mounted).unwrap();
            rustix::mount::mount_bind(precious.path(), &mounted).unwrap();
        }
        empty(folder.path()).unwrap();
        let left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["owner"]);
        assert!(precious.path().join("file").exists());
    }

    #[test]
    fn an_abandoned_folder_goes_with_its_mounts_and_a_held_one_stays() {
        if !rustix::process::geteuid().is_root() {
            let test = "an_abandoned_folder_goes_with_its_mounts_and_a_held_one_stays";
            crate::skip::skip(test, "not root");
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

    #[test]
    fn what_a_killed_worker_kept_of_an_attempt_goes_and_what_a_run_left_stays() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        let run = "0190f3c2-6b7a-7c3e-9a51-2f6f0f1a7d10";
        let attempt = format!("{run}-2");
        for name in [run, &attempt] {
            drop(home.scratch(name).unwrap());
            std::fs::write(home.kept(name).unwrap().join("build.log"), "said\n").unwrap();
        }
        assert_eq!(sweep(&home).unwrap(), Swept { folders: 2 });
        let kept = home.path().join("builds");
        assert!(kept.join(run).join("build.log").exists());
        assert!(!kept.join(&attempt).exists());
    }
}
