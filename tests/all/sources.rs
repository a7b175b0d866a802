//! Sources that are not a folder: git repositories by address, at a branch, a tag or a commit; and that a source is never
//! changed by its build.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{At, Farm, Ran, each_place};

/// A git repository in a folder.
pub(crate) struct Repository(PathBuf);

impl Repository {
    pub(crate) fn at(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let made = Self(folder.to_path_buf());
        made.git(&["init", "--quiet", "--initial-branch", "main"]);
        made
    }

    pub(crate) fn git(&self, words: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@localhost"])
            .args(words)
            .current_dir(&self.0)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    }

    /// Commits everything; the commit.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }
}

/// A repository whose tag `v1` says one and whose main branch says two; its address and both commits.
fn repository(farm: &Farm) -> (String, String, String) {
    let folder = farm.folder().join("remote/app.git");
    let repository = Repository::at(&folder);
    let spec = |word: &str| {
        format!(
            "version: 0.2\nphases:\n  build:\n    commands: ['echo {word}', env, 'git rev-parse HEAD 2>/dev/null || true']\n"
        )
    };
    fs::write(folder.join("buildspec.yml"), spec("one")).unwrap();
    let one = repository.commit("one");
    repository.git(&["tag", "v1"]);
    fs::write(folder.join("buildspec.yml"), spec("two")).unwrap();
    let two = repository.commit("two");
    (format!("file://{}", folder.display()), one, two)
}

fn a_repository_is_built_at_its_default_branch_a_tag_and_a_commit(farm: &Farm) {
    let (url, one, two) = repository(farm);
    for (revision, word, commit) in [
        (None, "two", &two),
        (Some("v1"), "one", &one),
        (Some(one.as_str()), "one", &one),
    ] {
        let source = revision.map_or(url.clone(), |revision| format!("{url}@{revision}"));
        let ran = farm.run(&[&source]);
        ran.assert_code(0);
        let output = ran.output();
        assert!(output.starts_with(&format!("{word}\n")), "{output}");
        assert!(
            output.contains(&format!("CODEBUILD_RESOLVED_SOURCE_VERSION={commit}\n")),
            "{output}"
        );
        assert!(
            output.contains(&format!("CODEBUILD_SOURCE_REPO_URL={url}\n")),
            "{output}"
        );
        assert_eq!(
            output.contains("CODEBUILD_SOURCE_VERSION="),
            revision.is_some(),
            "{output}"
        );
        assert_eq!(ran.build()["projectName"], "app");
        assert_eq!(ran.build()["resolvedSourceVersion"], commit.as_str());
    }
}

fn a_revision_that_is_not_there_fails_download_source(farm: &Farm) {
    let (url, _, _) = repository(farm);
    let ran = farm.run(&[&format!("{url}@no-such-branch")]);
    ran.assert_code(1);
    let (code, message) = ran.context("DOWNLOAD_SOURCE");
    assert_eq!(code, "CLIENT_ERROR");
    assert!(message.contains("no-such-branch"), "{message}");
}

/// Every file below a folder with its contents and mode.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let metadata = entry.metadata().unwrap();
            let contents = if metadata.is_file() {
                fs::read(entry.path()).unwrap()
            } else {
                Vec::new()
            };
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            found.insert(entry.path(), (metadata.permissions().mode(), contents));
        }
    }
    found
}

const HARM: &str = "phases:\n  build:\n    commands: ['echo changed > given/file; rm given/other; chmod 777 given; mkdir -p new/deep; echo x > new/deep/file; mv buildspec.yml gone']\n";

fn a_source_is_not_changed_by_its_build(farm: &Farm) {
    farm.file("given/file", "given");
    farm.file("given/other", "other");
    farm.spec(HARM);
    let before = snapshot(&farm.source());
    let ran = farm.run(&[]);
    ran.assert_code(0);
    assert_eq!(snapshot(&farm.source()), before);
}

fn a_source_worked_on_in_place_keeps_what_the_build_did(farm: &Farm) {
    farm.file("given/file", "given");
    farm.file("given/other", "other");
    farm.spec(HARM);
    farm.run(&["-m"]).assert_code(0);
    assert_eq!(
        fs::read_to_string(farm.source().join("given/file")).unwrap(),
        "changed\n"
    );
    assert!(
        farm.source().join("new/deep/file").exists() && !farm.source().join("given/other").exists()
    );
}

fn a_source_that_only_its_owner_can_read_is_built(farm: &Farm) {
    farm.file("private/file", "mine\n");
    fs::set_permissions(
        farm.source().join("private/file"),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    fs::set_permissions(
        farm.source().join("private"),
        fs::Permissions::from_mode(0o700),
    )
    .unwrap();
    assert_eq!(farm.outputs(&["cat private/file"]), ["mine\n"]);
}

each_place!(
    a_repository_is_built_at_its_default_branch_a_tag_and_a_commit,
    a_revision_that_is_not_there_fails_download_source,
    a_source_is_not_changed_by_its_build,
    a_source_worked_on_in_place_keeps_what_the_build_did,
    a_source_that_only_its_owner_can_read_is_built,
);

/// A repository cannot make `croft` run its own programs on this machine.
#[test]
fn a_repositorys_hooks_do_not_run_outside_the_build() {
    let Some(farm) = At::SANDBOX.farm() else {
        return;
    };
    let (url, _, _) = repository(&farm);
    let mark = farm.folder().join("hook-ran");
    let hook = farm.person().join("template/hooks/post-checkout");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", mark.display())).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    settings(
        &farm,
        &format!(
            "[init]\n\ttemplateDir = {}\n",
            farm.person().join("template").display()
        ),
    );
    farm.run(&[&url]).assert_code(0);
    assert!(!mark.exists());
}

/// The person's settings of git.
fn settings(farm: &Farm, text: &str) {
    fs::write(farm.person().join(".gitconfig"), text).unwrap();
}

#[test]
fn a_revision_that_git_would_take_for_an_option_is_refused_and_runs_nothing() {
    let Some(farm) = At::SANDBOX.farm() else {
        return;
    };
    let (url, _, _) = repository(&farm);
    let mark = farm.folder().join("ran");
    let ran = farm.run(&[&format!("{url}@--upload-pack=touch {};x", mark.display())]);
    ran.assert_code(5);
    assert!(
        ran.stderr.contains("starts with a hyphen"),
        "{}",
        ran.stderr
    );
    assert!(!mark.exists());
}

/// As in a hook of git's, which has them set: they must not lead to that repository.
#[test]
fn gits_own_variables_lead_to_no_other_repository() {
    let Some(farm) = At::SANDBOX.farm() else {
        return;
    };
    let (url, _, two) = repository(&farm);
    let mine = farm.folder().join("mine");
    let repository = Repository::at(&mine);
    fs::write(mine.join("file"), "mine").unwrap();
    repository.commit("mine");
    let before = snapshot(&mine);
    let mut command = farm.croft_run(&["-o", "ndjson", &url]);
    command
        .env("GIT_DIR", mine.join(".git"))
        .env("GIT_WORK_TREE", &mine)
        .env("GIT_INDEX_FILE", mine.join(".git/index"));
    let ran = farm.end(command);
    ran.assert_code(0);
    assert_eq!(ran.build()["resolvedSourceVersion"], two.as_str());
    assert_eq!(snapshot(&mine), before);
}

#[test]
fn who_signs_in_to_a_repository_stays_out_of_the_build_and_its_log() {
    let Some(farm) = At::SANDBOX.farm() else {
        return;
    };
    let (url, _, _) = repository(&farm);
    let folder = farm.folder().join("remote/app.git");
    fs::write(
        folder.join("buildspec.yml"),
        "version: 0.2\nphases:\n  build:\n    commands: ['git remote get-url origin', 'echo $CODEBUILD_SOURCE_REPO_URL', 'if grep -r tr0ub4dor .git; then echo leaked; fi', 'echo tr0ub4\"\"dor']\n",
    )
    .unwrap();
    Repository(folder).commit("three");
    let address = "https://me:tr0ub4dor@localhost:1/app.git";
    let ran = farm.run(&[address]);
    assert_eq!(ran.build()["buildStatus"], "FAILED");
    assert_unsaid(&farm, &ran);
    // Git is asked for the address without who signs in, which it is told in another way.
    settings(
        &farm,
        &format!("[url \"{url}\"]\n\tinsteadOf = https://localhost:1/app.git\n"),
    );
    let ran = farm.run(&[address]);
    ran.assert_code(0);
    let outputs: Vec<String> = ran.commands().into_iter().map(|done| done.output).collect();
    let shown = "https://localhost:1/app.git\n";
    assert_eq!(outputs, [shown, shown, "", "***\n"]);
    assert_unsaid(&farm, &ran);
}

/// The password above is neither shown nor kept.
#[track_caller]
fn assert_unsaid(farm: &Farm, ran: &Ran) {
    let said = format!("{}{}", ran.text(), ran.stderr);
    assert!(!said.contains("tr0ub4dor"), "{said}");
    for (path, (_, contents)) in snapshot(&farm.home().join("builds")) {
        let contents = String::from_utf8_lossy(&contents);
        assert!(!contents.contains("tr0ub4dor"), "{}", path.display());
    }
}
