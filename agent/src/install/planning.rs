//! From a revision and a host to a plan, or to everything that stands in its way. Changes nothing. Asked by the Install event,
//! and by whoever wants to see first.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsString;
use std::io::{self, BufReader, Read};
use std::path::Path;

use croft_beneath::{Kind as Node, Metadata, Root};
use croft_proto::deploy::{DeploymentId, FileExistsBehavior};
use croft_spec::appspec::{AppSpec, SelinuxContext};

use super::account::Accounts;
use super::plan::{
    AclSet, Attributes, Changed, ContextSet, Installed, Made, Owned, Place, Plan, Preview, Put,
    Removal, What,
};
use super::tended::{self, Tended};
use super::verdict::{Kind, Verdict, verdict};
use super::wanted::{self, Replaced, Walk, Wanted, Wish};
use super::{aside, place};

/// What folders are when nobody says.
const FOLDER_MODE: u32 = 0o755;
/// Reasons that are said; more help nobody.
const REASONS_MAX: usize = 10;
/// What is compared at once.
const PIECE_BYTES: usize = 64 << 10;

/// Why nothing was planned, and so nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The revision and the host do not fit.
    #[error("nothing was changed: {}", listed(.0))]
    Conflicts(Vec<String>),
    /// One of the two cannot be read.
    #[error("nothing was changed: cannot read {path}")]
    Unreadable {
        /// Of the revision or the host.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

fn listed(reasons: &[String]) -> String {
    let shown: Vec<&str> = reasons
        .iter()
        .take(REASONS_MAX)
        .map(String::as_str)
        .collect();
    match reasons.len().saturating_sub(REASONS_MAX) {
        0 => shown.join("; "),
        more => format!("{}; and {more} more", shown.join("; ")),
    }
}

impl From<wanted::Error> for PlanError {
    fn from(error: wanted::Error) -> Self {
        match error {
            wanted::Error::Refused(why) => Self::Conflicts(vec![why]),
            wanted::Error::Bundle { path, source } | wanted::Error::Host { path, source } => {
                Self::Unreadable { path, source }
            }
        }
    }
}

/// What a plan is made of.
#[derive(Debug)]
pub(crate) struct Given<'a> {
    pub(crate) deployment: &'a DeploymentId,
    pub(crate) archive: &'a Path,
    pub(crate) spec: &'a AppSpec,
    /// Of the deployment; the AppSpec's word goes before it.
    pub(crate) behavior: FileExistsBehavior,
    pub(crate) installed: &'a Installed,
    /// Where programs are looked for.
    pub(crate) environment: &'a [(OsString, OsString)],
    /// Whether somebody wants to see what is done: it takes the memory of each path once more.
    pub(crate) is_shown: bool,
}

#[derive(Debug)]
struct Before<'a>(BTreeMap<String, &'a Owned>);

impl Replaced for Before<'_> {
    fn is_replaced(&self, path: &str) -> bool {
        self.0.get(path).is_some_and(|owned| !owned.is_folder)
    }
}

/// A plan of what `given` wants.
pub(crate) fn plan(given: &Given<'_>) -> Result<Plan, PlanError> {
    let unreadable = |source| PlanError::Unreadable {
        path: given.archive.display().to_string(),
        source,
    };
    let archive = Root::open(given.archive).map_err(unreadable)?;
    let installed = given.installed;
    let owned = installed.owned.iter();
    let before = Before(
        owned
            .map(|owned| (installed.path(&owned.place), owned))
            .collect(),
    );
    let mut walk = Walk::new(&archive, &before);
    for mapping in &given.spec.files {
        walk.mapping(mapping)?;
    }
    let (bases, wanted) = (walk.bases, walk.wanted);
    let mut planning = Planning {
        given,
        archive: &archive,
        before: &before,
        conflicts: Vec::new(),
        swapped: BTreeSet::new(),
        plan: Plan {
            deployment: given.deployment.clone(),
            bases,
            contexts_gone: installed.contexts.clone(),
            removals: Vec::new(),
            made: Vec::new(),
            changed: Vec::new(),
            puts: Vec::new(),
            acls: Vec::new(),
            contexts: Vec::new(),
            owned: Vec::new(),
            preview: Preview::default(),
        },
    };
    // Before the wishes become the plan's: there is each path once.
    let gone: Vec<bool> = before
        .0
        .keys()
        .map(|path| !wanted.contains_key(path))
        .collect();
    planning.paths(wanted)?;
    planning.removals(&gone)?;
    planning.programs();
    if planning.conflicts.is_empty() {
        Ok(planning.plan)
    } else {
        Err(PlanError::Conflicts(planning.conflicts))
    }
}

struct Planning<'a> {
    given: &'a Given<'a>,
    archive: &'a Root,
    before: &'a Before<'a>,
    conflicts: Vec<String>,
    /// What goes first though something else comes.
    swapped: BTreeSet<String>,
    plan: Plan,
}

/// A wish with what was decided about it.
struct Decided {
    path: String,
    wanted: Wanted,
    verdict: Verdict,
    found: Option<Metadata>,
    is_owned: bool,
}

impl Planning<'_> {
    fn paths(&mut self, wanted: BTreeMap<String, Wanted>) -> Result<(), PlanError> {
        let has_permissions = !self.given.spec.permissions.is_empty();
        let mut decided = Vec::new();
        // Folders that others have made are nobody's to change.
        let ours = |one: &Decided| one.verdict != Verdict::Keep || one.is_owned;
        // In a folder that is not there is nothing.
        let mut absent: HashSet<String> = HashSet::new();
        for (path, wanted) in wanted {
            let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            let found = if absent.contains(parent) {
                None
            } else {
                look(&self.plan.bases, &wanted.place).map_err(|source| PlanError::Unreadable {
                    path: path.clone(),
                    source,
                })?
            };
            if found.is_none() && wanted.what == Wish::Folder {
                absent.insert(path.clone());
            }
            let one = self.decide(path, wanted, found);
            match one.verdict {
                Verdict::Conflict(why) => self.conflicts.push(format!("{} {why}", one.path)),
                Verdict::Retain => self.plan.preview.retained.push(one.path),
                // Permissions are said of all paths together; without them a path is done with, and its memory is free.
                Verdict::Create | Verdict::Keep | Verdict::Replace | Verdict::Swap => {
                    if has_permissions {
                        decided.push(one);
                    } else if ours(&one) {
                        self.one(one, None)?;
                    }
                }
            }
        }
        let paths = decided
            .iter()
            .filter(|one| ours(one))
            .map(|one| (one.path.as_str(), one.wanted.what == Wish::Folder));
        let permissions = &self.given.spec.permissions;
        let tended = tended::tended(permissions, paths, &mut Accounts::default());
        let tended = tended.unwrap_or_else(|wrong| {
            self.conflicts.extend(wrong);
            BTreeMap::new()
        });
        for one in decided.into_iter().filter(ours) {
            let tended = tended.get(&one.path);
            self.one(one, tended)?;
        }
        Ok(())
    }

    fn decide(&self, path: String, wanted: Wanted, found: Option<Metadata>) -> Decided {
        let kind = match wanted.what {
            Wish::Folder => Kind::Folder,
            Wish::File { .. } | Wish::Link(_) => Kind::File,
        };
        let is_owned = self.before.0.contains_key(&path);
        let spec = self.given.spec;
        let behavior = spec.file_exists_behavior.unwrap_or(self.given.behavior);
        Decided {
            verdict: verdict(kind, found.as_ref().map(kind_of), is_owned, behavior),
            path,
            wanted,
            found,
            is_owned,
        }
    }

    fn one(&mut self, mut one: Decided, tended: Option<&Tended>) -> Result<(), PlanError> {
        let wish = std::mem::replace(&mut one.wanted.what, Wish::Folder);
        self.plan.owned.push(Owned {
            place: one.wanted.place.clone(),
            is_folder: wish == Wish::Folder,
        });
        if one.verdict == Verdict::Swap {
            self.swapped.insert(one.path.clone());
        }
        let ours = |mode| Attributes {
            mode,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        };
        let over = |mode| tended.map_or(ours(mode), |tended| tended.over(ours(mode)));
        let has_acls = tended.is_some_and(|tended| !tended.acls.is_empty());
        match wish {
            Wish::Folder => {
                let attributes = over(FOLDER_MODE);
                self.tend(&one, tended, attributes.mode);
                self.folder(&one, attributes, has_acls)
            }
            Wish::File {
                source,
                mode,
                size_bytes,
            } => {
                let attributes = over(mode);
                let is_there = !has_acls && self.is_there(&one, &source, size_bytes, attributes)?;
                self.tend(&one, tended, attributes.mode);
                self.file(one, What::File { source, attributes }, is_there);
                Ok(())
            }
            Wish::Link(target) => {
                let Attributes { uid, gid, .. } = over(0o777);
                let is_there = self.leads_there(&one.wanted.place, &target)
                    && one
                        .found
                        .is_some_and(|found| (found.uid, found.gid) == (uid, gid));
                self.file(one, What::Link { target, uid, gid }, is_there);
                Ok(())
            }
        }
    }

    fn folder(
        &mut self,
        one: &Decided,
        attributes: Attributes,
        has_acls: bool,
    ) -> Result<(), PlanError> {
        let place = one.wanted.place.clone();
        let Some(found) = one.found.filter(|_| one.verdict == Verdict::Keep) else {
            self.show(|preview| &mut preview.creates, &one.path);
            self.plan.made.push(Made { place, attributes });
            return Ok(());
        };
        let before = attributes_of(&found);
        if before == attributes && !has_acls {
            return Ok(());
        }
        let acls = place::base(&self.plan.bases, place.base)
            .and_then(|root| root.directory(Path::new(&place.below)))
            .and_then(|root| aside::acls(&root));
        let acls_before = acls.map_err(|source| PlanError::Unreadable {
            path: one.path.clone(),
            source,
        })?;
        self.plan.changed.push(Changed {
            place,
            before,
            acls_before,
            after: attributes,
        });
        Ok(())
    }

    /// Notes a path for people, if there are any.
    fn show(&mut self, list: impl Fn(&mut Preview) -> &mut Vec<String>, path: &str) {
        if self.given.is_shown {
            list(&mut self.plan.preview).push(path.to_string());
        }
    }

    fn file(&mut self, one: Decided, what: What, is_there: bool) {
        let replaces = one.verdict == Verdict::Replace;
        self.show(
            |preview| match (replaces, is_there) {
                (true, true) => &mut preview.unchanged,
                (true, false) => &mut preview.overwrites,
                (false, _) => &mut preview.creates,
            },
            &one.path,
        );
        if !(replaces && is_there) {
            self.plan.puts.push(Put {
                place: one.wanted.place,
                what,
                replaces,
            });
        }
    }

    fn tend(&mut self, one: &Decided, tended: Option<&Tended>, mode: u32) {
        let Some(tended) = tended else { return };
        let (path, place) = (&one.path, &one.wanted.place);
        if self.given.is_shown {
            self.plan.preview.permissions.push(tended.permitted.clone());
        }
        if let Some(entries) = tended.acl_entries(mode) {
            self.plan.acls.push(AclSet {
                place: place.clone(),
                entries,
            });
        }
        if let Some(context) = &tended.context {
            self.plan.contexts.push(ContextSet {
                path: path.to_string(),
                words: context_words(context),
            });
        }
    }

    /// Whether the file is there as it would be afterwards.
    fn is_there(
        &self,
        one: &Decided,
        source: &str,
        size_bytes: u64,
        attributes: Attributes,
    ) -> Result<bool, PlanError> {
        let same = one.found.is_some_and(|found| {
            found.kind == Node::File
                && found.size_bytes == size_bytes
                && attributes_of(&found) == attributes
        });
        if !same || one.verdict != Verdict::Replace {
            return Ok(false);
        }
        let place = &one.wanted.place;
        let compared = || -> io::Result<bool> {
            let theirs = place::base(&self.plan.bases, place.base)?;
            let theirs = theirs.open_file(Path::new(&place.below))?;
            same_bytes(self.archive.open_file(Path::new(source))?, theirs)
        };
        compared().map_err(|source| PlanError::Unreadable {
            path: one.path.clone(),
            source,
        })
    }

    fn leads_there(&self, place: &Place, target: &str) -> bool {
        place::base(&self.plan.bases, place.base)
            .and_then(|root| root.read_link(Path::new(&place.below)))
            .is_ok_and(|found| found == Path::new(target))
    }

    /// What the installation before has put here and this one does not want.
    /// `gone` says of each path of the installation before whether this one does not want it.
    fn removals(&mut self, gone: &[bool]) -> Result<(), PlanError> {
        for ((path, owned), is_gone) in self.before.0.iter().zip(gone).rev() {
            if !is_gone && !self.swapped.contains(path) {
                continue;
            }
            let bases = &self.given.installed.bases;
            let found = look(bases, &owned.place).map_err(|source| PlanError::Unreadable {
                path: path.clone(),
                source,
            })?;
            // What somebody has put in its place is theirs.
            let Some(found) =
                found.filter(|found| (kind_of(found) == Kind::Folder) == owned.is_folder)
            else {
                continue;
            };
            let base = bases.get(owned.place.base).map_or("/", String::as_str);
            let place = Place {
                base: self.base(base),
                below: owned.place.below.clone(),
            };
            self.plan.removals.push(Removal {
                place,
                folder: owned.is_folder.then(|| attributes_of(&found)),
            });
            self.show(|preview| &mut preview.removes, path);
        }
        self.plan.preview.removes.reverse();
        Ok(())
    }

    fn base(&mut self, path: &str) -> usize {
        let bases = &mut self.plan.bases;
        bases
            .iter()
            .position(|base| base == path)
            .unwrap_or_else(|| {
                bases.push(path.to_string());
                bases.len() - 1
            })
    }

    /// Programs that the plan needs.
    fn programs(&mut self) {
        let needs = [
            ("setfacl", !self.plan.acls.is_empty(), "acls"),
            ("semanage", !self.plan.contexts.is_empty(), "context"),
            ("restorecon", !self.plan.contexts.is_empty(), "context"),
        ];
        for (program, _, key) in needs.into_iter().filter(|(_, is_needed, _)| *is_needed) {
            if !is_found(program, self.given.environment) {
                self.conflicts.push(format!(
                    "`{key}` in `permissions` needs {program}, which this host does not have"
                ));
            }
        }
    }
}

fn is_found(program: &str, environment: &[(OsString, OsString)]) -> bool {
    let path = environment.iter().find(|(name, _)| name == "PATH");
    let folders = path.map(|(_, path)| path.clone()).unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(program).is_file())
}

fn context_words(context: &SelinuxContext) -> Vec<String> {
    let mut words = vec!["-t".to_string(), context.kind.clone()];
    if let Some(user) = &context.user {
        words.extend(["-s".to_string(), user.clone()]);
    }
    if let Some(range) = &context.range {
        words.extend(["-r".to_string(), range.clone()]);
    }
    words
}

/// What stands at a place. At the first base it is what a link leads to: those are this host's own ways.
fn look(bases: &[String], place: &Place) -> io::Result<Option<Metadata>> {
    let path = Path::new(&place.below);
    let found = place::base(bases, place.base).and_then(|root| match place.base {
        0 => root.metadata(path),
        _ => root.symlink_metadata(path),
    });
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if wanted::is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn kind_of(found: &Metadata) -> Kind {
    match found.kind {
        Node::Directory => Kind::Folder,
        Node::File | Node::Symlink => Kind::File,
        Node::Other => Kind::Other,
    }
}

fn attributes_of(found: &Metadata) -> Attributes {
    Attributes {
        mode: found.mode,
        uid: found.uid,
        gid: found.gid,
    }
}

fn same_bytes(one: impl Read, other: impl Read) -> io::Result<bool> {
    let mut one = BufReader::with_capacity(PIECE_BYTES, one);
    let mut other = BufReader::with_capacity(PIECE_BYTES, other);
    loop {
        let (left, right) = (
            io::BufRead::fill_buf(&mut one)?,
            io::BufRead::fill_buf(&mut other)?,
        );
        let length = left.len().min(right.len());
        if length == 0 {
            return Ok(left.len() == right.len());
        }
        if left.get(..length) != right.get(..length) {
            return Ok(false);
        }
        io::BufRead::consume(&mut one, length);
        io::BufRead::consume(&mut other, length);
    }
}
