//! Into an empty store: every byte is read, and nothing is known of it.

use super::Setting;
use crate::cache::report::{Report, exact};
use crate::cache::tool::Tool;

const ROW: &str = "first-save";
const OTHERS: [&str; 3] = ["restic", "borg", "casync"];

pub(crate) fn run(setting: &Setting<'_>, report: &mut Report) -> Result<(), String> {
    let tree = setting.corpus(report)?.folder.clone();
    let contest = setting.in_turn(setting.rounds(), |tool, _| {
        let store = setting.store(tool)?;
        let took = setting.timed_save(tool, &store, &mut tool.save(&store, &tree, "first"))?;
        setting.place.forget(&store)?;
        Ok(took)
    });
    report.add(ROW, &contest);
    report.faster(ROW, &contest, ("croft", &["tar+zstd"]), 1.6);
    report.faster(ROW, &contest, ("croft", &OTHERS), 3.6);
    let stored = |tool: Tool| contest.player(tool.name())?.stored_bytes();
    match (stored(Tool::Croft), stored(Tool::Restic)) {
        (Some(ours), Some(theirs)) => {
            let what = "bytes stored by restic, against croft's".into();
            report.claim(ROW, what, exact(theirs) / exact(ours), 1.0);
        }
        _ => report.unjudged(ROW, "bytes stored"),
    }
    Ok(())
}
