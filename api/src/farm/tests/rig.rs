//! A farm on a port of its own, and its client. A worker is played by hand: what it appends and puts is the test's choice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use croft_bus::{Bus, Chunk};
use croft_cache::{Put, Store};
use croft_keys::MasterKey;
use croft_ledger::{Append, Clock, Expected, Ledger, Memory, Seq};
use croft_proto::farm::{BuildEvent, BuildId, SettledBy};
use croft_proto::{Status, Timestamp};
use croft_scheduler::{Parts, Server, build_subject};
use croft_views::Views;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::super::{Door, Farm, Settings, first_token, serve};
use super::schema;

/// Whatever is waited for happens sooner than this, also on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A running farm. Dropped, it ends.
pub(super) struct Rig {
    pub(super) farm: Farm,
    pub(super) address: SocketAddr,
    /// An administrator's token.
    pub(super) admin: String,
    pub(super) folder: TempDir,
    pub(super) stop: watch::Sender<bool>,
    pub(super) tasks: JoinSet<()>,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn seq(&self) -> String {
        self.headers["croft-seq"].to_str().unwrap().to_string()
    }

    #[track_caller]
    pub(super) fn is(self, status: u16) -> Self {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{body}");
        self
    }
}

/// The token of two servers that start at once.
async fn first_admin(farm: &Farm) -> String {
    let made = tokio::join!(first_token(farm), first_token(farm));
    let mut made: Vec<String> = [made.0, made.1]
        .into_iter()
        .filter_map(Result::unwrap)
        .collect();
    assert_eq!(made.len(), 1, "one of them makes it");
    assert_eq!(first_token(farm).await.unwrap(), None, "there is one now");
    made.remove(0)
}

impl Rig {
    pub(super) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::over(change, |ledger| ledger, |bus| bus).await
    }

    /// Over a ledger and a bus that do something else than the usual ones.
    pub(super) async fn over(
        change: impl FnOnce(&mut Settings),
        ledger: impl FnOnce(Arc<dyn Ledger>) -> Arc<dyn Ledger>,
        bus: impl FnOnce(Arc<dyn Bus>) -> Arc<dyn Bus>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::of("s1");
        settings.pace = (100_000, 100_000);
        settings.grace = Duration::from_secs(5);
        change(&mut settings);
        let clock = Clock::system();
        let ledger = ledger(Arc::new(Memory::new(clock.clone())));
        let bus = bus(Arc::new(croft_bus::Memory::new(
            &croft_bus::Settings::default(),
        )));
        let registry = prometheus::Registry::new();
        let (server, handle) = Server::new(Parts {
            ledger: Arc::clone(&ledger),
            bus: Arc::clone(&bus),
            lease: settings.lease,
            clock: clock.clone(),
            metrics: croft_scheduler::Metrics::new(&registry).unwrap(),
        });
        let (deployer, deploy) = croft_deploy::server::Server::new(croft_deploy::server::Parts {
            ledger: Arc::clone(&ledger),
            bus: Arc::clone(&bus),
            nonce: 1,
            clock: clock.clone(),
            routing: Arc::new(croft_deploy::server::Local),
            alerts: None,
            metrics: Some(Arc::new(
                croft_deploy::metrics::scripted::Scripted::default(),
            )),
            counts: croft_deploy::server::Counts::new(&registry).unwrap(),
        });
        let farm = Farm {
            handle,
            deploy,
            views: Views::in_memory().unwrap(),
            ledger,
            bus,
            kept: Arc::new(Store::open(&folder.path().join("kept"), 1 << 30).unwrap()),
            master: Arc::new(MasterKey::create(&folder.path().join("master")).unwrap()),
            clock,
            registry,
            settings,
        };
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let running = stopped.clone();
        tasks.spawn(async move { server.run(running).await.unwrap() });
        let deploying = stopped.clone();
        tasks.spawn(async move { deployer.run(deploying).await.unwrap() });
        let (ledger, views) = (Arc::clone(&farm.ledger), farm.views.clone());
        let following = stopped.clone();
        tasks.spawn(async move { croft_views::follow(ledger, views, following).await.unwrap() });
        let admin = first_admin(&farm).await;
        let mut rig = Self {
            address: ([127, 0, 0, 1], 0).into(),
            farm,
            admin,
            folder,
            stop,
            tasks,
        };
        rig.serve().await;
        rig
    }

    /// Serves on a new port.
    pub(super) async fn serve(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let (farm, stopped) = (self.farm.clone(), self.stop.subscribe());
        self.tasks
            .spawn(async move { serve(farm, listener, Door::plain(), stopped).await.unwrap() });
    }

    /// From now on another server of the same farm is asked, which has read nothing of its deployments until what is returned runs.
    pub(super) async fn another_server(&mut self) -> croft_deploy::server::Server {
        let (deployer, deploy) = croft_deploy::server::Server::new(croft_deploy::server::Parts {
            ledger: Arc::clone(&self.farm.ledger),
            bus: Arc::clone(&self.farm.bus),
            nonce: 2,
            clock: self.farm.clock.clone(),
            routing: Arc::new(croft_deploy::server::Local),
            alerts: None,
            metrics: None,
            counts: croft_deploy::server::Counts::new(&prometheus::Registry::new()).unwrap(),
        });
        self.farm.deploy = deploy;
        self.farm.registry = prometheus::Registry::new();
        self.serve().await;
        deployer
    }

    /// A connection of its own for one request.
    pub(super) async fn open(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> hyper::Response<Incoming> {
        let socket = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
            .await
            .unwrap();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "croft");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        self.farm_tasks(connection);
        tokio::time::timeout(PATIENCE, sender.send_request(request))
            .await
            .unwrap()
            .unwrap()
    }

    /// A connection lives as long as its answer is read.
    #[expect(
        clippy::disallowed_methods,
        reason = "the client's half of a connection ends with the test"
    )]
    fn farm_tasks(&self, connection: impl Future<Output = hyper::Result<()>> + Send + 'static) {
        drop(tokio::spawn(
            async move { connection.await.unwrap_or_default() },
        ));
    }

    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let response = self.open(method, path, token, headers, body).await;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = tokio::time::timeout(PATIENCE, response.into_body().collect())
            .await
            .unwrap()
            .unwrap()
            .to_bytes();
        assert!(headers.contains_key("x-request-id"), "{path}");
        let answer = Answer {
            status,
            headers,
            body,
        };
        schema::check(method, path, &answer);
        answer
    }

    /// As the administrator.
    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, Some(&self.admin), &[], "").await
    }

    /// The same, with all that is in the ledger by now: the read model may be a moment behind it.
    pub(super) async fn get_all(&self, path: &str) -> Answer {
        let last = self.farm.ledger.last().await.unwrap().to_string();
        let headers = [("croft-seq", last.as_str())];
        self.ask("GET", path, Some(&self.admin), &headers, "").await
    }

    pub(super) async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.ask(method, path, Some(&self.admin), &[], body.to_string())
            .await
    }

    /// A new token.
    pub(super) async fn token(&self, role: &str, projects: &[&str]) -> (String, String) {
        let body = json!({"name": format!("a {role}"), "role": role, "projects": projects});
        let made = self.send("POST", "/v1/tokens", &body).await.is(201).json();
        let text = |name: &str| made[name].as_str().unwrap().to_string();
        (text("id"), text("token"))
    }

    pub(super) async fn project(&self, name: &str) {
        let body = json!({"source": {"type": "NO_SOURCE"}, "environment": {"image": "alpine"}});
        self.send("PUT", &format!("/v1/projects/{name}"), &body)
            .await
            .is(201);
    }

    /// A new build's whole id, and the id alone.
    pub(super) async fn build(&self, project: &str) -> (String, BuildId) {
        let body = json!({"projectName": project});
        let build = self.send("POST", "/v1/builds", &body).await.is(201).json();
        let id = build["build"]["id"].as_str().unwrap().to_string();
        let alone = id.split_once(':').unwrap().1.parse().unwrap();
        (id, alone)
    }

    /// What a worker appends.
    pub(super) async fn append(&self, build: BuildId, event: &BuildEvent) -> Seq {
        let subject = build_subject(build);
        let there = self
            .farm
            .ledger
            .read_subject(&subject, Seq::ZERO, 100)
            .await
            .unwrap();
        let append = Append {
            subject,
            expected: Expected::Last(there.last().unwrap().seq),
            event: serde_json::to_vec(event).unwrap().into(),
        };
        self.farm.ledger.append(vec![append]).await.unwrap().last
    }

    pub(super) async fn claim(&self, build: BuildId, attempt: u32) {
        let worker = "w1".to_string();
        let event = BuildEvent::AttemptStarted { attempt, worker };
        self.append(build, &event).await;
    }

    /// A chunk of live output.
    pub(super) async fn put(&self, build: BuildId, attempt: u32, first: u64, text: &str) {
        let bytes = Bytes::from(text.to_string());
        let name = build.to_string().parse().unwrap();
        let chunk = Chunk { first, bytes };
        self.farm.bus.put(&name, attempt, chunk).await.unwrap();
    }

    pub(super) async fn end(&self, build: BuildId, attempt: u32, number: u64) {
        let name = build.to_string().parse().unwrap();
        self.farm.bus.end(&name, attempt, number).await.unwrap();
    }

    /// The outcome, with what is kept of the build if there is something.
    pub(super) async fn settle(&self, build: BuildId, whole: &str, kept: Option<String>) -> Seq {
        self.settle_attempt(build, 1, whole, kept).await
    }

    /// The same by another attempt than the first.
    pub(super) async fn settle_attempt(
        &self,
        build: BuildId,
        attempt: u32,
        whole: &str,
        kept: Option<String>,
    ) -> Seq {
        let at = self.farm.clock.now();
        let finished = json!({
            "build": {
                "id": whole, "arn": "", "buildNumber": 1, "projectName": "web", "startTime": at, "endTime": at,
                "currentPhase": "COMPLETED", "buildStatus": "SUCCEEDED", "buildComplete": true,
                "phases": [{"phaseType": "BUILD", "phaseStatus": "SUCCEEDED", "startTime": at, "endTime": at,
                    "durationInSeconds": 0, "contexts": []}],
                "exportedEnvironmentVariables": [], "initiator": "x", "timeoutInMinutes": 60, "image": "alpine",
            },
            "summary": {"reports": [{"name": "r", "type": "TEST", "status": "SUCCEEDED", "files": [],
                "truncated": false}], "artifacts": [], "slowestCommands": [], "logPath": ""},
            "kept": {"tree": kept},
        });
        let event = BuildEvent::Settled {
            attempt,
            status: Status::Succeeded,
            by: SettledBy::Worker,
            message: None,
            build: Some(Box::new(finished)),
            at,
        };
        self.append(build, &event).await
    }

    /// Keeps a folder of these files, as a worker does at a build's end.
    pub(super) fn keep(&self, files: &[(&str, &[u8])]) -> String {
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap();
        for (path, bytes) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let put = Put {
            directory: folder.path(),
            now: self.now(),
        };
        self.farm.kept.put(&put).unwrap().tree.id.to_string()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.farm.clock.now()
    }

    /// Every byte of the ledger.
    pub(super) async fn all_of_the_ledger(&self) -> Vec<u8> {
        let entries = self.farm.ledger.read(Seq::ZERO, 10_000).await.unwrap();
        let events = entries.iter().filter_map(croft_ledger::Entry::event);
        events.flat_map(|event| event.to_vec()).collect()
    }
}
