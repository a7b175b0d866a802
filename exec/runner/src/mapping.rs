//! A user namespace for a command of an ordinary user's build: its user 0 is that user and not the host's root.
//! Two sides of one short talk over the launcher's standard input: the launcher makes the namespace, the runner, which alone
//! may, says who is who in it.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

use crate::protocol::{OTHERS_COUNT, OTHERS_START, Owner};

/// The talk takes microseconds; a launcher that is killed in between must not hold the runner.
const TALK_MAX: Duration = Duration::from_secs(10);

/// The runner's side.
#[derive(Debug)]
pub(crate) struct Gate {
    ours: UnixStream,
}

impl Gate {
    /// A gate, and the standard input for the launcher that has to pass it.
    pub(crate) fn new() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(TALK_MAX))?;
        Ok((Self { ours }, theirs.into()))
    }

    /// Waits for the launcher's namespace, says who is who in it, lets the launcher go on.
    pub(crate) fn open(mut self, pid: Pid, owner: Owner) -> io::Result<()> {
        self.ours.read_exact(&mut [0])?;
        let pid = pid.as_raw_nonzero();
        let map = |own: u32| format!("0 {own} 1\n1 {} {OTHERS_COUNT}\n", OTHERS_START + 1);
        fs::write(format!("/proc/{pid}/uid_map"), map(owner.uid))?;
        fs::write(format!("/proc/{pid}/gid_map"), map(owner.gid))?;
        self.ours.write_all(&[1])
    }
}

/// The launcher's side: makes the namespace, waits until it is filled, then has an empty standard input.
///
/// # Errors
/// When the kernel allows no user namespaces, or the runner is gone.
pub(crate) fn enter() -> io::Result<()> {
    #[expect(
        deprecated,
        reason = "its unsafe successor guards against shared descriptor tables, which is not asked for"
    )]
    rustix::thread::unshare(UnshareFlags::NEWUSER)?;
    let input = rustix::stdio::stdin();
    rustix::io::write(input, &[1])?;
    if rustix::io::read(input, &mut [0])? == 0 {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the runner did not open the gate",
        ));
    }
    Ok(rustix::stdio::dup2_stdin(fs::File::open("/dev/null")?)?)
}
