//! What an AppSpec names, looked for in a revision.

use std::collections::BTreeMap;

use croft_proto::{Diagnostic, Level};

use super::{around, pointed};
use crate::appspec::{Around, Bundle, Found, lint_in};

/// Files by their paths; what is above them are folders.
struct Listed(BTreeMap<&'static str, Found>);

impl Listed {
    fn of(paths: &[&'static str]) -> Self {
        Self(paths.iter().map(|path| (*path, Found::File)).collect())
    }
}

impl Bundle for Listed {
    fn look(&self, path: &str) -> Found {
        if let Some(found) = self.0.get(path) {
            return *found;
        }
        let is_folder = path.is_empty() || !self.names(path).is_empty();
        if is_folder {
            Found::Folder
        } else {
            Found::Absent
        }
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let below = |path: &&str| match folder {
            "" => Some((*path).to_owned()),
            folder => Some(path.strip_prefix(folder)?.strip_prefix('/')?.to_owned()),
        };
        let paths = self.0.keys().filter_map(below);
        let mut names: Vec<String> = paths
            .map(|path| path.split('/').next().unwrap().to_owned())
            .collect();
        names.dedup();
        names
    }
}

const FILES: &[&str] = &[
    "app/run",
    "appspec.yml",
    "scripts/start.sh",
    "scripts/stop.sh",
];

fn looked(lines: &str, bundle: &Listed, among: Around) -> (String, Vec<Diagnostic>) {
    let text = around(lines);
    let found = lint_in("appspec.yml", text.as_bytes(), bundle, among);
    (text, found)
}

#[test]
fn what_is_there_is_not_spoken_of() {
    let lines = "files:\n  - {source: /, destination: /srv/a}\n  - {source: ./app/, destination: /srv/b}\n  - {source: app/run, destination: /srv/c}\n\
                 hooks:\n  AfterInstall:\n    - location: scripts/../scripts/start.sh\n";
    let (_, found) = looked(lines, &Listed::of(FILES), Around::Revision);
    assert_eq!(found, []);
}

#[test]
fn all_that_is_lacking_is_told_at_once_with_the_nearest_that_is_there() {
    let lines = "files:\n  - {source: ap, destination: /srv/a}\n  - {source: app/rnu, destination: /srv/b}\n  - {source: config, destination: /srv/c}\n\
                 hooks:\n  ApplicationStop:\n    - location: stop.sh\n  AfterInstall:\n    - location: scripts\n    - location: script/start.sh\n";
    let (text, found) = looked(lines, &Listed::of(FILES), Around::Revision);
    let told: Vec<_> = found
        .iter()
        .map(|found| {
            let help = found.help.as_deref().unwrap_or_default();
            (pointed(&text, found), found.message.as_str(), help)
        })
        .collect();
    assert_eq!(
        told,
        [
            (
                "ap",
                "there is no `ap` in the revision",
                "did you mean `app`?"
            ),
            (
                "app/rnu",
                "there is no `app/rnu` in the revision",
                "did you mean `app/run`?"
            ),
            (
                "config",
                "there is no `config` in the revision",
                "the revision has `app`, `appspec.yml` and `scripts`"
            ),
            (
                "stop.sh",
                "there is no `stop.sh` in the revision",
                "did you mean `scripts/stop.sh`?"
            ),
            (
                "scripts",
                "`scripts` of the revision is a folder, and a script is a file",
                "the revision has `app`, `appspec.yml` and `scripts`"
            ),
            (
                "script/start.sh",
                "there is no `script/start.sh` in the revision",
                "did you mean `scripts/start.sh`?"
            ),
        ]
    );
    assert!(found.iter().all(|found| found.code == "missing-file"));
}

#[test]
fn what_a_script_makes_before_install_is_not_looked_for() {
    let lines = "files:\n  - {source: made/by/it, destination: /srv/a}\n  - {source: made-not, destination: /srv/b}\n\
                 hooks:\n  BeforeInstall:\n    - location: scripts/start.sh\n";
    let generated = format!("{lines}x-croft:\n  generated: [/made]\n");
    let (text, found) = looked(&generated, &Listed::of(FILES), Around::Revision);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(pointed(&text, &found[0]), "made-not");
    let help = found[0].help.as_deref().unwrap();
    assert!(help.contains("`generated` in `x-croft`"), "{help}");
    let out = format!("{lines}x-croft:\n  generated: [../made]\n");
    let (_, found) = looked(&out, &Listed::of(FILES), Around::Revision);
    assert!(found.iter().any(|found| found.code == "climbing-path"));
}

#[test]
fn what_a_build_may_make_is_a_warning() {
    let lines = "files:\n  - {source: target/app.war, destination: /srv/a}\n";
    let (_, found) = looked(lines, &Listed::of(FILES), Around::Source);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].code.as_str(), found[0].level),
        ("missing-file-of-source", Level::Warning)
    );
}

#[test]
fn links_pipes_and_images_are_looked_at_too() {
    let mut files = Listed::of(FILES);
    files.0.insert("lost", Found::LostLink);
    files.0.insert("pipe", Found::Other);
    files.0.insert("unread", Found::Unknown);
    let lines = "files:\n  - {source: lost, destination: /srv/a}\n  - {source: pipe, destination: /srv/b}\n\
                 hooks:\n  AfterInstall:\n    - location: lost\n    - location: unread\n";
    let (text, found) = looked(lines, &files, Around::Revision);
    let at: Vec<_> = found.iter().map(|found| pointed(&text, found)).collect();
    assert_eq!(at, ["pipe", "lost"]);
    let lines = "x-croft:\n  container: {image: shop.tar, port: 80, healthCheck: {path: /}}\n";
    let (text, found) = looked(lines, &files, Around::Revision);
    assert_eq!(pointed(&text, &found[0]), "shop.tar");
}
