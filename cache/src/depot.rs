//! Objects by name at a place, without anything of the cache's layout: for what a farm keeps beside its store, such as archived parts
//! of its ledger. Received from whoever knows the place; every call waits for the disk or the network, so it belongs on a thread
//! that may wait.

use bytes::Bytes;
use object_store::path::Path;

use crate::backend::Objects;
use crate::{Error, Place};

/// Objects at a place. What stands in a folder survives a power cut; what is far is asked under a deadline.
#[derive(Clone, Debug)]
pub struct Depot(Objects);

impl Depot {
    /// What stands at that place; a folder is made when it is missing. Nothing is sent to a far one yet.
    ///
    /// # Errors
    /// When the folder cannot be made or opened, or no client can be made of what the place and the environment say.
    pub fn open(place: &Place) -> Result<Self, Error> {
        Objects::open(place).map(Self)
    }

    /// Writes or replaces an object, whole or not at all; it is durable when this returns.
    ///
    /// # Errors
    /// When the store does not take it.
    pub fn put(&self, name: &str, bytes: impl Into<Bytes>) -> Result<(), Error> {
        self.0.put(&Path::from(name), bytes)
    }

    /// An object's bytes; one larger than `bytes_max` is refused unread.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is none; else when the store does not give it.
    pub fn get(&self, name: &str, bytes_max: u64) -> Result<Bytes, Error> {
        self.0.get(&Path::from(name), bytes_max)
    }

    /// Removes an object; one that is not there is no error.
    ///
    /// # Errors
    /// When the store does not do it.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        self.0.delete(&Path::from(name))
    }

    /// The names of all objects below `folder`, without it, sorted.
    ///
    /// # Errors
    /// When the store does not list them.
    pub fn list(&self, folder: &str) -> Result<Vec<String>, Error> {
        let folder = Path::from(folder);
        let listed = self.0.list(&folder)?;
        let below = listed.into_iter().filter_map(|listed| {
            let parts: Vec<_> = listed.name.prefix_match(&folder)?.collect();
            let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
            Some(parts.join("/"))
        });
        Ok(below.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_got_and_listed_by_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::from(folder.path().to_path_buf());
        let depot = Depot::open(&place.below("archive")).unwrap();
        depot.put("one/b", &b"2"[..]).unwrap();
        depot.put("one/a", &b"1"[..]).unwrap();
        depot.put("two/c", &b"3"[..]).unwrap();
        assert_eq!(depot.list("one").unwrap(), ["a", "b"]);
        assert_eq!(depot.list("").unwrap(), ["one/a", "one/b", "two/c"]);
        assert_eq!(depot.list("none").unwrap(), Vec::<String>::new());
        assert_eq!(&depot.get("two/c", 1).unwrap()[..], b"3");
        assert!(depot.get("two/c", 0).is_err());
        let missing = depot.get("two/d", 1).unwrap_err();
        assert!(matches!(missing, Error::Missing { .. }), "{missing}");
        assert!(folder.path().join("archive/one/a").is_file());
        depot.remove("one/a").unwrap();
        depot.remove("one/a").unwrap();
        assert_eq!(depot.list("one").unwrap(), ["b"]);
    }
}
