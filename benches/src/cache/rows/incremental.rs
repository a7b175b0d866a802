//! Again after one percent changed. Every tool walks the tree and finds out; Croft is also told by the upper layer of an
//! overlay over a tree that lies ready. Each round changes other files; stores and memories of earlier runs stay.

use std::path::{Path, PathBuf};

use super::Setting;
use super::setting::let_clocks_pass;
use crate::cache::change::one_percent;
use crate::cache::contest::{Contest, Took};
use crate::cache::limited;
use crate::cache::place::{Overlay, same};
use crate::cache::report::{Report, mebibytes};
use crate::cache::tool::{Tool, ours, stored_bytes};

const OTHERS: [&str; 3] = ["restic", "borg", "casync"];
const UPPER: &str = "croft, upper layer";
const FIRST: &str = "first";

/// Who saves.
#[derive(Clone, Copy, PartialEq)]
enum Player {
    Walks(Tool),
    Told,
}

pub(crate) fn run(setting: &Setting<'_>, report: &mut Report, upper: bool) -> Result<(), String> {
    let row = if upper {
        "incremental-upper"
    } else {
        "incremental-walk"
    };
    if upper && !setting.place.may_mount {
        return Err("an overlay can only be mounted by root".into());
    }
    let tree = setting.copy(&setting.corpus(report)?.folder)?;
    let_clocks_pass();
    let mut players = Vec::new();
    for (name, tool) in setting.players(&Tool::ALL) {
        let store = setting.store_with(tool, &tree, FIRST)?;
        players.push((name, (Player::Walks(tool), store)));
    }
    if upper {
        let store = setting.store_with(Tool::Croft, &tree, FIRST)?;
        players.push((UPPER, (Player::Told, store)));
    }
    let contest = rounds(setting, report, &tree, &players)?;
    report.add(row, &contest);
    let (name, first, second) = if upper {
        (UPPER, 20.0, 8.0)
    } else {
        ("croft", 8.0, 4.0)
    };
    report.faster(row, &contest, (name, &["tar+zstd"]), first);
    report.faster(row, &contest, (name, &OTHERS), second);
    for (_, (_, store)) in &players {
        setting.place.forget(store)?;
    }
    setting.place.forget(&tree)
}

type Stores = [(&'static str, (Player, PathBuf))];

fn rounds(
    setting: &Setting<'_>,
    report: &mut Report,
    tree: &Path,
    players: &Stores,
) -> Result<Contest, String> {
    let numbered: Vec<(&str, usize)> = players
        .iter()
        .enumerate()
        .map(|(number, (name, _))| (*name, number))
        .collect();
    let rounds = setting.rounds();
    let mut contest = Contest::default();
    for round in 0..rounds {
        let changed = one_percent(tree, round)?;
        if round == 0 {
            report.about(format!(
                "changed: {} files of together {}",
                changed.files,
                mebibytes(changed.bytes)
            ));
        }
        let_clocks_pass();
        let key = format!("round-{round}");
        let once = Contest::in_turn(1, &rotated(&numbered, round), |number, _| {
            let (_, (player, store)) = &players[number];
            match player {
                Player::Walks(tool) => {
                    setting.timed_save(*tool, store, &mut tool.save(store, tree, &key))
                }
                Player::Told => told(setting, store, round, &key),
            }
        });
        contest.join(once);
        if round + 1 == rounds {
            check(setting, tree, players, &key)?;
        }
    }
    Ok(contest)
}

fn rotated<'a>(players: &[(&'a str, usize)], by: usize) -> Vec<(&'a str, usize)> {
    let mut players = players.to_vec();
    let count = players.len().max(1);
    players.rotate_left(by % count);
    players
}

/// The change made through an overlay, and saved from its upper layer.
fn told(setting: &Setting<'_>, store: &Path, round: usize, key: &str) -> Result<Took, String> {
    let (_, live) = setting.ours(ours().arg("live").arg(store).arg(FIRST))?;
    let (lower, tree) = live.live.ok_or("there is no live tree")?;
    let folder = setting.place.fresh("overlay")?;
    let overlay = Overlay::mount(&lower, &folder)?;
    one_percent(&overlay.merged, round)?;
    let_clocks_pass();
    let before = stored_bytes(store)?;
    let mut command = ours();
    command.arg("save-upper").arg(store);
    command
        .args([&overlay.merged, &overlay.upper])
        .arg(tree)
        .arg(key);
    let (took, _) = setting.ours(&mut command)?;
    let stored = stored_bytes(store)?.saturating_sub(before);
    let back = setting.place.fresh("back")?;
    limited::run(
        &mut Tool::Croft.restore(store, key, &back),
        setting.options.limit(),
    )?;
    same(&overlay.merged, &back)?;
    drop(overlay);
    setting.place.forget(&back)?;
    Ok(Took {
        stored_bytes: Some(stored),
        ..took
    })
}

/// What Croft saved last comes back; the row of restores looks at everybody's.
fn check(setting: &Setting<'_>, tree: &Path, players: &Stores, key: &str) -> Result<(), String> {
    for (name, (player, store)) in players {
        if *player != Player::Walks(Tool::Croft) {
            continue;
        }
        let back = setting.place.fresh("back")?;
        limited::run(
            &mut Tool::Croft.restore(store, key, &back),
            setting.options.limit(),
        )?;
        same(tree, &back).map_err(|reason| format!("{name}: {reason}"))?;
        setting.place.forget(&back)?;
    }
    Ok(())
}
