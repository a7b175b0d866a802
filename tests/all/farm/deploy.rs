//! Revisions that reach hosts: real agents ask real servers, bring a revision's files, run its scripts, and take back what does not work.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::balanced::{Balanced, free_port};
use crate::harness::eventually;
use crate::harness::rig::{Cable, Rig, Role, each_size, http};

each_size!(small large |plan| plan;
    a_revision_reaches_every_host_and_a_bad_one_is_taken_back,
    a_host_that_comes_back_with_an_older_revision_is_brought_to_its_groups,
    a_rollback_that_fails_is_halted_and_nothing_follows,
    an_alarm_that_is_pushed_takes_a_release_back,
    a_group_that_is_made_again_takes_up_what_its_hosts_have,
);

each_size!(balanced_small balanced_large |plan| plan;
    a_release_behind_a_balancer_fails_no_request_and_a_bad_one_gets_none,
);

/// Hosts of the group, whose agents have the folder of their own in `HOST_ROOT`.
pub(super) struct Fleet<'r> {
    pub(super) rig: &'r mut Rig,
    pub(super) agents: Vec<Role>,
}

/// A revision whose files say which one it is, and whose check is that script. The hosts of a test have one disk: two that install it at
/// the same time are in each other's way.
fn revision(rig: &Rig, name: &str, check: &str) -> PathBuf {
    let site = rig.folder().join("site");
    let files = format!(
        "files:\n  - source: page\n    destination: {}\nfile_exists_behavior: OVERWRITE\n",
        site.display()
    );
    revision_with(rig, name, check, &files)
}

/// A revision of scripts alone, which any number of hosts may get at the same time.
pub(super) fn scripts(rig: &Rig, name: &str, check: &str) -> PathBuf {
    revision_with(rig, name, check, "")
}

fn revision_with(rig: &Rig, name: &str, check: &str, files: &str) -> PathBuf {
    let folder = rig.source(
        name,
        "version: 0.2\nphases: {build: {commands: [\"true\"]}}\n",
    );
    let spec = format!(
        "version: 0.0\nos: linux\n{files}hooks:\n  ApplicationStart:\n    - location: start.sh\n      timeout: 60\n  \
         ValidateService:\n    - location: check.sh\n      timeout: 60\n"
    );
    std::fs::write(folder.join("appspec.yml"), spec).unwrap();
    std::fs::write(folder.join("page"), name).unwrap();
    let start = format!("#!/bin/sh\necho {name} >> \"$HOST_ROOT/started\"\n");
    script(&folder.join("start.sh"), &start);
    script(&folder.join("check.sh"), &format!("#!/bin/sh\n{check}\n"));
    folder
}

pub(super) fn script(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

impl<'r> Fleet<'r> {
    /// Two hosts of one group.
    fn start(rig: &'r mut Rig, more: Value) -> Self {
        Self::start_with(rig, more, &[("web-1", 0), ("web-2", 0)])
    }

    /// Hosts of those names, which serve at those ports if they serve at all.
    pub(super) fn start_with(rig: &'r mut Rig, more: Value, hosts: &[(&str, u16)]) -> Self {
        let mut group = json!({
            "deploymentConfigName": "CodeDeployDefault.OneAtATime",
            "autoRollbackConfiguration": {"enabled": true,
                "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"]},
            "x-croft": {"bakeMinutes": 0},
        });
        let more = more.as_object().unwrap().clone();
        group.as_object_mut().unwrap().extend(more);
        let mut fleet = Self::of(rig, "Server", group);
        for (name, port) in hosts {
            fleet.add_with(name, *port, &[]);
        }
        fleet
    }

    /// A group without hosts yet, of an application that runs on that.
    pub(super) fn of(rig: &'r mut Rig, platform: &str, mut group: Value) -> Self {
        group["ec2TagFilters"] = json!([{"Key": "role", "Value": "web", "Type": "KEY_AND_VALUE"}]);
        let application = json!({"computePlatform": platform});
        for (path, body) in [
            ("/v1/applications/shop", application),
            ("/v1/applications/shop/groups/web", group),
        ] {
            let answer = rig.ask("PUT", path, &body.to_string());
            assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        }
        Self {
            rig,
            agents: Vec::new(),
        }
    }

    /// What hosts keep of the group is kept under this.
    pub(super) fn group_id(&self) -> String {
        let group = self.rig.get("/v1/applications/shop/groups/web");
        let id = group["deploymentGroupInfo"]["deploymentGroupId"].as_str();
        id.unwrap().to_string()
    }

    /// Another host, whose agent has these variables.
    pub(super) fn add_with(&mut self, name: &str, port: u16, variables: &[(&str, &str)]) {
        let mut agent = self.invited(name, port);
        for (variable, value) in variables {
            agent = agent.with(variable, *value);
        }
        self.join(name, agent);
    }

    /// Another host, which reaches its farm over that cable.
    pub(super) fn add_over(&mut self, cable: &Cable, name: &str, port: u16) {
        let agent = self.invited_at(&cable.near(), name, port);
        self.join(name, agent);
    }

    /// Another host, that shares no `/srv` and no `/run` with others.
    pub(super) fn add_apart(&mut self, name: &str) {
        let own = self.root(name);
        let agent = self.invited(name, 0).on_a_host(&own);
        self.join(name, agent);
    }

    fn join(&mut self, name: &str, mut agent: Role) {
        agent.start();
        agent.says(&format!("host {name} of "));
        // It belongs to the farm from now on.
        agent.words().truncate(1);
        self.agents.push(agent);
    }

    /// A host's agent that is to be started.
    fn invited(&self, name: &str, port: u16) -> Role {
        let at = self.agents.len() % self.rig.addresses.len();
        self.invited_at(&self.rig.addresses[at], name, port)
    }

    /// One that finds its farm there.
    fn invited_at(&self, address: &str, name: &str, port: u16) -> Role {
        let body = json!({"host": name, "tags": [{"Key": "role", "Value": "web"}]});
        let invited = self
            .rig
            .ask("POST", "/v1/hosts/invitations", &body.to_string());
        assert_eq!(invited.status, 201, "{}", invited.text());
        let token = invited.json()["token"].as_str().unwrap().to_string();
        let server = format!("http://{address}");
        let root = self.root(name);
        std::fs::create_dir_all(&root).unwrap();
        let words = ["agent", "--server", &server, "--invitation", &token];
        Role::new(self.rig.folder(), name, &words)
            .with("HOST_ROOT", root.display().to_string())
            .with("HOST_PORT", port.to_string())
    }

    /// The folder of a host's own.
    pub(super) fn root(&self, name: &str) -> PathBuf {
        self.rig.folder().join("roots").join(name)
    }

    /// What a host's revisions wrote when they were started.
    pub(super) fn started(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.root(name).join("started"));
        let text = text.unwrap_or_default();
        text.lines().map(str::to_string).collect()
    }

    /// Starts a deployment of a revision; its id.
    pub(super) fn deploy(&self, revision: &Path) -> String {
        self.deploy_with(revision, &json!({}))
    }

    /// The same, with other settings.
    pub(super) fn deploy_with(&self, revision: &Path, more: &Value) -> String {
        // A build's source is a tree of the farm's store like any other.
        let build = self.rig.detach(revision, &[]);
        let tree = self.rig.build(&build)["source"]["x-croft"]["tree"].clone();
        let mut body = json!({
            "applicationName": "shop", "deploymentGroupName": "web",
            "revision": {"digest": tree, "origin": {"revisionType": "Local Directory", "location": "/r"}},
        });
        let more = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(more);
        let started = self.rig.ask("POST", "/v1/deployments", &body.to_string());
        assert_eq!(started.status, 201, "{}", started.text());
        started.json()["deploymentId"].as_str().unwrap().to_string()
    }

    pub(super) fn info(&self, id: &str) -> Value {
        self.rig.get(&format!("/v1/deployments/{id}"))["deploymentInfo"].clone()
    }

    /// The deployment once it is over.
    pub(super) fn over(&self, id: &str) -> Value {
        let mut info = Value::Null;
        eventually("a deployment is over", || {
            info = self.info(id);
            ["Succeeded", "Failed", "Stopped", "Halted"]
                .iter()
                .any(|status| info["status"] == *status)
        });
        info
    }

    /// The deployment that took one back, once it is over.
    pub(super) fn taken_back(&self, info: &Value) -> Value {
        let id = info["rollbackInfo"]["rollbackDeploymentId"].as_str();
        self.over(id.unwrap_or_else(|| panic!("{info:#}")))
    }
}

fn a_revision_reaches_every_host_and_a_bad_one_is_taken_back(rig: &mut Rig) {
    let (good, bad) = (
        revision(rig, "good", "grep -q good \"$HOST_ROOT/started\""),
        revision(rig, "bad", "echo it does not answer; exit 7"),
    );
    let fleet = Fleet::start(rig, json!({}));
    let first = fleet.over(&fleet.deploy(&good));
    assert_eq!(first["status"], "Succeeded", "{first:#}");
    assert_eq!(first["deploymentOverview"]["Succeeded"], 2);
    for host in ["web-1", "web-2"] {
        assert_eq!(fleet.started(host), ["good"]);
    }
    let page = fleet.rig.folder().join("site/page");
    assert_eq!(std::fs::read_to_string(&page).unwrap(), "good");
    let second = fleet.over(&fleet.deploy(&bad));
    assert_eq!(second["status"], "Failed", "{second:#}");
    let failure = &second["errorInformation"]["x-croft-firstFailure"];
    assert_eq!(failure["event"], "ValidateService", "{second:#}");
    assert_eq!(failure["scriptName"], "check.sh");
    assert!(
        failure["logTail"]
            .as_str()
            .unwrap()
            .contains("it does not answer"),
        "{failure:#}"
    );
    let back = fleet.taken_back(&second);
    assert_eq!(back["status"], "Succeeded", "{back:#}");
    assert_eq!(back["creator"], "codeDeployRollback");
    assert_eq!(std::fs::read_to_string(&page).unwrap(), "good");
    // One at a time: the second host never had the bad one.
    let tried: Vec<_> = ["web-1", "web-2"]
        .iter()
        .filter(|host| fleet.started(host).contains(&"bad".to_string()))
        .collect();
    assert_eq!(tried.len(), 1, "{tried:?}");
}

/// As a machine does that is restored from last night's copy.
fn a_host_that_comes_back_with_an_older_revision_is_brought_to_its_groups(rig: &mut Rig) {
    let (one, two) = (revision(rig, "one", "true"), revision(rig, "two", "true"));
    let mut fleet = Fleet::start(rig, json!({}));
    assert_eq!(fleet.over(&fleet.deploy(&one))["status"], "Succeeded");
    let home = fleet.agents[0].home().to_path_buf();
    let copy = fleet.rig.folder().join("copy");
    copied(&home, &copy);
    assert_eq!(fleet.over(&fleet.deploy(&two))["status"], "Succeeded");
    assert_eq!(fleet.started("web-1"), ["one", "two"]);
    fleet.agents[0].kill();
    std::fs::remove_dir_all(&home).unwrap();
    copied(&copy, &home);
    fleet.agents[0].start();
    eventually("it is brought to its group's revision", || {
        fleet.started("web-1") == ["one", "two", "two"]
    });
    let mut latest = Value::Null;
    eventually("the update is over", || {
        latest = fleet.rig.get("/v1/deployments")["deployments"][0].clone();
        latest["status"] == "Succeeded"
    });
    assert_eq!(latest["creator"], "CodeDeployAutoUpdate", "{latest:#}");
    assert_eq!(fleet.started("web-2"), ["one", "two"], "it was not away");
}

fn copied(from: &Path, to: &Path) {
    let made = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(made.unwrap().success());
}

/// One host comes back, the next does not, and the last is not begun: each is told of.
fn a_rollback_that_fails_is_halted_and_nothing_follows(rig: &mut Rig) {
    let good = scripts(rig, "good", "test ! -e \"$HOST_ROOT/spoiled\"");
    let bad = scripts(rig, "bad", "true");
    let hosts = ["web-1", "web-2", "web-3"];
    let more =
        json!({"alarmConfiguration": {"enabled": true, "alarms": [{"name": "TooManyErrors"}]}});
    let fleet = Fleet::start_with(rig, more, &hosts.map(|host| (host, 0)));
    let first = fleet.over(&fleet.deploy(&good));
    assert_eq!(first["status"], "Succeeded", "{first:#}");
    let id = fleet.deploy_with(&bad, &json!({"x-croft": {"bakeMinutes": 30}}));
    eventually("it bakes", || fleet.info(&id)["status"] == "Baking");
    std::fs::write(fleet.root("web-2").join("spoiled"), "").unwrap();
    alert(&fleet, "TooManyErrors");
    let second = fleet.over(&id);
    assert_eq!(second["status"], "Stopped", "{second:#}");
    let back = fleet.taken_back(&second);
    assert_eq!(back["status"], "Halted", "{back:#}");
    assert_eq!(back["rollbackInfo"]["rollbackDeploymentId"], Value::Null);
    let explained = fleet.rig.told(&[
        "deployment",
        "explain",
        back["deploymentId"].as_str().unwrap(),
    ]);
    let said = back["errorInformation"]["message"]
        .as_str()
        .unwrap_or_default();
    for part in [
        "Back on the good revision: web-1.",
        "Failed on the way back: web-2.",
        "Left as the other deployment left them: web-3.",
    ] {
        assert!(said.contains(part), "{part}: {back:#}");
        assert!(explained.contains(part), "{part}: {explained}");
    }
    let last = hosts.map(|host| fleet.started(host).pop().unwrap());
    assert_eq!(last, ["good", "good", "bad"], "the second was begun, too");
    let all = fleet.rig.get("/v1/deployments");
    assert_eq!(
        all.to_string().matches("\"deploymentId\"").count(),
        3,
        "{all:#}"
    );
}

fn an_alarm_that_is_pushed_takes_a_release_back(rig: &mut Rig) {
    let (old, new) = (revision(rig, "old", "true"), revision(rig, "new", "true"));
    let fleet = Fleet::start(
        rig,
        json!({"alarmConfiguration": {"enabled": true, "alarms": [{"name": "TooManyErrors"}]},
            "x-croft": {"bakeMinutes": 30}}),
    );
    let first = fleet.deploy(&old);
    eventually("it bakes", || fleet.info(&first)["status"] == "Baking");
    let go_on = fleet
        .rig
        .ask("POST", &format!("/v1/deployments/{first}/continue"), "{}");
    assert_eq!(go_on.status, 200, "{}", go_on.text());
    assert_eq!(fleet.over(&first)["status"], "Succeeded");
    let second = fleet.deploy(&new);
    eventually("it bakes", || fleet.info(&second)["status"] == "Baking");
    alert(&fleet, "TooManyErrors");
    let info = fleet.over(&second);
    assert_eq!(info["status"], "Stopped", "{info:#}");
    assert_eq!(info["x-croft"]["finding"]["by"], "alarm TooManyErrors");
    let back = fleet.taken_back(&info);
    assert_eq!(back["status"], "Succeeded", "{back:#}");
    for host in ["web-1", "web-2"] {
        assert_eq!(fleet.started(host), ["old", "new", "old"]);
    }
}

/// A revision of one file with its name, whose scripts say when they stop it.
fn of_a_file(rig: &Rig, name: &str, check: &str) -> PathBuf {
    let folder = revision(rig, name, check);
    std::fs::write(folder.join(name), name).unwrap();
    let site = rig.folder().join("site");
    let spec = format!(
        "version: 0.0\nos: linux\nfiles:\n  - source: {name}\n    destination: {}\nhooks:\n  ApplicationStop:\n    - location: stop.sh\n      timeout: 60\n  \
         ValidateService:\n    - location: check.sh\n      timeout: 60\n",
        site.display()
    );
    std::fs::write(folder.join("appspec.yml"), spec).unwrap();
    let stop = format!("#!/bin/sh\necho {name} >> \"$HOST_ROOT/stopped\"\n");
    script(&folder.join("stop.sh"), &stop);
    folder
}

/// What was there is stopped and its files go, as if the group had never been gone; and what fails goes back to what is there.
fn a_group_that_is_made_again_takes_up_what_its_hosts_have(rig: &mut Rig) {
    let (one, two) = (of_a_file(rig, "one", "true"), of_a_file(rig, "two", "true"));
    let bad = of_a_file(rig, "bad", "exit 1");
    let site = rig.folder().join("site");
    let has = || -> Vec<String> {
        let files = std::fs::read_dir(&site).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.collect()
    };
    let fleet = Fleet::start_with(rig, json!({}), &[("web-1", 0)]);
    assert_eq!(fleet.over(&fleet.deploy(&one))["status"], "Succeeded");
    let path = "/v1/applications/shop/groups/web";
    let mut group = fleet.rig.get(path)["deploymentGroupInfo"].clone();
    let told = fleet.rig.told(&["group", "delete", "shop", "web"]);
    assert!(told.contains("it leaves web-1 with the revision"), "{told}");
    // As somebody's own document of it, which knows nothing of what was.
    let settings = group.as_object_mut().unwrap();
    settings.retain(|key, _| {
        [
            "deploymentConfigName",
            "autoRollbackConfiguration",
            "ec2TagFilters",
        ]
        .contains(&key.as_str())
    });
    let made = fleet.rig.ask("PUT", path, &group.to_string());
    assert_eq!(made.status, 201, "{}", made.text());
    let notes = made.json()["notes"].to_string();
    assert!(notes.contains("finds web-1 with the revision"), "{notes}");
    let stopped = || std::fs::read_to_string(fleet.root("web-1").join("stopped")).unwrap();
    let second = fleet.over(&fleet.deploy(&two));
    assert_eq!(second["status"], "Succeeded", "{second:#}");
    assert_eq!(
        (stopped().as_str(), has()),
        ("one\n", vec!["two".to_string()])
    );
    let third = fleet.over(&fleet.deploy(&bad));
    assert_eq!(third["status"], "Failed", "{third:#}");
    let back = fleet.taken_back(&third);
    assert_eq!(back["status"], "Succeeded", "{back:#}");
    assert_eq!(has(), ["two"]);
    let info = fleet.rig.get(path)["deploymentGroupInfo"].clone();
    assert_eq!(info["x-croft-state"]["generation"], 4, "{info:#}");
}

/// A revision that serves its page; a bad one does not stay up.
pub(super) fn served(rig: &Rig, name: &str, check: &str) -> PathBuf {
    let folder = revision(rig, name, check);
    let spec = "version: 0.0\nos: linux\nhooks:\n  ApplicationStop:\n    - location: stop.sh\n      timeout: 60\n  \
                ApplicationStart:\n    - location: start.sh\n      timeout: 60\n  ValidateService:\n    - location: check.sh\n      timeout: 60\n";
    std::fs::write(folder.join("appspec.yml"), spec).unwrap();
    let stop = "#!/bin/sh\nkill $(cat \"$HOST_ROOT/pid\")\n";
    script(&folder.join("stop.sh"), stop);
    let start = format!(
        "#!/bin/sh\nmkdir -p \"$HOST_ROOT/www\"\necho {name} > \"$HOST_ROOT/www/page\"\n\
         busybox httpd -f -p 127.0.0.1:$HOST_PORT -h \"$HOST_ROOT/www\" < /dev/null > /dev/null 2>&1 &\necho $! > \"$HOST_ROOT/pid\"\n"
    );
    script(&folder.join("start.sh"), &start);
    folder
}

/// Tells each server that it fires, as Alertmanager does.
pub(super) fn alert(fleet: &Fleet<'_>, name: &str) {
    let message = json!({"version": "4", "groupKey": "k", "status": "firing", "alerts": [{
        "status": "firing", "labels": {"alertname": name}, "annotations": {},
        "startsAt": in_a_second(), "fingerprint": "f"}]});
    for address in fleet.rig.addresses.clone() {
        let token = format!("Bearer {}", fleet.rig.token);
        let headers = [("Authorization", token.as_str())];
        let pushed = http::ask(
            &address,
            "POST",
            "/v1/alerts",
            &headers,
            message.to_string().as_bytes(),
        );
        assert_eq!(pushed.unwrap().status, 200);
    }
}

/// Everything that is asked while releases come and go is answered, by a revision that was meant to.
fn a_release_behind_a_balancer_fails_no_request_and_a_bad_one_gets_none(rig: &mut Rig) {
    let ports = [("web-1", free_port()), ("web-2", free_port())];
    let Some(balanced) = Balanced::start(rig.folder(), &ports) else {
        return;
    };
    let revisions = [
        served(rig, "one", "true"),
        served(rig, "two", "true"),
        served(rig, "bad", "exit 1"),
    ];
    let style = json!({"deploymentType": "IN_PLACE", "deploymentOption": "WITH_TRAFFIC_CONTROL"});
    let router = json!({"type": "haproxy", "socket": balanced.socket, "backend": "web"});
    let more = json!({"deploymentStyle": style, "x-croft": {"bakeMinutes": 0, "router": router}});
    let fleet = Fleet::start_with(rig, more, &ports);
    let first = fleet.over(&fleet.deploy(&revisions[0]));
    assert_eq!(first["status"], "Succeeded", "{first:#}");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let asking = threads.spawn(|| {
            let (mut seen, mut failed) = (BTreeMap::<String, u32>::new(), 0);
            while !is_over.load(Ordering::Relaxed) {
                match balanced.page() {
                    Some(page) => *seen.entry(page.trim().to_string()).or_default() += 1,
                    None => failed += 1,
                }
            }
            (seen, failed)
        });
        let second = fleet.over(&fleet.deploy(&revisions[1]));
        let third = fleet.over(&fleet.deploy(&revisions[2]));
        let back = fleet.taken_back(&third);
        is_over.store(true, Ordering::Relaxed);
        let (seen, failed) = asking.join().unwrap();
        assert_eq!(second["status"], "Succeeded", "{second:#}");
        assert_eq!(third["status"], "Failed", "{third:#}");
        assert_eq!(back["status"], "Succeeded", "{back:#}");
        assert_eq!(failed, 0, "{seen:?}");
        assert!(seen.len() == 2 && !seen.contains_key("bad"), "{seen:?}");
    });
    assert_eq!(balanced.page().unwrap().trim(), "two");
    for (host, _) in ports {
        let pid = std::fs::read_to_string(fleet.root(host).join("pid")).unwrap();
        let killed = Command::new("kill").arg(pid.trim()).status().unwrap();
        assert!(killed.success());
    }
}

/// A second from now, as Alertmanager writes it.
fn in_a_second() -> String {
    let now = std::time::SystemTime::now() + Duration::from_secs(1);
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    let date = Command::new("date")
        .args([
            "-u",
            "-d",
            &format!("@{}", since.as_secs()),
            "+%Y-%m-%dT%H:%M:%SZ",
        ])
        .output()
        .unwrap();
    String::from_utf8_lossy(&date.stdout).trim().to_string()
}
