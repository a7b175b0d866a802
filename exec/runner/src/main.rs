//! The runner's entry: one binary, told by its name or its first argument what to be.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use croft_runner::{frame, helpers, launch, layer, overlay, protocol, sandbox, save, serve};

fn main() -> ExitCode {
    // What a caller keeps to itself must not make scripts unreadable for a build's other users.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let mut arguments = std::env::args_os();
    let called = arguments.next().unwrap_or_default();
    let arguments: Vec<OsString> = arguments.collect();
    let name = Path::new(&called)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    if let Some(code) = helpers::run(name, &arguments) {
        return code;
    }
    match dispatch(&arguments) {
        Ok(code) => code,
        Err(error) => {
            // Standard error is the build's output; without it there is nobody to tell.
            drop(writeln!(io::stderr(), "croft-runner: {error}"));
            ExitCode::from(125)
        }
    }
}

fn dispatch(arguments: &[OsString]) -> io::Result<ExitCode> {
    let Some((mode, rest)) = arguments.split_first() else {
        return Err(usage());
    };
    match mode.to_str() {
        Some("sandbox") => {
            let status = sandbox::outer(rest)?;
            Ok(ExitCode::from(u8::try_from(status).unwrap_or(255)))
        }
        Some("inside") => sandbox::inside(
            &UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?),
            lease(rest)?,
        )
        .map(done),
        Some("serve") => serve_in_container(rest).map(done),
        Some("launch") => Err(launch::launch(rest)),
        Some("save") => save::save(rest.first().ok_or_else(usage)?).map(done),
        Some("overlay") => {
            let [lower, layers, target] = rest else {
                return Err(usage());
            };
            overlay::mount(Path::new(lower), Path::new(layers), Path::new(target)).map(done)
        }
        Some("layer") => {
            let orders = frame::read(&mut io::stdin().lock())?.ok_or_else(usage)?;
            layer::layer(&orders).map(done)
        }
        _ => Err(usage()),
    }
}

/// Connects to the worker's socket, sends everything the build prints to the worker's pipe, and serves.
fn serve_in_container(arguments: &[OsString]) -> io::Result<()> {
    let lease = lease(arguments)?;
    let control = UnixStream::connect(protocol::CONTROL)?;
    let output = std::fs::OpenOptions::new()
        .write(true)
        .open(protocol::OUTPUT)?;
    rustix::stdio::dup2_stdout(&output)?;
    rustix::stdio::dup2_stderr(&output)?;
    serve::serve(&control, lease, protocol::Owner::default())
}

/// How long the worker may be silent, in milliseconds; for ever, when nothing is said.
fn lease(arguments: &[OsString]) -> io::Result<Option<Duration>> {
    match arguments {
        [] => Ok(None),
        [milliseconds] => {
            let number = milliseconds
                .to_str()
                .and_then(|text| text.parse().ok())
                .ok_or_else(usage)?;
            Ok(Some(Duration::from_millis(number)))
        }
        _ => Err(usage()),
    }
}

fn done((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

fn usage() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "this program is started by croft",
    )
}
