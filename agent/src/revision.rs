//! A revision that is on this host: its AppSpec, found and read. Receives a folder that DownloadBundle made, hands what it says
//! to the installer and the hooks.

use std::io::{self, Read as _};
use std::path::Path;

use croft_beneath::{Kind, Root};
use croft_proto::{Diagnostic, Level};
use croft_spec::appspec::{self, AppSpec, Around, Bundle, Found, Os};

use crate::install::is_absent;

/// The names that are tried when none is given.
const NAMES: [&str; 2] = ["appspec.yml", "appspec.yaml"];

/// More than this is read by no parser of ours: the first byte too many makes it say so.
const BYTES_READ_MAX: u64 = (8 << 20) + 1;

/// Why a revision has no AppSpec.
#[derive(Debug, thiserror::Error)]
pub enum NoSpec {
    /// No such file.
    #[error("the revision has no {0}")]
    Missing(String),
    /// A file that cannot be read.
    #[error("cannot read {name} of the revision")]
    Unreadable {
        /// Which.
        name: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file with mistakes.
    #[error("{name} has mistakes: {}", first(found))]
    Mistakes {
        /// Which.
        name: String,
        /// What is wrong with it.
        found: Vec<Diagnostic>,
        /// What it says.
        text: String,
    },
    /// A file for another system.
    #[error("{0} is for Windows, and this host is not")]
    ForWindows(String),
}

fn first(found: &[Diagnostic]) -> String {
    let errors = found.iter().filter(|found| found.level == Level::Error);
    let shown = errors.map(|found| {
        let place = &found.place;
        format!(
            "line {}, column {}: {}",
            place.line, place.column, found.message
        )
    });
    shown.collect::<Vec<_>>().join("; ")
}

/// The AppSpec of the revision in `archive`.
pub(crate) fn spec(archive: &Path, name: Option<&str>) -> Result<AppSpec, NoSpec> {
    let (name, bytes) = found(archive, name)?;
    parsed(&name, &bytes)
}

/// The same, once it is certain that all that it names is there.
pub(crate) fn whole(archive: &Path, name: Option<&str>) -> Result<AppSpec, NoSpec> {
    let (name, bytes) = found(archive, name)?;
    let spec = parsed(&name, &bytes)?;
    let unreadable = |source| NoSpec::Unreadable {
        name: name.clone(),
        source,
    };
    let files = Files::open(archive).map_err(unreadable)?;
    let found = appspec::lint_in(&name, &bytes, &files, Around::Revision);
    match found.iter().any(|found| found.level == Level::Error) {
        true => Err(mistakes(&name, found, &bytes)),
        false => Ok(spec),
    }
}

/// The AppSpec's name and bytes.
fn found(archive: &Path, name: Option<&str>) -> Result<(String, Vec<u8>), NoSpec> {
    let names = name.map_or(NAMES.to_vec(), |name| vec![name]);
    for name in &names {
        match read(archive, name) {
            Ok(bytes) => return Ok((name.to_string(), bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(NoSpec::Unreadable {
                    name: (*name).to_string(),
                    source,
                });
            }
        }
    }
    Err(NoSpec::Missing(names.join(" and no ")))
}

fn read(archive: &Path, name: &str) -> io::Result<Vec<u8>> {
    let file = Root::open(archive)?.open_file(Path::new(name))?;
    let mut bytes = Vec::new();
    file.take(BYTES_READ_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn parsed(name: &str, bytes: &[u8]) -> Result<AppSpec, NoSpec> {
    let parsed = appspec::parse(name, bytes);
    let Some(spec) = parsed.spec else {
        return Err(mistakes(name, parsed.diagnostics, bytes));
    };
    match spec.os {
        Os::Linux => Ok(spec),
        Os::Windows => Err(NoSpec::ForWindows(name.to_string())),
    }
}

fn mistakes(name: &str, found: Vec<Diagnostic>, bytes: &[u8]) -> NoSpec {
    NoSpec::Mistakes {
        name: name.to_string(),
        found,
        text: String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// The files of a folder as a revision's, for whoever checks an AppSpec among them.
#[derive(Debug)]
pub struct Files(Root);

impl Files {
    /// Those of that folder.
    ///
    /// # Errors
    /// When there is no such folder, or it cannot be opened.
    pub fn open(folder: &Path) -> io::Result<Self> {
        Root::open(folder).map(Self)
    }
}

impl Bundle for Files {
    fn look(&self, path: &str) -> Found {
        let path = Path::new(path);
        match self.0.metadata(path) {
            Ok(found) => match found.kind {
                Kind::File => Found::File,
                Kind::Directory => Found::Folder,
                Kind::Symlink => Found::LostLink,
                Kind::Other => Found::Other,
            },
            Err(error) if is_absent(&error) => match self.0.symlink_metadata(path) {
                Ok(_) => Found::LostLink,
                Err(_) => Found::Absent,
            },
            Err(_) => Found::Unknown,
        }
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = self.0.read_dir(Path::new(folder)).unwrap_or_default();
        let names = entries.into_iter().map(|entry| entry.name.into_string());
        names.filter_map(Result::ok).collect()
    }
}
