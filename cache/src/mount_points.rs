//! Where in a build a tree is mounted. Pure: received from a buildspec's `cache.paths`, handed to the engine.
//!
//! A cached directory is never a mount point itself, since builds remove theirs (`rm -rf target`, `npm ci`): what lies in the
//! source directory is mounted over the whole of it, everything else over the directory above the cached one.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::selection::Selection;
use crate::tree::Anchor;

/// A directory that a tree is mounted over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountPoint {
    /// Where `at` starts; also the folder of the materialised tree: `source` or `root`.
    pub anchor: Anchor,
    /// Relative; empty for the anchor itself.
    pub at: PathBuf,
    /// Directories on the way from there to cached paths, relative to `at`, the upper ones first. A tree does not know what
    /// these look like, since no configured path means them.
    pub ways: Vec<PathBuf>,
}

/// Where a tree of these paths has to be mounted, none inside another of the same anchor. Empty only without paths.
///
/// # Errors
/// When a path cannot be used; the buildspec's author can fix it.
pub fn mount_points(paths: &[String], base: &Path) -> Result<Vec<MountPoint>, Error> {
    let selection = Selection::parse(paths, base)?;
    let mut points: Vec<MountPoint> = Vec::new();
    let mut found: Vec<(Anchor, PathBuf)> = Vec::new();
    for pattern in &selection.patterns {
        let at = match pattern.anchor {
            Anchor::Source => PathBuf::new(),
            Anchor::Root => parent(&pattern.prefix).to_path_buf(),
        };
        found.push((pattern.anchor, at));
    }
    found.sort();
    for (anchor, at) in found {
        let covered = |point: &MountPoint| point.anchor == anchor && at.starts_with(&point.at);
        if !points.iter().any(covered) {
            let ways = ways(&selection, anchor, &at);
            points.push(MountPoint { anchor, at, ways });
        }
    }
    Ok(points)
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

fn ways(selection: &Selection, anchor: Anchor, at: &Path) -> Vec<PathBuf> {
    let patterns = selection.patterns.iter();
    let prefixes = patterns
        .filter(|pattern| pattern.anchor == anchor && pattern.prefix.starts_with(at))
        .map(|pattern| pattern.prefix.as_path());
    let above = prefixes.flat_map(|prefix| prefix.ancestors().skip(1));
    let mut ways: Vec<PathBuf> = above
        .filter(|path| path.starts_with(at) && *path != at)
        .filter(|path| !selection.admits(anchor, path, true))
        .filter_map(|path| Some(path.strip_prefix(at).ok()?.to_path_buf()))
        .collect();
    ways.sort();
    ways.dedup();
    ways
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(paths: &[&str]) -> Vec<(Anchor, String, Vec<String>)> {
        let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
        let points = mount_points(&paths, Path::new("/work/src")).unwrap();
        let text = |path: PathBuf| path.display().to_string();
        points
            .into_iter()
            .map(|point| {
                let ways = point.ways.into_iter().map(text).collect();
                (point.anchor, text(point.at), ways)
            })
            .collect()
    }

    #[test]
    fn a_cached_directory_is_mounted_from_above() {
        type Row<'r> = (&'r [&'r str], &'r [(Anchor, &'r str, &'r [&'r str])]);
        let rows: [Row<'_>; 7] = [
            (
                &["target/**/*", "a/b/dist"],
                &[(Anchor::Source, "", &["a", "a/b"])],
            ),
            (
                &["packages/*/node_modules", "a/x", "a"],
                &[(Anchor::Source, "", &[])],
            ),
            (&["/root/.m2/**/*"], &[(Anchor::Root, "root", &[])]),
            (
                &[
                    "/root/.cargo/registry/index/**/*",
                    "/root/.cargo/registry/cache/**/*",
                ],
                &[(Anchor::Root, "root/.cargo/registry", &[])],
            ),
            (
                &["/root/.cargo/registry", "/root/.m2", "/opt/x/*"],
                &[
                    (Anchor::Root, "opt", &[]),
                    (Anchor::Root, "root", &[".cargo"]),
                ],
            ),
            (&["/cache/**/*"], &[(Anchor::Root, "", &[])]),
            (
                &["/work/src/target", "/rooted/x", "/root/x"],
                &[
                    (Anchor::Source, "", &[]),
                    (Anchor::Root, "root", &[]),
                    (Anchor::Root, "rooted", &[]),
                ],
            ),
        ];
        for (paths, expected) in rows {
            let expected: Vec<_> = expected
                .iter()
                .map(|(anchor, at, ways)| {
                    let ways = ways.iter().map(ToString::to_string).collect();
                    (*anchor, (*at).to_string(), ways)
                })
                .collect();
            assert_eq!(points(paths), expected, "{paths:?}");
        }
    }
}
