//! A real Prometheus that scrapes the hosts every second and knows the hour before: begun anew for each trial, so that no trial's errors are
//! in the next one's past.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::super::balancer::free_port;
use crate::farm::http::{Client, text};

const START_MAX: Duration = Duration::from_secs(30);

pub(super) struct Prometheus {
    port: u16,
    folder: Option<PathBuf>,
    child: Option<Child>,
}

impl Prometheus {
    /// One that does not run yet.
    pub(super) fn new() -> Result<Self, String> {
        Ok(Self {
            port: free_port()?,
            folder: None,
            child: None,
        })
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Lets it scrape those ports of this machine, and keep its files in that folder.
    pub(super) fn of(&mut self, folder: PathBuf, ports: &[u16]) -> Result<(), String> {
        std::fs::create_dir_all(&folder).map_err(text)?;
        let targets: Vec<String> = ports
            .iter()
            .map(|port| format!("'127.0.0.1:{port}'"))
            .collect();
        let config = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: shop\n    static_configs: [{{targets: [{}]}}]\n",
            targets.join(", ")
        );
        std::fs::write(folder.join("prometheus.yml"), config).map_err(text)?;
        self.folder = Some(folder);
        Ok(())
    }

    /// Begins anew with that past and nothing else.
    pub(super) fn begin_anew(&mut self, past: &str) -> Result<(), String> {
        self.end();
        let folder = self.folder.clone().ok_or("Prometheus has no folder")?;
        let (store, file) = (folder.join("store"), folder.join("past"));
        if store.exists() {
            std::fs::remove_dir_all(&store).map_err(text)?;
        }
        std::fs::write(&file, past).map_err(text)?;
        let filled = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args([&file, &store])
            .output()
            .map_err(|error| format!("promtool: {error}"))?;
        if !filled.status.success() {
            return Err(format!(
                "promtool: {}",
                String::from_utf8_lossy(&filled.stderr)
            ));
        }
        let child = Command::new("prometheus")
            .arg(format!(
                "--config.file={}",
                folder.join("prometheus.yml").display()
            ))
            .arg(format!("--storage.tsdb.path={}", store.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{}", self.port))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("prometheus: {error}"))?;
        self.child = Some(child);
        let begun = Instant::now();
        while !self.is_ready() {
            if begun.elapsed() > START_MAX {
                return Err("prometheus did not start".into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn is_ready(&self) -> bool {
        let asked = Client::connect(&self.url(), "")
            .and_then(|mut client| client.ask("GET", "/-/ready", ""));
        asked.is_ok_and(|answer| answer.status == 200)
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap_or_default();
            child.wait().map(drop).unwrap_or_default();
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.end();
    }
}
