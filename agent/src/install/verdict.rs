//! What one path's wish and what stands there make of each other. Pure: called by the planner for every path.

use croft_proto::deploy::FileExistsBehavior;

/// What something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    /// A file or a link: what can be replaced in one step.
    File,
    /// A device, a pipe, a socket.
    Other,
}

/// What is to be done about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is there.
    Create,
    /// A folder is there, and a folder is wanted.
    Keep,
    /// A file is there, and another one comes.
    Replace,
    /// What the installation before put there goes first.
    Swap,
    /// It stays, and is not ours.
    Retain,
    /// The Install fails.
    Conflict(&'static str),
}

/// What is done about a wish for `wanted` where `found` stands, which is or is not of the installation before.
pub(super) fn verdict(
    wanted: Kind,
    found: Option<Kind>,
    is_owned: bool,
    behavior: FileExistsBehavior,
) -> Verdict {
    match (wanted, found, is_owned) {
        (_, None, _) => Verdict::Create,
        (Kind::Folder, Some(Kind::Folder), _) => Verdict::Keep,
        (Kind::Folder, Some(Kind::File), true) | (Kind::File, Some(Kind::Folder), true) => {
            Verdict::Swap
        }
        (Kind::Folder, Some(Kind::File | Kind::Other), _) => {
            Verdict::Conflict("is no folder, and the revision has a folder there")
        }
        (Kind::File | Kind::Other, Some(Kind::Folder), _) => {
            Verdict::Conflict("is a folder, and the revision has a file there")
        }
        (Kind::File, Some(Kind::File), true) => Verdict::Replace,
        (Kind::File, Some(Kind::File), false) => match behavior {
            FileExistsBehavior::Disallow => Verdict::Conflict("exists already"),
            FileExistsBehavior::Overwrite => Verdict::Replace,
            FileExistsBehavior::Retain => Verdict::Retain,
        },
        (Kind::File | Kind::Other, Some(Kind::File | Kind::Other), _) => {
            Verdict::Conflict("is a device, a pipe or a socket")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use FileExistsBehavior::{Disallow, Overwrite, Retain};

    #[test]
    fn every_wish_meets_everything_that_can_stand_there() {
        for behavior in [Disallow, Overwrite, Retain] {
            for owned in [true, false] {
                let on = |wanted, found| verdict(wanted, found, owned, behavior);
                assert_eq!(on(Kind::Folder, None), Verdict::Create);
                assert_eq!(on(Kind::File, None), Verdict::Create);
                assert_eq!(on(Kind::Folder, Some(Kind::Folder)), Verdict::Keep);
                for (wanted, found) in [(Kind::Folder, Kind::File), (Kind::File, Kind::Folder)] {
                    let found = on(wanted, Some(found));
                    assert_eq!(found == Verdict::Swap, owned, "{found:?}");
                    assert_eq!(matches!(found, Verdict::Conflict(_)), !owned, "{found:?}");
                }
                for wanted in [Kind::Folder, Kind::File] {
                    let found = on(wanted, Some(Kind::Other));
                    assert!(matches!(found, Verdict::Conflict(_)), "{found:?}");
                }
            }
            let owned = verdict(Kind::File, Some(Kind::File), true, behavior);
            assert_eq!(
                owned,
                Verdict::Replace,
                "the group's own are never in the way"
            );
        }
        let strange = |behavior| verdict(Kind::File, Some(Kind::File), false, behavior);
        assert_eq!(strange(Disallow), Verdict::Conflict("exists already"));
        assert_eq!(strange(Overwrite), Verdict::Replace);
        assert_eq!(strange(Retain), Verdict::Retain);
    }
}
