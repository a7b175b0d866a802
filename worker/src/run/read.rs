//! Reading the buildspec: before anything is made for the build when it can be, else from the checkout. The file may be a
//! stranger's: no link in a source leads out of it, and nothing but a regular file of a buildspec's size is read.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use croft_beneath::Root;
use croft_proto::{Diagnostic, Level, Place};
use croft_spec::{Buildspec, FILE_BYTES_MAX, misnamed};

use crate::request::{BuildRequest, BuildspecFile, PrimarySource};

/// A buildspec that was read.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) spec: Option<Buildspec>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) text: String,
}

/// A folder's buildspec can be read before anything is made for the build: mistakes are told at once.
pub(super) fn read_early(request: &BuildRequest) -> Option<Read> {
    match (&request.source, &request.buildspec) {
        (_, BuildspecFile::OnHost(path)) => Some(read_on_host(path)),
        (PrimarySource::Folder(folder), file) => Some(read_in(folder, file)),
        (PrimarySource::Git(_), _) => None,
    }
}

/// The buildspec that `file` means in the source at `folder`.
pub(crate) fn read_in(folder: &Path, file: &BuildspecFile) -> Read {
    let relative = match file {
        BuildspecFile::Default => PathBuf::from("buildspec.yml"),
        BuildspecFile::InSource(path) => path.clone(),
        BuildspecFile::OnHost(path) => return read_on_host(path),
    };
    let name = relative.display().to_string();
    let opened = Root::open(folder).and_then(|root| root.open_file(&relative));
    match opened.and_then(contents) {
        Ok(bytes) => parse(&name, &bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => absent(folder, &relative),
        // Where the source lies is a farm's own affair.
        Err(error) => unreadable(&name, &cannot(&name, &error), help_for(&error)),
    }
}

/// What a person reads who has the folder before him.
///
/// **Shape.** The diagnostics of the buildspec that `file` means in the folder, and its text.
#[must_use]
pub fn look_at(folder: &Path, file: &BuildspecFile) -> (Vec<Diagnostic>, String) {
    let read = read_in(folder, file);
    (read.diagnostics, read.text)
}

/// A source without the buildspec that is looked for.
fn absent(folder: &Path, relative: &Path) -> Read {
    let name = relative.display().to_string();
    let said = format!("there is no {name} in the source");
    if folder.join(relative).is_symlink() {
        let help = "a link is followed only inside the source: put the file itself there, or name it with -b";
        return unreadable(&name, &cannot(&name, &io::ErrorKind::NotFound.into()), help);
    }
    let within = relative.parent().unwrap_or(Path::new(""));
    let root = Root::open(folder).and_then(|root| root.read_dir(within));
    let entries = root.unwrap_or_default();
    let names: Vec<&str> = entries
        .iter()
        .filter_map(|entry| entry.name.to_str())
        .collect();
    let wanted = relative.file_name().unwrap_or_default().to_string_lossy();
    let Some(found) = misnamed(&wanted, &names) else {
        let help = "put a buildspec.yml into the source's top folder, or name another file with -b";
        return unreadable(&name, &said, help);
    };
    let found = within.join(found);
    let found = found.display();
    let help = format!("there is a {found}: rename it to {name}, or name it with -b {found}");
    unreadable(&name, &said, &help)
}

fn cannot(name: &str, error: &io::Error) -> String {
    format!("{name} cannot be read: {error}")
}

/// The person's own file, wherever its links lead.
fn read_on_host(path: &Path) -> Read {
    let name = path.display().to_string();
    // Looked at before it is opened: opening a pipe waits for a writer.
    let opened = std::fs::metadata(path).and_then(|found| {
        if found.is_file() {
            File::open(path)
        } else {
            Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ))
        }
    });
    match opened.and_then(contents) {
        Ok(bytes) => parse(&name, &bytes),
        Err(error) => unreadable(&name, &cannot(&name, &error), help_for(&error)),
    }
}

/// One byte more than a buildspec may have tells the parser that the file is too large.
fn contents(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn parse(name: &str, bytes: &[u8]) -> Read {
    let parsed = croft_spec::parse(name, bytes);
    Read {
        spec: parsed.spec,
        diagnostics: parsed.diagnostics,
        text: String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn help_for(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::NotFound {
        "name a file that is there with -b"
    } else if error.kind() == io::ErrorKind::InvalidInput {
        "a buildspec is a regular file: no folder, pipe or device; name another file with -b"
    } else {
        "make the file readable"
    }
}

fn unreadable(name: &str, said: &str, help: &str) -> Read {
    let diagnostic = Diagnostic {
        code: "no-buildspec".into(),
        level: Level::Error,
        message: said.into(),
        place: Place {
            file: name.into(),
            line: 0,
            column: 0,
        },
        start: 0,
        end: 0,
        help: Some(help.into()),
    };
    Read {
        spec: None,
        diagnostics: vec![diagnostic],
        text: String::new(),
    }
}

/// Mistakes that a phase's context names: it is shown in one place with others, and the command line shows all.
const NAMED_MAX: usize = 10;

/// The mistakes for the phase's context, a line each.
pub(crate) fn yaml_error(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics
        .iter()
        .filter(|found| found.level == Level::Error);
    let mut lines: Vec<String> = errors
        .map(|found| match (&found.help, found.place.line) {
            // A file that is not there.
            (Some(help), 0) => format!("{}: {}; {help}", found.place, found.message),
            (_, _) => format!("{}: {}", found.place, found.message),
        })
        .collect();
    let more = lines.len().saturating_sub(NAMED_MAX);
    lines.truncate(NAMED_MAX);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    match lines.is_empty() {
        true => "the buildspec cannot be used".to_string(),
        false => lines.join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    const GOOD: &str = "version: 0.2\nphases: {build: {commands: [x]}}\n";

    #[track_caller]
    fn refused(read: &Read, words: &[&str]) {
        assert!(read.spec.is_none() && read.text.is_empty(), "{read:?}");
        let [found] = &read.diagnostics[..] else {
            panic!("{read:?}")
        };
        let said = format!("{} {}", found.message, found.help.as_deref().unwrap());
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    }

    #[test]
    fn a_link_is_followed_inside_the_source_and_never_out_of_it() {
        let (source, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let spec = source.path().join("buildspec.yml");
        std::fs::write(source.path().join("real.yml"), GOOD).unwrap();
        symlink("real.yml", &spec).unwrap();
        assert!(
            read_in(source.path(), &BuildspecFile::Default)
                .spec
                .is_some()
        );
        let secret = other.path().join("secret");
        std::fs::write(&secret, GOOD).unwrap();
        let upward = format!("../{}/secret", other.path().file_name().unwrap().display());
        for target in [secret, upward.into()] {
            std::fs::remove_file(&spec).unwrap();
            symlink(target, &spec).unwrap();
            refused(
                &read_in(source.path(), &BuildspecFile::Default),
                &["buildspec.yml", "only inside the source"],
            );
        }
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_being_opened() {
        let source = tempfile::tempdir().unwrap();
        let pipe = source.path().join("pipe.yml");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        let words = ["pipe.yml", "not a regular file", "-b"];
        let file = BuildspecFile::InSource("pipe.yml".into());
        refused(&read_in(source.path(), &file), &words);
        refused(&read_on_host(&pipe), &words);
        refused(
            &read_on_host(Path::new("/dev/zero")),
            &["not a regular file"],
        );
    }

    #[test]
    fn no_more_is_read_than_tells_that_a_file_is_too_large() {
        let source = tempfile::tempdir().unwrap();
        let file = File::create(source.path().join("buildspec.yml")).unwrap();
        file.set_len(1 << 40).unwrap();
        let read = read_in(source.path(), &BuildspecFile::Default);
        assert!(read.spec.is_none());
        assert_eq!(read.text.len(), FILE_BYTES_MAX + 1);
    }
}
