//! A process with all that it has started: `su` and `sudo` give their commands sessions of their own, and a signal to one group
//! does not reach them. Receives the first process, sends to all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

use crate::state::durable;

/// A process that is still the same one: ids are used again, moments of start are not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Known {
    pid: i32,
    /// Clock ticks since the machine started.
    started: u64,
    /// Which start of the machine.
    boot: String,
}

struct Stat {
    parent: i32,
    started: u64,
}

impl Known {
    /// The process that has that id now.
    pub(super) fn of(pid: Pid) -> Option<Self> {
        let pid = pid.as_raw_nonzero().get();
        Some(Self {
            pid,
            started: stat(pid)?.started,
            boot: boot()?,
        })
    }

    fn is_alive(&self) -> bool {
        boot().as_ref() == Some(&self.boot)
            && stat(self.pid).is_some_and(|stat| stat.started == self.started)
    }

    /// It, and what it or one of those has started, as far as they have not let go of it.
    pub(super) fn with_descendants(&self) -> BTreeSet<Self> {
        let mut children: BTreeMap<i32, Vec<(i32, u64)>> = BTreeMap::new();
        for pid in processes() {
            if let Some(stat) = stat(pid) {
                let siblings = children.entry(stat.parent).or_default();
                siblings.push((pid, stat.started));
            }
        }
        let mut found = BTreeSet::new();
        let mut open = vec![(self.pid, self.started)];
        while let Some((pid, started)) = open.pop() {
            let known = Self {
                pid,
                started,
                boot: self.boot.clone(),
            };
            if found.insert(known) {
                open.extend(children.get(&pid).into_iter().flatten());
            }
        }
        found
    }
}

/// Sends to the group that `first` leads, and to each of `others`. What is gone already is no error.
pub(super) fn send(first: &Known, others: &BTreeSet<Known>, signal: Signal) {
    for known in others.iter().filter(|known| known.is_alive()) {
        if let Some(pid) = Pid::from_raw(known.pid) {
            rustix::process::kill_process(pid, signal).unwrap_or_default();
        }
    }
    // Whoever leads the group has not been waited for, or its group may be another's by now.
    if let Some(group) = Pid::from_raw(first.pid).filter(|_| first.is_alive()) {
        rustix::process::kill_process_group(group, signal).unwrap_or_default();
    }
}

/// Kills the script that an agent which was killed has left running, and says whether there was one.
pub(crate) fn kill_left(note: &Path) -> Result<bool, durable::Error> {
    let left: Option<Known> = durable::read(note)?;
    let Some(known) = left.filter(Known::is_alive) else {
        durable::remove(note)?;
        return Ok(false);
    };
    send(&known, &known.with_descendants(), Signal::KILL);
    durable::remove(note)?;
    Ok(true)
}

fn processes() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pid = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    entries.filter_map(pid).collect()
}

fn stat(pid: i32) -> Option<Stat> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    // The program's name may hold anything, and ends at the last parenthesis.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

fn boot() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_string())
}
