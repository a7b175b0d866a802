//! The last step before a user's shell: a session of its own, the user's numbers, no capabilities when confined, then
//! `exec`. A program of its own because only the process that becomes the shell may give these up, and this crate holds no
//! unsafe code to do it between `fork` and `exec`.
//!
//! Receives its orders as arguments from the runner: `launch UID GID GROUPS CONFINE MAPPED SHELL SCRIPT`.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::thread::{CapabilitySet, CapabilitySets};

/// Becomes the shell; returns only when that failed.
pub fn launch(arguments: &[OsString]) -> io::Error {
    match prepare(arguments) {
        Ok(mut shell) => shell.exec(),
        Err(error) => error,
    }
}

fn prepare(arguments: &[OsString]) -> io::Result<Command> {
    let [uid, gid, groups, confine, mapped, shell, script] = arguments else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "launch takes seven arguments",
        ));
    };
    rustix::process::setsid()?;
    if mapped == "1" {
        crate::mapping::enter()?;
    }
    let groups: Vec<rustix::process::Gid> = text(groups)?
        .split(',')
        .map(|group| number(group).map(rustix::process::Gid::from_raw))
        .collect::<io::Result<_>>()?;
    let uid = number(text(uid)?)?;
    let confine = confine == "1";
    if confine {
        drop_bounding_set()?;
    }
    rustix::thread::set_thread_groups(&groups)?;
    rustix::thread::set_thread_gid(rustix::process::Gid::from_raw(number(text(gid)?)?))?;
    rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(uid))?;
    if confine {
        let none = CapabilitySet::empty();
        rustix::thread::clear_ambient_capability_set()?;
        rustix::thread::set_capabilities(
            None,
            CapabilitySets {
                effective: none,
                permitted: none,
                inheritable: none,
            },
        )?;
        rustix::thread::set_no_new_privs(true)?;
    }
    let mut command = Command::new(shell);
    command.arg(script);
    Ok(command)
}

/// Without a bounding set, `exec` as user 0 gives no capability back.
fn drop_bounding_set() -> io::Result<()> {
    for capability in CapabilitySet::all().iter() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // A capability this kernel does not know cannot be held.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn text(argument: &OsString) -> io::Result<&str> {
    argument
        .to_str()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "an argument is not text"))
}

fn number(text: &str) -> io::Result<u32> {
    text.parse()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}
