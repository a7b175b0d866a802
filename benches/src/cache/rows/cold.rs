//! All bytes, into an empty folder of the same file system, from stores in the page cache. The first round's are compared
//! with what was saved, file by file.

use std::collections::BTreeMap;

use super::Setting;
use crate::cache::files::read_below;
use crate::cache::place::same;
use crate::cache::report::Report;
use crate::cache::tool::Tool;

const ROW: &str = "cold-restore";
const KEY: &str = "first";
const ALL_OTHERS: [&str; 4] = ["tar+zstd", "restic", "borg", "casync"];

pub(crate) fn run(setting: &Setting<'_>, report: &mut Report) -> Result<(), String> {
    let tree = setting.corpus(report)?.folder.clone();
    let mut stores = BTreeMap::new();
    for (_, tool) in setting.players(&Tool::ALL) {
        let store = setting.store_with(tool, &tree, KEY)?;
        read_below(&store)?;
        stores.insert(tool, store);
    }
    let contest = setting.in_turn(setting.rounds(), |tool, round| {
        let store = stores.get(&tool).ok_or("it has no store")?;
        let into = setting.place.fresh("back")?;
        let took = setting.timed(tool, &mut tool.restore(store, KEY, &into))?;
        if round == 0 {
            same(&tree, &into)?;
        }
        setting.place.forget(&into)?;
        Ok(took)
    });
    report.add(ROW, &contest);
    report.faster(ROW, &contest, ("croft", &ALL_OTHERS), 2.5);
    for store in stores.values() {
        setting.place.forget(store)?;
    }
    Ok(())
}
