//! The ways to a real server: with passwords, tokens, credentials files and certificates, with the wrong ones, and to none.

/// What monitoring says of a real server.
mod monitoring;

use std::error::Error as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use async_nats::jetstream::stream::Config as Stream;
use croft_nats_testing::{Authority, Cluster, Operator, Server, Setup};

use crate::{Broker, ConnectError, Credentials};

/// Longer than anything takes that is expected to happen.
const LONG: Duration = Duration::from_secs(120);

/// Runs it to its end, or fails.
fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let limited = async { tokio::time::timeout(LONG, future).await };
    runtime.block_on(limited).expect("it hangs")
}

fn with(more: impl Into<String>) -> Option<Server> {
    let more = more.into();
    let setup = Setup {
        more,
        ..Setup::default()
    };
    setup.start()
}

fn broker(server: &Server, credentials: Credentials) -> Broker {
    Broker {
        credentials,
        ..Broker::new(&server.address)
    }
}

fn password(password: &str) -> Credentials {
    Credentials::Password {
        user: "croft".into(),
        password: password.into(),
    }
}

/// Connects, and makes a stream.
async fn works(broker: &Broker) {
    let client = broker.connect().await.unwrap();
    let context = crate::context(&client, broker.timeout);
    let stream = Stream {
        name: "S".into(),
        ..Stream::default()
    };
    let stream = Stream {
        subjects: vec!["s.>".into()],
        max_messages: -1,
        max_bytes: -1,
        max_messages_per_subject: -1,
        num_replicas: 1,
        ..stream
    };
    crate::open(&context, &stream).await.unwrap();
}

/// What is said to whom the servers refuse.
async fn refused(broker: &Broker) -> String {
    let error = broker.connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn a_user_needs_the_password() {
    let Some(server) = with("authorization { user: croft, password: right }") else {
        return;
    };
    run(async {
        works(&broker(&server, password("right"))).await;
        let said = refused(&broker(&server, password("wrong"))).await;
        assert!(said.contains("check the password of `croft`"), "{said}");
        assert!(!said.contains("wrong"), "{said}");
        let said = refused(&broker(&server, Credentials::None)).await;
        assert!(said.contains("configure a user and password"), "{said}");
    });
}

#[test]
fn a_token_is_enough() {
    let Some(server) = with("authorization { token: right }") else {
        return;
    };
    run(async {
        works(&broker(&server, Credentials::Token("right".into()))).await;
        let said = refused(&broker(&server, Credentials::Token("wrong".into()))).await;
        assert!(said.contains("check the token"), "{said}");
    });
}

#[test]
fn a_credentials_file_is_enough_as_long_as_it_is_valid() {
    let (operator, stranger) = (Operator::new(), Operator::new());
    let Some(mut server) = with(operator.settings()) else {
        return;
    };
    run(async {
        let good = broker(&server, Credentials::File(operator.user("croft")));
        works(&good).await;
        for path in [operator.expired("old"), stranger.user("other")] {
            let said = refused(&broker(&server, Credentials::File(path.clone()))).await;
            assert!(said.contains(&path.display().to_string()), "{said}");
            assert!(said.contains("expired"), "{said}");
        }
        let said = refused(&broker(&server, Credentials::None)).await;
        assert!(said.contains("a credentials file"), "{said}");
        // The nonce is signed again for each connection.
        let client = good.connect().await.unwrap();
        server.kill();
        server.restart();
        while client.request("nobody", "".into()).await.is_ok()
            || client.flush().await.is_err()
            || crate::wrong_with(&client).is_some()
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, empty) = (folder.path().join("missing"), folder.path().join("empty"));
    std::fs::write(&empty, "").unwrap();
    let plain = Broker::new("nats://127.0.0.1:1");
    let with = |credentials| Broker {
        credentials,
        ..plain.clone()
    };
    let cases = [
        (with(Credentials::File(missing.clone())), &missing),
        (with(Credentials::File(empty.clone())), &empty),
        (
            Broker {
                authorities: Some(missing.clone()),
                ..plain.clone()
            },
            &missing,
        ),
        (
            Broker {
                certificate: Some((empty.clone(), missing.clone())),
                ..plain.clone()
            },
            &missing,
        ),
    ];
    for (broker, path) in cases {
        let error = run(broker.connect()).unwrap_err();
        assert!(
            matches!(&error, ConnectError::File { path: named, .. } if named == path),
            "{error:?}"
        );
        assert!(error.source().is_some());
    }
}

#[test]
fn a_server_is_trusted_by_its_authority_and_trusts_clients_by_theirs() {
    let (Some(authority), Some(stranger)) = (Authority::new(), Authority::new()) else {
        return;
    };
    let (own, client) = (authority.issue("server"), authority.issue("client"));
    let more = format!(
        "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}",
        own.certificate,
        own.key,
        authority.certificate()
    );
    let Some(server) = with(more) else {
        return;
    };
    let certificate = Some((client.certificate, client.key));
    let good = Broker {
        authorities: Some(authority.certificate().to_path_buf()),
        certificate,
        ..Broker::new(&server.address)
    };
    run(async {
        works(&good).await;
        for authorities in [None, Some(stranger.certificate().to_path_buf())] {
            let error = Broker {
                authorities,
                ..good.clone()
            };
            let error = error.connect().await.unwrap_err();
            assert!(matches!(error, ConnectError::Untrusted { .. }), "{error:?}");
            assert!(error.to_string().contains("authority"), "{error}");
        }
        let foreign = stranger.issue("client");
        for certificate in [None, Some((foreign.certificate, foreign.key))] {
            let other = Broker {
                certificate,
                ..good.clone()
            };
            let said = refused(&other).await;
            assert!(said.contains("a certificate that they trust"), "{said}");
        }
    });
}

#[test]
fn an_old_server_is_refused_with_its_version() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("nats://{}", listener.local_addr().unwrap());
    let server = std::thread::Builder::new().name("old server".into());
    let server = server
        .spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let info = r#"INFO {"server_id":"x","server_name":"x","version":"2.11.9","go":"x","host":"127.0.0.1","port":4222,"headers":true,"max_payload":1048576,"proto":1,"jetstream":true}"#;
            write!(socket, "{info}\r\n").unwrap();
            let lines = BufReader::new(socket.try_clone().unwrap()).lines();
            for line in lines.map_while(Result::ok) {
                if line.starts_with("PING") {
                    write!(socket, "PONG\r\n").unwrap();
                }
            }
        })
        .unwrap();
    let error = run(async { Broker::new(address).connect().await }).unwrap_err();
    assert!(matches!(error, ConnectError::TooOld { .. }), "{error}");
    assert!(error.to_string().contains("nats-server 2.11.9"), "{error}");
    server.join().unwrap();
}

#[test]
fn nobody_to_connect_to_is_an_error_at_once() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = run(async { Broker::new(format!("nats://{closed}")).connect().await });
    let error = error.unwrap_err();
    assert!(matches!(error, ConnectError::Connect { .. }), "{error}");
    assert!(error.to_string().contains(&closed.to_string()), "{error}");
    let error = run(async { Broker::new("not an address").connect().await }).unwrap_err();
    assert!(matches!(error, ConnectError::Address { .. }), "{error}");
}

#[test]
fn a_cluster_without_a_leader_is_waited_for() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let broker = Broker::new(&cluster.addresses()[0]);
    for name in ["two", "three"] {
        cluster.server(name).kill();
    }
    let wanted = Stream {
        name: "S".into(),
        subjects: vec!["S".into()],
        num_replicas: 3,
        max_messages: -1,
        max_bytes: -1,
        max_messages_per_subject: -1,
        ..Stream::default()
    };
    run(async {
        let client = broker.connect().await.unwrap();
        let context = crate::context(&client, Duration::from_secs(1));
        let error = crate::open(&context, &wanted).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unsettled { .. }), "{error}");
        let restarting = tokio::task::spawn_blocking(move || {
            cluster.server("two").restart();
            cluster.server("three").restart();
            cluster
        });
        let opened = crate::once_settled(|| crate::open(&context, &wanted)).await;
        restarting.await.unwrap();
        opened.unwrap();
    });
}

#[test]
fn no_secret_is_shown() {
    let broker = Broker {
        credentials: password("hush"),
        ..Broker::new("nats://a")
    };
    assert!(!format!("{broker:?}").contains("hush"));
    let token = Credentials::Token("hush".into());
    assert_eq!(format!("{token:?}"), "Token");
}
