//! A revision that is on this host: its AppSpec, found and read. Receives a folder that DownloadBundle made, hands what it says
//! to the installer and the hooks.

use std::io::{self, Read as _};
use std::path::Path;

use croft_beneath::Root;
use croft_proto::Diagnostic;
use croft_spec::appspec::{self, AppSpec, Os};

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
    let errors = found
        .iter()
        .filter(|found| found.level == croft_proto::Level::Error);
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
    let names = name.map_or(NAMES.to_vec(), |name| vec![name]);
    for name in &names {
        match read(archive, name) {
            Ok(bytes) => return parsed(name, &bytes),
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
        return Err(NoSpec::Mistakes {
            name: name.to_string(),
            found: parsed.diagnostics,
            text: String::from_utf8_lossy(bytes).into_owned(),
        });
    };
    match spec.os {
        Os::Linux => Ok(spec),
        Os::Windows => Err(NoSpec::ForWindows(name.to_string())),
    }
}
