//! This process's surroundings, read once: whose home, which variables, what time. Handed down by value.

use std::path::{Path, PathBuf};

use anyhow::Context;
use croft_cache::{Place, ScopeName, Scopes, Store, Trust};
use croft_keys::ScopePattern;
use croft_proto::Timestamp;
use croft_worker::Home;

use crate::args::Global;
use crate::exit::Wrong;

/// A number without its unit would otherwise empty the cache.
const CACHE_BYTES_MIN: u64 = 64 << 20;

/// What the commands need to know of where they run.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) home: Home,
    pub(crate) cache_dir: PathBuf,
    pub(crate) cache_bytes_max: u64,
    /// Where the cache's objects are when that is not the folder.
    pub(crate) cache_place: Option<Place>,
    cache_scopes: Scopes,
}

impl Surroundings {
    pub(crate) fn read(global: &Global) -> anyhow::Result<Self> {
        let path = home_path(global)?;
        let home = Home::open(&path).with_context(|| {
            format!(
                "cannot use {} for Croft's state; name another folder with --home",
                path.display()
            )
        })?;
        let cache_dir = global
            .cache_dir
            .clone()
            .unwrap_or_else(|| home.path().join("cache"));
        let cache_bytes_max = crate::files::parse_size(&global.cache_size)
            .map_err(|reason| Wrong(format!("--cache-size: {reason}")))?;
        if cache_bytes_max < CACHE_BYTES_MIN {
            let given = &global.cache_size;
            return Err(Wrong(format!(
                "--cache-size {given}: the smallest is 64m; sizes have units, such as 20g"
            ))
            .into());
        }
        let place = global.cache.as_deref().map(str::parse::<Place>).transpose();
        let cache_place = place.map_err(|error| Wrong(format!("--cache: {error}")))?;
        Ok(Self {
            home,
            cache_dir: real(&cache_dir)?,
            cache_bytes_max,
            cache_place,
            cache_scopes: scopes(&global.cache_scope)?,
        })
    }

    /// The cache, as the words say.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn open_cache(&self) -> Result<Store, croft_cache::Error> {
        let store = match &self.cache_place {
            None => Store::open(&self.cache_dir, self.cache_bytes_max)?,
            Some(place) => Store::open_at(place, &self.cache_dir, self.cache_bytes_max)?,
        };
        let Some(folder) = store.trust_folder() else {
            return Ok(store);
        };
        let trust = Trust::in_scopes_of_folder(folder, self.cache_scopes.clone())?;
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy();
        let producer = format!("croft {} on {host}", env!("CARGO_PKG_VERSION"));
        Ok(store.trusting(trust.producing_as(producer)))
    }

    /// Where the cache is, for people.
    pub(crate) fn cache_shown(&self) -> String {
        match &self.cache_place {
            Some(place) => place.to_string(),
            None => self.cache_dir.display().to_string(),
        }
    }
}

/// Where Croft's state is, without looking whether it is there.
///
/// # Errors
/// When nothing says where a person's files are.
pub(crate) fn home_path(global: &Global) -> anyhow::Result<PathBuf> {
    match &global.home {
        Some(path) => Ok(path.clone()),
        None if rustix::process::geteuid().is_root() => Ok(PathBuf::from("/var/lib/croft")),
        None => Ok(data_home()?.join("croft")),
    }
}

/// Whoever calls croft on their own machine may write any scope of their own cache.
fn scopes(scope: &str) -> Result<Scopes, Wrong> {
    let wrong = |reason: String| Wrong(format!("--cache-scope {scope}: {reason}"));
    let name: ScopeName = scope
        .parse()
        .map_err(|error: croft_keys::ScopeError| wrong(error.to_string()))?;
    let granted = ScopePattern::exactly(name.clone());
    Scopes::within(&granted, name).map_err(|error| wrong(error.to_string()))
}

/// An absolute path, without looking whether it is there.
pub(crate) fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))
}

/// An absolute path without links on its way, as far as it exists.
pub(crate) fn real(path: &Path) -> anyhow::Result<PathBuf> {
    let path = absolute(path)?;
    let found = path.ancestors().find_map(|above| {
        let rest = path.strip_prefix(above).ok()?;
        Some(std::fs::canonicalize(above).ok()?.join(rest))
    });
    // Joining nothing adds a slash that a file's name does not bear.
    Ok(found.unwrap_or(path).components().collect())
}

/// The person's home, also under sudo: where their tools and settings are.
pub(crate) fn person_home() -> PathBuf {
    let of_sudo = std::env::var("SUDO_USER")
        .ok()
        .filter(|user| user != "root")
        .and_then(|user| {
            let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
            let line = passwd
                .lines()
                .find(|line| line.split(':').next() == Some(user.as_str()))?;
            line.split(':').nth(5).map(PathBuf::from)
        });
    of_sudo
        .or_else(|| std::env::var_os("HOME").map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("/root"))
}

/// Who asks, for the build's record.
pub(crate) fn person() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok());
    named.unwrap_or_else(|| format!("uid-{}", rustix::process::getuid().as_raw()))
}

pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn data_home() -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os("XDG_DATA_HOME").filter(|folder| !folder.is_empty()) {
        return Ok(PathBuf::from(folder));
    }
    let home = std::env::var_os("HOME")
        .context("HOME is not set: name a folder for Croft's state with --home")?;
    Ok(PathBuf::from(home).join(".local/share"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_on_the_way_to_what_is_not_there_yet_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let top = std::fs::canonicalize(folder.path()).unwrap();
        std::fs::create_dir(top.join("there")).unwrap();
        std::fs::write(top.join("file"), "").unwrap();
        std::os::unix::fs::symlink("there", top.join("link")).unwrap();
        for (given, expected) in [
            ("link", "there"),
            ("link/new/deep", "there/new/deep"),
            ("file", "file"),
        ] {
            assert_eq!(real(&top.join(given)).unwrap(), top.join(expected));
            assert!(
                !real(&top.join(given))
                    .unwrap()
                    .to_string_lossy()
                    .ends_with('/')
            );
        }
    }
}
