//! The format from outside: every key, every mistake, every trap, and what people see.

use croft_proto::{Diagnostic, Level};

use super::{AppSpec, lint, parse};

/// What each key means.
mod keys;
/// What is refused or warned of, and where.
mod mistakes;
/// Containers.
mod container;
/// What is named, in the revision.
mod bundle;
/// Warnings about what would happen.
mod traps;
/// Whole pages of findings.
mod rendered;
/// Laws for any input.
mod properties;

/// A file with everything that may stand in one.
const FULL: &str = "\
version: 0.0
os: linux
files:
  - source: /
    destination: /srv/app
  - source: conf/app.service
    destination: /etc/systemd/system
file_exists_behavior: OVERWRITE
permissions:
  - object: /srv/app
    pattern: \"**\"
    except: [run.sh, 'data']
    owner: web
    group: www-data
    mode: 0640
    acls:
      - u:bob:rw
      - \"m::rw\"
    type:
      - file
  - object: /srv/app/run.sh
    mode: \"4755\"
    context:
      user: unconfined_u
      type: httpd_sys_content_t
      range: s0:c1.c3,c5
hooks:
  ApplicationStop:
    - location: scripts/stop.sh
      timeout: 60
  BeforeInstall: &prepare
    - location: scripts/prepare.sh
      timeout: 300
      runas: root
      sudo: yes
  AfterInstall: *prepare
  ApplicationStart:
  ValidateService:
    - location: scripts/ask.sh
      runas: web
    - location: ./scripts/again.sh
";

/// The AppSpec, which must have no error.
fn good(text: &str) -> AppSpec {
    let parsed = parse("appspec.yml", text.as_bytes());
    let Some(spec) = parsed.spec else {
        panic!("{text}\n{:#?}", parsed.diagnostics)
    };
    spec
}

/// The smallest good file with more lines.
fn with(more: &str) -> AppSpec {
    good(&around(more))
}

/// The smallest file with more lines.
fn around(more: &str) -> String {
    format!("version: 0.0\nos: linux\n{more}\n")
}

/// The one finding of a list.
fn only(text: &str, mut found: Vec<Diagnostic>) -> Diagnostic {
    assert_eq!(found.len(), 1, "{text}\n{found:#?}");
    found.remove(0)
}

/// The code and the pointed text of each finding of `lint`.
fn found(text: &str) -> Vec<(String, String)> {
    let found = lint("appspec.yml", text.as_bytes());
    found
        .iter()
        .map(|found| (found.code.clone(), pointed(text, found).to_owned()))
        .collect()
}

/// The bytes of the file that a finding points at.
fn pointed<'t>(text: &'t str, found: &Diagnostic) -> &'t str {
    &text[found.start..found.end]
}

fn is_error(found: &Diagnostic) -> bool {
    found.level == Level::Error
}
