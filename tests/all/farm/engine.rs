//! A container engine of a test's own that ends and comes back, as it does when it is upgraded: what ran in its containers runs again, and
//! ends once.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::harness::rig::{Rig, commands, in_size};
use crate::harness::{At, eventually, skip};

in_size!(small SMALL, |plan| plan.soon();
    a_build_outlives_its_engine,
);

/// Seconds that the build sleeps during which its engine goes: longer than the ten that an engine gives a container to end.
const NAP: u32 = 14;

/// A Docker Engine without networks that nobody else uses. Dropped, it ends.
struct Engine {
    child: Option<Child>,
    folder: TempDir,
}

impl Engine {
    fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("croft-engine-")
            .tempdir_in("/var/tmp")
            .unwrap();
        std::fs::write(folder.path().join("settings.json"), "{}").unwrap();
        let mut engine = Self {
            child: None,
            folder,
        };
        engine.run();
        engine
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn address(&self) -> String {
        format!("unix://{}", self.at("socket").display())
    }

    fn run(&mut self) {
        let log = std::fs::File::create(self.at("log")).unwrap();
        let named = |flag: &str, path: &Path| format!("{flag}={}", path.display());
        // With no bridge of its own an engine removes `docker0`, which is this machine's engine's.
        let child = Command::new("unshare")
            .args(["--net", "dockerd"])
            .arg(named("--config-file", &self.at("settings.json")))
            .arg(named("--data-root", &self.at("data")))
            .arg(named("--exec-root", &self.at("exec")))
            .arg(named("--pidfile", &self.at("pid")))
            .arg(format!("--host={}", self.address()))
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        eventually("the engine answers", || self.docker(&["version"]).is_some());
    }

    /// As an upgrade does: it is asked to end, and ends its containers.
    fn stop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        child.wait().unwrap();
    }

    /// What `docker` prints for these words; none when it fails.
    fn docker(&self, words: &[&str]) -> Option<String> {
        let mut command = Command::new("docker");
        let output = command.arg("--host").arg(self.address()).args(words);
        let output = output.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).trim().to_string();
        output.status.success().then_some(text)
    }

    /// Gives it an image that this machine's engine has.
    fn load(&self, image: &str) {
        let archive = self.at("image.tar");
        let saved = Command::new("docker")
            .args(["save", image, "--output"])
            .arg(&archive)
            .status();
        assert!(saved.unwrap().success());
        self.docker(&["load", "--input", archive.to_str().unwrap()])
            .unwrap();
    }

    fn containers(&self) -> Vec<String> {
        let told = self.docker(&["ps", "--all", "--quiet"]).unwrap();
        told.lines().map(str::to_string).collect()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

fn a_build_outlives_its_engine(rig: &mut Rig) {
    let Some(image) = At::CONTAINER.farm().and_then(|farm| farm.at().image) else {
        return;
    };
    if Command::new("dockerd").arg("--version").output().is_err() {
        skip("dockerd is not here: run scripts/setup");
        return;
    }
    let mut engine = Engine::start();
    engine.load(image);
    rig.servers[0].kill();
    rig.servers[0].set("DOCKER_HOST", engine.address());
    rig.servers[0]
        .words()
        .extend(["--network".into(), "none".into()]);
    rig.restart_server(0);

    let nap = format!(
        "cat /etc/os-release; sleep {}; echo rested",
        rig.seconds(NAP)
    );
    let source = rig.source("contained", &commands(&[&nap]));
    let id = rig.detach(&source, &["--image", image]);
    rig.until_sleeping(NAP, 1);
    assert_eq!(engine.containers().len(), 1);
    engine.stop();
    // One that is accepted while there is none waits for it.
    let waiting = rig.detach(&source, &["--image", image]);
    engine.run();
    let build = rig.over(&id);
    let attempts = build["x-croft"]["attempts"].as_u64().unwrap();
    rig.over_as(&id, "SUCCEEDED", attempts);
    assert!(attempts >= 2, "it ran on without an engine: {build}");
    let log = rig.log(&id);
    assert_eq!(log.matches("\nrested\n").count(), 1, "{log}");
    assert_eq!(rig.over(&waiting)["buildStatus"], "SUCCEEDED");
    eventually("no container is left", || engine.containers().is_empty());
    rig.assert_nothing_left();
}
