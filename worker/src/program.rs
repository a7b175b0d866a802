//! Starting the programs of this machine that help with a build (`git`, `aws`) so that none outlives Croft.

use std::path::Path;

use tokio::process::Command;

/// Of util-linux, on every Debian, Fedora and Alpine with that package.
const SETPRIV: &str = "/usr/bin/setpriv";

/// A command of that name which the kernel kills when the thread that started it ends, also by `kill -9`. Where `setpriv` is
/// missing, it ends when this process drops it, or by itself.
pub(crate) fn command(name: &str) -> Command {
    // A missing program is told by the kernel, not by what setpriv makes of it.
    let mut command = if Path::new(SETPRIV).exists() && is_on_path(name) {
        let mut command = Command::new(SETPRIV);
        command.args(["--pdeathsig", "KILL", "--", name]);
        command
    } else {
        Command::new(name)
    };
    command.kill_on_drop(true);
    command
}

fn is_on_path(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_program_is_told_as_such() {
        let error = command("no-such-program-of-ours")
            .output()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        assert!(command("true").output().await.unwrap().status.success());
    }
}
