//! What scripts print on hosts, seen while they run: by who follows at any server, however much it is, and whatever happens to servers.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::deploy::{Fleet, scripts};
use crate::harness::eventually;
use crate::harness::rig::{Rig, each_size};

each_size!(small large |plan| plan;
    lines_are_seen_before_their_script_has_ended,
    a_script_that_prints_more_than_anybody_takes_goes_well,
    a_release_that_prints_outlives_its_servers,
);

/// A croft that follows what hosts print. Dropped, it is killed.
struct Follower {
    child: Child,
    said: PathBuf,
}

impl Follower {
    /// Asks the last server: the first host asks the first.
    fn of(rig: &Rig, id: &str) -> Self {
        let said = rig.folder().join(format!("{id}.said"));
        let mut croft = rig.croft(&["deployment", "output", id, "--follow"]);
        let server = rig.addresses.last().unwrap();
        croft.env("CROFT_SERVER", format!("http://{server}"));
        croft.stdout(File::create(&said).unwrap());
        croft.stderr(Stdio::null());
        let child = croft.spawn().unwrap();
        Self { child, said }
    }

    fn text(&self) -> String {
        let bytes = std::fs::read(&self.said).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn sees(&self, line: &str) {
        let line = format!("{line}\n");
        eventually(&format!("{line:?} is seen"), || self.text().contains(&line));
    }

    /// Everything that it said, once it has ended by itself.
    fn ended(mut self) -> String {
        let mut status = None;
        eventually("the follower ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let text = self.text();
        assert!(status.unwrap().success(), "{text}");
        text
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

fn succeeded(fleet: &Fleet<'_>, id: &str) {
    let info = fleet.over(id);
    assert_eq!(info["status"], "Succeeded", "{info:#}");
}

/// Until the test says that it may end.
const WAITS: &str = "while ! test -e \"$HOST_ROOT/go\"; do sleep 0.05; done";

fn lines_are_seen_before_their_script_has_ended(rig: &mut Rig) {
    let revision = scripts(
        rig,
        "one",
        &format!("echo first; {WAITS}; echo and >&2; echo last"),
    );
    let fleet = Fleet::start_with(rig, json!({}), &[("web-1", 0)]);
    let id = fleet.deploy(&revision);
    let follower = Follower::of(fleet.rig, &id);
    follower.sees("web-1 ValidateService | first");
    let text = follower.text();
    assert!(!text.contains("last"), "{text}");
    std::fs::write(fleet.root("web-1").join("go"), "").unwrap();
    let text = follower.ended();
    let lines = ["first", "and", "last"].map(|line| format!("web-1 ValidateService | {line}\n"));
    for line in &lines {
        assert_eq!(text.matches(line.as_str()).count(), 1, "{text}");
    }
    succeeded(&fleet, &id);
    // What is kept is seen by who comes later, too.
    let later = fleet.rig.told(&["deployment", "output", &id]);
    assert_eq!(later, text);
    let none = ["deployment", "output", &id, "--host", "web-2"];
    let refused = fleet.rig.ran(&none);
    refused.assert_code(5);
    let story = refused.story();
    assert!(story.contains("did you mean `web-1`?"), "{story}");
    let json = fleet.rig.told_json(&["deployment", "output", &id]);
    let is_last = |line: &&Value| line["text"] == "last";
    let last = json.as_array().unwrap().iter().find(is_last).unwrap();
    assert_eq!(
        (&last["script"], &last["stream"]),
        (&json!("check.sh"), &json!("stdout"))
    );
    let watched = fleet.rig.told(&["deployment", "watch", &id]);
    let end = watched.lines().last().unwrap();
    assert!(end.starts_with(&format!("{id} Succeeded")), "{watched}");
    assert!(watched.contains(&format!("    {}", lines[2])), "{watched}");
}

/// The most memory that a process ever had, in KiB.
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse().unwrap()
}

fn a_script_that_prints_more_than_anybody_takes_goes_well(rig: &mut Rig) {
    const PRINTED_BYTES: u64 = 50 << 20;
    const MORE_KIB_MAX: u64 = 16 << 10;
    let much =
        format!("head -c {PRINTED_BYTES} /dev/zero | tr '\\0' x | fold -w 4000; echo; echo last");
    let (little, much) = (
        scripts(rig, "little", "echo little"),
        scripts(rig, "much", &much),
    );
    let fleet = Fleet::start_with(rig, json!({}), &[("web-1", 0)]);
    succeeded(&fleet, &fleet.deploy(&little));
    let before = peak_kib(fleet.agents[0].pid());
    let id = fleet.deploy(&much);
    let follower = Follower::of(fleet.rig, &id);
    let text = follower.ended();
    succeeded(&fleet, &id);
    let after = peak_kib(fleet.agents[0].pid());
    assert!(after - before < MORE_KIB_MAX, "{before} {after}");
    assert!(text.contains(" bytes were left out"), "{}", text.len());
    assert!(
        text.ends_with("web-1 ValidateService | last\n"),
        "{}",
        text.len()
    );
    assert!((text.len() as u64) < PRINTED_BYTES, "{}", text.len());
}

fn a_release_that_prints_outlives_its_servers(rig: &mut Rig) {
    let prints = "while ! test -e \"$HOST_ROOT/go\"; do echo on; echo >> \"$HOST_ROOT/on\"; sleep 0.02; done; echo last";
    let revision = scripts(rig, "one", prints);
    let fleet = Fleet::start_with(rig, json!({}), &[("web-1", 0)]);
    let id = fleet.deploy(&revision);
    let follower = Follower::of(fleet.rig, &id);
    follower.sees("web-1 ValidateService | on");
    let on = fleet.root("web-1").join("on");
    let printed = || std::fs::metadata(&on).unwrap().len();
    for server in &fleet.rig.servers {
        server.signal(Signal::STOP);
    }
    let frozen = printed();
    eventually(
        "the script goes on beside servers that do not answer",
        || printed() > frozen + 50,
    );
    for server in &mut fleet.rig.servers {
        server.kill();
    }
    for server in 0..fleet.rig.servers.len() {
        fleet.rig.restart_server(server);
    }
    let seen = follower.text().len();
    // It is seen again, by the same follower.
    eventually("more is seen", || follower.text().len() > seen);
    std::fs::write(fleet.root("web-1").join("go"), "").unwrap();
    let text = follower.ended();
    assert!(text.ends_with("web-1 ValidateService | last\n"), "{text}");
    succeeded(&fleet, &id);
}
