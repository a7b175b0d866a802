//! What is seen of a network namespace from outside: whether somebody has used it since it was looked at last. Read below
//! `/proc/PID/net` of a process in it.

use std::fs;
use std::io;
use std::path::Path;

/// Whole tables that are compared as they are: addresses, routes, neighbours that were spoken to, labels of flows. A kernel
/// without one of them has nothing to compare. Connections that a filter follows are not looked at: without a packet there is none,
/// and a kernel walks through those of the whole machine to list them.
const TABLES: [&str; 5] = ["arp", "fib_trie", "if_inet6", "ip6_flowlabel", "route"];
/// Counts of sockets that a namespace has for itself; the others in these files are the whole machine's.
const COUNTS: [&str; 3] = ["inuse", "tw", "used"];
/// Of the numbers behind an interface's name, the first eight are of what it received: neighbours talk to everybody.
const RECEIVED: usize = 8;

/// A namespace at one moment. Two that are equal: no packet was sent in between, by any interface, `lo` included, so no
/// peer was spoken to that a later process could see or hear from; no socket was left open; no address, route or neighbour
/// came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trace {
    sent: Vec<String>,
    sockets: Vec<String>,
    tables: Vec<Vec<u8>>,
}

impl Trace {
    /// Of the namespace of that process, which must be there still when this returns.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub(super) fn of(process: u32) -> io::Result<Self> {
        Self::read(Path::new(&format!("/proc/{process}/net")))
    }

    /// Whether nothing but sockets came or went. Those of a process that has ended may be counted for a moment still: the
    /// kernel keeps one until its other end is closed too, and the runner's other end is this worker's.
    pub(super) fn differs_in_sockets(&self, other: &Self) -> bool {
        self.sent == other.sent && self.tables == other.tables && self.sockets != other.sockets
    }

    fn read(folder: &Path) -> io::Result<Self> {
        let mut sockets = counts(&fs::read_to_string(folder.join("sockstat"))?);
        let six = optional(&folder.join("sockstat6"))?;
        sockets.extend(counts(&String::from_utf8_lossy(&six)));
        if sockets.is_empty() {
            return Err(io::Error::other("the kernel counts no sockets"));
        }
        let tables = TABLES.iter().map(|name| optional(&folder.join(name)));
        Ok(Self {
            sent: sent(&fs::read_to_string(folder.join("dev"))?),
            sockets,
            tables: tables.collect::<io::Result<_>>()?,
        })
    }
}

fn optional(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

/// `TCP inuse 0`, one for each.
fn counts(text: &str) -> Vec<String> {
    let mut counts = Vec::new();
    for line in text.lines() {
        let Some((family, rest)) = line.split_once(':') else {
            continue;
        };
        let words: Vec<&str> = rest.split_whitespace().collect();
        let named = words.chunks_exact(2).filter(|pair| {
            let name = pair.first();
            name.is_some_and(|name| COUNTS.contains(name))
        });
        counts.extend(named.map(|pair| format!("{family} {}", pair.join(" "))));
    }
    counts
}

/// Each interface and what it sent, or failed to.
fn sent(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .map(|(name, numbers)| {
            let sent: Vec<&str> = numbers.split_whitespace().skip(RECEIVED).collect();
            format!("{} {}", name.trim(), sent.join(" "))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV: &str = "Inter-|   Receive                                                |  Transmit\n \
                       face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
                       lo:       0       0    0    0    0     0          0         0        7       1    0    0    0     0       0          0\n  \
                       eth0:   310       3    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n";

    #[test]
    fn what_was_sent_counts_and_what_was_received_does_not() {
        assert_eq!(sent(DEV), ["lo 7 1 0 0 0 0 0 0", "eth0 0 0 0 0 0 0 0 0"]);
        assert_eq!(sent(DEV), sent(&DEV.replace("310       3", "620       6")));
        assert_ne!(sent(DEV), sent(&DEV.replace("7       1", "9       2")));
    }

    #[test]
    fn a_socket_is_told_apart_from_what_was_sent() {
        let before = Trace {
            sent: sent(DEV),
            sockets: counts("sockets: used 1\n"),
            tables: Vec::new(),
        };
        assert!(!before.differs_in_sockets(&before));
        let one_more = Trace {
            sockets: counts("sockets: used 2\n"),
            ..before.clone()
        };
        assert!(one_more.differs_in_sockets(&before));
        let sent_too = Trace {
            sent: sent(&DEV.replace("7       1", "9       2")),
            ..one_more
        };
        assert!(!sent_too.differs_in_sockets(&before));
    }

    #[test]
    fn only_counts_of_the_namespace_itself_are_read() {
        let text = "sockets: used 2\nTCP: inuse 1 orphan 0 tw 3 alloc 133 mem 28\nFRAG: inuse 0 memory 0\n";
        assert_eq!(
            counts(text),
            ["sockets used 2", "TCP inuse 1", "TCP tw 3", "FRAG inuse 0"]
        );
    }

    #[test]
    fn a_folder_that_tells_nothing_is_an_error_and_missing_tables_are_not() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Trace::read(folder.path()).is_err());
        fs::write(folder.path().join("sockstat"), "sockets: used 1\n").unwrap();
        fs::write(folder.path().join("dev"), DEV).unwrap();
        let before = Trace::read(folder.path()).unwrap();
        assert_eq!(Trace::read(folder.path()).unwrap(), before);
        fs::write(folder.path().join("arp"), "172.17.0.1 0x1 0x2\n").unwrap();
        assert_ne!(Trace::read(folder.path()).unwrap(), before);
    }
}
