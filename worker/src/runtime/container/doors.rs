//! The two doors between a container and the worker: the socket that the runner connects to and the pipe that commands
//! print into. Both lie in one folder of the build's, which the container sees read-only.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use croft_beneath::Root;
use croft_runner::protocol::CONTROL;
use rustix::fs::{FileType, Mode, OFlags};
use tokio::net::{UnixListener, UnixStream};

use super::super::PIPE_BYTES;

/// Both doors, open.
#[derive(Debug)]
pub(crate) struct Doors {
    listener: UnixListener,
    output: File,
    /// Device and inode of the socket.
    control: (u64, u64),
}

impl Doors {
    /// Makes the folder `slot` below `build` with both doors in it; what a former try left is replaced.
    ///
    /// # Errors
    /// When the file system has no sockets or pipes, or is full.
    pub(crate) fn open(build: &Path) -> io::Result<Self> {
        let folder = build.join("slot");
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::DirBuilder::new().mode(0o755).create(&folder)?;
        let listener = listen(&folder)?;
        let (control, output) = (folder.join("control"), folder.join("output"));
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &output,
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )?;
        // Only the build can reach the folder, and a build's users print, whoever they are: `echo > /dev/stderr` opens anew.
        for door in [&control, &output] {
            fs::set_permissions(door, Permissions::from_mode(0o666))?;
        }
        let found = fs::metadata(&control)?;
        Ok(Self {
            listener,
            output: reader(&output)?,
            control: (found.dev(), found.ino()),
        })
    }

    /// Waits for the runner.
    ///
    /// # Errors
    /// When the socket breaks.
    ///
    /// # Cancel
    /// Safe: nothing is lost.
    pub(crate) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }

    /// The number and the root directory of the process at the other end; `None` when that is not a process of this machine's, or not one
    /// that sees this very socket where the runner does.
    pub(crate) fn process_behind(&self, stream: &UnixStream) -> Option<(u32, Root)> {
        let pid = u32::try_from(stream.peer_cred().ok()?.pid()?).ok();
        let pid = pid.filter(|pid| *pid > 0)?;
        let root = Root::open(Path::new(&format!("/proc/{pid}/root"))).ok()?;
        let seen = root.metadata(Path::new(CONTROL)).ok()?;
        (seen.identity == self.control).then_some((pid, root))
    }

    /// The end of the pipe to read from. Closes the socket to anybody else.
    pub(crate) fn into_output(self) -> File {
        self.output
    }
}

/// Addresses of sockets are short; by way of the folder's descriptor its own path may be long.
fn listen(folder: &Path) -> io::Result<UnixListener> {
    let descriptor = rustix::fs::open(
        folder,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    UnixListener::bind(format!("/proc/self/fd/{}/control", descriptor.as_raw_fd()))
}

/// The reading end. Opened without waiting for a writer, then made to wait as an ordinary pipe's end does; once the runner
/// stands it has the other end, and when the last writer is gone the reader sees the end.
fn reader(path: &Path) -> io::Result<File> {
    let output = rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    rustix::fs::fcntl_setfl(&output, OFlags::empty())?;
    // An ordinary user's limit may be lower; the default size works too.
    rustix::pipe::fcntl_setpipe_size(&output, PIPE_BYTES).unwrap_or_default();
    Ok(File::from(output))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn doors_open_below_any_path_and_a_stranger_behind_them_is_seen() {
        let build = tempfile::tempdir().unwrap();
        let deep = build.path().join("long".repeat(40));
        fs::create_dir(&deep).unwrap();
        drop(Doors::open(&deep).unwrap());
        let doors = Doors::open(&deep).unwrap();
        let socket = rustix::fs::open(deep.join("slot"), OFlags::PATH, Mode::empty()).unwrap();
        let path = format!("/proc/self/fd/{}/control", socket.as_raw_fd());
        let (ours, theirs) = tokio::join!(doors.accept(), UnixStream::connect(path));
        // This process sees the socket elsewhere than a runner would.
        assert!(doors.process_behind(&ours.unwrap()).is_none());
        drop(theirs);
    }

    #[test]
    fn the_end_of_output_is_seen_when_the_last_writer_is_gone() {
        use std::io::{Read, Write};
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let _entered = runtime.enter();
        let build = tempfile::tempdir().unwrap();
        let doors = Doors::open(build.path()).unwrap();
        let mut writer = fs::OpenOptions::new()
            .write(true)
            .open(build.path().join("slot/output"))
            .unwrap();
        writer.write_all(b"last words").unwrap();
        drop(writer);
        let mut text = String::new();
        doors.into_output().read_to_string(&mut text).unwrap();
        assert_eq!(text, "last words");
    }
}
