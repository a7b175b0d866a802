//! A registry of images on this machine that lets nobody in but one user.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::image::docker;
use super::{eventually, skip};

/// Its user.
pub(crate) const USER: &str = "croft";
/// In base64 the login holds a `/`.
pub(crate) const PASSWORD: &str = "pa??ss?>~~~ou";
const HASH: &str = "$2b$05$abcdefghijklmnopqrstuuZoWiHP41Bci4qiQeYzzp.p6LOSiMIru";

/// It runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Registry {
    address: String,
    process: Child,
    folder: TempDir,
}

impl Registry {
    /// None, and said so, where the program `docker-registry` is missing.
    pub(crate) fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind((croft_nats_testing::host(), 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::write(path("users"), format!("{USER}:{HASH}\n")).unwrap();
        let configuration = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\nauth:\n  htpasswd:\n    realm: test\n    path: {}\n",
            path("data"),
            path("users")
        );
        fs::write(path("config.yml"), configuration).unwrap();
        let login =
            serde_json::json!({"auths": {&address: {"username": USER, "password": PASSWORD}}});
        fs::write(path("config.json"), login.to_string()).unwrap();
        let started = Command::new("docker-registry")
            .args(["serve", &path("config.yml")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(process) = started else {
            skip("docker-registry is not installed");
            return None;
        };
        let registry = Self {
            address,
            process,
            folder,
        };
        eventually("the registry listens", || {
            TcpStream::connect(&registry.address).is_ok()
        });
        Some(registry)
    }

    /// Puts that image into it under another name; this machine then has none of that name.
    pub(crate) fn publish(&self, image: &str, name: &str) -> String {
        let full = format!("{}/{name}", self.address);
        docker(&["tag", image, &full]);
        let login = self.folder.path().display().to_string();
        docker(&["--config", &login, "push", &full]);
        docker(&["rmi", &full]);
        full
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.process.kill().unwrap_or_default();
        self.process.wait().map(drop).unwrap_or_default();
    }
}
