//! What lies in a local folder, by name and size. The library's own listing asks the kernel about each file three times, and a
//! farm's store has a file for each build. Asked by [`super::lane::Lane`].

use std::fs;
use std::io;
use std::path::{Path as FilePath, PathBuf};

use object_store::path::Path;

use super::Listed;

/// Every object below that folder of the store, which lies there, in no order. None when a name in it is not one that stands for
/// itself: then only the library knows which object it is.
pub(super) fn below(there: &FilePath, folder: &Path) -> io::Result<Option<Vec<Listed>>> {
    let mut listed = Vec::new();
    let mut waiting: Vec<(PathBuf, String)> = vec![(there.to_path_buf(), folder.to_string())];
    while let Some((there, name)) = waiting.pop() {
        for entry in gone_is_empty(fs::read_dir(&there))?.into_iter().flatten() {
            let entry = entry?;
            let Some(own) = entry.file_name().to_str().map(str::to_string) else {
                return Ok(None);
            };
            // What is being written has a name of the library's own until it is whole.
            if own.contains('#') {
                continue;
            }
            let name = format!("{name}/{own}");
            let kind = entry.file_type()?;
            if own.contains('%') {
                return Ok(None);
            }
            if kind.is_dir() {
                waiting.push((entry.path(), name));
            } else if !kind.is_file() {
                return Ok(None);
            } else if let Some(found) = gone_is_empty(entry.metadata())? {
                let Ok(name) = Path::parse(&name) else {
                    return Ok(None);
                };
                listed.push(Listed {
                    name,
                    size_bytes: found.len(),
                });
            }
        }
    }
    Ok(Some(listed))
}

/// Others may remove what was there a moment ago.
fn gone_is_empty<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;
    use object_store::ObjectStore as _;
    use object_store::local::LocalFileSystem;

    use super::*;

    fn listed(there: &FilePath, folder: &str) -> Option<Vec<(String, u64)>> {
        let listed = below(&there.join(folder), &Path::from(folder)).unwrap()?;
        let mut named: Vec<(String, u64)> = listed
            .into_iter()
            .map(|listed| (listed.name.to_string(), listed.size_bytes))
            .collect();
        named.sort();
        Some(named)
    }

    #[tokio::test]
    async fn it_lists_what_the_library_lists() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path();
        for (name, bytes) in [
            ("v2/packs/aa", 3),
            ("v2/packs/bb", 0),
            ("v2/packs/cc#1", 9),
            ("v2/entries/x=2Fy/1-z.json", 2),
            ("v2/entries/x=2Fy/deep/2", 1),
        ] {
            let path = there.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![b'.'; bytes]).unwrap();
        }
        let library = LocalFileSystem::new_with_prefix(there).unwrap();
        for name in ["v2/packs", "v2/entries", "v2", "v2/nothing"] {
            let all = library.list(Some(&Path::from(name)));
            let mut all: Vec<(String, u64)> = all
                .map_ok(|meta| (meta.location.to_string(), meta.size))
                .try_collect()
                .await
                .unwrap();
            all.sort();
            assert_eq!(listed(there, name), Some(all), "{name}");
        }
    }

    #[test]
    fn a_name_that_does_not_stand_for_itself_is_left_to_the_library() {
        let folder = tempfile::tempdir().unwrap();
        for (above, name) in [("a", "b%20c"), ("d/e%20f", "g")] {
            let above = folder.path().join(above);
            fs::create_dir_all(&above).unwrap();
            fs::write(above.join(name), "").unwrap();
        }
        assert_eq!(listed(folder.path(), "a"), None);
        assert_eq!(listed(folder.path(), "d"), None);
    }
}
