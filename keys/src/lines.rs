//! Text files of one rule a line, as people keep them: keyring and tokens. Received as text; handed on as fields with the
//! line they are on, or as every error at once.

use std::fmt;

/// What is wrong with one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// Counted from one.
    pub line: usize,
    /// What is wrong, and what to write instead.
    pub reason: String,
}

/// Every line of a file that is wrong; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", Listed(.0))]
pub struct FileErrors(pub Vec<LineError>);

struct Listed<'a>(&'a [LineError]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, error) in self.0.iter().enumerate() {
            let between = if nth == 0 { "" } else { "; " };
            write!(f, "{between}line {}: {}", error.line, error.reason)?;
        }
        Ok(())
    }
}

/// What `rule` makes of each line. Empty lines and lines that start with `#` are skipped.
pub(crate) fn parse<T>(
    text: &str,
    mut rule: impl FnMut(&mut dyn Iterator<Item = &str>) -> Result<T, String>,
) -> Result<Vec<T>, FileErrors> {
    let mut rules = Vec::new();
    let mut errors = Vec::new();
    for (nth, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match rule(&mut line.split_whitespace()) {
            Ok(rule) => rules.push(rule),
            Err(reason) => errors.push(LineError {
                line: nth + 1,
                reason,
            }),
        }
    }
    if errors.is_empty() {
        Ok(rules)
    } else {
        Err(FileErrors(errors))
    }
}
