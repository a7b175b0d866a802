//! A bar for work that takes long. Drawn on a terminal only, from the store's own meter, by a thread of its own.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use croft_cache::{Meter, Store};
use indicatif::{ProgressBar, ProgressStyle};

/// How often it is drawn.
const EVERY: Duration = Duration::from_millis(100);

/// Runs `work` with a bar that says `what` is done, when somebody looks.
pub(crate) fn with_bar<T>(store: &Store, what: &'static str, work: impl FnOnce() -> T) -> T {
    if !std::io::stderr().is_terminal() {
        return work();
    }
    let (meter, over) = (store.meter(), Arc::new(AtomicBool::new(false)));
    let ended = Arc::clone(&over);
    let drawer = thread::Builder::new()
        .name("progress".into())
        .spawn(move || draw(&meter, what, &ended));
    let done = work();
    over.store(true, Ordering::Relaxed);
    if let Ok(drawer) = drawer {
        drawer.thread().unpark();
        // A bar that broke is no reason to fail what it was about.
        drop(drawer.join());
    }
    done
}

fn draw(meter: &Meter, what: &'static str, over: &AtomicBool) {
    let bar = ProgressBar::new(0);
    let style = "{msg} {bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar.set_message(what);
    while !over.load(Ordering::Relaxed) {
        let (done, total) = meter.read();
        bar.set_length(total);
        bar.set_position(done);
        thread::park_timeout(EVERY);
    }
    bar.finish_and_clear();
}
