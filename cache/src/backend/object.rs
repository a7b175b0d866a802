//! Reading what others put into a bucket: sources of builds. Receives a place and the environment's credentials, hands back objects;
//! nothing of the cache's own is in between.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore};

use super::bucket::{Environment, client, environment};
use super::place::{Kind, Place};
use crate::Error;

/// A bucket, for reading.
#[derive(Debug)]
pub struct Reading {
    store: Arc<dyn ObjectStore>,
}

/// Why an object is not had.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Nothing is called so; whoever named it can mend that.
    #[error("{0} is not there")]
    Missing(String),
    /// Whoever asks may not have it.
    #[error("{0} is not for this machine's credentials")]
    Refused(String),
    /// Larger, or more, than allowed.
    #[error("{what} is more than {most}")]
    TooMuch {
        /// Which.
        what: String,
        /// The limit, with its unit.
        most: String,
    },
    /// The store or the way to it; later it may work.
    #[error("cannot read {what}")]
    Failed {
        /// Which.
        what: String,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Reading {
    /// The bucket at `place`. Nothing is asked yet.
    ///
    /// # Errors
    /// [`Error::Place`] when it is no bucket, or the environment's settings for it are wrong.
    pub fn open(place: &Place) -> Result<Self, Error> {
        Self::open_in(place, &environment())
    }

    /// The same with other variables than this process's.
    pub(crate) fn open_in(place: &Place, environment: &Environment) -> Result<Self, Error> {
        let refused = |reason: String| Error::Place {
            place: place.to_string(),
            reason,
        };
        let Kind::Bucket(bucket) = place.kind() else {
            return Err(refused("it is no bucket".into()));
        };
        let store = client(bucket, environment).map_err(|error| refused(error.to_string()))?;
        Ok(Self { store })
    }

    /// Gives the object `key`, or that version of it, to `sink`, piece by piece; how many bytes it has.
    ///
    /// # Errors
    /// As [`ReadError`] says; what `sink` says is [`ReadError::Failed`].
    pub async fn object(
        &self,
        key: &str,
        version: Option<&str>,
        bytes_max: u64,
        sink: &mut (dyn std::io::Write + Send),
    ) -> Result<u64, ReadError> {
        let path = parse(key)?;
        let too_much = || ReadError::TooMuch {
            what: key.to_string(),
            most: format!("{bytes_max} bytes"),
        };
        let options = GetOptions {
            version: version.map(str::to_string),
            ..GetOptions::default()
        };
        let got = self.store.get_opts(&path, options).await;
        let got = got.map_err(|error| told(key, error))?;
        if got.meta.size > bytes_max {
            return Err(too_much());
        }
        let (mut pieces, mut bytes) = (got.into_stream(), 0_u64);
        while let Some(piece) = pieces.try_next().await.map_err(|error| told(key, error))? {
            bytes += piece.len() as u64;
            // A store may lie about the size.
            if bytes > bytes_max {
                return Err(too_much());
            }
            sink.write_all(&piece).map_err(|error| failed(key, error))?;
        }
        Ok(bytes)
    }

    /// The names of the objects below the folder `prefix`, and their bytes.
    ///
    /// # Errors
    /// As [`ReadError`] says; [`ReadError::Missing`] when there are none.
    pub async fn list(
        &self,
        prefix: &str,
        objects_max: usize,
    ) -> Result<Vec<(String, u64)>, ReadError> {
        let path = parse(prefix)?;
        let (mut listing, mut found) = (self.store.list(Some(&path)), Vec::new());
        while let Some(meta) = listing
            .try_next()
            .await
            .map_err(|error| told(prefix, error))?
        {
            if found.len() == objects_max {
                return Err(ReadError::TooMuch {
                    what: format!("the folder {prefix}"),
                    most: format!("{objects_max} objects"),
                });
            }
            found.push((meta.location.to_string(), meta.size));
        }
        if found.is_empty() {
            return Err(ReadError::Missing(format!("the folder {prefix}")));
        }
        Ok(found)
    }
}

fn parse(key: &str) -> Result<Path, ReadError> {
    Path::parse(key).map_err(|_odd: object_store::path::Error| ReadError::Missing(key.to_string()))
}

fn told(what: &str, error: object_store::Error) -> ReadError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library's enum is not exhaustive, and all else is a failure"
    )]
    match error {
        object_store::Error::NotFound { .. } => ReadError::Missing(what.to_string()),
        object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. } => ReadError::Refused(what.to_string()),
        other => failed(what, other),
    }
}

fn failed(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> ReadError {
    ReadError::Failed {
        what: what.to_string(),
        source: Box::new(source),
    }
}
