//! A tree that this machine has: from asking the store for a key to a folder that was written to. Tar has to unpack.

use super::Setting;
use crate::cache::contest::Contest;
use crate::cache::report::Report;
use crate::cache::tool::{Tool, ours};

const ROW: &str = "restore-mounted";
const KEY: &str = "first";

/// A mount takes so little that more of them cost nothing, and fewer would show little.
const MOUNTS_A_ROUND: usize = 7;

pub(crate) fn run(setting: &Setting<'_>, report: &mut Report) -> Result<(), String> {
    if !setting.place.may_mount {
        return Err("an overlay can only be mounted by root".into());
    }
    let tree = setting.corpus(report)?.folder.clone();
    let store = setting.store_with(Tool::Croft, &tree, KEY)?;
    let archive = setting.store_with(Tool::Tar, &tree, KEY)?;
    setting.ours(ours().arg("live").arg(&store).arg(KEY))?;
    let rounds = setting.rounds();
    let mut contest = Contest::default();
    let players = setting.players(&[Tool::Croft, Tool::Tar]);
    for _ in 0..rounds {
        contest.join(Contest::in_turn(MOUNTS_A_ROUND, &players[..1], |_, _| {
            let folder = setting.place.fresh("overlay")?;
            let mut command = ours();
            command.arg("mounted").arg(&store).arg(&folder).arg(KEY);
            setting.ours(&mut command).map(|(took, _)| took)
        }));
        contest.join(Contest::in_turn(1, &players[1..], |tool, _| {
            let into = setting.place.fresh("back")?;
            let took = setting.timed(tool, &mut tool.restore(&archive, KEY, &into))?;
            setting.place.forget(&into)?;
            Ok(took)
        }));
    }
    report.add(ROW, &contest);
    let ours = contest
        .player("croft")
        .and_then(|player| player.inside_ms());
    let theirs = contest
        .player("tar+zstd")
        .and_then(|player| player.whole_ms());
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => {
            let what = "croft's call against zstd -d | tar -x".into();
            report.claim(ROW, what, theirs / ours, 500.0);
        }
        _ => report.unjudged(ROW, "mount against tar+zstd"),
    }
    setting.place.forget(&store)?;
    setting.place.forget(&archive)
}
