//! Which files an `artifacts` entry means and what each is called where it is stored. Receives the entry from the engine,
//! hands the selection to `store`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use croft_beneath::Root;
use croft_spec::Artifacts;

use crate::glob::{
    Base, Error as GlobError, Exclude, Found, Links, Nearest, NoMatch, Pattern, Walk,
    base_directories, nearest, quoted, shown,
};

/// How many patterns without a match get a warning of their own.
const UNMATCHED_NAMED_MAX: usize = 5;

/// How artifacts are put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Packaging {
    /// Each file by itself, AWS's default.
    #[default]
    None,
    /// All files in one ZIP file.
    Zip,
}

/// The files that an `artifacts` entry means: at least one, in the order of their names, no name twice and none below
/// another.
#[derive(Debug)]
pub struct Selection {
    pub(crate) packaging: Packaging,
    pub(crate) items: Vec<Item>,
    /// What was left out, replaced or not found, one sentence each, for the person who reads the build's output.
    pub warnings: Vec<String>,
}

impl Selection {
    /// The names the files are stored under, relative to the artifact's top, in order.
    pub fn names(&self) -> impl Iterator<Item = &Path> {
        self.items.iter().map(|item| item.name.as_path())
    }
}

/// One file or link to store.
#[derive(Debug)]
pub(crate) struct Item {
    /// Relative to the artifact's top.
    pub(crate) name: PathBuf,
    /// Inside the root.
    pub(crate) location: PathBuf,
    /// The link's text, when it is stored as a link.
    pub(crate) link: Option<PathBuf>,
}

/// Why there is nothing to store.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// The user's patterns and the user's tree do not meet; the first words are AWS's.
    #[error("no matching artifact paths found: {0}")]
    NoMatch(NoMatch),
    /// A pattern cannot be read, or the tree cannot.
    #[error(transparent)]
    Paths(#[from] GlobError),
}

/// The files that `artifacts` means in a build's tree, by AWS's rules; `docs/artifacts.md` lists them and what Croft
/// decided where AWS says nothing.
///
/// `source_dir` is the source directory inside `root`, with or without a leading `/`. Variables in `base-directory` and
/// in the patterns must be expanded already; `artifacts.secondary` is not looked at.
///
/// # Errors
/// [`SelectError::NoMatch`] when there is nothing to store (the user mends the patterns), [`SelectError::Paths`] when a
/// pattern is wrong or the tree cannot be walked.
pub fn select(
    artifacts: &Artifacts,
    packaging: Packaging,
    root: &Root,
    source_dir: &Path,
) -> Result<Selection, SelectError> {
    let source_dir = source_dir.strip_prefix("/").unwrap_or(source_dir);
    let keeps_links =
        artifacts.enable_symlinks && packaging == Packaging::Zip && !artifacts.discard_paths;
    let request = Request {
        artifacts,
        root,
        source_dir,
        links: if keeps_links {
            Links::Keep
        } else {
            Links::Follow
        },
        bases: base_directories(root, source_dir, artifacts.base_directory.as_deref())?,
    };
    let mut gathered = request.gather(&Exclude::parse(&artifacts.exclude_paths)?)?;
    if gathered.by_base.iter().all(|(_, files)| files.is_empty()) {
        return Err(SelectError::NoMatch(request.no_match()?));
    }
    request.warn_of_unmatched(&mut gathered);
    let mut warnings = gathered.warnings;
    if artifacts.enable_symlinks && !keeps_links {
        warnings.push(
            "`enable-symlinks` needs ZIP packaging without `discard-paths`: links are stored as the \
             files they lead to"
                .to_owned(),
        );
    }
    let naming = Naming {
        source_dir,
        discard_paths: artifacts.discard_paths,
    };
    let chosen = naming.name_each(gathered.by_base, &mut warnings);
    let items: Vec<Item> = without_overlaps(chosen, &mut warnings);
    if packaging == Packaging::Zip {
        warn_of_renamed(&items, &mut warnings);
    }
    Ok(Selection {
        packaging,
        items,
        warnings,
    })
}

/// What is looked for, where.
struct Request<'q> {
    artifacts: &'q Artifacts,
    root: &'q Root,
    source_dir: &'q Path,
    links: Links,
    bases: Vec<Base>,
}

/// What was found.
struct Gathered {
    by_base: Vec<(Base, BTreeMap<PathBuf, Found>)>,
    /// Indices of the patterns that matched nothing in any base.
    unmatched: Vec<usize>,
    warnings: Vec<String>,
}

impl Request<'_> {
    fn gather(&self, exclude: &Exclude) -> Result<Gathered, GlobError> {
        let mut walk = Walk::new(self.root, self.source_dir, self.links);
        let mut matched = vec![false; self.artifacts.files.len()];
        let mut by_base = Vec::new();
        for base in &self.bases {
            let mut files = BTreeMap::new();
            for (pattern, matched) in self.patterns(&base.location)?.iter().zip(&mut matched) {
                *matched |= walk.search(pattern, base, exclude, &mut files)? > 0;
            }
            by_base.push((base.clone(), files));
        }
        let unmatched = (0..matched.len())
            .filter(|index| !matched[*index])
            .collect();
        Ok(Gathered {
            by_base,
            unmatched,
            warnings: walk.notes,
        })
    }

    fn patterns(&self, base: &Path) -> Result<Vec<Pattern>, GlobError> {
        self.artifacts
            .files
            .iter()
            .map(|text| Pattern::parse(text, base))
            .collect()
    }

    fn nearest(&self, patterns: &[Pattern]) -> Nearest {
        let base_text = self.artifacts.base_directory.as_deref();
        nearest(self.root, self.source_dir, base_text, &self.bases, patterns)
    }

    fn no_match(&self) -> Result<NoMatch, GlobError> {
        let first = self
            .bases
            .first()
            .map_or(self.source_dir, |base| base.location.as_path());
        let near = self.nearest(&self.patterns(first)?);
        let all_excluded = !self.artifacts.exclude_paths.is_empty()
            && !self
                .gather(&Exclude::default())?
                .by_base
                .iter()
                .all(|(_, files)| files.is_empty());
        let excluded = "files do match, but `exclude-paths` takes every one of them out again";
        Ok(NoMatch {
            patterns: self.artifacts.files.clone(),
            base_directory: self
                .artifacts
                .base_directory
                .clone()
                .filter(|text| !text.is_empty()),
            base_exists: !self.bases.is_empty(),
            nearest: near.paths,
            hint: if all_excluded {
                Some(excluded.to_owned())
            } else {
                near.hint
            },
        })
    }

    fn warn_of_unmatched(&self, gathered: &mut Gathered) {
        let Some(base) = self.bases.first() else {
            return;
        };
        for index in gathered.unmatched.iter().take(UNMATCHED_NAMED_MAX) {
            let text = &self.artifacts.files[*index];
            let Ok(pattern) = Pattern::parse(text, &base.location) else {
                continue;
            };
            let near = self.nearest(std::slice::from_ref(&pattern));
            let instead = near
                .hint
                .unwrap_or_else(|| format!("nearest: {}", quoted(&near.paths)));
            gathered
                .warnings
                .push(format!("`{text}` matches no file; {instead}"));
        }
        let unnamed = gathered.unmatched.len().saturating_sub(UNMATCHED_NAMED_MAX);
        if unnamed > 0 {
            gathered
                .warnings
                .push(format!("{unnamed} more patterns match no file"));
        }
    }
}

/// How files come to their stored names.
struct Naming<'n> {
    source_dir: &'n Path,
    discard_paths: bool,
}

impl Naming<'_> {
    /// Gives every file its stored name. Of several files with one name the last in the order of bases and paths stays.
    fn name_each(
        &self,
        by_base: Vec<(Base, BTreeMap<PathBuf, Found>)>,
        warnings: &mut Vec<String>,
    ) -> BTreeMap<PathBuf, Found> {
        let mut chosen: BTreeMap<PathBuf, Found> = BTreeMap::new();
        for (name, found) in by_base.into_iter().flat_map(|(_, files)| files) {
            let stored = match name.file_name() {
                Some(last) if self.discard_paths => PathBuf::from(last),
                Some(_) | None => name,
            };
            let second = self.original(&found.location);
            if let Some(earlier) = chosen.insert(stored.clone(), found) {
                warnings.push(format!(
                    "`{}` and `{second}` would both be stored as `{}`: the second is",
                    self.original(&earlier.location),
                    shown(&stored)
                ));
            }
        }
        chosen
    }

    /// A file as the person who wrote the buildspec knows it.
    fn original(&self, location: &Path) -> String {
        location
            .strip_prefix(self.source_dir)
            .map_or_else(|_| format!("/{}", location.display()), shown)
    }
}

/// Drops what cannot be stored beside the rest: a file whose name another file needs for a directory, and a file below
/// a link that is stored as a link and leads to it.
fn without_overlaps(mut chosen: BTreeMap<PathBuf, Found>, warnings: &mut Vec<String>) -> Vec<Item> {
    let names: Vec<PathBuf> = chosen.keys().cloned().collect();
    for name in names {
        let Some((above, link)) = name.ancestors().skip(1).find_map(|above| {
            let found = chosen.get(above)?;
            Some((above.to_path_buf(), found.link.is_some()))
        }) else {
            continue;
        };
        let dropped = if link { &name } else { &above };
        warnings.push(format!(
            "`{}` cannot be stored beside `{}`: left out",
            shown(dropped),
            shown(if link { &above } else { &name })
        ));
        chosen.remove(dropped);
    }
    chosen
        .into_iter()
        .map(|(name, found)| Item {
            name,
            location: found.location,
            link: found.link,
        })
        .collect()
}

fn warn_of_renamed(items: &[Item], warnings: &mut Vec<String>) {
    let renamed = items.iter().filter(|item| item.name.to_str().is_none());
    for item in renamed.take(UNMATCHED_NAMED_MAX) {
        warnings.push(format!(
            "the name of `{}` is not UTF-8: its other bytes become `\u{fffd}` in the ZIP file",
            shown(&item.name)
        ));
    }
}

#[cfg(test)]
mod tests;
