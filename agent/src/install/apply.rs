//! A plan carried out, from its beginning or from wherever it was left. Receives it from `event`; an error means that it is to be
//! undone.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::place::Folders;
use super::plan::{ContextSet, Place, Plan};
use super::step::{self, Hands, Sources};

/// Threads that copy: more do not make a disk faster.
const THREADS_MAX: usize = 4;
/// Fewer files than this are not worth another thread.
const FILES_OF_A_THREAD: usize = 64;

/// Why a plan was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot {doing} {path}")]
    Step {
        doing: &'static str,
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("it was stopped")]
    Stopped,
}

/// What a plan is carried out with.
pub(super) struct With<'a> {
    pub(super) hands: Hands<'a>,
    pub(super) environment: &'a [(OsString, OsString)],
    pub(super) is_over: &'a AtomicBool,
}

impl With<'_> {
    fn go_on(&self) -> Result<(), Error> {
        if self.is_over.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        Ok(())
    }
}

pub(super) fn apply(plan: &Plan, with: &With<'_>) -> Result<(), Error> {
    let failed = |doing, place: &Place| {
        let path = plan.path(place);
        move |source| Error::Step {
            doing,
            path,
            source,
        }
    };
    for context in &plan.contexts_gone {
        forget_context(context, with.environment);
    }
    let mut folders = Folders::new(&plan.bases);
    for (number, removal) in plan.removals.iter().enumerate() {
        with.go_on()?;
        let removed = with.hands.remove(&mut folders, number, removal);
        removed.map_err(failed("remove", &removal.place))?;
    }
    let mut folders = Folders::new(&plan.bases);
    for made in &plan.made {
        let done = with.hands.make(&mut folders, made);
        done.map_err(failed("make the folder", &made.place))?;
    }
    for changed in &plan.changed {
        let done = with.hands.change(&plan.bases, changed, changed.after);
        done.map_err(failed("change", &changed.place))?;
    }
    puts(plan, with)?;
    let mut folders = Folders::new(&plan.bases);
    for acl in &plan.acls {
        with.go_on()?;
        (with.hands.before_change)();
        let set = step::set_acl(&mut folders, acl, with.environment);
        set.map_err(failed("set the access control list of", &acl.place))?;
    }
    contexts(plan, with)
}

/// Files, on several threads when there are many: beside one another in the plan means beside one another on the disk.
fn puts(plan: &Plan, with: &With<'_>) -> Result<(), Error> {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (plan.puts.len() / FILES_OF_A_THREAD).clamp(1, THREADS_MAX.min(available));
    let size = plan.puts.len().div_ceil(threads).max(1);
    let failure = Mutex::new(None);
    let has_failed = AtomicBool::new(false);
    let part = |first: usize| {
        let mut folders = Folders::new(&plan.bases);
        let mut sources = Sources::default();
        let numbered = plan.puts.iter().enumerate().skip(first).take(size);
        for (number, put) in numbered {
            if has_failed.load(Ordering::Relaxed) {
                return;
            }
            let done = with.go_on().and_then(|()| {
                let done = with.hands.put(&mut folders, &mut sources, number, put);
                done.map_err(|source| Error::Step {
                    doing: "put in place",
                    path: plan.path(&put.place),
                    source,
                })
            });
            if let Err(error) = done {
                has_failed.store(true, Ordering::Relaxed);
                let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                failure.get_or_insert(error);
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        for first in (0..plan.puts.len()).step_by(size).skip(1) {
            let thread = std::thread::Builder::new().name("install".into());
            if thread.spawn_scoped(scope, move || part(first)).is_err() {
                part(first);
            }
        }
        part(0);
    });
    let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
    failure.map_or(Ok(()), Err)
}

fn contexts(plan: &Plan, with: &With<'_>) -> Result<(), Error> {
    for context in &plan.contexts {
        with.go_on()?;
        (with.hands.before_change)();
        let words: Vec<&str> = ["fcontext", "-a"]
            .into_iter()
            .chain(context.words.iter().map(String::as_str))
            .chain([context.path.as_str()])
            .collect();
        // An agent that was killed may have added it.
        if with.hands.is_resumed {
            forget_context(context, with.environment);
        }
        step::program("semanage", &words, with.environment)
            .and_then(|()| step::program("restorecon", &[&context.path], with.environment))
            .map_err(|source| Error::Step {
                doing: "set the SELinux context of",
                path: context.path.clone(),
                source,
            })?;
    }
    Ok(())
}

/// A rule that is not there is what is wanted.
pub(super) fn forget_context(context: &ContextSet, environment: &[(OsString, OsString)]) {
    let words = ["fcontext", "-d", context.path.as_str()];
    if let Err(error) = step::program("semanage", &words, environment) {
        tracing::info!(%error, path = context.path, "no SELinux rule was removed");
    }
}

/// What was changed is on the disk when this returns: one call for each file system, since one for each file takes minutes.
pub(super) fn sync(plan: &Plan) -> io::Result<()> {
    let removals = plan.removals.iter().map(|removal| &removal.place);
    let made = plan.made.iter().map(|made| &made.place);
    let changed = plan.changed.iter().map(|changed| &changed.place);
    let puts = plan.puts.iter().map(|put| &put.place);
    let touched: BTreeSet<usize> = removals
        .chain(made)
        .chain(changed)
        .chain(puts)
        .map(|place| place.base)
        .collect();
    let mut synced = Vec::new();
    for base in touched {
        let path = plan.bases.get(base).map_or("/", String::as_str);
        // A base that was removed since is on the disk of the one above, which is another base.
        let Ok(folder) = File::open(path) else {
            continue;
        };
        let device = folder.metadata()?.dev();
        if !synced.contains(&device) {
            rustix::fs::syncfs(&folder)?;
            synced.push(device);
        }
    }
    Ok(())
}
