//! A client for object storage. Received from `Objects`, with a place and the environment; handed back as a store.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, Result, RetryConfig};

use super::place::{Bucket, Service};

/// A host that does not answer a connection by then is down, or behind a firewall that swallows packets.
const CONNECT: Duration = Duration::from_secs(2);

/// Longer than any call's deadline, which the guard keeps: the library's own 30 s would cut large objects short.
const REQUEST: Duration = Duration::from_secs(3_600);

/// Two repetitions bridge a dropped connection or a server that asks to slow down. More only delay the breaker.
const RETRIES_MAX: usize = 2;
const RETRY: Duration = Duration::from_secs(5);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Variables of the process, read once by whoever opens a place.
pub(crate) type Environment = Vec<(String, String)>;

/// The variables of this process that are text.
pub(crate) fn environment() -> Environment {
    let variables = std::env::vars_os();
    variables
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// A store for the bucket, below its prefix. Nothing is sent yet.
pub(crate) fn client(bucket: &Bucket, environment: &Environment) -> Result<Arc<dyn ObjectStore>> {
    // The TLS library wants to be told, once in a process, which arithmetic to use; whoever was first told it the same.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        tracing::trace!("the TLS provider was already chosen");
    }
    let prefix = bucket.prefix.clone();
    Ok(match bucket.service {
        Service::S3 => Arc::new(PrefixStore::new(s3(bucket, environment)?, prefix)),
        Service::Gcs => Arc::new(PrefixStore::new(gcs(bucket, environment)?, prefix)),
        Service::Azure => Arc::new(PrefixStore::new(azure(bucket, environment)?, prefix)),
    })
}

fn s3(bucket: &Bucket, environment: &Environment) -> Result<impl ObjectStore + use<>> {
    let mut builder = AmazonS3Builder::new()
        .with_client_options(options())
        .with_retry(retry());
    for (key, value) in named(environment, "AWS_") {
        if let Ok(key) = key.parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    // Signing the payload is a second hash over all bytes, and halves the speed. TLS guards them on their way, and their
    // own hash is checked whenever they are read.
    builder = builder
        .with_bucket_name(&bucket.bucket)
        .with_unsigned_payload(true);
    if let Some(endpoint) = &bucket.endpoint {
        // The variable for S3 alone would win over the endpoint that the place names.
        builder = builder
            .with_endpoint(endpoint)
            .with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
    }
    if let Some(region) = &bucket.region {
        builder = builder.with_region(region);
    }
    if bucket.allow_http {
        builder = builder.with_allow_http(true);
    }
    builder.build()
}

fn gcs(bucket: &Bucket, environment: &Environment) -> Result<impl ObjectStore + use<>> {
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_client_options(options())
        .with_retry(retry());
    for (key, value) in named(environment, "GOOGLE_") {
        if let Ok(key) = key.parse::<GoogleConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    builder.with_bucket_name(&bucket.bucket).build()
}

fn azure(bucket: &Bucket, environment: &Environment) -> Result<impl ObjectStore + use<>> {
    let mut builder = MicrosoftAzureBuilder::new()
        .with_client_options(options())
        .with_retry(retry());
    for (key, value) in named(environment, "AZURE_") {
        if let Ok(key) = key.parse::<AzureConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    builder = builder.with_container_name(&bucket.bucket);
    if let Some(account) = &bucket.account {
        builder = builder.with_account(account);
    }
    if let Some(endpoint) = &bucket.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    if bucket.allow_http {
        builder = builder.with_allow_http(true);
    }
    builder.build()
}

/// The variables of one vendor, by the names the library knows.
fn named<'e>(
    environment: &'e Environment,
    vendor: &'e str,
) -> impl Iterator<Item = (String, &'e str)> {
    environment
        .iter()
        .filter(move |(key, _)| key.starts_with(vendor))
        .map(|(key, value)| (key.to_ascii_lowercase(), value.as_str()))
}

fn options() -> ClientOptions {
    ClientOptions::new()
        .with_connect_timeout(CONNECT)
        .with_timeout(REQUEST)
}

fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            max_backoff: BACKOFF_MAX,
            ..BackoffConfig::default()
        },
        max_retries: RETRIES_MAX,
        retry_timeout: RETRY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::place::{Kind, Place};

    fn client_of(text: &str, environment: &[(&str, &str)]) -> Result<Arc<dyn ObjectStore>> {
        let place: Place = text.parse().unwrap();
        let Kind::Bucket(bucket) = place.kind() else {
            panic!("{text} is no bucket")
        };
        let environment = environment
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        client(bucket, &environment)
    }

    #[test]
    fn every_service_has_a_client() {
        let s3 = [
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "word"),
        ];
        client_of("s3://shelf/a?region=x", &s3).unwrap();
        let azure = [("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")];
        client_of("az://shelf/a?account=me", &azure).unwrap();
        client_of("gs://shelf/a", &[]).unwrap();
    }

    #[test]
    fn the_place_wins_over_the_environment() {
        let environment = [
            ("AWS_ENDPOINT_URL", "https://one.invalid"),
            ("AWS_ENDPOINT_URL_S3", "https://two.invalid"),
            ("AWS_REGION", "elsewhere"),
            ("AWS_UNSIGNED_PAYLOAD", "false"),
        ];
        let client = client_of(
            "s3://shelf?endpoint=https://three.invalid&region=here",
            &environment,
        );
        let shown = format!("{:?}", client.unwrap());
        assert!(
            shown.contains("three.invalid") && shown.contains("here"),
            "{shown}"
        );
        assert!(
            !shown.contains("two.invalid") && !shown.contains("elsewhere"),
            "{shown}"
        );
    }
}
