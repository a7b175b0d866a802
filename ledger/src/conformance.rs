//! What every ledger must do: named cases, each against an empty log. Run here against all three, and by whoever has another.

/// In, and who wins.
mod appending;
/// Out, as it is and as it comes.
mod reading;
/// The end of a subject.
mod purging;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;

use crate::{Append, Appended, Entry, Expected, Ledger, Seq, Subject};

/// Panics when the ledger does not do what the case's name says.
pub type Case = fn(Arc<dyn Ledger>) -> BoxFuture<'static, ()>;

/// The one list; `$of` is a macro that is given the module and the names of each group.
macro_rules! for_each_case {
    ($of:ident) => {
        $of! {
            appending:
                events_get_ascending_sequences
                a_conflict_rejects_the_whole_batch
                a_new_subject_must_be_new
                later_events_of_a_subject_expect_the_previous
                what_is_no_batch_is_refused
                the_largest_batch_fits
                one_of_many_appenders_wins
                an_append_whose_outcome_is_unknown_happens_at_most_once
            ;
            reading:
                an_empty_log_has_nothing
                a_limit_is_kept_and_the_rest_is_read_after_it
                a_subject_is_read_without_its_neighbours
                names_of_any_bytes_are_subjects
                time_never_runs_backwards
                follow_gives_a_burst_in_order_without_gaps
                follow_begins_in_the_middle
                followers_do_not_disturb_each_other
            ;
            purging:
                a_purged_subject_leaves_a_tombstone
                a_purged_subject_is_not_new
                purging_at_another_sequence_conflicts
                purging_twice_changes_nothing
                an_unused_subject_can_be_purged
            ;
        }
    };
}
#[cfg(test)]
pub(crate) use for_each_case;

macro_rules! list {
    ($($module:ident: $($name:ident)*;)*) => {
        /// Every case with its name.
        pub const CASES: &[(&str, Case)] = &[
            $($((stringify!($name), |ledger| Box::pin($module::$name(ledger)))),*),*
        ];
    };
}
for_each_case!(list);

fn subject(text: &str) -> Subject {
    text.parse().expect("a subject of this suite")
}

fn event(text: &str) -> Bytes {
    Bytes::from(format!("{{\"event\":\"{text}\"}}"))
}

fn one(on: &str, expected: Expected, text: &str) -> Append {
    Append {
        subject: subject(on),
        expected,
        event: event(text),
    }
}

/// An event that must be accepted.
async fn append(ledger: &Arc<dyn Ledger>, on: &str, last: Seq, text: &str) -> Seq {
    let batch = vec![one(on, Expected::Last(last), text)];
    append_all(ledger, batch).await.last
}

async fn append_all(ledger: &Arc<dyn Ledger>, batch: Vec<Append>) -> Appended {
    let appended = ledger.append(batch).await;
    appended.expect("nothing is against it")
}

async fn all(ledger: &Arc<dyn Ledger>) -> Vec<Entry> {
    let entries = ledger.read(Seq::ZERO, 500).await;
    entries.expect("the log can be read")
}

async fn all_of(ledger: &Arc<dyn Ledger>, on: &str) -> Vec<Entry> {
    let entries = ledger.read_subject(&subject(on), Seq::ZERO, 500).await;
    entries.expect("the log can be read")
}

/// The next `count` entries of a follower.
async fn followed(ledger: &Arc<dyn Ledger>, after: Seq, count: usize) -> Vec<Entry> {
    let entries = ledger.follow(after).take(count).collect::<Vec<_>>().await;
    let entries = entries.into_iter().collect::<Result<_, _>>();
    entries.expect("a follower does not end")
}

fn seqs(entries: &[Entry]) -> Vec<Seq> {
    entries.iter().map(|entry| entry.seq).collect()
}
