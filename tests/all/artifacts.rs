//! What a build leaves: artifacts in a folder or a ZIP file, reports on the screen and as JSON.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::harness::{At, Farm, Ran, each_place};

/// Makes a tree to choose from.
const TREE: &str = "phases:\n  build:\n    commands:\n      - mkdir -p dist/css dist/.hidden my-build1 my-build2 docs empty\n      - echo page > dist/index.html; echo style > dist/css/main.css; echo map > dist/css/main.map; echo dot > dist/.hidden/file\n      - echo run > dist/run.sh; chmod 750 dist/run.sh; ln -s index.html dist/link.html\n      - echo 1 > my-build1/one; echo 2 > my-build2/two; echo same > my-build1/same; echo other > my-build2/same; echo doc > docs/doc\n";

fn run(farm: &Farm, artifacts: &str, words: &[&str]) -> Ran {
    farm.spec(&format!("{TREE}{artifacts}"));
    let mut all = vec!["-a", "../out"];
    all.extend(words);
    farm.run(&all)
}

/// The names of all files below a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                found.insert(
                    entry
                        .path()
                        .strip_prefix(folder)
                        .unwrap()
                        .display()
                        .to_string(),
                );
            }
        }
    }
    found
}

#[track_caller]
fn assert_stored(farm: &Farm, artifacts: &str, expected: &[&str]) -> Ran {
    let ran = run(farm, artifacts, &[]);
    ran.assert_code(0);
    assert_eq!(
        names(&farm.folder().join("out")),
        expected.iter().map(|name| (*name).to_string()).collect()
    );
    ran
}

fn files_are_stored_below_the_named_folder(farm: &Farm) {
    let ran = assert_stored(
        farm,
        "artifacts:\n  files: ['dist/*', docs/doc]\n",
        &[
            "dist/index.html",
            "dist/run.sh",
            "dist/link.html",
            "docs/doc",
        ],
    );
    assert_eq!(ran.summary()["artifacts"][0]["files"], 4);
    let mode = fs::metadata(farm.folder().join("out/dist/run.sh"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o750);
}

fn everything_is_everything_with_dot_files_and_without_empty_folders(farm: &Farm) {
    assert_stored(
        farm,
        "artifacts:\n  files: ['**/*']\n  base-directory: dist\n  exclude-paths: ['**/*.map']\n",
        &[
            "index.html",
            "css/main.css",
            ".hidden/file",
            "run.sh",
            "link.html",
        ],
    );
}

fn a_base_directory_may_be_a_pattern_and_a_variable(farm: &Farm) {
    let ran = assert_stored(
        farm,
        "artifacts:\n  files: ['**/*']\n  base-directory: '$CODEBUILD_SRC_DIR/my-build*'\n",
        &["one", "two", "same"],
    );
    assert_eq!(
        fs::read_to_string(farm.folder().join("out/same")).unwrap(),
        "other\n"
    );
    assert!(
        ran.notices().contains("my-build1/same") && ran.notices().contains("my-build2/same"),
        "{}",
        ran.notices()
    );
}

fn discarded_paths_that_collide_keep_the_last_and_name_both(farm: &Farm) {
    let ran = assert_stored(
        farm,
        "artifacts:\n  files: ['my-build*/same', 'dist/css/main.css']\n  discard-paths: yes\n",
        &["same", "main.css"],
    );
    assert_eq!(
        fs::read_to_string(farm.folder().join("out/same")).unwrap(),
        "other\n"
    );
    assert!(
        ran.notices().contains("my-build1/same") && ran.notices().contains("my-build2/same"),
        "{}",
        ran.notices()
    );
}

fn a_name_is_expanded_by_the_shell(farm: &Farm) {
    farm.file("version", "7\n");
    assert_stored(
        farm,
        "artifacts:\n  files: [docs/doc]\n  name: release/v$(cat version)\n",
        &["release/v7/docs/doc"],
    );
}

fn secondary_artifacts_stand_beside_the_primary(farm: &Farm) {
    let ran = run(
        farm,
        "artifacts:\n  files: [docs/doc]\n  secondary-artifacts:\n    web: {files: ['**/*.html'], base-directory: dist}\n    two: {files: [my-build2/two]}\n",
        &[],
    );
    ran.assert_code(0);
    let list = ran.summary()["artifacts"].as_array().unwrap();
    assert_eq!(list.len(), 3);
    assert_eq!(
        (
            list[0].get("artifactIdentifier"),
            &list[1]["artifactIdentifier"]
        ),
        (None, &"web".into())
    );
    let at = |index: usize| names(Path::new(list[index]["location"].as_str().unwrap()));
    assert!(
        at(1).contains("index.html") && at(2).contains("my-build2/two"),
        "{list:?}"
    );
}

fn links_are_followed_as_the_build_sees_them_and_stored_as_files(farm: &Farm) {
    let private = farm.folder().join("private");
    fs::write(&private, "of this machine").unwrap();
    farm.spec(&format!(
        "phases:\n  build:\n    commands: ['mkdir d; echo in > d/file; ln -s file d/inside; echo out > /tmp/out; ln -s /tmp/out d/outside; ln -s .. d/up; ln -s {} d/private']\nartifacts:\n  files: ['d/*']\n",
        private.display()
    ));
    let ran = farm.run(&["-a", "../out"]);
    ran.assert_code(0);
    let out = farm.folder().join("out/d");
    for name in names(&out) {
        assert!(
            !fs::symlink_metadata(out.join(&name)).unwrap().is_symlink(),
            "{name}"
        );
    }
    let stored = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    assert_eq!(
        (stored("inside"), stored("outside")),
        ("in\n".into(), "out\n".into())
    );
    assert!(!out.join("private").exists());
}

fn a_zip_keeps_modes_and_on_request_links(farm: &Farm) {
    let ran = run(
        farm,
        "artifacts:\n  files: ['**/*']\n  base-directory: dist\n  enable-symlinks: yes\n",
        &["--packaging", "zip"],
    );
    ran.assert_code(0);
    let location = ran.summary()["artifacts"][0]["location"].as_str().unwrap();
    let mut archive = zip::ZipArchive::new(File::open(location).unwrap()).unwrap();
    assert_eq!(
        archive.by_name("run.sh").unwrap().unix_mode().unwrap() & 0o777,
        0o750
    );
    let mut link = archive.by_name("link.html").unwrap();
    let mut target = String::new();
    link.read_to_string(&mut target).unwrap();
    assert_eq!(
        (link.unix_mode().unwrap() & 0o170_000, target.as_str()),
        (0o120_000, "index.html")
    );
}

fn when_nothing_matches_the_nearest_paths_are_named(farm: &Farm) {
    let ran = run(farm, "artifacts:\n  files: [dsit/index.html]\n", &[]);
    ran.assert_code(1);
    let (code, message) = ran.context("UPLOAD_ARTIFACTS");
    assert_eq!(code, "CLIENT_ERROR");
    assert!(
        message.contains("no matching artifact paths found") && message.contains("dist/index.html"),
        "{message}"
    );
    assert!(
        ran.summary()["failureMessage"]
            .as_str()
            .unwrap()
            .contains("dist/index.html")
    );
}

fn a_base_directory_that_is_not_there_fails_like_no_match(farm: &Farm) {
    let ran = run(
        farm,
        "artifacts:\n  files: ['**/*']\n  base-directory: dits\n",
        &[],
    );
    ran.assert_code(1);
    let (_, message) = ran.context("UPLOAD_ARTIFACTS");
    assert!(
        message.contains("no matching artifact paths found") && message.contains("dist"),
        "{message}"
    );
}

const JUNIT: &str = "<testsuites><testsuite name='s'><testcase classname='c' name='adds' time='0.1'/><testcase classname='c' name='divides' time='1,234.5'><failure message='expected 2, got 3'>at line 7</failure></testcase><testcase classname='c' name='later'><skipped/></testcase></testsuite></testsuites>";

fn failing_tests_are_named_with_their_message_after_a_failed_build(farm: &Farm) {
    farm.file("junit.xml", JUNIT);
    farm.spec(
        "phases:\n  build:\n    commands: ['false']\nreports:\n  unit:\n    files: [junit.xml]\n",
    );
    let ran = farm.run(&["-r", "../reports"]);
    ran.assert_code(1);
    let report = &ran.summary()["reports"][0];
    assert_eq!(
        (
            &report["name"],
            &report["status"],
            &report["testSummary"]["total"]
        ),
        (&"source-unit".into(), &"FAILED".into(), &3.into())
    );
    assert_eq!(ran.events_of("reportReady").len(), 1);
    let kept: Value =
        serde_json::from_slice(&fs::read(farm.folder().join("reports/reports.json")).unwrap())
            .unwrap();
    assert_eq!(kept.to_string().matches("divides").count(), 1);
    let text = farm.end(farm.croft_run(&["-o", "plain"])).text();
    assert!(
        text.contains("divides") && text.contains("expected 2, got 3"),
        "{text}"
    );
}

fn a_failing_report_does_not_fail_a_build(farm: &Farm) {
    farm.file("junit.xml", JUNIT);
    let ran = farm.run_spec("phases:\n  build:\n    commands: ['true']\nreports:\n  unit: {files: [junit.xml]}\n  none: {files: [nothing.xml]}\n  other: {files: [junit.xml], file-format: NUNITXML}\n");
    ran.assert_code(0);
    let statuses: Vec<&str> = ran.summary()["reports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|report| report["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["FAILED", "INCOMPLETE", "INCOMPLETE"]);
    assert!(
        ran.notices().contains("nothing.xml") && ran.notices().contains("NUNITXML"),
        "{}",
        ran.notices()
    );
}

fn coverage_is_summarised(farm: &Farm) {
    farm.file("coverage.xml", "<coverage><packages><package><classes><class filename='a'><lines><line number='1' hits='1'/><line number='2' hits='0'/><line number='3' hits='2'/><line number='4' hits='1'/></lines></class></classes></package></packages></coverage>");
    let ran = farm.run_spec("phases:\n  build:\n    commands: ['true']\nreports:\n  cover: {files: [coverage.xml], file-format: CoberturaXml}\n");
    ran.assert_code(0);
    assert_eq!(
        ran.summary()["reports"][0]["codeCoverageSummary"]["lineCoveragePercentage"],
        75.0
    );
}

each_place!(
    files_are_stored_below_the_named_folder,
    everything_is_everything_with_dot_files_and_without_empty_folders,
    a_base_directory_may_be_a_pattern_and_a_variable,
    discarded_paths_that_collide_keep_the_last_and_name_both,
    a_name_is_expanded_by_the_shell,
    secondary_artifacts_stand_beside_the_primary,
    links_are_followed_as_the_build_sees_them_and_stored_as_files,
    a_zip_keeps_modes_and_on_request_links,
    when_nothing_matches_the_nearest_paths_are_named,
    a_base_directory_that_is_not_there_fails_like_no_match,
    failing_tests_are_named_with_their_message_after_a_failed_build,
    a_failing_report_does_not_fail_a_build,
    coverage_is_summarised,
);

#[test]
fn without_a_folder_artifacts_are_kept_with_the_builds_log() {
    let Some(farm) = At::SANDBOX.farm() else {
        return;
    };
    let ran = farm.run_spec(
        "phases:\n  build:\n    commands: ['echo made > made']\nartifacts: {files: [made]}\n",
    );
    ran.assert_code(0);
    let location = ran.summary()["artifacts"][0]["location"].as_str().unwrap();
    assert!(
        Path::new(location).starts_with(fs::canonicalize(farm.home()).unwrap()),
        "{location}"
    );
    assert_eq!(
        fs::read_to_string(Path::new(location).join("made")).unwrap(),
        "made\n"
    );
}
