//! The rows of a benchmark. Received from it with the variable that may name one of them; each is measured, whatever becomes of the others.

use crate::sample::Verdict;
use crate::subject::Subject;

/// A row: its name, and what measures it.
pub(crate) type Row = (&'static str, fn(&Subject) -> Result<Vec<Verdict>, String>);

/// All rows, or the one that the environment's `variable` names.
pub(crate) fn measured(
    rows: &[Row],
    variable: &str,
    subject: &Subject,
) -> Result<Vec<Verdict>, String> {
    let wanted = std::env::var(variable).ok();
    let mut all = Vec::new();
    for (name, row) in rows {
        if wanted.as_deref().is_none_or(|wanted| wanted == *name) {
            match row(subject) {
                Ok(verdicts) => all.extend(verdicts),
                // The others may still be measured.
                Err(reason) => all.push(Verdict::unmeasured(name, &reason)),
            }
        }
    }
    if all.is_empty() {
        let names: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
        return Err(format!(
            "{variable}: there is no such row; there are {}",
            names.join(", ")
        ));
    }
    Ok(all)
}
