//! What a program that ended said: its exit code, its output, and the events of a build.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

/// The end of one `croft`.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code; `None` when a signal killed it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    /// The lines of standard output that are JSON.
    pub(crate) events: Vec<Value>,
    home: PathBuf,
}

/// One command of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) phase: String,
    pub(crate) command: String,
    pub(crate) finally: bool,
    /// `None` when the build ended before it.
    pub(crate) exit: Option<i64>,
    pub(crate) output: String,
}

impl Ran {
    pub(crate) fn of(home: &Path, output: Output) -> Self {
        let lines = output.stdout.split(|byte| *byte == b'\n');
        Self {
            code: output.status.code(),
            events: lines
                .filter_map(|line| serde_json::from_slice(line).ok())
                .collect(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            stdout: output.stdout,
            home: home.to_path_buf(),
        }
    }

    /// Fails with all that was said.
    #[track_caller]
    pub(crate) fn assert_code(&self, code: i32) {
        assert_eq!(self.code, Some(code), "{}", self.story());
    }

    /// For the message of a failed assertion.
    pub(crate) fn story(&self) -> String {
        let shown: String = self.text().chars().take(20_000).collect();
        format!(
            "--- standard output\n{shown}\n--- standard error\n{}",
            self.stderr
        )
    }

    /// Standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The events of one type.
    pub(crate) fn events_of(&self, kind: &str) -> Vec<&Value> {
        self.events
            .iter()
            .filter(|event| event["type"] == kind)
            .collect()
    }

    #[track_caller]
    fn completed(&self) -> &Value {
        self.events_of("buildCompleted")
            .pop()
            .unwrap_or_else(|| panic!("the build did not complete\n{}", self.story()))
    }

    /// The finished build.
    #[track_caller]
    pub(crate) fn build(&self) -> &Value {
        &self.completed()["build"]
    }

    /// Its summary.
    #[track_caller]
    pub(crate) fn summary(&self) -> &Value {
        &self.completed()["summary"]
    }

    /// AWS's word for how the build ended.
    #[track_caller]
    pub(crate) fn status(&self) -> &str {
        self.build()["buildStatus"].as_str().unwrap()
    }

    /// Each phase reached with its status, as `BUILD FAILED`; `COMPLETED` has none.
    #[track_caller]
    pub(crate) fn phases(&self) -> Vec<String> {
        let phases = self.build()["phases"].as_array().unwrap();
        let word =
            |phase: &Value, field: &str| phase[field].as_str().unwrap_or_default().to_string();
        phases
            .iter()
            .map(|phase| {
                format!(
                    "{} {}",
                    word(phase, "phaseType"),
                    word(phase, "phaseStatus")
                )
                .trim()
                .to_string()
            })
            .collect()
    }

    /// Code and message of a phase's context.
    #[track_caller]
    pub(crate) fn context(&self, phase: &str) -> (String, String) {
        let phases = self.build()["phases"].as_array().unwrap();
        let found = phases.iter().find(|other| other["phaseType"] == phase);
        let context = &found.unwrap_or_else(|| panic!("{phase} was not reached\n{}", self.story()))
            ["contexts"][0];
        let word = |field: &str| context[field].as_str().unwrap_or_default().to_string();
        (word("statusCode"), word("message"))
    }

    /// The commands that ran, in order.
    pub(crate) fn commands(&self) -> Vec<Done> {
        let mut all: Vec<Done> = Vec::new();
        for event in &self.events {
            match event["type"].as_str() {
                Some("commandStarted") => all.push(Done {
                    phase: event["phase"].as_str().unwrap().to_string(),
                    command: event["command"].as_str().unwrap().to_string(),
                    finally: event["finally"].as_bool().unwrap(),
                    exit: None,
                    output: String::new(),
                }),
                Some("output") => {
                    if let Some(running) = all.last_mut() {
                        running.output.push_str(event["text"].as_str().unwrap());
                    }
                }
                Some("commandCompleted") => {
                    all.last_mut().unwrap().exit = event["exitStatus"].as_i64()
                }
                _ => {}
            }
        }
        all
    }

    /// The texts of the commands that ran.
    pub(crate) fn command_texts(&self) -> Vec<String> {
        self.commands()
            .into_iter()
            .map(|done| done.command)
            .collect()
    }

    /// Everything that commands wrote.
    pub(crate) fn output(&self) -> String {
        self.events_of("output")
            .iter()
            .map(|event| event["text"].as_str().unwrap())
            .collect()
    }

    /// Notices, one a line, with their level.
    pub(crate) fn notices(&self) -> String {
        let notices = self.events_of("notice").into_iter();
        notices
            .map(|event| {
                format!(
                    "{}: {}\n",
                    event["level"].as_str().unwrap(),
                    event["message"].as_str().unwrap()
                )
            })
            .collect()
    }

    /// The log file's bytes.
    pub(crate) fn log(&self) -> Vec<u8> {
        let path = match self.events_of("buildCompleted").pop() {
            Some(event) => PathBuf::from(event["summary"]["logPath"].as_str().unwrap()),
            None => self.only_log(),
        };
        fs::read(path).unwrap()
    }

    /// The log of the only build of this home, when its output was not events.
    fn only_log(&self) -> PathBuf {
        let mut builds: Vec<_> = fs::read_dir(self.home.join("builds"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(builds.len(), 1, "{builds:?}");
        builds.pop().unwrap().join("build.log")
    }

    /// The exported variables as pairs.
    #[track_caller]
    pub(crate) fn exported(&self) -> Vec<(String, String)> {
        let list = self.build()["exportedEnvironmentVariables"]
            .as_array()
            .unwrap();
        let word = |entry: &Value, field: &str| entry[field].as_str().unwrap().to_string();
        list.iter()
            .map(|entry| (word(entry, "name"), word(entry, "value")))
            .collect()
    }
}
