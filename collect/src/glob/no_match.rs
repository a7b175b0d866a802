//! The sentence for patterns that matched nothing. Made by `artifact` and `report` from what `nearest` found, read by a
//! person.

/// What was looked for where, and what is there instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoMatch {
    /// The patterns.
    pub patterns: Vec<String>,
    /// The base directory, or `None` for the source directory.
    pub base_directory: Option<String>,
    /// Whether that directory exists.
    pub base_exists: bool,
    /// Paths that exist and are most like the ones wanted; for a missing base directory, directories.
    pub nearest: Vec<String>,
    /// What would make it match, when that is known.
    pub hint: Option<String>,
}

impl std::fmt::Display for NoMatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = match &self.base_directory {
            Some(base) => format!("`base-directory: {base}`"),
            None => "the source directory".to_owned(),
        };
        if self.patterns.is_empty() {
            write!(f, "`files` is empty")?;
        } else if self.base_exists {
            write!(f, "nothing in {place} matches {}", quoted(&self.patterns))?;
        } else {
            write!(f, "{place} does not exist in the source directory")?;
        }
        if self.nearest.is_empty() {
            write!(
                f,
                "; {}",
                if self.base_exists {
                    "it holds no files"
                } else {
                    "nothing is named like it"
                }
            )?;
        } else {
            write!(f, "; the nearest that exist: {}", quoted(&self.nearest))?;
        }
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// Names for a sentence.
pub(crate) fn quoted(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
