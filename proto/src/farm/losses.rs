//! What the lost attempts of a build count for. Folded alike by servers, which give a build up that nobody brings to an end, and by
//! workers, which then say so themselves.

use super::journal::{GivenBackFor, LossReason};

/// Attempts that leaving workers gave back and that do not count. A farm that is started anew says nothing about a build; one that
/// was in the way of so many such starts has had its chances, and nothing may go round for ever.
pub const LEAVING_MAX: u32 = 8;

/// What workers wrote when they left, in the version that did not say a cause beside the message. It never changes: ledgers have it.
const LEFT_WITHOUT_CAUSE: &str = "its worker was told to leave";

/// The attempts of a build that ended without an outcome.
///
/// Each stands in one of three places:
///
/// - its worker left: it does not count, up to [`LEAVING_MAX`] times;
/// - it is known what happened, and it counts;
/// - it was given back by a croft that did not say why, or said what this one does not know. That may have been a fault, or nothing at all,
///   so it alone ends no build: it is held back, and counts as soon as one follows that is known to count. What is held back shares
///   [`LEAVING_MAX`] with those that left, and beyond that counts at once.
///
/// So a farm whose workers are upgraded one after the other gives up no build for what the old ones wrote; a build that faults on old
/// and new workers gets no more attempts than on new ones; and no build is ever started more often than `attemptsMax` and
/// [`LEAVING_MAX`] together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    leaving: u32,
    held_back: u32,
    others: u32,
}

/// What a loss is taken for.
enum Kind {
    Left,
    Unknown,
    Counts,
}

impl Losses {
    /// One more.
    pub fn add(&mut self, reason: &LossReason) {
        match reason.kind() {
            Kind::Left => self.leaving = self.leaving.saturating_add(1),
            Kind::Unknown => self.held_back = self.held_back.saturating_add(1),
            Kind::Counts => {
                let held_back = std::mem::take(&mut self.held_back);
                self.others = self.others.saturating_add(held_back).saturating_add(1);
            }
        }
    }

    /// The same and one more.
    #[must_use]
    pub fn and(mut self, reason: &LossReason) -> Self {
        self.add(reason);
        self
    }

    /// How many of them speak against the build.
    #[must_use]
    pub const fn counted(self) -> u32 {
        let free = self.leaving.saturating_add(self.held_back);
        self.others.saturating_add(free.saturating_sub(LEAVING_MAX))
    }

    /// True when a build that may have so many attempts gets no other.
    #[must_use]
    pub const fn is_last(self, attempts_max: u32) -> bool {
        self.counted() >= attempts_max
    }
}

impl LossReason {
    fn kind(&self) -> Kind {
        match self {
            Self::Unheard { .. } => Kind::Counts,
            Self::GivenBack { cause, message } => match cause {
                GivenBackFor::Leaving => Kind::Left,
                GivenBackFor::Machine | GivenBackFor::Lease => Kind::Counts,
                GivenBackFor::Unsaid if message == LEFT_WITHOUT_CAUSE => Kind::Left,
                GivenBackFor::Unsaid => Kind::Unknown,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(cause: GivenBackFor) -> LossReason {
        LossReason::GivenBack {
            message: "why".into(),
            cause,
        }
    }

    #[test]
    fn leaving_workers_do_not_count_until_there_were_too_many_of_them() {
        let mut losses = Losses::default();
        for _ in 0..LEAVING_MAX {
            losses.add(&back(GivenBackFor::Leaving));
        }
        assert_eq!(losses.counted(), 0);
        losses.add(&back(GivenBackFor::Machine));
        losses.add(&LossReason::Unheard { silent_ms: 1 });
        assert_eq!(losses.counted(), 2);
        assert!(!losses.is_last(3));
        assert!(losses.and(&back(GivenBackFor::Leaving)).is_last(3));
        assert!(losses.and(&back(GivenBackFor::Lease)).is_last(3));
    }

    /// As the version before this one wrote it.
    fn old(message: &str) -> LossReason {
        let event = serde_json::json!({"why": "givenBack", "message": message});
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn workers_that_left_before_they_said_so_beside_the_message_left() {
        let mut losses = Losses::default();
        for _ in 0..LEAVING_MAX {
            losses.add(&old("its worker was told to leave"));
        }
        assert!(!losses.is_last(1));
        assert_eq!(losses.and(&back(GivenBackFor::Machine)).counted(), 1);
        assert!(losses.and(&old("its worker was told to leave")).is_last(1));
    }

    #[test]
    fn what_did_not_say_why_ends_no_build_and_counts_with_the_next_that_does() {
        let mut losses = Losses::default();
        losses.add(&LossReason::Unheard { silent_ms: 1 });
        for _ in 0..3 {
            losses.add(&old("no space left"));
            assert_eq!(losses.counted(), 1);
        }
        let left = losses.and(&back(GivenBackFor::Leaving));
        assert_eq!(left.counted(), 1, "nobody was at fault");
        assert_eq!(losses.and(&back(GivenBackFor::Machine)).counted(), 5);
        assert!(losses.and(&back(GivenBackFor::Lease)).is_last(2));
    }

    #[test]
    fn whatever_is_said_no_build_is_started_more_often_than_the_bound() {
        let kinds = [
            back(GivenBackFor::Leaving),
            back(GivenBackFor::Lease),
            old("no space left"),
            old("its worker was told to leave"),
        ];
        let attempts_max = 3;
        for picks in 0..1_000_u32 {
            let (mut losses, mut started, mut rest) = (Losses::default(), 0, picks);
            while !losses.is_last(attempts_max) {
                started += 1;
                losses.add(&kinds[rest as usize % kinds.len()]);
                rest = rest / 4 + (rest % 4) * 256;
            }
            assert!(started <= attempts_max + LEAVING_MAX, "{picks}: {started}");
        }
    }

    #[test]
    fn crofts_before_and_after_this_one_read_and_are_read() {
        let old = r#"{"why":"givenBack","message":"why"}"#;
        let read: LossReason = serde_json::from_str(old).unwrap();
        assert_eq!(read, back(GivenBackFor::Unsaid));
        assert_eq!(serde_json::to_string(&read).unwrap(), old);
        let new = r#"{"why":"givenBack","message":"why","cause":"leaving"}"#;
        let read: LossReason = serde_json::from_str(new).unwrap();
        assert_eq!(read, back(GivenBackFor::Leaving));
        assert_eq!(serde_json::to_string(&read).unwrap(), new);
        let newer = r#"{"why":"givenBack","message":"why","cause":"boredom","more":1}"#;
        let read: LossReason = serde_json::from_str(newer).unwrap();
        assert_eq!(read, back(GivenBackFor::Unsaid), "it is read");
    }
}
