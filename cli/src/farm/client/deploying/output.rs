//! What the hosts of a deployment print, line by line: followed as it comes, or what the farm has of it now. Receives a farm and an id; hands
//! each line to whoever shows it.

use croft_proto::deploy::{LifecycleEvent, OutputStream, PrintedOutput};
use serde::{Deserialize, Serialize};

use super::super::call::{Call, Farm};
use super::super::sse::Message;
use super::follow::{self, Hearing};
use crate::args::Format;
use crate::exit::Exit;
use crate::farm::words::PrintedWords;
use crate::output as printing;

/// A line that a host printed, or how much of them is not here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line {
    deployment_id: String,
    /// `output`, or `missed`.
    kind: &'static str,
    pub(super) host: String,
    pub(super) event: LifecycleEvent,
    #[serde(skip_serializing_if = "Option::is_none")]
    script: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<OutputStream>,
    /// Of what is missed.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    text: String,
}

impl Line {
    /// That a host printed this.
    pub(super) fn of(id: &str, host: &str, event: LifecycleEvent, text: &str) -> Self {
        Self {
            deployment_id: id.to_string(),
            kind: "output",
            host: host.to_string(),
            event,
            script: None,
            stream: None,
            bytes: None,
            text: text.to_string(),
        }
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        let text = croft_exec::output::plain_text(&self.text, usize::MAX);
        format!("{} {} | {text}", self.host, self.event)
    }
}

/// What is followed of whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) id: &'a str,
    /// One host alone.
    pub(super) host: Option<&'a str>,
    /// Until the deployment is over; else what there is now.
    pub(super) follow: bool,
}

/// `croft deployment output`.
pub(super) async fn output(farm: &Farm, words: &PrintedWords) -> anyhow::Result<Exit> {
    let wanted = Wanted {
        id: &words.name.id,
        host: words.host.as_deref(),
        follow: words.follow,
    };
    let format = words.output.output;
    let mut all = Vec::new();
    let mut is_empty = true;
    let mut tell = |line: &Line| {
        is_empty = false;
        match format {
            Format::Table | Format::Wide => printing::text(&format!("{}\n", line.shown()))?,
            Format::Name => printing::text(&format!("{}\n", line.text))?,
            Format::Ndjson => printing::value(line, format)?,
            Format::Json | Format::Yaml => all.push(line.clone()),
        }
        Ok(())
    };
    lines(farm, wanted, &mut tell).await?;
    if is_empty {
        // Beside what is printed: a script that reads it gets nothing, as there is nothing.
        printing::say(&nothing(wanted));
    }
    if matches!(format, Format::Json | Format::Yaml) {
        printing::value(&all, format)?;
    }
    Ok(Exit::Succeeded)
}

/// That there was nothing to print.
fn nothing(wanted: Wanted<'_>) -> String {
    let whose = match wanted.host {
        Some(host) => format!("{host} has"),
        None => "its hosts have".to_string(),
    };
    match wanted.follow {
        true => format!("{} is over, and {whose} printed nothing", wanted.id),
        false => format!(
            "{whose} printed nothing yet that the farm has: the scripts' output is kept here for a while, and in each host's scripts.log"
        ),
    }
}

/// Hands on the lines that are wanted.
///
/// # Errors
/// Those of [`follow::hear`].
pub(super) async fn lines(
    farm: &Farm,
    wanted: Wanted<'_>,
    tell: &mut dyn FnMut(&Line) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut reading = Reading {
        wanted,
        last: None,
        heard: Vec::new(),
        is_over: false,
        teller: tell,
    };
    follow::hear(farm, wanted.id, &mut reading).await
}

/// Where in a stream of output one is.
struct Reading<'a> {
    wanted: Wanted<'a>,
    last: Option<String>,
    heard: Vec<Line>,
    is_over: bool,
    teller: &'a mut dyn FnMut(&Line) -> anyhow::Result<()>,
}

/// What a client has not been sent.
#[derive(Debug, Deserialize)]
struct Missed {
    host: String,
    event: LifecycleEvent,
    /// None when that is not known.
    bytes: Option<u64>,
}

/// The last message.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct End {
    is_whole: Option<bool>,
}

impl Hearing for Reading<'_> {
    fn call(&self) -> Call {
        let mut call = Call::get(&["v1", "deployments", self.wanted.id, "output"]);
        if let Some(host) = self.wanted.host {
            call = call.query("host", host);
        }
        if !self.wanted.follow {
            call = call.query("follow", "false");
        }
        call
    }

    fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    fn hear(&mut self, message: &Message<'_>) -> Result<(), serde_json::Error> {
        match message.event {
            "output" => {
                let printed = serde_json::from_str(message.data)?;
                self.heard.extend(lines_of(self.wanted.id, printed));
            }
            "missed" => {
                let missed = serde_json::from_str(message.data)?;
                self.heard.push(missed_of(self.wanted.id, missed));
            }
            "end" => {
                let end: End = serde_json::from_str(message.data)?;
                if end.is_whole == Some(false) {
                    printing::say("the farm cannot be asked for the rest of it now: ask again");
                }
                self.is_over = true;
            }
            // What a later server may say beside it.
            _ => {}
        }
        if let Some(id) = message.id {
            self.last = Some(id.to_string());
        }
        Ok(())
    }

    fn tell(&mut self) -> anyhow::Result<()> {
        let mut heard = self.heard.drain(..);
        heard.try_for_each(|line| (self.teller)(&line))
    }

    fn is_over(&self) -> bool {
        self.is_over
    }
}

fn lines_of(id: &str, printed: PrintedOutput) -> Vec<Line> {
    let PrintedOutput { host, output } = printed;
    let event = output.event;
    let line = |text: &str| Line::of(id, &host, event, text);
    let mut lines = Vec::new();
    if output.left_out > 0 {
        let left_out = output.left_out;
        let text = format!(
            "{left_out} bytes were left out: more was printed than the farm takes; the host's scripts.log has them"
        );
        lines.push(Line {
            kind: "missed",
            bytes: Some(left_out),
            ..line(&text)
        });
    }
    let mut script = None;
    for said in output.lines {
        script = said.script.or(script);
        lines.push(Line {
            script: script.clone(),
            stream: Some(said.stream),
            ..line(&said.text)
        });
    }
    lines
}

fn missed_of(id: &str, missed: Missed) -> Line {
    let text = match missed.bytes {
        Some(bytes) => format!(
            "{bytes} bytes before this are not on the farm; the host's scripts.log has them"
        ),
        None => "some bytes before this may be missing; the host's scripts.log has them".into(),
    };
    Line {
        kind: "missed",
        bytes: missed.bytes,
        ..Line::of(id, &missed.host, missed.event, &text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_name_their_host_event_and_script_and_what_is_not_there_is_said() {
        let printed = json!({
            "host": "web-1", "deploymentId": "d-FFXGQ7OB7", "generation": 1, "event": "ApplicationStart", "begunMs": 1,
            "from": 100, "leftOut": 50, "lines": [
                {"script": "a.sh", "stream": "stdout", "text": "\u{1b}[2Jone"},
                {"stream": "stderr", "text": "two"},
                {"script": "b.sh", "stream": "stdout", "text": "three"},
            ],
        });
        let printed = serde_json::from_value(printed).unwrap();
        let lines = lines_of("d-A", printed);
        let shown: Vec<_> = lines.iter().map(Line::shown).collect();
        assert!(
            shown[0].starts_with("web-1 ApplicationStart | 50 bytes were left out"),
            "{shown:?}"
        );
        let rest = ["one", "two", "three"].map(|text| format!("web-1 ApplicationStart | {text}"));
        assert_eq!(shown[1..], rest);
        let scripts: Vec<_> = lines.iter().map(|line| line.script.as_deref()).collect();
        assert_eq!(scripts, [None, Some("a.sh"), Some("a.sh"), Some("b.sh")]);
        let bytes = [Some(7), None].map(|bytes| {
            let (host, event) = ("h".into(), LifecycleEvent::Install);
            missed_of("d-A", Missed { host, event, bytes }).bytes
        });
        assert_eq!(bytes, [Some(7), None]);
    }
}
