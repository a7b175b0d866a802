//! The static runner's file on this machine: carried inside this program, laid down once per version.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::Error;

/// The program itself, built by this crate's build script.
const RUNNER: &[u8] = include_bytes!(env!("CROFT_RUNNER_BINARY"));

/// The folder that holds the runner as `croft-runner` and nothing else, below `home`.
///
/// # Errors
/// When `home` cannot be written.
pub fn install_runner(home: &Path) -> Result<PathBuf, Error> {
    let folder = home.join("runner").join(VERSION);
    let file = folder.join("croft-runner");
    let complete = fs::metadata(&file).is_ok_and(|found| found.len() == RUNNER.len() as u64);
    if !complete {
        lay_down(&folder, &file).map_err(Error::at(format!(
            "cannot write the runner to {}",
            folder.display()
        )))?;
    }
    Ok(folder)
}

/// Differs whenever the program does; made with it.
const VERSION: &str = env!("CROFT_RUNNER_VERSION");

fn lay_down(folder: &Path, file: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    // Users of a build other than root start it too, whatever this process's umask.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    // A name of this process's own, so that two first starts at once do not write into one file.
    let fresh = folder.join(format!(".new-{}", std::process::id()));
    let mut out = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o755)
        .open(&fresh)?;
    out.write_all(RUNNER)?;
    out.set_permissions(fs::Permissions::from_mode(0o755))?;
    drop(out);
    fs::rename(&fresh, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_is_laid_down_once_and_links_to_no_library() {
        let home = tempfile::tempdir().unwrap();
        let folder = install_runner(home.path()).unwrap();
        let before = fs::metadata(folder.join("croft-runner"))
            .unwrap()
            .modified()
            .unwrap();
        assert_eq!(install_runner(home.path()).unwrap(), folder);
        assert_eq!(
            fs::metadata(folder.join("croft-runner"))
                .unwrap()
                .modified()
                .unwrap(),
            before
        );
        // A dynamic program names its interpreter; a static one has none.
        let interpreter = b"ld-linux";
        assert!(
            !RUNNER
                .windows(interpreter.len())
                .take(4096)
                .any(|window| window == interpreter)
        );
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }
}
