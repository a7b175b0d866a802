//! What the lost attempts of a build count for. Folded alike by servers, which give a build up that nobody brings to an end, and by
//! workers, which then say so themselves.

use super::journal::{GivenBackFor, LossReason};

/// Attempts that leaving workers gave back and that do not count. A farm that is started anew says nothing about a build; one that
/// was in the way of so many such starts has had its chances, and nothing may go round for ever.
pub const LEAVING_MAX: u32 = 8;

/// The attempts of a build that ended without an outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    leaving: u32,
    others: u32,
}

impl Losses {
    /// One more.
    pub fn add(&mut self, reason: &LossReason) {
        if reason.is_leaving() {
            self.leaving = self.leaving.saturating_add(1);
        } else {
            self.others = self.others.saturating_add(1);
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
        self.others
            .saturating_add(self.leaving.saturating_sub(LEAVING_MAX))
    }

    /// True when a build that may have so many attempts gets no other.
    #[must_use]
    pub const fn is_last(self, attempts_max: u32) -> bool {
        self.counted() >= attempts_max
    }
}

impl LossReason {
    /// True when its worker left: nothing that the build or a machine has done.
    #[must_use]
    pub const fn is_leaving(&self) -> bool {
        match self {
            Self::Unheard { .. } => false,
            Self::GivenBack { cause, .. } => matches!(cause, GivenBackFor::Leaving),
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
        assert!(losses.and(&back(GivenBackFor::Unsaid)).is_last(3));
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
        assert_eq!(read, back(GivenBackFor::Unsaid), "it counts, and is read");
    }
}
