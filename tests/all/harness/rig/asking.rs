//! Asking a farm: with `croft` as a person does, and with requests as tools do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::super::{Ran, eventually};
use super::http::{self, Answer};
use super::{Rig, role};

/// A buildspec of these commands in BUILD.
pub(crate) fn commands(commands: &[&str]) -> String {
    let commands = serde_json::to_string(commands).unwrap();
    format!("version: 0.2\nphases:\n  build:\n    commands: {commands}\n")
}

impl Rig {
    /// A folder with that buildspec, to be submitted; the project is called as the folder is.
    pub(crate) fn source(&self, name: &str, spec: &str) -> PathBuf {
        let folder = self.folder().join("sources").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("buildspec.yml"), spec).unwrap();
        folder
    }

    /// A `croft` of somebody who may do everything.
    pub(crate) fn croft(&self, words: &[&str]) -> Command {
        let mut command = role::command(&self.client_home());
        command
            .args(words)
            .current_dir(self.folder())
            .env("CROFT_SERVER", format!("http://{}", self.addresses[0]))
            .env("CROFT_TOKEN", &self.token);
        command
    }

    /// Its end.
    pub(crate) fn ran(&self, words: &[&str]) -> Ran {
        Ran::of(&self.client_home(), self.croft(words).output().unwrap())
    }

    /// What it prints; it must succeed.
    #[track_caller]
    pub(crate) fn told(&self, words: &[&str]) -> String {
        let ran = self.ran(words);
        ran.assert_code(0);
        ran.text()
    }

    /// The same as JSON.
    #[track_caller]
    pub(crate) fn told_json(&self, words: &[&str]) -> Value {
        let told = self.told(&[words, &["-o", "json"]].concat());
        serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"))
    }

    /// Submits a folder and follows the build to its end, as events.
    pub(crate) fn submit(&self, source: &Path, words: &[&str]) -> Ran {
        let source = source.display().to_string();
        self.ran(&[&["submit", &source, "-o", "ndjson"], words].concat())
    }

    /// Submits a folder, and does not follow; the build's id.
    #[track_caller]
    pub(crate) fn detach(&self, source: &Path, words: &[&str]) -> String {
        let source = source.display().to_string();
        let told = self.told(&[&["submit", &source, "--detach"], words].concat());
        told.trim().to_string()
    }

    /// The answer of the first server that gives one.
    pub(crate) fn asked(&self, method: &str, path: &str, body: &str) -> Option<Answer> {
        let token = format!("Bearer {}", self.token);
        let headers = [
            ("Authorization", token.as_str()),
            ("Content-Type", "application/json"),
        ];
        let asked = |at: &String| http::ask(at, method, path, &headers, body.as_bytes()).ok();
        self.addresses.iter().find_map(asked)
    }

    /// The same from whoever answers soon.
    #[track_caller]
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let mut answer = None;
        eventually("a server answers", || {
            answer = self.asked(method, path, body);
            // One token asks more in a soak than it may at once.
            let is_one = |answer: &Answer| answer.status < 500 && answer.status != 429;
            answer.as_ref().is_some_and(is_one)
        });
        answer.unwrap()
    }

    /// What a path has; it must be there.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Starts a build of a project that is there; its id.
    #[track_caller]
    pub(crate) fn start_build(&self, body: &Value) -> String {
        let answer = self.ask("POST", "/v1/builds", &body.to_string());
        // 200 says that the same token's build was there before.
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        answer.json()["build"]["id"].as_str().unwrap().to_string()
    }

    /// A build as it is now.
    #[track_caller]
    pub(crate) fn build(&self, id: &str) -> Value {
        self.get(&format!("/v1/builds/{id}"))["build"].clone()
    }

    /// Where it is: `waiting`, `running`, `stopping`, `over`.
    #[track_caller]
    pub(crate) fn stage(&self, id: &str) -> String {
        self.build(id)["x-croft"]["stage"]
            .as_str()
            .unwrap()
            .to_string()
    }

    /// Waits until a build is over.
    #[track_caller]
    pub(crate) fn over(&self, id: &str) -> Value {
        let mut build = Value::Null;
        let path = format!("/v1/builds/{id}?wait=complete&timeout=5");
        eventually(&format!("{id} is over"), || {
            let Some(answer) = self.asked("GET", &path, "") else {
                return false;
            };
            build = answer.json()["build"].clone();
            build["x-croft"]["stage"] == "over"
        });
        build
    }

    /// Waits until a build is over, and checks that it ended with this status, once, after so many attempts.
    #[track_caller]
    pub(crate) fn over_as(&self, id: &str, status: &str, attempts: u64) -> Value {
        let build = self.over(id);
        let timeline = self.timeline(id);
        let story = format!("{timeline:#?}\n{build:#}");
        assert_eq!(build["buildStatus"], status, "{story}");
        assert_eq!(build["x-croft"]["attempts"], attempts, "{story}");
        let settled = timeline.iter().filter(|event| *event == "settled").count();
        assert_eq!(settled, 1, "{story}");
        build
    }

    /// What happened to a build, in order, as `submitted`, `attemptStarted`; without its phases.
    #[track_caller]
    pub(crate) fn timeline(&self, id: &str) -> Vec<String> {
        let explained = self.get(&format!("/v1/builds/{id}/explain"));
        let all = explained["timeline"].as_array().unwrap();
        let events = all.iter().map(|moment| moment["event"].as_str().unwrap());
        events
            .filter(|event| !event.starts_with("phase "))
            .map(str::to_string)
            .collect()
    }

    /// What a build's commands printed.
    #[track_caller]
    pub(crate) fn log(&self, id: &str) -> String {
        let answer = self.ask("GET", &format!("/v1/builds/{id}/log"), "");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    }
}
