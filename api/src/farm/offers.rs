//! What revisions are made of, remembered for the hosts that are fetching one: each of them asks for its chunks in several calls, and to say
//! what a revision of twenty thousand files is made of takes longer than to read a megabyte of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use croft_cache::{Error, Id, Offer, Store, TreeRef};

use super::limits::OFFERS_MAX;

/// The offers that were made last, the newest first. A tree's id says all that is in one, so none is ever out of date.
#[derive(Debug, Default)]
pub(super) struct Offers(Mutex<VecDeque<(Id, Arc<Offer>)>>);

impl Offers {
    /// The offer of a tree that is in the store. Blocks.
    ///
    /// # Errors
    /// As [`Store::offer`].
    pub(super) fn of(&self, store: &Store, tree: &TreeRef) -> Result<Arc<Offer>, Error> {
        if let Some(known) = self.known(&tree.id) {
            return Ok(known);
        }
        let made = Arc::new(store.offer(tree)?);
        let mut offers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        offers.push_front((tree.id, Arc::clone(&made)));
        offers.truncate(OFFERS_MAX);
        Ok(made)
    }

    fn known(&self, tree: &Id) -> Option<Arc<Offer>> {
        let offers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = offers.iter();
        let known = known.find(|(id, _)| id == tree);
        known.map(|(_, offer)| Arc::clone(offer))
    }
}

#[cfg(test)]
mod tests {
    use croft_cache::Put;
    use croft_proto::Timestamp;

    use super::*;

    #[test]
    fn the_last_offers_are_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store"), 1 << 30).unwrap();
        let source = folder.path().join("source");
        std::fs::create_dir(&source).unwrap();
        let trees: Vec<TreeRef> = (0..=OFFERS_MAX)
            .map(|number| {
                std::fs::write(source.join("file"), number.to_string()).unwrap();
                let put = Put {
                    directory: &source,
                    now: Timestamp::from_millis(1_800_000_000_000),
                };
                store.put(&put).unwrap().tree
            })
            .collect();
        let offers = Offers::default();
        let of = |at: usize| offers.of(&store, &trees[at]).unwrap();
        let first = of(0);
        assert_eq!(first.tree().id, trees[0].id);
        assert!(Arc::ptr_eq(&first, &of(0)));
        for (at, tree) in trees.iter().enumerate().skip(1) {
            assert_eq!(of(at).tree().id, tree.id);
        }
        // There was room for the others only.
        assert!(!Arc::ptr_eq(&first, &of(0)));
        assert!(Arc::ptr_eq(&of(OFFERS_MAX), &of(OFFERS_MAX)));
    }
}
