//! Builds that never ran: scripts of events and output at given times, played to a rendering by its tests.

use croft_exec::output::{Chunk, Sink};
use croft_proto::{
    ArtifactSummary, Build, BuildPhase, CacheMethod, CacheStatus, CacheSummary, CaseStatus,
    CommandSummary, CoverageSummary, Event, EventKind, FailedCommand, NoticeLevel, PhaseContext,
    PhaseType, Place, Report, ReportStatus, ReportType, Status, Summary, TestCase, TestSummary,
    Timestamp,
};

const BEGIN_MS: u64 = 1_767_366_245_000;
const BUILDSPEC: &str = "buildspec.yml";

enum Step {
    Event(Box<EventKind>),
    Output(PhaseType, Vec<u8>),
    Tick,
}

/// A build as it is told.
pub(super) struct Script {
    now_ms: u64,
    steps: Vec<(Timestamp, Step)>,
    phases: Vec<BuildPhase>,
}

/// Every script, by name.
pub(super) fn all() -> Vec<(&'static str, Script)> {
    vec![
        ("success", success()),
        ("command_failure", command_failure()),
        ("yaml_failure", yaml_failure()),
        ("failing_tests", failing_tests()),
        ("timeout", timeout()),
        ("stop", stop()),
        ("retry", retry()),
    ]
}

impl Script {
    /// Plays the steps so far to `sink` and ends there.
    pub(super) fn play(&self, sink: &mut dyn Sink) {
        let mut seq = 0;
        for (time, step) in &self.steps {
            let time = *time;
            seq += u64::from(!matches!(step, Step::Tick));
            match step {
                Step::Event(kind) => sink.event(&Event {
                    seq,
                    time,
                    kind: (**kind).clone(),
                }),
                Step::Output(phase, bytes) => sink.output(&Chunk {
                    seq,
                    time,
                    phase: *phase,
                    bytes,
                }),
                Step::Tick => sink.tick(time),
            }
        }
    }

    /// A build that has begun.
    pub(super) fn begun(expected_ms: Option<u64>) -> Self {
        let mut script = Self {
            now_ms: BEGIN_MS,
            steps: Vec::new(),
            phases: Vec::new(),
        };
        let build = Box::new(script.build(Status::InProgress));
        script.event(EventKind::BuildStarted { build, expected_ms });
        for phase in [PhaseType::Submitted, PhaseType::Queued] {
            script.begin(phase, None).end(Status::Succeeded, None);
        }
        script
    }

    pub(super) fn wait(&mut self, millis: u64) -> &mut Self {
        self.now_ms += millis;
        self
    }

    pub(super) fn begin(&mut self, phase: PhaseType, expected_ms: Option<u64>) -> &mut Self {
        self.phases.push(BuildPhase {
            phase_type: phase,
            phase_status: None,
            start_time: self.now(),
            end_time: None,
            duration_in_seconds: None,
            contexts: Vec::new(),
        });
        self.event(EventKind::PhaseStarted { phase, expected_ms })
    }

    pub(super) fn command(&mut self, index: u32, count: u32, command: &str) -> &mut Self {
        let (phase, command, finally) = (self.phase(), command.to_owned(), false);
        self.event(EventKind::CommandStarted {
            phase,
            index,
            count,
            finally,
            command,
            place: place(),
        })
    }

    pub(super) fn print(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        let step = Step::Output(self.phase(), text.as_ref().to_vec());
        self.steps.push((self.now(), step));
        self
    }

    pub(super) fn tick(&mut self) -> &mut Self {
        self.steps.push((self.now(), Step::Tick));
        self
    }

    pub(super) fn exit(&mut self, index: u32, exit_status: i32, duration_ms: u64) -> &mut Self {
        let phase = self.phase();
        self.event(EventKind::CommandCompleted {
            phase,
            index,
            exit_status,
            duration_ms,
        })
    }

    pub(super) fn end(&mut self, status: Status, context: Option<(&str, &str)>) -> &mut Self {
        let now = self.now();
        let phase = self.phases.last_mut().expect("a phase began");
        phase.phase_status = Some(status);
        phase.end_time = Some(now);
        phase.duration_in_seconds = phase.millis().map(|millis| millis / 1000);
        let (status_code, message) = context.unwrap_or_default();
        phase.contexts.push(PhaseContext {
            status_code: status_code.into(),
            message: message.into(),
        });
        let phase = phase.clone();
        self.event(EventKind::PhaseCompleted { phase })
    }

    pub(super) fn notice(&mut self, level: NoticeLevel, message: &str) -> &mut Self {
        self.event(EventKind::Notice {
            level,
            message: message.into(),
        })
    }

    fn event(&mut self, kind: EventKind) -> &mut Self {
        self.steps.push((self.now(), Step::Event(Box::new(kind))));
        self
    }

    fn finish(mut self, status: Status, mut summary: Summary) -> Self {
        self.begin(PhaseType::Finalizing, None)
            .wait(20)
            .end(Status::Succeeded, None);
        self.begin(PhaseType::Completed, None);
        summary.log_path = "/var/lib/croft/logs/demo-3.log".into();
        let build = Box::new(self.build(status));
        self.event(EventKind::BuildCompleted {
            build,
            summary: Box::new(summary),
        });
        self
    }

    fn build(&self, status: Status) -> Build {
        let over = status != Status::InProgress;
        Build {
            id: "demo:0195".into(),
            arn: "arn:aws:codebuild:us-east-1:000000000000:build/demo:0195".into(),
            build_number: 3,
            project_name: "demo".into(),
            start_time: Timestamp::from_millis(BEGIN_MS),
            end_time: over.then(|| self.now()),
            current_phase: if over {
                PhaseType::Completed
            } else {
                PhaseType::Submitted
            },
            build_status: status,
            build_complete: over,
            source_version: None,
            resolved_source_version: None,
            phases: self.phases.clone(),
            exported_environment_variables: Vec::new(),
            initiator: "someone".into(),
            timeout_in_minutes: 60,
            image: "sandbox".into(),
        }
    }

    fn phase(&self) -> PhaseType {
        self.phases.last().expect("a phase began").phase_type
    }

    const fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now_ms)
    }
}

fn place() -> Place {
    Place {
        file: BUILDSPEC.into(),
        line: 12,
        column: 9,
    }
}

/// To the end of the source, with a cache that was found or not.
fn with_source(cache: &CacheSummary, expected_ms: Option<u64>) -> Script {
    let mut script = Script::begun(expected_ms);
    script
        .begin(PhaseType::Provisioning, None)
        .wait(40)
        .end(Status::Succeeded, None);
    script.begin(PhaseType::DownloadSource, None).wait(150);
    script.event(EventKind::CacheRestored {
        cache: cache.clone(),
    });
    script.end(Status::Succeeded, None);
    script
}

fn cache(status: CacheStatus, files: u64, size_bytes: u64, stored_bytes: u64) -> CacheSummary {
    let key = Some("cargo-5f2c".to_owned());
    CacheSummary {
        status,
        key,
        files,
        size_bytes,
        stored_bytes,
        duration_ms: 1300,
        method: (status == CacheStatus::Hit).then_some(CacheMethod::Mounted),
        detail: None,
    }
}

fn test_report(failed: u64) -> Report {
    let case = |number: u64| TestCase {
        prefix: "demo.parse".into(),
        test_suite_name: "parse".into(),
        name: format!("case_{number}"),
        status: CaseStatus::Failed,
        message: "assertion failed: left == right\n\n  left: \u{1b}[31m1\u{1b}[0m\n right: 2"
            .into(),
        duration_in_nano_seconds: 1_000_000,
        test_raw_data_path: "target/junit.xml".into(),
    };
    let counts = [
        (CaseStatus::Succeeded, 1204),
        (CaseStatus::Failed, failed),
        (CaseStatus::Skipped, 2),
    ];
    Report {
        name: "demo-unit".into(),
        report_type: ReportType::Test,
        status: if failed == 0 {
            ReportStatus::Succeeded
        } else {
            ReportStatus::Failed
        },
        files: vec!["target/junit.xml".into()],
        truncated: false,
        test_summary: Some(TestSummary {
            total: 1206 + failed,
            status_counts: counts.into_iter().filter(|(_, count)| *count > 0).collect(),
            duration_in_nano_seconds: 3_250_000_000,
        }),
        code_coverage_summary: None,
        test_cases: (1..=failed).map(case).collect(),
        problems: Vec::new(),
    }
}

fn coverage_report() -> Report {
    Report {
        name: "demo-coverage".into(),
        report_type: ReportType::CodeCoverage,
        test_summary: None,
        code_coverage_summary: Some(CoverageSummary {
            line_coverage_percentage: 84.25,
            lines_covered: 337,
            lines_missed: 63,
            branch_coverage_percentage: 71.0,
            branches_covered: 71,
            branches_missed: 29,
        }),
        problems: vec!["coverage/old.xml: not read: no root element".into()],
        ..test_report(0)
    }
}

/// A build while its second command runs.
pub(super) fn running() -> Script {
    let mut script = with_source(&cache(CacheStatus::Hit, 1204, 220_200_960, 0), Some(80_000));
    script
        .begin(PhaseType::Install, Some(4000))
        .command(1, 1, "npm ci");
    script
        .print("added 12 packages\n")
        .wait(3200)
        .exit(1, 0, 3200)
        .end(Status::Succeeded, None);
    script
        .begin(PhaseType::Build, Some(65_000))
        .command(1, 2, "make\n  all")
        .print("cc -c one.c\n")
        .wait(1000)
        .exit(1, 0, 1000);
    script
        .command(2, 2, "make test")
        .wait(200)
        .print("\u{1b}[32mok\u{1b}[0m 1 - parses\nok 2 - ")
        .wait(300)
        .tick();
    script
}

fn success() -> Script {
    let mut script = running();
    script.notice(NoticeLevel::Warning, "the cache's folder is nearly full");
    script
        .print("prints\n")
        .wait(60_000)
        .exit(2, 0, 60_500)
        .end(Status::Succeeded, None);
    script
        .begin(PhaseType::PostBuild, None)
        .end(Status::Succeeded, None);
    script.begin(PhaseType::UploadArtifacts, None).wait(420);
    let saved = cache(CacheStatus::Unchanged, 1204, 220_200_960, 0);
    let report = test_report(0);
    script.event(EventKind::ReportReady {
        report: Box::new(report.clone()),
    });
    script.event(EventKind::CacheSaved {
        cache: saved.clone(),
    });
    script.end(Status::Succeeded, None);
    let slow = |phase, command: &str, duration_ms| CommandSummary {
        phase,
        command: command.into(),
        duration_ms,
    };
    let artifact = |name: Option<&str>, location: &str, files| ArtifactSummary {
        artifact_identifier: name.map(str::to_owned),
        location: location.into(),
        files,
        size_bytes: 3_500_000,
    };
    script.finish(
        Status::Succeeded,
        Summary {
            reports: vec![report, coverage_report()],
            artifacts: vec![
                artifact(None, "/tmp/out/demo.zip", 1),
                artifact(Some("docs"), "/tmp/out/docs", 1204),
            ],
            cache_restored: Some(cache(CacheStatus::Hit, 1204, 220_200_960, 0)),
            cache_saved: Some(saved),
            slowest_commands: vec![
                slow(PhaseType::Build, "make test", 60_500),
                slow(PhaseType::Install, "npm ci", 3200),
                slow(PhaseType::Build, "make\n  all", 1000),
            ],
            ..Summary::default()
        },
    )
}

fn failed_command(exit_status: i32, last_lines: &[&str]) -> FailedCommand {
    FailedCommand {
        phase: PhaseType::Build,
        command: "make test \\\n  VERBOSE=1".into(),
        exit_status,
        place: place(),
        last_lines: last_lines.iter().map(|line| (*line).to_owned()).collect(),
    }
}

fn command_failure() -> Script {
    let mut script = with_source(&cache(CacheStatus::Miss, 0, 0, 0), None);
    script
        .begin(PhaseType::Build, None)
        .command(1, 1, "make test \\\n  VERBOSE=1");
    script
        .print(b"one\ntwo \xff\n")
        .wait(2000)
        .print("make: *** [Makefile:3: test] Error 1")
        .exit(1, 2, 2000);
    script.end(
        Status::Failed,
        Some((
            "COMMAND_EXECUTION_ERROR",
            "Error while executing command: make test. Reason: exit status 2",
        )),
    );
    script
        .begin(PhaseType::UploadArtifacts, None)
        .end(Status::Succeeded, None);
    script.finish(
        Status::Failed,
        Summary {
            failed_command: Some(failed_command(
                2,
                &[
                    "one",
                    "two \u{fffd}",
                    "make: *** [Makefile:3: test] Error 1",
                ],
            )),
            cache_restored: Some(cache(CacheStatus::Miss, 0, 0, 0)),
            cache_saved: Some(CacheSummary {
                detail: Some("the build failed".into()),
                ..cache(CacheStatus::Skipped, 0, 0, 0)
            }),
            ..Summary::default()
        },
    )
}

fn yaml_failure() -> Script {
    let message = "buildspec.yml:7:5: unknown key `comands`\n  did you mean `commands`?";
    let mut script = Script::begun(None);
    script
        .begin(PhaseType::Provisioning, None)
        .wait(5)
        .end(Status::Succeeded, None);
    script
        .begin(PhaseType::DownloadSource, None)
        .wait(3)
        .end(Status::Failed, Some(("YAML_FILE_ERROR", message)));
    script.finish(
        Status::Failed,
        Summary {
            failure_message: Some(message.into()),
            ..Summary::default()
        },
    )
}

fn failing_tests() -> Script {
    let mut script = with_source(&cache(CacheStatus::Fallback, 1, 512, 0), None);
    script
        .begin(PhaseType::Build, None)
        .command(1, 1, "cargo test")
        .wait(900)
        .exit(1, 101, 900);
    script.end(
        Status::Failed,
        Some((
            "COMMAND_EXECUTION_ERROR",
            "Error while executing command: cargo test. Reason: exit status 101",
        )),
    );
    script.begin(PhaseType::UploadArtifacts, None);
    let report = test_report(12);
    script
        .event(EventKind::ReportReady {
            report: Box::new(report.clone()),
        })
        .wait(150)
        .end(Status::Succeeded, None);
    script.finish(
        Status::Failed,
        Summary {
            failed_command: Some(FailedCommand {
                command: "cargo test".into(),
                ..failed_command(101, &[])
            }),
            reports: vec![report],
            cache_restored: Some(cache(CacheStatus::Fallback, 1, 512, 0)),
            cache_saved: Some(cache(CacheStatus::Saved, 2, 4096, 1024)),
            ..Summary::default()
        },
    )
}

fn timeout() -> Script {
    let message = "BuildTimeout: Build timed out. The limit is 1 minute.";
    let mut script = with_source(&cache(CacheStatus::Unusable, 0, 0, 0), None);
    script
        .begin(PhaseType::Build, None)
        .command(1, 1, "sleep infinity")
        .wait(60_000)
        .exit(1, 137, 60_000);
    script.end(Status::TimedOut, Some(("BUILD_TIMED_OUT", message)));
    script.finish(
        Status::TimedOut,
        Summary {
            failure_message: Some(message.into()),
            ..Summary::default()
        },
    )
}

fn stop() -> Script {
    let message = "stopped by its user";
    let mut script = with_source(&cache(CacheStatus::Hit, 1, 1, 0), None);
    script
        .begin(PhaseType::Build, None)
        .command(1, 1, "make")
        .print("half a line")
        .wait(700);
    script.notice(
        NoticeLevel::Info,
        "stopping: `finally` commands may end; once more to stop at once",
    );
    script
        .wait(50)
        .exit(1, 143, 750)
        .end(Status::Stopped, Some(("STOPPED", message)));
    script.finish(
        Status::Stopped,
        Summary {
            failure_message: Some(message.into()),
            ..Summary::default()
        },
    )
}

fn retry() -> Script {
    let mut script = Script::begun(None);
    script
        .begin(PhaseType::Build, None)
        .command(1, 1, "flaky")
        .print("no luck\n")
        .wait(500)
        .exit(1, 1, 500);
    script.end(
        Status::Failed,
        Some((
            "COMMAND_EXECUTION_ERROR",
            "Error while executing command: flaky. Reason: exit status 1",
        )),
    );
    let reason = "Error while executing command: flaky. Reason: exit status 1".to_owned();
    script.event(EventKind::Retrying {
        attempt: 2,
        attempts_max: 3,
        reason,
    });
    script
        .begin(PhaseType::Build, None)
        .command(1, 1, "flaky")
        .print("luck\n")
        .wait(500)
        .exit(1, 0, 500);
    script.end(Status::Succeeded, None);
    script.finish(Status::Succeeded, Summary::default())
}
