//! Containers on a real engine. Where none answers, every test says that it was skipped, or fails if it was told that there must be one
//! (`CROFT_REQUIRE_ENGINE=1`).

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use croft_proto::deploy::{
    Colour, ContainerOrder, Diagnostics, HostCommand, LifecycleEvent, ScriptErrorCode,
};
use tokio::runtime::Runtime;

use super::Containers;
use super::made::{LABEL_COLOUR, LABEL_GROUP, LABEL_HOST};
use super::scripts;
use crate::state::durable;
use crate::state::journal::Journal;
use crate::state::layout::GroupFolder;
use crate::testing::{Site, eventually, settings, skip};
use crate::{Host, LocalBundle, Settings, Unwatched};

use Colour::{Blue, Green};
use LifecycleEvent::{
    AfterAllowTraffic, ApplicationStart, ApplicationStop, BeforeInstall, DownloadBundle, Install,
    ValidateService,
};

const IMAGE: &str = "croft-test/busybox:1";

/// A host whose agent runs containers, and that leaves none.
struct Dock {
    site: Site,
    host: Host,
    name: String,
    ports: [u16; 2],
    runtime: Runtime,
    has_engine: bool,
}

impl Drop for Dock {
    fn drop(&mut self) {
        if !self.has_engine {
            return;
        }
        let label = format!("label={LABEL_HOST}={}", self.name);
        for id in docker(&["ps", "-aq", "--filter", &label]).lines() {
            docker(&["rm", "-fv", id]);
        }
    }
}

fn docker(words: &[&str]) -> String {
    let output = Command::new("docker").args(words).output().unwrap();
    assert!(
        output.status.success(),
        "{words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_string()
}

fn is_there(image: &str) -> bool {
    let asked = Command::new("docker")
        .args(["image", "inspect", image])
        .output();
    asked.unwrap().status.success()
}

fn has_engine(test: &str) -> bool {
    let asked = Command::new("docker")
        .args(["image", "inspect", IMAGE])
        .output();
    if asked.is_ok_and(|asked| asked.status.success()) {
        return true;
    }
    assert!(
        std::env::var_os("CROFT_REQUIRE_ENGINE").is_none_or(|value| value != "1"),
        "no container engine answers, or it has no {IMAGE}"
    );
    skip(
        test,
        &format!(
            "no container engine answers, or it has no {IMAGE}: run scripts/setup and scripts/test-image"
        ),
    );
    false
}

fn free_port() -> u16 {
    let held = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    held.local_addr().unwrap().port()
}

impl Dock {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("agent-test-{}-{number}", std::process::id());
        let site = Site::new();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let here = Ipv4Addr::LOCALHOST.into();
        let containers = Containers::new(runtime.handle().clone(), &name, here, None).unwrap();
        let settings = Settings {
            containers: Ok(containers),
            ..settings()
        };
        let host = Host::open(&site.folder.path().join("state"), settings).unwrap();
        Self {
            site,
            host,
            name,
            ports: [free_port(), free_port()],
            runtime,
            has_engine: true,
        }
    }

    /// A revision whose container runs that, with more lines of its container and of the AppSpec.
    fn revision(&self, number: u8, run: &str, more: &str, hooks: &str) -> LocalBundle {
        let spec = format!(
            "x-croft:\n  container:\n    image: image.tar\n    port: 8080\n    stopSeconds: 1\n    command: [/bin/sh, -c, '{run}']\n{more}{hooks}"
        );
        let srv = self.site.srv().display().to_string();
        let note = format!("#!/bin/sh\necho $LIFECYCLE_EVENT {number} >> {srv}/noted\n");
        let bundle = self.site.bundle(number, &spec, &[("note.sh", &note)]);
        let image = bundle.path.join("image.tar");
        docker(&["save", "-o", image.to_str().unwrap(), IMAGE]);
        bundle
    }

    /// One that serves a page with its number.
    fn page(&self, number: u8, hooks: &str) -> LocalBundle {
        let run =
            format!("mkdir -p /www; echo page {number} > /www/page; exec httpd -f -p 8080 -h /www");
        let check = "    healthCheck: {path: /page}\n";
        self.revision(number, &run, check, hooks)
    }

    /// Gives a revision an image of this test's own, which is nowhere else; its id.
    fn own_image(&self, bundle: &LocalBundle) -> String {
        let own = format!("croft-test/agent-{}:1", self.name);
        let file = bundle.path.join("image.tar");
        let container = docker(&["create", IMAGE, "true"]);
        let id = docker(&["commit", &container, &own]);
        docker(&["rm", &container]);
        docker(&["save", "-o", file.to_str().unwrap(), &own]);
        docker(&["rmi", &own]);
        id
    }

    fn command(&self, number: u8, event: LifecycleEvent, colour: Colour) -> HostCommand {
        HostCommand {
            container: Some(ContainerOrder {
                colour,
                port: self.port(colour),
            }),
            ..self.site.command(number, event)
        }
    }

    fn port(&self, colour: Colour) -> u16 {
        match colour {
            Blue => self.ports[0],
            Green => self.ports[1],
        }
    }

    fn run(
        &self,
        number: u8,
        event: LifecycleEvent,
        colour: Colour,
        bundle: &LocalBundle,
    ) -> Diagnostics {
        let command = self.command(number, event, colour);
        let is_over = AtomicBool::new(false);
        self.host
            .run(&command, bundle, &Unwatched, &is_over)
            .unwrap()
    }

    /// All those go well.
    fn well(&self, number: u8, events: &[LifecycleEvent], colour: Colour, bundle: &LocalBundle) {
        for event in events {
            let ended = self.run(number, *event, colour, bundle);
            assert_eq!(
                ended.error_code,
                ScriptErrorCode::Success,
                "{event}: {ended:?}"
            );
        }
    }

    /// What that port answers with.
    fn asked(&self, colour: Colour) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port(colour))).ok()?;
        stream.write_all(b"GET /page HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer
            .rsplit("\r\n\r\n")
            .next()
            .map(|body| body.trim().to_string())
    }

    /// The colours of this host's containers, those that run last.
    fn there(&self) -> Vec<String> {
        let label = format!("label={LABEL_HOST}={}", self.name);
        let format = format!("{{{{.State}}}} {{{{.Label \"{LABEL_COLOUR}\"}}}}");
        let listed = docker(&["ps", "-a", "--filter", &label, "--format", &format]);
        let mut there: Vec<String> = listed.lines().map(ToString::to_string).collect();
        there.sort();
        there
    }

    fn noted(&self) -> String {
        self.site.read("noted").unwrap_or_default()
    }

    fn journal(&self) -> (GroupFolder, Journal) {
        let state = self.site.folder.path().join("state");
        let group = GroupFolder::of(&state, "g").unwrap();
        let journal = durable::read(&group.journal()).unwrap().unwrap();
        (group, journal)
    }

    /// As if the agent had been killed while it runs that.
    fn killed_in(&self, number: u8, event: LifecycleEvent, colour: Colour) {
        let (group, mut journal) = self.journal();
        journal.finished.remove(&event);
        journal.begin(&self.command(number, event, colour));
        durable::write(&group.journal(), &journal).unwrap();
    }
}

const UP: [LifecycleEvent; 4] = [DownloadBundle, Install, ApplicationStart, ValidateService];
const STOPS: &str = "hooks:\n  ApplicationStop:\n    - location: note.sh\n  ValidateService:\n    - location: note.sh\n";

#[test]
fn the_new_container_stands_beside_the_old_one_which_goes_last() {
    if !has_engine("the_new_container_stands_beside_the_old_one_which_goes_last") {
        return;
    }
    let dock = Dock::new();
    let (first, second) = (dock.page(1, STOPS), dock.page(2, STOPS));
    dock.well(1, &UP, Blue, &first);
    assert_eq!(dock.asked(Blue).as_deref(), Some("page 1"));
    dock.well(2, &UP, Green, &second);
    assert_eq!(
        dock.asked(Blue).as_deref(),
        Some("page 1"),
        "it is kept warm"
    );
    assert_eq!(dock.asked(Green).as_deref(), Some("page 2"));
    assert_eq!(dock.there(), ["running blue", "running green"]);
    dock.well(2, &[AfterAllowTraffic], Green, &second);
    dock.well(2, &[ApplicationStop], Blue, &second);
    assert_eq!(dock.there(), ["running green"]);
    assert_eq!(dock.asked(Green).as_deref(), Some("page 2"));
    // The scripts that stop it are those that it came with.
    assert_eq!(
        dock.noted(),
        "ValidateService 1\nValidateService 2\nApplicationStop 1\n"
    );
    assert_eq!(
        docker(&["image", "inspect", "--format", "there", IMAGE]),
        "there",
        "it was there before"
    );
    let third = dock.page(3, STOPS);
    dock.well(3, &UP, Blue, &third);
    assert_eq!(dock.asked(Blue).as_deref(), Some("page 3"));
    assert_eq!(dock.there().len(), 2);
}

#[test]
fn a_container_that_is_not_well_fails_with_its_last_words_and_is_set_aside() {
    if !has_engine("a_container_that_is_not_well_fails_with_its_last_words_and_is_set_aside") {
        return;
    }
    let dock = Dock::new();
    let ends = dock.revision(
        1,
        "echo no database; sleep 1; exit 3",
        "    healthCheck: {path: /page}\n",
        "",
    );
    dock.well(1, &UP[..3], Blue, &ends);
    let ended = dock.run(1, ValidateService, Blue, &ends);
    assert_eq!(ended.error_code, ScriptErrorCode::ScriptFailed, "{ended:?}");
    // Seen while it is down, or when it has been started again.
    let said = ["has ended with exit code 3", "has ended, and was started"];
    assert!(
        said.iter().any(|said| ended.message.contains(said)),
        "{ended:?}"
    );
    assert!(ended.log_tail.contains("no database"), "{ended:?}");
    assert_eq!(dock.there(), ["exited blue"], "it is not started again");
    let run = "echo I am here; mkdir -p /www; exec httpd -f -p 8080 -h /www";
    let checked = "    healthCheck: {path: /page, withinSeconds: 3}\n";
    let deaf = dock.revision(2, run, checked, "");
    dock.well(2, &UP[..3], Blue, &deaf);
    let ended = dock.run(2, ValidateService, Blue, &deaf);
    assert_eq!(
        ended.error_code,
        ScriptErrorCode::ScriptTimedOut,
        "{ended:?}"
    );
    let said = "is not well after 3 s: GET /page at 127.0.0.1:";
    assert!(
        ended.message.contains(said) && ended.message.ends_with("answers 404"),
        "{ended:?}"
    );
    assert!(ended.log_tail.contains("I am here"), "{ended:?}");
    assert_eq!(dock.there(), ["exited blue"]);
    let checked =
        "    healthCheck: {command: [/bin/sh, -c, 'echo not yet; exit 4'], withinSeconds: 2}\n";
    let refusing = dock.revision(3, run, checked, "");
    dock.well(3, &UP[..3], Blue, &refusing);
    let ended = dock.run(3, ValidateService, Blue, &refusing);
    assert!(
        ended.message.contains("ends with exit code 4: not yet"),
        "{ended:?}"
    );
}

#[test]
fn what_an_agent_that_was_killed_had_begun_goes_on_and_no_script_runs_twice() {
    if !has_engine("what_an_agent_that_was_killed_had_begun_goes_on_and_no_script_runs_twice") {
        return;
    }
    let dock = Dock::new();
    let page = dock.page(1, STOPS);
    dock.well(1, &UP[..2], Blue, &page);
    // In Install, after the container was made; in ApplicationStart, after it was started.
    for event in [Install, ApplicationStart] {
        dock.well(1, &[event], Blue, &page);
        dock.killed_in(1, event, Blue);
        let again = dock.host.interrupted().unwrap();
        assert_eq!(
            again
                .iter()
                .map(|command| command.event)
                .collect::<Vec<_>>(),
            [event]
        );
        dock.well(1, &[event], Blue, &page);
        assert_eq!(dock.there().len(), 1);
    }
    // After the scripts, before the last word.
    dock.well(1, &[ValidateService], Blue, &page);
    dock.killed_in(1, ValidateService, Blue);
    dock.well(1, &[ValidateService], Blue, &page);
    assert_eq!(dock.noted(), "ValidateService 1\n");
    // In the middle of the scripts nobody knows how far they came.
    dock.killed_in(1, ApplicationStop, Blue);
    let (group, _) = dock.journal();
    scripts::begin(&group, &dock.command(1, ApplicationStop, Blue)).unwrap();
    let ended = dock.run(1, ApplicationStop, Blue, &page);
    assert_eq!(ended.error_code, ScriptErrorCode::UnknownError);
    assert!(ended.message.contains("it is not run again"), "{ended:?}");
    assert_eq!(dock.there(), ["running blue"]);
}

#[test]
fn an_image_that_came_with_a_container_goes_with_it_and_leftovers_of_the_group_go_too() {
    if !has_engine(
        "an_image_that_came_with_a_container_goes_with_it_and_leftovers_of_the_group_go_too",
    ) {
        return;
    }
    let dock = Dock::new();
    let page = dock.page(1, "");
    let id = dock.own_image(&page);
    let host = format!("{LABEL_HOST}={}", dock.name);
    let group = format!("{LABEL_GROUP}=g");
    docker(&["create", "--label", &host, "--label", &group, IMAGE, "true"]);
    dock.well(1, &UP, Blue, &page);
    assert_eq!(dock.there(), ["running blue"], "the leftover is gone");
    assert!(is_there(&id));
    dock.well(1, &[ApplicationStop], Blue, &page);
    assert!(dock.there().is_empty());
    assert!(!is_there(&id), "its image goes with it");
}

#[test]
fn an_image_that_came_with_a_container_is_kept_for_the_next_one_made_of_it() {
    if !has_engine("an_image_that_came_with_a_container_is_kept_for_the_next_one_made_of_it") {
        return;
    }
    let dock = Dock::new();
    let page = dock.page(1, "");
    let id = dock.own_image(&page);
    dock.well(1, &UP, Blue, &page);
    // The agent is killed in Install, after the container was made.
    dock.killed_in(1, Install, Blue);
    dock.well(1, &[Install, ApplicationStart], Blue, &page);
    // The same image once more, in the same colour: the one before had failed.
    dock.well(2, &UP, Blue, &page);
    assert_eq!(dock.there(), ["running blue"]);
    assert_eq!(dock.asked(Blue).as_deref(), Some("page 1"));
    dock.well(2, &[ApplicationStop], Blue, &page);
    assert!(!is_there(&id), "it is still known to have come with one");
}

#[test]
fn what_does_not_fit_is_said_before_anything_is_made() {
    if !has_engine("what_does_not_fit_is_said_before_anything_is_made") {
        return;
    }
    let dock = Dock::new();
    let files = dock.site.bundle(1, "files: []\n", &[]);
    let ended = dock.run(1, DownloadBundle, Blue, &files);
    assert!(
        ended
            .message
            .contains("the AppSpec has no x-croft.container"),
        "{ended:?}"
    );
    let page = dock.page(2, "");
    let ended = dock.site.run(2, DownloadBundle, &page).unwrap();
    assert!(
        ended.message.contains("the AppSpec is for a container"),
        "{ended:?}"
    );
    let no_image = dock.page(3, "");
    std::fs::write(no_image.path.join("image.tar"), "this is none").unwrap();
    dock.well(3, &[DownloadBundle], Blue, &no_image);
    let ended = dock.run(3, Install, Blue, &no_image);
    assert_ne!(ended.error_code, ScriptErrorCode::Success);
    assert!(ended.message.contains("image.tar"), "{ended:?}");
    assert!(dock.there().is_empty());
    // A port that somebody has.
    let taken = TcpListener::bind(("127.0.0.1", dock.port(Green))).unwrap();
    let page = dock.page(4, "");
    dock.well(4, &UP[..2], Green, &page);
    let ended = dock.run(4, ApplicationStart, Green, &page);
    assert!(
        ended.message.contains("cannot start the container"),
        "{ended:?}"
    );
    drop(taken);
    eventually("it is set aside", || dock.there() == ["created green"]);
}

#[test]
fn a_host_without_an_engine_says_what_to_do() {
    let mut dock = Dock::new();
    dock.has_engine = false;
    let runtime = dock.runtime.handle().clone();
    let here = Ipv4Addr::LOCALHOST.into();
    let nowhere = dock
        .site
        .folder
        .path()
        .join("none.sock")
        .display()
        .to_string();
    let containers = Containers::new(runtime, "h", here, Some(&nowhere)).unwrap();
    let settings = Settings {
        containers: Ok(containers.waiting(Duration::ZERO)),
        ..settings()
    };
    dock.host = Host::open(&dock.site.folder.path().join("state"), settings).unwrap();
    let spec = "x-croft:\n  container: {image: image.tar, port: 80}\n";
    let bundle = dock.site.bundle(1, spec, &[("image.tar", "none")]);
    dock.well(1, &[DownloadBundle], Blue, &bundle);
    let ended = dock.run(1, Install, Blue, &bundle);
    assert!(
        ended.message.contains("no container engine answers at"),
        "{ended:?}"
    );
    assert!(
        ended.message.contains("systemctl start docker"),
        "{ended:?}"
    );
}

#[test]
fn an_engine_that_is_started_again_is_waited_for_where_it_is_needed() {
    if !has_engine("an_engine_that_is_started_again_is_waited_for_where_it_is_needed") {
        return;
    }
    let mut dock = Dock::new();
    let (runtime, here) = (dock.runtime.handle().clone(), Ipv4Addr::LOCALHOST.into());
    let socket = dock.site.folder.path().join("engine.sock");
    let containers = Containers::new(runtime, &dock.name, here, socket.to_str()).unwrap();
    let settings = Settings {
        containers: Ok(containers),
        ..settings()
    };
    dock.host = Host::open(&dock.site.folder.path().join("state"), settings).unwrap();
    let page = dock.page(1, "hooks:\n  BeforeInstall:\n    - location: note.sh\n");
    // Nothing is asked of an engine for a script.
    dock.well(1, &[DownloadBundle, BeforeInstall], Blue, &page);
    assert_eq!(dock.noted(), "BeforeInstall 1\n");
    std::thread::scope(|scope| {
        let installing = scope.spawn(|| dock.well(1, &[Install], Blue, &page));
        let (group, _) = dock.journal();
        eventually("Install runs", || {
            let journal: Option<Journal> = durable::read(&group.journal()).unwrap();
            let running = journal.and_then(|journal| journal.running);
            running.is_some_and(|command| command.event == Install)
        });
        assert!(!installing.is_finished());
        std::os::unix::fs::symlink("/var/run/docker.sock", &socket).unwrap();
    });
    assert_eq!(dock.there(), ["created blue"]);
}

#[test]
fn an_engine_on_another_machine_fails_what_is_for_containers_and_nothing_else() {
    let mut dock = Dock::new();
    dock.has_engine = false;
    let (runtime, here) = (dock.runtime.handle().clone(), Ipv4Addr::LOCALHOST.into());
    let settings = Settings {
        containers: Containers::new(runtime, "h", here, Some("tcp://10.0.0.1:2375")),
        ..settings()
    };
    dock.host = Host::open(&dock.site.folder.path().join("state"), settings).unwrap();
    let files = dock.site.bundle(1, "files: []\n", &[]);
    for event in [DownloadBundle, Install] {
        let is_over = AtomicBool::new(false);
        let command = dock.site.command(1, event);
        let ran = dock.host.run(&command, &files, &Unwatched, &is_over);
        assert_eq!(ran.unwrap().error_code, ScriptErrorCode::Success);
    }
    let spec = "x-croft:\n  container: {image: image.tar, port: 80}\n";
    let bundle = dock.site.bundle(2, spec, &[("image.tar", "none")]);
    dock.well(2, &[DownloadBundle], Blue, &bundle);
    let ended = dock.run(2, Install, Blue, &bundle);
    assert_eq!(ended.error_code, ScriptErrorCode::UnknownError);
    assert!(
        ended
            .message
            .contains("DOCKER_HOST names tcp://10.0.0.1:2375, an engine on another machine"),
        "{ended:?}"
    );
}
