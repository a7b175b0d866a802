//! What all rows work with: the options, the place, the tools that are there, and the corpus, made when first needed.

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::cache::child::Printed;
use crate::cache::contest::{Contest, Took};
use crate::cache::corpus::{Corpus, Size, make};
use crate::cache::limited;
use crate::cache::options::Options;
use crate::cache::place::Place;
use crate::cache::report::Report;
use crate::cache::tool::{Tool, stored_bytes};

/// A cache may not trust the time of a file that is younger than its file system's clock is exact.
const CLOCK_PAUSE: Duration = Duration::from_millis(2_500);

pub(crate) struct Setting<'a> {
    pub(crate) options: &'a Options,
    pub(crate) place: &'a Place,
    pub(crate) tools: &'a [Tool],
    size: Size,
    corpus: OnceCell<Corpus>,
}

impl<'a> Setting<'a> {
    pub(crate) fn new(
        options: &'a Options,
        place: &'a Place,
        tools: &'a [Tool],
        size: Size,
    ) -> Self {
        Self {
            options,
            place,
            tools,
            size,
            corpus: OnceCell::new(),
        }
    }

    /// The corpus; who needs to change it copies it first.
    pub(crate) fn corpus(&self, report: &mut Report) -> Result<&Corpus, String> {
        if let Some(corpus) = self.corpus.get() {
            return Ok(corpus);
        }
        let corpus = make(self.options, &self.place.fresh("corpus")?, self.size)?;
        report.about(format!(
            "corpus: {} files, {} MiB: {}",
            corpus.files,
            corpus.mebibytes(),
            corpus.made_of
        ));
        Ok(self.corpus.get_or_init(|| corpus))
    }

    /// Rounds that count.
    pub(crate) fn rounds(&self) -> usize {
        usize::try_from(self.options.rounds).unwrap_or(1)
    }

    /// Those of the tools that take part, by name.
    pub(crate) fn players(&self, wanted: &[Tool]) -> Vec<(&'static str, Tool)> {
        let present = wanted.iter().filter(|tool| self.tools.contains(tool));
        present.map(|tool| (tool.name(), *tool)).collect()
    }

    /// All tools in turn.
    pub(crate) fn in_turn(
        &self,
        rounds: usize,
        run: impl FnMut(Tool, usize) -> Result<Took, String>,
    ) -> Contest {
        Contest::in_turn(rounds, &self.players(&Tool::ALL), run)
    }

    /// An empty store of that tool.
    pub(crate) fn store(&self, tool: Tool) -> Result<PathBuf, String> {
        let store = self.place.fresh(&format!("store-{}", tool.name()))?;
        for part in ["data", "own"] {
            fs::create_dir(store.join(part)).map_err(|error| error.to_string())?;
        }
        if let Some(mut command) = tool.prepare(&store) {
            limited::run(&mut command, self.options.limit())?;
        }
        Ok(store)
    }

    /// An empty store with the tree under that key.
    pub(crate) fn store_with(&self, tool: Tool, tree: &Path, key: &str) -> Result<PathBuf, String> {
        let store = self.store(tool)?;
        limited::run(&mut tool.save(&store, tree, key), self.options.limit())?;
        Ok(store)
    }

    /// A tool's command; Croft's tells of itself.
    pub(crate) fn timed(&self, tool: Tool, command: &mut Command) -> Result<Took, String> {
        if tool == Tool::Croft {
            return self.ours(command).map(|(took, _)| took);
        }
        self.place.settle();
        limited::run(command, self.options.limit()).map(|ran| Took::time(ran.time))
    }

    /// A command of Croft's side, and what it printed.
    pub(crate) fn ours(&self, command: &mut Command) -> Result<(Took, Printed), String> {
        self.place.settle();
        let ran = limited::run(command, self.options.limit())?;
        let printed = Printed::parse(&ran.printed)?;
        let took = Took {
            inside_ms: Some(printed.ms),
            ..Took::time(ran.time)
        };
        Ok((took, printed))
    }

    /// A save into a store that holds something; what it added.
    pub(crate) fn timed_save(
        &self,
        tool: Tool,
        store: &Path,
        command: &mut Command,
    ) -> Result<Took, String> {
        let before = stored_bytes(store)?;
        let took = self.timed(tool, command)?;
        Ok(Took {
            stored_bytes: Some(stored_bytes(store)?.saturating_sub(before)),
            ..took
        })
    }

    /// A copy with the same times.
    pub(crate) fn copy(&self, tree: &Path) -> Result<PathBuf, String> {
        let copy = self.place.fresh("tree")?;
        let mut command = Command::new("cp");
        command.arg("-a").arg(tree.join(".")).arg(&copy);
        limited::run(&mut command, self.options.limit())?;
        Ok(copy)
    }
}

/// Lets enough time pass for every tool's memory of files to be worth something.
pub(crate) fn let_clocks_pass() {
    std::thread::sleep(CLOCK_PAUSE);
}
