//! A plan taken back: what it made goes, what it replaced or removed comes again. Receives it from `event` after a step has
//! failed, or after an agent was killed; may itself be interrupted and begun again.

use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, mkdirat, unlinkat};
use rustix::io::Errno;

use super::apply::{With, forget_context};
use super::place::{self, Folders};
use super::plan::{Changed, Place, Plan, Put, Removal};
use super::{aside, step};

/// Takes back whatever was done of the plan. What cannot be is said, and the rest is taken back.
pub(super) fn undo(plan: &Plan, with: &With<'_>) -> Vec<String> {
    let mut left = Vec::new();
    let mut note = |place: &Place, done: io::Result<()>| {
        if let Err(error) = done {
            left.push(format!("{}: {error}", plan.path(place)));
        }
    };
    for context in plan.contexts.iter().rev() {
        (with.hands.before_change)();
        forget_context(context, with.environment);
    }
    let mut folders = Folders::new(&plan.bases);
    for (number, put) in plan.puts.iter().enumerate().rev() {
        note(&put.place, take_back(with, &mut folders, number, put));
    }
    for changed in plan.changed.iter().rev() {
        note(&changed.place, change_back(plan, with, changed));
    }
    let mut folders = Folders::new(&plan.bases);
    for made in plan.made.iter().rev() {
        note(&made.place, unmake(with, &mut folders, &made.place));
    }
    let mut folders = Folders::new(&plan.bases);
    for (number, removal) in plan.removals.iter().enumerate().rev() {
        note(
            &removal.place,
            bring_back(with, &mut folders, number, removal),
        );
    }
    for context in &plan.contexts_gone {
        let words: Vec<&str> = ["fcontext", "-a"]
            .into_iter()
            .chain(context.words.iter().map(String::as_str))
            .chain([context.path.as_str()])
            .collect();
        if let Err(error) = step::program("semanage", &words, with.environment) {
            left.push(format!("SELinux rule of {}: {error}", context.path));
        }
    }
    left
}

fn take_back(
    with: &With<'_>,
    folders: &mut Folders<'_>,
    number: usize,
    put: &Put,
) -> io::Result<()> {
    let kept = with.hands.kept_put(number);
    let folder = match folders.of(&put.place) {
        Err(error) if is_gone(&error) && !step::is_there(&kept) => return Ok(()),
        other => other?,
    };
    let beside = step::beside(number);
    aside::remove(&folder, Path::new(&beside))?;
    if step::is_there(&kept) {
        (with.hands.before_change)();
        return aside::put_back(&kept, &folder, &beside);
    }
    if put.replaces {
        return Ok(());
    }
    (with.hands.before_change)();
    match aside::remove(&folder, Path::new(folder.name)) {
        // A folder is none of ours.
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(()),
        other => other,
    }
}

fn change_back(plan: &Plan, with: &With<'_>, changed: &Changed) -> io::Result<()> {
    with.hands.change(&plan.bases, changed, changed.before)?;
    let root = place::base(&plan.bases, changed.place.base)?;
    let folder = root.directory(Path::new(&changed.place.below))?;
    aside::set_acls(&aside::opened(&folder)?, &changed.acls_before)?;
    // A list's mask is the mode's middle digit.
    step::give(&aside::opened(&folder)?, changed.before)
}

fn unmake(with: &With<'_>, folders: &mut Folders<'_>, place: &Place) -> io::Result<()> {
    let folder = match folders.of(place) {
        Err(error) if is_gone(&error) => return Ok(()),
        other => other?,
    };
    (with.hands.before_change)();
    match unlinkat(&folder, folder.name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn bring_back(
    with: &With<'_>,
    folders: &mut Folders<'_>,
    number: usize,
    removal: &Removal,
) -> io::Result<()> {
    let kept = with.hands.kept_removal(number);
    let folder = match folders.of(&removal.place) {
        Err(error) if is_gone(&error) && !step::is_there(&kept) && removal.folder.is_none() => {
            return Ok(());
        }
        other => other?,
    };
    (with.hands.before_change)();
    let Some(attributes) = removal.folder else {
        if step::is_there(&kept) {
            aside::put_back(&kept, &folder, &format!(".croft-removal-{number}"))?;
        }
        return Ok(());
    };
    match mkdirat(&folder, folder.name, Mode::from_raw_mode(0o700)) {
        Ok(()) => {
            let made = folder.root.directory(Path::new(folder.name))?;
            step::give(&aside::opened(&made)?, attributes)
        }
        Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn is_gone(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
    kinds.contains(&error.kind())
}
