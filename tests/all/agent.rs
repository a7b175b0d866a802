//! `croft agent --local`: a folder or an archive deployed to this machine, without a server.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::{At, Farm, Ran};

struct Site {
    farm: Farm,
    app: PathBuf,
}

impl Site {
    /// A revision in the source folder that installs `web`, and whose scripts say that they run.
    fn new() -> Self {
        let farm = Farm::new(At::SANDBOX);
        let app = farm.folder().join("srv/app");
        let site = Self { farm, app };
        site.spec("");
        for name in ["before", "start"] {
            let text = format!("#!/bin/sh\necho {name} of $APPLICATION_NAME in $LIFECYCLE_EVENT\n");
            site.farm.file(&format!("scripts/{name}.sh"), text);
        }
        site.farm.file("web/index.html", "one");
        site
    }

    fn spec(&self, more: &str) {
        let app = self.app.display();
        let text = format!(
            "version: 0.0\nos: linux\nfiles:\n  - source: web\n    destination: {app}\nhooks:\n  BeforeInstall:\n    - location: scripts/before.sh\n  ApplicationStart:\n    - location: scripts/start.sh\n      timeout: 60\n{more}"
        );
        self.farm.file("appspec.yml", text);
    }

    fn agent(&self, words: &[&str]) -> Ran {
        let words = [&["agent", "--local", "."], words].concat();
        self.farm.end(self.farm.croft(&words))
    }

    fn installed(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.app.join(name)).ok()
    }
}

#[test]
fn a_folder_is_deployed_and_the_next_revision_takes_its_place() {
    let site = Site::new();
    let ran = site.agent(&["--application-name", "shop"]);
    ran.assert_code(0);
    for line in [
        "[BeforeInstall]",
        "[stdout]before of shop in BeforeInstall",
        "[stdout]start of shop in ApplicationStart",
        "[Install] succeeded",
    ] {
        assert!(
            ran.text().lines().any(|said| said == line),
            "{line}: {}",
            ran.story()
        );
    }
    assert_eq!(site.installed("index.html").as_deref(), Some("one"));
    fs::remove_file(site.farm.source().join("web/index.html")).unwrap();
    site.farm.file("web/other.html", "two");
    site.agent(&[]).assert_code(0);
    assert_eq!(site.installed("index.html"), None);
    assert_eq!(site.installed("other.html").as_deref(), Some("two"));
}

#[test]
fn what_would_be_done_is_shown_and_not_done() {
    let site = Site::new();
    let ran = site.agent(&["--dry-run", "-o", "json"]);
    ran.assert_code(0);
    let plan: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    let creates = plan["files"]["creates"].as_array().unwrap();
    let file = site.app.join("index.html").display().to_string();
    assert!(creates.iter().any(|path| *path == file), "{plan}");
    assert_eq!(plan["hooks"][1]["scripts"][0]["timeout"], 60, "{plan}");
    assert!(!site.app.exists());
    let ran = site.agent(&["--dry-run"]);
    ran.assert_code(0);
    assert!(ran.text().contains("scripts/start.sh"), "{}", ran.story());
}

#[test]
fn a_script_that_fails_ends_the_deployment_with_code_1_and_the_rest_is_skipped() {
    let site = Site::new();
    site.farm
        .file("scripts/before.sh", "#!/bin/sh\necho why >&2\nexit 3\n");
    let ran = site.agent(&["-o", "json"]);
    ran.assert_code(1);
    let said: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(said["status"], "Failed", "{said}");
    let events = said["lifecycleEvents"].as_array().unwrap();
    let event = |name: &str| {
        let found = events
            .iter()
            .find(|event| event["lifecycleEventName"] == name);
        found.unwrap().clone()
    };
    let before = event("BeforeInstall");
    assert_eq!(before["diagnostics"]["errorCode"], "ScriptFailed");
    assert_eq!(before["diagnostics"]["scriptName"], "scripts/before.sh");
    assert_eq!(before["diagnostics"]["logTail"], "[stderr]why\n");
    assert_eq!(event("DownloadBundle")["status"], "Succeeded");
    assert_eq!(event("Install")["status"], "Skipped");
    assert!(!site.app.exists());
}

#[test]
fn a_file_that_is_there_stops_the_install_unless_it_may_be_replaced() {
    let site = Site::new();
    fs::create_dir_all(&site.app).unwrap();
    fs::write(site.app.join("index.html"), "mine").unwrap();
    let ran = site.agent(&[]);
    ran.assert_code(1);
    assert!(
        ran.text().contains("index.html exists already"),
        "{}",
        ran.story()
    );
    let ran = site.agent(&["--dry-run"]);
    ran.assert_code(1);
    assert!(
        ran.stderr.contains("index.html exists already"),
        "{}",
        ran.story()
    );
    assert_eq!(site.installed("index.html").as_deref(), Some("mine"));
    site.agent(&["--file-exists-behavior", "OVERWRITE"])
        .assert_code(0);
    assert_eq!(site.installed("index.html").as_deref(), Some("one"));
}

#[test]
fn mistakes_of_an_appspec_are_shown_as_lint_shows_them_before_anything_runs() {
    let site = Site::new();
    site.spec("  AfterInstal:\n    - location: scripts/start.sh\n      timeout: never\n");
    let ran = site.agent(&[]);
    ran.assert_code(5);
    assert!(ran.text().contains("appspec.yml:"), "{}", ran.story());
    assert!(!site.app.exists());
    fs::remove_file(site.farm.source().join("appspec.yml")).unwrap();
    let ran = site.agent(&[]);
    ran.assert_code(5);
    assert!(ran.stderr.contains("no appspec.yml"), "{}", ran.story());
    let nowhere = site.farm.croft(&["agent", "--local", "nowhere"]);
    site.farm.end(nowhere).assert_code(5);
}

#[test]
fn an_archive_with_one_folder_at_the_top_is_deployed_with_the_events_that_are_named() {
    let site = Site::new();
    let archive = site.farm.folder().join("shop.tgz");
    let packed = Command::new("tar")
        .arg("-czf")
        .arg(&archive)
        .args([
            "--transform",
            "s,^\\./,shop-1/,",
            "./appspec.yml",
            "./scripts",
            "./web",
        ])
        .current_dir(site.farm.source())
        .status()
        .unwrap();
    assert!(packed.success());
    let words = ["agent", "--events", "ApplicationStart", "--local"];
    let mut command = site.farm.croft(&words);
    command.arg(&archive);
    let ran = site.farm.end(command);
    ran.assert_code(0);
    let said = ran.text();
    assert!(
        said.contains("start of shop in ApplicationStart"),
        "{}",
        ran.story()
    );
    assert!(!said.contains("BeforeInstall"), "{}", ran.story());
    assert_eq!(site.installed("index.html").as_deref(), Some("one"));
}
