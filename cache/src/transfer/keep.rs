//! Keeping a tree for as long as a build waits that was promised it. Received from a server that has queued the build.

use croft_proto::Timestamp;

use crate::content::Reader;
use crate::index::Index;
use crate::live::TreeRef;
use crate::records::lease::TTL_MS_MAX;
use crate::records::record::Outcome;
use crate::restore::parse_list;
use crate::{Error, Id, Store};

/// The longest that a tree is kept for without being asked again, in milliseconds: a day.
pub const HOLD_MS_MAX: u64 = TTL_MS_MAX;

impl Store {
    /// Keeps a visible tree, and its record, until `until` or for a day, whichever ends first; until when. Whoever needs it for
    /// longer asks again before. Nothing ends it sooner, not even the end of this process, but a person who removes the tree.
    ///
    /// # Errors
    /// [`Error::Missing`] when the tree is not visible here, or something it needs is not here for good: it has to be sent again.
    /// As [`Store::tree`] when it is damaged or not trusted; when the store cannot be written, and then nothing keeps it.
    pub fn hold_tree(&self, id: &Id, until: Timestamp, now: Timestamp) -> Result<Timestamp, Error> {
        let tree = self.tree(id, now)?.ok_or_else(|| Error::Missing {
            object: format!("tree {id}"),
        })?;
        let held = self.share()?;
        let ttl_ms = until.millis().saturating_sub(now.millis()).min(TTL_MS_MAX);
        let root = Outcome::Tree {
            id: tree.id,
            list: tree.list.clone(),
        };
        // Before looking: what is seen afterwards in a pack that is not condemned, no collection takes away without having seen
        // the lease.
        let lease = self.keep(root, ttl_ms, now)?;
        let whole = self
            .index()
            .and_then(|index| self.check_whole(&index, &tree));
        drop(held);
        match whole {
            Ok(()) => Ok(Timestamp::from_millis(now.millis().saturating_add(ttl_ms))),
            Err(error) => {
                if let Err(error) = lease.release() {
                    tracing::debug!(%error, "a lease stays until it expires");
                }
                self.heal(&error);
                Err(error)
            }
        }
    }

    fn check_whole(&self, index: &Index, tree: &TreeRef) -> Result<(), Error> {
        let mut reader = Reader::new(&self.objects, index)?;
        let files = parse_list(&tree.list, Some(&tree.id), &mut reader)?;
        let mut chunks = files.chunks().chain(&tree.list.chunks);
        match chunks.find(|id| !index.has_for_good(&id.short())) {
            Some(gone) => Err(index.lost(gone)),
            None => Ok(()),
        }
    }
}
