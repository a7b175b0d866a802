//! What ten hosts serve, within this process: each answers with the release that its scripts have written, fails as often as that release
//! does, and shows counters to whoever scrapes it. Told by the row which hour it has behind it; its users ask through the balancer.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::super::balancer::Balancer;
use super::past::{Chance, Past};
use crate::farm::http::text;

/// Of all hosts together.
pub(super) const REQUESTS_A_SECOND: u32 = 100;
/// What fails of a good release, and of the bad one.
pub(super) const BAD_SHARE: (f64, f64) = (0.001, 0.1);
/// Somebody who connects and says nothing must not keep the others waiting.
const REQUEST_MAX: Duration = Duration::from_secs(1);
/// Users that ask at the same time; each waits for its answer.
const USERS: u32 = 4;

/// What one host has counted.
#[derive(Clone, Debug, Default)]
struct Counted {
    release: String,
    began: f64,
    requests: u64,
    bad: u64,
}

/// One host.
struct Host {
    page: PathBuf,
    counted: Mutex<Counted>,
    chance: Mutex<Chance>,
}

/// All hosts, and their users. Dropped, they are gone.
pub(super) struct Service {
    hosts: Vec<(SocketAddr, Arc<Host>)>,
    is_over: Arc<AtomicBool>,
    is_asked: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Service {
    /// A host for each of those files, in which its scripts write the release that it has.
    pub(super) fn start(pages: Vec<PathBuf>) -> Result<Self, String> {
        let mut service = Self {
            hosts: Vec::new(),
            is_over: Arc::default(),
            is_asked: Arc::default(),
            threads: Vec::new(),
        };
        for page in pages {
            let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(text)?;
            let host = Arc::new(Host {
                page,
                counted: Mutex::default(),
                chance: Mutex::new(Chance::new(0)),
            });
            let at = listener.local_addr().map_err(text)?;
            service.hosts.push((at, Arc::clone(&host)));
            let is_over = Arc::clone(&service.is_over);
            service.thread("serves", move || host.serve(&listener, &is_over))?;
        }
        Ok(service)
    }

    fn thread(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
        let builder = std::thread::Builder::new().name(name.into());
        self.threads.push(builder.spawn(work).map_err(text)?);
        Ok(())
    }

    /// Where each host is, in order.
    pub(super) fn ports(&self) -> Vec<u16> {
        self.hosts.iter().map(|(at, _)| at.port()).collect()
    }

    /// Has users ask the balancer at that address, at an even pace.
    pub(super) fn is_used(&mut self, front: &str) -> Result<(), String> {
        for user in 0..USERS {
            let front = front.to_string();
            let (is_over, is_asked) = (Arc::clone(&self.is_over), Arc::clone(&self.is_asked));
            self.thread("asks", move || use_it(user, &front, &is_asked, &is_over))?;
        }
        Ok(())
    }

    /// Whether its users ask.
    pub(super) fn asked(&self, is_asked: bool) {
        self.is_asked.store(is_asked, Ordering::Relaxed);
    }

    /// Every host has been up for an hour and counts on from what that hour came to.
    pub(super) fn has_behind_it(&self, past: &Past, chance: &mut Chance) {
        for ((_, host), counted) in self.hosts.iter().zip(&past.counted) {
            let mut now = locked(&host.counted);
            *now = Counted {
                release: host.release(),
                began: past.began,
                requests: counted.requests,
                bad: counted.bad,
            };
            *locked(&host.chance) = chance.split();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for (at, _) in &self.hosts {
            // Whoever waits for a connection looks up.
            TcpStream::connect(at).map(drop).unwrap_or_default();
        }
        for thread in self.threads.drain(..) {
            thread.join().unwrap_or_default();
        }
    }
}

impl Host {
    fn release(&self) -> String {
        let page = std::fs::read_to_string(&self.page).unwrap_or_default();
        page.trim().to_string()
    }

    fn serve(&self, listener: &TcpListener, is_over: &AtomicBool) {
        for stream in listener.incoming().flatten() {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            let mut stream = stream;
            let mut request = [0; 4096];
            stream
                .set_read_timeout(Some(REQUEST_MAX))
                .unwrap_or_default();
            // The balancer's checks connect and say nothing.
            let length = stream.read(&mut request).unwrap_or_default();
            if length == 0 {
                continue;
            }
            let answer = if request.starts_with(b"GET /metrics ") {
                answer("200 OK", &self.metrics())
            } else {
                self.answer()
            };
            stream.write_all(answer.as_bytes()).unwrap_or_default();
        }
    }

    /// A request, counted. Each fails by itself, as the draw is.
    fn answer(&self) -> String {
        let release = self.release();
        let (good, bad) = BAD_SHARE;
        let share = if release == "bad" { bad } else { good };
        let fails = locked(&self.chance).unit() < share;
        let mut counted = locked(&self.counted);
        if counted.release != release {
            // Another program, which counts from zero.
            *counted = Counted {
                release: release.clone(),
                began: seconds(),
                ..Counted::default()
            };
        }
        counted.requests += 1;
        counted.bad += u64::from(fails);
        if fails {
            answer("500 Internal Server Error", &release)
        } else {
            answer("200 OK", &release)
        }
    }

    fn metrics(&self) -> String {
        let counted = locked(&self.counted).clone();
        let mut text = format!(
            "process_start_time_seconds {}\nhttp_requests_total{{code=\"200\"}} {}\n",
            counted.began,
            counted.requests - counted.bad
        );
        // As most programs do it: no error, no series.
        if counted.bad > 0 {
            text += &format!("http_requests_total{{code=\"500\"}} {}\n", counted.bad);
        }
        text
    }
}

fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Asks at an even pace, whatever the answers are.
fn use_it(user: u32, front: &str, is_asked: &AtomicBool, is_over: &AtomicBool) {
    let every = Duration::from_secs(1) * USERS / REQUESTS_A_SECOND;
    let mut next = Instant::now() + every * user / USERS;
    while !is_over.load(Ordering::Relaxed) {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        // Who had to wait does not ask twice as often afterwards.
        next = next.max(Instant::now()) + every;
        if is_asked.load(Ordering::Relaxed) {
            Balancer::ask(front);
        }
    }
}

pub(super) fn seconds() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

fn locked<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
