//! Twenty successive versions of this repository with what was built from them: how large each store becomes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Setting;
use crate::cache::change::one_percent;
use crate::cache::contest::{Contest, Took};
use crate::cache::corpus::{SMALL, make};
use crate::cache::files::below;
use crate::cache::limited;
use crate::cache::place::same;
use crate::cache::report::{Measure, Report, exact};
use crate::cache::tool::{Tool, stored_bytes};

const ROW: &str = "revisions";
const REVISIONS: usize = 20;
const TOOLS: [Tool; 3] = [Tool::Croft, Tool::Restic, Tool::Borg];

/// What is built: small enough for twenty times, and every version has it.
const BUILD: [&str; 7] = [
    "build",
    "--quiet",
    "--offline",
    "-p",
    "croft-proto",
    "-p",
    "croft-spec",
];

/// A tool and its store, by name.
type Player = (&'static str, (Tool, PathBuf));

pub(crate) fn run(setting: &Setting<'_>, report: &mut Report) -> Result<(), String> {
    let tree = setting.place.fresh("revisions")?;
    let mut players: Vec<Player> = Vec::new();
    for (name, tool) in setting.players(&TOOLS) {
        players.push((name, (tool, setting.store(tool)?)));
    }
    let contest = save_all(setting, report, &tree, &players)?;
    for failure in &contest.failures {
        report.failed(ROW, failure);
    }
    let mut sizes = Vec::new();
    for (name, (tool, store)) in &players {
        let stored = stored_bytes(store)?;
        sizes.push((*tool, stored));
        let runs = contest.player(name).map_or(&[][..], |player| &player.runs);
        report.measures.push(total(name, stored, runs));
    }
    if let Some((_, (Tool::Croft, store))) = players.first() {
        check(setting, &tree, store)?;
    }
    judge(report, &sizes);
    Ok(())
}

/// Every revision by every tool.
fn save_all(
    setting: &Setting<'_>,
    report: &mut Report,
    tree: &Path,
    players: &[Player],
) -> Result<Contest, String> {
    let source = Source::find(setting, tree)?;
    report.about(format!("revisions: {}", source.said()));
    let numbered: Vec<(&'static str, usize)> = (0..players.len())
        .map(|number| (players[number].0, number))
        .collect();
    let mut contest = Contest::default();
    let mut unbuilt = 0;
    for revision in 0..REVISIONS {
        unbuilt += usize::from(!source.become_revision(setting, tree, revision)?);
        let key = format!("revision-{revision}");
        contest.join(Contest::in_turn(1, &numbered, |number, _| {
            let (_, (tool, store)) = &players[number];
            setting.timed(*tool, &mut tool.save(store, tree, &key))
        }));
    }
    let files = below(tree)?;
    let bytes: u64 = files.iter().map(|file| file.metadata.len()).sum();
    report.about(format!(
        "revisions: the last has {} files, {} MiB; {unbuilt} could not be built and have the output of the one before",
        files.len(),
        bytes >> 20
    ));
    Ok(contest)
}

fn total(name: &str, stored: u64, runs: &[Took]) -> Measure {
    let total: f64 = runs.iter().map(|took| took.whole_ms).sum();
    Measure {
        row: ROW,
        tool: name.into(),
        stored_bytes: Some(stored),
        more: format!("{} saves in {:.1} s", runs.len(), total / 1000.0),
        ..Measure::default()
    }
}

fn judge(report: &mut Report, sizes: &[(Tool, u64)]) {
    let stored = |wanted: Tool| sizes.iter().find(|(tool, _)| *tool == wanted);
    for peer in [Tool::Restic, Tool::Borg] {
        match (stored(Tool::Croft), stored(peer)) {
            (Some((_, ours)), Some((_, theirs))) => {
                let what = format!("bytes stored by {}, against croft's", peer.name());
                report.claim(ROW, what, exact(*theirs) / exact(*ours), 1.0);
            }
            _ => report.unjudged(ROW, peer.name()),
        }
    }
}

/// The last revision comes back as it was saved.
fn check(setting: &Setting<'_>, tree: &Path, store: &Path) -> Result<(), String> {
    let back = setting.place.fresh("back")?;
    let key = format!("revision-{}", REVISIONS - 1);
    limited::run(
        &mut Tool::Croft.restore(store, &key, &back),
        setting.options.limit(),
    )?;
    same(tree, &back)?;
    setting.place.forget(&back)
}

/// Where revisions come from.
enum Source {
    /// This repository's history, cloned without a work tree, and which commits.
    History {
        clone: PathBuf,
        commits: Vec<String>,
    },
    /// A small corpus that is changed again and again.
    Changes,
}

impl Source {
    fn find(setting: &Setting<'_>, tree: &Path) -> Result<Self, String> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let clone = setting.place.fresh("clone")?.join("repository.git");
        let mut command = Command::new("git");
        command
            .args(["clone", "--quiet", "--bare", "--no-hardlinks"])
            .args([&repository, &clone]);
        let log = limited::run(&mut command, setting.options.limit()).and_then(|_| {
            let mut command = git(&clone, tree);
            command.args(["log", "--format=%H", "--reverse", "--first-parent"]);
            limited::run(&mut command, setting.options.limit())
        });
        let all: Vec<String> = log
            .map(|ran| ran.printed.lines().map(str::to_string).collect())
            .unwrap_or_default();
        if all.len() < REVISIONS {
            make(setting.options, tree, SMALL)?;
            return Ok(Self::Changes);
        }
        let spread = |number: usize| number * (all.len() - 1) / (REVISIONS - 1);
        let commits = (0..REVISIONS)
            .map(|number| all[spread(number)].clone())
            .collect();
        Ok(Self::History { clone, commits })
    }

    fn said(&self) -> String {
        match self {
            Self::History { commits, .. } => format!(
                "{REVISIONS} commits of this repository, {} to {}, each built in place: cargo {}",
                commits[0].get(..9).unwrap_or_default(),
                commits[REVISIONS - 1].get(..9).unwrap_or_default(),
                BUILD.join(" ")
            ),
            Self::Changes => {
                format!("there is no history here, so a small corpus is changed {REVISIONS} times")
            }
        }
    }

    /// Makes the tree that revision; false when it could not be built.
    fn become_revision(
        &self,
        setting: &Setting<'_>,
        tree: &Path,
        revision: usize,
    ) -> Result<bool, String> {
        let Self::History { clone, commits } = self else {
            return one_percent(tree, revision).map(|_| true);
        };
        let mut checkout = git(clone, tree);
        checkout.args([
            "checkout",
            "--quiet",
            "--force",
            "--detach",
            &commits[revision],
        ]);
        limited::run(&mut checkout, setting.options.limit())?;
        let mut build = Command::new("cargo");
        build
            .args(BUILD)
            .current_dir(tree)
            .env_remove("CARGO_TARGET_DIR");
        let built = limited::run(&mut build, setting.options.limit());
        // The lock file may name what this machine never fetched.
        Ok(built.is_ok() && fs::exists(tree.join("target")).unwrap_or(false))
    }
}

fn git(clone: &Path, tree: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .arg("--git-dir")
        .arg(clone)
        .arg("--work-tree")
        .arg(tree);
    // A work tree elsewhere is what a bare repository does not expect.
    command.args(["-c", "core.bare=false", "-c", "safe.directory=*"]);
    command
}
