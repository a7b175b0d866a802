//! Sources in object storage: an archive, or all below a folder of a bucket. Receives AWS's `location`, fetches it with this machine's own
//! credentials, and leaves a folder.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Seek as _;
use std::path::{Component, Path};
use std::sync::Arc;
use std::time::Duration;

use croft_beneath::Root;
use croft_cache::{Place, ReadError, Reading};
use croft_unpack::{Kind, Limits};

use super::NoSource;
use crate::chain;
use crate::source::Given;

/// The largest archive: AWS's largest object that is put at once.
const ARCHIVE_BYTES_MAX: u64 = 5 << 30;
/// The largest of a folder's objects all together.
const FOLDER_BYTES_MAX: u64 = 5 << 30;
/// A folder of more objects would take hours, one by one; an archive of them takes seconds.
const OBJECTS_MAX: usize = 10_000;
/// Longer than the largest takes over a slow line; a store that hangs must not keep a slot.
const TIME_MAX: Duration = Duration::from_secs(30 * 60);

/// What a location names.
#[derive(Debug, PartialEq, Eq)]
enum Named<'a> {
    Archive(&'a str, Kind),
    /// Without the slash at its end.
    Folder(&'a str),
}

/// Brings what `location` names into the folder `into`, which is made. What meets `own`, where a farm keeps what is everybody's, is nobody's
/// source.
pub(crate) async fn bring(
    location: &str,
    version: Option<&str>,
    into: &Path,
    own: &[Place],
) -> Result<(), NoSource> {
    let (bucket, named) = read(location).map_err(NoSource::User)?;
    let (Named::Archive(key, _) | Named::Folder(key)) = &named;
    if own.iter().any(|own| own.meets(bucket, key)) {
        return Err(NoSource::User(format!(
            "source {location}: that is in, or holds, what this farm keeps its store or its cache in, where other projects' files are: it is \
             no source. Name another bucket, or a folder beside them"
        )));
    }
    let version = version.filter(|version| !version.is_empty());
    if matches!(named, Named::Folder(_)) && version.is_some() {
        return Err(NoSource::User(format!(
            "source {location}: a folder has no version; leave out sourceVersion, or name one object"
        )));
    }
    // An endpoint that is not AWS's comes from the environment, as credentials do.
    let place: Place = format!("s3://{bucket}")
        .parse()
        .map_err(|error: croft_cache::Error| NoSource::User(chain(&error)))?;
    let reading = Reading::open(&place).map_err(|error| NoSource::Machine(chain(&error)))?;
    std::fs::create_dir_all(into).map_err(machine)?;
    let bringing = async {
        match named {
            Named::Archive(key, kind) => {
                let file = download(&reading, key, version).await?;
                unpack(file, kind, into).await
            }
            Named::Folder(prefix) => folder(&reading, prefix, into).await,
        }
    };
    let brought = tokio::time::timeout(TIME_MAX, bringing).await;
    brought.unwrap_or_else(|_elapsed: tokio::time::error::Elapsed| {
        Err(NoSource::Machine(format!(
            "source {location} did not arrive within {} minutes",
            TIME_MAX.as_secs() / 60
        )))
    })
}

fn machine(error: std::io::Error) -> NoSource {
    NoSource::Machine(format!("cannot write a source down: {error}"))
}

/// A bucket, and what is named in it.
fn read(location: &str) -> Result<(&str, Named<'_>), String> {
    let shape = || {
        format!(
            "source {location}: bucket/path/object.zip (or .tar, .tar.gz, .tgz), or bucket/path/folder/"
        )
    };
    let text = location.strip_prefix("arn:aws:s3:::").unwrap_or(location);
    let (bucket, key) = text.split_once('/').ok_or_else(shape)?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    // What begins with a dot would be another bucket's path in an address.
    if !bucket.starts_with(|first: char| first.is_ascii_alphanumeric())
        || !bucket.bytes().all(is_name)
    {
        return Err(shape());
    }
    let key = key.trim_start_matches('/');
    if key.is_empty() {
        return Ok((bucket, Named::Folder("")));
    }
    if let Some(folder) = key.strip_suffix('/') {
        return Ok((bucket, Named::Folder(folder)));
    }
    let kind = Kind::of(key).ok_or_else(shape)?;
    Ok((bucket, Named::Archive(key, kind)))
}

async fn download(reading: &Reading, key: &str, version: Option<&str>) -> Result<File, NoSource> {
    let mut file = tempfile::tempfile().map_err(machine)?;
    let got = reading.object(key, version, ARCHIVE_BYTES_MAX, &mut file);
    got.await.map_err(|error| whose(&error))?;
    file.rewind().map_err(machine)?;
    Ok(file)
}

async fn unpack(file: File, kind: Kind, into: &Path) -> Result<(), NoSource> {
    let given = Given::default();
    let (into, is_over) = (into.to_path_buf(), Arc::clone(&given.0));
    let unpacked = tokio::task::spawn_blocking(move || {
        croft_unpack::unpack(file, kind, &into, Limits::default(), &is_over)
    });
    let unpacked = unpacked.await;
    drop(given);
    match unpacked {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if error.is_the_machines() => Err(NoSource::Machine(chain(&error))),
        Ok(Err(error)) => Err(NoSource::User(chain(&error))),
        Err(gone) => Err(NoSource::Machine(gone.to_string())),
    }
}

async fn folder(reading: &Reading, prefix: &str, into: &Path) -> Result<(), NoSource> {
    let listed = reading.list(prefix, OBJECTS_MAX).await;
    let listed = listed.map_err(|error| whose(&error))?;
    let root = Root::open(into).map_err(machine)?.refusing_links();
    let mut left = FOLDER_BYTES_MAX;
    let keys: BTreeSet<String> = listed.iter().map(|(key, _)| key.clone()).collect();
    for (key, bytes) in listed {
        if bytes == 0 && is_marker(&keys, &key, prefix) {
            continue;
        }
        let name = key.strip_prefix(prefix).unwrap_or(&key);
        let name = Path::new(name.trim_start_matches('/'));
        let is_below = name
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if name.as_os_str().is_empty() || !is_below {
            return Err(NoSource::User(format!(
                "object {key} of the bucket has no name that a file can have"
            )));
        }
        let parent = name.parent().unwrap_or(Path::new(""));
        let odd = |error: std::io::Error| {
            NoSource::User(format!(
                "object {key} of the bucket cannot be a file: {error}"
            ))
        };
        root.create_dir_all(parent).map_err(odd)?;
        let mut file = root.create_file(name, 0o644).map_err(odd)?;
        let got = reading.object(&key, None, left, &mut file).await;
        left -= got.map_err(|error| whose(&error))?;
    }
    Ok(())
}

/// Whether an empty object is what tools put into a bucket for a folder.
fn is_marker(keys: &BTreeSet<String>, key: &str, prefix: &str) -> bool {
    let below = format!("{key}/");
    let next = keys.range(below.clone()..).next();
    key == prefix || next.is_some_and(|next| next.starts_with(&below))
}

fn whose(error: &ReadError) -> NoSource {
    let message = told(&chain(error));
    match error {
        ReadError::Missing(_) | ReadError::Refused(_) | ReadError::TooMuch { .. } => {
            NoSource::User(message)
        }
        ReadError::Failed { .. } => NoSource::Machine(message),
    }
}

/// Where machines of AWS's ask who they are: asked for want of anything else.
const METADATA: &str = "169.254.169.254";

/// What went wrong, for a person. That nobody at that address answers means that there are no credentials.
fn told(why: &str) -> String {
    if !why.contains(METADATA) {
        return format!("source: {why}");
    }
    format!(
        "source: there are no credentials for the bucket: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set, nor \
         AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, nor AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI, and this machine is none of \
         AWS's with a role. Set the first two, with AWS_SESSION_TOKEN where there is one; ~/.aws is not read, and AWS_SKIP_SIGNATURE=true \
         asks without any ({why})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_without_credentials_says_what_was_looked_for() {
        let why = "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token: connection refused";
        let said = told(why);
        for part in [
            "AWS_ACCESS_KEY_ID",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "~/.aws is not read",
            why,
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(told("no such key"), "source: no such key");
    }

    #[test]
    fn a_location_is_an_archive_or_a_folder_of_a_bucket() {
        for (location, named) in [
            ("b/a.zip", Named::Archive("a.zip", Kind::Zip)),
            ("b/x/a.tar.gz", Named::Archive("x/a.tar.gz", Kind::TarGz)),
            ("arn:aws:s3:::b/a.tgz", Named::Archive("a.tgz", Kind::TarGz)),
            ("b/a.TAR", Named::Archive("a.TAR", Kind::Tar)),
            ("b/x/y/", Named::Folder("x/y")),
            ("b/", Named::Folder("")),
        ] {
            assert_eq!(read(location), Ok(("b", named)), "{location}");
        }
        for wrong in [
            "b",
            "",
            "/a.zip",
            "b/a.rar",
            "b/a",
            "b?endpoint=http://x/a.zip",
            "u@b/a.zip",
            "./b/a.zip",
            "../b/a.zip",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn what_a_farm_keeps_is_nobodys_source() {
        let own = ["s3://kept/farm", "s3://kept/cache?endpoint=https://h"];
        let own = own.map(|place| place.parse::<Place>().unwrap());
        let into = tempfile::tempdir().unwrap();
        let into = into.path().join("source");
        for location in [
            "kept/",
            "kept/farm/",
            "kept//farm/archive/",
            "arn:aws:s3:::kept/farm/packs/x.zip",
            "kept/cache/x.tar",
        ] {
            let Err(NoSource::User(why)) = bring(location, None, &into, &own).await else {
                panic!("{location}");
            };
            assert!(
                why.contains(location) && why.contains("store or its cache"),
                "{why}"
            );
            assert!(!into.exists(), "{location}");
        }
    }
}
