//! How soon regressions are found and how many good releases are taken back, in simulated releases, beside Flagger and Argo
//! Rollouts. The releases and the rows are the deploy room's own; this only says what they came to.

use croft_deploy::simulation::report::{RELEASES, table};

use crate::sample::Verdict;

/// Each row as it is measured; `CROFT_BENCH_RELEASES` is how many releases each is made of.
pub(crate) fn run() -> Result<Vec<Verdict>, String> {
    let releases = match std::env::var("CROFT_BENCH_RELEASES") {
        Ok(count) => count.parse().map_err(|error| format!("{error}"))?,
        Err(_) => RELEASES,
    };
    table(releases, false)
        .map(|line| {
            let line = line.map_err(|error| error.to_string())?;
            let at_most = line.at_most.unwrap_or(f64::INFINITY);
            Ok(Verdict {
                what: line.what,
                ours: line.croft,
                theirs: format!("{at_most}; {}", line.others),
                ratio: line.got / at_most,
                at_most: 1.0,
                reached: line.reached,
            })
        })
        .collect()
}
