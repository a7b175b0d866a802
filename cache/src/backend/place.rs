//! Where a cache lives, as people write it. Received from the command line and the configuration; handed to `Objects`,
//! which opens it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use reqwest::Url;

use crate::Error;

/// Where a cache lives: a folder, memory, or a bucket of object storage.
///
/// **Shape.** A path; `file:///path`; `memory:`; `s3://bucket/prefix`, with `?endpoint=URL`, `region=NAME` and
/// `allow_http=true` for servers that are not AWS's; `gs://bucket/prefix`; `az://container/prefix`, with `?account=NAME`,
/// `endpoint=URL` and `allow_http=true`. The prefix may be left out. Credentials come from the environment, never from here.
///
/// **Errors.** Parsing fails with [`Error::Place`], which says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder(PathBuf),
    Memory,
    Bucket(Bucket),
}

/// Who speaks for a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    S3,
    Gcs,
    Azure,
}

/// A part of some object storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) service: Service,
    pub(crate) bucket: String,
    /// Without slashes at its ends; may be empty.
    pub(crate) prefix: object_store::path::Path,
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) account: Option<String>,
    pub(crate) allow_http: bool,
}

impl Place {
    /// The folder, when it is one on this machine.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Folder(folder) => Some(folder),
            Kind::Memory | Kind::Bucket(_) => None,
        }
    }

    /// True when it is reached over a network, so that a local folder in front of it helps.
    #[must_use]
    pub fn is_far(&self) -> bool {
        matches!(self.0, Kind::Bucket(_))
    }

    /// The folder of that name within this place; memory has none, and is another one each time.
    ///
    /// **Shape.** A plain name, without slashes.
    #[must_use]
    pub fn below(&self, name: &str) -> Self {
        Self(match &self.0 {
            Kind::Folder(folder) => Kind::Folder(folder.join(name)),
            Kind::Memory => Kind::Memory,
            Kind::Bucket(bucket) => Kind::Bucket(Bucket {
                prefix: bucket.prefix.clone().join(name),
                ..bucket.clone()
            }),
        })
    }

    /// Whether what is called so in a bucket that speaks S3's protocol, an object or all below a folder, lies within this place, or
    /// this place within it.
    ///
    /// Endpoints are not compared: one server answers at many addresses, and whoever asks this is better told of one place too many. Google's
    /// buckets speak that protocol, too.
    #[must_use]
    pub fn meets(&self, bucket: &str, key: &str) -> bool {
        let Kind::Bucket(own) = &self.0 else {
            return false;
        };
        let has_protocol = match own.service {
            Service::S3 | Service::Gcs => true,
            Service::Azure => false,
        };
        let prefix = own.prefix.as_ref().split('/');
        let names = |part: &&str| !part.is_empty();
        let mut both = prefix.filter(names).zip(key.split('/').filter(names));
        // A name of a host, as a bucket's may be, is the same in capitals.
        has_protocol && own.bucket.eq_ignore_ascii_case(bucket) && both.all(|(a, b)| a == b)
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.0
    }
}

impl From<PathBuf> for Place {
    fn from(folder: PathBuf) -> Self {
        Self(Kind::Folder(folder))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Folder(folder) => write!(f, "{}", folder.display()),
            Kind::Memory => f.write_str("memory:"),
            Kind::Bucket(bucket) => bucket.fmt(f),
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.service.scheme();
        write!(f, "{scheme}://{}", self.bucket)?;
        if !self.prefix.as_ref().is_empty() {
            write!(f, "/{}", self.prefix)?;
        }
        match &self.endpoint {
            Some(endpoint) => write!(f, " ({endpoint})"),
            None => Ok(()),
        }
    }
}

impl Service {
    fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
        }
    }

    /// What may stand behind the question mark.
    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::S3 => &["endpoint", "region", "allow_http"],
            Self::Gcs => &[],
            Self::Azure => &["account", "endpoint", "allow_http"],
        }
    }

    /// Where credentials come from, for a person.
    fn credentials(self) -> &'static str {
        match self {
            Self::S3 => "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            Self::Gcs => "GOOGLE_APPLICATION_CREDENTIALS",
            Self::Azure => "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
        }
    }
}

impl FromStr for Place {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).map(Self).map_err(|reason| Error::Place {
            place: without_secrets(text),
            reason,
        })
    }
}

/// A text as it may be shown: what stands before an `@` may be a key.
fn without_secrets(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let host = rest.split('/').next().unwrap_or_default();
    match host.rsplit_once('@') {
        Some((secrets, _)) => format!("{scheme}://...{}", &rest[secrets.len()..]),
        None => text.to_owned(),
    }
}

fn parse(text: &str) -> Result<Kind, String> {
    if text.is_empty() {
        return Err("it is empty; name a folder or a bucket".into());
    }
    if text == "memory:" || text == "memory://" {
        return Ok(Kind::Memory);
    }
    let Some((scheme, _)) = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
        return Ok(Kind::Folder(PathBuf::from(text)));
    };
    let service = match scheme {
        "file" => return file(text),
        "s3" => Service::S3,
        "gs" => Service::Gcs,
        "az" => Service::Azure,
        other => {
            return Err(format!(
                "nobody here speaks `{other}:`; write a path, file:///path, memory:, s3://bucket/prefix, \
                 gs://bucket/prefix or az://container/prefix (a folder of such a name: ./{text})"
            ));
        }
    };
    bucket(service, text).map(Kind::Bucket)
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn file(text: &str) -> Result<Kind, String> {
    let shape = "write file:///path, with three slashes and an absolute path";
    let url = Url::parse(text).map_err(|error| format!("{error}; {shape}"))?;
    let path = url.to_file_path().map_err(|()| shape.to_owned())?;
    if url.query().is_some() || !text.starts_with("file:///") {
        return Err(shape.into());
    }
    Ok(Kind::Folder(path))
}

fn bucket(service: Service, text: &str) -> Result<Bucket, String> {
    let shape = format!("write {}://bucket/prefix", service.scheme());
    let url = Url::parse(text).map_err(|error| format!("{error}; {shape}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!(
            "credentials do not belong here, where everybody sees them; put them in the environment: {}",
            service.credentials()
        ));
    }
    let name = url.host_str().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| format!("it names no bucket; {shape}"))?;
    if let Some(port) = url.port() {
        return Err(format!(
            "a bucket has no port; {shape}?endpoint=http://HOST:{port}"
        ));
    }
    if url.fragment().is_some() {
        return Err(format!("a `#` has no meaning here; {shape}"));
    }
    let prefix = object_store::path::Path::from_url_path(url.path())
        .map_err(|error| format!("its prefix cannot be used: {error}"))?;
    let mut bucket = Bucket {
        service,
        bucket: name.to_owned(),
        prefix,
        endpoint: None,
        region: None,
        account: None,
        allow_http: false,
    };
    for (key, value) in url.query_pairs() {
        set(&mut bucket, &key, &value)?;
    }
    check_endpoint(&bucket)?;
    Ok(bucket)
}

fn set(bucket: &mut Bucket, key: &str, value: &str) -> Result<(), String> {
    let known = bucket.service.settings();
    if !known.contains(&key) {
        return Err(match known {
            [] => format!("it has no settings, so not `{key}` either"),
            _ => format!(
                "there is no setting `{key}`; there are {}",
                known.join(", ")
            ),
        });
    }
    if value.is_empty() {
        return Err(format!("`{key}` has no value"));
    }
    match key {
        "endpoint" => bucket.endpoint = Some(value.trim_end_matches('/').to_owned()),
        "region" => bucket.region = Some(value.to_owned()),
        "account" => bucket.account = Some(value.to_owned()),
        _ => {
            bucket.allow_http = value.parse().map_err(|_error: std::str::ParseBoolError| {
                format!("`{key}` is true or false, not `{value}`")
            })?;
        }
    }
    Ok(())
}

fn check_endpoint(bucket: &Bucket) -> Result<(), String> {
    let Some(endpoint) = &bucket.endpoint else {
        return Ok(());
    };
    let url = Url::parse(endpoint)
        .map_err(|error| format!("its endpoint `{endpoint}` is no address: {error}"))?;
    match url.scheme() {
        "https" => Ok(()),
        "http" if bucket.allow_http => Ok(()),
        "http" => Err(format!(
            "its endpoint `{endpoint}` is not encrypted; if the network between is yours, add allow_http=true"
        )),
        _ => Err(format!(
            "its endpoint `{endpoint}` must begin with https:// or http://"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        text.parse().unwrap()
    }

    fn why_not(text: &str) -> String {
        text.parse::<Place>().unwrap_err().to_string()
    }

    #[test]
    fn paths_and_file_addresses_are_folders() {
        assert_eq!(place("/var/cache").folder(), Some(Path::new("/var/cache")));
        assert_eq!(place("cache/here").folder(), Some(Path::new("cache/here")));
        assert_eq!(place("./a:b").folder(), Some(Path::new("./a:b")));
        assert_eq!(place("file:///a%20b").folder(), Some(Path::new("/a b")));
        assert!(!place("/var/cache").is_far());
    }

    #[test]
    fn memory_is_nowhere() {
        assert_eq!(place("memory:").folder(), None);
        assert!(!place("memory:").is_far());
    }

    #[test]
    fn a_bucket_has_a_prefix_and_settings() {
        let text = "s3://shelf/a/b/?endpoint=http://127.0.0.1:9000/&region=here&allow_http=true";
        let far = place(text);
        assert!(far.is_far());
        let Kind::Bucket(bucket) = far.kind() else {
            panic!("{far:?}")
        };
        assert_eq!(bucket.bucket, "shelf");
        assert_eq!(bucket.prefix.as_ref(), "a/b");
        assert_eq!(bucket.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
        assert_eq!(bucket.region.as_deref(), Some("here"));
        assert_eq!(far.to_string(), "s3://shelf/a/b (http://127.0.0.1:9000)");
    }

    #[test]
    fn a_place_below_another_keeps_its_settings() {
        let below = place("s3://shelf/a?endpoint=https://h").below("archive");
        assert_eq!(below.to_string(), "s3://shelf/a/archive (https://h)");
        let whole = place("gs://shelf").below("archive");
        assert_eq!(whole.to_string(), "gs://shelf/archive");
        assert_eq!(place("/a").below("b").folder(), Some(Path::new("/a/b")));
    }

    #[test]
    fn a_place_meets_what_is_in_it_and_what_it_is_in() {
        let own = "s3://shelf/farm/store?endpoint=http://10.0.0.1:9000&allow_http=true";
        for (at, bucket, key, expected) in [
            (own, "shelf", "", true),
            (own, "shelf", "farm", true),
            (own, "shelf", "farm/store", true),
            (own, "shelf", "/farm//store/archive/1", true),
            (own, "SHELF", "farm/store/x.zip", true),
            (own, "shelf", "farm/stored/x.zip", false),
            (own, "shelf", "store", false),
            (own, "other", "farm/store", false),
            ("s3://shelf", "shelf", "src/x.zip", true),
            ("gs://shelf/farm", "shelf", "farm/x.zip", true),
            ("az://shelf/farm", "shelf", "farm/x.zip", false),
            ("/shelf/farm", "shelf", "farm", false),
        ] {
            assert_eq!(
                place(at).meets(bucket, key),
                expected,
                "{at} {bucket}/{key}"
            );
        }
    }

    #[test]
    fn every_service_has_its_scheme_and_shows_itself_as_written() {
        for text in [
            "s3://shelf",
            "gs://shelf/a",
            "az://shelf/a/b",
            "memory:",
            "/a",
        ] {
            assert_eq!(place(text).to_string(), text);
        }
        let Kind::Bucket(bucket) = place("az://shelf?account=me").0 else {
            panic!("not a bucket")
        };
        assert_eq!(bucket.account.as_deref(), Some("me"));
    }

    #[test]
    fn mistakes_say_what_to_write() {
        let table = [
            ("", "it is empty"),
            ("https://shelf/a", "nobody here speaks `https:`"),
            ("s3:shelf", "write s3://bucket/prefix"),
            ("s3:///a", "write s3://bucket/prefix"),
            ("s3://shelf:9000/a", "?endpoint=http://HOST:9000"),
            ("s3://shelf/a#b", "`#` has no meaning"),
            (
                "s3://shelf?regoin=x",
                "there are endpoint, region, allow_http",
            ),
            ("s3://shelf?region=", "`region` has no value"),
            (
                "s3://shelf?allow_http=yes",
                "`allow_http` is true or false, not `yes`",
            ),
            ("s3://shelf?endpoint=http://h:1", "add allow_http=true"),
            ("s3://shelf?endpoint=h:1", "must begin with https://"),
            ("s3://shelf?endpoint=here", "is no address"),
            ("gs://shelf?region=x", "it has no settings"),
            ("file://a/b", "with three slashes"),
            ("file:a", "with three slashes"),
        ];
        for (text, expected) in table {
            let why = why_not(text);
            assert!(why.contains(expected), "{text}: {why}");
        }
    }

    #[test]
    fn credentials_are_refused_and_not_shown() {
        let why = why_not("s3://key:secret@shelf/a");
        assert!(why.contains("AWS_ACCESS_KEY_ID"), "{why}");
        assert!(!why.contains("secret@") && !why.contains("key:"), "{why}");
    }
}
