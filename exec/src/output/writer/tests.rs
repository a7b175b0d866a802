//! What the writer promises: one order, no gaps, no secrets, and a build that goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use croft_proto::{BuildPhase, PhaseContext, Place, ReportStatus, ReportType, Status};

use super::*;

/// Everything a sink was told, as `number what`.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<(u64, String)>>>);

impl Told {
    fn take(&self) -> Vec<(u64, String)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn texts(&self) -> Vec<String> {
        self.take().into_iter().map(|(_, text)| text).collect()
    }
}

impl Sink for Told {
    fn event(&mut self, event: &Event) {
        let text = if let EventKind::Notice { message, .. } = &event.kind {
            format!("notice {message}")
        } else if let EventKind::PhaseStarted { phase, .. } = &event.kind {
            format!("phase {phase}")
        } else {
            format!("{:?}", event.kind)
        };
        self.0.lock().unwrap().push((event.seq, text));
    }

    fn output(&mut self, chunk: &Chunk<'_>) {
        let text = format!("{} {}", chunk.phase, chunk.bytes.escape_ascii());
        self.0.lock().unwrap().push((chunk.seq, text));
    }

    fn tick(&mut self, now: Timestamp) {
        self.0
            .lock()
            .unwrap()
            .push((0, format!("tick {}", now.millis())));
    }

    fn finish(&mut self) {
        self.0.lock().unwrap().push((0, "finish".to_owned()));
    }
}

struct Desk {
    writer: Writer,
    told: Told,
    log_path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Desk {
    fn new(secrets: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log_path = dir.path().join("build.log");
        let told = Told::default();
        let writer = writer(log_path.clone(), told.clone(), secrets);
        Self {
            writer,
            told,
            log_path,
            _dir: dir,
        }
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log_path).unwrap()).into_owned()
    }
}

fn writer(log_path: PathBuf, sink: impl Sink + 'static, secrets: &[&str]) -> Writer {
    let millis = AtomicU64::new(1_767_366_245_123);
    let clock = Box::new(move || Timestamp::from_millis(millis.fetch_add(1, Ordering::Relaxed)));
    let secrets = secrets.iter().map(|secret| (*secret).to_owned()).collect();
    Writer::create(Options {
        log_path,
        sink: Box::new(sink),
        clock,
        secrets,
    })
    .unwrap()
}

fn started(command: &str) -> EventKind {
    let place = Place {
        file: "buildspec.yml".into(),
        line: 5,
        column: 9,
    };
    let command = command.to_owned();
    EventKind::CommandStarted {
        phase: PhaseType::Build,
        index: 1,
        count: 1,
        finally: false,
        command,
        place,
    }
}

const fn completed(exit_status: i32) -> EventKind {
    EventKind::CommandCompleted {
        phase: PhaseType::Build,
        index: 1,
        exit_status,
        duration_ms: 12,
    }
}

fn notice(message: &str) -> EventKind {
    EventKind::Notice {
        level: NoticeLevel::Info,
        message: message.to_owned(),
    }
}

#[test]
fn the_log_reads_like_codebuild_s() {
    let desk = Desk::new(&["hunter22"]);
    desk.writer.emit(EventKind::PhaseStarted {
        phase: PhaseType::Build,
        expected_ms: None,
    });
    desk.writer.emit(started("login hunter22"));
    desk.writer.output(b"logged in\nno line end");
    desk.writer.emit(completed(3));
    let error = "Error while executing command: login hunter22. Reason: exit status 3".to_owned();
    desk.writer.emit(EventKind::PhaseCompleted {
        phase: BuildPhase {
            phase_type: PhaseType::Build,
            phase_status: Some(Status::Failed),
            start_time: Timestamp::from_millis(0),
            end_time: None,
            duration_in_seconds: None,
            contexts: vec![PhaseContext {
                status_code: "COMMAND_EXECUTION_ERROR".into(),
                message: error,
            }],
        },
    });
    desk.writer.finish();
    let expected = "\
[Container] 2026/01/02 15:04:05.123000 Entering phase BUILD
[Container] 2026/01/02 15:04:05.124000 Running command login ***
logged in
no line end

[Container] 2026/01/02 15:04:05.126000 Command did not exit successfully login *** exit status 3
[Container] 2026/01/02 15:04:05.127000 Phase complete: BUILD State: FAILED
[Container] 2026/01/02 15:04:05.127000 Phase context status code: COMMAND_EXECUTION_ERROR Message: Error while executing command: login ***. Reason: exit status 3
";
    assert_eq!(desk.log(), expected);
}

#[test]
fn events_and_chunks_are_numbered_together_without_gaps() {
    let desk = Desk::new(&["hunter22"]);
    desk.writer.emit(EventKind::PhaseStarted {
        phase: PhaseType::Install,
        expected_ms: None,
    });
    desk.writer.output(b"one ");
    desk.writer.output(b"hunt");
    desk.writer.output(b"er22 two hun");
    desk.writer.emit(notice("here"));
    desk.writer.output(&vec![b'x'; CHUNK_BYTES_MAX + 1]);
    desk.writer.finish();
    let told = desk.told.take();
    let numbers: Vec<u64> = told
        .iter()
        .map(|(seq, _)| *seq)
        .filter(|&seq| seq > 0)
        .collect();
    assert_eq!(numbers, (1..=7).collect::<Vec<_>>());
    let texts: Vec<&str> = told.iter().map(|(_, text)| text.as_str()).take(5).collect();
    assert_eq!(
        texts,
        [
            "phase INSTALL",
            "INSTALL one ",
            "INSTALL *** two ",
            "INSTALL hun",
            "notice here"
        ]
    );
}

#[test]
fn held_output_goes_when_the_reader_says_that_nothing_came() {
    let desk = Desk::new(&["hunter22"]);
    desk.writer.output(b"password: hunt");
    assert!(desk.writer.holds());
    assert_eq!(desk.told.texts(), ["SUBMITTED password: "]);
    desk.writer.idle();
    assert!(!desk.writer.holds());
    let texts = desk.told.texts();
    assert_eq!(texts[0], "SUBMITTED hunt");
    assert!(texts[1].starts_with("tick "));
    assert_eq!(desk.log(), "password: hunt");
}

#[test]
fn a_character_is_not_cut_by_the_border_of_a_chunk() {
    let desk = Desk::new(&[]);
    let euro = "€".as_bytes();
    desk.writer.output(&euro[..2]);
    assert!(desk.writer.holds());
    desk.writer.output(&[&euro[2..], b"\xff"].concat());
    desk.writer.output(&euro[..1]);
    desk.writer.finish();
    assert_eq!(
        desk.told.texts(),
        [
            "SUBMITTED \\xe2\\x82\\xac\\xff",
            "SUBMITTED \\xe2",
            "finish"
        ]
    );
    assert_eq!(
        std::fs::read(&desk.log_path).unwrap(),
        b"\xe2\x82\xac\xff\xe2"
    );
}

#[test]
fn a_full_disk_becomes_one_warning_and_the_build_goes_on() {
    let told = Told::default();
    let writer = writer("/dev/full".into(), told.clone(), &[]);
    writer.output(b"one");
    writer.emit(notice("after"));
    writer.output(b"two");
    writer.finish();
    let told = told.take();
    assert_eq!(told[0], (1, "SUBMITTED one".to_owned()));
    assert!(
        told[1]
            .1
            .starts_with("notice the build goes on, but its log /dev/full ends here: "),
        "{told:?}"
    );
    assert_eq!(told[1].0, 2);
    assert_eq!(
        told[2..],
        [
            (3, "notice after".into()),
            (4, "SUBMITTED two".into()),
            (0, "finish".into())
        ]
    );
}

#[test]
fn the_last_lines_are_those_of_the_command_that_runs_and_are_masked() {
    let desk = Desk::new(&["hunter22"]);
    desk.writer.emit(started("first"));
    desk.writer.output(b"of the first\n");
    desk.writer.emit(started("second"));
    desk.writer.output(b"one\nhunter22 two\nthr");
    desk.writer.output(b"ee hunter22");
    assert_eq!(desk.writer.last_lines(20), ["one", "*** two", "three ***"]);
    assert_eq!(desk.writer.last_lines(1), ["three ***"]);
}

#[test]
fn a_secret_added_while_the_build_runs_is_masked_everywhere_from_then_on() {
    let desk = Desk::new(&[]);
    desk.writer.add_secret("s3cr3t-token");
    desk.writer.emit(notice("s3cr3t-token"));
    desk.writer.output(b"c3Mz czNjcjN0LXRva2Vu\n");
    desk.writer.emit(EventKind::Output {
        phase: PhaseType::Build,
        text: "s3cr3t-token".to_owned(),
    });
    assert_eq!(
        desk.told.texts(),
        ["notice ***", "SUBMITTED c3Mz ***\\n", "SUBMITTED ***"]
    );
    assert!(!desk.log().contains("s3cr3t"));
}

#[test]
fn a_report_is_masked_for_keeping_as_for_showing() {
    let desk = Desk::new(&["hunter22"]);
    let mut report = Report {
        name: "shop-tests".to_owned(),
        report_type: ReportType::Test,
        status: ReportStatus::Incomplete,
        files: vec!["hunter22.xml".to_owned()],
        truncated: false,
        test_summary: None,
        code_coverage_summary: None,
        test_cases: Vec::new(),
        problems: vec!["hunter22.xml ends early".to_owned()],
    };
    desk.writer.mask_report(&mut report);
    assert_eq!(
        (&report.files[0][..], &report.problems[0][..]),
        ("***.xml", "***.xml ends early")
    );
    desk.writer.emit(EventKind::ReportReady {
        report: Box::new(report.clone()),
    });
    assert!(desk.told.texts()[0].contains(&format!("{report:?}")));
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let (sink, clock) = (Box::new(Told::default()), Box::new(Timestamp::default));
    let error = Writer::create(Options {
        log_path: "/no/such/folder/x".into(),
        sink,
        clock,
        secrets: Vec::new(),
    })
    .unwrap_err();
    assert_eq!(error.to_string(), "create the build log /no/such/folder/x");
}

#[test]
fn many_threads_write_and_no_number_is_lost() {
    let desk = Desk::new(&["hunter22"]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    desk.writer.output(b"line\n");
                    desk.writer.emit(notice("note"));
                }
            });
        }
    });
    let numbers: Vec<u64> = desk.told.take().into_iter().map(|(seq, _)| seq).collect();
    assert_eq!(numbers, (1..=1600).collect::<Vec<_>>());
}
