//! An engine that is started again: what needs it meanwhile waits. Stands before a farm's places in containers, whose builds have been
//! accepted: attempts that fail one after the other in the seconds of a restart must not use a build up.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::super::{Error, Report, Request, Runtime, Slot};
use super::docker::Docker;
use super::ping;

/// An engine that is away for longer is not being restarted: then another worker shall have the build.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// Whether this machine's engine has made places, so that one that does not answer is away and not missing. Shared by its clones.
#[derive(Clone, Debug, Default)]
pub struct Seen(Arc<AtomicBool>);

impl Seen {
    fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_so(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Places in containers, waited for.
pub(crate) struct Patient {
    places: Arc<dyn Runtime>,
    docker: Docker,
    seen: Seen,
}

impl Patient {
    pub(crate) fn new(places: Arc<dyn Runtime>, docker: Docker, seen: Seen) -> Self {
        Self {
            places,
            docker,
            seen,
        }
    }

    async fn make(&self, request: &Request, report: Report<'_>) -> Result<Slot, Error> {
        let begun = tokio::time::Instant::now();
        loop {
            let error = match self.places.provision(request, report).await {
                Ok(slot) => {
                    self.seen.note();
                    return Ok(slot);
                }
                Err(error) => error,
            };
            if !self.seen.is_so() || self.answers().await {
                return Err(error);
            }
            tracing::warn!(%error, "the container engine is waited for");
            while !self.answers().await {
                if begun.elapsed() >= PATIENCE {
                    return Err(error);
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn answers(&self) -> bool {
        match self.docker.socket() {
            Ok(socket) => ping::version(&socket).await.is_ok(),
            // What is set up wrongly is not waited for.
            Err(_unusable) => true,
        }
    }
}

impl Runtime for Patient {
    fn provision<'a>(
        &'a self,
        request: &'a Request,
        report: Report<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Slot, Error>> + Send + 'a>> {
        Box::pin(self.make(request, report))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Makes nothing, and counts how often it was asked to.
    #[derive(Default)]
    struct Nothing(AtomicUsize);

    impl Runtime for Nothing {
        fn provision<'a>(
            &'a self,
            _: &'a Request,
            _: Report<'a>,
        ) -> Pin<Box<dyn Future<Output = Result<Slot, Error>> + Send + 'a>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let failed = Error::at("make a place")(std::io::ErrorKind::NotFound.into());
            Box::pin(std::future::ready(Err(failed)))
        }
    }

    /// How often places are asked for beside an engine that gives these answers, one after the other.
    async fn asked(seen: Seen, answers: &'static [&'static str]) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let engine = std::thread::Builder::new().spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                // What is closed before all was read is no answer.
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    request.extend(byte);
                }
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let places = Arc::new(Nothing::default());
        let host = format!("unix://{}", socket.display());
        let docker = Docker::new(folder.path(), |name| {
            (name == "DOCKER_HOST").then(|| host.clone().into())
        });
        let patient = Patient::new(Arc::clone(&places) as Arc<dyn Runtime>, docker, seen);
        let request = Request {
            build_id: "any:1".into(),
            directory: folder.path().to_path_buf(),
            sources: Vec::new(),
            hidden: Vec::new(),
            extra: Vec::new(),
        };
        assert!(patient.make(&request, &|_| {}).await.is_err());
        engine.unwrap().join().unwrap();
        places.0.load(Ordering::Relaxed)
    }

    const THERE: &str = "HTTP/1.1 200 OK\r\nApi-Version: 1.48\r\n\r\n";
    const STARTING: &str = "HTTP/1.1 503 Service Unavailable\r\n\r\n";

    #[tokio::test]
    async fn an_engine_that_was_there_is_waited_for_and_asked_again() {
        let seen = Seen::default();
        seen.note();
        assert_eq!(asked(seen, &[STARTING, STARTING, THERE, THERE]).await, 2);
    }

    #[tokio::test]
    async fn what_an_engine_that_answers_cannot_make_is_not_waited_for() {
        let seen = Seen::default();
        seen.note();
        assert_eq!(asked(seen, &[THERE]).await, 1);
    }

    #[tokio::test]
    async fn an_engine_that_never_was_is_not_waited_for() {
        assert_eq!(asked(Seen::default(), &[]).await, 1);
    }
}
