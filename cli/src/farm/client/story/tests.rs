use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::*;
use crate::render::{Ndjson, Plain, Style};

/// What a rendering wrote.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

struct Told {
    story: Story,
    shown: Shown,
    paper: Paper,
}

fn for_a_person() -> Told {
    let paper = Paper::default();
    let sink = Box::new(Plain::new(paper.clone(), Style::default()));
    told(sink, true, paper)
}

fn for_a_tool() -> Told {
    let paper = Paper::default();
    told(Box::new(Ndjson::new(paper.clone())), false, paper)
}

fn told(sink: Box<dyn Sink>, is_person: bool, paper: Paper) -> Told {
    Told {
        story: Story::of("web:1"),
        shown: Shown { sink, is_person },
        paper,
    }
}

impl Told {
    fn hear(&mut self, id: Option<&str>, event: &str, data: &str) -> Option<Box<Ended>> {
        let message = Message { id, event, data };
        let now = Timestamp::from_millis(1000);
        self.story.hear(&message, &mut self.shown, now).unwrap()
    }

    fn output(&mut self, id: &str, seq: u64, text: &str) {
        let line =
            json!({"seq": seq, "time": 1.0, "type": "output", "phase": "BUILD", "text": text});
        self.hear(Some(id), "build", &line.to_string());
    }
}

fn build(status: &str) -> serde_json::Value {
    json!({
        "id": "web:1", "arn": "arn:aws:codebuild:us-east-1:000000000000:build/web:1", "buildNumber": 1,
        "projectName": "web", "startTime": 1.0, "endTime": 3.5, "currentPhase": "COMPLETED",
        "buildStatus": status, "buildComplete": true, "phases": [], "exportedEnvironmentVariables": [],
        "initiator": "me", "timeoutInMinutes": 60, "image": "sandbox", "x-croft": {"pool": "default"}
    })
}

fn completed(seq: u64, status: &str) -> String {
    let summary = json!({"reports": [], "artifacts": [], "slowestCommands": [], "logPath": "/worker/build.log"});
    json!({"seq": seq, "time": 3.5, "type": "buildCompleted", "build": build(status), "summary": summary}).to_string()
}

#[test]
fn what_comes_twice_is_shown_once() {
    let mut told = for_a_person();
    told.hear(None, "attempt", "{\"attempt\": 1}");
    told.output("1.1", 1, "one\n");
    told.output("1.2", 2, "two\n");
    told.output("1.2", 3, "three\n");
    // What is asked for again begins with the piece that may not have come whole.
    assert_eq!(told.story.resume_after(), Some("1.1"));
    told.hear(None, "attempt", "{\"attempt\": 1}");
    told.output("1.2", 2, "two\n");
    told.output("1.2", 3, "three\n");
    told.output("1.3", 4, "four\n");
    assert_eq!(
        told.paper.text(),
        "[BUILD] one\n[BUILD] two\n[BUILD] three\n[BUILD] four\n"
    );
}

#[test]
fn several_lines_of_one_message_are_several_events() {
    let mut told = for_a_person();
    let line = |seq| json!({"seq": seq, "time": 1, "type": "output", "phase": "BUILD", "text": format!("{seq}\n")});
    told.hear(Some("1.1"), "build", &format!("{}\n{}\n", line(1), line(2)));
    assert_eq!(told.paper.text(), "[BUILD] 1\n[BUILD] 2\n");
}

#[test]
fn gaps_are_said_and_where_all_of_it_is() {
    let mut told = for_a_person();
    told.output("1.1", 1, "one\n");
    told.output("1.9", 5, "five\n");
    let missed = |told: &Told| told.paper.text().matches("was missed").count();
    assert_eq!(missed(&told), 1);
    // What was skipped may have been seen over an earlier connection.
    told.hear(None, "skipped", "{}");
    told.output("1.9", 5, "five\n");
    told.output("1.10", 6, "six\n");
    assert_eq!(missed(&told), 1);
    told.hear(None, "skipped", "{}");
    told.hear(None, "end", &json!({"build": build("STOPPED")}).to_string());
    assert_eq!(missed(&told), 2);
    assert!(told.paper.text().contains("croft build logs web:1"));
}

#[test]
fn an_attempt_after_a_lost_one_starts_anew() {
    let mut told = for_a_person();
    told.hear(None, "attempt", "{\"attempt\": 1}");
    told.output("1.1", 1, "one\n");
    told.hear(Some("1.2"), "build", &completed(2, "FAILED"));
    told.hear(None, "attempt", "{\"attempt\": 2}");
    told.output("2.1", 1, "one again\n");
    told.hear(Some("2.2"), "build", &completed(2, "SUCCEEDED"));
    let ended = told
        .hear(
            None,
            "end",
            &json!({"build": build("SUCCEEDED")}).to_string(),
        )
        .unwrap();
    assert_eq!(ended.build.build_status, Status::Succeeded);
    let text = told.paper.text();
    assert!(text.contains("attempt 2"), "{text}");
    // Only what holds is told as the end.
    assert!(
        !text.contains("FAILED") && text.matches("SUCCEEDED").count() == 1,
        "{text}"
    );
}

#[test]
fn an_attempt_says_what_became_of_the_one_before_as_far_as_that_is_told() {
    for (before, say) in [
        (
            json!({"why": "unheard", "silentMs": 15_000}),
            "before was lost",
        ),
        (
            json!({"why": "givenBack", "message": "cannot pull x:1", "cause": "machine"}),
            "before could not run it: cannot pull x:1",
        ),
        (
            json!({"why": "givenBack", "message": "its worker was told to leave", "cause": "leaving"}),
            "before gave it back: its worker was told to leave",
        ),
        (json!({"why": "eaten"}), "before did not come to its end"),
        (json!(null), "before did not come to its end"),
    ] {
        let mut told = for_a_person();
        let data = json!({"attempt": 2, "before": before}).to_string();
        told.hear(None, "attempt", &data);
        let text = told.paper.text();
        assert!(text.contains("attempt 2") && text.contains(say), "{text}");
    }
    let mut told = for_a_person();
    told.hear(None, "attempt", "{\"attempt\": 2}");
    assert!(told.paper.text().contains("did not come to its end"));
}

#[test]
fn an_end_that_no_worker_told_is_shown_like_any_other() {
    let mut told = for_a_person();
    told.hear(None, "state", "{\"status\": \"QUEUED\"}");
    assert!(told.story.is_waiting);
    let ended = told.hear(
        None,
        "end",
        &json!({"build": build("STOPPED"), "summary": null}).to_string(),
    );
    assert_eq!(ended.unwrap().build.build_status, Status::Stopped);
    let text = told.paper.text();
    assert!(
        text.contains("STOPPED in 2.5s") && text.contains("croft build logs web:1"),
        "{text}"
    );
}

#[test]
fn a_person_is_not_sent_to_paths_of_the_workers_machine_and_a_tool_gets_all_as_it_is() {
    let end = json!({"build": build("SUCCEEDED")}).to_string();
    let mut person = for_a_person();
    person.hear(Some("1.1"), "build", &completed(1, "SUCCEEDED"));
    person.hear(None, "end", &end);
    assert!(
        !person.paper.text().contains("/worker/"),
        "{}",
        person.paper.text()
    );
    let mut tool = for_a_tool();
    tool.hear(None, "attempt", "{\"attempt\": 1}");
    tool.output("1.1", 1, "one\n");
    tool.hear(Some("1.2"), "build", &completed(2, "SUCCEEDED"));
    tool.hear(None, "end", &end);
    let text = tool.paper.text();
    let seqs: Vec<u64> = text
        .lines()
        .map(|line| serde_json::from_str::<Event>(line).unwrap().seq)
        .collect();
    assert_eq!(seqs, [1, 2]);
    assert!(text.contains("/worker/build.log"), "{text}");
}

#[test]
fn words_of_a_later_server_are_passed_over_and_broken_ones_are_not() {
    let mut told = for_a_person();
    told.hear(
        Some("1.1"),
        "build",
        "{\"seq\":1,\"time\":1,\"type\":\"weather\"}",
    );
    told.hear(None, "weather", "sunny");
    assert_eq!(told.paper.text(), "");
    let message = Message {
        id: None,
        event: "end",
        data: "{\"build\":",
    };
    let heard = told
        .story
        .hear(&message, &mut told.shown, Timestamp::default());
    heard.unwrap_err();
}

#[test]
fn a_buildspec_with_mistakes_has_the_number_that_croft_run_gives_it() {
    let mut failed = build("FAILED");
    let phase = |code| {
        json!([{"phaseType": "DOWNLOAD_SOURCE", "phaseStatus": "FAILED", "startTime": 1, "endTime": 2,
            "contexts": [{"statusCode": code, "message": "m"}]}])
    };
    for (code, is_mistake) in [("YAML_FILE_ERROR", true), ("CLIENT_ERROR", false)] {
        failed["phases"] = phase(code);
        let ended: Ended = serde_json::from_value(json!({"build": failed})).unwrap();
        assert_eq!(ended.is_mistake(), is_mistake, "{code}");
    }
}
