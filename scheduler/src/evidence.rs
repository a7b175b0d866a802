//! What became of the attempts of a build that has no outcome, in words for its last message. Kept by the fold for builds that lost
//! some; read when one is given up.

use std::collections::VecDeque;

use croft_proto::farm::{GivenBackFor, LossReason};

/// The last so many are told: what a build does to its workers it does again.
const TOLD_MAX: usize = 8;
/// Bytes of what a worker says: a sentence or two.
const WORDS_BYTES_MAX: usize = 240;

/// How a build's attempts ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence(VecDeque<String>);

impl Evidence {
    /// One more.
    pub(crate) fn add(&mut self, attempt: u32, reason: &LossReason) {
        if self.0.len() == TOLD_MAX {
            self.0.pop_front();
        }
        self.0.push_back(told(attempt, reason));
    }

    /// The same and one more.
    pub(crate) fn and(&self, attempt: u32, reason: &LossReason) -> Self {
        let mut with = self.clone();
        with.add(attempt, reason);
        with
    }

    /// Why a build is given up that was started so often.
    pub(crate) fn message(&self, attempts: u32) -> String {
        let last = match attempts as usize > self.0.len() {
            true => " Of the last ones",
            false => "",
        };
        let told: Vec<&str> = self.0.iter().map(String::as_str).collect();
        format!(
            "it was started {attempts} times and never came to its end.{last} {}",
            told.join("; ")
        )
    }
}

fn told(attempt: u32, reason: &LossReason) -> String {
    let (cause, message) = match reason {
        LossReason::Unheard { silent_ms } => {
            return format!(
                "attempt {attempt} was lost with its worker, which was silent for {silent_ms} ms"
            );
        }
        LossReason::GivenBack { cause, message } => (cause, message),
    };
    let why = match cause {
        GivenBackFor::Leaving => ", since its worker left",
        GivenBackFor::Machine => ", since its worker's machine failed it",
        GivenBackFor::Lease => ", since its worker was not answered",
        GivenBackFor::Unsaid => "",
    };
    let end = message.floor_char_boundary(WORDS_BYTES_MAX);
    format!("attempt {attempt} was given back{why}: {}", &message[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_is_told_as_it_ended_and_no_more_than_can_be_read() {
        let mut evidence = Evidence::default();
        evidence.add(1, &LossReason::Unheard { silent_ms: 15_001 });
        let back = |cause, message: &str| LossReason::GivenBack {
            cause,
            message: message.into(),
        };
        evidence.add(2, &back(GivenBackFor::Machine, "no space left"));
        assert_eq!(
            evidence.message(2),
            "it was started 2 times and never came to its end. attempt 1 was lost with its worker, which was silent for \
             15001 ms; attempt 2 was given back, since its worker's machine failed it: no space left"
        );
        for attempt in 3..=40 {
            evidence.add(attempt, &back(GivenBackFor::Leaving, &"ö".repeat(10_000)));
        }
        let message = evidence.message(40);
        assert!(message.len() < 4_096, "{}", message.len());
        assert!(message.contains("attempt 40 ") && !message.contains("attempt 32 "));
    }
}
