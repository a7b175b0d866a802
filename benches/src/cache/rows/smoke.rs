//! A small corpus saved, changed, saved again and restored by every tool that is there. Whether it works is checked, byte
//! by byte; how fast it is says little at this size.

use super::Setting;
use super::setting::let_clocks_pass;
use crate::cache::change::one_percent;
use crate::cache::contest::Contest;
use crate::cache::place::same;
use crate::cache::report::Report;
use crate::cache::tool::Tool;

pub(crate) fn run(setting: &Setting<'_>, report: &mut Report) -> Result<(), String> {
    let tree = setting.corpus(report)?.folder.clone();
    let mut stores = Vec::new();
    for (name, tool) in setting.players(&Tool::ALL) {
        stores.push((name, (tool, setting.store(tool)?)));
    }
    let players: Vec<(&'static str, usize)> = (0..stores.len())
        .map(|number| (stores[number].0, number))
        .collect();
    let save = |key: &str| {
        Contest::in_turn(1, &players, |number, _| {
            let (_, (tool, store)) = &stores[number];
            setting.timed_save(*tool, store, &mut tool.save(store, &tree, key))
        })
    };
    let_clocks_pass();
    report.add("smoke: first save", &save("first"));
    one_percent(&tree, 0)?;
    let_clocks_pass();
    report.add("smoke: save after a change", &save("second"));
    let restored = Contest::in_turn(1, &players, |number, _| {
        let (_, (tool, store)) = &stores[number];
        let into = setting.place.fresh("back")?;
        let took = setting.timed(*tool, &mut tool.restore(store, "second", &into))?;
        same(&tree, &into)?;
        Ok(took)
    });
    report.add("smoke: restore", &restored);
    Ok(())
}
