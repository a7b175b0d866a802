//! `croft doctor`: what this machine can do, what is missing, and what to do about it.

/// What a farm's role would stand on.
mod farm;

use std::path::Path;
use std::process::Command;

use croft_worker::runtime::container::{Docker, engine_version};
use serde::Serialize;

use crate::args::{DoctorWords, Global};
use crate::exit::Exit;
use crate::output::{self, Rows};
use crate::render::size;
use crate::surroundings::{Surroundings, person_home};

/// Builds with less room than this end in the middle.
const FREE_BYTES_MIN: u64 = 2 << 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Missing,
    Broken,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    check: &'static str,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl Check {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Ok,
            found: found.into(),
            help: None,
        }
    }

    /// Not there, and not needed by everybody.
    fn missing(check: &'static str, found: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Missing,
            found: found.into(),
            help: Some(help.into()),
        }
    }

    fn broken(check: &'static str, found: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Broken,
            found: found.into(),
            help: Some(help.into()),
        }
    }
}

impl Rows for Check {
    fn titles() -> (Vec<&'static str>, usize) {
        (vec!["CHECK", "VERDICT", "FOUND", "WHAT TO DO"], 4)
    }

    fn cells(&self) -> Vec<String> {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Missing => "missing",
            Verdict::Broken => "broken",
        };
        vec![
            self.check.into(),
            verdict.into(),
            self.found.clone(),
            self.help.clone().unwrap_or_default(),
        ]
    }

    fn name(&self) -> String {
        self.check.into()
    }
}

/// Something broken gives exit code 2; something missing that only some builds need does not.
pub(crate) fn doctor(global: &Global, words: &DoctorWords) -> anyhow::Result<Exit> {
    let mut checks = vec![sandbox()];
    match Surroundings::read(global) {
        Ok(surroundings) => {
            checks.push(Check::ok(
                "state",
                surroundings.home.path().display().to_string(),
            ));
            checks.push(room("disk of the state", surroundings.home.path()));
            checks.push(cache(&surroundings));
            checks.push(overlay(surroundings.home.path()));
            checks.extend(farm::store(words.store.as_deref(), &surroundings));
        }
        Err(error) => checks.push(Check::broken(
            "state",
            format!("{error:#}"),
            "name another folder with --home",
        )),
    }
    checks.extend(farm::broker(&words.nats)?);
    checks.push(engine()?);
    checks.push(program(
        "git",
        "needed to build from a git URL: install git",
    ));
    checks.push(program(
        "aws",
        "needed only for parameters and secrets with -c: install AWS's command line",
    ));
    output::rows(&checks, words.output.output)?;
    let broken = checks.iter().any(|check| check.verdict == Verdict::Broken);
    Ok(if broken {
        Exit::Infrastructure
    } else {
        Exit::Succeeded
    })
}

fn sandbox() -> Check {
    if !rustix::process::geteuid().is_root() {
        return Check::missing(
            "sandbox",
            "not root",
            "builds without --image need root for now: sudo croft run",
        );
    }
    let status = Command::new("unshare")
        .args(["--mount", "--pid", "--ipc", "--uts", "--fork", "true"])
        .status();
    match status {
        Ok(status) if status.success() => Check::ok("sandbox", "namespaces can be made"),
        Ok(_) => Check::broken(
            "sandbox",
            "the kernel refuses new namespaces",
            "inside a container, start it with --privileged; or use --image",
        ),
        Err(error) => Check::missing(
            "sandbox",
            format!("unshare cannot be run: {error}"),
            "install util-linux to check",
        ),
    }
}

fn room(check: &'static str, path: &Path) -> Check {
    match rustix::fs::statvfs(path) {
        Ok(found) => {
            let free = found.f_bavail * found.f_frsize;
            if free < FREE_BYTES_MIN {
                return Check::broken(
                    check,
                    format!("{} free", size(free)),
                    "make room, or move CROFT_HOME",
                );
            }
            Check::ok(check, format!("{} free", size(free)))
        }
        Err(error) => Check::broken(check, error.to_string(), "see whether the disk is there"),
    }
}

fn cache(surroundings: &Surroundings) -> Check {
    let place = surroundings.cache_shown();
    let used = surroundings.open_cache().and_then(|store| store.usage());
    match used {
        Ok(usage) => {
            let found = format!(
                "{} of {} at {}",
                size(usage.stored_bytes),
                size(surroundings.cache_bytes_max),
                place
            );
            Check::ok("cache", found)
        }
        Err(error) => Check::broken(
            "cache",
            format!("{:#}", anyhow::Error::from(error)),
            "name another folder with --cache-dir",
        ),
    }
}

/// Whether the state's disk can hold an overlay's upper layer; without, sources are copied.
fn overlay(home: &Path) -> Check {
    if !rustix::process::geteuid().is_root() {
        return Check::missing("copy-on-write", "not root", "sources are copied");
    }
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !known
        .lines()
        .any(|line| line.trim_end().ends_with("overlay"))
    {
        return Check::missing(
            "copy-on-write",
            "this kernel has no overlay",
            "sources are copied; load the overlay module",
        );
    }
    let kind = rustix::fs::statfs(home)
        .map(|found| found.f_type)
        .unwrap_or_default();
    // An overlay cannot be the upper layer of another one.
    if kind == 0x794c_7630 {
        return Check::missing(
            "copy-on-write",
            "the state's disk is an overlay itself",
            "sources are copied; move CROFT_HOME",
        );
    }
    Check::ok("copy-on-write", "overlay")
}

fn engine() -> anyhow::Result<Check> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let docker = Docker::new(&person_home(), |name| std::env::var_os(name));
    Ok(match runtime.block_on(engine_version(&docker)) {
        Ok(version) => Check::ok("container engine", version),
        Err(error) => Check::missing(
            "container engine",
            format!("{:#}", anyhow::Error::from(error)),
            "needed for --image: install and start Docker Engine",
        ),
    })
}

fn program(name: &'static str, help: &str) -> Check {
    match Command::new(name).arg("--version").output() {
        Ok(found) => {
            let text = String::from_utf8_lossy(&found.stdout);
            Check::ok(name, text.lines().next().unwrap_or_default())
        }
        Err(_) => Check::missing(name, "not installed", help),
    }
}
