//! One command: its script is written, its launcher started, and at its end its state is read back.
//! Receives a [`Run`] from the serving loop, hands back the running process, then the [`State`].

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;

use crate::mapping::Gate;
use crate::protocol::{MESSAGE_BYTES_MAX, Owner, Reply, Run, State, TMP, Variable};
use crate::save::{self, os};
use crate::user::User;

/// Lines before the user's text: shells count from here, and AWS's messages name line 4 for a command's first line.
const BEFORE: &str = "set -a\n\n\n";
/// Lines after it. The empty line takes a trailing backslash; the braces keep `set -x` from tracing Croft's own work.
const AFTER: &str = "\n\n{ CODEBUILD_LAST_EXIT=$?; '/codebuild/croft/bin/croft-runner' save \
                     '/codebuild/output/tmp/state'; exit \"$CODEBUILD_LAST_EXIT\"; } 2>/dev/null\n";

/// A state that would not fit into a message anyway.
const STATE_BYTES_MAX: u64 = MESSAGE_BYTES_MAX as u64;

/// A command that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) pid: Pid,
    user: User,
    /// Variables that pass through no shell, and those that followed the user for this command only.
    before: Vec<Variable>,
}

/// Starts the command.
///
/// # Errors
/// The reply that says why not.
pub(crate) fn start(run: &Run, owner: Owner) -> Result<Running, Reply> {
    let refused = |status, reason: String| Reply::Refused { status, reason };
    let user = match &run.user {
        None => User::root(),
        Some(wanted) => User::find(wanted).map_err(|error| refused(126, error.to_string()))?,
    };
    let shell = find_shell(run).ok_or_else(|| {
        let name = String::from_utf8_lossy(&run.shell);
        refused(
            127,
            format!("this image has no {name}: env.shell asks for it"),
        )
    })?;
    let script = Path::new(TMP).join("script.sh");
    write_script(
        &script,
        &run.script,
        owner.host_uid(user.uid),
        owner.host_gid(user.gid),
    )
    .map_err(|error| refused(126, format!("cannot write {}: {error}", script.display())))?;
    let directory = PathBuf::from(os(&run.directory));
    let mut command = launcher(run, &user, owner, &shell, &script);
    let gate = gate_for(&mut command, owner).map_err(|error| refused(126, error.to_string()))?;
    let child = command.current_dir(&directory).spawn();
    let child = child.map_err(|error| refused(126, why_not(&error, &directory)))?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| refused(126, "the kernel gave no process".to_string()))?;
    // The command keeps the launcher's end of the gate; without it, a launcher that dies is noticed.
    drop(command);
    if let Some(gate) = gate {
        let opened = gate.open(pid, owner);
        opened.map_err(|error| {
            refused(
                126,
                format!("cannot give the build users of its own: {error}"),
            )
        })?;
    }
    Ok(Running {
        pid,
        user,
        before: run.environment.clone(),
    })
}

fn launcher(run: &Run, user: &User, owner: Owner, shell: &Path, script: &Path) -> Command {
    let flag = |set: bool| if set { "1" } else { "0" };
    // Not by its path: a build may move folders about, and this still runs with every power there is.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg("launch")
        .args(numbers(user))
        .args([flag(run.confine), flag(owner.is_mapped())]);
    command.arg(shell).arg(script).env_clear();
    command.envs(
        run.environment
            .iter()
            .map(|(name, value)| (os(name), os(value))),
    );
    if run.user.is_some() && user.uid != 0 {
        command.envs([
            ("HOME", &user.home),
            ("USER", &user.name),
            ("LOGNAME", &user.name),
        ]);
    }
    command
}

/// Standard input: empty, or the gate to a user namespace first.
fn gate_for(command: &mut Command, owner: Owner) -> io::Result<Option<Gate>> {
    if !owner.is_mapped() {
        command.stdin(Stdio::null());
        return Ok(None);
    }
    let (gate, theirs) = Gate::new()?;
    command.stdin(theirs);
    Ok(Some(gate))
}

fn why_not(error: &io::Error, directory: &Path) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        format!("the working directory {} is gone", directory.display())
    } else if error.kind() == io::ErrorKind::ArgumentListTooLong {
        "the environment is too large for the kernel (one variable may hold 128 KiB)".to_string()
    } else {
        format!("cannot start: {error}")
    }
}

/// What the command left behind; `None` when it did not come to its end.
pub(crate) fn finish(running: &Running) -> Option<State> {
    let mut state = save::parse(&read_state().ok()?)?;
    for (name, value) in &running.before {
        let found = state
            .environment
            .iter_mut()
            .find(|(other, _)| other == name);
        match found {
            None if !save::is_shell_name(name) => {
                state.environment.push((name.clone(), value.clone()))
            }
            Some((_, now)) if followed_the_user(running, name, now) => now.clone_from(value),
            _ => {}
        }
    }
    if running.user.uid != 0 {
        state.environment.retain(|(name, _)| {
            let own = name == b"USER" || name == b"LOGNAME";
            !own || running.before.iter().any(|(other, _)| other == name)
        });
    }
    Some(state)
}

/// True for a variable that holds the user's own name or home, which the next command's user must not inherit.
fn followed_the_user(running: &Running, name: &[u8], value: &[u8]) -> bool {
    running.user.uid != 0
        && match name {
            b"HOME" => value == running.user.home.as_bytes(),
            b"USER" | b"LOGNAME" => value == running.user.name.as_bytes(),
            _ => false,
        }
}

/// The build may have put anything in the file's place: a link, a pipe, something endless.
fn read_state() -> io::Result<Vec<u8>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = fs::File::from(rustix::fs::open(state_path(), flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "not a regular file",
        ));
    }
    let mut bytes = Vec::new();
    file.take(STATE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn state_path() -> PathBuf {
    Path::new(TMP).join("state")
}

fn numbers(user: &User) -> [OsString; 3] {
    let groups: Vec<String> = user.groups.iter().map(u32::to_string).collect();
    [
        user.uid.to_string().into(),
        user.gid.to_string().into(),
        groups.join(",").into(),
    ]
}

fn write_script(path: &Path, text: &[u8], uid: u32, gid: u32) -> io::Result<()> {
    for old in [path.to_path_buf(), state_path()] {
        match fs::remove_file(&old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let mut script = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o755)
        .open(path)?;
    script.write_all(&[BEFORE.as_bytes(), text, AFTER.as_bytes()].concat())?;
    let state = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(state_path())?;
    std::os::unix::fs::fchown(&state, Some(uid), Some(gid))
}

/// The usual place first: it is right nearly always, and a look along the path costs a look per folder.
fn find_shell(run: &Run) -> Option<PathBuf> {
    let path = run
        .environment
        .iter()
        .find(|(name, _)| name == b"PATH")
        .map(|(_, value)| os(value));
    let on_path = path.iter().flat_map(std::env::split_paths);
    let places = ["/bin", "/usr/bin"]
        .map(PathBuf::from)
        .into_iter()
        .chain(on_path);
    places.map(|place| place.join(os(&run.shell))).find(|file| {
        file.is_absolute()
            && fs::metadata(file)
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    })
}
