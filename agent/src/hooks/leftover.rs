//! Output that outlives its script: a daemon that was started without `>/dev/null`. Its pipe is read on for as long as the agent
//! lives, or the daemon would end at its next word. Receives pipes from `process`, keeps nothing of what comes.

use std::fs::File;
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Pipes that are read at the same time: more daemons than that are a script that goes wrong every time.
const KEPT_MAX: usize = 64;
/// How soon the agent's end is noticed.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// Those that are read.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    readers: Mutex<Vec<JoinHandle<()>>>,
    is_over: Arc<AtomicBool>,
}

impl Leftovers {
    /// Reads on. Without a thread to do it, or with too many that do, the pipes are closed.
    pub(super) fn keep(&self, pipes: Vec<File>) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|reader| !reader.is_finished());
        if pipes.is_empty() || readers.len() >= KEPT_MAX {
            return;
        }
        let is_over = Arc::clone(&self.is_over);
        let reader = std::thread::Builder::new()
            .name("leftover-output".into())
            .spawn(move || read(pipes, &is_over));
        match reader {
            Ok(reader) => readers.push(reader),
            Err(error) => tracing::warn!(%error, "cannot read on what a script has left"),
        }
    }
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let readers = std::mem::take(
            self.readers
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for reader in readers {
            reader.join().unwrap_or_default();
        }
    }
}

fn read(mut pipes: Vec<File>, is_over: &AtomicBool) {
    let mut piece = vec![0; 16 << 10];
    while !pipes.is_empty() && !is_over.load(Ordering::Relaxed) {
        let mut watched: Vec<PollFd<'_>> = pipes
            .iter()
            .map(|pipe| PollFd::new(pipe, PollFlags::IN))
            .collect();
        if poll(&mut watched, Some(&LOOK)).is_err() {
            continue;
        }
        let ready: Vec<bool> = watched.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut ready = ready.into_iter();
        pipes.retain_mut(|pipe| {
            let has_more = ready.next() != Some(true);
            has_more || may_go_on(&pipe.read(&mut piece))
        });
    }
}

fn may_go_on(read: &std::io::Result<usize>) -> bool {
    use std::io::ErrorKind::{Interrupted, WouldBlock};
    match read {
        Ok(bytes) => *bytes > 0,
        Err(error) => [Interrupted, WouldBlock].contains(&error.kind()),
    }
}
