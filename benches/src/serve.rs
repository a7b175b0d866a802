//! Blobs over HTTP: `croft cache serve` against nginx with sendfile, requests a second as wrk counts them, taking turns.
//!
//! Everything is in memory on both sides: nginx's files in a tmpfs (or the system's file cache), Croft's blobs in its hot
//! set, where they are after the first request. Croft checks a token on each request, nginx checks nothing. wrk takes a
//! processor of its own where there is one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::sample::Verdict;
use crate::subject::Subject;

const ROUNDS: usize = 3;
const SECONDS: u32 = 5;
const CONNECTIONS: u32 = 8;
const START_MAX: Duration = Duration::from_secs(10);
/// Sizes of blobs, what they are called, and which part of nginx's rate must be reached.
const SIZES: [(usize, &str, f64); 2] = [(4 << 10, "4 KiB", 0.5), (4 << 20, "4 MiB", 0.25)];

const TOKEN: &str = "croft_writer_1111111111111111111111111111111111111111111111111111111111111111";
/// The token's line in a file; the first word is its BLAKE3 hash.
const TOKEN_LINE: &str =
    "7e21b9bc8ebdf4a71bd04af2caf1f74ab2f79172d8b78dc6e27eb01ac2ae7a7d writer trusted\n";

pub(crate) fn against_nginx(subject: &Subject) -> Result<Vec<Verdict>, String> {
    let folder = subject.folder("served");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let nginx = nginx(&folder)?;
    let croft = croft(subject, &folder)?;
    let mut verdicts = Vec::new();
    for (size_bytes, shown, at_least) in SIZES {
        let blob = noise(size_bytes);
        let digits = store(&croft.address, &folder, &blob)?;
        let ours_at = format!("http://{}/cas/{digits}", croft.address);
        let theirs_at = format!("http://{}/{digits}", nginx.address);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            theirs.push(wrk(&theirs_at)?);
            ours.push(wrk(&ours_at)?);
        }
        verdicts.push(verdict(shown, middle(ours), middle(theirs), at_least));
    }
    Ok(verdicts)
}

fn verdict(shown: &str, ours: f64, theirs: f64, at_least: f64) -> Verdict {
    let ratio = theirs / ours;
    Verdict {
        what: format!(
            "GET of {shown} from memory with a token ({:.2} of nginx's rate)",
            ours / theirs
        ),
        ours: format!("{ours:.0} requests/s"),
        theirs: format!("{theirs:.0} requests/s of nginx"),
        ratio,
        at_most: 1.0 / at_least,
        reached: ours >= theirs * at_least,
    }
}

fn middle(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// A running server. Dropped, it is asked to end and waited for.
struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // A killed nginx would leave its workers behind, so it is asked. What fails here fails after the measurement.
        let mut kill = Command::new("kill");
        let asked = kill.arg(self.child.id().to_string()).status();
        if asked.is_ok_and(|status| status.success()) {
            self.child.wait().map(drop).unwrap_or_default();
        }
    }
}

fn nginx(folder: &Path) -> Result<Server, String> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = free.map_err(|error| error.to_string())?.to_string();
    let at = folder.display();
    // The scratch folder is only its owner's, so started by root the workers must be root's, too.
    let user = if is_root() { "user root;" } else { "" };
    let settings = format!(
        "daemon off; worker_processes auto; pid {at}/nginx.pid; error_log {at}/nginx.log; {user}
         events {{ worker_connections 1024; }}
         http {{
           access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;
           keepalive_timeout 60; keepalive_requests 1000000000;
           default_type application/octet-stream;
           client_body_temp_path {at}/nginx-body; proxy_temp_path {at}/nginx-proxy;
           fastcgi_temp_path {at}/nginx-fastcgi; uwsgi_temp_path {at}/nginx-uwsgi; scgi_temp_path {at}/nginx-scgi;
           server {{ listen {address}; root {at}; }}
         }}"
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, settings).map_err(|error| error.to_string())?;
    let mut command = Command::new("nginx");
    command.arg("-c").arg(&file).stderr(Stdio::null());
    let child = command
        .spawn()
        .map_err(|error| format!("nginx: {error}: run scripts/setup bench"))?;
    let server = Server { child, address };
    let limit = Instant::now() + START_MAX;
    while TcpStream::connect(&server.address).is_err() {
        if Instant::now() > limit {
            return Err("nginx does not answer".into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(server)
}

fn is_root() -> bool {
    let asked = Command::new("id").arg("-u").output();
    asked.is_ok_and(|output| output.stdout.starts_with(b"0\n"))
}

fn croft(subject: &Subject, folder: &Path) -> Result<Server, String> {
    let tokens = folder.join("tokens");
    std::fs::write(&tokens, TOKEN_LINE).map_err(|error| error.to_string())?;
    let mut command = subject.croft(&["cache", "serve", "--listen", "127.0.0.1:0"]);
    command.arg("--tokens").arg(&tokens).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let mut line = String::new();
    if let Some(said) = child.stdout.take() {
        let read = BufReader::new(said).read_line(&mut line);
        read.map_err(|error| error.to_string())?;
    }
    let address = line.trim_end().strip_prefix("listening on http://");
    let address = address.unwrap_or_default().to_string();
    let server = Server { child, address };
    if server.address.is_empty() {
        return Err("croft cache serve does not say where it listens".into());
    }
    Ok(server)
}

/// Gives both servers the blob; its SHA-256 in hexadecimal digits.
fn store(address: &str, folder: &Path, blob: &[u8]) -> Result<String, String> {
    let file = folder.join("blob");
    std::fs::write(&file, blob).map_err(|error| error.to_string())?;
    let summed = Command::new("sha256sum").arg(&file).output();
    let summed = summed.map_err(|error| format!("sha256sum: {error}"))?;
    let text = String::from_utf8_lossy(&summed.stdout);
    let digits = text.split(' ').next().unwrap_or_default().to_string();
    std::fs::rename(&file, folder.join(&digits)).map_err(|error| error.to_string())?;
    let head = format!(
        "PUT /cas/{digits} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        blob.len()
    );
    let put = || -> std::io::Result<String> {
        let mut socket = TcpStream::connect(address)?;
        socket.write_all(head.as_bytes())?;
        socket.write_all(blob)?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer)
    };
    match put() {
        Ok(answer) if answer.starts_with("HTTP/1.1 201 ") => Ok(digits),
        Ok(answer) => Err(answer),
        Err(error) => Err(error.to_string()),
    }
}

/// Requests a second.
fn wrk(at: &str) -> Result<f64, String> {
    let mut command = Command::new("wrk");
    command.args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{SECONDS}s")]);
    command.args(["-H", &format!("Authorization: Bearer {TOKEN}"), at]);
    let output = command
        .output()
        .map_err(|error| format!("wrk: {error}: run scripts/setup bench"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(format!("{at}: {text}"));
    }
    let rate = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    rate.and_then(|rate| rate.trim().parse().ok())
        .ok_or_else(|| format!("{at}: wrk counted nothing: {text}"))
}

/// Bytes that nothing can make smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}
