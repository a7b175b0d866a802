//! Deployments asked for by a person: documents applied, a folder deployed, its failure explained, and what is wrong refused.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::harness::rig::{Rig, each_size};

each_size!(small large |plan| plan;
    a_deployment_without_hosts_fails_and_is_explained,
    what_a_build_made_is_deployed_by_its_name,
    a_file_with_unknown_names_is_not_applied_at_all,
    a_revision_that_lacks_what_its_appspec_names_is_not_uploaded,
    what_is_wrong_is_refused_before_anything_happens,
);

const SHOP: &str = "\
- applicationName: shop
- applicationName: shop
  deploymentGroupName: prod
  deploymentConfigName: careful
  ec2TagFilters: [{Key: role, Value: web, Type: KEY_AND_VALUE}]
- deploymentConfigName: careful
  minimumHealthyHosts: {type: FLEET_PERCENT, value: 75}
";

fn file(rig: &Rig, name: &str, text: &str) -> String {
    let path = rig.folder().join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// A folder with that AppSpec.
fn revision(rig: &Rig, name: &str, appspec: &str) -> PathBuf {
    let folder = rig.folder().join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("appspec.yml"), appspec).unwrap();
    fs::write(folder.join("index.html"), "hello\n").unwrap();
    folder
}

const APPSPEC: &str =
    "version: 0.0\nos: linux\nfiles:\n  - source: index.html\n    destination: /srv/shop\n";

fn a_deployment_without_hosts_fails_and_is_explained(rig: &mut Rig) {
    let shop = file(rig, "shop.yml", SHOP);
    let applied = rig.told(&["app", "apply", &shop]);
    assert_eq!(applied.matches(" made").count(), 3, "{applied}");
    let again = rig.told(&["group", "apply", "-f", &shop]);
    assert_eq!(again.matches(" configured").count(), 3, "{again}");
    assert_eq!(rig.told(&["app", "list", "-o", "name"]), "shop\n");
    assert_eq!(rig.told(&["group", "list", "shop", "-o", "name"]), "prod\n");
    let configs = rig.told(&["deployment-config", "list", "-o", "name"]);
    assert!(configs.starts_with("CodeDeployDefault.") && configs.ends_with("careful\n"));
    let careful = rig.told(&["deployment-config", "get", "careful"]);
    assert!(careful.contains("75%"), "{careful}");

    let folder = revision(rig, "site", APPSPEC);
    let folder = folder.to_str().unwrap();
    // A deployer's token is enough for all of it.
    let token = rig.told(&[
        "token",
        "create",
        "ci",
        "--role",
        "deployer",
        "--project",
        "shop",
    ]);
    let mut deploy = rig.croft(&["deploy", "shop", "prod", "--revision", folder, "--watch"]);
    let output = deploy.env("CROFT_TOKEN", token.trim()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}{complained}");
    assert!(said.contains("NO_INSTANCES"), "{said}");
    assert!(said.contains("the group shop/prod has no hosts"), "{said}");

    let id = rig.told(&["deployment", "list", "-o", "name"]);
    let id = id.trim();
    let explained = rig.told(&["deployment", "explain", id]);
    assert!(
        explained.starts_with(&format!(
            "Deployment {id} of shop/prod: Failed, NO_INSTANCES"
        )),
        "{explained}"
    );
    let info = rig.told_json(&["deployment", "get", id]);
    assert_eq!(info["status"], "Failed");
    assert_eq!(info["revision"]["origin"]["location"], folder);
    assert!(info["createTime"].as_f64() <= info["completeTime"].as_f64());
    assert_eq!(rig.told(&["deployment", "targets", id, "-o", "name"]), "");
    rig.ran(&["deployment", "targets", id, "h1"]).assert_code(5);
    // The same revision by its digest, without its folder.
    let digest = info["revision"]["digest"].as_str().unwrap();
    let second = rig.told(&["deploy", "shop", "prod", "--revision", digest, "--detach"]);
    rig.ran(&["deployment", "watch", second.trim()])
        .assert_code(1);
    let failed = rig.told(&["deployment", "list", "--status", "failed", "-o", "name"]);
    assert_eq!(failed.lines().count(), 2, "{failed}");

    // What was deployed is the ledger's: a server that was killed knows it again.
    rig.servers[0].kill();
    rig.restart_server(0);
    let after = rig.told_json(&["deployment", "get", id]);
    assert_eq!(after, info);
    let group: Value = rig.told_json(&["group", "get", "shop", "prod"]);
    assert_eq!(group["deploymentConfigName"], "careful");
    let in_use = rig.ran(&["deployment-config", "delete", "careful"]);
    in_use.assert_code(5);
    assert!(in_use.stderr.contains("in use by"), "{}", in_use.stderr);
    rig.told(&["group", "delete", "shop", "prod"]);
    rig.told(&["deployment-config", "delete", "careful"]);
    rig.told(&["app", "delete", "shop"]);
    assert!(
        rig.told(&["audit", "--verify"])
            .contains("as it was written")
    );
}

fn what_a_build_made_is_deployed_by_its_name(rig: &mut Rig) {
    let shop = file(rig, "shop.yml", SHOP);
    rig.told(&["app", "apply", &shop]);
    let deploy = |build: &str| {
        let revision = format!("build:{build}");
        rig.ran(&[
            "deploy",
            "shop",
            "prod",
            "--detach",
            "--revision",
            &revision,
        ])
    };
    let built = |name: &str, artifacts: &str| {
        let spec = format!("version: 0.2\nphases: {{build: {{commands: ['true']}}}}\n{artifacts}");
        let source = rig.source(name, &spec);
        fs::write(source.join("appspec.yml"), "version: 0.0\nos: linux\n").unwrap();
        let build = rig.detach(&source, &[]);
        rig.over_as(&build, "SUCCEEDED", 1);
        build
    };
    let build = built("site", "artifacts: {files: [appspec.yml]}\n");
    let started = deploy(&build);
    started.assert_code(0);
    let id = started.text();
    let info = rig.told_json(&["deployment", "get", id.trim()]);
    let origin = &info["revision"]["origin"];
    assert_eq!(origin["revisionType"], "Build", "{info:#}");
    let named = origin["buildId"].as_str().unwrap();
    assert!(build.ends_with(named.split_once(':').unwrap().1), "{named}");
    let refused = deploy(&built("bare", ""));
    refused.assert_code(5);
    assert!(
        refused.stderr.contains("no artifacts"),
        "{}",
        refused.stderr
    );
}

fn a_file_with_unknown_names_is_not_applied_at_all(rig: &mut Rig) {
    let half = file(
        rig,
        "half.yml",
        "- {applicationName: there}\n\
         - {applicationName: other, deploymentGroupName: prod}\n\
         - {applicationName: there, deploymentGroupName: prod, deploymentConfigName: carefull}\n\
         - {applicationName: there, deploymentGroupName: test, deploymentConfigName: CodeDeployDefault.AllAtOnce}\n",
    );
    let ran = rig.ran(&["app", "apply", &half]);
    ran.assert_code(5);
    for part in [
        "half.yml:2:",
        "there is no application `other`",
        "half.yml:3:",
        "there is no deployment configuration `carefull`",
        "for 2 mistakes; nothing of it is applied",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    assert_eq!(rig.told(&["app", "list", "-o", "name"]), "");
    let paced = file(
        rig,
        "paced.yml",
        "- {applicationName: there}\n\
         - {applicationName: there, deploymentGroupName: prod, deploymentConfigName: CodeDeployDefault.ECSCanary10Percent5Minutes}\n",
    );
    let ran = rig.ran(&["app", "apply", &paced]);
    ran.assert_code(5);
    for part in ["paced.yml:2:", "moves traffic step by step", "BLUE_GREEN"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
}

fn a_revision_that_lacks_what_its_appspec_names_is_not_uploaded(rig: &mut Rig) {
    let lacking = format!("{APPSPEC}hooks:\n  AfterInstall:\n    - location: start.sh\n");
    revision(rig, "lacking", &lacking);
    let ran = rig.ran(&["deploy", "shop", "prod", "--revision", "lacking"]);
    ran.assert_code(5);
    for part in [
        "lacking/appspec.yml:8:17",
        "there is no `start.sh` in the revision",
        "nothing is deployed",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
}

fn what_is_wrong_is_refused_before_anything_happens(rig: &mut Rig) {
    let says = |words: &[&str], part: &str| {
        let ran = rig.ran(words);
        ran.assert_code(5);
        let said = format!("{}{}", ran.text(), ran.stderr);
        assert!(said.contains(part), "{words:?}: {part} is not in\n{said}");
        assert!(!said.contains("panicked"), "{said}");
    };
    let shop = file(rig, "shop.yml", SHOP);
    rig.told(&["app", "apply", &shop]);
    let none = file(rig, "none.yml", "- {name: x}\n");
    says(&["app", "apply", &none], "a document without");
    says(&["app", "apply", "not-there.yml"], "not-there.yml");
    let wrong = file(
        rig,
        "wrong.yml",
        "applicationName: shop\ndeploymentGroupName: 'a b'\nx-croft: {bakeMinutes: 9999}\n",
    );
    says(&["group", "apply", &wrong], "deploymentGroupName `a b`");
    says(&["group", "apply", &wrong], "x-croft.bakeMinutes");
    let judged = file(
        rig,
        "judged.yml",
        "applicationName: shop\ndeploymentGroupName: prod\nx-croft: {verdicts: {a: b}}\n",
    );
    says(&["group", "apply", &judged], "x-croft.verdicts");
    let lost = file(
        rig,
        "lost.yml",
        "applicationName: other\ndeploymentGroupName: prod\n",
    );
    says(&["group", "apply", &lost], "no application `other`");
    says(&["app", "delete", "shop"], "delete its groups first");

    let mac = revision(rig, "mac", "version: 0.0\nos: mac\n");
    let deploy = ["deploy", "shop", "prod", "--detach", "--revision"];
    let of = |folder: &'static str| [&deploy[..], &[folder]].concat();
    says(&of("mac"), "bad-os");
    assert!(mac.join("appspec.yml").exists());
    says(&of("nowhere"), "nowhere");
    fs::create_dir_all(rig.folder().join("empty")).unwrap();
    says(&of("empty"), "no appspec.yml");
    revision(rig, "site", APPSPEC);
    says(
        &[&of("site")[..], &["--config", "none"]].concat(),
        "no deployment configuration `none`",
    );
    let digest = "ab".repeat(32);
    says(&[&deploy[..], &[&digest]].concat(), "upload it (again)");
    says(
        &["deploy", "shop", "none", "--revision", "site"],
        "no deployment group `shop/none`",
    );
    for words in [
        ["deployment", "get", "d-AAAAAAAAA"],
        ["deployment", "stop", "d-AAAAAAAAA"],
        ["deployment", "explain", "nonsense"],
    ] {
        says(&words, "there is no deployment");
    }
    says(
        &["deployment", "rollback", "shop", "prod"],
        "no earlier deployment",
    );
    says(
        &["deployment", "list", "--status", "good"],
        "Succeeded, Failed",
    );
    says(&["host", "get", "h1"], "no host `h1`");
    says(&["host", "revoke", "h1"], "no host `h1`");
    says(&["host", "tag", "h1", "=x"], "KEY=VALUE");
    assert_eq!(rig.told(&["deployment", "list", "-o", "name"]), "");
}
