//! How many files this process may have open. Asked by the server, each of whose callers is one: an agent waits on its connection.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Each has buffers of up to 64 KiB.
const CONNECTIONS_MAX: u64 = 4096;
/// Without more than the usual 1024 files, of which the server needs some itself.
const CONNECTIONS_MIN: u64 = 768;

/// Raises the limit to what the machine allows; how many connections that is good for.
pub(super) fn connections() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit
        .maximum
        .is_none_or(|most| limit.current.is_some_and(|now| now < most))
    {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::debug!(%error, "the limit of open files stays as it is");
        }
    }
    // What holds now, whatever was asked for.
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let connections = (files / 4 * 3).clamp(CONNECTIONS_MIN, CONNECTIONS_MAX);
    usize::try_from(connections).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_what_the_machine_allows_and_connections_are_a_part_of_it() {
        let connections = connections();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert!((768..=4096).contains(&connections), "{connections}");
    }
}
