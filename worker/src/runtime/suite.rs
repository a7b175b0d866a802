//! The conformance suite: what holds in every runtime. Each case gets a fresh place and runs commands in it.
//! `cases!` makes one `#[test]` per case for an implementation.

/// Layers mounted late.
mod layers;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use croft_runner::protocol::{Run, State, Variable};
use rustix::event::{PollFd, PollFlags, Timespec};

use super::{Ended, Request, Runtime, Slot, Source};
pub(crate) use layers::{
    a_layer_is_the_places_alone_and_goes_with_it,
    a_layers_directories_can_be_removed_renamed_and_made_again,
    a_layers_files_are_seen_and_changes_stay_out_of_them, all_directories_are_covered_or_none,
    an_ordinary_users_layer_is_the_builds_own, what_is_mounted_below_a_layer_stays_there,
    what_was_covered_before_a_failure_is_uncovered_again,
};

/// Where the suite's source stands in the build.
pub(crate) const INSIDE: &str = "/codebuild/output/src1/src";

/// A place and what it carries from command to command.
pub(crate) struct Bench {
    pub(crate) slot: Slot,
    pub(crate) directory: Vec<u8>,
    pub(crate) environment: Vec<Variable>,
    pub(crate) source: PathBuf,
    keep: (tempfile::TempDir, tempfile::TempDir),
}

impl Bench {
    pub(crate) async fn new(runtime: &dyn Runtime) -> Self {
        Self::of_user(runtime, rustix::process::getuid().as_raw()).await
    }

    /// With a source that belongs to that user of the host's.
    pub(crate) async fn of_user(runtime: &dyn Runtime, uid: u32) -> Self {
        let (source, build) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(source.path().join("file"), "original\n").unwrap();
        std::fs::create_dir(source.path().join("folder")).unwrap();
        std::fs::write(source.path().join("folder/private"), "private\n").unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(source.path().join("folder/private"), private).unwrap();
        for path in ["", "file", "folder", "folder/private"] {
            std::os::unix::fs::chown(source.path().join(path), Some(uid), Some(uid)).unwrap();
        }
        let request = Request {
            build_id: format!("suite:{}", uuid::Uuid::new_v4()),
            directory: build.path().to_path_buf(),
            sources: vec![Source {
                directory: source.path().to_path_buf(),
                inside: INSIDE.into(),
                in_place: false,
            }],
            hidden: vec![build.path().to_path_buf()],
            extra: Vec::new(),
        };
        let slot = runtime.provision(&request, &|_| ()).await.unwrap();
        Self {
            directory: INSIDE.as_bytes().to_vec(),
            environment: slot.environment.clone(),
            slot,
            source: source.path().to_path_buf(),
            keep: (source, build),
        }
    }

    /// Runs a script with `sh`, carries its state on; its exit status and what it printed.
    pub(crate) async fn sh(&mut self, script: &str) -> (i32, String) {
        self.run("sh", None, script).await
    }

    pub(crate) async fn run(
        &mut self,
        shell: &str,
        user: Option<&str>,
        script: &str,
    ) -> (i32, String) {
        let run = Run {
            script: script.as_bytes().to_vec(),
            shell: shell.as_bytes().to_vec(),
            user: user.map(str::to_string),
            directory: self.directory.clone(),
            environment: self.environment.clone(),
            confine: self.slot.confine,
        };
        self.slot.link.run(run).await.unwrap();
        let (ended, _signals) = self.slot.link.split();
        let ended = tokio::time::timeout(Duration::from_secs(60), ended)
            .await
            .unwrap()
            .unwrap();
        let printed = drain(&mut self.slot.output);
        match ended {
            Ended::Exited { status, state } => {
                if let Some(State {
                    directory,
                    environment,
                }) = state
                {
                    (self.directory, self.environment) = (directory, environment);
                }
                (status, printed)
            }
            Ended::Refused { status, reason } => (status, reason),
        }
    }

    pub(crate) async fn release(self) {
        self.slot.release().await.unwrap();
        drop(self.keep);
    }
}

fn drain(output: &mut std::fs::File) -> String {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let mut watched = [PollFd::new(&*output, PollFlags::IN)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        rustix::event::poll(&mut watched, Some(&now)).unwrap();
        if !watched[0].revents().contains(PollFlags::IN) {
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        let count = output.read(&mut buffer).unwrap();
        bytes.extend_from_slice(&buffer[..count]);
    }
}

pub(crate) async fn directory_and_variables_carry_over(runtime: &dyn Runtime) {
    let mut bench = Bench::new(runtime).await;
    assert_eq!(
        bench
            .sh("mkdir sub; cd sub; PLAIN=1; export LINES=\"a\nb'\\\"\\$ c \"")
            .await
            .0,
        0
    );
    let (status, printed) = bench.sh("pwd; echo $PLAIN; printf %s \"$LINES\"").await;
    assert_eq!(
        (status, printed.as_str()),
        (0, "/codebuild/output/src1/src/sub\n1\na\nb'\"$ c ")
    );
    bench.release().await;
}

pub(crate) async fn functions_options_and_aliases_stay_behind(runtime: &dyn Runtime) {
    let mut bench = Bench::new(runtime).await;
    assert_eq!(
        bench
            .sh("f() { echo f; }; alias g='echo g'; set -ex; trap 'echo bye' 0")
            .await
            .0,
        0
    );
    assert_eq!(bench.sh("f").await.0, 127);
    assert_eq!(bench.sh("g").await.0, 127);
    let (status, printed) = bench.sh("false; echo still here").await;
    assert_eq!((status, printed.as_str()), (0, "still here\n"));
    bench.release().await;
}

pub(crate) async fn exit_ends_one_command_and_loses_its_variables(runtime: &dyn Runtime) {
    let mut bench = Bench::new(runtime).await;
    assert_eq!(
        bench.sh("LOST=1; exit 0; echo never").await,
        (0, String::new())
    );
    assert_eq!(bench.sh("echo ${LOST-unset}").await.1, "unset\n");
    assert_eq!(bench.sh("exit 3").await.0, 3);
    assert_eq!(bench.sh("kill -9 $$").await.0, 137);
    bench.release().await;
}

pub(crate) async fn a_missing_command_names_the_fourth_line(runtime: &dyn Runtime) {
    let mut bench = Bench::new(runtime).await;
    let (status, printed) = bench.sh("no-such-program").await;
    assert_eq!(status, 127);
    assert!(
        printed.starts_with("/codebuild/output/tmp/script.sh: "),
        "{printed}"
    );
    assert!(printed.contains("4: no-such-program: "), "{printed}");
    bench.release().await;
}

pub(crate) async fn the_source_is_never_changed(runtime: &dyn Runtime) {
    let mut bench = Bench::new(runtime).await;
    let (status, printed) = bench
        .sh("cat file; echo changed > file; rm -f other; mkdir made; cat file")
        .await;
    assert_eq!((status, printed.as_str()), (0, "original\nchanged\n"));
    let seen = bench
        .slot
        .root
        .open_file(&Path::new(INSIDE).join("file"))
        .unwrap();
    assert_eq!(std::io::read_to_string(seen).unwrap(), "changed\n");
    assert_eq!(
        std::fs::read_to_string(bench.source.join("file")).unwrap(),
        "original\n"
    );
    assert!(!bench.source.join("made").exists());
    bench.release().await;
}

pub(crate) async fn standard_input_is_empty(runtime: &dyn Runtime) {
    let mut bench = Bench::new(runtime).await;
    assert_eq!(bench.sh("cat; echo end").await, (0, "end\n".to_string()));
    bench.release().await;
}

pub(crate) async fn a_background_process_survives_its_command_and_ends_with_the_place(
    runtime: &dyn Runtime,
) {
    let mut bench = Bench::new(runtime).await;
    let (status, _) = bench.sh("sleep 3600 >/dev/null 2>&1 & echo $! > pid").await;
    assert_eq!(status, 0);
    let (status, _) = bench.sh("kill -0 $(cat pid)").await;
    assert_eq!(status, 0);
    let (status, _) = bench.sh("wait $(cat pid)").await;
    assert_eq!(status, 127);
    bench.release().await;
}

pub(crate) async fn an_unknown_user_is_refused_by_name(runtime: &dyn Runtime) {
    let mut bench = Bench::new(runtime).await;
    let (status, reason) = bench.run("sh", Some("nobody-has-this-name"), "true").await;
    assert_eq!(status, 126);
    assert!(reason.contains("nobody-has-this-name"), "{reason}");
    bench.release().await;
}

pub(crate) async fn another_user_has_its_own_home_and_gives_it_back(runtime: &dyn Runtime) {
    let mut bench = Bench::new(runtime).await;
    let (_, line) = bench
        .sh("awk -F: '$3 >= 1 && $6 ~ \"^/\" {print $1 \" \" $3 \" \" $6; exit}' /etc/passwd")
        .await;
    let [name, uid, home] = line.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("no user: {line}")
    };
    let (status, printed) = bench
        .run("sh", Some(name), "id -u; echo $HOME; KEPT=1")
        .await;
    assert_eq!((status, printed), (0, format!("{uid}\n{home}\n")));
    assert_eq!(bench.sh("id -u; echo $HOME $KEPT").await.1, "0\n/root 1\n");
    bench.release().await;
}

pub(crate) async fn helpers_are_on_the_path(runtime: &dyn Runtime) {
    let mut bench = Bench::new(runtime).await;
    let script = "PATH=$PATH:/codebuild/user/bin; codebuild-hash-files file | wc -c; codebuild-breakpoint 2>/dev/null";
    assert_eq!(bench.sh(script).await.0, 0);
    let (status, printed) = bench.sh("codebuild-glob-search '**/*'").await;
    assert_eq!((status, printed.as_str()), (0, "file\nfolder/private\n"));
    bench.release().await;
}

pub(crate) async fn a_trailing_backslash_and_shell_options_do_not_reach_croft(
    runtime: &dyn Runtime,
) {
    let mut bench = Bench::new(runtime).await;
    assert_eq!(bench.sh("echo one \\").await, (0, "one\n".to_string()));
    let (status, printed) = bench.sh("set -x; A=1").await;
    assert_eq!((status, printed.as_str()), (0, "+ A=1\n"));
    assert_eq!(bench.sh("echo $A").await.1, "1\n");
    bench.release().await;
}

pub(crate) async fn an_ordinary_users_source_is_the_builds_own(runtime: &dyn Runtime) {
    let mut bench = Bench::of_user(runtime, 4242).await;
    let script = "cat folder/private && echo more >> folder/private && touch folder/made file && rm file && id -u";
    assert_eq!(bench.sh(script).await, (0, "private\n0\n".to_string()));
    let kept = std::fs::read_to_string(bench.source.join("folder/private")).unwrap();
    assert_eq!(kept, "private\n");
    let (status, printed) = bench
        .sh("echo x > /tmp/a && echo y > $HOME/b && cat /tmp/a $HOME/b")
        .await;
    assert_eq!((status, printed.as_str()), (0, "x\ny\n"));
    bench.release().await;
}

pub(crate) async fn what_a_build_leaves_in_the_states_place_does_no_harm(runtime: &dyn Runtime) {
    let mut bench = Bench::new(runtime).await;
    let state = "/codebuild/output/tmp/state";
    for trap in [
        "mkfifo state",
        "ln -s /etc/passwd state",
        "ln -s /dev/zero state",
    ] {
        let script = format!("rm {state}; cd /codebuild/output/tmp; {trap}; exit 0");
        assert_eq!(bench.sh(&script).await.0, 0, "{trap}");
        assert_eq!(bench.sh("pwd").await, (0, format!("{INSIDE}\n")), "{trap}");
    }
    bench.release().await;
}

pub(crate) async fn a_build_that_moves_crofts_folder_away_runs_nothing_of_its_own_as_croft(
    runtime: &dyn Runtime,
) {
    let mut bench = Bench::new(runtime).await;
    let script = "mv /codebuild/croft /codebuild/moved && mkdir -p /codebuild/croft/bin && \
                  printf '#!/bin/sh\\necho stolen\\n' > /codebuild/croft/bin/croft-runner && \
                  chmod 755 /codebuild/croft/bin/croft-runner";
    // Where the folder cannot be moved, there is nothing to steal.
    bench.sh(script).await;
    // What comes after a command's end is the build's own shell calling a path; what starts a command must be the runner.
    let (_, printed) = bench.sh("echo honest").await;
    assert!(printed.starts_with("honest\n"), "{printed}");
    bench.release().await;
}

/// One test per case for the runtime that the expression makes.
macro_rules! cases {
    ($runtime:expr) => {
        $crate::runtime::suite::cases! { $runtime;
            directory_and_variables_carry_over,
            functions_options_and_aliases_stay_behind,
            exit_ends_one_command_and_loses_its_variables,
            a_missing_command_names_the_fourth_line,
            the_source_is_never_changed,
            standard_input_is_empty,
            a_background_process_survives_its_command_and_ends_with_the_place,
            an_unknown_user_is_refused_by_name,
            another_user_has_its_own_home_and_gives_it_back,
            helpers_are_on_the_path,
            a_trailing_backslash_and_shell_options_do_not_reach_croft,
            an_ordinary_users_source_is_the_builds_own,
            what_a_build_leaves_in_the_states_place_does_no_harm,
            a_build_that_moves_crofts_folder_away_runs_nothing_of_its_own_as_croft,
            a_layers_files_are_seen_and_changes_stay_out_of_them,
            a_layers_directories_can_be_removed_renamed_and_made_again,
            what_is_mounted_below_a_layer_stays_there,
            a_layer_is_the_places_alone_and_goes_with_it,
            an_ordinary_users_layer_is_the_builds_own,
            all_directories_are_covered_or_none,
            what_was_covered_before_a_failure_is_uncovered_again,
        }
    };
    ($runtime:expr; $($case:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $case() {
                if let Some(runtime) = $runtime {
                    $crate::runtime::suite::$case(&runtime).await;
                }
            }
        )*
    };
}
pub(crate) use cases;
