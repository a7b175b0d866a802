//! What tools get, for each scripted build.

use croft_proto::{PhaseType, Timestamp};

use super::*;
use crate::render::script;

fn written(play: impl FnOnce(&mut dyn Sink)) -> String {
    let mut written = Vec::new();
    play(&mut Ndjson::new(&mut written));
    String::from_utf8(written).unwrap()
}

#[test]
fn tools_get_every_build_as_json_events() {
    for (name, script) in script::all() {
        let text = written(|sink| script.play(sink));
        insta::assert_snapshot!(format!("ndjson_{name}"), text);
    }
}

#[test]
fn every_line_is_an_event_that_can_be_read_back() {
    for (_, script) in script::all() {
        for line in written(|sink| script.play(sink)).lines() {
            let event: Event = serde_json::from_str(line).unwrap();
            assert_eq!(serde_json::to_string(&event).unwrap(), line);
        }
    }
}

#[test]
fn output_is_text_on_one_line() {
    let chunk = Chunk {
        seq: 7,
        time: Timestamp::from_millis(1500),
        phase: PhaseType::Build,
        bytes: b"a\n\xff\"",
    };
    let text = written(|sink| sink.output(&chunk));
    assert_eq!(
        text,
        "{\"seq\":7,\"time\":1.5,\"type\":\"output\",\"phase\":\"BUILD\",\"text\":\"a\\n\u{fffd}\\\"\"}\n"
    );
}
