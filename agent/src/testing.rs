//! A host of a test's own: folders for its state, its bundles and where they go, and the shortest words for commands.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use croft_proto::Timestamp;
use croft_proto::deploy::{
    DeploymentId, DeploymentType, Diagnostics, FileExistsBehavior, HostCommand, LifecycleEvent,
    Revision, RevisionOrigin, ScriptErrorCode,
};

use crate::{BundleKind, Host, HostError, LocalBundle, Said, Settings, Watch};

/// What was said, as lines.
#[derive(Debug, Default)]
pub(crate) struct Heard(pub(crate) Mutex<Vec<String>>);

impl Watch for Heard {
    fn said(&self, said: &Said<'_>) {
        let line = match said {
            Said::Event(event) => format!("event {event}"),
            Said::Script { location, from } => format!("script {location} of {from}"),
            Said::Line { stream, text } => format!("{}{text}", stream.prefix()),
            Said::Note(text) => format!("note {text}"),
        };
        self.0.lock().unwrap().push(line);
    }
}

impl Heard {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

pub(crate) struct Site {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) host: Host,
    pub(crate) behavior: FileExistsBehavior,
    pub(crate) heard: Heard,
}

pub(crate) fn clock() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000)
}

pub(crate) fn settings() -> Settings {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Settings {
        end: Duration::from_millis(500),
        drain: Duration::from_millis(300),
        ..Settings::new(vec![("PATH".into(), path)], clock)
    }
}

pub(crate) fn id(number: u8) -> DeploymentId {
    DeploymentId::drawn([number; 9])
}

impl Site {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Scripts that run as others pass through.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let host = Host::open(&folder.path().join("state"), settings()).unwrap();
        std::fs::create_dir(folder.path().join("srv")).unwrap();
        Self {
            folder,
            host,
            behavior: FileExistsBehavior::Disallow,
            heard: Heard::default(),
        }
    }

    /// Where its revisions are installed.
    pub(crate) fn srv(&self) -> PathBuf {
        self.folder.path().join("srv")
    }

    pub(crate) fn group(&self) -> PathBuf {
        self.folder.path().join("state/g")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        write(&self.srv().join(name), text);
    }

    pub(crate) fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.srv().join(name)).ok()
    }

    /// A bundle whose AppSpec is `spec`, with `SRV` for where it goes, and whose other files are `files`; scripts are executable.
    pub(crate) fn bundle(&self, number: u8, spec: &str, files: &[(&str, &str)]) -> LocalBundle {
        let path = self.folder.path().join(format!("bundle-{number}"));
        let srv = self.srv();
        let spec = spec.replace("SRV", srv.to_str().unwrap());
        write(
            &path.join("appspec.yml"),
            &format!("version: 0.0\nos: linux\n{spec}"),
        );
        for (name, text) in files {
            write(&path.join(name), text);
            if text.starts_with("#!") {
                let executable = std::fs::Permissions::from_mode(0o755);
                std::fs::set_permissions(path.join(name), executable).unwrap();
            }
        }
        LocalBundle {
            path,
            kind: BundleKind::Directory,
        }
    }

    pub(crate) fn command(&self, number: u8, event: LifecycleEvent) -> HostCommand {
        HostCommand {
            deployment_id: id(number),
            generation: number.into(),
            event,
            application_name: "shop".into(),
            deployment_group_name: "blue".into(),
            deployment_group_id: "g".into(),
            revision: Revision {
                digest: String::new(),
                origin: RevisionOrigin::Local {
                    location: "/r".into(),
                },
            },
            app_spec_filename: None,
            file_exists_behavior: self.behavior,
            creator: "user".into(),
            deployment_type: DeploymentType::InPlace,
            container: None,
        }
    }

    pub(crate) fn run(
        &self,
        number: u8,
        event: LifecycleEvent,
        bundle: &LocalBundle,
    ) -> Result<Diagnostics, HostError> {
        let is_over = AtomicBool::new(false);
        let command = self.command(number, event);
        self.host.run(&command, bundle, &self.heard, &is_over)
    }

    /// Brings and installs, and hands back how Install ended.
    pub(crate) fn install(&self, number: u8, bundle: &LocalBundle) -> Diagnostics {
        let brought = self
            .run(number, LifecycleEvent::DownloadBundle, bundle)
            .unwrap();
        assert_eq!(brought.error_code, ScriptErrorCode::Success, "{brought:?}");
        self.run(number, LifecycleEvent::Install, bundle).unwrap()
    }

    /// Everything below `srv`: paths with what is there.
    pub(crate) fn tree(&self) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.srv(), Path::new(""), &mut found);
        found.sort();
        let here = self.folder.path().display().to_string();
        found
            .iter()
            .map(|line| line.replace(&here, "SITE"))
            .collect()
    }
}

fn walk(top: &Path, below: &Path, found: &mut Vec<String>) {
    use std::os::unix::fs::MetadataExt as _;
    for entry in std::fs::read_dir(top.join(below)).unwrap() {
        let entry = entry.unwrap();
        let path = below.join(entry.file_name());
        let meta = entry.metadata().unwrap();
        let what = if meta.is_symlink() {
            format!("-> {}", std::fs::read_link(entry.path()).unwrap().display())
        } else if meta.is_dir() {
            "folder".into()
        } else {
            String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned()
        };
        let (mode, uid) = (meta.mode() & 0o7777, meta.uid());
        let mode = if meta.is_symlink() { 0 } else { mode };
        found.push(format!("{} {mode:o} {uid} {what}", path.display()));
        if meta.is_dir() {
            walk(top, &path, found);
        }
    }
}

pub(crate) fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Waits until it is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(std::time::Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}

/// Says that a test did not test anything, and why. `scripts/test` reads the file that `CROFT_TEST_SKIPS` names.
pub(crate) fn skip(test: &str, reason: &str) {
    use std::io::Write as _;
    eprintln!("SKIPPED {test}: {reason}");
    if let Some(path) = std::env::var_os("CROFT_TEST_SKIPS") {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.append(true).create(true).open(path).unwrap();
        writeln!(file, "{test}: {reason}").unwrap();
    }
}
