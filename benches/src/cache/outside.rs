//! The outer process: starts the run in namespaces of its own, so that when it ends, however it ends, its processes and
//! mounts are gone, and removes its folder. Received from `main`; hands the arguments on to `inside`.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use clap::Parser as _;
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use super::inside;
use super::options::Options;

/// A mount namespace for tmpfs and overlays; a process namespace so that servers and tools end with the run, and the run
/// with the outer process.
const NAMESPACES: [&str; 10] = [
    "--pdeathsig",
    "KILL",
    "--",
    "unshare",
    "--mount",
    "--propagation=private",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
];

pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    let program = OsString::from("croft-benches cache");
    let words = std::iter::once(program).chain(arguments.iter().cloned());
    let options = match Options::try_parse_from(words) {
        Ok(options) => options,
        Err(error) => {
            let code = if error.use_stderr() { 5 } else { 0 };
            println!("{error}");
            return ExitCode::from(code);
        }
    };
    if options.inside.is_some() {
        return inside::run(&options);
    }
    match in_a_process_of_its_own(&options, arguments) {
        Ok(code) => code,
        Err(reason) => {
            println!("{reason}");
            ExitCode::from(2)
        }
    }
}

fn in_a_process_of_its_own(options: &Options, arguments: &[OsString]) -> Result<ExitCode, String> {
    let may_mount = may_mount();
    let memory = Path::new("/dev/shm");
    // With mounts, memory is a tmpfs inside the folder; without, the folder itself has to lie there.
    let place = if !may_mount && !options.on_disk && memory.is_dir() {
        memory.to_path_buf()
    } else {
        std::env::temp_dir()
    };
    let folder =
        TempDir::with_prefix_in("croft-bench-", place).map_err(|error| error.to_string())?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = if may_mount {
        let mut command = Command::new("setpriv");
        command.args(NAMESPACES).arg("--").arg(&program);
        command
    } else {
        println!("without root there are no mounts: rows that need one are left out");
        Command::new(&program)
    };
    command
        .arg("cache")
        .args(arguments)
        .arg("--inside")
        .arg(folder.path());
    if may_mount {
        command.arg("--may-mount");
    }
    let code = until_end_or_signal(command);
    folder
        .close()
        .map_err(|error| format!("the run's folder stays: {error}"))?;
    code
}

fn may_mount() -> bool {
    let tried = Command::new("setpriv")
        .args(NAMESPACES)
        .args(["--", "true"])
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

/// How the run ended; a signal ends it.
fn until_end_or_signal(command: Command) -> Result<ExitCode, String> {
    let failed = |error: std::io::Error| error.to_string();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut command = tokio::process::Command::from(command);
        let mut child = command.kill_on_drop(true).spawn().map_err(failed)?;
        tokio::select! {
            status = child.wait() => {
                let code = status.map_err(failed)?.code();
                Ok(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(2)))
            }
            _ = interrupt.recv() => stopped(&mut child).await,
            _ = terminate.recv() => stopped(&mut child).await,
        }
    })
}

async fn stopped(child: &mut tokio::process::Child) -> Result<ExitCode, String> {
    // `unshare` kills the run with itself.
    child.kill().await.map_err(|error| error.to_string())?;
    Err("stopped".into())
}
