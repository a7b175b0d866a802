//! Which earlier revisions go when another comes. Pure: folders enter, those to remove leave.

use croft_proto::deploy::DeploymentId;

/// The deployments whose folders are removed, the oldest first.
///
/// **Shape.** `found` is every deployment of the group with a moment that grows with its age's end; `keep` counts the current one
/// and the last successful one, which both stay whatever it says.
pub(super) fn gone<T: Ord>(
    mut found: Vec<(T, DeploymentId)>,
    current: &DeploymentId,
    last_successful: Option<&DeploymentId>,
    keep: usize,
) -> Vec<DeploymentId> {
    found.sort();
    let stays = |id: &DeploymentId| id == current || Some(id) == last_successful;
    let needed = 1 + usize::from(last_successful.is_some_and(|last| last != current));
    let mut others: Vec<DeploymentId> = found
        .into_iter()
        .map(|(_, id)| id)
        .filter(|id| !stays(id))
        .collect();
    let kept = keep.saturating_sub(needed);
    others.truncate(others.len().saturating_sub(kept));
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(letter: u8) -> DeploymentId {
        DeploymentId::drawn([letter; 9])
    }

    #[test]
    fn the_oldest_go_and_neither_the_current_nor_the_last_successful() {
        let found = || (0..6).map(|at| (at, id(at))).collect();
        let cases: [(u8, Option<u8>, usize, &[u8]); 7] = [
            (5, Some(4), 5, &[0]),
            (5, Some(0), 5, &[1]),
            (5, Some(0), 2, &[1, 2, 3, 4]),
            (5, Some(0), 0, &[1, 2, 3, 4]),
            (5, None, 1, &[0, 1, 2, 3, 4]),
            (5, Some(5), 1, &[0, 1, 2, 3, 4]),
            (5, Some(4), 9, &[]),
        ];
        for (current, last, keep, expected) in cases {
            let last = last.map(id);
            let removed = gone(found(), &id(current), last.as_ref(), keep);
            let expected: Vec<DeploymentId> = expected.iter().map(|at| id(*at)).collect();
            assert_eq!(removed, expected, "{current} {last:?} {keep}");
        }
    }
}
