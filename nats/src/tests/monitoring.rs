//! Whether a real server says that it waits for its disk, and what is said of others.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use croft_nats_testing::{Server, Setup};

use super::run;
use crate::{Broker, Durability};

/// Asked as the one that keeps a stream.
fn ask(broker: &Broker) -> Durability {
    run(async {
        let client = broker.connect().await.unwrap();
        let kept_by = [client.server_info().server_name];
        broker.durability(&kept_by).await
    })
}

fn watched(server: &Server) -> Broker {
    Broker {
        monitoring: vec![server.monitoring.clone()],
        ..Broker::new(&server.address)
    }
}

#[test]
fn a_server_that_waits_for_its_disk_is_durable() {
    let Some(server) = Server::start() else {
        return;
    };
    let asked = ask(&watched(&server));
    assert_eq!((asked.durable, asked.wrong), (Some(true), vec![]));
    let unasked = ask(&Broker::new(&server.address));
    assert_eq!((unasked.durable, unasked.wrong), (None, vec![]));
}

#[test]
fn a_server_that_does_not_wait_for_its_disk_is_told_what_to_do() {
    for sync_interval in ["\"2m\"", "\"10ms\""] {
        let setup = Setup {
            sync_interval,
            ..Setup::default()
        };
        let Some(server) = setup.start() else {
            return;
        };
        let asked = ask(&watched(&server));
        assert_eq!(asked.durable, Some(false));
        let [wrong] = asked.wrong.as_slice() else {
            panic!("{:?}", asked.wrong);
        };
        assert!(wrong.contains("sync_interval: always"), "{wrong}");
        assert!(wrong.contains(&server.monitoring), "{wrong}");
    }
}

/// Answers one request with those bytes, then waits until it is closed.
fn page_of(answer: String) -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::Builder::new().name("monitoring".into());
    let server = server.spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let lines = BufReader::new(socket.try_clone().unwrap()).lines();
        let mut asked = lines.map_while(Result::ok);
        assert!(asked.any(|line| line.is_empty()));
        // It may be closed while it is told too much.
        socket.write_all(answer.as_bytes()).unwrap_or_default();
        let rest = socket.read_to_end(&mut Vec::new());
        rest.map(drop).unwrap_or_default();
    });
    (address, server.unwrap())
}

#[test]
fn what_is_no_monitoring_is_named_with_the_reason() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let gone = format!("http://{}", gone.unwrap());
    let (lost, lost_server) = page_of("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".into());
    let (other, other_server) = page_of("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".into());
    let long = "x".repeat(2 << 20);
    let length = long.len();
    let (endless, endless_server) = page_of(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{long}"
    ));
    let (silent, silent_server) = page_of(String::new());
    let cases = [
        ("https://a:8222".to_owned(), "only `http://host:port`"),
        ("a b".into(), "uri"),
        (gone, "refused"),
        (lost, "404"),
        (other, "server_name"),
        (endless, "limit"),
        (silent, "elapsed"),
    ];
    for (address, reason) in cases {
        let broker = Broker {
            monitoring: vec![address.clone()],
            timeout: Duration::from_millis(500),
            ..Broker::new("nats://a")
        };
        let asked = run(broker.durability(&["a".to_owned()]));
        assert_eq!(asked.durable, None);
        let wrong = asked.wrong.join("\n");
        assert!(wrong.contains(&address), "{wrong}");
        assert!(wrong.contains(reason), "{wrong}");
    }
    for server in [lost_server, other_server, endless_server, silent_server] {
        server.join().unwrap();
    }
}
