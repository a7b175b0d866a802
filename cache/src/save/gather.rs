//! Findings to entries of a tree: what has not changed is taken over, everything else is read and taken in. Received from
//! `save` and `put`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;

use croft_beneath::{Kind, Metadata};

use crate::content::{Content, limited};
use crate::intake::{Feeder, Intake, Stop};
use crate::tree::{Anchor, Entry, FILE_BYTES_MAX, MODE_BITS, Node, Tree};
use crate::walk::{Anchors, Finding, Warnings, left_out};
use crate::workers::{self, Queue};
use crate::{Error, Id, Meter};

/// Findings a worker takes at once, so that neighbours in the tree are neighbours in a pack.
const BATCH: usize = 64;

/// What the findings are taken from.
pub(crate) struct Source<'a> {
    pub(crate) meter: &'a Meter,
    pub(crate) anchors: &'a Anchors,
    pub(crate) warnings: &'a Warnings,
    /// For a finding, by its position, the chunks it still consists of.
    pub(crate) unchanged: &'a (dyn Fn(usize) -> Option<&'a [Id]> + Sync),
}

/// What became of findings.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) tree: Tree,
    /// What the file system said of each entry when it was read; none for what is not a file. Empty when that is not to be
    /// remembered.
    pub(crate) found: Vec<Option<Metadata>>,
    pub(crate) read_bytes: u64,
}

/// Reads and takes in what the findings are. A few go through `feeder`, which is not flushed: so what belongs together is one
/// pack. Many are shared out, each worker having a feeder of its own.
pub(crate) fn gather(
    intake: &Intake<'_>,
    feeder: &mut Feeder<'_>,
    source: &Source<'_>,
    findings: &[Finding],
) -> Result<Gathered, Error> {
    let firsts = first_names(findings);
    let sizes = findings
        .iter()
        .filter(|finding| finding.found.kind == Kind::File);
    source
        .meter
        .expect(sizes.map(|finding| finding.found.size_bytes).sum());
    let reading = Reading {
        intake,
        source,
        findings,
        firsts: &firsts,
    };
    let (mut batches, read_bytes) = if findings.len() <= BATCH {
        let mut worker = reading.by(feeder);
        let entries = worker.read_batch(0)?;
        (vec![(0, entries)], worker.read_bytes)
    } else {
        let queue = Queue::new(findings.len().div_ceil(BATCH));
        let batches = Mutex::new((Vec::with_capacity(findings.len().div_ceil(BATCH)), 0));
        workers::run(&queue, |queue| {
            let mut feeder = intake.feeder()?;
            let mut worker = reading.by(&mut feeder);
            while let Some(number) = queue.take() {
                let entries = worker.read_batch(number)?;
                let mut batches = batches.lock().unwrap_or_else(PoisonError::into_inner);
                batches.0.push((number, entries));
                batches.1 += std::mem::take(&mut worker.read_bytes);
            }
            feeder.flush()
        })?;
        batches.into_inner().unwrap_or_else(PoisonError::into_inner)
    };
    batches.sort_unstable_by_key(|(number, _)| *number);
    let mut gathered = Gathered {
        read_bytes,
        ..Gathered::default()
    };
    let mut entries = Vec::with_capacity(findings.len());
    for (entry, found) in batches.into_iter().flat_map(|(_, entries)| entries) {
        entries.push(entry);
        gathered.found.push(found);
    }
    gathered.tree = whole(entries);
    if gathered.tree.entries().len() != gathered.found.len() {
        gathered.found.clear();
    }
    Ok(gathered)
}

/// Another name of a file whose first name was left out is left out too.
fn whole(entries: Vec<Entry>) -> Tree {
    let tree = Tree::new(entries);
    let is_orphan = |entry: &Entry| match &entry.node {
        Node::HardLink(original) => tree.find(entry.anchor, original).is_none(),
        Node::File { .. } | Node::Directory | Node::Symlink(_) => false,
    };
    if !tree.entries().iter().any(is_orphan) {
        return tree;
    }
    let kept = tree.entries().iter().filter(|entry| !is_orphan(entry));
    Tree::new(kept.cloned().collect())
}

/// For each file with several names, by device and inode, the first of them.
type FirstNames = HashMap<(Anchor, u64, u64), usize>;

fn first_names(findings: &[Finding]) -> FirstNames {
    let mut firsts = FirstNames::new();
    for (at, finding) in findings.iter().enumerate() {
        if finding.found.kind == Kind::File && finding.found.links > 1 {
            let (device, inode) = finding.found.identity;
            firsts.entry((finding.anchor, device, inode)).or_insert(at);
        }
    }
    firsts
}

/// What all workers read.
#[derive(Clone, Copy)]
struct Reading<'a, 's> {
    intake: &'a Intake<'a>,
    source: &'a Source<'s>,
    findings: &'a [Finding],
    firsts: &'a FirstNames,
}

struct Worker<'a, 's, 'f, 'i> {
    reading: Reading<'a, 's>,
    feeder: &'f mut Feeder<'i>,
    read_bytes: u64,
}

impl<'a, 's> Reading<'a, 's> {
    const fn by<'f, 'i>(self, feeder: &'f mut Feeder<'i>) -> Worker<'a, 's, 'f, 'i> {
        Worker {
            reading: self,
            feeder,
            read_bytes: 0,
        }
    }
}

type Read = (Entry, Option<Metadata>);

impl Worker<'_, '_, '_, '_> {
    /// The entries of the findings of one batch.
    fn read_batch(&mut self, number: usize) -> Result<Vec<Read>, Error> {
        let batch = number * BATCH..self.reading.findings.len().min((number + 1) * BATCH);
        let mut entries = Vec::with_capacity(batch.len());
        for at in batch {
            entries.extend(self.read(at)?);
            let found = &self.reading.findings[at].found;
            if found.kind == Kind::File {
                self.reading.source.meter.advance(found.size_bytes);
            }
        }
        Ok(entries)
    }

    /// The entry of one finding; none, with a warning, when it cannot be read.
    fn read(&mut self, at: usize) -> Result<Option<Read>, Error> {
        let finding = &self.reading.findings[at];
        let read = match finding.found.kind {
            Kind::File => self.read_file(at),
            Kind::Directory => Ok((entry(finding, &finding.found, Node::Directory), None)),
            Kind::Symlink | Kind::Other => self.read_link(finding),
        };
        match read {
            Ok(read) => Ok(Some(read)),
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::Unreadable(error)) => {
                let shown = self
                    .reading
                    .source
                    .anchors
                    .shown(finding.anchor, &finding.path);
                self.reading
                    .source
                    .warnings
                    .add(|| left_out(&shown, reason(&error)));
                Ok(None)
            }
        }
    }

    fn read_link(&self, finding: &Finding) -> Result<Read, Stop> {
        let root = self.reading.source.anchors.at(finding.anchor);
        let target = root.read_link(&finding.path)?;
        Ok((entry(finding, &finding.found, Node::Symlink(target)), None))
    }

    fn read_file(&mut self, at: usize) -> Result<Read, Stop> {
        let finding = &self.reading.findings[at];
        if let Some(original) = self.other_name(at, finding) {
            return Ok((
                entry(finding, &finding.found, Node::HardLink(original)),
                None,
            ));
        }
        if let Some(chunks) = (self.reading.source.unchanged)(at)
            && self.reading.intake.has_all(chunks)
        {
            let node = Node::File {
                size_bytes: finding.found.size_bytes,
                chunks: chunks.to_vec(),
            };
            return Ok((entry(finding, &finding.found, node), Some(finding.found)));
        }
        let (found, content) = self.read_contents(finding.anchor, &finding.path)?;
        let node = Node::File {
            size_bytes: content.size_bytes,
            chunks: content.chunks,
        };
        Ok((entry(finding, &found, node), Some(found)))
    }

    /// The first name of a file that has another in this tree.
    fn other_name(&self, at: usize, finding: &Finding) -> Option<PathBuf> {
        if finding.found.links < 2 {
            return None;
        }
        let (device, inode) = finding.found.identity;
        let first = *self.reading.firsts.get(&(finding.anchor, device, inode))?;
        (first != at).then(|| self.reading.findings[first].path.clone())
    }

    fn read_contents(&mut self, anchor: Anchor, path: &Path) -> Result<(Metadata, Content), Stop> {
        let mut file = self.reading.source.anchors.at(anchor).open_file(path)?;
        let before = Metadata::of_file(&file)?;
        if before.size_bytes > FILE_BYTES_MAX {
            return Err(
                std::io::Error::other(format!("is larger than {FILE_BYTES_MAX} bytes")).into(),
            );
        }
        let content = self.feeder.take(&mut limited(&mut file, FILE_BYTES_MAX))?;
        self.read_bytes += content.size_bytes;
        let after = Metadata::of_file(&file)?;
        let stamp = |of: &Metadata| (of.size_bytes, of.modified_seconds, of.modified_nanos);
        if stamp(&before) != stamp(&after) || content.size_bytes != after.size_bytes {
            return Err(std::io::Error::other("changed while it was read").into());
        }
        Ok((after, content))
    }
}

/// Our own reasons stand as they are; the system's need a verb.
fn reason(error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::Other {
        return error.to_string();
    }
    format!("cannot be read: {error}")
}

fn entry(finding: &Finding, found: &Metadata, node: Node) -> Entry {
    let mode = match node {
        Node::Symlink(_) => 0o777,
        Node::File { .. } | Node::Directory | Node::HardLink(_) => found.mode & MODE_BITS,
    };
    Entry {
        anchor: finding.anchor,
        path: finding.path.clone(),
        mode,
        modified: (found.modified_seconds, found.modified_nanos),
        owner: (found.uid, found.gid),
        node,
    }
}

impl Entry {
    /// True when the file system still says of the file what it said when this entry was made.
    pub(crate) fn is_of(&self, found: &Metadata) -> bool {
        let Node::File { size_bytes, .. } = &self.node else {
            return false;
        };
        found.kind == Kind::File
            && found.size_bytes == *size_bytes
            && (found.modified_seconds, found.modified_nanos) == self.modified
    }
}
