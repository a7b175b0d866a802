//! What a host's scripts print, as it goes to the farm and on to whoever follows. Made by agents, read by servers and by those who follow.

use serde::{Deserialize, Serialize};

use super::{DeploymentId, LifecycleEvent};

/// Bytes of a piece in JSON: with what a server puts beside it, it is one message of a bus.
pub const OUTPUT_BYTES_MAX: usize = 60 << 10;

/// A piece of what a host prints in one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostOutput {
    /// The deployment.
    pub deployment_id: DeploymentId,
    /// The command's generation.
    pub generation: u64,
    /// The event.
    pub event: LifecycleEvent,
    /// When the host began to count what it prints in the deployment, in milliseconds since 1970: an agent that was started anew counts anew.
    pub begun_ms: u64,
    /// Bytes that it printed in the deployment before these lines, those left out among them. A line's end counts as one.
    pub from: u64,
    /// So many of them, just before these lines, are nowhere but in the host's own log: the farm was too slow for them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// The lines.
    pub lines: Vec<OutputLine>,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputLine {
    /// Whose it is, as the AppSpec names it; none: of whom the line before is in the same piece, or of no script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// Where it was printed.
    pub stream: OutputStream,
    /// Without its end.
    pub text: String,
}

/// Where a line was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Nowhere: the agent says it.
    Agent,
}

/// How much a host has printed in a deployment, as its pieces count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrintedUntil {
    /// When it began to count.
    pub begun_ms: u64,
    /// Bytes, those that were left out among them.
    pub bytes: u64,
}

/// A piece as followers have it: with the host, which only the server knows for certain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrintedOutput {
    /// The host.
    pub host: String,
    /// What it printed.
    #[serde(flatten)]
    pub output: HostOutput,
}

/// What a host is told of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputAnswer {
    /// Bytes that were taken.
    pub bytes: u64,
}

impl HostOutput {
    /// Where it ends, as its host counts.
    #[must_use]
    pub fn until(&self) -> u64 {
        self.from.saturating_add(self.bytes())
    }

    /// Bytes of its lines, their ends among them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.lines.iter().map(OutputLine::bytes).sum()
    }
}

impl OutputLine {
    /// Its bytes, its end among them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.text.len() as u64 + 1
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_looks_so() {
        let output = HostOutput {
            deployment_id: "d-FFXGQ7OB7".parse().unwrap(),
            generation: 3,
            event: LifecycleEvent::ApplicationStart,
            begun_ms: 1_700_000_000_123,
            from: 7,
            left_out: 0,
            lines: vec![OutputLine {
                script: Some("start.sh".into()),
                stream: OutputStream::Stdout,
                text: "up".into(),
            }],
        };
        assert_eq!(output.bytes(), 3);
        let host = "web-1".to_string();
        let printed = PrintedOutput { host, output };
        let text = serde_json::to_string(&printed).unwrap();
        assert_eq!(
            text,
            "{\"host\":\"web-1\",\"deploymentId\":\"d-FFXGQ7OB7\",\"generation\":3,\"event\":\"ApplicationStart\",\
             \"begunMs\":1700000000123,\"from\":7,\"lines\":[{\"script\":\"start.sh\",\"stream\":\"stdout\",\"text\":\"up\"}]}"
        );
        assert_eq!(
            serde_json::from_str::<PrintedOutput>(&text).unwrap(),
            printed
        );
    }
}
