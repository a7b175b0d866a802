//! An authority of a test's own that signs certificates, made by the openssl program.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{host, skip};

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Signs certificates. Its files are gone with it.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
    own: Certificate,
}

impl Authority {
    /// A new one, or none when there is no openssl: then the test is skipped.
    #[must_use]
    pub fn new() -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            skip("there is no openssl: install the package of that name");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let own = files(folder.path(), "authority");
        let constraint = "basicConstraints=critical,CA:TRUE";
        request(&own, "authority", &["-addext", constraint]);
        Some(Self { folder, own })
    }

    /// Its own certificate, for whoever is to trust what it signs.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.own.certificate
    }

    /// A certificate for servers at [`host`], and for clients.
    #[must_use]
    pub fn issue(&self, name: &str) -> Certificate {
        let issued = files(self.folder.path(), name);
        let names = format!("subjectAltName=IP:{}", host());
        let authority = self.own.certificate.to_str().unwrap();
        let key = self.own.key.to_str().unwrap();
        let signed_by = ["-CA", authority, "-CAkey", key];
        let constraint = ["-addext", "basicConstraints=critical,CA:FALSE"];
        let names = ["-addext", &names];
        request(
            &issued,
            name,
            &[signed_by.as_slice(), &constraint, &names].concat(),
        );
        issued
    }
}

fn files(folder: &Path, name: &str) -> Certificate {
    Certificate {
        certificate: folder.join(format!("{name}.pem")),
        key: folder.join(format!("{name}-key.pem")),
    }
}

fn request(made: &Certificate, name: &str, more: &[&str]) {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt"]);
    command.args(["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    command.arg("-subj").arg(format!("/CN={name}"));
    command.arg("-keyout").arg(&made.key);
    command.arg("-out").arg(&made.certificate).args(more);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
