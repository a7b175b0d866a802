//! DownloadBundle and Install of 500 MB in 20,000 files against `tar -x` of the same files; then a second revision in which a hundred files
//! differ. And what of memory the agent takes for it.
//!
//! Nothing is removed before the end, and everything is written out before each measurement: ext4 is slow to make files for half a minute
//! after many were removed, which would be measured in place of both.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::hosts::Hosts;
use crate::cache::Numbers;
use crate::farm::http::text;
use crate::sample::{Verdict, median, whole};
use crate::subject::Subject;

const FILES: usize = 20_000;
const BYTES: usize = 500_000_000;
const ROUNDS: usize = 3;
const CHANGED: usize = 100;
const TIMES_MAX: f64 = 1.5;
const MIB_MAX: f64 = 15.0;
/// A list of 20,000 files and a hundred of them are less than this part.
const FETCHED_PART: f64 = 20.0;
/// Until an agent's start is over.
const REST: Duration = Duration::from_secs(2);
const EVENTS: (&str, &str) = ("DownloadBundle", "Install");

/// What was seen, over all rounds.
#[derive(Default)]
struct Seen {
    ours: Vec<Duration>,
    tars: Vec<Duration>,
    /// With what makes them last.
    synced: Vec<Duration>,
    idle_bytes: u64,
    peak_bytes: u64,
    /// Of the second revision: how long, the most memory, what was fetched, and what was for the first.
    second: Option<(Duration, u64, u64, u64)>,
}

pub(super) fn comes(subject: &Subject) -> Result<Vec<Verdict>, String> {
    let hosts = Hosts::start(subject)?;
    let work = hosts.farm.folder();
    let (revision, packed) = (work.join("revision"), work.join("tar"));
    fill(&revision).map_err(text)?;
    installs_at(&revision, &work.join("site-0")).map_err(text)?;
    let mut pack = Command::new("tar");
    whole(
        pack.arg("-cf")
            .arg(&packed)
            .arg("-C")
            .arg(&revision)
            .arg("."),
    )?;
    let mut seen = Seen::default();
    for number in 0..=ROUNDS {
        installs_at(&revision, &work.join(format!("site-{number}"))).map_err(text)?;
        round(subject, &hosts, number, &mut seen)?;
        write_out(&work)?;
        let (plain, synced) = unpacked(&packed, &work.join(format!("unpacked-{number}")))?;
        // The first of each does not count.
        if number > 0 {
            seen.tars.push(plain);
            seen.synced.push(synced);
        }
    }
    verdicts(seen)
}

/// A host that has nothing gets the revision; in the last round the second one, too.
fn round(subject: &Subject, hosts: &Hosts, number: usize, seen: &mut Seen) -> Result<(), String> {
    let name = format!("round-{number}");
    let revision = hosts.farm.folder().join("revision");
    hosts.group(&name, &json!({}))?;
    let agent = hosts.agent(subject, &name, &name, &[])?;
    std::thread::sleep(REST);
    seen.idle_bytes = seen.idle_bytes.max(agent.resident_bytes()?);
    agent.forget_peak()?;
    let time = deployed(hosts, subject, &name, &revision)?;
    seen.peak_bytes = seen.peak_bytes.max(agent.peak_bytes()?);
    if number > 0 {
        seen.ours.push(time);
    }
    if number == ROUNDS {
        let first = agent.fetched_bytes()?;
        change(&revision).map_err(text)?;
        agent.forget_peak()?;
        let time = deployed(hosts, subject, &name, &revision)?;
        seen.second = Some((time, agent.peak_bytes()?, agent.fetched_bytes()?, first));
    }
    Ok(())
}

fn verdicts(seen: Seen) -> Result<Vec<Verdict>, String> {
    let (again, again_peak, fetched, first) = seen.second.ok_or("there was no second revision")?;
    let ours = median(seen.ours);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let memory = |what: &str, bytes| Verdict::limit(what, mib(bytes), MIB_MAX, "MiB");
    Ok(vec![
        Verdict::times(
            "500 MB in 20,000 files, against tar -x",
            ours,
            median(seen.tars),
            TIMES_MAX,
        ),
        Verdict::times(
            "the same, against tar -x and syncfs",
            ours,
            median(seen.synced),
            TIMES_MAX,
        ),
        Verdict::times(
            "a second revision of which 100 files differ, against the first",
            again,
            ours,
            1.0,
        ),
        Verdict::limit(
            "fetched for it",
            mib(fetched),
            mib(first) / FETCHED_PART,
            "MiB",
        ),
        memory("resident memory of an idle agent", seen.idle_bytes),
        memory(
            "the most while a revision comes and is installed",
            seen.peak_bytes,
        ),
        memory("the most while the second one does", again_peak),
    ])
}

fn deployed(
    hosts: &Hosts,
    subject: &Subject,
    name: &str,
    revision: &Path,
) -> Result<Duration, String> {
    write_out(&hosts.farm.folder())?;
    let id = hosts.deploy(subject, name, revision)?;
    let info = hosts.over(&id)?;
    if info["status"] != "Succeeded" {
        return Err(info.to_string());
    }
    hosts.between(&id, name, EVENTS)
}

/// `tar -x` alone, and with what makes it last.
fn unpacked(packed: &Path, into: &Path) -> Result<(Duration, Duration), String> {
    fs::create_dir(into).map_err(text)?;
    let plain = whole(
        Command::new("tar")
            .arg("-xf")
            .arg(packed)
            .arg("-C")
            .arg(into),
    )?;
    Ok((plain, plain + write_out(into)?))
}

fn write_out(disk_of: &Path) -> Result<Duration, String> {
    whole(Command::new("sync").arg("-f").arg(disk_of))
}

fn file(revision: &Path, number: usize) -> PathBuf {
    let folder = format!("files/{:03}/{}", number / 200, number / 20 % 10);
    revision.join(folder).join(format!("file-{number}"))
}

/// Sizes between a few hundred bytes and a megabyte, most of them small; every other one cannot be compressed.
fn fill(revision: &Path) -> std::io::Result<()> {
    let mut numbers = Numbers::new(7);
    let weights: Vec<f64> = (0..FILES)
        .map(|_| {
            let part = (numbers.next() % 1_000_000) as f64 / 1e6;
            1.0 / (0.03 + part)
        })
        .collect();
    let each = BYTES as f64 / weights.iter().sum::<f64>();
    for (number, weight) in weights.into_iter().enumerate() {
        let path = file(revision, number);
        if number.is_multiple_of(20) {
            fs::create_dir_all(path.parent().unwrap_or(revision))?;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a size of a file, less than a megabyte"
        )]
        let bytes = (weight * each) as usize;
        let contents = if number % 2 == 0 {
            numbers.noise(bytes)
        } else {
            numbers.text(bytes)
        };
        fs::write(path, contents)?;
    }
    Ok(())
}

fn installs_at(revision: &Path, site: &Path) -> std::io::Result<()> {
    let spec = format!(
        "version: 0.0\nos: linux\nfiles:\n  - source: files\n    destination: {}\n",
        site.display()
    );
    fs::write(revision.join("appspec.yml"), spec)
}

fn change(revision: &Path) -> std::io::Result<()> {
    let mut numbers = Numbers::new(11);
    for number in (0..CHANGED).map(|number| number * (FILES / CHANGED)) {
        fs::write(file(revision, number), numbers.noise(20_000))?;
    }
    Ok(())
}
