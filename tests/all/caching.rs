//! `croft cache serve`: other tools' builds find what other builds stored, through their own protocols and with a token.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{At, Farm, eventually, skip};

const WRITER: &str =
    "croft_writer_1111111111111111111111111111111111111111111111111111111111111111";
/// Its line in a token file; the first word is its BLAKE3 hash.
const WRITER_LINE: &str =
    "7e21b9bc8ebdf4a71bd04af2caf1f74ab2f79172d8b78dc6e27eb01ac2ae7a7d writer trusted\n";

/// A running `croft cache serve`. Dropped, it is killed.
struct Serving {
    child: Child,
    said: BufReader<ChildStdout>,
    /// As the host and the port of an address.
    at: String,
}

impl Serving {
    /// Serves the farm's cache to whoever has the writer's token.
    fn start(farm: &Farm) -> Self {
        let tokens = farm.folder().join("tokens");
        std::fs::write(&tokens, WRITER_LINE).unwrap();
        Self::with(farm, &["--tokens", tokens.to_str().unwrap()])
    }

    fn with(farm: &Farm, words: &[&str]) -> Self {
        let mut command = farm.croft(&["cache", "serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.args(words).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let at = line.trim_end().strip_prefix("listening on http://");
        Self {
            child,
            said,
            at: at.unwrap_or_else(|| panic!("{line}")).to_string(),
        }
    }

    /// Asks it to end as Ctrl-C does; it must end well. What it said at its end.
    fn end(mut self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let mut figures = String::new();
        self.said.read_to_string(&mut figures).unwrap();
        let mut status = None;
        eventually("the service ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.unwrap().code(), Some(0), "{figures}");
        figures
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may be gone already.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

/// A machine to serve from, if these programs are on this one.
fn farm_with(programs: &[&str]) -> Option<Farm> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    match programs.iter().find(|program| !is_there(program)) {
        None => Some(Farm::new(At::SANDBOX)),
        Some(missing) => {
            skip(&format!("there is no {missing}: run scripts/setup"));
            None
        }
    }
}

/// What a program printed, both streams; it must succeed.
#[track_caller]
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}");
    text.into_owned()
}

/// A program in the farm's source, without anything of this machine's settings.
fn clean(farm: &Farm, program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(farm.source()).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap());
    command.env("HOME", farm.person());
    command
}

/// Compiles with an empty cache of its own; how often ccache counted each thing.
fn compile(farm: &Farm, storage: &str) -> impl Fn(&str) -> u64 + use<> {
    let folder = farm.folder().join("ccache");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    let ccache = |words: &[&str]| {
        let mut command = clean(farm, "ccache");
        command
            .args(words)
            .env("CCACHE_DIR", &folder)
            .env("CCACHE_REMOTE_STORAGE", storage);
        said(&mut command)
    };
    ccache(&["cc", "-c", "a.c", "-o", "a.o"]);
    let counts = ccache(&["--print-stats"]);
    move |name: &str| {
        let lines = counts.lines().filter_map(|line| line.split_once('\t'));
        let found = lines.into_iter().find(|(other, _)| *other == name);
        found
            .unwrap_or_else(|| panic!("no {name} in {counts}"))
            .1
            .parse()
            .unwrap()
    }
}

#[test]
fn ccache_finds_what_another_one_compiled_in_each_layout() {
    let Some(farm) = farm_with(&["ccache", "cc"]) else {
        return;
    };
    farm.file("a.c", "int answer(void) { return 42; }\n");
    let serving = Serving::start(&farm);
    // Two layouts are two ways to write the same names.
    for (layout, misses) in [("subdirs", 1), ("flat", 0), ("bazel", 1)] {
        let storage = format!(
            "http://{}/ccache|layout={layout}|bearer-token={WRITER}",
            serving.at
        );
        let first = compile(&farm, &storage);
        assert_eq!(first("remote_storage_miss"), misses, "{layout}");
        let second = compile(&farm, &storage);
        assert_eq!(second("remote_storage_hit"), 1, "{layout}");
        assert_eq!(second("remote_storage_error"), 0, "{layout}");
        assert_eq!(second("cache_miss"), 0, "{layout}");
    }
    let figures = serving.end();
    // What was stored outlives who served it.
    let again = Serving::start(&farm);
    let storage = format!("http://{}/ccache|bearer-token={WRITER}", again.at);
    assert_eq!(compile(&farm, &storage)("remote_storage_hit"), 1);
    let line = "ccache: 12 asked for, 8 found (0 in memory), 4 missing; 4 stored;";
    assert!(figures.contains(line), "{figures}");
}

#[test]
fn ccache_takes_the_token_as_a_password_and_gets_nothing_without() {
    let Some(farm) = farm_with(&["ccache", "cc"]) else {
        return;
    };
    farm.file("a.c", "int answer(void) { return 42; }\n");
    let serving = Serving::start(&farm);
    let with_token = format!("http://anyone:{WRITER}@{}/ccache", serving.at);
    assert_eq!(compile(&farm, &with_token)("remote_storage_hit"), 0);
    let without = compile(&farm, &format!("http://{}/ccache", serving.at));
    assert_eq!(without("remote_storage_hit"), 0);
    assert_eq!(without("cache_miss"), 1, "the build goes on without");
    assert_eq!(compile(&farm, &with_token)("remote_storage_hit"), 1);
    let figures = serving.end();
    assert!(figures.contains("refused at the door:"), "{figures}");
}

/// Bazel with a server of its own. Dropped, it is shut down.
struct Bazel<'a> {
    farm: &'a Farm,
    root: PathBuf,
}

impl<'a> Bazel<'a> {
    fn new(farm: &'a Farm, name: &str) -> Self {
        let root = farm.folder().join(name);
        Self { farm, root }
    }

    fn words(&self, words: &[&str]) -> Command {
        let mut command = clean(self.farm, "bazel");
        command
            // Should this test be killed, its server goes by itself.
            .arg("--max_idle_secs=60")
            .arg(format!("--output_user_root={}", self.root.display()))
            .args(words);
        command
    }

    fn build(&self, at: &str) -> String {
        said(&mut self.words(&[
            "build",
            "//:g",
            "--spawn_strategy=local",
            &format!("--remote_cache=http://{at}"),
            &format!("--remote_header=Authorization=Bearer {WRITER}"),
        ]))
    }
}

impl Drop for Bazel<'_> {
    fn drop(&mut self) {
        // The test has its verdict already.
        let mut shutdown = self.words(&["shutdown"]);
        shutdown.output().map(drop).unwrap_or_default();
        make_writable(&self.root);
    }
}

/// Bazel makes what it builds read-only, folders too, which only root can remove.
fn make_writable(folder: &Path) {
    let mut command = Command::new("chmod");
    command.args(["-R", "u+w"]).arg(folder);
    command.output().map(drop).unwrap_or_default();
}

#[test]
fn bazel_finds_what_it_built_before_and_what_another_one_built() {
    let Some(farm) = farm_with(&["bazel"]) else {
        return;
    };
    farm.file("WORKSPACE", "");
    farm.file(
        "BUILD",
        "genrule(name = \"g\", outs = [\"out.txt\"], cmd = \"echo made > $@\")\n",
    );
    let serving = Serving::start(&farm);
    let bazel = Bazel::new(&farm, "bazel-one");
    let first = bazel.build(&serving.at);
    assert!(first.contains("1 local"), "{first}");
    said(&mut bazel.words(&["clean"]));
    let second = bazel.build(&serving.at);
    assert!(second.contains("1 remote cache hit"), "{second}");
    let made = std::fs::read_to_string(farm.source().join("bazel-bin/out.txt"));
    assert_eq!(made.unwrap(), "made\n");
    drop(bazel);
    let other = Bazel::new(&farm, "bazel-two");
    let third = other.build(&serving.at);
    assert!(third.contains("1 remote cache hit"), "{third}");
    drop(other);
    let figures = serving.end();
    assert!(figures.contains(" 1 missing;"), "{figures}");
}

#[test]
fn it_is_served_without_tokens_on_loopback_alone() {
    let farm = Farm::new(At::SANDBOX);
    let open = Serving::with(&farm, &["--no-auth"]);
    assert!(open.end().contains("bazel: 0 asked for"));
    let everywhere = ["cache", "serve", "--no-auth", "--listen", "0.0.0.0:0"];
    let refused = farm.end(farm.croft(&everywhere));
    refused.assert_code(5);
    assert!(refused.stderr.contains("loopback"), "{}", refused.stderr);
    let neither = farm.end(farm.croft(&["cache", "serve"]));
    neither.assert_code(5);
    assert!(neither.stderr.contains("--tokens"), "{}", neither.stderr);
}
