//! One object store for several simulated processes, each a thread, of which exactly one runs at a time: from one operation
//! on the store to the next. Whose turn it is says `history`; a process that was killed has every operation refused from
//! then on, which for everybody else is as if it had stopped.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Between two operations.
    Running,
    /// At an operation, which it may not begin yet.
    Waiting,
    /// Done, or dead.
    Ended,
}

/// An operation that changed which records there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) step: usize,
    pub(super) process: usize,
    pub(super) record: Path,
    pub(super) is_put: bool,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) phases: Vec<Phase>,
    dead: Vec<bool>,
    turn: Option<usize>,
    pub(super) step: usize,
    pub(super) changes: Vec<Change>,
    /// Every operation, for whoever has to understand a failure.
    pub(super) story: Vec<String>,
}

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Steps {
    state: Mutex<State>,
    changed: Condvar,
}

impl Steps {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new process, about to run.
    pub(super) fn enter(&self) -> usize {
        let mut state = self.state();
        state.phases.push(Phase::Running);
        state.dead.push(false);
        state.phases.len() - 1
    }

    pub(super) fn end(&self, process: usize) {
        self.state().phases[process] = Phase::Ended;
        self.changed.notify_all();
    }

    pub(super) fn tell(&self, words: String) {
        self.state().story.push(words);
    }

    /// Waits until nobody runs; who is at an operation.
    pub(super) fn settle(&self) -> Vec<usize> {
        let mut state = self.state();
        while state.phases.contains(&Phase::Running) || state.turn.is_some() {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let waiting = state.phases.iter().enumerate();
        waiting
            .filter(|(_, phase)| **phase == Phase::Waiting)
            .map(|(process, _)| process)
            .collect()
    }

    /// Lets a process do its operation and go on to the next.
    pub(super) fn give_turn(&self, process: usize) {
        self.state().turn = Some(process);
        self.changed.notify_all();
    }

    /// Stops a process for ever.
    pub(super) fn kill(&self, process: usize) {
        let mut state = self.state();
        state.dead[process] = true;
        state.turn = Some(process);
        state.story.push(format!("process {process} dies"));
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn is_dead(&self, process: usize) -> bool {
        self.state().dead[process]
    }

    fn take(&self, process: usize, verb: &str, name: &Path) -> Result<()> {
        let mut state = self.state();
        if !state.dead[process] {
            state.phases[process] = Phase::Waiting;
            self.changed.notify_all();
            while state.turn != Some(process) {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            state.turn = None;
            state.phases[process] = Phase::Running;
        }
        if state.dead[process] {
            return Err(Error::Generic {
                store: "stepper",
                source: "the process is dead".into(),
            });
        }
        state.step += 1;
        let step = state.step;
        let short = name.as_ref().get(..40).unwrap_or(name.as_ref());
        state.story.push(format!("{process}: {verb} {short}"));
        if name.as_ref().starts_with("v2/entries/") && matches!(verb, "put" | "delete") {
            state.changes.push(Change {
                step,
                process,
                record: name.clone(),
                is_put: verb == "put",
            });
        }
        Ok(())
    }
}

/// The store as one process sees it.
#[derive(Clone, Debug)]
pub(super) struct Stepper {
    pub(super) inner: Arc<InMemory>,
    pub(super) steps: Arc<Steps>,
    pub(super) process: usize,
}

impl Stepper {
    fn take(&self, verb: &str, name: &Path) -> Result<()> {
        self.steps.take(self.process, verb, name)
    }
}

impl fmt::Display for Stepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stepper")
    }
}

impl ObjectStore for Stepper {
    fn put_opts<'a, 'b, 'c>(
        &'a self,
        location: &'b Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> BoxFuture<'c, Result<PutResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(async move {
            self.take("put", location)?;
            self.inner.put_opts(location, payload, opts).await
        })
    }

    fn put_multipart_opts<'a, 'b, 'c>(
        &'a self,
        location: &'b Path,
        opts: PutMultipartOptions,
    ) -> BoxFuture<'c, Result<Box<dyn MultipartUpload>>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.inner.put_multipart_opts(location, opts)
    }

    fn get_opts<'a, 'b, 'c>(
        &'a self,
        location: &'b Path,
        options: GetOptions,
    ) -> BoxFuture<'c, Result<GetResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(async move {
            self.take("get", location)?;
            self.inner.get_opts(location, options).await
        })
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let stepper = self.clone();
        let taken = locations.map(move |location| {
            location.and_then(|path| stepper.take("delete", &path).map(|()| path))
        });
        self.inner.delete_stream(taken.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let folder = prefix.cloned().unwrap_or_default();
        match self.take("list", &folder) {
            Ok(()) => self.inner.list(prefix),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        }
    }

    fn list_with_delimiter<'a, 'b, 'c>(
        &'a self,
        prefix: Option<&'b Path>,
    ) -> BoxFuture<'c, Result<ListResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.inner.list_with_delimiter(prefix)
    }

    fn copy_opts<'a, 'b, 'c, 'd>(
        &'a self,
        from: &'b Path,
        to: &'c Path,
        options: CopyOptions,
    ) -> BoxFuture<'d, Result<()>>
    where
        'a: 'd,
        'b: 'd,
        'c: 'd,
        Self: 'd,
    {
        self.inner.copy_opts(from, to, options)
    }
}
