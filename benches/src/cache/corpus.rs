//! Files to save, made from what every machine has that built this project: crate sources from Cargo's registry and the
//! project's own build output. Received from `inside`; leaves a folder, the same on each run on one machine.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::files::{Listed, below};
use super::options::Options;

/// How large the corpus becomes, about.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) bytes: u64,
    pub(crate) files: usize,
}

/// A checkout with its dependencies and what was built from them.
pub(crate) const ORDINARY: Size = Size {
    bytes: 1 << 30,
    files: 23_000,
};

pub(crate) const SMALL: Size = Size {
    bytes: 30 << 20,
    files: 1_500,
};

/// One file larger than that would be too much of the whole.
const FILE_SHARE: u64 = 8;

/// The corpus as it is.
pub(crate) struct Corpus {
    pub(crate) folder: PathBuf,
    pub(crate) files: usize,
    pub(crate) bytes: u64,
    /// What it is made of, for people.
    pub(crate) made_of: String,
}

impl Corpus {
    pub(crate) fn mebibytes(&self) -> u64 {
        self.bytes >> 20
    }
}

/// Makes the corpus in an empty folder.
pub(crate) fn make(options: &Options, into: &Path, wanted: Size) -> Result<Corpus, String> {
    let mut making = Making::new(into, wanted);
    let made_of = if let Some(folder) = &options.corpus {
        making.wanted = Size {
            bytes: u64::MAX,
            files: usize::MAX,
        };
        making.take(folder, Path::new(""), making.wanted)?;
        format!("a copy of {}", folder.display())
    } else {
        making.sources_and_output(options.build_output.as_deref())?
    };
    if making.files == 0 {
        return Err("there is nothing to make a corpus of".into());
    }
    Ok(Corpus {
        folder: into.to_path_buf(),
        files: making.files,
        bytes: making.bytes,
        made_of,
    })
}

struct Making<'a> {
    into: &'a Path,
    wanted: Size,
    files: usize,
    bytes: u64,
    /// Where each file with several names was copied to first.
    linked: HashMap<(u64, u64), PathBuf>,
}

impl<'a> Making<'a> {
    fn new(into: &'a Path, wanted: Size) -> Self {
        Self {
            into,
            wanted,
            files: 0,
            bytes: 0,
            linked: HashMap::new(),
        }
    }

    /// Half of the bytes from build output, then sources up to the number of files, then output up to the size.
    fn sources_and_output(&mut self, output: Option<&Path>) -> Result<String, String> {
        let outputs = match output {
            Some(folder) => vec![folder.to_path_buf()],
            None => build_outputs(),
        };
        let half = Size {
            bytes: self.wanted.bytes / 2,
            files: self.wanted.files / 4,
        };
        self.take_outputs(&outputs, half)?;
        let mut crates = 0;
        for (name, folder) in crate_sources()? {
            if self.is_full(self.wanted) {
                break;
            }
            crates += 1;
            self.take(&folder, &Path::new("registry").join(name), self.wanted)?;
        }
        let bytes_only = Size {
            files: usize::MAX,
            ..self.wanted
        };
        self.take_outputs(&outputs, bytes_only)?;
        let outputs: Vec<_> = outputs
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        Ok(format!(
            "sources of {crates} crates of Cargo's registry, and build output from {}",
            if outputs.is_empty() {
                "nowhere".into()
            } else {
                outputs.join(", then ")
            }
        ))
    }

    fn take_outputs(&mut self, outputs: &[PathBuf], limit: Size) -> Result<(), String> {
        for folder in outputs {
            let kind = folder.file_name().unwrap_or_default();
            self.take(folder, &Path::new("target").join(kind), limit)?;
        }
        Ok(())
    }

    fn is_full(&self, limit: Size) -> bool {
        self.files >= limit.files || self.bytes >= limit.bytes
    }

    /// Copies files, by name, until the limit is reached; what is there already stays.
    fn take(&mut self, from: &Path, below_name: &Path, limit: Size) -> Result<(), String> {
        for file in below(from)? {
            if self.is_full(limit) {
                break;
            }
            let name = file
                .path
                .strip_prefix(from)
                .map_err(|error| error.to_string())?;
            let to = self.into.join(below_name).join(name);
            let room = limit.bytes.saturating_sub(self.bytes);
            let fits = file.metadata.len() <= room.min(self.wanted.bytes / FILE_SHARE);
            if fits && !to.exists() {
                self.copy(&file, &to)
                    .map_err(|error| format!("{}: {error}", file.path.display()))?;
            }
        }
        Ok(())
    }

    fn copy(&mut self, file: &Listed, to: &Path) -> std::io::Result<()> {
        let metadata = &file.metadata;
        if !metadata.is_file() && !metadata.is_symlink() {
            return Ok(());
        }
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        self.files += 1;
        if metadata.is_symlink() {
            return std::os::unix::fs::symlink(fs::read_link(&file.path)?, to);
        }
        let name = (metadata.dev(), metadata.ino());
        if let Some(first) = self.linked.get(&name) {
            return fs::hard_link(first, to);
        }
        if metadata.nlink() > 1 {
            self.linked.insert(name, to.to_path_buf());
        }
        fs::copy(&file.path, to)?;
        let times = fs::FileTimes::new().set_modified(metadata.modified()?);
        fs::File::open(to)?.set_times(times)?;
        self.bytes += metadata.len();
        Ok(())
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What this project was built into: what was released first, then what is for development.
fn build_outputs() -> Vec<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| repository().join("target"), PathBuf::from);
    let target = target.canonicalize().unwrap_or(target);
    let kinds = ["release", "debug"].map(|kind| target.join(kind));
    let built = kinds
        .into_iter()
        .filter(|folder| folder.join("deps").is_dir());
    built.collect()
}

/// Sources in Cargo's registry by name: those this project is locked to first, then whatever else is there.
fn crate_sources() -> Result<Vec<(String, PathBuf)>, String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let registries = home
        .ok_or("neither CARGO_HOME nor HOME is set")?
        .join("registry/src");
    let lock = fs::read_to_string(repository().join("Cargo.lock")).unwrap_or_default();
    let locked = locked_crates(&lock);
    let mut found = Vec::new();
    let failed = |error: std::io::Error| format!("{}: {error}", registries.display());
    for registry in fs::read_dir(&registries).map_err(failed)? {
        for source in fs::read_dir(registry.map_err(failed)?.path()).map_err(failed)? {
            let source = source.map_err(failed)?;
            let name = source.file_name().to_string_lossy().into_owned();
            found.push((!locked.contains(&name), name, source.path()));
        }
    }
    found.sort();
    found.dedup_by(|a, b| a.1 == b.1);
    Ok(found
        .into_iter()
        .map(|(_, name, path)| (name, path))
        .collect())
}

/// `name-version` of every package in a lock file.
fn locked_crates(lock: &str) -> std::collections::HashSet<String> {
    let value = |line: &str, key: &str| {
        let value = line.strip_prefix(key)?.strip_prefix(" = \"")?;
        value.strip_suffix('"').map(str::to_string)
    };
    let mut locked = std::collections::HashSet::new();
    let mut name = String::new();
    for line in lock.lines() {
        if let Some(found) = value(line, "name") {
            name = found;
        } else if let Some(version) = value(line, "version") {
            locked.insert(format!("{name}-{version}"));
        }
    }
    locked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_names_its_crates_as_the_registry_does() {
        let lock = "version = 4\n\n[[package]]\nname = \"libc\"\nversion = \"0.2.1\"\n";
        assert!(locked_crates(lock).contains("libc-0.2.1"));
    }

    #[test]
    fn a_corpus_keeps_times_and_second_names_and_stops_at_its_size() {
        let from = tempfile::tempdir().unwrap();
        fs::write(from.path().join("a"), "a").unwrap();
        fs::hard_link(from.path().join("a"), from.path().join("b")).unwrap();
        fs::write(from.path().join("c"), "c").unwrap();
        let into = tempfile::tempdir().unwrap();
        let size = Size {
            bytes: 100,
            files: 2,
        };
        let mut making = Making::new(into.path(), size);
        making.take(from.path(), Path::new(""), size).unwrap();
        let [a, b] = ["a", "b"].map(|name| fs::metadata(into.path().join(name)).unwrap());
        assert_eq!(a.ino(), b.ino());
        let original = fs::metadata(from.path().join("a")).unwrap();
        assert_eq!(a.modified().unwrap(), original.modified().unwrap());
        assert!(!into.path().join("c").exists());
        assert_eq!((making.files, making.bytes), (2, 1));
    }
}
