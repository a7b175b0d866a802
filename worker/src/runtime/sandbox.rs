//! Builds on this machine's own tools, fenced in by namespaces. For one's own code on one's own machine.
//! Receives a [`Request`], starts the static runner in namespaces of its own, hands back a [`Slot`].

use std::fs;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use croft_beneath::Root;
use croft_runner::protocol::{OTHERS_START, Owner, Setup, VERSION, Variable};
use rustix::pipe::PipeFlags;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::link::{Greeting, Link};
use super::view::{self, Host, Private};
use super::{Error, Hold, Place, Progress, Report, Request, Runtime, Slot, View, workspace};

/// Namespaces and mounts take milliseconds; a machine that needs longer than this is not answering.
const GREETING_MAX: Duration = Duration::from_secs(30);
/// A full pipe stops a build's command until the output is read; this many bytes smooth that over.
pub(crate) const PIPE_BYTES: usize = 1 << 20;
/// How long a runner may take to leave once its socket is closed. The kernel kills all it started.
const LEAVE_MAX: Duration = Duration::from_secs(10);

/// Makes sandboxes.
#[derive(Clone, Debug)]
pub struct Sandbox {
    runner: PathBuf,
    host: Host,
    lease: Option<Duration>,
}

impl Sandbox {
    /// Sandboxes whose runner is the one in `runner`, on a machine with that home and those variables.
    #[must_use]
    pub fn new(runner: PathBuf, home: PathBuf, environment: Vec<Variable>) -> Self {
        Self {
            runner,
            host: Host {
                home,
                environment,
                private: Private::default(),
            },
            lease: None,
        }
    }

    /// The same, whose builds end by themselves when this process was silent for so long: one that is frozen must not have
    /// them run on while they are started elsewhere.
    #[must_use]
    pub const fn leased(mut self, lease: Duration) -> Self {
        self.lease = Some(lease);
        self
    }
}

impl Runtime for Sandbox {
    fn provision<'a>(
        &'a self,
        request: &'a Request,
        report: Report<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Slot, Error>> + Send + 'a>> {
        Box::pin(self.make(request, report))
    }
}

impl Sandbox {
    async fn make(&self, request: &Request, report: Report<'_>) -> Result<Slot, Error> {
        if !rustix::process::geteuid().is_root() {
            return Err(Error::User {
                code: "CLIENT_ERROR",
                message: "builds need root for now: run `sudo croft run`".into(),
            });
        }
        for (name, mode) in [
            ("root", 0o755),
            ("tmp", 0o1777),
            ("home", 0o755),
            ("var-tmp", 0o1777),
        ] {
            make_directory(&request.directory.join(name), mode)
                .map_err(Error::at("cannot make the build's directories"))?;
        }
        let mut views: Vec<View> = Vec::new();
        for (index, source) in request.sources.iter().enumerate() {
            views.push(workspace::first(&request.directory, index, source));
        }
        match self.start(request, &views).await? {
            Started::Ready(slot) => return Ok(*slot),
            Started::NoOverlay(reason) => report(Progress::Copying(reason)),
        }
        for (index, source) in request.sources.iter().enumerate() {
            if !source.in_place {
                views[index] = workspace::copy(&request.directory, index, source).await?;
            }
        }
        match self.start(request, &views).await? {
            Started::Ready(slot) => Ok(*slot),
            Started::NoOverlay(reason) => Err(Error::at("cannot make the sandbox")(
                std::io::Error::other(reason),
            )),
        }
    }

    fn runner_command(&self, control: StdUnixStream) -> Command {
        let mut command = Command::new(self.runner.join("croft-runner"));
        command
            .arg("sandbox")
            .args(self.lease.map(|lease| lease.as_millis().to_string()))
            .env_clear()
            .stdin(OwnedFd::from(control));
        command
    }

    async fn start(&self, request: &Request, views: &[View]) -> Result<Started, Error> {
        let doing = || Error::at("cannot start the sandbox");
        let owner = owner_of(request).map_err(doing())?;
        std::os::unix::fs::chown(
            request.directory.join("home"),
            Some(owner.uid),
            Some(owner.gid),
        )
        .map_err(doing())?;
        let (ours, theirs) = StdUnixStream::pair().map_err(doing())?;
        ours.set_nonblocking(true).map_err(doing())?;
        let (output, input) = output_pipe().map_err(doing())?;
        let mut command = self.runner_command(theirs);
        command
            .stdout(input.try_clone().map_err(doing())?)
            .stderr(input);
        // A group of its own: Ctrl-C on the terminal is for croft to handle, not for the sandbox to die of.
        let child = command
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(doing())?;
        // The command holds the write end of the pipe; dropped, only the sandbox has it.
        drop(command);
        let mut link = Link::new(UnixStream::from_std(ours).map_err(doing())?);
        let setup = Setup {
            version: VERSION,
            directory: request.directory.as_os_str().as_bytes().to_vec(),
            mounts: view::mounts(&self.host, request, &self.runner, views),
            hostname: b"croft".to_vec(),
            owner,
        };
        link.send(&setup).await.map_err(doing())?;
        let greeting = match link.greet(GREETING_MAX).await {
            Ok(greeting) => greeting,
            Err(error) => return Err(doing()(explain(error, &output))),
        };
        let runtimes = match greeting {
            Greeting::Ready { runtimes, .. } => runtimes,
            Greeting::Broken {
                reason,
                overlay: true,
            } => return Ok(Started::NoOverlay(reason)),
            Greeting::Broken {
                reason,
                overlay: false,
            } => return Err(doing()(std::io::Error::other(reason))),
        };
        if let Some(lease) = self.lease {
            link.renew(lease);
        }
        let process = inner_process(&child).map_err(doing())?;
        let root = Root::open(Path::new(&format!("/proc/{process}/root")))
            .map_err(doing())?
            .on_behalf_of(owner.uid, owner.gid, OTHERS_START);
        let seen = super::layers::seen(&request.sources, views);
        let place = Place::of(process, &self.runner, &request.directory, seen);
        Ok(Started::Ready(Box::new(Slot {
            link,
            output,
            root,
            environment: view::environment(&self.host),
            runtimes,
            image: "sandbox".to_string(),
            confine: true,
            place: place.map_err(doing())?,
            hold: Box::new(Held { child }),
        })))
    }
}

enum Started {
    Ready(Box<Slot>),
    NoOverlay(String),
}

#[derive(Debug)]
struct Held {
    child: Child,
}

impl Hold for Held {
    fn release(mut self: Box<Self>) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> {
        Box::pin(async move {
            // The inner process saw its socket close and left, and the kernel killed what it had started.
            if tokio::time::timeout(LEAVE_MAX, self.child.wait())
                .await
                .is_err()
            {
                self.child
                    .kill()
                    .await
                    .map_err(Error::at("cannot end the sandbox"))?;
            }
            Ok(())
        })
    }
}

/// The build is its source's owner's.
fn owner_of(request: &Request) -> std::io::Result<Owner> {
    let Some(primary) = request.sources.first() else {
        return Ok(Owner::default());
    };
    let found = fs::metadata(&primary.directory)?;
    Ok(Owner {
        uid: found.uid(),
        gid: found.gid(),
    })
}

/// A pipe for a build's output: the end to read, and the end its commands write to.
pub(crate) fn output_pipe() -> std::io::Result<(fs::File, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    // An ordinary user's limit may be lower; the default size works too.
    rustix::pipe::fcntl_setpipe_size(&writer, PIPE_BYTES).unwrap_or_default();
    Ok((fs::File::from(reader), writer))
}

/// The sandbox's first process, which is the outer process's only child.
fn inner_process(child: &Child) -> std::io::Result<u32> {
    let outer = child
        .id()
        .ok_or_else(|| std::io::Error::other("the sandbox ended at once"))?;
    let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"))?;
    let inner = children.split_whitespace().next();
    inner
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| std::io::Error::other("the sandbox is empty"))
}

/// What the runner printed before it died says more than a closed socket.
fn explain(error: std::io::Error, output: &fs::File) -> std::io::Error {
    let mut words = vec![0; 4096];
    let waiting = rustix::io::ioctl_fionread(output).unwrap_or(0);
    if waiting == 0 {
        return error;
    }
    let count = rustix::io::read(output, &mut words).unwrap_or(0);
    std::io::Error::other(String::from_utf8_lossy(&words[..count]).trim().to_string())
}

fn make_directory(path: &Path, mode: u32) -> std::io::Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sandbox of this machine; `None`, and said so, for an ordinary user.
    fn sandbox() -> Option<Sandbox> {
        if !rustix::process::geteuid().is_root() {
            crate::skip::skip("sandbox", "not root");
            return None;
        }
        let home = std::env::temp_dir().join(format!("croft-suite-{}", std::process::id()));
        let runner = super::super::install_runner(&home).unwrap();
        let environment = std::env::vars_os()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect();
        Some(Sandbox::new(runner, PathBuf::from("/root"), environment))
    }

    super::super::suite::cases!(sandbox());

    #[tokio::test]
    async fn a_sandbox_whose_worker_is_frozen_leaves_after_its_lease_and_stays_before() {
        let Some(sandbox) = sandbox() else { return };
        let lease = Duration::from_secs(1);
        let mut bench = super::super::suite::Bench::new(&sandbox.leased(lease)).await;
        // For longer than a lease: this process says that it is there.
        assert_eq!(bench.sh("sleep 2; echo there").await, (0, "there\n".into()));
        // The test's only thread waits here, as that of a frozen process: nothing renews.
        let limit = std::time::Instant::now() + Duration::from_secs(30);
        while bench.slot.link.is_open() {
            assert!(std::time::Instant::now() < limit, "it goes on unheard");
            std::thread::sleep(Duration::from_millis(10));
        }
        bench.release().await;
    }
}
