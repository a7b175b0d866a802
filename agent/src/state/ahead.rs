//! Writing much so that it lasts: what is written is brought to the disk while more is, so that little is left in the end. Received from
//! DownloadBundle and Install, which report an event as done only after that.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Until the first look. What is written faster than this is synced once, in the end.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// The pause is doubled each time, up to what Linux's file systems wait by themselves: others use the disk, too.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What `work` returns, once all it has written is on the disk, which is what `sync` is for.
///
/// # Errors
/// The work's own, after which nothing is synced; or the first of `sync`, whenever it was: an error of the disk is told only once.
pub(crate) fn written<T, E>(
    sync: &(dyn Fn() -> io::Result<()> + Sync),
    unwritten: impl FnOnce(io::Error) -> E,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let (over, is_over) = channel::<()>();
    let behind = move || {
        let mut pause = PAUSE_MIN;
        while is_over.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            sync()?;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        Ok(())
    };
    let (worked, synced) = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("write-out".into());
        // A machine that has no thread left syncs in the end only.
        let thread = thread.spawn_scoped(scope, behind).ok();
        let worked = work();
        drop(over);
        let synced = thread.map_or(Ok(()), |thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        (worked, synced)
    });
    let worked = worked?;
    synced.and_then(|()| sync()).map_err(unwritten)?;
    Ok(worked)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Long enough for any machine; a test that waits for it has failed.
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_is_written_is_synced_meanwhile_and_once_more_in_the_end() {
        let synced = AtomicUsize::new(0);
        let (told, is_told) = channel();
        let told = Mutex::new(told);
        let sync = || {
            synced.fetch_add(1, Ordering::SeqCst);
            told.lock().unwrap().send(()).unwrap();
            Ok(())
        };
        let worked = written(
            &sync,
            |error| error,
            || {
                is_told.recv_timeout(LONG).unwrap();
                is_told.recv_timeout(LONG).unwrap();
                Ok(synced.load(Ordering::SeqCst))
            },
        );
        let meanwhile = worked.unwrap();
        assert!(meanwhile >= 2);
        assert!(synced.load(Ordering::SeqCst) > meanwhile);
    }

    #[test]
    fn an_error_of_the_disk_is_not_forgotten_when_the_next_sync_has_none() {
        let (told, is_told) = channel();
        let told = Mutex::new(Some(told));
        let sync = || match told.lock().unwrap().take() {
            Some(told) => {
                told.send(()).unwrap();
                Err(io::Error::other("the disk is broken"))
            }
            None => Ok(()),
        };
        let worked = written(
            &sync,
            |error| error,
            || {
                is_told.recv_timeout(LONG).unwrap();
                Ok(())
            },
        );
        assert_eq!(worked.unwrap_err().to_string(), "the disk is broken");
    }

    #[test]
    fn what_failed_is_said_whatever_the_disk_says() {
        let sync = || Err(io::Error::other("the disk is broken"));
        let worked = written(
            &sync,
            |error| error,
            || Err::<(), _>(io::Error::other("the work failed")),
        );
        assert_eq!(worked.unwrap_err().to_string(), "the work failed");
    }
}
