//! What every bus must do: named cases, each against an empty bus with the suite's settings. Run here against both.

/// Builds that wait.
mod hints;
/// Leases, and who is there.
mod said;
/// Live output of builds.
mod output;
/// Live output of hosts.
mod printed;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::{Build, Bus, Output, Pool, Printing, Settings};

/// Panics when the bus does not do what the case's name says.
pub type Case = fn(Arc<dyn Bus>) -> BoxFuture<'static, ()>;

/// What the cases need: short waits, and little that is kept.
#[must_use]
pub fn settings() -> Settings {
    Settings {
        ack_wait: Duration::from_secs(1),
        dedupe_window: Duration::from_secs(60),
        renew_wait: Duration::from_secs(1),
        output: Output {
            chunks_max: KEPT,
            bytes_max: 1 << 20,
            bytes_max_in_all: 8 << 20,
            patience: Duration::from_secs(2),
        },
        printed: Printing {
            pieces_max: KEPT,
            bytes_max_in_all: 4 << 20,
        },
    }
}

/// Chunks kept of one build, and pieces of one host.
const KEPT: usize = 32;
/// Longer than anything takes that is expected to happen.
const LONG: Duration = Duration::from_secs(20);

/// The one list; `$of` is a macro that is given the module and the names of each group.
macro_rules! for_each_case {
    ($of:ident) => {
        $of! {
            hints:
                nothing_waits_in_an_empty_pool
                hints_come_in_the_order_of_publishing
                a_hint_published_twice_is_one
                another_attempt_is_another_hint
                two_takers_get_different_hints
                pools_are_apart
                a_taker_that_waits_is_woken
                a_hint_that_is_done_does_not_come_back
                a_hint_that_is_not_acknowledged_comes_back
                a_hint_given_back_comes_after_its_delay
                a_pool_that_was_dropped_is_published_anew
                names_of_any_bytes_are_pools_and_builds
            ;
            said:
                a_renewal_is_answered
                a_stop_comes_with_its_reason
                every_server_hears_every_renewal_and_the_first_answer_counts
                a_renewal_without_a_server_is_unheard
                a_renewal_that_nobody_answers_is_unheard
                announcements_reach_all_who_listen
                who_is_there_is_heard_by_every_server_and_by_the_one_that_says_it
            ;
            output:
                a_follower_gets_what_is_kept_then_what_comes
                a_follower_begins_in_the_middle
                a_follower_that_comes_first_waits
                a_chunk_put_again_is_given_once
                a_gap_is_told
                a_later_attempt_takes_over
                what_is_not_kept_is_skipped
                putting_waits_for_a_follower
                a_slow_follower_does_not_stop_a_build
                a_loud_build_is_kept_within_its_bytes
                the_oldest_of_all_goes_first
                builds_are_apart
                a_chunk_has_a_largest_size
            ;
            printed:
                a_listener_gets_what_is_kept_then_what_comes
                a_listener_that_comes_first_waits
                a_listener_goes_on_after_what_it_has
                a_mark_of_another_memory_means_nothing
                one_host_is_listened_to
                a_loud_host_pushes_out_only_its_own
                the_oldest_of_all_hosts_goes_first
                a_listener_that_does_not_read_holds_up_nobody
                deployments_are_apart
                builds_and_hosts_push_out_nothing_of_each_other
                a_piece_has_a_largest_size
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
            $($((stringify!($name), |bus| Box::pin($module::$name(bus)))),*),*
        ];
    };
}
for_each_case!(list);

fn pool(text: &str) -> Pool {
    text.parse().expect("a pool of this suite")
}

fn build(text: &str) -> Build {
    text.parse().expect("a build of this suite")
}
