//! Attempts on a worker whose surroundings are in memory; its places say when somebody comes that far.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use croft_bus::{Hint, Pool};
use croft_cache::Store;
use croft_keys::{PoolKey, PoolPublic};
use croft_ledger::{
    Append, AppendError, Appended, Clock, Entry, Expected, Ledger, Memory, ReadError, Seq, Subject,
    Through,
};
use croft_proto::Timestamp;
use croft_proto::farm::{
    BuildEvent, BuildId, Environment, GivenBackFor, LossReason, SealedFor, SecretEvent, SecretKind,
    Submitted,
};
use futures_util::future::BoxFuture;
use tempfile::TempDir;

use super::super::pool_keys::tests::Giver;
use super::super::{
    KeySource, Metrics, Places, PoolKeys, Settings, Unplaced, Vitals, claim, story,
};
use super::*;
use crate::runtime::{self, Report, Request, Runtime, Slot};
use crate::{Home, SignIn};

const BUILD: [u8; 16] = [7; 16];
const POOL: &str = "default";

/// A place that never stands; counts who asked for one.
#[derive(Clone, Debug, Default)]
struct Nowhere {
    asked: Arc<Mutex<u32>>,
    /// The sources that were last to be seen there.
    sources: Arc<Mutex<Vec<runtime::Source>>>,
    /// As whom its image would be fetched.
    login: Arc<Mutex<Option<SignIn>>>,
    /// Whether it is waited for until somebody stops the build.
    is_awaited: bool,
    lacks: Lacks,
}

/// For what there is no place.
#[derive(Clone, Copy, Debug, Default)]
enum Lacks {
    #[default]
    Rights,
    Image,
    Engine,
}

impl Places for Nowhere {
    fn of(
        &self,
        _environment: &Environment,
        login: Option<SignIn>,
    ) -> Result<Arc<dyn Runtime>, Unplaced> {
        *self.login.lock().unwrap() = login;
        Ok(Arc::new(self.clone()))
    }
}

impl Runtime for Nowhere {
    fn provision<'a>(
        &'a self,
        request: &'a Request,
        _report: Report<'a>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Slot, runtime::Error>> + Send + 'a>> {
        *self.asked.lock().unwrap() += 1;
        self.sources.lock().unwrap().clone_from(&request.sources);
        Box::pin(async {
            if self.is_awaited {
                std::future::pending::<()>().await;
            }
            let (doing, source) = (
                "there is no place".to_string(),
                std::io::ErrorKind::Other.into(),
            );
            Err(match self.lacks {
                Lacks::Rights => runtime::Error::User {
                    code: "NOWHERE",
                    message: doing,
                },
                Lacks::Image => runtime::Error::Registry { doing, source },
                Lacks::Engine => runtime::Error::Infrastructure { doing, source },
            })
        })
    }
}

/// A ledger whose next answer to an append takes so long, and may then be that nobody knows.
#[derive(Debug)]
struct Slow {
    inner: Memory,
    next: Mutex<Option<(Duration, bool)>>,
    /// So many reads after such an append are answered by a replica that does not have it yet.
    lags: AtomicU32,
    is_behind: AtomicBool,
}

impl Through for Slow {
    fn inner(&self) -> &dyn Ledger {
        &self.inner
    }

    fn append(&self, batch: Vec<Append>) -> BoxFuture<'_, Result<Appended, AppendError>> {
        let slow = self.next.lock().unwrap().take();
        Box::pin(async move {
            let appended = self.inner.append(batch).await;
            let Some((wait, is_unknown)) = slow else {
                return appended;
            };
            tokio::time::sleep(wait).await;
            if is_unknown {
                self.is_behind.store(true, Ordering::Relaxed);
                return Err(AppendError::Unknown {
                    source: "the connection broke".into(),
                });
            }
            appended
        })
    }

    fn read_subject(
        &self,
        subject: &Subject,
        after: Seq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Entry>, ReadError>> {
        let subject = subject.clone();
        Box::pin(async move {
            let mut entries = self.inner.read_subject(&subject, after, limit).await?;
            let lags = |left: u32| left.checked_sub(1);
            if self.is_behind.load(Ordering::Relaxed)
                && self
                    .lags
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, lags)
                    .is_ok()
            {
                entries.pop();
            }
            Ok(entries)
        })
    }
}

/// Gives the pool's second key, once.
#[derive(Debug)]
struct Second(Mutex<Option<PoolKey>>);

impl KeySource for Second {
    fn keys(&self) -> BoxFuture<'_, Result<BTreeMap<u32, PoolKey>, String>> {
        let given = self.0.lock().unwrap().take();
        Box::pin(async { Ok(given.map(|key| (2, key)).into_iter().collect()) })
    }
}

/// A worker with one build that waits for it.
struct Rig {
    parts: Parts,
    ledger: Arc<Slow>,
    provisioned: Arc<Mutex<u32>>,
    sources: Arc<Mutex<Vec<runtime::Source>>>,
    login: Arc<Mutex<Option<SignIn>>>,
    _folder: TempDir,
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000)
}

fn build() -> BuildId {
    BuildId::derived(BUILD)
}

fn sealed_in(name: &str, value: &str, public: &PoolPublic) -> String {
    let context = ["secret", name, "1", POOL];
    let sealed = croft_keys::seal(public, &context, value.as_bytes());
    sealed.unwrap().to_string()
}

fn to(pool: &str, generation: u32, sealed: String) -> SealedFor {
    SealedFor {
        pool: pool.into(),
        generation,
        sealed,
    }
}

impl Rig {
    async fn new(keys: PoolKeys) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        let places = Nowhere::default();
        let ledger = Arc::new(Slow {
            inner: Memory::new(Clock::from_fn(now)),
            next: Mutex::new(None),
            lags: AtomicU32::new(0),
            is_behind: AtomicBool::new(false),
        });
        let rig = Self {
            provisioned: Arc::clone(&places.asked),
            sources: Arc::clone(&places.sources),
            login: Arc::clone(&places.login),
            ledger: Arc::clone(&ledger),
            parts: Parts {
                ledger,
                bus: Arc::new(croft_bus::Memory::new(&croft_bus::Settings::default())),
                kept: Arc::new(Store::in_memory(1 << 30).unwrap()),
                cache: None,
                own: Vec::new(),
                home,
                places: Arc::new(places),
                keys,
                now,
                metrics: Metrics::new(&prometheus::Registry::new()).unwrap(),
                vitals: Vitals::default(),
                settings: Settings {
                    name: "worker-1".parse().unwrap(),
                    pool: POOL.parse().unwrap(),
                    slots: 1,
                    version: "1".into(),
                    lease: croft_proto::farm::Lease::default(),
                    disk_free_bytes_min: 0,
                    region: "us-east-1".into(),
                },
            },
            _folder: folder,
        };
        let submitted = rig.submitted();
        rig.append(
            "build",
            &build().to_string(),
            &BuildEvent::Submitted(submitted),
        )
        .await;
        rig
    }

    /// A build that has a secret in a variable, and one to its image's registry.
    fn submitted(&self) -> Box<Submitted> {
        Box::new(
            serde_json::from_value(serde_json::json!({
                "project": "web", "number": 1, "pool": POOL, "priority": 2, "queuedMsMax": 60_000,
                "attemptsMax": 2, "autoRetry": {"autoRetryLimit": 0, "autoRetryNumber": 0},
                "initiator": "me", "request": {
                    "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2\nphases:\n  build:\n    commands: [\"true\"]\n"},
                    "environment": {"image": "any", "registryCredential":
                        {"credential": "app/login", "credentialProvider": "SECRETS_MANAGER"}, "environmentVariables":
                        [{"name": "TOKEN", "value": "app/token", "type": "SECRETS_MANAGER"}]},
                    "artifacts": {}, "timeoutInMinutes": 5
                }
            }))
            .unwrap(),
        )
    }

    async fn append(&self, kind: &str, name: &str, event: &impl serde::Serialize) {
        let subject = Subject::of(kind, name).unwrap();
        let read = self.parts.ledger.read_subject(&subject, Seq::ZERO, 100);
        let last = read
            .await
            .unwrap()
            .last()
            .map_or(Seq::ZERO, |entry| entry.seq);
        let append = Append {
            subject,
            expected: Expected::Last(last),
            event: serde_json::to_vec(event).unwrap().into(),
        };
        self.parts.ledger.append(vec![append]).await.unwrap();
    }

    /// Sets its secrets, sealed to that key of the pool.
    async fn seal(&self, generation: u32, public: PoolPublic) {
        self.set("app/token", "hunter2", (generation, public)).await;
        let login = r#"{"username": "me", "password": "hunter3"}"#;
        self.set("app/login", login, (generation, public)).await;
    }

    async fn set(&self, name: &str, value: &str, (generation, public): (u32, PoolPublic)) {
        let sealed = sealed_in(name, value, &public);
        self.set_sealed(name, vec![to(POOL, generation, sealed)])
            .await;
    }

    /// Sets a secret that is sealed so.
    async fn set_sealed(&self, name: &str, sealed: Vec<SealedFor>) {
        let event = SecretEvent::Set {
            version: 1,
            kind: SecretKind::SecretsManager,
            projects: Vec::new(),
            wrapped: String::new(),
            sealed,
        };
        self.append("secret", name, &event).await;
    }

    /// One whose pool has no key yet: its secrets are sealed for another.
    async fn unsealed() -> Self {
        let rig = Self::new(PoolKeys::default()).await;
        for name in ["app/login", "app/token"] {
            let others = vec![to("others", 1, "x".into())];
            rig.set_sealed(name, others).await;
        }
        rig
    }

    /// The message of a build that failed, by its user's fault.
    async fn failed(&self) -> String {
        let events = self.events().await;
        let Some(BuildEvent::Settled {
            status: Status::Failed,
            message: Some(message),
            ..
        }) = events.last()
        else {
            panic!("{events:?}");
        };
        message.clone()
    }

    /// One that has its secret, and whose build comes as far as its place and waits there.
    async fn waiting() -> Self {
        let key = PoolKey::generate().unwrap();
        let public = key.public();
        let mut rig = Self::new(PoolKeys::new(BTreeMap::from([(1, key)]), None)).await;
        rig.seal(1, public).await;
        rig.parts.places = Arc::new(Nowhere {
            asked: Arc::clone(&rig.provisioned),
            sources: Arc::clone(&rig.sources),
            login: Arc::clone(&rig.login),
            is_awaited: true,
            lacks: Lacks::Rights,
        });
        rig
    }

    /// One that has its secret, and whose places lack that.
    async fn lacking(lacks: Lacks) -> Self {
        let mut rig = Self::waiting().await;
        rig.parts.places = Arc::new(Nowhere {
            lacks,
            ..Nowhere::default()
        });
        rig
    }

    /// The answer to the claim takes so long, and is no answer perhaps.
    fn claims_after(&self, wait: Duration, is_unknown: bool) {
        *self.ledger.next.lock().unwrap() = Some((wait, is_unknown));
    }

    async fn claimed(&self) -> Claimed {
        let story = story::read(self.parts.ledger.as_ref(), build())
            .await
            .unwrap();
        let claimed = self.hinted(story.attempts + 1, story.last.get()).await;
        claimed.expect("it waits")
    }

    /// What a worker makes of that hint.
    async fn hinted(&self, attempt: u32, seq: u64) -> Option<Claimed> {
        let hint = Hint {
            build: build().to_string().parse().unwrap(),
            attempt,
            seq,
        };
        let pool: Pool = POOL.parse().unwrap();
        self.parts.bus.publish(&pool, hint).await.unwrap();
        let taken = self.taken().await.expect("a hint is out");
        claim::claim(self.parts.ledger.as_ref(), taken, "worker-1").await
    }

    async fn taken(&self) -> Option<croft_bus::Taken> {
        let pool: Pool = POOL.parse().unwrap();
        let taken = self.parts.bus.take(&pool, Duration::from_secs(2)).await;
        taken.unwrap()
    }

    /// So many reads from now on are answered by a replica that lacks the subject's last entry.
    fn lags(&self, reads: u32) {
        self.ledger.is_behind.store(true, Ordering::Relaxed);
        self.ledger.lags.store(reads, Ordering::Relaxed);
    }

    async fn run(&self) -> Went {
        let (_leave, left) = watch::channel(Stop::No);
        run(self.claimed().await, self.parts.clone(), left).await
    }

    /// What happened to the build.
    async fn events(&self) -> Vec<BuildEvent> {
        let subject = story::subject(build());
        let read = self.parts.ledger.read_subject(&subject, Seq::ZERO, 100);
        let entries = read.await.unwrap();
        let events = entries.iter().map(|entry| entry.event().unwrap());
        events
            .map(|event| serde_json::from_slice(event).unwrap())
            .collect()
    }

    async fn assert_given_back(&self) {
        let events = self.events().await;
        assert!(
            matches!(
                events.last(),
                Some(BuildEvent::AttemptLost {
                    attempt: 1,
                    reason: LossReason::GivenBack { .. }
                })
            ),
            "{events:?}"
        );
    }

    fn provisioned(&self) -> u32 {
        *self.provisioned.lock().unwrap()
    }
}

#[tokio::test]
async fn a_key_made_since_the_worker_started_is_asked_for_and_opens_the_secret() {
    let (first, second) = (PoolKey::generate().unwrap(), PoolKey::generate().unwrap());
    let public = second.public();
    let source = Arc::new(Second(Mutex::new(Some(second))));
    let rig = Rig::new(PoolKeys::new(BTreeMap::from([(1, first)]), Some(source))).await;
    rig.seal(2, public).await;
    assert_eq!(rig.run().await, Went::Well);
    assert_eq!(rig.provisioned(), 1, "it came as far as its place");
}

#[tokio::test]
async fn a_build_whose_key_the_worker_is_not_given_is_given_back_and_not_failed() {
    let giver = Giver::of(0);
    let keys = PoolKeys::new(BTreeMap::new(), Some(Arc::clone(&giver) as Arc<_>));
    let rig = Rig::new(keys).await;
    rig.seal(2, PoolKey::generate().unwrap().public()).await;
    assert_eq!(rig.run().await, Went::Unserved);
    assert_eq!(giver.asked.load(Ordering::SeqCst), 1);
    assert_eq!(rig.provisioned(), 0);
    let events = rig.events().await;
    let Some(BuildEvent::AttemptLost {
        attempt: 1,
        reason: LossReason::GivenBack { message, .. },
    }) = events.last()
    else {
        panic!("{events:?}");
    };
    assert!(
        message.contains("sealed to key 2") && message.contains("no server is there"),
        "{message}"
    );
}

#[tokio::test]
async fn a_secret_that_opens_nowhere_is_its_owners_to_set_again_and_not_the_machines_fault() {
    for say in ["does not open", "is damaged"] {
        let key = PoolKey::generate().unwrap();
        let public = key.public();
        let sealed = match say {
            "is damaged" => "x".to_string(),
            _ => sealed_in("app/other", "hunter2", &public),
        };
        let rig = Rig::new(PoolKeys::new(BTreeMap::from([(1, key)]), None)).await;
        rig.seal(1, public).await;
        rig.set_sealed("app/token", vec![to(POOL, 1, sealed)]).await;
        assert_eq!(rig.run().await, Went::Well);
        let message = rig.failed().await;
        for part in ["app/token", say, "`croft secret set app/token`"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_sealed_while_its_build_waits_is_opened() {
    let mut rig = Rig::unsealed().await;
    let key = PoolKey::generate().unwrap();
    let public = key.public();
    rig.parts.keys = PoolKeys::new(BTreeMap::from([(1, key)]), None);
    let begun = Instant::now();
    let sealing = async {
        tokio::time::sleep(Duration::from_secs(9)).await;
        for (name, value) in [
            ("app/login", r#"{"username": "me", "password": "hunter3"}"#),
            ("app/token", "hunter2"),
        ] {
            let sealed = vec![to(POOL, 1, sealed_in(name, value, &public))];
            let event = SecretEvent::Resealed { version: 1, sealed };
            rig.append("secret", name, &event).await;
        }
    };
    let (went, ()) = tokio::join!(rig.run(), sealing);
    assert_eq!((went, rig.provisioned()), (Went::Well, 1));
    let waited = begun.elapsed();
    assert!(waited < Duration::from_secs(11), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_nobody_seals_for_the_pool_fails_its_build_with_what_to_do() {
    let mut rig = Rig::unsealed().await;
    // No server answers here.
    rig.parts.settings.lease = croft_proto::farm::Lease::new(60_000).unwrap();
    let begun = Instant::now();
    assert_eq!(rig.run().await, Went::Well);
    let waited = begun.elapsed();
    assert!(
        (Duration::from_secs(30)..Duration::from_secs(40)).contains(&waited),
        "longer than servers take, and no longer: {waited:?}"
    );
    let message = rig.failed().await;
    for part in ["app/login", "pool `default`", "--server", "token"] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_secret_to_be_sealed_leaves_at_once_and_when_the_lease_is_gone() {
    for (leaves_after, ended, why) in [
        (Some(3), 3, GivenBackFor::Leaving),
        (None, 14, GivenBackFor::Lease),
    ] {
        let rig = Rig::unsealed().await;
        let (leave, left) = watch::channel(Stop::No);
        let begun = Instant::now();
        let leaving = async {
            if let Some(seconds) = leaves_after {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                leave.send_replace(Stop::Now);
            }
        };
        let running = run(rig.claimed().await, rig.parts.clone(), left);
        let (went, ()) = tokio::join!(running, leaving);
        assert_eq!((went, begun.elapsed().as_secs()), (Went::Well, ended));
        let events = rig.events().await;
        assert!(
            matches!(events.last(), Some(BuildEvent::AttemptLost { attempt: 1, reason: LossReason::GivenBack { cause, .. } })
                if *cause == why),
            "{events:?}"
        );
    }
}

/// A server that has folded the claim counts fifteen seconds from then.
#[tokio::test(start_paused = true)]
async fn a_build_whose_worker_nobody_answers_is_killed_fourteen_seconds_after_its_claim_was_sent() {
    let rig = Rig::waiting().await;
    rig.claims_after(Duration::from_secs(10), false);
    let sent = Instant::now();
    rig.run().await;
    assert_eq!(rig.provisioned(), 1, "four seconds were left to it");
    let killed = sent.elapsed();
    assert!(
        (Duration::from_secs(14)..Duration::from_secs(15)).contains(&killed),
        "after {killed:?}"
    );
    rig.assert_given_back().await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_took_fourteen_seconds_to_be_known_is_given_back_before_anything_runs() {
    for is_unknown in [false, true] {
        let rig = Rig::waiting().await;
        // Of the one that nobody knew of it is learned at the next try, a moment later.
        let seconds = if is_unknown { 13.9 } else { 14.0 };
        rig.claims_after(Duration::from_secs_f64(seconds), is_unknown);
        assert_eq!(rig.run().await, Went::Well);
        assert_eq!(rig.provisioned(), 0, "{is_unknown}");
        rig.assert_given_back().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_was_lost_sight_of_is_found_although_a_replica_lags() {
    let rig = Rig::waiting().await;
    rig.ledger.lags.store(3, Ordering::Relaxed);
    rig.claims_after(Duration::from_secs(2), true);
    let claimed = rig.claimed().await;
    assert_eq!(claimed.attempt, 1);
    assert!(claimed.story.is_current(1));
    assert_eq!(rig.ledger.lags.load(Ordering::Relaxed), 0, "it lagged");
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_not_thrown_away_because_a_replica_lacks_what_it_tells_of() {
    let rig = Rig::waiting().await;
    rig.lags(3);
    let claimed = rig.hinted(1, 1).await.expect("it was submitted");
    assert_eq!(claimed.attempt, 1);
    let lost = BuildEvent::AttemptLost {
        attempt: 1,
        reason: LossReason::Unheard { silent_ms: 15_000 },
    };
    rig.append("build", &build().to_string(), &lost).await;
    rig.lags(3);
    let claimed = rig.hinted(2, 5).await.expect("its attempt was lost");
    assert_eq!(claimed.attempt, 2);
}

#[tokio::test(start_paused = true)]
async fn a_hint_that_the_ledger_does_not_reach_is_given_back_and_one_of_another_ledgers_is_not() {
    let rig = Rig::waiting().await;
    assert!(rig.hinted(1, 4).await.is_none());
    let again = rig.taken().await.expect("it was given back");
    // Another's entry is where the hint's should be: the ledger was restored since.
    rig.set(
        "app/token",
        "hunter2",
        (1, PoolKey::generate().unwrap().public()),
    )
    .await;
    let entries = rig.parts.ledger.read(Seq::ZERO, 100).await.unwrap();
    let ledger = rig.parts.ledger.as_ref();
    assert!(claim::claim(ledger, again, "worker-1").await.is_none());
    assert!(rig.taken().await.is_none(), "{entries:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_leaving_worker_gives_back_says_so_and_a_machines_fault_is_an_outcome_only_at_last()
{
    let rig = Rig::waiting().await;
    for attempt in 1..=3 {
        let (leave, left) = watch::channel(Stop::No);
        let running = run(rig.claimed().await, rig.parts.clone(), left);
        let leaving = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            leave.send_replace(Stop::Now);
        };
        tokio::join!(running, leaving);
        let events = rig.events().await;
        let cause = GivenBackFor::Leaving;
        assert!(
            matches!(events.last(), Some(BuildEvent::AttemptLost { attempt: number, reason: LossReason::GivenBack { cause: why, .. } })
                if (*number, *why) == (attempt, cause)),
            "{events:?}"
        );
    }
    // Sealed to a key that nobody gives: the machine's fault. There may be two of them.
    rig.seal(2, PoolKey::generate().unwrap().public()).await;
    assert_eq!(rig.run().await, Went::Unserved);
    let events = rig.events().await;
    assert!(
        matches!(
            events.last(),
            Some(BuildEvent::AttemptLost {
                attempt: 4,
                reason: LossReason::GivenBack {
                    cause: GivenBackFor::Machine,
                    ..
                }
            })
        ),
        "{events:?}"
    );
    assert_eq!(rig.run().await, Went::Unserved);
    let events = rig.events().await;
    let Some(BuildEvent::Settled {
        attempt: 5,
        status: Status::Fault,
        message: Some(message),
        ..
    }) = events.last()
    else {
        panic!("{events:?}");
    };
    assert!(message.contains("sealed to key 2"), "{message}");
}

#[tokio::test]
async fn a_registry_that_does_not_give_the_image_says_nothing_of_the_machine_and_an_engine_does() {
    for (lacks, went) in [
        (Lacks::Rights, Went::Well),
        (Lacks::Image, Went::Unserved),
        (Lacks::Engine, Went::Fault),
    ] {
        let rig = Rig::lacking(lacks).await;
        assert_eq!(rig.run().await, went, "{lacks:?}");
        let events = rig.events().await;
        let is_given_back = matches!(
            events.last(),
            Some(BuildEvent::AttemptLost {
                reason: LossReason::GivenBack {
                    cause: GivenBackFor::Machine,
                    ..
                },
                ..
            })
        );
        assert_eq!(is_given_back, went != Went::Well, "{events:?}");
    }
}

#[tokio::test]
async fn an_images_registry_is_asked_as_whom_the_environments_secret_says() {
    let key = PoolKey::generate().unwrap();
    let public = key.public();
    let rig = Rig::new(PoolKeys::new(BTreeMap::from([(1, key)]), None)).await;
    rig.seal(1, public).await;
    assert_eq!(rig.run().await, Went::Well);
    let login = rig.login.lock().unwrap().clone().unwrap();
    assert_eq!(
        (login.user.as_str(), login.password.as_str()),
        ("me", "hunter3")
    );
    assert!(!format!("{login:?}").contains("hunter3"));
}

#[tokio::test]
async fn a_build_without_a_source_works_in_a_folder_of_its_own_with_nothing_laid_over_it() {
    let key = PoolKey::generate().unwrap();
    let public = key.public();
    let rig = Rig::new(PoolKeys::new(BTreeMap::from([(1, key)]), None)).await;
    rig.seal(1, public).await;
    assert_eq!(rig.run().await, Went::Well);
    let sources = rig.sources.lock().unwrap().clone();
    let [source] = &sources[..] else {
        panic!("{sources:?}");
    };
    assert!(source.in_place, "{source:?}");
    let scratch = rig.parts.home.path().join("run");
    assert!(source.directory.starts_with(scratch), "{source:?}");
    // It went with the build.
    assert!(!source.directory.exists());
}
