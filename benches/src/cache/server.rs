//! An S3 server on loopback, started for a row and stopped with it. Received from the row `s3`; hands out a bucket.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::client::SpawnedReqwestConnector;
use object_store::prefix::PrefixStore;

const BUCKET: &str = "bench";
const START_LIMIT: Duration = Duration::from_secs(60);
const START_PAUSE: Duration = Duration::from_millis(50);

/// Where objects go.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    endpoint: String,
    region: String,
    access_key: String,
    secret_key: String,
}

impl Bucket {
    /// The address of a prefix in it as the library takes it; the keys go to the command's environment.
    pub(crate) fn hand_to(&self, command: &mut Command, prefix: &str) -> String {
        command
            .env("AWS_ACCESS_KEY_ID", &self.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &self.secret_key);
        format!(
            "s3://{BUCKET}/{prefix}?endpoint={}&region={}&allow_http=true",
            self.endpoint, self.region
        )
    }

    /// The bucket's objects below a prefix. Payloads are not hashed for the signature: every byte is checked by its
    /// BLAKE3 anyway, and both sides of the comparison gain the same.
    pub(crate) fn connect(
        &self,
        runtime: &tokio::runtime::Handle,
        prefix: &str,
    ) -> Result<Arc<dyn ObjectStore>, String> {
        // Another part of the program may have been first; any provider will do.
        drop(rustls::crypto::ring::default_provider().install_default());
        let store = AmazonS3Builder::new()
            .with_endpoint(&self.endpoint)
            .with_region(&self.region)
            .with_bucket_name(BUCKET)
            .with_access_key_id(&self.access_key)
            .with_secret_access_key(&self.secret_key)
            .with_allow_http(true)
            .with_unsigned_payload(true)
            .with_http_connector(SpawnedReqwestConnector::new(runtime.clone()))
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Arc::new(PrefixStore::new(store, prefix)))
    }
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
}

/// A running server; stopped when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) bucket: Bucket,
    pub(crate) name: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().unwrap_or_default();
        drop(self.child.wait());
    }
}

impl Server {
    /// Garage where there is one, else moto.
    pub(crate) fn start(garage: Option<&Path>, folder: &Path) -> Result<Self, String> {
        let garage = garage.map_or_else(|| on_path("garage"), |path| Some(path.to_path_buf()));
        let bucket = Bucket {
            endpoint: format!("http://127.0.0.1:{}", free_port()?),
            region: "garage".into(),
            access_key: format!("GK{}", "c0".repeat(12)),
            secret_key: "5e".repeat(32),
        };
        let mut server = if let Some(garage) = garage {
            let command = garage_command(&garage, folder, &bucket)?;
            Self::spawn(command, bucket, format!("garage ({})", garage.display()))?
        } else {
            let moto = moto().ok_or("there is neither garage nor moto: scripts/setup bench")?;
            let mut command = Command::new(&moto);
            let port = bucket.address()?.port().to_string();
            command.args(["-H", "127.0.0.1", "-p", &port]);
            Self::spawn(command, bucket, format!("moto ({})", moto.display()))?
        };
        server.until_ready()?;
        Ok(server)
    }

    fn spawn(mut command: Command, bucket: Bucket, name: String) -> Result<Self, String> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{name}: {error}"))?;
        Ok(Self {
            child,
            bucket,
            name,
        })
    }

    fn until_ready(&mut self) -> Result<(), String> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().map_err(|error| error.to_string())? {
                return Err(format!("{} ended at once: {status}", self.name));
            }
            match self.bucket.exists() {
                Ok(true) => return Ok(()),
                Ok(false) | Err(_) if start.elapsed() < START_LIMIT => {
                    std::thread::sleep(START_PAUSE);
                }
                Ok(false) => return Err(format!("{} has no bucket", self.name)),
                Err(error) => return Err(format!("{} does not answer: {error}", self.name)),
            }
        }
    }
}

impl Bucket {
    fn address(&self) -> Result<SocketAddr, String> {
        let address = self.endpoint.trim_start_matches("http://");
        address
            .parse()
            .map_err(|error| format!("{address}: {error}"))
    }

    /// Garage makes its bucket itself; moto is asked to, and takes anybody's word.
    fn exists(&self) -> Result<bool, String> {
        let made = self.asked("PUT", &format!("/{BUCKET}"))?;
        // Garage, which wants a signature, says 403: then it is up, and made the bucket as it started.
        Ok(["200", "403", "409"].contains(&made.as_str()))
    }

    /// The status of an answer.
    fn asked(&self, method: &str, path: &str) -> Result<String, String> {
        let failed = |error: std::io::Error| error.to_string();
        let mut stream = TcpStream::connect(self.address()?).map_err(failed)?;
        stream.set_read_timeout(Some(START_LIMIT)).map_err(failed)?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).map_err(failed)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(failed)?;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        Ok(status.to_string())
    }
}

fn garage_command(garage: &Path, folder: &Path, bucket: &Bucket) -> Result<Command, String> {
    let (rpc, admin) = (free_port()?, free_port()?);
    let text = format!(
        r#"metadata_dir = "{folder}/meta"
data_dir = "{folder}/data"
db_engine = "sqlite"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:{rpc}"
rpc_public_addr = "127.0.0.1:{rpc}"
rpc_secret = "{secret}"
[s3_api]
s3_region = "{region}"
api_bind_addr = "{address}"
root_domain = ".s3.garage.localhost"
[admin]
api_bind_addr = "127.0.0.1:{admin}"
admin_token = "bench"
metrics_token = "bench"
"#,
        folder = folder.display(),
        secret = "0b".repeat(32),
        region = bucket.region,
        address = bucket.address()?,
    );
    let config = folder.join("garage.toml");
    std::fs::write(&config, text).map_err(|error| error.to_string())?;
    let mut command = Command::new(garage);
    command
        .args(["server", "--single-node", "--default-bucket"])
        .env("GARAGE_CONFIG_FILE", config)
        .env("GARAGE_DEFAULT_ACCESS_KEY", &bucket.access_key)
        .env("GARAGE_DEFAULT_SECRET_KEY", &bucket.secret_key)
        .env("GARAGE_DEFAULT_BUCKET", BUCKET);
    Ok(command)
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn moto() -> Option<PathBuf> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let program = cache.or_else(home)?.join("croft/test-aws/bin/moto_server");
    program.is_file().then_some(program)
}

fn free_port() -> Result<u16, String> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    Ok(address.port())
}
